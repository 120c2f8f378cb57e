"""The program `engine-backup`, and what a node holds beside what it should hold."""

import contextlib
import os
import socket
import threading

import cluster
import server
import wire
from wire import SETQ, SUCCESS, request, store_extras

PROGRAM = os.environ.get(
    "ENGINE_BACKUP", os.path.join(os.path.dirname(server.ENGINE), "engine-backup")
)


def begin(*arguments, **options):
    """Starts the program and does not wait for it."""
    return cluster.begin(*arguments, program=PROGRAM, **options)


def call(*arguments, expected=0, **options):
    """Runs the program and checks its exit status; what it came to."""
    done = cluster.end(begin(*arguments, **options))
    assert done.status == expected, f"{arguments}: {done}"
    return done


def flags_of(key):
    """The flags that go with a key, so that a swapped word is noticed."""
    return sum(key) * 2654435761 & 0xffffffff


def fill(link, keys, value=b"%s of the first day", vbucket=0, expiry=0):
    """Writes keys with flags of their own."""
    for at in range(0, len(keys), 1000):
        part = keys[at:at + 1000]
        failed = link.pipeline([
            request(SETQ, key, store_extras(flags_of(key), expiry), value % key, vbucket=vbucket)
            for key in part
        ])
        assert not failed, failed[0]


def contents(link, keys, vbucket=0):
    """{key: (value, flags, CAS)} of those that are there."""
    found = {}
    for at in range(0, len(keys), 1000):
        part = keys[at:at + 1000]
        asked = [request(wire.GETQ, key, opaque=number, vbucket=vbucket)
                 for number, key in enumerate(part)]
        for answer in link.pipeline(asked):
            assert answer.status == SUCCESS, answer
            found[part[answer.opaque]] = (answer.value, answer.extras, answer.cas)
    return found


class Proxy(threading.Thread):
    """A node's address that passes everything on, until a request with `opcode` comes: the node
    gets it, and its answer goes nowhere. Then the connection is closed, or silent if it `stays`."""

    def __init__(self, host, opcode, stays):
        super().__init__(daemon=True)
        self.host, self.opcode, self.stays = host, opcode, stays
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        """Requests of one connection."""
        with contextlib.suppress(OSError), client, socket.create_connection(
                self.host.address) as node, client.makefile("rb") as requests:
            muted = threading.Event()
            answers = threading.Thread(target=self.answers, args=(node, client, muted), daemon=True)
            answers.start()
            while len(head := requests.read(wire.HEADER.size)) == wire.HEADER.size:
                _, opcode, _, _, _, _, length, _, _ = wire.HEADER.unpack(head)
                if opcode == self.opcode:
                    muted.set()
                node.sendall(head + requests.read(length))
            node.shutdown(socket.SHUT_RDWR)
            answers.join()

    def answers(self, node, client, muted):
        """What the node says on it."""
        with contextlib.suppress(OSError):
            while data := node.recv(1 << 16):
                if not muted.is_set():
                    client.sendall(data)
                elif not self.stays:
                    client.shutdown(socket.SHUT_RDWR)

    def close(self):
        """Ends it."""
        server.end_listening(self.listener, self)
