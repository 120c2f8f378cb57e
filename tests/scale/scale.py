#!/usr/bin/env python3
"""Loads many keys through TCP, flushes, restarts, and reads every one of them back.

    python3 tests/scale/scale.py [--keys 10000000] [--value 100] [--clients 2] [--config TEXT]

Prints times, memory and disk; ends with status 1 if one value is wrong or missing.
CHECKPOINT_ENGINE and CHECKPOINT_HOST choose the library and the host, as for the tests.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import server  # noqa: E402
import wire  # noqa: E402

BATCH = 1000
START_SECONDS = 600


def key_of(number):
    """The key with that number."""
    return b"key-%012d" % number


def value_of(number, size):
    """Its value."""
    return (b"%d:" % number).ljust(size, b"%d" % (number % 10))


def load(address, part, size):
    """Sets the keys of a part; a temporary failure is tried again. Returns how often it came."""
    extras = wire.store_extras(flags=7)
    again = 0
    with wire.Binary(address) as link:
        for at in range(0, len(part), BATCH):
            numbers = part[at:at + BATCH]
            while numbers:
                answers = link.pipeline(
                    wire.request(wire.SETQ, key_of(n), extras, value_of(n, size), opaque=opaque)
                    for opaque, n in enumerate(numbers)
                )
                wrong = [a for a in answers if a.status != wire.ETMPFAIL]
                if wrong:
                    raise SystemExit(f"a set failed: {wrong[0]}")
                again += len(answers)
                numbers = [numbers[answer.opaque] for answer in answers]
                if numbers:
                    time.sleep(0.01)
    return again


def check(address, part, size):
    """Reads the keys of a part. Returns how many are wrong or missing."""
    wrong = 0
    with wire.Binary(address) as link:
        for at in range(0, len(part), BATCH):
            numbers = part[at:at + BATCH]
            found = link.get_many([key_of(n) for n in numbers], BATCH)
            for number, (_, value, flags) in zip(numbers, found):
                wrong += value != value_of(number, size) or flags != 7
    return wrong


def together(pool, work, address, options):
    """Shares the keys among the clients; returns the sum and the seconds."""
    began = time.monotonic()
    parts = [range(n, options.keys, options.clients) for n in range(options.clients)]
    sums = pool.starmap(work, [(address, part, options.value) for part in parts])
    return sum(sums), time.monotonic() - began


def disk_bytes(directory):
    """What a directory takes on the disk."""
    names = (os.path.join(at, name) for at, _, files in os.walk(directory) for name in files)
    return sum(os.stat(name).st_blocks * 512 for name in names)


def resident_bytes(process):
    """Resident memory of a process."""
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(host, options, what):
    """Prints memory and disk."""
    with host.binary() as link:
        stats = link.stats()
    used, resident = int(stats["mem_used"]), resident_bytes(host.process)
    payload = options.value + len(key_of(0))
    print(f"{what}: {int(stats['curr_items']):,} items, mem_used {used / 2**20:,.0f} MiB "
          f"({used / options.keys - payload:.1f} bytes an item beyond key and value), resident "
          f"{resident / 2**20:,.0f} MiB, disk {disk_bytes(host.dbname) / 2**20:,.0f} MiB "
          f"(key and value: {payload * options.keys / 2**20:,.0f} MiB)", flush=True)


def main():
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--value", type=int, default=100)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--config", default="")
    options = parser.parse_args()
    server.START_SECONDS = START_SECONDS
    with multiprocessing.Pool(options.clients) as pool, server.Server(options.config) as host:
        again, seconds = together(pool, load, host.address, options)
        print(f"load: {seconds:.1f} s, {options.keys / seconds:,.0f} sets/s, {again} temporary "
              "failures", flush=True)
        began = time.monotonic()
        host.drained(seconds=START_SECONDS)
        print(f"flush after the load: {time.monotonic() - began:.1f} s")
        report(host, options, "loaded")
        began = time.monotonic()
        host.kill(signal.SIGTERM, seconds=START_SECONDS)
        stopped = time.monotonic()
        host.start()
        started = time.monotonic()
        with host.binary() as link:
            micros = int(link.stats()["ep_warmup_time"])
        print(f"stop: {stopped - began:.1f} s; start: {started - stopped:.1f} s, of which warm-up "
              f"{micros / 1e6:.1f} s ({options.keys / micros:.2f} M items/s)")
        report(host, options, "restarted")
        wrong, seconds = together(pool, check, host.address, options)
        print(f"read back: {seconds:.1f} s, {options.keys / seconds:,.0f} gets/s, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
