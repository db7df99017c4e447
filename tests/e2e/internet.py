# SPDX-License-Identifier: BSD-2-Clause
"""A small internet in network namespaces: every server beside a collector of its own dnstap and
a tap of ours.

    10.77.0.x, fd77::x, all on one switch, each host a namespace:
      1 root     Knot            10 knot   Knot, dynamic zone     20 unbound  validating resolver
      2 nsd      NSD, the TLD    11 bind   BIND, dynamic zone     21 bindres  BIND, the same
     30 dnsdist  forwards to unbound, with a cache                31 forward  Unbound, forwards
     40 to 43 all    Knot, Unbound, dnsdist and an Unbound that forwards to the first, on four
                     addresses of one host
     50 ... odd  servers that misbehave (odd_server.py)           100 client; 200 one not allowed

The taps start before the daemons and stop after them, so that whatever a daemon reports of itself
had its packets inside the tap's time.
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List

import internet_servers as servers
import internet_zones as zones
import netns
from collectors import Tool, fstrm_capture
from internet_zones import ODD, address
from tap import Result, Tap

DEVICE, BRIDGE = "eth0", "switch"
CLIENTS = (100, 200)  # the second in the half of the network that resolvers refuse
NATIVE_FLUSH_SECONDS = 3.0

# What a tap reports on or may need. Acknowledgements without data are neither.
_V4_DATA = "(ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) != 0 or tcp[13] & 7 != 0)"
_V6_DATA = "(ip6[4:2] - ((ip6[52] & 0xf0) >> 2) != 0 or ip6[53] & 7 != 0)"
PACKETS = (f"udp port 53 or (ip and tcp port 53 and {_V4_DATA}) or (ip6 and tcp port 53 and "
           f"{_V6_DATA}) or ip[6:2] & 0x1fff != 0 or ip6[6] == 44")


@dataclass
class Host:
    """A namespace with its daemons, their collectors, and our tap."""

    name: str
    numbers: List[int]
    space: netns.Namespace
    folder: Path
    daemons: list = field(default_factory=list)
    collectors: List[Tool] = field(default_factory=list)
    taps: List[Tap] = field(default_factory=list)
    counters: list = field(default_factory=list)
    result: Result = None

    @property
    def ours(self) -> Path:
        return self.folder / "ours.fstrm"

    @property
    def native(self) -> List[Path]:
        return [collector.output for collector in self.collectors]


def is_gone(pid: str) -> bool:
    """No such process, or one that is dead and only not waited for yet."""
    try:
        return Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def sweep() -> None:
    """Ends what a run left behind that was killed: the processes in its namespaces, then these."""
    for line in netns.ip("netns", "list").splitlines():
        name = line.split()[0] if line.strip() else ""
        found = re.fullmatch(netns.PREFIX + r"(\d+)n\d+", name)
        if found and is_gone(found.group(1)):
            for pid in netns.ip("netns", "pids", name).split():
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
            netns.Namespace.remove(name)


class PacketCount:
    """How many packets pass a filter on a device, by the kernel's own count of a packet socket
    that nobody reads. The filter is tcpdump's; nothing of the tap is in it."""

    ATTACH_FILTER, SOL_PACKET, STATISTICS, IGNORE_OUTGOING, ETH_P_ALL = 26, 263, 6, 23, 3

    def __init__(self, space: netns.Namespace, device: str) -> None:
        listing = subprocess.run(space.command("tcpdump", "-i", device, "-ddd", PACKETS),
                                 capture_output=True, text=True, timeout=60, check=True).stdout
        rows = [[int(word) for word in line.split()] for line in listing.splitlines()[1:]]
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
        self.socket = space.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.setsockopt(socket.SOL_SOCKET, self.ATTACH_FILTER,
                               struct.pack("HL", len(rows), ctypes.addressof(code)))
        if device == "lo":
            self.socket.setsockopt(self.SOL_PACKET, self.IGNORE_OUTGOING, 1)
        self.socket.bind((device, self.ETH_P_ALL))
        self.packets = 0

    def close(self) -> None:
        """Takes the count, those for which the socket had no room included, and ends."""
        if self.socket.fileno() >= 0:
            self.packets = struct.unpack("II", self.socket.getsockopt(
                self.SOL_PACKET, self.STATISTICS, 8))[0]
            self.socket.close()


class Internet:
    """All of it; close() removes everything but the files in `folder`."""

    def __init__(self, folder: Path, tap_words: tuple = (), count_packets: bool = False) -> None:
        sweep()
        self.folder, self.tap_words, self.count_packets = folder, tap_words, count_packets
        self.stack = contextlib.ExitStack()
        self.hosts: Dict[str, Host] = {}
        (folder / "zones").mkdir(parents=True)
        try:
            self.anchor = zones.write(folder / "zones")
            self.switch = self.stack.enter_context(netns.Namespace())
            self.switch.ip("link", "add", BRIDGE, "type", "bridge")
            self.switch.ip("link", "set", BRIDGE, "up")
            self.build()
            self.start()
        except BaseException:
            self.close()
            raise

    def host(self, name: str, *numbers: int) -> Host:
        space = self.stack.enter_context(netns.Namespace())
        port = f"p{numbers[0]}"
        netns.join(space, DEVICE, self.switch, port)
        self.switch.ip("link", "set", port, "master", BRIDGE)
        for number in numbers:
            space.add_addresses(DEVICE, self.v4(number) + "/16", address(number, 6) + "/64")
        folder = self.folder / name
        folder.mkdir()
        self.hosts[name] = Host(name, list(numbers), space, folder)
        return self.hosts[name]

    @staticmethod
    def v4(number: int) -> str:
        """Number 200 lies in the half that is refused."""
        return "10.77.128.200" if number == 200 else address(number, 4)

    def add(self, host: Host, kind: type, number: int, **words) -> None:
        folder = host.folder / f"{kind.name}{number}"
        folder.mkdir()
        host.daemons.append(kind(host.space, folder, self.folder / "zones", number, **words))

    def build(self) -> None:
        anchor = {"anchor": self.anchor}
        self.host("client", *CLIENTS)
        self.add(self.host("root", 1), servers.Knot, 1, zones=["."])
        self.add(self.host("nsd", 2), servers.Nsd, 2)
        self.add(self.host("knot", 10), servers.Knot, 10, zones=["knot.test."], other=11)
        self.add(self.host("bind", 11), servers.Bind, 11)
        self.add(self.host("odd", *ODD.values()), servers.OddServers, 50)
        self.add(self.host("unbound", 20), servers.Unbound, 20, **anchor)
        self.add(self.host("bindres", 21), servers.BindResolver, 21, **anchor)
        self.add(self.host("dnsdist", 30), servers.Dnsdist, 30,
                 upstream=[address(20, 4), address(20, 6)])
        self.add(self.host("forward", 31), servers.Unbound, 31, upstream=21, **anchor)
        together = self.host("all", 40, 41, 42, 43)
        self.add(together, servers.Knot, 40, zones=["all.test."])
        self.add(together, servers.Unbound, 41, **anchor)
        self.add(together, servers.Dnsdist, 42,
                 upstream=[address(20, 4), address(41, 6)])
        self.add(together, servers.Unbound, 43, upstream=41, **anchor)

    def start(self) -> None:
        for host in self.hosts.values():
            for daemon in host.daemons:
                if not isinstance(daemon, servers.OddServers):
                    self.watch(host, daemon)
        for host in self.hosts.values():
            for tap in host.taps:
                tap.wait_watching()
        daemons = [daemon for host in self.hosts.values() for daemon in host.daemons]
        for daemon in daemons:
            self.stack.callback(daemon.close)
            daemon.start()
        for daemon in daemons:
            daemon.wait_ready()

    def watch(self, host: Host, daemon: servers.Daemon) -> None:
        collector = fstrm_capture(host.folder / f"{daemon.name}{daemon.number}.native.fstrm",
                                  path=daemon.socket, space=host.space)
        self.stack.callback(collector.close)
        host.collectors.append(collector)
        if host.taps:
            return
        host.taps.append(Tap(host.folder, *self.tap_words, f"file://{host.ours}", "full",
                             space=host.space))
        self.stack.callback(host.taps[0].__exit__)
        if self.count_packets:
            self.count(host)

    def count(self, host: Host) -> None:
        for device in (DEVICE, "lo"):
            host.counters.append(PacketCount(host.space, device))
            self.stack.callback(host.counters[-1].close)

    def stop(self) -> Dict[str, Host]:
        """Ends daemons, then taps, then collectors, each in the way that loses nothing."""
        time.sleep(NATIVE_FLUSH_SECONDS)
        for host in self.hosts.values():
            for daemon in host.daemons:
                daemon.close()
        for host in self.hosts.values():
            for counter in host.counters:
                counter.close()
            for tap in host.taps:
                host.result = tap.stop()
            for collector in host.collectors:
                collector.close()
        return self.hosts

    def close(self) -> None:
        self.stack.close()
