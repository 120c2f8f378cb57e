"""Debian packages: `make deb`, clean under lintian, installed into a directory and removed again.

dpkg is told to take a directory for the system (--root) and to run the maintainer scripts outside
of it, which then are told the directory: nothing of the machine changes.
"""

import glob
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import server
import wire

PACKAGES = ["checkpoint-engine", "checkpoint-engine-dev", "checkpoint-engine-tools"]
BUILT = os.path.join(server.TOP, "target", "deb")
ENVIRONMENT = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def run(*words, environment=None, **options):
    """Runs a command that has to succeed; returns what it printed."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, errors="replace", check=False, timeout=600, env=environment or ENVIRONMENT,
        **options)
    assert done.returncode == 0, f"{shlex.join(words)}: status {done.returncode}\n{done.stdout}"
    return done.stdout


class Packages(unittest.TestCase):
    """All packages, built once."""

    @classmethod
    def setUpClass(cls):
        for path in glob.glob(f"{BUILT}/*.deb"):
            os.unlink(path)
        run("make", "--no-print-directory", "deb", cwd=server.TOP)
        files = {os.path.basename(path).split("_")[0]: path for path in glob.glob(f"{BUILT}/*.deb")}
        cls.names, cls.files = sorted(files), list(files.values())

    def test_lintian_has_nothing_to_say(self):
        self.assertEqual(self.names, PACKAGES)
        self.assertEqual(run("lintian", "--allow-root", "--fail-on", "error,warning", "--quiet",
                             "--tag-display-limit=0", *self.files).strip(), "")

    def test_building_leaves_nothing_behind(self):
        left = [name for name in os.listdir(f"{server.TOP}/debian")
                if name.startswith("checkpoint-engine") and name.count(".") != 1
                or name in ("tmp", "files", ".debhelper", "debhelper-build-stamp")]
        self.assertEqual(left, [])

    def test_installed_run_and_removed(self):
        root = tempfile.mkdtemp(prefix="checkpoint-engine-root-")
        self.addCleanup(shutil.rmtree, root, True)
        for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"):
            os.makedirs(f"{root}/{folder}")
        with open(f"{root}/var/lib/dpkg/status", "w", encoding="ascii"):
            pass
        dpkg = ["dpkg", f"--root={root}", "--force-script-chrootless", "--force-not-root",
                "--force-depends"]
        run(*dpkg, "-i", *self.files)
        with open(f"{root}/etc/passwd", encoding="ascii") as file:
            self.assertRegex(file.read(), "(?m)^checkpoint-engine:.*:/var/lib/checkpoint-engine:")
        self.assertTrue(os.path.lexists(
            f"{root}/etc/systemd/system/multi-user.target.wants/checkpoint-engine.service"))
        for path in ("usr/include/checkpoint_engine.h", "usr/share/man/man8/engine-host.8.gz",
                     "usr/share/man/man1/engine-replicate.1.gz",
                     "usr/share/man/man1/online-update.1.gz", "usr/bin/mbadm-online-update",
                     "usr/share/bash-completion/completions/online-update",
                     "usr/bin/engine-backup", "usr/share/man/man1/engine-backup.1.gz",
                     "usr/share/bash-completion/completions/engine-backup"):
            self.assertTrue(os.path.exists(f"{root}/{path}"), path)
        self.serve(root)
        run(*dpkg, "-P", *PACKAGES)
        # The user stays, and so does the data.
        kept = ("/var/lib/dpkg/", "/var/lib/checkpoint-engine/", "/passwd", "/group", "/shadow",
                "/gshadow")
        left = [path for path in glob.glob(f"{root}/**", recursive=True)
                if os.path.isfile(path) and not any(it in path for it in kept)]
        self.assertEqual(left, [])

    def serve(self, root):
        """Runs what the unit runs, and decides an update on it."""
        # Which of the two it is depends on the release of Debian.
        units = [f"{root}/{folder}/systemd/system/checkpoint-engine.service"
                 for folder in ("lib", "usr/lib")]
        unit = next(filter(os.path.exists, units))
        with open(unit, encoding="ascii") as file:
            command = re.search(r"^ExecStart=(.*)$", file.read(), re.M)[1]
        with open(f"{root}/etc/default/checkpoint-engine", encoding="ascii") as file:
            variables = dict(re.findall(r'^(\w+)="(.*)"$', file.read(), re.M))
        command = command.replace("${CONFIG}", variables["CONFIG"])
        command = command.replace("$OPTIONS", variables["OPTIONS"]).replace("-p 11211", "-p 0")
        os.makedirs(f"{root}/var/lib/checkpoint-engine")
        command = command.replace("dbname=/", f"dbname={root}/").replace("/usr/", f"{root}/usr/")
        # The unit's text is split at blanks only; a shell would see the semicolon.
        with server.Server(command=shlex.join(command.split(" ")), on_disk=False) as host:
            node = "{}:{}".format(*host.address)
            with host.binary() as link:
                self.assertEqual(link.set(b"key", b"old").status, wire.SUCCESS)
                tool = f"{root}/usr/bin/mbadm-online-update"
                run(tool, node, "start")
                link.set(b"key", b"new")
                run(tool, node, "revert")
                self.assertEqual(link.get(b"key").value, b"old")
            self.assertEqual(host.stop(), 0, host.messages())


if __name__ == "__main__":
    unittest.main()
