"""The program `engine-backup`, and what a node holds beside what it should hold."""

import os

import cluster
import server
import wire
from wire import SETQ, SUCCESS, request, store_extras

PROGRAM = os.environ.get(
    "ENGINE_BACKUP", os.path.join(os.path.dirname(server.ENGINE), "engine-backup")
)


def begin(*arguments, **options):
    """Starts the program and does not wait for it."""
    return cluster.begin(*arguments, program=PROGRAM, **options)


def call(*arguments, expected=0, **options):
    """Runs the program and checks its exit status; what it came to."""
    done = cluster.end(begin(*arguments, **options))
    assert done.status == expected, f"{arguments}: {done}"
    return done


def flags_of(key):
    """The flags that go with a key, so that a swapped word is noticed."""
    return sum(key) * 2654435761 & 0xffffffff


def fill(link, keys, value=b"%s of the first day", vbucket=0, expiry=0):
    """Writes keys with flags of their own."""
    for at in range(0, len(keys), 1000):
        part = keys[at:at + 1000]
        failed = link.pipeline([
            request(SETQ, key, store_extras(flags_of(key), expiry), value % key, vbucket=vbucket)
            for key in part
        ])
        assert not failed, failed[0]


def contents(link, keys, vbucket=0):
    """{key: (value, flags, CAS)} of those that are there."""
    found = {}
    for at in range(0, len(keys), 1000):
        part = keys[at:at + 1000]
        asked = [request(wire.GETQ, key, opaque=number, vbucket=vbucket)
                 for number, key in enumerate(part)]
        for answer in link.pipeline(asked):
            assert answer.status == SUCCESS, answer
            found[part[answer.opaque]] = (answer.value, answer.extras, answer.cas)
    return found
