# SPDX-License-Identifier: BSD-2-Clause
"""CPU time: of processes with all their threads, in ns, and of the machine.

A process's time is the sum of /proc/PID/task/*/schedstat, which counts in ns what utime and stime
count in ticks; interrupts that come while it runs are in it, and so is what the kernel does for a
packet in the sender's context. The machine's busy time is what /proc/stat counts, in ticks. The
difference of the two is what other processes took.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count() or 1
LOOK_SECONDS = 0.2


def _of_task(folder: Path) -> tuple[int, list[int]]:
    """Its CPU time and its child processes; nothing where it has ended."""
    def words(name: str) -> list[int]:
        try:
            return [int(word) for word in (folder / name).read_text().split()]
        except OSError:
            return []

    return sum(words("schedstat")[:1]), words("children")


def process_ns(pid: int) -> int:
    """Of a process, its threads and the processes it started, as far as they still run."""
    total = 0
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return 0
    for folder in tasks:
        ran, children = _of_task(folder)
        total += ran + sum(process_ns(child) for child in children)
    return total


def threads_ns(pid: int) -> dict[int, int]:
    """Of each thread that a process has now, by its id."""
    return {int(folder.name): _of_task(folder)[0] for folder in Path(f"/proc/{pid}/task").iterdir()}


def softirq_threads() -> list[int]:
    """The kernel's threads that take over packets when there are too many of them."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().startswith("ksoftirqd"):
                found.append(int(comm.parent.name))
        except OSError:
            pass
    return found


def machine_busy_ns() -> int:
    """User, nice, system, irq and softirq of all CPUs. Not idle, iowait, nor what was stolen."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(int(words[place]) for place in (0, 1, 2, 5, 6)) * TICK_NS


def stolen_ns() -> int:
    """What the hypervisor gave to somebody else."""
    return int(Path("/proc/stat").read_text().splitlines()[0].split()[8]) * TICK_NS


def others() -> float:
    """CPUs that anybody but this program holds now."""
    before = snapshot({})
    time.sleep(LOOK_SECONDS)
    return spent(before, snapshot({})).foreign()


class Patience:
    """Waits until others hold less than `most` CPUs, all in all no longer than `seconds`."""

    def __init__(self, most: float, seconds: float) -> None:
        self.most, self.left = most, seconds

    def wait(self) -> None:
        start = time.monotonic()
        while self.left > time.monotonic() - start and others() > self.most:
            pass
        self.left -= time.monotonic() - start


def load_average() -> list[float]:
    return [round(number, 2) for number in os.getloadavg()]


@dataclass
class Snapshot:
    """One moment: CPU time by part (server, tap, ...), of the machine, and of this program."""

    at: int
    parts: dict[str, int]
    busy: int
    stolen: int
    own: int


def snapshot(parts: dict[str, Iterable[int]]) -> Snapshot:
    return Snapshot(time.monotonic_ns(),
                    {name: sum(map(process_ns, pids)) for name, pids in parts.items()},
                    machine_busy_ns(), stolen_ns(), time.process_time_ns())


@dataclass
class Spent:
    """What was spent between two snapshots, in ns."""

    elapsed: int
    parts: dict[str, int]
    busy: int
    stolen: int
    own: int

    def foreign(self, more: int = 0) -> float:
        """CPUs that others held, hypervisor included; more: ns of processes that have ended."""
        rest = self.busy + self.stolen - sum(self.parts.values()) - self.own - more
        return max(0.0, rest / self.elapsed)


def spent(before: Snapshot, after: Snapshot) -> Spent:
    return Spent(after.at - before.at,
                 {name: after.parts[name] - before.parts[name] for name in before.parts},
                 after.busy - before.busy, after.stolen - before.stolen, after.own - before.own)
