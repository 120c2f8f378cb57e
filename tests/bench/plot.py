#!/usr/bin/env python3
"""Draws what engine-openloop measured: latency over time, with the commands marked.

    python3 tests/bench/plot.py FILE.json > FILE.svg
"""

import json
import sys

import svg

MARKED_TOO = ("load", "touch", "shrink", "read")


def draw(run, title):
    """The text of an SVG file for a run of engine-openloop."""
    series = run["series"]
    lines = [svg.Line(name, [(slot[0], slot[column]) for slot in series])
             for name, column in (("max", 4), ("p99", 3), ("p50", 2))]
    first, last = (series[0][0], series[-1][0]) if series else (0, 0)
    spans = [svg.Span(step["name"].upper() if step["command"] else step["name"],
                      max(step["begin"], first), min(step["end"], last))
             for step in run["steps"]
             if not step["skipped"] and (step["command"] or step["name"] in MARKED_TOO)
             and step["begin"] < last and step["end"] > first]
    up = f"us from due to answer, for {run['interval_ms']:g} ms each"
    return svg.chart(title, ("seconds", False), (up, True), lines, spans)


def main():
    """Reads a file, prints another."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__.strip())
    with open(sys.argv[1], encoding="ascii") as file:
        run = json.load(file)
    title = f"{run['rate']:.0f} requests a second, {run['gets']} % gets"
    sys.stdout.write(draw(run, title))


if __name__ == "__main__":
    main()
