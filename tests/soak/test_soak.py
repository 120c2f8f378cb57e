"""The soak: that it sees what grows, and that a few cycles of it run."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import growth  # noqa: E402

MIB = growth.MIB


def points(values):
    """A sample every ten seconds."""
    return [(10 * number, value) for number, value in enumerate(values)]


class Growth(unittest.TestCase):
    """Judging a figure."""

    def grows(self, name, values):
        """Whether it is said to grow."""
        return growth.judge(name, points(values)).grows

    def test_a_slow_leak_is_seen(self):
        # 400 KiB a sample.
        self.assertTrue(self.grows("source rss", [100 * MIB + n * 400_000 for n in range(60)]))
        self.assertTrue(self.grows("source threads", [18 + n // 20 for n in range(60)]))

    def test_what_goes_up_and_down_does_not_grow(self):
        saw = [60 * MIB + (n % 7) * 4 * MIB for n in range(60)]
        self.assertFalse(self.grows("source disk", saw))
        # A single outlier, and caches that fill at first.
        saw[50] = 900 * MIB
        self.assertFalse(self.grows("source disk", saw))
        filling = [min(n, 12) * 10 * MIB for n in range(60)]
        self.assertFalse(self.grows("source rss", filling))

    def test_a_few_samples_say_nothing(self):
        self.assertIsNone(growth.judge("source rss", points(range(9))))


class Soak(unittest.TestCase):
    """The program."""

    def test_a_few_cycles(self):
        with tempfile.TemporaryDirectory() as out:
            words = [sys.executable, f"{HERE}/soak.py", "--cycles", "3", "--keys", "200",
                     "--operations", "200", "--out", out]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(f"{out}/soak.csv", encoding="ascii") as file:
                rows = file.read().splitlines()
            with open(f"{out}/soak.svg", encoding="ascii") as file:
                self.assertIn("source mem_used", file.read())
        self.assertEqual(len(rows), 4)
        self.assertIn("source descriptors", rows[0])


if __name__ == "__main__":
    unittest.main()
