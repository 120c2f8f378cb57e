"""Replicas over real sockets, fed by engine-replicate; every key is compared."""

import itertools
import os
import threading
import unittest

import server
import tap
import wire
from tap import Pump
from wire import COMPLETE, REVERT, START, SUCCESS, request, store_extras

KEYS = 20_000
VBUCKETS = (0, 1, 2)


def key_of(number):
    """A key and the vbucket that it is in."""
    return VBUCKETS[number % len(VBUCKETS)], b"key %d" % number


def shown(found, want):
    """A few of the keys that are not as they should be."""
    wrong = []
    for vbucket in VBUCKETS:
        keys = found[vbucket].keys() | want[vbucket].keys()
        pairs = ((key, found[vbucket].get(key), want[vbucket].get(key)) for key in keys)
        wrong += [(vbucket, *pair) for pair in pairs if pair[1] != pair[2]]
    return f"{len(wrong)} keys differ (vbucket, key, found, wanted): {wrong[:5]}"


class Replication(unittest.TestCase):
    """A source and its replicas."""

    def setUp(self):
        if not os.path.exists(tap.REPLICATE):
            self.skipTest(f"no {tap.REPLICATE}: make -C c-host replicate")
        self.marks = itertools.count(1)
        self.want = {vbucket: {} for vbucket in VBUCKETS}
        self.source = self.node()
        self.link = self.connect(self.source)
        for vbucket in VBUCKETS:
            tap.set_state(self.link, vbucket, wire.ACTIVE)

    def node(self, replica=False):
        """A server of this test."""
        host = tap.node(replica=replica)
        self.addCleanup(host.close)
        return host

    def pump(self, source, destination, *options):
        """engine-replicate of this test."""
        pump = Pump(source, destination, *options, vbuckets=VBUCKETS)
        self.addCleanup(pump.close)
        return pump

    def connect(self, host):
        """A binary connection."""
        link = host.binary()
        self.addCleanup(link.close)
        return link

    def write(self, numbers, word):
        """Sets keys, on the connection that also sends the commands."""
        numbers = list(numbers)
        for first in range(0, len(numbers), 500):
            requests = []
            for number in numbers[first:first + 500]:
                vbucket, key = key_of(number)
                value, flags = b"%s %d" % (word, number), number * 2654435761 & 0xffffffff
                self.want[vbucket][key] = (value, flags)
                extras = store_extras(flags)
                requests.append(request(wire.SETQ, key, extras, value, vbucket=vbucket))
            self.assertEqual(self.link.pipeline(requests), [])

    def delete(self, numbers):
        """Deletes keys that are there."""
        requests = []
        for number in numbers:
            vbucket, key = key_of(number)
            del self.want[vbucket][key]
            requests.append(request(wire.DELETEQ, key, vbucket=vbucket))
        self.assertEqual(self.link.pipeline(requests), [])

    def change(self, word):
        """Updates, deletes and adds in equal parts; in the window or not."""
        self.write(range(0, KEYS, 3), word)
        self.delete(range(1, KEYS, 30))
        self.write(range(KEYS, KEYS + 500), word)

    def command(self, opcode, link=None):
        """A command of online update that must succeed."""
        answer = (link or self.link).call(opcode)
        self.assertEqual(answer.status, SUCCESS, answer)

    def copy(self):
        """What should be there now."""
        return {vbucket: dict(held) for vbucket, held in self.want.items()}

    def same(self, *replicas):
        """Every replica that has caught up holds what the source should hold, and the source."""
        marker = b"%d" % next(self.marks)
        for vbucket in VBUCKETS:
            answer = self.link.set(tap.MARKER, marker, vbucket=vbucket)
            self.assertEqual(answer.status, SUCCESS)
        self.assertTrue(self.read(self.link) == self.want, "the source is wrong")
        for number, replica in enumerate(replicas):
            found = tap.contents(replica.address, VBUCKETS, marker)
            self.assertTrue(found == self.want, f"replica {number}: {shown(found, self.want)}")

    def read(self, link):
        """What an active node holds of the keys that exist or existed."""
        found = {vbucket: {} for vbucket in VBUCKETS}
        keys = [key_of(number) for number in range(KEYS + 500)]
        for first in range(0, len(keys), 500):
            chunk = keys[first:first + 500]
            requests = [request(wire.GETKQ, key, vbucket=vbucket, opaque=vbucket)
                        for vbucket, key in chunk]
            for answer in link.pipeline(requests):
                self.assertEqual(answer.status, SUCCESS, answer)
                flags = int.from_bytes(answer.extras, "big")
                found[answer.opaque][answer.key] = (answer.value, flags)
        return found

    def end_window(self, opcode, before, *replicas):
        """COMPLETE or REVERT, and what must be there then."""
        if opcode == REVERT:
            self.want = before
        self.command(opcode)
        self.same(*replicas)

    def window(self, opcode, *replicas):
        """A window with changes of every kind."""
        before = self.copy()
        self.command(START)
        self.change(b"window %x" % opcode)
        self.same(*replicas)
        for replica in replicas:
            self.assertEqual(tap.windows(replica, VBUCKETS), {"open"})
        self.end_window(opcode, before, *replicas)
        for replica in replicas:
            self.assertEqual(tap.windows(replica, VBUCKETS), {"none"})

    def promote(self, host):
        """Makes a replica active; returns a connection to it."""
        link = self.connect(host)
        for vbucket in VBUCKETS:
            tap.set_state(link, vbucket, wire.ACTIVE)
        return link


class Windows(Replication):
    """One source, one replica or a chain of two."""

    def test_a_load_and_windows_reach_the_replica(self):
        replica = self.node(replica=True)
        self.write(range(KEYS // 4), b"before")
        self.pump(self.source, replica)
        self.write(range(KEYS), b"under load")
        self.same(replica)
        self.window(COMPLETE, replica)
        self.write(range(KEYS), b"again")
        self.window(REVERT, replica)
        self.write(range(5, KEYS, 7), b"after")
        self.same(replica)

    def test_windows_right_after_one_another(self):
        replica = self.node(replica=True)
        self.pump(self.source, replica)
        self.write(range(KEYS), b"before")
        for number in range(6):
            before = self.copy()
            self.command(START)
            self.write(range(number, KEYS, 50), b"window %d" % number)
            opcode = REVERT if number % 2 else COMPLETE
            self.command(opcode)
            if opcode == REVERT:
                self.want = before
            self.write(range(number, KEYS, 75), b"between %d" % number)
        self.same(replica)
        self.assertEqual(self.read(self.promote(replica)), self.want)

    def test_a_window_with_flush_all(self):
        replica = self.node(replica=True)
        self.pump(self.source, replica)
        for opcode in (REVERT, COMPLETE):
            self.write(range(KEYS), b"before")
            before = self.copy()
            self.command(START)
            self.write(range(100), b"first")
            self.assertEqual(self.link.call(wire.FLUSH).status, SUCCESS)
            self.want = {vbucket: {} for vbucket in VBUCKETS}
            self.write(range(50, 1000), b"then")
            self.same(replica)
            self.end_window(opcode, before, replica)

    def test_statistics_know_the_stream(self):
        replica = self.node(replica=True)
        self.pump(self.source, replica, "-n", "named")
        self.write(range(100), b"before")
        self.same(replica)
        stats = self.link.stats(b"tap")
        self.assertEqual(stats["eq_tapq:named:type"], "producer")
        # One marker a vbucket.
        self.assertEqual(stats["eq_tapq:named:rec_fetched"], str(100 + len(VBUCKETS)))
        with replica.binary() as link:
            kinds = [value for name, value in link.stats(b"tap").items() if name.endswith(":type")]
        self.assertIn("consumer", kinds)

    def test_flush_all_outside_of_a_window(self):
        replica = self.node(replica=True)
        self.pump(self.source, replica)
        self.write(range(KEYS), b"before")
        self.assertEqual(self.link.call(wire.FLUSH).status, SUCCESS)
        self.want = {vbucket: {} for vbucket in VBUCKETS}
        self.write(range(300), b"then")
        self.same(replica)

    def test_a_stream_that_begins_inside_a_window(self):
        for opcode in (REVERT, COMPLETE):
            with self.subTest(opcode=opcode):
                replica = self.node(replica=True)
                self.write(range(KEYS), b"before")
                before = self.copy()
                self.command(START)
                self.change(b"early")
                pump = self.pump(self.source, replica)
                self.write(range(2, KEYS, 5), b"late")
                self.same(replica)
                self.assertEqual(tap.windows(replica, VBUCKETS), {"open"})
                self.end_window(opcode, before, replica)
                pump.close()

    def test_a_stream_that_is_lost_inside_a_window(self):
        replica = self.node(replica=True)
        self.write(range(KEYS), b"before")
        pump = self.pump(self.source, replica)
        self.same(replica)
        before = self.copy()
        self.command(START)
        self.change(b"early")
        pump.kill()
        self.write(range(2, KEYS, 5), b"nobody hears")
        pump.start()
        self.same(replica)
        pump.kill()
        self.end_window(REVERT, before)
        pump.start()
        self.same(replica)

    def test_a_chain(self):
        middle, end = self.node(replica=True), self.node(replica=True)
        self.pump(self.source, middle, "-r")
        tap.wait_for_vbuckets(middle.address, VBUCKETS)
        self.pump(middle, end, "-r")
        self.write(range(KEYS), b"before")
        self.same(middle, end)
        self.window(REVERT, middle, end)
        self.window(COMPLETE, middle, end)
        self.assertEqual(self.read(self.promote(end)), self.want)

    def test_a_promoted_replica_decides_a_window(self):
        for opcode in (REVERT, COMPLETE):
            with self.subTest(opcode=opcode):
                replica = self.node(replica=True)
                pump = self.pump(self.source, replica)
                self.write(range(KEYS), b"before")
                before = self.copy()
                self.command(START)
                self.change(b"inside")
                self.same(replica)
                pump.close()
                link = self.promote(replica)
                self.command(opcode, link)
                self.assertEqual(self.read(link), before if opcode == REVERT else self.want)
                self.end_window(REVERT, before)

    def test_the_replica_of_a_source_that_died_in_its_window(self):
        replica = self.node(replica=True)
        self.pump(self.source, replica, "-r")
        self.write(range(KEYS), b"before")
        self.source.drained()
        before = self.copy()
        self.command(START)
        self.change(b"lost")
        self.same(replica)
        self.source.restart()
        self.link = self.connect(self.source)
        self.want = before
        # The marker of before was lost as well: the next one is another.
        self.same(replica)
        self.assertEqual(tap.windows(replica, VBUCKETS), {"none"})

    def test_a_replica_that_died_in_a_window(self):
        replica = self.node(replica=True)
        self.pump(self.source, replica, "-r")
        self.write(range(KEYS), b"before")
        before = self.copy()
        self.command(START)
        self.change(b"inside")
        self.same(replica)
        replica.restart()
        self.write(range(4, KEYS, 9), b"later")
        self.same(replica)
        self.end_window(REVERT, before, replica)


class Takeover(Replication):
    """Vbuckets that move."""

    def move(self):
        """Takes over; returns a connection to the new owner."""
        target = self.node(replica=True)
        pump = self.pump(self.source, target, "-t")
        self.assertEqual(pump.process.wait(60), 0, pump.said())
        with self.source.binary() as link:
            self.assertEqual({link.get(b"any", vbucket=vb).status for vb in VBUCKETS},
                             {wire.NOT_MY_VBUCKET})
        return target, self.connect(target)

    def test_outside_of_a_window(self):
        self.write(range(KEYS), b"before")
        _, link = self.move()
        self.assertEqual(self.read(link), self.want)
        self.assertEqual(link.set(b"new", b"", vbucket=1).status, SUCCESS)

    def test_inside_a_window(self):
        for opcode in (REVERT, COMPLETE):
            with self.subTest(opcode=opcode):
                self.write(range(KEYS), b"before")
                before = self.copy()
                self.command(START)
                self.change(b"inside")
                target, link = self.move()
                self.assertEqual(self.read(link), self.want)
                self.assertEqual(tap.windows(target, VBUCKETS), {"open"})
                # The old owner's commands no longer count it.
                self.assertEqual(self.link.call(opcode).status, wire.NOT_SUPPORTED)
                self.command(opcode, link)
                self.want = before if opcode == REVERT else self.want
                self.assertEqual(self.read(link), self.want)
                # The next one begins with what is there.
                self.source, self.link = target, link

    def test_under_load(self):
        self.write(range(KEYS), b"before")
        taken = threading.Event()
        refused = []

        def load():
            with self.source.binary() as link:
                for number in itertools.count():
                    vbucket, key = key_of(number % KEYS)
                    value = b"load %d" % number
                    answer = link.set(key, value, vbucket=vbucket)
                    if answer.status == wire.NOT_MY_VBUCKET:
                        refused.append(vbucket)
                    elif answer.status == SUCCESS:
                        self.want[vbucket][key] = (value, 0)
                    if taken.is_set():
                        return
        writer = threading.Thread(target=load)
        writer.start()
        try:
            _, link = self.move()
            server.until(lambda: refused or not writer.is_alive(), what="a refused write")
        finally:
            taken.set()
            writer.join()
        # Every write that the old owner took is at the new one.
        self.assertEqual(self.read(link), self.want)
        self.assertTrue(refused)


if __name__ == "__main__":
    unittest.main()
