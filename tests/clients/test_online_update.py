"""The program `online-update` over one node and over three, with every key checked."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import cluster
import server
import wire
from cluster import begin, call, contents, end, listen, name, tell
from server import until
from wire import COMPLETE, REVERT, START, STOP_PERSISTENCE, START_PERSISTENCE, SUCCESS

DONE, REFUSED, USAGE, PARTLY, NO_WINDOW = range(5)
DEPLOY_FAILED, CHECK_FAILED, TIMED_OUT, INTERRUPTED, WINDOW_LOST = range(10, 15)
KEYS = [b"old %d" % number for number in range(300)]
NEW = [b"new %d" % number for number in range(100)]
GET_LOCKED = 0x94


def shown(key):
    """A key as the program shows it."""
    return key.decode().replace(" ", "\\x20")


class Nodes(unittest.TestCase):
    """A test with nodes of its class, all without a window at its begin."""

    count = 1

    @classmethod
    def setUpClass(cls):
        cls.hosts = []
        for _ in range(cls.count):
            host = server.Server()
            cls.addClassCleanup(host.close)
            cls.hosts.append(host)

    def setUp(self):
        for host in self.hosts:
            if host.process is None:
                host.start()
            with host.binary() as link:
                link.call(START_PERSISTENCE)
                if link.stats()["ep_onlineupdate"] == "true":
                    link.call(REVERT)
                for number, key in enumerate(KEYS):
                    self.assertEqual(link.set(key, b"before %d" % number).status, SUCCESS)
                for key in NEW:
                    link.delete(key)
                host.drained(link)
        self.before = {key: b"before %d" % number for number, key in enumerate(KEYS)}
        self.before |= dict.fromkeys(NEW)
        self.directory = tempfile.mkdtemp(prefix="online-update-")
        self.addCleanup(shutil.rmtree, self.directory)

    def arguments(self, hosts=None):
        """The options that name nodes."""
        return [word for host in hosts or self.hosts for word in ("-n", name(host))]

    def tool(self, *arguments, expected=DONE, **options):
        """Runs the program on all nodes and checks its exit status."""
        done = call(*self.arguments(), *arguments, **options)
        allowed = expected if isinstance(expected, tuple) else (expected,)
        self.assertIn(done.status, allowed, f"{arguments}: {done}")
        return done

    def state(self, host):
        """`stats onlineupdate` of a node."""
        with host.binary() as link:
            return link.stats(b"onlineupdate")

    def are(self, state, hosts=None):
        """Checks the state of nodes' windows."""
        states = [self.state(host)["state"] for host in hosts or self.hosts]
        self.assertEqual(states, [state] * len(states))

    def change(self, host):
        """Changes, deletes and adds keys; what the node holds then."""
        after = dict(self.before)
        with host.binary() as link:
            for key in KEYS[::2]:
                after[key] = b"after " + key
                self.assertEqual(link.set(key, after[key]).status, SUCCESS)
            for key in KEYS[1::4]:
                after[key] = None
                self.assertEqual(link.delete(key).status, SUCCESS)
            for key in NEW:
                after[key] = b"added"
                self.assertEqual(link.set(key, after[key]).status, SUCCESS)
        return after

    def holds(self, host, expected):
        """Checks every key of a node."""
        self.assertEqual(contents(host, list(expected)), expected)

    def path(self, word):
        """A path in the directory of the test."""
        return os.path.join(self.directory, word)

    def script(self, text):
        """A deployment or check that runs this."""
        path = self.path("script")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
        return path


class One(Nodes):
    """One node."""

    def test_start_complete_revert_and_status(self):
        host = self.hosts[0]
        self.assertIn("no window is open", self.tool("status").out)
        self.tool("start")
        self.are("open")
        after = self.change(host)
        text = self.tool("status").out
        self.assertIn("REVERT would remove 100 keys, restore 150 keys and bring 75 keys back", text)
        self.assertIn("COMPLETE would make 250 keys durable and delete 75 keys", text)
        self.tool("revert")
        self.holds(host, self.before)
        self.tool("start")
        self.assertEqual(self.change(host), after)
        self.tool("complete")
        self.are("none")
        self.holds(host, after)
        host.restart()
        self.holds(host, after)
        self.tool("complete", expected=NO_WINDOW)
        self.tool("revert", expected=NO_WINDOW)

    def test_the_old_name_keeps_its_syntax(self):
        old = self.path("mbadm-online-update")
        os.symlink(cluster.PROGRAM, old)
        node = name(self.hosts[0])
        for command, status in (("start", 0), ("start", 1), ("revert", 0), ("start", 0),
                                ("complete", 0)):
            done = call(node, command, program=old)
            self.assertEqual(done.status, status, done)
        self.assertEqual(call(node, "Revert", program=old).status, USAGE)

    def test_json_is_one_object_a_line(self):
        node = name(self.hosts[0])
        (start,) = self.tool("start", "--json").objects()
        self.assertEqual((start["command"], start["result"], start["exit"]), ("start", "done", 0))
        self.assertEqual(start["nodes"][0]["node"], node)
        (status,) = self.tool("--json", "status").objects()
        self.assertEqual((status["node"], status["state"]), (node, "open"))
        (refused,) = self.tool("start", "--json", expected=REFUSED).objects()
        self.assertEqual(refused["nodes"][0]["mark"], "bad")
        self.tool("revert", "--json").objects()
        (wrong,) = call("-n", "nowhere:0", "--json", "status").objects()
        self.assertIn("port", wrong["text"])
        events = [line.get("event", line.get("command")) for line in self.tool(
            "--json", "run", "--check", "echo noise", "--", "echo", "noise").objects()]
        self.assertEqual(events, ["start", "deploy", "deploy", "check", "check", "complete", "end"])

    def test_metrics(self):
        self.tool("start")
        text = self.tool("status", "--format", "openmetrics").out
        node = re.escape(name(self.hosts[0]))
        self.assertRegex(text, f'(?m)^online_update_up{{node="{node}"}} 1$')
        self.assertRegex(text, f'(?m)^online_update_open{{node="{node}"}} 1$')
        self.assertTrue(text.endswith("# EOF\n"))
        line = re.compile(r'# (HELP|TYPE|EOF).*|online_update_\w+\{node="[^"]+"\} \d+')
        for found in text.splitlines():
            self.assertRegex(found, line)

    def test_nodes_from_a_file_a_variable_and_a_name(self):
        node = name(self.hosts[0])
        with open(self.path("nodes"), "w", encoding="ascii") as file:
            file.write(f"# the only one\n{node} # here\n")
        self.assertIn(node, call("--nodes-file", self.path("nodes"), "status").out)
        self.assertIn(node, call("status", variables={"ONLINE_UPDATE_NODES": node}).out)
        local = f"localhost:{self.hosts[0].address[1]}"
        for command in ("start", "revert"):
            done = call("-n", local, "-n", node, command)
            self.assertEqual(done.status, DONE, done)
        done = call("status")
        self.assertEqual(done.status, USAGE)
        self.assertIn("ONLINE_UPDATE_NODES", done.err)
        done = call("-n", "no-such-host.invalid:1", "status")
        self.assertEqual(done.status, USAGE)
        self.assertIn("cannot be resolved", done.err)

    def test_pages_are_made_from_the_definitions(self):
        done = call("pages", self.path("pages"))
        self.assertEqual(done.status, DONE, done)
        with open(self.path("pages/man1/online-update-run.1"), encoding="ascii") as page:
            self.assertIn("revert\\-after", page.read())
        for shell in ("bash/online-update.bash", "zsh/_online-update", "fish/online-update.fish"):
            with open(self.path(f"pages/{shell}"), encoding="ascii") as text:
                self.assertIn("revert-after", text.read())
        done = subprocess.run(["bash", "-n", self.path("pages/bash/online-update.bash")],
                              check=False)
        self.assertEqual(done.returncode, 0)

    def test_a_check_that_has_not_decided_is_asked_again(self):
        count = self.path("count")
        check = f'echo x >> {count}; [ "$(wc -l < {count})" -ge 3 ] || exit 75'
        self.tool("run", "--check-every", "1s", "--check", check, "--", "true")
        with open(count, encoding="ascii") as file:
            self.assertEqual(file.read(), "x\n" * 3)
        self.assertEqual(self.state(self.hosts[0])["last_outcome"], "completed")

    def test_a_deployment_that_fails_or_is_none_is_reverted(self):
        for words in (["false"], ["/no/such/program"], ["sh", "-c", "kill -9 $$"]):
            done = self.tool("run", "--check", "true", "--", *words, expected=DEPLOY_FAILED)
            self.assertIn("reverted", done.out)
            self.are("none")

    def test_a_window_that_the_deployment_completes_is_done(self):
        self.tool("run", "--", cluster.PROGRAM, *self.arguments(), "complete")
        self.assertEqual(self.state(self.hosts[0])["last_outcome"], "completed")

    def test_an_interrupted_run_ends_the_deployment_and_reverts(self):
        host = self.hosts[0]
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            fifo = self.path(f"fifo-{how}")
            os.mkfifo(fifo)
            # The child of the deployment holds the fifo open until it ends too.
            script = self.script(f"sh -c 'trap \"\" HUP; echo up; exec sleep 1000' > {fifo} & wait")
            process = begin(*self.arguments(), "run", "--", script)
            with listen(fifo, process) as up:
                self.assertEqual(up.readline(), "up\n")
                self.change(host)
                process.send_signal(how)
                self.assertEqual(up.read(), "", "the whole group has ended")
            done = end(process)
            self.assertEqual(done.status, INTERRUPTED, done)
            self.assertIn(how.name, done.out)
            self.are("none")
            self.holds(host, self.before)


    def complete_a_node_that_stands_still(self):
        """A COMPLETE that is asking; the node goes on when the test is over, or before."""
        process = begin(*self.arguments(), "complete")
        self.assertIn("asking 1 node", process.stderr.readline())
        process.send_signal(signal.SIGINT)
        return process

    def test_what_has_begun_goes_on_to_its_report_at_a_signal(self):
        host = self.hosts[0]
        self.tool("start")
        self.addCleanup(host.process.send_signal, signal.SIGCONT)
        host.process.send_signal(signal.SIGSTOP)
        process = self.complete_a_node_that_stands_still()
        host.process.send_signal(signal.SIGCONT)
        done = end(process)
        self.assertEqual(done.status, DONE, done)
        self.assertIn("completed on 1 node", done.out)

    def test_the_second_signal_ends_it(self):
        host = self.hosts[0]
        self.tool("start")
        self.addCleanup(host.process.send_signal, signal.SIGCONT)
        host.process.send_signal(signal.SIGSTOP)
        process = self.complete_a_node_that_stands_still()

        def ended():
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None
        until(ended, what="the end of the program")
        self.assertEqual(end(process).status, PARTLY)
        host.process.send_signal(signal.SIGCONT)
        self.tool("revert")


class WhoAsks(Nodes):
    """SASL PLAIN, in front of one node."""

    def setUp(self):
        super().setUp()
        self.guard = cluster.Guard(self.hosts[0], "operator", "secret word")
        self.addCleanup(self.guard.close)

    def arguments(self, hosts=None):
        return ["-n", self.guard.name]

    def password_file(self, word, mode=0o600):
        """A file with a password."""
        path = self.path("password")
        with open(path, "w", encoding="ascii") as file:
            file.write(word + "\n")
        os.chmod(path, mode)
        return path

    def test_a_password_from_a_file_or_the_environment(self):
        file = self.password_file("secret word")
        for options, variables in (
                (["--user", "operator", "--password-file", file], None),
                (["--user", "operator"], {"ONLINE_UPDATE_PASSWORD": "secret word"}),
                ([], {"ONLINE_UPDATE_USER": "operator", "ONLINE_UPDATE_PASSWORD_FILE": file}),
        ):
            self.tool("start", *options, variables=variables)
            self.are("open")
            self.tool("revert", *options, variables=variables)
        os.chmod(file, 0o644)
        done = self.tool("status", "--user", "operator", "--password-file", file)
        self.assertIn("chmod 600", done.err)

    def test_who_is_not_known_is_told_so_and_no_password_is_shown(self):
        done = self.tool("start", expected=REFUSED)
        self.assertIn("Auth failure", done.out)
        file = self.password_file("wrong word")
        done = self.tool("start", "--user", "operator", "--password-file", file, expected=REFUSED)
        self.assertIn("refuses the user operator or the password", done.out)
        self.assertNotIn("wrong word", done.out + done.err)
        self.guard.mechanisms = b"CRAM-MD5"
        del self.guard.presented[:]
        done = self.tool("start", "--user", "operator", "--password-file", file, expected=REFUSED)
        self.assertIn("PLAIN", done.out)
        self.assertEqual(self.guard.presented, [], "the password was sent")
        done = self.tool("start", "--user", "operator", expected=USAGE)
        self.assertIn("ONLINE_UPDATE_PASSWORD", done.err)
        self.are("none")

    def test_a_node_that_does_not_ask_is_not_told(self):
        done = call(*super().arguments(), "start", "--user", "operator",
                    variables={"ONLINE_UPDATE_PASSWORD": "secret word"})
        self.assertEqual(done.status, REFUSED, done)
        self.assertIn("leave out --user", done.out)


class Three(Nodes):
    """Three nodes: one decision."""

    count = 3

    def test_start_is_on_all_or_on_none(self):
        for busy in range(3):
            host = self.hosts[busy]
            with host.binary() as link:
                self.assertEqual(link.call(START).status, SUCCESS)
                done = self.tool("start", expected=REFUSED)
                self.assertRegex(done.out, f"{re.escape(name(host))} +FAILED .*already")
                self.assertEqual(link.call(REVERT).status, SUCCESS)
            self.are("none")

    def test_start_takes_back_what_it_began_when_a_node_refuses(self):
        # A node that serves no active vbucket refuses a START that nothing speaks against before.
        host = max(self.hosts, key=lambda host: host.address)
        with host.binary() as link:
            link.call(wire.SET_VBUCKET, extras=wire.struct.pack(">I", wire.REPLICA))
            try:
                done = self.tool("start", expected=REFUSED)
            finally:
                link.call(wire.SET_VBUCKET, extras=wire.struct.pack(">I", wire.ACTIVE))
        self.assertRegex(done.out, f"{re.escape(name(host))} +FAILED +refused: .*active")
        self.assertEqual(done.out.count("was started; reverted"), 2, done)
        self.are("none")

    def test_one_of_two_operators_wins(self):
        for _ in range(5):
            forward = begin(*self.arguments(), "start")
            backward = begin(*self.arguments(self.hosts[::-1]), "start")
            done = [end(forward), end(backward)]
            self.assertEqual(sorted(one.status for one in done), [DONE, REFUSED],
                             "\n".join(map(str, done)))
            self.are("open")
            self.tool("revert")

    def test_run_completes_when_the_check_is_good(self):
        loads = [cluster.Load(host, KEYS[:50]) for host in self.hosts]
        script = self.script("exit 0")
        with loads[0], loads[1], loads[2]:
            for load in loads:
                load.more()
            done = self.tool("run", "--check", "true", "--", script)
            for load in loads:
                load.stop()
        self.assertIn("completed on 3 nodes", done.out)
        for host, load in zip(self.hosts, loads):
            self.assertEqual(self.state(host)["last_outcome"], "completed")
            self.holds(host, self.before | load.latest)
            host.drained()
            host.restart()
            self.holds(host, self.before | load.latest)

    def deploying(self, *options):
        """A run in the middle of its deployment, after changes; the fifo that lets it go on."""
        fifo, answer = self.path("fifo"), self.path("answer")
        os.mkfifo(fifo)
        os.mkfifo(answer)
        process = begin(*self.arguments(), "run", *options, "--", "sh", "-c",
                        f"echo up > {fifo}; read word < {answer}")
        with listen(fifo, process) as up:
            self.assertEqual(up.read(), "up\n")
        for host in self.hosts:
            self.change(host)
            with cluster.Load(host, KEYS[50:100]) as load:
                load.more()
        return process, answer

    def test_run_reverts_when_the_check_fails(self):
        process, answer = self.deploying("--check", "exit 3")
        tell(answer, "go\n")
        done = end(process)
        self.assertEqual(done.status, CHECK_FAILED, done)
        self.assertIn("the check ended with status 3", done.out)
        for host in self.hosts:
            self.assertEqual(self.state(host)["last_outcome"], "reverted")
            self.holds(host, self.before)

    def test_the_deadline_takes_back_what_a_killed_run_began(self):
        process, answer = self.deploying("--revert-after", "1h")
        process.kill()
        process.wait()
        # The deployment goes on without the program, and holds its output.
        tell(answer, "go\n")
        end(process)
        self.are("open")
        self.tool("extend", "1s")
        self.tool("watch", "--every", "1s")
        for host in self.hosts:
            self.assertEqual(self.state(host)["last_outcome"], "reverted at deadline")
            self.holds(host, self.before)

    def test_run_reverts_when_its_time_is_over(self):
        done = self.tool("run", "--revert-after", "1s", "--", "sleep", "1000", expected=TIMED_OUT)
        self.assertIn("nothing was decided in time", done.out)
        for host in self.hosts:
            self.assertIn(self.state(host)["last_outcome"], ("reverted", "reverted at deadline"))
            self.holds(host, self.before)
        check = "exit 75"
        # The time ends the pause between two checks, too.
        self.tool("run", "--revert-after", "2s", "--check", check, "--check-every", "10h", "--",
                  "true", expected=TIMED_OUT)
        self.are("none")

    def test_a_deadline_is_moved_and_taken_away(self):
        self.tool("start", "--revert-after", "1h")
        self.assertIn("it reverts by itself in", self.tool("status").out)
        self.tool("extend", "2h")
        for host in self.hosts:
            self.assertGreater(int(self.state(host)["seconds_left"]), 3600)
        self.tool("extend", "--forever")
        for host in self.hosts:
            self.assertEqual(self.state(host)["seconds_left"], "none")
        self.tool("extend", expected=USAGE)
        self.tool("complete")
        done = self.tool("extend", "1m", expected=NO_WINDOW)
        self.assertIn("no online update is open", done.out)

    def test_a_complete_that_begins_holds_the_deadlines(self):
        self.tool("start", "--revert-after", "1h")
        after = [self.change(host) for host in self.hosts]
        stopped = self.hosts[2]
        with stopped.binary() as link:
            self.assertEqual(link.call(STOP_PERSISTENCE).status, SUCCESS)
            done = self.tool("complete", expected=(PARTLY, REFUSED))
            self.assertRegex(done.out, f"{re.escape(name(stopped))} +OPEN .*persistence")
            # What is decided elsewhere is not taken back here; else all is as it was.
            left = self.state(stopped)["seconds_left"]
            self.assertEqual(left == "none", done.status == PARTLY, left)
            self.assertEqual(link.call(START_PERSISTENCE).status, SUCCESS)
        self.tool("complete")
        for host, expected in zip(self.hosts, after):
            self.holds(host, expected)

    def test_start_refuses_a_node_that_does_not_write(self):
        stopped = self.hosts[1]
        with stopped.binary() as link:
            self.assertEqual(link.call(STOP_PERSISTENCE).status, SUCCESS)
            done = self.tool("start", expected=REFUSED)
            self.assertRegex(done.out, f"{re.escape(name(stopped))} +.*persistence is stopped")
            self.are("none", self.hosts)
            self.assertEqual(link.call(START_PERSISTENCE).status, SUCCESS)
        self.tool("start")
        self.tool("revert")

    def test_complete_asks_every_node_before_it_begins(self):
        self.tool("start")
        silent = self.hosts[1]
        silent.process.send_signal(signal.SIGSTOP)
        try:
            done = self.tool("--timeout", "1s", "complete", expected=REFUSED)
        finally:
            silent.process.send_signal(signal.SIGCONT)
        self.assertRegex(done.out, f"{re.escape(name(silent))} +UNKNOWN +no answer within 1 s")
        self.assertIn("nothing was sent", done.out)
        self.are("open")
        self.tool("revert")

    def test_what_cannot_complete_stays_open_and_a_second_complete_goes_on(self):
        self.tool("start", "--revert-after", "1h")
        after = [self.change(host) for host in self.hosts]
        stopped = self.hosts[2]
        # Two nodes have completed when the third cannot.
        with stopped.binary() as link:
            self.assertEqual(link.call(STOP_PERSISTENCE).status, SUCCESS)
            for host in self.hosts[:2]:
                with host.binary() as other:
                    self.assertEqual(other.call(COMPLETE).status, SUCCESS)
            done = self.tool("complete", expected=PARTLY)
            self.assertRegex(done.out, f"{re.escape(name(stopped))} +OPEN .*persistence")
            self.assertEqual(done.out.count("completed already"), 2)
            self.are("none", self.hosts[:2])
            self.are("open", [stopped])
            # What is decided elsewhere is not taken back here.
            self.assertEqual(self.state(stopped)["seconds_left"], "none")
            self.assertEqual(link.call(START_PERSISTENCE).status, SUCCESS)
        done = self.tool("complete")
        self.assertIn("completed on 3 nodes", done.out)
        for host, expected in zip(self.hosts, after):
            host.restart()
            self.holds(host, expected)

    def test_a_node_that_restarted_in_the_window_is_recognised(self):
        self.tool("start")
        after = [self.change(host) for host in self.hosts]
        lost = self.hosts[1]
        lost.restart()
        done = self.tool("complete", expected=REFUSED)
        self.assertRegex(done.out, f"{re.escape(name(lost))} +FAILED +it restarted .*is lost")
        self.are("open", [self.hosts[0], self.hosts[2]])
        self.holds(self.hosts[0], after[0])
        done = self.tool("revert")
        self.assertRegex(done.out, f"{re.escape(name(lost))} +ok +it restarted in the window")
        for host in self.hosts:
            self.holds(host, self.before)

    def test_run_reverts_when_a_node_lost_its_window(self):
        fifo, answer = self.path("fifo"), self.path("answer")
        os.mkfifo(fifo)
        os.mkfifo(answer)
        process = begin(*self.arguments(), "run", "--", "sh", "-c",
                        f"echo up > {fifo}; read word < {answer}")
        with listen(fifo, process) as up:
            self.assertEqual(up.read(), "up\n")
        for host in self.hosts:
            self.change(host)
        port = self.hosts[1].address[1]
        self.hosts[1].kill()
        command = self.hosts[1].command
        try:
            self.hosts[1].command = command.replace("-p 0", f"-p {port}")
            self.hosts[1].start()
        finally:
            self.hosts[1].command = command
        tell(answer, "go\n")
        done = end(process)
        self.assertEqual(done.status, WINDOW_LOST, done)
        self.assertRegex(done.out, "FAILED +it restarted")
        for host in self.hosts:
            self.holds(host, self.before)

    def test_revert_goes_on_past_a_node_that_is_gone(self):
        self.tool("start")
        for host in self.hosts:
            self.change(host)
        gone = self.hosts[0]
        address = name(gone)
        gone.kill()
        done = self.tool("revert", expected=PARTLY)
        self.assertRegex(done.out, f"{re.escape(address)} +UNKNOWN +no connection")
        for host in self.hosts[1:]:
            self.holds(host, self.before)
        gone.start()
        self.holds(gone, self.before)


class Keys(Nodes):
    """Single keys of a window, on two nodes."""

    count = 2

    def test_diff_shows_every_key_with_old_and_new_value(self):
        self.tool("start")
        after = [self.change(host) for host in self.hosts]
        with self.hosts[0].binary() as link:
            self.assertEqual(link.set(b"old 0", b"\xff\0raw").status, SUCCESS)
        lines = self.tool("diff", "--values", "--json").objects()
        for host, held in zip(self.hosts, after):
            found = {line["key"]: line for line in lines if line.get("node") == name(host)}
            changed = {key for key in held if held[key] != self.before[key]}
            self.assertEqual(set(found), {shown(key) for key in changed})
            for key in changed - {b"old 0"}:
                line, old, new = found[shown(key)], self.before[key], held[key]
                what = "added" if old is None else "deleted" if new is None else "updated"
                self.assertEqual(line["what"], what)
                for side, value in (("old", old), ("new", new)):
                    text = line[side] and line[side]["value"]
                    self.assertEqual(text, value and value.decode(), line)
        first = next(line for line in lines if line["key"] == shown(b"old 0"))
        self.assertEqual(first["new"]["value_hex"], "ff00726177")
        self.assertEqual(first["old"]["size"], len(b"before 0"))
        total = lines[-1]
        self.assertEqual((total["prefix"], total["added"], total["updated"], total["deleted"]),
                         ("(all)", 200, 300, 150))
        text = self.tool("diff", "--values", "--prefix", "old\\x200").out
        self.assertRegex(text, r"before 0 +\| ff 00 72 61 77")
        self.assertNotIn("new", text.split("prefix")[0])
        self.tool("revert")
        self.tool("diff", expected=NO_WINDOW)

    def test_diff_is_read_to_the_end_of_many_pages(self):
        keys = [b"many/%d" % number for number in range(5000)]
        self.tool("start")
        for host in self.hosts:
            with host.binary() as link:
                link.pipeline([wire.request(wire.SETQ, key, wire.store_extras(), b"v")
                               for key in keys])
        lines = self.tool("diff", "--json", "--prefix", "many/").objects()
        for host in self.hosts:
            found = [line["key"] for line in lines if line.get("node") == name(host)]
            self.assertEqual(sorted(found), sorted(key.decode() for key in keys))
        sums = self.tool("diff", "--sums", "--json").objects()
        self.assertEqual(sums[0], {**sums[0], "prefix": "many/", "added": 10_000})
        self.tool("revert")

    def test_a_key_is_undone_and_the_rest_is_kept(self):
        self.tool("start")
        after = [self.change(host) for host in self.hosts]
        done = self.tool("undo", "old\\x200", "old\\x201", "new\\x207")
        self.assertIn("undid 6 keys", done.out)
        for host, held in zip(self.hosts, after):
            for key in (b"old 0", b"old 1", b"new 7"):
                held[key] = self.before[key]
            self.holds(host, held)
        done = self.tool("undo", "old\\x202", "nothing", expected=PARTLY)
        self.assertIn("not touched in any of these windows: nothing", done.out)
        self.tool("undo", "--prefix", "new")
        self.tool("complete")
        for host, held in zip(self.hosts, after):
            held |= dict.fromkeys(NEW)
            held[b"old 2"] = self.before[b"old 2"]
            self.holds(host, held)
            host.restart()
            self.holds(host, held)

    def test_a_locked_key_is_named(self):
        self.tool("start")
        self.change(self.hosts[0])
        with self.hosts[0].binary() as link:
            link.call(GET_LOCKED, b"old 0")
            done = self.tool("undo", "--prefix", "old\\x200", expected=REFUSED)
            self.assertIn("old\\x200 (", done.out)
        self.tool("revert")
        self.holds(self.hosts[0], self.before)

    def test_escapes_that_are_none_are_refused(self):
        self.assertIn("backslash", self.tool("undo", "a\\b", expected=USAGE).err)
        self.assertIn("backslash", self.tool("diff", "--prefix", "\\x", expected=USAGE).err)


class Moved(Nodes):
    """A vbucket that is handed over in the window, from a node of the decision to another one."""

    count = 2

    def setUp(self):
        super().setUp()
        # The second node serves vbucket 1, and not 0.
        with self.hosts[1].binary() as link:
            for vbucket, state in ((1, wire.ACTIVE), (0, wire.DEAD)):
                extras = wire.struct.pack(">I", state)
                answer = link.call(wire.SET_VBUCKET, extras=extras, vbucket=vbucket)
                self.assertEqual(answer.status, SUCCESS)
            self.assertEqual(link.call(wire.DEL_VBUCKET).status, SUCCESS)

    def test_a_window_that_moved_is_completed_where_it_is(self):
        # The outcome of an earlier update says nothing of this one.
        self.tool("start")
        self.tool("complete")
        record = self.path("record")
        self.tool("start", "--record", record)
        after = self.change(self.hosts[0])
        with self.hosts[1].binary() as link:
            self.assertEqual(link.set(b"other", b"window", vbucket=1).status, SUCCESS)
        pump = os.path.join(server.TOP, "c-host/build/engine-replicate")
        nodes = [name(host) for host in self.hosts]
        done = subprocess.run([pump, "-t", *nodes, "0"], timeout=60, check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        # Without a record nobody knows where it went.
        done = self.tool("complete", expected=REFUSED)
        self.assertIn("took over", done.out)
        done = self.tool("complete", "--record", record)
        self.assertRegex(done.out, f"{re.escape(nodes[0])} +ok +1 vbucket moved to {nodes[1]}")
        self.hosts[1].kill()
        # Not on the port that it had.
        with server.unheard(self.hosts[1].address[1]):
            self.hosts[1].start()
        self.holds(self.hosts[1], after)
        with self.hosts[1].binary() as link:
            self.assertEqual(link.get(b"other", vbucket=1).value, b"window")
        done = call(*self.arguments(self.hosts[1:]), "complete", "--record", record)
        self.assertEqual(done.status, USAGE, "the restarted node has another name")


class MovedAway(unittest.TestCase):
    """One of a node's two vbuckets, which a node that nobody names takes over in the window."""

    def setUp(self):
        self.hosts = [server.Server() for _ in range(2)]
        self.taker = server.Server("vb0=false")
        for host in (*self.hosts, self.taker):
            self.addCleanup(host.close)
        self.between = cluster.Between(self.hosts[0])
        self.addCleanup(self.between.close)
        with self.hosts[0].binary() as link:
            extras = wire.struct.pack(">I", wire.ACTIVE)
            answer = link.call(wire.SET_VBUCKET, extras=extras, vbucket=1)
            self.assertEqual(answer.status, SUCCESS)
        directory = tempfile.TemporaryDirectory(prefix="online-update-")
        self.addCleanup(directory.cleanup)
        self.record = os.path.join(directory.name, "record")
        self.takeover = [os.path.join(server.TOP, "c-host/build/engine-replicate"), "-t",
                         name(self.hosts[0]), name(self.taker), "0"]

    def take_over(self):
        """The takeover."""
        subprocess.run(self.takeover, timeout=60, check=True)

    def tool(self, *arguments, expected=DONE, more=()):
        """Runs the program on the two nodes, and on more; what it printed."""
        nodes = [self.between.name, name(self.hosts[1]), *more]
        done = call(*[word for node in nodes for word in ("-n", node)], *arguments)
        self.assertEqual(done.status, expected, f"{arguments}: {done}")
        return done.out

    def start(self):
        """A window on both, which the taker has of vbucket 0 then."""
        self.tool("start", "--record", self.record)
        self.take_over()

    def is_told(self, out, word):
        """Checks a report of what was done on both nodes, but not in vbucket 0 of the first one."""
        self.assertRegex(out, f"{self.between.name} +FAILED +{word}.*; not in it: vbucket 0\n")
        self.assertRegex(out, f"{name(self.hosts[1])} +ok +{word}")
        self.assertIn(f"{word} on 2 nodes; vbucket 0 of {self.between.name} not in it", out)
        with self.taker.binary() as link:
            self.assertEqual(link.stats(b"onlineupdate")["state"], "open")

    def test_a_run_tells_what_it_did_not_revert(self):
        script = '"$@"; exit 1'
        out = self.tool("run", "--", "sh", "-c", script, "sh", *self.takeover, expected=PARTLY)
        self.is_told(out, "reverted")

    def test_a_run_does_not_complete_what_moved(self):
        out = self.tool("run", "--", *self.takeover, expected=PARTLY)
        self.assertIn("does not serve vbucket 0 any more: taken over by a node that is not", out)
        self.is_told(out, "reverted")

    def test_a_revert_with_a_record_tells(self):
        self.start()
        self.is_told(self.tool("revert", "--record", self.record, expected=PARTLY), "reverted")
        self.assertIn("reverted on 1 node", call("-n", name(self.taker), "revert").out)

    def test_without_a_record_what_is_dead_is_told(self):
        self.start()
        out = self.tool("revert")
        self.assertRegex(out, f"{self.between.name} +ok .*; dead there and not in it: vbucket 0\n")

    def test_with_the_node_that_took_over_all_is_done(self):
        self.start()
        out = self.tool("revert", more=[name(self.taker)])
        self.assertIn("reverted on 3 nodes\n", out)

    def test_what_moves_while_nodes_complete_is_told(self):
        self.tool("start")
        self.between.meet[COMPLETE] = self.take_over
        self.is_told(self.tool("complete", expected=PARTLY), "completed")

    def test_what_moves_while_nodes_revert_is_told(self):
        self.tool("start")
        self.between.meet[REVERT] = self.take_over
        self.is_told(self.tool("revert", expected=PARTLY), "reverted")


class Names(unittest.TestCase):
    """IPv6, and names with several addresses."""

    def test_ipv6(self):
        with server.Server() as host:
            try:
                guard = cluster.Guard(host, "me", "word", "::1")
            except OSError as error:
                self.skipTest(f"this machine has no ::1: {error}")
            self.addCleanup(guard.close)
            for command in ("start", "revert", "status"):
                done = call("-n", guard.name, "--user", "me", command,
                            variables={"ONLINE_UPDATE_PASSWORD": "word"})
                self.assertEqual(done.status, DONE, done)
                self.assertIn(guard.name, done.out)

    @staticmethod
    def listens(address):
        """Whether somebody does at an address."""
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            return False
        return True

    def test_a_name_with_several_addresses_is_several_nodes(self):
        port = server.free_port()
        names = tempfile.NamedTemporaryFile("w", prefix="hosts-")
        self.addCleanup(names.close)
        addresses = ["127.0.0.2", "127.0.0.3"]
        names.write("".join(f"{address} all-nodes\n" for address in addresses))
        names.flush()
        inside = ["unshare", "--mount", "sh", "-c",
                  f'mount --bind {names.name} /etc/hosts && exec "$@"', "sh"]
        if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
            self.skipTest("/etc/hosts cannot be replaced for one process here")
        for address in addresses:
            command = server.HOST.replace("-p 0", f"-l {address} -p {port}")
            host = server.Server(command=command, start=False)
            self.addCleanup(host.close)
            host.spawn()
            server.until(lambda at=(address, port): self.listens(at), what="listen")
        for command in ("start", "complete"):
            done = subprocess.run(
                [*inside, cluster.PROGRAM, "-n", f"all-nodes:{port}", command],
                capture_output=True, text=True, env=cluster.environment(), check=False,
            )
            self.assertEqual(done.returncode, DONE, done)
            for address in addresses:
                self.assertIn(f"{address}:{port}", done.stdout)


class Hostile(unittest.TestCase):
    """Nodes that are none."""

    def serve(self, *answers):
        """The address of a server that sends bytes, whatever it is asked, and keeps silent then."""
        listener = socket.create_server(("127.0.0.1", 0))
        connections = []

        def run():
            try:
                while True:
                    link, _ = listener.accept()
                    connections.append(link)
                    for answer in answers:
                        link.recv(1000)
                        link.sendall(answer)
            except OSError:
                pass

        thread = cluster.threading.Thread(target=run, daemon=True)
        thread.start()

        def close():
            # The thread may wait for a connection's next bytes.
            for one in connections:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            server.end_listening(listener, thread)
            for one in connections:
                one.close()
        self.addCleanup(close)
        return "127.0.0.1:{}".format(listener.getsockname()[1])

    def status(self, *answers, words, timeout="60s"):
        """Runs `status` against such a server."""
        done = call("-n", self.serve(*answers), "--timeout", timeout, "status")
        self.assertEqual(done.status, REFUSED, done)
        self.assertRegex(done.out, words)

    def test_lengths_that_cannot_be(self):
        head = wire.HEADER.pack
        self.status(head(0x81, 0x10, 0, 0, 0, 0, 0xffffffff, 1, 0), words="more than any can have")
        self.status(head(0x81, 0x10, 9, 9, 0, 0, 17, 1, 0) + bytes(17), words="in a body of 17")
        part = head(0x81, 0x10, 0, 0, 0, 0, 30 << 20, 1, 0) + b"x" * 10
        self.status(part, words="no answer within", timeout="1s")
        self.status(head(0x81, 0x10, 0, 0, 0, 0, 0, 77, 0), words="not asked")
        self.status(b"HTTP/1.1 400 Bad Request\r\n\r\n", words="binary protocol")
        self.status(b"\x81", words="no answer within 1 s", timeout="1s")
        self.status(b"", words="no answer within 1 s", timeout="1s")

    def test_a_list_of_keys_that_does_not_end(self):
        cursor = wire.HEADER.pack(0x81, 0xe8, 1, 0, 0, 0, 1, 1, 0) + b"c"
        again = wire.HEADER.pack(0x81, 0xe8, 1, 0, 0, 0, 1, 2, 0) + b"c"
        done = call("-n", self.serve(cursor, again), "diff")
        self.assertEqual(done.status, REFUSED, done)
        self.assertIn("does not end", done.out)
        wrong = wire.HEADER.pack(0x81, 0xe8, 0, 0, 0, 0, 50, 1, 0) + b"\xff" * 50
        done = call("-n", self.serve(wrong), "diff")
        self.assertEqual(done.status, REFUSED, done)
        self.assertIn("unknown here", done.out)

    def test_words_are_for_a_terminal_harmless(self):
        words = b"\x1b[2Jgone\r\n"
        answer = wire.HEADER.pack(0x81, 0x10, 0, 0, 0, 0x86, len(words), 1, 0) + words
        done = call("-n", self.serve(answer), "status")
        self.assertNotIn("\x1b", done.out)
        self.assertIn("gone", done.out)

    def test_a_window_that_is_being_ended_is_not_said_to_be_none(self):
        running = b"a COMPLETE is running"
        for opcode, command in ((wire.DEADLINE, ["extend", "1h"]), (wire.LOOK, ["undo", "akey"]),
                                (wire.LOOK, ["diff"])):
            refused = wire.HEADER.pack(
                0x81, opcode, 0, 0, 0, wire.NOT_SUPPORTED, len(running), 1, 0) + running
            general = wire.HEADER.pack(0x81, wire.STAT, 0, 0, 0, 0, 0, 2, 0)
            state = wire.HEADER.pack(0x81, wire.STAT, 5, 0, 0, 0, 15, 3, 0) + b"statecompleting"
            last = wire.HEADER.pack(0x81, wire.STAT, 0, 0, 0, 0, 0, 3, 0)
            done = call("-n", self.serve(refused, general, state + last), *command)
            self.assertEqual(done.status, REFUSED, done)
            self.assertIn(running.decode(), done.out)
            self.assertNotIn("no node has a window open", done.out)

    def test_nobody_listens(self):
        with server.unheard() as port:
            done = call("-n", f"127.0.0.1:{port}", "start")
        self.assertEqual(done.status, REFUSED)
        self.assertIn("connection refused", done.out)


if __name__ == "__main__":
    unittest.main()
