# SPDX-License-Identifier: BSD-2-Clause
"""Capture files of DNS traffic of a wanted shape, as fast as Python can write them (about a million
messages in two seconds): so many queries in flight, or so many TCP connections.

Raw IP packets with times in ns, 5 us apart. Names, types and answers are those of the zone that
the servers of the end-to-end tests serve; checksums are 0, as offloading leaves them.
"""

import ipaddress
import struct
from pathlib import Path
from typing import Iterator

from clients import A, AAAA, QR, TXT, query
from servers import NAMES

GAP_NS = 5000
START_S = 1_790_000_000
SERVER = bytes((10, 61, 0, 1))
LINK_RAW, SNAP = 101, 262144
HEAD = 16  # of the file's record, before the packet
UDP, TCP = 17, 6
SYN, ACK, PUSH = 0x02, 0x10, 0x08
FILE_HEADER = struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, SNAP, LINK_RAW)
IP_BYTES, UDP_BYTES, TCP_BYTES = 20, 8, 20
CLIENTS = 256

_TIME = struct.Struct("<II")
_SHORT = struct.Struct("!H")
_LONG = struct.Struct("!I")


def _data(kind: int, number: int) -> bytes:
    if kind == A:
        return ipaddress.ip_address(f"192.0.2.{number % 250 + 1}").packed
    if kind == AAAA:
        return ipaddress.ip_address(f"2001:db8::{number + 1:x}").packed
    text = f"number {number}".encode()
    return bytes([len(text)]) + text


def messages() -> list[tuple[bytes, bytes]]:
    """Queries and their responses, id 0."""
    made = []
    for number in range(NAMES):
        kind = (A, AAAA, TXT)[number % 3]
        asked = query(0, f"n{number}.example", kind)
        data = _data(kind, number)
        answer = struct.pack("!HHHIH", 0xc00c, kind, 1, 300, len(data)) + data
        flags = _SHORT.unpack_from(asked, 2)[0] | QR | 0x0400
        head = struct.pack("!HHHHHH", 0, flags, 1, 1, 0, 0)
        made.append((asked, head + asked[12:] + answer))
    return made


def _packet(protocol: int, body: bytes, response: bool) -> bytearray:
    """A record of the file with room for the time, the client's address and port."""
    length = IP_BYTES + len(body)
    addresses = (SERVER + bytes(4)) if response else (bytes(4) + SERVER)
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, protocol, 0) + addresses
    return bytearray(struct.pack("<IIII", 0, 0, length, length) + head + body)


def _datagram(wire: bytes, response: bool) -> bytearray:
    ports = (53, 0) if response else (0, 53)
    return _packet(UDP, struct.pack("!HHHH", *ports, UDP_BYTES + len(wire), 0) + wire, response)


def _segment(payload: bytes, flags: int, response: bool) -> bytearray:
    ports = (53, 0) if response else (0, 53)
    head = struct.pack("!HHIIBBHHH", *ports, 0, 0, 0x50, flags, 65535, 0, 0)
    return _packet(TCP, head + payload, response)


def _address(number: int) -> bytes:
    return bytes((10, 62, 0, number % CLIENTS))


class _Clock:
    """The next packet's time."""

    def __init__(self) -> None:
        self.ns = 0

    def stamp(self, record: bytearray) -> None:
        self.ns += GAP_NS
        _TIME.pack_into(record, 0, START_S + self.ns // 10**9, self.ns % 10**9)


def _client(record: bytearray, response: bool, number: int, port: int) -> None:
    at = HEAD + (16 if response else 12)
    record[at:at + 4] = _address(number)
    _SHORT.pack_into(record, HEAD + IP_BYTES + (2 if response else 0), port)


def _udp_records(exchanges: int, in_flight: int) -> Iterator[bytearray]:
    """Each query's response comes when `in_flight` queries, itself included, wait for theirs."""
    clock = _Clock()
    templates = [tuple(_datagram(wire, place == 1) for place, wire in enumerate(pair))
                 for pair in messages()]

    def made(number: int, response: bool) -> bytearray:
        record = templates[number % NAMES][response]
        clock.stamp(record)
        _client(record, response, number, 20000 + number // 65536)
        _SHORT.pack_into(record, HEAD + IP_BYTES + UDP_BYTES, number & 0xffff)
        return record

    for number in range(exchanges):
        yield made(number, False)
        if number >= in_flight - 1:
            yield made(number - in_flight + 1, True)
    for number in range(max(0, exchanges - in_flight + 1), exchanges):
        yield made(number, True)


def _tcp_records(exchanges: int, streams: int) -> Iterator[bytearray]:
    """The connections take turns; one message a segment, query and response."""
    clock = _Clock()
    sent = [[1, 1] for _ in range(streams)]  # bytes of client and server, SYN included

    def made(record: bytearray, response: bool, stream: int, numbers: tuple[int, int]) -> bytearray:
        clock.stamp(record)
        _client(record, response, stream, 20000 + stream // CLIENTS)
        _LONG.pack_into(record, HEAD + IP_BYTES + 4, numbers[0])
        _LONG.pack_into(record, HEAD + IP_BYTES + 8, numbers[1])
        return record

    for stream in range(streams):
        yield made(_segment(b"", SYN, False), False, stream, (0, 0))
        yield made(_segment(b"", SYN | ACK, True), True, stream, (0, 1))
    templates = [tuple(_segment(_SHORT.pack(len(wire)) + wire, ACK | PUSH, place == 1)
                       for place, wire in enumerate(pair)) for pair in messages()]
    for number in range(exchanges):
        stream = number % streams
        for response in (False, True):
            record = templates[number % NAMES][response]
            _SHORT.pack_into(record, HEAD + IP_BYTES + TCP_BYTES + 2, number // streams & 0xffff)
            mine, theirs = sent[stream][response], sent[stream][not response]
            yield made(record, response, stream, (mine, theirs))
            sent[stream][response] = mine + len(record) - HEAD - IP_BYTES - TCP_BYTES


def _write(path: Path, records: Iterator[bytearray]) -> Path:
    with open(path, "wb", buffering=1 << 20) as to:
        to.write(FILE_HEADER)
        for record in records:
            to.write(record)
    return path


def write_udp(path: Path, exchanges: int, in_flight: int) -> Path:
    return _write(path, _udp_records(exchanges, in_flight))


def write_tcp(path: Path, exchanges: int, streams: int) -> Path:
    return _write(path, _tcp_records(exchanges, streams))
