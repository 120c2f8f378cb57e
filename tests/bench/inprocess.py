"""What is measured in process: engine-bench over the engines, and how costs grow."""

import json
import os
import subprocess
import tempfile

import contenders

BENCH = f"{contenders.BUILD}/engine-bench"
PHASES = "load,get,set,mixed,restart,revert"
BASELINES = ("floor", "harness")
# Of one sweep: the option of engine-bench, and its values.
SWEEPS = {
    "keys": ("keys", (10_000, 100_000, 300_000, 1_000_000, 10_000_000)),
    "vbuckets": ("vbuckets", (1, 4, 16, 64, 256, 1024)),
    "cursors": ("cursors", (0, 1, 2, 4, 8, 16)),
    "values": ("value-size", (16, 256, 4096, 65536, 1 << 20)),
    "threads": ("threads", (1, 2, 3, 4)),
    "windows": ("revert-keys", (10_000, 100_000, 500_000, 1_000_000, 5_000_000)),
}
SWEEP_KEYS = 300_000
# What START takes grows with the vbuckets, what the others take with the window.
PHASES_OF = {"revert-keys": "load,revert", "vbuckets": "load,get,set,revert"}
VBUCKETS_WINDOW = 10_000
# So much in values at most: a sweep over sizes has fewer keys when they are long.
VALUES_BYTES_MAX = 256 << 20


def engines(chosen):
    """Each engine with each configuration once, whatever its host, as options of engine-bench."""
    words, names, seen = [], [], set()
    for one in chosen:
        if (one.engine, one.config) in seen:
            continue
        seen.add((one.engine, one.config))
        names.append(one.name)
        words += ["-E", one.engine, f"--name={one.name}", f"--cookie-layout={one.layout}"]
        # engine-bench has a fresh directory that is called otherwise.
        if one.config:
            words += ["-e", one.config.replace("{dir}/db", "@DIR@").replace("{dir}", "@DIR@")]
    return words, names


def run(chosen, options):
    """engine-bench with options; its results. An engine that dies has failed results."""
    words, _ = engines(chosen)
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/json"
        subprocess.run([BENCH, *words, f"--json={path}", *options],
                       stdout=subprocess.DEVNULL, check=False)
        if not os.path.exists(path):
            raise RuntimeError("engine-bench wrote no results")
        with open(path, encoding="ascii") as file:
            return [one for one in json.load(file)["results"] if not one["failed"]]


def measure(chosen, options):
    """All phases of all engines, once: {engine: {name: figure}}."""
    return flat(run(chosen, [
        f"--phases={PHASES}", f"--keys={options.inprocess_keys}", "--threads=1,2", "--rounds=1",
        f"--seconds={options.seconds}", f"--value-size={options.value}",
    ]))


def flat(results):
    """Results by engine, with one name for each figure: `get 1 p50`, `revert REVERT, ...`."""
    found = {}
    for one in results:
        figures = found.setdefault(one["engine"], {})
        label = f"{one['phase']} {one['threads']}"
        for name, value in one["figures"].items():
            figures[f"{one['phase']} {name}"] = value
        for kind in ("get", "set", "read_back"):
            for share, value in one.get(kind, {}).items():
                figures[f"{label} {kind} {share}"] = value
        if one["seconds"] > 0:
            figures[f"{label} a second"] = one["ops"] / one["seconds"]
    return found


def net(figures, engine, name):
    """A median in microseconds without the harness; None if one of them is not there."""
    ours, empty = figures.get(engine, {}).get(name), figures.get("harness", {}).get(name)
    return None if ours is None or empty is None else ours - empty


def sweep(name, chosen, options):
    """One sweep: [(value, {engine: figures})]."""
    option, values = SWEEPS[name]
    largest = options.sweep_max or max(values)
    found = []
    for value in values:
        if option in ("keys", "revert-keys") and value > largest:
            continue
        words = {"keys": SWEEP_KEYS, "threads": "1", option: value}
        if option == "value-size":
            words["keys"] = min(SWEEP_KEYS, VALUES_BYTES_MAX // (value + 64))
        if option == "revert-keys":
            words["keys"] = value
        if option == "keys":
            words["revert-keys"] = 10
        if option == "vbuckets":
            words["revert-keys"] = VBUCKETS_WINDOW
        phases = PHASES_OF.get(option, "load,get,set")
        found.append((value, flat(run(chosen, [
            f"--phases={phases}", "--rounds=1", f"--seconds={options.seconds}",
            *(f"--{key}={word}" for key, word in words.items()),
        ]))))
    return found
