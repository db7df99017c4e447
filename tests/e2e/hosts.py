# SPDX-License-Identifier: BSD-2-Clause
"""What tests of a changing host need: to change links, to ask, and to see what the tap holds."""

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, List, Set

from clients import query
from collectors import wait_until
from netns import Namespace
from tap import PATIENCE as TIMES, Tap

PATIENCE = 60.0  # seconds: a namespace is looked for every 2 s, an interface once a second


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Waits for the condition."""
    wait_until(what, condition, seconds * TIMES)


def ip_batch(space: Namespace, *lines: str) -> None:
    """Several ip(8) commands in one go, with no time between them."""
    done = subprocess.run(["ip", "-n", space.name, "-batch", "-"], input="\n".join(lines),
                          capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr


def link_index(space: Namespace, device: str) -> int:
    return json.loads(space.ip("-j", "link", "show", device))[0]["ifindex"]


def has_link(space: Namespace, device: str) -> bool:
    return any(link["ifname"] == device for link in json.loads(space.ip("-j", "link", "show")))


def watched(space: Namespace) -> List[str]:
    """The interfaces that packet sockets in the namespace are bound to, one for each socket."""
    names = {link["ifindex"]: link["ifname"]
             for link in json.loads(space.ip("-j", "link", "show"))}
    lines = space.inside(lambda: Path("/proc/thread-self/net/packet").read_text()).splitlines()
    return sorted(names.get(int(line.split()[4]), "gone") for line in lines[1:])


class Listener:
    """Port 53 of all of a namespace's addresses, answered by nobody."""

    def __init__(self, space: Namespace) -> None:
        self.socket = space.inside(self.open)

    @staticmethod
    def open() -> socket.socket:
        made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        made.bind(("::", 53))
        return made

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()


def ask(space: Namespace, address: str, name: str, number: int = 1) -> None:
    """Sends one query and waits for nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with space.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(query(number, name), (address, 53))


def sees(tap: Tap, name: str) -> int:
    """How many lines so far are about that name."""
    return tap.out.read_text(errors="replace").count(f'"{name}."')


def asked_until_seen(tap: Tap, space: Namespace, address: str, name: str) -> None:
    """Asks once more each time until the tap has seen it."""
    deadline = time.monotonic() + PATIENCE
    while not sees(tap, name):
        assert time.monotonic() < deadline, f"{name} was never seen: {tap.stderr}"
        ask(space, address, name)
        time.sleep(0.1)


def opener_of(process: subprocess.Popen) -> int:
    """The process id of the tap's one child."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    assert len(children.split()) == 1, children
    return int(children)


def is_gone(pid: int) -> bool:
    """Or has ended, and who inherited it has not noticed yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def bpf_objects(pid: int) -> Dict[str, Set[int]]:
    """The ids of the BPF programs and maps that a process holds."""
    found: Dict[str, Set[int]] = {"prog_id": set(), "map_id": set()}
    for entry in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            text = Path(f"/proc/{pid}/fdinfo/{entry}").read_text()
        except FileNotFoundError:
            continue
        for kind, number in re.findall(r"^(prog_id|map_id):\s*(\d+)", text, re.M):
            found[kind].add(int(number))
    return found


def own_kib(pid: int) -> int:
    """Resident memory without what is shared, as the rings are with the kernel."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+)", text, re.M).group(1))


def switches(pid: int) -> int:
    """How often a process has gone to sleep of itself: each wake-up ends with one."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M).group(1))


def until_at_rest(pid: int, most: int = 6, seconds: float = 1.5) -> None:
    """Until it sleeps for a while with hardly a wake-up; what it had to do may take its time."""
    def rests() -> bool:
        before = switches(pid)
        time.sleep(seconds)
        return switches(pid) - before <= most

    until(rests, "it sleeps")
