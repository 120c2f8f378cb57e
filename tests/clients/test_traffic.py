"""Clients that read and write without a pause while windows are reverted and completed.

Each writer owns its keys, and checks that one instant explains all that it saw: what it wrote in
the window before that instant is gone, what it wrote after it is there. Readers read keys that only
the window changed: once one of them has come back, none may ever show the window again.
"""

import random
import struct
import threading
import time

import history
import wire
from base import ServerTest
from server import until
from wire import COMPLETE, REVERT, START, SUCCESS, request, store_extras

WRITERS, READERS = 2, 2
KEYS = 300
STATIC = 20_000


class Writer(threading.Thread):
    """Writes, deletes and reads its keys; `log` has (start, end, key, number or None, value)."""

    def __init__(self, link, name, stop):
        super().__init__(daemon=True)
        self.link, self.stop = link, stop
        self.random = random.Random(name)
        self.keys = [f"{name}/{n}".encode() for n in range(KEYS)]
        self.history = history.History({key: None for key in self.keys})
        self.log = []
        self.error = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.step(self.random.choice(self.keys))
        except (OSError, ValueError, AssertionError) as error:
            self.error = error

    def step(self, key):
        """One operation."""
        begun, number, chance = time.monotonic(), None, self.random.random()
        if chance < 0.5:
            answer = self.link.get(key)
            value = answer.value if answer.status == SUCCESS else None
            allowed = (SUCCESS, wire.ENOENT)
        elif chance < 0.9:
            value = b"%d" % (self.history.count + 1)
            number = self.history.write(key, value)
            answer, allowed = self.link.set(key, value), (SUCCESS,)
        else:
            value = None
            number = self.history.write(key, None)
            answer, allowed = self.link.delete(key), (SUCCESS, wire.ENOENT)
        if answer.status not in allowed:
            raise AssertionError(f"status {answer.status:#x} for {key!r}")
        self.log.append((begun, time.monotonic(), key, number, value))


class Reader(threading.Thread):
    """Reads keys that only the window changed; counts what it saw."""

    def __init__(self, link, keys, stop):
        super().__init__(daemon=True)
        self.link, self.keys, self.stop = link, keys, stop
        self.random = random.Random(0)
        self.seen = []
        self.since = self.begun = 0.0
        self.error = None

    def forget(self):
        """Starts to note what it sees from now on."""
        self.since = time.monotonic()
        self.seen = []

    def run(self):
        try:
            while not self.stop.is_set():
                key = self.random.choice(self.keys)
                begun = time.monotonic()
                answer = self.link.get(key)
                if answer.status != SUCCESS:
                    raise AssertionError(f"status {answer.status:#x} for {key!r}")
                seen = self.seen
                if begun < self.since:
                    continue
                if not seen or seen[-1] != answer.value:
                    seen.append(answer.value)
                self.begun = begun
        except (OSError, ValueError, AssertionError) as error:
            self.error = error


class Traffic(ServerTest):
    """Four clients and an operator."""

    def begin(self, count=STATIC):
        """Fills the static keys, starts the clients, lets them run."""
        static = [self.key(str(n)) for n in range(count)]
        self.fill(static, b"before")
        self.stop = threading.Event()
        self.addCleanup(self.stop.set)
        self.writers = [Writer(self.open(), f"{self.id()}/{n}", self.stop) for n in range(WRITERS)]
        readers = [Reader(self.open(), static, self.stop) for _ in range(READERS)]
        self.clients = self.writers + readers
        for client in self.clients:
            client.start()
        time.sleep(0.3)
        return static, readers

    @staticmethod
    def read_once_more(readers):
        """Waits until every reader has begun and ended another read."""
        now = time.monotonic()
        until(lambda: all(reader.begun > now or reader.error for reader in readers), 60, "readers")

    def fill(self, keys, value):
        """Sets keys."""
        sets = [request(wire.SETQ, key, store_extras(), value) for key in keys]
        self.assertEqual(self.link.pipeline(sets), [])

    def finish(self):
        """Stops the clients; none has had an error."""
        self.stop.set()
        for client in self.clients:
            client.join(60)
            self.assertFalse(client.is_alive(), "a client hangs")
            self.assertIsNone(client.error)

    def final(self, writer, link):
        """What the writer's keys hold now."""
        return {key: value for key, value, _ in link.get_many(writer.keys)}

    def split(self, writer, barrier, sent, answered):
        """The first number that outlived the revert, of those that explain everything."""
        # The barrier and the instant of acceptance are somewhere between two times each: try all
        # splits that the times allow. State s: writes in (b, s] are taken back.
        found = self.final(writer, self.link)
        numbered = {entry[3]: entry for entry in writer.log if entry[3] is not None}
        starts = [n for n in [0, *numbered]
                  if (n == 0 or numbered[n][0] <= barrier[1])
                  and (n + 1 not in numbered or numbered[n + 1][1] >= barrier[0])]
        ends = [n for n in [0, *numbered]
                if (n == 0 or numbered[n][0] <= answered)
                and (n + 1 not in numbered or numbered[n + 1][1] >= sent)]
        last = "no split fits the times"
        for start in starts:
            for end in ends:
                taken = writer.history.without(start, end)
                if found != taken.state_at(taken.count):
                    last = f"({start}, {end}]: {taken.blame(found, taken.count)}"
                    continue
                wrong = self.impossible(writer, taken, start, end)
                if wrong is None:
                    return end
                last = f"({start}, {end}]: saw {wrong}"
        self.fail(f"no instant explains what {writer.keys[0]!r}... saw; last tried {last}")

    def impossible(self, writer, taken, start, end):
        """A read that a revert of the writes in (start, end] does not explain, or None."""
        number, reverted = 0, False
        for begun, ended, key, written, value in writer.log:
            if written is not None:
                number = written
                reverted = reverted or number > end
                continue
            kept, undone = writer.history.value_at(key, number), taken.value_at(key, number)
            if number == end and not reverted:
                # Between the last write that was taken back and the next one: before or after.
                if value == undone and value != kept:
                    reverted = True
                elif value != kept:
                    return begun, ended, key, value, kept
            elif value != (undone if reverted else kept):
                return begun, ended, key, value, kept, undone
        return None

    def test_a_revert_amid_traffic(self):
        static, readers = self.begin()
        barrier = [time.monotonic()]
        self.status(self.link.call(START), SUCCESS)
        barrier.append(time.monotonic())
        self.fill(static, b"window")
        time.sleep(0.5)
        self.read_once_more(readers)
        for reader in readers:
            self.assertIn(b"window", reader.seen)
        sent = time.monotonic()
        self.status(self.link.call(REVERT), SUCCESS)
        answered = time.monotonic()
        after = {value for _, value, _ in self.link.get_many(static)}
        self.assertEqual(after, {b"before"})
        time.sleep(0.5)
        self.read_once_more(readers)
        self.finish()
        for writer in self.writers:
            self.assertGreater(self.split(writer, barrier, sent, answered), 0)
        for reader in readers:
            self.assertEqual(reader.seen[-1], b"before")
            back = len(reader.seen) - 1 - reader.seen[::-1].index(b"window")
            # While the window was being written the two alternate; afterwards they may not.
            self.assertEqual(reader.seen[back + 1:], [b"before"])

    def test_ten_reverts_and_completes_amid_traffic(self):
        static, readers = self.begin(STATIC // 5)
        kept = b"before"
        for turn in range(10):
            self.status(self.link.call(START), SUCCESS)
            value = b"%d" % turn
            self.fill(static, value)
            for reader in readers:
                reader.forget()
            time.sleep(0.05)
            command = (REVERT, COMPLETE)[turn % 2]
            self.status(self.link.call(command), SUCCESS)
            self.read_once_more(readers)
            if command == COMPLETE:
                kept = value
            for reader in readers:
                # One change, from the window to what was before it, or none at all.
                self.assertIn(list(reader.seen), ([value, kept], [kept]), (turn, reader.seen))
            self.assertEqual({v for _, v, _ in self.link.get_many(static)}, {kept})
        self.finish()

    def test_a_complete_amid_traffic_loses_no_write(self):
        static, readers = self.begin()
        self.status(self.link.call(START), SUCCESS)
        self.fill(static, b"window")
        time.sleep(0.3)
        self.read_once_more(readers)
        sent = time.monotonic()
        self.status(self.link.call(COMPLETE), SUCCESS)
        time.sleep(0.1)
        self.host.kill()
        for client in self.clients:
            # Each goes on until it notices.
            client.join(60)
            self.assertIsInstance(client.error, OSError)
        for writer in self.writers:
            for _, _, key, number, value in self.reads_of(writer):
                self.assertEqual(value, writer.history.value_at(key, number))
        for reader in readers:
            self.assertEqual(reader.seen[-1], b"window")
        self.host.start()
        self.link = self.open()
        self.assertEqual({value for _, value, _ in self.link.get_many(static)}, {b"window"})
        for writer in self.writers:
            found = self.final(writer, self.link)
            prefixes = writer.history.prefixes(found)
            least = max(entry[3] for entry in writer.log if entry[3] and entry[1] < sent)
            self.assertTrue(prefixes, writer.history.blame(found, least))
            self.assertGreaterEqual(prefixes[-1], least)

    @staticmethod
    def reads_of(writer):
        """(start, end, key, number of the last write before it, value) of every read."""
        number = 0
        for begun, ended, key, written, value in writer.log:
            number = written or number
            if written is None:
                yield begun, ended, key, number, value

    def test_counters_amid_windows_count_every_increment_once(self):
        keys = [self.key(str(n)) for n in range(50)]
        total, links = 0, [self.open() for _ in range(4)]
        delta = struct.pack(">QQI", 1, 0, 0)
        for key in keys:
            self.link.set(key, b"0")
        for turn in range(10):
            self.status(self.link.call(START), SUCCESS)
            command = (REVERT, COMPLETE)[turn % 2]
            for link in links:
                link.send(b"".join(request(wire.INCRQ, key, delta) for key in keys * 5)
                          + request(wire.NOOP))
            for link in links:
                self.assertEqual(link.receive().opcode, wire.NOOP)
            self.status(self.link.call(command), SUCCESS)
            total += 20 if command == COMPLETE else 0
            self.assertEqual({value for _, value, _ in self.link.get_many(keys)},
                             {b"%d" % total})
