"""Backups of a node that runs, restored into others, with every key checked."""

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import backup
import base
import cluster
import server
import tap
import wire
from backup import call, contents, fill
from cluster import name
from server import until
from wire import (COMPLETE, EBUSY, EEXISTS, EINVAL, ENOENT, ETMPFAIL, GET_LOCKED,
                  NOT_MY_VBUCKET, NOT_SUPPORTED, RESTORE_ABORT, RESTORE_BEGIN, RESTORE_COMPLETE,
                  RESTORE_FILE, RESTORE_KEY, REVERT, START, SUCCESS, UNLOCK_KEY)

REFUSED, USAGE, PARTLY = 1, 2, 3
KEYS = [b"key %d" % number for number in range(3000)]


class Backups(unittest.TestCase):
    """A test with a source and a destination, and a folder for files."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="engine-backup-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.source = self.node()
        self.link = self.open(self.source)

    def node(self, config=""):
        """A node of its own."""
        host = server.Server(config)
        self.addCleanup(host.close)
        return host

    def open(self, host):
        """A connection."""
        link = host.binary()
        self.addCleanup(link.close)
        return link

    def file(self, word):
        """A path in the test's folder."""
        return os.path.join(self.folder, word)

    def create(self, word, *options, **more):
        """Backs the source up."""
        path = self.file(word)
        done = call("create", path, "-n", name(self.source), "--json", *options, **more)
        return path, done.objects()[-1]

    def restored(self, *files, host=None):
        """A node that has these."""
        host = host or self.node()
        done = call("restore", *files, "-n", name(host), "--json")
        return host, done.objects()[-1]

    def holds_all(self, host, keys, expected, vbucket=0):
        """Checks every key of a node: value, flags, CAS, or that it is not there."""
        with host.binary() as link:
            found = contents(link, keys, vbucket)
        self.assertEqual(found.keys(), expected.keys())
        self.assertEqual(found, expected)

    def kept(self):
        """Names under which the source keeps what another backup needs."""
        return [name for name in self.link.stats(b"tap")
                if name.startswith("eq_tapq:backup:") and name.endswith(":type")]


class Ended(Backups):
    """Signals while a backup is made."""

    def ended(self, *signals, shell=""):
        """Begins one of a series with the node silent, and sends signals; checks what is left."""
        proxy = backup.Proxy(self.source, wire.TAP_CONNECT, stays=True)
        self.addCleanup(proxy.close)
        words = [backup.PROGRAM, "create", self.file("b"), "--keep", "series", "-n", name(proxy),
                 "--timeout", "60s"]
        process = subprocess.Popen(
            ["sh", "-c", shell + 'exec "$@"', "sh", *words], env=cluster.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        until(self.kept, what="a place of its own")
        for signal_number in signals:
            process.send_signal(signal_number)
        done = cluster.end(process)
        self.assertEqual(done.status, REFUSED, done)
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(self.kept(), [])
        return done

    def test_a_signal_leaves_nothing_behind(self):
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.assertIn(signal_number.name, self.ended(signal_number).err)

    def test_what_is_ignored_stays_so(self):
        # A second one that is not would end it at once.
        done = self.ended(signal.SIGHUP, signal.SIGINT, signal.SIGTERM,
                          shell="trap '' HUP INT; ")
        self.assertIn("SIGTERM", done.err)


class Create(Backups):
    """What is in a backup."""

    def test_a_full_one_and_those_on_it_restore_every_key(self):
        for vbucket in (1, 5):
            tap.set_state(self.link, vbucket, wire.ACTIVE)
            fill(self.link, KEYS[:100], vbucket=vbucket)
        tap.set_state(self.link, 7, wire.REPLICA)
        fill(self.link, KEYS)
        full, said = self.create("full", "--keep", "series")
        self.assertEqual((said["values"], said["vbuckets"], said["full"]), (3200, 3, True))
        self.assertEqual(os.stat(full).st_mode & 0o777, 0o600)
        states = [contents(self.link, KEYS)]
        for key in KEYS[::3]:
            self.link.delete(key)
        fill(self.link, KEYS[1::3], b"%s of the second day")
        fill(self.link, [b"new"], b"%s")
        self.source.drained(self.link)
        second, said = self.create("second", "--on", full)
        self.assertEqual((said["whole_vbuckets"], said["deletions"]), (0, 1000))
        states.append(contents(self.link, KEYS + [b"new"]))
        # Deleted keys come back, and others go.
        fill(self.link, KEYS[:30:3], b"%s of the third day")
        self.link.delete(b"new")
        for key in KEYS[1:31:3]:
            self.link.delete(key)
        third, said = self.create("third", "--on", second)
        self.assertEqual(said["whole_vbuckets"], 0)
        states.append(contents(self.link, KEYS + [b"new"]))
        self.assertIn("fit together", call("verify", third, full, second).out)
        for files, state in zip(([full], [second, full], [third, full, second]), states):
            host = self.node()
            with host.binary() as link:
                for vbucket in (1, 5):
                    tap.set_state(link, vbucket, wire.ACTIVE)
            self.restored(*files, host=host)
            self.holds_all(host, KEYS + [b"new"], state)
            self.holds_all(host, KEYS, contents(self.link, KEYS, 5), 5)
            # And from its disk.
            host.drained()
            host.restart()
            self.holds_all(host, KEYS + [b"new"], state)
        # What is kept for the next one goes when nobody wants it.
        streams = self.link.stats(b"tap")
        self.assertTrue(any("backup:series:" in name for name in streams))
        node = ["-n", name(self.source)]
        self.assertIn("let go of what it kept", call("forget", third, *node).out)
        self.assertFalse(any("backup:" in name for name in self.link.stats(b"tap")))
        self.assertIn("nothing to let go of: it kept nothing", call("forget", third, *node).out)
        (told,) = call("forget", third, *node, "--json").objects()
        self.assertEqual((told["exit"], told["kept"]), (0, False))

    def test_what_a_backup_goes_on_from_is_not_said_to_be_whole(self):
        fill(self.link, KEYS[:10])
        full, _ = self.create("full", "--keep", "series")
        second, _ = self.create("second", "--on", full)
        self.assertNotIn("not looked at", call("verify", full).out)
        self.assertIn("what it goes on from was not looked at", call("verify", second).out)
        self.assertNotIn("not looked at", call("verify", full, second).out)
        self.assertIs(call("verify", second, "--json").objects()[-1]["base_read"], False)

    def test_what_was_not_kept_cannot_be_forgotten(self):
        full, _ = self.create("full")
        self.assertIn("made without --keep", call("forget", full, "-n", name(self.source)).out)

    def test_a_node_that_has_kept_nothing_gives_the_whole_state(self):
        fill(self.link, KEYS[:500])
        full, _ = self.create("full", "--keep", "series")
        self.source.drained(self.link)
        self.link.close()
        self.source.restart()
        self.link = self.open(self.source)
        self.link.delete(KEYS[0])
        fill(self.link, [b"new"])
        second, said = self.create("second", "--on", full)
        self.assertEqual((said["whole_vbuckets"], said["values"]), (1, 500))
        state = contents(self.link, KEYS + [b"new"])
        for files in ([full, second], [second]):
            host, _ = self.restored(*files)
            self.holds_all(host, KEYS + [b"new"], state)
        # Another series under the same name begins anew.
        self.create("again", "--keep", "series")
        streams = [key for key in self.link.stats(b"tap") if key.endswith(":type")]
        self.assertEqual(len([key for key in streams if "backup:series:" in key]), 1)
        done = call("create", self.file("x"), "-n", name(self.source), "--on",
                    self.create("alone")[0], expected=REFUSED)
        self.assertIn("--keep", done.err)

    def test_in_a_window_it_is_the_state_before(self):
        fill(self.link, KEYS)
        before = contents(self.link, KEYS)
        full, said = self.create("full", "--keep", "series")
        self.link.call(START)
        fill(self.link, KEYS[::2] + [b"new"], b"%s of the window")
        for key in KEYS[1::4]:
            self.link.delete(key)
        inside, said = self.create("inside")
        self.assertIn("before the online update", said["state"])
        on, said = self.create("on", "--on", full)
        self.assertEqual((said["values"], said["deletions"]), (3000, 0))
        for files in ([inside], [full, on]):
            host, _ = self.restored(*files)
            self.holds_all(host, KEYS + [b"new"], before)
        after = contents(self.link, KEYS + [b"new"])
        self.assertEqual(self.link.call(COMPLETE).status, SUCCESS)
        later, said = self.create("later", "--on", on)
        host, _ = self.restored(full, on, later)
        self.holds_all(host, KEYS + [b"new"], after)
        # A window that is taken back is in no backup.
        self.link.call(START)
        fill(self.link, KEYS[:100] + [b"newer"], b"%s taken back")
        self.assertEqual(self.link.call(REVERT).status, SUCCESS)
        fill(self.link, [b"last"])
        last, said = self.create("last", "--on", later)
        self.assertEqual((said["values"], said["deletions"]), (1, 0))
        host, _ = self.restored(full, on, later, last)
        keys = KEYS + [b"new", b"newer", b"last"]
        self.holds_all(host, keys, contents(self.link, keys))

    def test_under_writes_each_key_has_a_value_that_it_had(self):
        fill(self.link, KEYS, b"%s 0")
        stopped = threading.Event()
        written = []

        def write():
            with self.source.binary() as link:
                for number in range(1, 1 << 30):
                    if stopped.is_set():
                        return
                    key = KEYS[number % len(KEYS)]
                    link.set(key, b"%s %d" % (key, number))
                    written.append(number)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            until(lambda: len(written) > 100)
            begun = len(written)
            path, said = self.create("busy")
            ended = len(written) + 1
        finally:
            stopped.set()
            thread.join()
        self.assertGreater(ended, begun)
        host, _ = self.restored(path)
        numbers = []
        with host.binary() as link:
            for key, value, _ in link.get_many(KEYS):
                self.assertTrue(value.startswith(key), (key, value))
                numbers.append(int(value[len(key):]))
        # One instant: all that was written by then, and nothing that came later.
        last = max(numbers)
        self.assertTrue(begun - 1 <= last <= ended, (begun, last, ended))
        expected = {index: number for number in range(1, last + 1)
                    for index in [number % len(KEYS)]}
        self.assertEqual(numbers, [expected.get(index, 0) for index in range(len(KEYS))])

    def test_values_that_are_on_the_disk_only_and_expiries(self):
        fill(self.link, KEYS[:200], b"%s " + b"x" * 1000)
        self.link.set(b"ends", b"v", expiry=3000)
        self.link.set(b"empty", b"", flags=0x01020304)
        self.source.drained(self.link)
        for key in KEYS[:200]:
            self.link.call(0x93, key)
        path, _ = self.create("evicted")
        host, _ = self.restored(path)
        keys = KEYS[:200] + [b"ends", b"empty"]
        self.holds_all(host, keys, contents(self.link, keys))
        ends = self.link.stats(b"key ends 0")["key_exptime"]
        with host.binary() as link:
            self.assertEqual(link.stats(b"key ends 0")["key_exptime"], ends)
        listed = call("list", path, "--prefix", "e", "--json").objects()
        self.assertEqual({one["key"]: one["bytes"] for one in listed}, {"ends": 1, "empty": 0})
        self.assertEqual({one["flags"] for one in listed}, {0, 0x01020304})

    def test_what_cannot_be_is_said(self):
        path = self.file("there")
        with open(path, "wb") as file:
            file.write(b"precious")
        node = name(self.source)
        done = call("create", path, "-n", node, expected=REFUSED)
        self.assertIn("already", done.err)
        done = call("create", self.file("a"), "-n", "127.0.0.1:1", expected=REFUSED)
        self.assertIn("no connection", done.err)
        done = call("create", self.file("no/folder"), "-n", node, expected=REFUSED)
        self.assertIn("No such file", done.err)
        done = call("create", self.file("a"), "-n", node, "--keep", "a b", expected=REFUSED)
        self.assertIn("--keep", done.err)
        self.assertIn("ENGINE_BACKUP_NODE", call("create", self.file("a"), expected=USAGE).err)
        tap.set_state(self.link, 0, wire.REPLICA)
        done = call("create", self.file("a"), "-n", node, "--json", expected=REFUSED)
        self.assertIn("no active vbucket", done.objects()[-1]["text"])
        self.assertEqual(os.listdir(self.folder), ["there"])

    def test_one_that_fails_leaves_nothing_on_the_node(self):
        fill(self.link, KEYS)
        full, _ = self.create("full", "--keep", "other")
        # The disk takes half a KiB, which is known when the node has sent all.
        script = 'trap "" XFSZ; ulimit -f 1; exec "$0" "$@"'
        done = cluster.call("-c", script, backup.PROGRAM, "create", self.file("a"), "--keep",
                            "series", "-n", name(self.source), program="/bin/sh")
        self.assertEqual(done.status, REFUSED, done)
        self.assertIn("File too large", done.err)
        self.assertEqual(os.listdir(self.folder), ["full"])
        streams = self.link.stats(b"tap")
        self.assertFalse([key for key in streams if "backup:series" in key])
        # What an earlier one has the node keep stays.
        self.assertTrue([key for key in streams if "backup:other" in key])

    def test_a_window_of_some_vbuckets_makes_no_snapshot_of_the_node(self):
        tap.set_state(self.link, 1, wire.REPLICA)
        peer = self.open(self.source)
        mark = struct.pack(">I", tap.UPDATE_START)
        peer.send(wire.tap_event(wire.TAP_OPAQUE, engine=mark, flags=wire.TAP_ACK, vbucket=1))
        self.assertEqual(peer.receive().status, SUCCESS)
        tap.set_state(self.link, 1, wire.ACTIVE)
        _, said = self.create("some")
        self.assertIn("of its own", said["state"])

    def test_a_user_and_a_password(self):
        fill(self.link, KEYS[:10])
        path, _ = self.create("full")
        guard = cluster.Guard(self.node(), "operator", "secret word")
        self.addCleanup(guard.close)
        asked = ["restore", path, "-n", guard.name]
        self.assertIn("--user", call(*asked, expected=REFUSED).err)
        variables = {"ENGINE_BACKUP_PASSWORD": "secret word"}
        done = call(*asked, "--user", "operator", variables=variables)
        self.assertIn("10 values restored", done.out)
        self.assertNotIn("secret word", str(done))


class Swallowing(cluster.Guard):
    """Lets keys of a restore pass, and ends the connection in place of the first answer."""

    @staticmethod
    def _pass_on(node, link, opcode):
        if opcode != RESTORE_KEY:
            cluster.Guard._pass_on(node, link, opcode)
            return
        node.receive()
        link.shutdown(socket.SHUT_RDWR)


class Holding(cluster.Guard):
    """Ends a restore before its first answer comes, which comes when a sign of life is due."""

    held = False

    def _pass_on(self, node, link, opcode):
        if opcode == RESTORE_KEY and not self.held:
            self.held = True
            with self.host.binary() as other:
                assert other.call(RESTORE_ABORT).status == SUCCESS
            time.sleep(11)
        cluster.Guard._pass_on(node, link, opcode)


class Restore(Backups):
    """What becomes of a node."""

    def test_keys_may_be_in_place_whose_answers_are_lost(self):
        fill(self.link, KEYS[:1])
        path, _ = self.create("full")
        host = self.node()
        guard = Swallowing(host, "operator", "word")
        self.addCleanup(guard.close)
        done = call("restore", path, "-n", guard.name, "--user", "operator", expected=PARTLY,
                    variables={"ENGINE_BACKUP_PASSWORD": "word"})
        self.assertIn("at least 0 keys are in place", done.err)
        with host.binary() as link:
            self.assertEqual(link.get(KEYS[0]).status, SUCCESS)

    def test_a_node_that_stays_in_restore_mode_is_not_said_to_answer_misses(self):
        fill(self.link, KEYS[:1])
        path, _ = self.create("full")
        host = self.node("restore_mode=true")
        guard = Swallowing(host, "operator", "word")
        self.addCleanup(guard.close)
        done = call("restore", path, "-n", guard.name, "--user", "operator", expected=PARTLY,
                    variables={"ENGINE_BACKUP_PASSWORD": "word"})
        self.assertIn("restore_mode=true stays in restore mode", done.err)
        with host.binary() as link:
            self.assertEqual(link.get(KEYS[1]).status, NOT_SUPPORTED)

    def test_a_restore_that_the_node_has_ended_is_not_begun_anew_on_the_way(self):
        fill(self.link, KEYS[:10])
        # The checkpoint ends, so the second one has the deletion alone.
        for opcode in (START, COMPLETE):
            self.assertEqual(self.link.call(opcode).status, SUCCESS)
        full, _ = self.create("full", "--keep", "series")
        self.link.delete(KEYS[0])
        self.source.drained(self.link)
        second, said = self.create("second", "--on", full)
        self.assertEqual((said["values"], said["deletions"]), (0, 1))
        host = self.node()
        guard = Holding(host, "operator", "word")
        self.addCleanup(guard.close)
        done = call("restore", full, second, "-n", guard.name, "--user", "operator",
                    expected=PARTLY, variables={"ENGINE_BACKUP_PASSWORD": "word"})
        self.assertIn("was aborted", done.err)
        with host.binary() as link:
            self.assertEqual(link.get(KEYS[0]).status, ENOENT)

    def test_vbuckets_that_the_newest_does_not_have_are_named(self):
        tap.set_state(self.link, 1, wire.ACTIVE)
        for vbucket in (0, 1):
            fill(self.link, KEYS[:10], vbucket=vbucket)
        # The checkpoints end, so the second one has nothing again.
        for opcode in (START, COMPLETE):
            self.assertEqual(self.link.call(opcode).status, SUCCESS)
        full, said = self.create("full", "--keep", "series")
        self.assertEqual(said["missing_vbuckets"], [])
        tap.set_state(self.link, 1, wire.REPLICA)
        fill(self.link, KEYS[10:20])
        self.source.drained(self.link)
        second, said = self.create("second", "--on", full)
        self.assertEqual((said["vbuckets"], said["missing_vbuckets"]), (1, [1]))
        host, said = self.restored(full, second)
        self.assertEqual((said["other_vbuckets"], said["left_out"]), ([1], 0))
        self.holds_all(host, KEYS[:20], contents(self.link, KEYS[:20]))
        done = call("restore", full, second, "-n", name(self.node()))
        self.assertIn("the newest backup has nothing of it: vbucket 1", done.out)

    def test_what_clients_write_and_delete_meanwhile_wins(self):
        fill(self.link, KEYS)
        many = [b"many %d" % number for number in range(20_000)]
        fill(self.link, many)
        state = contents(self.link, KEYS + many)
        path, _ = self.create("full")
        # What is deleted counts from the start of the node on.
        host = self.node("restore_mode=true")
        stopped = threading.Event()
        own = {}
        dice = random.Random(7)

        def write():
            with host.binary() as link:
                while not stopped.is_set():
                    key = dice.choice(many)
                    if dice.random() < 0.5:
                        self.assertEqual(link.set(key, b"of a client").status, SUCCESS)
                        own[key] = b"of a client"
                        continue
                    # In restore mode the hosts make EINVAL of a temporary failure.
                    status = link.delete(key).status
                    self.assertIn(status, (SUCCESS, ENOENT, EINVAL))
                    if status == SUCCESS:
                        own[key] = None

        thread = threading.Thread(target=write)
        thread.start()
        try:
            until(lambda: len(own) > 50)
            self.restored(path, host=host)
        finally:
            stopped.set()
            thread.join()
        with host.binary() as link:
            found = contents(link, KEYS + many)
        for key in KEYS + many:
            value = found[key][0] if key in found else None
            if key in own:
                self.assertEqual(value, own[key], key)
            else:
                self.assertEqual(found.get(key), state[key], key)

    def test_files_that_are_not_right_are_refused_and_nothing_is_sent(self):
        fill(self.link, KEYS[:100])
        full, _ = self.create("full", "--keep", "series")
        second, _ = self.create("second", "--on", full)
        third, _ = self.create("third", "--on", second)
        other, _ = self.create("other")
        with open(full, "rb") as file:
            whole = file.read()
        for word, data in [("cut", whole[:-1]), ("half", whole[:len(whole) // 2]),
                           ("flipped", whole[:300] + bytes([whole[300] ^ 1]) + whole[301:]),
                           ("sqlite", b"SQLite format 3\0" + bytes(4096)),
                           ("text", b"nothing of ours"), ("empty", b"")]:
            with open(self.file(word), "wb") as file:
                file.write(data)
        host = self.node()
        for files, words in [
                (["cut"], "truncated"), (["half"], "truncated"), (["flipped"], "damaged"),
                (["sqlite"], "ep-engine"), (["text"], "no backup"), (["empty"], "no backup"),
                (["missing"], "No such file"), (["second"], "not among these"),
                (["full", "third"], "does not go on"), (["full", "other"], "does not go on"),
                (["full", "second", "second"], "the same backup"), (["full", "cut"], "truncated")]:
            paths = [self.file(word) for word in files]
            done = call("restore", *paths, "-n", name(host), expected=REFUSED)
            self.assertIn(words, done.err, files)
            if len(files) == 1 and files != ["second"]:
                self.assertIn(words, call("verify", *paths, expected=REFUSED).err)
                self.assertIn(words, call("list", *paths, expected=REFUSED).err)
        with host.binary() as link:
            self.assertEqual(link.stats()["curr_items"], "0")
            tap.set_state(link, 0, wire.DEAD)
        done = call("restore", full, "-n", name(host), expected=REFUSED)
        self.assertIn("vbucket 0", done.err)

    def test_it_is_refused_in_a_window_and_beside_another_one(self):
        fill(self.link, KEYS[:10])
        path, _ = self.create("full")
        host = self.node()
        with host.binary() as link, host.binary() as other:
            link.call(START)
            done = call("restore", path, "-n", name(host), expected=REFUSED)
            self.assertIn("online update", done.err)
            link.call(REVERT)
            self.assertEqual(other.call(RESTORE_BEGIN).status, SUCCESS)
            done = call("restore", path, "-n", name(host), expected=REFUSED)
            self.assertIn("another connection", done.err)
            self.assertEqual(link.call(START).status, NOT_SUPPORTED)
            other.call(RESTORE_ABORT)
        self.restored(path, host=host)

    def test_a_value_that_is_too_long_is_left_out(self):
        self.link.set(b"long", b"x" * 5000)
        self.link.set(b"short", b"x")
        path, _ = self.create("full")
        host = self.node("max_item_size=1000")
        host, said = self.restored(path, host=host)
        self.assertEqual((said["restored"], said["too_big"]), (1, 1))
        with host.binary() as link:
            self.assertEqual(link.get(b"long").status, ENOENT)

    def test_what_has_expired_meanwhile_is_told(self):
        self.link.set(b"long", b"x")
        for attempt in range(20):
            self.link.set(b"short", b"x", expiry=2)
            path, said = self.create(f"full {attempt}")
            # It may take too long for that.
            if said["values"] == 2:
                break
        until(lambda: self.link.get(b"short").status == ENOENT, what="it has expired")
        _, said = self.restored(path)
        self.assertEqual((said["restored"], said["expired"]), (1, 1))

    def test_what_a_cache_has_no_room_for_is_told(self):
        keys = [b"%0200d" % number for number in range(30_000)]
        fill(self.link, keys)
        path, _ = self.create("full")
        host = server.Server("max_size=8m", on_disk=False)
        self.addCleanup(host.close)
        done = call("restore", path, "-n", name(host), "--json")
        said = done.objects()[-1]
        self.assertIn("larger than its max_size", done.err)
        self.assertGreater(said["no_room"], 0, said)
        self.assertEqual(said["left_out"], 0)
        self.assertEqual(said["restored"] + said["no_room"], len(keys))

    def test_an_end_without_an_answer_is_told_as_one(self):
        fill(self.link, KEYS)
        path, _ = self.create("full")
        host = self.node()
        proxy = backup.Proxy(host, RESTORE_COMPLETE, stays=False)
        self.addCleanup(proxy.close)
        done = call("restore", path, "-n", name(proxy), expected=PARTLY)
        self.assertIn("every key is in place", done.err)
        self.assertNotIn("missing", done.err)
        self.holds_all(host, KEYS, contents(self.link, KEYS))

    def test_a_long_value_comes_back_where_a_client_may_set_it(self):
        config = "max_item_size=30m"
        source = self.node(config)
        value = os.urandom(25 << 20)
        with source.binary() as link:
            self.assertEqual(link.set(b"long", value).status, SUCCESS)
        path = self.file("long")
        call("create", path, "-n", name(source))
        host, said = self.restored(path, host=self.node(config))
        self.assertEqual((said["restored"], said["too_big"]), (1, 0))
        with host.binary() as link:
            self.assertEqual(link.get(b"long").value, value)

    def test_progress_is_told(self):
        fill(self.link, KEYS)
        path, _ = self.create("full")
        done = call("restore", path, "-n", name(self.node()))
        self.assertIn("restored, 100%", done.err)
        self.assertIn("3000 values restored", done.out)


class Commands(base.ServerTest):
    """The commands of a restore over the wire."""

    def begin(self, link=None):
        """Begins one; it has ended when the test has."""
        link = link or self.open()
        self.status(link.call(RESTORE_BEGIN, b"file"), SUCCESS)
        return link

    def put(self, link, key, value=b"backup", flags=7, **header):
        """RESTORE_KEY with a value."""
        return link.call(RESTORE_KEY, key, struct.pack(">II", flags, 0), value, **header)

    def outside(self):
        """Waits until no restore runs."""
        until(lambda: not self.link.stats(b"restore"), what="end of the restore")

    def test_outside_of_restore_mode_they_answer_as_ever(self):
        for opcode in (RESTORE_FILE, RESTORE_ABORT, RESTORE_COMPLETE):
            answer = self.link.call(opcode, b"/tmp/x" if opcode == RESTORE_FILE else b"")
            self.status(answer, NOT_SUPPORTED)
            self.assertEqual(answer.value, b"")
        self.status(self.put(self.link, self.key()), NOT_SUPPORTED)
        self.assertEqual(self.link.stats(b"restore"), {})

    def test_a_lock_of_a_key_that_may_come_is_refused_in_words_of_its_own(self):
        tool = self.begin()
        self.link.set(self.key("there"), b"client")
        self.status(self.link.call(GET_LOCKED, self.key("there")), SUCCESS)
        for opcode in (GET_LOCKED, UNLOCK_KEY):
            answer = self.status(self.link.call(opcode, self.key()), ETMPFAIL)
            self.assertIn(b"a restore may bring the key", answer.value)
            answer = self.status(self.link.call(opcode, self.key("there")), ETMPFAIL)
            self.assertIn(b"LOCK_ERROR", answer.value)
        self.status(tool.call(RESTORE_COMPLETE), SUCCESS)
        self.status(self.link.call(GET_LOCKED, self.key()), ENOENT)

    def test_a_key_is_put_where_there_is_none(self):
        tool = self.begin()
        self.link.set(self.key("there"), b"client")
        self.status(self.put(tool, self.key(), flags=0x01020304, cas=77), SUCCESS)
        self.status(self.put(tool, self.key("there")), EEXISTS)
        self.status(tool.call(RESTORE_KEY, self.key("gone")), SUCCESS)
        self.status(self.put(tool, self.key("gone")), EEXISTS)
        self.status(self.put(tool, self.key(), vbucket=99), NOT_MY_VBUCKET)
        lines = self.link.stats(b"restore")
        self.assertEqual(lines["ep_restore:state"], "running")
        self.assertEqual(lines["ep_restore:file"], "file")
        self.assertEqual(lines["ep_restore:number_restored"], "2")
        self.assertEqual(lines["ep_restore:number_skipped"], "2")
        self.assertEqual(lines["ep_restore:number_wrong_vbucket"], "1")
        self.status(tool.call(RESTORE_COMPLETE), SUCCESS)
        answer = self.holds(self.key(), b"backup")
        self.assertEqual((answer.extras, answer.cas), (bytes([1, 2, 3, 4]), 77))
        self.holds(self.key("there"), b"client")
        self.holds(self.key("gone"), None)

    def test_a_miss_is_a_temporary_failure(self):
        tool = self.begin()
        key = self.key("missing")
        # GET and DELETE as the hosts let them be answered.
        self.status(self.link.get(key), NOT_SUPPORTED)
        self.status(self.link.delete(key), EINVAL)
        for opcode in (wire.ADD, wire.REPLACE):
            self.status(self.link.set(key, b"v", opcode=opcode), ETMPFAIL)
        for opcode in (wire.APPEND, wire.PREPEND):
            self.status(self.link.call(opcode, key, value=b"v"), ETMPFAIL)
        self.status(self.link.set(key, b"v", cas=5), ETMPFAIL)
        self.status(self.link.arithmetic(wire.INCR, key, 1), ETMPFAIL)
        for opcode in (wire.TOUCH, wire.GAT, wire.GATQ):
            self.status(self.link.touch(opcode, key, 10), ETMPFAIL)
        self.status(self.link.call(0x94, key), ETMPFAIL)
        sync = struct.pack(">IHQHH", 0x08, 1, 0, 0, len(key)) + key
        for answer in (self.link.call(0x93, key), self.link.call(0x96, value=sync)):
            self.assertIn(b"a restore may bring the key", self.status(answer, ETMPFAIL).value)
        self.assertEqual(self.open_ascii().get(key.decode()), {})
        self.status(self.link.set(key, b"client"), SUCCESS)
        self.holds(key, b"client")
        self.status(self.link.delete(key), SUCCESS)
        self.holds(key, None)
        tool.call(RESTORE_COMPLETE)
        self.status(self.link.delete(key), ENOENT)

    def test_one_at_a_time_and_its_end_ends_it(self):
        tool, other = self.begin(), self.open()
        self.status(other.call(RESTORE_BEGIN), EBUSY)
        self.status(other.call(RESTORE_COMPLETE), EBUSY)
        self.status(self.put(other, self.key()), NOT_SUPPORTED)
        # Without a key it is a sign of life, and begins nothing.
        self.status(tool.call(RESTORE_KEY), SUCCESS)
        self.status(other.call(RESTORE_KEY), NOT_SUPPORTED)
        answer = self.status(other.call(RESTORE_FILE, b"/etc/passwd"), NOT_SUPPORTED)
        self.assertIn(b"engine-backup", answer.value)
        answer = self.status(other.call(START), NOT_SUPPORTED)
        self.assertIn(b"restored", answer.value)
        tool.close()
        self.outside()
        self.begin(other)
        self.status(self.link.call(RESTORE_ABORT), SUCCESS)
        for answer in (self.put(other, self.key()), other.call(RESTORE_KEY)):
            self.assertIn(b"RESTORE_BEGIN", self.status(answer, NOT_SUPPORTED).value)
        self.outside()

    def test_other_shapes_are_refused(self):
        tool = self.begin()
        key = self.key()
        for opcode, more in [
                (RESTORE_BEGIN, {"extras": b"1234"}), (RESTORE_BEGIN, {"value": b"v"}),
                (RESTORE_KEY, {"extras": b"12345678"}),
                (RESTORE_KEY, {"key": key, "value": b"v"}),
                (RESTORE_KEY, {"key": key, "extras": b"1234", "value": b"v"}),
                (RESTORE_KEY, {"key": key, "extras": b"123456789"})]:
            self.status(tool.call(opcode, **more), EINVAL)
        tool.call(RESTORE_COMPLETE)
        self.holds(key, None)


if __name__ == "__main__":
    unittest.main()
