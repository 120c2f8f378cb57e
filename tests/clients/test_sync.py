"""SYNC over a socket: a client waits for the disk and for replicas."""

import select

import base
import tap
import wire
from wire import PERSISTED, PERSISTENCE, SYNC, sync_body as body, sync_events as events

REPLICA, MUTATION = 0x10, 0x04
MODIFIED, REPLICATED, NO_KEY = 2, 4, 5


class SyncTest(base.ServerTest):
    """On a node with a disk."""

    def patience(self, milliseconds):
        """Sets how long SYNC waits."""
        answer = self.link.call(wire.SET_FLUSH_PARAM, b"sync_cmd_timeout",
                                value=b"%d" % milliseconds)
        self.status(answer, wire.SUCCESS)

    def test_a_client_waits_until_its_write_is_durable(self):
        key = self.key()
        self.status(self.link.call(wire.STOP_PERSISTENCE), wire.SUCCESS)
        cas = self.link.set(key, b"value").cas
        answer = self.link.call(SYNC, value=body(PERSISTENCE, (key, cas)))
        self.assertEqual((answer.status, answer.value), (wire.ETMPFAIL, b""))
        # The other one waits as long as it takes.
        self.patience(60_000)
        self.addCleanup(self.patience, 2500)
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
