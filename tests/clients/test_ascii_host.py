"""How the bundled host reads ascii lines: what it takes, what it refuses, and that what follows a
refused line is never run."""

import select
import unittest

import server
import wire
from base import ServerTest

BUNDLED = "engine-host" in server.HOST
FORMAT = "CLIENT_ERROR bad command line format"
TOO_LARGE = "SERVER_ERROR object too large for cache"
NO_MEMORY = "SERVER_ERROR out of memory storing object"


def storage(command, key="k", flags="0", exptime="0", size="9", more=""):
    """A storage command line; cas gets its unique unless `more` brings one."""
    unique = " 1" if command == "cas" and not more.startswith(" ") else ""
    return f"{command} {key} {flags} {exptime} {size}{unique}{more}"


@unittest.skipUnless(BUNDLED, "about the bundled host")
class HostTest(ServerTest):
    """With a key that a `flush_all` would take away."""

    config = "max_size=64m"
    on_disk = False

    def setUp(self):
        self.text = self.open_ascii()
        self.assertEqual(self.text.call("set guard 0 0 1", b"1"), "STORED")

    def alive(self, text=None):
        """Nothing that followed a refused line was run, and the connection goes on."""
        text = text or self.text
        self.assertEqual(text.get("guard"), {"guard": (b"1", 0, None)})

    def closes(self, text):
        """The server says no more and closes the connection."""
        self.assertEqual(text.file.read(), b"")

    def counts(self, name):
        """A statistic as a number."""
        return int(self.text.stats()[name])


class Refusals(HostTest):
    """Every storage command, refused for every reason, with a value that is a command."""

    COMMANDS = ("set", "add", "replace", "append", "prepend", "cas")

    def refused(self, line, answer, value=b"flush_all"):
        """The line is answered, the announced bytes are dropped."""
        with self.subTest(line=line[:60]):
            self.assertEqual(self.text.call(line, value), answer)
            self.alive()

    def test_what_is_announced_is_dropped(self):
        for command in self.COMMANDS:
            for flags in ("x", "-1", "4294967296", "99999999999999999999", "1x", "+", ""):
                if flags:
                    self.refused(storage(command, flags=flags), FORMAT)
            for exptime in ("x", "1.5", "--1", "99999999999999999999", "-99999999999999999999"):
                self.refused(storage(command, exptime=exptime), FORMAT)
            self.refused(storage(command, key="k" * 251), FORMAT)
            self.refused(storage(command, key="k" * 1900), FORMAT)
            self.refused(storage(command, more=" 1 2 3 4"), "ERROR")

    def test_a_bad_unique_and_none(self):
        for unique in ("x", "-1", "99999999999999999999", "noreplyx"):
            self.refused(storage("cas", more=f" {unique}"), FORMAT)
        self.refused("cas k 0 0 9", "ERROR")

    def test_values_that_are_too_large(self):
        size = 20 * 1024 * 1024 + 1
        value = b"flush_all\r\n".ljust(size, b"\n")
        for command in self.COMMANDS:
            self.refused(storage(command, size=size), TOO_LARGE, value)

    def test_noreply_is_silent_and_still_drops(self):
        lines = []
        for command in self.COMMANDS:
            lines += [storage(command, flags="x", more=" 1 noreply" if command == "cas" else
                              " noreply"),
                      storage(command, key="k" * 251, more=" 1 noreply" if command == "cas" else
                              " noreply")]
        self.text.socket.sendall(b"".join(line.encode() + b"\r\nflush_all\r\n" for line in lines))
        self.alive()

    def test_without_a_length_the_connection_ends(self):
        for command in self.COMMANDS:
            for line in (command, f"{command} k", f"{command} k 0", f"{command} k 0 0",
                         storage(command, size="-1"), storage(command, size="x"),
                         storage(command, size="9x"), storage(command, size="9" * 30)):
                with self.subTest(line=line):
                    text = self.open_ascii()
                    text.socket.sendall(line.encode() + b"\r\nflush_all\r\n")
                    self.assertRegex(text.line(), "^(ERROR|CLIENT_ERROR)")
                    self.closes(text)
                    self.alive()

    def test_a_long_line_is_never_run(self):
        for command in self.COMMANDS:
            text = self.open_ascii()
            text.socket.sendall(f"{command} {'k' * 3000} 0 0 9\r\nflush_all\r\n".encode())
            self.assertRegex(text.line(), "^CLIENT_ERROR line too long")
            self.closes(text)
        self.alive()

    def test_a_vbucket_that_is_not_active(self):
        link = self.open()
        link.call(wire.SET_VBUCKET, extras=b"\0\0\0\2")
        self.addCleanup(link.call, wire.SET_VBUCKET, extras=b"\0\0\0\1")
        for command in self.COMMANDS:
            answer = self.text.call(storage(command), b"flush_all")
            self.assertEqual(answer, "SERVER_ERROR not my vbucket")
        link.call(wire.SET_VBUCKET, extras=b"\0\0\0\1")
        self.alive()

    def test_bytes_that_come_one_by_one(self):
        for byte in storage("set", flags="x").encode() + b"\r\nflush_all\r\n":
            self.text.socket.sendall(bytes([byte]))
        self.assertEqual(self.text.line(), FORMAT)
        self.alive()


class NoMemory(HostTest):
    """A node that can let go of nothing, since nothing is written to the disk."""

    config = "max_size=20m"
    on_disk = True

    def test_what_has_no_memory_is_dropped(self):
        link = self.open()
        self.status(link.call(wire.STOP_PERSISTENCE), wire.SUCCESS)
        self.addCleanup(link.call, wire.START_PERSISTENCE)
        value = b"flush_all\r\n".ljust(1_000_000, b"\n")
        line, n = "STORED", 0
        while line == "STORED":
            n += 1
            line = self.text.call(f"set fill{n} 0 0 {len(value)}", value)
        self.assertGreater(n, 5)
        self.assertRegex(line, "^SERVER_ERROR (out of memory|temporary failure)")
        # What is refused for good leaves no old value behind: the others have keys of their own.
        for command in Refusals.COMMANDS:
            key = "guard" if command in ("append", "prepend") else f"new-{command}"
            line = self.text.call(storage(command, key=key, size=len(value)), value)
            self.assertRegex(line, "^(SERVER_ERROR|NOT_STORED|NOT_FOUND)", command)
            self.alive()


class Arguments(HostTest):
    """What hosts of memcached take."""

    def says(self, line, answer, value=None):
        """Checks the answer to a line."""
        with self.subTest(line=line):
            self.assertEqual(self.text.call(line, value), answer)

    def test_expiry_beyond_32_bits(self):
        for exptime in ("-1", "4294967295", "-2147483648", "-2147483649", "2147483648",
                        "99999999999", "9223372036854775807", "-9223372036854775808"):
            for command in ("set", "add"):
                self.says(f"{command} {command}{exptime} 0 {exptime} 9", "STORED", b"flush_all")
            self.alive()
        for exptime in ("-1", "4294967295"):
            self.assertEqual(self.text.get(f"set{exptime}", f"add{exptime}"), {}, exptime)
        for exptime in ("0", "+0", "-0", "000", "2147483647"):
            self.says(f"set e 0 {exptime} 1", "STORED", b"1")
            self.assertEqual(self.text.get("e"), {"e": (b"1", 0, None)}, exptime)

    def test_numbers_are_what_strtoul_takes(self):
        self.says("set n +7 0 +1", "STORED", b"1")
        self.assertEqual(self.text.get("n"), {"n": (b"1", 7, None)})
        self.says("set n 0000000000000000000000000007 0 0000000000000000000000000001", "STORED",
                  b"2")
        self.says("set n \t7\t \t0\t \t1\t", "STORED", b"3")
        self.assertEqual(self.text.get("n"), {"n": (b"3", 7, None)})
        self.says("incr n +1", "4")
        self.says("incr n 1\t", "5")
        self.says("incr n 00000000000000000000000000000001", "6")
        self.says("incr n -0", "6")
        self.says("incr n -1", "CLIENT_ERROR invalid numeric delta argument")
        self.says("incr n", "ERROR")

    def test_one_word_too_many(self):
        self.says("set w 0 0 1 word", "STORED", b"1")
        self.says("cas w 0 0 1 0 word", "EXISTS", b"1")
        self.says("incr w 1 word", "2")
        self.says("decr w 1 word", "1")
        self.says("verbosity 0 word", "OK")
        self.says("flush_all 100000 word", "OK")
        self.says("version word", "ERROR")
        self.says("quit word", "ERROR")
        self.says("delete w word",
                  "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]")
        self.says("delete w 0", "DELETED")

    def test_noreply_is_a_key_where_a_key_stands(self):
        self.says("set noreply 0 0 1", "STORED", b"1")
        self.says("incr noreply 1", "2")
        self.says("touch noreply 0", "TOUCHED")
        self.says("delete noreply", "DELETED")
        self.says("incr noreply", "ERROR")

    def test_blanks_around_words(self):
        self.says("  set  b  0  0  1  ", "STORED", b"1")
        for line in (b"  get  b  \r\n", b" bget b\n", b"get b\r\n"):
            self.text.socket.sendall(line)
            self.assertEqual([self.text.line() for _ in range(3)], ["VALUE b 0 1", "1", "END"])

    def test_delays_of_flush_all(self):
        self.says("flush_all +100000", "OK")
        self.says("flush_all x", FORMAT)
        self.says("flush_all 99999999999999999999", FORMAT)
        self.alive()
        self.says("flush_all -1", "OK")
        self.assertEqual(self.text.get("guard"), {})

    def test_groups_of_statistics(self):
        self.says("stats detail on word", "OK")
        self.says("stats detail dump word", "END")
        self.says("stats cachedump 1 100", "END")
        self.says("stats cachedump 1", "CLIENT_ERROR bad command line")
        self.says("stats cachedump x 1", "CLIENT_ERROR bad command line format")

    def test_the_version_is_what_strict_parsers_read(self):
        self.assertRegex(self.text.call("version"), r"^VERSION 1\.\d+\.\d+$")
        self.assertEqual(self.open().call(wire.VERSION).value.decode(),
                         self.text.stats()["version"])
        # The meta commands, which came with 1.6, and what 1.4.11 and later can be told.
        self.assertLess([int(part) for part in self.text.stats()["version"].split(".")], [1, 4, 11])


class Touch(HostTest):
    """touch, gat, gats."""

    def test_touch(self):
        call = self.text.call
        self.assertEqual(call("touch u 10"), "NOT_FOUND")
        self.assertEqual(call("set u 5 0 1", b"1"), "STORED")
        for exptime in ("100", "0", "+5", "2147483647"):
            self.assertEqual(call(f"touch u {exptime}"), "TOUCHED")
        self.text.socket.sendall(b"touch u 100 noreply\r\ntouch absent 100 noreply\r\n")
        self.assertEqual(self.text.get("u"), {"u": (b"1", 5, None)})
        for exptime in ("-1", "4294967295"):
            self.assertEqual(call("set u 5 0 1", b"1"), "STORED")
            self.assertEqual(call(f"touch u {exptime}"), "TOUCHED")
            self.assertEqual(self.text.get("u"), {})

    def test_what_is_refused(self):
        for line, answer in (
            ("touch", "ERROR"), ("touch k", "ERROR"), ("touch k 1 2 3", "ERROR"),
            ("touch k x", "CLIENT_ERROR invalid exptime argument"),
            (f"touch {'k' * 251} 0", FORMAT),
            ("gat", "ERROR"), ("gat 10", "ERROR"), ("gats", "ERROR"),
            ("gat x k", "CLIENT_ERROR invalid exptime argument"),
            (f"gat 0 {'k' * 251}", FORMAT),
        ):
            with self.subTest(line=line[:40]):
                self.assertEqual(self.text.call(line), answer)

    def test_gat(self):
        self.assertEqual(self.text.call("set a 5 0 3", b"one"), "STORED")
        self.assertEqual(self.text.call("set b 6 0 0", b""), "STORED")
        found = {"a": (b"one", 5, None), "b": (b"", 6, None)}
        self.assertEqual(self.text.get("100", "a", "absent", "b", command="gat"), found)
        cas = self.text.get("a", "b", command="gets")
        self.assertEqual(self.text.get("0", "a", "b", command="gats"), cas)
        self.assertEqual(self.text.get("-1", "a", command="gat"), {"a": (b"one", 5, None)})
        self.assertEqual(self.text.get("a", "b"), {"b": (b"", 6, None)})

    def test_gat_of_many_keys(self):
        keys = [f"{n}".rjust(250, "g") for n in range(2000)]
        lines = "".join(f"set {key} 0 0 3 noreply\r\nabc\r\n" for key in keys)
        self.text.socket.sendall(lines.encode())
        found = self.text.get("100", *keys, command="gat")
        self.assertEqual(found, {key: (b"abc", 0, None) for key in keys})

    def test_a_vbucket_that_is_not_active(self):
        self.assertEqual(self.text.call("set t 0 0 1", b"1"), "STORED")
        link = self.open()
        link.call(wire.SET_VBUCKET, extras=b"\0\0\0\2")
        self.addCleanup(link.call, wire.SET_VBUCKET, extras=b"\0\0\0\1")
        self.assertEqual(self.text.call("touch t 0"), "SERVER_ERROR not my vbucket")
        self.assertEqual(self.text.get("0", "t", command="gat"), {})

    def test_they_are_counted(self):
        self.assertEqual(self.text.call("set t 0 0 1", b"1"), "STORED")
        names = ("cmd_touch", "touch_hits", "touch_misses")
        before = [self.counts(name) for name in names]
        self.text.call("touch t 0")
        self.text.call("touch absent 0")
        self.text.get("0", "t", "absent", command="gat")
        link = self.open()
        link.touch(wire.TOUCH, b"t", 0)
        link.touch(wire.GAT, b"absent", 0)
        link.pipeline([wire.request(wire.GATQ, b"absent", b"\0\0\0\0")])
        now = [self.counts(name) for name in names]
        self.assertEqual([b - a for a, b in zip(before, now)], [7, 3, 4])


class ManyKeys(HostTest):
    """Get lines of any length."""

    def fill(self, count, size):
        """Stores keys of 250 bytes."""
        keys = [f"{n}".rjust(250, "m") for n in range(count)]
        for at in range(0, count, 100):
            self.text.socket.sendall(b"".join(
                f"set {key} 0 0 {size} noreply\r\n".encode() + b"v" * size + b"\r\n"
                for key in keys[at:at + 100]))
        return keys

    def test_all_keys_come_though_the_client_sends_before_it_reads(self):
        keys = self.fill(2000, 8000)
        expected = {key: (b"v" * 8000, 0, None) for key in keys}
        for command in ("get", "gets"):
            found = self.text.get(*keys, "absent", command=command)
            self.assertEqual({key: hit[:2] for key, hit in found.items()},
                             {key: hit[:2] for key, hit in expected.items()})
        self.alive()

    def test_a_line_that_never_ends_takes_no_memory(self):
        before = self.host.memory()
        text = self.open_ascii()
        text.socket.sendall(b"get")
        for _ in range(64):
            text.socket.sendall((" absent" * 150_000).encode())
        text.socket.sendall(b"\r\n")
        self.assertEqual(text.line(), "END")
        self.assertLess(self.host.memory(), before + 16 * 1024 * 1024)

    def test_a_key_that_is_too_long_among_many(self):
        keys = [f"{n}".rjust(250, "x") for n in range(500)]
        for long in ("k" * 251, "k" * 100_000):
            line = " ".join(["get", *keys, long, *keys]).encode() + b"\r\n"
            self.text.socket.sendall(line)
            self.assertEqual(self.text.line(), FORMAT)
            self.alive()

    def test_a_line_without_a_key(self):
        self.assertEqual(self.text.call("get" + " " * 100_000), "ERROR")
        self.alive()

    def test_pieces_of_any_size(self):
        line = b"get guard absent  guard " + b"a" * 250 + b" guard\r\n"
        for size in range(1, 40):
            for at in range(0, len(line), size):
                self.text.socket.sendall(line[at:at + size])
            found = [self.text.line() for _ in range(7)]
            self.assertEqual(found, ["VALUE guard 0 1", "1"] * 3 + ["END"], size)

    def test_a_client_that_does_not_read_is_not_read_from_for_ever(self):
        keys = self.fill(100, 8000)
        before = self.host.memory()
        text = self.open_ascii()
        text.socket.setblocking(False)
        line, sent = (" ".join(keys) + " ").encode(), 0
        text.socket.setblocking(True)
        text.socket.sendall(b"get ")
        text.socket.setblocking(False)
        while sent < 256 * 1024 * 1024:
            if not select.select([], [text.socket], [], 2)[1]:
                break
            try:
                sent += text.socket.send(line)
            except BlockingIOError:
                continue
        self.assertLess(sent, 256 * 1024 * 1024)
        self.assertLess(self.host.memory(), before + 32 * 1024 * 1024)
        self.alive()


class Statistics(HostTest):
    """What every memcached has, with true values."""

    def differences(self, action, *names):
        """By how much an action changes statistics."""
        before = self.text.stats()
        action()
        after = self.text.stats()
        return {name: int(after[name]) - int(before[name]) for name in names}

    def test_cas_is_counted(self):
        link = self.open()

        def action():
            call = self.text.call
            call("set c 0 0 1", b"1")
            unique = self.text.get("c", command="gets")["c"][2]
            self.assertEqual(call(f"cas c 0 0 1 {unique}", b"2"), "STORED")
            self.assertEqual(call(f"cas c 0 0 1 {unique}", b"2"), "EXISTS")
            self.assertEqual(call(f"cas c 0 0 1 {unique}", b"2"), "EXISTS")
            self.assertEqual(call("cas absent 0 0 1 1", b"2"), "NOT_FOUND")
            cas = link.get(b"c").cas
            self.assertEqual(link.set(b"c", b"3", cas=cas).status, wire.SUCCESS)
            self.assertEqual(link.set(b"c", b"3", cas=cas).status, wire.EEXISTS)
            self.assertEqual(link.set(b"absent", b"3", cas=cas).status, wire.ENOENT)

        self.assertEqual(self.differences(action, "cas_hits", "cas_badval", "cas_misses"),
                         {"cas_hits": 2, "cas_badval": 3, "cas_misses": 2})

    def test_connections(self):
        stats = self.text.stats()
        self.assertEqual(stats["accepting_conns"], "1")
        self.assertEqual(stats["listen_disabled_num"], "0")
        self.assertEqual(stats["auth_cmds"], "0")
        self.assertEqual(stats["auth_errors"], "0")
        several = [self.open_ascii() for _ in range(50)]
        for text in several:
            text.call("version")
        structures = int(self.text.stats()["connection_structures"])
        self.assertGreaterEqual(structures, 51)
        for text in several:
            text.close()
        server.until(lambda: int(self.text.stats()["curr_connections"]) < 10)
        self.assertGreaterEqual(int(self.text.stats()["connection_structures"]), structures)

    def test_yields_are_counted(self):
        link = self.open()

        def action():
            link.pipeline([wire.request(wire.NOOP)] * 0 + [wire.request(wire.GETQ, b"absent")] *
                          1000)

        self.assertGreater(self.differences(action, "conn_yields")["conn_yields"], 0)

    def test_the_limit_is_the_engines(self):
        stats = self.text.stats()
        self.assertEqual(stats["limit_maxbytes"], str(64 * 1024 * 1024))
        self.assertEqual(self.open().stats()["limit_maxbytes"], str(64 * 1024 * 1024))
