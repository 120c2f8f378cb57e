"""kill -9 of source, replica and pump, and loss of a node's power, at random instants of a load
with windows.

After each round everything runs again and catches up. Then the replica holds key by key what the
source holds, every value is one that was written, and a window that was open on a source that was
killed is open nowhere. CRASH_ROUNDS rounds a test (default 10), CRASH_SEED to repeat a run.
"""

import itertools
import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import disk  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402
from disk import ROUNDS, SEED  # noqa: E402
from wire import COMPLETE, REVERT, START, SUCCESS, request, store_extras  # noqa: E402

VBUCKETS = range(3)
KEYS = [b"key %d" % n for n in range(2000)]
BATCH = 50
LONGEST = 0.5


def flags_of(value):
    """The flags that go with a value."""
    return int(value.split()[0]) * 2654435761 & 0xffffffff


class Writer(threading.Thread):
    """Writes numbered values and opens and ends windows until it is stopped or cut off."""

    def __init__(self, host, dice, numbers, written):
        super().__init__(daemon=True)
        self.dice, self.numbers, self.written = dice, numbers, written
        self.link = host.binary()
        self.stopped = threading.Event()
        self.open = False
        self.error = None
        self.count = 0

    def run(self):
        try:
            while not self.stopped.is_set():
                self.batch()
                if self.dice.random() < 0.03:
                    self.command()
        except OSError:
            pass  # The server was killed.
        except AssertionError as error:
            self.error = error

    def batch(self):
        """Some writes; every seventh or so is a deletion."""
        for answer in self.link.pipeline([self.one() for _ in range(BATCH)]):
            assert (answer.opcode, answer.status) == (wire.DELETEQ, wire.ENOENT), answer
        self.count += BATCH

    def one(self):
        """One write."""
        vbucket, key = self.dice.choice(VBUCKETS), self.dice.choice(KEYS)
        if self.dice.random() < 0.15:
            return request(wire.DELETEQ, key, vbucket=vbucket)
        value = b"%d %s" % (next(self.numbers), b"x" * self.dice.randrange(60))
        self.written.add((vbucket, key, value))
        return request(wire.SETQ, key, store_extras(flags_of(value)), value, vbucket=vbucket)

    def command(self):
        """Opens a window, or ends it."""
        opcode = self.dice.choice([COMPLETE, REVERT]) if self.open else START
        status = self.link.call(opcode).status
        assert status == SUCCESS, f"{opcode:#x}: status {status:#x}"
        self.open = not self.open

    def stop(self):
        """Ends it and its connection."""
        self.stopped.set()
        self.join(60)
        assert not self.is_alive()
        self.link.close()


class Crash(unittest.TestCase):
    """What is killed, a test each."""

    def setUp(self):
        if not os.path.exists(tap.REPLICATE):
            self.skipTest(f"no {tap.REPLICATE}: make -C c-host replicate")
        self.dice = random.Random(f"{SEED} {self.id()}")
        self.numbers, self.marks = itertools.count(1), itertools.count(1)
        self.written = set()
        self.source = tap.node(make=disk.Node)
        self.replica = tap.node(replica=True, make=disk.Node)
        self.addCleanup(self.source.close)
        self.addCleanup(self.replica.close)
        with self.source.binary() as link:
            for vbucket in VBUCKETS:
                tap.set_state(link, vbucket, wire.ACTIVE)
            self.source.drained(link)
        self.pump = tap.Pump(self.source, self.replica, "-r", vbuckets=VBUCKETS)
        self.addCleanup(self.pump.close)
        self.settle()

    def rounds(self, *victims):
        """Kills some of them, more than once a round, while a writer is at work."""
        for number in range(ROUNDS):
            self.fates = []
            with self.subTest(f"round {number} of seed {SEED}", fates=self.fates):
                writer = self.writer()
                for _ in range(self.dice.randrange(1, 4)):
                    time.sleep(self.dice.random() * LONGEST)
                    chosen = self.dice.sample(victims, self.dice.randrange(1, len(victims) + 1))
                    writer = self.crash(chosen, writer)
                writer.stop()
                self.assertIsNone(writer.error)
                self.check(writer)

    def writer(self):
        """A writer at work."""
        writer = Writer(self.source, self.dice, self.numbers, self.written)
        writer.start()
        return writer

    def crash(self, victims, writer):
        """Kills and starts again; returns the writer from then on."""
        for victim in victims:
            victim.kill()
            if victim is not self.pump:
                self.fates.append(victim.crash(self.dice))
        if self.source not in victims:
            # It goes on for a while with the others away.
            time.sleep(self.dice.random() * LONGEST / 2)
        for victim in victims:
            victim.start()
        if self.source in victims:
            writer.stop()
            self.assertIsNone(writer.error)
            with self.source.binary() as link:
                self.assertEqual(link.stats()["ep_onlineupdate"], "false")
            writer = self.writer()
        return writer

    def settle(self):
        """Waits until the replica has everything; returns what both hold."""
        marker = b"%d" % next(self.marks)
        with self.source.binary() as link:
            for vbucket in VBUCKETS:
                self.assertEqual(link.set(tap.MARKER, marker, vbucket=vbucket).status, SUCCESS)
        return [tap.contents(host.address, VBUCKETS, marker)
                for host in (self.source, self.replica)]

    def check(self, writer):
        """Both hold the same, and nothing that was not written; in the window and after it."""
        self.assertIsNone(self.pump.process.poll(), self.pump.said())
        self.compare()
        self.windows("open" if writer.open else "none")
        if writer.open:
            with self.source.binary() as link:
                status = link.call(self.dice.choice([COMPLETE, REVERT])).status
                self.assertEqual(status, SUCCESS)
            self.compare()
            self.windows("none")

    def windows(self, state):
        """Checks the windows of both."""
        for host in (self.source, self.replica):
            self.assertEqual(tap.windows(host, VBUCKETS), {state})

    def compare(self):
        """Key by key."""
        here, there = self.settle()
        for vbucket in VBUCKETS:
            keys = here[vbucket].keys() | there[vbucket].keys()
            pairs = [(key, here[vbucket].get(key), there[vbucket].get(key)) for key in keys]
            wrong = [pair for pair in pairs if pair[1] != pair[2]]
            self.assertFalse(wrong, f"vbucket {vbucket}: {len(wrong)} differ (key, source, "
                                    f"replica): {wrong[:3]}")
            for key, (value, flags) in here[vbucket].items():
                self.assertIn((vbucket, key, value), self.written)
                self.assertEqual(flags, flags_of(value))

    def test_the_source_is_killed(self):
        self.rounds(self.source)

    def test_the_replica_is_killed(self):
        self.rounds(self.replica)

    def test_the_pump_is_killed(self):
        self.rounds(self.pump)

    def test_any_of_them_are_killed(self):
        self.rounds(self.source, self.replica, self.pump)


if __name__ == "__main__":
    unittest.main()
