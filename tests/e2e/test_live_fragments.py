# SPDX-License-Identifier: BSD-2-Clause
"""UDP messages larger than the link: real servers and clients send them in fragments."""

import socket

import pytest

import large
from clients import TXT, UdpClient, query
from frames import read_messages
from lab import by_key, check_exchanges
from large import padded_query
from tap import RINGS, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
COUNT = 40


def fragments_made(space, family):
    """How many fragments the namespace has ever sent."""
    if family == 6:
        text = space.inside(lambda: open("/proc/thread-self/net/snmp6", encoding="ascii").read())
        return int(dict(line.split() for line in text.splitlines())["Ip6FragCreates"])
    text = space.inside(lambda: open("/proc/thread-self/net/snmp", encoding="ascii").read())
    names, values = (line.split() for line in text.splitlines() if line.startswith("Ip:"))
    return int(dict(zip(names, values))["FragCreates"])


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("side", ("server", "client"))
@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("server", ("knot", "bind"))
def test_both_ways(large_lab, tap, folder, server, family, side, ring):
    """Queries of 2 KB and answers of 3 KB, each emitted once, seen from either end."""
    address = large_lab.addresses[server][family]
    device = large.SERVER_DEVICE if side == "server" else large.CLIENT_DEVICE
    spaces = (large_lab.server, large_lab.client)
    before = [fragments_made(space, family) for space in spaces]
    running = tap("-i", device, "--ring", ring, f"file://{folder}/x.fstrm", "full",
                  space=getattr(large_lab, side)).wait_watching()
    with UdpClient(large_lab.client, address) as client:
        exchanges = client.ask([query(1, "n1.example", flags=0)])
        exchanges += client.ask([padded_query(n, large.MEDIUM, TXT, 2000)
                                 for n in range(2, 2 + COUNT)])
    result = stop_balanced(running)
    made = sum(fragments_made(space, family) for space in spaces) - sum(before)
    assert all(len(one.received[0]) > 3000 for one in exchanges[1:])
    assert made >= 2 * COUNT + 3 * COUNT
    assert result.ledger["fragments"] == result.fragments["fragments_reassembled"] == made
    assert result.ledger["reassembled"] == 2 * COUNT
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges,
                    "AUTH" if side == "server" else "RESOLVER", large.CLIENT[family], address)
    assert result.ledger["responses_unmatched"] == 0


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
def test_of_other_ports(large_lab, tap, folder, family, ring):
    """Fragments of other traffic: those that come through are counted, none is emitted."""
    address = large_lab.addresses["knot"][family]
    running = tap("-i", large.SERVER_DEVICE, "--ring", ring, f"file://{folder}/x.fstrm", "full",
                  space=large_lab.server).wait_watching()
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with large_lab.client.socket(kind, socket.SOCK_DGRAM) as noise:
        noise.connect((address, 9))
        for number in range(10):
            try:
                noise.send(query(number, "n1.example").ljust(3000, b"\0"))
            except ConnectionRefusedError:
                pass  # the answer to one before
    with UdpClient(large_lab.client, address) as client:
        exchanges = client.ask([padded_query(n, large.MEDIUM, TXT, 2000) for n in range(1, 11)])
    result = stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "AUTH", large.CLIENT[family],
                    address)
    unclaimed = result.ledger["fragments"] - result.fragments["fragments_reassembled"]
    assert 0 < unclaimed == (result.fragments["fragments_unclaimed"]
                             + result.fragments["fragments_drained"])


@pytest.mark.parametrize("ring", RINGS)
def test_under_load(large_lab, tap, folder, ring):
    """Many clients at once, whose fragments mix."""
    address = large_lab.addresses["knot"][4]
    running = tap("-i", large.SERVER_DEVICE, "--ring", ring, f"file://{folder}/x.fstrm", "full",
                  space=large_lab.server).wait_watching()
    asked, received, clients = {}, {}, []
    for _ in range(20):
        clients.append(UdpClient(large_lab.client, address))
    for number in range(1, 31):
        for client in clients:
            sent = padded_query(number, large.MEDIUM, TXT, 1300)
            asked[client.port, number, "query"] = sent
            client.send(sent)
        for client in clients:
            client.socket.settimeout(60)
            received[client.port, number, "response"] = client.socket.recv(65535)
    for client in clients:
        client.socket.close()
    result = stop_balanced(running)
    found = {key: one.wire for key, one in by_key(read_messages(folder / "x.fstrm")).items()}
    assert found == {**asked, **received}
    assert result.ledger["reassembled"] == 2 * 20 * 30
    assert result.ledger["fragments"] == result.fragments["fragments_reassembled"]
