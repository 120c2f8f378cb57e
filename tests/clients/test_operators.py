"""The program `online-update` where operators disagree, nodes do not answer, and what it prints or
writes is lost."""

import os
import resource
import signal
import struct
import subprocess
import tempfile
import threading

import backup
import cluster
import server
import test_online_update as common
import wire
from cluster import begin, call, end, listen, name, tell
from server import until
from test_online_update import DONE, NO_WINDOW, PARTLY, REFUSED, USAGE
from wire import COMPLETE, DEADLINE, REVERT, SUCCESS, UNDO


class Two(common.Nodes):
    """Two nodes, each behind what may come between; the first one has the lower address."""

    count = 2

    def setUp(self):
        super().setUp()
        between = [cluster.Between(host) for host in self.hosts]
        for one in between:
            self.addCleanup(one.close)
        self.first, self.second = sorted(between, key=lambda one: one.port)

    def arguments(self, hosts=None):
        return ["-n", self.second.name, "-n", self.first.name]

    def send(self, one, opcode):
        """A command of somebody else for a node."""
        with one.host.binary() as link:
            self.assertEqual(link.call(opcode).status, SUCCESS)

    def stop(self, one):
        """Makes a node stand still; ended with the test."""
        self.addCleanup(one.host.process.send_signal, signal.SIGCONT)
        one.host.process.send_signal(signal.SIGSTOP)

    def outcomes(self):
        """How the last windows ended, on the first node and on the second."""
        found = [self.state(one.host) for one in (self.first, self.second)]
        return [one["last_outcome"] if one["state"] == "none" else one["state"] for one in found]

    def test_a_revert_that_was_first_stops_a_complete(self):
        self.tool("start", "--revert-after", "1h")
        self.change(self.second.host)
        self.first.meet[COMPLETE] = lambda: self.send(self.first, REVERT)
        done = self.tool("complete", expected=REFUSED)
        self.assertEqual(self.outcomes(), ["reverted", "open"])
        self.assertRegex(done.out, f"{self.second.name} +OPEN +COMPLETE was not sent")
        self.assertIn(f"{self.first.name} is asked first", done.out)
        left = self.state(self.second.host)["seconds_left"]
        self.assertLessEqual(int(left), 3600, "its deadline is that of before")
        self.tool("revert")
        self.holds(self.second.host, self.before)

    def test_a_complete_that_was_first_stops_a_revert(self):
        self.tool("start")
        after = [self.change(host) for host in self.hosts]
        self.first.meet[REVERT] = lambda: self.send(self.first, COMPLETE)
        done = self.tool("revert", expected=REFUSED)
        self.assertEqual(self.outcomes(), ["completed", "open"])
        self.assertRegex(done.out, f"{self.second.name} +OPEN +REVERT was not sent")
        self.assertIn("COMPLETE is the decision", done.out)
        self.assertNotIn("revert again", done.out)
        # The same when it was there before, and again.
        self.tool("revert", expected=REFUSED)
        self.assertEqual(self.outcomes(), ["completed", "open"])
        self.tool("complete")
        for host, expected in zip(self.hosts, after):
            self.holds(host, expected)

    def pending(self):
        """A vbucket of the first node, whose ids go back when that restarts, for one test."""
        self.call_for_2(wire.SET_VBUCKET, wire.PENDING)
        self.addCleanup(self.call_for_2, wire.DEL_VBUCKET)
        self.addCleanup(self.call_for_2, wire.SET_VBUCKET, wire.DEAD)

    def call_for_2(self, opcode, *state):
        """A command about vbucket 2 of the first node."""
        with self.first.host.binary() as link:
            extras = b"".join(struct.pack(">I", one) for one in state)
            answer = link.call(opcode, extras=extras, vbucket=2)
            self.assertEqual(answer.status, SUCCESS)

    def completed(self, contents):
        """That both nodes have completed."""
        self.assertEqual(self.outcomes(), ["completed", "completed"])
        for host, expected in zip(self.hosts, contents):
            self.holds(host, expected)

    def test_a_completed_node_that_restarts_is_known_beside_a_pending_vbucket(self):
        self.pending()
        record = self.path("record")
        self.tool("start", "--record", record)
        after = [self.change(host) for host in self.hosts]
        self.send(self.first, COMPLETE)
        self.first.host.restart()
        done = self.tool("complete", "--record", record)
        self.assertIn("it is completed already, and it restarted since", done.out)
        self.completed(after)

    def test_a_run_knows_it_as_well(self):
        self.pending()
        go, begun = self.path("go"), self.path("begun")
        script = self.script(f"touch {begun}; while [ ! -e {go} ]; do sleep 0.1; done")
        process = begin(*self.arguments(), "run", "--", script)
        until(lambda: os.path.exists(begun), what="the deployment")
        after = [self.change(host) for host in self.hosts]
        self.send(self.first, COMPLETE)
        self.first.host.restart()
        with open(go, "w", encoding="ascii"):
            pass
        done = end(process)
        self.assertEqual(done.status, DONE, done)
        self.completed(after)

    def test_a_revert_that_is_not_sent_tells_the_deadlines_that_go_on(self):
        self.tool("start", "--revert-after", "1h")
        self.send(self.first, COMPLETE)
        done = self.tool("revert", expected=REFUSED)
        self.assertRegex(done.out, f"{self.second.name} +OPEN .*reverts by itself in ")
        self.assertIn("complete again before windows revert by themselves", done.out)
        self.tool("complete")

    def test_a_window_of_somebody_else_is_not_said_to_be_gone(self):
        record = self.path("record")
        self.tool("start", "--record", record)
        self.send(self.first, COMPLETE)
        self.send(self.second, REVERT)
        self.send(self.second, wire.START)
        done = self.tool("complete", "--record", record, expected=PARTLY)
        self.assertRegex(done.out, f"{self.second.name} +FAILED +.*not the one that was started")
        self.assertIn(f"{self.second.name}: its window is not the one to complete", done.out)
        self.assertNotIn("no window is open", done.out)
        self.assertEqual(self.outcomes(), ["completed", "open"])
        self.tool("revert", expected=REFUSED)
        self.send(self.second, REVERT)

    def test_who_ends_a_complete_is_told_what_is_left(self):
        self.tool("start", "--revert-after", "1h")
        met = threading.Event()
        self.first.meet[COMPLETE] = lambda: met.set() or False
        process = begin(*self.arguments(), "complete")
        self.assertTrue(met.wait(cluster.SECONDS), "COMPLETE is sent")
        process.send_signal(signal.SIGINT)
        until(lambda: One.has_taken(process), what="the signal")
        process.send_signal(signal.SIGTERM)
        done = end(process)
        self.assertEqual(done.status, PARTLY, done)
        for one in (self.first, self.second):
            self.assertRegex(done.err, f"{one.name} .its window reverts by itself in ")
        self.assertIn("complete again", done.err)
        self.tool("revert")

    def test_what_completed_before_these_windows_does_not_stop_a_revert(self):
        self.tool("start")
        self.tool("complete")
        # Only the second one has a window, and the first one's COMPLETE is older than that.
        self.send(self.second, wire.START)
        self.change(self.second.host)
        # By more than whole seconds of two clocks can hide.
        until(lambda: int(self.state(self.second.host)["seconds_open"]) + 4
              < int(self.state(self.first.host)["last_outcome_seconds"])
              or self.later(), what="an older outcome")
        done = self.tool("revert", expected=PARTLY)
        self.assertEqual(self.outcomes(), ["completed", "reverted"], done)

    def later(self):
        """Makes the second node's window younger."""
        self.send(self.second, REVERT)
        self.send(self.second, wire.START)
        return False

    def test_of_complete_and_revert_one_wins(self):
        for _ in range(10):
            self.tool("start")
            forward = begin(*self.arguments(), "complete")
            backward = begin(*self.arguments(), "revert")
            done = [end(forward), end(backward)]
            found = set(self.outcomes())
            self.assertIn(found, ({"completed"}, {"reverted"}), "\n".join(map(str, done)))

    def test_a_revert_goes_on_past_the_first_node_if_that_is_silent(self):
        # Nothing needs to come between.
        for one in (self.first, self.second):
            one.name, one.port = name(one.host), one.host.address[1]
        self.first, self.second = sorted((self.first, self.second), key=lambda one: one.port)
        self.tool("start")
        self.change(self.second.host)
        self.stop(self.first)
        done = self.tool("--timeout", "3s", "revert", expected=PARTLY)
        self.assertRegex(done.out, f"{self.first.name} +UNKNOWN .*REVERT was not sent")
        self.assertIn("revert again", done.out)
        self.assertEqual(self.state(self.second.host)["state"], "none", done)
        self.holds(self.second.host, self.before)
        self.first.host.process.send_signal(signal.SIGCONT)
        self.tool("revert")

    def test_a_deadline_that_is_not_known_is_told(self):
        self.tool("start", "--revert-after", "1h")
        self.send(self.first, COMPLETE)
        self.stop(self.second)
        done = self.tool("--timeout", "3s", "complete", expected=PARTLY)
        self.assertRegex(done.out, f"{self.second.name} +UNKNOWN .*a deadline may still revert it")
        self.assertIn(f"{self.second.name}: not known to be complete, nor to stay open", done.out)
        self.assertNotIn("without a deadline", done.out)
        self.second.host.process.send_signal(signal.SIGCONT)
        self.tool("complete")

    def test_no_window_is_said_to_be_open_that_is_lost(self):
        third = server.Server()
        self.addCleanup(third.close)
        self.tool("start")
        with third.binary() as link:
            self.assertEqual(link.call(wire.START).status, SUCCESS)
        self.send(self.first, COMPLETE)
        self.second.host.restart()
        done = call(*self.arguments(), "-n", name(third), "complete")
        self.assertEqual(done.status, PARTLY, done)
        self.assertRegex(done.out, f"{self.second.name} +FAILED")
        self.assertIn(f"completed on 2 of 3 nodes; {self.second.name}: no window is open", done.out)
        self.assertNotIn("complete again", done.out)

    def test_what_is_not_answered_may_be_done(self):
        self.tool("start", "--revert-after", "1h")
        for host in self.hosts:
            self.change(host)
        for one in (self.first, self.second):
            one.meet |= {DEADLINE: lambda: False, UNDO: lambda: False}
        done = self.tool("--timeout", "3s", "extend", "2h", expected=PARTLY)
        self.assertIn("is not known", done.out)
        done = self.tool("--timeout", "3s", "undo", "old\\x200", expected=PARTLY)
        self.assertEqual(done.out.count("UNKNOWN"), 2)
        self.assertNotIn("not touched", done.out)
        self.first.meet.clear()
        done = self.tool("--timeout", "3s", "extend", "2h", expected=PARTLY)
        self.assertIn("deadline set on 1 of 2 nodes", done.out)

    def test_of_a_silent_node_it_is_not_said_what_it_has(self):
        self.tool("start")
        self.change(self.second.host)
        self.stop(self.second)
        done = self.tool("--timeout", "3s", "undo", "old\\x200", expected=REFUSED)
        self.assertNotIn("not touched", done.out)
        self.assertIn("not known on the nodes that do not tell", done.out)
        done = self.tool("--timeout", "3s", "extend", "1h", expected=PARTLY)
        self.assertRegex(done.out, f"{self.second.name} +UNKNOWN")

    def test_without_a_window_nothing_is_undone_or_extended(self):
        for command in (["undo", "akey"], ["undo", "--prefix", "a"], ["extend", "1h"]):
            done = self.tool(*command, expected=NO_WINDOW)
            self.assertIn("no node has a window open", done.out)

    def late(self, one, opcode):
        """Keeps a command for a node on its way, until what is returned is called."""
        arrive = threading.Event()
        self.addCleanup(arrive.set)
        one.meet[opcode] = lambda: arrive.wait(cluster.SECONDS)
        return arrive.set

    def test_a_complete_that_may_still_arrive_leaves_no_deadline(self):
        self.tool("start", "--revert-after", "1h")
        after = [self.change(host) for host in self.hosts]
        arrive = self.late(self.first, COMPLETE)
        done = self.tool("--timeout", "3s", "complete", expected=PARTLY)
        self.assertEqual(self.outcomes(), ["open", "open"])
        self.assertRegex(done.out, f"{self.first.name} +UNKNOWN .*COMPLETE may still arrive")
        self.assertIn("not known to be completed on any node", done.out)
        self.assertIn(f"{self.second.name}: the window stays open, without a deadline", done.out)
        self.assertEqual(self.state(self.second.host)["seconds_left"], "none")
        arrive()
        until(lambda: self.outcomes() == ["completed", "open"], what="the COMPLETE")
        self.tool("complete")
        for host, expected in zip(self.hosts, after):
            self.holds(host, expected)

    def test_a_revert_that_may_still_arrive_is_not_said_to_have_failed(self):
        self.tool("start")
        arrive = self.late(self.first, REVERT)
        done = self.tool("--timeout", "3s", "revert", expected=PARTLY)
        self.assertEqual(self.outcomes(), ["open", "reverted"])
        self.assertRegex(done.out, f"{self.first.name} +UNKNOWN .*REVERT may still arrive")
        self.assertIn("revert again", done.out)
        arrive()
        until(lambda: self.outcomes() == ["reverted", "reverted"], what="the REVERT")

    def outrun(self, opcode):
        """Somebody else's COMPLETE is on the first node before a command of ours."""
        self.tool("start", "--revert-after", "30m")
        after = [self.change(host) for host in self.hosts]
        self.first.meet[opcode] = lambda: self.once(self.send, self.first, COMPLETE)
        done = self.tool("complete")
        self.assertIn("completed on 2 nodes", done.out)
        self.assertEqual(self.outcomes(), ["completed", "completed"])
        for host, expected in zip(self.hosts, after):
            self.holds(host, expected)

    def test_a_complete_that_was_first_is_as_good_as_ours(self):
        self.outrun(COMPLETE)

    def test_a_complete_that_was_first_is_the_decision(self):
        self.outrun(DEADLINE)

    def test_a_complete_that_runs_is_waited_for(self):
        self.tool("start", "--revert-after", "30m")
        long = [wire.request(wire.SET, b"long %d" % number, wire.store_extras(), bytes(4000))
                for number in range(5_000)]
        with self.first.host.binary() as link, self.first.host.binary() as other:
            self.assertTrue(all(it.status == SUCCESS for it in link.pipeline(long)))
            self.first.meet[DEADLINE] = lambda: self.once(self.begin, other, COMPLETE)
            done = self.tool("complete")
            self.assertEqual(other.receive().status, SUCCESS)
        self.assertIn("completed on 2 nodes", done.out)
        self.assertEqual(self.outcomes(), ["completed", "completed"])

    def once(self, do, *arguments):
        """Does something when the first command comes that is met, and not again."""
        self.first.meet = {}
        do(*arguments)

    def begin(self, link, opcode):
        """Sends a command; it is at work then, or has ended."""
        link.send(wire.request(opcode))
        until(lambda: self.state(self.first.host)["state"] != "open", what="it is at work")

    def test_what_serves_nothing_is_not_said_to_be_reverted(self):
        replica = wire.struct.pack(">I", wire.REPLICA)
        new = server.Server()
        self.addCleanup(new.close)
        with new.binary() as link:
            self.assertEqual(link.call(wire.SET_VBUCKET, extras=replica).status, SUCCESS)
        # The window of one that fails in it is where its vbuckets are now.
        self.tool("start")
        self.second.host.restart()
        with self.second.host.binary() as link:
            self.addCleanup(self.serve, self.second.host)
            self.assertEqual(link.call(wire.SET_VBUCKET, extras=replica).status, SUCCESS)
        done = call(*self.arguments(), "-n", name(new), "revert")
        self.assertEqual(done.status, PARTLY, done)
        self.assertRegex(done.out, f"{self.first.name} +ok +reverted")
        for node in (self.second.name, name(new)):
            self.assertRegex(done.out, f"{node} +FAILED +no vbucket is active there: name the node")

    def serve(self, host):
        """Makes a node the owner of its vbucket again."""
        with host.binary() as link:
            extras = wire.struct.pack(">I", wire.ACTIVE)
            self.assertEqual(link.call(wire.SET_VBUCKET, extras=extras).status, SUCCESS)

    def test_a_command_that_never_left_has_not_begun(self):
        self.tool("start", "--revert-after", "1h")
        # The last connection before COMPLETE is that of the deadline.
        self.first.meet[DEADLINE] = self.first.close
        done = self.tool("complete", expected=PARTLY)
        self.assertRegex(done.out, f"{self.first.name} .*COMPLETE was not sent")
        self.assertIn("complete: not completed on any node", done.out)
        self.assertEqual(self.outcomes(), ["open", "open"])


class One(common.Nodes):
    """One node."""

    def setUp(self):
        super().setUp()
        self.between = cluster.Between(self.hosts[0])
        self.addCleanup(self.between.close)

    def arguments(self, hosts=None):
        return ["-n", self.between.name]

    def test_a_flush_is_told(self):
        self.tool("start")
        with self.hosts[0].binary() as link:
            self.assertEqual(link.call(wire.FLUSH).status, SUCCESS)
        text = self.tool("status").out
        self.assertIn("a flush_all took every key that was there", text)
        self.assertIn("delete every other one that was there (flush_all)", text)
        self.assertIn("bring every other one that was there back", text)
        self.assertIs(self.tool("status", "--json").objects()[0]["flushed"], True)
        metrics = self.tool("status", "--format", "openmetrics").out
        self.assertRegex(metrics, r"(?m)^online_update_flushed\{.*\} 1$")
        with begin(*self.arguments(), "watch") as watching:
            self.assertIn("a flush_all took every key", watching.stdout.readline())
            self.assertIn("a flush_all took every key", self.tool("revert").out)
            end(watching)
        self.holds(self.hosts[0], self.before)
        self.tool("start")
        self.assertIs(self.tool("status", "--json").objects()[0]["flushed"], False)
        with self.hosts[0].binary() as link:
            self.assertEqual(link.call(wire.FLUSH).status, SUCCESS)
        self.assertIn("a flush_all took every key", self.tool("complete").out)

    def test_a_key_of_two_vbuckets_is_undone_in_both(self):
        with self.hosts[0].binary() as link:
            extras = wire.struct.pack(">I", wire.ACTIVE)
            self.assertEqual(link.call(wire.SET_VBUCKET, extras=extras, vbucket=1).status, SUCCESS)
            self.addCleanup(self.forget, 1)
            self.tool("start")
            for vbucket in (0, 1):
                for key in (b"same", b"same and more"):
                    self.assertEqual(link.set(key, b"x", vbucket=vbucket).status, SUCCESS)
            self.assertIn("undid 2 keys", self.tool("undo", "same").out)
            for vbucket in (0, 1):
                self.assertEqual(link.get(b"same", vbucket=vbucket).status, wire.ENOENT)
                self.assertEqual(link.get(b"same and more", vbucket=vbucket).value, b"x")
        self.tool("revert")

    def forget(self, vbucket):
        """Takes a vbucket out again."""
        with self.hosts[0].binary() as link:
            link.call(REVERT)
            extras = wire.struct.pack(">I", wire.DEAD)
            link.call(wire.SET_VBUCKET, extras=extras, vbucket=vbucket)
            self.assertEqual(link.call(wire.DEL_VBUCKET, vbucket=vbucket).status, SUCCESS)

    def test_a_missed_answer_does_not_end_a_watch(self):
        self.tool("start")
        process = begin(*self.arguments(), "--timeout", "3s", "watch", "--every", "1s")

        def says(word):
            while word not in (line := process.stdout.readline()):
                self.assertNotEqual(line, "", "the program goes on")
        says("open for")
        self.hosts[0].process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.hosts[0].process.send_signal, signal.SIGCONT)
        says("no answer")
        self.hosts[0].process.send_signal(signal.SIGCONT)
        says("open for")
        self.tool("revert")
        done = end(process)
        self.assertEqual(done.status, DONE, done)
        self.assertIn("no window", done.out)

    def test_a_start_whose_record_cannot_be_written_is_refused(self):
        for path in (self.path("none/record"), self.directory):
            done = self.tool("start", "--record", path, expected=REFUSED)
            self.assertIn("no record could be kept", done.err)
            self.are("none")
        self.assertEqual(os.listdir(self.directory), [])
        done = self.tool("--json", "start", "--record", self.path("none/record"), expected=REFUSED)
        self.assertIn("no record could be kept", done.objects()[0]["text"])

    def test_a_record_is_written_over_no_other_file(self):
        for word in ("record.new", "record.1.new"):
            with open(self.path(word), "w", encoding="ascii") as file:
                file.write("of somebody else\n")
        self.tool("start", "--record", self.path("record"))
        self.assertEqual(sorted(os.listdir(self.directory)),
                         ["record", "record.1.new", "record.new"])
        with open(self.path("record.new"), encoding="ascii") as file:
            self.assertEqual(file.read(), "of somebody else\n")
        self.tool("revert", "--record", self.path("record"))

    def test_a_record_that_is_not_kept_is_told(self):
        self.between.meet[wire.START] = lambda: os.rmdir(self.path("folder"))
        for options in ([], ["--json"]):
            os.mkdir(self.path("folder"))
            done = self.tool("start", "--record", self.path("folder/record"), *options,
                             expected=PARTLY)
            self.assertIn("no record is kept", done.out)
            self.are("open")
            self.tool("revert")

    def output_to(self, path, *arguments, bytes_max=None, program=cluster.PROGRAM):
        """Runs the program with its output to a file; its exit status and what it complains."""
        def limit():
            if bytes_max is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
        with open(path, "w", encoding="ascii") as file:
            done = subprocess.run([program, *arguments], stdout=file, stderr=subprocess.PIPE,
                                  env=cluster.environment(), preexec_fn=limit, text=True,
                                  timeout=cluster.SECONDS, check=False)
        return done.returncode, done.stderr

    def test_output_that_is_cut_off_is_an_error(self):
        self.tool("start")
        for options in (["--format", "openmetrics"], ["--json"], []):
            command = [*self.arguments(), "status", *options]
            for path, most in (("/dev/full", None), (self.path("file"), 100)):
                status, said = self.output_to(path, *command, bytes_max=most)
                self.assertEqual(status, REFUSED, said)
                self.assertIn("the output: ", said)
        status, said = self.output_to("/dev/full", *self.arguments(), "diff", "--sums", "--json")
        self.assertEqual(status, REFUSED, said)
        # What was done is done; its report is lost.
        status, said = self.output_to("/dev/full", *self.arguments(), "revert")
        self.assertEqual(status, PARTLY, said)
        self.assertIn("the output: ", said)
        self.are("none")
        command = [cluster.PROGRAM, *self.arguments(), "status"]
        done = subprocess.run(["sh", "-c", '"$@" | true; exit 0', "sh", *command], check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.stderr, "", "who reads had enough")

    def test_a_report_of_a_backup_that_is_cut_off_is_an_error(self):
        file, node = self.path("backup"), ["-n", name(self.hosts[0])]
        status, said = self.output_to("/dev/full", *node, "create", file, program=backup.PROGRAM)
        self.assertEqual(status, PARTLY, said)
        for options in ([], ["--json"]):
            status, said = self.output_to("/dev/full", "verify", file, *options,
                                          program=backup.PROGRAM)
            self.assertEqual(status, REFUSED, said)
            self.assertIn("the output: ", said)

    def test_a_file_without_nodes_means_no_others(self):
        with open(self.path("nodes"), "w", encoding="ascii") as file:
            file.write("# none yet\n")
        for command in (["start"], ["status"], ["revert"]):
            done = call("--nodes-file", self.path("nodes"), *command,
                        variables={"ONLINE_UPDATE_NODES": name(self.hosts[0])})
            self.assertEqual(done.status, USAGE, done)
            self.assertIn("names no node", done.err)
        self.are("none")

    def test_a_signal_that_is_ignored_does_not_interrupt_a_run(self):
        fifo, answer = self.path("fifo"), self.path("answer")
        os.mkfifo(fifo)
        os.mkfifo(answer)
        process = begin(cluster.PROGRAM, *self.arguments(), "run", "--", "sh", "-c",
                        f"echo up > {fifo}; read word < {answer}", program="nohup")
        with listen(fifo, process) as up:
            self.assertEqual(up.read(), "up\n")
        process.send_signal(signal.SIGHUP)
        tell(answer, "go\n")
        self.assertEqual(end(process).status, DONE)
        self.assertEqual(self.state(self.hosts[0])["last_outcome"], "completed")

    @staticmethod
    def has_taken(process):
        """Whether no signal waits to be taken by a process, or it has ended."""
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            waiting = [line.split()[1] for line in status if line.startswith("ShdPnd:")]
        return process.poll() is not None or int(waiting[0], 16) == 0

    def test_a_signal_that_is_ignored_does_not_end_a_decision(self):
        self.tool("start")
        host = self.hosts[0]
        self.addCleanup(host.process.send_signal, signal.SIGCONT)
        host.process.send_signal(signal.SIGSTOP)
        process = begin(cluster.PROGRAM, *self.arguments(), "complete", program="nohup")
        self.assertIn("asking 1 node", process.stderr.readline())
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            until(lambda: self.has_taken(process), what="the signal")
        host.process.send_signal(signal.SIGCONT)
        done = end(process)
        self.assertEqual(done.status, DONE, done)


class Long(common.unittest.TestCase):
    """Values longer than what hosts take by default."""

    def test_a_long_value_is_shown_saved_and_restored(self):
        long = bytes(range(256)) * (40 << 12)
        command = f"{server.HOST} -I 64m"
        config = "max_item_size=67108864;max_size=1073741824"
        hosts = [server.Server(config, command=command) for _ in range(2)]
        for host in hosts:
            self.addCleanup(host.close)
        source, target = (["-n", name(host), "--timeout", "60s"] for host in hosts)
        self.assertEqual(call(*source, "start").status, DONE)
        with hosts[0].binary() as link:
            for key, value in ((b"long", long), (b"short", b"value")):
                self.assertEqual(link.set(key, value).status, SUCCESS)
        done = call(*source, "diff", "--values")
        self.assertEqual(done.status, DONE, done)
        self.assertIn("40.0 MiB in all", done.out)
        self.assertRegex(done.out, r"\(all\) +2 ")
        self.assertEqual(call(*source, "complete").status, DONE)
        directory = tempfile.TemporaryDirectory(prefix="backup-")
        self.addCleanup(directory.cleanup)
        file = os.path.join(directory.name, "backup")
        backup.call(*source, "create", file)
        backup.call("verify", file)
        backup.call(*target, "restore", file)
        with hosts[1].binary() as link:
            self.assertEqual(link.get(b"short").value, b"value")
            self.assertTrue(link.get(b"long").value == long)


if __name__ == "__main__":
    common.unittest.main()
