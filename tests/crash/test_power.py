"""What a store has when the power was lost at chosen instants, and nothing was kept but what was
synced. Each test is of a defect that was found at random instants."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import disk  # noqa: E402
import server  # noqa: E402
from wire import COMPLETE, START, SUCCESS, request  # noqa: E402


class Power(unittest.TestCase):
    """One node."""

    def setUp(self):
        self.host = disk.Node()
        self.addCleanup(self.host.close)

    def write(self, key, value):
        """Sets a key and waits until it is on the disk."""
        with self.host.binary() as link:
            self.assertEqual(link.set(key, value).status, SUCCESS)
            self.host.drained(link)

    def lose_power(self):
        """Ends and starts it."""
        self.host.kill()
        self.host.disk.lose_power(random.Random(1), "nothing")
        self.host.start()

    def holds(self, **values):
        """Checks values by key."""
        with self.host.binary() as link:
            for key, value in values.items():
                self.assertEqual(link.get(key.encode()).value, value)

    def test_the_record_tells_what_the_folder_holds(self):
        # Of the tests themselves: what the disk is made of.
        self.write(b"one", b"1")
        self.assertEqual(self.host.stop(), 0)
        self.host.disk.check()

    def test_the_names_of_a_new_store_are_synced(self):
        self.write(b"one", b"1")
        self.lose_power()
        self.holds(one=b"1")

    def test_an_ordered_end_is_that_of_the_last_process_only(self):
        self.write(b"one", b"1")
        self.assertEqual(self.host.stop(), 0)
        # What it left is on the disk in the end, whoever syncs it.
        self.host.disk.lose_power(random.Random(1), "everything")
        self.host.start()
        self.write(b"two", b"2")
        self.lose_power()
        self.holds(one=b"1", two=b"2")

    def test_what_a_start_finds_is_synced(self):
        # The process is killed right before it syncs a name; the next one goes by what it finds.
        # The first are of the store's folder, the last of what says that it is complete.
        calls = self.host.disk.counts["sync_folder"]
        for call in (1, 2, calls - 1, calls):
            with self.subTest(call), disk.Node(start=False) as self.host:
                self.kill_at(call)
                self.write(b"one", b"1")
                self.lose_power()
                self.holds(one=b"1")

    def kill_at(self, call):
        """The node is killed before it syncs a folder for that many times at its start."""
        self.host.disk.arm("sync_folder", first=call, error=disk.KILLED)
        self.host.spawn()
        server.until(lambda: self.host.process.poll() or os.path.exists(self.port()), 60, "start")
        self.host.kill()
        self.host.disk.heal()
        self.host.disk.killed()
        self.host.start()

    def port(self):
        """The file that says that the node listens."""
        return os.path.join(self.host.directory, "port")

    def test_what_could_not_be_synced_once_is_written_again(self):
        # The system says so once; it may have forgotten what it had then.
        with disk.Node("durability=periodic") as self.host, self.host.binary() as link:
            large = b"1" * 100_000
            self.host.disk.arm("sync", times=1)
            self.assertEqual(link.set(b"one", large).status, SUCCESS)
            server.until(lambda: self.host.disk.hits, what="a sync that fails")
            self.assertEqual(link.set(b"two", b"2").status, SUCCESS)
            self.host.drained(link)
            synced = self.host.disk.counts["sync"]

            def is_synced():
                self.assertEqual(link.set(b"three", b"3").status, SUCCESS)
                return self.host.disk.counts["sync"] > synced

            server.until(is_synced, what="another sync")
            self.lose_power()
            self.holds(one=large, two=b"2")

    def test_a_complete_that_a_start_finds_is_synced(self):
        for call in range(1, 4):
            with self.subTest(call), disk.Node() as self.host:
                self.write(b"one", b"1")
                with self.host.binary() as link:
                    self.assertEqual(link.call(START).status, SUCCESS)
                    self.assertEqual(link.set(b"one", b"2").status, SUCCESS)
                    self.host.disk.arm("sync_folder", first=call, error=disk.KILLED)
                    link.send(request(COMPLETE))
                    try:
                        link.receive()
                    except OSError:
                        pass  # It was killed.
                self.host.kill()
                self.host.disk.heal()
                self.host.disk.killed()
                self.host.start()
                with self.host.binary() as link:
                    found = link.get(b"one").value
                self.lose_power()
                self.holds(one=found)


if __name__ == "__main__":
    unittest.main()
