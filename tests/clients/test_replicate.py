"""engine-replicate between two hosts with the stub engine, which plays the stream's name."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import server
import wire
from test_tap_host import BUILD, HOST, STUB

REPLICATE = f"{BUILD}/engine-replicate"


def address(host):
    """host:port of a server."""
    return f"{host.address[0]}:{host.address[1]}"


def tap(host):
    """`stats tap` of a server."""
    with host.binary() as link:
        return link.stats(b"tap")


def calls(host):
    """The arguments of the last tap_notifies of a server, oldest first."""
    found = tap(host)
    return [found[f"call_{n}"] for n in range(int(found["calls"])) if f"call_{n}" in found]


class Replicate(unittest.TestCase):
    """Two servers, and what carries the stream."""

    def server(self):
        """A server on a port that it keeps over a restart."""
        command = HOST.replace("-p 0", f"-p {server.free_port()}")
        host = server.Server("host_abi=membase", on_disk=False, command=command)
        self.addCleanup(host.close)
        return host

    def setUp(self):
        if not os.path.exists(STUB):
            self.skipTest(f"no {STUB}: make -C c-host harness")
        self.source, self.destination = self.server(), self.server()

    def begin(self, script, *options, vbuckets=None, shell="", stderr=subprocess.PIPE):
        """Starts engine-replicate with a stream that plays a script, by way of a shell."""
        words = [REPLICATE, "-n", f"script:{script}", *options, address(self.source),
                 address(self.destination)]
        process = subprocess.Popen(
            ["sh", "-c", shell + 'exec "$@"', "sh", *words, *([vbuckets] if vbuckets else [])],
            stderr=stderr, text=True, start_new_session=True,
        )

        def end():
            process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def ends(self, process, status, *texts):
        """Waits for its end and checks what it said."""
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, status, said)
        for text in texts:
            self.assertIn(text, said)

    def arrived(self, count):
        """Waits until the destination has got that many events; returns them."""
        server.until(lambda: int(tap(self.destination)["calls"]) >= count, what="events")
        return calls(self.destination)

    def test_events_go_there_and_answers_come_back(self):
        self.begin("+!MDNFOVS!EW", "-f")
        got = self.arrived(7)
        self.assertEqual(
            [call.split(" seqno")[0] for call in got],
            ["event=1 es=abc ttl=254 flags=1", "event=2 es= ttl=254 flags=0",
             "event=3 es= ttl=254 flags=0", "event=4 es= ttl=254 flags=0",
             "event=5 es=%00%00%00%02 ttl=254 flags=0", "event=10 es= ttl=254 flags=0",
             "event=11 es= ttl=254 flags=1"],
        )
        self.assertIn("seqno=1 key=key1 item_flags=01020304 exptime=77 cas=4097 data=vvvvvvvv"
                      " ndata=8 vb=0", got[0])
        server.until(lambda: len(calls(self.source)) == 2, what="acks")
        self.assertEqual([call.split(" key")[0] for call in calls(self.source)],
                         [f"event=6 es= ttl=0 flags=0 seqno={n}" for n in (1, 8)])

    def test_nacks_come_back(self):
        self.begin("!MW!MW", "-f", vbuckets="0")
        server.until(lambda: calls(self.source), what="an answer")
        with self.destination.binary() as link:
            link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.DEAD))
            self.assertEqual(link.call(wire.DEL_VBUCKET).status, wire.SUCCESS)
        with self.source.binary() as link:
            link.set(b"wakes", b"the stream")
        server.until(lambda: len(calls(self.source)) == 2, what="a nack")
        self.assertIn("event=6 es= ttl=0 flags=7 seqno=2", calls(self.source)[1])

    def test_only_what_was_asked_for_is_passed_on(self):
        for event in "MDFOVHSE":
            process = self.begin(f"*{event}", "-r", vbuckets="5")
            self.ends(process, 1, "sends vbucket 6, which it was not asked for")
        self.assertEqual(calls(self.destination), [])

    def make(self, host, vbucket, state):
        """Sets a state."""
        with host.binary() as link:
            extras = struct.pack(">I", state)
            answer = link.call(wire.SET_VBUCKET, extras=extras, vbucket=vbucket)
            self.assertEqual(answer.status, wire.SUCCESS)

    def test_missing_vbuckets_become_replicas(self):
        self.begin("!MW", vbuckets="3,5-6")
        self.arrived(1)
        with self.destination.binary() as link:
            states = link.stats(b"vbucket")
        self.assertEqual(states, {"vb_0": "active", "vb_3": "replica", "vb_5": "replica",
                                  "vb_6": "replica"})

    def test_an_active_vbucket_is_only_overwritten_when_told(self):
        self.ends(self.begin("M"), 1, "vbucket 0 is active there; -f makes it a replica")
        self.begin("!MW", "-f")
        self.arrived(1)
        with self.destination.binary() as link:
            self.assertEqual(link.stats(b"vbucket")["vb_0"], "replica")

    def test_the_end_of_a_takeover_is_success(self):
        self.ends(self.begin("M3!HX", "-t", "-f"), 0)
        self.assertEqual(len(calls(self.destination)), 4)

    def test_a_takeover_is_complete_when_the_destination_has_taken_all(self):
        # It brings only one.
        self.make(self.source, 5, wire.ACTIVE)
        self.ends(self.begin("!H2X", "-t", "-f", vbuckets="0,5"), 1, "ended the stream")

    def test_another_end_is_failure(self):
        self.ends(self.begin("M3X", "-t", "-f"), 1, "ended the stream")
        self.ends(self.begin("M3!HX", "-f"), 1, "ended the stream")

    def test_a_refused_stream_says_so(self):
        process = self.begin("M", "-f", "-r", "-n", "nobody")
        self.ends(process, 1, "refuses the stream: status 0x83")

    def test_sigterm_is_success(self):
        process = self.begin("MW", "-f")
        self.arrived(1)
        process.send_signal(signal.SIGTERM)
        self.ends(process, 0)

    def test_a_signal_that_was_ignored_stays_so(self):
        # As a shell does it for what runs in the background.
        process = self.begin("MWM", "-f", shell="trap '' INT; ")
        self.arrived(1)
        process.send_signal(signal.SIGINT)
        with self.source.binary() as link:
            link.set(b"wakes", b"the stream")
        self.arrived(2)
        process.send_signal(signal.SIGTERM)
        self.ends(process, 0)

    def test_nobody_who_reads_what_it_says(self):
        refuser = Refuser()
        self.addCleanup(refuser.close)
        refuser.start()
        self.destination.address = refuser.address
        reader, writer = os.pipe()
        process = self.begin("MW", "-r", vbuckets="3", stderr=writer)
        os.close(writer)
        server.until(lambda: refuser.connections > 0, what="an attempt")
        os.close(reader)
        seen = refuser.connections
        server.until(lambda: refuser.connections > seen + 1, what="further attempts")
        self.assertIsNone(process.poll())

    def test_bad_arguments(self):
        for words in ([], ["one"], ["a:1", "b"], ["a:1", "b:1", "x"], ["a:1", "b:1", "3-1"],
                      ["a:1", "b:1", "65536"], ["-n", "n" * 251, "a:1", "b:1"]):
            done = subprocess.run([REPLICATE, *words], capture_output=True, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertTrue(done.stderr, words)

    def test_a_port_that_is_none(self):
        source, destination = address(self.source), address(self.destination)
        beyond = f"127.0.0.1:{self.source.address[1] + 65536}"
        for bad in (beyond, "127.0.0.1:memcache", "127.0.0.1:0", "127.0.0.1"):
            for words in ([bad, destination], [source, bad]):
                done = subprocess.run([REPLICATE, "-r", *words], capture_output=True, text=True,
                                      timeout=30, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertEqual(done.stderr, f"engine-replicate: {bad}: not host:port, with a "
                                              "port of 1 to 65535\n")

    def test_help(self):
        for option in ("-h", "--help"):
            done = subprocess.run([REPLICATE, option], capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("usage: engine-replicate", done.stdout)

    def test_nobody_there(self):
        self.source.kill()
        self.ends(self.begin("M"), 1, "cannot connect")

    def test_a_server_that_accepts_nothing(self):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            with socket.create_connection(full.getsockname()):
                self.destination.address = full.getsockname()
                self.ends(self.begin("M"), 1, "cannot connect: no answer in time")

    def test_a_lost_destination_is_found_again(self):
        process = self.begin("M3W", "-r", vbuckets="3")
        self.arrived(3)
        self.destination.kill()
        server.until(lambda: tap(self.source)["streams"] == "0", what="the stream's end")
        self.destination.start()
        self.arrived(3)
        self.assertIsNone(process.poll())

    def test_streams_that_end_at_once_are_tried_less_and_less(self):
        refuser = Refuser()
        self.addCleanup(refuser.close)
        refuser.start()
        self.destination.address = refuser.address
        begun = time.monotonic()
        self.begin("MW", "-r", vbuckets="3")
        server.until(lambda: refuser.connections >= 6, what="attempts")
        # Pauses of 0.1 s, 0.2 s, 0.4 s, 0.8 s and 1.6 s; five of the first kind would be 0.5 s.
        self.assertGreater(time.monotonic() - begun, 3)

    def test_a_source_that_cannot_now_is_asked_again(self):
        for vbuckets in (None, "0"):
            source = Refuser(status=wire.ETMPFAIL)
            self.addCleanup(source.close)
            source.start()
            self.source.address = source.address
            process = self.begin("M", "-r", "-f", vbuckets=vbuckets)
            server.until(lambda: source.connections > 2, what="attempts")
            self.assertIsNone(process.poll())

    def test_the_destination_takes_what_it_was_sent_before_the_next_stream(self):
        destination = Refuser(takes=1.5)
        self.addCleanup(destination.close)
        destination.start()
        self.destination.address = destination.address
        self.begin("M3X", "-r", vbuckets="3")
        server.until(lambda: destination.connections >= 2, what="a second stream")
        self.assertTrue(destination.took)

    def test_a_lost_source_is_found_again(self):
        process = self.begin("M3W", "-f", "-r")
        self.arrived(3)
        self.source.restart()
        self.arrived(6)
        self.assertIsNone(process.poll())

    def test_a_failover_is_not_undone(self):
        process = self.begin("M3W", "-f", "-r")
        self.arrived(3)
        with self.destination.binary() as link:
            link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.ACTIVE))
        self.source.restart()
        self.ends(process, 1, "vbucket 0 is active there")

    def test_a_failover_while_the_source_is_awaited_is_not_undone(self):
        for vbuckets in (None, "0"):
            with self.destination.binary() as link:
                link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.REPLICA))
                self.source.kill()
                process = self.begin("M3W", "-f", "-r", vbuckets=vbuckets)
                self.assertIn("cannot connect", process.stderr.readline())
                link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.ACTIVE))
                self.source.start()
                self.ends(process, 1, "vbucket 0 is active there since -f was given")
                self.assertEqual(link.stats(b"vbucket")["vb_0"], "active")

    def test_what_was_active_before_the_source_came_is_replaced(self):
        self.source.kill()
        process = self.begin("M3W", "-f", "-r")
        self.assertIn("cannot connect", process.stderr.readline())
        self.source.start()
        self.arrived(3)
        with self.destination.binary() as link:
            self.assertEqual(link.stats(b"vbucket")["vb_0"], "replica")

    def test_a_source_that_is_lost_in_between_leaves_the_vbucket_as_it_was(self):
        source = Refuser(answers=1)
        self.addCleanup(source.close)
        source.start()
        self.source.address = source.address
        self.ends(self.begin("M", "-f", vbuckets="0"), 1, "closed the connection")
        with self.destination.binary() as link:
            self.assertEqual(link.stats(b"vbucket")["vb_0"], "active")

    def test_an_answer_that_is_lost_leaves_the_vbucket_as_it_was(self):
        # It says the state twice and has no windows, and closes when the vbucket is made dead.
        destination = Refuser(answers=3, state=wire.ACTIVE)
        self.addCleanup(destination.close)
        destination.start()
        self.destination.address = destination.address
        self.ends(self.begin("M", "-f", vbuckets="0"), 1, "closed the connection")
        server.until(lambda: len(destination.sets) == 2, what="the state")
        self.assertEqual(destination.sets, [wire.DEAD, wire.ACTIVE])

    def test_a_vbucket_that_cannot_be_deleted_is_as_it_was(self):
        # As one on which a window begins just then.
        destination = Refuser(state=wire.ACTIVE)
        self.addCleanup(destination.close)
        destination.start()
        self.destination.address = destination.address
        self.ends(self.begin("M", "-f", vbuckets="0"), 1, "DEL_VBUCKET 0: status 0x86")
        self.assertEqual(destination.sets, [wire.DEAD, wire.ACTIVE])

    def test_a_destination_that_does_not_read_stops_the_source(self):
        self.begin("B200W", "-f")
        self.arrived(1)
        self.destination.process.send_signal(signal.SIGSTOP)
        seen = -1

        def rests():
            nonlocal seen
            before, seen = seen, int(tap(self.source)["iterated"])
            return before == seen
        server.until(rests, what="a source at rest")
        self.assertLess(int(tap(self.source)["live_items"]), 40)
        self.destination.process.send_signal(signal.SIGCONT)
        self.arrived(200)


class Refuser(threading.Thread):
    """A destination that takes every vbucket and closes at the first event.

    Or it takes so many seconds for all of them, has another status for everything, or closes after
    so many answers. It deletes none, and notes what states they are set to.
    """

    def __init__(self, takes=None, status=None, answers=None, state=wire.REPLICA):
        super().__init__(daemon=True)
        self.takes, self.took, self.status = takes, False, status
        self.answers, self.state, self.sets = answers, state, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.connections = 0

    def run(self):
        try:
            while True:
                link = self.listener.accept()[0]
                self.connections += 1
                threading.Thread(target=self.serve, args=(link,), daemon=True).start()
        except OSError:
            pass  # The listener was closed.

    def serve(self, link):
        """Until something comes that is no question about a vbucket."""
        bodies = {wire.GET_VBUCKET: struct.pack(">I", self.state), wire.SET_VBUCKET: b"",
                  wire.STAT: b"", wire.LAST_CLOSED_CHECKPOINT: bytes(8)}
        answers = 0
        with contextlib.suppress(OSError), link, link.makefile("rb") as file:
            while len(head := file.read(wire.HEADER.size)) == wire.HEADER.size:
                _, opcode, _, _, _, _, length, opaque, _ = wire.HEADER.unpack(head)
                body = file.read(length)
                if opcode == wire.SET_VBUCKET:
                    self.sets.append(struct.unpack(">I", body)[0])
                if answers == self.answers:
                    break
                answers += 1
                if opcode == wire.DEL_VBUCKET:
                    link.sendall(wire.tap_answer(opcode, opaque, wire.ETMPFAIL))
                    continue
                if self.status is not None:
                    link.sendall(wire.tap_answer(opcode, opaque, self.status))
                    continue
                if opcode not in bodies:
                    break
                if body == b"vbucket" and self.state == wire.ACTIVE:
                    link.sendall(wire.tap_answer(opcode, opaque, key=b"vb_0", body=b"active"))
                link.sendall(wire.tap_answer(opcode, opaque, body=bodies[opcode]))
            if self.takes:
                time.sleep(self.takes)
                self.took = file.read() != b""

    def close(self):
        """Ends it."""
        server.end_listening(self.listener, self)


class Pair(unittest.TestCase):
    """Two servers with the engine, which have what a test gives them."""

    def server(self, command=server.HOST, config=""):
        """A server."""
        host = server.Server(config, command=command)
        self.addCleanup(host.close)
        return host

    def pump(self, *words):
        """engine-replicate, with what it says at hand."""
        process = subprocess.Popen([REPLICATE, *words], stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def ends(self, process, status, text):
        """Waits for its end and checks what it said."""
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, status, said)
        self.assertIn(text, said)

    def state(self, link, state=None):
        """Sets or checks the state of vbucket 0."""
        if state is None:
            return link.stats(b"vbucket")["vb_0"]
        return link.call(wire.SET_VBUCKET, extras=struct.pack(">I", state))

    def items(self, link, count):
        """Waits until a replica has that many items."""
        server.until(lambda: link.stats()["vb_replica_curr_items"] == str(count), what="items")

    def window(self, link, state):
        """Waits until the window of vbucket 0 is in a state."""
        server.until(lambda: link.stats(b"onlineupdate-vb").get("vb_0:state") == state,
                     what=f"window: {state}")

    def set_states(self, link):
        """How many SET_VBUCKET a server has had."""
        return sum(int(count) for name, count in link.stats(b"timings").items()
                   if name.startswith("set_vb_cmd_"))

    def deleted(self, link):
        """Waits until a vbucket was deleted: what is there afterwards was sent."""
        server.until(lambda: link.stats()["ep_vbucket_del"] == "1", what="a deletion")

    def test_values_of_the_size_that_was_configured(self):
        if "engine-host" not in server.HOST:
            self.skipTest("real hosts have a limit of their own")
        value = os.urandom(40 << 20)
        for option, config in ((" -I 48m", ""), ("", "max_item_size=48m")):
            source, replica = (self.server(server.HOST + option, config) for _ in range(2))
            with source.binary() as link:
                self.assertEqual(link.set(b"key", value).status, wire.SUCCESS)
            self.pump("-f", address(source), address(replica))
            with replica.binary() as link:
                self.items(link, 1)
                self.state(link, wire.ACTIVE)
                self.assertEqual(link.get(b"key").value, value)

    def test_a_value_that_the_replica_may_not_have_stops_nothing(self):
        source, replica = self.server(config="max_item_size=30m"), self.server()
        with source.binary() as link:
            self.assertEqual(link.set(b"large", bytes(25 << 20)).status, wire.SUCCESS)
            self.assertEqual(link.set(b"small", b"value").status, wire.SUCCESS)
        self.pump("-f", address(source), address(replica))
        with replica.binary() as link:
            self.items(link, 1)
            server.until(lambda: link.stats()["ep_tap_lacking_keys"] == "1", what="the large one")
            self.state(link, wire.ACTIVE)
            self.assertEqual(link.get(b"small").value, b"value")

    def test_a_history_of_its_own_does_not_stay(self):
        source, replica = self.server(), self.server()
        with source.binary() as here, replica.binary() as there:
            # As many checkpoints on both, and other contents.
            for link, name in ((here, b"source"), (there, b"replica")):
                for n in range(3):
                    self.assertEqual(link.call(wire.START).status, wire.SUCCESS)
                    link.set(b"%s%d" % (name, n), name)
                    link.set(b"both%d" % n, name)
                    self.assertEqual(link.call(wire.COMPLETE).status, wire.SUCCESS)
            self.pump("-f", address(source), address(replica))
            server.until(lambda: there.stats(b"vbucket").get("vb_0") == "replica",
                         what="a replica")
            self.items(there, 6)
            self.state(there, wire.ACTIVE)
            for n in range(3):
                self.assertEqual(there.get(b"source%d" % n).value, b"source")
                self.assertEqual(there.get(b"both%d" % n).value, b"source")
                self.assertEqual(there.get(b"replica%d" % n).status, wire.ENOENT)

    def test_a_vbucket_with_an_open_window_is_left_alone(self):
        source, replica = self.server(), self.server()
        with replica.binary() as link:
            self.assertEqual(link.call(wire.START).status, wire.SUCCESS)
            link.set(b"key", b"window")
            self.ends(self.pump("-f", address(source), address(replica)), 1, "open window")
            self.assertEqual(self.state(link), "active")
            self.assertEqual(link.call(wire.COMPLETE).status, wire.SUCCESS)
            self.assertEqual(link.get(b"key").value, b"window")

    def test_a_vbucket_with_an_open_window_is_never_dead(self):
        source, replica = self.server(), self.server()
        with source.binary() as here, replica.binary() as there:
            here.set(b"source", b"value")
            there.set(b"key", b"before")
            self.assertEqual(there.call(wire.START).status, wire.SUCCESS)
            there.set(b"key", b"window")
            set_states = self.set_states(there)
            for _ in range(2):
                pump = self.pump("-rf", address(source), address(replica))
                for _ in range(3):
                    self.assertTrue(pump.stderr.readline())
                pump.send_signal(signal.SIGINT)
                self.assertEqual(pump.wait(30), 0)
            self.assertEqual(self.set_states(there), set_states)
            self.assertEqual(self.state(there), "active")
            self.assertEqual(there.get(b"key").value, b"window")
            self.assertEqual(there.call(wire.REVERT).status, wire.SUCCESS)
            self.assertEqual(there.get(b"key").value, b"before")
            # It follows when its operator has decided.
            self.window(there, "none")
            self.pump("-rf", address(source), address(replica))
            self.deleted(there)
            self.items(there, 1)
            self.state(there, wire.ACTIVE)
            self.assertEqual(there.get(b"source").value, b"value")

    def test_a_window_that_ends_ends_the_waiting(self):
        source, replica = self.server(), self.server()
        with source.binary() as here, replica.binary() as there:
            here.set(b"source", b"value")
            self.assertEqual(there.call(wire.START).status, wire.SUCCESS)
            pump = self.pump("-rf", address(source), address(replica))
            self.assertTrue(pump.stderr.readline())
            self.assertEqual(there.call(wire.COMPLETE).status, wire.SUCCESS)
            self.deleted(there)
            self.items(there, 1)

    def test_an_old_master_whose_window_is_open_follows_the_new_one(self):
        old, new = self.server(), self.server(config="vb0=false")
        with old.binary() as here, new.binary() as there:
            here.set(b"both", b"old")
            here.set(b"deleted", b"old")
            pump = self.pump(address(old), address(new))
            server.until(lambda: there.stats().get("vb_replica_curr_items") == "2", what="keys")
            self.assertEqual(here.call(wire.START).status, wire.SUCCESS)
            here.set(b"both", b"window")
            here.set(b"added", b"window")
            self.items(there, 3)
            pump.kill()
            pump.wait()
            self.state(there, wire.ACTIVE)
            here.set(b"lost", b"window")
            self.state(here, wire.DEAD)
            there.delete(b"deleted")
            there.set(b"failover", b"new")
            self.pump("-rf", address(new), address(old))
            self.deleted(here)
            # Its own window has gone. The new master's comes, and is decided there.
            self.window(here, "open")
            self.items(here, 3)
            self.assertEqual(there.call(wire.REVERT).status, wire.SUCCESS)
            self.window(here, "none")
            self.items(here, 2)
            self.state(here, wire.ACTIVE)
            self.assertEqual(here.stats(b"onlineupdate")["state"], "none")
            for key, value in ((b"both", b"old"), (b"deleted", b"old"), (b"added", b""),
                               (b"lost", b""), (b"failover", b"")):
                for link in (there, here):
                    found = link.get(key)
                    self.assertEqual(found.value if found.status == wire.SUCCESS else b"", value)

    def test_a_window_on_a_history_of_its_own_does_not_stay(self):
        source, replica = self.server(), self.server(config="vb0=false")
        with source.binary() as here, replica.binary() as there:
            here.set(b"source", b"value")
            pump = self.pump(address(source), address(replica))
            server.until(lambda: there.stats().get("vb_replica_curr_items") == "1", what="a key")
            pump.kill()
            pump.wait()
            # Two masters: the source knows the replica's name, and was active all the time.
            self.state(there, wire.ACTIVE)
            there.set(b"replica", b"before")
            self.assertEqual(there.call(wire.START).status, wire.SUCCESS)
            there.set(b"replica", b"window")
            there.set(b"added", b"window")
            self.state(there, wire.DEAD)
            here.set(b"more", b"value")
            self.pump("-rf", address(source), address(replica))
            self.deleted(there)
            self.items(there, 2)
            self.window(there, "none")
            self.state(there, wire.ACTIVE)
            for key in (b"source", b"more"):
                self.assertEqual(there.get(key).value, b"value")
            for key in (b"replica", b"added"):
                self.assertEqual(there.get(key).status, wire.ENOENT)

    def test_a_source_that_has_no_more_replaces_nothing(self):
        source, replica = self.server(), self.server()
        with source.binary() as link:
            self.state(link, wire.DEAD)
        with replica.binary() as link:
            link.set(b"key", b"value")
            process = self.pump("-f", address(source), address(replica), "0")
            self.ends(process, 1, "vbucket 0 is dead there")
            self.assertEqual(self.state(link), "active")
            self.assertEqual(link.get(b"key").value, b"value")

    def test_a_takeover_goes_on_where_it_was_cut_short(self):
        source, replica = self.server(), self.server(server.HOST.replace("{config}",
                                                                        "{config};vb0=false"))
        with source.binary() as link:
            for vbucket in range(3):
                link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.ACTIVE), vbucket=vbucket)
                link.set(b"key", b"value", vbucket=vbucket)
        for chosen in ("0-1", "0-2", "2,0"):
            self.ends(self.pump("-t", address(source), address(replica), chosen), 0, "")
        with source.binary() as here, replica.binary() as there:
            self.assertEqual(set(here.stats(b"vbucket").values()), {"dead"})
            for vbucket in range(3):
                self.assertEqual(there.get(b"key", vbucket=vbucket).value, b"value")

    def test_one_vbucket_of_several(self):
        source, replica = self.server(), self.server()
        with source.binary() as link:
            for vbucket in (0, 5):
                link.call(wire.SET_VBUCKET, extras=struct.pack(">I", wire.ACTIVE), vbucket=vbucket)
                link.set(b"key", b"value", vbucket=vbucket)
        pump = self.pump(address(source), address(replica), "5")
        with replica.binary() as there:
            server.until(lambda: there.stats().get("vb_replica_curr_items") == "1", what="a key")
            self.assertEqual(there.get(b"key").status, wire.ENOENT)
        self.assertIsNone(pump.poll())

    def test_what_the_source_does_not_have_is_not_taken_over(self):
        source, replica = self.server(), self.server(server.HOST.replace("{config}",
                                                                        "{config};vb0=false"))
        with source.binary() as link:
            link.set(b"key", b"value")
        for chosen in ("0,7", "7,0", "7"):
            pump = self.pump("-t", "-r", address(source), address(replica), chosen)
            self.ends(pump, 1, "there is no vbucket 7 to take over: nothing is moved")
        with source.binary() as here, replica.binary() as there:
            self.assertEqual(here.stats(b"vbucket"), {"vb_0": "active"})
            self.assertEqual(there.stats(b"vbucket"), {})
        self.ends(self.pump("-t", address(source), address(replica), "0"), 0, "")

    def test_a_replica_is_not_taken_over_from(self):
        source, replica = self.server(), self.server(config="vb0=false")
        with source.binary() as here, replica.binary() as there:
            def states(link, *states):
                for vbucket, state in enumerate(states):
                    link.call(wire.SET_VBUCKET, extras=struct.pack(">I", state), vbucket=vbucket)
            states(here, wire.ACTIVE, wire.ACTIVE)
            for vbucket in range(2):
                here.set(b"key", b"value", vbucket=vbucket)
            states(here, wire.REPLICA)
            for chosen in ("0", "1,0"):
                pump = self.pump("-t", "-r", address(source), address(replica), chosen)
                self.ends(pump, 1, "vbucket 0 is a replica there: nothing is moved")
            self.assertEqual(here.stats(b"vbucket"), {"vb_0": "replica", "vb_1": "active"})
            self.assertEqual(there.stats(b"vbucket"), {})
            # What has no other owner is, as when a takeover was cut short.
            states(here, wire.ACTIVE, wire.DEAD)
            states(there, wire.PENDING, wire.PENDING)
            self.ends(self.pump("-t", address(source), address(replica), "0-1"), 0, "")
            self.assertEqual(set(here.stats(b"vbucket").values()), {"dead"})
            for vbucket in range(2):
                self.assertEqual(there.get(b"key", vbucket=vbucket).value, b"value")

    def test_what_is_pending_is_not_taken_over_from_there(self):
        owner, middle, last = self.server(), *(self.server(config="vb0=false") for _ in range(2))
        with owner.binary() as here, middle.binary() as there:
            # A takeover that was cut short: the owner serves its clients.
            here.set(b"key", b"value")
            self.state(there, wire.PENDING)
            pump = self.pump("-t", "-r", address(middle), address(last), "0")
            self.ends(pump, 1, "vbucket 0 is pending there: nothing is moved")
            self.assertEqual(self.state(there), "pending")
            with last.binary() as link:
                self.assertEqual(link.stats(b"vbucket"), {})
            # It goes on from the owner.
            self.ends(self.pump("-t", address(owner), address(middle), "0"), 0, "")
            self.assertEqual(self.state(here), "dead")
            self.ends(self.pump("-t", address(middle), address(last), "0"), 0, "")
            with last.binary() as link:
                self.assertEqual(link.get(b"key").value, b"value")

    def test_what_a_revert_there_took_back_comes_again(self):
        source, destination = self.server(), self.server()
        with source.binary() as here, destination.binary() as there:
            def has(count):
                server.until(lambda: there.stats()["vb_pending_curr_items"] == str(count),
                             what=f"{count} items")
            self.state(there, wire.PENDING)
            here.set(b"before", b"value")
            self.pump("-r", address(source), address(destination))
            has(1)
            self.assertEqual(there.call(wire.START).status, wire.SUCCESS)
            here.set(b"inside", b"value")
            has(2)
            self.assertEqual(there.call(wire.REVERT).status, wire.SUCCESS)
            has(1)
            here.set(b"after", b"value")
            has(3)

    def test_a_server_is_not_its_own_replica(self):
        if "-p 0" not in server.HOST:
            self.skipTest("the address is the test's to choose")
        host = self.server(server.HOST + " -l 0.0.0.0")
        port = host.address[1]
        with host.binary() as link:
            link.set(b"key", b"value")
            for name, text in (("localhost", "is the same server"),
                               ("127.0.0.2", "vbucket 0 is dead there")):
                process = self.pump("-f", f"127.0.0.1:{port}", f"{name}:{port}")
                self.ends(process, 1, text)
                self.assertEqual(self.state(link), "active")
                self.assertEqual(link.get(b"key").value, b"value")


class Engine(unittest.TestCase):
    """Two servers with the engine: the replica follows the window."""

    KEYS = 5000

    def setUp(self):
        self.source, self.destination = server.Server(), server.Server()
        self.addCleanup(self.source.close)
        self.addCleanup(self.destination.close)
        self.link, self.replica = self.source.binary(), self.destination.binary()
        self.addCleanup(self.link.close)
        self.addCleanup(self.replica.close)
        self.process = subprocess.Popen(
            [REPLICATE, "-f", address(self.source), address(self.destination)],
            stderr=subprocess.DEVNULL, start_new_session=True,
        )

        def end():
            self.process.kill()
            self.process.wait()
        self.addCleanup(end)

    def store(self, prefix, count, value):
        """Stores many keys."""
        self.assertEqual(self.link.pipeline(
            wire.request(wire.SETQ, b"%s%d" % (prefix, n), wire.store_extras(0xdeadbeef), value)
            for n in range(count)
        ), [])

    def items(self, count):
        """Waits until the replica has that many items."""
        server.until(lambda: self.replica.stats()["vb_replica_curr_items"] == str(count),
                     what="items of the replica")

    def window(self, state):
        """Waits until the replica's window is in a state."""
        server.until(lambda: self.replica.stats(b"onlineupdate-vb")["vb_0:state"] == state,
                     what="window of the replica")

    def follow(self, end, expected, added):
        """A window on the source and its end; then the replica takes over."""
        self.store(b"old", self.KEYS, b"before")
        self.items(self.KEYS)
        self.assertEqual(self.link.call(wire.START).status, wire.SUCCESS)
        self.window("open")
        self.store(b"old", self.KEYS, b"window")
        self.store(b"new", self.KEYS, b"window")
        self.items(2 * self.KEYS)
        self.assertEqual(self.link.call(end).status, wire.SUCCESS)
        self.window("none")
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(10), 0)
        active = struct.pack(">I", wire.ACTIVE)
        self.assertEqual(self.replica.call(wire.SET_VBUCKET, extras=active).status, wire.SUCCESS)
        for prefix, value in ((b"old", expected), (b"new", added)):
            keys = [b"%s%d" % (prefix, n) for n in range(self.KEYS)]
            flags = None if value is None else 0xdeadbeef
            for found in self.replica.get_many(keys):
                self.assertEqual(found[1:], (value, flags), found[0])

    def test_a_reverted_window_is_reverted_there(self):
        self.follow(wire.REVERT, b"before", None)

    def test_a_completed_window_is_completed_there(self):
        self.follow(wire.COMPLETE, b"window", b"window")


if __name__ == "__main__":
    unittest.main()
