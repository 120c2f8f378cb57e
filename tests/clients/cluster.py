"""Nodes, the program `online-update`, and a load on the nodes, for the tests of that program."""

import contextlib
import errno
import json
import os
import select
import socket
import subprocess
import threading

import server
import wire

PROGRAM = os.environ.get(
    "ONLINE_UPDATE", os.path.join(os.path.dirname(server.ENGINE), "online-update")
)
SECONDS = 120


def name(host):
    """How a node is called on the command line."""
    return "{}:{}".format(*host.address)


class Done:
    """What a run of the program came to."""

    def __init__(self, process, out, err):
        self.status, self.out, self.err = process.returncode, out, err

    def objects(self):
        """The JSON objects that it printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    def __str__(self):
        return f"status {self.status}\n{self.out}\n{self.err}"


def environment(more=None):
    """The environment of a run: none of the variables that the program reads, but `more`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ONLINE_UPDATE")}
    return {**kept, **(more or {})}


def begin(*arguments, variables=None, program=PROGRAM):
    """Starts the program and does not wait for it."""
    return subprocess.Popen(
        [program, *arguments], env=environment(variables), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def end(process):
    """Waits for a program; what it came to."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise TimeoutError(f"the program does not end:\n{out}\n{err}") from None
    return Done(process, out, err)


def call(*arguments, **options):
    """Runs the program to its end."""
    return end(begin(*arguments, **options))


def listen(fifo, process):
    """Opens a fifo to read, once something came; fails if the program ends without it."""
    file = os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), encoding="ascii")
    poll = select.poll()
    poll.register(file, select.POLLIN)
    try:
        server.until(lambda: poll.poll(0) or process.poll() is not None, SECONDS, fifo)
        if not poll.poll(0):
            raise AssertionError(f"nobody wrote to {fifo}: {end(process)}")
    except BaseException:
        file.close()
        process.kill()
        raise
    os.set_blocking(file.fileno(), True)
    return file


def tell(fifo, text):
    """Writes to a fifo, once somebody reads there; fails if nobody does."""
    def opened():
        try:
            return os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "w", encoding="ascii")
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return None
    with server.until(opened, what=f"a reader of {fifo}") as file:
        file.write(text)


def contents(host, keys):
    """The values of keys on a node, None for those that are absent."""
    with host.binary() as link:
        return {key: value for key, value, _ in link.get_many(keys)}


class Guard:
    """Stands before a node and asks who comes (SASL PLAIN). Those who are known it lets through."""

    def __init__(self, host, user, password, address="127.0.0.1"):
        self.host, self.secret = host, f"\0{user}\0{password}".encode()
        self.mechanisms = b"CRAM-MD5 PLAIN"
        self.presented = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, 0), family=family)
        shown = f"[{address}]" if ":" in address else address
        self.name = f"{shown}:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        """Takes no more connections."""
        server.end_listening(self.listener, self.thread)

    def _accept(self):
        try:
            while True:
                link, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, link):
        with link, self.host.binary() as node, link.makefile("rb") as file:
            known = False
            while len(head := file.read(wire.HEADER.size)) == wire.HEADER.size:
                _, opcode, _, _, _, _, length, opaque, _ = wire.HEADER.unpack(head)
                body = file.read(length)
                if opcode in (wire.SASL_LIST_MECHS, wire.SASL_AUTH):
                    value = self.mechanisms
                    if opcode == wire.SASL_AUTH:
                        self.presented.append(body)
                        known = body == b"PLAIN" + self.secret
                        value = b"Authenticated" if known else b"Auth failure"
                    right = known or value == self.mechanisms
                    status = wire.SUCCESS if right else wire.AUTH_ERROR
                elif known:
                    node.send(head + body)
                    self._pass_on(node, link, opcode)
                    continue
                else:
                    status, value = wire.AUTH_ERROR, b"Auth failure"
                link.sendall(wire.HEADER.pack(
                    wire.RESPONSE, opcode, 0, 0, 0, status, len(value), opaque, 0) + value)

    @staticmethod
    def _pass_on(node, link, opcode):
        while True:
            head = node.file.read(wire.HEADER.size)
            key_length, length = wire.HEADER.unpack(head)[2], wire.HEADER.unpack(head)[6]
            link.sendall(head + node.file.read(length))
            if opcode != wire.STAT or key_length == 0:
                return


class Between:
    """Stands before a node and passes everything on. `meet` has, by opcode, what is to happen
    before a command is passed on; one whose function answers False is not."""

    def __init__(self, host, meet=None):
        self.host, self.meet = host, meet or {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        """Takes no more connections; idempotent."""
        if self.listener.fileno() >= 0:
            server.end_listening(self.listener, self.thread)

    def _accept(self):
        try:
            while True:
                link, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, link):
        try:
            with link, socket.create_connection(self.host.address) as node, \
                    link.makefile("rb") as file:
                back = threading.Thread(target=self._back, args=(node, link), daemon=True)
                back.start()
                try:
                    while len(head := file.read(wire.HEADER.size)) == wire.HEADER.size:
                        body = file.read(wire.HEADER.unpack(head)[6])
                        meet = self.meet.get(head[1])
                        if meet is None or meet() is not False:
                            node.sendall(head + body)
                finally:
                    # As with a listener: what waits there has to be gone before it is closed.
                    with contextlib.suppress(OSError):
                        node.shutdown(socket.SHUT_RDWR)
                    back.join()
        except OSError:
            pass

    @staticmethod
    def _back(node, link):
        try:
            while part := node.recv(1 << 16):
                link.sendall(part)
        except OSError:
            pass


class Load:
    """Clients of a node that go on changing its keys. What the node has acknowledged is known."""

    def __init__(self, host, keys):
        self.host, self.keys = host, keys
        self.latest, self.error = {}, None
        self.turns = 0
        self.ending = threading.Event()
        self.turned = threading.Condition()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends it; idempotent."""
        self.ending.set()
        self.thread.join()

    def _run(self):
        try:
            with self.host.binary() as link:
                while not self.ending.is_set():
                    self._turn(link)
        except (OSError, ValueError) as error:
            self.error = error
        with self.turned:
            self.turned.notify_all()

    def _turn(self, link):
        for number, key in enumerate(self.keys):
            value = b"%d/%d" % (self.turns, number)
            if link.set(key, value).status == wire.SUCCESS:
                self.latest[key] = value
            if self.ending.is_set():
                break
        with self.turned:
            self.turns += 1
            self.turned.notify_all()

    def more(self, turns=2):
        """Waits until every key was changed again."""
        with self.turned:
            goal = self.turns + turns
            reached = self.turned.wait_for(
                lambda: self.turns >= goal or self.error is not None, SECONDS
            )
        if not reached or self.error is not None:
            raise AssertionError(f"the load stands still: {self.error}")
