#!/usr/bin/env python3
"""Has a node, its replica and the pump between them work for hours, and watches what they take.

    python3 tests/soak/soak.py [--hours 1 | --cycles N] [--keys 20000] [--operations 20000]
                               [--seed N] [--config TEXT] [--out DIRECTORY]

A cycle is a load, a window that is looked into and completed or reverted, clients that do
everything else or hang up, and in turns backups with a restore, restarts of the replica (in order
and by kill -9) and of the pump. When all has come to rest memory, threads, descriptors, disk and
the engine's own `mem_used` are noted; the node's keys are compared with a model, the replica's with
the node's. DIRECTORY gets soak.csv and soak.svg. Ends with status 1 if a key is wrong or a figure
grows (growth.py). CHECKPOINT_HOST and CHECKPOINT_REPLICA_HOST choose other hosts.
"""

import argparse
import contextlib
import csv
import os
import random
import signal
import struct
import sys
import tempfile
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[1:1] = [os.path.join(TESTS, "clients"), os.path.join(TESTS, "bench")]

import backup  # noqa: E402
import growth  # noqa: E402
import server  # noqa: E402
import svg  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402

BATCH = 500
WAIT_SECONDS = 300
BACKUP_EVERY, RESTART_EVERY, PUMP_EVERY, COMPARE_EVERY = 5, 3, 4, 5
GETL, UNLOCK, EVICT, SYNC = 0x94, 0x95, 0x93, 0x96
DEREGISTER = 0x9e
GROUPS = (b"", b"memory", b"vbucket", b"checkpoint", b"hash", b"timings", b"dispatcher", b"tap",
          b"tapagg _", b"onlineupdate", b"onlineupdate-vb", b"onlineupdate-keys", b"lacking")
FIGURES = ("rss", "threads", "descriptors")


def process_figures(pid):
    """Resident bytes, threads and descriptors of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return (int(lines["VmRSS"].split()[0]) * 1024, int(lines["Threads"]),
            len(os.listdir(f"/proc/{pid}/fd")))


def disk_bytes(directory):
    """What a directory takes on the disk. Files may go meanwhile."""
    total = 0
    for at, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(at, name)).st_blocks * 512
    return total


def succeed(answer):
    """The answer, which has to be a success."""
    if answer.status != wire.SUCCESS:
        raise SystemExit(f"an answer with status {answer.status:#x}: {answer}")
    return answer


class Soak:
    """The nodes, and what they should hold."""

    def __init__(self, stack, options):
        self.options, self.dice = options, random.Random(options.seed)
        self.source = stack.enter_context(tap.node(options.config))
        self.replica = stack.enter_context(tap.node(options.config, replica=True))
        self.pump = tap.Pump(self.source, self.replica, "-rf")
        stack.callback(self.pump.close)
        self.folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="checkpoint-soak-"))
        self.link = stack.enter_context(self.source.binary(timeout=WAIT_SECONDS))
        self.keys = [b"key %d" % number for number in range(options.keys)]
        self.model = {}
        self.counts = {"operations": 0, "windows": 0, "backups": 0, "restarts": 0, "compared": 0}
        self.write(self.keys)

    # What clients do.

    def ask(self, requests):
        """Quiet requests; those that met a temporary failure are sent again."""
        requests = list(requests)
        for at in range(0, len(requests), BATCH):
            left = requests[at:at + BATCH]
            while left:
                answers = self.link.pipeline(
                    wire.request(*one, opaque=number) for number, one in enumerate(left))
                again = [a.opaque for a in answers if a.status == wire.ETMPFAIL]
                wrong = [a for a in answers if a.status not in (wire.ETMPFAIL, wire.ENOENT)]
                if wrong:
                    raise SystemExit(f"a change was refused: {wrong[0]}")
                left = [left[number] for number in again]
                time.sleep(0.01 if left else 0)
        self.counts["operations"] += len(requests)

    def write(self, keys):
        """Gives keys new values."""
        requests = []
        for key in keys:
            value = (b"%d:" % self.dice.getrandbits(32)) * self.dice.randint(1, 100)
            self.model[key] = value
            requests.append((wire.SETQ, key, wire.store_extras(), value))
        self.ask(requests)

    def delete(self, keys):
        """Deletes keys."""
        for key in keys:
            self.model.pop(key, None)
        self.ask((wire.DELETEQ, key) for key in keys)

    def load(self, operations):
        """Writes and deletes at random; some keys of their own expire."""
        some = self.dice.choices(self.keys, k=operations)
        self.delete(some[:operations // 8])
        self.write(some[operations // 8:])
        extras = wire.store_extras(expiry=self.dice.randint(1, 3))
        brief = (b"brief %d" % number for number in range(operations // 8))
        self.ask((wire.SETQ, key, extras, b"value" * 20) for key in brief)

    def window(self, completes):
        """A window with a look into it, undone keys, and its end."""
        before = dict(self.model)
        succeed(self.link.call(wire.START, extras=struct.pack(">I", 3600)))
        self.load(self.options.operations // 2)
        touched = [entry.key for entry in self.link.look(b"key ")]
        for key in self.dice.sample(touched, min(20, len(touched))):
            old = self.link.call(wire.BEFORE, key)
            assert (old.value if old.status == wire.SUCCESS else None) == before.get(key), key
            succeed(self.link.call(wire.UNDO, key))
            self.model.pop(key, None)
            if key in before:
                self.model[key] = before[key]
        succeed(self.link.call(wire.DEADLINE, extras=struct.pack(">I", 7200)))
        succeed(self.link.call(wire.COMPLETE if completes else wire.REVERT))
        if not completes:
            self.model = before
        self.counts["windows"] += 1

    def others(self):
        """Everything else that clients do, and those that do it halfway."""
        link = self.link
        for key in self.dice.sample(sorted(self.model), min(200, len(self.model))):
            locked = link.call(GETL, key, extras=struct.pack(">I", 5))
            link.call(UNLOCK, key, cas=locked.cas)
            link.call(EVICT, key)
        keys = self.dice.sample(sorted(self.model), min(500, len(self.model)))
        listed = b"".join(struct.pack(">QHH", 0, 0, len(key)) + key for key in keys)
        link.call(SYNC, value=struct.pack(">IH", 8, len(keys)) + listed)
        link.arithmetic(wire.INCR, b"counter", 1)
        for group in GROUPS:
            link.stats(group)
        for vbucket in (7, 8):
            tap.set_state(link, vbucket, wire.ACTIVE)
            link.set(b"a key", b"its value", vbucket=vbucket)
            tap.set_state(link, vbucket, wire.DEAD)
            succeed(link.call(wire.DEL_VBUCKET, vbucket=vbucket))
        for number in range(50):
            with self.source.binary() as brief:
                brief.send(wire.request(wire.SET, b"half", wire.store_extras(), b"v")[:10 + number])
            with self.source.ascii() as brief:
                brief.socket.sendall(b"get key\r\nset k 0 0 100\r\nhal")
        for flags in (tap.DUMP, tap.BACKFILL | tap.ACK, tap.REGISTERED | tap.CHECKPOINTS):
            with tap.Peer(self.source.address, flags, name=b"passer-by") as peer:
                peer.step()
        link.call(DEREGISTER, b"passer-by")

    def back_up(self):
        """A full and an incremental backup, and a restore of what was lost after them."""
        full, more = (os.path.join(self.folder, name) for name in ("full", "more"))
        node = tap.at(self.source)
        backup.call("create", "-n", node, full, "--keep", "soak")
        self.load(self.options.operations // 10)
        backup.call("create", "-n", node, more, "--on", full)
        held = dict(self.model)
        self.delete(self.dice.sample(sorted(held), len(held) // 4))
        backup.call("restore", "-n", node, full, more)
        self.model = held
        backup.call("forget", "-n", node, more)
        os.remove(full)
        os.remove(more)
        self.counts["backups"] += 2

    # What is looked at.

    def rest(self):
        """Waits until everything is on the disk and on the replica."""
        marker = b"%d" % self.dice.getrandbits(60)
        succeed(self.link.set(tap.MARKER, marker))
        self.source.drained(self.link, WAIT_SECONDS)
        server.until(self.follows, WAIT_SECONDS, "the replica follows")
        with self.replica.binary() as there:
            self.replica.drained(there, WAIT_SECONDS)
        return marker

    def follows(self):
        """Whether the replica has acknowledged all that there is."""
        stats = self.link.stats(b"tap")
        stream = "eq_tapq:replicate_{}_{}".format(*self.replica.address)
        wanted = {"connected": "true", "pending_backfill": "false", "qlen": "0",
                  "ack_log_size": "0"}
        return all(stats.get(f"{stream}:{key}") == value for key, value in wanted.items())

    def compare(self, marker, cycle):
        """Keys against the model; returns how many are wrong."""
        keys = self.keys if cycle % COMPARE_EVERY == 0 else self.dice.sample(
            self.keys, min(2000, len(self.keys)))
        wrong = sum(value != self.model.get(key) for key, value, _ in self.link.get_many(keys))
        self.counts["compared"] += len(keys)
        if cycle % COMPARE_EVERY == 0:
            held = tap.contents(self.replica.address, (0,), marker, timeout=WAIT_SECONDS)[0]
            held = {key: value for key, (value, _) in held.items() if key.startswith(b"key ")}
            wrong += sum(held.get(key) != self.model.get(key) for key in self.keys)
            self.counts["compared"] += len(self.keys)
        return wrong

    def figures(self, cycle):
        """{name: value} of all that is watched; the replica's at the end of each of its lives."""
        found = dict(zip((f"source {name}" for name in FIGURES),
                         process_figures(self.source.process.pid)))
        found["source mem_used"] = int(self.link.stats()["mem_used"])
        found["source disk"] = disk_bytes(self.source.dbname)
        pump = process_figures(self.pump.process.pid)
        found.update(zip((f"pump {name}" for name in FIGURES), pump))
        if cycle % RESTART_EVERY == 0:
            found.update(zip((f"replica {name}" for name in FIGURES),
                             process_figures(self.replica.process.pid)))
            with self.replica.binary() as there:
                found["replica mem_used"] = int(there.stats()["mem_used"])
            found["replica disk"] = disk_bytes(self.replica.dbname)
        return found

    def cycle(self, number):
        """One of them; returns what is watched, and how many keys are wrong."""
        self.load(self.options.operations)
        self.window(number % 2 == 0)
        self.others()
        if number % BACKUP_EVERY == 0:
            self.back_up()
        marker = self.rest()
        wrong = self.compare(marker, number)
        # Streams and connections that were closed above are gone for the host by then.
        time.sleep(2)
        figures = self.figures(number)
        if number % RESTART_EVERY == 0:
            how = signal.SIGKILL if number // RESTART_EVERY % 2 else signal.SIGTERM
            self.replica.restart(how)
            self.counts["restarts"] += 1
        if number % PUMP_EVERY == 0:
            self.pump.kill(signal.SIGTERM)
            self.pump.start()
        return figures, wrong


def samples(rows):
    """{name: [(seconds, value)]}."""
    found = {}
    for seconds, figures in rows:
        for name, value in figures.items():
            found.setdefault(name, []).append((seconds, value))
    return found


def draw(rows, title):
    """The text of an SVG file: every figure as a share of its first sample behind the warm-up."""
    lines = []
    for name, points in samples(rows).items():
        first = points[int(len(points) * growth.WARM_UP)][1]
        if name.split(" ")[1] in ("rss", "mem_used", "disk") and first:
            lines.append(svg.Line(name, [(t / 60, value / first) for t, value in points]))
    return svg.chart(title, ("minutes", False), ("share of the value after the warm-up", False),
                     lines)


def write(directory, rows, title):
    """Writes the figures and their plot."""
    os.makedirs(directory, exist_ok=True)
    names = sorted({name for _, figures in rows for name in figures})
    with open(os.path.join(directory, "soak.csv"), "w", encoding="ascii", newline="") as file:
        table = csv.writer(file)
        table.writerow(["seconds", *names])
        for seconds, figures in rows:
            table.writerow([f"{seconds:.0f}", *(figures.get(name, "") for name in names)])
    with open(os.path.join(directory, "soak.svg"), "w", encoding="utf-8") as file:
        file.write(draw(rows, title))


def report(rows, counts):
    """Prints what became of every figure; returns how many grow."""
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()))
    grow = 0
    for name, points in sorted(samples(rows).items()):
        found = growth.judge(name, points)
        if found is None:
            print(f"{name:20} too few samples ({len(points)})")
            continue
        word = "GROWS" if found.grows else "flat"
        print(f"{name:20} {found.first:13,} {found.last:13,}  grows by {found.growth:14,.1f}, "
              f"may by {found.bound:14,.1f}: {word}")
        grow += found.grows
    return grow


def main():
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--cycles", type=int)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--config", default="max_size=512m;exp_pager_stime=20")
    parser.add_argument("--out", default=os.path.join(server.TOP, "target", "soak"))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rows, wrong, cycle = [], 0, 0
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        soak = Soak(stack, options)
        while cycle < options.cycles if options.cycles else \
                time.monotonic() - begun < options.hours * 3600:
            cycle += 1
            figures, differ = soak.cycle(cycle)
            rows.append((time.monotonic() - begun, figures))
            wrong += differ
            memory = figures["source rss"] / growth.MIB
            print(f"{rows[-1][0]:8.0f} s: cycle {cycle}, {memory:.0f} MiB, {wrong} keys wrong",
                  flush=True)
    write(options.out, rows, f"{cycle} cycles, seed {options.seed}")
    grow = report(rows, soak.counts)
    return 1 if wrong or grow else 0


if __name__ == "__main__":
    sys.exit(main())
