# SPDX-License-Identifier: BSD-2-Clause
"""Cases of DNS over TCP."""

from cases_scene import C, S, Scene, case, cut, prefixed


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
    scene.counts = {"streams.resynchronised": 0,
                    "stream_messages": 4, "responses_matched": 2, "streams.ended": 1}


@case(both=True)
def syn_with_data_both_ways(scene: Scene) -> None:
    """the query in the SYN, the answer in the SYN-ACK"""
    tcp = scene.tcp()
    asked, answered = scene.exchange()
    tcp.expect(C, asked, time=tcp.segment(C, 0, prefixed(asked), flags="S"))
    tcp.expect(S, answered, time=tcp.segment(S, 0, prefixed(answered), flags="SA"))
    tcp.segment(C, tcp.sent[C], flags="A")
    tcp.close()
    scene.counts = {"streams.resynchronised": 0,
                    "stream_messages": 2, "responses_matched": 1}


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
    scene.counts = {"streams.resynchronised": 0,
                    "stream_messages": 2, "streams.bytes_retransmitted": len(asked) + 2}


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
def window_probes(scene: Scene) -> None:
    """one byte of new data at a time, refused and sent again"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange(size=3000)
    data = prefixed(answered)
    tcp.message(C, asked)
    tcp.send(S, data[:1460])
    for pause in (400, 800):
        tcp.segment(S, 1460, data[1460:1461])
        tcp.segment(C, tcp.sent[C], flags="A", acked=1460)
        scene.wait(pause)
    tcp.segment(S, 1460, data[1460:2920])
    tcp.expect(S, answered, time=tcp.segment(S, 2920, data[2920:]))
    tcp.close()
    scene.counts = {"stream_messages": 2, "streams.bytes_retransmitted": 2}


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
def fin_before_the_only_data(scene: Scene) -> None:
    """the FIN overtakes the first segment of its direction, too"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    tcp.segment(C, len(prefixed(asked)), flags="FA")
    tcp.expect(C, asked, time=tcp.segment(C, 0, prefixed(asked)))
    tcp.expect(S, answered, time=tcp.send(S, prefixed(answered), flags="FPA"))
    tcp.segment(C, tcp.sent[C], flags="A")
    scene.counts = {"stream_messages": 2, "streams.ended": 1, "streams.holes": 0,
                    "responses_matched": 1}


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
