# SPDX-License-Identifier: BSD-2-Clause
"""Cases of DNS over TCP with much in it: zone transfers, the largest messages and segments."""

import struct

from cases_scene import C, S, Scene, case, cut, prefixed
from clients import query

AXFR = 252


def transfer_responses(asked: bytes, count: int, equal: bool = False) -> list:
    """Only the first one repeats the question (RFC 5936 leaves that to the server)."""
    wires = []
    for n in range(count):
        text = b"%05d" % n + b"." * (1 if equal else n * n % 29)
        head = asked[:2] + struct.pack("!HHHHH", 0x8400, n == 0, 1, 0, 0)
        record = asked[12:-4] + struct.pack("!HHIHB", 16, 1, 300, len(text) + 1, len(text)) + text
        wires.append(head + (asked[12:] if n == 0 else b"") + record)
    return wires


def transfer(scene: Scene, count: int, *sizes: int) -> None:
    """A whole AXFR."""
    scene.number += 1
    asked = query(scene.number, "zone.example.test", AXFR, 0)
    wires = transfer_responses(asked, count)
    tcp = scene.tcp().open()
    tcp.message(C, asked)
    tcp.send(S, prefixed(*wires), *sizes)
    tcp.expect(S, *wires)
    tcp.segment(C, tcp.sent[C], flags="A")
    tcp.close()
    scene.counts = {"stream_messages": count + 1, "responses_matched": count,
                    "responses_unmatched": 0, "queries_answered": 1, "streams.ended": 1}


@case()
def zone_transfer(scene: Scene) -> None:
    """2,000 responses to one query"""
    transfer(scene, 2000, 1448)


@case(six=True)
def zone_transfer_over_ipv6(scene: Scene) -> None:
    """2,000 responses to one query, coalesced to 60 KB a segment"""
    transfer(scene, 2000, 60_000)


def transfer_with_a_lost_segment(scene: Scene, wires: list, asked: bytes) -> None:
    """Of all responses only those come not that the lost segment has a part of."""
    size, lost = 1448, 40 * 1448
    tcp = scene.tcp().open()
    tcp.message(C, asked)
    times, at = {}, 0
    for piece in cut(prefixed(*wires), size):
        if at == lost:
            tcp.sent[S] += len(piece)
        else:
            times[at] = tcp.send(S, piece)
        at += len(piece)
        tcp.segment(C, tcp.sent[C], flags="A")
    begin = 0
    for wire in wires:
        end = begin + len(wire) + 2
        if end <= lost or begin >= lost + size:
            tcp.expect(S, wire, time=times[(end - 1) // size * size])
        begin = end
    scene.counts = {"streams.holes": 1, "streams.resynchronised": 1, "responses_unmatched": 0,
                    "streams.bytes_missing": size, "queries_answered": 1,
                    "responses_matched": len(scene.messages) - 1}


@case()
def zone_transfer_with_a_lost_segment(scene: Scene) -> None:
    """when a segment begins with a message, those before it are found too; none is invented"""
    scene.number += 1
    asked = query(scene.number, "zone.example.test", AXFR, 0)
    transfer_with_a_lost_segment(scene, transfer_responses(asked, 3000), asked)


@case()
def transfer_of_equal_sizes_with_a_lost_segment(scene: Scene) -> None:
    """no segment behind the hole begins with a message"""
    scene.number += 1
    asked = query(scene.number, "zone.example.test", AXFR, 0)
    wires = transfer_responses(asked, 3000, True)
    assert [len(wire) % 2 for wire in wires[:2]] == [1, 0]  # and so all begin at odd offsets
    transfer_with_a_lost_segment(scene, wires, asked)


@case(both=True)
def message_of_65535_bytes(scene: Scene) -> None:
    """the largest message there is, in segments of 1,448 bytes, and in two"""
    for size in (1448, 40_000):
        asked, answered = scene.exchange(size=65535)
        tcp = scene.tcp().open()
        tcp.message(C, asked)
        tcp.message(S, answered, size)
        tcp.close()
    scene.counts = {"stream_messages": 4, "responses_matched": 2, "frame_oversize": 0}


@case(both=True)
def coalesced_to_60_kilobytes(scene: Scene) -> None:
    """GRO: one segment of 60 KB with some 900 messages, the last one cut in two"""
    tcp = scene.tcp().open()
    pairs, size = [], 0
    while size < 60_200:
        pairs.append(scene.exchange())
        size += len(pairs[-1][S]) + 2
    for side in (C, S):
        wires = [pair[side] for pair in pairs]
        tcp.send(side, prefixed(*wires), 60_000)
        tcp.expect(side, *wires)
    tcp.close()
    scene.counts = {"stream_messages": 2 * len(pairs), "responses_matched": len(pairs)}


@case(six=True)
def longer_than_64_kilobytes(scene: Scene) -> None:
    """BIG TCP: an IPv6 packet of 150 KB whose payload length is 0"""
    tcp = scene.tcp().open()
    pairs = [scene.exchange(size=1000) for _ in range(150)]
    tcp.send(C, prefixed(*(pair[C] for pair in pairs)))
    tcp.expect(C, *(pair[C] for pair in pairs))
    tcp.expect(S, *(pair[S] for pair in pairs), time=tcp.send(
        S, prefixed(*(pair[S] for pair in pairs)), ip={"plen": 0}, fields={"chksum": 0}))
    tcp.close()
    scene.counts = {"stream_messages": 300, "packet_malformed": 0}
