#!/usr/bin/env python3
"""Measures the engine, and others beside it, and writes docs/performance.md with its plots.

    python3 tests/bench/bench.py [options]        (make bench; PEERS and BENCH_FLAGS are passed on)

Contenders take turns in each round, so that all see the same machine; figures are medians over the
rounds. Results are kept in a file after each step: report.py makes the document from it again.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "clients"))
sys.path.insert(0, HERE)

import contenders  # noqa: E402
import figures  # noqa: E402
import inprocess  # noqa: E402
import network  # noqa: E402
import report  # noqa: E402
import server  # noqa: E402

PARTS = ("network", "inprocess", "sweeps")


def say(text):
    """Progress, on stderr."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def first_line(path, prefix=""):
    """The rest of the first line of a file that begins like this."""
    try:
        with open(path, encoding="utf-8") as file:
            return next((line[len(prefix):].strip(" :\t\n") for line in file
                         if line.startswith(prefix)), "?")
    except OSError:
        return "?"


def output(*words):
    """What a command prints, or "?"."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=server.TOP)
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return done.stdout.strip()


def machine():
    """Where this is, for the document."""
    return {
        "processor": first_line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": first_line("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "load average at the beginning": first_line("/proc/loadavg"),
        "commit": output("git", "describe", "--always", "--dirty"),
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()) + " UTC",
    }


def parse():
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--peers", default=os.environ.get("PEERS", ""),
        help='"NAME[/LAYOUT]=HOST:ENGINE:CONFIG ..."; an empty HOST is the bundled one, {dir} in '
             "CONFIG a fresh directory (default: $PEERS)")
    add("--parts", default="network,inprocess", help=f"of {','.join(PARTS)} (%(default)s)")
    add("--rounds", type=int, default=3)
    add("--keys", type=int, default=1_000_000)
    add("--window", type=int, default=500_000)
    add("--rate", type=int, default=10_000)
    add("--value", type=int, default=100, help="bytes")
    add("--gets", type=lambda text: [int(word) for word in text.split(",")], default=[100],
        help="per cent of the requests; a list gives an update for each (100)")
    add("--pace", type=float, default=1, help="waits are so many times as long (%(default)s)")
    add("--realtime", action="store_true", help="the client goes before all other threads")
    add("--inprocess-keys", type=int, default=300_000)
    add("--seconds", type=float, default=2, help="of each round in process")
    add("--sweeps", default=",".join(inprocess.SWEEPS), help="%(default)s")
    add("--sweep-max", type=int, default=0, help="the most keys of a sweep (all)")
    add("--keep", action="store_true", help="keep the parts in the results file that do not run")
    add("--results", default=f"{server.TOP}/target/bench/results.json")
    add("--docs", default=f"{server.TOP}/docs")
    options = parser.parse_args()
    for names, known in ((options.parts, PARTS), (options.sweeps, inprocess.SWEEPS)):
        if unknown := set(names.split(",")) - set(known):
            parser.error(f"no such part: {', '.join(unknown)}")
    return options


def command():
    """How to run this again; the peers stand in a table."""
    words = sys.argv[1:]
    words = [word for at, word in enumerate(words)
             if "--peers" not in (word.partition("=")[0], words[at - 1] if at else "")]
    return " ".join(['make bench PEERS="..."', *([f"BENCH_FLAGS='{shlex.join(words)}'"] if words
                                                 else [])])


class Bench:
    """The results so far."""

    def __init__(self, options):
        self.options = options
        self.chosen = contenders.contenders(options.peers)
        before = {}
        if options.keep and os.path.exists(options.results):
            with open(options.results, encoding="ascii") as file:
                before = json.load(file)
        kept = "network" in before and "network" not in options.parts.split(",")
        self.data = {
            "machine": machine(),
            "commands": [*before.get("commands", []), command()],
            # Sizes that the document names are those of what clients feel.
            "options": before["options"] if kept else vars(options),
            "contenders": [one._asdict() for one in self.chosen],
            "problems": before.get("problems", []),
            **{part: before[part] for part in PARTS if part in before},
        }

    def save(self):
        """Writes the results, and the document."""
        os.makedirs(os.path.dirname(os.path.abspath(self.options.results)), exist_ok=True)
        with open(self.options.results, "w", encoding="ascii") as file:
            json.dump(self.data, file)
        report.Writer(figures.Results(self.data), self.options.docs).write()

    def attempt(self, what, work, *arguments):
        """Does something; a failure is told, and the rest goes on."""
        say(what)
        try:
            return work(*arguments)
        except (OSError, RuntimeError, TimeoutError, server.StartFailed, KeyError) as error:
            self.data["problems"].append(f"{what}: {error}")
            say(self.data["problems"][-1])
            return None

    def network(self):
        """Over TCP, contenders in turn."""
        found = self.data["network"] = {one.name: [] for one in self.chosen}
        for number in range(1, self.options.rounds + 1):
            for one in self.chosen:
                label = f"over TCP, round {number}, {one.name}"

                def attempt(what, work, *arguments, label=label):
                    return self.attempt(f"{label}, {what}", work, *arguments)

                result = network.measure(one, self.options, attempt)
                found[one.name].append(result)
                self.data["problems"] += [f"{label}, {text}" for text in network.check(result)]
                self.save()

    def inprocess(self):
        """In process: engine-bench takes turns itself."""
        found = self.data["inprocess"] = []
        for number in range(1, self.options.rounds + 1):
            result = self.attempt(f"in process, round {number}", inprocess.measure, self.chosen,
                                  self.options)
            found += [result] if result else []
            self.save()

    def sweeps(self):
        """How costs grow."""
        found = self.data.setdefault("sweeps", {})
        for name in self.options.sweeps.split(","):
            found[name] = self.attempt(f"by {name}", inprocess.sweep, name, self.chosen,
                                       self.options) or []
            self.save()


def main():
    """Measures, and says where the document is."""
    options = parse()
    bench = Bench(options)
    for part in PARTS:
        if part in options.parts.split(","):
            getattr(bench, part)()
    bench.save()
    say(f"{options.docs}/performance.md, from {options.results}")
    for problem in bench.data["problems"]:
        print(problem, file=sys.stderr)
    return 1 if bench.data["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
