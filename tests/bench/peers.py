# SPDX-License-Identifier: BSD-2-Clause
"""Other ways to watch DNS, where install-peers has put them: dnscap and DNS-collector's two live
inputs beside Knot (part `peers`), and CoreDNS with its dnstap plugin (part `coredns`). Measured as
in server_cost.py; what is not installed is skipped and said so."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Optional

import server_cost
import servers
import watchers
from native import socket_path
from report import Part
from tap import REPOSITORY

FOLDER = Path(os.environ.get("BENCH_PEERS", REPOSITORY / "build" / "bench" / "peers"))
START_SECONDS = 1.5


def find(name: str) -> Optional[str]:
    return shutil.which(name, path=f"{FOLDER}:/usr/local/bin:/usr/bin:/usr/sbin")


class Peer(watchers.Watcher):
    """A program that watches the site's device; it has no ledger that could be trusted."""

    program = ""

    def __init__(self, site: watchers.Site) -> None:
        super().__init__(site)
        self.errors = site.folder / f"{type(self).__name__}.err"
        with open(self.errors, "wb") as err:
            self.process = subprocess.Popen(
                site.space.command(find(self.program), *self.words()), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=err)
        time.sleep(START_SECONDS)
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.program}: " + self.errors.read_text()[-2000:])

    def words(self) -> list:
        raise NotImplementedError

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def processes(self) -> dict[str, list[int]]:
        return {"tap": [self.process.pid], "collector": [self.site.collector_pid]}

    def stop(self, completed: int) -> dict:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        return {}


class Dnscap(Peer):
    """Queries and responses, as pcap to nowhere."""

    program = "dnscap"

    def words(self) -> list:
        return ["-i", self.site.device, "-s", "ir", "-w", "-", "-N"]


class DnsCollector(Peer):
    """To the same collector as the tap."""

    program, kind = "go-dnscollector", "afpacket-sniffer"

    def words(self) -> list:
        config = self.site.folder / f"{self.kind}.yml"
        config.write_text(f"""
global:
  trace:
    verbose: false
pipelines:
  - name: wire
    {self.kind}:
      port: 53
      device: {self.site.device}
    routing-policy:
      forward: [ tap ]
  - name: tap
    dnstapclient:
      transport: unix
      sock-path: {self.site.collector_socket}
""")
        return ["-config", config]


class DnsCollectorXdp(DnsCollector):
    kind = "xdp-sniffer"


class CoreDns(servers.Server):
    """Authoritative by its file plugin, on one CPU."""

    name, role = "coredns", "AUTH"
    own = ""

    def config(self, zone: list[str]) -> str:
        address, port = self.endpoints[0]
        return f"""example.:{port} {{
    bind {address}
    file {self.folder}/example.zone
    {self.own.format(socket_path(self.folder))}
}}
"""

    def command(self, config: Path) -> list:
        return ["env", "GOMAXPROCS=1", find("coredns"), "-quiet", "-conf", config]


class NativeCoreDns(CoreDns):
    own = "dnstap unix://{} full"


WATCHERS = {"dnscap": (Dnscap, "dnscap to nowhere"),
            "afpacket": (DnsCollector, "DNS-collector, AF_PACKET"),
            "xdp": (DnsCollectorXdp, "DNS-collector, XDP")}


def skipped(name: str, reason: str) -> Part:
    return Part(name, f"SKIP: {reason} (tests/bench/install-peers)", [])


def measure(folder: Path, options) -> Part:
    there = {name: one for name, one in WATCHERS.items() if find(one[0].program)}
    absent = sorted({one[0].program for one in WATCHERS.values()
                     if not find(one[0].program)})
    if not there:
        return skipped("peers", f"not installed: {', '.join(absent)}")
    watchers.ALL.update({name: one[0] for name, one in there.items()})
    watchers.LABELS.update({name: one[1] for name, one in there.items()})
    made = server_cost.measure("peers", folder, options,
                               ["none", watchers.default_tap(), *there])
    if absent:
        made.notes.append(f"SKIP: not installed: {', '.join(absent)}")
    return made


def measure_coredns(folder: Path, options) -> Part:
    if not find("coredns"):
        return skipped("coredns", "coredns is not installed")
    return server_cost.measure("coredns", folder, options,
                               ["none", watchers.default_tap(), watchers.NATIVE],
                               (CoreDns, NativeCoreDns))
