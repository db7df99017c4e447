# SPDX-License-Identifier: BSD-2-Clause
"""Cases of DNS over TCP as a tap meets it: begun late, segments lost, records out of order."""

from cases_scene import C, S, Scene, answer, case, cut, prefixed


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
    lost = answer(scene.exchange()[0], 3000)
    rest = prefixed(lost)[1100:]
    for piece in cut(rest, 700):
        tcp.send(S, piece)
    for _ in range(3):
        tcp.exchange()
    tcp.close()
    tcp.contest(S, lost)
    scene.counts = {"stream_messages": 6, "streams.skipped_searching": len(rest)}


@case(both=True)
def segment_lost_between_messages(scene: Scene) -> None:
    """a segment of one message is missing for good: that one alone does not come"""
    tcp = scene.tcp().open()
    for n in range(6):
        asked, answered = scene.exchange()
        tcp.message(C, asked)
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


@case(both=True)
def first_segment_lost(scene: Scene) -> None:
    """the handshake is there, the first query is not"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    tcp.sent[C] += len(prefixed(asked))
    tcp.message(S, answered)
    scene.wait(100)
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 3, "responses_unmatched": 1, "streams.holes": 1,
                    "streams.ended": 1}


@case(both=True)
def open_and_the_length_alone(scene: Scene) -> None:
    """no SYN, and senders that write the length and the message one after the other"""
    tcp = scene.tcp(starts=(123_456_789, 987_654_321))
    for _ in range(3):
        asked, answered = scene.exchange()
        tcp.message(C, asked, 2, 1000)
        tcp.message(S, answered, 2, 1000)
    tcp.close()
    scene.counts = {"stream_messages": 6, "responses_matched": 3}


@case(both=True)
def open_and_a_message_in_pieces(scene: Scene) -> None:
    """no SYN, and the first message comes in several segments"""
    tcp = scene.tcp(starts=(123_456_789, 987_654_321))
    asked, answered = scene.exchange(size=3000)
    tcp.message(C, asked)
    tcp.message(S, answered, 1000)
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 4, "streams.skipped_searching": 0}


@case(both=True)
def data_before_the_handshake(scene: Scene) -> None:
    """SYN, SYN-ACK and query in every order, as several CPUs may have them"""
    for order in ((1, 0, 2), (2, 0, 1), (0, 2, 1), (2, 1, 0)):
        tcp = scene.tcp()
        asked, answered = scene.exchange()
        what = ((C, b"", "S"), (S, b"", "SA"), (C, prefixed(asked), "PA"))
        for side, data, flags in (what[n] for n in order):
            tcp.segment(side, 0, data, flags=flags, acked=0)
        tcp.expect(C, asked)
        tcp.message(S, answered)
        tcp.exchange()
        tcp.close()
    scene.counts = {"stream_messages": 16, "responses_matched": 8, "streams.ended": 4}


@case(both=True)
def answer_before_its_query(scene: Scene) -> None:
    """the two directions come from different CPUs"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange()
    tcp.message(S, answered, acked=len(prefixed(asked)))
    tcp.message(C, asked)
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 4, "responses_matched": 2}


@case(both=True)
def acknowledged_before_it_is_seen(scene: Scene) -> None:
    """a segment that comes 5 ms after its acknowledgement is not lost yet"""
    tcp = scene.tcp().open()
    asked, answered = scene.exchange(size=3000)
    data = prefixed(answered)
    tcp.message(C, asked)
    tcp.segment(S, 1460, data[1460:])
    tcp.segment(C, tcp.sent[C], flags="A", acked=len(data))
    scene.wait(5)
    tcp.expect(S, answered, time=tcp.segment(S, 0, data[:1460]))
    tcp.exchange()
    tcp.close()
    scene.counts = {"stream_messages": 4, "streams.holes": 0}
