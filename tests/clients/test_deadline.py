"""Windows that revert by themselves, as an operator sees them."""

import struct

import wire
from server import until
from test_update import UpdateTest
from wire import COMPLETE, DEADLINE, EINVAL, NOT_SUPPORTED, REVERT, START, SUCCESS


def seconds(count):
    """The extras of START and DEADLINE."""
    return struct.pack(">I", count)


class Deadline(UpdateTest):
    """START with a deadline, and DEADLINE."""

    def moves(self, count):
        """Sends DEADLINE, which must succeed."""
        self.status(self.link.call(DEADLINE, extras=seconds(count)), SUCCESS)

    def until_reverted(self):
        """Waits until the window has gone."""
        until(lambda: self.state()["state"] == "none", what="the window reverts")

    def test_a_window_reverts_by_itself_when_its_operator_has_gone(self):
        key, new = self.key(), self.key("new")
        self.link.set(key, b"before")
        before = self.holds(key, b"before").cas
        with self.host.binary() as operator:
            self.status(operator.call(START, extras=seconds(1000)), SUCCESS)
        self.link.set(key, b"inside")
        self.link.set(new, b"inside")
        self.assertIn(int(self.state()["seconds_left"]), range(900, 1001))
        # The rest of its time, so that both were written before.
        self.moves(1)
        self.until_reverted()
        self.assertEqual(self.holds(key, b"before").cas, before)
        self.holds(new, None)
        self.assertEqual(self.link.stats()["ep_onlineupdate_last_outcome"], "reverted at deadline")
        self.refused(COMPLETE)
        self.assertIn("deadline of the online update has passed", self.host.messages())

    def test_a_deadline_is_shown_moved_and_taken_away(self):
        self.does(START)
        self.assertEqual(self.state()["seconds_left"], "none")
        self.moves(1000)
        self.assertIn(int(self.state()["seconds_left"]), range(900, 1001))
        self.moves(0)
        self.assertEqual(self.state()["seconds_left"], "none")
        self.does(REVERT)
        self.assertEqual(self.state()["last_outcome"], "reverted")
        self.assertEqual(self.state()["seconds_left"], "none")

    def test_extras_of_zero_seconds_are_no_deadline(self):
        self.status(self.link.call(START, extras=seconds(0)), SUCCESS)
        self.assertEqual(self.state()["seconds_left"], "none")
        self.does(COMPLETE)
        self.status(self.link.call(START, extras=seconds(0xffffffff)), SUCCESS)
        self.does(COMPLETE)

    def test_without_a_window_there_is_none(self):
        answer = self.status(self.link.call(DEADLINE, extras=seconds(5)), NOT_SUPPORTED)
        self.assertIn(b"START", answer.value)

    def test_malformed_requests_are_invalid_and_change_nothing(self):
        forms = ({}, {"extras": b"\0\0\0"}, {"extras": b"\0\0\0\0\1"},
                 {"extras": b"\0\0\0\1", "key": b"k"}, {"extras": b"\0\0\0\1", "value": b"v"})
        self.does(START)
        for form in forms:
            answer = self.status(self.link.call(DEADLINE, **form), EINVAL)
            self.assertGreater(len(answer.value), 20, "no words for the operator")
        for form in forms[1:]:
            self.status(self.link.call(START, **form), EINVAL)
        with self.host.binary(timeout=10) as link:
            link.send(wire.HEADER.pack(0x80, DEADLINE, 9, 4, 0, 0, 5, 0, 0) + b"12345")
            self.status(link.receive(), EINVAL)
        self.assertEqual(self.state()["seconds_left"], "none")
        self.does(REVERT)
