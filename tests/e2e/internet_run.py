# SPDX-License-Identifier: BSD-2-Clause
"""Runs the mixed traffic through the small internet and compares each host's streams."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

import compare
from internet import Host, Internet
from daemons import Child
from internet_zones import address

LOAD_SECONDS = 1200
UPDATES = 15
SEED = 20140101

# What goes to whom: kind of mix, zone, share of the messages.
LOADS = {10: ("auth", "knot.test", 1.0), 11: ("auth", "bind.test", 0.5),
         2: ("auth", "nsd.test", 0.2), 20: ("resolver", "knot.test", 0.7),
         21: ("resolver", "bind.test", 0.3), 30: ("dnsdist", "nsd.test", 1.0),
         31: ("resolver", "knot.test", 0.3), 40: ("auth", "all.test", 0.1),
         41: ("resolver", "all.test", 0.1), 42: ("dnsdist", "all.test", 0.1),
         43: ("resolver", "all.test", 0.1)}


@dataclass
class Compared:
    """A host after the run."""

    host: Host
    native: List[compare.One]
    ours: List[compare.One]
    report: compare.Report

    @property
    def counted(self) -> int:
        """Packets that the kernel counted beside the tap; 0 when it was not asked to."""
        return sum(counter.packets for counter in self.host.counters)


def nsupdate(internet: Internet, number: int, zone: str) -> None:
    lines = [f"server {address(number, 4)}", f"zone {zone}"]
    for count in range(UPDATES):
        lines += [f"update add u{count}.{zone} 60 A 192.0.2.{count}", "send"]
    lines += [f"prereq yxdomain none.{zone}", f"update delete u0.{zone}", "send"]
    subprocess.run(internet.hosts["client"].space.command("nsupdate", *["-v"] * (number == 11)),
                   input="\n".join(lines) + "\n", text=True, capture_output=True, timeout=60,
                   check=False)  # the last update fails by design


def dig(internet: Internet, *words: str) -> None:
    subprocess.run(internet.hosts["client"].space.command("dig", "+tries=1", "+time=5", *words),
                   capture_output=True, timeout=60, check=False)


def transfers(internet: Internet) -> None:
    """Whole and incremental transfers of each authoritative server, also over IPv6 and refused."""
    for number, zone in ((10, "knot.test"), (11, "dyn.bind.test"), (2, "nsd.test")):
        for words in ((zone, "AXFR"), (zone, "IXFR=1"), ("elsewhere.example", "AXFR"),
                      (zone, "IXFR=1", "+notcp")):
            for family in (4, 6):
                dig(internet, f"@{address(number, family)}", *words)


def load(internet: Internet, messages: int, rate: float) -> Dict[int, dict]:
    """All loads at once, and updates and transfers beside them; returns what each load counted.

    messages: at each of the four servers, queries and responses.
    """
    program = Path(__file__).with_name("internet_load.py")
    client = internet.hosts["client"]
    running = {}
    for number, (kind, zone, share) in LOADS.items():
        count = max(100, round(messages * share / 2))
        refused = ["10.77.128.200"] if kind == "resolver" else []
        log = client.folder / f"load{number}"
        running[number] = Child(
            ["/usr/bin/python3", "-B", program, kind, address(number, 4), address(number, 6), zone,
             count, SEED + number, max(20.0, rate * share), *refused], log, client.space)
        internet.stack.callback(running[number].close)
    nsupdate(internet, 10, "knot.test")
    nsupdate(internet, 11, "dyn.bind.test")
    transfers(internet)
    counted = {}
    for number, child in running.items():
        status = child.process.wait(LOAD_SECONDS)
        text = child.log.read_text()
        assert status == 0, f"load {number}: {text}"
        counted[number] = json.loads(text.splitlines()[-1])
    return counted


def compare_hosts(hosts: Dict[str, Host]) -> Dict[str, Compared]:
    made = {}
    for name, host in hosts.items():
        if host.taps:
            native = [one for path in host.native for one in compare.read(path)]
            ours = compare.read(host.ours)
            made[name] = Compared(host, native, ours, compare.compare(native, ours))
    return made


def text_of(compared: Dict[str, Compared]) -> str:
    """The figures of a run: a table of hosts, then each host's report."""
    lines = [f"{'host':9}{'native':>9}{'ours':>9}{'matched':>9}{'in ours':>9}{'only ours':>10}"
             f"{'lost by native':>15}{'matched':>9}{'counted':>9}{'ours lost':>10}"]
    for name, one in compared.items():
        ledger, matched = one.host.result.ledger, one.report.total("matched")
        lost = ledger["ring_full"] + sum(sink["offered"] - sink["confirmed"]
                                         for sink in one.host.result.sinks)
        in_ours = one.report.in_ours / max(1, len(one.native))
        lines.append(
            f"{name:9}{len(one.native):>9}{len(one.ours):>9}{matched:>9}{in_ours:>9.3%}"
            f"{one.report.total('only ours'):>10}{one.report.classes['native-lost']:>15}"
            f"{ledger['matched']:>9}{one.counted:>9}{lost:>10}")
    for name, one in compared.items():
        lines += ["", f"== {name}", compare.text_of(one.report)]
    return "\n".join(lines)
