"""Shows an online update on real data: every word of Debian's largest English word list.

Loads the words over TCP with an ordinary client library (python3-binary-memcached), opens an online
update, damages tens of thousands of them, takes it all back, and checks every key; then does it
again and completes, kills the server with kill -9 right after the answer, starts it again, and
checks every key again. Each check reads everything twice: with the library, and as raw bytes and
flags.

    demo.py                             the bundled host and the engine that `make build` made
    demo.py --spawn 'memcached -u root -p {port} -E {engine} -e {config}'
                                        another host; {port}, {engine}, {config} are filled in
    demo.py --host H --port P [--pid-file FILE --restart 'command']
                                        a server that runs already: its data is overwritten! Without
                                        the last two it is not killed
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))

import server  # noqa: E402
import wire  # noqa: E402

WORDS = "/usr/share/dict/american-english-huge"
BATCH = 1000
CHANGED, DELETED, ADDED = 40_000, 30_000, 30_000


class Wrong(Exception):
    """The server did not do what it must."""


def say(text=""):
    """Prints at once."""
    print(text, flush=True)


class Step:
    """Prints what is done, progress, and how long it took."""

    def __init__(self, what, total=0):
        self.what, self.total, self.done = what, total, 0
        self.begun = self.shown = time.monotonic()

    def __enter__(self):
        sys.stdout.write(f"   {self.what} ... ")
        sys.stdout.flush()
        return self

    def advance(self, count):
        """Notes progress; shows it about once a second."""
        self.done += count
        if time.monotonic() - self.shown > 1 and self.total:
            self.shown = time.monotonic()
            sys.stdout.write(f"{100 * self.done // self.total} % ")
            sys.stdout.flush()

    def __exit__(self, kind, *_):
        seconds = time.monotonic() - self.begun
        rate = f" ({self.done / seconds:,.0f} keys/s)" if self.done else ""
        say("failed" if kind else f"{seconds:.2f} s{rate}")


def original(number, word):
    """What a word holds at first. The type decides the flags that the library stores."""
    kind = number % 5
    if kind == 0:
        return [number, word]
    if kind == 1:
        return word.encode()[::-1]
    if kind == 2:
        return (word + " ") * 40
    return f"{word} is word {number}"


def replaced(number, word, turn):
    """What the new application makes of a word: another value, often of another type."""
    text = f"{word} ruined by release {turn}"
    return text.encode() if number % 3 == 0 else text


def batches(items):
    """Lists of at most BATCH items."""
    for at in range(0, len(items), BATCH):
        yield items[at:at + BATCH]


class Demo:
    """The whole session."""

    def __init__(self, target, source, words):
        self.target, self.source, self.words = target, source, words
        # What every key must hold, and the raw form as it was read back before any update.
        self.expected = {word: original(n, word) for n, word in enumerate(words)}
        self.raw = {}
        self.connect()

    def connect(self):
        """(Re)connects the library and the raw connection."""
        import bmemcached  # pylint: disable=import-outside-toplevel

        host, port = self.target.address
        self.client = bmemcached.Client((f"{host}:{port}",), socket_timeout=60)
        self.link = wire.Binary(self.target.address)

    def command(self, name, opcode):
        """START, COMPLETE or REVERT."""
        begun = time.monotonic()
        answer = self.link.call(opcode)
        seconds = time.monotonic() - begun
        if answer.status != wire.SUCCESS:
            text = answer.value.decode(errors="replace")
            raise Wrong(f"{name} was refused with status {answer.status:#x}: {text}")
        if answer.value:
            # ARCUS memcached can answer only that it has begun.
            server.until(self.has_ended, 600, name)
            seconds = time.monotonic() - begun
        say(f"   {name} (opcode {opcode:#x}): SUCCESS after {seconds * 1000:.2f} ms")

    def has_ended(self):
        """Whether the online update has been completed or reverted."""
        return self.link.stats(b"onlineupdate")["state"] == "none"

    def store(self, what, values):
        """Sets keys with the library."""
        with Step(f"{what} {len(values):,} keys", len(values)) as step:
            for part in batches(list(values.items())):
                failed = self.client.set_multi(dict(part), time=0)
                if failed:
                    raise Wrong(f"{len(failed)} keys could not be set, first: {failed[0]!r}")
                step.advance(len(part))

    def flushed(self):
        """Waits until everything is on disk."""
        with Step("waiting until everything is on disk (ep_queue_size, ep_flusher_todo)"):
            try:
                server.until(lambda: server.is_drained(self.link), 120, "flush")
            except KeyError as error:
                raise Wrong(f"this server has no statistic {error}: not our engine?") from None

    def remember(self):
        """Reads value and flags of every key as they are on the wire."""
        with Step("noting raw value and flags of every key", len(self.words)) as step:
            for part in batches(self.words):
                keys = [word.encode() for word in part]
                for word, (_, value, flags) in zip(part, self.link.get_many(keys)):
                    if value is None:
                        raise Wrong(f"{word!r} is missing after the load")
                    self.raw[word] = (value, flags)
                step.advance(len(part))
        kinds = sorted({flags for _, flags in self.raw.values()})
        say(f"   flags in use: {', '.join(map(str, kinds))} (text, list, compressed text, bytes)")

    def window(self, turn):
        """START and the damage; returns the keys that were touched."""
        say()
        say(f"{2 * turn}. Release {turn} of the application goes live, inside an online update.")
        self.command("START", wire.START)
        step = max(1, len(self.words) // (CHANGED + DELETED))
        touched = self.words[turn - 1::step][:CHANGED + DELETED]
        ends = CHANGED * len(touched) // (CHANGED + DELETED)
        changed, deleted = touched[:ends], touched[ends:]
        numbers = {word: n for n, word in enumerate(self.words)}
        window = {word: replaced(numbers[word], word, turn) for word in changed}
        added = {f"{word}+{turn}": f"added by release {turn}" for word in self.words[:ADDED]}
        self.store("overwriting", window)
        with Step(f"deleting {len(deleted):,} keys", len(deleted)) as step:
            for part in batches(deleted):
                if not self.client.delete_multi(part):
                    raise Wrong("a key could not be deleted")
                step.advance(len(part))
        self.store("adding", added)
        sample = [*changed[::len(changed) // 3][:3], *deleted[:2], *list(added)[:2]]
        self.show(sample, "in the window")
        state = self.link.stats(b"onlineupdate")
        say(f"   the server says: {state['state']}, {int(state['touched_keys']):,} touched keys, "
            f"{int(state['window_bytes']):,} bytes")
        wanted = len(changed) + len(deleted) + len(added)
        if int(state["touched_keys"]) != wanted:
            raise Wrong(f"{wanted:,} keys were touched")
        return sample, window, deleted, added

    def show(self, keys, when):
        """Prints a few keys."""
        say(f"   {when}:")
        for key in keys:
            value = self.client.get(key)
            text = "(absent)" if value is None else repr(value)
            say(f"      {key:24} {text if len(text) < 60 else text[:56] + '...'}")

    def verify(self, absent):
        """Checks every key, twice."""
        wrong = []
        keys = [*self.expected, *absent]
        with Step(f"checking {len(keys):,} keys with the library", len(keys)) as step:
            for part in batches(keys):
                found = self.client.get_multi(part)
                for key in part:
                    value, wanted = found.get(key), self.expected.get(key)
                    if value != wanted or type(value) is not type(wanted):
                        wrong.append((key, value, wanted))
                step.advance(len(part))
        with Step("checking raw value and flags of every one", len(keys)) as step:
            for part in batches(keys):
                for key, (_, *raw) in zip(part, self.link.get_many([k.encode() for k in part])):
                    if tuple(raw) != self.raw.get(key, (None, None)):
                        wrong.append((key, tuple(raw), self.raw.get(key)))
                step.advance(len(part))
        items = int(self.link.stats()["curr_items"])
        if wrong:
            for key, value, wanted in wrong[:10]:
                say(f"      WRONG {key!r}: found {value!r}, not {wanted!r}")
            raise Wrong(f"{len(wrong):,} differences")
        if self.target.owned and items != len(self.expected):
            raise Wrong(f"the server counts {items:,} items, not {len(self.expected):,}")
        say(f"   every key is as it must be: {len(self.expected):,} present, "
            f"{len(absent):,} absent")

    def revert(self):
        """The first window."""
        sample, _, _, added = self.window(1)
        say()
        say("3. Release 1 corrupts data. Take it all back.")
        self.command("REVERT", wire.REVERT)
        self.show(sample, "now")
        self.verify(list(added))

    def complete(self):
        """The second window, completed; then kill -9."""
        sample, window, deleted, added = self.window(2)
        say()
        say("5. Release 2 is good. Keep it, and pull the plug.")
        self.command("COMPLETE", wire.COMPLETE)
        killed = self.target.kill()
        if killed:
            say(f"   kill -9 {killed}, right after the answer")
            with Step("starting again"):
                self.target.start()
            self.connect()
        else:
            say("   (this server is not ours to kill: give --pid-file and --restart)")
        self.show(sample, "now")
        self.expected.update(window)
        self.expected.update(added)
        for word in deleted:
            del self.expected[word], self.raw[word]
        for key in [*window, *added]:
            self.raw[key] = self.as_stored(self.expected[key])
        self.verify(deleted)
        outcome = self.link.stats()["ep_onlineupdate_last_outcome"]
        say(f"   the server says about its last online update: {outcome}")
        if outcome != "completed":
            raise Wrong("the outcome should be: completed")

    @staticmethod
    def as_stored(value):
        """Raw value and flags of a short value, as the library stores it."""
        return (value, 16) if isinstance(value, bytes) else (value.encode(), 0)

    def run(self):
        """All of it."""
        say(f"1. Every word of {self.source}.")
        self.store("loading", self.expected)
        self.remember()
        self.flushed()
        self.revert()
        self.complete()


class Spawned:
    """A server of our own."""

    owned = True

    def __init__(self, command):
        self.host = server.Server(command=command, start=False)
        self.start()
        say(f"Started: {shlex.join(self.host.process.args)}")

    @property
    def address(self):
        """Where it listens."""
        return self.host.address

    def kill(self):
        """kill -9; returns the process id."""
        pid = self.host.process.pid
        self.host.kill()
        return pid

    def start(self):
        """Starts it again."""
        self.host.start()

    def close(self):
        """Ends it and removes its data."""
        self.host.close()


class Running:
    """A server that somebody else has started."""

    owned = False

    def __init__(self, options):
        self.address = (options.host, options.port)
        self.pid_file, self.command = options.pid_file, options.restart
        self.process = None

    def kill(self):
        """kill -9, if we can start it again; returns the process id, or None."""
        if not (self.pid_file and self.command):
            return None
        with open(self.pid_file, encoding="ascii") as file:
            pid = int(file.read())
        os.kill(pid, signal.SIGKILL)
        server.until(lambda: not self.listens(), 30, "end of the server")
        return pid

    def start(self):
        """Starts it again; it goes on after the demo, so it must not hold on to our output."""
        nothing = subprocess.DEVNULL
        self.process = subprocess.Popen(
            shlex.split(self.command), stdin=nothing, stdout=nothing, stderr=nothing,
            start_new_session=True,
        )
        server.until(self.listens, 60, "server start")

    def listens(self):
        """Whether it takes connections."""
        try:
            wire.Binary(self.address).close()
        except OSError:
            return False
        return True

    def close(self):
        """Leaves it as it is."""


def main():
    """Runs the demo; the exit status is 0 if everything was as it must be."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spawn", metavar="COMMAND")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--pid-file")
    parser.add_argument("--restart", metavar="COMMAND")
    parser.add_argument("--words", default=WORDS, help="a file with one word a line")
    options = parser.parse_args()
    try:
        with open(options.words, encoding="utf-8") as file:
            words = list(dict.fromkeys(file.read().split()))
    except FileNotFoundError:
        sys.exit(f"{options.words} is missing: install the Debian package wamerican-huge")
    begun = time.monotonic()
    target = None
    try:
        target = Running(options) if options.port else Spawned(options.spawn)
        Demo(target, options.words, words).run()
    except (Wrong, OSError, KeyError, ValueError, server.StartFailed) as error:
        say()
        say(f"The demo FAILED: {type(error).__name__}: {error}")
        sys.exit(1)
    finally:
        if target:
            target.close()
    say()
    say(f"The demo is done: everything was as it must be ({time.monotonic() - begun:.0f} s).")


if __name__ == "__main__":
    main()
