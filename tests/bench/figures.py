"""Figures out of results: medians over rounds, ratios, and what a target asks for."""

import os
import statistics

PARTS = ("before", "during", "first second after", "later")


def median(values):
    """The median of those that are there, None without any."""
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def ratio(one, other):
    """one / other, None if that makes no sense."""
    return None if one is None or not other else one / other


class Results:
    """What bench.py measured, asked by name."""

    def __init__(self, data):
        self.data = data
        self.contenders = {one["name"]: one for one in data["contenders"]}
        self.network = {name: rounds for name, rounds in data.get("network", {}).items() if rounds}
        self.inprocess = data.get("inprocess", [])
        self.sweeps = data.get("sweeps", {})

    # Who is who.

    def reference(self, name):
        """Our engine in the same host as a peer; in the bundled one if it is in no other."""
        host = self.contenders[name]["host"]
        ours = [one["name"] for one in self.contenders.values() if one["is_ours"]]
        same = [one for one in ours if self.contenders[one]["host"] == host]
        return (same or ours)[0]

    def default_engine(self):
        """The name of the first peer with the engine that memcached brings; None without one."""
        return next((name for name, one in self.contenders.items()
                     if os.path.basename(one["engine"]) == "default_engine.so"), None)

    def peers(self):
        """Names of all that are not ours."""
        return [name for name, one in self.contenders.items() if not one["is_ours"]]

    # Over TCP.

    def figure(self, name, figure):
        """A single figure of a contender: its median."""
        rounds = self.network.get(name, [])
        return median(one["figures"].get(figure) for one in rounds)

    def runs(self, name, kind):
        """The runs of engine-openloop of a kind: a share of gets, or "replica"."""
        rounds = self.network.get(name, [])
        found = (one.get("replica") if kind == "replica" else one["updates"].get(kind)
                 for one in rounds)
        return [one for one in found if one]

    def latency(self, name, kind, command, part, share, requests="gets"):
        """A latency in microseconds around the first command of a name."""
        def of(run):
            row = next((row for row in run["rows"] if row["name"] == command
                        and row["part"] == part and row["kind"] == requests), None)
            return row[share] if row and row["count"] else None
        return median(of(run) for run in self.runs(name, kind))

    def growth(self, name, kind, command, share, part="during", requests="gets"):
        """How many times as long as before the command."""
        return ratio(self.latency(name, kind, command, part, share, requests),
                     self.latency(name, kind, command, "before", share, requests))

    def took_ms(self, name, kind, command):
        """From command to answer."""
        def of(run):
            steps = (one for one in run["steps"] if one["name"] == command and not one["skipped"])
            one = next(steps, None)
            return one and (one["end"] - one["begin"]) * 1e3
        return median(of(run) for run in self.runs(name, kind))

    def typical(self, name, kind):
        """The run in the middle by p99 during REVERT, else the first."""
        runs = self.runs(name, kind)

        def key(run):
            return next((row["p99"] for row in run["rows"]
                         if row["name"] == "revert" and row["part"] == "during"), 0)
        return sorted(runs, key=key)[len(runs) // 2] if runs else None

    # In process.

    def inside(self, engine, figure):
        """A figure of engine-bench: its median."""
        return median(one.get(engine, {}).get(figure) for one in self.inprocess)

    def net(self, engine, figure):
        """A latency without what the harness takes."""
        ours, empty = self.inside(engine, figure), self.inside("harness", figure)
        return None if ours is None or empty is None else ours - empty

    def two_threads(self, engine, phase):
        """Throughput of two threads over one."""
        return ratio(self.inside(engine, f"{phase} 2 a second"),
                     self.inside(engine, f"{phase} 1 a second"))

    def swept(self, sweep, engine, figure):
        """Points of a sweep: (value, figure)."""
        points = ((value, found.get(engine, {}).get(figure))
                  for value, found in self.sweeps.get(sweep, []))
        return [(value, figure) for value, figure in points if figure is not None]

    def swept_at(self, sweep, engine, figure, value):
        """One of them."""
        return dict(self.swept(sweep, engine, figure)).get(value)
