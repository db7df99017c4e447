# SPDX-License-Identifier: BSD-2-Clause
"""A link on which to flood: Knot at one end; at the other a client and a sender of anything.

    server namespace: srv0, 10.61.0.1 Knot, and a route to the forged sources, 10.128.0.0/9
    client namespace: cli0, 10.61.0.100, which throws away what goes to them
"""

import contextlib
import ctypes
import itertools
import multiprocessing
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterable, List

import frames
import netns
import servers
from clients import Exchange, UdpClient, query
from flood_packets import CLIENT, SERVER
from lab import UDP, by_key
from packets import MAC_A
from tap import Result, Tap, stop_balanced

SERVER_DEVICE, CLIENT_DEVICE = "srv0", "cli0"
AT_ONCE = 256    # packets handed to one system call
ASKED = 200      # legitimate queries of one port
ASKED_IN_ALL = 5000
FIRST_PORT = 20000
PATIENCE = 0.3   # s of silence after which a client goes on
FLOOD_SECONDS = 120
# Wide, for two CPUs carry the server, the flood, the client and the tap.
ANSWERED, KEPT, TRIES = 0.8, 0.4, 8
LOSSES = re.compile("ring_full|ring_broken|packet_|duplicates|dns_|reassembled_m|transit|frame_o|"
                    "queries_evicted|queries_unanswered|responses_unmatched|skipped_|evicted|"
                    "fragments_(?!reass)")
_fork = multiprocessing.get_context("fork")
_libc = ctypes.CDLL(None, use_errno=True)


class Link:
    """Two namespaces and Knot, gone with close()."""

    def __init__(self, folder: Path) -> None:
        self.stack, self.ports = contextlib.ExitStack(), itertools.count(FIRST_PORT)
        folder.mkdir()
        try:
            self.server = self.stack.enter_context(netns.Namespace())
            self.client = self.stack.enter_context(netns.Namespace())
            netns.join(self.server, SERVER_DEVICE, self.client, CLIENT_DEVICE)
            self.server.add_addresses(SERVER_DEVICE, SERVER + "/24")
            self.client.add_addresses(CLIENT_DEVICE, CLIENT + "/24")
            self.server.ip("route", "add", "10.128.0.0/9", "via", CLIENT)
            for name in ("all", SERVER_DEVICE):
                self.server.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
            knot = servers.Knot(self.server, folder / "knot", [(SERVER, 53)])
            self.stack.callback(knot.close)
            text = self.server.ip("-o", "link", "show", "dev", SERVER_DEVICE)
            mac = re.search(r"link/ether (\S+)", text).group(1)
            self.head = bytes.fromhex(mac.replace(":", "")) + MAC_A + b"\x08\x00"
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.stack.close()

    def dropped(self) -> int:
        """Packets that the link itself threw away on their way to the server."""
        text = self.client.ip("-s", "-o", "link", "show", "dev", CLIENT_DEVICE)
        return int(re.search(r"TX: .*?\\\s+\d+\s+\d+\s+\d+\s+(\d+)", text).group(1))


class Packets:
    """Packets laid out in memory for sendmmsg(2), to be sent any number of times."""

    def __init__(self, link: Link, packets: Iterable[bytes]) -> None:
        self.link = link
        whole = [link.head + packet for packet in packets]
        self.count = len(whole)
        self.bytes = ctypes.create_string_buffer(b"".join(whole))
        at = ctypes.addressof(self.bytes)
        vectors = []
        for one in whole:
            vectors.append(struct.pack("@QQ", at, len(one)))  # struct iovec
            at += len(one)
        self.vectors = ctypes.create_string_buffer(b"".join(vectors))
        at = ctypes.addressof(self.vectors)
        self.headers = ctypes.create_string_buffer(b"".join(  # struct mmsghdr, 64-bit
            struct.pack("@QIxxxxQQQQIxxxxIxxxx", 0, 0, at + 16 * number, 1, 0, 0, 0, 0)
            for number in range(self.count)))

    def send(self, rate: float) -> int:
        """All of them, evenly; rate: packets a second, 0: as fast as it goes."""
        began, done = time.monotonic(), 0
        with self.link.client.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((CLIENT_DEVICE, 0))
            while done < self.count:
                due = int((time.monotonic() - began) * rate) + 1 if rate else self.count
                if due <= done:
                    time.sleep(0.0003)
                    continue
                done += self.send_some(wire, done, min(due, self.count) - done)
        return done

    def send_some(self, wire: socket.socket, first: int, count: int) -> int:
        at = ctypes.c_void_p(ctypes.addressof(self.headers) + 64 * first)
        sent = _libc.sendmmsg(wire.fileno(), at, min(count, AT_ONCE), 0)
        if sent < 0 and ctypes.get_errno() not in (105, 11):  # ENOBUFS, EAGAIN
            raise OSError(ctypes.get_errno(), "sendmmsg")
        return max(sent, 0)


class Running:
    """A sender in a process of its own. seconds: how long it took; sent: what it returned."""

    def __init__(self, send: Callable[[], int]) -> None:
        self.sent = _fork.Value("q", -1)
        self.taken = _fork.Value("d", 0)
        self.process = _fork.Process(target=self.run, args=(send,), daemon=True)
        self.process.start()

    def run(self, send: Callable[[], int]) -> None:
        began = time.monotonic()
        sent = send()
        self.taken.value = time.monotonic() - began
        self.sent.value = sent

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def join(self) -> int:
        self.process.join(FLOOD_SECONDS)
        if self.process.is_alive():
            self.process.kill()
        assert self.process.exitcode == 0, f"the sender ended with {self.process.exitcode}"
        return self.sent.value


@dataclass
class Wave:
    """One flood as it was: what was sent, and what ordinary clients got meanwhile."""

    sent: int = 0
    dropped: int = 0
    seconds: float = 0.0
    asked: float = 0.0  # seconds in which exchanges took place
    exchanges: List[Exchange] = field(default_factory=list)

    @property
    def answered(self) -> List[Exchange]:
        return [one for one in self.exchanges if one.received]

    @property
    def rate(self) -> float:
        """Answers a second that the clients got."""
        return len(self.answered) / self.asked


def wave(link: Link, send: Callable[[], int]) -> Wave:
    """Floods once; ordinary clients ask as long as it lasts, up to ASKED_IN_ALL times."""
    found, before = Wave(), link.dropped()
    running, began = Running(send), time.monotonic()
    while not found.exchanges or (running.alive and len(found.exchanges) < ASKED_IN_ALL):
        with UdpClient(link.client, SERVER, source_port=next(link.ports)) as client:
            found.exchanges += client.ask([query(n, f"n{n}.example", flags=0)
                                           for n in range(ASKED)], timeout=PATIENCE)
    found.asked = time.monotonic() - began
    found.sent, found.seconds = running.join(), running.taken.value
    found.dropped = link.dropped() - before
    return found


def memory(tap: Tap, name: str = "VmRSS") -> int:
    """KiB of the process that reads the packets."""
    text = Path(f"/proc/{tap.process.pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", text).group(1))


def missing(path: Path, waves: List[Wave]) -> int:
    """Messages of answered exchanges that are not in the file; those that are must be right."""
    address = socket.inet_aton(CLIENT)
    ours = {(one.port, one.id): one for each in waves for one in each.exchanges}
    seen = (frames.decode(payload) for payload in frames.read_file(path) if address in payload)
    found = by_key(one for one in seen
                   if one.protocol == UDP and (one.query_port, one.id) in ours)
    for message in found.values():
        exchange = ours[message.query_port, message.id]
        if message.is_query:
            assert message.wire == exchange.sent
        elif exchange.received:  # else it came later than the client waited
            assert message.wire in exchange.received
    expected = {(*key, direction) for key, one in ours.items() if one.received
                for direction in ("query", "response")}
    return len(expected - set(found))


def losses(result: Result) -> int:
    """Messages that may be missing because the tap says so."""
    return result.ledger["ring_full"] + sum(
        value for name, value in result.sinks[0].items() if name.startswith("lost_"))


def told(result: Result) -> str:
    """Every reason that the tap gave for what it did not report whole."""
    counts = {**result.ledger, **result.fragments, **result.streams}
    for name, value in result.sinks[0].items():
        if name.startswith("lost_"):
            counts[name] = value
    return ", ".join(f"{name} {value}" for name, value in counts.items()
                     if value and (LOSSES.match(name) or name.startswith("lost_"))) or "nothing"


@dataclass
class Flooded:
    """A flood without a tap, then two under one, and what the tap made of them."""

    bare: Wave
    waves: List[Wave]
    kib: List[int]
    result: Result
    path: Path

    @property
    def sent(self) -> int:
        """Of what was sent under the tap, what it must account for one by one."""
        return sum(one.sent - one.dropped for one in self.waves) - losses(self.result)

    @property
    def answered_share(self) -> float:
        return (sum(len(one.answered) for one in self.waves)
                / sum(len(one.exchanges) for one in self.waves))

    @property
    def rate(self) -> float:
        return (sum(len(one.answered) for one in self.waves)
                / sum(one.asked for one in self.waves))

    @property
    def served(self) -> bool:
        """Whether ordinary clients got about what they get without a tap."""
        bare = len(self.bare.answered) / len(self.bare.exchanges)
        return self.answered_share >= ANSWERED * bare and self.rate >= KEPT * self.bare.rate

    def row(self, name: str) -> str:
        """One line of the table."""
        rate = sum(one.sent for one in self.waves) / sum(one.seconds for one in self.waves)
        sizes = "/".join(f"{one / 1024:.1f}" for one in self.kib)
        return (f"{name:<20} {rate:7.0f}/s  RSS {sizes:>9} MiB  answers/s {self.bare.rate:6.0f} "
                f"bare {self.rate:6.0f} tapped  {told(self.result)}")


def flood(link: Link, folder: Path, words: Iterable, send: Callable[[], int]) -> Flooded:
    """words: options of the tap. Where the clients got less under it, again, for it may be that
    others wanted the CPUs just then, or did not while there was no tap."""
    slowest = None
    for _ in range(TRIES):
        found = flood_once(link, folder, words, send)
        slowest = min(slowest or found.bare, found.bare, key=lambda bare: bare.rate)
        found.bare = slowest
        if found.served:
            break
    return found


def flood_once(link: Link, folder: Path, words: Iterable, send: Callable[[], int]) -> Flooded:
    bare, path = wave(link, send), folder / "x.fstrm"
    waves, kib = [], []
    with Tap(folder, "-i", SERVER_DEVICE, *words, f"file://{path}", "full",
             space=link.server) as tap:
        tap.wait_watching()
        for _ in range(2):
            waves.append(wave(link, send))
            kib.append(memory(tap))
        result = stop_balanced(tap)
    return Flooded(bare, waves, kib, result, path)
