"""What becomes of a key whose SET is refused: hosts delete it of their own accord."""

import wire
from base import ServerTest

VALUE = b"v" * 1_000_000
TOO_LONG = 30_000_000
VBUCKET = 7


class Refused(ServerTest):
    """A node with room for few values on their way."""

    config = "max_size=24m"

    def crowd(self):
        """Connections that have announced as much as may be, and send nothing."""
        for number in range(200):
            link = self.open()
            head = wire.request(wire.SET, b"slow%d" % number, wire.store_extras(), VALUE)
            link.send(head[:-len(VALUE)])
            if self.set(b"probe", VALUE).status == wire.ENOMEM:
                return
        self.fail("values on their way have no bound")

    def set(self, key, value):
        """SET on this connection."""
        return self.link.call(wire.SET, key, wire.store_extras(), value)

    def test_who_is_refused_for_now_loses_nothing(self):
        self.status(self.set(b"k", b"old"), wire.SUCCESS)
        self.crowd()
        self.status(self.set(b"k", VALUE), wire.ENOMEM)
        self.assertEqual(self.link.call(wire.GET, b"k").value, b"old")
        text = self.open_ascii()
        answer = text.call(f"set k 0 0 {len(VALUE)}", VALUE)
        self.assertRegex(answer, "^SERVER_ERROR ")
        self.assertEqual(text.get("k"), {"k": (b"old", 0, None)})
        # A client's own deletion, also right behind a refusal, is one.
        for command in (wire.ADD, wire.REPLACE, wire.SET, wire.APPEND, wire.PREPEND):
            self.status(self.set(b"k", b"old"), wire.SUCCESS)
            joins = command in (wire.APPEND, wire.PREPEND)
            extras = b"" if joins else wire.store_extras()
            refused = self.link.call(command, b"k", extras, VALUE)
            self.status(refused, wire.ENOMEM)
            self.status(self.link.call(wire.DELETE, b"k"), wire.SUCCESS)
            self.status(self.link.call(wire.GET, b"k"), wire.ENOENT)
        for command in ("add", "replace", "set", "append", "prepend"):
            self.assertEqual(text.call("set k 0 0 3", b"old"), "STORED")
            answer = text.call(f"{command} k 0 0 {len(VALUE)}", VALUE)
            self.assertRegex(answer, "^SERVER_ERROR ")
            self.assertEqual(text.call("delete k"), "DELETED")
            self.assertEqual(text.get("k"), {})

    def test_what_is_never_taken_takes_the_old_value_along(self):
        self.status(self.set(b"k", b"old"), wire.SUCCESS)
        self.status(self.set(b"k", b"v" * TOO_LONG), wire.E2BIG)
        self.status(self.link.call(wire.GET, b"k"), wire.ENOENT)

    def test_nobody_waits_for_that_deletion(self):
        pending = self.link.call(wire.SET_VBUCKET, extras=b"\0\0\0\3", vbucket=VBUCKET)
        self.status(pending, wire.SUCCESS)
        link = self.open()
        link.send(wire.request(wire.SET, b"k", wire.store_extras(), b"v" * TOO_LONG,
                               vbucket=VBUCKET))
        self.status(link.receive(), wire.E2BIG)
        stats = self.link.stats()
        self.assertEqual((stats["ep_pending_ops"], stats["ep_pending_ops_total"]), ("0", "0"))
        link.close()
        active = self.link.call(wire.SET_VBUCKET, extras=b"\0\0\0\1", vbucket=VBUCKET)
        self.status(active, wire.SUCCESS)
        self.status(self.link.call(wire.NOOP), wire.SUCCESS)
