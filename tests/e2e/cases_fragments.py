# SPDX-License-Identifier: BSD-2-Clause
"""Cases of IPv4 and IPv6 fragments."""

from typing import Iterable, List, NamedTuple

from scapy.layers.inet6 import IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, PadN
from scapy.packet import Raw

from cases_scene import C, S, Scene, Udp, case, prefixed

UDP_NUMBER, TCP_NUMBER, DESTINATION = 17, 6, 60
SIZE = 2500  # bytes of the answers


class Piece(NamedTuple):
    offset: int
    more: bool
    data: bytes


def pieces(body: bytes, size: int = 1232) -> List[Piece]:
    return [Piece(at, at + size < len(body), body[at:at + size])
            for at in range(0, len(body), size)]


def send(scene: Scene, side: int, parts: Iterable[Piece], number: int,
         protocol: int = UDP_NUMBER) -> int:
    """Each part as a fragment of the datagram `number`. Returns the last one's time."""
    time = 0
    for part in parts:
        if scene.six:
            packet = scene.ip(side) / IPv6ExtHdrFragment(
                nh=protocol, offset=part.offset // 8, m=int(part.more), id=number)
        else:
            packet = scene.ip(side, id=number, flags="MF" if part.more else 0,
                              frag=part.offset // 8, proto=protocol)
        time = scene.send(packet / Raw(part.data), sent_by=side)
    return time


def question(scene: Scene, size: int = SIZE) -> tuple:
    """A query, sent, and its answer, cut but not sent."""
    asked, answered = scene.exchange(size=size)
    udp = scene.udp()
    udp.send(C, asked)
    return udp, answered, pieces(udp.datagram(S, answered))


def good(scene: Scene, number: int = 900) -> None:
    """What comes after the odd ones must come whole."""
    udp, answered, parts = question(scene)
    udp.expect(S, answered, send(scene, S, parts, number))


@case(both=True)
def fragments(scene: Scene) -> None:
    """an answer in three fragments"""
    good(scene)
    scene.counts = {"fragments": 3, "reassembled": 1, "fragments.fragments_reassembled": 3,
                    "responses_matched": 1}


@case(both=True)
def fragments_of_a_query(scene: Scene) -> None:
    """a query of 1,800 bytes in small pieces"""
    asked, answered = scene.exchange()
    asked = asked[:10] + b"\0\1" + asked[12:] + b"\0\0\x29\x04\xd0\0\0\0\0" + b"\x06\xd6" + \
        b"\0\x0c\x06\xd2" + bytes(0x6d2)
    udp = scene.udp()
    udp.expect(C, asked, send(scene, C, pieces(udp.datagram(C, asked), 64), 5))
    udp.send(S, answered)
    scene.counts = {"reassembled": 1, "responses_matched": 1}


@case(both=True)
def fragments_reversed(scene: Scene) -> None:
    """the last fragment first, as some senders do"""
    udp, answered, parts = question(scene)
    udp.expect(S, answered, send(scene, S, parts[::-1], 1))
    scene.counts = {"fragments": 3, "reassembled": 1}


@case(both=True)
def fragments_interleaved(scene: Scene) -> None:
    """three answers whose fragments stand between each other"""
    talks = [question(scene) for _ in range(3)]
    for n in range(3):
        for number, (udp, answered, parts) in enumerate(talks):
            time = send(scene, S, [parts[(n + number) % 3]], 10 + number)
            if n == 2:
                udp.expect(S, answered, time)
    scene.counts = {"fragments": 9, "reassembled": 3, "responses_matched": 3}


@case(both=True)
def fragments_same_number(scene: Scene) -> None:
    """one number used again, by another client at once and by the same one afterwards"""
    good(scene, 7)
    good(scene, 7)
    scene.counts = {"fragments": 6, "reassembled": 2}


@case(both=True)
def fragments_duplicated(scene: Scene) -> None:
    """exact copies of fragments are harmless"""
    udp, answered, parts = question(scene)
    send(scene, S, [parts[0], parts[0], parts[1], parts[0], parts[1]], 1)
    udp.expect(S, answered, send(scene, S, [parts[2]], 1))
    scene.counts = {"fragments": 6, "reassembled": 1, "fragments.fragments_duplicate": 3,
                    "fragments.fragments_overlap": 0}


@case(both=True)
def fragments_overlapping(scene: Scene) -> None:
    """bytes covered twice: the datagram is discarded, all that still comes of it too"""
    udp, answered, parts = question(scene)
    udp.contest(S, answered)
    wrong = Piece(parts[1].offset - 8, True, b"\xff" * 16)
    send(scene, S, [parts[0], wrong, parts[1], parts[2]], 1)
    good(scene)
    scene.counts = {"fragments": 7, "reassembled": 1, "fragments.fragments_overlap": 2,
                    "fragments.fragments_of_discarded": 2}


@case(both=True)
def fragments_overlapping_exactly(scene: Scene) -> None:
    """the same place with other bytes"""
    udp, answered, parts = question(scene)
    forged = parts[1]._replace(data=b"\xff" * len(parts[1].data))
    udp.contest(S, answered)
    udp.contest(S, (parts[0].data + forged.data + parts[2].data)[8:])
    send(scene, S, [parts[0], forged, parts[1], parts[2]], 1)
    good(scene)
    scene.counts = {"fragments": 7, "reassembled": 1, "fragments.fragments_overlap": 3,
                    "fragments.fragments_of_discarded": 1}


@case(both=True)
def fragments_without_the_last(scene: Scene) -> None:
    """the last one never comes: given up after 30 seconds"""
    _, _, parts = question(scene)
    send(scene, S, parts[:2], 1)
    scene.wait(31_000)
    good(scene)
    scene.counts = {"fragments": 5, "reassembled": 1, "fragments.fragments_timed_out": 2}


@case(both=True)
def fragments_without_the_first(scene: Scene) -> None:
    """the first one never comes: given up after two seconds"""
    _, _, parts = question(scene)
    send(scene, S, parts[1:], 1)
    scene.wait(2_500)
    good(scene)
    scene.counts = {"fragments": 5, "reassembled": 1, "fragments.fragments_unclaimed": 2}


@case(both=True)
def fragments_at_the_end_of_the_capture(scene: Scene) -> None:
    """what is not whole when the capture ends"""
    _, _, parts = question(scene)
    send(scene, S, parts[:2], 1)
    scene.counts = {"fragments": 2, "reassembled": 0, "fragments.fragments_drained": 2}


@case(both=True)
def fragments_tiny_first(scene: Scene) -> None:
    """a first fragment of eight bytes: the UDP header alone"""
    udp, answered, _ = question(scene)
    body = udp.datagram(S, answered)
    rest = [part._replace(offset=part.offset + 8) for part in pieces(body[8:])]
    udp.expect(S, answered, send(scene, S, [Piece(0, True, body[:8]), *rest], 1))
    scene.counts = {"reassembled": 1, "responses_matched": 1}


@case(both=True)
def fragments_of_64_kilobytes(scene: Scene) -> None:
    """the largest datagram IPv4 can carry, in pieces of 1,232 bytes"""
    udp, answered, parts = question(scene, 65535 - 20 - 8)
    udp.expect(S, answered, send(scene, S, parts, 1))
    scene.counts = {"reassembled": 1, "responses_matched": 1}


@case(both=True)
def fragments_malformed(scene: Scene) -> None:
    """a piece that is no multiple of 8, an end behind 65,535, two different ends"""
    for number, odd in enumerate((Piece(1232, True, bytes(1231)), Piece(65528, False, bytes(16)),
                                  Piece(1232, False, bytes(8)))):
        _, _, parts = question(scene)
        send(scene, S, [parts[0], parts[2], odd], 20 + number)
    good(scene)
    scene.counts = {"reassembled": 1, "fragments.fragments_malformed": 9}


@case(both=True)
def fragments_of_another_port(scene: Scene) -> None:
    """what turns out to be on another port is no DNS"""
    udp = Udp(scene, 40999, server_port=5300)
    send(scene, S, pieces(udp.datagram(S, scene.exchange(size=SIZE)[1])), 1)
    good(scene)
    scene.counts = {"reassembled": 2, "reassembled_foreign": 1, "messages": 2}


@case(six=True)
def fragment_that_is_whole(scene: Scene) -> None:
    """IPv6 atomic fragments: a fragment header, and nothing cut"""
    udp = scene.udp()
    udp.exchange(between=IPv6ExtHdrFragment(nh=17, id=77))
    scene.counts = {"datagrams": 2, "fragments": 0, "responses_matched": 1}


@case(both=True)
def fragments_of_a_segment(scene: Scene) -> None:
    """a TCP segment in three fragments, the last one first"""
    asked, answered = scene.exchange(size=SIZE)
    tcp = scene.tcp().open()
    tcp.message(C, asked)
    segment = tcp.packet(S, 0, prefixed(answered))
    body = bytes(scene.ip(S) / segment)[40 if scene.six else 20:]
    tcp.expect(S, answered, time=send(scene, S, pieces(body)[::-1], 1, TCP_NUMBER))
    tcp.exchange()
    tcp.close()
    scene.counts = {"reassembled": 1, "reassembled_segments": 1, "stream_messages": 4}


@case(six=True)
def fragments_behind_and_before_headers(scene: Scene) -> None:
    """hop-by-hop before the fragment header, destination options behind it, AH inside"""
    asked, answered = scene.exchange(size=SIZE)
    udp = scene.udp()
    udp.send(C, asked)
    options = PadN(optdata=b"\0\0\0\0")
    body = bytes(IPv6ExtHdrDestOpt(nh=UDP_NUMBER, options=[options])) + udp.datagram(S, answered)
    time = 0
    for part in pieces(body):
        time = scene.send(
            scene.ip(S) / IPv6ExtHdrHopByHop(options=[options]) / IPv6ExtHdrFragment(
                nh=DESTINATION, offset=part.offset // 8, m=int(part.more), id=1) / Raw(part.data),
            sent_by=S)
    udp.expect(S, answered, time)
    scene.counts = {"reassembled": 1, "responses_matched": 1}


@case(both=True)
def fragments_padded(scene: Scene) -> None:
    """a last fragment of few bytes in a frame filled up to 60"""
    udp, answered, _ = question(scene, 1232 + 8 - 8 + 1)
    parts = pieces(udp.datagram(S, answered))
    assert len(parts[-1].data) <= 9
    send(scene, S, parts[:-1], 1)
    time = send(scene, S, parts[-1:], 1)
    last = scene.packets[-1]
    scene.packets[-1] = last._replace(data=last.data + b"\xaa" * 9, length=last.length + 9)
    udp.expect(S, answered, time)
    scene.counts = {"reassembled": 1}
