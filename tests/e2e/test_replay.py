# SPDX-License-Identifier: BSD-2-Clause
"""Replays of capture files, as a user without privileges: the same pipeline, nothing lost."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

import captures
from collectors import Collector, golang_dnstap, read_with, wait_until
from frames import decode, read_file, read_messages
from packets import ETHERNET, RAW_IP, pcap, pcapng
from tap import REPOSITORY, binary, check_balance, replay

DATA = REPOSITORY / "tests" / "data"
TALKS = sorted(name for name in captures.files() if name.startswith(("talk", "tags")))
ROLES = ("auth", "client", "resolver", "forwarder", "stub", "tool")
ODD_COUNTS = ("dns_short", "dns_malformed")
MESSAGES = len(captures.talk().expected)


@pytest.fixture
def run(folder, readable_program):
    """run(capture, *words) replays as nobody; the capture may be a name in tests/data."""
    def start(capture, *words, **options):
        path = folder / "capture"
        path.write_bytes(Path(DATA, capture).read_bytes())
        path.chmod(0o644)
        return replay(folder, path, *words, nobody=True, program=readable_program, **options)

    return start


def precise(name, time):
    """A time as the file of that name can hold it: microseconds in a plain pcap."""
    exact = name.endswith("pcapng") or "nanoseconds" in name
    return time if exact or time is None else time // 1000 * 1000


def check_talk(name, messages):
    """Every message of the talk, all fields. A response nobody asked for may come a little later
    than its place, for its query might have been still to come."""
    expected = sorted(captures.talk().expected, key=lambda one: (one.client_port, one.wire))
    messages = sorted(messages, key=lambda message: (message.query_port, message.wire))
    assert [message.wire for message in messages] == [one.wire for one in expected]
    for message, one in zip(messages, expected):
        assert message.type == one.type, one
        assert (message.query_address, message.response_address) == (one.client, one.server)
        assert (message.query_port, message.response_port) == (one.client_port, 53)
        assert (message.family, message.protocol) == (2 if ":" in one.client else 1, 1)
        assert message.query_time == precise(name, one.query_time), one
        assert message.response_time == precise(name, one.response_time), one


def test_data_is_what_the_generator_makes():
    for name, content in captures.files().items():
        assert Path(DATA, name).read_bytes() == content, f"run captures.py for {name}"


@pytest.mark.parametrize("name", TALKS)
def test_talk(run, folder, name):
    """Each link type in pcap and pcapng."""
    result = run(name, f"file://{folder}/x.fstrm", "full")
    check_talk(name, read_messages(folder / "x.fstrm"))
    check_balance(result)
    count = result.ledger
    assert (count["queries"], count["responses"]) == (22, 20)
    assert (count["responses_matched"], count["responses_unmatched"]) == (18, 2)
    assert (count["queries_answered"], count["queries_unanswered"]) == (18, 2)
    assert (count["queries_retried"], count["queries_evicted"]) == (2, 0)
    assert result.sinks[0]["confirmed"] == MESSAGES


def test_to_a_collector(run, folder):
    """A replay goes to sockets as well, and waits for the collector to take everything."""
    name = "talk-ethernet.pcap"
    with golang_dnstap(folder / "out", path=folder / "s") as collector:
        (folder / "s").chmod(0o777)
        result = run(name, f"unix://{folder}/s", "full")
        check_talk(name, [decode(frame) for frame in collector.wait_frames(MESSAGES)])
    assert result.sinks[0]["confirmed"] == MESSAGES


def test_no_collector(run, folder):
    """A replay that could not deliver says so with its status, in bounded time."""
    result = run("talk-ethernet.pcap", f"unix://{folder}/s", "full", status=1)
    check_balance(result)
    assert result.sinks[0]["lost_undelivered"] == MESSAGES


@pytest.mark.parametrize("role", ROLES)
def test_fixed_roles(run, folder, role):
    """--role decides every type."""
    run("talk-raw.pcap", "--role", role, f"file://{folder}/x.fstrm", "full")
    types = {message.type for message in read_messages(folder / "x.fstrm")}
    assert types == {role.upper() + "_QUERY", role.upper() + "_RESPONSE"}


@pytest.mark.parametrize("role", ("auto",) + ROLES)
@pytest.mark.parametrize("full", (["full"], []))
def test_text_is_golang_dnstaps(run, folder, role, full):
    """The lines sink prints what `dnstap -q` prints of the same messages, to the byte."""
    result = run("talk-ethernet.pcapng", "--role", role, f"file://{folder}/x.fstrm", *full, "-",
                 *full)
    assert result.stdout.decode() == read_with("dnstap", "-q", "-r", folder / "x.fstrm")
    assert result.stdout.count(b"\n") == MESSAGES


def test_json(run, folder):
    """golang-dnstap's keys, the message in base64, and the question in words."""
    result = run("talk-ethernet.pcapng", "--identity", 'a "quoted" \\ name', "--format", "json",
                 "-", "full", f"file://{folder}/x.fstrm", "full")
    golang = read_with("dnstap", "-j", "-r", folder / "x.fstrm").splitlines()
    lines = result.stdout.decode("ascii").splitlines()
    messages = read_messages(folder / "x.fstrm")
    assert len(lines) == len(golang) == len(messages) == MESSAGES
    for line, other, message in zip(lines, golang, messages):
        check_json(json.loads(line), json.loads(other), message)


def check_json(mine, golang, message):
    """The same keys and values as golang-dnstap's but for those of the message itself."""
    inner, other = mine.pop("message"), golang.pop("message")
    direction = "query" if message.is_query else "response"
    assert base64.b64decode(inner.pop(direction + "_wire"), validate=True) == message.wire
    other.pop(direction + "_message", None)
    asked = [inner.pop(key, None) for key in ("qname", "qtype", "rcode")]
    assert (mine, inner) == (golang, other)
    if b"\x03wWw\x07ExAmPlE\x04tEsT\x00" in message.wire:
        assert asked[:2] == ["wWw.ExAmPlE.tEsT.", "AAAA"]
    if not message.is_query:
        assert asked[2] == ("NOERROR", "", "", "NXDOMAIN", "", "REFUSED")[message.wire[3] & 15]


def test_odd_packets(run, folder):
    """Short, malformed and cut packets: counted by reason, never emitted as messages."""
    result = run("odd-ethernet.pcapng", f"file://{folder}/x.fstrm", "full")
    check_balance(result)
    count = result.ledger
    kinds = [kind for kind, _ in captures.dns_payloads()]
    for name in ODD_COUNTS:
        assert count[name] == kinds.count(name), f"{name}: {count}"
    assert count["packet_malformed"] >= len(list(captures.bad_packets())), count
    assert count["dns_truncated"] >= 2, count
    for message in read_messages(folder / "x.fstrm"):
        assert message.wire is None, f"emitted as if it were whole: {message}"


def test_large_capture_loses_nothing(run, folder):
    """100,000 messages, faster than the file can take them: the queue is waited for."""
    capture = folder / "large.pcap"
    capture.write_bytes(pcap(RAW_IP, captures.large(50_000)))
    result = run(capture, f"file://{folder}/x.fstrm", "full")
    check_balance(result)
    frames = read_file(folder / "x.fstrm")
    assert len(frames) == result.sinks[0]["confirmed"] == 100_000
    assert result.ledger["responses_matched"] == 50_000
    last = decode(frames[-1])
    assert last.query_time == last.response_time - 50_000 and b"n49999" in last.response


def test_slow_collector_gets_everything(run, folder):
    """A replay waits for a collector that takes its time."""
    capture = folder / "large.pcap"
    capture.write_bytes(pcapng(ETHERNET, captures.large_ethernet(50_000)))
    with Collector(folder / "s", pause=0.5) as collector:
        (folder / "s").chmod(0o777)
        result = run(capture, f"unix://{folder}/s", "full")
        assert len(collector.arrivals) == 100_000
    assert result.sinks[0]["confirmed"] == 100_000


def test_capacity_is_kept(run, folder):
    """More open queries than --max-queries: the oldest are given up, every message is emitted."""
    result = run("talk-ethernet.pcap", "--max-queries", 1, f"file://{folder}/x.fstrm", "full")
    check_balance(result)
    assert result.ledger["queries_evicted"] >= 2
    assert len(read_file(folder / "x.fstrm")) == MESSAGES


def test_query_timeout(run, folder):
    """A response after --query-timeout of packet time is emitted without a query time."""
    first, last = list(captures.large(1))
    capture = folder / "slow.pcap"
    packets = [first, last._replace(time=first.time + 2 * 10**9)]
    capture.write_bytes(pcap(RAW_IP, packets))
    for timeout, matched in ((1, 0), (3, 1)):
        result = run(capture, "--query-timeout", timeout, f"file://{folder}/x.fstrm", "full")
        assert result.ledger["responses_matched"] == matched
        answered = read_messages(folder / "x.fstrm")[1]
        assert answered.query_time == (first.time // 1000 * 1000 if matched else None)


@pytest.mark.parametrize("kind", (0, 108), ids=("null", "loop"))
def test_bsd_loopback(run, folder, kind):
    """Captures of lo on macOS and the BSDs: an address family of four bytes, then the packet."""
    capture = folder / "lo.pcap"
    packets = [captures.whole(packet.time, b"\2\0\0\0" + packet.data) for packet in captures.large(20)]
    capture.write_bytes(pcap(kind, packets))
    result = run(capture, f"file://{folder}/x.fstrm", "full")
    check_balance(result)
    assert result.ledger["responses_matched"] == 20
    assert len(read_messages(folder / "x.fstrm")) == 40


def test_link_type_that_is_not_known(run, folder):
    """Said by its name, with what can be read."""
    capture = folder / "radio.pcap"
    capture.write_bytes(pcap(127, captures.large(1)))
    result = run(capture, "-", status=1)
    assert "IEEE802_11_RADIO" in result.stderr and "Linux cooked" in result.stderr


def test_from_a_pipe_in_pieces(folder):
    """As from tcpdump -w -: what has come is told before the pipe ends."""
    content = pcap(RAW_IP, captures.large(10))
    first = len(pcap(RAW_IP, captures.large(5)))
    with subprocess.Popen([binary(), "-r", "-", f"file://{folder}/x.fstrm", "full"],
                          stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(content[:first])
        process.stdin.flush()
        path = folder / "x.fstrm"
        wait_until("some are written",
                   lambda: path.exists() and b"n1\7example" in path.read_bytes())
        assert process.poll() is None
        process.stdin.write(content[first:])
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 0, told
    assert len(read_file(path)) == 20


def test_cut_capture(run, folder):
    """A capture file that ends inside a packet: what came before is written whole, status 1."""
    result = run("cut-inside-packet.pcap", f"file://{folder}/x.fstrm", "full", status=1)
    said = [line for line in result.lines if str(folder / "capture") in line]
    assert len(said) == 1 and "truncated" in said[0], result.stderr
    assert len(read_file(folder / "x.fstrm")) == MESSAGES - 1
