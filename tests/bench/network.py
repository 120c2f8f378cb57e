"""What is measured over TCP: engine-openloop against a host, processor time, a restart."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

import contenders
import server
import tap

OPENLOOP = f"{contenders.BUILD}/engine-openloop"
TICKS = os.sysconf("SC_CLK_TCK")
STEADY_SECONDS = 10
WAIT_SECONDS = 900
# A whole update both ways; the waits beside a command are what it is compared with. ep-engine takes
# a window back only when its flusher has reached it, so the window stays open for some seconds.
UPDATE = ("load drain begin wait=4 start wait=3 touch wait=4 revert wait=5 "
          "start wait=3 touch wait=4 complete wait=5 shrink drain wait=4 flush wait=4 end")
REPLICA = "load drain ask=connect begin wait=4 ask=restart wait=5 end"


def cpu_seconds(pid):
    """Processor time of a process since it began, of all its threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def paced(plan, pace):
    """A plan whose waits are so many times as long."""
    steps = (step.partition("=") for step in plan.split())
    return [f"wait={float(value) * pace:g}" if name == "wait" else f"{name}{equals}{value}"
            for name, equals, value in steps]


def run(address, plan, options, asked=None, **more):
    """engine-openloop with a plan; `asked` is called with what an ask names. What it measured."""
    with tempfile.TemporaryDirectory() as directory:
        words = [f"--{name.replace('_', '-')}={value}" for name, value in more.items()]
        process = subprocess.Popen(
            [OPENLOOP, f"--json={directory}/json", f"--keys={options.keys}",
             f"--window={options.window}", f"--rate={options.rate}",
             f"--value-size={options.value}", *(["--realtime"] if options.realtime else []),
             *words, f"{address[0]}:{address[1]}",
             *paced(plan, options.pace)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        try:
            for line in process.stdout:
                word, _, name = line.strip().partition(" ")
                if word == "ask":
                    asked(name)
                    process.stdin.write("done\n")
                    process.stdin.flush()
            if process.wait() != 0:
                raise RuntimeError(f"engine-openloop ended with status {process.returncode}")
        finally:
            process.kill()
            process.communicate()
        with open(f"{directory}/json", encoding="ascii") as file:
            return json.load(file)


def step(found, name):
    """The first step of a name."""
    return next(one for one in found["steps"] if one["name"] == name)


def a_second(found, name):
    """Requests a second of a bulk step."""
    one = step(found, name)
    return one["count"] / (one["end"] - one["begin"])


def seconds(found, first, last):
    """From the beginning of a step to the end of one."""
    return step(found, last)["end"] - step(found, first)["begin"]


class Memory:
    """Bytes beyond key and value, by the engine's own count (None without one) and the kernel's.
    What an empty server takes is subtracted."""

    def __init__(self, host, options):
        self.host, self.options = host, options
        self.empty = self.now()

    def now(self):
        """Both, all in all."""
        with self.host.binary() as link:
            used = link.stats().get("mem_used")
        return used and int(used), resident_bytes(self.host.process.pid)

    def per_item(self):
        """Both, for an item."""
        payload = self.options.value + 16
        return [now and (now - before) / self.options.keys - payload
                for now, before in zip(self.now(), self.empty)]


def steady(host, memory, options, figures):
    """Pipelined requests, memory, and processor time at the rate."""
    marks = []

    def asked(name):
        if name == "memory":
            figures["bytes_used"], figures["bytes_resident"] = memory.per_item()
        else:
            marks.append((time.monotonic(), cpu_seconds(host.process.pid)))

    # Memory last: what a load leaves under way, in logs and in the store, has come to rest then.
    plan = f"load drain read begin wait=1 ask=cpu wait={STEADY_SECONDS} ask=cpu ask=memory end"
    found = run(host.address, plan, options, asked)
    figures["sets_a_second"] = a_second(found, "load")
    figures["gets_a_second"] = a_second(found, "read")
    figures["load_durable_s"] = seconds(found, "load", "drain")
    (began, before), (ended, after) = marks
    figures["cpu_us"] = (after - before) / ((ended - began) * options.rate) * 1e6


def restarted(host, memory, options, figures):
    """After kill -9 of a host with a store: to the first answer, and memory."""
    host.kill()
    began = time.monotonic()
    host.start()
    with host.binary(timeout=WAIT_SECONDS) as link:
        if int(link.stats().get("curr_items", 0)) < options.keys:
            return
        link.get(b"key-%012d" % 0)
        figures["restart_s"] = time.monotonic() - began
        warmup = int(link.stats().get("ep_warmup_time", 0))
    if warmup:
        figures["warmup_a_second"] = options.keys / warmup * 1e6
    figures["bytes_used_restarted"], figures["bytes_resident_restarted"] = memory.per_item()


def update(one, options, gets):
    """The whole update of one contender, on a host of its own."""
    with contenders.host(one) as host:
        host.start()
        return run(host.address, UPDATE, options, gets=gets)


def caught_up(source, replica, marker):
    """Writes a new key, and waits until the replica has as many."""
    with source.binary() as here, replica.binary(timeout=WAIT_SECONDS) as there:
        here.set(b"~" + marker.encode(), b"")
        want = int(here.stats()["curr_items_tot"])
        server.until(lambda: int(there.stats()["curr_items_tot"]) >= want, WAIT_SECONDS, "replica")


def replica_restart(one, options):
    """A replica that has everything is stopped and started again: what clients of its master feel.
    Its host and its engine are those of its master."""
    with contextlib.ExitStack() as stack:
        # A port each that stays over the restart.
        source = stack.enter_context(contenders.host(one, port=server.free_port()))
        replica = stack.enter_context(contenders.host(one, "vb0=false", server.free_port()))
        source.start()
        replica.start()

        def asked(name):
            if name == "connect":
                pump = tap.Pump(source, replica, "-rf")
                stack.callback(pump.close)
            else:
                replica.restart(signal.SIGTERM)
            caught_up(source, replica, name)

        return run(source.address, REPLICA, options, asked)


def throughput(one, options):
    """What is one figure each."""
    figures = {}
    with contenders.host(one) as host:
        host.start()
        memory = Memory(host, options)
        steady(host, memory, options, figures)
        if "dbname" in one.config:
            restarted(host, memory, options, figures)
    return figures


def measure(one, options, attempt):
    """Everything over TCP, for one contender, once; `attempt` calls and may give None."""
    found = {"figures": attempt("throughput", throughput, one, options) or {}, "updates": {}}
    for gets in options.gets:
        found["updates"][str(gets)] = attempt(f"{gets} % gets", update, one, options, gets)
    if one.is_ours:
        found["replica"] = attempt("replica", replica_restart, one, options)
    return found


def check(found):
    """What must not be: values that are wrong, errors, lost requests. Returns texts."""
    runs = {f"{gets} % gets": run for gets, run in found["updates"].items()}
    runs["replica"] = found.get("replica")
    return [f"{label}: {run['all'][name]} {name}" for label, run in runs.items() if run
            for name in ("wrong", "failed", "lost") if run["all"][name]]
