# SPDX-License-Identifier: BSD-2-Clause
"""DNS clients: one in Python that remembers every byte it sent and received, and dnsperf."""

import ipaddress
import re
import select
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

from netns import Namespace
from servers import NAMES

A, TXT, AAAA = 1, 16, 28
RD, RA, QR = 0x0100, 0x0080, 0x8000
WINDOW = 20


def question(name: str, qtype: int = A) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return labels + b"\0" + struct.pack("!HH", qtype, 1)


def query(number: int, name: str, qtype: int = A, flags: int = RD, edns: bool = False,
          opcode: int = 0) -> bytes:
    """A query in wire format; number is its DNS id."""
    extra = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0) if edns else b""
    head = struct.pack("!HHHHHH", number, flags | opcode << 11, 1, 0, 0, int(edns))
    return head + question(name, qtype) + extra


def varied_query(number: int, flags: int = RD) -> bytes:
    """One of many kinds of queries: types, cases, EDNS, names that do not exist."""
    name = f"N{number % NAMES}.exaMPLe" if number % 3 else f"n{number % NAMES}.example"
    if number % 10 == 7:
        name = f"missing{number}.example"
    return query(number, name, (A, AAAA, TXT)[number % 3], flags, edns=number % 4 == 0)


@dataclass
class Exchange:
    """A query and what came back, times in wall ns as the client saw them."""

    port: int
    sent: bytes
    before: int
    received: List[bytes] = field(default_factory=list)
    after: int = 0

    @property
    def id(self) -> int:
        return struct.unpack_from("!H", self.sent)[0]


class UdpClient:
    """One UDP socket inside a namespace, to one server."""

    def __init__(self, space: Namespace, server: str, port: int = 53,
                 source: Optional[str] = None, source_port: int = 0) -> None:
        self.family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self.socket = space.socket(self.family, socket.SOCK_DGRAM)
        if source or source_port:
            anywhere = "::" if self.family == socket.AF_INET6 else "0.0.0.0"
            self.socket.bind((source or anywhere, source_port))
        self.socket.connect((server, port))
        self.server, self.server_port = server, port
        self.address, self.port = self.socket.getsockname()[:2]
        self.address = str(ipaddress.ip_address(self.address))

    def __enter__(self) -> "UdpClient":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def ask(self, queries: List[bytes], timeout: float = 20.0) -> List[Exchange]:
        """Sends the queries, a few at a time, and returns what happened to each.

        Stops waiting `timeout` seconds after the last packet came or went.
        """
        done: Dict[int, Exchange] = {}
        waiting: List[bytes] = list(reversed(queries))
        open_ids = set()
        deadline = time.monotonic() + timeout
        while (waiting or open_ids) and time.monotonic() < deadline:
            while waiting and len(open_ids) < WINDOW:
                made = Exchange(self.port, waiting.pop(), time.time_ns())
                assert made.id not in done, "ids are distinct on one socket"
                done[made.id] = made
                open_ids.add(made.id)
                self.socket.send(made.sent)
                deadline = time.monotonic() + timeout
            if self.take(done, open_ids, 0.1):
                deadline = time.monotonic() + timeout
        return list(done.values())

    def take(self, done: Dict[int, Exchange], open_ids: set, wait: float) -> bool:
        """Receives one response into its exchange."""
        if not select.select([self.socket], [], [], wait)[0]:
            return False
        received = self.socket.recv(65535)
        exchange = done[struct.unpack_from("!H", received)[0]]
        exchange.received.append(received)
        exchange.after = time.time_ns()
        open_ids.discard(exchange.id)
        return True

    def ask_one(self, sent: bytes, timeout: float = 20.0) -> Exchange:
        return self.ask([sent], timeout)[0]

    def send(self, payload: bytes) -> None:
        """Sends a payload for which no answer is awaited."""
        self.socket.send(payload)


def ask_varied(space: Namespace, server: str, count: int = 200, port: int = 53,
               sockets: int = 4, **words) -> List[Exchange]:
    """`count` varied queries over several sockets, all answered."""
    exchanges = []
    for part in range(sockets):
        with UdpClient(space, server, port) as client:
            numbers = range(1 + part, 1 + count, sockets)
            exchanges += client.ask([varied_query(number, **words) for number in numbers])
    unanswered = [exchange.id for exchange in exchanges if not exchange.received]
    assert not unanswered, f"the server left queries unanswered: {unanswered}"
    return exchanges


def write_dnsperf_input(path: Path) -> None:
    kinds = ("A", "AAAA", "TXT")
    path.write_text("".join(f"n{n % NAMES}.example {kinds[n % 3]}\n" for n in range(1000)))


def dnsperf(space: Namespace, server: str, count: int, data: Path,
            mode: str = "udp") -> Dict[str, int]:
    """Runs dnsperf with `count` (thousands) queries; returns sent, completed, lost."""
    assert count % 1000 == 0
    done = subprocess.run(
        space.command("dnsperf", "-m", mode, "-s", server, "-d", data, "-n", count // 1000,
                      "-q", 100, "-c", 4, "-T", 1, "-t", 5, "-l", 60),
        capture_output=True, text=True, timeout=90, check=True)
    words = ("sent", "completed", "lost")
    found = {word: re.search(rf"Queries {word}:\s+(\d+)", done.stdout) for word in words}
    assert all(found.values()), done.stdout + done.stderr
    return {word: int(match.group(1)) for word, match in found.items()}


def dig(space: Namespace, *words: str) -> str:
    return subprocess.run(space.command("dig", "+tries=1", "+time=20", *words),
                          capture_output=True, text=True, timeout=60, check=True).stdout
