# SPDX-License-Identifier: BSD-2-Clause
"""A collector that breaks the protocol itself: the wrong word, the right word at the wrong time."""

import socket
import ssl
import struct

import frames
from scripted import ESCAPE, Scripted

OTHER_TYPE = b"protobuf:something.Else"
DRIP_SECONDS = 0.3


def accept_with(*types: bytes) -> bytes:
    body = struct.pack("!I", frames.ACCEPT)
    for one in types:
        body += struct.pack("!II", frames.FIELD_CONTENT_TYPE, len(one)) + one
    return struct.pack("!II", 0, len(body)) + body


class Hostile(Scripted):
    """manner: one of REFUSED, which never get a message, or BROKEN, which get some; or WELL."""

    REFUSED = ("half_closes_before_accept", "finishes_for_accept", "starts_for_accept",
               "accepts_nothing_of_ours", "accepts_nonsense", "cut_control", "empty_control",
               "data_for_accept", "drips_accept")
    BROKEN = ("half_closes", "finishes_early", "finishes_with_accept", "ready_again",
              "sends_data", "resets", "resets_in_accept", "floods", "drips")
    WELL = ("accepts_several", "accepts_any")
    TLS = ("notifies",)

    def wait(self) -> None:
        self.ending.wait()

    def answer(self, connection: socket.socket, stream, what: bytes) -> None:
        self.expect(stream, frames.READY)
        connection.sendall(what)

    def greet_and_take(self, connection, stream, count: int = 20) -> None:
        self.greet(connection, stream)
        for _ in range(count):
            if not self.take(stream):
                return

    def take_all(self, stream) -> None:
        while self.take(stream):
            pass

    # never a message

    def half_closes_before_accept(self, connection, stream) -> None:
        self.expect(stream, frames.READY)
        connection.shutdown(socket.SHUT_WR)
        self.wait()

    def finishes_for_accept(self, connection, stream) -> None:
        self.answer(connection, stream, frames.control(frames.FINISH))
        self.wait()

    def starts_for_accept(self, connection, stream) -> None:
        self.answer(connection, stream, frames.control(frames.START, frames.CONTENT_TYPE))
        self.wait()

    def accepts_nothing_of_ours(self, connection, stream) -> None:
        self.answer(connection, stream, accept_with(OTHER_TYPE, OTHER_TYPE + b"2"))
        self.wait()

    def accepts_nonsense(self, connection, stream) -> None:
        body = struct.pack("!IIII", frames.ACCEPT, frames.FIELD_CONTENT_TYPE, 0xffff, 1)
        self.answer(connection, stream, ESCAPE + struct.pack("!I", len(body)) + body)
        self.wait()

    def cut_control(self, connection, stream) -> None:
        self.answer(connection, stream, ESCAPE + struct.pack("!I", 2) + b"\0\1")
        self.wait()

    def empty_control(self, connection, stream) -> None:
        self.answer(connection, stream, ESCAPE + ESCAPE)
        self.wait()

    def data_for_accept(self, connection, stream) -> None:
        self.answer(connection, stream, frames.data(b"x" * 100))
        self.wait()

    def drips_accept(self, connection, stream) -> None:
        self.expect(stream, frames.READY)
        for byte in accept_with(frames.CONTENT_TYPE):
            connection.sendall(bytes([byte]))
            if self.ending.wait(DRIP_SECONDS):
                return
        self.take_all(stream)

    # some messages

    def half_closes(self, connection, stream) -> None:
        self.greet_and_take(connection, stream)
        connection.shutdown(socket.SHUT_WR)
        self.take_all(stream)

    def finishes_early(self, connection, stream) -> None:
        self.greet_and_take(connection, stream)
        connection.sendall(frames.control(frames.FINISH))
        self.take_all(stream)

    def finishes_with_accept(self, connection, stream) -> None:
        self.answer(connection, stream,
                    accept_with(frames.CONTENT_TYPE) + frames.control(frames.FINISH))
        self.expect(stream, frames.START)
        self.take_all(stream)

    def ready_again(self, connection, stream) -> None:
        self.greet_and_take(connection, stream)
        connection.sendall(frames.control(frames.READY, frames.CONTENT_TYPE))
        self.take_all(stream)

    def sends_data(self, connection, stream) -> None:
        self.greet_and_take(connection, stream)
        connection.sendall(frames.data(b"y" * 70000))
        self.take_all(stream)

    def resets(self, connection, stream) -> None:
        self.greet_and_take(connection, stream)
        self.reset(connection)

    def resets_in_accept(self, connection, stream) -> None:
        self.answer(connection, stream, accept_with(frames.CONTENT_TYPE)[:20])
        self.reset(connection)

    @staticmethod
    def reset(connection) -> None:
        """Closed with bytes unread, or at once: RST."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)

    def floods(self, connection, stream) -> None:
        """Says so much that nobody would want to read it, and reads nothing."""
        self.greet(connection, stream)
        while not self.ending.is_set():
            connection.sendall(frames.control(frames.READY, frames.CONTENT_TYPE) * 1000)

    def drips(self, connection, stream) -> None:
        """Takes so little at a time that no write is ever over, but no time is ever up."""
        self.greet(connection, stream)
        while not self.ending.wait(DRIP_SECONDS):
            self.take(stream)

    # every message

    def well(self, connection, stream, accept: bytes) -> None:
        self.answer(connection, stream, accept)
        self.expect(stream, frames.START)
        self.started += 1
        self.take_all(stream)
        assert self.control(stream)[0] == frames.STOP
        connection.sendall(frames.control(frames.FINISH))
        self.finished += 1

    def accepts_several(self, connection, stream) -> None:
        self.well(connection, stream, accept_with(OTHER_TYPE, frames.CONTENT_TYPE))

    def accepts_any(self, connection, stream) -> None:
        """No content type at all: Frame Streams means that any will do."""
        self.well(connection, stream, accept_with())

    # over TLS

    def notifies(self, connection: ssl.SSLSocket, stream) -> None:
        """close_notify in the middle, and goes on reading."""
        self.greet_and_take(connection, stream)
        connection.settimeout(1)
        connection.unwrap()
        self.wait()
