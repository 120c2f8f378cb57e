"""Builds the fuzzers' programs and runs targets, each for some seconds (docs/reliability.md).

What they find worth keeping goes into target/fuzz/corpus, beside the inputs that are committed in
tests/fuzz/seeds; what fails goes into target/fuzz/found. `make fuzz` calls this after it has
installed what is needed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
SEEDS = TOP / "tests" / "fuzz" / "seeds"
BUILD = TOP / "target" / "fuzz"
RUST = BUILD / "rust" / "x86_64-unknown-linux-gnu" / "release"
C_HOST = TOP / "c-host"
NULL_ENGINE = C_HOST / "build" / "libnull_engine.so"

# Target: its program, and the longest input that is worth trying.
TARGETS = {
    "configuration": (RUST / "library", 400),
    "journal": (RUST / "library", 1000),
    "manifest": (RUST / "library", 400),
    "packet": (RUST / "library", 100),
    "records": (RUST / "library", 200),
    "requests": (RUST / "library", 700),
    "tap_connect": (RUST / "library", 400),
    "tap_notify": (RUST / "library", 700),
    "backup_file": (RUST / "engine_backup", 1000),
    "backup_stream": (RUST / "engine_backup", 1000),
    "online_update": (RUST / "online_update", 2000),
    "host": (BUILD / "c" / "fuzz-host", 3000),
    "replicate": (BUILD / "c" / "fuzz-replicate", 2000),
}

# Committed for each target, about.
SEED_BYTES = 8000

# A run of one input that takes longer hangs; this also bounds what one may take of memory.
LIMITS = ["-timeout=60", "-rss_limit_mb=4096", "-malloc_limit_mb=1024"]


def call(*command, **options):
    """Runs a command that must succeed."""
    subprocess.run([str(word) for word in command], check=True, cwd=TOP, **options)


def build_rust(toolchain):
    """The programs of the library and of the tools, with the address sanitizer."""
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(BUILD / "rust"),
        "RUSTFLAGS": "--cfg checkpoint_engine_system_alloc",
    }
    call("cargo", f"+{toolchain}", "fuzz", "build", "--fuzz-dir", "tests/fuzz", env=environment)


def build_c():
    """The programs of the C side, with the address and the undefined behaviour sanitizer."""
    make = ["make", "--no-print-directory", "-s", "-C", C_HOST]
    call(*make, NULL_ENGINE)
    call(*make, "fuzz", "CC=clang", f"OUT={BUILD / 'c'}", "FUZZ_MAIN=",
         "SANITIZE=fuzzer-no-link,address,undefined", "LDFLAGS_EXTRA=-fsanitize=fuzzer")


def environment_of(target):
    """What the program of a target goes by."""
    return {**os.environ, "FUZZ_TARGET": target, "FUZZ_ENGINE": str(NULL_ENGINE),
            "UBSAN_OPTIONS": "print_stacktrace=1"}


def fuzz(target, seconds):
    """Runs a target; returns whether nothing was found."""
    program, longest = TARGETS[target]
    corpus, found = BUILD / "corpus" / target, BUILD / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    log = BUILD / f"{target}.log"
    begun = time.monotonic()
    with open(log, "w", encoding="utf-8", errors="replace") as out:
        status = subprocess.run(
            [program, f"-max_total_time={seconds}", f"-max_len={longest}", "-len_control=0",
             "-print_final_stats=1", f"-artifact_prefix={found}/{target}-", *LIMITS,
             corpus, SEEDS / target],
            cwd=TOP, env=environment_of(target), stdout=out, stderr=subprocess.STDOUT, check=False,
        ).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", text)
    covered = re.findall(r" cov: (\d+)", text)
    print(f"{target:14} {int(runs[-1]) if runs else 0:10,} executions "
          f"{int(covered[-1]) if covered else 0:7,} edges {time.monotonic() - begun:6.0f} s"
          f"{'' if status == 0 else '  FAILED'}", flush=True)
    if status != 0:
        print(text[-6000:])
        print(f"The input is the newest {target}-* in {found}. Again: FUZZ_TARGET={target} "
              f"FUZZ_ENGINE={NULL_ENGINE} {program} INPUT")
        print(f"When it is mended, commit the input in {SEEDS / target}.")
    return status == 0


def keep(target):
    """Renews the committed inputs: a small set that reaches what all of them together reach."""
    program, longest = TARGETS[target]
    best = BUILD / "best" / target
    shutil.rmtree(best, ignore_errors=True)
    best.mkdir(parents=True)
    (SEEDS / target).mkdir(parents=True, exist_ok=True)
    call(program, "-merge=1", f"-max_len={longest}", *LIMITS, best, SEEDS / target,
         BUILD / "corpus" / target, env=environment_of(target), stderr=subprocess.DEVNULL)
    # What failed once has a name, and stays.
    for old in (SEEDS / target).iterdir():
        if re.fullmatch(r"[0-9a-f]{40}", old.name):
            old.unlink()
    paths = sorted(best.iterdir(), key=lambda path: path.stat().st_size)
    # If all are too many, some of each size: long ones reach deeper.
    stride = -(-sum(path.stat().st_size for path in paths) // SEED_BYTES)
    for path in paths[::stride]:
        shutil.copy(path, SEEDS / target / path.name)


def main():
    """Runs one target or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", default="", help=f"one of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--toolchain", default="nightly")
    parser.add_argument("--keep", action="store_true", help="renew the committed inputs instead")
    options = parser.parse_args()
    targets = [options.target] if options.target else list(TARGETS)
    unknown = [target for target in targets if target not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]}: it can be {', '.join(TARGETS)}")
    programs = {TARGETS[target][0].parent for target in targets}
    if RUST in programs:
        build_rust(options.toolchain)
    if BUILD / "c" in programs:
        build_c()
    if options.keep:
        for target in targets:
            keep(target)
        return
    good = [fuzz(target, options.seconds) for target in targets]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
