"""kill -9, and loss of power, at random instants of a load and of an online update; then the
restarted node is checked.

One writer numbers its writes over a few vbuckets, and in some windows undoes some. After a restart
the store must be a prefix of what was written, vbucket by vbucket: with all that SYNC was answered
for; up to START at most if no COMPLETE was accepted, all vbuckets with the whole window or none of
it if one was, with it if SUCCESS was answered; without the window's writes if a REVERT was accepted
(invariants 1 to 3 of docs/online-update.md).

CRASH_ROUNDS rounds for each kind of instant (default 10), CRASH_SEED to repeat a run.
"""

import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import disk  # noqa: E402
import history  # noqa: E402
import server  # noqa: E402
import wire  # noqa: E402
from disk import ROUNDS, SEED  # noqa: E402
from wire import (  # noqa: E402
    COMPLETE, PERSISTED, PERSISTENCE, REVERT, START, SUCCESS, SYNC, UNDO, request, store_extras,
)

VBUCKETS = range(4)
KEYS = [b"key %d" % n for n in range(1500)]
BEFORE, WINDOWS = 3000, (400, 8000)
BATCH = 100
# Kinds of calls with which tables come and go.
TABLES = ("create", "sync_folder", "rename", "unlink", "resize")
# Answers of a pipeline of writes.
NORMAL = {(wire.DELETEQ, wire.ENOENT), (UNDO, SUCCESS)}


def flags_of(value):
    """The flags that go with a value."""
    return int(value.split()[0]) * 2654435761 & 0xffffffff


class Writer(threading.Thread):
    """Writes, opens a window, ends it, goes on writing until the connection dies."""

    def __init__(self, host, dice, found, plan):
        """`plan` has: update (whether to START), drain (before it), window (writes), command (or
        None), alone (whether another connection sends the command), size (bytes of the largest
        value)."""
        super().__init__(daemon=True)
        self.host, self.dice, self.plan = host, dice, plan
        self.link = host.binary()
        self.histories = {vbucket: history.History(found[vbucket]) for vbucket in VBUCKETS}
        self.acknowledged = self.counts()
        self.durable = dict.fromkeys(VBUCKETS, 0)
        self.touched = None
        self.loading, self.started = threading.Event(), threading.Event()
        self.sent, self.answered = threading.Event(), threading.Event()
        self.barrier = self.at_send = self.at_answer = None
        self.status = None
        self.slow = False
        self.error = None

    def counts(self):
        """Numbers of the latest writes."""
        return {vbucket: self.histories[vbucket].count for vbucket in VBUCKETS}

    def run(self):
        try:
            self.work()
        except OSError:
            pass  # The server was killed.
        except (ValueError, AssertionError) as error:
            self.error = error

    def work(self):
        """The script."""
        self.loading.set()
        self.load(BEFORE)
        while not self.plan["update"]:
            self.load(BATCH * self.dice.randrange(1, 40))
            self.sync()
        if self.plan["drain"]:
            self.host.drained(self.link)
            commits = self.commits()
        self.command(START)
        self.barrier = self.counts()
        self.touched = {vbucket: set() for vbucket in VBUCKETS}
        if self.plan["drain"]:
            # The window is known to the store from here on.
            server.until(lambda: self.commits() > commits, what="START on disk")
        self.started.set()
        if self.plan["command"] is None:
            self.load(1 << 60)
        self.load(self.plan["window"])
        self.touched = None
        self.at_send = self.counts()
        if self.plan["alone"]:
            self.slow = True
            operator = threading.Thread(target=self.operate, daemon=True)
            operator.start()
        else:
            self.end_window(self.link)
        self.load(1 << 60)

    def operate(self):
        """Sends the command from a connection of its own."""
        try:
            with self.host.binary() as link:
                self.end_window(link)
        except OSError:
            pass  # The server was killed.

    def end_window(self, link):
        """Sends COMPLETE or REVERT and waits for the answer."""
        link.send(request(self.plan["command"]))
        self.sent.set()
        self.status = link.receive().status
        self.at_answer = self.counts()
        self.answered.set()

    def commits(self):
        """Commits of the store so far."""
        return int(self.link.stats()["ep_commit_num"])

    def command(self, opcode):
        """Sends a command that must succeed."""
        status = self.link.call(opcode).status
        assert status == SUCCESS, f"{opcode:#x}: status {status:#x}"

    def sync(self):
        """Waits until a write is durable, and so all that came before it in its vbucket."""
        vbucket = self.dice.choice(VBUCKETS)
        written = self.histories[vbucket]
        key = self.dice.choice(KEYS)
        number = (written.writes[key] or [0])[-1]
        if number and written.values[number] is not None:
            asked = wire.sync_body(PERSISTENCE, (key, 0, vbucket))
            answer = self.link.call(SYNC, value=asked)
            assert answer.status == SUCCESS, answer
            assert wire.sync_events(answer) == {key: PERSISTED}, answer
            self.durable[vbucket] = max(self.durable[vbucket], number)

    def load(self, count):
        """That many writes; every seventh or so is a deletion."""
        while count > 0:
            batch = 2 if self.slow else min(BATCH, count)
            requests = [self.one() for _ in range(batch)]
            for answer in self.link.pipeline(requests):
                assert (answer.opcode, answer.status) in NORMAL, answer
            self.acknowledged = self.counts()
            count -= batch
            if self.slow:
                time.sleep(0.0005)

    def one(self):
        """One write."""
        vbucket, key = self.dice.choice(VBUCKETS), self.dice.choice(KEYS)
        number = self.histories[vbucket].count + 1
        deletes = self.dice.random() < 0.15
        if self.touched is not None:
            if key in self.touched[vbucket] and self.dice.random() < self.plan["undo"]:
                was = self.histories[vbucket].value_at(key, self.barrier[vbucket])
                self.histories[vbucket].write(key, was)
                return request(UNDO, key, vbucket=vbucket)
            if not deletes or self.histories[vbucket].value_at(key, number) is not None:
                self.touched[vbucket].add(key)
        if deletes:
            self.histories[vbucket].write(key, None)
            return request(wire.DELETEQ, key, vbucket=vbucket)
        value = b"%d %s" % (number, b"x" * self.dice.randrange(self.plan["size"]))
        self.histories[vbucket].write(key, value)
        return request(wire.SETQ, key, store_extras(flags_of(value)), value, vbucket=vbucket)


class Crash(unittest.TestCase):
    """One kind of instant a test."""

    def setUp(self):
        self.dice = random.Random(f"{SEED} {self.id()}")
        self.host = disk.Node()
        self.addCleanup(self.host.close)
        with self.host.binary() as link:
            for vbucket in VBUCKETS[1:]:
                link.call(wire.SET_VBUCKET, extras=b"\0\0\0\1", vbucket=vbucket)
                # Written in one commit with the vbucket's own record: a kill finds all of them.
                link.set(b"ready", b"", vbucket=vbucket)
            self.host.drained(link)
            for vbucket in VBUCKETS[1:]:
                link.delete(b"ready", vbucket=vbucket)
            self.host.drained(link)
        self.found = {vbucket: dict.fromkeys(KEYS) for vbucket in VBUCKETS}
        self.outcome = self.previous = "none"
        self.durations = dict.fromkeys(WINDOWS, 0.03)
        self.count = ROUNDS

    def rounds(self, check, event, longest, **plan):
        """Runs, kills `longest` seconds (or less) after the event, restarts and checks."""
        plan = {"update": True, "command": None, "size": 60, **plan}
        early = 0
        for number in range(self.count):
            plan["drain"] = plan.get("always_drain", self.dice.random() < 0.7)
            plan["alone"] = self.dice.random() < 0.5
            plan["window"] = self.dice.choice(WINDOWS)
            plan["undo"] = self.dice.choice([0, 0.5])
            writer = Writer(self.host, self.dice, self.found, plan)
            writer.start()
            self.assertTrue(getattr(writer, event).wait(120), f"{event}: {writer.error}")
            self.host.aim(self.dice)
            if longest is None:
                # Anywhere in the time that the command took when it was last let through; a little
                # more each time that it is not.
                begun = time.monotonic()
                duration = self.durations[plan["window"]]
                done = writer.answered.wait(self.dice.random() * duration * 1.3)
                took = time.monotonic() - begun
                self.durations[plan["window"]] = took if done else duration * 1.2
            else:
                time.sleep(self.dice.random() * longest)
            early += not writer.answered.is_set()
            how = self.host.crash(self.dice)
            writer.join(60)
            writer.link.close()
            with self.subTest(f"round {number} of seed {SEED}, {how}", **plan):
                self.assertFalse(writer.is_alive())
                self.assertIsNone(writer.error)
                if writer.answered.is_set():
                    self.assertEqual(writer.status, SUCCESS)
                self.recover()
                check(writer)
        if plan["command"] and self.count > 1:
            print(f"killed before the answer: {early} of {self.count}", flush=True)

    def recover(self):
        """Restarts, and is perhaps killed at that; reads everything."""
        self.previous = self.outcome
        while self.dice.random() < 0.25:
            self.host.aim(self.dice, 0.7, kinds=disk.KINDS, calls=100)
            self.host.spawn()
            self.host.ended(self.dice.random())
            self.host.crash(self.dice)
        self.host.start()
        with self.host.binary() as link:
            stats = link.stats()
            items = 0
            for vbucket in VBUCKETS:
                found = self.read(link, vbucket)
                items += sum(value is not None for value in found.values())
                self.found[vbucket] = found
        self.outcome = stats["ep_onlineupdate_last_outcome"]
        self.assertEqual(stats["ep_onlineupdate"], "false")
        self.assertEqual(stats["vb_active_num"], str(len(VBUCKETS)))
        self.assertEqual(int(stats["curr_items"]), items)

    def read(self, link, vbucket):
        """{key: value or None} of a vbucket."""
        found = dict.fromkeys(KEYS)
        requests = [request(wire.GETKQ, key, vbucket=vbucket) for key in KEYS]
        for answer in link.pipeline(requests):
            self.assertEqual(answer.status, SUCCESS)
            self.assertEqual(int.from_bytes(answer.extras, "big"), flags_of(answer.value))
            found[answer.key] = answer.value
        return found

    def prefixes(self, writer, vbucket):
        """The prefixes of what was written that were found."""
        return writer.histories[vbucket].prefixes(self.found[vbucket])

    def check_prefix(self, writer):
        """Without a window: any prefix that has what SYNC was answered for."""
        for vbucket in VBUCKETS:
            good, durable = self.prefixes(writer, vbucket), writer.durable[vbucket]
            self.assertTrue(good and good[-1] >= durable,
                            f"{good[-1:]}, durable {durable}, {self.blame(writer, vbucket)}")

    def check_barrier(self, writer):
        """A window that nobody ended: a prefix that ends at START or before."""
        for vbucket in VBUCKETS:
            barrier = writer.barrier[vbucket]
            good = self.prefixes(writer, vbucket)
            self.assertTrue(good and good[0] <= barrier,
                            f"{good[:1]}, barrier {barrier}, {self.blame(writer, vbucket)}")
            if writer.plan["drain"]:
                self.assertIn(barrier, good)
        lost = ["lost at restart"]
        self.assertIn(self.outcome, lost if writer.plan["drain"] else [*lost, self.previous])

    def check_complete(self, writer):
        """COMPLETE: the whole window in all vbuckets, or in none."""
        whole, none = [], []
        for vbucket in VBUCKETS:
            good = self.prefixes(writer, vbucket)
            self.assertTrue(good, self.blame(writer, vbucket))
            whole.append(good[-1] >= writer.at_send[vbucket])
            none.append(good[0] <= writer.barrier[vbucket])
        if writer.answered.is_set():
            self.assertTrue(all(whole), f"SUCCESS was answered, but {whole}")
            self.assertEqual(self.outcome, "completed")
        self.assertTrue(all(whole) or all(none), f"torn: whole {whole}, none {none}")
        self.assertIn(self.outcome, ["completed"] if not all(none)
                      else ["completed", "lost at restart", self.previous])
        if self.outcome == "completed" and writer.plan["drain"] and self.previous != "completed":
            self.assertTrue(all(whole))

    def check_revert(self, writer):
        """REVERT: no write of the window, whether it had been accepted or not."""
        for vbucket in VBUCKETS:
            self.reverted(writer, vbucket)
        if writer.answered.is_set():
            self.assertEqual(self.outcome, "reverted")
        elif writer.plan["drain"]:
            self.assertIn(self.outcome, ["reverted", "lost at restart"])

    def reverted(self, writer, vbucket):
        """The same for one vbucket."""
        whole, found = writer.histories[vbucket], self.found[vbucket]
        barrier, least = writer.barrier[vbucket], writer.at_send[vbucket]
        most = least
        if writer.plan["alone"]:
            # Accepted somewhere between the two.
            most = (writer.at_answer or writer.counts())[vbucket]
        for end in range(least, most + 1):
            good = whole.without(barrier, end).prefixes(found)
            if good:
                if writer.plan["drain"]:
                    self.assertGreaterEqual(good[-1], barrier)
                return
        self.fail(f"{least}..{most}: {self.blame(writer, vbucket)}")

    def blame(self, writer, vbucket):
        """What is wrong, for messages."""
        number = (writer.barrier or writer.acknowledged)[vbucket]
        return f"vbucket {vbucket}: " + writer.histories[vbucket].blame(self.found[vbucket], number)

    def test_during_a_load(self):
        self.rounds(self.check_prefix, "loading", 0.4, update=False)

    def test_while_tables_are_written_and_merged(self):
        # What the store does when little is written, after some seconds.
        for number in range(max(1, self.count // 10)):
            self.tidy_round(number)

    def tidy_round(self, number):
        """Writes much, deletes most of it, and kills the node while it tidies up."""
        plan = {"size": 8000, "undo": 0, "drain": False, "alone": False}
        writer = Writer(self.host, self.dice, self.found, plan)
        with writer.link as link:
            writer.load(3000)
            for vbucket in VBUCKETS:
                for key in KEYS[:self.dice.randrange(len(KEYS))]:
                    writer.histories[vbucket].write(key, None)
                    link.delete(key, vbucket=vbucket)
            self.host.drained(link)
            writer.durable = writer.counts()
            self.host.aim(self.dice, 0.9, TABLES, 30)
            tidied = link.stats()["ep_store_tidied"]
            try:
                server.until(lambda: link.stats()["ep_store_tidied"] != tidied, 15, "tidy")
            except (OSError, TimeoutError):
                pass  # It was killed, or there was not enough to do.
        how = self.host.crash(self.dice)
        with self.subTest(f"round {number} of seed {SEED}, {how}"):
            self.recover()
            self.check_prefix(writer)

    def test_in_an_open_window(self):
        self.rounds(self.check_barrier, "started", 0.4, always_drain=True)

    def test_right_after_start(self):
        self.rounds(self.check_barrier, "started", 0.01, always_drain=False)

    def test_while_complete_runs(self):
        self.rounds(self.check_complete, "sent", None, command=COMPLETE)

    def test_after_complete_answered(self):
        self.rounds(self.check_complete, "answered", 0.05, command=COMPLETE)

    def test_while_revert_runs(self):
        self.rounds(self.check_revert, "sent", None, command=REVERT)

    def test_after_revert_answered(self):
        self.rounds(self.check_revert, "answered", 0.05, command=REVERT)

    def test_between_windows_of_every_kind(self):
        # A store that has seen everything: each round another kind.
        self.count = 1
        for _ in range(ROUNDS):
            self.dice.choice([
                self.test_during_a_load, self.test_in_an_open_window, self.test_right_after_start,
                self.test_while_complete_runs, self.test_after_complete_answered,
                self.test_while_revert_runs, self.test_after_revert_answered,
            ])()


if __name__ == "__main__":
    unittest.main()
