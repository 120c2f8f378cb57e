"""The programs of Debian's libmemcached-tools, in both protocols, and its conformance test.

Debian names them with a c (memccat); other builds call the same programs memcat and so on.
"""

import os
import re
import shutil
import subprocess

import server
import wire
from base import ServerTest

# Tests of memcapable that fail here for a reason, by name. There are none.
EXCEPTIONS = {}


def program(name):
    """The path of a program, under either name."""
    for path in (f"memc{name}", f"mem{name}"):
        if found := shutil.which(path):
            return found
    raise FileNotFoundError(f"mem{name}: install the Debian package libmemcached-tools")


class Tools(ServerTest):
    """Ascii protocol."""

    protocol = []

    def run_tool(self, name, *arguments, expected=0, protocol=None):
        """Runs a program and returns what it printed."""
        servers = f"--servers={self.host.address[0]}:{self.host.address[1]}"
        options = self.protocol if protocol is None else protocol
        done = subprocess.run(
            [program(name), servers, *options, *arguments], cwd=self.host.directory,
            capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )
        text = f"{done.args}: {done.stdout!r} {done.stderr!r}"
        self.assertEqual(done.returncode, expected, text)
        return done.stdout

    def file(self, name, content):
        """A file in the directory where programs run."""
        with open(os.path.join(self.host.directory, name), "wb") as file:
            file.write(content)
        return name

    def test_cp_and_cat(self):
        one = self.file("one", b"first file\n")
        two = self.file("two", bytes(range(1, 256)) * 1000)
        self.run_tool("cp", one, two)
        self.assertEqual(self.run_tool("cat", one).rstrip(b"\n"), b"first file")
        self.assertEqual(self.run_tool("cat", two).rstrip(b"\n"), bytes(range(1, 256)) * 1000)
        self.run_tool("cat", "absent", expected=1)

    def test_cp_add_and_replace(self):
        name = self.file("three", b"1")
        self.run_tool("cp", "--replace", name, expected=1)
        self.run_tool("cp", "--add", name)
        self.run_tool("cp", "--add", name, expected=1)
        self.file("three", b"2")
        self.run_tool("cp", "--replace", name)
        self.assertEqual(self.run_tool("cat", name).strip(), b"2")

    def test_cat_shows_flags(self):
        name = self.file("flagged", b"1")
        self.run_tool("cp", "--flag=77", name)
        self.assertIn(b"77", self.run_tool("cat", "--flags", name))

    def test_rm(self):
        name = self.file("four", b"1")
        self.run_tool("cp", name)
        self.run_tool("rm", name)
        self.run_tool("cat", name, expected=1)
        self.run_tool("rm", name, expected=1)

    def test_exist(self):
        name = self.file("five", b"1")
        self.run_tool("exist", name, expected=1)
        self.run_tool("cp", name)
        self.run_tool("exist", name)
        self.assertEqual(self.run_tool("cat", name).strip(), b"1")
        # Asking does not create.
        self.run_tool("exist", "absent", expected=1)
        self.run_tool("cat", "absent", expected=1)

    def test_touch(self):
        # The hosts have no ascii touch: always in binary.
        name = self.file("six", b"1")
        self.run_tool("touch", "--expire=100", "absent", expected=1, protocol=["--binary"])
        self.run_tool("cp", name)
        self.run_tool("touch", "--expire=1000", name, protocol=["--binary"])
        self.assertEqual(self.run_tool("cat", name).strip(), b"1")
        self.run_tool("touch", "--expire=1", name, protocol=["--binary"])
        gone = lambda: self.link.get(name.encode()).status == wire.ENOENT  # noqa: E731
        server.until(gone, what="its end")

    def test_stat_and_ping(self):
        found = self.run_tool("stat")
        for name in (b"pid", b"ep_queue_size", b"curr_items"):
            self.assertRegex(found, rb"(?m)\b" + name + rb":\s*\d")
        self.assertRegex(self.run_tool("stat", "onlineupdate"), rb"\bstate:\s*none")
        self.run_tool("ping", protocol=[])

    def test_flush(self):
        name = self.file("seven", b"1")
        self.run_tool("cp", name)
        self.run_tool("flush")
        self.run_tool("cat", name, expected=1)


class ToolsBinary(Tools):
    """Binary protocol."""

    protocol = ["--binary"]


class Conformance(ServerTest):
    """memcapable: every test of either protocol passes, but for the exceptions."""

    def capable(self, protocol, least):
        """Runs memcapable."""
        host, port = self.host.address
        done = subprocess.run(
            [program("capable"), "-h", host, "-p", str(port), protocol], capture_output=True,
            text=True, timeout=120, check=False, cwd=self.host.directory,
        )
        results = re.findall(r"(?m)^((?:ascii|binary) .*?)\s+\[(\w+)\]", done.stdout)
        failed = {name for name, result in results if result != "pass"}
        self.assertEqual(failed, failed & set(EXCEPTIONS), done.stdout + done.stderr)
        self.assertGreaterEqual(len(results), least, done.stdout)
        if not failed:
            self.assertEqual(done.returncode, 0)

    def test_binary(self):
        self.capable("-b", 27)

    def test_ascii(self):
        self.capable("-a", 27)
