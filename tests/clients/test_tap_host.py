"""TAP in the bundled host, with the stub engine: what goes over the wire, what the engine sees.

The stub plays the script in a client's name; c-host/harness/null_tap.c says what its letters mean.
"""

import contextlib
import os
import select
import struct
import unittest
from unittest import mock

import server
import wire
from base import ServerTest
from wire import EINVAL, NOT_SUPPORTED, SUCCESS, tap_answer, tap_connect, tap_event

BUILD = f"{server.TOP}/c-host/build"
STUB = f"{BUILD}/libnull_engine.so"
HOST = f"{BUILD}/engine-host -t 1 -E {STUB} -p 0 -e {{config}}"


class StubTest(ServerTest):
    """A test with a host of one worker around the stub engine."""

    config = "host_abi=membase"
    layout = "membase"

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(STUB):
            raise unittest.SkipTest(f"no {STUB}: make -C c-host harness")
        command = f"{HOST} --cookie-layout={cls.layout}"
        cls.host = server.Server(cls.config, on_disk=False, command=command)
        cls.addClassCleanup(cls.host.close)

    def setUp(self):
        super().setUp()
        # What earlier tests closed counts in the stub's numbers until the host has seen it.
        server.until(self.is_alone, what="the end of earlier tests' connections")

    def is_alone(self):
        """Nobody else is connected, the stub has given back all streams, and wakes none late."""
        connections = int(self.link.stats()["curr_connections"])
        found = self.tap()
        return connections == 1 and (found["streams"], found["due"]) == ("0", "0")

    def stream(self, script, **connect):
        """A connection that has become a stream with that script."""
        link = self.open()
        link.send(tap_connect(b"script:" + script.encode(), **connect))
        return link

    def tap(self):
        """`stats tap` of the stub."""
        return self.link.stats(b"tap")

    def number(self, name):
        """One of its numbers."""
        return int(self.tap()[name])

    def last_call(self):
        """What the last tap_notify got."""
        found = self.tap()
        return found[f"call_{int(found['calls']) - 1}"]

    def consume(self, link, *arguments, **more):
        """Sends an event, then a NOOP; returns the answers before the NOOP's."""
        link.send(tap_event(*arguments, **more))
        return link.pipeline([])

    def wake(self):
        """Waits until a stream sleeps, then stores a key, upon which the stub wakes it."""
        server.until(lambda: self.number("sleeping") == 1, what="a sleeping stream")
        self.status(self.link.set(b"wake", b""), SUCCESS)


class Producer(StubTest):
    """A connection that became a stream."""

    def test_every_event_has_its_layout(self):
        link = self.stream("+MD~D+FOV+S!EN")
        events = [link.receive_event() for _ in range(9)]
        value = b"v" * 8
        checkpoint = b"\0\0\0\0\0\0\0\7"
        words = (0x04030201, 77)
        expected = [
            (wire.TAP_MUTATION, 0, 1, 0x1001, b"abc", 0, 255, *words, b"key1", value),
            (wire.TAP_DELETE, 0, 2, 0x1002, b"", 0, 255, 0, 0, b"key2", value),
            (wire.TAP_DELETE, 0, 3, 0x1003, b"", 2, 255, 0, 0, b"key3", b""),
            (wire.TAP_FLUSH, 0, 4, 0, b"abc", 0, 255, 0, 0, b"", b""),
            (wire.TAP_OPAQUE, 0, 5, 0, b"", 0, 255, 0, 0, b"", b""),
            (wire.TAP_VBUCKET_SET, 0, 6, 0, b"\0\0\0\2", 0, 255, 0, 0, b"", b""),
            (wire.TAP_CHECKPOINT_START, 0, 7, 0x1007, b"abc", 0, 255, words[0], 0, b"", checkpoint),
            (wire.TAP_CHECKPOINT_END, 0, 8, 0x1008, b"", 1, 255, words[0], 0, b"", checkpoint),
            (wire.NOOP, 0, 9, 0, b"", 0, 0, 0, 0, b"", b""),
        ]
        for event, fields in zip(events, expected):
            fields = list(fields)
            if event.opcode in wire.TAP_ITEM_OPCODES:
                # The host swaps the word that engines keep in network order.
                fields[7] = 0x01020304
            self.assertEqual(tuple(event), tuple(fields))

    def test_items_are_released_once_they_are_sent(self):
        before = self.number("live_items")
        link = self.stream("M1000N")
        for _ in range(1001):
            link.receive_event()
        server.until(lambda: self.number("live_items") == before, what="release")

    def test_answers_reach_the_engine_with_their_status(self):
        link = self.stream("!M")
        seqno = link.receive_event().seqno
        calls = self.number("calls")
        link.send(tap_answer(wire.TAP_MUTATION, seqno))
        server.until(lambda: self.number("calls") == calls + 1, what="ack")
        ack = f"event=6 es= ttl=0 flags=0 seqno={seqno} key= "
        self.assertTrue(self.last_call().startswith(ack), self.last_call())
        link.send(tap_answer(wire.TAP_MUTATION, seqno, 0x86, b"Temporary failure"))
        server.until(lambda: self.number("calls") == calls + 2, what="nack")
        self.assertIn(" flags=134 ", self.last_call())

    def test_disconnect_for_an_answer_closes(self):
        link = self.stream("!MP")
        link.receive_event()
        link.send(tap_answer(wire.TAP_MUTATION, 1, key=b"answer:0a"))
        self.assertRaises(wire.Closed, link.receive_event)

    def test_other_results_for_an_answer_do_not_matter(self):
        link = self.stream("!MWM")
        link.receive_event()
        for code in (b"01", b"05", b"07", b"ff"):
            link.send(tap_answer(wire.TAP_MUTATION, 1, key=b"answer:" + code))
        self.assertEqual(link.call(wire.NOOP).status, SUCCESS)
        self.wake()
        self.assertEqual(link.receive_event().opcode, wire.TAP_MUTATION)

    def test_only_answers_to_events_are_taken(self):
        for packet in (
            tap_answer(wire.GET, 1),
            tap_answer(wire.TAP_CONNECT, 1),
            tap_answer(wire.TAP_MUTATION, 1)[:3] + b"\5" + tap_answer(wire.TAP_MUTATION, 1)[4:],
        ):
            link = self.stream("N")
            link.receive_event()
            link.send(packet)
            self.assertRaises(wire.Closed, link.receive)

    def test_a_paused_stream_sleeps_until_it_is_notified(self):
        link = self.stream("MPMW!MW")
        self.assertEqual([link.receive_event().seqno for _ in range(2)], [1, 2])
        self.assertEqual(link.call(wire.NOOP).status, SUCCESS)
        asked = self.number("iterated")
        self.assertEqual(select.select([link.socket], [], [], 0.05)[0], [])
        self.assertEqual(self.number("iterated"), asked)
        self.wake()
        self.assertEqual(link.receive_event().seqno, 3)

    def test_a_stream_that_ends_wakes_no_other(self):
        sleeper, other = self.stream("MW"), self.stream("MW")
        for link in (sleeper, other):
            self.assertEqual(link.receive_event().seqno, 1)
            self.assertEqual(link.call(wire.NOOP).status, SUCCESS)
        streams = self.number("streams")
        other.close()
        server.until(lambda: self.number("streams") == streams - 1, what="the end of the other")
        self.assertEqual(self.number("sleeping"), 1)

    def test_no_wake_up_is_lost(self):
        link = self.stream("WM" * 100)
        for seqno in range(1, 101):
            self.wake()
            self.assertEqual(link.receive_event().seqno, seqno)

    def test_disconnect_comes_after_what_was_collected(self):
        link = self.stream("M3X")
        self.assertEqual([link.receive_event().seqno for _ in range(3)], [1, 2, 3])
        self.assertRaises(wire.Closed, link.receive_event)

    def test_an_event_that_aborts_real_hosts_closes(self):
        link = self.stream("MA")
        link.receive_event()
        self.assertRaises(wire.Closed, link.receive_event)
        self.assertIn("real hosts abort", self.host.messages())

    def test_commands_are_answered_between_events(self):
        self.link.set(b"among", b"value")
        link = self.stream("M5W")
        for _ in range(5):
            link.receive_event()
        self.assertEqual(link.get(b"among").value, b"value")
        self.assertEqual(link.set(b"stored", b"on a stream").status, SUCCESS)
        self.assertEqual(link.get(b"stored").value, b"on a stream")

    def test_a_reader_that_does_not_read_stops_the_iterator(self):
        link = self.stream("B1000")
        link.socket.setsockopt(server.socket.SOL_SOCKET, server.socket.SO_RCVBUF, 65536)
        seen = -1

        def rests():
            nonlocal seen
            before, seen = seen, self.number("iterated")
            return before == seen
        server.until(rests, what="an iterator at rest")
        self.assertLess(self.number("live_items"), 40)
        for seqno in range(1, 101):
            self.assertEqual(link.receive_event().seqno, seqno)

    def test_others_are_served_while_a_stream_runs(self):
        link = self.stream("M2000000")
        for _ in range(50):
            link.receive_event()
            self.status(self.link.call(wire.NOOP), SUCCESS)

    def test_a_closed_stream_is_given_back(self):
        for script in ("MW", "MPW", "M5000000"):
            streams = self.number("streams")
            told = self.number("disconnects")
            link = self.stream(script)
            link.receive_event()
            self.assertEqual(self.number("streams"), streams + 1)
            link.close()
            server.until(lambda: self.number("streams") == streams, what="the end")
            self.assertGreater(self.number("disconnects"), told)
        self.status(self.link.set(b"wake", b""), SUCCESS)
        self.assertNotIn("that is closed", self.host.messages())

    def test_a_sleeping_stream_hears_of_its_end_twice(self):
        link = self.stream("MW")
        link.receive_event()
        self.assertEqual(link.call(wire.NOOP).status, SUCCESS)
        told = self.number("disconnects")
        link.close()
        server.until(lambda: self.number("disconnects") == told + 2, what="both callbacks")

    def test_refused_streams(self):
        link = self.open()
        link.send(tap_connect(b"nobody"))
        self.status(link.receive(), NOT_SUPPORTED)
        self.assertRaises(wire.Closed, link.receive)

    def test_malformed_connects(self):
        name = b"script:N"
        self.status(self.link.call(wire.TAP_CONNECT, name, b"\0\0"), EINVAL)
        packet = tap_connect(name)
        self.link.send(packet[:4] + b"\4" + packet[5:])
        self.status(self.link.receive(), EINVAL)
        link = self.open()
        link.send(tap_connect(name, flags=1, data=b"1234567"))
        self.assertRaises(wire.Closed, link.receive)
        self.assertEqual(self.stream("N", flags=1, data=bytes(8)).receive_event().opcode, wire.NOOP)

    def test_a_noop_response_is_answered_as_by_real_hosts(self):
        link = self.stream("NW")
        link.receive_event()
        link.send(tap_answer(wire.NOOP, 5))
        answer = link.receive()
        self.assertEqual((answer.opcode, answer.opaque), (wire.NOOP, 5))


class Consumer(StubTest):
    """Events that come in."""

    def test_a_mutation_reaches_the_engine_as_it_was_sent(self):
        key = self.key()[-16:]
        answers = self.consume(
            self.link, wire.TAP_MUTATION, key, b"value", engine=b"xyz", ttl=9, flags=1,
            item_flags=0x01020304, expiry=99, cas=7, opaque=11,
        )
        self.assertEqual([(a.opcode, a.status, a.opaque, a.value) for a in answers],
                         [(wire.TAP_MUTATION, SUCCESS, 11, b"")])
        self.assertEqual(
            self.last_call(),
            f"event=1 es=xyz ttl=8 flags=1 seqno=11 key={key.decode()} item_flags=01020304"
            " exptime=99 cas=7 data=value ndata=5 vb=0",
        )
        self.assertEqual(self.link.get(key).value, b"value")

    def test_every_other_event_reaches_the_engine(self):
        events = {
            wire.TAP_DELETE: 2, wire.TAP_FLUSH: 3, wire.TAP_OPAQUE: 4, wire.TAP_VBUCKET_SET: 5,
            wire.TAP_CHECKPOINT_START: 10, wire.TAP_CHECKPOINT_END: 11,
        }
        for opcode, event in events.items():
            key = b"gone" if opcode == wire.TAP_DELETE else b""
            self.assertEqual(self.consume(self.link, opcode, key, engine=b"es", vbucket=0), [])
            self.assertEqual(
                self.last_call(),
                f"event={event} es=es ttl=254 flags=0 seqno=0 key={key.decode()}"
                " item_flags=00000000 exptime=0 cas=0 data= ndata=0 vb=0",
            )

    def test_a_failure_is_answered_when_asked_for(self):
        self.assertEqual(self.consume(self.link, wire.TAP_MUTATION, b"answer:05"), [])
        for code, status in ((b"01", 1), (b"03", 0x82), (b"05", 4), (b"0c", 7), (b"0d", 0x86)):
            key = b"answer:" + code
            answers = self.consume(self.link, wire.TAP_MUTATION, key, flags=1, opaque=3)
            self.assertEqual([(a.status, a.opaque) for a in answers], [(status, 3)])

    def test_nack_mode_answers_failures_without_being_asked(self):
        link = self.open()
        self.assertEqual(self.consume(link, wire.TAP_MUTATION, b"answer:0d"), [])
        self.assertEqual(self.consume(link, wire.TAP_OPAQUE, engine=bytes(4)), [])
        answers = self.consume(link, wire.TAP_MUTATION, b"answer:0d", opaque=4)
        self.assertEqual([(a.status, a.opaque) for a in answers], [(0x86, 4)])
        self.assertEqual(self.consume(link, wire.TAP_MUTATION, b"fine"), [])
        self.assertEqual(self.consume(self.link, wire.TAP_MUTATION, b"answer:0d"), [])

    def test_disconnect_closes(self):
        link = self.open()
        link.send(tap_event(wire.TAP_MUTATION, b"answer:0a", flags=1))
        self.assertRaises(wire.Closed, link.receive)

    def test_a_blocked_event_is_given_again(self):
        calls = self.number("calls")
        answers = self.consume(self.link, wire.TAP_MUTATION, b"block", b"v", flags=1, opaque=8)
        self.assertEqual([(a.status, a.opaque) for a in answers], [(SUCCESS, 8)])
        found = self.tap()
        self.assertEqual(int(found["calls"]), calls + 2)
        self.assertEqual(found[f"call_{calls}"], found[f"call_{calls + 1}"])

    def test_lengths_that_do_not_fit_are_refused(self):
        calls = self.number("calls")
        good = tap_event(wire.TAP_MUTATION, b"key", b"value", opaque=1)

        def changed(at, new):
            return good[:at] + new + good[at + len(new):]
        for packet in (
            changed(24, struct.pack(">H", 6 + len(b"value"))),
            changed(24, b"\xff\xff"),
            changed(2, struct.pack(">H", 9)),
            changed(4, b"\x08"),
            changed(4, b"\x00"),
            changed(28, b"\x00"),
            wire.request(wire.TAP_FLUSH, key=b"k" * 8),
            wire.request(wire.TAP_OPAQUE),
            wire.request(wire.TAP_DELETE, extras=bytes(7)),
        ):
            self.link.send(packet)
            self.status(self.link.receive(), EINVAL)
        self.assertEqual(self.number("calls"), calls)


class Memcached(StubTest):
    """The other layout of the cookie table."""

    config = "host_abi=memcached"
    layout = "memcached"

    def test_a_failure_is_always_answered(self):
        answers = self.consume(self.link, wire.TAP_MUTATION, b"answer:0d", opaque=4)
        self.assertEqual([(a.status, a.opaque) for a in answers], [(0x86, 4)])

    def test_a_stream_sleeps_wakes_and_ends(self):
        link = self.stream("MWM")
        self.assertEqual(link.receive_event().seqno, 1)
        self.wake()
        self.assertEqual(link.receive_event().seqno, 2)
        link.close()
        server.until(lambda: self.number("streams") == 0, what="the end")

    def test_streams_of_one_connection_are_given_back_together(self):
        before = self.number("streams")
        link = self.stream("NW")
        link.receive_event()
        link.send(tap_connect(b"script:NW"))
        link.receive_event()
        self.assertEqual(self.number("streams"), before + 2)
        link.close()
        server.until(lambda: self.number("streams") == before, what="the streams' end")


class End(unittest.TestCase):
    """The end of the process, with memory that does not keep what was freed."""

    def test_connections_may_be_open(self):
        if not os.path.exists(STUB):
            self.skipTest(f"no {STUB}: make -C c-host harness")
        with mock.patch.dict(os.environ, MALLOC_PERTURB_="165"):
            host = server.Server("host_abi=membase", on_disk=False, command=HOST)
        self.addCleanup(host.close)
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                link = stack.enter_context(host.binary())
                link.send(tap_connect(b"script:NW"))
                link.receive_event()
            self.assertEqual(host.stop(), 0)


class Refused(StubTest):
    """An engine that has no streams."""

    config = ""

    def test_connect_is_refused(self):
        link = self.open()
        link.send(tap_connect(b"script:N"))
        self.status(link.receive(), NOT_SUPPORTED)
