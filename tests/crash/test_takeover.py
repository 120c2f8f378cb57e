"""kill -9 of the old owner, the new owner and the pump, and loss of a node's power, at random
instants of a takeover: there are never two owners, and whoever owns the vbucket has all of it."""

import os
import random
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import disk  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402
from disk import ROUNDS, SEED  # noqa: E402
from wire import (  # noqa: E402
    ACTIVE, GETQ, GET_VBUCKET, NOT_MY_VBUCKET, SETQ, SUCCESS, request, store_extras,
)

KEYS = [b"key %d" % number for number in range(3000)]
LATE = [b"late %d" % number for number in range(50)]
# A vbucket a round.
VBUCKETS_MAX = 1000


class Writer(threading.Thread):
    """Writes until the vbucket is not the node's any more."""

    def __init__(self, host, vbucket):
        super().__init__(daemon=True)
        self.link, self.vbucket = host.binary(), vbucket
        self.written, self.error = {}, None
        self.ending = threading.Event()

    def run(self):
        try:
            with self.link as link:
                self.work(link)
        except OSError:
            pass  # The node was killed.
        except AssertionError as error:
            self.error = error

    def work(self, link):
        """Goes round its keys."""
        for turn in range(1 << 30):
            for key in LATE:
                value = b"%d" % turn
                status = link.set(key, value, vbucket=self.vbucket).status
                if status == NOT_MY_VBUCKET:
                    return
                assert status == SUCCESS, status
                self.written[key] = value
                if self.ending.wait(0.001):
                    return


class Takeover(unittest.TestCase):
    """Two nodes; one hands vbuckets to the other, one after the other."""

    def setUp(self):
        if not os.path.exists(tap.REPLICATE):
            self.skipTest(f"no {tap.REPLICATE}: make -C c-host replicate")
        self.dice = random.Random(f"{SEED} {self.id()}")
        self.nodes = [tap.node(make=disk.Node), tap.node(replica=True, make=disk.Node)]
        for host in self.nodes:
            self.addCleanup(host.close)
        self.seconds = 0.3

    def test_killed_at_any_time(self):
        for number in range(min(ROUNDS, VBUCKETS_MAX)):
            vbucket = number + 1
            self.fill(vbucket)
            writer = Writer(self.nodes[0], vbucket)
            writer.start()
            pump = tap.Pump(*self.nodes, "-t", vbuckets=(vbucket,))
            try:
                fates = self.disturb(pump)
                status = pump.kill()
                writer.ending.set()
                writer.join(60)
            finally:
                pump.close()
            for host in self.nodes:
                if host.process is None:
                    host.start()
            with self.subTest(f"round {number} of seed {SEED}", fates=fates, status=status):
                self.assertIsNone(writer.error)
                self.check(vbucket, writer.written if status == 0 else None)

    def fill(self, vbucket):
        """A vbucket with keys, on the disk."""
        with self.nodes[0].binary() as link:
            tap.set_state(link, vbucket, ACTIVE)
            sets = [request(SETQ, key, store_extras(), key, vbucket=vbucket) for key in KEYS]
            self.assertEqual(link.pipeline(sets), [])
            self.nodes[0].drained(link)

    def disturb(self, pump):
        """Kills some of the three at some instant, or one node when the pump has ended."""
        victims = self.dice.sample([pump, *self.nodes], self.dice.randrange(1, 3))
        for victim in victims:
            if victim is not pump:
                victim.aim(self.dice, 0.3)
        begun = time.monotonic()
        try:
            pump.process.wait(self.dice.random() * self.seconds * 1.5)
            self.seconds = time.monotonic() - begun
        except tap.subprocess.TimeoutExpired:
            self.seconds *= 1.02
        return [victim.kill() if victim is pump else victim.crash(self.dice)
                for victim in victims]

    def state(self, host, vbucket):
        """The state of a vbucket on a node, None if it has none."""
        with host.binary() as link:
            answer = link.call(GET_VBUCKET, vbucket=vbucket)
        return struct.unpack(">I", answer.value)[0] if answer.status == SUCCESS else None

    def check(self, vbucket, written):
        """One owner at most, who has all; where there is none, the old one still has all."""
        # A pump that was killed leaves streams that end when the nodes notice.
        states = [self.state(host, vbucket) for host in self.nodes]
        owners = [host for host, state in zip(self.nodes, states) if state == ACTIVE]
        self.assertLessEqual(len(owners), 1, states)
        if written is not None:
            self.assertEqual(owners, self.nodes[1:], states)
        owner = owners[0] if owners else self.nodes[0]
        with owner.binary() as link:
            if not owners:
                tap.set_state(link, vbucket, ACTIVE)
            held = self.contents(link, vbucket)
        expected = {key: key for key in KEYS} | (written or {})
        wrong = {key: held.get(key) for key in expected if held.get(key) != expected[key]}
        self.assertEqual(wrong, {}, states)

    @staticmethod
    def contents(link, vbucket):
        """{key: value}."""
        gets = [request(wire.GETKQ, key, vbucket=vbucket) for key in [*KEYS, *LATE]]
        return {answer.key: answer.value for answer in link.pipeline(gets)}


if __name__ == "__main__":
    unittest.main()
