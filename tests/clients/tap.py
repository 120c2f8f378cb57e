"""TAP as a peer sees it, and what replication tests share: nodes on fixed ports and the pump.

CHECKPOINT_HOST chooses the host of sources, CHECKPOINT_REPLICA_HOST that of replicas (default:
the same), so that any two hosts can be run against each other.
"""

import os
import signal
import struct
import subprocess
import tempfile

import server
import wire

REPLICATE = f"{server.TOP}/c-host/build/engine-replicate"
REPLICA_HOST = os.environ.get("CHECKPOINT_REPLICA_HOST", server.HOST)

BACKFILL, DUMP, LIST, TAKEOVER, ACK, KEYS_ONLY, CHECKPOINTS, REGISTERED = (1 << n for n in range(8))

ENABLE_NACK, BACKFILL_BEGINS, ENABLE_CHECKPOINTS = 0, 1, 2
UPDATE_START, UPDATE_END, UPDATE_REVERT = 4, 5, 6
BACKFILL_ENDS = 8

MARKER = b"~marker"


def code(number):
    """The engine-specific bytes of an OPAQUE."""
    return struct.pack(">I", number)


def connect_data(flags, vbuckets=(), since=0, has=()):
    """The user data of TAP_CONNECT for these flags; `has` lists (vbucket, closed checkpoint)."""
    data = struct.pack(">Q", since) if flags & BACKFILL else b""
    if flags & LIST:
        data += struct.pack(f">H{len(vbuckets)}H", len(vbuckets), *vbuckets)
    if flags & CHECKPOINTS:
        data += struct.pack(">H", len(has)) + b"".join(struct.pack(">HQ", *one) for one in has)
    return data


class Peer(wire.Binary):
    """A connection that has become a stream, and what its reader holds by it.

    It answers what wants an answer, and keeps a window's begin, so that it can revert.
    """

    def __init__(self, address, flags, vbuckets=(0,), name=b"", has=(), timeout=60):
        super().__init__(address, timeout)
        self.contents = {vbucket: {} for vbucket in vbuckets}
        self.filling = set()
        self.before = {}
        self.send(wire.tap_connect(name, flags, connect_data(flags, vbuckets, has=has)))

    def answer(self, event, status=wire.SUCCESS):
        """Acknowledges or refuses an event."""
        self.send(wire.tap_answer(event.opcode, event.seqno, status))

    def step(self):
        """Takes the next event, answers it if that is wanted, and returns it."""
        event = self.receive_event()
        self.apply(event)
        if event.flags & wire.TAP_ACK:
            self.answer(event)
        return event

    def apply(self, event):
        """Does what an event says."""
        held = self.contents.get(event.vbucket)
        if event.opcode == wire.TAP_MUTATION:
            # The host that sends swaps the word that engines keep in network order.
            flags = int.from_bytes(event.item_flags.to_bytes(4, "little"), "big")
            held[event.key] = (event.value, flags)
        elif event.opcode == wire.TAP_DELETE:
            held.pop(event.key, None)
        elif event.opcode == wire.TAP_FLUSH:
            held.clear()
        elif event.opcode == wire.TAP_OPAQUE and len(event.engine) == 4:
            self.apply_code(event.vbucket, int.from_bytes(event.engine, "big"))

    def apply_code(self, vbucket, number):
        """Does what a message between engines says."""
        if number == BACKFILL_BEGINS:
            self.contents[vbucket].clear()
            self.filling.add(vbucket)
        elif number == BACKFILL_ENDS:
            self.filling.remove(vbucket)
        elif number == UPDATE_START:
            self.before.setdefault(vbucket, dict(self.contents[vbucket]))
        elif number == UPDATE_END:
            self.before.pop(vbucket)
        elif number == UPDATE_REVERT:
            self.contents[vbucket] = self.before.pop(vbucket)

    def until_marker(self, value):
        """Reads until every vbucket has the marker with that value, which was written last."""
        def waits(vbucket):
            held = self.contents[vbucket].get(MARKER, (None,))[0]
            return held != value or vbucket in self.filling
        while any(waits(vbucket) for vbucket in self.contents):
            self.step()


def wait_for_vbuckets(address, vbuckets, timeout=60):
    """Waits until a node has them: what is made later is in no stream of before."""
    def exist():
        with wire.Binary(address) as link:
            states = link.stats(b"vbucket")
        return all(f"vb_{vbucket}" in states for vbucket in vbuckets)
    server.until(exist, timeout, "vbuckets")


def contents(address, vbuckets, marker, timeout=60):
    """{vbucket: {key: (value, flags)}} by a stream of the node's, once it has the marker there."""
    wait_for_vbuckets(address, vbuckets, timeout)
    with Peer(address, BACKFILL | LIST, vbuckets, timeout=timeout) as peer:
        peer.until_marker(marker)
        for held in peer.contents.values():
            del held[MARKER]
        return peer.contents


def node(config="", replica=False, make=server.Server):
    """A server on a port that it keeps over a restart."""
    command = REPLICA_HOST if replica else server.HOST
    port = str(server.free_port())
    command = command.replace("{port}", port).replace("-p 0", f"-p {port}")
    config = ";".join(filter(None, ["vb0=false" if replica else "", config]))
    return make(config, command=command)


def at(host):
    """host:port of a server."""
    return f"{host.address[0]}:{host.address[1]}"


def set_state(link, vbucket, state):
    """Sets a vbucket's state."""
    answer = link.call(wire.SET_VBUCKET, extras=struct.pack(">I", state), vbucket=vbucket)
    assert answer.status == wire.SUCCESS, answer


def windows(host, vbuckets):
    """The states of the vbuckets' windows, each once."""
    with host.binary() as link:
        stats = link.stats(b"onlineupdate-vb")
    return {stats.get(f"vb_{vbucket}:state", "none") for vbucket in vbuckets}


class Pump:
    """engine-replicate between two servers, in words of its command line."""

    def __init__(self, source, destination, *options, vbuckets=(0,)):
        chosen = ",".join(str(vbucket) for vbucket in vbuckets)
        self.words = [REPLICATE, *options, at(source), at(destination), chosen]
        self.log = tempfile.TemporaryFile("w+")
        self.process = None
        self.start()

    def start(self):
        """Starts it; what it says is kept over all its lives."""
        self.process = subprocess.Popen(
            self.words, stdin=subprocess.DEVNULL, stderr=self.log, start_new_session=True
        )

    def kill(self, how=signal.SIGKILL):
        """Ends it."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)

    def said(self):
        """What it has printed."""
        self.log.seek(0)
        return self.log.read()

    def close(self):
        """Ends it for good."""
        self.kill()
        self.log.close()
