"""Three nodes behind twemproxy (Debian: nutcracker), each with a replica: one decision for all."""

import os
import shutil
import signal
import struct
import subprocess
import unittest

import server
import wire

REPLICATE = f"{server.TOP}/c-host/build/engine-replicate"
TOOL = os.environ.get(
    "ONLINE_UPDATE", os.path.join(os.path.dirname(server.ENGINE), "online-update"))
NODES = 3
KEYS = 300


def nutcracker():
    """The program; Debian puts it where ordinary users do not look."""
    return shutil.which("nutcracker", path=os.environ["PATH"] + ":/usr/sbin")


def name(host):
    """HOST:PORT of a node."""
    return "{}:{}".format(*host.address)


class Scaling(unittest.TestCase):
    """Clients speak to the proxy, the operator to the nodes."""

    @classmethod
    def setUpClass(cls):
        cls.nodes = [cls.node() for _ in range(NODES)]
        cls.replicas = [cls.node() for _ in range(NODES)]
        for node, replica in zip(cls.nodes, cls.replicas):
            cls.begin([REPLICATE, "-rf", name(node), name(replica)])
        cls.directory = cls.nodes[0].directory
        port, statistics = server.free_port(), server.free_port()
        with open(f"{server.TOP}/docs/scaling/nutcracker.yml", encoding="ascii") as file:
            text = file.read().replace("22121", str(port))
        for number, node in enumerate(cls.nodes, 1):
            text = text.replace(f"127.0.0.1:1121{number}:", f"{name(node)}:")
        with open(f"{cls.directory}/nutcracker.yml", "w", encoding="ascii") as file:
            file.write(text)
        cls.begin([nutcracker(), "-c", f"{cls.directory}/nutcracker.yml", "-a", "127.0.0.1",
                   "-s", str(statistics), "-p", f"{cls.directory}/nutcracker.pid",
                   "-o", f"{cls.directory}/nutcracker.log"])
        cls.proxy = ("127.0.0.1", port)

        def listens():
            try:
                wire.Ascii(cls.proxy).close()
            except OSError:
                return False
            return True
        server.until(listens, 30, "the proxy")
        server.until(lambda: all(cls.state(replica) == "replica" for replica in cls.replicas),
                     30, "replicas")

    @classmethod
    def node(cls):
        """A node."""
        host = server.Server()
        cls.addClassCleanup(host.close)
        return host

    @classmethod
    def begin(cls, words):
        """A program beside the nodes."""
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)

        def end():
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        cls.addClassCleanup(end)

    @staticmethod
    def state(host):
        """The state of vbucket 0."""
        with host.binary() as link:
            return link.stats(b"vbucket").get("vb_0")

    def proxied(self):
        """A connection to the proxy."""
        link = wire.Ascii(self.proxy)
        self.addCleanup(link.close)
        return link

    def write(self, word):
        """Sets every key through the proxy."""
        link = self.proxied()
        for number in range(KEYS):
            value = f"{word} {number}".encode()
            self.assertEqual(link.call(f"set key{number} 0 0 {len(value)}", value), "STORED")

    def read(self):
        """What every key has, through the proxy."""
        link = self.proxied()
        values = [link.get(f"key{number}") for number in range(KEYS)]
        return [found[f"key{number}"][0].decode() if found else None
                for number, found in enumerate(values)]

    def run_tool(self, check, deploy, expected):
        """`online-update run` over all nodes."""
        nodes = [word for node in self.nodes for word in ("-n", name(node))]
        done = subprocess.run(
            [TOOL, *nodes, "run", "--revert-after", "5m", "--check", check, "--", *deploy],
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, expected, done)
        return done.stdout

    def deployment(self, word):
        """A deployment: a script that sets every key through the proxy."""
        path = f"{self.directory}/deploy.py"
        with open(path, "w", encoding="ascii") as file:
            file.write(
                "import socket\n"
                f"link = socket.create_connection({self.proxy!r}).makefile('rwb')\n"
                f"for number in range({KEYS}):\n"
                f"    value = b'{word} %d' % number\n"
                "    link.write(b'set key%d 0 0 %d\\r\\n%s\\r\\n' % (number, len(value), value))\n"
                "    link.flush()\n"
                "    assert link.readline() == b'STORED\\r\\n'\n")
        return ["/usr/bin/python3", path]

    def replica_values(self):
        """What the replicas hold once they are promoted."""
        found = {}
        for host in self.replicas:
            with host.binary() as link:
                for number in range(KEYS):
                    answer = link.get(b"key%d" % number)
                    if answer.status == wire.SUCCESS:
                        found[number] = answer.value.decode()
        return [found.get(number) for number in range(KEYS)]

    def test_one_decision_over_all_and_a_failover(self):
        self.write("old")
        old = [f"old {number}" for number in range(KEYS)]
        self.assertEqual(self.read(), old)
        for node in self.nodes:
            with node.binary() as link:
                self.assertGreater(int(link.stats()["curr_items"]), KEYS // 10, "keys are spread")
        out = self.run_tool("false", self.deployment("bad"), 11)
        self.assertIn("run: reverted", out)
        self.assertEqual(self.read(), old)
        out = self.run_tool("true", self.deployment("new"), 0)
        self.assertIn("run: completed", out)
        new = [f"new {number}" for number in range(KEYS)]
        self.assertEqual(self.read(), new)
        # Replicas have followed to the end: their streams are idle, and nothing waits to be sent.
        for node in self.nodes:
            with node.binary() as link:
                server.until(lambda link=link: all(
                    value == "true" for key, value in link.stats(b"tap").items()
                    if key.endswith(":idle")), 30, "idle streams")
        state = struct.pack(">I", wire.ACTIVE)
        for replica in self.replicas:
            with replica.binary() as link:
                self.assertEqual(link.call(wire.SET_VBUCKET, extras=state).status,
                                 wire.SUCCESS)
        self.assertEqual(self.replica_values(), new)


if __name__ == "__main__":
    unittest.main()
