"""Who is measured: the engine in the bundled host, and others that the command line names.

A peer is `NAME=HOST:ENGINE:CONFIG`. HOST is a memcached with engines, with its options if it has
any, or empty for the bundled host; in CONFIG `{dir}` stands for a fresh directory. An engine that
is built for the cookie functions of memcached.org's hosts is `NAME/memcached=...`, so that it is
run in process with that layout.
"""

import os
import shlex
from collections import namedtuple

import server

BUILD = f"{server.TOP}/c-host/build"
BUNDLED = f"{BUILD}/engine-host"
LAYOUTS = ("membase", "memcached")
OURS = (
    ("ours", "dbname={dir}/db"),
    ("undo-memory", "dbname={dir}/db;online_update_undo=memory"),
)

Contender = namedtuple("Contender", "name host engine config layout is_ours")


def parse(text):
    """A peer from its text."""
    name, equals, rest = text.partition("=")
    host, _, rest = rest.partition(":")
    engine, _, config = rest.partition(":")
    name, _, layout = name.partition("/")
    layout = layout or LAYOUTS[0]
    if not (name and equals and engine) or layout not in LAYOUTS:
        raise SystemExit(f"not NAME[/LAYOUT]=HOST:ENGINE:CONFIG: {text}")
    for path in filter(None, [host.split(" ")[0], engine]):
        if not os.path.exists(path):
            raise SystemExit(f"{text}: there is no {path}")
    is_ours = os.path.samefile(engine, server.ENGINE)
    return Contender(name, host, os.path.abspath(engine), config, layout, is_ours)


def contenders(peers):
    """Ours first, then those that a text names, separated by blanks (quoted like a shell's)."""
    found = [Contender(name, "", server.ENGINE, config, LAYOUTS[0], True)
             for name, config in OURS]
    found += [parse(word) for word in shlex.split(peers)]
    names = [one.name for one in found]
    if len(set(names)) != len(names):
        raise SystemExit(f"two contenders have one name: {' '.join(names)}")
    return found


def command(one, port="{port}"):
    """The command line of a contender's host, as server.Server takes it."""
    engine = shlex.quote(one.engine)
    if not one.host:
        layout = f" --cookie-layout={one.layout}" if one.layout != LAYOUTS[0] else ""
        return f"{shlex.quote(BUNDLED)}{layout} -E {engine} -p {port} -e {{config}}"
    user = "-u root " if os.geteuid() == 0 else ""
    return f"{one.host} {user}-l 127.0.0.1 -p {port} -U 0 -E {engine} -e {{config}}"


def host(one, more="", port="{port}"):
    """A server for a contender, not started yet."""
    made = server.Server(start=False, on_disk=False, command=command(one, port))
    made.config = ";".join(filter(None, [one.config.format(dir=made.directory), more]))
    made.dbname = os.path.join(made.directory, "db")
    return made
