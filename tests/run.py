"""Runs every test of the project and ends with the line `N passed, N failed`.

Each step is a command; its output is passed on, and its results are counted from what it prints. A
step that fails without a failed test, prints no result or takes too long counts as one failure.
`make test` calls this after it has installed what is needed.

Tests of each step run in an order that a seed gives, which is printed first, and random models with
cases by it. TEST_SEED repeats both.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = sys.executable
SOAK = "engine::tests::soak::"
# What runners print at their end: cargo's harness, the C harness, tests/clients/runner.py.
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;")
COUNTS = re.compile(r"^(?:.*: )?(\d+) passed, (\d+) failed(?:, \d+ \w+)?$")

# Rust's harness shuffles, but a stable one only for who says that it is not. Said to the programs
# of tests alone, so that nothing is compiled for it.
UNSTABLE = ["--config", "target.'cfg(all())'.runner=['env', 'RUSTC_BOOTSTRAP=1']"]

# A step that takes longer hangs.
STEP_SECONDS = 15 * 60


def ended(status):
    """How a command ended, in words."""
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it ended with status {status}"


class Tally:
    """What came of the steps."""

    def __init__(self):
        self.lines = []
        self.passed = self.failed = 0

    def step(self, name, *command, pattern=None, environment=None):
        """Runs a command. Without a pattern the command itself is the one test."""
        print(f"\n== {name}: {' '.join(command)}", flush=True)
        begun = time.monotonic()
        passed, failed, status = self.run(command, pattern, environment)
        if pattern is None:
            passed = 1 if status == 0 else 0
        if failed == 0 and (status != 0 or passed == 0):
            failed = 1
            print(f"{name}: {ended(status)}; no failed test was counted", flush=True)
        self.passed += passed
        self.failed += failed
        seconds = time.monotonic() - begun
        self.lines.append(f"{name:20} {passed:5} passed {failed:5} failed {seconds:7.0f} s")
        return failed == 0

    @staticmethod
    def run(command, pattern, environment):
        """Runs a command, passes its output on; returns what it passed, failed, and its status."""
        passed = failed = 0
        try:
            process = subprocess.Popen(
                command, cwd=TOP, env={**os.environ, **(environment or {})}, text=True,
                errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
        except OSError as error:
            print(error)
            return 0, 0, 1

        def end():
            print(f"not done after {STEP_SECONDS} s: killed", flush=True)
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(STEP_SECONDS, end)
        timer.start()
        try:
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                if pattern and (found := pattern.match(line.strip())):
                    passed += int(found[1])
                    failed += int(found[2])
            return passed, failed, process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            timer.cancel()

    def report(self):
        """Prints the sums; returns the exit status."""
        print("\n" + "\n".join(self.lines))
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def scripts(folder):
    """The test files of a folder."""
    directory = os.path.join(TOP, "tests", folder)
    names = sorted(os.listdir(directory))
    return [f"tests/{folder}/{name}" for name in names
            if name.startswith("test_") and name.endswith(".py")]


def lints(tally):
    """Formatting and lints, with the tools that are there."""
    if shutil.which("cargo-fmt"):
        tally.step("format", "cargo", "fmt", "--check")
    else:
        print("\n== format: left out, there is no rustfmt (rustup component add rustfmt)")
    if shutil.which("cargo-clippy"):
        tally.step("clippy", "cargo", "clippy", "--locked", "--all-targets", "--", "-D", "warnings")
    else:
        print("\n== clippy: left out, there is no clippy (rustup component add clippy)")
    # The fuzzers are built by hand only, and compile the tools' modules one by one: what these come
    # to use must be there too. A checked program is not linked: no libFuzzer has to be built.
    tally.step("fuzzers, checked", "cargo", "check", "--locked", "--manifest-path",
               "tests/fuzz/Cargo.toml", environment={
                   "CUSTOM_LIBFUZZER_PATH": "/unused/libunused.a",
                   "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", f"{TOP}/target")})


def main():
    """All steps, in the order in which they say most about what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", default="2")
    options = parser.parse_args()
    engine = os.environ.get("CHECKPOINT_ENGINE", f"{TOP}/target/release/libcheckpoint_engine.so")
    tally = Tally()
    seed = str(int(os.environ.get("TEST_SEED") or random.randrange(2**32)))
    tally.lines.append(f"TEST_SEED={seed} repeats the order of the tests and the cases of models")
    print(tally.lines[0])
    # Random models run other cases with each seed.
    os.environ.setdefault("PROPTEST_RNG_SEED", seed)
    c_host = ["make", "--no-print-directory", "-C", "c-host", "CFLAGS_EXTRA=-Werror"]
    checked = [f"ENGINE={engine}", f"TEST_FLAGS=-q --seed={seed}"]
    runner = [PYTHON, "tests/clients/runner.py", "--seed", seed, "--jobs", options.jobs]
    shuffled = ["-Z", "unstable-options", "--shuffle-seed", seed]

    lints(tally)
    # The soak has a process of its own: the bytes in use are counted for the whole process, and
    # other tests fill the memory.
    tests = ["test", "--locked", "--features", "regenerate"]
    tally.step("cargo test", "cargo", *UNSTABLE, *tests, "--no-fail-fast", "--tests",
               "--", "--skip", SOAK, *shuffled, pattern=CARGO)
    tally.step("examples in docs", "cargo", *tests, "--doc")
    tally.step("soak", "cargo", *tests, "--lib", SOAK, pattern=CARGO)
    built = [
        tally.step("release build", "cargo", "build", "--release", "--locked"),
        tally.step("C build", *c_host, f"-j{options.jobs}", "server", "harness", "suites", "bench",
                   "faults"),
    ]
    if all(built):
        tally.step("C suites", *c_host, "-k", "-O", f"-j{options.jobs}", "check", *checked,
                   pattern=COUNTS)
        tally.step("C fuzz inputs", *c_host, f"-j{options.jobs}", "check-fuzz", pattern=COUNTS)
        tally.step("C suites, ARCUS", *c_host, "check-arcus", *checked, pattern=COUNTS)
        tally.step("two hosts' answers", PYTHON, "tests/fuzz/differential.py", "--seconds", "5",
                   "--seed", "1",
                   pattern=COUNTS)
        tally.step("clients", *runner, *scripts("clients"), pattern=COUNTS)
        tally.step("crashes", *runner, *scripts("crash"), pattern=COUNTS)
        tally.step("measuring tools", *runner, *scripts("bench"), *scripts("soak"),
                   pattern=COUNTS)
    else:
        tally.lines.append("the rest was not run: the build failed")
    sys.exit(tally.report())


if __name__ == "__main__":
    main()
