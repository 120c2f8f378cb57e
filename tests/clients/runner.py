"""Runs test files and ends with the line `N passed, N failed`.

    runner.py [-v] [-k PATTERN] FILE.py...
"""

import argparse
import fnmatch
import importlib
import os
import sys
import time
import unittest

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


def main():
    """Runs the files that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", metavar="PATTERN", default="", help="tests with this in the name")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    suite = unittest.TestSuite()
    for path in options.files:
        directory, name = os.path.split(os.path.abspath(path))
        sys.path.insert(0, directory)
        module = importlib.import_module(name.removesuffix(".py"))
        tests = unittest.defaultTestLoader.loadTestsFromModule(module)
        suite.addTests(chosen(tests, options.k))
    runner = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result)
    result = runner.run(suite)
    failed = max(len(result.bad), 0 if result.wasSuccessful() else 1)
    print(f"{result.testsRun - len(result.bad)} passed, {failed} failed")
    sys.exit(1 if failed or not result.testsRun else 0)


if __name__ == "__main__":
    main()
