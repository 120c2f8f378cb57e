#!/usr/bin/env python3
"""What ordinary clients feel beside one that means harm: engine-openloop beside each of its habits.

    python3 tests/soak/beside.py [--seconds 10] [--rate 5000] [--keys 100000] [--only NAME]

Prints a table of latencies in milliseconds, from the moment when a request was due. It measures and
judges nothing. docs/security.md has such a table. CHECKPOINT_HOST chooses another host.
"""

import argparse
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[1:1] = [os.path.join(TESTS, "clients")]

import server  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402

OPENLOOP = f"{server.TOP}/c-host/build/engine-openloop"
GETL, SYNC, RESET_CHAIN = 0x94, 0x96, 0x9f
VBUCKETS = 1024
AHEAD = 1


def stat(group):
    """A request for a group of statistics."""
    return wire.request(wire.STAT, group)


def sync():
    """SYNC of as many keys as one may name, none of which exists."""
    keys = b"".join(struct.pack(">QHH", 0, 0, 8) + b"%08d" % n for n in range(16_384))
    return wire.request(SYNC, value=struct.pack(">IH", 8, 16_384) + keys)


def locks():
    """Many locks."""
    return b"".join(wire.request(GETL, b"locked %d" % n, struct.pack(">I", 1))
                    for n in range(1000))


# What each connection sends again and again, and how many connections do.
HABITS = {
    "nothing": (b"", 0),
    "stats": (stat(b""), 4),
    "stats checkpoint": (stat(b"checkpoint"), 4),
    "stats hash": (stat(b"hash"), 4),
    "stats onlineupdate-vb": (stat(b"onlineupdate-vb"), 4),
    "stats onlineupdate-keys": (stat(b"onlineupdate-keys no such prefix"), 4),
    "stats tap": (stat(b"tap"), 4),
    "LOOK, nothing found": (wire.request(wire.LOOK, b"none", struct.pack(">II", 1, 0)), 4),
    "GETL, 20,000 keys": (locks(), 4),
    "SYNC, 16,384 keys": (sync(), 4),
    "START, REVERT": (wire.request(wire.REVERT) + wire.request(wire.START), 1),
    "RESET_REPLICATION_CHAIN": (wire.request(RESET_CHAIN), 1),
    "SET_VBUCKET, DEL_VBUCKET": (b"".join(
        wire.request(wire.SET_VBUCKET, extras=struct.pack(">I", state), vbucket=900)
        for state in (wire.ACTIVE, wire.DEAD)) + wire.request(wire.DEL_VBUCKET, vbucket=900), 1),
}


class Habit(threading.Thread):
    """A connection that sends its request again and again, and reads what comes."""

    def __init__(self, address, data):
        super().__init__(daemon=True)
        self.link = wire.Binary(address, timeout=300)
        self.data = data + wire.request(wire.NOOP)
        self.ends = threading.Event()
        self.rounds = 0

    def run(self):
        with contextlib.suppress(OSError, ValueError):
            self.link.send(self.data * AHEAD)
            while not self.ends.is_set():
                while self.link.receive().opcode != wire.NOOP:
                    pass
                self.rounds += 1
                self.link.send(self.data)

    def end(self):
        """Ends it."""
        self.ends.set()
        with contextlib.suppress(OSError):
            self.link.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.link.close()


def measure(host, options):
    """What engine-openloop measured."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        words = [OPENLOOP, f"--rate={options.rate}", f"--keys={options.keys}", "--window=1",
                 "--gets=80", f"--json={file.name}", tap.at(host), "begin",
                 f"wait={options.seconds}", "end"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return json.load(file)["all"]


def row(name, found, rounds):
    """A line of the table."""
    times = " | ".join(f"{found[key] / 1000:.2f}" for key in ("p50", "p99", "p999", "max"))
    print(f"| {name} | {rounds:,} | {times} |", flush=True)


def idle(host, count):
    """Connections that have begun a packet."""
    links = [socket.create_connection(host.address) for _ in range(count)]
    for link in links:
        link.sendall(b"\x80\x01\0")
    return links


def readers(host, count):
    """Connections that ask for large values and do not read."""
    links = [socket.create_connection(host.address) for _ in range(count)]
    for link in links:
        link.sendall(wire.request(wire.GET, b"big") * 100)
    return links


def main():
    """Measures all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    command = f"{server.HOST} -c 10000"
    with server.Server("max_size=1g", command=command) as host, host.binary() as link:
        for vbucket in range(1, VBUCKETS):
            tap.set_state(link, vbucket, wire.ACTIVE)
        link.set(b"big", bytes(1 << 20))
        link.pipeline([wire.request(wire.SETQ, b"locked %d" % n, wire.store_extras(), b"v")
                       for n in range(20_000)])
        load = [OPENLOOP, f"--keys={options.keys}", "--window=1", tap.at(host), "load"]
        subprocess.run(load, check=True, stdout=subprocess.DEVNULL)
        replica = tap.Peer(host.address, tap.BACKFILL | tap.LIST, (0,), name=b"replica")
        threading.Thread(target=follow, args=(replica,), daemon=True).start()
        print("| beside | rounds | p50 ms | p99 | p99.9 | max |\n|---|---|---|---|---|---|")
        for name, (data, connections) in HABITS.items():
            if options.only not in name:
                continue
            in_window = "LOOK" in name or "onlineupdate-keys" in name
            if in_window or name == "START, REVERT":
                link.call(wire.START)
            if in_window:
                link.pipeline([wire.request(wire.SETQ, b"w %d" % n, wire.store_extras(), b"v")
                               for n in range(100_000)])
            habits = [Habit(host.address, data) for _ in range(connections)]
            for habit in habits:
                habit.start()
            found = measure(host, options)
            for habit in habits:
                habit.end()
            row(name, found, sum(habit.rounds for habit in habits))
            link.call(wire.REVERT)
        for name, make, count in (("3,000 half-open connections", idle, 3000),
                                  ("500 that do not read 1 MiB values", readers, 500)):
            if options.only in name:
                links = make(host, count)
                # What they send is taken, and what fits into the kernel's buffers is there.
                time.sleep(3)
                row(name, measure(host, options), count)
                for one in links:
                    one.close()


def follow(replica):
    """Takes what a replica takes."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        while True:
            replica.step()


if __name__ == "__main__":
    main()
