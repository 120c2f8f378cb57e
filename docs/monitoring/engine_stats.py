#!/usr/bin/python3
"""Gives collectd (plugin exec) the statistics of a node that monitoring needs.

    engine_stats.py HOST:PORT [HOST:PORT...]

Prints one PUTVAL line a statistic, again and again, as collectd's variables COLLECTD_INTERVAL and
COLLECTD_HOSTNAME say. A node that does not answer is up 0, and nothing else is said of it.
"""

import os
import socket
import sys
import time

SECONDS = 5

# Name in collectd, group, statistic.
GAUGES = [
    ("mem_used", "", "mem_used"),
    ("max_size", "", "ep_max_data_size"),
    ("queue", "", "ep_diskqueue_items"),
    ("store_retry_ms", "", "ep_store_retry"),
    ("window_seconds_open", "onlineupdate", "seconds_open"),
    ("window_seconds_left", "onlineupdate", "seconds_left"),
    ("window_keys", "onlineupdate", "touched_keys"),
    ("window_bytes", "onlineupdate", "window_bytes"),
    ("window_bytes_left", "onlineupdate", "bytes_left"),
]


def ask(stream, group):
    """A group of statistics of the text protocol; None if there is no such group."""
    stream.write(f"stats {group}".rstrip().encode() + b"\r\n")
    stream.flush()
    found = {}
    for line in stream:
        words = line.decode("ascii", "replace").rstrip("\r\n").split(" ", 2)
        if words[0] == "END":
            return found
        if words[0] in ("ERROR", "CLIENT_ERROR", "SERVER_ERROR"):
            return None
        if words[0] == "STAT" and len(words) > 1:
            found[words[1]] = words[2] if len(words) > 2 else ""
    raise OSError("the node closed the connection")


def number(text):
    """A number, or None for what is none."""
    return int(text) if text and text.isdigit() else None


def streams_of(tap):
    """What a node sends: the statistics of each stream by its name."""
    streams = {}
    for key, value in tap.items():
        name, _, statistic = key.removeprefix("eq_tapq:").rpartition(":")
        if name:
            streams.setdefault(name, {})[statistic] = value
    return [stream for stream in streams.values() if stream.get("type") == "producer"]


def is_replica(stream):
    """Whether its client is to be there always. A backup is not, nor what registers to come back
    (a backup with --keep)."""
    return stream.get("registered") != "true" and "dump" not in stream.get("flags", "")


def look(node):
    """Gauges of a node."""
    host, port = node.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), SECONDS) as link:
        stream = link.makefile("rwb")
        groups = {group: ask(stream, group) or {} for group in ("all", "onlineupdate", "tap")}
        # Hosts but engine-host have all of them without a group.
        groups[""] = groups["all"] or ask(stream, "") or {}
    found = {name: number(groups[group].get(key)) for name, group, key in GAUGES}
    found["window_open"] = int(groups["onlineupdate"].get("state", "none") != "none")
    found["window_flushed"] = int(groups["onlineupdate"].get("flushed") == "true")
    found["flusher_stopped"] = int(groups[""].get("ep_flusher_state") != "running")
    found["dead_threads"] = len(groups[""].get("ep_dead_threads", "").split())
    streams = streams_of(groups["tap"])
    replicas = [stream for stream in streams if is_replica(stream)]
    lags = [number(replica.get("total_backlog_size")) or 0 for replica in replicas]
    found["streams"] = len(replicas)
    found["streams_away"] = sum(replica.get("connected") == "false" for replica in replicas)
    found["streams_kept"] = sum(stream.get("registered") == "true" for stream in streams)
    found["replica_backlog"] = max(lags, default=0)
    return {**found, "up": 1}


def main():
    """Looks at all nodes in turns."""
    nodes = sys.argv[1:]
    if not nodes or any(":" not in node for node in nodes):
        sys.exit(__doc__)
    pause = float(os.environ.get("COLLECTD_INTERVAL", "10"))
    collector = os.environ.get("COLLECTD_HOSTNAME", "localhost")
    while True:
        for node in nodes:
            try:
                found = look(node)
            except (OSError, ValueError) as error:
                print(f"{node}: {error}", file=sys.stderr)
                found = {"up": 0}
            name = node.replace("/", "_")
            for key, value in found.items():
                if value is not None:
                    print(f'PUTVAL "{collector}/engine-{name}/gauge-{key}" '
                          f"interval={pause:g} N:{value}")
        sys.stdout.flush()
        time.sleep(pause)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        pass
