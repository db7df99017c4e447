# SPDX-License-Identifier: BSD-2-Clause
"""What a tap costs that has nothing to do: CPU time and context switches a second without any DNS
packet, and its memory, at rest and after a load; by option.

All taps stand in one namespace at once, and nothing else happens there. RSS less the ring: the
mappings of perf events and BPF maps are counted by /proc/PID/smaps and taken off, for the ring is
the kernel's memory, which has its own option."""

import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

import cpu
import watchers
from certificates import Certificates
from report import Goal, Part
from scripted import Scripted, server_context
from server_cost import PLAIN, Stand
from stats import Figure
from tap import Tap

REST_SECONDS, WATCHED_SECONDS = 2.0, 5.0
LOAD_SECONDS, LOAD_RATE = 3.0, 5000
TLS_PORT = 6040
CPU_GOAL, SWITCH_GOAL, RSS_GOAL = 1.0, 0.0, 32.0
DEFAULT = "default ring, unix"


@dataclass
class Seen:
    """Of one process: CPU ns, context switches of all threads, and memory in KiB."""

    cpu_ns: int
    switches: int
    rss: int
    rings: int


def _switches(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        total += sum(int(number) for number in re.findall(r"ctxt_switches:\s+(\d+)", text))
    return total


def _ring_kib(pid: int) -> int:
    """Resident pages of mappings whose memory is the kernel's."""
    total, kernel = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            kernel = "anon_inode:" in line
        elif kernel and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def look(pid: int) -> Seen:
    rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return Seen(cpu.process_ns(pid), _switches(pid), int(rss.group(1)), _ring_kib(pid))


def variants(stand: Stand, folder: Path) -> dict[str, list]:
    """The taps' words by name."""
    there = f"unix://{stand.site.collector_socket}"
    spool = folder / "spool"
    spool.mkdir()
    return {DEFAULT: [there], "full": [there, "full"],
            **{f"{ring} ring, full": ["--ring", ring, there, "full"] for ring in watchers.RINGS},
            "all interfaces, full": [None, there, "full"],
            "spool, full": ["--spool", spool, there, "full"],
            "tls, full": ["--tls-ca", folder / "certificates" / "ca.pem",
                          f"tls://127.0.0.1:{TLS_PORT}", "full"],
            "to a file, full": [f"file://{folder}/idle.fstrm", "full"],
            "collector absent, full": [f"unix://{folder}/absent.sock", "full"]}


def start(stand: Stand, words: list) -> Tap:
    where = ["-i", stand.device] if words[0] else []
    tap = Tap(stand.folder, *where, *(word for word in words if word), space=stand.here)
    return tap.wait_watching()


def _row(name: str, before: Seen, after: Seen, loaded: Seen) -> list[str]:
    return [name, f"{(after.cpu_ns - before.cpu_ns) / 1e6 / WATCHED_SECONDS:.3f}",
            f"{(after.switches - before.switches) / WATCHED_SECONDS:.1f}",
            f"{after.rss / 1024:.1f}", f"{(after.rss - after.rings) / 1024:.1f}",
            f"{(loaded.rss - loaded.rings) / 1024:.1f}", f"{loaded.rings / 1024:.1f}"]


def goals(before: Seen, after: Seen, loaded: Seen) -> list[Goal]:
    def one(value: float) -> Figure:
        return Figure(value, value, value, 1)

    return [Goal("idle: CPU ms a second", one((after.cpu_ns - before.cpu_ns) / 1e6
                                              / WATCHED_SECONDS), CPU_GOAL, digits=3),
            Goal("idle: context switches a second", one((after.switches - before.switches)
                                                        / WATCHED_SECONDS), SWITCH_GOAL, digits=1),
            Goal("idle: RSS less the ring, after a load", one((loaded.rss - loaded.rings) / 1024),
                 RSS_GOAL, unit=" MiB", digits=1)]


def observe(stand: Stand, folder: Path, stack: contextlib.ExitStack) -> dict[str, list[Seen]]:
    """Each tap at the begin and the end of the silence, and after the load."""
    certificates = Certificates(folder / "certificates")
    stack.enter_context(Scripted(("127.0.0.1", TLS_PORT), "good", server_context(certificates),
                                 stand.here))
    taps = {name: stack.enter_context(start(stand, words))
            for name, words in variants(stand, folder).items()}
    time.sleep(REST_SECONDS)
    found = {name: [look(tap.process.pid)] for name, tap in taps.items()}
    time.sleep(WATCHED_SECONDS)
    for name, tap in taps.items():
        found[name].append(look(tap.process.pid))
    stand.load(PLAIN, LOAD_SECONDS, LOAD_RATE)
    time.sleep(0.5)
    for name, tap in taps.items():
        found[name].append(look(tap.process.pid))
        tap.stop()
    return found


def measure(folder: Path, options) -> Part:
    with Stand("knot", folder / "idle") as stand, contextlib.ExitStack() as stack:
        found = observe(stand, stand.folder, stack)
    part = Part("idle", f"{WATCHED_SECONDS:g} s without DNS; memory in MiB, then after "
                f"{LOAD_SECONDS:g} s of {LOAD_RATE:,} q/s",
                ["options", "CPU ms/s", "switches/s", "RSS", "less ring", "after load",
                 "ring in RSS"])
    part.rows = [_row(name, *seen) for name, seen in found.items()]
    part.goals = goals(*found[DEFAULT])
    part.raw = {"seen": {name: [vars(one) for one in seen] for name, seen in found.items()}}
    return part
