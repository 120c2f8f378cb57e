"""Every key-value command of the binary protocol, over a plain socket."""

import signal
import struct
import time

import server
import wire
from base import ServerTest
from wire import (
    EEXISTS, EINVAL, ENOENT, NOT_MY_VBUCKET, NOT_STORED, SUCCESS, DELTA_BADVAL, E2BIG, request,
    store_extras,
)

DAY = 24 * 3600


class Storage(ServerTest):
    """set, add, replace, append, prepend, delete and CAS."""

    def test_a_set_is_read_back_with_its_flags_and_cas(self):
        key = self.key()
        stored = self.status(self.link.set(key, b"value", flags=0xdeadbeef), SUCCESS)
        answer = self.holds(key, b"value")
        self.assertEqual(answer.extras, b"\xde\xad\xbe\xef")
        self.assertNotEqual(stored.cas, 0)
        self.assertEqual(answer.cas, stored.cas)

    def test_values_of_any_length_and_any_bytes_are_kept(self):
        for size in (0, 1, 7, 100, 4095, 65536, 1 << 20):
            value = (bytes(range(256)) * (size // 256 + 1))[:size]
            self.status(self.link.set(self.key(), value), SUCCESS)
            self.holds(self.key(), value)

    def test_keys_of_1_and_of_250_bytes_and_of_any_bytes(self):
        for key in (b"k", b"k" * 250, bytes(range(200)), "\u00e9\u00df\u4e2d".encode()):
            self.status(self.link.set(key, key[::-1]), SUCCESS)
            self.holds(key, key[::-1])
        self.status(self.link.call(wire.GET, b"k" * 251), EINVAL)

    def test_add_stores_only_what_is_absent(self):
        key = self.key()
        self.status(self.link.set(key, b"1", opcode=wire.ADD), SUCCESS)
        self.status(self.link.set(key, b"2", opcode=wire.ADD), EEXISTS)
        self.holds(key, b"1")

    def test_replace_stores_only_what_is_present(self):
        key = self.key()
        self.status(self.link.set(key, b"1", opcode=wire.REPLACE), ENOENT)
        self.holds(key, None)
        self.link.set(key, b"1")
        self.status(self.link.set(key, b"2", opcode=wire.REPLACE), SUCCESS)
        self.holds(key, b"2")

    def test_append_and_prepend_keep_flags(self):
        key = self.key()
        for opcode in (wire.APPEND, wire.PREPEND):
            self.status(self.link.call(opcode, key, value=b"x"), NOT_STORED)
        self.link.set(key, b"middle", flags=77)
        self.status(self.link.call(wire.APPEND, key, value=b">"), SUCCESS)
        self.status(self.link.call(wire.PREPEND, key, value=b"<"), SUCCESS)
        self.assertEqual(self.holds(key, b"<middle>").extras, struct.pack(">I", 77))

    def test_append_and_prepend_obey_cas(self):
        key = self.key()
        cas = self.link.set(key, b"a").cas
        self.status(self.link.call(wire.APPEND, key, value=b"b", cas=cas + 1), EEXISTS)
        cas = self.status(self.link.call(wire.APPEND, key, value=b"b", cas=cas), SUCCESS).cas
        self.status(self.link.call(wire.PREPEND, key, value=b"c", cas=cas), SUCCESS)
        self.holds(key, b"cab")

    def test_a_set_with_cas_wants_that_very_item(self):
        key = self.key()
        self.status(self.link.set(key, b"1", cas=5), ENOENT)
        first = self.link.set(key, b"1").cas
        second = self.status(self.link.set(key, b"2", cas=first), SUCCESS).cas
        self.assertNotEqual(first, second)
        self.status(self.link.set(key, b"3", cas=first), EEXISTS)
        self.status(self.link.set(key, b"3", cas=first, opcode=wire.REPLACE), EEXISTS)
        self.holds(key, b"2")

    def test_delete_removes_and_obeys_cas(self):
        key = self.key()
        self.status(self.link.delete(key), ENOENT)
        cas = self.link.set(key, b"1").cas
        refused = self.link.delete(key, cas=cas + 1)
        self.assertIn(refused.status, (ENOENT, EEXISTS))
        self.holds(key, b"1")
        self.status(self.link.delete(key, cas=cas), SUCCESS)
        self.holds(key, None)

    def test_a_value_over_the_limit_is_refused_and_the_connection_goes_on(self):
        key = self.key()
        self.link.set(key, b"old")
        self.status(self.link.set(key, bytes(20 * 1024 * 1024 + 1)), E2BIG)
        self.status(self.link.call(wire.NOOP), SUCCESS)
        self.status(self.link.set(key, bytes(20 * 1024 * 1024)), SUCCESS)
        self.status(self.link.delete(key), SUCCESS)

    def test_getk_answers_the_key(self):
        key = self.key()
        self.assertEqual(self.status(self.link.call(wire.GETK, key), ENOENT).key, key)
        self.link.set(key, b"1")
        answer = self.status(self.link.call(wire.GETK, key), SUCCESS)
        self.assertEqual((answer.key, answer.value), (key, b"1"))

    def test_quiet_commands_answer_only_what_they_must(self):
        a, b, absent, number = (self.key(word) for word in ("a", "b", "absent", "number"))
        delta = struct.pack(">QQI", 3, 10, 0)
        answers = self.link.pipeline([
            request(wire.SETQ, a, store_extras(), b"1", opaque=1),
            request(wire.ADDQ, b, store_extras(), b"2", opaque=2),
            request(wire.ADDQ, b, store_extras(), b"3", opaque=3),
            request(wire.REPLACEQ, a, store_extras(), b"4", opaque=4),
            request(wire.REPLACEQ, absent, store_extras(), b"4", opaque=5),
            request(wire.APPENDQ, a, value=b"5", opaque=6),
            request(wire.PREPENDQ, a, value=b"3", opaque=7),
            request(wire.INCRQ, number, delta, opaque=8),
            request(wire.INCRQ, number, delta, opaque=9),
            request(wire.DECRQ, number, delta, opaque=10),
            request(wire.GETQ, a, opaque=11),
            request(wire.GETQ, absent, opaque=12),
            request(wire.GETKQ, number, opaque=13),
            request(wire.DELETEQ, b, opaque=14),
            request(wire.DELETEQ, absent, opaque=15),
        ])
        seen = [(answer.opaque, answer.status, answer.value) for answer in answers
                if answer.status == SUCCESS]
        refused = [(answer.opaque, answer.status) for answer in answers
                   if answer.status != SUCCESS]
        self.assertEqual(seen, [(11, SUCCESS, b"345"), (13, SUCCESS, b"10")])
        self.assertEqual(refused, [(3, EEXISTS), (5, ENOENT), (15, ENOENT)])
        self.holds(b, None)

    def test_a_thousand_pipelined_sets_are_answered_in_order(self):
        keys = [self.key(str(n)) for n in range(1000)]
        self.link.send(b"".join(
            request(wire.SET, key, store_extras(), b"%d" % n, opaque=n)
            for n, key in enumerate(keys)
        ))
        for n in range(1000):
            answer = self.link.receive()
            self.assertEqual((answer.status, answer.opaque), (SUCCESS, n))
        for n, (_, value, flags) in enumerate(self.link.get_many(keys)):
            self.assertEqual((value, flags), (b"%d" % n, 0))

    def test_cas_of_ten_writers_loses_no_increment(self):
        key, links = self.key(), [self.open() for _ in range(10)]
        self.link.set(key, b"0")
        for turn in range(200):
            seen = [link.get(key) for link in (links[turn % 10], links[(turn + 1) % 10])]
            first, second = (
                link.set(key, b"%d" % (int(answer.value) + 1), cas=answer.cas)
                for link, answer in zip((links[0], links[1]), seen)
            )
            self.status(first, SUCCESS)
            self.status(second, EEXISTS)
        self.holds(key, b"200")


class Scrub(ServerTest):
    """SCRUB, with which the hosts' extension has expired keys looked for."""

    def test_it_tells_what_it_found(self):
        before = int(self.link.stats()["curr_items"])
        self.link.set(self.key(), b"value")
        self.status(self.link.call(wire.SCRUB), wire.SUCCESS)
        def report():
            return self.link.stats(b"scrub")
        server.until(lambda: report()["scrubber:status"] == "stopped")
        self.assertEqual(int(report()["scrubber:visited"]), before + 1)
        self.assertEqual(report()["scrubber:cleaned"], "0")


class Counters(ServerTest):
    """incr and decr."""

    def number(self, answer):
        """The number in a successful answer."""
        return struct.unpack(">Q", self.status(answer, SUCCESS).value)[0]

    def test_a_missing_counter_is_created_only_if_wanted(self):
        key = self.key()
        missing = self.link.arithmetic(wire.INCR, key, 1, initial=5, expiry=0xffffffff)
        self.status(missing, ENOENT)
        self.assertEqual(self.number(self.link.arithmetic(wire.INCR, key, 1, initial=5)), 5)
        self.assertEqual(self.number(self.link.arithmetic(wire.INCR, key, 2)), 7)
        self.holds(key, b"7")

    def test_incr_wraps_and_decr_stops_at_zero(self):
        key = self.key()
        self.link.set(key, b"18446744073709551615")
        self.assertEqual(self.number(self.link.arithmetic(wire.INCR, key, 1)), 0)
        self.link.set(key, b"3")
        self.assertEqual(self.number(self.link.arithmetic(wire.DECR, key, 2)), 1)
        self.assertEqual(self.number(self.link.arithmetic(wire.DECR, key, 2)), 0)

    def test_what_is_no_number_is_not_counted(self):
        for text in (b"x", b"", b"-1", b"1.5", b"18446744073709551616"):
            self.link.set(self.key(), text)
            answer = self.link.arithmetic(wire.INCR, self.key(), 1)
            self.status(answer, DELTA_BADVAL)
            self.holds(self.key(), text)

    def test_a_counter_keeps_flags_and_changes_cas(self):
        key = self.key()
        before = self.link.set(key, b"1", flags=9).cas
        after = self.link.arithmetic(wire.INCR, key, 1)
        answer = self.holds(key, b"2")
        self.assertEqual(answer.extras, struct.pack(">I", 9))
        self.assertEqual(answer.cas, after.cas)
        self.assertNotEqual(before, after.cas)


class Expiry(ServerTest):
    """Times to live, touch, gat and flush_all with a delay. Times are whole seconds."""

    def gone(self, key, seconds):
        """Waits until a key is gone, and fails when that takes too long."""
        end = time.monotonic() + seconds
        while self.link.get(key).status != ENOENT:
            self.assertLess(time.monotonic(), end, f"{key} is still there")
            time.sleep(0.1)

    def test_an_item_expires_and_not_too_soon(self):
        short, long, absolute = (self.key(word) for word in ("short", "long", "absolute"))
        self.link.set(long, b"1", expiry=30 * DAY)
        self.link.set(absolute, b"1", expiry=int(time.time()) + 3600)
        # It lives for more than a second: whoever is slower than that tries again.
        found, begun = None, float("-inf")
        while time.monotonic() - begun > 1:
            begun = time.monotonic()
            self.link.set(short, b"1", expiry=2)
            found = self.link.get(short)
        self.assertEqual(found.value, b"1")
        self.gone(short, 6)
        self.assertGreater(time.monotonic() - begun, 0.9)
        self.holds(long, b"1")
        self.holds(absolute, b"1")

    def test_a_time_in_the_past_is_expired_at_once(self):
        key = self.key()
        self.link.set(key, b"1")
        self.status(self.link.set(key, b"2", expiry=int(time.time()) - 3600), SUCCESS)
        self.gone(key, 3)

    def test_touch_prolongs_and_shortens(self):
        lives, dies, absent = (self.key(word) for word in ("lives", "dies", "absent"))
        self.status(self.link.touch(wire.TOUCH, absent, 1), ENOENT)
        self.link.set(dies, b"1")

        def touched():
            # It lives for more than a second: whoever is slower than that tries again.
            self.link.set(lives, b"1", expiry=2)
            answer = self.link.touch(wire.TOUCH, lives, 0)
            return answer.status == SUCCESS and answer
        answer = server.until(touched, what="a touch of what is still there")
        self.assertEqual((answer.extras, answer.key, answer.value), (b"", b"", b""))
        # It has the time that the other one had.
        self.status(self.link.touch(wire.TOUCH, dies, 2), SUCCESS)
        self.gone(dies, 5)
        self.holds(lives, b"1")

    def test_gat_answers_the_item_and_touches_it(self):
        key = self.key()
        self.status(self.link.touch(wire.GAT, key, 1), ENOENT)
        self.link.set(key, b"value", flags=3)
        answer = self.status(self.link.touch(wire.GAT, key, 1), SUCCESS)
        self.assertEqual((answer.value, answer.extras), (b"value", struct.pack(">I", 3)))
        self.gone(key, 5)

    def test_gatq_is_silent_about_a_miss(self):
        key, expiry = self.key(), struct.pack(">I", 0)
        self.link.set(key, b"value")
        answers = self.link.pipeline([
            request(wire.GATQ, self.key("absent"), expiry, opaque=1),
            request(wire.GATQ, key, expiry, opaque=2),
        ])
        self.assertEqual([(a.opaque, a.value) for a in answers], [(2, b"value")])

    def test_touch_with_a_wrong_form_is_invalid(self):
        for opcode in (wire.TOUCH, wire.GAT, wire.GATQ):
            self.status(self.link.call(opcode, b"k"), EINVAL)
            self.status(self.link.call(opcode, b"", b"\0\0\0\0"), EINVAL)
            self.status(self.link.call(opcode, b"k", b"\0\0\0\0", b"value"), EINVAL)
            self.status(self.link.call(opcode, b"k", b"\0\0\0\0\0\0\0\0"), EINVAL)


class Flush(ServerTest):
    """flush_all."""

    def test_flush_empties_at_once(self):
        keys = [self.key(str(n)) for n in range(100)]
        for key in keys:
            self.link.set(key, b"1")
        self.status(self.link.call(wire.FLUSH), SUCCESS)
        self.assertEqual({value for _, value, _ in self.link.get_many(keys)}, {None})
        self.status(self.link.set(keys[0], b"2"), SUCCESS)
        self.holds(keys[0], b"2")

    def test_a_quiet_flush_is_silent(self):
        self.link.set(self.key(), b"1")
        self.assertEqual(self.link.pipeline([request(wire.FLUSHQ)]), [])
        self.holds(self.key(), None)

    def test_a_delayed_flush_waits(self):
        key = self.key()
        self.link.set(key, b"1")
        self.status(self.link.call(wire.FLUSH, extras=struct.pack(">I", 2)), SUCCESS)
        self.holds(key, b"1")
        Expiry.gone(self, key, 6)
        self.link.set(key, b"2")
        time.sleep(1.2)
        self.holds(key, b"2")

    def test_what_was_flushed_stays_away_after_a_restart(self):
        key = self.key()
        self.link.set(key, b"1")
        self.host.drained(self.link)
        self.link.call(wire.FLUSH)
        self.host.drained(self.link)
        self.host.restart()
        self.link = self.open()
        self.holds(key, None)


class Malformed(ServerTest):
    """Requests that no client should send: answered or the connection closed, the host lives."""

    def test_requests_of_a_wrong_form_are_refused(self):
        header = wire.HEADER.pack
        for name, data in (
            ("set without extras", request(wire.SET, b"k", value=b"v")),
            ("get with a value", request(wire.GET, b"k", value=b"v")),
            ("get without a key", request(wire.GET)),
            ("incr without extras", request(wire.INCR, b"k")),
            ("lengths beyond the body", header(0x80, 0xf0, 200, 0, 0, 0, 5, 0, 0) + b"12345"),
            ("touch, lengths beyond the body", header(0x80, 0x1c, 9, 4, 0, 0, 5, 0, 0) + b"12345"),
            ("START, lengths beyond the body", header(0x80, 0x9b, 9, 4, 0, 0, 5, 0, 0) + b"12345"),
            ("append, key beyond the body", header(0x80, 0x0e, 9, 0, 0, 0, 5, 0, 0) + b"12345"),
        ):
            if name.startswith("append") and "engine-host" not in server.HOST:
                continue  # Real hosts do not notice, and wait for 2^64 bytes.
            with self.subTest(name), self.host.binary(timeout=5) as link:
                link.send(data)
                self.status(link.receive(), EINVAL)
            self.status(self.open().set(self.key(), b"alive"), SUCCESS)

    def test_garbage_within_a_connection_closes_it(self):
        link = self.open(timeout=5)
        self.status(link.call(wire.NOOP), SUCCESS)
        link.send(b"\x42" + request(wire.NOOP)[1:])
        with self.assertRaises(wire.Closed):
            link.receive()
        self.status(self.link.call(wire.NOOP), SUCCESS)

    def test_a_client_that_leaves_in_the_middle_of_a_value_changes_nothing(self):
        key = self.key()
        self.link.set(key, b"old")
        with self.host.binary() as link:
            link.send(request(wire.SET, key, store_extras(), b"new" * 1000)[:-1])
        self.holds(key, b"old")

    def test_an_unknown_opcode_is_answered_as_such(self):
        for opcode in (0x1f, 0x50, 0x8e, 0xa0, 0xff):
            self.status(self.link.call(opcode), wire.UNKNOWN_COMMAND)


class Vbuckets(ServerTest):
    """SET_VBUCKET, GET_VBUCKET, DEL_VBUCKET and what the states do to operations."""

    def turn(self, vbucket, state, **form):
        """SET_VBUCKET."""
        data = struct.pack(">I", state)
        return self.link.call(wire.SET_VBUCKET, vbucket=vbucket, **(form or {"extras": data}))

    def test_states_are_set_and_read(self):
        for state in (wire.ACTIVE, wire.REPLICA, wire.PENDING, wire.DEAD):
            self.status(self.turn(1, state), SUCCESS)
            answer = self.status(self.link.call(wire.GET_VBUCKET, vbucket=1), SUCCESS)
            self.assertEqual(struct.unpack(">I", answer.value)[0], state)

    def test_the_state_may_stand_in_the_value(self):
        self.status(self.turn(2, 0, value=struct.pack(">I", wire.ACTIVE)), SUCCESS)
        self.assertEqual(self.link.stats(b"vbucket")["vb_2"], "active")

    def test_bad_requests_are_refused_and_change_nothing(self):
        self.turn(3, wire.ACTIVE)
        for form in ({"extras": b""}, {"extras": b"\0\0\1"}, {"extras": b"\0\0\0\1\0"},
                     {"extras": b"\0\0\0\0"}, {"extras": b"\0\0\0\5"},
                     {"key": b"k", "extras": b"\0\0\0\2"}):
            self.status(self.turn(3, 0, **form), EINVAL)
        self.assertEqual(self.link.stats(b"vbucket")["vb_3"], "active")
        self.status(self.turn(1024, wire.ACTIVE), EINVAL)
        self.status(self.turn(0xffff, wire.ACTIVE), EINVAL)
        self.status(self.link.call(wire.NOOP), SUCCESS)

    def test_only_an_active_vbucket_serves(self):
        key = self.key()
        self.turn(4, wire.ACTIVE)
        self.status(self.link.set(key, b"1", vbucket=4), SUCCESS)
        self.status(self.link.get(key), ENOENT)
        for state in (wire.REPLICA, wire.DEAD):
            self.turn(4, state)
            self.nobody(key, 4)
        self.turn(4, wire.ACTIVE)
        self.assertEqual(self.link.get(key, vbucket=4).value, b"1")
        self.nobody(key, 5)

    def nobody(self, key, vbucket):
        """Checks that every operation is refused."""
        for answer in (
            self.link.get(key, vbucket=vbucket),
            self.link.set(key, b"2", vbucket=vbucket),
            self.link.set(key, b"2", vbucket=vbucket, opcode=wire.ADD),
            self.link.set(key, b"2", vbucket=vbucket, opcode=wire.REPLACE),
            self.link.set(key, b"2", vbucket=vbucket, cas=7),
            self.link.call(wire.APPEND, key, value=b"2", vbucket=vbucket),
            self.link.call(wire.PREPEND, key, value=b"2", vbucket=vbucket),
            self.link.arithmetic(wire.INCR, key, 1, vbucket=vbucket),
            self.link.delete(key, vbucket=vbucket),
            self.link.touch(wire.TOUCH, key, 1, vbucket=vbucket),
            self.link.touch(wire.GAT, key, 1, vbucket=vbucket),
        ):
            self.status(answer, NOT_MY_VBUCKET)

    def test_clients_of_a_pending_vbucket_wait_for_its_fate(self):
        for state, expected in ((wire.ACTIVE, SUCCESS), (wire.REPLICA, NOT_MY_VBUCKET)):
            self.turn(6, wire.PENDING)
            link = self.open(timeout=30)
            link.send(request(wire.SET, self.key(), store_extras(), b"1", vbucket=6))
            link.socket.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                link.socket.recv(1)
            link.socket.settimeout(30)
            self.turn(6, state)
            # A file that has timed out cannot be read any more: read from the socket.
            self.assertEqual(link.socket.recv(24)[6:8], struct.pack(">H", expected))

    def test_only_a_dead_vbucket_is_deleted_and_its_data_with_it(self):
        key = self.key()
        self.status(self.link.call(wire.DEL_VBUCKET, vbucket=7), NOT_MY_VBUCKET)
        self.turn(7, wire.ACTIVE)
        self.link.set(key, b"1", vbucket=7)
        self.status(self.link.call(wire.DEL_VBUCKET, vbucket=7), EINVAL)
        self.turn(7, wire.DEAD)
        self.status(self.link.call(wire.DEL_VBUCKET, vbucket=7), SUCCESS)
        self.status(self.link.call(wire.GET_VBUCKET, vbucket=7), NOT_MY_VBUCKET)
        self.turn(7, wire.ACTIVE)
        self.status(self.link.get(key, vbucket=7), ENOENT)

    def test_states_and_data_survive_a_kill(self):
        key = self.key()
        for vbucket, state in ((8, wire.ACTIVE), (9, wire.REPLICA), (1023, wire.ACTIVE)):
            self.turn(vbucket, wire.ACTIVE)
            self.link.set(key, b"%d" % vbucket, vbucket=vbucket)
            self.turn(vbucket, state)
        self.host.drained(self.link)
        self.host.restart()
        self.link = self.open()
        states = self.link.stats(b"vbucket")
        self.assertEqual([states[f"vb_{n}"] for n in (8, 9, 1023)],
                         ["active", "replica", "active"])
        self.assertEqual(self.link.get(key, vbucket=8).value, b"8")
        self.assertEqual(self.link.get(key, vbucket=1023).value, b"1023")
        self.status(self.link.get(key, vbucket=9), NOT_MY_VBUCKET)

    def test_a_state_survives_a_kill_right_behind_its_answer(self):
        for state, name in ((wire.ACTIVE, "active"), (wire.REPLICA, "replica"),
                            (wire.ACTIVE, "active"), (wire.DEAD, "dead")) * 2:
            self.turn(10, state)
            self.host.restart()
            self.link = self.open()
            self.assertEqual(self.link.stats(b"vbucket")["vb_10"], name)

    def test_vbucket_0_does_not_come_back_when_it_was_deleted(self):
        with server.Server() as host:
            link = host.binary()
            dead = struct.pack(">I", wire.DEAD)
            self.status(link.call(wire.SET_VBUCKET, extras=dead), SUCCESS)
            self.status(link.call(wire.DEL_VBUCKET), SUCCESS)
            for how in (signal.SIGKILL, signal.SIGTERM):
                link.close()
                host.restart(how)
                link = host.binary()
                self.status(link.call(wire.GET_VBUCKET), NOT_MY_VBUCKET)
            link.close()
