#!/usr/bin/env python3
"""Writes docs/performance.md and its plots from the results that bench.py left.

    python3 tests/bench/report.py RESULTS.json [DOCS_DIRECTORY]

The text around the tables is performance.template.md; what was not measured is said to be so.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "clients"))
sys.path.insert(0, HERE)

import plot  # noqa: E402
import svg  # noqa: E402
from figures import PARTS, Results, ratio  # noqa: E402
from targets import is_met, targets  # noqa: E402

NOTHING = "Not part of this run."
COMMANDS = ("start", "revert", "complete", "flush")
SHARES = (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max"))
# What a sweep's plots are of: a name, the figure, its unit.
GET_AND_SET = (("get", "get 1 get p50", "us, p50"), ("set", "set 1 set p50", "us, p50"))
SWEPT = {
    "keys": (*GET_AND_SET, ("longest set of the load", "load 1 set max", "us")),
    "vbuckets": (*GET_AND_SET, ("START", "revert START, command to answer", "ms")),
    "windows": (("REVERT", "revert REVERT, command to answer", "ms"),
                ("COMPLETE", "revert COMPLETE, command to answer", "ms")),
    "threads": (("get", "get {value} a second", "a second"),
                ("set", "set {value} a second", "a second")),
}
SWEEP_LABELS = {"keys": "keys", "vbuckets": "vbuckets", "cursors": "TAP streams that read along",
                "values": "bytes of a value", "threads": "threads", "windows": "keys in the window"}


def number(value, unit=""):
    """A figure with three significant digits."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{' ' + unit if unit else ''}"


def table(head, rows):
    """A Markdown table; nothing if no row has a figure."""
    rows = [row for row in rows if any(cell != "-" for cell in row[1:])]
    if not rows:
        return NOTHING
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine_table(results):
    """Where it was."""
    facts = results.data["machine"]
    lines = [["", ""], ["---", "---"]] + [[name, str(value)] for name, value in facts.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def contender_table(results):
    """Who was measured."""
    lines = [["name", "host", "engine", "configuration"], ["---"] * 4]
    for one in results.contenders.values():
        host = os.path.basename(one["host"].split(" ")[0]) if one["host"] else "bundled"
        lines.append([one["name"], host, os.path.basename(one["engine"]),
                      f"`{one['config']}`" if one["config"] else ""])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def target_table(results):
    """Each target, and whether it is met."""
    words = {True: "yes", False: "**no**", None: "-"}
    rows = []
    for one in targets(results):
        sign = "at least" if one.is_least else "at most"
        rows.append([f"{one.number}: {one.what}", number(one.value, one.unit),
                     f"{sign} {one.limit:g} {one.unit}".strip(), words[is_met(one)]])
    lines = [["what", "measured", "target", "met"], ["---", "---:", "---", "---"], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def felt_ratios(results, kind):
    """During over before, by contender."""
    names = [name for name in results.network if results.runs(name, kind)]
    rows = []
    for command in COMMANDS:
        for share, text in SHARES:
            rows.append([f"{text} during {command.upper()} / before"] + [
                number(results.growth(name, kind, command, share)) for name in names])
        rows.append([f"{command.upper()}, command to answer (ms)"] + [
            number(results.took_ms(name, kind, command)) for name in names])
    return table(["", *names], rows)


def felt_table(results, name, kind):
    """All parts around all commands of one contender."""
    first = str(results.data["options"]["gets"][0])
    replica = results.runs(name, "replica") if kind == first else []
    rows = []
    for command in (*COMMANDS, "restart"):
        of = "replica" if command == "restart" else kind
        if command == "restart" and not replica:
            continue
        label = "warm restart of a replica" if command == "restart" else command.upper()
        for part in PARTS:
            for requests in ("gets", "sets"):
                rows.append([f"{label}, {part}, {requests}"] + [
                    number(results.latency(name, of, command, part, share, requests))
                    for share in ("p50", "p99", "p999", "max", "late")])
    return table(["us", "p50", "p99", "p99.9", "max", "client's own p99"], rows)


def through_table(results):
    """Pipelined requests, processor time, memory, restarts."""
    names = list(results.network)
    wanted = (("pipelined sets a second", "sets_a_second"),
              ("pipelined gets a second", "gets_a_second"),
              ("processor time a request, at the rate (us)", "cpu_us"),
              ("load until durable (s)", "load_durable_s"),
              ("bytes an item beyond key and value, by the engine", "bytes_used"),
              ("the same after a restart", "bytes_used_restarted"),
              ("resident bytes an item beyond key and value", "bytes_resident"),
              ("the same after a restart", "bytes_resident_restarted"),
              ("kill -9, start to first answer (s)", "restart_s"),
              ("warm-up, items a second", "warmup_a_second"))
    ratios = []
    for label, figure in wanted:
        ratios.append([label] + [
            number(ratio(results.figure(results.reference(name), figure),
                         results.figure(name, figure))) for name in results.peers()
            if name in results.network])
    peers = [f"{results.reference(name)} / {name}" for name in results.peers()
             if name in results.network]
    plain = [[label] + [number(results.figure(name, figure)) for name in names]
             for label, figure in wanted]
    return (table(["ratio", *peers], ratios) if peers else "") + "\n\n" + table(["", *names], plain)


def inside_table(results):
    """engine-bench: ratios first, then microseconds."""
    if not results.inprocess:
        return NOTHING
    names = [name for name in results.inprocess[0] if name != "harness"]
    net = [(f"{phase} {share}, {threads} thread{'s' if threads > 1 else ''}",
            f"{phase} {threads} {phase} {share}")
           for phase in ("get", "set") for threads in (1, 2) for share in ("p50",)]
    rest = [(f"{phase} {text}, 1 thread (us)", f"{phase} 1 {phase} {share}")
            for phase in ("get", "set") for share, text in SHARES[1:]]
    ratios = [[f"{label}, net of the harness"] + [
        number(ratio(results.net("ours", figure), results.net(name, figure)))
        for name in names[1:]] for label, figure in net]
    plain = [[f"{label}, net of the harness (us)"] + [
        number(results.net(name, figure)) for name in names] for label, figure in net]
    plain += [[label] + [number(results.inside(name, figure)) for name in names]
              for label, figure in rest]
    plain += [[f"two threads over one, {phase}"] + [
        number(results.two_threads(name, phase)) for name in names] for phase in ("get", "set")]
    plain += [[label] + [number(results.inside(name, f"{figure}")) for name in names]
              for label, figure in (
                  ("resident bytes an item beyond key and value",
                   "load RSS beyond key+value"),
                  ("REVERT (ms)", "revert REVERT, command to answer"),
                  ("COMPLETE (ms)", "revert COMPLETE, command to answer"))]
    first = table([f"{names[0]} / other", *names[1:]], ratios)
    return first + "\n\n" + table(["", *names], plain)


class Writer:
    """The files below a directory."""

    def __init__(self, results, directory):
        self.results, self.directory = results, directory
        os.makedirs(f"{directory}/performance", exist_ok=True)
        for name in os.listdir(f"{directory}/performance"):
            if name.endswith(".svg"):
                os.unlink(f"{directory}/performance/{name}")

    def image(self, name, title, text):
        """Writes a plot; returns the reference to it."""
        path = f"performance/{name}.svg"
        with open(f"{self.directory}/{path}", "w", encoding="ascii") as file:
            file.write(text)
        return f"![{title}]({path})"

    def updates(self):
        """For each contender a table and a plot."""
        found = []
        for kind in map(str, self.results.data["options"]["gets"]):
            found += [f"### {kind} % gets: ratios", felt_ratios(self.results, kind)]
            for name in self.results.network:
                run = self.results.typical(name, kind)
                if not run:
                    continue
                title = f"{name}, {kind} % gets: latency over time"
                found += [f"### {kind} % gets: {name}", felt_table(self.results, name, kind),
                          self.image(f"update-{name}-{kind}", title, plot.draw(run, title))]
                replica = self.results.typical(name, "replica")
                if replica and kind == str(self.results.data["options"]["gets"][0]):
                    title = f"{name}: latency while its replica restarts"
                    found.append(self.image(f"replica-{name}", title, plot.draw(replica, title)))
        return "\n\n".join(found) if self.results.network else NOTHING

    def sweeps(self):
        """For each sweep a plot of what grows, and its table."""
        found = []
        for sweep, points in self.results.sweeps.items():
            engines = [name for name in (points[0][1] if points else {}) if name != "harness"]
            for what, figure, unit in SWEPT.get(sweep, GET_AND_SET):
                lines = [svg.Line(engine, [
                    (value, one[engine][name]) for value, one in points
                    if (name := figure.format(value=value)) in one.get(engine, {})])
                    for engine in engines]
                lines = [line for line in lines if line.points]
                if not lines:
                    continue
                label = SWEEP_LABELS[sweep]
                title = f"{what} by {label}"
                across = (label, sweep not in ("cursors", "threads"))
                text = svg.chart(title, across, (f"{what}, {unit}", sweep != "threads"), lines,
                                 with_dots=True)
                rows = [[f"{value:,}"] + [number(dict(line.points).get(value)) for line in lines]
                        for value, _ in points]
                found += [f"### {title} ({unit})", self.image(
                    f"{sweep}-{what.lower().replace(' ', '-')}", title, text),
                          table([label, *(line.name for line in lines)], rows)]
        return "\n\n".join(found) or NOTHING

    def write(self):
        """Writes the document."""
        with open(f"{HERE}/performance.template.md", encoding="ascii") as file:
            text = file.read()
        options = self.results.data["options"]
        problems = self.results.data.get("problems", [])
        parts = {
            "machine": machine_table(self.results),
            "contenders": contender_table(self.results),
            "commands": "\n".join(["```text", *self.results.data["commands"], "```"]),
            "sizes": (f"{options['keys']:,} keys with values of {options['value']} bytes, "
                      f"{options['window']:,} keys in a window, {options['rate']:,} requests a "
                      f"second, medians of {options['rounds']}"),
            "targets": target_table(self.results),
            "updates": self.updates(),
            "through": through_table(self.results),
            "inside": inside_table(self.results),
            "sweeps": self.sweeps(),
            "problems": "\n".join(f"- {one}" for one in problems) or "None.",
        }
        for name, part in parts.items():
            text = text.replace("{{" + name + "}}", part)
        with open(f"{self.directory}/performance.md", "w", encoding="ascii") as file:
            file.write(text)


def main():
    """Reads and writes."""
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__.strip())
    with open(sys.argv[1], encoding="ascii") as file:
        results = Results(json.load(file))
    directory = sys.argv[2] if len(sys.argv) == 3 else os.path.join(HERE, "..", "..", "docs")
    Writer(results, directory).write()


if __name__ == "__main__":
    main()
