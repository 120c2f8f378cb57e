"""A node meets limits of its process: file sizes (ulimit -f) and descriptors (ulimit -n).

Nothing is lost, the log says what to raise, and raising it is all that has to be done.
"""

import os
import resource
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import server  # noqa: E402
from wire import COMPLETE, ETMPFAIL, START, SUCCESS  # noqa: E402

KEYS = [b"key %d" % number for number in range(300)]


class Limits(unittest.TestCase):
    """One node."""

    def setUp(self):
        self.host = server.Server()
        self.addCleanup(self.host.close)
        self.link = self.host.binary()
        self.addCleanup(self.link.close)
        self.write(b"before")
        self.host.drained(self.link)

    def write(self, word):
        """Sets every key."""
        for key in KEYS:
            self.assertEqual(self.link.set(key, word + b" " + key).status, SUCCESS)

    def holds(self, word):
        """Every key has that value."""
        with self.host.binary() as link:
            for key, value, _ in link.get_many(KEYS):
                self.assertEqual(value, word + b" " + key)

    def limit(self, what, number):
        """Sets a limit of the node and returns what it was."""
        soft, hard = resource.prlimit(self.host.process.pid, what)
        resource.prlimit(self.host.process.pid, what, (number, hard))
        return soft

    def told(self, words):
        """Waits until the log has them."""
        server.until(lambda: words in self.host.messages(), what=words)

    def test_file_sizes_while_it_writes(self):
        before = self.limit(resource.RLIMIT_FSIZE, 8192)
        self.write(b"after")
        self.told("raise the limit of file sizes of this process (ulimit -f)")
        self.holds(b"after")
        self.limit(resource.RLIMIT_FSIZE, before)
        self.host.drained(self.link)
        self.host.restart()
        self.holds(b"after")

    def test_file_sizes_at_the_start(self):
        self.host.kill()
        lost = server.Server(start=False, command=f"sh -c 'ulimit -f 100; exec {server.HOST}'")
        self.addCleanup(lost.close)
        with self.assertRaisesRegex(server.StartFailed, "ended with status 1"):
            lost.start()
        self.assertIn("raise the limit of file sizes of this process (ulimit -f)",
                      lost.messages())
        lost.command = server.HOST
        lost.start()

    def test_descriptors_when_an_online_update_is_completed(self):
        self.assertEqual(self.link.call(START).status, SUCCESS)
        self.write(b"inside")
        before = self.limit(resource.RLIMIT_NOFILE, 3)
        answer = self.link.call(COMPLETE)
        self.assertEqual(answer.status, ETMPFAIL)
        self.assertIn(b"raise its limit (ulimit -n, LimitNOFILE)", answer.value)
        self.limit(resource.RLIMIT_NOFILE, before)
        self.assertEqual(self.link.call(COMPLETE).status, SUCCESS)
        self.host.restart()
        self.holds(b"inside")


if __name__ == "__main__":
    unittest.main()
