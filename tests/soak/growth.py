"""Whether a figure grows: the slope of a line through its samples, against a bound."""

import itertools
import statistics
from collections import namedtuple

MIB = 1 << 20
# Samples of the first part of a run are left out: caches and allocators fill.
WARM_UP = 0.25
# With fewer there is no line.
SAMPLES_MIN = 8

# A figure may grow over the run by a share of its median, or by this much if that is more.
Bound = namedtuple("Bound", "share least")
BOUNDS = {
    "rss": Bound(0.10, 8 * MIB),
    # The database library's tables of recent changes fill and are written, once in many minutes.
    "mem_used": Bound(0.10, 1 * MIB),
    "disk": Bound(0.25, 16 * MIB),
    "threads": Bound(0, 0.5),
    "descriptors": Bound(0, 2.5),
}

Verdict = namedtuple("Verdict", "name first last growth bound grows")


def slope(points):
    """The median of the slopes between all pairs of samples (Theil and Sen): a single outlier, a
    compaction for instance, does not bend it."""
    slopes = [(v - w) / (t - u) for (u, w), (t, v) in itertools.combinations(points, 2) if t > u]
    return statistics.median(slopes) if slopes else 0.0


def judge(name, points):
    """What became of a figure, `(seconds, value)` each; None if there are too few samples. The kind
    of the figure is the last part of its name."""
    points = points[int(len(points) * WARM_UP):]
    if len(points) < SAMPLES_MIN:
        return None
    allowed = BOUNDS[name.split(" ")[-1]]
    values = [value for _, value in points]
    bound = max(allowed.share * statistics.median(values), allowed.least)
    growth = slope(points) * (points[-1][0] - points[0][0])
    return Verdict(name, values[0], values[-1], growth, bound, growth > bound)
