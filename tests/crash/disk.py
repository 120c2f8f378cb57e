"""Faults below the store, and the loss of power: what a test does with c-host/build/libfaults.so.

A `Disk` stands below a folder of a server's. It makes calls of the system fail there, and it knows
from the record of those calls what a machine would find after its power was lost: what was synced,
and of the rest whatever chance kept. POSIX is taken at its word: bytes last when their file was
synced, names last when their folder was; each write by itself, in sectors of 512 bytes.
"""

import errno
import mmap
import os
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

import server

# Of every test here: rounds of each kind, and the seed of all choices.
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "10"))
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.randrange(1, 1 << 30)
print(f"CRASH_SEED={SEED} CRASH_ROUNDS={ROUNDS}", flush=True)

LIBRARY = f"{server.TOP}/c-host/build/libfaults.so"

# As in c-host/faults/faults.h.
KINDS = ("open", "create", "read", "write", "sync", "sync_folder", "resize", "rename", "unlink",
         "mkdir")
CHANGES = tuple(kind for kind in KINDS if kind not in ("open", "read"))
MADE, MADE_FOLDER, REMOVED, RENAMED, WRITTEN, RESIZED, SYNCED, NOT_SYNCED = range(1, 9)
KILLED = 0x10000
RECORD = struct.Struct("<IIQQQQQ")
NUMBERS = struct.Struct("<8Q16Q")
LAST_BYTES = 256

SECTOR_BYTES = 512
PAGE_BYTES = 4096


class File:
    """A file as the program sees it, as the disk has it, and what was done to it in between.

    What could not be synced is never synced: the system says so once and forgets that it has it.
    """

    def __init__(self, data=b""):
        self.seen, self.synced = bytearray(data), bytearray(data)
        self.pending = []

    def change(self, change):
        """Something is done to it."""
        change(self.seen)
        self.pending.append(change)

    def sync(self):
        """Everything is on the disk, in pages: what was written beside it goes along."""
        for change in self.pending:
            change(self.synced)
            if isinstance(change, Write):
                begin = change.offset - change.offset % PAGE_BYTES
                end = change.offset + len(change.data) + PAGE_BYTES
                end = min(end - end % PAGE_BYTES, len(self.synced), len(self.seen))
                self.synced[begin:end] = self.seen[begin:end]
        self.pending.clear()

    def fail(self):
        """It could not be synced: how long it is the system knows."""
        self.pending = [change for change in self.pending if isinstance(change, Resize)]

    def after(self, fate):
        """What is found after the power was lost."""
        data = bytearray(self.synced)
        for change in fate.choose(self.pending):
            change.torn(fate)(data)
        return data


class Write:
    """Bytes at a place."""

    def __init__(self, offset, data):
        self.offset, self.data = offset, data

    def __call__(self, contents):
        end = self.offset + len(self.data)
        if len(contents) < self.offset:
            contents.extend(bytes(self.offset - len(contents)))
        contents[self.offset:end] = self.data

    def torn(self, fate):
        """Some sectors of it."""
        return fate.tear(self)


class Resize:
    """Cut off, or made longer with zeros."""

    def __init__(self, size):
        self.size = size

    def __call__(self, contents):
        if len(contents) > self.size:
            del contents[self.size:]
        else:
            contents.extend(bytes(self.size - len(contents)))

    def torn(self, _):
        """It cannot be."""
        return self


class Folder:
    """The same of a folder and its names."""

    def __init__(self, names=()):
        self.seen, self.synced = dict(names), {}
        self.synced.update(self.seen)
        self.pending = []

    def change(self, change):
        """Something is done to it."""
        change(self.seen)
        self.pending.append(change)

    def sync(self):
        """Everything is on the disk."""
        for change in self.pending:
            change(self.synced)
        self.pending.clear()

    def fail(self):
        """It could not be synced. It is tried again with the next one: names are in a journal."""

    def after(self, fate):
        """What is found after the power was lost."""
        names = dict(self.synced)
        for change in fate.choose(self.pending):
            change(names)
        return names


class Name:
    """A name that stands for something from now on, or for nothing; with one that it had before."""

    def __init__(self, name, node, old=None):
        self.name, self.node, self.old = name, node, old

    def __call__(self, names):
        if self.old is not None:
            names.pop(self.old, None)
        if self.node is None:
            names.pop(self.name, None)
        else:
            names[self.name] = self.node


class Fate:
    """What of the things that were not synced is kept. One of these ways holds for the disk."""

    WAYS = ("nothing", "everything", "in order", "any")

    def __init__(self, dice, way=None):
        self.dice = dice
        self.way = way or dice.choice(self.WAYS)

    def choose(self, changes):
        """Those that are kept."""
        if self.way == "nothing":
            return []
        if self.way == "in order":
            return changes[:self.dice.randrange(len(changes) + 1)]
        if self.way == "any":
            chance = self.dice.random()
            return [change for change in changes if self.dice.random() < chance]
        return changes

    def tear(self, write):
        """A write as it is kept: as a whole, up to some byte, or in sectors."""
        way = self.dice.randrange(3) if self.way in ("in order", "any") else 0
        if way == 1:
            return Write(write.offset, write.data[:self.dice.randrange(len(write.data) + 1)])
        if way == 2:
            return Sectors(write, self.dice)
        return write


class Sectors:
    """Some sectors of a write; of the others the disk has what it had before."""

    def __init__(self, write, dice):
        self.parts = []
        at, end, chance = write.offset, write.offset + len(write.data), dice.random()
        while at < end:
            upto = min(end, at - at % SECTOR_BYTES + SECTOR_BYTES)
            if dice.random() < chance:
                self.parts.append(Write(at, write.data[at - write.offset:upto - write.offset]))
            at = upto

    def __call__(self, contents):
        for part in self.parts:
            part(contents)


class Disk:
    """The disk below a folder, which exists. `variables` are for the environment of a server."""

    def __init__(self, folder, record=True):
        if not os.path.exists(LIBRARY):
            raise unittest.SkipTest(f"no {LIBRARY}: make -C c-host faults")
        self.folder = os.path.realpath(folder)
        self.own = tempfile.mkdtemp(prefix="checkpoint-engine-faults-")
        self.record = os.path.join(self.own, "record") if record else None
        control = os.path.join(self.own, "control")
        with open(control, "w+b") as file:
            file.truncate(NUMBERS.size + LAST_BYTES)
            self.control = mmap.mmap(file.fileno(), 0)
        self.variables = {"LD_PRELOAD": LIBRARY, "FAULTS_FOLDER": self.folder,
                          "FAULTS_CONTROL": control}
        if record:
            self.variables["FAULTS_RECORD"] = self.record
        self.read = 0
        self.nodes = {}
        self.top = self._snapshot(self.folder) if record else None

    def close(self):
        """Removes its own files."""
        self.control.close()
        shutil.rmtree(self.own, ignore_errors=True)

    # Faults.

    def arm(self, *kinds, first=1, times=0, error=errno.EIO, halves=0, delay=0):
        """From the `first` call of these kinds on, `times` of them (0: all) fail, with so many of
        them writing half; or take `delay` milliseconds, with error 0; or kill (KILLED)."""
        mask = sum(1 << KINDS.index(kind) for kind in kinds)
        self.heal()
        struct.pack_into("<7Q", self.control, 8, 0, first, times, error, halves, delay, 0)
        struct.pack_into("<Q", self.control, 0, mask)

    def heal(self):
        """Nothing fails any more."""
        struct.pack_into("<Q", self.control, 0, 0)

    @property
    def calls(self):
        """Calls of the armed kinds since they were armed."""
        return NUMBERS.unpack_from(self.control)[1]

    @property
    def hits(self):
        """Calls that failed since."""
        return NUMBERS.unpack_from(self.control)[7]

    @property
    def counts(self):
        """{kind: calls since the beginning}."""
        return dict(zip(KINDS, NUMBERS.unpack_from(self.control)[8:]))

    @property
    def last(self):
        """Path of the call that failed last."""
        return self.control[NUMBERS.size:].split(b"\0")[0].decode()

    # Loss of power.

    def _snapshot(self, path):
        """What is there now counts as synced."""
        if os.path.isdir(path):
            node = Folder((name, self._snapshot(os.path.join(path, name)))
                          for name in os.listdir(path))
        else:
            with open(path, "rb") as file:
                node = File(file.read())
        self.nodes[os.stat(path).st_ino] = node
        return node

    def follow(self):
        """Reads on in the record."""
        if not os.path.exists(self.record):
            return
        with open(self.record, "rb") as file:
            file.seek(self.read)
            while len(head := file.read(RECORD.size)) == RECORD.size:
                event, name_bytes, inode, folder, to, offset, count = RECORD.unpack(head)
                names = file.read(name_bytes).decode().split("\0")
                data = file.read(count)
                if len(data) != count:
                    break  # Killed in the middle.
                self.read = file.tell()
                self._apply(event, names, inode, (folder, to), offset, data)

    def _apply(self, event, names, inode, folders, offset, data):
        if event in (MADE, MADE_FOLDER):
            self.nodes[inode] = File() if event == MADE else Folder()
            self.nodes[folders[0]].change(Name(names[0], self.nodes[inode]))
        elif event == REMOVED:
            self.nodes[folders[0]].change(Name(names[0], None))
        elif event == RENAMED:
            assert folders[0] == folders[1], names
            self.nodes[folders[0]].change(Name(names[1], self.nodes[inode], names[0]))
        elif event == WRITTEN:
            self.nodes[inode].change(Write(offset, data))
        elif event == RESIZED:
            self.nodes[inode].change(Resize(offset))
        elif event == SYNCED:
            self.nodes[inode].sync()
        elif event == NOT_SYNCED:
            self.nodes[inode].fail()

    def check(self):
        """That the record tells of the folder as it is, for a server that has ended in order."""
        self.follow()
        self._compare(self.top, self.folder)

    def _compare(self, node, path):
        names = node.seen
        assert sorted(names) == sorted(os.listdir(path)), (path, names, os.listdir(path))
        for name, child in names.items():
            inner = os.path.join(path, name)
            if isinstance(child, Folder):
                self._compare(child, inner)
            else:
                with open(inner, "rb") as file:
                    assert file.read() == child.seen, inner

    def lose_power(self, dice, way=None):
        """The server is killed: makes the folder what the machine finds when it is back."""
        self.follow()
        fate = Fate(dice, way)
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        self._write(self.top, self.folder, fate)
        os.truncate(self.record, 0)
        self.read = 0
        self.nodes.clear()
        self.top = self._snapshot(self.folder)
        return fate

    def _write(self, node, path, fate):
        for name, child in sorted(node.after(fate).items()):
            inner = os.path.join(path, name)
            if isinstance(child, Folder):
                os.mkdir(inner, 0o700)
                self._write(child, inner, fate)
            else:
                with open(inner, "wb") as file:
                    write_sparse(file, child.after(fate))

    def killed(self):
        """The server was killed and power was not lost: what was done and not recorded is made
        good."""
        self.follow()
        if os.path.exists(self.record):
            # The next server appends: not behind half an entry.
            os.truncate(self.record, self.read)
        self._reconcile(self.top, self.folder)

    def _reconcile(self, node, path):
        names = dict(node.seen)
        for name in set(names) - set(os.listdir(path)):
            node.change(Name(name, None))
        for name in os.listdir(path):
            inner = os.path.join(path, name)
            child = self.nodes.get(os.stat(inner).st_ino)
            if names.get(name) is not child or child is None:
                # Of one call at most, the last: made, or renamed.
                if child is None:
                    child = Folder() if os.path.isdir(inner) else File()
                    self.nodes[os.stat(inner).st_ino] = child
                node.change(Name(name, child))
            if isinstance(child, Folder):
                self._reconcile(child, inner)
            else:
                with open(inner, "rb") as file:
                    found = file.read()
                if len(found) != len(child.seen):
                    child.change(Resize(len(found)))
                if found != child.seen:
                    begin, end = differing(found, child.seen)
                    child.change(Write(begin, found[begin:end]))


class Node(server.Server):
    """A server over a disk of its own. It is killed, and the power is lost with a share of that."""

    def __init__(self, config="", power=0.5, record=True, **options):
        self.room = tempfile.mkdtemp(prefix="checkpoint-engine-disk-")
        self.power = power
        self.disk = Disk(self.room, record)
        # Who waits for the disk waits as long as it takes.
        patient = f"dbname={self.room}/db;sync_cmd_timeout=60000"
        config = ";".join(filter(None, [patient, config]))
        super().__init__(config, on_disk=False, variables=self.disk.variables, **options)

    def close(self):
        """Kills the process and removes what it has."""
        super().close()
        self.disk.close()
        shutil.rmtree(self.room, ignore_errors=True)

    def aim(self, dice, chance=0.5, kinds=CHANGES, calls=20):
        """From now on the process is killed at one of the next calls for its store, perhaps."""
        if dice.random() < chance:
            self.disk.arm(*kinds, first=1 + int(dice.expovariate(1 / calls)), error=KILLED)

    def ended(self, seconds):
        """Waits for the end of the process. Returns whether it came."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def crash(self, dice):
        """Kills the process, if it was not killed yet, and perhaps the power is lost. Returns in
        words what became of the disk."""
        self.kill()
        self.disk.heal()
        if dice.random() < self.power:
            return f"power lost, kept: {self.disk.lose_power(dice).way}"
        self.disk.killed()
        return "killed"


def differing(one, other):
    """The range in which two strings of the same length differ."""
    begin, end = 0, len(one)
    step = 1 << 20
    while one[begin:begin + step] == other[begin:begin + step]:
        begin += step
    while one[end - step:end] == other[end - step:end]:
        end -= step
    return begin, end


def write_sparse(file, data):
    """Writes what is not zero; a journal is 64 MiB of zeros first."""
    step, empty = 1 << 16, bytes(1 << 16)
    for at in range(0, len(data), step):
        part = data[at:at + step]
        if part != empty[:len(part)]:
            file.seek(at)
            file.write(part)
    file.truncate(len(data))
