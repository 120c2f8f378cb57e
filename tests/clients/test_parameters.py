"""What the operators' tools of ep-engine do: stop and start persistence, change parameters, read
every group of statistics, wait for the disk (mbflushctl, mbstats)."""

import wire
from base import ServerTest
from server import until
from wire import EINVAL, ENOENT, SET_FLUSH_PARAM, SET_TAP_PARAM, SUCCESS

GROUPS = ("", "memory", "vbucket", "prev-vbucket", "checkpoint", "hash", "timings", "onlineupdate",
          "onlineupdate-vb")


class OperatorTest(ServerTest):
    """One server, on disk."""

    def tearDown(self):
        super().tearDown()
        self.status(self.link.call(wire.START_PERSISTENCE), SUCCESS)

    def stop(self):
        """Stops persistence and waits as `mbflushctl stop` does."""
        self.status(self.link.call(wire.STOP_PERSISTENCE), SUCCESS)
        words = set()

        def paused():
            words.add(self.link.stats()["ep_flusher_state"])
            return "paused" in words

        until(paused, what="pause of the flusher")
        self.assertLessEqual(words, {"pausing", "paused"})

    def set_param(self, name, value, opcode=SET_FLUSH_PARAM):
        """`mbflushctl set`; returns the answer."""
        return self.link.call(opcode, name.encode(), value=str(value).encode())

    def set_keys(self, word, count):
        """Sets some keys and returns them."""
        keys = [self.key(f"{word}{n}") for n in range(count)]
        for key in keys:
            self.status(self.link.set(key, key), SUCCESS)
        return keys

    def number(self, name, group=b""):
        """One statistic that is a number."""
        return int(self.link.stats(group)[name])


class Persistence(OperatorTest):
    """STOP_PERSISTENCE, START_PERSISTENCE, and waiting for the disk."""

    def test_nothing_is_written_while_paused(self):
        before = self.set_keys("before", 100)
        self.host.drained(self.link)
        self.stop()
        written = self.number("ep_total_persisted")
        after = self.set_keys("after", 100)
        self.assertGreaterEqual(self.number("ep_queue_size"), 100)
        self.assertEqual(self.number("ep_total_persisted"), written)
        self.host.restart()
        self.link = self.open()
        for key in before:
            self.holds(key, key)
        for key in after:
            self.holds(key, None)
        self.assertEqual(self.link.stats()["ep_flusher_state"], "running")

    def test_start_writes_what_has_gathered(self):
        self.stop()
        self.stop()
        keys = self.set_keys("key", 500)
        self.status(self.link.call(wire.START_PERSISTENCE), SUCCESS)
        self.status(self.link.call(wire.START_PERSISTENCE), SUCCESS)
        self.assertEqual(self.link.stats()["ep_flusher_state"], "running")
        self.host.drained(self.link)
        stats = self.link.stats()
        self.assertEqual(stats["ep_uncommitted_items"], "0")
        self.assertEqual(stats["ep_diskqueue_items"], "0")
        self.host.restart()
        self.link = self.open()
        for key in keys:
            self.holds(key, key)

    def test_what_a_restart_brings_back_counts_as_before(self):
        self.set_keys("key", 50)
        self.host.drained(self.link)
        items = self.number("curr_items")
        self.host.restart()
        self.link = self.open()
        self.assertEqual(self.number("curr_items"), items)
        self.assertEqual(self.number("ep_warmed_up"), items)
        self.assertEqual(self.number("ep_total_persisted"), 0)


class Parameters(OperatorTest):
    """SET_FLUSH_PARAM and SET_TAP_PARAM."""

    def test_answers_are_those_that_tools_print(self):
        self.assertEqual(self.status(self.set_param("min_data_age", 0), SUCCESS).value, b"Updated")
        answer = self.status(self.set_param("tap_keepalive", 5, SET_TAP_PARAM), SUCCESS)
        self.assertEqual(answer.value, b"")
        for name, value, status, text in (
                ("no_such_param", 1, ENOENT, b"Unknown config param"),
                ("tap_keepalive", 1, ENOENT, b"Unknown config param"),
                ("chk_max_items", 99, EINVAL, b"Value out of range."),
                ("n" * 32, 1, EINVAL, b"Key is too large."),
                ("chk_max_items", "1" * 512, EINVAL, b"Value is too large."),
        ):
            with self.subTest(name=name, value=value):
                answer = self.status(self.set_param(name, value), status)
                self.assertEqual(answer.value, text)

    def test_smaller_checkpoints_close_earlier(self):
        def rounds():
            """How many checkpoints closed while 150 keys were written three times."""
            before = self.number("vb_0:open_checkpoint_id", b"checkpoint")
            for _ in range(3):
                self.set_keys("key", 150)
                self.host.drained(self.link)
            return self.number("vb_0:open_checkpoint_id", b"checkpoint") - before

        self.assertEqual(rounds(), 0)
        self.status(self.set_param("chk_max_items", 100), SUCCESS)
        self.assertGreaterEqual(rounds(), 3)
        self.status(self.set_param("chk_max_items", 5000), SUCCESS)
        self.assertLessEqual(rounds(), 1)

    def test_a_command_with_extras_is_refused_and_the_connection_lives(self):
        answer = self.link.call(SET_FLUSH_PARAM, b"min_data_age", b"\0\0\0\1", b"1")
        self.assertGreater(len(self.status(answer, EINVAL).value), 20)
        self.assertEqual(self.number("ep_min_data_age"), 0)


class Groups(OperatorTest):
    """`mbstats`."""

    def test_both_protocols_show_the_same(self):
        self.set_keys("key", 10)
        self.host.drained(self.link)
        ascii_link = self.open_ascii()
        for group in GROUPS:
            with self.subTest(group=group):
                binary = self.link.stats(group.encode())
                if group != "timings":
                    self.assertTrue(binary)
                found = ascii_link.stats(group)
                if group not in ("", "timings"):
                    self.assertEqual(found.keys(), binary.keys())
                ours = {name for name in binary if name.startswith(("ep_", "vb_", "curr_items"))}
                self.assertLessEqual(ours, found.keys())

    def test_a_key_is_compared_with_the_disk(self):
        key = self.set_keys("key", 1)[0]
        self.host.drained(self.link)
        ascii_link = self.open_ascii()
        for _ in range(20):
            for stats in (self.link.stats(b"vkey " + key + b" 0"),
                          ascii_link.stats(f"vkey {key.decode()} 0")):
                self.assertEqual(stats["key_valid"], "valid")
                self.assertEqual(stats["key_is_dirty"], "0")
        self.stop()
        self.status(self.link.set(key, b"another"), SUCCESS)
        stats = self.link.stats(b"vkey " + key)
        self.assertEqual((stats["key_valid"], stats["key_is_dirty"]), ("dirty", "1"))
        with self.assertRaises(KeyError):
            self.link.stats(b"vkey no/such/key 0")
        self.holds(key, b"another")

    def test_every_group_works_for_all_vbuckets(self):
        for vbucket in range(1024):
            extras = wire.ACTIVE.to_bytes(4, "big")
            answer = self.link.call(wire.SET_VBUCKET, extras=extras, vbucket=vbucket)
            self.status(answer, SUCCESS)
        self.assertEqual(self.number("vb_active_num"), 1024)
        self.assertEqual(len(self.link.stats(b"vbucket")), 1024)
        self.assertEqual(len(self.link.stats(b"prev-vbucket")), 1024)
        tables = self.link.stats(b"hash")
        self.assertEqual(sum(name.endswith(":size") for name in tables), 1024)
        timings = self.link.stats(b"timings")
        counts = [int(count) for name, count in timings.items() if name.startswith("set_vb_cmd_")]
        self.assertGreaterEqual(sum(counts), 1024)

    def test_reset_forgets_times_and_keeps_totals(self):
        self.set_keys("key", 10)
        self.host.drained(self.link)
        timings = self.link.stats(b"timings")
        self.assertTrue(any(name.startswith("disk_commit_") for name in timings))
        # Nothing is to be counted behind the reset.
        self.stop()
        written = self.number("ep_total_persisted")
        self.link.stats(b"reset")
        self.assertEqual(self.link.stats(b"timings"), {})
        self.assertEqual(self.number("ep_io_num_write"), 0)
        self.assertEqual(self.number("ep_total_persisted"), written)
