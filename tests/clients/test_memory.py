"""Data three times the memory quota: all of it can be written, changed and read, also after a
restart; no write fails hard, and the memory in use stays under the quota.

MEMORY_QUOTA is the quota in MiB (default 32).
"""

import os
import random
import threading
import time
import unittest

import server
import wire

QUOTA = int(os.environ.get("MEMORY_QUOTA", "32")) << 20
VALUE = 1000
TIMES = 3
COUNT = QUOTA * TIMES // VALUE
BATCH = 200
CLIENTS = 2
PATIENCE_SECONDS = 120


def key_of(number):
    """The key with that number."""
    return b"key-%08d" % number


def value_of(number, version=0):
    """Its value."""
    return (b"%d:%d:" % (number, version)).ljust(VALUE, b"%d" % (number % 10))


class Watch(threading.Thread):
    """Looks at the memory in use, again and again."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.link = host.binary()
        self.most = 0
        self.looks = 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, int(self.link.stats(b"memory")["mem_used"]))
            self.looks += 1
        self.link.close()

    def end(self):
        """Stops looking and returns the most that was seen."""
        self.over.set()
        self.join()
        assert self.looks > 0
        return self.most


class Client(threading.Thread):
    """Runs `work` with a connection and keeps what it raised."""

    def __init__(self, host, work):
        super().__init__(daemon=True)
        self.link, self.work, self.error = host.binary(), work, None
        self.temporary = 0

    def run(self):
        try:
            self.work(self)
        except (OSError, AssertionError, ValueError) as error:
            self.error = error
        finally:
            self.link.close()

    def write(self, changes):
        """Sends (opcode, key, value) until all have succeeded; a temporary failure is none."""
        end = time.monotonic() + PATIENCE_SECONDS
        while changes:
            answers = self.link.pipeline(
                wire.request(opcode, key, extras_of(opcode), value, opaque=at)
                for at, (opcode, key, value) in enumerate(changes)
            )
            hard = [answer for answer in answers if answer.status != wire.ETMPFAIL]
            assert not hard, hard[0]
            assert time.monotonic() < end, "the node refuses writes for good"
            changes = [changes[answer.opaque] for answer in answers]
            self.temporary += len(changes)
            if changes:
                time.sleep(0.01)


def extras_of(opcode):
    """What a SETQ or an APPENDQ has before its key."""
    return wire.store_extras() if opcode == wire.SETQ else b""


class Memory(unittest.TestCase):
    """Three times the quota."""

    def setUp(self):
        self.host = server.Server(f"max_size={QUOTA}")
        self.addCleanup(self.host.close)

    def together(self, work):
        """Runs `work(client, part)` on all clients at once; the keys are shared out."""
        parts = [range(n, COUNT, CLIENTS) for n in range(CLIENTS)]
        watch = Watch(self.host)
        clients = [
            Client(self.host, lambda client, part=part: work(client, part)) for part in parts
        ]
        began = time.monotonic()
        for thread in [watch, *clients]:
            thread.start()
        for client in clients:
            client.join()
        seconds = time.monotonic() - began
        most = watch.end()
        for client in clients:
            if client.error:
                raise client.error
        waits = sum(client.temporary for client in clients)
        print(f"{COUNT / seconds:,.0f} keys/s, {waits} temporary failures, "
              f"most memory {most / QUOTA:.1%} of the quota")
        self.assertLessEqual(most, QUOTA)

    def load(self, client, part):
        """Sets every key."""
        for at in range(0, len(part), BATCH):
            numbers = part[at:at + BATCH]
            client.write([(wire.SETQ, key_of(n), value_of(n)) for n in numbers])

    def check(self, client, part, suffix=b""):
        """Reads every key, in random order."""
        numbers = list(part)
        random.Random(7).shuffle(numbers)
        found = client.link.get_many([key_of(n) for n in numbers], BATCH)
        for number, (_, value, _) in zip(numbers, found):
            assert value == value_of(number) + suffix, (number, value and value[:40])

    def append(self, client, part):
        """Changes every value, for which most have to be fetched."""
        for at in range(0, len(part), BATCH):
            numbers = part[at:at + BATCH]
            client.write([(wire.APPENDQ, key_of(n), b"!") for n in numbers])

    def test_three_times_the_quota(self):
        print()
        self.together(self.load)
        self.together(self.check)
        self.together(self.append)
        self.together(lambda client, part: self.check(client, part, b"!"))
        with self.host.binary() as link:
            stats = link.stats()
            self.assertEqual(int(stats["curr_items"]), COUNT)
            self.host.drained(link)
        self.host.stop()
        self.host.start()
        self.together(lambda client, part: self.check(client, part, b"!"))
