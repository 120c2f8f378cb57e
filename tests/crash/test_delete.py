"""kill -9 around the deletion of a vbucket: it is there as a whole or not at all, and its keys
never come back under a new vbucket of its id."""

import os
import random
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import disk  # noqa: E402
import server  # noqa: E402
from disk import ROUNDS, SEED  # noqa: E402
from wire import (  # noqa: E402
    ACTIVE, DEAD, DEL_VBUCKET, GETQ, GET_VBUCKET, NOT_MY_VBUCKET, SET_VBUCKET, SETQ, SUCCESS,
    request, store_extras,
)

STOP_PERSISTENCE = 0x80
VBUCKET = 3
# The rows are deleted in batches of 10,000.
KEYS = [b"key %d" % n for n in range(50000)]


class Deletion(unittest.TestCase):
    """A vbucket with many keys is deleted, and the node killed."""

    def setUp(self):
        self.host = server.Server()
        self.addCleanup(self.host.close)
        self.fill()

    def fill(self):
        """Makes the vbucket and has all of it written."""
        with self.host.binary() as link:
            self.set_state(link, ACTIVE)
            for at in range(0, len(KEYS), 1000):
                part = KEYS[at:at + 1000]
                sets = [request(SETQ, key, store_extras(), b"old", vbucket=VBUCKET) for key in part]
                self.assertEqual(link.pipeline(sets), [])
            self.host.drained(link)

    def set_state(self, link, state):
        """SET_VBUCKET."""
        answer = link.call(SET_VBUCKET, extras=struct.pack(">I", state), vbucket=VBUCKET)
        self.assertEqual(answer.status, SUCCESS)

    def delete(self, link):
        """DEL_VBUCKET of what is dead and known to be."""
        before = self.commits(link)
        self.set_state(link, DEAD)
        server.until(lambda: self.commits(link) > before, what="the state is written")
        self.assertEqual(link.call(DEL_VBUCKET, vbucket=VBUCKET).status, SUCCESS)

    @staticmethod
    def commits(link):
        """Commits of the store so far."""
        return int(link.stats()["ep_commit_num"])

    @staticmethod
    def found(link):
        """How many of the keys are there."""
        count = 0
        for at in range(0, len(KEYS), 1000):
            part = KEYS[at:at + 1000]
            gets = [request(GETQ, key, vbucket=VBUCKET) for key in part]
            count += len(link.pipeline(gets))
        return count

    def check_gone(self):
        """There is no such vbucket, and a new one is empty, now and later."""
        for _ in range(2):
            with self.host.binary() as link:
                answer = link.call(GET_VBUCKET, vbucket=VBUCKET)
                self.assertEqual(answer.status, NOT_MY_VBUCKET)
                self.set_state(link, ACTIVE)
                self.assertEqual(self.found(link), 0)
                self.assertEqual(link.set(b"new", b"new", vbucket=VBUCKET).status, SUCCESS)
                self.host.drained(link)
            self.host.restart()
            with self.host.binary() as link:
                self.assertEqual(self.found(link), 0)
                self.assertEqual(link.get(b"new", vbucket=VBUCKET).value, b"new")
                self.delete(link)
            self.host.restart()

    def test_killed_when_it_was_answered(self):
        """The deletion holds, although most of the rows are still there."""
        with self.host.binary() as link:
            self.delete(link)
            self.host.kill()
        self.host.start()
        self.check_gone()

    def test_killed_before_the_commit(self):
        """Only while persistence is stopped: it is there, dead, as a whole, and can be deleted."""
        with self.host.binary() as link:
            before = self.commits(link)
            self.set_state(link, DEAD)
            server.until(lambda: self.commits(link) > before, what="the state is written")
            self.assertEqual(link.call(STOP_PERSISTENCE).status, SUCCESS)
            self.assertEqual(link.call(DEL_VBUCKET, vbucket=VBUCKET).status, SUCCESS)
            # A new one under its id is empty, whatever the store holds.
            self.set_state(link, ACTIVE)
            self.assertEqual(self.found(link), 0)
            self.host.kill()
        self.host.start()
        with self.host.binary() as link:
            answer = link.call(GET_VBUCKET, vbucket=VBUCKET)
            self.assertEqual((answer.status, answer.value), (SUCCESS, struct.pack(">I", DEAD)))
            self.set_state(link, ACTIVE)
            self.assertEqual(self.found(link), len(KEYS))
            self.delete(link)
        self.host.restart()
        self.check_gone()


FEW = KEYS[:3000]


class Life(threading.Thread):
    """A vbucket is made, filled, made dead, deleted and made again until the node is killed."""

    def __init__(self, test, life):
        super().__init__(daemon=True)
        self.test, self.life = test, life
        self.link = test.host.binary()
        self.begun = threading.Event()
        # (state or None, value of the keys, how many of them at least and at most), in order; and
        # which of them came last that is durable.
        self.states, self.durable = [(None, b"", 0, 0)], 0
        self.error = None

    def run(self):
        try:
            while True:
                self.live(b"life %d" % self.life)
                self.life += 1
        except OSError:
            pass  # The node was killed.
        except AssertionError as error:
            self.error = error

    def live(self, value):
        """From its making to its deletion."""
        self.states.append((ACTIVE, value, 0, len(FEW)))
        self.test.set_state(self.link, ACTIVE)
        self.begun.set()
        for at in range(0, len(FEW), 500):
            self.link.pipeline([request(SETQ, key, store_extras(), value, vbucket=VBUCKET)
                                for key in FEW[at:at + 500]])
        if self.test.dice.random() < 0.7:
            self.test.host.drained(self.link)
            self.states.append((ACTIVE, value, len(FEW), len(FEW)))
            self.durable = len(self.states) - 1
        self.states.append((DEAD, value, 0, len(FEW)))
        self.test.set_state(self.link, DEAD)
        self.states.append((None, b"", 0, 0))
        answer = self.link.call(DEL_VBUCKET, vbucket=VBUCKET)
        assert answer.status == SUCCESS, answer
        self.durable = len(self.states) - 1


class Lives(Deletion):
    """The same at random instants, and with loss of power."""

    def setUp(self):
        self.dice = random.Random(f"{SEED} {self.id()}")
        self.host = disk.Node()
        self.addCleanup(self.host.close)
        self.life = 0

    def round(self, number):
        """One kill."""
        life = Life(self, self.life)
        life.start()
        self.assertTrue(life.begun.wait(60), life.error)
        self.host.aim(self.dice)
        self.host.ended(self.dice.random() * 0.5)
        how = self.host.crash(self.dice)
        life.join(60)
        life.link.close()
        self.life = life.life + 1
        self.host.start()
        with self.subTest(f"round {number} of seed {SEED}, {how}"), self.host.binary() as link:
            self.assertIsNone(life.error)
            found = self.look(link)
            possible = life.states[life.durable:]
            self.assertTrue(any(fits(found, one) for one in possible), (found, possible))
            if found[0] is not None:
                self.delete(link)

    def look(self, link):
        """State, values, and how many keys."""
        answer = link.call(GET_VBUCKET, vbucket=VBUCKET)
        if answer.status == NOT_MY_VBUCKET:
            return None, set(), 0
        self.set_state(link, ACTIVE)
        gets = [request(GETQ, key, vbucket=VBUCKET) for key in FEW]
        values = [answer.value for answer in link.pipeline(gets)]
        return int.from_bytes(answer.value, "big"), set(values), len(values)

    def test_killed_at_any_time(self):
        for number in range(ROUNDS):
            self.round(number)

    test_killed_when_it_was_answered = test_killed_before_the_commit = None


def fits(found, state):
    """Whether what was found is a vbucket in that state."""
    return found[0] == state[0] and found[1] <= {state[1]} and state[2] <= found[2] <= state[3]


if __name__ == "__main__":
    unittest.main()
