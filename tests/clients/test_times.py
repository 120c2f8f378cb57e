"""Times that a client gives: expiry, locks, delayed flushes, and a wall clock that is set back."""

import os
import struct
import time
import unittest

import base
import server
import wire

GET_LOCKED, UNLOCK_KEY, EVICT_KEY = 0x94, 0x95, 0x93
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
MARK_OF_START = struct.pack(">I", 4)


def extras(*words):
    """Big-endian words of 32 bits."""
    return struct.pack(f">{len(words)}I", *words)


class TimesTest(base.ServerTest):
    """A server whose clock goes on as ever."""

    def until_gone(self, key, link=None):
        """Waits until a key that expires is gone."""
        link = link or self.link
        server.until(lambda: link.get(key).status == wire.ENOENT, what="expiry")

    def test_nobody_gets_an_item_in_the_second_of_its_expiry(self):
        key = self.key()
        end = int(time.time()) + 2
        self.link.set(key, b"value", expiry=end)
        while True:
            sent = time.time()
            if self.link.get(key).status == wire.ENOENT:
                break
            self.assertLess(sent, end + 0.1)
        self.assertGreaterEqual(time.time(), end)

    def test_the_last_flush_counts(self):
        link = self.open_ascii()
        keys = [self.key(word).decode() for word in ("kept", "marker")]
        self.assertEqual(link.call("flush_all 1"), "OK")
        self.assertEqual(link.call("flush_all"), "OK")
        self.assertEqual(link.call(f"set {keys[0]} 0 0 1", b"v"), "STORED")
        # Gone in three seconds, when the first flush would have come.
        self.assertEqual(link.call(f"set {keys[1]} 0 3 1", b"v"), "STORED")
        server.until(lambda: keys[1] not in link.get(keys[1]), what="expiry")
        self.assertIn(keys[0], link.get(keys[0]))

    def test_numbers_are_what_strtoull_takes(self):
        link = self.open_ascii()
        key = self.key("n").decode()
        for value in (b" 5", b"5 ", b"\t5\t\t\t", b"+5", b" +05", b"5" + b" " * 100, b"5 x"):
            for command, result in (("incr", "6"), ("decr", "4")):
                link.call(f"set {key} 0 0 {len(value)}", value)
                self.assertEqual(link.call(f"{command} {key} 1").strip(), result, value)
        for value in (b"-5", b" -5", b"+", b"x5", b"5x", b"", b" ", b"18446744073709551616"):
            link.call(f"set {key} 0 0 {len(value)}", value)
            self.assertTrue(link.call(f"incr {key} 1").startswith("CLIENT_ERROR"), value)

    def test_the_cas_of_a_lock_changes_the_key(self):
        key = self.key()
        self.link.set(key, b"v")
        for opcode, expected in ((wire.APPEND, b"v+"), (wire.PREPEND, b"+v+")):
            lock = self.status(self.link.call(GET_LOCKED, key, extras(20, 7)), wire.SUCCESS)
            again = self.link.call(GET_LOCKED, key)
            self.status(again, wire.ETMPFAIL)
            wrong = self.link.call(opcode, key, value=b"+", cas=lock.cas + 1)
            self.status(wrong, wire.EEXISTS)
            self.status(self.link.call(opcode, key, value=b"+", cas=lock.cas), wire.SUCCESS)
            self.holds(key, expected)
        lock = self.status(self.link.call(GET_LOCKED, key), wire.SUCCESS)
        self.status(self.link.delete(key, cas=lock.cas + 1), wire.EEXISTS)
        self.status(self.link.delete(key, cas=lock.cas), wire.SUCCESS)
        self.holds(key, None)

    def test_a_small_value_is_evicted_when_it_is_asked_for(self):
        for value in (b"", b"v", b"12345678"):
            key = self.key(str(len(value)))
            self.link.set(key, value)
            self.host.drained(self.link)
            self.assertEqual(self.link.call(EVICT_KEY, key).value, b"Ejected.")
            self.holds(key, value)

    def test_what_was_flushed_beside_a_masters_window_stays_so_after_a_restart(self):
        for kill in (True, False):
            with server.Server() as host:
                with host.binary() as link:
                    self.after_a_flush_beside_a_window(host, link)
                if kill:
                    host.kill()
                else:
                    host.stop()
                host.start()
                with host.binary() as link:
                    for number in range(100):
                        self.holds(b"after %d" % number, b"v", link)

    def after_a_flush_beside_a_window(self, host, link):
        """100 keys that were stored, and are durable, after a delayed flush came."""
        self.status(link.set(b"before", b"v"), wire.SUCCESS)
        self.status(link.call(wire.FLUSH, extras=extras(1)), wire.SUCCESS)
        host.drained(link)
        replica = extras(wire.REPLICA)
        self.status(link.call(wire.SET_VBUCKET, extras=replica, vbucket=1), wire.SUCCESS)
        with host.binary() as master:
            master.send(wire.tap_event(
                wire.TAP_OPAQUE, engine=MARK_OF_START, flags=wire.TAP_ACK, vbucket=1
            ))
            self.status(master.receive(), wire.SUCCESS)
        self.until_gone(b"before", link)
        for number in range(100):
            self.status(link.set(b"after %d" % number, b"v"), wire.SUCCESS)
        host.drained(link)


@unittest.skipUnless(os.path.exists(FAKETIME), "needs libfaketime")
class SetBackTest(base.ServerTest):
    """A wall clock that goes back by two hours while the server runs."""

    BACK = 7200

    def setUp(self):
        self.folder = server.tempfile.mkdtemp(prefix="checkpoint-engine-clock-")
        self.addCleanup(server.shutil.rmtree, self.folder, ignore_errors=True)
        self.clock = os.path.join(self.folder, "offset")
        self.turn(0)
        environment = f"LD_PRELOAD={FAKETIME} FAKETIME_TIMESTAMP_FILE={self.clock} " \
                      "FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1"
        self.own = server.Server(command=f"/usr/bin/env {environment} {server.HOST}")
        self.addCleanup(self.own.close)
        # libfaketime takes away what it keeps in /dev/shm by the process's number: one that is
        # killed would leave it to another process of that number.
        self.addCleanup(self.own.stop)
        self.link = self.own.binary()
        self.addCleanup(self.link.close)

    def turn(self, seconds):
        """Sets the server's clock."""
        new = self.clock + ".new"
        with open(new, "w", encoding="ascii") as file:
            file.write(f"{seconds:+d}\n")
        os.rename(new, self.clock)

    def tearDown(self):
        self.assertIsNone(self.own.process.poll(), self.own.messages()[-2000:])

    def expiry(self, key):
        """What the server says of a key's expiry."""
        return int(self.link.stats(b"key %s 0" % key)["key_exptime"])

    def until_gone(self, key):
        """Waits until a key is gone."""
        server.until(lambda: self.link.get(key).status == wire.ENOENT, what="expiry")

    def check_times(self):
        """Times from now on are right, by the clock as it is."""
        now = time.time() - self.BACK
        self.link.set(b"later", b"v", expiry=1000)
        after = time.time() - self.BACK
        self.assertGreater(self.expiry(b"later"), now + 1000 - 2)
        self.assertLess(self.expiry(b"later"), after + 1000 + 2)
        self.link.set(b"ttl", b"v", expiry=3)
        # A long lock for what it refuses, a short one for its end.
        for key, seconds in ((b"locked", 30), (b"k", 2)):
            self.link.set(key, b"v")
            self.status(self.link.call(GET_LOCKED, key, extras(seconds)), wire.SUCCESS)
        self.status(self.link.set(b"locked", b"x"), wire.EEXISTS)
        server.until(lambda: self.link.set(b"k", b"x").status == wire.SUCCESS, what="lock")
        self.until_gone(b"ttl")
        self.status(self.link.call(wire.FLUSH, extras=extras(2)), wire.SUCCESS)
        self.until_gone(b"k")

    def test_times_told_afterwards_are_right(self):
        self.turn(-self.BACK)
        self.check_times()

    def test_durations_that_were_told_before_come_to_their_end(self):
        self.link.set(b"k", b"v")
        self.status(self.link.call(GET_LOCKED, b"k", extras(2)), wire.SUCCESS)
        self.status(self.link.call(wire.FLUSH, extras=extras(4)), wire.SUCCESS)
        self.turn(-self.BACK)
        server.until(lambda: self.link.set(b"k", b"x").status == wire.SUCCESS, what="lock")
        self.until_gone(b"k")
        self.check_times()


if __name__ == "__main__":
    unittest.main()
