# SPDX-License-Identifier: BSD-2-Clause
"""DNS over TCP between real servers and clients under a live tap: every message whole and once."""

import socket
import struct
import threading
import time

import pytest

import lab as common
import large
import offloads
from clients import TXT, Exchange, dig, dnsperf, query, varied_query, write_dnsperf_input
from frames import read_messages
from lab import TCP, UDP, check_exchanges
from large import padded_query
from observer import Lengths
from tap import RINGS, stop_balanced
from tcp_clients import TcpClient, framed

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
AXFR = 252
RECORD_BYTES_MAX = 65000  # bpf/record.h
TRIES = 20  # how long a segment gets depends on when who writes, and how fast the other one reads


def start(tap, space, folder, device, *words):
    return tap("-i", device, *words, f"file://{folder}/x.fstrm", "full",
               space=space).wait_watching()


def messages_of(folder):
    return read_messages(folder / "x.fstrm")


def check_nothing_lost(result):
    """Neither a hole nor a byte that was not part of a message."""
    streams = result.streams
    assert result.ledger["ring_full"] == 0
    assert streams["bytes"] == (streams["message_bytes"] + 2 * streams["messages"]
                                + streams["bytes_retransmitted"]), str(streams)
    assert result.ledger["responses_unmatched"] == 0


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("server", ("knot", "bind", "unbound"))
def test_dig(lab, tap, folder, server, family):
    running = start(tap, lab.server, folder, common.SERVER_DEVICE)
    answer = dig(lab.client, "@" + lab.addresses[server][family], "+tcp", "n7.example", "AAAA")
    assert "2001:db8::8" in answer
    result = stop_balanced(running)
    messages = messages_of(folder)
    assert [message.is_query for message in messages] == [True, False]
    assert {message.protocol for message in messages} == {TCP}
    assert messages[1].query_time == messages[0].query_time
    assert result.streams["ended"] == 1


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("server", ("knot", "bind", "unbound"))
def test_pipelined(lab, tap, folder, server, family, ring):
    """Many queries in one segment, some cut at every byte; answers as they come."""
    address, role = lab.addresses[server][family], lab.roles[server]
    flags = 0x0100 if role == "CLIENT" else 0
    running = start(tap, lab.server, folder, common.SERVER_DEVICE, "--ring", ring)
    with TcpClient(lab.client, address) as client:
        exchanges = client.ask([query(1, "n1.example", flags=flags)])
        exchanges += client.ask([varied_query(n, flags) for n in range(2, 302)], together=7)
        made = Exchange(client.port, query(999, "n9.example", flags=flags), time.time_ns())
        stream = framed(made.sent)
        client.send(stream, range(1, len(stream)))
        made.received = client.receive_until(len)
        made.after = time.time_ns()
        exchanges.append(made)
    result = stop_balanced(running)
    check_exchanges(messages_of(folder), exchanges, role, common.CLIENT[family], address,
                    protocol=TCP)
    check_nothing_lost(result)


@pytest.mark.parametrize("ring", RINGS)
def test_dnsperf(lab, tap, folder, ring):
    """20,000 queries over four connections at full speed."""
    write_dnsperf_input(folder / "input")
    running = start(tap, lab.server, folder, common.SERVER_DEVICE, "--ring", ring)
    done = dnsperf(lab.client, lab.addresses["knot"][4], 20000, folder / "input", mode="tcp")
    result = stop_balanced(running)
    assert done["completed"] == done["sent"] == 20000
    check_nothing_lost(result)
    messages = messages_of(folder)
    assert len(messages) == result.ledger["frames"] == 2 * done["sent"]
    assert sum(message.is_query for message in messages) == done["sent"]
    assert result.ledger["responses_matched"] == done["sent"]
    assert {message.protocol for message in messages} == {TCP}


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
def test_loopback(lab, tap, folder, family, ring):
    """Each segment passes lo twice and is seen once; lo is among the default interfaces."""
    address = common.LOOPBACK[family]
    running = tap("--ring", ring, f"file://{folder}/x.fstrm", "full",
                  space=lab.server).wait_watching()
    with TcpClient(lab.server, address) as client:
        exchanges = client.ask([varied_query(n, 0) for n in range(3, 303)], together=3)
    result = stop_balanced(running)
    check_exchanges(messages_of(folder), exchanges, "AUTH", address, address, protocol=TCP)
    check_nothing_lost(result)
    assert result.streams["bytes_retransmitted"] < result.streams["message_bytes"] / 2


def transfer(space, server):
    """All messages of one zone transfer, which ends with the second SOA."""
    asked = query(4711, "example", AXFR, flags=0)
    with TcpClient(space, server) as client:
        client.send(framed(asked))
        return client.port, asked, client.receive_until(ends_transfer)


def ends_transfer(messages):
    """The zone's SOA is the last record: its data, 5 numbers of 32 bits, end the message."""
    end = struct.pack("!5I", 1, 3600, 600, 86400, 60)
    return bool(messages) and messages[-1].endswith(end) and (
        len(messages) > 1 or messages[-1].count(end) > 1)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("server", ("knot", "bind", "bind-one-answer"))
def test_zone_transfer(large_lab, tap, folder, server, ring):
    """One query, as many responses as the client got, in order and byte for byte."""
    address = large_lab.addresses[server][6 if ring == "perf" else 4]
    running = start(tap, large_lab.server, folder, large.SERVER_DEVICE, "--ring", ring)
    port, asked, received = transfer(large_lab.client, address)
    result = stop_balanced(running)
    assert sum(struct.unpack_from("!H", message, 6)[0] for message in received) > 4500
    if server == "bind-one-answer":
        assert len(received) > 4500
    first, *rest = messages_of(folder)
    assert (first.type, first.query, first.query_port) == ("AUTH_QUERY", asked, port)
    assert [message.response for message in rest] == received
    assert {(message.type, message.query_time) for message in rest} == {
        ("AUTH_RESPONSE", first.query_time)}
    check_nothing_lost(result)


@pytest.fixture(params=("sender's", "receiver's", "none"))
def offload(request, large_lab):
    """Who makes segments longer than the link: by default the sender does, and nobody splits."""
    def change(value):
        for command in (offloads.TSO, offloads.GSO):
            offloads.change(large_lab.server, large.SERVER_DEVICE, command, value)

    if request.param == "sender's":
        yield request.param
        return
    change(False)
    if request.param == "receiver's":
        offloads.change(large_lab.client, large.CLIENT_DEVICE, offloads.GRO, True)
    yield request.param
    change(True)
    offloads.change(large_lab.client, large.CLIENT_DEVICE, offloads.GRO, False)


def ask_until_longer(space, device, address, queries, length, **words):
    """Asks, each time over a connection of its own, until a segment is longer than that.

    Returns the exchanges, and how long the longest segment of the last connection was.
    """
    exchanges, lengths = [], []
    for _ in range(TRIES):
        observer = Lengths(space, device)
        with TcpClient(space, address) as client:
            exchanges += client.ask(queries, **words)
        lengths.append(max(observer.read()))
        if lengths[-1] > length:
            break
    print(f"the longest segments: {lengths}")
    assert lengths[-1] > length, "no segment was long enough for this test to mean anything"
    return exchanges, lengths[-1]


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("server, family", (("knot", 4), ("knot", 6), ("bind", 4)))
def test_large_answers(large_lab, tap, folder, offload, server, family, ring):
    """60 KB in one message, many of them pipelined, over a link with a small MTU, as its
    receiver sees it."""
    address = large_lab.addresses[server][family]
    running = start(tap, large_lab.client, folder, large.CLIENT_DEVICE, "--ring", ring)
    asked = [query(n, large.LARGE, TXT, flags=0) for n in range(1, 31)]
    exchanges, longest = ask_until_longer(
        large_lab.client, large.CLIENT_DEVICE, address, asked,
        10 * large.MTU if offload == "sender's" else 0)
    assert offload != "none" or longest <= large.MTU
    result = stop_balanced(running)
    assert all(len(exchange.received[0]) > 60000 for exchange in exchanges)
    check_exchanges(messages_of(folder), exchanges, "RESOLVER", large.CLIENT[family], address,
                    protocol=TCP)
    check_nothing_lost(result)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
def test_super_segments(large_lab, tap, folder, family, ring):
    """lo carries segments longer than one record may be: they come in parts and are whole."""
    address = common.LOOPBACK[family]
    running = start(tap, large_lab.server, folder, "lo", "--ring", ring)
    # written at once they are more than a segment of lo can hold, and nothing stands in its way
    asked = [padded_query(n, large.LARGE, TXT, 2000) for n in range(1, 101)]
    exchanges, _ = ask_until_longer(large_lab.server, "lo", address, asked, RECORD_BYTES_MAX,
                                    together=100, pending=100)
    result = stop_balanced(running)
    check_exchanges(messages_of(folder), exchanges, "AUTH", address, address, protocol=TCP)
    check_nothing_lost(result)


@pytest.mark.parametrize("family", (4, 6))
def test_truncated_then_tcp(large_lab, tap, folder, family):
    """What dig does with an answer that does not fit: two exchanges."""
    address = large_lab.addresses["knot"][family]
    running = start(tap, large_lab.server, folder, large.SERVER_DEVICE)
    answer = dig(large_lab.client, "@" + address, large.LARGE, "TXT")
    assert "059xxx" in answer
    stop_balanced(running)
    messages = messages_of(folder)
    assert [(message.is_query, message.protocol) for message in messages] == [
        (True, UDP), (False, UDP), (True, TCP), (False, TCP)]
    assert messages[1].response[2] & 2, "TC is set"
    assert len(messages[3].response) > 60000
    assert messages[1].query_time == messages[0].query_time
    assert messages[3].query_time == messages[2].query_time != messages[0].query_time


@pytest.mark.parametrize("family", (4, 6))
def test_data_in_the_syn(large_lab, tap, folder, family):
    """TCP Fast Open: the query comes with the SYN."""
    address = large_lab.addresses["bind"][family]
    running = start(tap, large_lab.server, folder, large.SERVER_DEVICE)
    exchanges, in_syn = [], []
    for number in range(1, 6):
        made = Exchange(0, query(number, "n1.example", flags=0), time.time_ns())
        with TcpClient(large_lab.client, address, opening=framed(made.sent)) as client:
            made.port, made.received = client.port, client.receive_until(len)
            made.after = time.time_ns()
            in_syn.append(client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & 32)
        exchanges.append(made)
    assert any(in_syn), "no SYN's data were acknowledged"
    result = stop_balanced(running)
    check_exchanges(messages_of(folder), exchanges, "AUTH", large.CLIENT[family], address,
                    protocol=TCP)
    check_nothing_lost(result)


class Talk:
    """One connection on which a thread pipelines queries until it is told to stop."""

    LIMIT = 60000

    def __init__(self, space, server):
        self.client = TcpClient(space, server)
        self.exchanges = []
        self.progress = threading.Event()
        self.enough = False
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.enough and len(self.exchanges) < self.LIMIT:
                first = len(self.exchanges) + 1
                self.exchanges += self.client.ask(
                    [varied_query(n, 0) for n in range(first, first + 200)], together=5)
                self.progress.set()
        except Exception as error:  # told to the test
            self.failure = error
        self.progress.set()

    def wait_more(self, count):
        """Until `count` exchanges more are done; how many there were before."""
        before = len(self.exchanges)
        deadline = time.monotonic() + 60
        while len(self.exchanges) < min(before + count, self.LIMIT):
            assert not self.failure and time.monotonic() < deadline, self.failure
            self.progress.wait(1)
            self.progress.clear()
        return before

    def stop(self):
        self.enough = True
        self.thread.join(60)
        assert not self.failure, self.failure
        with self.client:
            pass


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
def test_started_in_the_middle(lab, tap, folder, family, ring):
    """The tap comes to a connection in full flow: nothing wrong is emitted, and soon all is."""
    address = lab.addresses["knot"][family]
    talk = Talk(lab.client, address)
    try:
        talk.wait_more(600)
        running = start(tap, lab.server, folder, common.SERVER_DEVICE, "--ring", ring)
        talk.wait_more(1000)
        settled = talk.wait_more(2000)
    finally:
        talk.stop()
    result = stop_balanced(running)
    known = {(exchange.id, True): exchange.sent for exchange in talk.exchanges}
    known.update({(exchange.id, False): exchange.received[0] for exchange in talk.exchanges})
    found = common.by_key(messages_of(folder))
    for message in found.values():
        assert known[message.id, message.is_query] == message.wire
    late = talk.exchanges[settled:]
    assert len(late) >= 2000
    missing = [(one.id, way) for one in late for way in ("query", "response")
               if (one.port, one.id, way) not in found]
    assert not missing, f"{len(missing)}: {missing[:5]} {result.streams}"
    assert 1 <= result.streams["resynchronised"] <= 20
