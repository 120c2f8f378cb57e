"""What the test classes share: one server for a class, connections that are closed at the end."""

import unittest

import server
import wire


class ServerTest(unittest.TestCase):
    """A test with a server of its class."""

    config = ""
    on_disk = True
    host = None

    @classmethod
    def setUpClass(cls):
        cls.host = server.Server(cls.config, on_disk=cls.on_disk)
        cls.addClassCleanup(cls.host.close)

    def setUp(self):
        self.link = self.open()

    def tearDown(self):
        status = self.host.process.poll() if self.host.process else None
        if status is not None:
            self.host.kill()
            self.host.start()
            self.fail(f"the server died: {status}\n{self.host.messages()[-2000:]}")

    def open(self, **options):
        """A new binary connection."""
        link = self.host.binary(**options)
        self.addCleanup(link.close)
        return link

    def open_ascii(self):
        """A new ascii connection."""
        link = self.host.ascii()
        self.addCleanup(link.close)
        return link

    def key(self, word="key"):
        """A key that no other test uses."""
        return f"{self.id().rsplit('.', 1)[1]}/{word}".encode()

    def status(self, answer, expected):
        """Checks a status and returns the answer."""
        self.assertEqual(answer.status, expected, f"status {answer.status:#x}: {answer}")
        return answer

    def holds(self, key, value, link=None):
        """Checks that a key has a value, or is absent if that is None; returns the answer."""
        answer = (link or self.link).get(key)
        found = answer.value if answer.status == wire.SUCCESS else None
        if found is None:
            self.status(answer, wire.ENOENT)
        self.assertEqual(found, value, key)
        return answer

    def state(self):
        """`stats onlineupdate`."""
        return self.link.stats(b"onlineupdate")
