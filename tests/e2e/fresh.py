# SPDX-License-Identifier: BSD-2-Clause
"""A fresh Debian root from the mirror that this machine's apt uses, and its systemd, booted in
namespaces of its own."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import List

from collectors import wait_until
from netns import Namespace

BASE = ("systemd-sysv", "dbus", "iproute2")
MAKE_SECONDS = 300
BOOT_SECONDS = 60


def mirrors() -> List[str]:
    """Lines for sources.list: what apt here knows of Debian."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)",
         "Origin: Debian", "Identifier: Packages"], capture_output=True, text=True, timeout=30,
        check=False)
    return [f"deb {line}" for line in dict.fromkeys(done.stdout.splitlines())]


def make(folder: Path, packages: List[str]) -> None:
    """The smallest Debian of this machine's release, with these packages too."""
    lines = mirrors()
    release = re.match(r"deb \S+ ([a-z]+)", lines[0]).group(1)
    done = subprocess.run(
        ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
         f"--include={','.join([*BASE, *packages])}", release, folder, *lines],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MAKE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


class Booted(Namespace):
    """The running system; as a Namespace it is that system's network."""

    def __init__(self, root: Path) -> None:  # pylint: disable=super-init-not-called
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork",
             "--kill-child", Path(__file__).with_name("boot-root"), root],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            wait_until("there is a first process", lambda: self.children(self.process.pid))
            self.pid = self.children(self.process.pid)[0]
            self.path = f"/proc/{self.pid}/ns/net"
            wait_until("systemd runs", self.is_up, BOOT_SECONDS)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def children(pid: int) -> List[int]:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.process.stderr.read()
        done = self.run("systemctl", "is-system-running", check=False)
        return done.stdout.strip() in ("running", "degraded")

    def command(self, *words) -> list:
        return ["nsenter", f"--target={self.pid}", "--all", *(str(word) for word in words)]

    def run(self, *words, check: bool = True) -> subprocess.CompletedProcess:
        """A program inside, with its output."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(self.command(*words), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120, env=environment, check=False)
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done

    def path_of(self, path: str) -> Path:
        """A file of the system, seen from here."""
        return Path(f"/proc/{self.pid}/root{path}")

    def unit(self, name: str, *properties: str) -> dict:
        done = self.run("systemctl", "show", name, f"--property={','.join(properties)}")
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    def close(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)  # and with it, its first process and all
        self.process.wait(20)
        self.process.stderr.close()
