"""What clients can make the bundled host keep and write: bounded, and counted."""

import unittest

import server
import wire
from base import ServerTest

BUNDLED = "engine-host" in server.HOST
MIB = 1024 * 1024
# Not one of the host's own commands: it is kept whole and handed to the engine.
KEPT = 0xb0


@unittest.skipUnless(BUNDLED, "about the bundled host")
class Bounds(ServerTest):
    """A memory-only node."""

    config = "max_size=64m"
    on_disk = False

    def setUp(self):
        super().setUp()

        def is_alone():
            # What earlier tests closed takes room until the host has seen it.
            stats = self.link.stats()
            return (stats["curr_connections"], stats["conn_input_bytes"]) == ("1", "0")
        server.until(is_alone, what="the end of earlier tests' connections")

    def goes_on(self):
        """Ordinary clients are served."""
        link = self.open()
        self.status(link.set(b"k", b"v"), wire.SUCCESS)
        self.assertEqual(link.get(b"k").value, b"v")

    def test_packets_that_lack_a_byte(self):
        before = self.host.memory()
        whole = wire.request(KEPT, b"k", value=bytes(20 * MIB - 10))
        links, answers = [self.open() for _ in range(20)], 0
        for link in links:
            link.send(whole[:-1])
        self.goes_on()
        self.assertLess(self.host.memory(), before + 100 * MIB)
        for link in links:
            link.send(whole[-1:] + wire.request(wire.NOOP))
            first = link.receive()
            if first.status == wire.ETMPFAIL:
                answers += 1
            self.assertEqual(link.receive().opcode, wire.NOOP)
        self.assertGreater(answers, 10)
        # What was held is free again.
        link = self.open()
        link.send(whole)
        self.status(link.receive(), wire.UNKNOWN_COMMAND)

    def test_announcements_alone_take_nothing(self):
        before = self.host.memory()
        links = [self.open() for _ in range(100)]
        for link in links:
            link.send(wire.HEADER.pack(0x80, KEPT, 1, 0, 0, 0, 20 * MIB, 0, 0))
        self.goes_on()
        self.assertLess(self.host.memory(), before + 16 * MIB)
        # A large packet that comes meanwhile has room.
        link = self.open()
        link.send(wire.request(KEPT, b"k", value=bytes(20 * MIB - 10)))
        self.status(link.receive(), wire.UNKNOWN_COMMAND)

    def test_the_buffer_of_a_large_packet_is_not_kept_for_a_small_one(self):
        whole = wire.request(KEPT, b"k", value=bytes(20 * MIB - 10))
        links = [self.open() for _ in range(3)]
        for link in links:
            # The next packet is there in part.
            link.send(whole + wire.request(wire.NOOP)[:10])
            self.status(link.receive(), wire.UNKNOWN_COMMAND)
        server.until(lambda: self.link.stats()["conn_input_bytes"] == "0", what="all is free")
        for link in links:
            link.send(wire.request(wire.NOOP)[10:])
            self.assertEqual(link.receive().opcode, wire.NOOP)

    def test_a_change_whose_sender_awaits_no_answer_is_not_lost_silently(self):
        for n in range(1, 4):
            link = self.open()
            link.send(wire.HEADER.pack(0x80, KEPT, 1, 0, 0, 0, 20 * MIB, 0, 0) + bytes(17 * MIB))
            server.until(lambda: int(self.link.stats()["conn_input_bytes"]) >= n * 20 * MIB)
        peer = self.open()
        with self.assertRaises((wire.Closed, ConnectionError)):
            peer.send(wire.tap_event(wire.TAP_MUTATION, b"k", bytes(19 * MIB)))
            peer.receive()
        peer = self.open()
        peer.send(wire.tap_event(wire.TAP_MUTATION, b"k", bytes(19 * MIB), flags=wire.TAP_ACK))
        self.status(peer.receive(), wire.ETMPFAIL)
        self.goes_on()

    def test_what_allocate_refuses_is_dropped_in_pieces(self):
        before = self.host.memory()
        links = [self.open() for _ in range(40)]
        for link in links:
            link.send(wire.HEADER.pack(
                0x80, wire.SET, 1, 8, 0, 0, 9 + 1024 * MIB, 0, 0) + bytes(9) + bytes(MIB))
            self.status(link.receive(), wire.E2BIG)
        self.assertLess(self.host.memory(), before + 16 * MIB)
        self.goes_on()

    def test_lines_about_clients_are_few(self):
        with open(self.host.log, encoding="utf-8", errors="replace") as log:
            before = len(log.readlines())
        for _ in range(500):
            link = wire.Binary(self.host.address)
            # A stream from a date on, and no date.
            link.send(wire.tap_connect(b"x", 1))
            self.assertRaises((wire.Closed, ConnectionError), link.receive)
            link.close()
        lines = self.host.messages().splitlines()[before:]
        self.assertIn("TAP_CONNECT with backfill and no date", "".join(lines))
        self.assertLess(len(lines), 100)
        self.goes_on()

    def test_answers_that_nobody_reads(self):
        link = self.open()
        self.status(link.set(b"big", bytes(MIB)), wire.SUCCESS)
        before = self.host.memory()
        lazy = self.open()
        lazy.socket.settimeout(1)
        sent, request = 0, wire.request(wire.GET, b"big") * 100
        try:
            while sent < 64 * MIB:
                sent += lazy.socket.send(request)
        except TimeoutError:
            pass
        self.assertLess(sent, 64 * MIB)
        self.assertLess(self.host.memory(), before + 32 * MIB)
        self.goes_on()
