"""Clients of the bundled host that hang up while the engine has them wait."""

import socket
import struct
import unittest

import server
import wire
from base import ServerTest

BUNDLED = "engine-host" in server.HOST
PLACES = 50
STATES = {"active": b"\0\0\0\1", "pending": b"\0\0\0\3"}
VBUCKET = 7


def reset(link):
    """Closes a connection so that the server is told at once."""
    link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


@unittest.skipUnless(BUNDLED, "about the bundled host")
class Waiting(ServerTest):
    """A pending vbucket, and a host with few places."""

    config = "max_size=300m"

    @classmethod
    def setUpClass(cls):
        cls.host = server.Server(
            cls.config, command=f"{server.HOST} -c {PLACES} -t 2", on_disk=cls.on_disk)
        cls.addClassCleanup(cls.host.close)

    def setUp(self):
        super().setUp()
        # Those of the test before may not be gone yet, and leave no place.
        server.until(self.is_served, what="a place")
        self.nobody_is_left()
        self.make("pending")

    def is_served(self):
        """Whether the host has a place for the test's own connection; else it gets another one."""
        try:
            self.link.call(wire.NOOP)
        except OSError:
            self.link = self.open()
            return False
        return True

    def make(self, state):
        """Changes the state of the vbucket."""
        answer = self.link.call(wire.SET_VBUCKET, extras=STATES[state], vbucket=VBUCKET)
        self.status(answer, wire.SUCCESS)

    def figure(self, name):
        """A statistic as a number."""
        return int(self.link.stats()[name])

    def waiting(self, count):
        """Waits until so many requests wait."""
        server.until(lambda: self.figure("ep_pending_ops") == count, what=f"{count} wait")

    def wait_with(self, count, more=b""):
        """Connections whose GET waits."""
        links = [self.open() for _ in range(count)]
        for link in links:
            link.send(wire.request(wire.GET, b"k", vbucket=VBUCKET) + more)
        self.waiting(count)
        return links

    def nobody_is_left(self):
        """Only this connection is left, and nothing waits for the others."""
        server.until(lambda: self.figure("curr_connections") == 1, what="their places are free")
        self.waiting(0)

    def test_places_are_free_again(self):
        for leave in (lambda link: link.close(), reset):
            for more in (b"", wire.request(wire.NOOP) * 1000, b"\x80" * 100_000):
                links = self.wait_with(PLACES - 1, more)
                self.assertRaises(OSError, lambda: self.open().call(wire.NOOP))
                for link in links:
                    leave(link)
                self.nobody_is_left()

    def test_ascii_clients_too(self):
        self.link.call(wire.SET_VBUCKET, extras=STATES["pending"])
        links = [self.open_ascii() for _ in range(20)]
        for n, link in enumerate(links):
            link.socket.sendall([
                b"get a b c\r\n", b"set a 0 0 1\r\n1\r\n", b"touch a 0\r\n", b"gat 0 a b\r\n",
                b"incr a 1\r\n", b"delete a\r\n",
            ][n % 6])
        self.waiting(20)
        for link in links:
            link.close()
        self.nobody_is_left()
        self.link.call(wire.SET_VBUCKET, extras=STATES["active"])

    def test_those_who_stay_are_answered(self):
        links = self.wait_with(20)
        for link in links[::2]:
            reset(link)
        self.waiting(10)
        self.make("active")
        for link in links[1::2]:
            self.status(link.receive(), wire.ENOENT)
        self.nobody_is_left_but(10)

    def nobody_is_left_but(self, count):
        """So many connections besides this one."""
        server.until(lambda: self.figure("curr_connections") == 1 + count)

    def test_one_that_only_sends_no_more_gets_its_answer(self):
        def answered():
            self.make("pending")
            link, = self.wait_with(1)
            link.socket.shutdown(socket.SHUT_WR)
            self.make("active")
            try:
                self.status(link.receive(), wire.ENOENT)
            except wire.Closed:
                return False  # A moment is all that it has.
            return True

        server.until(answered, what="an answer")
        self.nobody_is_left()

    def test_many_take_no_memory(self):
        for _ in range(1000):
            link = wire.Binary(self.host.address)
            link.send(wire.request(wire.GET, b"k", vbucket=VBUCKET))
            reset(link)
        self.nobody_is_left()
        self.assertLess(self.figure("connection_structures"), 4 * PLACES)

    def test_what_was_answered_to_nobody_is_answered_to_nobody_else(self):
        self.link.set(b"key", b"old")
        for _ in range(30):
            self.status(self.link.call(wire.START), wire.SUCCESS)
            self.link.set(b"key", b"new")
            link = wire.Binary(self.host.address)
            link.send(wire.request(wire.REVERT))
            reset(link)
            # A new connection has the same place in the host; there is a window or there is none.
            other = wire.Binary(self.host.address)
            self.assertIn(other.call(wire.REVERT).status,
                          (wire.SUCCESS, wire.NOT_SUPPORTED, wire.ETMPFAIL))
            server.until(lambda: self.state()["state"] == "none")
            self.assertEqual(other.call(wire.REVERT).status, wire.NOT_SUPPORTED)
            other.close()
            # Or the REVERT of who has gone is of the next window, before the key is set there.
            self.nobody_is_left()
            self.holds(b"key", b"old")
