# SPDX-License-Identifier: BSD-2-Clause
"""Network namespaces with veth pairs between them, always removed again.

Names carry the process id of the test run, so that two runs do not meet and the leftovers of a
run that was killed are recognised and removed by the next one.
"""

import ctypes
import itertools
import os
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Callable

PREFIX = "dtb"
CLONE_NEWNET = 0x40000000
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*words: str) -> str:
    """Runs ip(8); raises with its own words when it fails."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def settle() -> None:
    """Until what this host has sent so far has arrived where it goes.

    A packet that crosses lo or a veth pair waits in a queue of the CPU that sent it, first in,
    first out; on a busy machine that may be long after sendto(2) has returned.
    """
    cpus = os.sched_getaffinity(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.bind(("127.0.0.1", 0))
        last.settimeout(20)
        try:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                last.sendto(b"", last.getsockname())
                last.recv(1)
        finally:
            os.sched_setaffinity(0, cpus)


def remove_leftovers() -> None:
    """Removes namespaces (and their /etc/netns) of runs whose process is gone."""
    names = {line.split()[0] for line in ip("netns", "list").splitlines() if line.strip()}
    if Path("/etc/netns").is_dir():
        names |= {entry.name for entry in Path("/etc/netns").iterdir()}
    for name in names:
        found = re.fullmatch(PREFIX + r"(\d+)n\d+", name)
        if found and not Path("/proc", found.group(1)).exists():
            Namespace.remove(name)


class Namespace:
    """One namespace with lo up. Close it, or use it with `with`."""

    def __init__(self) -> None:
        self.name = f"{PREFIX}{os.getpid()}n{next(_numbers)}"
        self.path = f"/run/netns/{self.name}"
        ip("netns", "add", self.name)
        try:
            self.ip("link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Namespace":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @staticmethod
    def remove(name: str) -> None:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=60, check=False)
        shutil.rmtree(Path("/etc/netns", name), ignore_errors=True)
        try:
            os.rmdir("/etc/netns")  # only when it is empty: then it was ours
        except OSError:
            pass

    def close(self) -> None:
        self.remove(self.name)

    def ip(self, *words: str) -> str:
        return ip("-n", self.name, *words)

    def command(self, *words) -> list:
        """The words that run a program inside; the process keeps its id."""
        return ["ip", "netns", "exec", self.name, *(str(word) for word in words)]

    def add_addresses(self, device: str, *addresses: str) -> None:
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            self.ip("address", "add", address, "dev", device, *nodad)

    def sysctl(self, name: str, value) -> None:
        subprocess.run(self.command("sysctl", "-qw", f"{name}={value}"), capture_output=True,
                       timeout=60, check=True)

    def set_resolver(self, resolv_conf: str, hosts: str) -> None:
        """What programs inside see as /etc/resolv.conf and /etc/hosts; gone with close()."""
        folder = Path("/etc/netns", self.name)
        folder.mkdir(parents=True)
        (folder / "resolv.conf").write_text(resolv_conf)
        (folder / "hosts").write_text(hosts)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives in the namespace, used from outside."""
        return self.inside(lambda: socket.socket(family, kind, protocol))

    def inside(self, make: Callable):
        """What make() returns when it is called inside the namespace."""
        made: list = []
        thread = threading.Thread(target=self._call, args=(made, make))
        thread.start()
        thread.join()
        if isinstance(made[0], Exception):
            raise made[0]
        return made[0]

    def _call(self, made: list, make: Callable) -> None:
        """In a thread of its own, for setns(2) is for one thread and this one ends right after."""
        try:
            with open(self.path, "rb") as handle:
                if _libc.setns(handle.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(make())
        except Exception as error:  # handed to the caller's thread
            made.append(error)


def join(left: Namespace, left_device: str, right: Namespace, right_device: str) -> None:
    """A veth pair between two namespaces, both ends up."""
    ip("link", "add", left_device, "netns", left.name, "type", "veth",
       "peer", "name", right_device, "netns", right.name)
    for space, device in ((left, left_device), (right, right_device)):
        space.ip("link", "set", device, "up")
