# SPDX-License-Identifier: BSD-2-Clause
"""The commands of the README's first lines, as a person runs them."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from collectors import wait_until
from tap import REPOSITORY, binary, unprivileged
from test_packages import TOOLS


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, command):
        self.output = b""
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            for name in TOOLS:
                os.environ.pop(name, None)
            os.execvp(command[0], [str(word) for word in command])

    def reads(self, text):
        """Whether that text has come; False too while nothing comes."""
        if select.select([self.terminal], [], [], 0.05)[0]:
            try:
                self.output += os.read(self.terminal, 65536)
            except OSError:  # its last process has closed it
                return True
        return text in self.output

    def type(self, keys):
        os.write(self.terminal, keys)

    def wait(self):
        wait_until("it ends", lambda: self.reads(b"\0"))
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.needs("root", "namespaces", "bpf")
def test_run_ends_well_with_ctrl_c(spaces):
    """Status 0, the ledger, and no complaint of make's; Ctrl-Z cannot leave it behind stopped."""
    terminal = Terminal(spaces().command("make", "-C", REPOSITORY, f"BUILD={binary().parent}", "run"))
    wait_until("it watches", lambda: terminal.reads(b"try in another terminal"), 60)
    time.sleep(0.2)
    terminal.type(b"\x1a")
    time.sleep(0.2)
    terminal.type(b"\x03")
    assert terminal.wait() == 0, terminal.output.decode()
    assert b"balanced: every packet is accounted for" in terminal.output
    assert b"***" not in terminal.output


def test_run_wants_root(folder):
    """In one line, before anything is built."""
    for name in ("Makefile", "scripts"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, folder / name)
    done = subprocess.run(unprivileged(["make", "-s", "-C", str(folder), "run"]), text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 2 and "sudo make run" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_version_leaves_the_index_alone(folder):
    """Or it would belong to root after `sudo make`, and `git add` would fail."""
    def run(*words):
        return subprocess.run([str(word) for word in words], cwd=folder, text=True, timeout=60,
                              capture_output=True, check=True).stdout.strip()

    (folder / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts" / "version", folder / "scripts")
    run("git", "init", "-q")
    run("git", "add", ".")
    run("git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    time.sleep(0.01)
    (folder / "scripts" / "version").touch()
    before = (folder / ".git" / "index").stat()
    commit = run("git", "rev-parse", "--short", "HEAD")
    assert run("scripts/version", "1.2") == f"1.2-g{commit}"
    after = (folder / ".git" / "index").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    with open(folder / "scripts" / "version", "a", encoding="utf-8") as script:
        script.write("# changed\n")
    assert run("scripts/version", "1.2") == f"1.2-g{commit}-dirty"
    run("git", "tag", "v3.0")
    assert run("scripts/version", "1.2") == "3.0-dirty"
