"""`online-update run` over three nodes with a load, one of which has no room on its disk when all
are to complete: the decision is not lost, the node is named, and a second `complete` ends it.

The store lies on a small file system of its own (tmpfs), which takes the right to mount.
"""

import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import cluster  # noqa: E402
import server  # noqa: E402
from wire import SUCCESS  # noqa: E402

DONE, PARTLY = 0, 3
DISK_BYTES = 192 << 20
FREE_BYTES = 16 << 20
KEYS = [b"key %d" % number for number in range(2000)]
LOADED = [b"load %d" % number for number in range(50)]


def value_of(word, number):
    """A value of 16 KiB."""
    return (b"%s %d " % (word, number)).ljust(16, b".") * 1024


class DiskFull(unittest.TestCase):
    """The third node's disk is small."""

    def setUp(self):
        self.disk = server.small_disk(self, DISK_BYTES)
        self.hosts = [server.Server(), server.Server(),
                      server.Server(f"dbname={self.disk}/db;max_size=400m", on_disk=False)]
        for host in self.hosts:
            self.addCleanup(host.close)
        self.directory = tempfile.mkdtemp(prefix="online-update-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.held = [{}, {}, {}]

    def write(self, index, word, keys):
        """Sets keys on a node."""
        with self.hosts[index].binary() as link:
            for number, key in enumerate(keys):
                value = value_of(word, number)
                self.assertEqual(link.set(key, value).status, SUCCESS)
                self.held[index][key] = value

    def check(self):
        """Every key of every node."""
        for host, held in zip(self.hosts, self.held):
            found = cluster.contents(host, list(held))
            wrong = [key for key in held if found[key] != held[key]]
            self.assertEqual(wrong, [])

    def test_a_full_disk_at_complete(self):
        for index, host in enumerate(self.hosts):
            self.write(index, b"before", KEYS[:500])
            host.drained()
        found = os.statvfs(self.disk)
        filler = os.path.join(self.disk, "filler")
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - FREE_BYTES)
        up, answer = (os.path.join(self.directory, word) for word in ("up", "answer"))
        os.mkfifo(up)
        os.mkfifo(answer)
        nodes = [word for host in self.hosts for word in ("-n", cluster.name(host))]
        process = cluster.begin(*nodes, "run", "--revert-after", "1h", "--check", "true", "--",
                                "sh", "-c", f"echo up > {up}; read word < {answer}")
        with cluster.listen(up, process) as file:
            self.assertEqual(file.read(), "up\n")
        loads = [cluster.Load(host, LOADED) for host in self.hosts]
        with loads[0], loads[1], loads[2]:
            for index in range(3):
                self.write(index, b"window", KEYS)
            cluster.tell(answer, "go\n")
            done = cluster.end(process)
            for load in loads:
                load.more()
                load.stop()
        for held, load in zip(self.held, loads):
            held.update(load.latest)
        self.assertEqual(done.status, PARTLY, done)
        full = re.escape(cluster.name(self.hosts[2]))
        self.assertRegex(done.out, f"{full} +OPEN ", done)
        with self.hosts[2].binary() as link:
            self.assertEqual(link.stats(b"onlineupdate")["state"], "open")
        self.check()
        os.unlink(filler)
        done = cluster.call(*nodes, "complete")
        self.assertEqual(done.status, DONE, done)
        self.check()
        for host in self.hosts:
            host.drained()
            host.restart()
        self.check()


if __name__ == "__main__":
    unittest.main()
