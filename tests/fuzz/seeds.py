# SPDX-License-Identifier: BSD-2-Clause
"""The first inputs of the fuzzers, made of the project's own captures and words.

`python3 seeds.py NAME FOLDER` writes those of fuzz_NAME.c, in the form that its comment describes.
`scripts/fuzz BUILD 0` makes the corpora of them; they need not be good, only different.
"""

import random
import struct
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
sys.dont_write_bytecode = True

import captures  # noqa: E402
from cases import all_cases, capture  # noqa: E402
from packets import COOKED_1, COOKED_2, ETHERNET, Packet  # noqa: E402

HEADS = {ETHERNET: (14, 12), COOKED_1: (16, 14), COOKED_2: (20, 0)}  # length, ethertype at
LARGE = 20000  # bytes of a seed
makers: Dict[str, Callable[[], Iterator[bytes]]] = {}


class Network(NamedTuple):
    """A packet behind its link layer."""

    time: int
    ethertype: int
    data: bytes
    missing: int


class Kept(bytes):
    """One that stays in the corpus, though others may reach the same places."""


def seeds(make: Callable[[], Iterator[bytes]]) -> Callable[[], Iterator[bytes]]:
    makers[make.__name__] = make
    return make


def network(link: int, packet: Packet) -> Network:
    head, at = HEADS.get(link, (0, 0))
    data = packet.data[head:]
    if head:
        ethertype = struct.unpack_from("!H", packet.data.ljust(head, b"\0"), at)[0]
    else:
        ethertype = 0x86dd if data[:1] >= b"\x60" else 0x0800
    return Network(packet.time, ethertype, data, packet.length - len(packet.data))


def talks() -> Iterator[List[Network]]:
    """What the captures hold, each as a list of packets."""
    yield [network(ETHERNET, packet) for packet in captures.talk_packets(ETHERNET)]
    yield [network(ETHERNET, packet) for packet in captures.tag_packets()]
    yield [network(ETHERNET, packet) for packet in captures.odd_packets()]
    for case in all_cases().values():
        yield [network(case.link, packet) for packet in case.packets]


def messages() -> Iterator[bytes]:
    for case in all_cases().values():
        for sent in case.messages:
            yield sent.wire


@seeds
def packet() -> Iterator[bytes]:
    for talk in talks():
        for p in talk[:40]:
            yield struct.pack("!HHHH", p.ethertype, 0, max(p.missing, 0), 20) + p.data[:400]


@seeds
def dns() -> Iterator[bytes]:
    for wire in set(messages()):
        if len(wire) < 2000:
            yield b"\0\0" + wire
    for _, payload in captures.dns_payloads():
        yield b"\0\0" + payload
    for last in (61, 62, 63):  # names of 254, 255 and 256 bytes
        name = (b"\x3f" + b"a" * 63) * 3 + bytes([last - 1]) + b"b" * (last - 1) + b"\0"
        yield Kept(bytes(2 + 2) + b"\0\0\0\1" + bytes(6) + name + b"\0\1\0\1")


@seeds
def pipeline() -> Iterator[bytes]:
    for number, talk in enumerate(talks()):
        script = struct.pack("!H", (0x0000, 0xf0c7, 0x1021, 0xf3d4)[number % 4])
        before = talk[0].time if talk else 0
        for p in talk:
            if len(script) > LARGE:
                break
            time = min(max(p.time - before, 0) // 100000, 0xffff)
            before = p.time
            data = p.data[:65535]
            script += struct.pack("!BHBHHHH", 0, time, number % 8, p.ethertype, 0,
                                  max(p.missing, 0), len(data)) + data
        yield script
    query = next(messages())
    yield b"\0\0" + struct.pack("!BHBHHHHH", 1, 1, 0, 0x0800, 0, 0, 300, len(query)) + query
    yield b"\0\0" + struct.pack("!BHH", 2, 1, 32 + len(query)) + bytes(31) + b"\1" + query


@seeds
def fragments() -> Iterator[bytes]:
    rng = random.Random(1)
    for number in range(60):
        script = bytes([number])
        which = [rng.randrange(32) for _ in range(1 + number % 3)]
        size = rng.choice((8, 64, 512, 1480, 8192))
        pieces = [(d, at) for d in which for at in range(0, 40000, size)][:60]
        if number % 2:
            rng.shuffle(pieces)
        for datagram, at in pieces:
            flags = rng.choice((0, 0, 0, 0, 0, 0x20)) if number % 5 == 4 else 0
            script += struct.pack("!BBHHH", flags, datagram, at // 8, size, rng.choice((0, 1)))
        if number % 7 == 6:
            script += struct.pack("!BH", 1, rng.randrange(65536))
            script += struct.pack("!BBHHH", 0xc0, which[0], 0, 16, 0) + bytes(16)
        yield script


def stream_content(rng: random.Random) -> bytes:
    chunks = []
    for _ in range(rng.randrange(1, 20)):
        kind, stream = rng.choice((0, 1, 2, 2, 2, 3)), rng.randrange(8)
        length = rng.choice((0, 12, 17, 60, 500, 1400, 20000, 65000))
        literal = b""
        if kind in (0, 3):
            literal = bytes(rng.randrange(256) for _ in range(length & 63))
            length = len(literal)
        chunks.append(struct.pack("!BH", stream + 8 * kind, length) + literal)
    return bytes([rng.randrange(256), len(chunks)]) + b"".join(chunks)


def covering(rng: random.Random) -> bytes:
    """Small streams of which all is sent, in pieces that overlap and change places."""
    script = bytes([7, 2])
    for stream in (0, 1):
        script += struct.pack("!BH", stream + 8 * 2, rng.randrange(300))
    script += bytes([2, 0, 2, 1])
    pieces = [(stream, at, rng.choice((5, 40, 41, 90))) for stream in (0, 1)
              for at in range(0, 400, rng.choice((4, 20, 40)))][:28]
    if rng.randrange(2):
        rng.shuffle(pieces)
    for stream, at, length in pieces:
        script += struct.pack("!BBHH", 1, stream, at // 4, length)
    return script


@seeds
def streams() -> Iterator[bytes]:
    rng = random.Random(2)
    for _ in range(60):
        yield Kept(covering(rng))
    for number in range(120):
        script = stream_content(rng)
        for stream in rng.sample(range(8), 8 if number % 3 else rng.randrange(8)):
            script += bytes([2, stream])
        choices = ([0], [0, 1], [0, 1, 5, 6, 8], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])[number % 4]
        for _ in range(rng.randrange(5, 120)):
            command = rng.choice(choices)
            pause = rng.choice((0, 0, 0, 0, 2, 3, 4, 5)) if number % 5 else 0
            which = rng.randrange(8) + 32 * pause
            script += bytes([command, which])
            if command == 1:
                script += struct.pack("!H", rng.randrange(16384))
            if command in (0, 1, 8):
                script += struct.pack("!H", rng.choice((1, 2, 100, 1400, 1400, 9000)))
            elif command == 6:
                script += bytes([rng.randrange(8)])
            elif command == 7:
                script += struct.pack("!BBIH", 0x10, rng.randrange(4), rng.randrange(2000), 20)
                script += bytes(20)
        for stream in range(8):
            script += bytes([3, stream])
        yield script


def control(kind: int, *fields: bytes) -> bytes:
    body = struct.pack("!I", kind) + b"".join(
        struct.pack("!II", 1, len(field)) + field for field in fields)
    return struct.pack("!II", 0, len(body)) + body


@seeds
def collector() -> Iterator[bytes]:
    ours, other = b"protobuf:dnstap.Dnstap", b"text/plain"
    accepts = (control(1, ours), control(1), control(1, other), control(1, other, ours),
               control(4, ours), control(5), control(2, ours), b"HTTP/1.1 400 Bad Request\r\n\r\n",
               struct.pack("!II", 0, 0xffffffff), struct.pack("!I", 77) + bytes(77), b"")
    ends = (control(5), control(3), b"\0\0\0\0", b"", control(5, ours), control(1, ours))
    for number, accept in enumerate(accepts):
        for end in ends:
            yield bytes([0, 6]) + accept + end
        yield bytes([1 << number % 4, 10]) + accept + ends[0]
    yield bytes([0, 63]) + 2 * (accepts[0] + ends[0])


@seeds
def replay() -> Iterator[bytes]:
    for name, content in captures.files().items():
        yield content[:1200]
        if name.startswith("odd"):
            yield content
    for case in all_cases().values():
        content = capture(case)
        if len(content) < 1500:
            yield content


@seeds
def spool() -> Iterator[bytes]:
    rng = random.Random(3)

    def record(part: int) -> bytes:
        length = rng.choice((1, 5, 200, 2000))
        return bytes([part]) + struct.pack("!H", length) + bytes([rng.randrange(256)]) * length

    for number in range(40):
        script = bytes([number % 6])
        for _ in range(number % 6):
            script += bytes([0, rng.choice((0, 32, 45)), rng.choice((0, 0, 1)),
                             rng.choice((0, 0, 3, 128))])
            for _ in range(rng.randrange(4)):
                script += record(rng.choice((1, 1, 1, 2)))
            if not rng.randrange(4):
                script += bytes([4, rng.randrange(256), 65])
            if not rng.randrange(4):
                script += bytes([3, 3]) + b"end"
            script += bytes([5])
        for _ in range(30):
            command = rng.randrange(7)
            script += bytes([command])
            if command == 0:
                script += bytes([9]) + b"0123456789"
            elif command in (2, 5):
                script += bytes([rng.randrange(4)])
        yield script


WORDS = """/run/dnstap.sock
run/dnstap.sock full
unix:///run/x?unidirectional=yes&queue=1M
tcp://collector.example.net:6000 full
tcp://[2001:db8::1]:6000
tcp://[fe80::1%eth0]
tcp://2001:db8::1
tls://192.0.2.1?tls-ca=/etc/ca.pem&tls-cert=/c&tls-key=/k&tls-verify=no full
file:///var/log/dnstap-%Y%m%d.fstrm?rotate-size=64K&rotate-interval=1h
- full
tcp:/x
udp://x
unix:///x?spool=/var/spool&spool-size=1G
tcp://a:0
tcp://a:65536
file:///x?queue=127K&
tls://[::1]:853?tls-verify=perhaps
full
unix:///x?queue=18446744073709551616"""

LINES = """-i eth0 --port 53 --port 5353 -
-r capture.pcap file:///x full
--role resolver --local 192.0.2.0/24 --local 2001:db8::/32 -
--ring bpf --ring-size 4M --queue-size 1G unix:///x
--query-timeout 3600 --max-queries 16777216 --max-streams 1 --stream-memory 1M -
--extra {interface}-{vlan}-{{}} - full
--extra {bad} -
--tls-ca=/ca --tls-cert /c --tls-no-verify tls://x --spool /s --spool-size 4M
--identity a --version-string b --format json --with-query --query-zone --transit -
--ring-size 3M - -hV
--help
-V
--po 1 --xyz -ieth0 -- - full
--promiscuous -r x -
--port 0 -
--local 300.0.0.1 -"""


@seeds
def url() -> Iterator[bytes]:
    for line in WORDS.splitlines():
        yield line.replace(" ", "\n").encode()
    yield WORDS.replace(" ", "\n").encode()
    yield b"/" + b"x" * 300
    yield b"file:///" + b"y" * 4100


@seeds
def options() -> Iterator[bytes]:
    for line in LINES.splitlines():
        yield line.replace(" ", "\n").encode()
    for line in WORDS.splitlines():
        yield line.replace(" ", "\n").encode()
    yield b"--extra\n" + "\u00e9".encode() * 506 + b"{interface}\n-"
    yield b"--extra\n{interface}" + "\u00e9".encode() * 506 + b"\n-"


def main(name: str, folder: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(makers[name]()):
        kind = "kept" if isinstance(seed, Kept) else "seed"
        Path(folder, f"{kind}-{number:04}").write_bytes(seed[:65535])


if __name__ == "__main__":
    main(*sys.argv[1:])
