"""A node meets limits of its process: file sizes (ulimit -f) and descriptors (ulimit -n). Nothing
is lost, the log says what to raise, and raising it is all that has to be done.

The programs meet them too: they say the same, and leave no half of a file.
"""

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import backup  # noqa: E402
import cluster  # noqa: E402
import server  # noqa: E402
import tap  # noqa: E402
from wire import COMPLETE, ETMPFAIL, START, SUCCESS  # noqa: E402

KEYS = [b"key %d" % number for number in range(300)]
CURE = "raise the limit of file sizes of this process (ulimit -f)"


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
        self.told(CURE)
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
        self.assertIn(CURE, lost.messages())
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


class Tools(unittest.TestCase):
    """The programs, with a limit of file sizes."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="engine-limits-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.host = server.Server()
        self.addCleanup(self.host.close)
        self.node = cluster.name(self.host)
        with self.host.binary() as link:
            for key in KEYS:
                value = random.Random(key).randbytes(200)
                self.assertEqual(link.set(key, value).status, SUCCESS)

    def run_limited(self, *command, most=4096, stderr=subprocess.PIPE, stdout=None):
        """Runs a program that may write files of so many bytes."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        return subprocess.run(command, preexec_fn=limit, stdout=stdout, stderr=stderr, text=True,
                              timeout=60, check=False)

    def test_a_backup_says_so_and_leaves_nothing(self):
        file = os.path.join(self.folder, "backup")
        done = self.run_limited(backup.PROGRAM, "create", "-n", self.node, file)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(CURE, done.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_listing_that_is_cut_off_is_none(self):
        file, listing = (os.path.join(self.folder, name) for name in ("backup", "listing"))
        backup.call("create", "-n", self.node, file)
        with open(listing, "wb") as output:
            done = self.run_limited(backup.PROGRAM, "list", file, stdout=output)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(CURE, done.stderr)

    def test_a_start_without_its_record_says_so_and_leaves_nothing(self):
        record = os.path.join(self.folder, "record")
        done = self.run_limited(cluster.PROGRAM, "-n", self.node, "start", "--record", record,
                                most=0)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(CURE, done.stderr)
        self.assertEqual(os.listdir(self.folder), [])
        with self.host.binary() as link:
            self.assertEqual(link.stats(b"onlineupdate")["state"], "none")

    def test_messages_that_cannot_be_written_end_nobody(self):
        with server.unheard() as port:
            self.end_in_order(f"127.0.0.1:{port}")

    def end_in_order(self, nobody):
        """Programs that ask a node that is not there, and cannot even say so."""
        for command in ((backup.PROGRAM, "create", "-n", nobody, "/nowhere/backup"),
                        (cluster.PROGRAM, "-n", nobody, "status"),
                        (tap.REPLICATE, nobody, nobody)):
            with open(os.path.join(self.folder, "messages"), "wb") as messages:
                done = self.run_limited(*command, most=0, stderr=messages)
            self.assertGreater(done.returncode, 0, done)


if __name__ == "__main__":
    unittest.main()
