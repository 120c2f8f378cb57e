"""Runs the suites in C and client tests with sanitizers in the engine and in all that is C.

address: the library built with the address sanitizer and the system's allocator, the host and the
harness with address and undefined behaviour sanitizers, leaks included. thread: the same with the
thread sanitizer, and with Rust's own library built anew for it. memcheck: valgrind over the suites,
with the library as it is installed. Takes an hour; `make check-deep` calls it after it has
installed what is needed (docs/reliability.md, "Sanitizers").
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD = TOP / "target" / "deep"
C_HOST = TOP / "c-host"
TRIPLE = "x86_64-unknown-linux-gnu"
SUITES = ["kv", "vbucket", "update", "window", "rules", "lifecycle", "stats", "tap"]
# Layout of the suite, layout of the cookies, kind of cookies.
PASSES = [("membase", "membase", []), ("memcached", "memcached", ["--real-cookies"])]
CLIENTS = ["test_binary.py", "test_ascii.py", "test_update.py", "test_look.py", "test_tap.py",
           "test_hang_up.py", "test_host_bounds.py"]


def call(*command, **more):
    """Runs a command that must succeed."""
    subprocess.run([str(word) for word in command], check=True, cwd=TOP, **more)


def library(kind, toolchain):
    """The library with a sanitizer."""
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(BUILD / kind),
        "RUSTFLAGS": f"-Zsanitizer={kind} --cfg checkpoint_engine_system_alloc",
    }
    std = ["-Zbuild-std"] if kind == "thread" else []
    call("cargo", f"+{toolchain}", "build", *std, "--lib", "--locked", "--no-default-features",
         "--target", TRIPLE, env=environment)
    return BUILD / kind / TRIPLE / "debug" / "libcheckpoint_engine.so"


def c_side(kind):
    """Host, harness and suites with a sanitizer; clang's, which is the one of Rust."""
    out = BUILD / f"c-{kind}"
    sanitize = "address,undefined" if kind == "address" else kind
    call("make", "--no-print-directory", "-s", "-C", "c-host", "CC=clang", f"OUT={out}",
         f"SANITIZE={sanitize}", f"-j{os.cpu_count()}", "server", "harness", "suites")
    return out


def environment_of(kind):
    """What sanitizers go by."""
    leaks = C_HOST / "sanitizers" / "leaks.supp"
    return {
        **os.environ,
        "LSAN_OPTIONS": f"suppressions={leaks}:print_suppressions=0",
        "TSAN_OPTIONS": "second_deadlock_stack=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "CHECKPOINT_HOST": f"{BUILD}/c-{kind}/engine-host -E {{engine}} -p 0 -e {{config}}",
    }


def preloaded(kind, out):
    """What is to be loaded before a program with a sanitizer."""
    if kind != "thread":
        return {}
    library_of_memory = out / "memory.so"
    call("cc", "-O0", "-fno-builtin", "-shared", "-fPIC", "-o", library_of_memory,
         C_HOST / "sanitizers" / "memory.c")
    return {"LD_PRELOAD": str(library_of_memory)}


def sanitized(kind, toolchain, suites):
    """Suites and client tests; whether all is well."""
    engine, out = library(kind, toolchain), c_side(kind)
    environment = environment_of(kind)
    preload = preloaded(kind, out)
    good = True
    for suite_layout, cookie_layout, cookies in PASSES:
        files = [f"-T{out}/suite_{suite}.{suite_layout}.so" for suite in suites]
        good &= subprocess.run(
            [out / "engine-test", "-E", engine, "-q", "-t", "600",
             f"--cookie-layout={cookie_layout}", *cookies, *files],
            cwd=TOP, env={**environment, **preload}, check=False).returncode == 0
    if preload:
        # Python would be under the preloaded library, too.
        words = " ".join(f"{name}={value}" for name, value in preload.items())
        environment["CHECKPOINT_HOST"] = f"env {words} {environment['CHECKPOINT_HOST']}"
    clients = ["tests/clients/runner.py", *(f"tests/clients/{name}" for name in CLIENTS)]
    return good & (subprocess.run(
        [sys.executable, *clients], cwd=TOP, check=False,
        env={**environment, "CHECKPOINT_ENGINE": str(engine)}).returncode == 0)


def main():
    """All kinds, or one."""
    kinds = ["address", "thread", "memcheck"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=kinds)
    parser.add_argument("--suites", default=",".join(SUITES))
    parser.add_argument("--toolchain", default="nightly")
    options = parser.parse_args()
    suites = re.split("[, ]", options.suites)
    good = True
    for kind in [options.only] if options.only else kinds:
        print(f"== {kind}", flush=True)
        if kind == "memcheck":
            good &= subprocess.run(
                ["make", "--no-print-directory", "-C", "c-host", "check-valgrind",
                 f"SUITES={' '.join(suites)}"], cwd=TOP, check=False).returncode == 0
        else:
            good &= sanitized(kind, options.toolchain, suites)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
