"""Every command of the ascii protocol, over a plain socket."""

import time

import server
import wire
from base import ServerTest


class Commands(ServerTest):
    """Storage, retrieval, counters, statistics."""

    def setUp(self):
        self.text = self.open_ascii()

    def name(self, word="key"):
        """A key that no other test uses."""
        return self.key(word).decode()

    def says(self, expected, command, value=None):
        """Checks the first line of an answer."""
        self.assertEqual(self.text.call(command, value), expected, command)

    def value(self, key, expected):
        """Checks a value."""
        self.assertEqual(self.text.get(key).get(key, [None])[0], expected)

    def test_storage_commands(self):
        key = self.name()
        self.says("NOT_STORED", f"replace {key} 0 0 1", b"0")
        self.says("NOT_STORED", f"append {key} 0 0 1", b"0")
        self.says("NOT_STORED", f"prepend {key} 0 0 1", b"0")
        self.says("STORED", f"add {key} 7 0 1", b"1")
        self.says("NOT_STORED", f"add {key} 0 0 1", b"2")
        self.says("STORED", f"replace {key} 8 0 1", b"3")
        self.says("STORED", f"append {key} 9 0 1", b"4")
        self.says("STORED", f"prepend {key} 9 0 1", b"2")
        self.assertEqual(self.text.get(key), {key: (b"234", 8, None)})
        self.says("STORED", f"set {key} 4294967295 0 0", b"")
        self.assertEqual(self.text.get(key), {key: (b"", 4294967295, None)})

    def test_delete(self):
        key = self.name()
        self.says("NOT_FOUND", f"delete {key}")
        self.says("STORED", f"set {key} 0 0 1", b"1")
        self.says("DELETED", f"delete {key}")
        self.value(key, None)

    def test_cas(self):
        key = self.name()
        self.says("NOT_FOUND", f"cas {key} 0 0 1 1", b"0")
        self.says("STORED", f"set {key} 0 0 1", b"1")
        cas = self.text.get(key, command="gets")[key][2]
        self.says("EXISTS", f"cas {key} 0 0 1 {cas + 1}", b"2")
        self.says("STORED", f"cas {key} 0 0 1 {cas}", b"3")
        self.says("EXISTS", f"cas {key} 0 0 1 {cas}", b"4")
        self.value(key, b"3")

    def test_counters(self):
        key = self.name()
        self.says("NOT_FOUND", f"incr {key} 1")
        self.says("NOT_FOUND", f"decr {key} 1")
        self.says("STORED", f"set {key} 0 0 2", b"10")
        self.says("15", f"incr {key} 5")
        self.says("0", f"decr {key} 100")
        self.says("18446744073709551615", f"incr {key} 18446744073709551615")
        self.says("0", f"incr {key} 1")
        self.says("STORED", f"set {key} 0 0 1", b"x")
        self.assertRegex(self.text.call(f"incr {key} 1"), "^CLIENT_ERROR .*non-numeric")
        self.value(key, b"x")

    def test_get_of_many_keys(self):
        keys = [self.name(str(n)) for n in range(100)]
        for n, key in enumerate(keys[::2]):
            self.says("STORED", f"set {key} {n} 0 3", b"%03d" % n)
        found = self.text.get(*keys)
        self.assertEqual(found, {key: (b"%03d" % n, n, None) for n, key in enumerate(keys[::2])})

    def test_noreply_is_silent(self):
        key = self.name()
        self.text.socket.sendall(
            f"set {key} 0 0 1 noreply\r\n1\r\nadd {key} 0 0 1 noreply\r\n2\r\n"
            f"append {key} 0 0 1 noreply\r\n0\r\nincr {key} 5 noreply\r\n"
            f"delete {key}x noreply\r\n".encode()
        )
        self.value(key, b"15")

    def test_expiry(self):
        for word, expiry in (("past", -1), ("short", 1), ("absolute", int(time.time()) + 100)):
            self.says("STORED", f"set {self.name(word)} 0 {expiry} 1", b"1")
        self.value(self.name("past"), None)
        self.value(self.name("absolute"), b"1")
        end = time.monotonic() + 5
        while self.text.get(self.name("short")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_a_key_that_is_too_long_and_words_that_are_no_command(self):
        self.assertRegex(self.text.call(f"get {'k' * 251}"), "^CLIENT_ERROR")
        text = self.open_ascii()
        self.assertEqual(text.call("nonsense"), "ERROR")
        self.assertEqual(text.call("get"), "ERROR")
        self.assertRegex(text.call("set k 0 0 -1"), "^CLIENT_ERROR")

    def status(self):
        """`online_update status`."""
        first = self.text.call("online_update status")
        lines = [first, *iter(self.text.line, "END")]
        return dict(line.split(" ", 2)[1:] for line in lines)

    def test_an_online_update_from_a_terminal(self):
        key = self.name()
        self.says("STORED", f"set {key} 0 0 6", b"before")
        self.assertRegex(self.text.call("online_update"), "^CLIENT_ERROR online_update start")
        self.assertRegex(self.text.call("online_update revert"), "^SERVER_ERROR no online update")
        self.assertEqual(self.text.call("online_updates"), "ERROR")
        for word, outcome, value in (("revert", "reverted", b"before"),
                                     ("complete", "completed", b"window")):
            self.says("ACCEPTED start, see online_update status", "online_update start 600")
            self.says("STORED", f"set {key} 0 0 6", b"window")
            state = self.status()
            self.assertEqual((state["state"], state["touched_keys"]), ("open", "1"))
            self.assertLessEqual(int(state["seconds_left"]), 600)
            self.says("OK", "online_update deadline 0")
            self.assertEqual(self.status()["seconds_left"], "none")
            self.says(f"ACCEPTED {word}, see online_update status", f"online_update {word}")
            server.until(lambda: self.status()["state"] == "none")
            self.assertEqual(self.status()["last_outcome"], outcome)
            self.value(key, value)

    def test_a_value_over_the_limit_is_refused_and_the_connection_goes_on(self):
        key = self.name()
        line = self.text.call(f"set {key} 0 0 {20 * 1024 * 1024 + 1}", bytes(20 * 1024 * 1024 + 1))
        self.assertEqual(line, "SERVER_ERROR object too large for cache")
        self.assertEqual(self.text.call("version").split()[0], "VERSION")
        self.says("STORED", f"set {key} 0 0 1", b"1")

    def test_statistics(self):
        stats = self.text.stats()
        for name in ("pid", "curr_items", "ep_queue_size", "ep_onlineupdate", "ep_version"):
            self.assertIn(name, stats)
        self.assertEqual(self.text.stats("onlineupdate")["state"], "none")
        self.assertEqual(self.text.stats("vbucket"), {"vb_0": "active"})
        self.says("RESET", "stats reset")
        with self.assertRaises(KeyError):
            self.text.stats("nosuchgroup")

    def test_both_protocols_see_one_store(self):
        key, link = self.name(), self.open()
        self.says("STORED", f"set {key} 258 0 5", b"ascii")
        answer = link.get(key.encode())
        self.assertEqual((answer.value, answer.extras), (b"ascii", b"\0\0\1\2"))
        link.set(key.encode(), b"binary", flags=65537)
        self.assertEqual(self.text.get(key), {key: (b"binary", 65537, None)})
        cas = link.get(key.encode()).cas
        self.assertEqual(self.text.get(key, command="gets")[key][2], cas)


class Flush(ServerTest):
    """flush_all."""

    def test_flush_now_and_later(self):
        text = self.open_ascii()
        text.call("set a 0 0 1", b"1")
        self.assertEqual(text.call("flush_all"), "OK")
        self.assertEqual(text.get("a"), {})
        text.call("set a 0 0 1", b"2")
        self.assertEqual(text.call("flush_all 2"), "OK")
        self.assertEqual(text.get("a"), {"a": (b"2", 0, None)})
        end = time.monotonic() + 6
        while text.get("a"):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)


class State(ServerTest):
    """Operations on vbucket 0, the only one that ascii knows, while it is not active."""

    def test_a_replica_refuses_and_the_host_lives(self):
        link, text = self.open(), self.open_ascii()
        text.call("set a 0 0 1", b"1")
        link.call(wire.SET_VBUCKET, extras=b"\0\0\0\2")
        self.assertEqual(text.get("a"), {})
        for command in ("set", "add", "replace", "append", "prepend"):
            line = text.call(f"{command} a 0 0 1", b"2")
            self.assertEqual(line, "SERVER_ERROR not my vbucket", command)
        self.assertEqual(text.call("cas a 0 0 1 5", b"2"), "SERVER_ERROR not my vbucket")
        self.assertEqual(text.call("delete a"), "NOT_FOUND")
        # A code that the host takes from arithmetic: anything but a number will do.
        for command in ("incr a 1", "decr a 1"):
            self.assertRegex(text.call(command), "^(NOT_FOUND|SERVER_ERROR|CLIENT_ERROR)")
        link.call(wire.SET_VBUCKET, extras=b"\0\0\0\1")
        self.assertEqual(text.get("a"), {"a": (b"1", 0, None)})
