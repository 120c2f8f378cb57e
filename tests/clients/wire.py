"""The binary and the ascii protocol of memcached over a plain socket, for tests and the demo.

Knows nothing about the engine but its opcodes. One object is one connection; not thread safe.
"""

import socket
import struct
import sys
from collections import namedtuple

GET, SET, ADD, REPLACE, DELETE, INCR, DECR, QUIT, FLUSH = range(0x00, 0x09)
GETQ, NOOP, VERSION, GETK, GETKQ, APPEND, PREPEND, STAT = range(0x09, 0x11)
SETQ, ADDQ, REPLACEQ, DELETEQ, INCRQ, DECRQ, QUITQ, FLUSHQ = range(0x11, 0x19)
APPENDQ, PREPENDQ, VERBOSITY, TOUCH, GAT, GATQ = range(0x19, 0x1f)
TAP_CONNECT, TAP_MUTATION, TAP_DELETE, TAP_FLUSH = range(0x40, 0x44)
TAP_OPAQUE, TAP_VBUCKET_SET, TAP_CHECKPOINT_START, TAP_CHECKPOINT_END = range(0x44, 0x48)
SASL_LIST_MECHS, SASL_AUTH = 0x20, 0x21
SET_VBUCKET, GET_VBUCKET, DEL_VBUCKET = range(0x3d, 0x40)
STOP_PERSISTENCE, START_PERSISTENCE, SET_FLUSH_PARAM = range(0x80, 0x83)
SET_TAP_PARAM, SYNC = 0x92, 0x96
EVICT_KEY, GET_LOCKED, UNLOCK_KEY = range(0x93, 0x96)
LAST_CLOSED_CHECKPOINT = 0x97
RESTORE_FILE, RESTORE_ABORT, RESTORE_COMPLETE = range(0x98, 0x9b)
START, COMPLETE, REVERT = range(0x9b, 0x9e)
LOOK, BEFORE, UNDO, DEADLINE = range(0xe8, 0xec)
RESTORE_BEGIN, RESTORE_KEY = range(0xec, 0xee)
SCRUB = 0xf0

SUCCESS, ENOENT, EEXISTS, E2BIG, EINVAL, NOT_STORED, DELTA_BADVAL, NOT_MY_VBUCKET = range(8)
AUTH_ERROR = 0x20
UNKNOWN_COMMAND, ENOMEM, NOT_SUPPORTED, EINTERNAL, EBUSY, ETMPFAIL = range(0x81, 0x87)

ACTIVE, REPLICA, PENDING, DEAD = range(1, 5)

HEADER = struct.Struct(">BBHBBHIIQ")
REQUEST, RESPONSE = 0x80, 0x81

Answer = namedtuple("Answer", "opcode status extras key value cas opaque")


def request(opcode, key=b"", extras=b"", value=b"", cas=0, vbucket=0, opaque=0):
    """The bytes of one request."""
    length = len(extras) + len(key) + len(value)
    head = HEADER.pack(REQUEST, opcode, len(key), len(extras), 0, vbucket, length, opaque, cas)
    return head + extras + key + value


def store_extras(flags=0, expiry=0):
    """Extras of SET, ADD and REPLACE."""
    return struct.pack(">II", flags, expiry)


TAP_ITEM_OPCODES = (TAP_MUTATION, TAP_CHECKPOINT_START, TAP_CHECKPOINT_END)
TAP_ACK, TAP_NO_VALUE = 1, 2

TapEvent = namedtuple(
    "TapEvent", "opcode vbucket seqno cas engine flags ttl item_flags expiry key value"
)


def tap_connect(name=b"", flags=None, data=b""):
    """The bytes of a TAP_CONNECT request."""
    extras = b"" if flags is None else struct.pack(">I", flags)
    return request(TAP_CONNECT, name, extras, data)


def tap_event(opcode, key=b"", value=b"", **more):
    """The bytes of one TAP event: engine, flags, ttl, item_flags, expiry, and header fields."""
    engine = more.pop("engine", b"")
    extras = struct.pack(">HHBxxx", len(engine), more.pop("flags", 0), more.pop("ttl", 255))
    if opcode in TAP_ITEM_OPCODES:
        extras += struct.pack(">II", more.pop("item_flags", 0), more.pop("expiry", 0))
    packet = request(opcode, b"", extras, engine + key + value, **more)
    return packet[:2] + struct.pack(">H", len(key)) + packet[4:]


def tap_answer(opcode, opaque, status=SUCCESS, body=b"", key=b""):
    """The bytes of what a consumer answers."""
    length = len(key) + len(body)
    head = HEADER.pack(RESPONSE, opcode, len(key), 0, 0, status, length, opaque, 0)
    return head + key + body


LOOK_ENTRY = struct.Struct(">HBBHHIIIIIIQQ")
ADDED, UPDATED, DELETED, VANISHED = range(1, 5)

LookEntry = namedtuple(
    "LookEntry",
    "vbucket what known key old_size new_size old_flags new_flags old_expiry new_expiry"
    " old_cas new_cas",
)


def look_entries(value):
    """The entries of an answer to LOOK."""
    at = 0
    while at < len(value):
        vbucket, what, unknown, length, _, *numbers = LOOK_ENTRY.unpack_from(value, at)
        at += LOOK_ENTRY.size
        yield LookEntry(vbucket, what, not unknown & 1, value[at:at + length], *numbers)
        at += length


PERSISTENCE, PERSISTED = 0x08, 1


def sync_body(options, *keys):
    """The value of SYNC: options and keys, each with its CAS and perhaps its vbucket."""
    value = struct.pack(">IH", options, len(keys))
    for key, cas, *vbucket in keys:
        value += struct.pack(">QHH", cas, *(vbucket or [0]), len(key)) + key
    return value


def sync_events(answer):
    """The events of an answer to SYNC by key."""
    (count,) = struct.unpack_from(">H", answer.value)
    at, found = 2, {}
    for _ in range(count):
        _, _, length, event = struct.unpack_from(">QHHB", answer.value, at)
        at += 13
        found[answer.value[at:at + length]] = event
        at += length
    return found


class Closed(ConnectionError):
    """The server closed the connection."""


class Binary:
    """A connection that speaks the binary protocol."""

    def __init__(self, address, timeout=60):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection; idempotent."""
        self.file.close()
        self.socket.close()

    def send(self, data):
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def _read(self, size):
        data = self.file.read(size)
        if len(data) != size:
            raise Closed("the server closed the connection")
        return data

    def receive(self):
        """Reads one answer."""
        head = HEADER.unpack(self._read(HEADER.size))
        magic, opcode, key_length, extras_length, _, status, length, opaque, cas = head
        if magic != RESPONSE:
            raise ValueError(f"not an answer: magic {magic:#x}")
        body = self._read(length)
        extras, rest = body[:extras_length], body[extras_length:]
        return Answer(opcode, status, extras, rest[:key_length], rest[key_length:], cas, opaque)

    def receive_event(self):
        """Reads one event of a TAP stream."""
        magic, opcode, key_length, extras_length, _, vbucket, length, seqno, cas = HEADER.unpack(
            self._read(HEADER.size)
        )
        if magic != REQUEST:
            raise ValueError(f"not an event: magic {magic:#x}, opcode {opcode:#x}")
        body = self._read(length)
        if opcode == NOOP:
            return TapEvent(opcode, vbucket, seqno, cas, b"", 0, 0, 0, 0, b"", body)
        engine_length, flags, ttl = struct.unpack_from(">HHB", body)
        words = struct.unpack_from(">II", body, 8) if extras_length == 16 else (0, 0)
        at = extras_length + engine_length
        key, value = body[at:at + key_length], body[at + key_length:]
        engine = body[extras_length:at]
        return TapEvent(opcode, vbucket, seqno, cas, engine, flags, ttl, *words, key, value)

    def call(self, opcode, key=b"", extras=b"", value=b"", **header):
        """Sends one request and reads its answer."""
        self.send(request(opcode, key, extras, value, **header))
        return self.receive()

    def get(self, key, **header):
        """GET."""
        return self.call(GET, key, **header)

    def set(self, key, value, flags=0, expiry=0, opcode=SET, **header):
        """SET; ADD and REPLACE with `opcode`."""
        return self.call(opcode, key, store_extras(flags, expiry), value, **header)

    def delete(self, key, **header):
        """DELETE."""
        return self.call(DELETE, key, **header)

    def arithmetic(self, opcode, key, delta, initial=0, expiry=0, **header):
        """INCR and DECR."""
        return self.call(opcode, key, struct.pack(">QQI", delta, initial, expiry), **header)

    def touch(self, opcode, key, expiry, **header):
        """TOUCH, GAT and GATQ."""
        return self.call(opcode, key, struct.pack(">I", expiry), **header)

    def stats(self, group=b""):
        """A group of statistics as text; raises `KeyError` if the server has no such group."""
        self.send(request(STAT, group))
        found = {}
        while True:
            answer = self.receive()
            if answer.status != SUCCESS:
                raise KeyError(f"stats {group.decode()}: status {answer.status:#x}")
            if not answer.key:
                return found
            found[answer.key.decode()] = answer.value.decode()

    def look_page(self, prefix=b"", cursor=b"", node=True, wanted=0, **header):
        """One answer to LOOK."""
        return self.call(LOOK, prefix, struct.pack(">II", int(node), wanted), cursor, **header)

    def look(self, prefix=b"", node=True, wanted=0, **header):
        """Every entry of an open window."""
        cursor = None
        while cursor != b"":
            page = self.look_page(prefix, cursor or b"", node, wanted, **header)
            if page.status != SUCCESS:
                raise KeyError(f"{page.status:#x} {page.value.decode()}")
            yield from look_entries(page.value)
            cursor = page.key

    def get_many(self, keys, batch=1000):
        """Yields (key, value or None, flags) for every key, with pipelined quiet gets."""
        for at in range(0, len(keys), batch):
            part = keys[at:at + batch]
            asked = [request(GETQ, key, opaque=n) for n, key in enumerate(part)]
            self.send(b"".join(asked) + request(NOOP, opaque=len(part)))
            found = {}
            while (answer := self.receive()).opcode != NOOP:
                if answer.status != SUCCESS:
                    raise ValueError(f"GETQ {part[answer.opaque]!r}: {answer}")
                found[answer.opaque] = answer
            for n, key in enumerate(part):
                if n in found:
                    yield key, found[n].value, struct.unpack(">I", found[n].extras)[0]
                else:
                    yield key, None, None

    def pipeline(self, requests):
        """Sends quiet requests and a NOOP; returns the answers that came before the NOOP's."""
        self.send(b"".join(requests) + request(NOOP))
        answers = []
        while (answer := self.receive()).opcode != NOOP:
            answers.append(answer)
        return answers


class Ascii:
    """A connection that speaks the ascii protocol."""

    def __init__(self, address, timeout=60):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection; idempotent."""
        self.file.close()
        self.socket.close()

    def line(self):
        """Reads one line, without its end."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Closed("the server closed the connection")
        return line[:-2].decode()

    def call(self, command, value=None):
        """Sends a command line, and its data block if there is one; reads one line."""
        data = command.encode() + b"\r\n"
        self.socket.sendall(data if value is None else data + value + b"\r\n")
        return self.line()

    def get(self, *keys, command="get"):
        """get or gets: {key: (value, flags, cas or None)}."""
        self.socket.sendall(" ".join([command, *keys]).encode() + b"\r\n")
        found = {}
        while (line := self.line()) != "END":
            word, key, flags, size, *cas = line.split(" ")
            if word != "VALUE":
                raise ValueError(line)
            value = self.file.read(int(size) + 2)[:-2]
            found[key] = (value, int(flags), int(cas[0]) if cas else None)
        return found

    def stats(self, group=""):
        """A group of statistics as text."""
        self.socket.sendall(f"stats {group}".rstrip().encode() + b"\r\n")
        found = {}
        while (line := self.line()) != "END":
            word, _, rest = line.partition(" ")
            if word != "STAT":
                raise KeyError(line)
            name, _, value = rest.partition(" ")
            found[name] = value
        return found


def main(arguments):
    """`wire.py HOST:PORT start|complete|revert|stats [GROUP]`; returns the exit status."""
    commands = {"start": START, "complete": COMPLETE, "revert": REVERT}
    if len(arguments) < 2 or arguments[1] not in (*commands, "stats"):
        print("usage: wire.py HOST:PORT start|complete|revert|stats [GROUP]", file=sys.stderr)
        return 64
    host, _, port = arguments[0].rpartition(":")
    try:
        with Binary((host.strip("[]"), int(port))) as link:
            if arguments[1] == "stats":
                group = " ".join(arguments[2:]).encode()
                for name, value in link.stats(group).items():
                    print(f"{name}: {value}")
                return 0
            answer = link.call(commands[arguments[1]])
    except (OSError, ValueError, KeyError) as error:
        print(f"wire.py: {error}", file=sys.stderr)
        return 1
    if answer.status != SUCCESS:
        text = answer.value.decode(errors="replace")
        print(f"refused with status {answer.status:#x}: {text}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
