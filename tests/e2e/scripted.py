# SPDX-License-Identifier: BSD-2-Clause
"""A collector that misbehaves as it is told, on unix, tcp and tls; and a load for the tap."""

import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import Optional

import frames
from clients import query
from collectors import Collector
from netns import Namespace

BATCH = 50
ESCAPE = struct.pack("!I", 0)


def server_context(certificates, name: str = "good", client_ca: str = "") -> ssl.SSLContext:
    """A TLS server's side; client_ca: it wants a certificate of that CA's from the tap."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path(name + ".pem"), certificates.path(name + ".key"))
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates.path(client_ca + ".pem"))
    return context


class Scripted(Collector):
    """manner: good or one of MANNERS; each is a method."""

    MANNERS = ("never_accepts", "never_reads", "never_finishes", "rubbish", "huge_control",
               "closes_in_frame", "closes_at_once")

    def __init__(self, where, manner: str = "good", tls: Optional[ssl.SSLContext] = None,
                 space: Optional[Namespace] = None, after: int = 100) -> None:
        """after: frames on a connection after which closes_in_frame closes."""
        self.manner, self.tls, self.after = getattr(self, manner), tls, after
        self.names = []  # of the certificates that the taps showed
        self.ending = threading.Event()
        super().__init__(where, space)

    def close(self) -> None:
        self.ending.set()
        super().close()

    def serve(self, connection: socket.socket) -> None:
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self.connections.append(connection)
                self.names.append(connection.getpeercert() if connection.getpeercert() else None)
            with connection, connection.makefile("rb") as stream:
                self.manner(connection, stream)
        except (OSError, ValueError, EOFError):
            pass  # the connection ended; what came before counts
        except AssertionError as error:
            self.errors.append(str(error))

    def good(self, connection: socket.socket, stream) -> None:
        self.read(connection, stream)

    def greet(self, connection: socket.socket, stream) -> None:
        self.expect(stream, frames.READY)
        connection.sendall(frames.control(frames.ACCEPT, frames.CONTENT_TYPE))
        self.expect(stream, frames.START)
        self.started += 1

    def take(self, stream) -> bool:
        """One data frame; False when it is a control frame."""
        length = struct.unpack("!I", self.exactly(stream, 4))[0]
        if length:
            self.arrivals.append((time.monotonic(), self.exactly(stream, length)))
        return bool(length)

    def never_accepts(self, _connection: socket.socket, _stream) -> None:
        self.ending.wait()

    def never_reads(self, connection: socket.socket, stream) -> None:
        self.greet(connection, stream)
        self.ending.wait()

    def never_finishes(self, connection: socket.socket, stream) -> None:
        self.greet(connection, stream)
        while self.take(stream):
            pass
        self.ending.wait()

    def rubbish(self, connection: socket.socket, _stream) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n" + b"x" * 600)
        self.ending.wait()

    def huge_control(self, connection: socket.socket, _stream) -> None:
        connection.sendall(ESCAPE + b"\xff" * 4)
        self.ending.wait()

    def closes_in_frame(self, connection: socket.socket, stream) -> None:
        self.greet(connection, stream)
        for _ in range(self.after):
            if not self.take(stream):
                return  # the tap has ended before
        self.exactly(stream, 10)

    def closes_at_once(self, _connection: socket.socket, _stream) -> None:
        pass

    def one_way(self, _connection: socket.socket, stream) -> None:
        """No handshake: START, frames, STOP."""
        self.expect(stream, frames.START)
        self.started += 1
        while self.take(stream):
            pass
        kind, _ = self.control(stream)
        assert kind == frames.STOP
        self.finished += 1


class Load:
    """Queries on the loopback of a namespace, so many a second, from a thread; `with` or stop()."""

    def __init__(self, space: Namespace, rate: int) -> None:
        self.server = space.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 53))
        self.client = space.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.connect(("127.0.0.1", 53))
        self.rate, self.sent = rate, 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> "Load":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def send(self, count: int) -> None:
        for _ in range(count):
            name = f"n{self.sent}.load{'x' * (self.sent % 40)}.example"
            self.client.send(query(self.sent % 65536, name))
            self.sent += 1

    def run(self) -> None:
        begun = time.monotonic()
        first = self.sent
        while not self.ending.is_set():
            self.send(BATCH)
            ahead = (self.sent - first) / self.rate - (time.monotonic() - begun)
            if ahead > 0:
                self.ending.wait(ahead)

    def stop(self) -> int:
        """The number of queries sent."""
        self.ending.set()
        if self.thread.is_alive():
            self.thread.join(60)
        self.client.close()
        self.server.close()
        return self.sent


def sink_text(kind: str, where, *options: str) -> str:
    """where: a path, or (address, port)."""
    text = f"unix://{where}" if kind == "unix" else f"{kind}://{where[0]}:{where[1]}"
    return text + ("?" + "&".join(options) if options else "")


def place(kind: str, folder: Path, number: int):
    """Where the collector of that number listens."""
    return folder / f"s{number}" if kind == "unix" else ("127.0.0.1", 6000 + number)
