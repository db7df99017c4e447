# SPDX-License-Identifier: BSD-2-Clause
"""A capture of many messages over everything at once, made at random from a seed.

UDP, whole and in fragments; TCP connections whose streams are cut anywhere; IPv4 and IPv6. On the
way segments and fragments change places and are repeated. Every message is unlike every other.
"""

import ipaddress
import random
import struct
from typing import Iterator, List, NamedTuple, Tuple

from captures import START, record, response
from cases_scene import PROTOCOL_TCP, PROTOCOL_UDP, C, S, Sent, prefixed
from clients import RA, RD, query
from packets import IPV4, IPV6, TCP, UDP, Packet, checksum, ethernet, ipv6, udp

AT_ONCE = 64              # conversations side by side
STEP = (10_000, 150_000)  # ns between two packets
SEGMENT, FRAGMENT = 1440, 1232
IPV6_FRAGMENT = 44
SYN, FIN, PUSH, ACK = 2, 1, 8, 16


class Talk(NamedTuple):
    """One conversation: IP packets in their order, messages with the packet that completes them."""

    packets: List[bytes]
    messages: List[Tuple[int, Sent]]


def ipv4(source: str, target: str, body: bytes, protocol: int, number: int, place: int) -> bytes:
    """place: flags and fragment offset."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number & 0xffff, place, 64,
                       protocol, 0, ipaddress.ip_address(source).packed,
                       ipaddress.ip_address(target).packed)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def tcp(ends: tuple, numbers: Tuple[int, int], flags: int, payload: bytes = b"") -> bytes:
    """A segment in its IP packet, with its checksum."""
    (source, source_port), (target, target_port) = ends
    head = struct.pack("!HHIIBBHHH", source_port, target_port, numbers[0] & 0xffffffff,
                       numbers[1] & 0xffffffff, 0x50, flags, 64000, 0, 0)
    pseudo = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    pseudo += struct.pack("!HH", TCP, len(head) + len(payload))
    whole = head[:16] + struct.pack("!H", checksum(pseudo, head, payload)) + head[18:] + payload
    if ":" in source:
        return ipv6(source, target, whole, protocol=TCP)
    return ipv4(source, target, whole, TCP, 1, 0x4000)


class Maker:
    """Makes conversations; everything it draws comes from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number = 0

    def exchange(self, largest: int) -> Tuple[bytes, bytes]:
        """A query with a name of its own and a response of up to about `largest` bytes."""
        self.number += 1
        name = f"m{self.number}.{'x' * self.random.randrange(1, 40)}.example.test"
        asked = query(self.number & 0xffff, name, 16, RD, edns=False)
        answer = b"".join(
            record(16, b"\xc8" + self.random.randbytes(200))
            for _ in range(self.random.randrange(largest // 213 + 1)))
        records = len(answer) // 213
        answered = response(asked, answer, RA)
        return asked, answered[:6] + struct.pack("!H", records) + answered[8:]

    def ends(self) -> tuple:
        """Client and server."""
        low = self.number % 60000
        port = 1024 + low
        host = 1 + self.number // 60000
        if self.random.random() < 0.4:
            return (f"2001:db8:1::{host:x}", port), ("2001:db8::53", 53)
        return (f"198.51.100.{host}", port), ("203.0.113.53", 53)

    def shuffled(self, parts: list) -> list:
        """Some change places with what is at most four places away, some are there twice."""
        chance = self.random.random
        late = [(n + (self.random.randrange(5) if chance() < 0.2 else 0) + chance() / 2, part)
                for n, part in enumerate(parts)]
        late += [(n + self.random.randrange(1, 6), part) for n, part in enumerate(parts)
                 if chance() < 0.05]
        return [part for _, part in sorted(late, key=lambda one: one[0])]

    def talk(self) -> Talk:
        kind = self.random.random()
        if kind < 0.35:
            return self.udp(1)
        return self.udp(14) if kind < 0.5 else self.stream()

    def udp(self, size: int) -> Talk:
        """A query, perhaps repeated, and its response, of up to size * 300 bytes."""
        made = Talk([], [])
        ends = self.ends()
        asked, answered = self.exchange(size * 300)
        for _ in range(2 if self.random.random() < 0.1 else 1):
            self.datagram(made, ends, asked)
        self.datagram(made, ends[::-1], answered)
        return made

    def datagram(self, made: Talk, ends: tuple, wire: bytes) -> None:
        body = udp(*ends[0], *ends[1], wire)
        packets = self.fragments(ends, body) if len(body) > FRAGMENT else [
            ipv6(ends[0][0], ends[1][0], body) if ":" in ends[0][0] else
            ipv4(ends[0][0], ends[1][0], body, UDP, 1, 0x4000)]
        made.packets.extend(packets)
        made.messages.append((len(made.packets) - 1,
                              Sent(PROTOCOL_UDP, *ends[0], *ends[1], wire)))

    def fragments(self, ends: tuple, body: bytes) -> List[bytes]:
        """In any order, the last one to come being the one that makes the datagram whole."""
        made = []
        for at in range(0, len(body), FRAGMENT):
            part, more = body[at:at + FRAGMENT], at + FRAGMENT < len(body)
            if ":" in ends[0][0]:
                head = struct.pack("!BBHI", UDP, 0, at | more, self.number)
                made.append(ipv6(ends[0][0], ends[1][0], head + part, protocol=IPV6_FRAGMENT))
            else:
                made.append(ipv4(ends[0][0], ends[1][0], part, UDP, self.number,
                                 more << 13 | at // 8))
        self.random.shuffle(made)
        if self.random.random() < 0.1:
            made.insert(0, made[0])
        return made

    def stream(self) -> Talk:
        """A connection; each side sends several messages before the other goes on."""
        made = Talk([], [])
        ends = self.ends()
        next_byte = [self.random.randrange(2**32), self.random.randrange(2**32)]
        for side, flags in ((C, SYN), (S, SYN | ACK), (C, ACK)):
            ack = next_byte[not side] if flags & ACK else 0
            made.packets.append(tcp(ends[::-1] if side else ends, (next_byte[side], ack), flags))
            next_byte[side] += bool(flags & SYN)
        for _ in range(self.random.randrange(1, 5)):
            pairs = [self.exchange(self.random.choice((100, 1000, 20_000)))
                     for _ in range(self.random.randrange(1, 6))]
            self.flight(made, ends, next_byte, C, [pair[C] for pair in pairs])
            self.random.shuffle(pairs)
            self.flight(made, ends, next_byte, S, [pair[S] for pair in pairs])
        for side in (C, S):
            made.packets.append(tcp(ends[::-1] if side else ends,
                                    (next_byte[side], next_byte[not side]), FIN | ACK))
            next_byte[side] += 1
        made.packets.append(tcp(ends, (next_byte[C], next_byte[S]), ACK))
        return made

    def flight(self, made: Talk, ends: tuple, next_byte: List[int], side: int,
               wires: List[bytes]) -> None:
        """What one side sends at once, in segments of any size, on their way through a network."""
        data, at, parts = prefixed(*wires), 0, []
        while at < len(data):
            size = self.random.choice((SEGMENT, SEGMENT, self.random.randrange(1, SEGMENT)))
            parts.append((at, data[at:at + size]))
            at += size
        ways = ends[::-1] if side else ends
        first = len(made.packets)
        arrived = self.shuffled(parts)
        made.packets.extend(
            tcp(ways, (next_byte[side] + offset, next_byte[not side]), PUSH | ACK, part)
            for offset, part in arrived)
        end = 0
        for wire in wires:
            end += len(wire) + 2
            made.messages.append((first + completed(arrived, end),
                                  Sent(PROTOCOL_TCP, *ways[0], *ways[1], wire)))
        next_byte[side] += len(data)


def completed(arrived: List[tuple], end: int) -> int:
    """The place of the segment with which all bytes before `end` are there."""
    missing = {offset for offset, _ in arrived if offset < end}
    for n, (offset, _) in enumerate(arrived):
        missing.discard(offset)
        if not missing:
            return n
    raise AssertionError("a segment is missing")


def mixed(seed: int, messages: int) -> Iterator[Tuple[Packet, List[Sent]]]:
    """Each packet with the messages that it completes; at least so many messages in all."""
    maker, now = Maker(seed), START
    talks: List[tuple] = []
    made = 0
    while talks or made < messages:
        while len(talks) < AT_ONCE and made < messages:
            talk = maker.talk()
            made += len(talk.messages)
            talks.append((iter(enumerate(talk.packets)), dict_of(talk.messages)))
        which = maker.random.randrange(len(talks))
        packets, completes = talks[which]
        n, data = next(packets, (None, b""))
        if n is None:
            talks[which] = talks[-1]
            talks.pop()
            continue
        now += maker.random.randrange(*STEP)
        frame = ethernet(data, protocol=IPV6 if data[0] >> 4 == 6 else IPV4)
        yield (Packet(now, frame, len(frame)),
               [sent._replace(time=now) for sent in completes.get(n, [])])


def dict_of(messages: List[Tuple[int, Sent]]) -> dict:
    found: dict = {}
    for place, sent in messages:
        found.setdefault(place, []).append(sent)
    return found
