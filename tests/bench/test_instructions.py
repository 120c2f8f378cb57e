"""That a get and a set take no more instructions than they did, by a wide margin."""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import instructions  # noqa: E402

# Compilers, allocators and libraries differ, and what a set does depends on other threads a little.
MARGIN = 1.3


class Instructions(unittest.TestCase):
    """Counted by callgrind, so the machine's speed and load do not matter."""

    def check(self, name):
        """Compares with the record."""
        if not shutil.which("valgrind"):
            self.skipTest("there is no valgrind")
        counted, before = instructions.count(name), instructions.recorded()[name]
        self.assertGreater(counted, 0, "callgrind counted nothing")
        self.assertLess(
            counted, MARGIN * before,
            f"a {name} takes {counted:.0f} instructions, {before} were recorded: if that has to "
            "be, record it with python3 tests/bench/instructions.py --record",
        )

    def test_get(self):
        self.check("get")

    def test_set(self):
        self.check("set")
