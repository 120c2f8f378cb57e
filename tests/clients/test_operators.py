"""The program `online-update` where operators disagree, nodes do not answer, and what it prints or
writes is lost."""

import os
import resource
import signal
import subprocess
import sys

import cluster
import server
import test_online_update as common
import wire
from cluster import begin, call, end, listen, name, tell
from server import until
from test_online_update import DONE, INTERRUPTED, KEYS, NO_WINDOW, PARTLY, REFUSED, USAGE
from wire import COMPLETE, REVERT, SUCCESS

DEADLINE, UNDO = 0xeb, 0xea


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

    def test_what_completed_before_these_windows_does_not_stop_a_revert(self):
        self.tool("start")
        self.tool("complete")
        # Only the second one has a window, and the first one's COMPLETE is older than that.
        self.send(self.second, wire.START)
        self.change(self.second.host)
        until(lambda: int(self.state(self.second.host)["seconds_open"]) + 2
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
        self.tool("start")
        self.change(self.second.host)
        self.stop(self.first)
        done = self.tool("--timeout", "1s", "revert", expected=PARTLY)
        self.assertRegex(done.out, f"{self.first.name} +UNKNOWN .*REVERT was not sent")
        self.assertIn("revert again", done.out)
        self.holds(self.second.host, self.before)
        self.first.host.process.send_signal(signal.SIGCONT)
        self.tool("revert")

    def test_a_deadline_that_is_not_known_is_told(self):
        self.tool("start", "--revert-after", "1h")
        self.send(self.first, COMPLETE)
        self.stop(self.second)
        done = self.tool("--timeout", "1s", "complete", expected=PARTLY)
        self.assertRegex(done.out, f"{self.second.name} +UNKNOWN .*a deadline may still revert it")
        self.assertIn(f"{self.second.name}: not known to be complete, nor to stay open", done.out)
        self.assertNotIn("without a deadline", done.out)
        self.second.host.process.send_signal(signal.SIGCONT)
        self.tool("complete")

    def test_no_window_is_said_to_be_open_that_is_lost(self):
        self.tool("start")
        # That it has completed is told by nothing but itself.
        self.send(self.first, COMPLETE)
        self.second.host.restart()
        third = server.Server()
        self.addCleanup(third.close)
        with third.binary() as link:
            self.assertEqual(link.call(wire.START).status, SUCCESS)
        done = call(*self.arguments(), "-n", name(third), "complete")
        self.assertEqual(done.status, PARTLY, done)
        self.assertRegex(done.out, f"{self.second.name} +FAILED")
        self.assertIn(f"completed on 2 of 3 nodes; {self.second.name}: no window is open", done.out)
        self.assertNotIn("complete again", done.out)

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

    def test_a_signal_that_is_ignored_does_not_end_a_decision(self):
        self.tool("start")
        host = self.hosts[0]
        self.addCleanup(host.process.send_signal, signal.SIGCONT)
        host.process.send_signal(signal.SIGSTOP)
        process = begin(cluster.PROGRAM, *self.arguments(), "complete", program="nohup")
        self.assertIn("asking 1 node", process.stderr.readline())
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
        host.process.send_signal(signal.SIGCONT)
        done = end(process)
        self.assertEqual(done.status, DONE, done)


if __name__ == "__main__":
    common.unittest.main()
