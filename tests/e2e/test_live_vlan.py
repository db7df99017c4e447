# SPDX-License-Identifier: BSD-2-Clause
"""VLAN devices: a packet that passes parent and child is emitted once.

Where the kernel has no such devices, test_kernels.py runs this file in a virtual machine.
"""

import pytest

import offloads
import servers
from clients import UdpClient, varied_query
from frames import read_messages
from lab import TCP, check_exchanges
from netns import join
from tap import stop_balanced
from tcp_clients import TcpClient

pytestmark = pytest.mark.needs("root", "namespaces", "bpf", "vlan")
RINGS = [pytest.param(ring, marks=pytest.mark.needs("ring_" + ring)) for ring in ("perf", "bpf")]
SERVER, CLIENT = {4: "10.70.0.1", 6: "fd00:70::1"}, {4: "10.70.0.2", 6: "fd00:70::2"}
PARENT, CHILD = "eth0", "eth0.42"


class Vlan:
    """Two namespaces whose VLAN devices are joined; the addresses are the innermost child's."""

    def __init__(self, spaces, service=False):
        self.server, self.client = spaces(), spaces()
        for space in (self.server, self.client):
            space.sysctl("net.ipv6.conf.default.accept_dad", 0)
        join(self.server, PARENT, self.client, PARENT)
        for space, addresses in ((self.server, SERVER), (self.client, CLIENT)):
            parent = PARENT
            if service:
                parent = "service"
                self.add(space, PARENT, parent, "802.1ad", 7)
            self.add(space, parent, CHILD, "802.1Q", 42)
            space.add_addresses(CHILD, addresses[4] + "/24", addresses[6] + "/64")

    @staticmethod
    def add(space, parent, name, protocol, number):
        space.ip("link", "add", "link", parent, "name", name, "type", "vlan", "protocol", protocol,
                 "id", str(number))
        space.ip("link", "set", name, "up")

    def talk(self, family):
        """Some exchanges over UDP, some over TCP."""
        with UdpClient(self.client, SERVER[family]) as client:
            by_udp = client.ask([varied_query(n, 0) for n in range(1, 41)])
        with TcpClient(self.client, SERVER[family]) as client:
            by_tcp = client.ask([varied_query(n, 0) for n in range(1, 41)], together=4)
        return by_udp, by_tcp


@pytest.fixture
def knot(folder):
    started = []

    def start(vlan):
        started.append(servers.Knot(vlan.server, folder / "knot",
                                    [(SERVER[4], 53), (SERVER[6], 53)]))

    yield start
    for one in started:
        one.close()


def check(messages, exchanges, family):
    by_udp, by_tcp = exchanges
    check_exchanges([m for m in messages if m.protocol != TCP], by_udp, "AUTH", CLIENT[family],
                    SERVER[family])
    check_exchanges([m for m in messages if m.protocol == TCP], by_tcp, "AUTH", CLIENT[family],
                    SERVER[family], protocol=TCP)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("service", (False, True), ids=("one tag", "two tags"))
def test_parent_and_child(spaces, knot, tap, folder, service, family, ring):
    vlan = Vlan(spaces, service)
    knot(vlan)
    devices = (PARENT, "service", CHILD) if service else (PARENT, CHILD)
    running = tap(*(word for device in devices for word in ("-i", device)), "--ring", ring,
                  f"file://{folder}/x.fstrm", "full", space=vlan.server).wait_watching()
    exchanges = vlan.talk(family)
    result = stop_balanced(running)
    check(read_messages(folder / "x.fstrm"), exchanges, family)
    assert result.ledger["datagrams"] == 80
    once = result.ledger["datagrams"] + result.ledger["segments"]
    assert result.ledger["duplicates"] == once * (len(devices) - 1)


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("offload", (True, False), ids=("tag in metadata", "tag inline"))
@pytest.mark.parametrize("service", (False, True), ids=("one tag", "two tags"))
def test_parent_alone(spaces, knot, tap, folder, service, offload, family):
    """The tagged packets as the parent shows them; --extra names the innermost tag of queries."""
    vlan = Vlan(spaces, service)
    knot(vlan)
    if not offload:
        offloads.change(vlan.server, PARENT, offloads.FLAGS, 0)
    running = tap("-i", PARENT, "--extra", "{interface}/{vlan}", f"file://{folder}/x.fstrm",
                  "full", space=vlan.server).wait_watching()
    exchanges = vlan.talk(family)
    stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    check(messages, exchanges, family)
    assert {m.extra for m in messages if m.is_query} == {f"{PARENT}/42"}
    if offload:
        assert {m.extra for m in messages} == {f"{PARENT}/42"}


def test_by_default(spaces, knot, tap, folder):
    """Without -i it is the child, which has the address."""
    vlan = Vlan(spaces)
    knot(vlan)
    running = tap(f"file://{folder}/x.fstrm", "full", space=vlan.server).wait_watching()
    assert f"watching lo, {CHILD} on" in running.stderr
    exchanges = vlan.talk(4)
    result = stop_balanced(running)
    check(read_messages(folder / "x.fstrm"), exchanges, 4)
    assert result.ledger["duplicates"] == 0
