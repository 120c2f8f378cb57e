"""Clients that mean harm: what they can make a node keep, write and say is bounded, and others are
served beside them. docs/security.md names these tests.
"""

import os
import resource
import socket
import stat
import struct
import unittest

import server
import tap
import wire
from base import ServerTest

BUNDLED = "engine-host" in server.HOST
MIB = 1024 * 1024
CROWD = 3000
GETL = 0x94


def memory_in_use(link):
    """Bytes that the engine has in use."""
    return int(link.stats(b"memory")["mem_used"])


def settles(link, upto):
    """Waits until the engine has no more than so many bytes in use."""
    server.until(lambda: memory_in_use(link) <= upto, what=f"at most {upto} bytes in use")


class HostileTest(ServerTest):
    """A node without a disk."""

    config = "max_size=128m"
    on_disk = False
    options = ""

    @classmethod
    def setUpClass(cls):
        cls.host = server.Server(
            cls.config, on_disk=cls.on_disk, command=f"{server.HOST} {cls.options}")
        cls.addClassCleanup(cls.host.close)

    def setUp(self):
        super().setUp()
        if BUNDLED:
            # What earlier tests closed takes room until the host has seen it. Real hosts count
            # other things as connections, too.
            server.until(lambda: self.link.stats()["curr_connections"] == "1",
                         what="the end of earlier tests' connections")

    def goes_on(self):
        """Ordinary clients are served."""
        link = self.open()
        self.status(link.set(b"k", b"v"), wire.SUCCESS)
        self.assertEqual(link.get(b"k").value, b"v")

    def descriptors(self):
        """How many the process has open."""
        return len(os.listdir(f"/proc/{self.host.process.pid}/fd"))


class Crowd(HostileTest):
    """Thousands of connections."""

    options = f"-c {CROWD + 500}"

    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = CROWD + 500
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise unittest.SkipTest(f"only {hard} descriptors are allowed here")
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            cls.addClassCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        super().setUpClass()

    def test_idle_and_half_open_connections(self):
        self.goes_on()
        memory, used, open_files = self.host.memory(), memory_in_use(self.link), self.descriptors()
        whole = wire.request(wire.SET, b"half", wire.store_extras(), b"value")
        # What begins: nothing, a header, a packet, a line, a value; an event for the engine.
        begun = [b"", whole[:10], whole[:-1], b"get k", b"set k 0 0 100\r\nval",
                 wire.tap_event(wire.TAP_OPAQUE, engine=tap.code(tap.ENABLE_NACK))]
        links = []
        try:
            for number in range(CROWD):
                links.append(socket.create_connection(self.host.address, timeout=60))
                links[-1].sendall(begun[number % len(begun)])
            server.until(lambda: self.descriptors() >= open_files + CROWD, what="all are accepted")
            self.goes_on()
            self.assertLess(self.host.memory() - memory, CROWD * 32 * 1024)
            # A value that was announced, 100 bytes, and what is known of a peer.
            self.assertLess(memory_in_use(self.link) - used, CROWD * 1024)
        finally:
            for link in links:
                link.close()
        server.until(lambda: self.descriptors() <= open_files + 2, what="all are gone")
        # Tables that were large once.
        settles(self.link, used + CROWD * 256)
        self.goes_on()

    @unittest.skipUnless(BUNDLED, "real hosts do not accept what they cannot serve")
    def test_connections_beyond_the_limit_are_closed(self):
        with server.Server(self.config, on_disk=False, command=f"{server.HOST} -c 20") as host:
            link = host.binary()
            others = [socket.create_connection(host.address, timeout=60) for _ in range(60)]
            server.until(lambda: int(link.stats()["rejected_conns"]) > 30, what="it refuses")
            self.status(link.set(b"k", b"v"), wire.SUCCESS)
            for other in (*others, link):
                other.close()
            def serves():
                try:
                    with host.binary() as again:
                        return again.get(b"k").value == b"v"
                except OSError:
                    return False
            server.until(serves, what="it serves again")

    def test_streams_that_nobody_reads(self):
        for number in range(2_000):
            self.status(self.link.set(b"key %d" % number, bytes(1000)), wire.SUCCESS)
        values = memory_in_use(self.link)
        links = [self.open() for _ in range(300)]
        for number, link in enumerate(links):
            flags = (tap.DUMP, tap.BACKFILL | tap.ACK, tap.REGISTERED)[number % 3]
            link.send(wire.tap_connect(b"name %d" % number, flags, tap.connect_data(flags)))
        server.until(lambda: int(self.link.stats(b"tap")["ep_tap_count"]) >= 300 or BUNDLED,
                     what="all are streams")
        self.goes_on()
        # Values are in memory once; a stream has a cursor and what it knows of its messages.
        self.assertLess(memory_in_use(self.link) - values, 300 * 256 * 1024)
        for number, link in enumerate(links):
            link.close()
            self.link.call(0x9e, b"name %d" % number)
        settles(self.link, values + 300 * 256)


class Requests(HostileTest):
    """Requests that come again and again."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.host.binary() as link:
            for vbucket in range(1, 1024):
                tap.set_state(link, vbucket, wire.ACTIVE)

    def test_statistics_that_nobody_reads(self):
        groups = [b"checkpoint", b"onlineupdate-vb", b"hash", b"onlineupdate-keys"]
        self.status(self.link.call(wire.START), wire.SUCCESS)
        for vbucket in range(0, 1024, 4):
            self.link.set(b"touched", b"v", vbucket=vbucket)
        before = self.host.memory()
        lazy = []
        for number in range(40):
            link = socket.socket()
            self.addCleanup(link.close)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect(self.host.address)
            link.sendall(wire.request(wire.STAT, groups[number % len(groups)]) * 50)
            lazy.append(link)
        self.goes_on()
        # One answer each, of 1 MiB at most.
        self.assertLess(self.host.memory() - before, 40 * 2 * MIB)
        for link in lazy:
            link.close()
        self.status(self.link.call(wire.REVERT), wire.SUCCESS)
        if BUNDLED:
            server.until(lambda: self.link.stats()["conn_output_bytes"] == "0", what="all is free")

    @unittest.skipUnless(BUNDLED, "about the bundled host")
    def test_copied_answers_of_all_connections_are_bounded(self):
        self.status(self.link.set(b"big", bytes(19 * MIB)), wire.SUCCESS)
        touched = int(self.link.stats()["cmd_touch"])
        before = self.host.memory()
        touch = wire.request(wire.GAT, b"big", struct.pack(">I", 0))
        lazy = [self.open() for _ in range(20)]
        for link in lazy:
            link.send(touch)
        held = lambda: int(self.link.stats()["conn_output_bytes"])  # noqa: E731
        server.until(lambda: int(self.link.stats()["cmd_touch"]) == touched + len(lazy),
                     what="every request was taken")
        server.until(lambda: held() > 200 * MIB, what="they hold what they may")
        self.goes_on()
        self.assertLessEqual(held(), 256 * MIB)
        # And the versions of the value, which the engine counts.
        self.assertLess(self.host.memory() - before, (256 + 128) * MIB)
        closed = 0
        for link in lazy:
            try:
                closed += len(link.receive().value) != 19 * MIB
            except (wire.Closed, ConnectionError):
                closed += 1
        self.assertGreater(closed, 5)
        self.assertLess(closed, 20)
        server.until(lambda: held() == 0, what="all is free")
        self.link.delete(b"big")

    def test_log_lines_are_few_whatever_is_asked_for(self):
        before = len(self.host.messages())
        for _ in range(30):
            pair = wire.request(wire.RESTORE_BEGIN) + wire.request(wire.RESTORE_ABORT)
            self.link.send(pair * 100)
            for _ in range(200):
                self.status(self.link.receive(), wire.SUCCESS)
        said = self.host.messages()[before:]
        self.assertIn("a restore has ended early", said)
        self.assertLess(said.count("\n"), 1_500)
        self.goes_on()

    def test_lists_of_more_vbuckets_and_checkpoints_than_there_are(self):
        used = memory_in_use(self.link)
        listed = {
            tap.LIST: struct.pack(">H", 65535) + bytes(2 * 65535),
            tap.CHECKPOINTS: struct.pack(">H", 65535) + bytes(10 * 65535),
            tap.LIST | tap.CHECKPOINTS: struct.pack(">HHH", 1, 0, 65535) + bytes(10 * 6000),
        }
        for flags, data in listed.items():
            for _ in range(20):
                link = self.open()
                link.send(wire.tap_connect(b"lists", flags, data))
                with self.assertRaises((wire.Closed, ConnectionError)):
                    while link.receive():
                        pass
        # As often as they like, of what there is.
        with self.open() as link:
            data = struct.pack(">H", 1024) + struct.pack(">HQ", 7, 9) * 1024
            link.send(wire.tap_connect(b"lists", tap.CHECKPOINTS | tap.REGISTERED, data))
            self.assertEqual(link.receive_event().opcode, wire.TAP_OPAQUE)
        self.link.call(0x9e, b"lists")
        self.goes_on()
        settles(self.link, used + MIB)

    def test_locks_take_little_and_end(self):
        keys = [b"locked %d" % number for number in range(20_000)]
        self.link.pipeline([wire.request(wire.SETQ, key, wire.store_extras(), b"v")
                            for key in keys])
        used = memory_in_use(self.link)
        for at in range(0, len(keys), 1000):
            part = keys[at:at + 1000]
            self.link.send(b"".join(
                wire.request(GETL, key, struct.pack(">I", 1)) for key in part))
            for _ in part:
                self.status(self.link.receive(), wire.SUCCESS)
        self.assertLess(memory_in_use(self.link) - used, len(keys) * 256)
        self.goes_on()


class RestoreLeftOn(HostileTest):
    """A node that is left in restore mode."""

    config = "max_size=24m;restore_mode=true"
    on_disk = True

    def test_what_is_deleted_meanwhile_is_remembered_within_the_quota(self):
        refused, number = 0, 0
        while not refused and number < 400_000:
            pairs = []
            for _ in range(1000):
                key = b"%0240d" % number
                pairs += [wire.request(wire.SETQ, key, wire.store_extras(), b"v"),
                          wire.request(wire.DELETEQ, key)]
                number += 1
            answers = self.link.pipeline(pairs)
            refused = sum(answer.opcode == wire.SETQ for answer in answers)
        self.assertGreater(refused, 0)
        most = memory_in_use(self.link)
        self.assertLess(most, 24 * MIB)
        self.status(self.link.call(wire.RESTORE_COMPLETE), wire.SUCCESS)
        settles(self.link, most * 3 // 4)
        self.goes_on()


class Files(unittest.TestCase):
    """What other users of the machine can read."""

    def test_nobody_else_reaches_a_file_whatever_the_umask(self):
        host = server.Server(start=False)
        self.addCleanup(host.close)
        # The directory is there already, and open to all.
        os.mkdir(host.dbname)
        os.chmod(host.dbname, 0o755)
        old = os.umask(0)
        try:
            host.start()
        finally:
            os.umask(old)
        with host.binary() as link:
            self.assertEqual(link.set(b"k", b"v").status, wire.SUCCESS)
            host.drained(link)
        reached = [host.dbname]
        for at in reached:
            for name in os.listdir(at):
                path = os.path.join(at, name)
                try:
                    mode = os.lstat(path).st_mode
                except FileNotFoundError:
                    continue  # Merged with others meanwhile.
                if stat.S_ISDIR(mode) and mode & 0o077:
                    reached.append(path)
                self.assertEqual(stat.S_IMODE(mode) & 0o077, 0, path)
        self.assertNotIn("other users can read", host.messages())

    def test_an_operator_is_told_of_a_store_that_others_can_change(self):
        host = server.Server(start=False)
        self.addCleanup(host.close)
        os.mkdir(host.dbname)
        os.chmod(host.dbname, 0o777)
        host.start()
        self.assertIn("has mode 777: other users can read", host.messages())

    def test_a_configuration_file_that_never_ends_is_refused(self):
        host = server.Server(start=False)
        self.addCleanup(host.close)
        fifo = os.path.join(host.directory, "fifo")
        os.mkfifo(fifo)
        for path in (fifo, "/dev/zero"):
            host.config = f"config_file={path}"
            with self.assertRaisesRegex(server.StartFailed, "is no plain file"):
                host.start()


if __name__ == "__main__":
    unittest.main()
