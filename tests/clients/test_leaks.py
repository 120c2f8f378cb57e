"""Requests of every kind, so often that what one of them leaves behind shows: the bytes in use,
which the engine counts exactly, are the same before and after.

LEAK_ROUNDS says how often (default 8500). A node without a disk: what a database library keeps
goes up and down.
"""

import itertools
import os
import socket
import struct
import time

import server
import tap
import wire
from base import ServerTest

ROUNDS = int(os.environ.get("LEAK_ROUNDS", "8500"))
# No block is smaller than 8 bytes, and what is kept for reuse is seldom larger than this.
TOLERANCE = 64 * 1024
# What is called no growth while it warms up, and how often it may take.
CALM, WARM_UPS = 8 * 1024, 8
assert ROUNDS * 8 > TOLERANCE
# Requests that are sent before answers are read: all of them are, before bytes are counted.
BATCH = 50
GETL, UNLOCK, EVICT, SYNC, DEREGISTER, RESET_CHAIN = 0x94, 0x95, 0x93, 0x96, 0x9e, 0x9f
GROUPS = (b"", b"memory", b"vbucket", b"prev-vbucket", b"checkpoint", b"hash", b"timings",
          b"dispatcher", b"tap", b"tapagg _", b"onlineupdate", b"onlineupdate-vb",
          b"onlineupdate-keys k", b"lacking", b"restore", b"key k 0", b"no such group")
OWN = (*range(0x3d, 0x40), 0x80, 0x81, 0x82, *range(0x92, 0xa0), *range(0xe8, 0xee))


class LeakTest(ServerTest):
    """Each test is one kind of requests."""

    config = "max_size=256m;exp_pager_stime=1"
    on_disk = False

    def in_use(self):
        """Bytes, without those of the open checkpoint, and of the slots of the tables: a table is
        as large as it has ever had to be, which is larger the further the flusher was behind. A key
        that stays in it shows, because its item stays."""
        self.link.call(wire.START)
        self.link.call(wire.REVERT)
        shapes = self.link.stats(b"hash").items()
        tables = sum(int(value) for name, value in shapes if name.endswith(":table_bytes"))
        return int(self.link.stats(b"memory")["mem_used"]) - tables

    def at_rest(self):
        """The most bytes in use that are seen while nobody asks for anything."""
        most = 0
        for _ in range(20):
            most = max(most, self.in_use())
            time.sleep(0.02)
        return most

    def leaves_nothing(self, play, rounds=ROUNDS):
        """`play(n)` for as many numbers as there are rounds leaves nothing in memory: what does is
        left again each time, and what is kept for reuse is not."""
        numbers = itertools.count()
        base = 0
        # What is kept for reuse grows to its size first, which takes more or fewer rounds.
        for _ in range(WARM_UPS):
            for _ in range(rounds // 4 // BATCH * BATCH):
                play(next(numbers))
            before, base = base, self.at_rest()
            if base <= before + CALM:
                break
        for last in (False, False, True):
            for _ in range(rounds // BATCH * BATCH):
                play(next(numbers))
            try:
                server.until(lambda: self.in_use() <= base + TOLERANCE, 20,
                             f"no more than {base} bytes in use after {rounds} rounds; it is "
                             f"{self.in_use()} now")
                return
            except TimeoutError:
                if last:
                    raise
                base = self.at_rest()

    def rounds_of(self, *requests, answers=None, rounds=ROUNDS):
        """The same for requests on one connection, that are sent many rounds at a time."""
        link = self.open()
        waiting = [0]

        def play(number):
            made = [request(number) if callable(request) else request for request in requests]
            link.send(b"".join(made))
            waiting[0] += len(made) if answers is None else answers
            if number % BATCH == BATCH - 1:
                while waiting[0]:
                    waiting[0] -= 1
                    link.receive()
        self.leaves_nothing(play, rounds)

    def test_windows_that_are_looked_into_and_reverted(self):
        key = lambda n: b"key %d" % (n % 100)  # noqa: E731
        self.rounds_of(
            wire.request(wire.START, extras=struct.pack(">I", 600)),
            lambda n: wire.request(wire.SET, key(n), wire.store_extras(), b"value %d" % n),
            lambda n: wire.request(wire.SET, b"new %d" % n, wire.store_extras(), b"value"),
            wire.request(wire.LOOK, b"", struct.pack(">II", 1, 0)),
            lambda n: wire.request(wire.BEFORE, key(n)),
            lambda n: wire.request(wire.UNDO, key(n)),
            wire.request(wire.DEADLINE, extras=struct.pack(">I", 700)),
            wire.request(wire.STAT, b"onlineupdate-keys"),
            wire.request(wire.REVERT),
            # The sample has two keys and an end.
            answers=11,
        )

    def test_windows_that_are_completed(self):
        self.rounds_of(
            wire.request(wire.START),
            lambda n: wire.request(wire.SET, b"key %d" % (n % 100), wire.store_extras(), b"v"),
            lambda n: wire.request(wire.SET, b"new %d" % n, wire.store_extras(), b"value"),
            wire.request(wire.COMPLETE),
            lambda n: wire.request(wire.DELETE, b"new %d" % n),
        )

    def test_keys_that_come_and_go(self):
        expires, counts = wire.store_extras(expiry=1), struct.pack(">QQI", 1, 1, 1)
        self.rounds_of(
            lambda n: wire.request(wire.SET, b"key %d" % n, wire.store_extras(), b"value"),
            lambda n: wire.request(wire.APPEND, b"key %d" % n, value=b"more"),
            lambda n: wire.request(wire.GET, b"key %d" % n),
            lambda n: wire.request(wire.GAT, b"key %d" % n, struct.pack(">I", 100)),
            lambda n: wire.request(EVICT, b"key %d" % n),
            lambda n: wire.request(wire.DELETE, b"key %d" % n),
            lambda n: wire.request(wire.GET, b"key %d" % n),
            lambda n: wire.request(wire.INCR, b"count %d" % (n % 100), counts),
            lambda n: wire.request(wire.SET, b"brief %d" % (n % 100), expires, b"value"),
            lambda n: wire.request(wire.SET, b"locked %d" % (n % 100), expires, b"value"),
            lambda n: wire.request(GETL, b"locked %d" % (n % 100), struct.pack(">I", 1)),
            lambda n: wire.request(UNLOCK, b"locked %d" % (n % 100), cas=n),
        )

    def test_flushes_and_vbuckets(self):
        state = lambda number: wire.request(  # noqa: E731
            wire.SET_VBUCKET, extras=struct.pack(">I", number), vbucket=9)
        self.rounds_of(
            wire.request(wire.SET, b"key", wire.store_extras(), b"value"),
            wire.request(wire.FLUSH),
            state(wire.ACTIVE),
            wire.request(wire.SET, b"key", wire.store_extras(), b"value", vbucket=9),
            state(wire.DEAD),
            wire.request(wire.DEL_VBUCKET, vbucket=9),
        )

    def test_restores(self):
        extras = struct.pack(">II", 0, 0)
        self.rounds_of(
            wire.request(wire.RESTORE_BEGIN, b"backup"),
            lambda n: wire.request(wire.RESTORE_KEY, b"key %d" % n, extras, b"value", cas=n + 1),
            lambda n: wire.request(wire.RESTORE_KEY, b"gone %d" % n),
            lambda n: wire.request(wire.DELETE, b"key %d" % n),
            wire.request(wire.RESTORE_ABORT),
        )

    def test_the_rest_and_what_is_malformed(self):
        absent = struct.pack(">IHQHH", 0x10, 1, 0, 0, 4) + b"none"
        malformed = b"".join(wire.request(opcode, b"k", b"extra", b"val") for opcode in OWN)
        self.rounds_of(
            wire.request(SYNC, value=absent),
            wire.request(wire.SET_FLUSH_PARAM, b"max_checkpoints", value=b"2"),
            wire.request(wire.SET_TAP_PARAM, b"tap_keepalive", value=b"0"),
            wire.request(wire.STOP_PERSISTENCE), wire.request(wire.START_PERSISTENCE),
            wire.request(wire.LAST_CLOSED_CHECKPOINT), wire.request(wire.GET_VBUCKET),
            wire.request(DEREGISTER, b"nobody"), wire.request(RESET_CHAIN),
            malformed,
            answers=9 + len(OWN),
        )

    def test_statistics(self):
        link = self.open()

        def play(number):
            try:
                link.stats(GROUPS[number % len(GROUPS)])
            except KeyError:
                pass
        self.leaves_nothing(play)

    def test_streams_and_peers(self):
        announced = struct.pack(">IQ", tap.UPDATE_START, 9)

        def play(number):
            flags = (tap.DUMP, tap.BACKFILL | tap.ACK, tap.REGISTERED | tap.ACK)[number % 3]
            name = b"name %d" % number
            data = tap.connect_data(flags)
            with wire.Binary(self.host.address) as link:
                link.send(wire.tap_connect(name, flags, data))
                # A dump of nothing is an end.
                if flags != tap.DUMP:
                    link.receive_event()
            self.link.call(DEREGISTER, name)
            with socket.create_connection(self.host.address) as peer:
                peer.sendall(wire.tap_event(wire.TAP_OPAQUE, engine=tap.code(tap.ENABLE_NACK))
                             + wire.tap_event(wire.TAP_OPAQUE, engine=announced)
                             + wire.tap_event(wire.TAP_MUTATION, b"k", b"v" * number)[:60])
        self.leaves_nothing(play)
