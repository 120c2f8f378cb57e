"""The system fails the store at the n-th of its calls, for every n of a scripted run.

The run loads keys, ends one window with COMPLETE and one with REVERT, deletes, ends the node in
order and starts it again. What fails does so once, or until somebody repairs it a moment later.
Whatever is hit: the node does not end, nothing that was acknowledged is lost, whatever a client or
the operator was refused has a cause and a cure in words, nothing has to be restarted, and what was
flushed in the end outlives a loss of power.

FAULT_SHARE=N tries every N-th call of each sort (default 200, 1 for all); CRASH_SEED chooses which.
"""

import errno
import os
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import disk  # noqa: E402
import server  # noqa: E402
from disk import CHANGES, KINDS, SEED  # noqa: E402
from wire import (  # noqa: E402
    COMPLETE, DELETEQ, ETMPFAIL, REVERT, SETQ, START, SUCCESS, Closed, request, store_extras,
)

SHARE = int(os.environ.get("FAULT_SHARE", "200"))
KEYS = [b"key %d" % number for number in range(400)]
VALUE = b"%s in " + b"." * 300 + b" %d"
SECONDS = 60
CURES = {
    errno.EIO: "its disk fails",
    errno.ENOSPC: "make space on its disk",
    errno.EDQUOT: "raise the disk quota",
    errno.EROFS: "mount it for writing",
    errno.EMFILE: "raise its limit (ulimit -n, LimitNOFILE)",
}


class Repair(threading.Thread):
    """Makes what failed work again, some time after it has failed."""

    def __init__(self, disk_, seconds):
        super().__init__(daemon=True)
        self.disk, self.seconds = disk_, seconds
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.01):
            if self.disk.hits:
                self.ending.wait(self.seconds)
                self.disk.heal()
                return

    def stop(self):
        """At the end of the run."""
        self.ending.set()
        self.join()
        self.disk.heal()


class Run:
    """The script, with what clients were told."""

    def __init__(self, test):
        self.test = test
        self.host = disk.Node(start=False)
        test.addCleanup(self.host.close)
        self.held = {}
        self.refusals = []
        self.failures = 0
        self.link = None

    def work(self):
        """From the first start to the last look."""
        self.start()
        self.write(0, KEYS)
        self.host.drained(self.link, SECONDS)
        self.decide(START)
        self.write(1, KEYS[::2])
        self.decide(COMPLETE)
        before = dict(self.held)
        self.decide(START)
        self.write(2, KEYS[::3])
        self.decide(REVERT)
        self.held = before
        self.look()
        self.write(3, KEYS[::5])
        self.delete(KEYS[::7])
        self.host.drained(self.link, SECONDS)
        self.failures = int(self.link.stats()["ep_item_commit_failed"])
        self.link.close()
        status = self.host.stop()
        self.test.assertEqual(status, 0, self.host.messages())
        self.start()
        self.look()

    def start(self):
        """Starts the node; if it cannot, it says why, and it can when that is repaired."""
        for _ in range(2):
            self.host.spawn()
            try:
                server.until(self.host._listens, server.START_SECONDS, "server start")
                break
            except server.StartFailed as error:
                self.test.assertEqual(self.host.kill(), 1, f"{error} {self.host.messages()}")
                said = self.host.messages().splitlines()
                self.refusals.append([line for line in said if "cannot start: " in line][-1])
                self.host.disk.heal()
        self.link = self.host.binary()

    def write(self, turn, keys):
        """Sets keys."""
        for at in range(0, len(keys), 100):
            part = keys[at:at + 100]
            self.settled([request(SETQ, key, store_extras(), VALUE % (key, turn), opaque=number)
                          for number, key in enumerate(part)])
        self.held.update({key: VALUE % (key, turn) for key in keys})

    def delete(self, keys):
        """Deletes keys."""
        self.settled([request(DELETEQ, key) for key in keys])
        for key in keys:
            del self.held[key]

    def settled(self, requests):
        """Sends them until none is refused for the moment."""
        def accepted():
            answers = self.link.pipeline(requests)
            self.test.assertLessEqual({answer.status for answer in answers}, {ETMPFAIL}, answers)
            return not answers
        server.until(accepted, SECONDS, "writes")

    def decide(self, opcode):
        """A command of the operator's, until it succeeds."""
        def done():
            answer = self.link.call(opcode)
            if answer.status != SUCCESS:
                self.test.assertEqual(answer.status, ETMPFAIL, answer)
                self.refusals.append(answer.value.decode())
            return answer.status == SUCCESS
        server.until(done, SECONDS, f"{opcode:#x}")

    def look(self):
        """Every key."""
        def readable():
            # While the disk fails, who asks for a value that is not in memory is hung up on.
            try:
                return {key: value for key, value, _ in self.link.get_many(KEYS)}
            except (ValueError, Closed):
                self.link.close()
                self.link = self.host.binary()
                return None
        found = server.until(readable, SECONDS, "reads")
        wrong = [(key, found[key], self.held.get(key)) for key in KEYS
                 if found[key] != self.held.get(key)]
        self.test.assertEqual(wrong, [])


class Faults(unittest.TestCase):
    """What fails, a test each."""

    def setUp(self):
        self.dice = random.Random(f"{SEED} {self.id()}")

    def attempt(self, call, kinds, lasting=0, **fault):
        """One run in which the call with that number fails. Returns the calls of these kinds, how
        many failed, how often somebody was refused and how many commits failed."""
        run = Run(self)
        node = run.host.disk
        node.arm(*kinds, first=call, **fault)
        repair = Repair(node, lasting)
        repair.start()
        try:
            run.work()
            calls, hits = node.calls, node.hits
        finally:
            repair.stop()
        cure = CURES.get(fault.get("error"), "")
        for words in run.refusals:
            self.assertIn("; ", words)
        said = run.host.messages()
        if run.refusals or run.failures:
            self.assertIn(cure, said + str(run.refusals))
        # All of it is on the disk.
        run.link.close()
        run.host.kill()
        node.lose_power(self.dice, "nothing")
        run.host.start()
        run.link = run.host.binary()
        run.look()
        run.link.close()
        run.host.close()
        return calls, hits, len(run.refusals), run.failures

    def every(self, kinds, **fault):
        """For every call, or a share of them."""
        calls, *_ = self.attempt(1 << 62, kinds, **fault)
        chosen = range(1 + self.dice.randrange(min(SHARE, calls)), calls + 1, SHARE)
        begun, sums = time.monotonic(), [0, 0, 0]
        for call in chosen:
            with self.subTest(f"call {call} of {calls}, seed {SEED}", **fault):
                _, *found = self.attempt(call, kinds, **fault)
                sums = [total + (one > 0) for total, one in zip(sums, found)]
        print(f"{fault}: {calls} calls, {len(chosen)} tried, {sums[0]} hit, {sums[1]} refused, "
              f"{sums[2]} with failed commits, {time.monotonic() - begun:.0f} s", flush=True)

    def test_one_error(self):
        self.every(KINDS, error=errno.EIO, times=1)

    def test_a_full_disk(self):
        self.every(CHANGES, error=errno.ENOSPC, lasting=0.3)

    def test_half_of_a_write_on_a_full_disk(self):
        self.every(["write"], error=errno.EDQUOT, halves=1, lasting=0.1)

    def test_no_descriptors(self):
        self.every(["open", "create"], error=errno.EMFILE, lasting=0.2)

    def test_a_disk_that_became_read_only(self):
        self.every(CHANGES, error=errno.EROFS, lasting=0.1)

    def test_a_disk_that_fails_for_a_while(self):
        self.every(KINDS, error=errno.EIO, lasting=0.2)

    def test_a_call_that_takes_long(self):
        self.every(CHANGES, error=0, delay=1000, times=1)


if __name__ == "__main__":
    unittest.main()
