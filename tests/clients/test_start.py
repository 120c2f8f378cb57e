"""Starts that must fail: a clear message, a status other than 0, nothing changed on disk."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import server
import wire
from wire import SUCCESS

BUNDLED = "engine-host" in server.HOST


def tree(directory):
    """{path: (mode, size, hash)} of everything below a directory, but for the lock file's text."""
    found = {}
    for base, folders, files in os.walk(directory):
        for name in folders + files:
            path = os.path.join(base, name)
            about = os.lstat(path)
            text = b""
            if os.path.isfile(path) and not path.endswith("/LOCK"):
                with open(path, "rb") as file:
                    # The journal is a large file of zeros at its end.
                    text = file.read().rstrip(b"\0")
            digest = hashlib.sha256(text).hexdigest()
            found[os.path.relpath(path, directory)] = (about.st_mode, digest)
    return found


class StartTest(unittest.TestCase):
    """Starts servers over directories of its own."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="checkpoint-engine-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def path(self, name):
        """A path in the directory of the test."""
        return os.path.join(self.directory, name)

    def server(self, **options):
        """A server that is not started; its log is outside of the test's directory."""
        made = server.Server(start=False, **options)
        self.addCleanup(made.close)
        return made

    def refuses(self, config, words):
        """Checks that a start with a configuration fails with a message; returns the message."""
        host = self.server()
        host.config = config
        with self.assertRaises(server.StartFailed, msg=config) as caught:
            host.start()
        text = str(caught.exception)
        self.assertRegex(text, words)
        self.assertNotIn("panicked", text)
        ended = re.search(r"ended with status (-?\d+)", text)
        self.assertTrue(ended, text)
        # Real hosts end with status 0 when an engine does not start (docs/hosts.md, rule 15).
        if BUNDLED:
            self.assertEqual(ended[1], "1", text)
        return text


class Configuration(StartTest):
    """Wrong configuration texts."""

    def test_unknown_keys_and_bad_values(self):
        name = self.path("db")
        for config, words in (
            (f"dbname={name};nosuchkey=1", "unknown key \"nosuchkey\""),
            (f"dbnam={name}", "unknown key \"dbnam\"; did you mean \"dbname\""),
            (f"dbname={name};vb0=perhaps", "vb0=perhaps is not legal.*one of true, false"),
            (f"dbname={name};tap_streams_max=0",
             "tap_streams_max=0 is not legal.*from 1 to 100000"),
            (f"dbname={name};max_size=12q", "max_size=12q is not legal"),
            (f"dbname={name};durability=fast", "durability=fast is not legal"),
            (f"dbname={name};online_update_undo=tape", "online_update_undo=tape is not legal"),
            (f"dbname={name};host_abi=redis", "host_abi=redis is not legal"),
            (f"dbname={name};config_file={self.path('none')}", "none cannot be read"),
            (f"dbname={name};vb0", "has no \"=\""),
            (f"dbname={name};vb0=", "empty value"),
            ("dbname=", "empty value"),
        ):
            with self.subTest(config):
                self.refuses(config, words)
                self.assertEqual(tree(self.directory), {})


class Place(StartTest):
    """Wrong places for a database."""

    def test_a_regular_file_is_left_alone(self):
        with open(self.path("file"), "wb") as file:
            file.write(b"precious")
        before = tree(self.directory)
        self.refuses(f"dbname={self.path('file')}", "file is not a directory")
        self.refuses(f"dbname={self.path('file/db')}", "file/db.*Not a directory")
        self.assertEqual(tree(self.directory), before)

    def test_a_directory_of_others_is_left_alone(self):
        os.mkdir(self.path("home"))
        with open(self.path("home/letter"), "wb") as file:
            file.write(b"precious")
        before = tree(self.directory)
        self.refuses(f"dbname={self.path('home')}", "home is not a checkpoint-engine store.*letter")
        self.assertEqual(tree(self.directory), before)

    def test_a_place_that_cannot_be_written(self):
        # Not even root can create a directory there.
        self.refuses("dbname=/proc/checkpoint-engine", "cannot create .*/proc/checkpoint-engine")
        os.mkdir(self.path("locked"), mode=0o555)
        before = tree(self.directory)
        if os.geteuid() != 0:
            self.refuses(f"dbname={self.path('locked/db')}", "cannot create .*locked/db")
            self.refuses(f"dbname={self.path('locked')}", "cannot .*locked")
        self.assertEqual(tree(self.directory), before)

    def test_a_second_process_is_refused_and_the_first_goes_on(self):
        with server.Server() as first:
            link = first.binary()
            link.set(b"a", b"1")
            first.drained(link)
            before = tree(first.dbname)
            self.refuses(first.config, f"in use by process {first.process.pid}")
            self.assertEqual(tree(first.dbname), before)
            self.assertEqual(link.set(b"b", b"2").status, SUCCESS)
            first.drained(link)
            first.restart()
            with first.binary() as link:
                self.assertEqual([link.get(key).value for key in (b"a", b"b")], [b"1", b"2"])


def truncate(path):
    """Cuts a file in half."""
    os.truncate(path, os.path.getsize(path) // 2)


def overwrite(at):
    """Makes a damage that changes 16 bytes at a place, counted from the end of what is used."""
    def damage(path):
        with open(path, "r+b") as file:
            text = file.read().rstrip(b"\0")
            file.seek(int(len(text) * at))
            old = file.read(16)
            file.seek(int(len(text) * at))
            file.write(bytes(byte ^ 0x5a for byte in old))
    return damage


def write(text):
    """Makes a damage that replaces what is in a file."""
    def damage(path):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    return damage


# What is damaged (the last file whose path fits), how, and what the message must say.
DAMAGES = (
    ("STORE", os.unlink, "not a checkpoint-engine store"),
    ("STORE", truncate, "damaged"),
    ("STORE", write("checkpoint-engine store\nformat 999\n"), "format version 999"),
    ("STORE", write("another program's file\n"), "damaged"),
    ("db", shutil.rmtree, "damaged"),
    ("db/version", os.unlink, "damaged"),
    ("db/version", truncate, "damaged"),
    ("db/\\d+.jnl", os.unlink, "damaged"),
    ("db/\\d+.jnl", overwrite(0), "damaged"),
    ("db/\\d+.jnl", overwrite(0.5), "damaged"),
    ("db/keyspaces", shutil.rmtree, "damaged"),
    ("db/keyspaces/0/current", os.unlink, "damaged"),
    ("db/keyspaces/1/current", os.unlink, "damaged"),
    ("db/keyspaces/0/v\\d+", overwrite(0), "damaged"),
    ("db/keyspaces/0/v\\d+", os.unlink, "damaged"),
    ("db/keyspaces/0/tables/\\d+", os.unlink, "damaged"),
    ("db/keyspaces/0/tables/\\d+", overwrite(0.5), "damaged"),
)


class Damage(StartTest):
    """A store that somebody or something has damaged is refused and left as it is."""

    def test_every_kind_of_damage(self):
        with server.Server() as host:
            with host.binary() as link:
                link.pipeline(wire.request(wire.SETQ, b"%d" % n, wire.store_extras(), b"x" * 100)
                              for n in range(5000))
                host.drained(link)
            self.assertEqual(host.stop(), 0)
            # Once more, so that no file is left that a start would tidy away.
            host.start()
            self.assertEqual(host.stop(), 0)
            good = host.dbname
            for name, damage, words in DAMAGES:
                what = getattr(damage, "__qualname__", "").split(".")[0]
                with self.subTest(f"{what} {name}"):
                    self.damaged(good, name, damage, words)
            host.start()
            with host.binary() as link:
                self.assertEqual(link.stats()["curr_items"], "5000")

    def damaged(self, good, name, damage, words):
        """One damage to a copy of a good store."""
        copy = self.path("copy")
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=always", good, copy], check=True)
        paths = [path for path in sorted(tree(copy)) if re.fullmatch(name, path)]
        self.assertTrue(paths, f"a store has no {name}: {sorted(tree(copy))}")
        damage(os.path.join(copy, paths[-1]))
        before = tree(copy)
        self.refuses(f"dbname={copy}", words)
        after = tree(copy)
        changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
        self.assertEqual([path for path in changed if not path.endswith("LOCK")], [])


@unittest.skipUnless(BUNDLED, "options of the bundled host")
class Options(StartTest):
    """The command line of engine-host."""

    def run_host(self, *arguments):
        """Runs it, and returns its status and messages."""
        program = server.HOST.split()[0]
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60,
                              check=False, cwd=self.directory)
        return done.returncode, done.stdout + done.stderr

    def test_wrong_options(self):
        for arguments in ([], ["-E"], ["-E", "x", "y"], ["-E", "x", "-p", "70000"],
                          ["-E", "x", "-t", "0"], ["-E", "x", "--cookie-layout=other"],
                          ["-E", "x", "-p", "-1"], ["-E", "x", "-Z"]):
            with self.subTest(arguments):
                status, text = self.run_host(*arguments)
                self.assertEqual(status, 64)
                self.assertIn("Usage:", text)

    def test_help(self):
        status, text = self.run_host("-h")
        self.assertEqual(status, 0)
        self.assertIn("--cookie-layout", text)

    def test_files_that_are_no_engine(self):
        with open(self.path("text.so"), "wb") as file:
            file.write(b"no library")
        for path in (self.path("none.so"), self.path("text.so"), "libm.so.6"):
            status, text = self.run_host("-E", path, "-p", "0")
            self.assertEqual(status, 1)
            self.assertIn(path, text)

    def test_a_port_that_is_taken(self):
        with server.Server() as first:
            port = str(first.address[1])
            status, text = self.run_host("-E", server.ENGINE, "-p", port)
            self.assertEqual(status, 1)
            self.assertRegex(text, "(?i)address already in use|in use")

    def test_both_cookie_layouts_work(self):
        for layout in ("membase", "memcached"):
            command = f"{server.HOST} --cookie-layout={layout}"
            with server.Server(command=command) as host, host.binary() as link:
                self.assertEqual(link.set(b"a", b"1").status, SUCCESS)
                host.drained(link)
                for commands in ((wire.START, wire.REVERT), (wire.START, wire.COMPLETE)):
                    for opcode in commands:
                        self.assertEqual(link.call(opcode).status, SUCCESS, layout)
                self.assertEqual(host.stop(), 0)


class ProcessTest(unittest.TestCase):
    """What the engine asks of the system for its process."""

    @classmethod
    def setUpClass(cls):
        cls.host = server.Server()
        cls.addClassCleanup(cls.host.close)
        cls.proc = f"/proc/{cls.host.process.pid}"

    def read(self, name):
        """A file of the process."""
        with open(f"{self.proc}/{name}", encoding="ascii") as file:
            return file.read()

    def threads(self):
        """{name: (niceness, slice or None)} of those that run now."""
        found = {}
        for thread in os.listdir(f"{self.proc}/task"):
            try:
                name, _, rest = self.read(f"task/{thread}/stat").partition("(")[2].rpartition(")")
                sched = self.read(f"task/{thread}/sched") if self.tells_slices else ""
            except (FileNotFoundError, ProcessLookupError):
                continue  # It has ended meanwhile.
            slice_ = re.search(r"(?m)^se\.slice +: +(\d+)", sched)
            found[name] = (int(rest.split()[16]), slice_ and int(slice_[1]))
        return found

    def test_threads_that_no_client_waits_for_make_way_and_no_others(self):
        patient = ("ce-update", "ce-rewarm", "ce-house", "ce-backfill")
        others = ("ce-flush", "ce-fetch-0", "ce-note", "ce-tap", "ce-pager")
        self.tells_slices = os.path.exists(f"{self.proc}/sched")
        found = {}

        def are_set():
            # A thread says itself what it is called and how long it wants to run at a time.
            nonlocal found
            found = self.threads()
            if not found.keys() >= {*patient, *others}:
                return False
            usual = found["ce-flush"][1]
            return usual is None or all(found[name][1] > usual for name in patient)
        try:
            server.until(are_set, what="threads that have set themselves up")
        except TimeoutError as error:
            self.fail(f"{error}: {found}")
        own = os.getpriority(os.PRIO_PROCESS, self.host.process.pid)
        self.assertEqual({niceness for niceness, _ in found.values()}, {own}, found)
        if found["ce-flush"][1] is None:
            self.skipTest("this kernel does not tell how long threads ask to run at a time")
        for name in others:
            self.assertEqual(found[name][1], found["ce-flush"][1], found)

    def test_no_huge_pages_for_the_engine_and_the_host_keeps_its_own(self):
        with self.host.binary() as link:
            link.set(b"key", b"v" * 100_000)
        flags = [line.split() for line in self.read("smaps").splitlines() if line[:8] == "VmFlags:"]
        self.assertTrue(flags)
        self.assertFalse([words for words in flags if "hg" in words])
        self.assertRegex(self.read("status"), r"THP_enabled:\s*1")
