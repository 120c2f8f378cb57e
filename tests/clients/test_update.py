"""Online update (docs/online-update.md): START, COMPLETE and REVERT as an operator sees them."""

import struct
import subprocess
import sys
import threading
import time

import wire
from base import ServerTest
from server import until
from wire import (
    COMPLETE, EINVAL, ENOENT, ETMPFAIL, NOT_MY_VBUCKET, NOT_SUPPORTED, REVERT, START, SUCCESS,
    request, store_extras,
)

COMMANDS = (START, COMPLETE, REVERT)


class UpdateTest(ServerTest):
    """A test of windows; leaves none open."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.end_any)

    def end_any(self):
        """Ends a window that a failed test left open."""
        with self.host.binary() as link:
            if link.stats()["ep_onlineupdate"] == "true":
                link.call(REVERT)

    def does(self, command, link=None):
        """Sends a command that must succeed."""
        self.status((link or self.link).call(command), SUCCESS)

    def refused(self, command):
        """Sends a command that must be refused with words."""
        answer = self.status(self.link.call(command), NOT_SUPPORTED)
        self.assertGreater(len(answer.value), 20, "no words for the operator")


class Table(UpdateTest):
    """The table of commands and states."""

    def test_without_a_window_only_start_is_taken(self):
        self.refused(COMPLETE)
        self.refused(REVERT)
        self.assertEqual(self.state()["state"], "none")
        self.does(START)

    def test_in_a_window_start_is_refused(self):
        self.does(START)
        self.refused(START)
        self.assertEqual(self.state()["state"], "open")
        self.does(COMPLETE)
        self.assertEqual(self.state()["state"], "none")
        self.refused(COMPLETE)
        self.does(START)
        self.does(REVERT)
        self.refused(REVERT)

    def test_malformed_commands_are_invalid_and_change_nothing(self):
        forms = ({"key": b"k"}, {"extras": b"\0\0\0"}, {"value": b"v"},
                 {"key": b"k", "extras": b"e", "value": b"v"})
        for state in ("none", "open"):
            if state == "open":
                self.does(START)
            for command in COMMANDS:
                for form in forms:
                    answer = self.status(self.link.call(command, **form), EINVAL)
                    self.assertGreater(len(answer.value), 20, "no words for the operator")
                    self.assertEqual(self.state()["state"], state)
        self.does(REVERT)

    def test_lengths_beyond_the_body_are_invalid(self):
        for command in COMMANDS:
            with self.host.binary(timeout=10) as link:
                link.send(wire.HEADER.pack(0x80, command, 9, 4, 0, 0, 5, 0, 0) + b"12345")
                self.status(link.receive(), EINVAL)
        self.assertEqual(self.state()["state"], "none")

    def test_a_node_without_an_active_vbucket_cannot_start(self):
        self.link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.REPLICA))
        try:
            self.refused(START)
        finally:
            self.link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.ACTIVE))

    def test_of_many_operators_one_wins(self):
        links = [self.open() for _ in range(8)]
        for turn in range(30):
            for link in links:
                link.send(request(START))
            started = [link.receive().status for link in links]
            self.assertEqual(sorted(started), [SUCCESS] + [NOT_SUPPORTED] * 7)
            self.link.set(self.key(str(turn)), b"window")
            for n, link in enumerate(links):
                link.send(request((COMPLETE, REVERT)[n % 2]))
            ended = [link.receive().status for link in links]
            self.assertEqual(sorted(ended), [SUCCESS] + [NOT_SUPPORTED] * 7)
            completed = ended.index(SUCCESS) % 2 == 0
            self.holds(self.key(str(turn)), b"window" if completed else None)

    def test_a_whole_window_in_one_packet(self):
        key = self.key()
        for command, expected in ((REVERT, ENOENT), (COMPLETE, SUCCESS)):
            self.link.send(b"".join([
                request(START, opaque=1), request(wire.SET, key, store_extras(), b"1", opaque=2),
                request(command, opaque=3), request(wire.GET, key, opaque=4),
                request(wire.NOOP, opaque=5),
            ]))
            answers = [self.link.receive() for _ in range(5)]
            self.assertEqual([answer.opaque for answer in answers], [1, 2, 3, 4, 5])
            self.assertEqual([answer.status for answer in answers],
                             [SUCCESS, SUCCESS, SUCCESS, expected, SUCCESS])


class CommandLine(UpdateTest):
    """wire.py as a program, as the README shows it."""

    def run_wire(self, *arguments):
        """Runs it; returns its exit status and what it printed."""
        done = subprocess.run(
            [sys.executable, wire.__file__, "{}:{}".format(*self.host.address), *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def test_the_three_commands_and_stats(self):
        self.link.set(self.key(), b"before")
        self.assertEqual(self.run_wire("start"), (0, ""))
        self.link.set(self.key(), b"window")
        self.assertIn("state: open", self.run_wire("stats", "onlineupdate")[1])
        status, text = self.run_wire("start")
        self.assertEqual(status, 1)
        self.assertIn("0x83", text)
        self.assertEqual(self.run_wire("revert"), (0, ""))
        self.holds(self.key(), b"before")
        self.run_wire("start")
        self.assertEqual(self.run_wire("complete"), (0, ""))
        self.assertEqual(self.run_wire("restart")[0], 64)
        self.assertEqual(self.run_wire("stats", "nosuchgroup")[0], 1)


class Revert(UpdateTest):
    """REVERT gives back what was there."""

    def snapshot(self, keys):
        """Status, value, flags and CAS of keys."""
        answers = (self.link.get(key) for key in keys)
        return {key: (a.status, a.value, a.extras, a.cas) for key, a in zip(keys, answers)}

    def damage(self, keys, new):
        """Every kind of mutation, on keys that hold numbers."""
        link, third = self.link, len(keys) // 8
        part = [keys[n * third:(n + 1) * third] for n in range(8)]
        for key in part[0]:
            self.status(link.set(key, b"changed", flags=1), SUCCESS)
        for key in part[1]:
            self.status(link.delete(key), SUCCESS)
        for key in part[2]:
            self.status(link.call(wire.APPEND, key, value=b"1"), SUCCESS)
            self.status(link.call(wire.PREPEND, key, value=b"1"), SUCCESS)
        for key in part[3]:
            self.status(link.arithmetic(wire.INCR, key, 10), SUCCESS)
        for key in part[4]:
            self.status(link.touch(wire.TOUCH, key, 5000), SUCCESS)
            self.status(link.touch(wire.GAT, key, 6000), SUCCESS)
        for key in part[5]:
            self.status(link.delete(key), SUCCESS)
            self.status(link.set(key, b"again", opcode=wire.ADD), SUCCESS)
        for key in part[6]:
            self.status(link.set(key, b"cas", cas=link.get(key).cas), SUCCESS)
        for key in part[7]:
            self.status(link.set(key, b"short", expiry=1000), SUCCESS)
        for key in new:
            self.status(link.set(key, b"new", opcode=wire.ADD), SUCCESS)
            self.status(link.set(key, b"newer"), SUCCESS)
        for key in new[::3]:
            self.status(link.delete(key), SUCCESS)

    def all_comes_back(self, drained):
        """Damages and reverts; returns the counters of the revert."""
        keys = [self.key(f"{drained}{n}") for n in range(800)]
        new = [self.key(f"{drained}new{n}") for n in range(90)]
        for n, key in enumerate(keys):
            self.link.set(key, b"%d" % n, flags=n << 8, expiry=0 if n % 2 else 9000)
        if drained:
            self.host.drained(self.link)
        before, stats = self.snapshot(keys + new), self.link.stats()
        expiries = [self.link.stats(b"key " + key)["key_exptime"] for key in keys[::40]]
        self.does(START)
        self.damage(keys, new)
        self.assertNotEqual(self.snapshot(keys + new), before)
        self.assertEqual(self.state()["touched_keys"], "890")
        self.does(REVERT)
        self.assertEqual(self.snapshot(keys + new), before)
        after = self.link.stats()
        self.assertEqual(after["curr_items"], stats["curr_items"])
        self.assertEqual([self.link.stats(b"key " + key)["key_exptime"] for key in keys[::40]],
                         expiries)
        return [int(after[f"ep_onlineupdate_revert_{what}"])
                - int(stats[f"ep_onlineupdate_revert_{what}"])
                for what in ("add", "delete", "update")], keys + new, before

    def test_all_kinds_of_mutation_come_back(self):
        counts, keys, before = self.all_comes_back(drained=True)
        # The keys that were added and deleted again are gone already.
        self.assertIn(counts[0], (60, 90))
        self.assertEqual(counts[1:], [100, 700])
        if self.on_disk:
            self.host.drained(self.link)
            self.host.restart()
            self.link = self.open()
            after = self.snapshot(keys)
            self.assertEqual({k: v[:3] for k, v in after.items()},
                             {k: v[:3] for k, v in before.items()})

    def test_what_was_not_on_disk_at_start_comes_back(self):
        _, keys, before = self.all_comes_back(drained=False)
        if self.on_disk:
            self.host.drained(self.link)
            self.host.restart()
            self.link = self.open()
            after = self.snapshot(keys)
            self.assertEqual({k: v[:3] for k, v in after.items()},
                             {k: v[:3] for k, v in before.items()})

    def test_thousands_queued_before_start_come_back(self):
        keys = [self.key(str(n)) for n in range(20_000)]
        self.link.pipeline(request(wire.SETQ, key, store_extras(7), b"before") for key in keys)
        self.does(START)
        self.link.pipeline(request(wire.SETQ, key, store_extras(), b"window") for key in keys)
        self.does(REVERT)
        found = {(value, flags) for _, value, flags in self.link.get_many(keys)}
        self.assertEqual(found, {(b"before", 7)})
        self.link.pipeline(request(wire.DELETEQ, key) for key in keys)

    def test_a_value_that_is_not_on_disk_can_be_read_at_any_instant_of_a_revert(self):
        # The revert meets a value that the flusher has not written yet.
        other = self.open()
        for turn in range(200):
            key = self.key(str(turn))
            self.link.send(b"".join([
                request(wire.SET, key, store_extras(), b"before"), request(START),
                request(wire.SET, key, store_extras(), b"window"), request(REVERT),
            ]))
            self.status(self.link.receive(), SUCCESS)
            other.send(b"".join([request(wire.GET, key)] * 50))
            for _ in range(3):
                self.status(self.link.receive(), SUCCESS)
            found = [self.status(other.receive(), SUCCESS).value for _ in range(50)]
            changes = [at for at in range(1, 50) if found[at] != found[at - 1]]
            self.assertLess(len(changes), 3, found)
            self.holds(key, b"before")

    def test_a_flush_in_the_window_comes_back(self):
        keys = [self.key(str(n)) for n in range(500)]
        for key in keys:
            self.link.set(key, b"before")
        items = self.link.stats()["curr_items"]
        self.does(START)
        self.link.set(keys[0], b"window")
        self.status(self.link.call(wire.FLUSH), SUCCESS)
        self.assertEqual({value for _, value, _ in self.link.get_many(keys)}, {None})
        self.link.set(keys[1], b"window")
        self.link.set(self.key("new"), b"window")
        self.does(REVERT)
        self.assertEqual({value for _, value, _ in self.link.get_many(keys)}, {b"before"})
        self.holds(self.key("new"), None)
        self.assertEqual(self.link.stats()["curr_items"], items)

    def test_windows_do_not_mix(self):
        key, other = self.key(), self.key("other")
        self.link.set(key, b"1")
        self.does(START)
        self.link.set(key, b"2")
        self.does(COMPLETE)
        self.does(START)
        self.link.set(key, b"3")
        self.link.set(other, b"3")
        self.does(REVERT)
        self.holds(key, b"2")
        self.link.set(key, b"4")
        self.does(START)
        self.does(REVERT)
        self.holds(key, b"4")
        self.holds(other, None)

    def test_a_key_written_often_is_one_touched_key(self):
        key, other = self.key(), self.key("other")
        self.link.set(key, b"before")
        self.does(START)
        for _ in range(20):
            self.link.pipeline([request(wire.SETQ, key, store_extras(), b"x" * 1000)] * 1000)
        self.link.set(other, b"1")
        state = self.state()
        self.assertEqual(state["touched_keys"], "2")
        self.assertLess(int(state["window_bytes"]), 10_000)
        self.does(REVERT)
        self.holds(key, b"before")

    def test_large_values_come_back(self):
        key = self.key()
        value = bytes(range(256)) * 40_000
        self.link.set(key, value)
        if self.on_disk:
            self.host.drained(self.link)
        self.does(START)
        self.link.set(key, b"small")
        self.does(REVERT)
        self.holds(key, value)
        self.link.delete(key)

    def test_statistics_tell_the_outcome(self):
        self.does(START)
        stats = self.link.stats()
        self.assertEqual(stats["ep_onlineupdate"], "true")
        self.does(REVERT)
        self.assertEqual(self.link.stats()["ep_onlineupdate_last_outcome"], "reverted")
        self.does(START)
        self.does(COMPLETE)
        stats = self.link.stats()
        self.assertEqual(stats["ep_onlineupdate_last_outcome"], "completed")
        self.assertEqual(stats["ep_onlineupdate"], "false")
        self.assertEqual(self.state()["last_outcome"], "completed")

    def test_touched_keys_are_shown_by_prefix(self):
        kept, gone, new = (self.key(name) for name in ("a kept", "a gone", "b new"))
        self.link.set(kept, b"old")
        self.link.set(gone, b"older")
        self.does(START)
        self.link.set(kept, b"newest")
        self.link.delete(gone)
        self.link.set(new, b"")

        def shown(prefix):
            escaped = prefix.replace(b" ", rb"\x20")
            return self.link.stats(b"onlineupdate-keys " + escaped)

        def name(key):
            return "vb_0:" + key.decode().replace(" ", r"\x20")

        told = {name(kept): "updated 3 6", name(gone): "deleted 5 -", name(new): "added - 0"}
        self.assertEqual(shown(self.key("")), told)
        del told[name(new)]
        self.assertEqual(shown(self.key("a ")), told)
        self.assertEqual(shown(self.key("c")), {})
        self.does(REVERT)
        self.assertEqual(shown(self.key("")), {})

    def test_nothing_waits_to_be_written_after_a_revert(self):
        for n in range(1000):
            self.link.set(self.key(str(n)), b"1")
        self.host.drained(self.link)
        self.does(START)
        for n in range(2000):
            self.link.set(self.key(str(n)), b"2")
        self.does(REVERT)
        written = self.link.stats()["ep_total_persisted"]
        self.host.drained(self.link)
        self.assertEqual(self.link.stats()["ep_total_persisted"], written)


class RevertFromMemory(Revert):
    """The same with pre-images kept in memory."""

    config = "online_update_undo=memory"


class RevertWithoutDisk(Revert):
    """The same without a database."""

    on_disk = False


class Leaving(UpdateTest):
    """Clients that do not wait for the answer."""

    def test_a_client_that_leaves_after_a_command_does_not_stop_it(self):
        keys = [self.key(str(n)) for n in range(5000)]
        self.link.pipeline(request(wire.SETQ, key, store_extras(), b"0") for key in keys)
        kept = b"0"
        for turn in range(20):
            self.does(START)
            value = b"window %d" % turn
            self.link.pipeline(request(wire.SETQ, key, store_extras(), value) for key in keys)
            command = (REVERT, COMPLETE)[turn % 2]
            with self.host.binary() as link:
                link.send(request(command))
            until(lambda: self.state()["state"] == "none", what="the end of the window")
            kept = value if command == COMPLETE else kept
            self.assertEqual({value for _, value, _ in self.link.get_many(keys)}, {kept})
            outcome = self.state()["last_outcome"]
            self.assertEqual(outcome, {REVERT: "reverted", COMPLETE: "completed"}[command])
        # The connections that took the places of those that left work.
        for link in [self.open() for _ in range(20)]:
            self.status(link.get(keys[0]), SUCCESS)

    def test_a_client_that_leaves_after_start_leaves_the_window_open(self):
        with self.host.binary() as link:
            self.does(START, link)
        time.sleep(0.1)
        self.assertEqual(self.state()["state"], "open")
        self.does(REVERT)


class OfAStream(UpdateTest):
    """Commands on a connection that carries a TAP stream, which is woken at any time."""

    def answer(self, link):
        """The next answer; events of the stream come between."""
        while link.file.peek(1)[:1] == bytes([wire.REQUEST]):
            link.receive_event()
        return link.receive()

    def test_every_command_has_its_own_answer(self):
        link = self.open()
        link.send(wire.tap_connect(b"watches", 0))
        for n in range(20):
            for command in (START, COMPLETE if n % 2 else REVERT):
                self.link.set(self.key(), b"%d" % n)
                link.send(request(command))
                self.status(self.answer(link), SUCCESS)
                expected = "open" if command == START else "none"
                self.assertEqual(self.state()["state"], expected)


class Vbuckets(UpdateTest):
    """Windows of many vbuckets and of those that change."""

    def turn(self, vbucket, state):
        """SET_VBUCKET."""
        data = struct.pack(">I", state)
        self.status(self.link.call(wire.SET_VBUCKET, vbucket=vbucket, extras=data), SUCCESS)

    def held(self, key, vbucket):
        """A value, or a status."""
        answer = self.link.get(key, vbucket=vbucket)
        return answer.value if answer.status == SUCCESS else answer.status

    def test_all_active_vbuckets_take_part(self):
        key = self.key()
        for vbucket in range(20):
            self.turn(vbucket, wire.ACTIVE)
            self.link.set(key, b"before", vbucket=vbucket)
        for command, expected in ((REVERT, b"before"), (COMPLETE, b"window")):
            self.does(START)
            for vbucket in range(20):
                self.link.set(key, b"window", vbucket=vbucket)
            self.does(command)
            self.assertEqual({self.held(key, vbucket) for vbucket in range(20)}, {expected})
        self.host.restart()
        self.link = self.open()
        self.assertEqual({self.held(key, vbucket) for vbucket in range(20)}, {b"window"})

    def test_a_vbucket_created_in_the_window_joins_it(self):
        key = self.key()
        self.does(START)
        self.turn(30, wire.ACTIVE)
        self.link.set(key, b"window", vbucket=30)
        self.does(REVERT)
        self.assertIn(self.held(key, 30), (ENOENT, NOT_MY_VBUCKET))

    def test_a_vbucket_of_the_window_cannot_be_deleted(self):
        key = self.key()
        self.turn(31, wire.ACTIVE)
        self.link.set(key, b"before", vbucket=31)
        self.does(START)
        self.link.set(key, b"window", vbucket=31)
        self.turn(31, wire.DEAD)
        answer = self.status(self.link.call(wire.DEL_VBUCKET, vbucket=31), ETMPFAIL)
        self.assertGreater(len(answer.value), 20)
        self.turn(31, wire.ACTIVE)
        self.does(REVERT)
        self.assertEqual(self.held(key, 31), b"before")

    def test_a_replica_is_left_alone_until_it_is_promoted(self):
        key = self.key()
        self.turn(32, wire.ACTIVE)
        self.link.set(key, b"before", vbucket=32)
        self.turn(32, wire.REPLICA)
        self.does(START)
        self.assertEqual(self.link.stats(b"onlineupdate-vb")["vb_32:state"], "none")
        self.turn(32, wire.ACTIVE)
        self.assertEqual(self.link.stats(b"onlineupdate-vb")["vb_32:state"], "open")
        self.link.set(key, b"window", vbucket=32)
        self.does(REVERT)
        self.assertEqual(self.held(key, 32), b"before")

    def test_a_vbucket_that_changes_state_keeps_its_window(self):
        key = self.key()
        for state in (wire.REPLICA, wire.PENDING, wire.DEAD):
            self.turn(33, wire.ACTIVE)
            self.link.set(key, b"before", vbucket=33)
            self.does(START)
            self.link.set(key, b"window", vbucket=33)
            self.turn(33, state)
            self.assertEqual(self.link.stats(b"onlineupdate-vb")["vb_33:state"], "open")
            self.turn(33, wire.ACTIVE)
            self.assertEqual(self.held(key, 33), b"window")
            self.does(REVERT)
            self.assertEqual(self.held(key, 33), b"before")


class Durability(UpdateTest):
    """What a kill and a clean shutdown leave behind."""

    def test_complete_is_on_disk_when_it_answers(self):
        keys = [self.key(str(n)) for n in range(3000)]
        self.link.pipeline(request(wire.SETQ, key, store_extras(), b"before") for key in keys)
        self.does(START)
        self.link.pipeline(request(wire.SETQ, key, store_extras(5), b"window") for key in keys)
        self.link.pipeline(request(wire.DELETEQ, key) for key in keys[::3])
        self.does(COMPLETE)
        self.host.restart()
        self.link = self.open()
        for n, (key, value, flags) in enumerate(self.link.get_many(keys)):
            self.assertEqual((value, flags), (b"window", 5) if n % 3 else (None, None), key)
        self.assertEqual(self.state()["last_outcome"], "completed")

    def test_no_death_and_no_shutdown_makes_a_window_permanent(self):
        for how in (9, 15):
            keys = [self.key(f"{how}/{n}") for n in range(3000)]
            self.link.pipeline(request(wire.SETQ, key, store_extras(5), b"before") for key in keys)
            self.host.drained(self.link)
            commits = int(self.link.stats()["ep_commit_num"])
            self.does(START)
            until(lambda at=commits: int(self.link.stats()["ep_commit_num"]) > at, what="marker")
            self.link.pipeline(request(wire.SETQ, key, store_extras(), b"window") for key in keys)
            self.link.pipeline(request(wire.DELETEQ, key) for key in keys[::3])
            self.link.set(self.key("new"), b"window")
            time.sleep(0.3)
            status = self.host.kill(how)
            self.assertEqual(status, -9 if how == 9 else 0)
            self.host.start()
            self.link = self.open()
            found = {(value, flags) for _, value, flags in self.link.get_many(keys)}
            self.assertEqual(found, {(b"before", 5)}, how)
            self.holds(self.key("new"), None)
            self.assertEqual(self.state()["state"], "none")
            self.assertEqual(self.state()["last_outcome"], "lost at restart")
            self.assertIn("inside an online update", self.host.messages())

    def test_a_start_is_on_record_when_it_answers(self):
        for _ in range(5):
            self.does(START)
            self.host.restart()
            self.link = self.open()
            self.assertEqual(self.state()["last_outcome"], "lost at restart")

    def test_what_is_written_as_soon_as_a_vbucket_is_there_is_part_of_the_window(self):
        key, vbuckets, active = self.key(), range(100, 160), struct.pack(">I", wire.ACTIVE)
        self.does(START)
        writer, stop = self.open(), threading.Event()

        def write():
            while not stop.is_set():
                writer.pipeline(request(wire.SETQ, key, store_extras(), b"window", vbucket=vbucket)
                                for vbucket in vbuckets)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for vbucket in vbuckets:
                answer = self.link.call(wire.SET_VBUCKET, extras=active, vbucket=vbucket)
                self.status(answer, SUCCESS)
        finally:
            stop.set()
            thread.join()
        self.does(REVERT)
        for vbucket in vbuckets:
            self.status(self.link.get(key, vbucket=vbucket), ENOENT)

    def test_a_revert_is_on_disk_when_it_answers(self):
        key = self.key()
        self.link.set(key, b"before")
        self.host.drained(self.link)
        self.does(START)
        self.link.set(key, b"window")
        self.does(REVERT)
        self.host.restart()
        self.link = self.open()
        self.holds(key, b"before")
        self.assertEqual(self.state()["last_outcome"], "reverted")

    def test_a_clean_shutdown_keeps_what_was_written(self):
        keys = [self.key(str(n)) for n in range(50_000)]
        self.link.pipeline(request(wire.SETQ, key, store_extras(), b"1") for key in keys)
        self.assertEqual(self.host.stop(), 0)
        self.host.start()
        self.link = self.open()
        self.assertEqual({value for _, value, _ in self.link.get_many(keys)}, {b"1"})

    def test_a_shutdown_while_an_operator_waits(self):
        for command in (COMPLETE, REVERT):
            keys = [self.key(f"{command}{n}") for n in range(30_000)]
            self.link.pipeline(request(wire.SETQ, key, store_extras(), b"0") for key in keys)
            self.host.drained(self.link)
            self.does(START)
            self.link.pipeline(request(wire.SETQ, key, store_extras(), b"1") for key in keys)
            self.link.send(request(command))
            stopper = threading.Thread(target=self.host.stop)
            stopper.start()
            stopper.join()
            self.host.start()
            self.link = self.open()
            found = {value for _, value, _ in self.link.get_many(keys)}
            if command == REVERT:
                self.assertEqual(found, {b"0"})
            else:
                self.assertIn(found, ({b"0"}, {b"1"}))
