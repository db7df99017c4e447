# SPDX-License-Identifier: BSD-2-Clause
"""Bridges, macvlan, tun, vxlan, VLAN tags, routers, mirrors, super-packets: live, in namespaces.

A packet that passes several watched interfaces is emitted once, however it goes.
"""

import collections
import fcntl
import os
import select
import socket
import struct
import threading
import time

import pytest

import servers
from captures import response
from clients import UdpClient, query, varied_query
from collectors import wait_until
from frames import read_messages
from lab import (CLIENT, CLIENT_DEVICE, LOOPBACK, SERVER_DEVICE, TCP, by_key, check_exchanges,
                 server_address)
from netns import join
from observer import Lengths
from packets import ethernet, ip
from tap import RINGS, stop_balanced
from tcp_clients import TcpClient

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
FOREIGN = {4: "192.0.2.77", 6: "2001:db8::77"}
FOREIGN_CLIENT = {4: "198.51.100.9", 6: "2001:db8::9"}
UDP_SEGMENT = 103
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 0x0001, 0x1000


@pytest.fixture(params=RINGS)
def ring(request):
    return request.param


@pytest.fixture
def knot(folder):
    """knot(space, addresses...) starts a Knot that is ended with the test."""
    started = []

    def start(space, *addresses):
        started.append(servers.Knot(space, folder / f"knot{len(started)}",
                                    [(address, 53) for address in addresses]))

    yield start
    for one in started:
        one.close()


@pytest.fixture
def watch(tap, folder, ring):
    """watch(space, devices, words...) starts a tap on them and waits for it."""
    def start(space, devices, *words):
        named = [word for device in devices for word in ("-i", device)]
        return tap(*named, "--ring", ring, *words, f"file://{folder}/x.fstrm", "full",
                   space=space).wait_watching()

    return start


@pytest.fixture
def messages(folder):
    return lambda: read_messages(folder / "x.fstrm")


def ask_udp(space, server, count=40, first=1):
    with UdpClient(space, server) as client:
        return client.ask([varied_query(n, 0) for n in range(first, first + count)])


def ask_tcp(space, server, count=40):
    with TcpClient(space, server) as client:
        return client.ask([varied_query(n, 0) for n in range(1, 1 + count)], together=4)


def ask_both_ways(space, client, server):
    """Exchanges over UDP and TCP; returns a check that all of them are among the messages, and
    how many datagrams they were."""
    by_udp, by_tcp = ask_udp(space, server), ask_tcp(space, server)

    def check(found):
        check_exchanges([m for m in found if m.protocol != TCP], by_udp, "AUTH", client,
                        server)
        check_exchanges([m for m in found if m.protocol == TCP], by_tcp, "AUTH", client,
                        server, protocol=TCP)

    return check, 2 * len(by_udp)


def without_dad(space):
    """IPv6 addresses are used at once: the search for duplicate addresses takes seconds."""
    space.sysctl("net.ipv6.conf.default.accept_dad", 0)
    return space


class Bridge:
    """A namespace with br0 and two ports, each joined to a namespace behind it."""

    ADDRESS = {4: "10.55.0.1", 6: "fd00:55::1"}
    BEHIND = ({4: "10.55.0.2", 6: "fd00:55::2"}, {4: "10.55.0.3", 6: "fd00:55::3"})
    DEVICES = ("br0", "port0", "port1")

    def __init__(self, spaces):
        self.middle, *self.behind = (without_dad(spaces()) for _ in range(3))
        self.middle.ip("link", "add", "br0", "type", "bridge")
        self.middle.ip("link", "set", "br0", "up")
        self.middle.add_addresses("br0", self.ADDRESS[4] + "/24", self.ADDRESS[6] + "/64")
        for number, space in enumerate(self.behind):
            join(self.middle, f"port{number}", space, "eth0")
            self.middle.ip("link", "set", f"port{number}", "master", "br0")
            space.add_addresses("eth0", self.BEHIND[number][4] + "/24",
                                self.BEHIND[number][6] + "/64")


@pytest.mark.parametrize("family", (4, 6))
def test_bridge_and_ports(spaces, knot, watch, messages, family):
    """A server on the bridge's own address; the bridge and its ports are watched."""
    bridge = Bridge(spaces)
    knot(bridge.middle, bridge.ADDRESS[family])
    running = watch(bridge.middle, bridge.DEVICES)
    check, datagrams = ask_both_ways(bridge.behind[0], bridge.BEHIND[0][family],
                                     bridge.ADDRESS[family])
    result = stop_balanced(running)
    check(messages())
    assert result.ledger["datagrams"] == datagrams
    assert result.ledger["duplicates"] == datagrams + result.ledger["segments"]


def test_bridge_by_default(spaces, knot, watch, messages):
    """Without -i the ports are left out: their bridge shows the same packets."""
    bridge = Bridge(spaces)
    knot(bridge.middle, bridge.ADDRESS[4])
    running = watch(bridge.middle, ())
    assert "watching lo, br0 on port 53" in running.stderr
    check, _ = ask_both_ways(bridge.behind[1], bridge.BEHIND[1][4], bridge.ADDRESS[4])
    result = stop_balanced(running)
    check(messages())
    assert result.ledger["duplicates"] == 0


@pytest.mark.parametrize("words", ((), ("--transit",)), ids=("counted", "emitted"))
@pytest.mark.parametrize("family", (4, 6))
def test_bridge_between_others(spaces, knot, watch, messages, family, words):
    """Both ends are behind the bridge: transit, each message once, though two ports show it."""
    bridge = Bridge(spaces)
    client, server = (addresses[family] for addresses in bridge.BEHIND)
    knot(bridge.behind[1], server)
    running = watch(bridge.middle, bridge.DEVICES, *words)
    check, datagrams = ask_both_ways(bridge.behind[0], client, server)
    result = stop_balanced(running)
    assert result.ledger["datagrams"] == datagrams
    assert result.ledger["duplicates"] == datagrams + result.ledger["segments"]
    if words:
        check(messages())
        assert result.ledger["transit"] == 0
    else:
        assert messages() == []
        assert result.ledger["transit"] == result.ledger["messages"] == 2 * datagrams


@pytest.mark.parametrize("words", ((), ("--transit",)), ids=("counted", "emitted"))
@pytest.mark.parametrize("family", (4, 6))
def test_router(spaces, knot, watch, messages, family, words):
    """A packet routed from one interface to another, with another TTL: once, and transit."""
    client, router, server = (without_dad(spaces()) for _ in range(3))
    here = {4: ("10.60.0.2", "10.60.1.2"), 6: ("fd00:60::2", "fd00:60:0:1::2")}[family]
    ends = {4: ("10.60.0.1", "10.60.1.1"), 6: ("fd00:60::1", "fd00:60:0:1::1")}[family]
    length = {4: "/24", 6: "/64"}[family]
    for number, space in enumerate((client, server)):
        join(router, f"side{number}", space, "eth0")
        router.add_addresses(f"side{number}", ends[number] + length)
        space.add_addresses("eth0", here[number] + length)
        space.ip(f"-{family}", "route", "add", "default", "via", ends[number])
    router.sysctl("net.ipv4.ip_forward", 1)
    router.sysctl("net.ipv6.conf.all.forwarding", 1)
    knot(server, here[1])
    ask_udp(client, here[1], 1)  # neighbours are found: packets wait long for that
    running = watch(router, ("side0", "side1"), *words)
    check, datagrams = ask_both_ways(client, here[0], here[1])
    result = stop_balanced(running)
    assert result.ledger["duplicates"] == datagrams + result.ledger["segments"]
    if words:
        check(messages())
    else:
        assert messages() == []
        assert result.ledger["transit"] == 2 * datagrams


@pytest.mark.parametrize("family", (4, 6))
def test_macvlan(spaces, knot, watch, messages, family):
    """A server on the child's address; parent and child are watched."""
    space, client = spaces(), spaces()
    join(space, "parent", client, "eth0")
    space.ip("link", "add", "link", "parent", "name", "child", "type", "macvlan", "mode", "bridge")
    space.ip("link", "set", "child", "up")
    space.sysctl("net.ipv4.conf.all.arp_ignore", 1)  # or the parent answers for the child
    addresses = {4: ("10.56.0.1", "10.56.0.2"), 6: ("fd00:56::1", "fd00:56::2")}[family]
    length = {4: "/24", 6: "/64"}[family]
    space.add_addresses("child", addresses[0] + length)
    client.add_addresses("eth0", addresses[1] + length)
    knot(space, addresses[0])
    running = watch(space, ("parent", "child"))
    check, datagrams = ask_both_ways(client, addresses[1], addresses[0])
    result = stop_balanced(running)
    check(messages())
    assert result.ledger["datagrams"] == datagrams
    assert result.ledger["duplicates"] == datagrams + result.ledger["segments"]


def test_vxlan(spaces, knot, watch, messages):
    """What is inside the tunnel is seen where it comes out, and only there."""
    ends = spaces(), spaces()
    join(ends[0], "under", ends[1], "under")
    for number, space in enumerate(ends):
        space.add_addresses("under", f"10.57.0.{number + 1}/24")
        space.ip("link", "add", "over", "type", "vxlan", "id", "7", "dev", "under", "remote",
                 f"10.57.0.{2 - number}", "dstport", "4789")
        space.ip("link", "set", "over", "up")
        space.add_addresses("over", f"10.58.0.{number + 1}/24")
    knot(ends[0], "10.58.0.1")
    running = watch(ends[0], ("under", "over"))
    check, _ = ask_both_ways(ends[1], "10.58.0.2", "10.58.0.1")
    result = stop_balanced(running)
    check(messages())
    assert result.ledger["duplicates"] == 0


class Tun:
    """A tun device whose other end is this process: it answers queries and can send packets."""

    def __init__(self, space, name, *addresses):
        self.fd = space.inside(lambda: self.open(name))
        space.ip("link", "set", name, "up")
        space.add_addresses(name, *addresses)
        self.sent, self.received = [], []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    @staticmethod
    def open(name):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        return fd

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        os.close(self.fd)

    def run(self):
        while not self.ending.is_set():
            if select.select([self.fd], [], [], 0.05)[0]:
                self.handle(os.read(self.fd, 65536))

    def handle(self, packet):
        """IPv4 and UDP only: a query is answered, an answer is kept."""
        if packet[0] != 0x45 or packet[9] != socket.IPPROTO_UDP:
            return
        ports, payload = struct.unpack_from("!HH", packet, 20), packet[28:]
        self.received.append(payload)
        if ports[1] == 53:
            source, target = (socket.inet_ntoa(packet[at:at + 4]) for at in (12, 16))
            os.write(self.fd, ip(target, 53, source, ports[0], response(payload)))


@pytest.mark.needs("tun")
def test_tun_client(spaces, watch, messages):
    """This host asks through a device without a link layer."""
    space = spaces()
    with Tun(space, "tun0", "10.59.0.1/24"):
        running = watch(space, ("tun0",))
        exchanges = ask_udp(space, "10.59.0.2")
        stop_balanced(running)
    check_exchanges(messages(), exchanges, "RESOLVER", "10.59.0.1", "10.59.0.2")


@pytest.mark.needs("tun")
def test_tun_server(spaces, knot, watch, messages):
    """This host is asked through it; by default the device is watched too."""
    space = spaces()
    with Tun(space, "tun0", "10.59.0.1/24") as tun:
        knot(space, "10.59.0.1")
        running = watch(space, ())
        assert "tun0" in running.stderr
        asked = [varied_query(n, 0) for n in range(1, 31)]
        for one in asked:
            os.write(tun.fd, ip("10.59.0.2", 41000, "10.59.0.1", 53, one))
        wait_until("all are answered", lambda: len(tun.received) == len(asked))
        stop_balanced(running)
    found = messages()
    assert {message.type for message in found} == {"AUTH_QUERY", "AUTH_RESPONSE"}
    assert sorted(m.query for m in found if m.is_query) == sorted(asked)
    assert sorted(m.response for m in found if not m.is_query) == sorted(tun.received)


class Wire:
    """Puts Ethernet frames on one end of a link, as if from other hosts."""

    def __init__(self, space, device):
        self.socket = space.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((device, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, packet, **words):
        self.socket.send(ethernet(packet, **words))


@pytest.mark.parametrize("tags", (((0x8100, 42),), ((0x88a8, 7), (0x8100, 42))),
                         ids=("one tag", "two tags"))
@pytest.mark.parametrize("family", (4, 6))
def test_tagged_query_untagged_answer(lab, watch, messages, family, tags):
    """The tag is no part of an exchange; --extra tells of it, the innermost of two.

    Of a frame that leaves with its tag inline the kernel shows only what stands behind the tag.
    """
    server = server_address(9, family)
    asked = query(77, "tagged.example", flags=0)
    answer = response(asked)
    running = watch(lab.server, (SERVER_DEVICE,), "--extra", "{interface}/{vlan}",
                    "--local", server)
    with Wire(lab.client, CLIENT_DEVICE) as there, Wire(lab.server, SERVER_DEVICE) as here:
        there.send(ip(CLIENT[family], 44000, server, 53, asked), tags=tags)
        here.send(ip(server, 53, CLIENT[family], 44000, answer))
        there.send(ip(CLIENT[family], 44001, server, 53, asked))
        there.send(ip(server, 53, CLIENT[family], 44001, answer), tags=tags)
        there.send(ip(CLIENT[family], 44002, server, 53, asked))
        here.send(ip(server, 53, CLIENT[family], 44002, answer), tags=tags)
    result = stop_balanced(running)
    found = by_key(messages())
    extras = {key[::2]: message.extra for key, message in found.items()}
    tagged, plain = f"{SERVER_DEVICE}/42", f"{SERVER_DEVICE}/"
    assert extras == {(44000, "query"): tagged, (44000, "response"): plain,
                      (44001, "query"): plain, (44001, "response"): tagged,
                      (44002, "query"): plain, (44002, "response"): tagged}
    for message in found.values():
        assert message.wire == (asked if message.is_query else answer)
        assert message.query_time
    assert result.ledger["responses_matched"] == 3


def test_extra_names_the_interface(lab, watch, messages):
    """Each message's own; where a packet passes only one."""
    running = watch(lab.server, (SERVER_DEVICE, "lo"), "--extra", "on {interface}{vlan}")
    over_lo = ask_udp(lab.server, LOOPBACK[4], 10)
    over_link = ask_udp(lab.client, server_address(1, 4), 10)
    stop_balanced(running)
    ports = {over_lo[0].port: "on lo", over_link[0].port: f"on {SERVER_DEVICE}"}
    counted = collections.Counter((m.query_port, m.extra) for m in messages())
    assert counted == {pair: 20 for pair in ports.items()}


@pytest.mark.parametrize("seconds", (0.01, 0.3))
def test_retransmission_is_no_copy(spaces, knot, watch, messages, seconds):
    """The same bytes again from the same port are a query of their own, also where copies of
    packets are recognised and left out."""
    bridge = Bridge(spaces)
    knot(bridge.middle, bridge.ADDRESS[4])
    running = watch(bridge.middle, bridge.DEVICES)
    sent = query(80, "n1.example", flags=0)
    with UdpClient(bridge.behind[0], bridge.ADDRESS[4]) as client:
        for _ in range(3):
            client.send(sent)
            time.sleep(seconds)
        client.socket.settimeout(60)
        received = [client.socket.recv(4096) for _ in range(3)]
    result = stop_balanced(running)
    found = messages()
    assert [m.query for m in found if m.is_query] == [sent] * 3
    assert [m.response for m in found if not m.is_query] == received
    assert result.ledger["duplicates"] == 6


@pytest.mark.parametrize("family", (4, 6))
def test_mirror_port(lab, watch, messages, family):
    """--promiscuous: other hosts' frames, to other MAC addresses, as from the server's side."""
    running = watch(lab.server, (SERVER_DEVICE,), "--promiscuous")
    assert "promiscuity 1" in lab.server.ip("-d", "link", "show", "dev", SERVER_DEVICE)
    wanted = {}
    with Wire(lab.client, CLIENT_DEVICE) as wire:
        for number in range(1, 21):
            asked = query(number, f"n{number}.example", flags=0)
            answer = response(asked)
            port = 43000 + number % 3
            wire.send(ip(FOREIGN_CLIENT[family], port, FOREIGN[family], 53, asked))
            wire.send(ip(FOREIGN[family], 53, FOREIGN_CLIENT[family], port, answer))
            wanted[port, number, "query"] = asked
            wanted[port, number, "response"] = answer
    result = stop_balanced(running)
    assert "promiscuity 0" in lab.server.ip("-d", "link", "show", "dev", SERVER_DEVICE)
    found = by_key(messages())
    assert {key: message.wire for key, message in found.items()} == wanted
    assert {message.type for message in found.values()} == {"AUTH_QUERY", "AUTH_RESPONSE"}
    assert result.ledger["transit"] == 0
    assert result.ledger["responses_matched"] == 20


@pytest.mark.parametrize("family", (4, 6))
def test_local_addresses(lab, watch, messages, family):
    """--local: an address the host serves without owning it; the rest stays transit."""
    network = {4: "192.0.2.0/24", 6: "2001:db8::40/122"}[family]
    running = watch(lab.server, (SERVER_DEVICE,), "--local", network)
    asked = query(5, "n5.example", flags=0)
    other = FOREIGN_CLIENT[family]
    with Wire(lab.client, CLIENT_DEVICE) as wire:
        wire.send(ip(other, 43000, FOREIGN[family], 53, asked))
        wire.send(ip(FOREIGN[family], 53, other, 43000, response(asked)))
        wire.send(ip(FOREIGN[family], 43001, other, 53, asked))
        wire.send(ip(other, 53, FOREIGN[family], 43001, response(asked)))
        wire.send(ip(other, 43002, CLIENT[family], 53, asked))
    result = stop_balanced(running)
    assert [(m.query_port, m.type) for m in messages()] == [
        (43000, "AUTH_QUERY"), (43000, "AUTH_RESPONSE"),
        (43001, "RESOLVER_QUERY"), (43001, "RESOLVER_RESPONSE")]
    assert result.ledger["transit"] == 1


def test_groups(lab, watch, messages):
    """mDNS and broadcasts, sent by a real socket: counted, not emitted."""
    running = watch(lab.server, (SERVER_DEVICE,), "--port", "5353")
    sent = query(0, "host.local", flags=0)
    with lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, CLIENT_DEVICE.encode())
        for target in ("224.0.0.251", "10.53.0.255", "255.255.255.255"):
            client.sendto(sent, (target, 5353))
    with lab.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, CLIENT_DEVICE.encode())
        client.sendto(sent, ("ff02::fb", 5353))
    result = stop_balanced(running)
    assert messages() == []
    assert result.ledger["multicast"] == result.ledger["messages"] == 4


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("over", ("lo", "link"))
def test_super_packets(lab, watch, messages, over, family):
    """Queries sent by UDP_SEGMENT, which the tap may see in one piece: each emitted, once."""
    space, device = (lab.server, "lo") if over == "lo" else (lab.client, SERVER_DEVICE)
    server = LOOPBACK[family] if over == "lo" else server_address(1, family)
    running = watch(lab.server, (device,))
    asked = [query(n, f"n{n}.example", flags=0) for n in range(100, 130)]
    lengths = Lengths(lab.server, device)
    with UdpClient(space, server) as client:
        client.socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(asked[0]))
        client.send(b"".join(asked))
        client.socket.settimeout(60)
        received = [client.socket.recv(4096) for _ in asked]
        kept_whole = max(lengths.read()) > sum(map(len, asked))
        port = client.port
    result = stop_balanced(running)
    found = by_key(messages())
    wanted = {(port, n, "query"): one for n, one in enumerate(asked, 100)}
    wanted.update({(port, struct.unpack_from("!H", one)[0], "response"): one for one in received})
    assert {key: message.wire for key, message in found.items()} == wanted
    assert result.ledger["datagrams_split"] == (len(asked) - 1 if kept_whole else 0)
    print("kept whole" if kept_whole else "split before the tap")
