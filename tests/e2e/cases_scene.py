# SPDX-License-Identifier: BSD-2-Clause
"""What the named captures are made with: a scene in which packets are sent and messages expected.

Packets come from scapy, with both MAC addresses always given and every random field fixed, so
that a capture is the same byte for byte each time it is made. A case is a function that plays in
a scene; its name is the case's name, its first line of documentation says what is special.
"""

import struct
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1Q, Ether
from scapy.packet import Raw

import captures
from captures import CLIENT_4, CLIENT_6, MS, SERVER_4, SERVER_6, START
from clients import RA, RD, query
from packets import COOKED_1, COOKED_2, ETHERNET, IPV4, IPV6, RAW_IP, Packet

MAC_CLIENT, MAC_SERVER = "02:00:00:00:00:01", "02:00:00:00:00:02"
PROTOCOL_UDP, PROTOCOL_TCP = 1, 2  # dnstap's numbers
C, S = 0, 1                        # the client's side of a connection, the server's
INCOMING, OUTGOING = 0, 4          # of Linux cooked captures


class Sent(NamedTuple):
    """A message that must come out. time: of the packet that completed it; None: not looked at."""

    protocol: int
    source: str
    source_port: int
    target: str
    target_port: int
    wire: bytes
    time: Optional[int] = None

    @property
    def direction(self) -> tuple:
        return self[:5]


@dataclass
class Case:
    """A capture and what must come of it."""

    name: str
    text: str
    link: int
    packets: List[Packet]
    messages: List[Sent]
    types: List[str]              # those of the messages, if the case is about them
    counts: Dict[str, int]        # by name, with "fragments." or "streams." before theirs
    words: Tuple[str, ...]        # options of the tap
    contested: List[Sent] = field(default_factory=list)  # would come if others were lost


class Scene:
    """The packets of one capture, as they are sent, and what is expected of them."""

    def __init__(self, link: int = ETHERNET, six: bool = False) -> None:
        self.link, self.six = link, six
        self.now, self.port, self.number = START, 40000, 0
        self.packets: List[Packet] = []
        self.messages: List[Sent] = []
        self.contested: List[Sent] = []
        self.types: List[str] = []
        self.counts: Dict[str, int] = {}
        self.words: Tuple[str, ...] = ()
        # Where a packet of each side is seen on its way: (interface, direction). Linux cooked only.
        self.places: Dict[int, tuple] = {C: ((1, INCOMING),), S: ((1, OUTGOING),)}

    @property
    def client(self) -> str:
        return CLIENT_6 if self.six else CLIENT_4

    @property
    def server(self) -> str:
        return SERVER_6 if self.six else SERVER_4

    def wait(self, milliseconds: float) -> None:
        self.now += int(milliseconds * MS)

    def send(self, packet, tags: Iterable[tuple] = (), trailer: bytes = b"",
             sent_by: int = C) -> int:
        """Puts an IP packet on the wire. Returns the time at which it was first seen."""
        self.now += MS
        first, data = self.now, bytes(packet)
        for place in self.places[sent_by]:
            frame = self.framed(data, tags, sent_by, *place) + trailer
            self.packets.append(Packet(self.now, frame, len(frame)))
            self.now += MS // 100
        return first

    def framed(self, packet: bytes, tags: Iterable[tuple], sent_by: int, interface: int,
               kind: int) -> bytes:
        """The packet behind its link layer."""
        ethertype = IPV6 if packet[0] >> 4 == 6 else IPV4
        if self.link == RAW_IP:
            return packet
        if self.link == COOKED_1:
            return bytes(CookedLinux(pkttype=kind, lladdrtype=1, lladdrlen=6, proto=ethertype,
                                     src=bytes.fromhex("0200000000010000")) / Raw(packet))
        if self.link == COOKED_2:
            return bytes(CookedLinuxV2(proto=ethertype, ifindex=interface, pkttype=kind,
                                       lladdrtype=1, lladdrlen=6,
                                       src=bytes.fromhex("0200000000010000")) / Raw(packet))
        macs = (MAC_CLIENT, MAC_SERVER) if sent_by == C else (MAC_SERVER, MAC_CLIENT)
        kinds = [tpid for tpid, _ in tags] + [ethertype]
        frame = Ether(src=macs[0], dst=macs[1], type=kinds[0])
        for (_, vlan), inner in zip(tags, kinds[1:]):
            frame = frame / Dot1Q(vlan=vlan, type=inner)
        return bytes(frame / Raw(packet))

    def ip(self, sent_by: int = C, client: str = "", server: str = "", **fields):
        """An IP header with nothing left to chance."""
        ends = (client or self.client, server or self.server)
        source, target = ends if sent_by == C else ends[::-1]
        if ":" in source:
            return IPv6(src=source, dst=target, **fields)
        return IP(src=source, dst=target, **{"id": 1, "flags": "DF", **fields})

    def expect(self, protocol: int, source: tuple, target: tuple, wire: bytes,
               time: Optional[int], kind: str = "") -> None:
        self.messages.append(Sent(protocol, *source, *target, wire, time))
        if kind:
            self.types.append(kind)

    def exchange(self, name: str = "", size: int = 0, flags: int = RD) -> Tuple[bytes, bytes]:
        """A new question, and its answer with one record, padded to size bytes."""
        self.number += 1
        asked = query(self.number, name or f"n{self.number}.example.test", flags=flags)
        return asked, answer(asked, size, RA if flags else 0)

    def udp(self, **words) -> "Udp":
        self.port += 1
        return Udp(self, self.port, **words)

    def tcp(self, **words) -> "Tcp":
        self.port += 1
        return Tcp(self, self.port, **words)


def answer(asked: bytes, size: int = 0, flags: int = RA) -> bytes:
    """A response with one record; of size bytes if that is given."""
    short = captures.response(asked, captures.record(1, bytes([192, 0, 2, 1])), flags)
    if not size:
        return short
    data = bytes(n % 251 for n in range(size - len(short) + 4))
    made = captures.response(asked, captures.record(65280, data), flags)
    assert len(made) == size
    return made


class Udp:
    """A client's socket."""

    def __init__(self, scene: Scene, port: int, client: str = "", server: str = "",
                 server_port: int = 53) -> None:
        self.scene = scene
        self.ends = ((client or scene.client, port), (server or scene.server, server_port))

    def datagram(self, side: int, wire: bytes, **fields) -> bytes:
        """UDP header and payload, with the checksum that belongs to the addresses."""
        (_, source), (_, target) = self.ends[side], self.ends[not side]
        head = UDP(sport=source, dport=target, **fields)
        packet = self.ip(side) / head / Raw(wire)
        return bytes(packet)[40 if ":" in self.ends[0][0] else 20:]

    def ip(self, side: int, **fields):
        return self.scene.ip(side, self.ends[C][0], self.ends[S][0], **fields)

    def send(self, side: int, wire: bytes, between=None, kind: str = "", emitted: bool = True,
             udp: Optional[dict] = None, ip: Optional[dict] = None, **words) -> int:
        """between: headers behind that of IP."""
        fields = dict(ip or {})
        (_, source), (_, target) = self.ends[side], self.ends[not side]
        packet = self.ip(side, **fields)
        if between is not None:
            packet = packet / between
        packet = packet / UDP(sport=source, dport=target, **(udp or {})) / Raw(wire)
        time = self.scene.send(packet, sent_by=side, **words)
        if emitted:
            self.expect(side, wire, time, kind)
        return time

    def expect(self, side: int, wire: bytes, time: Optional[int] = None, kind: str = "") -> None:
        self.scene.expect(PROTOCOL_UDP, self.ends[side], self.ends[not side], wire, time, kind)

    def exchange(self, size: int = 0, **words) -> None:
        """A question and its answer, in the same headers."""
        asked, answered = self.scene.exchange(size=size)
        self.send(C, asked, **words)
        self.send(S, answered, **words)

    def contest(self, side: int, wire: bytes) -> None:
        """As that of Tcp."""
        self.scene.contested.append(
            Sent(PROTOCOL_UDP, *self.ends[side], *self.ends[not side], wire))


def prefixed(*wires: bytes) -> bytes:
    """The messages as they stand in a TCP stream."""
    return b"".join(struct.pack("!H", len(wire)) + wire for wire in wires)


def cut(data: bytes, *sizes: int) -> List[bytes]:
    """data in pieces of these sizes, the last size again and again."""
    pieces, at, sizes = [], 0, list(sizes)
    while at < len(data):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        pieces.append(data[at:at + size])
        at += size
    return pieces


class Tcp:
    """A connection. Bytes are named by their offset in the stream, 0 behind the SYN."""

    def __init__(self, scene: Scene, port: int, starts: Tuple[int, int] = (1000, 900_000)) -> None:
        self.scene, self.starts = scene, starts
        self.ends = ((scene.client, port), (scene.server, 53))
        self.sent = [0, 0]

    def segment(self, side: int, offset: int, data: bytes = b"", flags: str = "PA",
                acked: Optional[int] = None, ip: Optional[dict] = None, between=None,
                fields: Optional[dict] = None, **words) -> int:
        """acked: bytes of the other side's stream; all that was sent unless told."""
        packet = self.packet(side, offset, data, flags, acked, fields)
        head = self.scene.ip(side, **(ip or {}))
        head = head / between if between is not None else head
        return self.scene.send(head / packet, sent_by=side, **words)

    def packet(self, side: int, offset: int, data: bytes = b"", flags: str = "PA",
               acked: Optional[int] = None, fields: Optional[dict] = None):
        (_, source), (_, target) = self.ends[side], self.ends[not side]
        acked = self.sent[not side] if acked is None else acked
        ack = (self.starts[not side] + 1 + acked) & 0xffffffff if "A" in flags else 0
        seq = (self.starts[side] + 1 + offset - ("S" in flags)) & 0xffffffff
        self.sent[side] = max(self.sent[side], offset + len(data) + ("F" in flags))
        return TCP(sport=source, dport=target, seq=seq, ack=ack, flags=flags, window=64000,
                   **(fields or {})) / Raw(data)

    def open(self) -> "Tcp":
        mss = {"fields": {"options": [("MSS", 1460), ("SAckOK", b""), ("WScale", 7)]}}
        self.segment(C, 0, flags="S", **mss)
        self.segment(S, 0, flags="SA", **mss)
        self.segment(C, 0, flags="A")
        return self

    def close(self) -> None:
        self.segment(C, self.sent[C], flags="FA")
        self.segment(S, self.sent[S], flags="FA")
        self.segment(C, self.sent[C], flags="A")

    def send(self, side: int, data: bytes, *sizes: int, **words) -> int:
        """The next bytes of the stream, in segments of these sizes. Returns the last one's time."""
        time = 0
        for piece in cut(data, *(sizes or (len(data),))):
            time = self.segment(side, self.sent[side], piece, **words)
        return time

    def expect(self, side: int, *wires: bytes, time: Optional[int] = None) -> None:
        for wire in wires:
            self.scene.expect(PROTOCOL_TCP, self.ends[side], self.ends[not side], wire, time)

    def contest(self, side: int, wire: bytes) -> None:
        """A message that must not come, but might if what contradicts it were not there."""
        self.scene.contested.append(
            Sent(PROTOCOL_TCP, *self.ends[side], *self.ends[not side], wire))

    def message(self, side: int, wire: bytes, *sizes: int, **words) -> int:
        time = self.send(side, prefixed(wire), *sizes, **words)
        self.expect(side, wire, time=time)
        return time

    def exchange(self, **words) -> None:
        asked, answered = self.scene.exchange(**words)
        self.message(C, asked)
        self.message(S, answered)


_PLAYS: List[tuple] = []


def case(link: int = ETHERNET, both: bool = False, six: bool = False) -> Callable:
    """Makes a function a case. both: over IPv4 and over IPv6; six: over IPv6."""
    def register(play: Callable[[Scene], None]) -> Callable[[Scene], None]:
        name = play.__name__.replace("_", "-")
        text = (play.__doc__ or "").splitlines()[0]
        if both:
            _PLAYS.extend([(name + "-4", text, play, link, False),
                           (name + "-6", text, play, link, True)])
        else:
            _PLAYS.append((name, text, play, link, six))
        return play

    return register


def played() -> List[Case]:
    """All cases, in the order in which they are written down."""
    made = []
    for name, text, play, link, six in _PLAYS:
        scene = Scene(link, six)
        play(scene)
        made.append(Case(name, text, link, scene.packets, scene.messages, scene.types,
                         scene.counts, scene.words, scene.contested))
    return made
