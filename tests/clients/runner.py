"""Runs test files and ends with the line `N passed, N failed`.

    runner.py [-k PATTERN] [--seed N] [--jobs N] FILE.py...

With a seed classes run in an order that depends on it, and so do the tests of each: what a class
has set up is there for all of its tests, and for no other one. With jobs each file has a process of
its own, so many at a time, and the seed gives the order of the files.
"""

import argparse
import concurrent.futures
import faulthandler
import fnmatch
import importlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import unittest

# What this prints for each test, and at its end.
TOLD = re.compile(r"^(ok|FAILED) +[\d.]+ s ")
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed$")

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Result(unittest.TextTestResult):
    """Counts every test once, and prints one line for each with its time."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.bad = set()
        self.begun = 0.0

    def startTest(self, test):
        super(unittest.TextTestResult, self).startTest(test)
        self.begun = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        word = "FAILED" if test.id() in self.bad else "ok"
        seconds = time.monotonic() - self.begun
        self.stream.writeln(f"{word:6} {seconds:6.1f} s  {test.id()}")
        self.stream.flush()

    def addSuccess(self, test):
        super(unittest.TextTestResult, self).addSuccess(test)

    def addError(self, test, err):
        super(unittest.TextTestResult, self).addError(test, err)
        self.bad.add(test.id())

    def addFailure(self, test, err):
        super(unittest.TextTestResult, self).addFailure(test, err)
        self.bad.add(test.id())

    def addSubTest(self, test, subtest, err):
        super(unittest.TextTestResult, self).addSubTest(test, subtest, err)
        if err is not None:
            self.bad.add(test.id())


def chosen(suite, pattern):
    """The tests of a suite whose name fits a pattern."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from chosen(part, pattern)
        elif fnmatch.fnmatch(part.id(), f"*{pattern}*"):
            yield part


def shuffled(tests, seed):
    """The tests in an order of that seed, those of each class together."""
    classes = {}
    for test in tests:
        classes.setdefault(type(test), []).append(test)
    dice = random.Random(seed)
    groups = list(classes.values())
    dice.shuffle(groups)
    for group in groups:
        dice.shuffle(group)
        yield from group


def of_file(path, options):
    """Runs one file in a process of its own; returns what it passed and failed, and prints. What
    each test was is told at once, so that it is known where one hangs; the rest in one piece."""
    command = [sys.executable, os.path.abspath(__file__), "-k", options.k]
    if options.seed is not None:
        command += ["--seed", str(options.seed)]
    lines, counts = [], None
    with subprocess.Popen([*command, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace") as process:
        for line in process.stdout:
            if TOLD.match(line):
                print(line, end="", flush=True)
            elif not (counts := COUNTS.match(line)):
                lines.append(line)
    passed, failed = map(int, counts.groups()) if counts else (0, 0)
    if process.returncode and not failed and (passed or not counts):
        failed = 1
        lines.append(f"{path}: ended with status {process.returncode}\n")
    print("".join(lines), end="", flush=True)
    return passed, failed


def side_by_side(options):
    """Runs so many files at a time; returns what they passed and failed."""
    files = list(options.files)
    if options.seed is not None:
        random.Random(options.seed).shuffle(files)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda path: of_file(path, options), files))
    return [sum(column) for column in zip(*results)]


def in_this_process(options):
    """Runs the files in this process; returns what they passed and failed."""
    # Libraries of others are in this process: if one of them ends it, this says where.
    faulthandler.enable()
    tests = []
    for path in options.files:
        directory, name = os.path.split(os.path.abspath(path))
        sys.path.insert(0, directory)
        module = importlib.import_module(name.removesuffix(".py"))
        tests.extend(chosen(unittest.defaultTestLoader.loadTestsFromModule(module), options.k))
    if options.seed is not None:
        tests = shuffled(tests, options.seed)
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result)
    result = runner.run(unittest.TestSuite(tests))
    failed = max(len(result.bad), 0 if result.wasSuccessful() else 1)
    return result.testsRun - len(result.bad), failed


def main():
    """Runs the files that the command line names."""
    # In the background of a shell, or with nohup, these are ignored, and what is tested would be
    # begun so: it leaves ignored what it finds ignored.
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGQUIT, signal.SIG_DFL),
                            (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", metavar="PATTERN", default="", help="tests with this in the name")
    parser.add_argument("--seed", type=int, help="of the order; without it that of the files")
    parser.add_argument("--jobs", type=int, default=1, help="how many files at a time")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    passed, failed = (in_this_process if options.jobs == 1 else side_by_side)(options)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
