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

    def test_it_does_not_matter_where_in_the_hosts_buffer_a_key_stands(self):
        self.crowd()
        text = self.open_ascii()
        head = b"k 0 0 %d\r\n" % len(VALUE)
        # Both keys stand behind 16 bytes, and the host is done with the value by then.
        self.status(self.set(b"k", b"old"), wire.SUCCESS)
        self.assertEqual(text.call("incr n 123\r\nadd " + head[:-2].decode()), "NOT_FOUND")
        self.assertRegex(text.line(), "^SERVER_ERROR ")
        text.socket.sendall(VALUE + b"\r\n")
        self.assertRegex(text.call("version"), "^VERSION ")
        self.assertRegex(text.call("version\r\ndelete k"), "^VERSION ")
        self.assertEqual((text.line(), text.get("k")), ("DELETED", {}))
        # And those of a SET anywhere.
        self.status(self.set(b"k", b"old"), wire.SUCCESS)
        for length in range(1, 17):
            text.socket.sendall(b"get %s\r\nset %s%s\r\n" % (b"x" * length, head, VALUE))
            self.assertEqual(text.line(), "END")
            self.assertRegex(text.line(), "^SERVER_ERROR ")
            self.assertEqual(text.get("k"), {"k": (b"old", 0, None)}, length)
        for count in range(4):
            refused = wire.request(wire.SET, b"k", wire.store_extras(), VALUE)
            self.link.send(wire.request(wire.NOOP) * count + refused)
            answers = [self.link.receive() for _ in range(count + 1)]
            self.status(answers[-1], wire.ENOMEM)
            self.assertEqual(self.link.call(wire.GET, b"k").value, b"old", count)

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
