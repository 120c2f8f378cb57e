"""engine-bench: what it counts, and what it measures engines against. No times."""

import json
import subprocess
import tempfile
import unittest

import server

BENCH = f"{server.TOP}/c-host/build/engine-bench"
SECONDS = 300
KEYS, OPERATIONS = 500, 700


class EngineBench(unittest.TestCase):
    """The program with the engine, in its own process."""

    def run_it(self, *options):
        """What it printed, and its results by phase, threads and engine."""
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(
                [BENCH, "-E", server.ENGINE, "-e", "dbname=@DIR@", '--name=a "name"',
                 f"--keys={KEYS}", f"--ops={OPERATIONS}", "--rounds=2",
                 f"--json={directory}/json", *options],
                capture_output=True, text=True, timeout=SECONDS, check=False,
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            with open(f"{directory}/json", encoding="ascii") as file:
                results = json.load(file)["results"]
        found = {(one["phase"], one["threads"], one["engine"]): one for one in results}
        self.assertEqual(len(found), len(results))
        self.assertFalse([one for one in results if one["failed"]])
        return done.stdout, found

    def test_phases(self):
        out, found = self.run_it("--phases=load,get,set,mixed,restart,revert", "--threads=1,2")
        names = ('a "name"', "floor", "harness")
        for name in names:
            load = found["load", 1, name]
            self.assertEqual(load["set"]["count"], KEYS)
            for threads in (1, 2):
                operations = 2 * threads * OPERATIONS
                self.assertEqual(found["get", threads, name]["get"]["count"], operations)
                self.assertEqual(found["set", threads, name]["set"]["count"], operations)
                mixed = found["mixed", threads, name]
                self.assertEqual(mixed["get"]["count"] + mixed["set"]["count"], operations)
        revert = found["revert", 1, names[0]]["figures"]
        self.assertEqual(revert["wrong values after REVERT"], 0)
        self.assertEqual(revert["wrong values after COMPLETE"], 0)
        self.assertEqual(found["restart", 1, names[0]]["figures"]["curr_items"], KEYS)
        for name in names[1:]:
            self.assertEqual(found["revert", 1, name]["figures"], {})
        # The median, the harness subtracted, for gets and sets of each phase that has them.
        self.assertRegex(out, r"(?m)^  get p50 net of the harness \(us\)( +[\d.-]+){5}$")
        self.assertRegex(out, r"(?m)^  set p50 net of the harness \(us\)( +[\d.-]+){5}$")

    def test_vbuckets_and_streams(self):
        _, found = self.run_it("--phases=load,get,set", "--threads=1", "--vbuckets=7",
                               "--cursors=3", "--no-baselines")
        self.assertEqual({name for _, _, name in found}, {'a "name"'})
        self.assertEqual(found["load", 1, 'a "name"']["figures"]["curr_items"], KEYS)
        self.assertEqual(found["get", 1, 'a "name"']["get"]["count"], 2 * OPERATIONS)
