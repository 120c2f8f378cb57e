"""collectd from Debian reads a node, and alerts are about what it reads."""

import importlib.machinery
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import yaml

import backup
import cluster
import server
import wire

MONITORING = f"{server.TOP}/docs/monitoring"
# 11 MiB of values in a window, of 100.
CONFIG = "max_size=100m"
BRIEF = f"{server.HOST} --brief-stats"


def collectd():
    """The program; Debian puts it where ordinary users do not look."""
    return shutil.which("collectd", path=os.environ["PATH"] + ":/usr/sbin")


def user():
    """As whom collectd runs the script: never as root, and only as somebody with a name."""
    try:
        return "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise unittest.SkipTest("collectd runs a script only as a user with a name") from None


def is_entered_by_all(directory):
    """Whether another user, too, gets into a directory."""
    while os.stat(directory).st_mode & stat.S_IXOTH:
        if directory == "/":
            return True
        directory = os.path.dirname(directory)
    return False


def open_directory():
    """A new directory that another user can enter."""
    places = [os.path.realpath(tempfile.gettempdir()), "/tmp", "/var/tmp"]
    place = next((place for place in places if is_entered_by_all(place)), places[0])
    directory = tempfile.mkdtemp(prefix="checkpoint-engine-", dir=place)
    os.chmod(directory, 0o755)
    return directory


# Straight to the loopback, whatever proxies the environment names.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Collector:
    """A collectd of its own: everything in a directory, on loopback."""

    def __init__(self, directory, nodes):
        self.directory = directory
        self.port = server.free_port()
        script = f"{directory}/engine_stats.py"
        shutil.copy(f"{MONITORING}/engine_stats.py", script)
        os.chmod(script, 0o644)
        with open(f"{MONITORING}/collectd.conf", encoding="ascii") as file:
            text = file.read()
        arguments = " ".join(f'"{host}:{port}"' for host, port in nodes)
        text = re.sub(r'Exec .*', f'Exec "{user()}" "/usr/bin/python3" "{script}" {arguments}',
                      text)
        text = text.replace('"11211"', f'"{nodes[0][1]}"').replace('"9103"', f'"{self.port}"')
        text = text.replace("Interval 10", f'Interval 1\nBaseDir "{directory}"\n'
                                           f'PIDFile "{directory}/pid"')
        with open(f"{directory}/collectd.conf", "w", encoding="ascii") as file:
            file.write(text)
        with open(f"{directory}/log", "wb") as log:
            self.process = subprocess.Popen(
                [collectd(), "-f", "-C", f"{directory}/collectd.conf"], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True)

    def metrics(self):
        """What Prometheus would get now: name and labels, value."""
        try:
            with DIRECT.open(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as it:
                text = it.read().decode()
        except (urllib.error.URLError, OSError):
            return {}
        found = re.findall(r"^(\w+\{[^}]*\}) ([0-9.e+-]+)", text, re.M)
        return {name: float(value) for name, value in found}

    def gauge(self, name, node=None):
        """The engine's gauge of that name; None if it is not there."""
        for key, value in self.metrics().items():
            if key.startswith("collectd_engine_gauge{") and f'type="{name}"' in key:
                if node is None or f'engine="{node}"' in key:
                    return value
        return None

    def messages(self):
        """What it has logged."""
        with open(f"{self.directory}/log", encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        """Ends it and what it has started."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Monitoring(unittest.TestCase):
    """One node, one collectd."""

    @classmethod
    def setUpClass(cls):
        user()
        cls.host = server.Server(CONFIG, command=BRIEF)
        cls.addClassCleanup(cls.host.close)
        directory = open_directory()
        cls.addClassCleanup(shutil.rmtree, directory, True)
        cls.collector = Collector(directory, [cls.host.address])
        cls.addClassCleanup(cls.collector.close)

    def until(self, condition, what):
        """Waits for what collectd says."""
        try:
            server.until(condition, 60, what)
        except TimeoutError as error:
            self.fail(f"{error}\n{self.collector.metrics()}\n{self.collector.messages()}")

    def shows(self, **gauges):
        """Whether gauges have these values; each arrives for itself."""
        return all(self.collector.gauge(name) == value for name, value in gauges.items())

    def test_the_plugin_for_memcached_reads_a_node(self):
        link = self.host.binary()
        self.addCleanup(link.close)
        for number in range(7):
            link.set(b"key %d" % number, b"value")
        items = 'collectd_memcached_memcached_items{memcached="node1",type="current",' \
                'instance="node1"}'
        self.until(lambda: self.collector.metrics().get(items, 0) >= 7, "items")
        kinds = ("memcached_octets", "memcached_bytes", 'type="used"')
        self.until(lambda: any(kind in name for name in self.collector.metrics()
                               for kind in kinds), "memory")

    def test_the_window_is_seen(self):
        link = self.host.binary()
        self.addCleanup(link.close)
        self.until(lambda: self.shows(up=1, flusher_stopped=0, window_open=0), "up")
        self.assertEqual(link.call(wire.START).status, wire.SUCCESS)
        link.set(b"in the window", b"x")
        self.until(lambda: self.shows(window_keys=1, window_open=1), "a key of the window")
        self.assertEqual(link.call(wire.REVERT).status, wire.SUCCESS)
        self.until(lambda: self.collector.gauge("window_open") == 0, "no window")

    def test_brief_statistics_fit_and_all_are_there(self):
        link = self.host.ascii()
        self.addCleanup(link.close)
        brief, everything = link.stats(), link.stats("all")
        self.assertLess(sum(len(name) + len(value) + 9 for name, value in brief.items()), 4000)
        for name in ("pid", "bytes", "curr_items", "evictions", "limit_maxbytes", "get_hits"):
            self.assertIn(name, brief)
        self.assertNotIn("ep_queue_size", brief)
        self.assertIn("ep_queue_size", everything)
        self.assertLessEqual(set(brief), set(everything))


class Look(unittest.TestCase):
    """What the script says of one node."""

    def setUp(self):
        self.host = server.Server(CONFIG)
        self.addCleanup(self.host.close)

    def look(self):
        """Its gauges."""
        return engine_stats().look("{}:{}".format(*self.host.address))

    def test_a_stream_that_comes_and_goes_is_no_replica_that_is_gone(self):
        folder = tempfile.mkdtemp(prefix="engine-backup-")
        self.addCleanup(shutil.rmtree, folder)
        with self.host.binary() as link:
            link.set(b"before", b"x")
            backup.call("create", f"{folder}/full", "--keep", "series",
                        "-n", cluster.name(self.host))
            for number in range(50):
                link.set(b"after %d" % number, b"x")
        found = self.look()
        self.assertEqual((found["streams"], found["streams_away"], found["replica_backlog"]),
                         (0, 0, 0))
        self.assertEqual(found["streams_kept"], 1)

    def test_a_replica_that_is_gone_is_seen(self):
        with self.host.binary() as link:
            link.call(wire.SET_TAP_PARAM, b"tap_keepalive", value=b"3600")
            with self.host.binary() as replica:
                replica.send(wire.tap_connect(b"replica"))
                server.until(lambda: self.look()["streams"] == 1, what="a stream")
                self.assertEqual(self.look()["streams_away"], 0)
            server.until(lambda: self.look()["streams_away"] == 1, what="it is away")

    def test_a_window_in_which_all_went_is_seen(self):
        self.assertNotEqual(self.look()["window_flushed"], 1)
        with self.host.binary() as link:
            link.call(wire.START)
            self.assertEqual(self.look()["window_flushed"], 0)
            link.call(wire.FLUSH)
        self.assertEqual(self.look()["window_flushed"], 1)

    def test_lines_that_make_no_sense_are_passed_over(self):
        lines = (b"STAT\r\nSTAT eq_tapq:a:total_backlog_size b:connected true\r\nodd\r\n"
                 b"STAT ep_diskqueue_items 7\r\nEND\r\n")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=answer_all, args=(listener, lines))
            thread.start()
            found = engine_stats().look("127.0.0.1:{}".format(listener.getsockname()[1]))
            thread.join()
        self.assertEqual((found["up"], found["queue"], found["replica_backlog"]), (1, 7, 0))


def engine_stats():
    """The script, as a module."""
    loader = importlib.machinery.SourceFileLoader("engine_stats", f"{MONITORING}/engine_stats.py")
    spec = importlib.util.spec_from_loader("engine_stats", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def answer_all(listener, lines):
    """Serves one connection: every line is answered with these."""
    with listener.accept()[0] as link, link.makefile("rb") as asked:
        for _ in asked:
            link.sendall(lines)


class Alerts(unittest.TestCase):
    """The example rules."""

    def test_alerts_are_about_what_is_collected(self):
        with open(f"{MONITORING}/alerts.yml", encoding="ascii") as file:
            rules = [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]
        with open(f"{MONITORING}/engine_stats.py", encoding="ascii") as file:
            script = file.read()
        with open(f"{server.TOP}/docs/operating.md", encoding="ascii") as file:
            headings = re.findall(r"^## (.*)$", file.read(), re.M)
        names = [rule["alert"] for rule in rules]
        self.assertEqual(len(set(names)), len(names))
        for wanted in ("WindowOpenTooLong", "WindowDeadlineNear", "MemoryFull", "FlusherFailing",
                       "ReplicaBehind"):
            self.assertIn(wanted, names)
        for rule in rules:
            gauges = re.findall(r'collectd_engine_gauge\{type="(\w+)"\}', rule["expr"])
            self.assertTrue(gauges, rule)
            for gauge in gauges:
                self.assertRegex(script, rf'["( ]{gauge}["=]', rule["alert"])
            self.assertIn("severity", rule["labels"])
            see = rule["annotations"]["see"]
            self.assertIn(see.split('"')[1], headings, rule["alert"])


if __name__ == "__main__":
    unittest.main()
