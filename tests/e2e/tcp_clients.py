# SPDX-License-Identifier: BSD-2-Clause
"""A DNS client over TCP that reads the stream itself and remembers every byte."""

import ipaddress
import select
import socket
import struct
import time
from typing import Callable, Iterable, List, Optional

from clients import Exchange
from netns import Namespace

MSG_FASTOPEN = 0x20000000
PENDING = 60  # queries on their way at once: servers stop reading where there are many more


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


class TcpClient:
    """One connection from inside a namespace to one server."""

    def __init__(self, space: Namespace, server: str, port: int = 53,
                 opening: Optional[bytes] = None) -> None:
        """opening: bytes that go out with the SYN (TCP Fast Open)."""
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self.socket = space.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if opening is None:
            self.socket.connect((server, port))
        else:
            assert self.socket.sendto(opening, MSG_FASTOPEN, (server, port)) == len(opening)
        self.address, self.port = self.socket.getsockname()[:2]
        self.address = str(ipaddress.ip_address(self.address))
        self.buffer = bytearray()

    def __enter__(self) -> "TcpClient":
        return self

    def __exit__(self, kind, *_) -> None:
        if not kind:
            self.finish()
        self.socket.close()

    def finish(self) -> None:
        """Ends the connection and waits for the server's end: nothing is on its way then."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(1 << 20):
            pass

    def take(self) -> List[bytes]:
        """The whole messages in what has been received."""
        found, at = [], 0
        while len(self.buffer) - at >= 2:
            length = struct.unpack_from("!H", self.buffer, at)[0]
            if len(self.buffer) - at - 2 < length:
                break
            found.append(bytes(self.buffer[at + 2:at + 2 + length]))
            at += 2 + length
        del self.buffer[:at]
        return found

    def receive(self, wait: float = 60.0) -> List[bytes]:
        """Reads once, if something comes within `wait` seconds; the messages it made whole."""
        if select.select([self.socket], [], [], wait)[0]:
            read = self.socket.recv(1 << 20)
            if not read:
                raise EOFError("the server closed the connection")
            self.buffer += read
        return self.take()

    def receive_until(self, enough: Callable[[List[bytes]], bool]) -> List[bytes]:
        found: List[bytes] = []
        deadline = time.monotonic() + 60
        while not enough(found):
            assert time.monotonic() < deadline, f"only {len(found)} messages came"
            found += self.receive(1.0)
        return found

    def send(self, stream: bytes, cuts: Iterable[int] = ()) -> None:
        """Sends the bytes in as many segments as there are cuts, plus one."""
        at = 0
        for cut in [*cuts, len(stream)]:
            self.socket.sendall(stream[at:cut])
            at = cut

    def ask(self, queries: List[bytes], together: int = 1, pending: int = PENDING
            ) -> List[Exchange]:
        """Pipelines the queries, `together` in one write; returns what came back to each."""
        done, open_ids, at = {}, set(), 0
        while at < len(queries) or open_ids:
            if at < len(queries) and len(open_ids) < pending:
                part = queries[at:at + together]
                for one in part:
                    made = Exchange(self.port, one, time.time_ns())
                    assert made.id not in done, "ids are distinct on one connection"
                    done[made.id] = made
                    open_ids.add(made.id)
                self.socket.sendall(b"".join(map(framed, part)))
                at += len(part)
                if len(open_ids) < pending and at < len(queries):
                    continue
            before = len(open_ids)
            for message in self.receive():
                exchange = done[struct.unpack_from("!H", message)[0]]
                exchange.received.append(message)
                exchange.after = time.time_ns()
                open_ids.discard(exchange.id)
            assert len(open_ids) < before or self.buffer, "the server stopped answering"
        return list(done.values())
