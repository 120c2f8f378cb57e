#!/usr/bin/env python3
"""Replicates many keys through engine-replicate, with windows, and compares every one of them.

    python3 tests/scale/replicate.py [--keys 1000000] [--window 200000] [--value 100]
                                     [--no-pump] [SOURCE DESTINATION]

Half of the keys are there when the replica connects (a backfill), the other half is loaded while it
follows; then a window is reverted and one is completed. Prints throughput and how far the replica
lags; ends with status 1 if one key differs. SOURCE and DESTINATION are HOST:PORT of running, empty
servers with the engine; without them two hosts are started. With --no-pump something else carries
the stream, and has to be at work when the load begins.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import scale  # noqa: E402
import server  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402

FLAGS = 7
SAMPLE_SECONDS = 0.05
WAIT_SECONDS = 600


class Running:
    """A server that somebody else has started."""

    def __init__(self, text):
        host, _, port = text.rpartition(":")
        self.address = (host.strip("[]"), int(port))

    def binary(self):
        """A binary connection."""
        return wire.Binary(self.address, timeout=WAIT_SECONDS)


def inside(number, size):
    """What a window writes to a key, None to delete it."""
    return None if number % 10 == 9 else (b"inside %d:" % number).ljust(size, b"w")


def expected(number, options, completed):
    """What a key must have."""
    if completed and number < options.window:
        return inside(number, options.value)
    return scale.value_of(number, options.value)


def change(address, options):
    """The writes of a window."""
    with wire.Binary(address, timeout=WAIT_SECONDS) as link:
        for first in range(0, options.window, scale.BATCH):
            requests = []
            for number in range(first, min(first + scale.BATCH, options.window)):
                key, value = scale.key_of(number), inside(number, options.value)
                requests.append(
                    wire.request(wire.DELETEQ, key) if value is None else
                    wire.request(wire.SETQ, key, wire.store_extras(FLAGS), value)
                )
            if answers := link.pipeline(requests):
                raise SystemExit(f"a write failed: {answers[0]}")


def check_source(address, options, completed):
    """Reads every key. Returns how many differ."""
    wrong = 0
    with wire.Binary(address, timeout=WAIT_SECONDS) as link:
        for first in range(0, options.keys, scale.BATCH):
            numbers = range(first, min(first + scale.BATCH, options.keys))
            requests = [wire.request(wire.GETKQ, scale.key_of(n)) for n in numbers]
            found = {answer.key: answer.value for answer in link.pipeline(requests)
                     if answer.status == wire.SUCCESS}
            wrong += sum(found.get(scale.key_of(n)) != expected(n, options, completed)
                         for n in numbers)
    return wrong


def check_replica(address, options, completed, marker):
    """Reads every key by a stream. Returns how many differ, strange ones included."""
    found = tap.contents(address, (0,), marker, timeout=WAIT_SECONDS)[0]
    wrong = 0
    for number in range(options.keys):
        value = expected(number, options, completed)
        wrong += found.pop(scale.key_of(number), None) != (value and (value, FLAGS))
    return wrong + sum(not key.startswith(b"~") for key in found)


def items(link):
    """Number of items in vbuckets of any state."""
    return int(link.stats()["curr_items_tot"])


class Lag(threading.Thread):
    """Samples how many items both have, as long as new keys are loaded."""

    def __init__(self, source, destination):
        super().__init__(daemon=True)
        self.links = source.binary(), destination.binary()
        self.samples = []
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            here, there = self.links
            self.samples.append((time.monotonic(), items(here), items(there)))

    def report(self):
        """Ends and prints."""
        self.ended.set()
        self.join()
        for link in self.links:
            link.close()
        behind = sorted(max(here - there, 0) for _, here, there in self.samples)
        delays = []
        for at, here, _ in self.samples:
            then = [t for t, _, there in self.samples if t >= at and there >= here]
            if then:
                delays.append(then[0] - at)
        if delays:
            delays.sort()
            print(f"lag under load: median {behind[len(behind) // 2]:,} keys, most {behind[-1]:,};"
                  f" a key is there after {delays[len(delays) // 2]:.2f} s (median),"
                  f" {delays[-1]:.2f} s (longest), +- {SAMPLE_SECONDS} s", flush=True)


class Run:
    """One run over two servers."""

    def __init__(self, source, destination, options):
        self.source, self.destination, self.options = source, destination, options
        self.here, self.there = source.binary(), destination.binary()
        self.markers = 0

    def command(self, opcode, name):
        """A command of online update that must succeed."""
        begun = time.monotonic()
        answer = self.here.call(opcode)
        if answer.status != wire.SUCCESS:
            raise SystemExit(f"{name}: status {answer.status:#x}: {answer.value}")
        print(f"{name}: answered after {(time.monotonic() - begun) * 1000:.1f} ms", flush=True)

    def caught_up(self, what, count=None):
        """Writes a marker, a new key, and waits until the replica has as many keys: it has all
        the writes by then, but for the few after the last deletion."""
        self.markers += 1
        marker = b"~marker %d" % self.markers
        begun = time.monotonic()
        if self.here.set(marker, b"").status != wire.SUCCESS:
            raise SystemExit("the marker was refused")
        want = items(self.here)
        server.until(lambda: items(self.there) == want, WAIT_SECONDS, what)
        seconds = time.monotonic() - begun
        rate = f", {count / seconds:,.0f} keys/s" if count else ""
        print(f"{what}: marker on the replica after {seconds:.2f} s{rate}", flush=True)

    def compare(self, pool, completed):
        """Key by key; returns how many differ."""
        marker = b"compare %d" % self.markers
        if self.here.set(tap.MARKER, marker).status != wire.SUCCESS:
            raise SystemExit("the marker was refused")
        arguments = self.options, completed
        found = [
            pool.apply_async(check_source, (self.source.address, *arguments)),
            pool.apply_async(check_replica, (self.destination.address, *arguments, marker)),
        ]
        wrong = [result.get() for result in found]
        print(f"compared: {wrong[0]} differ at the source, {wrong[1]} at the replica", flush=True)
        return sum(wrong)

    def load(self, first, last):
        """Loads keys; returns the seconds."""
        begun = time.monotonic()
        scale.load(self.source.address, range(first, last), self.options.value)
        return time.monotonic() - begun

    def run(self, pool, begin_pump):
        """All of it; returns how many keys differ."""
        options = self.options
        half = options.keys // 2
        print(f"loaded: {half / self.load(0, half):,.0f} sets/s", flush=True)
        begin_pump()
        self.caught_up("backfill", half)
        lag = Lag(self.source, self.destination)
        lag.start()
        begun = time.monotonic()
        seconds = self.load(half, options.keys)
        print(f"loaded while the replica follows: {half / seconds:,.0f} sets/s", flush=True)
        self.caught_up("after the load")
        print(f"replicated: {half / (time.monotonic() - begun):,.0f} keys/s", flush=True)
        lag.report()
        wrong = 0
        for opcode, name in ((wire.REVERT, "REVERT"), (wire.COMPLETE, "COMPLETE")):
            self.command(wire.START, "START")
            change(self.source.address, options)
            self.caught_up("window")
            self.command(opcode, name)
            self.caught_up(f"after {name}")
            wrong += self.compare(pool, opcode == wire.COMPLETE)
        return wrong


def main():
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--window", type=int, default=200_000)
    parser.add_argument("--value", type=int, default=100)
    parser.add_argument("--no-pump", action="store_true")
    parser.add_argument("hosts", nargs="*", metavar="HOST:PORT")
    options = parser.parse_args()
    if len(options.hosts) not in (0, 2):
        parser.error("give SOURCE and DESTINATION, or none")
    with contextlib.ExitStack() as stack:
        if options.hosts:
            source, destination = map(Running, options.hosts)
        else:
            source = stack.enter_context(tap.node())
            destination = stack.enter_context(tap.node(replica=True))

        def begin_pump():
            if not options.no_pump:
                pump = tap.Pump(source, destination, "-f", vbuckets=(0,))
                stack.callback(pump.close)
        pool = stack.enter_context(multiprocessing.Pool(2))
        wrong = Run(source, destination, options).run(pool, begin_pump)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
