"""The targets: what was measured for each, and whether it is met."""

from collections import namedtuple

from figures import ratio

OURS, MEMORY = "ours", "undo-memory"

# `limit` is the most that may be, or the least if `is_least`.
Target = namedtuple("Target", "number what value limit unit is_least")


def most(number, what, value, limit, unit=""):
    """What should be small."""
    return Target(number, what, value, limit, unit, False)


def least(number, what, value, limit, unit=""):
    """What should be large."""
    return Target(number, what, value, limit, unit, True)


def is_met(target):
    """Yes, no, or None if it was not measured."""
    if target.value is None:
        return None
    return (target.value >= target.limit) if target.is_least else (target.value <= target.limit)


def in_process(results):
    """P1 to P3, P11 and P12."""
    default = results.default_engine()
    get, write = "get 1 get p50", "set 1 set p50"
    grown = ratio(results.swept_at("keys", OURS, get, 10_000_000),
                  results.swept_at("keys", OURS, get, 300_000))
    worst = results.swept_at("keys", OURS, "load 1 set max", 10_000_000)
    return [
        most("P1", "get, p50, net of the harness, over default_engine's",
             ratio(results.net(OURS, get), results.net(default, get)), 0.5),
        most("P1", "the same over the floor's",
             ratio(results.net(OURS, get), results.net("floor", get)), 1.3),
        most("P2", "set, p50, net of the harness, over default_engine's",
             ratio(results.net(OURS, write), results.net(default, write)), 0.7),
        least("P3", "gets of two threads over those of one", results.two_threads(OURS, "get"), 1.8),
        least("P3", "sets of two threads over those of one, one vbucket",
              results.two_threads(OURS, "set"), 1.3),
        most("P11", "get, p50, with 10 M keys over 300,000", grown, 1.7),
        most("P12", "worst set while 10 M keys load", worst and worst / 1e3, 5, "ms"),
    ]


def felt(results, kind):
    """P5 and P7: what clients feel."""
    found = []
    for name in (OURS, MEMORY):
        limit = 2 if name == OURS else 1.2
        for command in ("revert", "complete"):
            label = f"during {command.upper()}, {name}"
            for share, text in (("p99", "p99"), ("p999", "p99.9")):
                found.append(most("P5", f"{text} {label}, over before",
                                  results.growth(name, kind, command, share), limit))
            longest = results.latency(name, kind, command, "during", "max")
            found.append(most("P5", f"longest {label}", longest and longest / 1e3, 2, "ms"))
    found.append(most("P7", "p99 from the second after REVERT on, over before",
                      results.growth(OURS, kind, "revert", "p99", "later"), 1.2))
    return found


def over_tcp(results, kind):
    """What is left."""
    default = results.default_engine()
    reference = results.reference(default) if default else OURS
    keys = results.data["options"]["keys"]
    durable = results.figure(OURS, "load_durable_s")
    warmup = results.figure(OURS, "warmup_a_second")

    def compared(figure):
        return ratio(results.figure(reference, figure), default and results.figure(default, figure))

    return [
        most("P4", "bytes an item beyond key and value", results.figure(OURS, "bytes_used"), 80),
        most("P4", "the same after a restart", results.figure(OURS, "bytes_used_restarted"), 80),
        *felt(results, kind),
        most("P6", "REVERT", results.took_ms(OURS, kind, "revert"), 120, "ms"),
        most("P6", "COMPLETE", results.took_ms(OURS, kind, "complete"), 250, "ms"),
        most("P8", "sets, all durable, for a million", durable and durable / keys * 1e6, 0.8, "s"),
        least("P9", "warm-up, million items a second", warmup and warmup / 1e6, 3),
        most("P9", "kill -9 to the first answer", results.figure(OURS, "restart_s"), 0.4, "s"),
        most("P10", "START, command to answer, at this size",
             results.took_ms(OURS, kind, "start"), 10, "ms"),
        least("P13", "pipelined sets over default_engine's", compared("sets_a_second"), 1.5),
        least("P13", "pipelined gets over default_engine's", compared("gets_a_second"), 1.0),
        most("P14", "processor time a request over default_engine's", compared("cpu_us"), 1.0),
    ]


def targets(results):
    """All of them, in their order."""
    kind = str(results.data["options"]["gets"][0])
    found = in_process(results) + over_tcp(results, kind)
    return sorted(found, key=lambda one: int(one.number[1:]))
