"""The orchestration: peers from text, figures from results, and a document. Measures little."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import contenders  # noqa: E402
import figures  # noqa: E402
import report  # noqa: E402
import server  # noqa: E402
import svg  # noqa: E402
from targets import is_met, targets  # noqa: E402

SECONDS = 300


def row(command, part, p99):
    """A row as engine-openloop writes it."""
    return {"name": command, "part": part, "kind": "gets", "count": 5, "p50": p99 / 2, "p99": p99,
            "p999": p99, "max": p99, "late": 1}


def run(p99, replica=False):
    """A run in which REVERT takes 0.1 s and p99 grows from 10 us."""
    command = "restart" if replica else "revert"
    step = {"name": command, "begin": 1.0, "end": 1.1, "skipped": False, "command": True}
    return {"rate": 1, "gets": 100, "interval_ms": 20, "steps": [step],
            "rows": [row(command, "before", 10), row(command, "during", p99)],
            "series": [[0.5 + n / 10, 3, 9, 10, 12] for n in range(10)]}


def results():
    """Results of three rounds, of one contender and one peer."""
    names = {"ours": True, "other": False}
    rounds = {name: [{"figures": {"cpu_us": cpu, "sets_a_second": None},
                      "updates": {"100": run(p99)}, "replica": run(p99, True)}
                     for cpu, p99 in ((3, 40), (1, 20), (2, 30))] for name in names}
    inside = {"ours": {"get 1 get p50": 0.2}, "floor": {"get 1 get p50": 0.15},
              "other": {"get 1 get p50": 0.5}, "harness": {"get 1 get p50": 0.1}}
    return figures.Results({
        "options": {"gets": [100], "keys": 10, "window": 5, "value": 100, "rate": 9, "rounds": 3},
        "machine": {"cores": 2}, "commands": ["make bench"], "problems": ["one"],
        "contenders": [{"name": name, "host": "", "engine": f"/x/{engine}.so", "config": "",
                        "is_ours": is_ours}
                       for (name, is_ours), engine in zip(names.items(),
                                                          ("ours", "default_engine"))],
        "network": rounds, "inprocess": [inside],
        "sweeps": {"keys": [[10, inside], [1000, inside]]},
    })


class Peers(unittest.TestCase):
    """What the command line names."""

    def test_peers(self):
        ours = server.ENGINE
        found = contenders.contenders(
            f"a=:{__file__}:x=1;y=c:d 'b/memcached={contenders.BUNDLED} -t 2:{ours}:'")
        self.assertEqual([one.name for one in found], ["ours", "undo-memory", "a", "b"])
        a, b = found[2:]
        self.assertEqual((a.host, a.config, a.layout, a.is_ours), ("", "x=1;y=c:d", "membase",
                                                                   False))
        self.assertEqual((b.host, b.config, b.layout, b.is_ours),
                         (f"{contenders.BUNDLED} -t 2", "", "memcached", True))

    def test_mistakes(self):
        for text in ("a", "a=", "=x:y:z", f"a/jump=:{__file__}:", "a=:/nowhere.so:",
                     f"ours=:{__file__}:"):
            with self.assertRaises(SystemExit, msg=text):
                contenders.contenders(text)


class Figures(unittest.TestCase):
    """Medians, ratios, targets, and the document."""

    def test_medians_and_ratios(self):
        found = results()
        self.assertEqual(found.figure("ours", "cpu_us"), 2)
        self.assertIsNone(found.figure("ours", "sets_a_second"))
        self.assertEqual(found.growth("ours", "100", "revert", "p99"), 3)
        self.assertAlmostEqual(found.took_ms("ours", "100", "revert"), 100)
        self.assertEqual(found.typical("ours", "100")["rows"][1]["p99"], 30)
        self.assertAlmostEqual(found.net("ours", "get 1 get p50"), 0.1)
        self.assertIsNone(found.net("ours", "set 1 set p50"))
        self.assertEqual((found.peers(), found.default_engine()), (["other"], "other"))

    def test_targets(self):
        found = {(one.number, one.what): (one.value, is_met(one)) for one in targets(results())}
        value, met = found["P1", "get, p50, net of the harness, over default_engine's"]
        self.assertAlmostEqual(value, 0.25)
        self.assertTrue(met)
        self.assertEqual(found["P5", "p99 during REVERT, ours, over before"], (3, False))
        self.assertEqual(found["P6", "COMPLETE"], (None, None))
        self.assertEqual(found["P14", "processor time a request over default_engine's"], (1, True))

    def test_document(self):
        with tempfile.TemporaryDirectory() as directory:
            report.Writer(results(), directory).write()
            with open(f"{directory}/performance.md", encoding="ascii") as file:
                text = file.read()
            self.assertNotIn("{{", text)
            for line in ("| P5: p99 during REVERT, ours, over before | 3.00 | at most 2 | **no** |",
                         "| p99 during REVERT / before | 3.00 | 3.00 |", "- one",
                         "| warm restart of a replica, before, gets | 5.00 | 10.0 | 10.0 | 10.0 "
                         "| 1.00 |"):
                self.assertIn(line, text.splitlines())
            plots = sorted(os.listdir(f"{directory}/performance"))
            self.assertEqual(plots, ["keys-get.svg", "replica-other.svg", "replica-ours.svg",
                                     "update-other-100.svg", "update-ours-100.svg"])
            for name in plots:
                self.assertIn(f"](performance/{name})", text)
                ElementTree.parse(f"{directory}/performance/{name}")

    def test_nothing_measured(self):
        empty = results().data | {"network": {}, "inprocess": [], "sweeps": {}, "problems": []}
        with tempfile.TemporaryDirectory() as directory:
            report.Writer(figures.Results(empty), directory).write()
            with open(f"{directory}/performance.md", encoding="ascii") as file:
                self.assertEqual(file.read().count(report.NOTHING), 4)

    def test_axes(self):
        log = svg.axis("x", [0, 3, 250], is_log=True)
        self.assertEqual((log.low, log.high), (1, 1000))
        self.assertEqual(svg.ticks(log), [1, 10, 100, 1000])
        plain = svg.axis("x", [2, 9])
        self.assertEqual((svg.place(plain, 0), svg.place(plain, 9)), (0, 1))
        self.assertEqual(svg.ticks(plain)[:3], [0, 2, 4])


class Whole(unittest.TestCase):
    """bench.py with all its parts, as small as they go."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="bench-")
        self.addCleanup(shutil.rmtree, self.directory)

    def run_it(self, *words):
        """Runs it without peers; the results."""
        done = subprocess.run(
            [sys.executable, f"{HERE}/bench.py", "--rounds=1", "--peers=", *words,
             f"--results={self.directory}/results.json", f"--docs={self.directory}/docs"],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(f"{self.directory}/results.json", encoding="ascii") as file:
            data = json.load(file)
        self.assertEqual(data["problems"], [])
        return data

    def plots(self):
        """Names of the plots."""
        return set(os.listdir(f"{self.directory}/docs/performance"))

    def test_over_tcp(self):
        words = ("--keys=2000", "--window=1000", "--rate=500", "--pace=0.05")
        data = self.run_it("--parts=network", "--gets=100,50", *words)
        for name in ("ours", "undo-memory"):
            found, = data["network"][name]
            self.assertEqual(set(found["updates"]), {"100", "50"})
            commands = {row["name"] for run in found["updates"].values() for row in run["rows"]}
            self.assertEqual(commands, {"start", "revert", "complete", "flush"})
            self.assertIn("restart", {row["name"] for row in found["replica"]["rows"]})
            for figure in ("sets_a_second", "gets_a_second", "cpu_us", "load_durable_s",
                           "bytes_used", "bytes_used_restarted", "restart_s"):
                self.assertIsNotNone(found["figures"].get(figure), figure)
        self.assertEqual(self.plots(), {
            f"{what}.svg" for name in ("ours", "undo-memory")
            for what in (f"update-{name}-100", f"update-{name}-50", f"replica-{name}")})
        # What is measured later may be added to it.
        more = self.run_it("--keep", "--parts=sweeps", "--sweeps=keys", "--sweep-max=10000",
                           "--seconds=0.01")
        self.assertEqual((more["network"], more["options"]), (data["network"], data["options"]))
        self.assertEqual(len(more["commands"]), 2)
        self.assertIn("keys-get.svg", self.plots())
        self.assertIn("update-ours-50.svg", self.plots())

    def test_in_process(self):
        data = self.run_it("--parts=inprocess", "--inprocess-keys=300", "--seconds=0.01")
        self.assertEqual(set(data["inprocess"][0]), {"ours", "undo-memory", "floor", "harness"})
