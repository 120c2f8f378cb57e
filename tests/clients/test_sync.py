"""SYNC over a socket: a client waits for the disk and for replicas."""

import select
import struct

import base
import tap
import wire

SYNC = 0x96
REPLICA, PERSISTENCE, MUTATION = 0x10, 0x08, 0x04
PERSISTED, MODIFIED, REPLICATED, NO_KEY = 1, 2, 4, 5


def body(options, *keys):
    """Options and keys, each with its CAS."""
    value = struct.pack(">IH", options, len(keys))
    for key, cas in keys:
        value += struct.pack(">QHH", cas, 0, len(key)) + key
    return value


def events(answer):
    """The events of an answer by key."""
    (count,) = struct.unpack_from(">H", answer.value)
    at, found = 2, {}
    for _ in range(count):
        _, _, length, event = struct.unpack_from(">QHHB", answer.value, at)
        at += 13
        found[answer.value[at : at + length]] = event
        at += length
    return found


class SyncTest(base.ServerTest):
    """On a node with a disk."""

    def test_a_client_waits_until_its_write_is_durable(self):
        key = self.key()
        self.status(self.link.call(wire.STOP_PERSISTENCE), wire.SUCCESS)
        cas = self.link.set(key, b"value").cas
        answer = self.link.call(SYNC, value=body(PERSISTENCE, (key, cas)))
        self.assertEqual((answer.status, answer.value), (wire.ETMPFAIL, b""))
        other = self.open()
        other.send(wire.request(SYNC, value=body(PERSISTENCE, (key, 0), (b"none", 0))))
        # Other clients are served meanwhile.
        self.status(self.link.get(key), wire.SUCCESS)
        self.status(self.link.call(wire.START_PERSISTENCE), wire.SUCCESS)
        answer = self.status(other.receive(), wire.SUCCESS)
        self.assertEqual(events(answer), {key: PERSISTED, b"none": NO_KEY})

    def test_a_client_waits_for_a_change_and_another_one_goes_away(self):
        key = self.key()
        self.link.set(key, b"value")
        other, leaves = self.open(), self.open()
        for link in (other, leaves):
            link.send(wire.request(SYNC, value=body(MUTATION, (key, 0))))
        leaves.close()
        # The request may come after the first changes.
        while not select.select([other.socket], [], [], 0.02)[0]:
            self.link.set(key, b"another")
        answer = self.status(other.receive(), wire.SUCCESS)
        self.assertEqual(events(answer), {key: MODIFIED})

    def test_a_client_waits_for_a_replica(self):
        key = self.key()
        with tap.Peer(self.host.address, tap.BACKFILL | tap.ACK | tap.LIST, name=b"r") as peer:
            self.link.set(key, b"value")
            other = self.open()
            other.send(wire.request(SYNC, value=body(REPLICA, (key, 0))))
            while key not in peer.contents[0]:
                peer.step()
            answer = self.status(other.receive(), wire.SUCCESS)
            self.assertEqual(events(answer), {key: REPLICATED})
