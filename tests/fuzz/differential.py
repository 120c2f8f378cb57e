"""Sends the same bytes to two servers and compares what they answer, until the seconds are over.

A stream is of commands for keys and values, in one of the two protocols: legal ones, and some whose
numbers, lengths and keys are not. What differs by right is taken out: CAS values. Each server is a
command as in tests/clients/server.py; the first one is the bundled host with this engine.

    tests/fuzz/differential.py --other '/path/memcached -p {port} -U 0 -E default_engine.so'
"""

import argparse
import os
import random
import re
import socket
import struct
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "clients"))

import server  # noqa: E402
import wire  # noqa: E402

NULL = f"{TOP}/c-host/build/engine-host -E {TOP}/c-host/build/libnull_engine.so -p 0"
COMMANDS = 12
# Nobody has given it.
CAS = 0x7fff_ffff_0000_0000
# A server that waits for more says nothing for so long.
QUIET_SECONDS = 1
# A server that answers nothing for so long hangs.
SECONDS = 20


class Words:
    """Draws what commands are made of."""

    def __init__(self, seed, leave_out=()):
        self.dice = random.Random(seed)
        self.leave_out = leave_out

    def rarely(self, what):
        """Now and then, unless it is left out."""
        return what not in self.leave_out and self.dice.random() < 0.03

    def one(self, *choices):
        """One of them."""
        return self.dice.choice(choices)

    def key(self):
        """One of a few, mostly."""
        rare = self.one(b"k" * 250, b"k" * 251, b"", b"\xff\xfe")
        return rare if self.rarely("keys") else self.one(b"a", b"b", b"c", b"number")

    def decrement(self, name, instead):
        """The command, unless it is left out."""
        return instead if "decrement" in self.leave_out else name

    def value(self):
        """Text, digits, nothing, or much."""
        digits = str(self.dice.randrange(1 << self.one(4, 40, 64))).encode()
        return self.one(b"value", digits, digits, b"", b"x" * self.dice.randrange(3000), b"end\r\n")

    def number(self):
        """Decimal, most of the time."""
        rare = self.one("-1", "x", "18446744073709551616", "4294967296", "1.5", "")
        legal = str(self.dice.randrange(1 << self.one(3, 16, 32)))
        return rare if self.rarely("numbers") else legal

    def line(self):
        """A command of the text protocol; its value is as long as it says."""
        key = self.key().decode("latin-1")
        noreply = self.one("", "", "", " noreply")
        name = self.one("get", "set", "set", "add", "replace", "append", "prepend", "delete",
                        "incr", self.decrement("decr", "incr"), "cas", "flush_all")
        if name == "get":
            keys = " ".join([key] + [self.key().decode("latin-1") for _ in range(3)])
            return f"get {keys}\r\n".encode("latin-1")
        if name == "delete":
            return f"delete {key}{noreply}\r\n".encode("latin-1")
        if name in ("incr", "decr"):
            return f"{name} {key} {self.number()}{noreply}\r\n".encode("latin-1")
        if name == "flush_all":
            return f"flush_all{noreply}\r\n".encode() if self.dice.random() < 0.2 else b"\r\n"
        value = self.value()
        cas = f" {CAS}" if name == "cas" else ""
        head = f"{name} {key} {self.number()} 0 {len(value)}{cas}{noreply}\r\n"
        return head.encode("latin-1") + value + b"\r\n"

    def packet(self, number):
        """A packet of the binary protocol."""
        opcode = self.one(wire.GET, wire.GETK, wire.GETQ, wire.SET, wire.SET, wire.SETQ, wire.ADD,
                          wire.REPLACE, wire.DELETE, wire.INCR, wire.APPEND, wire.PREPEND,
                          self.decrement(wire.DECR, wire.INCR), wire.NOOP, wire.FLUSH)
        extras, value = b"", b""
        key = self.key()
        if opcode in (wire.SET, wire.SETQ, wire.ADD, wire.REPLACE):
            extras, value = wire.store_extras(self.dice.randrange(1 << 32), 0), self.value()
        elif opcode in (wire.APPEND, wire.PREPEND):
            value = self.value()
        elif opcode in (wire.INCR, wire.DECR):
            delta, initial = self.dice.randrange(1 << 40), self.dice.randrange(1 << 40)
            extras = struct.pack(">QQI", delta, initial, self.one(0, 0, 0xffffffff))
        elif opcode in (wire.NOOP, wire.FLUSH):
            key = b""
        cas = self.one(0, 0, 0, CAS)
        return wire.request(opcode, key, extras, value, cas=cas, opaque=number)

    def stream(self):
        """A connection's bytes."""
        if self.dice.random() < 0.5:
            return b"".join(self.line() for _ in range(COMMANDS)) + b"quit\r\n"
        packets = b"".join(self.packet(number) for number in range(COMMANDS))
        return packets + wire.request(wire.QUIT)


def answer(address, stream):
    """All that a server says to a stream, until it closes the connection, as "quit" tells it to."""
    with socket.create_connection(address, timeout=QUIET_SECONDS) as link:
        link.sendall(stream)
        said = bytearray()
        try:
            while part := link.recv(1 << 16):
                said += part
        except TimeoutError:
            # It has taken the end for something else, and waits for more.
            link.shutdown(socket.SHUT_WR)
            link.settimeout(SECONDS)
            while part := link.recv(1 << 16):
                said += part
        return bytes(said)


def packets(said):
    """The packets of an answer, without their CAS; texts of errors are each server's own."""
    found = []
    while len(said) >= 24:
        size = 24 + int.from_bytes(said[8:12], "big")
        status = int.from_bytes(said[6:8], "big")
        body = said[24:size] if status == 0 else b""
        found.append((said[1], status, said[12:16], body))
        said = said[size:]
    return found + [said]


def comparable(said):
    """An answer without what differs by right."""
    if said[:1] == b"\x81":
        return packets(said)
    return re.sub(rb"((?:CLIENT_|SERVER_)?ERROR)[^\r]*", rb"\1", said)


def main():
    """Compares; the first difference ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", default=server.HOST)
    parser.add_argument("--other", default=NULL)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--leave-out", default="", help="of keys,numbers,decrement: keys and "
                        "numbers that are not legal; a decrement, which some engines pad")
    options = parser.parse_args()
    leave_out = options.leave_out.split(",")
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    count, end = 0, time.monotonic() + options.seconds
    nodes = [server.Server(command=it, on_disk=False) for it in (options.first, options.other)]
    with nodes[0] as first, nodes[1] as other:
        while time.monotonic() < end:
            # Both begin with nothing.
            streams = [wire.request(wire.FLUSH) + wire.request(wire.QUIT)]
            streams.append(Words(seed + count, leave_out).stream())
            for stream in streams:
                said = [comparable(answer(node.address, stream)) for node in (first, other)]
            if said[0] != said[1]:
                print(f"--seed {seed + count}: {streams[1]!r}")
                print(f" first: {said[0]}\n other: {said[1]}")
                print("0 passed, 1 failed")
                sys.exit(1)
            count += 1
    print(f"{count} streams of {COMMANDS} commands, all answered alike")
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
