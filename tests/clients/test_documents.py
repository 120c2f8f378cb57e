"""Every command that the README or a page shows is run.

A block in a fence of `sh` is a script. In one of `console` the lines that begin with `$ ` are
commands, and what follows them is what they print (`...` is anything in a line). A comment before
the fence says more:

    <!-- serves PORT -->    goes on running: the test waits until it listens
    <!-- serves -->         goes on running: the test looks that it does at the end of the page
    <!-- not run: REASON -->

Ports and directories of the text are replaced by those of the test; blocks of a page follow each
other in one place.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import server

PAGES = ["README.md", "c-host/README.md"] + sorted(
    f"docs/{name}" for name in os.listdir(f"{server.TOP}/docs") if name.endswith(".md"))
MARK = re.compile(r"<!-- (serves|not run:) ?(.*?) ?-->$", re.S)
SECONDS = 300


class Block:
    """A block in a fence, with the comment before it."""

    def __init__(self, page, line, kind, lines, mark):
        self.place = f"{page}:{line}"
        self.kind = kind
        self.lines = lines
        found = MARK.match(mark or "")
        self.reason = found[2] if found and found[1] == "not run:" else None
        self.serves = bool(found) and found[1] == "serves"
        self.port = int(found[2]) if self.serves and found[2] else None


def blocks(page):
    """The blocks of a page."""
    with open(f"{server.TOP}/{page}", encoding="ascii") as file:
        lines = file.read().split("\n")
    found, inside, mark, opened = [], None, None, 0
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            if inside is None:
                inside, opened, kind = [], number, line[3:].strip()
            else:
                found.append(Block(page, opened, kind, inside, mark))
                inside = mark = None
        elif inside is not None:
            inside.append(line)
        elif line.startswith("<!-- "):
            mark = line
        elif mark and not mark.endswith("-->"):
            mark += " " + line
        elif line.strip():
            mark = None
    return found


# Where the programs of the pages are.
BUILT = os.path.dirname(os.path.join(server.TOP, server.ENGINE))


class Place:
    """Where the blocks of one page run: directories, ports and servers of their own."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="checkpoint-engine-page-")
        self.ports = {}
        self.processes = []
        self.environment = {**os.environ, "PORT": str(self.port(11211)),
                            "DATA": f"{self.directory}/data"}

    def port(self, shown):
        """The port that stands for one that a page shows."""
        return self.ports.setdefault(shown, server.free_port())

    def text(self, shown):
        """What is run for what a page shows."""
        shown = re.sub(r"\b1121\d\b", lambda it: str(self.port(int(it[0]))), shown)
        shown = re.sub(r"(?<![\w.])(/tmp|/usr/local|/var/lib)\b",
                       lambda it: self.directory + it[0], shown)
        shown = re.sub(r"\./data", f"{self.directory}/data", shown)
        # Cargo may be told to build elsewhere.
        return shown.replace("target/release", BUILT)

    def start(self, script, port):
        """Runs a script that goes on, and waits until it listens."""
        log = open(f"{self.directory}/log-{len(self.processes)}", "w+b")
        process = subprocess.Popen(
            ["bash", "-euc", script], cwd=server.TOP, env=self.environment, stdout=log,
            stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.processes.append((process, log))

        def listens():
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(f"it ended: {log.read().decode(errors='replace')}")
            try:
                socket.create_connection(("127.0.0.1", self.port(port)), 1).close()
            except OSError:
                return False
            return True

        if port is not None:
            server.until(listens, SECONDS, "server start")

    def check(self):
        """What goes on running does so."""
        for process, log in self.processes:
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(f"it ended: {log.read().decode(errors='replace')}")

    def run(self, script):
        """Runs a script and returns what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=server.TOP, env=self.environment,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False, text=True,
            errors="replace")
        told = f"{script}\nstatus {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, told
        return done.stdout

    def close(self):
        """Ends the servers and removes the directories."""
        for process, log in self.processes:
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            process.wait(60)
            log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def session(lines):
    """Commands of a `console` block, each with what it prints."""
    commands = []
    for line in lines:
        if line.startswith("$ "):
            commands.append([line[2:], []])
        elif commands:
            commands[-1][1].append(line)
    return [(command, "\n".join(output)) for command, output in commands]


class Pages(unittest.TestCase):
    """One test for each page, added below."""

    def run_page(self, page):
        """Runs all blocks of a page."""
        place = Place()
        self.addCleanup(place.close)
        for tree in ("/tmp", "/usr/local", "/var/lib"):
            os.makedirs(place.directory + tree)
        for block in blocks(page):
            with self.subTest(block.place):
                self.run_block(place, block)
        place.check()

    def run_block(self, place, block):
        """Runs one block, unless it says why not."""
        if block.kind in ("mermaid", "text"):
            return
        self.assertIn(block.kind, ("sh", "console"), f"{block.place}: what is it?")
        if block.reason is not None:
            self.assertGreater(len(block.reason), 10, f"{block.place}: why is it not run?")
        elif block.serves:
            place.start(place.text("\n".join(block.lines)), block.port)
        elif block.kind == "sh":
            place.run(place.text("\n".join(block.lines)))
        else:
            for command, output in session(block.lines):
                pattern = re.escape(place.text(output).strip()).replace(r"\.\.\.", ".*")
                self.assertRegex(place.run(place.text(command)).strip(), f"^{pattern}$",
                                 f"{block.place}: {command}")


def add_pages():
    """A test for each page that has a block."""
    for page in PAGES:
        if blocks(page):
            name = "test_" + re.sub(r"\W", "_", page.removesuffix(".md").lower())
            setattr(Pages, name, lambda self, page=page: self.run_page(page))


add_pages()


class Inline(unittest.TestCase):
    """What pages show within a sentence."""

    def test_targets_of_make_exist(self):
        targets = set()
        c_host = ["Makefile", "harness.mk", "fuzz.mk"]
        for folder, files in (("", ["Makefile"]), ("c-host", c_host)):
            for name in files:
                with open(os.path.join(server.TOP, folder, name), encoding="ascii") as file:
                    targets |= {(folder, it) for line in re.findall(r"^([\w -]+):(?!=)",
                                                                   file.read(), re.M)
                                for it in line.split()}
        seen = 0
        for page in PAGES:
            with open(f"{server.TOP}/{page}", encoding="ascii") as file:
                text = file.read()
            for folder, target in re.findall(r"`make (?:-C (\S+) )?([a-z][\w-]*)[` ]", text):
                folders = [folder] if folder else ["", os.path.dirname(page)]
                self.assertTrue(any((it, target) in targets for it in folders), (page, target))
                seen += 1
        self.assertGreater(seen, 5)

    def test_no_command_stands_in_an_indented_block(self):
        for page in PAGES:
            with open(f"{server.TOP}/{page}", encoding="ascii") as file:
                text = re.sub(r"```.*?```", "", file.read(), flags=re.S)
            found = re.findall(r"\n\n(    \S.*)", text)
            self.assertEqual(found, [], f"{page}: put it into a fence")


if __name__ == "__main__":
    unittest.main()
