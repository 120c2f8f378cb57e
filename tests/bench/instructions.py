#!/usr/bin/env python3
"""Instructions of one get and one set, counted by callgrind: the same on any machine, nearly.

    python3 tests/bench/instructions.py [--record]

Prints them beside those that were recorded in instructions.json; with --record writes them there.
Only what the calling thread does is counted, the benchmark's own few instructions included.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import server  # noqa: E402

BENCH = f"{server.TOP}/c-host/build/engine-bench"
RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")
KEYS, OPERATIONS = 2000, 10_000
FUNCTIONS = {"get": "engine_get", "set": "engine_set"}
SECONDS = 600


def count(name):
    """Instructions of a get or a set, each of a resident key in memory."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["valgrind", "--tool=callgrind", f"--toggle-collect={FUNCTIONS[name]}",
             f"--callgrind-out-file={directory}/%p", BENCH, "-E", server.ENGINE,
             "--no-baselines", f"--keys={KEYS}", f"--ops={OPERATIONS}", "--rounds=1",
             "--threads=1", f"--phases=load,{name}"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS,
        )
        total = 0
        for path in os.listdir(directory):
            with open(f"{directory}/{path}", encoding="ascii", errors="replace") as file:
                found = re.search(r"(?m)^totals: (\d+)", file.read())
                total += int(found[1]) if found else 0
    # The load is of sets, and is counted with them.
    return total / (OPERATIONS + (KEYS if name == "set" else 0))


def recorded():
    """What was recorded."""
    with open(RECORD, encoding="ascii") as file:
        return json.load(file)


def main():
    """Prints, or records."""
    found = {name: round(count(name)) for name in FUNCTIONS}
    if sys.argv[1:] == ["--record"]:
        with open(RECORD, "w", encoding="ascii") as file:
            json.dump(found, file, indent=2)
            file.write("\n")
    elif sys.argv[1:]:
        raise SystemExit(__doc__.strip())
    before = recorded()
    for name, value in found.items():
        print(f"{name}: {value} instructions, recorded {before[name]}")


if __name__ == "__main__":
    main()
