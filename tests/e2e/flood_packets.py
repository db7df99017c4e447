# SPDX-License-Identifier: BSD-2-Clause
"""What the floods send: IPv4 packets to the server of flood_lab.py, from forged sources.

Checksums are right wherever a server must take the packet; UDP's is 0, which IPv4 allows. Every
list is the same in each run.
"""

import random
import socket
import struct
from typing import Dict, Iterator, List, Tuple

from clients import QR, query, question
from flood import ACK, MORE_FRAGMENTS, SYN, TCP, UDP, source, start_of_message

SERVER, CLIENT = "10.61.0.1", "10.61.0.100"
TARGET = socket.inet_aton(SERVER)
WATCHED = 53
MTU_PAYLOAD = 1480
LOOPED = 36  # records that fit into one packet
FNV_BASIS, FNV_PRIME, FNV_MASK = 0x811c9dc5, 0x01000193, (1 << 17) - 1


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def ipv4(address: bytes, protocol: int, body: bytes, identifier: int = 0,
         flags: int = 0) -> bytes:
    """flags: with the offset in units of 8 bytes, as they stand in the header."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), identifier, flags, 64, protocol,
                       0, address, TARGET)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def udp_body(port: int, payload: bytes, to: int = WATCHED) -> bytes:
    return struct.pack("!HHHH", port, to, 8 + len(payload), 0) + payload


def udp(address: bytes, port: int, payload: bytes, to: int = WATCHED) -> bytes:
    return ipv4(address, UDP, udp_body(port, payload, to))


def segment(address: bytes, port: int, seq: int, flags: int, payload: bytes = b"") -> bytes:
    head = struct.pack("!HHIIBBHH", port, WATCHED, seq, 1, 0x50, flags, 65535, 0)
    even = payload + b"\0" * (len(payload) % 2)
    pseudo = address + TARGET + struct.pack("!HH", TCP, 20 + len(payload))
    return ipv4(address, TCP, head[:16] + struct.pack(
        "!HH", checksum(pseudo + head + b"\0\0" + even), 0) + payload)


def random_subdomains(count: int) -> Iterator[bytes]:
    """What a water torture attack asks: each name once, from everywhere."""
    dice = random.Random(1)
    for number in range(count):
        yield udp(*source(number * 7), query(dice.getrandbits(16), f"{dice.getrandbits(60):x}"
                                             ".example"))


def one_key(count: int) -> Iterator[bytes]:
    """One address, port and id, each time with another question."""
    address, port = source(0)
    for number in range(count):
        yield udp(address, port, query(7, f"k{number}.example"))


def all_ids(count: int) -> Iterator[bytes]:
    """Every id of one port, over and over."""
    address, port = source(0)
    for number in range(count):
        yield udp(address, port, query(number & 0xffff, "n1.example"))


def half_open(count: int) -> Iterator[bytes]:
    """SYNs and nothing else; after every fourth one a segment that begins a long message."""
    for number in range(count):
        address, port = source(number)
        yield segment(address, port, 1000, SYN)
        if number % 4 == 0:
            yield segment(address, port, 1001, ACK, start_of_message(1200))


def byte_by_byte(count: int) -> Iterator[bytes]:
    """Forged connections of which each sends a message in segments of one byte."""
    stream = start_of_message(62)
    for at in range(-1, 31):
        for number in range(count // 32):
            address, port = source(number)
            if at < 0:
                yield segment(address, port, 1000, SYN)
            else:
                yield segment(address, port, 1001 + at, ACK, stream[at:at + 1])


def overlaps(count: int) -> Iterator[bytes]:
    """Datagrams in three fragments, of which the second lies over the end of the first."""
    whole = udp_body(4000, query(1, "n1.example") + b"\0" * 200)
    for number in range(count // 3):
        address, identifier = source(number)[0], number & 0xffff
        for begin, end, flags in ((0, 64, MORE_FRAGMENTS), (56, 120, MORE_FRAGMENTS),
                                  (120, 160, 0)):
            yield ipv4(address, UDP, whole[begin:end], identifier, flags | begin // 8)


def first_fragments(count: int) -> Iterator[bytes]:
    """Datagrams that are never whole: the first fragment and nothing else, 1,400 bytes."""
    whole = udp_body(4000, query(1, "n1.example") + b"\0" * 3000)
    for number in range(count):
        yield ipv4(source(number)[0], UDP, whole[:1400], number & 0xffff, MORE_FRAGMENTS)


def loops() -> List[bytes]:
    """Messages whose names never end: pointers to themselves, to each other, forward, far out."""
    names = (b"\xc0\x0c", b"\xc0\x0e\xc0\x0c", b"\1a\xc0\x0c", b"\xc0\x10\0\0\xc0\x0c",
             b"\xff\xff", b"\3www\xc0\x0c", b"\x3f" + b"a" * 63 + b"\xc0\x0c")
    tail = struct.pack("!HH", 6, 1)
    found = [struct.pack("!HHHHHH", 1, flags, 1, 0, 0, 0) + name + tail
             for name in names for flags in (0, QR)]
    asked = question("n1.example", 6)
    here = 12 + len(asked)
    for owner in (struct.pack("!H", 0xc000 | here), b"\1a" + struct.pack("!H", 0xc000 | here),
                  struct.pack("!HH", 0xc000 | here + 2, 0xc000 | here)):
        soa = owner + struct.pack("!HHIH", 6, 1, 60, 22) + b"\xc0" * 22
        for counts in ((1, 0), (0, 1)):
            found.append(struct.pack("!HHHHHH", 1, QR | 0x400, 1, *counts, 0) + asked + soa)
            found.append(struct.pack("!HHHHHH", 1, QR | 0x400, 1, *(LOOPED * n for n in counts), 0)
                         + asked + soa * LOOPED)
    return found


def compression_loops(count: int) -> Iterator[bytes]:
    """As queries to the server and as responses to this host, which --query-zone reads further."""
    messages = loops()
    for number in range(count):
        address, port = source(number)
        message = messages[number % len(messages)]
        if message[2] & 0x80:
            yield udp(address, WATCHED, message, to=port)
        else:
            yield udp(address, port, message)


def stray_responses(count: int, port_of_server: int = WATCHED) -> Iterator[bytes]:
    """Responses nobody asked for, to a host that might have."""
    dice = random.Random(2)
    for number in range(count):
        address, port = source(number)
        head = struct.pack("!HHHHHH", dice.getrandbits(16), QR | 0x180, 1, 0, 0, 0)
        yield udp(address, port_of_server, head + question(f"s{number}.example"), to=port)


def fragmented_garbage(count: int) -> Iterator[bytes]:
    """The largest datagrams there are, full of noise, in fragments."""
    dice = random.Random(3)
    noise = udp_body(4000, dice.randbytes(65507))
    pieces = range(0, len(noise), MTU_PAYLOAD)
    for number in range(count // len(pieces)):
        for begin in pieces:
            piece = noise[begin:begin + MTU_PAYLOAD]
            more = MORE_FRAGMENTS if begin + MTU_PAYLOAD < len(noise) else 0
            yield ipv4(source(number)[0], UDP, piece, number & 0xffff, more | begin // 8)


def fnv(data: bytes) -> int:
    value = FNV_BASIS
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & 0xffffffff
    return value


def _two_bytes_to(wanted: int) -> Dict[int, Tuple[int, int]]:
    """Of the low bits of FNV-1a's state, those from which two bytes lead to the wanted ones.

    Its low bits depend on no higher ones, and each step can be undone.
    """
    inverse = pow(FNV_PRIME, -1, FNV_MASK + 1)
    found: Dict[int, Tuple[int, int]] = {}
    for last in range(256):
        state = (wanted * inverse & FNV_MASK) ^ last
        for before in range(256):
            found[(state * inverse & FNV_MASK) ^ before] = (before, last)
    return found


def colliding_tuples(count: int) -> Iterator[Tuple[bytes, int, int]]:
    """(address, port, id) that all end in one of 131,072 buckets of an FNV-1a hash."""
    ways, made = _two_bytes_to(0x1234), 0
    for number in range(1 << 24):
        port = 1024 + number % 64000
        address = (0x0a800000 + number // 64000).to_bytes(4, "big")
        way = ways.get(fnv(address + struct.pack("!H", port)) & FNV_MASK)
        if way:
            yield address, port, way[0] << 8 | way[1]
            made += 1
            if made == count:
                return


def colliding_keys(count: int) -> Iterator[bytes]:
    """Half collide under FNV-1a; half under a sum, or the exclusive or, of what makes the key."""
    for address, port, number in colliding_tuples(count // 2):
        yield udp(address, port, query(number, "n1.example"))
    address = source(0)[0]
    for number in range(count - count // 2):
        port = 1024 + number % 64000
        yield udp(address, port, query(port ^ 0x5555 if number & 1 else 0xffff - port,
                                       "n1.example"))


def spread_keys(count: int) -> Iterator[bytes]:
    """As many, of the same length, without any such relation."""
    dice = random.Random(4)
    for number in range(count):
        yield udp((0x0a800000 + dice.getrandbits(20)).to_bytes(4, "big"),
                  1024 + dice.randrange(64000), query(dice.getrandbits(16), "n1.example"))
