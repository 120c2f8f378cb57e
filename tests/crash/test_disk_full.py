"""The disk runs full under a load, and has room again: nothing that was acknowledged is lost.

The store lies on a small file system of its own (tmpfs), which takes the right to mount. A file
fills it; removing that file is all that has to be done: no restart.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import server  # noqa: E402
import wire  # noqa: E402
from wire import COMPLETE, ETMPFAIL, REVERT, START, SUCCESS  # noqa: E402

# The store takes up to thrice what lives while it is written: tables, what they are merged into,
# and the journal.
DISK_BYTES = 320 << 20
QUOTA_BYTES = 160 << 20
# Left to the store when the file fills the disk.
FREE_BYTES = 16 << 20
VALUE_BYTES = 16 << 10
COMPLAINT = "cannot persist"


def value_of(number):
    """The value of a write, told from every other one."""
    return (b"%d " % number).ljust(16, b".") * (VALUE_BYTES // 16)


class DiskFull(unittest.TestCase):
    """One node over a disk that runs full."""

    def setUp(self):
        self.disk = server.small_disk(self, DISK_BYTES)
        config = f"dbname={self.disk}/db;max_size={QUOTA_BYTES}"
        self.host = server.Server(config, on_disk=False)
        self.addCleanup(self.host.close)
        self.link = self.host.binary()
        self.addCleanup(self.link.close)
        self.acknowledged = {}
        self.count = 0

    def write(self):
        """Sets the next key, new or old; returns the status."""
        self.count += 1
        key = b"key %d" % (self.count * 7 % 5000)
        status = self.link.set(key, value_of(self.count)).status
        self.assertIn(status, (SUCCESS, ETMPFAIL))
        if status == SUCCESS:
            self.acknowledged[key] = value_of(self.count)
        return status

    def check(self, link):
        """Every acknowledged key has its latest value."""
        for key, value, _ in link.get_many(list(self.acknowledged), 100):
            self.assertEqual(value, self.acknowledged[key], key)

    def lines(self, words):
        """How often the server said that."""
        return self.host.messages().count(words)

    def fill_disk(self):
        """Takes the room on the disk with a file."""
        found = os.statvfs(self.disk)
        with open(os.path.join(self.disk, "filler"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - FREE_BYTES)

    def free_disk(self):
        """Removes that file."""
        os.unlink(os.path.join(self.disk, "filler"))

    def failures(self):
        """Commits that failed."""
        return int(self.link.stats()["ep_item_commit_failed"])

    def write_until_it_complains(self):
        """Writes into a disk that is full now."""
        def complains():
            return self.lines(COMPLAINT)
        while not complains():
            for _ in range(500):
                self.assertEqual(self.write(), SUCCESS)
            self.assertLess(self.count * VALUE_BYTES, DISK_BYTES)
            # However slow the disk is: memory is not to be full before it.
            server.until(lambda: server.is_drained(self.link) or complains(), 120, "the flusher")

    def test_nothing_is_lost_and_no_restart_is_needed(self):
        """Writes are served from memory until it is full, reads always."""
        for _ in range(500):
            self.assertEqual(self.write(), SUCCESS)
        self.host.drained(self.link)
        self.fill_disk()
        self.write_until_it_complains()
        for _ in range(200):
            self.assertEqual(self.write(), SUCCESS)
        self.check(self.link)
        failed = self.failures()
        server.until(lambda: self.failures() >= failed + 2, 120, "two more attempts")
        # Each cause once: the store may first say that an earlier write of its own failed.
        told = [line for line in self.host.messages().splitlines() if COMPLAINT in line]
        self.assertTrue(all(one != other for one, other in zip(told, told[1:])), told)
        self.assertNotEqual(self.link.stats()["ep_queue_size"], "0")
        while self.write() == SUCCESS:
            self.assertLess(self.count * VALUE_BYTES, 4 * QUOTA_BYTES)
        self.check(self.link)
        self.free_disk()
        self.host.drained(self.link)
        self.check(self.link)
        for how in (server.signal.SIGKILL, server.signal.SIGTERM):
            self.host.restart(how)
            with self.host.binary() as link:
                self.check(link)

    def test_an_online_update_is_decided_once_there_is_room(self):
        """COMPLETE fails with its cause and the window is open again; then it succeeds."""
        for _ in range(500):
            self.assertEqual(self.write(), SUCCESS)
        self.host.drained(self.link)
        for command in (REVERT, COMPLETE):
            before = dict(self.acknowledged)
            self.fill_disk()
            self.assertEqual(self.link.call(START).status, SUCCESS)
            for _ in range(2000):
                self.assertEqual(self.write(), SUCCESS)
            answer = self.link.call(COMPLETE)
            self.assertEqual(answer.status, ETMPFAIL)
            self.assertIn(b"nothing is lost and the online update is open", answer.value)
            self.check(self.link)
            if command == REVERT:
                self.assertEqual(self.link.call(REVERT).status, SUCCESS)
                self.acknowledged = before
                self.check(self.link)
            self.free_disk()
            if command == COMPLETE:
                self.assertEqual(self.link.call(COMPLETE).status, SUCCESS)
            self.host.restart()
            with self.host.binary() as link:
                self.check(link)
            self.link = self.host.binary()
            self.addCleanup(self.link.close)


if __name__ == "__main__":
    unittest.main()
