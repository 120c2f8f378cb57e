"""The checker that the traffic and crash tests lean on: it must know a wrong state."""

import unittest

from history import History


class Prefixes(unittest.TestCase):
    """Which states are prefixes of what was written."""

    def setUp(self):
        self.history = History({"a": None, "b": "old", "c": None})
        for key, value in (("a", 1), ("b", 2), ("a", None), ("b", 4), ("a", 5)):
            self.history.write(key, value)

    def test_every_state_on_the_way_is_a_prefix(self):
        for number in range(6):
            state = self.history.state_at(number)
            self.assertIn(number, self.history.prefixes(state))
        self.assertEqual(self.history.prefixes({"a": 1, "b": "old", "c": None}), [1])
        self.assertEqual(self.history.prefixes({"a": None, "b": 2, "c": None}), [3])
        self.assertEqual(self.history.prefixes({"a": 5, "b": 4, "c": None}), [5])

    def test_other_states_are_not(self):
        for wrong in ({"a": 5, "b": 2, "c": None}, {"a": 1, "b": 4, "c": None},
                      {"a": 5, "b": 4, "c": 1}, {"a": None, "b": None, "c": None},
                      {"a": 9, "b": 4, "c": None}):
            self.assertEqual(self.history.prefixes(wrong), [], wrong)
            self.assertIn("keys", self.history.blame(wrong, 5))

    def test_writes_that_were_taken_back_are_no_part_of_it(self):
        taken = self.history.without(1, 4)
        self.assertEqual(taken.state_at(4), {"a": 1, "b": "old", "c": None})
        self.assertEqual(taken.prefixes({"a": 5, "b": "old", "c": None}), [5])
        self.assertEqual(taken.prefixes({"a": 5, "b": 4, "c": None}), [])
        self.assertEqual(self.history.state_at(5), {"a": 5, "b": 4, "c": None})
