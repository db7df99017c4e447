# SPDX-License-Identifier: BSD-2-Clause
"""A program: mixed DNS traffic to one server of the small internet, the same for the same seed.

    internet_load.py auth|resolver|dnsdist ADDRESS4 ADDRESS6 ZONE COUNT SEED RATE [REFUSED_SOURCE4]

Prints what it sent and got as JSON. UDP over a few sockets, each used again and again; truncated
answers are asked for again over TCP, beside connections with one or many queries. Dynamic updates
and zone transfers are internet_run.py's, by the tools people use.
"""

import ipaddress
import json
import queue
import random
import select
import socket
import struct
import sys
import threading
import time

from internet_zones import NAMES

A, NS, SOA, MX, TXT, AAAA, DNSKEY, ANY = 1, 2, 6, 15, 16, 28, 48, 255
IN, CHAOS = 1, 3
RD, CD, DO = 0x0100, 0x0010, 0x8000
STATUS, NOTIFY = 2, 4
SOCKETS, WINDOW, WAIT_SECONDS, END_SECONDS, TCP_SECONDS = 12, 200, 6, 10, 8
BADVERS_VERSION, NSID, COOKIE = 1, 3, 10


def wire_name(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def edns(size: int, flags: int = 0, version: int = 0, options: bytes = b"") -> bytes:
    return b"\0" + struct.pack("!HHBBHH", 41, size, 0, version, flags, len(options)) + options


class Mix:
    """Queries in wire format without their id, drawn by weight."""

    def __init__(self, kind: str, zone: str, rng: random.Random) -> None:
        self.zone, self.rng = zone, rng
        table = {"auth": self.auth(), "resolver": self.resolver(),
                 "dnsdist": self.resolver() + self.dnsdist()}[kind]
        self.makers = [maker for _, maker in table]
        self.weights = [weight for weight, _ in table]
        self.rd = kind != "auth"

    def next(self) -> bytes:
        return self.rng.choices(self.makers, self.weights)[0]()

    def case(self, name: str) -> str:
        if self.rng.random() < 0.5:
            return name
        return "".join(self.rng.choice((c.lower(), c.upper())) for c in name)

    def query(self, name: str, kind: int = A, extra: bytes = None, opcode: int = 0,
              cls: int = IN, flags: int = None) -> bytes:
        if flags is None:
            usual = RD if self.rd else 0
            flags = usual ^ RD if self.rng.random() < 0.05 else usual
        if extra is None:
            extra = self.rng.choice((b"", edns(1232), edns(512), edns(1232, DO), edns(4096, DO)))
        head = struct.pack("!HHHHH", flags | opcode << 11, 1, 0, 0, int(bool(extra)))
        return head + wire_name(self.case(name)) + struct.pack("!HH", kind, cls) + extra

    def any_name(self, zone: str = "") -> str:
        return f"n{self.rng.randrange(NAMES)}.{zone or self.zone}"

    def known(self, zone: str = "") -> bytes:
        return self.query(self.any_name(zone), self.rng.choice((A, A, AAAA, TXT)))

    def random_label(self) -> str:
        return f"x{self.rng.getrandbits(40):x}"

    def options(self) -> bytes:
        cookie = struct.pack("!HH", COOKIE, 8) + self.rng.randbytes(8)
        return self.rng.choice((cookie, struct.pack("!HH", NSID, 0)))

    def malformed(self) -> bytes:
        """Queries to which a server says FORMERR, if anything."""
        whole = self.known()
        return self.rng.choice((whole[:2] + b"\0\0" + whole[4:10], whole[:20],
                                whole[:2] + b"\0\2" + whole[4:], whole[:10] + b"\xff" * 9))

    def common(self) -> list:
        rng = self.rng
        return [
            (2, lambda: self.query("version.bind", TXT, cls=CHAOS)),
            (1, lambda: self.query("id.server", TXT, cls=CHAOS)),
            (1, lambda: self.query(self.any_name(), opcode=STATUS)),
            (1, lambda: self.query(self.any_name(), extra=edns(1232, 0, BADVERS_VERSION))),
            (3, lambda: self.query(self.any_name(), extra=edns(1232, 0, 0, self.options()))),
            (1, self.malformed),
            (2, lambda: self.query("big." + self.zone, TXT, rng.choice((b"", edns(1232))))),
            (1, lambda: self.query("big." + self.zone, TXT, edns(4096))),
            (0.3, lambda: self.query("huge." + self.zone, TXT)),
        ]

    def auth(self) -> list:
        zone, rng = self.zone, self.rng
        return self.common() + [
            (50, self.known),
            (10, lambda: self.query(f"{self.random_label()}.{zone}")),
            (5, lambda: self.query(f"{self.random_label()}.w.{zone}")),
            (5, lambda: self.query(f"c{rng.randrange(NAMES)}.{zone}")),
            (3, lambda: self.query(f"{self.random_label()}.sub.{zone}")),
            (4, lambda: self.query(zone, rng.choice((SOA, NS, MX, DNSKEY, ANY)))),
            (3, lambda: self.query(f"{self.random_label()}.elsewhere.example")),
            (1, lambda: self.query(zone, SOA, b"", NOTIFY)),
            (0.3, lambda: struct.pack("!H", 0x8400) + self.known()[2:]),
        ]

    def resolver(self) -> list:
        zones = ("knot.test", "bind.test", "nsd.test", "all.test", "dyn.bind.test")
        faults = ("lame", "slow", "old", "half", "lower", "late", "dead")
        rng = self.rng
        return self.common() + [
            (40, lambda: self.known(rng.choice(zones))),
            (15, lambda: self.query(f"{self.random_label()}.w.{rng.choice(zones)}")),
            (8, lambda: self.query(f"{self.random_label()}.{rng.choice(zones)}")),
            (5, lambda: self.query(f"c{rng.randrange(NAMES)}.{rng.choice(zones)}")),
            (2, lambda: self.query(self.any_name("bogus.test"))),
            (2, lambda: self.query(self.any_name("bogus.test"), flags=RD | CD)),
            (1, lambda: self.query("here.local.test")),
            (1.5, lambda: self.query(f"n{rng.randrange(8)}.{rng.choice(faults)}.test")),
        ]

    def dnsdist(self) -> list:
        return [(2, lambda: self.query("spoofed.test")), (2, lambda: self.query("refused.test")),
                (0.3, lambda: self.query("dropped.test"))]


class Tcp(threading.Thread):
    """Connections one after another: lists of queries, written at once or in pieces."""

    def __init__(self, addresses: list, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self.addresses, self.rng = addresses, rng
        self.work: queue.Queue = queue.Queue()
        self.sent = self.received = self.connections = self.failed = 0

    def run(self) -> None:
        while True:
            queries = self.work.get()
            if queries is None:
                return
            try:
                self.connection(queries)
            except OSError:
                self.failed += 1

    def connection(self, queries: list) -> None:
        self.connections += 1
        stream = b"".join(struct.pack("!H", len(one)) + one for one in queries)
        with socket.create_connection((self.rng.choice(self.addresses), 53), TCP_SECONDS) as link:
            at = self.rng.randrange(1, len(stream)) if self.rng.random() < 0.2 else len(stream)
            link.sendall(stream[:at])
            if stream[at:]:
                time.sleep(0.002)  # so that the rest is a segment of its own
                link.sendall(stream[at:])
            self.sent += len(queries)
            with link.makefile("rb") as answers:
                for _ in queries:
                    length = answers.read(2)
                    if len(length) < 2:
                        return
                    answers.read(struct.unpack("!H", length)[0])
                    self.received += 1


class Load:
    def __init__(self, kind: str, v4: str, v6: str, zone: str, count: int, seed: int, rate: float,
                 refused: str = "") -> None:
        self.rng = random.Random(seed)
        self.mix = Mix(kind, zone, self.rng)
        self.count, self.rate = count, rate
        self.sockets = [self.open(v6 if number % 3 == 0 else v4) for number in range(SOCKETS)]
        if refused:
            self.sockets.append(self.open(v4, refused))
        self.poll = select.epoll()
        self.by_fd = {one.fileno(): one for one in self.sockets}
        for fd in self.by_fd:
            self.poll.register(fd, select.EPOLLIN)
        self.tcp = [Tcp([v4, v6], random.Random(seed + 1 + number)) for number in range(2)]
        self.open_queries: dict = {}
        self.sent = self.received = self.retried = self.truncated = self.expired = 0

    @staticmethod
    def open(server: str, source: str = "") -> socket.socket:
        version = ipaddress.ip_address(server).version
        one = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        if source:
            one.bind((source, 0))
        one.connect((server, 53))
        one.setblocking(False)
        return one

    def run(self) -> dict:
        for one in self.tcp:
            one.start()
        start = time.monotonic()
        while self.total < self.count:
            due = (time.monotonic() - start) * self.rate
            while self.total < min(due, self.count) and len(self.open_queries) < WINDOW:
                self.send_next()
            self.receive(0.001)
        self.finish()
        return {"udp_sent": self.sent, "udp_received": self.received, "retried": self.retried,
                "truncated": self.truncated, "unanswered": self.expired + len(self.open_queries),
                **{"tcp_" + name: sum(getattr(one, name) for one in self.tcp)
                   for name in ("sent", "received", "connections", "failed")}}

    @property
    def total(self) -> int:
        return self.sent + sum(one.sent for one in self.tcp)

    def finish(self) -> None:
        for one in self.tcp:
            one.work.put(None)
        end = time.monotonic() + END_SECONDS
        while (self.open_queries or any(one.is_alive() for one in self.tcp)) \
                and time.monotonic() < end:
            self.receive(0.05)

    def send_next(self) -> None:
        draw = self.rng.random()
        if draw < 0.01:
            self.tcp[0].work.put([self.with_id(self.mix.next())
                                  for _ in range(self.rng.choice((1, 1, 2, 5, 20)))])
            self.sent_later()
        elif draw < 0.03:  # one port, one id, again for another question
            self.send(self.sockets[0], struct.pack("!H", 4711) + self.mix.next())
        elif draw < 0.04:  # the client tries again before it can have an answer
            query = self.with_id(self.mix.next())
            one = self.rng.choice(self.sockets)
            self.send(one, query)
            self.send(one, query)
            self.retried += 1
        else:
            self.send(self.rng.choice(self.sockets), self.with_id(self.mix.next()))

    def sent_later(self) -> None:
        """Lets a connection's queries be sent before the next draw when many wait."""
        while self.tcp[0].work.qsize() > 20:
            self.receive(0.005)

    def with_id(self, query: bytes) -> bytes:
        return struct.pack("!H", self.rng.getrandbits(16)) + query

    def send(self, one: socket.socket, query: bytes) -> None:
        try:
            one.send(query)
        except OSError:
            return
        self.sent += 1
        if not query[2] & 0x80:
            self.open_queries[one.fileno(), query[:2]] = (time.monotonic() + WAIT_SECONDS, query)

    def receive(self, wait: float) -> None:
        for fd, _ in self.poll.poll(wait):
            try:
                while True:
                    self.take(fd, self.by_fd[fd].recv(65535))
            except OSError:
                pass
        now = time.monotonic()
        while self.open_queries:
            key, (deadline, _) = next(iter(self.open_queries.items()))
            if deadline > now:
                break
            del self.open_queries[key]
            self.expired += 1

    def take(self, fd: int, response: bytes) -> None:
        self.received += 1
        _, query = self.open_queries.pop((fd, response[:2]), (0, b""))
        if query and len(response) > 3 and response[2] & 0x02:
            self.truncated += 1
            self.tcp[1].work.put([query])


def main(words: list) -> None:
    kind, v4, v6, zone, count, seed, rate = words[:7]
    load = Load(kind, v4, v6, zone, int(count), int(seed), float(rate), *words[7:])
    print(json.dumps(load.run()))


if __name__ == "__main__":
    main(sys.argv[1:])
