"""What clients see of a node that is loading its keys."""

import struct
import unittest

import server
from wire import (
    ACTIVE, DEAD, DEL_VBUCKET, FLUSH, REVERT, SET_VBUCKET, SETQ, START, SUCCESS, request,
    store_extras,
)

# Enough to be asked for while they are being loaded.
KEYS = [b"key %d" % n for n in range(200000)]


class Warmup(unittest.TestCase):
    """Restarts with waitforwarmup=false."""

    def setUp(self):
        self.host = server.Server("waitforwarmup=false")
        self.addCleanup(self.host.close)
        with self.host.binary() as link:
            self.set_state(link, 1, ACTIVE)
            for vbucket in (0, 1):
                for at in range(0, len(KEYS), 1000):
                    part = KEYS[at:at + 1000]
                    sets = [request(SETQ, key, store_extras(7), key, vbucket=vbucket)
                            for key in part]
                    self.assertEqual(link.pipeline(sets), [])
            self.host.drained(link)

    def set_state(self, link, vbucket, state):
        """SET_VBUCKET."""
        answer = link.call(SET_VBUCKET, extras=struct.pack(">I", state), vbucket=vbucket)
        self.assertEqual(answer.status, SUCCESS)

    def check_all(self, link):
        """Every key is there, with its value."""
        for key, value, flags in link.get_many(KEYS):
            self.assertEqual((value, flags), (key, 7), key)

    def restart(self, how=server.signal.SIGKILL):
        """Restarts; returns a new connection."""
        self.host.restart(how)
        link = self.host.binary()
        self.addCleanup(link.close)
        return link

    def loaded(self, link):
        """Waits until everything is loaded."""
        server.until(lambda: link.stats()["ep_warmup_thread"] == "complete", what="warm-up")

    def test_reads_and_writes_wait_for_their_vbucket(self):
        """Nobody sees a key missing that is on its way."""
        link = self.restart(server.signal.SIGTERM)
        for vbucket in (1, 0):
            key = KEYS[-1]
            self.assertEqual(link.get(key, vbucket=vbucket).value, key)
            self.assertEqual(link.set(key, b"new", flags=7, vbucket=vbucket).status, SUCCESS)
            self.assertEqual(link.get(key, vbucket=vbucket).value, b"new")
            self.assertEqual(link.set(key, key, flags=7, vbucket=vbucket).status, SUCCESS)
        self.check_all(link)
        self.loaded(link)
        self.assertEqual(link.stats()["ep_warmed_up"], str(2 * len(KEYS)))
        self.assertEqual(link.stats()["curr_items"], str(2 * len(KEYS)))

    def test_kills_while_it_is_loading_lose_nothing(self):
        """Again and again."""
        for _ in range(5):
            link = self.restart()
        self.check_all(link)

    def test_a_window_while_it_is_loading_is_taken_back(self):
        """START, a change, REVERT."""
        link = self.restart()
        self.assertEqual(link.call(START).status, SUCCESS)
        self.assertEqual(link.set(KEYS[5], b"inside").status, SUCCESS)
        self.assertEqual(link.call(REVERT).status, SUCCESS)
        self.check_all(link)

    def test_a_flush_while_it_is_loading_takes_everything(self):
        """Also what comes after it."""
        link = self.restart()
        self.assertEqual(link.call(FLUSH, extras=b"\0\0\0\0").status, SUCCESS)
        self.assertEqual(sum(value is not None for _, value, _ in link.get_many(KEYS)), 0)
        self.loaded(link)
        self.assertEqual(link.stats()["curr_items"], "0")

    def test_a_vbucket_deleted_while_it_is_loading_stays_empty(self):
        """The one that is made instead gets none of its keys."""
        link = self.restart()
        self.set_state(link, 1, DEAD)
        self.assertEqual(link.call(DEL_VBUCKET, vbucket=1).status, SUCCESS)
        self.set_state(link, 1, ACTIVE)
        self.loaded(link)
        self.assertEqual(link.stats()["curr_items"], str(len(KEYS)))
        self.check_all(link)

    def test_without_warmup_it_does_not_start(self):
        """warmup=false would serve misses for keys that are there."""
        self.host.kill(server.signal.SIGTERM)
        self.host.config += ";warmup=false"
        with self.assertRaisesRegex(server.StartFailed, "warmup=false, but the store holds keys"):
            self.host.start()


class SmallQuota(unittest.TestCase):
    """Restarts with a quota that has room for the keys and few values."""

    def test_values_make_way_for_keys_as_often_as_needed(self):
        """They are loaded up to a mark just below the quota, dropped, and loaded again."""
        keys = [b"%0150d" % number for number in range(30000)]
        value = b"v" * 1000
        with server.Server("store_cache_size=1000000") as host:
            config = host.config
            with host.binary() as link:
                for at in range(0, len(keys), 500):
                    sets = [request(SETQ, key, store_extras(0), value)
                            for key in keys[at:at + 500]]
                    self.assertEqual(link.pipeline(sets), [])
                host.drained(link)
            host.config = config + ";max_size=1g;mem_low_wat=1"
            host.restart(server.signal.SIGTERM)
            with host.binary() as link:
                quota = int(link.stats(b"memory")["mem_used"]) * 3 // 2
            mark = quota * 9 // 10
            host.config = config + f";max_size={quota};mem_low_wat={mark};mem_high_wat={mark}"
            host.restart(server.signal.SIGTERM)
            with host.binary() as link:
                self.assertEqual(link.stats()["curr_items"], str(len(keys)))
                self.assertEqual(link.get(keys[-1]).value, value)


if __name__ == "__main__":
    unittest.main()
