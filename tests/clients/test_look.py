"""Looking into an online update before deciding, and undoing keys of it."""

import struct
import time

import wire
from server import until
from test_update import UpdateTest
from wire import (
    ADDED, BEFORE, COMPLETE, DELETED, EEXISTS, EINVAL, ENOENT, LOOK, NOT_MY_VBUCKET, NOT_STORED,
    NOT_SUPPORTED, REVERT, START, SUCCESS, UNDO, UPDATED, VANISHED,
)


EVICT_KEY, GET_LOCKED = 0x93, 0x94


class LookTest(UpdateTest):
    """What the classes here share."""

    def look(self, prefix, **more):
        """{key: entry}; a key that comes twice fails."""
        entries = list(self.link.look(prefix, **more))
        found = {entry.key: entry for entry in entries}
        self.assertEqual(len(found), len(entries), "a key comes twice")
        return found

    def words(self, answer, status):
        """Checks a refusal and its words."""
        self.status(answer, status)
        self.assertGreater(len(answer.value), 20, "no words for the operator")


class Look(LookTest):
    """LOOK."""

    def test_what_happened_is_told_with_both_sides(self):
        updated, deleted, added, vanished = map(self.key, ("updated", "deleted", "added", "van"))
        soon = int(time.time()) + 10_000
        old = self.link.set(updated, b"four", flags=0x01020304, expiry=soon).cas
        gone = self.link.set(deleted, b"three").cas
        self.does(START)
        new = self.link.set(updated, b"longest", flags=0xfffefdfc).cas
        self.link.delete(deleted)
        other = self.link.set(added, b"a", expiry=soon).cas
        self.link.set(vanished, b"v")
        self.link.delete(vanished)
        found = self.look(self.key(""))
        self.assertEqual(len(found), 4)
        self.assertEqual(found[updated], wire.LookEntry(
            0, UPDATED, True, updated, 4, 7, 0x01020304, 0xfffefdfc, soon, 0, old, new))
        self.assertEqual(found[deleted], wire.LookEntry(
            0, DELETED, True, deleted, 5, 0, 0, 0, 0, 0, gone, 0))
        self.assertEqual(found[added], wire.LookEntry(
            0, ADDED, True, added, 0, 1, 0, 0, 0, soon, 0, other))
        self.assertEqual(found[vanished], wire.LookEntry(
            0, VANISHED, True, vanished, 0, 0, 0, 0, 0, 0, 0, 0))
        self.does(REVERT)

    def test_the_cas_that_opens_a_lock_is_not_told(self):
        key = self.key("locked")
        self.link.set(key, b"before")
        self.does(START)
        self.link.set(key, b"inside")
        lock = self.link.call(GET_LOCKED, key, struct.pack(">I", 20))
        self.status(lock, SUCCESS)
        entry = self.look(key)[key]
        self.assertEqual(entry.new_cas, 0xffffffffffffffff)
        self.status(self.link.set(key, b"mine", cas=lock.cas), SUCCESS)
        self.assertEqual(self.look(key)[key].new_cas, self.link.get(key).cas)
        self.does(REVERT)

    def test_pages_of_every_size_hold_every_key_once(self):
        keys = {self.key(str(n)) for n in range(2_500)}
        self.does(START)
        self.link.pipeline([wire.request(wire.SETQ, key, wire.store_extras(), b"v")
                            for key in keys])
        for wanted in (0, 1_000, 7, 5_000):
            self.assertEqual(set(self.look(self.key(""), wanted=wanted)), keys)
        page = self.link.look_page(self.key(""), wanted=7)
        self.assertEqual(len(list(wire.look_entries(page.value))), 7)
        self.assertEqual(set(self.look(self.key("12"), wanted=3)),
                         {key for key in keys if key.startswith(self.key("12"))})
        self.does(REVERT)

    def test_keys_that_change_meanwhile_come_once(self):
        keys = [self.key(str(n)) for n in range(400)]
        self.does(START)
        for key in keys:
            self.link.set(key, b"v")
        seen = []
        with self.host.binary() as writer:
            for turn, entry in enumerate(self.link.look(self.key(""), wanted=10)):
                seen.append(entry.key)
                writer.set(keys[turn % 400], b"again")
        self.assertEqual(sorted(seen), sorted(keys))
        self.does(REVERT)

    def test_a_page_is_bounded_in_bytes(self):
        self.does(START)
        long = self.key("x" * 150)
        for n in range(1_000):
            self.link.set(long + b"%04d" % n, b"v")
        page = self.link.look_page(long)
        self.assertLessEqual(len(page.value), 256 << 10)
        self.assertEqual(len(self.look(long)), 1_000)
        self.does(REVERT)

    def test_a_key_of_the_greatest_length(self):
        key = self.key().ljust(250, b"k")
        self.does(START)
        self.link.set(key, b"v")
        self.assertEqual(list(self.look(key)), [key])
        self.does(REVERT)

    def test_a_flush_all_deletes_every_key(self):
        keys = [self.key(str(n)) for n in range(50)]
        for key in keys:
            self.link.set(key, b"before")
        self.does(START)
        self.link.set(keys[0], b"inside")
        self.link.call(wire.FLUSH)
        self.link.set(keys[1], b"inside")
        found = self.look(self.key(""), wanted=9)
        self.assertEqual(set(found), set(keys))
        self.assertEqual(found[keys[1]].what, UPDATED)
        self.assertTrue(all(found[key].what == DELETED for key in keys if key != keys[1]))
        self.status(self.link.call(UNDO, keys[7]), SUCCESS)
        self.holds(keys[7], b"before")
        self.does(REVERT)

    def test_of_one_vbucket_and_of_the_node(self):
        self.link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.ACTIVE), vbucket=3)
        self.does(START)
        for vbucket in (0, 3):
            self.link.set(self.key(), b"v", vbucket=vbucket)
        entries = list(self.link.look(self.key(), wanted=1))
        self.assertEqual([entry.vbucket for entry in entries], [0, 3])
        entries = list(self.link.look(self.key(), node=False, vbucket=3))
        self.assertEqual([entry.vbucket for entry in entries], [3])
        self.words(self.link.look_page(node=False, vbucket=5), NOT_MY_VBUCKET)
        self.words(self.link.look_page(node=False, vbucket=0xffff), NOT_MY_VBUCKET)
        self.does(REVERT)

    def test_malformed_requests_are_invalid(self):
        page = struct.pack(">II", 1, 0)
        for state in ("none", "open"):
            if state == "open":
                self.does(START)
            for form in ({}, {"extras": page[:4]}, {"extras": page + b"\0"},
                         {"extras": struct.pack(">II", 2, 0)},
                         {"extras": page, "value": b"not a cursor"},
                         {"extras": page, "value": b"x" * 10_000}):
                self.words(self.link.call(LOOK, **form), EINVAL)
        self.link.set(self.key("1"), b"v")
        self.link.set(self.key("2"), b"v")
        cursor = self.link.look_page(self.key(""), wanted=1).key
        self.does(REVERT)
        self.words(self.link.look_page(), NOT_SUPPORTED)
        self.does(START)
        self.words(self.link.look_page(cursor=cursor), EINVAL)
        # What nobody was given ends somewhere, and does no harm.
        for length in range(14, 40):
            for byte in (0x00, 0x7f, 0xff):
                forged = cursor[:10] + bytes([byte]) * (length - 10)
                self.link.look_page(cursor=forged)
        self.does(REVERT)


class Undo(LookTest):
    """BEFORE and UNDO."""

    def before(self, key, value, flags=0):
        """Checks what a key was; returns its CAS of then."""
        answer = self.status(self.link.call(BEFORE, key), SUCCESS)
        self.assertEqual((answer.value, answer.key), (value, b""))
        self.assertEqual(struct.unpack(">II", answer.extras), (flags, 0))
        return answer.cas

    def evict(self, key):
        """Waits until a key's value is on disk only."""
        gone = (b"Ejected.", b"Already ejected.")
        until(lambda: self.link.call(EVICT_KEY, key).value in gone, what="the value is on disk")

    def touch_all(self, on_disk):
        """A key of each kind; returns the CAS of the first."""
        updated, deleted, added = map(self.key, ("updated", "deleted", "added"))
        cas = self.link.set(updated, b"before " * 20, flags=7).cas
        self.link.set(deleted, b"before " * 20, flags=7)
        if on_disk:
            for key in (updated, deleted):
                self.evict(key)
        self.does(START)
        self.link.set(updated, b"inside")
        self.link.delete(deleted)
        self.link.set(added, b"inside")
        return cas

    def test_undo_and_then_either_decision(self):
        for on_disk in (False, True):
            for decision in (COMPLETE, REVERT):
                cas = self.touch_all(on_disk)
                updated, deleted, added = map(self.key, ("updated", "deleted", "added"))
                self.assertEqual(self.before(updated, b"before " * 20, 7), cas)
                self.before(deleted, b"before " * 20, 7)
                self.words(self.link.call(BEFORE, added), ENOENT)
                undone = self.status(self.link.call(UNDO, updated), SUCCESS)
                self.assertGreater(undone.cas, cas)
                self.status(self.link.call(UNDO, deleted), SUCCESS)
                self.assertEqual(self.status(self.link.call(UNDO, added), SUCCESS).cas, 0)
                for turn in range(2):
                    answer = self.holds(updated, b"before " * 20)
                    self.assertEqual(answer.extras, struct.pack(">I", 7))
                    expected = cas if turn and decision == REVERT else undone.cas
                    self.assertEqual(answer.cas, expected)
                    self.holds(deleted, b"before " * 20)
                    self.holds(added, None)
                    if turn == 0:
                        self.does(decision)

    def test_cas_locks_and_keys_that_were_not_touched(self):
        key, other = self.key(), self.key("other")
        self.link.set(key, b"before")
        self.link.set(other, b"before")
        self.does(START)
        cas = self.link.set(key, b"inside").cas
        self.words(self.link.call(UNDO, key, cas=cas + 1), EEXISTS)
        self.holds(key, b"inside")
        self.words(self.link.call(UNDO, other), NOT_STORED)
        self.words(self.link.call(BEFORE, other), NOT_STORED)
        self.words(self.link.call(UNDO, self.key("never")), NOT_STORED)
        cas = self.status(self.link.call(GET_LOCKED, key), SUCCESS).cas
        self.words(self.link.call(UNDO, key), EEXISTS)
        self.status(self.link.call(UNDO, key, cas=cas), SUCCESS)
        self.holds(key, b"before")
        for opcode in (BEFORE, UNDO):
            self.words(self.link.call(opcode, key, vbucket=9), NOT_MY_VBUCKET)
        self.does(REVERT)
        for opcode in (BEFORE, UNDO):
            self.words(self.link.call(opcode, key), NOT_SUPPORTED)

    def test_malformed_requests_are_invalid(self):
        key = self.key()
        self.does(START)
        for opcode in (BEFORE, UNDO):
            for form in ({}, {"key": key, "extras": b"x"}, {"key": key, "value": b"x"}):
                self.words(self.link.call(opcode, **form), EINVAL)
        self.does(REVERT)
