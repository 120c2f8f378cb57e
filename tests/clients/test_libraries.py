"""The client libraries that Debian ships: python3-pymemcache, python3-pylibmc (both protocols) and
python3-binary-memcached."""

import time
import unittest

import bmemcached
import pylibmc
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient

import server
from base import ServerTest

MANY = 2000


class Shared:
    """What every library can do; `text` turns a value into what the library returns."""

    client = None

    @staticmethod
    def text(value):
        """A value as the library returns it."""
        return value

    def test_set_get_delete(self):
        self.assertIsNone(self.client.get("a"))
        self.assertTrue(self.client.set("a", "one"))
        self.assertEqual(self.client.get("a"), self.text("one"))
        self.assertTrue(self.client.delete("a"))
        self.assertIsNone(self.client.get("a"))

    def test_add_replace(self):
        try:
            self.assertFalse(self.client.replace("b", "0"))
        except pylibmc.NotFound:
            pass  # What libmemcached makes of the binary answer.
        self.assertTrue(self.client.add("b", "1"))
        self.assertFalse(self.client.add("b", "2"))
        self.assertTrue(self.client.replace("b", "3"))
        self.assertEqual(self.client.get("b"), self.text("3"))

    def test_large_and_empty_values(self):
        for value in ("", "x", "x" * 900_000):
            self.assertTrue(self.client.set("c", value))
            self.assertEqual(self.client.get("c"), self.text(value))

    def test_many_keys_at_once(self):
        values = {f"many{n}": f"value {n}" for n in range(MANY)}
        self.client.set_multi(values)
        expected = {key: self.text(value) for key, value in values.items()}
        self.assertEqual(self.client.get_multi(list(values) + ["absent"]), expected)
        self.client.delete_multi(list(values)[::2])
        self.assertEqual(len(self.client.get_multi(list(values))), MANY // 2)

    def test_counters(self):
        self.client.set("n", "10")
        self.assertEqual(self.client.incr("n", 5), 15)
        self.assertEqual(self.client.decr("n", 20), 0)

    def test_expiry(self):
        # It lives for more than a second: whoever is slower than that tries again.
        found, begun = None, float("-inf")
        while time.monotonic() - begun > 1:
            begun = time.monotonic()
            self.client.set("e", "1", 2)
            found = self.client.get("e")
        self.assertEqual(found, self.text("1"))
        end = time.monotonic() + 5
        while self.client.get("e") is not None:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_flush(self):
        self.client.set("f", "1")
        self.assertTrue(self.client.flush_all())
        self.assertIsNone(self.client.get("f"))


class Pymemcache(Shared, ServerTest):
    """python3-pymemcache, the ascii protocol."""

    @staticmethod
    def text(value):
        return value.encode()

    def setUp(self):
        self.client = Client(self.host.address, timeout=30, default_noreply=False)
        self.addCleanup(self.client.close)

    def test_cas(self):
        self.client.set("cas", "1")
        value, cas = self.client.gets("cas")
        self.assertEqual(value, b"1")
        self.assertTrue(self.client.cas("cas", "2", cas))
        self.assertIs(self.client.cas("cas", "3", cas), False)
        self.assertIsNone(self.client.cas("nobody", "3", cas))
        self.assertEqual(self.client.get("cas"), b"2")

    def test_append_prepend(self):
        self.assertFalse(self.client.append("p", "x"))
        self.client.set("p", "b")
        self.assertTrue(self.client.append("p", "c"))
        self.assertTrue(self.client.prepend("p", "a"))
        self.assertEqual(self.client.get("p"), b"abc")

    def test_flags(self):
        self.client.set("flags", "1", flags=4711)
        self.assertEqual(self.host.ascii().get("flags")["flags"], (b"1", 4711, None))

    def test_incr_of_a_missing_key(self):
        self.assertIsNone(self.client.incr("nobody", 1))

    def test_noreply(self):
        for n in range(100):
            self.client.set("noreply", str(n), noreply=True)
        self.assertEqual(self.client.get("noreply"), b"99")

    def test_statistics_and_version(self):
        self.assertIn(b"ep_queue_size", self.client.stats())
        self.assertEqual(self.client.stats("onlineupdate")[b"state"], b"none")
        self.assertTrue(self.client.version())

    def test_a_hash_client(self):
        client = HashClient([self.host.address], timeout=30)
        self.addCleanup(client.close)
        client.set("h", "1")
        self.assertEqual(client.get("h"), b"1")


class PylibmcBinary(Shared, ServerTest):
    """python3-pylibmc (libmemcached), the binary protocol."""

    binary = True

    def setUp(self):
        address = "{}:{}".format(*self.host.address)
        self.client = pylibmc.Client([address], binary=self.binary, behaviors={"cas": True})
        self.addCleanup(self.client.disconnect_all)

    def test_cas(self):
        self.client.set("cas", "1")
        value, cas = self.client.gets("cas")
        self.assertEqual(value, "1")
        self.assertTrue(self.client.cas("cas", "2", cas))
        self.assertFalse(self.client.cas("cas", "3", cas))
        self.assertEqual(self.client.get("cas"), "2")

    def test_append_prepend(self):
        self.client.set("p", "b")
        self.assertTrue(self.client.append("p", "c"))
        self.assertTrue(self.client.prepend("p", "a"))
        self.assertEqual(self.client.get("p"), "abc")

    def test_values_of_any_type(self):
        for value in (1, 2.5, b"\0\xff", [1, {"a": None}], "\u4e2d", True):
            self.client.set("typed", value)
            self.assertEqual(self.client.get("typed"), value)

    def test_compressed_values(self):
        value = b"x" * 200_000
        self.assertTrue(self.client.set("z", value, min_compress_len=1000))
        self.assertEqual(self.client.get("z"), value)
        self.assertLess(len(self.host.ascii().get("z")["z"][0]), 10_000)

    def test_incr_of_a_missing_key(self):
        with self.assertRaises(pylibmc.NotFound):
            self.client.incr("nobody")

    def test_buffered_writes_arrive_in_order(self):
        self.client.behaviors = {"no_block": True, "buffer_requests": True}
        for n in range(5000):
            try:
                self.client.set(f"buffered{n % 1000}", n)
            except pylibmc.Error as error:
                self.assertIn("error 32", str(error))  # Buffered, not refused.
        # The get sends what is left in the buffer first.
        found = self.client.get_multi([f"buffered{n}" for n in range(1000)])
        self.assertEqual(found, {f"buffered{n}": n + 4000 for n in range(1000)})

    def test_statistics(self):
        self.client.set("counted", "1")
        # libmemcached keeps only the names that it knows.
        (_, stats), = self.client.get_stats()
        self.assertGreater(int(stats["cmd_set"]), 0)
        self.assertEqual(int(stats["pid"]), self.host.process.pid)


class PylibmcAscii(PylibmcBinary):
    """python3-pylibmc (libmemcached), the ascii protocol."""

    binary = False


@unittest.skipUnless("engine-host" in server.HOST, "real hosts have less in ascii")
class BundledHost(ServerTest):
    """What the libraries send in ascii that real hosts with -E do not take."""

    def setUp(self):
        address = "{}:{}".format(*self.host.address)
        self.pylibmc = pylibmc.Client([address])
        self.addCleanup(self.pylibmc.disconnect_all)
        self.pymemcache = Client(self.host.address, timeout=30, default_noreply=False)
        self.addCleanup(self.pymemcache.close)

    def test_touch(self):
        self.pylibmc.set("t", "1")
        self.assertTrue(self.pylibmc.touch("t", 100))
        self.assertTrue(self.pymemcache.touch("t", 100))
        self.assertFalse(self.pymemcache.touch("nobody", 100))

    def test_what_has_expired_before_it_is_stored(self):
        self.pylibmc.set("guard", "1")
        # libmemcached sends 4294967295.
        self.assertTrue(self.pylibmc.set("past", "flush_all", time=-1))
        self.assertTrue(self.pymemcache.set("past", "flush_all", expire=-1))
        self.assertIsNone(self.pylibmc.get("past"))
        self.assertEqual(self.pylibmc.get("guard"), "1")

    def test_many_long_keys_at_once(self):
        keys = [f"{n}".rjust(240, "k") for n in range(MANY)]
        values = {key: "v" * 1000 for key in keys}
        self.pylibmc.set_multi(values)
        self.assertEqual(self.pylibmc.get_multi(keys), values)
        found = self.pymemcache.get_many(keys)
        self.assertEqual(found, {key: value.encode() for key, value in values.items()})


class PylibmcTouch(ServerTest):
    """touch through libmemcached: real hosts have it in the binary protocol only."""

    def test_touch(self):
        client = pylibmc.Client(["{}:{}".format(*self.host.address)], binary=True)
        self.addCleanup(client.disconnect_all)

        def touched():
            # It lives for more than a second: whoever is slower than that tries again.
            client.set("t", "1", 2)
            return client.touch("t", 100)
        server.until(touched, what="a touch of what is still there")
        # This one has the time that the other one had.
        client.set("untouched", "1", 2)
        server.until(lambda: client.get("untouched") is None, what="expiry")
        self.assertEqual(client.get("t"), "1")


class BinaryMemcached(Shared, ServerTest):
    """python3-binary-memcached, the binary protocol."""

    def setUp(self):
        address = "{}:{}".format(*self.host.address)
        self.client = bmemcached.Client((address,), socket_timeout=30)
        self.addCleanup(self.client.disconnect_all)

    def test_counters(self):
        self.assertEqual(self.client.incr("n", 5, default=10), 10)
        self.assertEqual(self.client.incr("n", 5), 15)
        self.assertEqual(self.client.decr("n", 20), 0)

    def test_cas(self):
        self.client.set("cas", "1")
        value, cas = self.client.gets("cas")
        self.assertEqual(value, "1")
        self.assertTrue(self.client.cas("cas", "2", cas))
        self.assertFalse(self.client.cas("cas", "3", cas))
        self.assertEqual(self.client.get("cas"), "2")

    def test_values_of_any_type(self):
        for value in (1, 2.5, b"\0\xff", [1, {"a": None}], "\u4e2d", "compressed" * 1000):
            self.client.set("typed", value)
            self.assertEqual(self.client.get("typed"), value)

    def test_statistics(self):
        stats, = self.client.stats().values()
        self.assertIn("ep_queue_size", stats)
        update, = self.client.stats("onlineupdate").values()
        self.assertEqual(update["state"], b"none")
