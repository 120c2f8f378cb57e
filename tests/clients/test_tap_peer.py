"""Scripted TAP peers of the engine: what goes over the wire, in what order, and what is refused."""

import struct
import time
import unittest

import tap
import wire
from base import ServerTest
from tap import Peer, code
from wire import COMPLETE, EINVAL, ETMPFAIL, NOT_SUPPORTED, REVERT, START, SUCCESS, tap_event
from wire import TAP_CHECKPOINT_END, TAP_CHECKPOINT_START, TAP_DELETE, TAP_MUTATION, TAP_OPAQUE

FLAGS = tap.BACKFILL | tap.ACK | tap.CHECKPOINTS | tap.LIST
MARKS = {START: tap.UPDATE_START, COMPLETE: tap.UPDATE_END, REVERT: tap.UPDATE_REVERT}


def number(value):
    """A checkpoint's id as it is sent."""
    return struct.pack(">Q", value)


class Source(ServerTest):
    """The engine sends. One vbucket a test, so that checkpoints begin with 1."""

    config = "tap_backoff_period=0.05"
    vbucket = 0

    def setUp(self):
        super().setUp()
        Source.vbucket += 1
        tap.set_state(self.link, self.vbucket, wire.ACTIVE)

    def tearDown(self):
        # The commands are for all vbuckets, and the next test counts its own only.
        self.link.call(REVERT)
        tap.set_state(self.link, self.vbucket, wire.DEAD)
        self.status(self.link.call(wire.DEL_VBUCKET, vbucket=self.vbucket), SUCCESS)
        super().tearDown()

    def peer(self, flags=FLAGS, **more):
        """A stream of this test's vbucket."""
        peer = Peer(self.host.address, flags, (self.vbucket,), **more)
        self.addCleanup(peer.close)
        return peer

    def set(self, key, value):
        """SET in this test's vbucket."""
        self.status(self.link.set(key, value, vbucket=self.vbucket), SUCCESS)

    def command(self, opcode):
        """A command that must succeed."""
        self.status(self.link.call(opcode), SUCCESS)

    def mark(self, opcode, window):
        """The two messages of a mark: opcode, engine-specific bytes, key, value."""
        bare = code(MARKS[opcode])
        return [(TAP_OPAQUE, bare + number(window), b"", b""), (TAP_OPAQUE, bare, b"", b"")]

    def boundary(self, closed):
        """The messages between two checkpoints."""
        return [(TAP_CHECKPOINT_END, b"", b"", number(closed)),
                (TAP_CHECKPOINT_START, b"", b"", number(closed + 1))]

    def follow(self, peer, expected):
        """Takes and answers events and checks them; returns them."""
        events = [peer.step() for _ in expected]
        found = [(event.opcode, event.engine, event.key, event.value) for event in events]
        self.assertEqual(found, expected)
        return events

    def hello(self, peer, *keys):
        """What a stream begins with when checkpoint 1 is in memory."""
        return self.follow(peer, [
            (TAP_OPAQUE, code(tap.ENABLE_NACK), b"", b""),
            (TAP_OPAQUE, code(tap.ENABLE_CHECKPOINTS), b"", b""),
            (TAP_CHECKPOINT_START, b"", b"", number(1)),
            *((TAP_MUTATION, b"", key, b"before") for key in keys),
        ])

    def test_the_order_of_windows(self):
        self.set(b"one", b"before")
        self.set(b"two", b"before")
        peer = self.peer()
        events = self.hello(peer, b"one", b"two")
        closed = 1
        for opcode in (REVERT, COMPLETE):
            self.command(START)
            self.set(b"one", b"inside")
            self.status(self.link.delete(b"two", vbucket=self.vbucket), SUCCESS)
            events += self.follow(peer, [
                *self.boundary(closed),
                *self.mark(START, closed + 1),
                (TAP_MUTATION, b"", b"one", b"inside"),
                (TAP_DELETE, b"", b"two", b""),
            ])
            self.command(opcode)
            events += self.follow(peer, [
                *self.mark(opcode, closed + 1), *self.boundary(closed + 1),
            ])
            closed += 2
        self.assertEqual(peer.contents[self.vbucket], {b"one": (b"inside", 0)})
        self.check_fields(events)

    def check_fields(self, events):
        """Numbers, requests for answers and what the layout fixes (docs/replication.md)."""
        seqno = 0
        for event in events:
            seqno += 2 if event.opcode == TAP_OPAQUE else 1
            self.assertEqual(event.seqno, seqno)
            about = 0 if seqno <= 4 else self.vbucket
            self.assertEqual((event.vbucket, event.ttl), (about, 255), event)
            self.assertEqual(event.cas != 0, event.opcode == TAP_MUTATION, event)
            if event.opcode not in (TAP_MUTATION, TAP_DELETE):
                self.assertEqual(event.flags, wire.TAP_ACK, event)

    def test_nothing_follows_a_checkpoint_or_a_mark_before_the_answer(self):
        peer = self.peer()
        self.hello(peer)
        self.command(START)
        self.set(b"key", b"inside")
        while True:
            event = peer.receive_event()
            if event.opcode == TAP_MUTATION:
                break
            announces = event.opcode == TAP_OPAQUE and len(event.engine) == 12
            if not announces:
                self.status(self.link.call(wire.NOOP), SUCCESS)
                peer.send(wire.request(wire.NOOP))
                # The answer to our command comes first, because the stream waits.
                self.assertEqual(peer.receive().opcode, wire.NOOP)
            peer.answer(event)

    def test_the_value_flags_and_expiry_of_a_mutation(self):
        self.status(self.link.set(b"key", b"v", flags=0x01020304, expiry=2_100_000_000,
                                  vbucket=self.vbucket), SUCCESS)
        peer = self.peer()
        event = self.follow(peer, [
            (TAP_OPAQUE, code(0), b"", b""), (TAP_OPAQUE, code(2), b"", b""),
            (TAP_CHECKPOINT_START, b"", b"", number(1)), (TAP_MUTATION, b"", b"key", b"v"),
        ])[-1]
        self.assertEqual((event.item_flags, event.expiry), (0x04030201, 2_100_000_000))
        self.assertEqual(peer.contents[self.vbucket], {b"key": (b"v", 0x01020304)})

    def refuse_in_a_window(self):
        """A stream that has refused a mutation of an open window, and what it refused."""
        self.set(b"one", b"before")
        peer = self.peer()
        self.hello(peer, b"one")
        self.command(START)
        self.follow(peer, [*self.boundary(1), *self.mark(START, 2)])
        self.set(b"one", b"inside")
        return peer, self.refuse(peer)

    def refuse(self, peer, last=None):
        """Takes the mutation and refuses it for now; returns it."""
        event = peer.receive_event()
        self.assertEqual((event.opcode, event.key, event.value),
                         (TAP_MUTATION, b"one", b"inside"))
        if last:
            self.assertGreater(event.seqno, last.seqno)
        peer.answer(event, ETMPFAIL)
        return event

    def test_a_refused_mutation_comes_again_before_complete(self):
        peer, refused = self.refuse_in_a_window()
        self.command(COMPLETE)
        for _ in range(3):
            refused = self.refuse(peer, refused)
        self.follow(peer, [
            (TAP_MUTATION, b"", b"one", b"inside"), *self.mark(COMPLETE, 2), *self.boundary(2),
        ])

    def test_a_refused_mutation_comes_again_before_revert_or_not_at_all(self):
        peer, refused = self.refuse_in_a_window()
        for _ in range(3):
            refused = self.refuse(peer, refused)
        self.command(REVERT)
        # What the revert has taken out of the log by then is not sent any more.
        event = peer.step()
        if event.opcode == TAP_MUTATION:
            event = peer.step()
        self.assertEqual(event.engine, self.mark(REVERT, 2)[0][1])
        self.follow(peer, [self.mark(REVERT, 2)[1], *self.boundary(2)])
        self.assertEqual(peer.contents[self.vbucket], {b"one": (b"before", 0)})

    def test_a_refused_mark_comes_again_with_its_announcement(self):
        peer = self.peer()
        self.hello(peer)
        self.command(START)
        self.follow(peer, self.boundary(1))
        self.set(b"one", b"inside")
        announcement, mark = self.mark(START, 2)
        self.follow(peer, [announcement])
        event = peer.receive_event()
        self.assertEqual((event.opcode, event.engine), mark[:2])
        peer.answer(event, ETMPFAIL)
        self.follow(peer, [announcement, mark, (TAP_MUTATION, b"", b"one", b"inside")])

    def test_any_other_refusal_ends_the_stream(self):
        for status in (EINVAL, wire.NOT_MY_VBUCKET, wire.EINTERNAL, 0xffff):
            peer = self.peer()
            peer.answer(peer.receive_event(), status)
            with self.assertRaises(ConnectionError):
                while True:
                    peer.receive_event()

    def test_marks_of_an_idle_node_leave_at_once(self):
        peer = self.peer()
        self.hello(peer)
        rounds = []
        for first in range(1, 60, 2):
            begun = time.monotonic()
            self.command(START)
            self.follow(peer, [*self.boundary(first), *self.mark(START, first + 1)])
            self.command(REVERT)
            self.follow(peer, [*self.mark(REVERT, first + 1), *self.boundary(first + 1)])
            rounds.append(time.monotonic() - begun)
        # A mark that waited for a look at the clock would take seconds every time; a machine that
        # is busy takes long now and then.
        self.assertLess(sorted(rounds)[len(rounds) // 2], 1)

    def test_a_stream_inside_a_window_without_checkpoints_and_answers(self):
        self.set(b"one", b"before")
        self.command(START)
        self.set(b"one", b"inside")
        self.set(b"two", b"inside")
        peer = self.peer(tap.BACKFILL | tap.LIST)
        self.set(tap.MARKER, b"1")
        peer.until_marker(b"1")
        held = {b"one": (b"inside", 0), b"two": (b"inside", 0), tap.MARKER: (b"1", 0)}
        self.assertEqual(peer.contents[self.vbucket], held)
        self.assertEqual(peer.before[self.vbucket], {b"one": (b"before", 0)})
        self.command(REVERT)
        while peer.before:
            event = peer.step()
            self.assertEqual((event.opcode, event.flags), (TAP_OPAQUE, 0))
        self.assertEqual(peer.contents[self.vbucket], {b"one": (b"before", 0)})

    def test_a_dump_ends(self):
        for name in (b"one", b"two", b"three"):
            self.set(name, b"v")
        peer = self.peer(tap.DUMP | tap.LIST)
        keys = set()
        with self.assertRaises(ConnectionError):
            while True:
                keys.add(peer.step().key)
        self.assertEqual(keys, {b"one", b"two", b"three"})

    def test_an_answer_on_a_connection_without_a_stream_closes_it(self):
        for opcode in (TAP_MUTATION, TAP_OPAQUE, TAP_CHECKPOINT_START):
            link = self.open()
            self.status(link.call(wire.NOOP), SUCCESS)
            link.send(wire.tap_answer(opcode, 1))
            self.assertRaises(ConnectionError, link.receive)

    def test_answers_that_answer_nothing_do_no_harm(self):
        self.set(b"one", b"before")
        peer = self.peer()
        for seqno in (0, 999, 0x80000000, 0xffffffff):
            peer.send(wire.tap_answer(TAP_MUTATION, seqno))
            peer.send(wire.tap_answer(TAP_MUTATION, seqno, ETMPFAIL))
        self.status(self.link.get(b"one", vbucket=self.vbucket), SUCCESS)

    def test_user_data_that_does_not_fit_is_refused(self):
        for flags, data in (
            (tap.LIST, b""), (tap.LIST, b"\0"), (tap.LIST, b"\0\2\0\1"), (tap.LIST, b"\xff\xff"),
            (tap.BACKFILL | tap.LIST, bytes(9)),
            (tap.CHECKPOINTS, b"\0\1\0\1\0\0\0"), (tap.CHECKPOINTS, b"\xff\xff"),
        ):
            link = self.open()
            link.send(wire.tap_connect(b"", flags, data))
            self.status(link.receive(), NOT_SUPPORTED)
            self.assertRaises(ConnectionError, link.receive)
        link = self.open()
        link.send(wire.tap_connect(b"", tap.BACKFILL, bytes(7)))
        self.assertRaises(ConnectionError, link.receive)


class Destination(ServerTest):
    """The engine receives, in a vbucket of each test's own."""

    vbucket = 100

    def setUp(self):
        super().setUp()
        Destination.vbucket += 1
        tap.set_state(self.link, self.vbucket, wire.REPLICA)
        self.seqno = 0
        self.peer = self.open()

    def tell(self, opcode, *arguments, peer=None, status=SUCCESS, **more):
        """Sends an event that wants an answer, and checks that."""
        self.seqno += 1
        peer = peer or self.peer
        peer.send(tap_event(opcode, *arguments, flags=wire.TAP_ACK, opaque=self.seqno,
                            vbucket=self.vbucket, **more))
        answer = peer.receive()
        self.assertEqual((answer.opcode, answer.opaque), (opcode, self.seqno))
        return self.status(answer, status)

    def opaque(self, engine, **more):
        """An OPAQUE with these engine-specific bytes."""
        return self.tell(TAP_OPAQUE, engine=engine, **more)

    def closes(self, opcode, **more):
        """Sends an event upon which the connection ends."""
        peer = self.open()
        peer.send(tap_event(opcode, flags=wire.TAP_ACK, vbucket=self.vbucket, **more))
        self.assertRaises(ConnectionError, peer.receive)

    def window(self):
        """State of the vbucket's window."""
        return self.link.stats(b"onlineupdate-vb").get(f"vb_{self.vbucket}:state", "none")

    def value(self, key):
        """What the replica has: it is made active for the look."""
        tap.set_state(self.link, self.vbucket, wire.ACTIVE)
        answer = self.link.get(key, vbucket=self.vbucket)
        tap.set_state(self.link, self.vbucket, wire.REPLICA)
        return answer.value if answer.status == SUCCESS else None

    def test_bare_marks(self):
        for mark, left in ((tap.UPDATE_REVERT, (b"1", b"2", None)),
                           (tap.UPDATE_END, (b"inside", None, b"new"))):
            self.tell(TAP_MUTATION, b"one", b"1")
            self.tell(TAP_MUTATION, b"two", b"2")
            self.opaque(code(tap.UPDATE_START))
            self.assertEqual(self.window(), "open")
            self.tell(TAP_MUTATION, b"one", b"inside")
            self.tell(TAP_DELETE, b"two")
            self.tell(TAP_MUTATION, b"three", b"new")
            self.opaque(code(mark))
            self.assertEqual([self.value(key) for key in (b"one", b"two", b"three")], list(left))

    def test_a_bare_mark_without_a_window_is_an_error(self):
        self.tell(TAP_MUTATION, b"one", b"1")
        for mark in (tap.UPDATE_END, tap.UPDATE_REVERT):
            self.opaque(code(mark), status=EINVAL)
        self.opaque(code(tap.UPDATE_START))
        self.tell(TAP_MUTATION, b"one", b"inside")
        self.assertEqual(self.window(), "open")
        self.opaque(code(tap.UPDATE_REVERT))
        self.assertEqual(self.value(b"one"), b"1")

    def announced(self, mark, window, **more):
        """The two messages of a mark."""
        self.opaque(code(mark) + number(window), peer=more.get("peer"))
        return self.opaque(code(mark), **more)

    def test_a_mark_of_another_window_is_an_error(self):
        self.tell(TAP_CHECKPOINT_START, value=number(7))
        self.tell(TAP_MUTATION, b"one", b"1")
        self.tell(TAP_CHECKPOINT_END, value=number(7))
        self.tell(TAP_CHECKPOINT_START, value=number(8))
        self.announced(tap.UPDATE_START, 8)
        self.tell(TAP_MUTATION, b"one", b"inside")
        # A peer that comes again says START again.
        other = self.open()
        self.announced(tap.UPDATE_START, 8, peer=other)
        self.assertEqual(self.window(), "open")
        self.announced(tap.UPDATE_END, 9, status=EINVAL)
        self.announced(tap.UPDATE_REVERT, 6, status=EINVAL)
        self.assertEqual(self.window(), "open")
        self.announced(tap.UPDATE_REVERT, 8)
        self.assertEqual(self.value(b"one"), b"1")

    def test_opaque_messages_of_any_length(self):
        for length in (*range(4), *range(5, 12), 13, 64):
            self.opaque(b"\0" * length)
            self.opaque(b"\xff" * length)
        self.opaque(bytes(1000), status=EINVAL)
        self.opaque(code(99))
        self.opaque(code(0xffffffff))
        for wrong in (0, 1, 7, 99, 0xffffffff):
            self.opaque(code(wrong) + number(1), status=EINVAL)
        self.opaque(code(tap.UPDATE_START) + b"\xff" * 8, status=EINVAL)
        self.assertEqual(self.window(), "none")

    def test_lengths_and_states_that_do_not_exist_close(self):
        for engine in (b"", b"\0", bytes(3), bytes(5), code(0), code(5), code(0xffffffff)):
            self.closes(wire.TAP_VBUCKET_SET, engine=engine)
        for value in (b"", bytes(7), bytes(9), b"\xff" * 8):
            self.closes(TAP_CHECKPOINT_START, value=value)
            self.closes(TAP_CHECKPOINT_END, value=value)
        self.status(self.link.call(wire.NOOP), SUCCESS)

    def test_packets_with_garbage_lengths_are_refused(self):
        good = tap_event(TAP_MUTATION, b"key", b"value", engine=b"es", vbucket=self.vbucket)
        for at, new in ((2, b"\0\xff"), (2, b"\xff\xff"), (4, b"\0"), (4, b"\x08"), (4, b"\xff"),
                        (24, b"\0\xff"), (24, b"\xff\xff"), (28, b"\0")):
            peer = self.open()
            peer.send(good[:at] + new + good[at + len(new):])
            try:
                self.status(peer.receive(), EINVAL)
            except wire.Closed:
                pass
            self.status(self.link.call(wire.NOOP), SUCCESS)
        self.assertIsNone(self.value(b"key"))

    def test_a_vbucket_that_is_not_there(self):
        missing = 1000
        for opcode in (TAP_MUTATION, TAP_DELETE):
            self.peer.send(tap_event(opcode, b"key", flags=1, vbucket=missing))
            self.status(self.peer.receive(), wire.NOT_MY_VBUCKET)
        for engine in (code(tap.BACKFILL_BEGINS), code(tap.UPDATE_START)):
            peer = self.open()
            peer.send(tap_event(TAP_OPAQUE, engine=engine, flags=1, vbucket=missing))
            self.assertRaises(ConnectionError, peer.receive)

    def test_failures_are_answered_once_that_is_enabled(self):
        self.opaque(code(tap.ENABLE_NACK))
        self.peer.send(tap_event(TAP_MUTATION, b"key", opaque=77, vbucket=1000))
        answer = self.status(self.peer.receive(), wire.NOT_MY_VBUCKET)
        self.assertEqual(answer.opaque, 77)

    def test_a_backfill_forgets_what_was_there(self):
        self.tell(TAP_MUTATION, b"old", b"1")
        self.opaque(code(tap.BACKFILL_BEGINS))
        self.tell(TAP_MUTATION, b"new", b"2")
        self.opaque(code(tap.BACKFILL_ENDS))
        self.assertEqual([self.value(b"old"), self.value(b"new")], [None, b"2"])


if __name__ == "__main__":
    unittest.main()
