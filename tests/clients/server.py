"""Starts, kills and restarts a server for tests and the demo, on a port and a directory of its own.

The command is a template, split like a shell does, in which {engine}, {config} and {port} stand for
the library, its configuration and a free port. CHECKPOINT_HOST overrides the bundled host, and
CHECKPOINT_ENGINE the library. Without {port} the server must be told to take any port, and says
which in the file that MEMCACHED_PORT_FILENAME names.
"""

import contextlib
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import wire

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST = os.environ.get(
    "CHECKPOINT_HOST", f"{TOP}/c-host/build/engine-host -E {{engine}} -p 0 -e {{config}}"
)
ENGINE = os.environ.get("CHECKPOINT_ENGINE", f"{TOP}/target/release/libcheckpoint_engine.so")
START_SECONDS = 60


class StartFailed(Exception):
    """The server ended, or did not listen in time."""


def free_port():
    """A TCP port that nobody listens on. The system gives it to nobody who asks for any port, or
    connects: it is free when it is used, and after a restart."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first, last = map(int, file.read().split())
    # Where no port is left it is one of the system's.
    ports = [*range(10_000, first), *range(last + 1, 1 << 16)] or [0]
    while True:
        # Not with the dice of tests: others may run with the same seed.
        port = random.SystemRandom().choice(ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return probe.getsockname()[1]


@contextlib.contextmanager
def unheard(port=0):
    """A TCP port that nobody can listen on meanwhile, and nobody does."""
    with socket.socket() as taken:
        # Connections may have been open there a moment ago.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        yield taken.getsockname()[1]


def small_disk(test, size):
    """A file system of so many bytes for a test, which is skipped where none is to be had."""
    directory = tempfile.mkdtemp(prefix="checkpoint-engine-disk-")
    test.addCleanup(os.rmdir, directory)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", directory]
    tried = subprocess.run(mount, capture_output=True, text=True, check=False)
    if tried.returncode:
        test.skipTest(f"a small file system cannot be mounted here: {tried.stderr.strip()}")
    test.addCleanup(subprocess.run, ["umount", directory], check=True)
    return directory


def end_listening(listener, thread):
    """Closes a listener. The thread that accepts on it has to be gone by then: a call that begins
    anew behind a signal would accept on whatever has got the number of the file."""
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def until(condition, seconds=30, what="condition"):
    """Waits until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    pause = 0.001
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return value


class Server:
    """A server process over a directory. Use as a context manager: the end kills and cleans up."""

    def __init__(self, config="", directory=None, command=None, start=True, on_disk=True,
                 variables=None):
        self.command, self.variables = command or HOST, variables or {}
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="checkpoint-engine-")
        self.dbname = os.path.join(self.directory, "db")
        self.config = ";".join(filter(None, [f"dbname={self.dbname}" if on_disk else "", config]))
        self.log = os.path.join(self.directory, "log")
        self.process = None
        self.address = None
        try:
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def spawn(self, config=None):
        """Starts the process and does not wait for it."""
        assert self.process is None
        port_file = os.path.join(self.directory, "port")
        if os.path.exists(port_file):
            os.unlink(port_file)
        fixed = "{port}" in self.command
        self.address = ("127.0.0.1", free_port()) if fixed else None
        values = {"engine": ENGINE, "config": self.config if config is None else config}
        values["port"] = str(self.address[1]) if fixed else "0"
        words = [word.format(**values) for word in shlex.split(self.command)]
        environment = {**os.environ, **self.variables, "MEMCACHED_PORT_FILENAME": port_file}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                cwd=self.directory, start_new_session=True,
            )

    def start(self):
        """Starts the process and waits until it listens."""
        self.spawn()
        try:
            until(self._listens, START_SECONDS, "server start")
        except (StartFailed, TimeoutError) as error:
            self.kill()
            raise StartFailed(f"{error}\n{self.messages()}") from None

    def _listens(self):
        if self.process.poll() is not None:
            raise StartFailed(f"the server ended with status {self.process.returncode}")
        if "{port}" not in self.command:
            try:
                with open(os.path.join(self.directory, "port"), encoding="ascii") as file:
                    ports = [line.split()[-1] for line in file if line.startswith("TCP INET:")]
            except FileNotFoundError:
                return False
            self.address = ("127.0.0.1", int(ports[0]))
        try:
            socket.create_connection(self.address, 1).close()
        except OSError:
            return False
        return True

    def messages(self):
        """What the process has printed, over all its lives."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def memory(self):
        """Bytes of memory that the process has in use."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def kill(self, how=signal.SIGKILL, seconds=90):
        """Ends the process (default: kill -9); returns its exit status, None if there is none."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def stop(self):
        """Asks the process to end (SIGTERM) and returns its exit status."""
        return self.kill(signal.SIGTERM)

    def restart(self, how=signal.SIGKILL):
        """Ends the process and starts it again over the same directory."""
        self.kill(how)
        self.start()

    def binary(self, **options):
        """A new binary connection."""
        return wire.Binary(self.address, **options)

    def ascii(self, **options):
        """A new ascii connection."""
        return wire.Ascii(self.address, **options)

    def drained(self, connection=None, seconds=120):
        """Waits until everything that may be on disk is there."""
        link = connection or self.binary()
        try:
            until(lambda: is_drained(link), seconds, "flush")
        finally:
            if connection is None:
                link.close()

    def close(self):
        """Kills the process and removes the directory."""
        try:
            self.kill()
        finally:
            if self.own_directory:
                shutil.rmtree(self.directory, ignore_errors=True)


def is_drained(link):
    """Whether the flusher has nothing to do."""
    stats = link.stats()
    return stats["ep_queue_size"] == "0" and stats["ep_flusher_todo"] == "0"
