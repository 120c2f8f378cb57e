"""engine-openloop: what it counts, how it sums up, and that it waits for nobody. No times."""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from xml.etree import ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import plot  # noqa: E402
import server  # noqa: E402
import wire  # noqa: E402

OPENLOOP = f"{server.TOP}/c-host/build/engine-openloop"
SECONDS = 120
VALUE_BYTES = 32


class Fake:
    """A server of this test's own: it knows no online update, and answers when it is told to."""

    def __init__(self, hold=0, spoil=False):
        self.hold, self.spoil = hold, spoil
        self.values = {}
        self.held = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def close(self):
        """Ends. The thread must be gone before another server may have the listener's number."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def accept(self):
        """A thread for each connection."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        """Answers until the client hangs up."""
        with connection, connection.makefile("rb") as file:
            while head := file.read(wire.HEADER.size):
                _, opcode, key, extras, _, _, length, opaque, _ = wire.HEADER.unpack(head)
                body = file.read(length)
                answer = self.answer(opcode, body[extras:extras + key], body[extras + key:])
                if answer is None:
                    continue
                status, value = answer
                head = wire.HEADER.pack(wire.RESPONSE, opcode, 0, 0, 0, status, len(value),
                                        opaque, 0)
                self.say(connection, head + value, opcode)

    def answer(self, opcode, key, value):
        """Status and value; None for a quiet request that succeeds."""
        with self.lock:
            if opcode in (wire.SET, wire.SETQ):
                self.values[key] = value
                return (wire.SUCCESS, b"") if opcode == wire.SET else None
            if opcode == wire.GET:
                found = self.values.get(key)
                return (wire.ENOENT, b"") if found is None else (wire.SUCCESS, self.spoilt(found))
            return wire.SUCCESS if opcode in (wire.NOOP, wire.STAT) else wire.UNKNOWN_COMMAND, b""

    def spoilt(self, value):
        """A value, or one that looks like another key's."""
        return b"9" * 12 + value[12:] if self.spoil else value

    def say(self, connection, answer, opcode):
        """Sends an answer; gets wait until so many are there."""
        with self.lock:
            if opcode == wire.GET and self.hold > 0:
                self.held.append((connection, answer))
                if len(self.held) < self.hold:
                    return
                self.hold = 0
                for to, late in self.held:
                    to.sendall(late)
            else:
                connection.sendall(answer)


class OpenLoop(unittest.TestCase):
    """The program against a server."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="openloop-")
        self.addCleanup(shutil.rmtree, self.directory)

    def fake(self, **options):
        """A server of this test's own."""
        fake = Fake(**options)
        self.addCleanup(fake.close)
        return fake

    def start(self, address, *words):
        """Starts the program."""
        return subprocess.Popen(
            [OPENLOOP, f"--json={self.directory}/json", f"--samples={self.directory}/samples",
             *words[:-1], f"{address[0]}:{address[1]}", *words[-1].split()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def finish(self, process, said=None):
        """What it printed, measured, and every sample."""
        out, err = process.communicate(said, timeout=SECONDS)
        self.assertEqual((process.returncode, err), (0, ""), out)
        with open(f"{self.directory}/json", encoding="ascii") as file:
            run = json.load(file)
        with open(f"{self.directory}/samples", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
        samples = [(int(due), int(took), int(late), kind, outcome)
                   for due, took, late, kind, outcome in rows]
        return out, run, samples

    def run_it(self, address, *words):
        """Starts and finishes."""
        return self.finish(self.start(address, *words))

    def check_sums(self, run, samples):
        """Every row again, from the samples."""
        for row in run["rows"]:
            begin, end = (run["origin_ns"] + round(row[edge] * 1e9) for edge in ("from", "to"))
            chosen = [one for one in samples if one[3] + "s" == row["kind"] and one[0] < end
                      and (one[0] + one[1] > begin if row["part"] == "during"
                           else one[0] >= begin)]
            self.assertEqual(row["count"], len(chosen), row)
            latencies = sorted(took for _, took, _, _, _ in chosen)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1)):
                rank = max(math.ceil(round(share * len(latencies), 6)), 1)
                expected = latencies[rank - 1] / 1e3 if latencies else 0
                self.assertAlmostEqual(row[name], expected, delta=0.06, msg=row)
            for outcome in ("good", "misses", "refused", "failed", "wrong", "lost"):
                self.assertEqual(row[outcome], sum(one[4] == outcome for one in chosen), row)
            # What is due comes, however late the client itself is.
            if row["name"] != "start" and row["kind"] == "gets":
                self.assertTrue(chosen or row["part"] in ("during", "later"), row)

    def test_a_whole_update(self):
        plan = ("load drain begin wait=0.3 start touch wait=0.3 revert wait=0.5 read start touch "
                "wait=0.2 complete wait=0.4 shrink wait=0.2 flush wait=0.4 end")
        with server.Server() as host:
            out, run, samples = self.run_it(
                host.address, "--keys=3000", "--window=2000", "--rate=997", "--gets=70",
                f"--value-size={VALUE_BYTES}", "--connections=3", plan,
            )
            with host.binary() as link:
                stats = link.stats()
        # Each request was due, and was answered, once.
        dues = sorted(due for due, *_ in samples)
        self.assertEqual(run["all"]["count"], len(samples))
        for number, due in enumerate(dues):
            self.assertAlmostEqual(due - dues[0], number * 1e9 / 997, delta=2)
        gets = sum(kind == "get" for *_, kind, _ in samples)
        counts = {step["name"]: step["count"] for step in run["steps"]}
        self.assertEqual({name: counts[name] for name in ("load", "read", "touch", "shrink")},
                         {"load": 3000, "read": 3000, "touch": 2000, "shrink": 1000})
        self.assertEqual(int(stats["cmd_get"]), gets + 3000)
        self.assertEqual(int(stats["cmd_set"]), len(samples) - gets + 3000 + 2 * 2000)
        self.assertIn("get", {kind for *_, kind, _ in samples})
        self.assertIn("set", {kind for *_, kind, _ in samples})
        # Nothing is missed before keys are deleted; nothing is wrong.
        shrink = next(step for step in run["steps"] if step["name"] == "shrink")
        for due, took, late, kind, outcome in samples:
            self.assertIn(outcome, ("good", "misses"))
            self.assertLessEqual(late, took)
            if outcome == "misses":
                self.assertEqual(kind, "get")
                self.assertGreater(due + took, run["origin_ns"] + shrink["begin"] * 1e9)
        self.assertTrue(any(outcome == "misses" for *_, outcome in samples))
        self.check_sums(run, samples)
        self.assertEqual(sum(slot[1] for slot in run["series"]), len(samples))
        self.check_table(out, run)
        self.check_plot(run)

    def check_table(self, out, run):
        """A line for each row with a count, in which the count stands."""
        for row in run["rows"]:
            line = rf"(?m)^  {row['name']} {row['part']} +{row['kind']} +{row['count']} "
            if row["count"]:
                self.assertRegex(out, line)

    def check_plot(self, run):
        """The plot is XML, with every point of three lines, inside, and every command."""
        root = ElementTree.fromstring(plot.draw(run, "a <title> & more"))
        tag = "{http://www.w3.org/2000/svg}"
        lines = root.findall(f"{tag}polyline")
        self.assertEqual(len(lines), 3)
        for line in lines:
            points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
            self.assertEqual(len(points), len(run["series"]))
            self.assertTrue(all(0 <= x <= 960 and 0 <= y <= 400 for x, y in points))
        texts = [text.text for text in root.iter(f"{tag}text")]
        for name in ("START", "REVERT", "COMPLETE", "FLUSH", "touch", "shrink"):
            self.assertIn(name, texts)

    def test_requests_come_whether_or_not_others_are_answered(self):
        # No get is answered before 150 were asked: a client that waits would wait for ever.
        fake = self.fake(hold=150)
        _, run, samples = self.run_it(
            fake.address, "--keys=10", "--window=0", "--rate=1000", "--connections=2",
            f"--value-size={VALUE_BYTES}", "load begin wait=0.5 end",
        )
        self.assertGreaterEqual(len(samples), 150)
        self.assertEqual(run["all"]["good"], len(samples), run["all"])
        dues = sorted((due, took) for due, took, *_ in samples)
        for number, (due, took) in enumerate(dues[:150]):
            self.assertGreaterEqual(due + took, dues[149][0], number)

    def test_an_engine_without_online_update(self):
        fake = self.fake()
        out, run, samples = self.run_it(
            fake.address, "--keys=10", "--window=5", "--rate=500",
            f"--value-size={VALUE_BYTES}", "load drain begin start touch revert wait=0.1 end",
        )
        left_out = [step["name"] for step in run["steps"] if step["skipped"]]
        self.assertEqual(left_out, ["start", "touch", "revert"])
        self.assertEqual(len(re.findall("left out", out)), 3)
        self.assertEqual(run["rows"], [])
        self.assertEqual(run["all"]["good"], len(samples))

    def test_a_wrong_value_is_seen(self):
        _, run, samples = self.run_it(
            self.fake(spoil=True).address, "--keys=10", "--window=5", "--rate=500",
            f"--value-size={VALUE_BYTES}", "load begin wait=0.1 end",
        )
        self.assertEqual(run["all"]["wrong"], len(samples))

    def test_somebody_else_does_something(self):
        process = self.start(
            self.fake().address, "--keys=10", "--window=5", "--rate=500",
            f"--value-size={VALUE_BYTES}", "load begin ask=restart wait=0.1 end",
        )
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ask restart\n")
        _, run, _ = self.finish(process, "done\n")
        self.assertEqual({row["name"] for row in run["rows"]}, {"restart"})

    def test_mistakes_are_told(self):
        for words, status, text in (
            (["127.0.0.1:1", "load"], 1, "cannot connect to 127.0.0.1:1"),
            (["127.0.0.1:1", "jump"], 2, "no such step: jump"),
            (["127.0.0.1:1", "wait"], 2, "no such step: wait"),
            (["--keys=1", "127.0.0.1:1"], 1, "--window is more than --keys"),
            ([], 2, "usage: engine-openloop"),
            (["--rate=0", "127.0.0.1:1"], 2, "usage: engine-openloop"),
        ):
            done = subprocess.run([OPENLOOP, *words], capture_output=True, text=True,
                                  timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, status, words)
            self.assertIn(text, done.stderr)
