# SPDX-License-Identifier: BSD-2-Clause
"""The captures in tests/data and what a tap must make of them.

`python3 captures.py FOLDER` writes them again, byte for byte the same. A `talk` is well-formed
DNS over UDP, the same for every link type; `tags` the same under VLAN tags; `odd` holds what must
be counted and not emitted.
"""

import struct
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

from clients import QR, RA, RD, query, question
from packets import (COOKED_1, COOKED_2, ETHERNET, RAW_IP, TCP, Packet, ethernet, ip, ipv4, link,
                     pcap, pcapng, udp)

START = 1_790_000_000_123_456_789  # ns since 1970; the last three digits show the precision
MS = 10**6
CLIENT_4, SERVER_4 = "198.51.100.7", "203.0.113.53"
CLIENT_6, SERVER_6 = "2001:db8::7", "2001:db8::53"
FORMERR, REFUSED, UPDATE = 1, 5, 5
LINKS = {"ethernet": ETHERNET, "raw": RAW_IP, "cooked1": COOKED_1, "cooked2": COOKED_2}


class Expected(NamedTuple):
    """A message the tap must emit, times in ns."""

    type: str
    client: str
    server: str
    client_port: int
    query_time: Optional[int]
    response_time: Optional[int]
    wire: bytes


def response(to: bytes, answer: bytes = b"", flags: int = 0, rcode: int = 0,
             name: Optional[bytes] = None) -> bytes:
    """A response to a query without EDNS; name: another question, b"" for none."""
    number, asked = struct.unpack_from("!HH", to)
    asked_question = to[12:] if name is None else name
    head = struct.pack("!HHHHHH", number, asked | QR | flags | rcode, bool(asked_question),
                       bool(answer), 0, 0)
    return head + asked_question + answer


def record(kind: int, data: bytes) -> bytes:
    """A resource record for the name in the question."""
    return struct.pack("!HHHIH", 0xc00c, kind, 1, 300, len(data)) + data


class Talk:
    """Collects packets (IP, with their time) and the messages expected of them."""

    def __init__(self) -> None:
        self.now = START
        self.packets: List[tuple] = []
        self.expected: List[Expected] = []
        self.six = False
        self.port = 40000

    def pair(self, six: bool) -> None:
        """The next messages come from a new port, over IPv4 or IPv6."""
        self.six, self.port = six, self.port + 1

    @property
    def client(self) -> str:
        return CLIENT_6 if self.six else CLIENT_4

    @property
    def server(self) -> str:
        return SERVER_6 if self.six else SERVER_4

    def query(self, role: str, wire: bytes, **words) -> int:
        self.now += 3 * MS
        self.packets.append((self.now, ip(self.client, self.port, self.server, 53, wire, **words)))
        self.expect(role + "_QUERY", self.now, None, wire)
        return self.now

    def response(self, role: str, wire: bytes, asked: Optional[int], **words) -> None:
        self.now += 7 * MS
        self.packets.append((self.now, ip(self.server, 53, self.client, self.port, wire, **words)))
        self.expect(role + "_RESPONSE", asked, self.now, wire)

    def expect(self, kind: str, asked: Optional[int], answered: Optional[int],
               wire: bytes) -> None:
        self.expected.append(Expected(kind, self.client, self.server, self.port, asked, answered,
                                      wire))


def talk() -> Talk:
    """The server at SERVER_4 sets RA and is a resolver, the one at SERVER_6 is not."""
    made = Talk()
    for six, role, flags in ((False, "CLIENT", RD), (True, "AUTH", 0)):
        available = 0 if six else RA
        add_plain(made, six, role, flags, available)
        add_repeated(made, six, role, flags, available)
        add_uncommon(made, six, role, flags, available)
    return made


def add_plain(made: Talk, six: bool, role: str, flags: int, available: int) -> None:
    """A question and its answer; a long answer; a name whose case the server changes."""
    made.pair(six)
    asked = query(1, "www.example.test", 1, flags)
    made.response(role, response(asked, record(1, bytes([192, 0, 2, 1])), available),
                  made.query(role, asked))
    made.pair(six)
    asked = query(2, "long.example.test", 16, flags)
    text = b"".join(b"\xc8" + bytes([65 + n]) * 200 for n in range(6))
    made.response(role, response(asked, record(16, text), available), made.query(role, asked))
    made.pair(six)
    asked = query(3, "wWw.ExAmPlE.tEsT", 28, flags)
    made.response(role, response(asked, b"", available, 3, question("www.example.test", 28)),
                  made.query(role, asked))


def add_repeated(made: Talk, six: bool, role: str, flags: int, available: int) -> None:
    """A query sent twice and answered once; one never answered; an answer never asked for."""
    made.pair(six)
    asked = query(4, "again.example.test", 1, flags)
    first = made.query(role, asked)
    made.query(role, asked)
    made.response(role, response(asked, b"", available), first)
    made.pair(six)
    made.query(role, query(5, "silent.example.test", 1, flags))
    made.pair(six)
    made.response(role, response(query(6, "nobody.asked.test", 1, flags), b"", available), None)


def add_uncommon(made: Talk, six: bool, role: str, flags: int, available: int) -> None:
    """IP options and extension headers, an update, responses without a question, two at once."""
    words = {"extensions": (0, 60)} if six else {"options": b"\x94\x04\0\0"}  # router alert
    made.pair(six)
    asked = query(7, "options.example.test", 1, flags)
    made.response(role, response(asked, b"", available), made.query(role, asked, **words), **words)
    made.pair(six)
    asked = query(8, "example.test", 6, 0, opcode=UPDATE)
    made.response("UPDATE", response(asked, name=b""), made.query("UPDATE", asked))
    made.pair(six)
    asked = query(9, "refused.example.test", 1, flags)
    made.response(role, response(asked, b"", available, REFUSED, b""), made.query(role, asked))
    made.pair(six)
    one, two = (query(10, name, 1, flags) for name in ("one.example.test", "two.example.test"))
    asked_one, asked_two = made.query(role, one), made.query(role, two)
    made.response(role, response(two, b"", available), asked_two)
    made.response(role, response(one, b"", available), asked_one)


def whole(time: int, data: bytes) -> Packet:
    return Packet(time, data, len(data))


def talk_packets(kind: int) -> List[Packet]:
    return [whole(time, link(kind, data)) for time, data in talk().packets]


def tag_packets() -> List[Packet]:
    """Every other packet with one tag, the rest with two."""
    tags = (((0x8100, 42),), ((0x88a8, 7), (0x8100, 42)))
    return [whole(time, ethernet(data, tags=tags[n % 2]))
            for n, (time, data) in enumerate(talk().packets)]


def dns_payloads() -> Iterator[tuple]:
    """(counter, UDP payload) of payloads on port 53 that are no DNS messages."""
    yield "dns_short", b""
    yield "dns_short", query(20, "short.example.test")[:11]
    good = query(21, "example.test")
    yield "dns_malformed", b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"
    yield "dns_malformed", good[:-5]                                # the question ends early
    yield "dns_malformed", good[:12] + b"\xc0\x0c" + good[-4:]      # a name that points at itself
    yield "dns_malformed", good[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1"
    yield "dns_malformed", good[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1"  # 257 bytes
    yield "dns_malformed", good[:6] + b"\xff\xff" + good[8:]        # 65535 answers


def bad_packets() -> Iterator[bytes]:
    """IP packets to port 53 whose headers contradict themselves."""
    datagram = udp(CLIENT_4, 41000, SERVER_4, 53, query(30, "bad.example.test"))
    long_udp = datagram[:4] + struct.pack("!H", len(datagram) + 100) + datagram[6:]
    short_udp = datagram[:4] + struct.pack("!H", 7) + datagram[6:]
    yield ipv4(CLIENT_4, SERVER_4, long_udp)
    yield ipv4(CLIENT_4, SERVER_4, short_udp)


def odd_packets() -> List[Packet]:
    """Every kind of thing that is not a whole DNS message."""
    made = [ethernet(ip(CLIENT_4, 41001, SERVER_4, 53, payload)) for _, payload in dns_payloads()]
    made += [ethernet(packet) for packet in bad_packets()]
    good = ip(CLIENT_4, 41002, SERVER_4, 53, query(31, "example.test"))
    made += [
        ethernet(b"\x42" + good[1:]),                               # a header of 8 bytes
        ethernet(good[:2] + b"\0\x10" + good[4:]),                  # 16 bytes in all
        ethernet(b"\x95" + good[1:]),                               # IP version 9
        ethernet(good, protocol=0x0806),                            # said to be ARP
        ethernet(ip(CLIENT_4, 41003, SERVER_4, 5300, query(32, "elsewhere.example.test"))),
        ethernet(ipv4(CLIENT_4, SERVER_4, good[20:], protocol=1)),  # ICMP
        ethernet(ipv4(CLIENT_4, SERVER_4, struct.pack(
            "!HHIIBBHHH", 41004, 53, 1, 0, 0x50, 2, 1024, 0, 0), protocol=TCP)),
    ]
    packets = [whole(START + n * MS, data) for n, data in enumerate(made)]
    answer = response(query(33, "cut.example.test"), record(16, b"\xc8" + b"x" * 200), RA)
    frame = ethernet(ip(SERVER_4, 53, CLIENT_4, 41005, answer))
    ends = (20, 40, 14 + 28 + 5, 14 + 28 + 20, len(frame) - 1)      # in IP, UDP, DNS, ...
    packets += [Packet(START + 10**9 + n, frame[:end], len(frame)) for n, end in enumerate(ends)]
    return packets


def large(exchanges: int) -> Iterator[Packet]:
    """Many exchanges, each of its own port and id, to make a large capture of."""
    for n in range(exchanges):
        port, number = 1024 + n % 60000, n & 0xffff
        asked = query(number, f"n{n}.example.test", 1, 0)
        time = START + n * MS // 10
        yield whole(time, ip(CLIENT_4, port, SERVER_4, 53, asked))
        answer = response(asked, record(1, bytes([192, 0, 2, 1])))
        yield whole(time + 50_000, ip(SERVER_4, 53, CLIENT_4, port, answer))


def large_ethernet(exchanges: int) -> Iterator[Packet]:
    return (whole(packet.time, ethernet(packet.data)) for packet in large(exchanges))


def write_large(path: Path, exchanges: int) -> Path:
    path.write_bytes(pcap(ETHERNET, large_ethernet(exchanges)))
    return path


def files() -> Dict[str, bytes]:
    """Every capture file by its name."""
    made = {}
    for name, kind in LINKS.items():
        made[f"talk-{name}.pcap"] = pcap(kind, talk_packets(kind))
        made[f"talk-{name}.pcapng"] = pcapng(kind, talk_packets(kind))
    made["talk-nanoseconds.pcap"] = pcap(ETHERNET, talk_packets(ETHERNET), nanoseconds=True)
    made["tags-ethernet.pcapng"] = pcapng(ETHERNET, tag_packets())
    made["odd-ethernet.pcapng"] = pcapng(ETHERNET, odd_packets())
    made["cut-inside-packet.pcap"] = made["talk-ethernet.pcap"][:-20]
    return made


def main(folder: str) -> None:
    for name, content in files().items():
        Path(folder, name).write_bytes(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
