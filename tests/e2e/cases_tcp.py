# SPDX-License-Identifier: BSD-2-Clause
"""Cases of DNS over TCP."""

import struct

from cases_scene import MS, C, S, Scene, answer, case, cut, prefixed
from clients import query

AXFR = 252


@case(both=True)
def one_byte_a_segment(scene: Scene) -> None:
    """query and response in segments of one byte"""
    asked, answered = scene.exchange()
    tcp = scene.tcp().open()
    tcp.message(C, asked, 1)
    tcp.message(S, answered, 1)
    tcp.close()
    scene.counts = {"stream_messages": 2, "streams.ended": 1, "responses_matched": 1,
                    "segments": 6 + 4 + len(asked) + len(answered)}


@case(both=True)
def several_messages_a_segment(scene: Scene) -> None:
    """five queries in one segment, five responses in one"""
    tcp = scene.tcp().open()
    pairs = [scene.exchange() for _ in range(5)]
    for side in (C, S):
        wires = [pair[side] for pair in pairs]
        tcp.expect(side, *wires, time=tcp.send(side, prefixed(*wires)))
    tcp.close()
    scene.counts = {"stream_messages": 10, "responses_matched": 5, "streams.holes": 0}


@case(both=True)
def answers_out_of_order(scene: Scene) -> None:
    """four queries at once, answered in another order, segments cut inside of messages"""
    tcp = scene.tcp().open()
    pairs = [scene.exchange() for _ in range(4)]
    for asked, _ in pairs:
        tcp.message(C, asked)
    answers = [pairs[n][1] for n in (2, 0, 3, 1)]
    tcp.send(S, prefixed(*answers), 1, 70, 50, 33)
    tcp.expect(S, *answers)
    tcp.close()
    scene.counts = {"stream_messages": 8, "responses_matched": 4}


@case(both=True)
def segments_out_of_order(scene: Scene) -> None:
    """the segments change places on their way, the length prefix cut in two"""
    tcp = scene.tcp().open()
    pairs = [scene.exchange() for _ in range(3)]
    for side in (C, S):
        wires = [pair[side] for pair in pairs]
        data = prefixed(*wires)
        pieces, at = [], 0
        for piece in cut(data, 1, len(wires[0]) - 3, 9, 20):
            pieces.append((at, piece))
            at += len(piece)
        for n in sorted(range(len(pieces)), key=lambda n: (n % 3 != 2, n % 3 != 1, n)):
            last = tcp.segment(side, *pieces[n], acked=None if side == S else 0)
        tcp.expect(side, *wires[:-1])
        tcp.expect(side, wires[-1], time=last)
    tcp.close()
    scene.counts = {"stream_messages": 6, "responses_matched": 3, "streams.holes": 0,
                    "streams.skipped_lost": 0}


@case(both=True)
def swapped_time_is_that_of_the_missing_one(scene: Scene) -> None:
    """the message before the hole and those behind it become whole with the late segment"""
    tcp = scene.tcp().open()
    wires = [scene.exchange()[0] for _ in range(3)]
    data = prefixed(*wires)
    tcp.segment(C, 0, data[:10])
    tcp.segment(C, 20, data[20:])
    scene.wait(500)
    tcp.expect(C, *wires, time=tcp.segment(C, 10, data[10:20]))
    tcp.close()
    scene.counts = {"stream_messages": 3, "streams.holes": 0}


@case(both=True)
def retransmitted(scene: Scene) -> None:
    """each segment twice, then all of it again in one"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    for side, wire in ((C, asked), (S, answered)):
        at, time = 0, 0
        for piece in cut(prefixed(wire), 11):
            time = tcp.segment(side, at, piece)
            tcp.segment(side, at, piece)
            at += len(piece)
        tcp.expect(side, wire, time=time)
        tcp.segment(side, 0, prefixed(wire))
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 4, "responses_matched": 2,
                    "streams.bytes_retransmitted": 2 * len(prefixed(asked, answered)),
                    "streams.segments_retransmitted":
                        len(cut(prefixed(asked), 11)) + len(cut(prefixed(answered), 11)) + 2}


@case(both=True)
def retransmitted_after_the_end(scene: Scene) -> None:
    """the last segments are repeated when the connection is closed already"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    tcp.message(C, asked)
    tcp.message(S, answered)
    tcp.close()
    tcp.segment(S, 0, prefixed(answered))
    tcp.segment(C, 0, prefixed(asked))
    scene.counts = {"stream_messages": 2, "streams.ended": 1,
                    "streams.bytes_retransmitted": len(prefixed(asked, answered))}


@case(both=True)
def overlapping(scene: Scene) -> None:
    """segments that begin inside of the one before, in order and out of order"""
    tcp = scene.tcp().open()
    pairs = [scene.exchange() for _ in range(2)]
    for side, order in ((C, 1), (S, -1)):
        wires = [pair[side] for pair in pairs]
        data = prefixed(*wires)
        for at in range(0, len(data), 13)[::order]:
            tcp.segment(side, at, data[at:at + 29])
        tcp.expect(side, *wires)
    tcp.close()
    scene.counts = {"stream_messages": 4, "streams.holes": 0}


@case()
def overlapping_with_other_bytes(scene: Scene) -> None:
    """a second copy with other bytes than the first: the first one counts"""
    tcp = scene.tcp().open()
    asked, _ = scene.exchange("first.example.test")
    other = asked.replace(b"first", b"other")
    data, forged = prefixed(asked), prefixed(other)
    tcp.segment(C, 0, data[:10])
    tcp.segment(C, 10, data[10:24])
    tcp.segment(C, 10, forged[10:])
    tcp.expect(C, data[2:24] + forged[24:])
    tcp.segment(C, 0, forged)
    tcp.close()
    assert data[24:] == forged[24:]
    tcp.contest(C, other)
    for n in range(len(data)):  # the capture may have cut the first copy anywhere
        tcp.contest(C, data[2:n] + forged[n:])
    scene.counts = {"stream_messages": 1}


@case(both=True)
def sequence_numbers_wrap(scene: Scene) -> None:
    """both directions step over 2^32, one of them with the segments swapped"""
    tcp = scene.tcp(starts=(2**32 - 21, 2**32 - 40)).open()
    asked, answered = scene.exchange()
    data = prefixed(asked)
    tcp.segment(C, 15, data[15:30])
    tcp.segment(C, 0, data[:15])
    tcp.expect(C, asked, time=tcp.segment(C, 30, data[30:]))
    tcp.message(S, answered, 30)
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 4, "streams.holes": 0, "streams.ended": 1}


@case(both=True)
def syn_with_data(scene: Scene) -> None:
    """TCP Fast Open: the query in the SYN, the answer in the segment after the SYN-ACK"""
    tcp = scene.tcp()
    asked, answered = scene.exchange()
    tcp.expect(C, asked, time=tcp.segment(C, 0, prefixed(asked), flags="S"))
    tcp.segment(S, 0, flags="SA")
    tcp.message(S, answered)
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 4, "responses_matched": 2, "streams.ended": 1}


@case(both=True)
def syn_with_data_both_ways(scene: Scene) -> None:
    """the query in the SYN, the answer in the SYN-ACK"""
    tcp = scene.tcp()
    asked, answered = scene.exchange()
    tcp.expect(C, asked, time=tcp.segment(C, 0, prefixed(asked), flags="S"))
    tcp.expect(S, answered, time=tcp.segment(S, 0, prefixed(answered), flags="SA"))
    tcp.segment(C, tcp.sent[C], flags="A")
    tcp.close()
    scene.counts = {"stream_messages": 2, "responses_matched": 1}


@case(both=True)
def syn_data_refused(scene: Scene) -> None:
    """the server takes only the SYN, and the client sends its data again"""
    tcp = scene.tcp()
    asked, answered = scene.exchange()
    tcp.expect(C, asked, time=tcp.segment(C, 0, prefixed(asked), flags="S"))
    tcp.segment(S, 0, flags="SA", acked=0)
    tcp.segment(C, 0, prefixed(asked))
    tcp.message(S, answered)
    tcp.close()
    scene.counts = {"stream_messages": 2, "streams.bytes_retransmitted": len(asked) + 2}


@case(both=True)
def keep_alives(scene: Scene) -> None:
    """probes one byte back, empty and with a byte of garbage, between and inside of messages"""
    tcp = scene.tcp().open()
    tcp.exchange()
    for garbage in (b"", b"\0"):
        tcp.segment(C, tcp.sent[C] - 1, garbage, flags="A")
        tcp.segment(S, tcp.sent[S], flags="A")
        scene.wait(50_000)
    asked, answered = scene.exchange()
    tcp.send(C, prefixed(asked)[:20])
    tcp.segment(C, 19 + tcp.sent[C] - 20, b"\xff", flags="A")
    tcp.expect(C, asked, time=tcp.send(C, prefixed(asked)[20:]))
    tcp.message(S, answered)
    tcp.segment(S, tcp.sent[S] - 1, b"\xff", flags="A")
    tcp.close()
    scene.counts = {"stream_messages": 4, "streams.bytes_retransmitted": 3}


@case(both=True)
def fin_with_data(scene: Scene) -> None:
    """the last bytes come with the FIN in both directions"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    data = prefixed(asked)
    tcp.segment(C, 0, data[:20])
    tcp.expect(C, asked, time=tcp.segment(C, 20, data[20:], flags="FPA"))
    tcp.expect(S, answered, time=tcp.segment(S, 0, prefixed(answered), flags="FPA"))
    tcp.segment(C, tcp.sent[C], flags="A")
    scene.counts = {"stream_messages": 2, "streams.ended": 1}


@case(both=True)
def fin_before_the_data(scene: Scene) -> None:
    """the FIN overtakes the last segment"""
    tcp = scene.tcp().open()
    tcp.exchange()
    asked, answered = scene.exchange()
    at = tcp.sent[C]
    tcp.segment(C, at + len(prefixed(asked)), flags="FA")
    tcp.expect(C, asked, time=tcp.segment(C, at, prefixed(asked)))
    tcp.expect(S, answered, time=tcp.send(S, prefixed(answered), flags="FPA"))
    tcp.segment(C, tcp.sent[C], flags="A")
    scene.counts = {"stream_messages": 4, "streams.ended": 1, "streams.holes": 0}


@case(both=True)
def closed_by_the_client_at_once(scene: Scene) -> None:
    """the query comes with the FIN, the answer later in pieces"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange(size=3000)
    tcp.expect(C, asked, time=tcp.send(C, prefixed(asked), flags="FPA"))
    tcp.segment(S, 0, flags="A")
    scene.wait(3_000)
    tcp.message(S, answered, 1460)
    tcp.segment(S, tcp.sent[S], flags="FA")
    scene.counts = {"stream_messages": 2, "responses_matched": 1, "streams.ended": 1}


@case(both=True)
def handshake_repeated(scene: Scene) -> None:
    """SYN and SYN-ACK are sent again, before the data and after them"""
    tcp = scene.tcp()
    for side in (C, C, S, S):
        tcp.segment(side, 0, flags="SA" if side == S else "S")
    asked, answered = scene.exchange()
    tcp.message(C, asked, 20)
    tcp.segment(S, 0, flags="SA", acked=0)
    tcp.message(S, answered)
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 4, "responses_matched": 2, "streams.ended": 1}


@case(both=True)
def rst_after_data(scene: Scene) -> None:
    """the client resets after the answer; what the RST carries is no part of the stream"""
    tcp = scene.tcp().open()
    tcp.exchange()
    asked, _ = scene.exchange()
    tcp.send(C, prefixed(asked)[:17])
    tcp.segment(C, tcp.sent[C], prefixed(asked)[17:], flags="RA")
    scene.counts = {"stream_messages": 2, "streams.ended": 1,
                    "streams.skipped_unfinished": 17, "streams.skipped_outside": len(asked) - 15}


@case(both=True)
def ports_used_again(scene: Scene) -> None:
    """a second connection from the same port, with other sequence numbers"""
    first = scene.tcp().open()
    first.exchange()
    first.close()
    scene.port -= 1
    second = scene.tcp(starts=(77_000_000, 3_000_000_000)).open()
    second.exchange()
    second.close()
    scene.counts = {"stream_messages": 4, "streams.ended": 2, "responses_matched": 2}


@case(both=True)
def open_when_the_tap_starts(scene: Scene) -> None:
    """no SYN; the first segment begins with a message"""
    tcp = scene.tcp(starts=(123_456_789, 987_654_321))
    for _ in range(3):
        tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 6, "responses_matched": 3, "streams.skipped_searching": 0}


@case(both=True)
def open_inside_of_a_message(scene: Scene) -> None:
    """no SYN; the first segments are the rest of a message"""
    tcp = scene.tcp(starts=(123_456_789, 987_654_321))
    lost, seen = answer(scene.exchange()[0], 3000), []
    rest = prefixed(lost)[1100:]
    for piece in cut(rest, 700):
        tcp.send(S, piece)
    for _ in range(3):
        tcp.exchange()
    tcp.close()
    tcp.contest(S, lost)
    scene.counts = {"stream_messages": 6, "streams.skipped_searching": len(rest)}
    assert not seen


@case(both=True)
def segment_lost_between_messages(scene: Scene) -> None:
    """a segment of one message is missing for good: that one alone does not come"""
    tcp = scene.tcp().open()
    for n in range(6):
        asked, answered = scene.exchange()
        tcp.message(C, asked)
        tcp.late = 0 if n < 2 else 20 * MS
        if n == 2:
            tcp.sent[S] += len(prefixed(answered))
        else:
            tcp.message(S, answered)
    tcp.segment(C, tcp.sent[C], flags="A")
    scene.wait(100)
    tcp.close()
    scene.counts = {"stream_messages": 11, "responses_matched": 5, "streams.holes": 1,
                    "streams.bytes_missing": len(prefixed(answered)), "streams.resynchronised": 1}


@case(both=True)
def segment_lost_inside_of_a_message(scene: Scene) -> None:
    """the length is known: what is behind the message comes, however it is cut"""
    tcp = scene.tcp().open()
    asked, lost = scene.exchange(size=4000)
    pairs = [scene.exchange() for _ in range(3)]
    tcp.expect(C, asked, *(pair[C] for pair in pairs), time=tcp.send(
        C, prefixed(asked, *(pair[C] for pair in pairs))))
    answers = [pair[S] for pair in pairs]
    data = prefixed(lost, *answers)
    for n, piece in enumerate(cut(data, 1460, 1460, 1090, 40)):
        if n == 1:
            tcp.sent[S] += len(piece)
        else:
            tcp.send(S, piece)
    tcp.segment(C, tcp.sent[C], flags="A")
    scene.wait(100)
    tcp.expect(S, *answers)
    tcp.close()
    scene.counts = {"stream_messages": 7, "streams.holes": 1, "streams.bytes_missing": 1460,
                    "streams.skipped_lost": 4002 - 1460, "streams.resynchronised": 0}


@case(both=True)
def segments_lost_in_both_directions(scene: Scene) -> None:
    """each lost segment costs the messages that it touches, and no other"""
    tcp = scene.tcp().open()
    tcp.late = 20 * MS
    for n in range(12):
        asked, answered = scene.exchange()
        for side, wire, lost in ((C, asked, n in (3, 7)), (S, answered, n in (3, 8))):
            data = prefixed(wire)
            if lost:  # its second half; the next message stands alone
                tcp.send(side, data[:20])
                tcp.sent[side] += len(data) - 20
            else:
                tcp.message(side, wire)
    tcp.segment(C, tcp.sent[C], flags="A")
    tcp.segment(S, tcp.sent[S], flags="A")
    scene.wait(100)
    tcp.close()
    scene.counts = {"stream_messages": 20, "streams.holes": 4, "streams.skipped_lost": 80}


def transfer_responses(asked: bytes, count: int) -> list:
    """Only the first one repeats the question (RFC 5936 leaves that to the server)."""
    wires = []
    for n in range(count):
        text = b"%05d" % n + b"." * (n * n % 29)
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


@case()
def zone_transfer_with_a_lost_segment(scene: Scene) -> None:
    """in sync again at the next segment that begins with a message; no response is invented"""
    size, lost = 1448, 40 * 1448
    scene.number += 1
    asked = query(scene.number, "zone.example.test", AXFR, 0)
    wires = transfer_responses(asked, 3000)
    tcp = scene.tcp().open()
    tcp.message(C, asked)
    data, at = prefixed(*wires), 0
    begins, end = {}, 0
    for wire in wires:
        begins[end] = wire
        end += len(wire) + 2
    for piece in cut(data, size):
        if at == lost:
            tcp.sent[S] += len(piece)
        else:
            tcp.send(S, piece)
        at += len(piece)
        tcp.segment(C, tcp.sent[C], flags="A")
    again = next(at for at in range(lost + size, end, size) if at in begins)
    tcp.expect(S, *(wire for at, wire in begins.items()
                    if at + len(wire) + 2 <= lost or at >= again))
    scene.counts = {"streams.holes": 1, "streams.resynchronised": 1, "responses_unmatched": 0,
                    "streams.bytes_missing": size, "queries_answered": 1,
                    "responses_matched": len(scene.messages) - 1}


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


@case(both=True)
def payloads_that_are_not_dns_in_a_stream(scene: Scene) -> None:
    """messages of 0 and 5 bytes and one of noise between good ones: counted, the rest comes"""
    tcp = scene.tcp().open()
    tcp.exchange()
    tcp.send(C, prefixed(b"", b"12345", b"\xff" * 40))
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 7, "dns_short": 2, "dns_malformed": 1, "messages": 4}


@case(both=True)
def another_protocol_on_the_port(scene: Scene) -> None:
    """HTTP on port 53: no message, every byte accounted for"""
    tcp = scene.tcp().open()
    asked, answered = b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", b"HTTP/1.1 400 \r\n\r\n"
    tcp.send(C, asked)
    tcp.send(S, answered)
    tcp.close()
    scene.counts = {"stream_messages": 0, "messages": 0,
                    "streams.skipped_unfinished": len(asked) + len(answered)}


@case(both=True)
def half_open(scene: Scene) -> None:
    """SYN alone, SYN and RST, a handshake without data"""
    scene.tcp().segment(C, 0, flags="S")
    refused = scene.tcp()
    refused.segment(C, 0, flags="S")
    refused.segment(S, 0, flags="RA", acked=0)
    silent = scene.tcp().open()
    silent.close()
    scene.counts = {"stream_messages": 0, "segments": 9, "messages": 0}


@case()
def padded_acknowledgements(scene: Scene) -> None:
    """frames of less than 60 bytes: the padding is not data"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    tcp.message(C, asked, 3, trailer=b"\xaa" * 3)
    for _ in range(3):
        tcp.segment(S, 0, flags="A", trailer=b"\xaa" * 6)
    tcp.message(S, answered, 2, trailer=b"\xaa" * 4)
    tcp.segment(C, tcp.sent[C], flags="FA", trailer=b"\xaa" * 6)
    tcp.segment(S, tcp.sent[S], flags="FA", trailer=b"\xaa" * 6)
    scene.counts = {"stream_messages": 2, "streams.ended": 1,
                    "streams.bytes": len(prefixed(asked, answered))}
