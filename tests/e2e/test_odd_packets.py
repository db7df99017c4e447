# SPDX-License-Identifier: BSD-2-Clause
"""What is not a DNS message to or from this host, on the wire: counted and never emitted."""

import socket

import pytest

import captures
from clients import UdpClient, query
from collectors import Collector
from frames import read_messages
from lab import CLIENT, CLIENT_DEVICE, SERVER_DEVICE, check_exchanges
from packets import ethernet, ip, ipv4, udp
from tap import RINGS, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
FOREIGN = {4: "192.0.2.77", 6: "2001:db8::77"}
GROUP = {4: "224.0.0.251", 6: "ff02::fb"}


class Injector:
    """Puts whole Ethernet frames on the client's end of the link."""

    def __init__(self, lab) -> None:
        self.socket = lab.client.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((CLIENT_DEVICE, 0))
        self.source = self.address(lab.client, CLIENT_DEVICE)
        self.target = self.address(lab.server, SERVER_DEVICE)

    def __enter__(self) -> "Injector":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    @staticmethod
    def address(space, device) -> bytes:
        words = space.ip("-o", "link", "show", "dev", device).split()
        return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))

    def send(self, packet: bytes, target: bytes = b"", **words) -> None:
        self.socket.send(ethernet(packet, target=target or self.target, source=self.source,
                                  **words))


def sentinel(lab):
    """One good exchange after the odd ones: what is emitted shows that the tap still works."""
    with UdpClient(lab.client, lab.addresses["knot"][4]) as client:
        return client.ask([query(60001, "n1.example", flags=0)])


def check_only_sentinel(lab, folder, exchanges):
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "AUTH", CLIENT[4],
                    lab.addresses["knot"][4])


@pytest.fixture(params=RINGS)
def watched(request, lab, tap, folder):
    return tap("-i", SERVER_DEVICE, "--ring", request.param, f"file://{folder}/x.fstrm", "full",
               space=lab.server).wait_watching()


def test_payloads_that_are_not_dns(lab, watched, folder):
    """To an address where nobody answers, for a server would say FORMERR to some of them."""
    payloads = list(captures.dns_payloads())
    with Injector(lab) as wire:
        for number, (_, payload) in enumerate(payloads):
            wire.send(ip(CLIENT[4], 42000 + number, FOREIGN[4], 53, payload))
    exchanges = sentinel(lab)
    result = stop_balanced(watched)
    kinds = [kind for kind, _ in payloads]
    for name in ("dns_short", "dns_malformed"):
        assert result.ledger[name] == kinds.count(name), name
    assert result.ledger["recorded"] == len(payloads) + 2
    check_only_sentinel(lab, folder, exchanges)


def test_contradicting_headers(lab, watched, folder):
    """UDP lengths that the packet does not have."""
    bad = list(captures.bad_packets())
    with Injector(lab) as wire:
        for packet in bad:
            wire.send(packet)
    exchanges = sentinel(lab)
    result = stop_balanced(watched)
    assert result.ledger["packet_malformed"] == len(bad)
    check_only_sentinel(lab, folder, exchanges)


@pytest.mark.parametrize("family", (4, 6))
def test_other_hosts_and_groups(lab, watched, folder, family):
    """Between two other hosts: transit. To a group: multicast."""
    source = "198.51.100.9" if family == 4 else "2001:db8::9"
    group_address = b"\x01\x00\x5e\x00\x00\xfb" if family == 4 else b"\x33\x33\x00\x00\x00\xfb"
    with Injector(lab) as wire:
        for number in range(3):
            asked = query(number, "n1.example")
            wire.send(ip(source, 43000, FOREIGN[family], 53, asked))
            wire.send(ip(FOREIGN[family], 53, source, 43000, captures.response(asked)))
        for number in range(5):
            wire.send(ip(source, 43000 + number, GROUP[family], 53, query(number, "n1.example")),
                      target=group_address)
    exchanges = sentinel(lab)
    result = stop_balanced(watched)
    assert (result.ledger["transit"], result.ledger["multicast"]) == (6, 5)
    check_only_sentinel(lab, folder, exchanges)


@pytest.mark.parametrize("tags", (((0x8100, 42),), ((0x88a8, 7), (0x8100, 42))),
                         ids=("one tag", "two tags"))
def test_tagged_packets(lab, watched, folder, tags):
    """A query under VLAN tags is a query all the same."""
    server = lab.addresses["knot"][4]
    asked = query(77, "tagged.example", flags=0)
    with Injector(lab) as wire:
        wire.send(ip(CLIENT[4], 44000, server, 53, asked), tags=tags)
    sentinel(lab)
    stop_balanced(watched)
    found = [message for message in read_messages(folder / "x.fstrm") if message.id == 77]
    assert [(message.type, message.query, message.query_port) for message in found] == [
        ("AUTH_QUERY", asked, 44000)]


@pytest.mark.parametrize("family", (4, 6))
def test_options_and_extension_headers(lab, watched, folder, family):
    """The ports lie behind them."""
    server = lab.addresses["knot"][family]
    words = {"extensions": (0, 60)} if family == 6 else {"options": b"\x94\x04\0\0" + b"\1" * 36}
    asked = query(78, "options.example", flags=0)
    with Injector(lab) as wire:
        wire.send(ip(CLIENT[family], 45000, server, 53, asked, **words))
    sentinel(lab)
    stop_balanced(watched)
    found = [message for message in read_messages(folder / "x.fstrm") if message.id == 78]
    assert found and found[0].query == asked and found[0].query_address == CLIENT[family]


def test_unanswered_and_unsolicited(lab, watched, folder):
    """A query nobody answers, a response nobody asked for: both emitted, both counted."""
    server = lab.addresses["knot"][4]
    asked = query(79, "n1.example", flags=0)
    with Injector(lab) as wire:
        wire.send(ip(CLIENT[4], 46000, server, 54, asked))  # not a watched port
        wire.send(ip(CLIENT[4], 53, server, 46001, captures.response(asked)))
        wire.send(ipv4(CLIENT[4], server, udp(CLIENT[4], 46002, server, 53, asked)[:6] + b"\0\1"
                       + asked))  # its checksum is wrong: the server drops it, the tap shows it
    exchanges = sentinel(lab)
    result = stop_balanced(watched)
    by_port = {message.query_port: message for message in read_messages(folder / "x.fstrm")}
    assert set(by_port) == {46001, 46002, exchanges[0].port}
    assert by_port[46001].type == "RESOLVER_RESPONSE" and by_port[46001].query_time is None
    assert by_port[46002].type == "AUTH_QUERY"
    assert result.ledger["responses_unmatched"] == result.ledger["queries_unanswered"] == 1


def test_retries_are_not_losses(lab, watched, folder):
    """The same query three times: three queries, three responses, each with a time."""
    with UdpClient(lab.client, lab.addresses["knot"][4]) as client:
        for _ in range(3):
            client.ask([query(80, "n1.example", flags=0)])
    result = stop_balanced(watched)
    messages = read_messages(folder / "x.fstrm")
    assert [message.is_query for message in messages] == [True, False] * 3
    asked = [message.query_time for message in messages if message.is_query]
    assert [message.query_time for message in messages if not message.is_query] == asked
    assert result.ledger["queries_answered"] == 3


def test_messages_are_delivered_in_order(lab, tap, folder):
    """A collector sees a query before its response, and times that rise."""
    with Collector(folder / "s") as collector:
        running = tap("-i", SERVER_DEVICE, f"unix://{folder}/s", "full",
                      space=lab.server).wait_watching()
        with UdpClient(lab.client, lab.addresses["knot"][6]) as client:
            client.ask([query(n, "n1.example", flags=0) for n in range(1, 101)])
        stop_balanced(running)
        collector.wait_frames(200)
        seen = set()
        for message in collector.messages:
            assert message.is_query or message.id in seen
            seen.add(message.id)
