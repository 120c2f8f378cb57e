"""kill -9 around the deletion of a vbucket: it is there as a whole or not at all, and its keys
never come back under a new vbucket of its id."""

import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import server  # noqa: E402
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


if __name__ == "__main__":
    unittest.main()
