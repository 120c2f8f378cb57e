"""kill -9 of engine-backup and of the node, and loss of the node's power, at random instants of a
backup and of a restore.

No backup is left that is not whole; the same command again makes or restores it, and then every
key is as it should be. CRASH_ROUNDS rounds a test (default 10), CRASH_SEED to repeat a run.
"""

import os
import random
import shutil
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import backup  # noqa: E402
import cluster  # noqa: E402
import disk  # noqa: E402
import tap  # noqa: E402
from backup import call, contents, fill  # noqa: E402
from cluster import name  # noqa: E402
from disk import ROUNDS, SEED  # noqa: E402
from server import until  # noqa: E402

KEYS = [b"key %d" % number for number in range(20_000)]
OWN = KEYS[::10]


class Crashes(unittest.TestCase):
    """A node, a folder, and how long things take when nothing is killed."""

    def setUp(self):
        self.dice = random.Random(SEED)
        self.folder = tempfile.mkdtemp(prefix="engine-backup-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.source = self.node()
        with self.source.binary() as link:
            fill(link, KEYS, b"%s with a value of some length")
            self.source.drained(link)

    def node(self):
        """A node on a port that it keeps."""
        host = tap.node(make=disk.Node)
        self.addCleanup(host.close)
        return host

    def file(self, word):
        """A path in the folder."""
        return os.path.join(self.folder, word)

    def killed(self, victim, arguments, seconds):
        """Kills the program, or a node, at some instant of a run; the run, ended."""
        process = backup.begin(*arguments)
        time.sleep(self.dice.random() * seconds)
        if victim is None:
            process.kill()
        else:
            victim.crash(self.dice)
        return cluster.end(process)

    def test_a_backup_is_whole_or_not_there(self):
        arguments = ["create", "-n", name(self.source)]
        begun = time.monotonic()
        call(*arguments, self.file("first"), "--keep", "crash")
        seconds = time.monotonic() - begun
        for turn in range(ROUNDS):
            for victim in (None, self.source):
                path = self.file(f"backup-{turn}-{victim is None}")
                done = self.killed(victim, [*arguments, path, "--keep", "crash"], seconds)
                if victim is not None:
                    victim.start()
                where = f"seed {SEED}, round {turn}: {done}"
                if done.status == 0:
                    self.assertTrue(os.path.exists(path), where)
                if os.path.exists(path):
                    call("verify", path)
                    os.unlink(path)
                call(*arguments, path, "--keep", "crash")
                said = call("verify", path, "--json").objects()[0]
                self.assertEqual(said["values"], len(KEYS), where)
        left = [word for word in os.listdir(self.folder) if word.endswith(".partial")]
        self.assertEqual(left, [])

    def test_a_backup_that_was_reported_outlives_a_loss_of_power(self):
        folder = os.path.join(self.folder, "disk")
        os.mkdir(folder)
        below = disk.Disk(folder)
        self.addCleanup(below.close)
        path = os.path.join(folder, "backup")
        call("create", "-n", name(self.source), path, variables=below.variables)
        below.lose_power(self.dice, "nothing")
        said = call("verify", path, "--json").objects()[0]
        self.assertEqual(said["values"], len(KEYS))

    def test_a_restore_that_was_killed_is_taken_up(self):
        path = self.file("full")
        call("create", path, "-n", name(self.source))
        with self.source.binary() as link:
            state = contents(link, KEYS)
        host = self.node()
        begun = time.monotonic()
        call("restore", path, "-n", name(host))
        seconds = time.monotonic() - begun
        for turn in range(ROUNDS):
            for killed in ("program", "node"):
                host = self.node()
                arguments = ["restore", path, "-n", name(host)]
                with host.binary() as link:
                    fill(link, OWN, b"%s of a client")
                    host.drained(link)
                done = self.killed(host if killed == "node" else None, arguments, seconds)
                where = f"seed {SEED}, round {turn}, {killed}: {done}"
                if killed == "node":
                    self.assertIn(done.status, (0, 1, 3), where)
                    host.start()
                self.finish(host, arguments, state, where)
                host.close()

    def finish(self, host, arguments, state, where):
        """Restores again: what clients have written is theirs, and all else is the backup's."""
        with host.binary() as link:
            # The node notices that the program has gone.
            until(lambda: not link.stats(b"restore"), what=where)
            call(*arguments)
            found = contents(link, KEYS)
            own = set(OWN)
            for key in KEYS:
                if key in own:
                    self.assertEqual(found[key][0], key + b" of a client", where)
                else:
                    self.assertEqual(found.get(key), state[key], where)


if __name__ == "__main__":
    unittest.main()
