# SPDX-License-Identifier: BSD-2-Clause
"""VLAN devices: a packet that passes parent and child is emitted once.

Where the kernel has no such devices, test_kernels.py runs this file in a virtual machine.
"""

import contextlib

import pytest

import netns
import offloads
import servers
from clients import UdpClient, varied_query
from frames import read_messages
from lab import FAMILY_NUMBER, TCP, UDP, check_exchanges
from tap import RINGS, stop_balanced
from tcp_clients import TcpClient

pytestmark = pytest.mark.needs("root", "namespaces", "bpf", "vlan")
SERVER, CLIENT = {4: "10.70.0.1", 6: "fd00:70::1"}, {4: "10.70.0.2", 6: "fd00:70::2"}
PARENT, CHILD = "eth0", "eth0.42"


class Vlan:
    """Two namespaces whose VLAN devices are joined; the addresses are the innermost child's, and
    in one of the two Knot answers at them."""

    def __init__(self, stack, folder, service):
        self.service = service
        self.devices = (PARENT, "service", CHILD) if service else (PARENT, CHILD)
        self.server, self.client = (stack.enter_context(netns.Namespace()) for _ in range(2))
        for space in (self.server, self.client):
            space.sysctl("net.ipv6.conf.default.accept_dad", 0)
        netns.join(self.server, PARENT, self.client, PARENT)
        for space, addresses in ((self.server, SERVER), (self.client, CLIENT)):
            parent = PARENT
            if service:
                parent = "service"
                self.add(space, PARENT, parent, "802.1ad", 7)
            self.add(space, parent, CHILD, "802.1Q", 42)
            space.add_addresses(CHILD, addresses[4] + "/24", addresses[6] + "/64")
        endpoints = [(address, 53) for address in SERVER.values()]
        stack.callback(servers.Knot(self.server, folder, endpoints).close)

    @staticmethod
    def add(space, parent, name, protocol, number):
        space.ip("link", "add", "link", parent, "name", name, "type", "vlan", "protocol", protocol,
                 "id", str(number))
        space.ip("link", "set", name, "up")

    def talk(self):
        """Exchanges over IPv4 and IPv6, UDP and TCP: (family, protocol) to the exchanges."""
        asked, done = [varied_query(n, 0) for n in range(1, 31)], {}
        for family in (4, 6):
            with UdpClient(self.client, SERVER[family]) as client:
                done[family, UDP] = client.ask(asked)
            with TcpClient(self.client, SERVER[family]) as client:
                done[family, TCP] = client.ask(asked, together=4)
        return done


@pytest.fixture(scope="module", params=(False, True), ids=("one tag", "two tags"))
def vlan(request, session_folder):
    with contextlib.ExitStack() as stack:
        yield Vlan(stack, session_folder / f"vlan{int(request.param)}", request.param)


def check(messages, done):
    """Every message of the talk once, and no other."""
    assert len(messages) == sum(2 * len(exchanges) for exchanges in done.values())
    for (family, protocol), exchanges in done.items():
        part = [m for m in messages
                if (m.family, m.protocol) == (FAMILY_NUMBER[family], protocol)]
        check_exchanges(part, exchanges, "AUTH", CLIENT[family], SERVER[family],
                        protocol=protocol)


@pytest.mark.parametrize("ring", RINGS)
def test_parent_and_child(vlan, tap, folder, ring):
    running = tap(*(word for device in vlan.devices for word in ("-i", device)), "--ring", ring,
                  f"file://{folder}/x.fstrm", "full", space=vlan.server).wait_watching()
    done = vlan.talk()
    result = stop_balanced(running)
    check(read_messages(folder / "x.fstrm"), done)
    assert result.ledger["datagrams"] == 120
    once = result.ledger["datagrams"] + result.ledger["segments"]
    assert result.ledger["duplicates"] == once * (len(vlan.devices) - 1)


@pytest.fixture(params=(True, False), ids=("tags by the card", "tags inline"))
def offload(request, vlan):
    flags = offloads.VLAN if request.param else 0
    offloads.change(vlan.server, PARENT, offloads.FLAGS, flags)
    yield request.param
    offloads.change(vlan.server, PARENT, offloads.FLAGS, offloads.VLAN)


def test_parent_alone(vlan, offload, tap, folder):
    """The tagged packets as the parent shows them; --extra names the innermost tag."""
    running = tap("-i", PARENT, "--extra", "{interface}/{vlan}", f"file://{folder}/x.fstrm",
                  "full", space=vlan.server).wait_watching()
    done = vlan.talk()
    stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    check(messages, done)
    assert {m.extra for m in messages} == {f"{PARENT}/42"}


def test_by_default(vlan, tap, folder):
    """Without -i it is the child, which has the address."""
    running = tap(f"file://{folder}/x.fstrm", "full", space=vlan.server).wait_watching()
    assert f"watching lo, {CHILD} on" in running.stderr
    done = vlan.talk()
    result = stop_balanced(running)
    check(read_messages(folder / "x.fstrm"), done)
    assert result.ledger["duplicates"] == 0
