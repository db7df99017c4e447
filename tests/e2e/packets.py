# SPDX-License-Identifier: BSD-2-Clause
"""Packets and capture files, byte by byte: IP, UDP, link layers, pcap and pcapng."""

import ipaddress
import struct
from typing import Iterable, List, NamedTuple

ETHERNET, RAW_IP, COOKED_1, COOKED_2 = 1, 101, 113, 276
IPV4, IPV6 = 0x0800, 0x86dd
UDP, TCP = 17, 6
MAC_A, MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")


class Packet(NamedTuple):
    """One packet of a capture file. time: ns; data: what was captured of `length` bytes."""

    time: int
    data: bytes
    length: int


def checksum(*parts: bytes) -> int:
    whole = b"".join(parts)
    whole += b"\0" * (len(whole) % 2)
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp(source: str, source_port: int, target: str, target_port: int, payload: bytes) -> bytes:
    """A UDP datagram with its checksum."""
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    length = 8 + len(payload)
    head = struct.pack("!HHHH", source_port, target_port, length, 0)
    pseudo = addresses + struct.pack("!HH", UDP, length)
    return head[:6] + struct.pack("!H", checksum(pseudo, head, payload) or 0xffff) + payload


def ipv4(source: str, target: str, body: bytes, protocol: int = UDP, options: bytes = b"") -> bytes:
    head_length = 20 + len(options)
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | head_length // 4, 0, head_length + len(body), 0,
                       0x4000, 64, protocol, 0, ipaddress.ip_address(source).packed,
                       ipaddress.ip_address(target).packed) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def ipv6(source: str, target: str, body: bytes, protocol: int = UDP,
         extensions: Iterable[int] = ()) -> bytes:
    """extensions: the numbers of options headers (0, 60) that stand before the body."""
    for number in reversed(tuple(extensions)):
        body = struct.pack("!BBBB4s", protocol, 0, 1, 4, b"") + body  # PadN of 4
        protocol = number
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + ipaddress.ip_address(
        source).packed + ipaddress.ip_address(target).packed + body


def ip(source: str, source_port: int, target: str, target_port: int, payload: bytes,
       **words) -> bytes:
    """A UDP payload in the IP packet that its addresses ask for."""
    build = ipv6 if ":" in source else ipv4
    return build(source, target, udp(source, source_port, target, target_port, payload), **words)


def ethertype(packet: bytes) -> int:
    return IPV6 if packet[0] >> 4 == 6 else IPV4


def ethernet(packet: bytes, protocol: int = 0, target: bytes = MAC_B, source: bytes = MAC_A,
             tags: Iterable[tuple] = ()) -> bytes:
    """tags: (TPID, VLAN id), the outermost first."""
    between = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return target + source + between + struct.pack("!H", protocol or ethertype(packet)) + packet


def link(kind: int, packet: bytes) -> bytes:
    """The packet as that link type shows it."""
    if kind == ETHERNET:
        return ethernet(packet)
    if kind == COOKED_1:
        return struct.pack("!HHH8sH", 0, 1, 6, MAC_A, ethertype(packet)) + packet
    if kind == COOKED_2:
        return struct.pack("!HHIHBB8s", ethertype(packet), 0, 2, 1, 0, 6, MAC_A) + packet
    return packet


def pcap(kind: int, packets: Iterable[Packet], nanoseconds: bool = False) -> bytes:
    magic, unit = (0xa1b23c4d, 1) if nanoseconds else (0xa1b2c3d4, 1000)
    parts = [struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 262144, kind)]
    for packet in packets:
        seconds, rest = divmod(packet.time, 10**9)
        parts += [struct.pack("<IIII", seconds, rest // unit, len(packet.data), packet.length),
                  packet.data]
    return b"".join(parts)


def _block(kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def pcapng(kind: int, packets: Iterable[Packet]) -> bytes:
    """One section, one interface with nanosecond time stamps, enhanced packet blocks."""
    resolution = struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)
    parts: List[bytes] = [
        _block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)),
        _block(1, struct.pack("<HHI", kind, 0, 262144) + resolution)]
    for packet in packets:
        parts.append(_block(6, struct.pack(
            "<IIIII", 0, packet.time >> 32, packet.time & 0xffffffff, len(packet.data),
            packet.length) + packet.data))
    return b"".join(parts)
