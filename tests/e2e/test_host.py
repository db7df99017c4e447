# SPDX-License-Identifier: BSD-2-Clause
"""Interfaces, addresses and routes that come, go and change while the tap runs."""

import ctypes
import mmap
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from clients import ask_varied
from frames import read_messages
from hosts import (Listener, ask, asked_until_seen, has_link, ip_batch, link_index, sees, switches,
                   until, until_at_rest, watched)
from lab import CLIENT, SERVER_DEVICE, check_exchanges
from netns import join
from observer import ETH_P_ALL, Lengths
from tap import RINGS, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
HERE, THERE = "10.77.0.1", "10.77.0.2"
SNAP = 64  # bytes of a packet that tcpdump keeps; all have more
PCAP_HEAD, PCAP_PACKET = 24, 16 + SNAP


@pytest.fixture
def pair(spaces):
    """Two namespaces; the links between them are the test's to make."""
    return spaces(), spaces()


def connect(here, there, device="up0"):
    """A veth pair whose ends have addresses."""
    join(here, device, there, "cli0")
    here.add_addresses(device, HERE + "/24")
    there.add_addresses("cli0", THERE + "/24")


def test_comes_and_goes(pair, tap):
    """A link that comes after the start, loses and gets its address, a master, its being up."""
    here, there = pair
    running = tap("-", "full", space=here).wait_watching()
    assert watched(here) == ["lo"]
    with Listener(here):
        connect(here, there)
        asked_until_seen(running, there, HERE, "came.example")
        assert watched(here) == ["lo", "up0"]
        here.ip("address", "del", HERE + "/24", "dev", "up0")
        until(lambda: watched(here) == ["lo"], "detached without an address")
        here.add_addresses("up0", HERE + "/24")
        asked_until_seen(running, there, HERE, "addressed.example")
        ip_batch(here, "link add br0 type bridge", "link set up0 master br0")
        until(lambda: watched(here) == ["lo"], "a bridge's port is not watched")
        ip_batch(here, f"address del {HERE}/24 dev up0", f"address add {HERE}/24 dev br0",
                 "link set br0 up")
        asked_until_seen(running, there, HERE, "bridged.example")
        assert watched(here) == ["br0", "lo"]
        ip_batch(here, "link del br0", f"address add {HERE}/24 dev up0")
        asked_until_seen(running, there, HERE, "left.example")
        here.ip("link", "set", "up0", "down")
        until(lambda: watched(here) == ["lo"], "detached when down")
        here.ip("link", "set", "up0", "up")
        asked_until_seen(running, there, HERE, "again.example")
        here.ip("link", "del", "up0")
        until(lambda: watched(here) == ["lo"], "detached when gone")
    result = stop_balanced(running)
    assert "now watching up0" in result.stderr
    assert "no longer watching up0" in result.stderr


def test_default_route(pair, tap):
    """An interface without an address is watched while it has the default route."""
    here, there = pair
    join(here, "up0", there, "cli0")
    running = tap("-", "full", space=here).wait_watching()
    assert watched(here) == ["lo"]
    here.ip("route", "add", "default", "dev", "up0")
    until(lambda: watched(here) == ["lo", "up0"], "watched with a default route")
    here.ip("route", "del", "default", "dev", "up0")
    until(lambda: watched(here) == ["lo"], "not watched without one")
    ip_batch(here, "route add default nexthop dev up0 nexthop dev lo")
    until(lambda: watched(here) == ["lo", "up0"], "watched as one of several next hops")
    here.ip("link", "set", "up0", "down")
    until(lambda: watched(here) == ["lo"], "the route went with the link")
    here.ip("link", "set", "up0", "up")
    time.sleep(1.5)
    assert watched(here) == ["lo"], "the route did not come back, and nobody told"
    stop_balanced(running)


def test_named(pair, tap, folder):
    """The names of -i: one that vanishes and comes back is watched again, another never."""
    here, there = pair
    connect(here, there)
    ip_batch(here, "link add other0 type bridge", "address add 10.78.0.1/24 dev other0",
             "link set other0 up")
    running = tap("-i", "up0", "--extra", "{interface}", "-", "full", f"file://{folder}/x.fstrm", "full",
                  space=here).wait_watching()
    with Listener(here):
        asked_until_seen(running, there, HERE, "first.example")
        assert watched(here) == ["up0"]
        here.ip("link", "del", "up0")
        until(lambda: not watched(here), "nothing is left to watch")
        connect(here, there)
        asked_until_seen(running, there, HERE, "returned.example")
        ip_batch(here, "link set up0 down", "link set up0 name wan0", "link set wan0 up")
        until(lambda: not watched(here), "it is not that name any more")
        ip_batch(here, "link set wan0 down", "link set wan0 name up0", "link set up0 up")
        asked_until_seen(running, there, HERE, "renamed.example")
    stop_balanced(running)
    assert {one.extra for one in read_messages(folder / "x.fstrm")} == {"up0"}


def test_rename(pair, tap, folder):
    """By the default rule a renamed interface goes on, under its new name."""
    here, there = pair
    connect(here, there)
    running = tap("--extra", "{interface}", "-", "full", f"file://{folder}/x.fstrm", "full",
                  space=here).wait_watching()
    with Listener(here):
        asked_until_seen(running, there, HERE, "before.example")
        ip_batch(here, "link set up0 down", "link set up0 name wan0", "link set wan0 up")

        def under_the_new_name():
            ask(there, HERE, "after.example")
            return b"wan0" in (folder / "x.fstrm").read_bytes()
        until(under_the_new_name, "seen under the new name")
    stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    assert {one.extra for one in messages if b"before" in one.query} == {"up0"}
    after = [one.extra for one in messages if b"after" in one.query]
    assert after == sorted(after) and set(after) <= {"up0", "wan0"}, "once new, never old again"


def test_index_is_used_again(pair, tap, folder):
    """A new interface with the index of one that vanished, in the same moment."""
    here, there = pair
    make = "link add {} index 77 type veth peer name cli0 netns " + there.name
    up = [f"address add {HERE}/24 dev {{}}", "link set {} up"]
    ip_batch(here, *(line.format("one0") for line in (make, *up)))
    there.add_addresses("cli0", THERE + "/24")
    there.ip("link", "set", "cli0", "up")
    running = tap("--extra", "{interface}", "-", "full", f"file://{folder}/x.fstrm", "full",
                  space=here).wait_watching()
    with Listener(here):
        asked_until_seen(running, there, HERE, "one.example")
        for device in ("two0", "two0"):  # another name, then the same
            ip_batch(here, "link del dev " + ("two0" if has_link(here, "two0") else "one0"),
                     *(line.format(device) for line in (make, *up)))
            assert link_index(here, device) == 77
            there.add_addresses("cli0", THERE + "/24")
            there.ip("link", "set", "cli0", "up")
            name = f"{device}{sees(running, 'two00.example')}.example"
            asked_until_seen(running, there, HERE, name)
        assert watched(here) == ["lo", "two0"]
    stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    assert {one.extra for one in messages if b"\3one" in one.query} == {"one0"}
    assert {one.extra for one in messages if b"two0" in one.query} == {"two0"}


def transit(running):
    return running.report()["ledger"]["transit"]


def test_local_later(pair, tap, folder):
    """Addresses and AnyIP routes added later are this host's own; before it was transit."""
    here, there = pair
    connect(here, there)
    there.ip("route", "add", "default", "via", HERE)
    running = tap("-", "full", f"file://{folder}/x.fstrm", "full", space=here).wait_watching()
    with Listener(here):
        ask(there, "192.0.2.5", "transit.example")
        for number, change in enumerate((["route", "add", "local", "192.0.2.0/25", "dev", "lo"],
                                         ["address", "add", "192.0.2.200/32", "dev", "lo"])):
            here.ip(*change)
            asked_until_seen(running, there, ("192.0.2.5", "192.0.2.200")[number],
                             f"local{number}.example")
        before = transit(running)
        here.ip("route", "del", "local", "192.0.2.0/25", "dev", "lo")

        def foreign_again():
            ask(there, "192.0.2.5", "going.example")
            return transit(running) > before
        until(foreign_again, "the address is not this host's any more")
        ask(there, "192.0.2.5", "notmine.example")
    result = stop_balanced(running)
    assert {one.type for one in read_messages(folder / "x.fstrm")} == {"CLIENT_QUERY"}
    assert result.ledger["transit"] >= before + 2
    assert b"notmine" not in result.stdout and b"transit" not in result.stdout


def test_other_routes_cost_nothing(pair, tap):
    """Routes that are none of ours, as a router learns them by the thousand."""
    here, there = pair
    connect(here, there)
    running = tap("-", "full", space=here).wait_watching()
    until_at_rest(running.process.pid)
    woken, began = switches(running.process.pid), time.monotonic()
    for verb in ("add", "del"):
        ip_batch(here, *(f"route {verb} 10.{80 + n // 65536}.{n // 256 % 256}.{n % 256}/32 "
                         f"via {THERE}" for n in range(10000)))
    woken = switches(running.process.pid) - woken
    assert woken < 10 + 5 * (time.monotonic() - began), "as if nothing happened"
    stop_balanced(running)


def test_copies_after_the_start(pair, spaces, tap):
    """A packet that passes two interfaces that came after the start is emitted once."""
    (here, there), behind = pair, spaces()
    running = tap("--transit", "-", "full", space=here).wait_watching()
    connect(here, there)
    join(here, "down0", behind, "srv0")
    here.add_addresses("down0", "10.79.0.1/24")
    behind.add_addresses("srv0", "10.79.0.2/24")
    here.sysctl("net.ipv4.ip_forward", 1)
    there.ip("route", "add", "default", "via", HERE)
    behind.ip("route", "add", "default", "via", "10.79.0.1")
    until(lambda: all(re.search(f"now watching .*{device}", running.stderr)
                      for device in ("up0", "down0")),
          "both are watched")  # a socket that is bound may not have its program yet
    with Listener(behind) as listener:
        ask(there, "10.79.0.2", "passing.example")
        until(lambda: sees(running, "passing.example"), "seen")
        listener.socket.settimeout(5)
        assert b"passing" in listener.socket.recv(512)
    result = stop_balanced(running)
    assert result.stdout.count(b'"passing.example."') == 1
    assert result.ledger["duplicates"] == 1


def test_exit_with_many(spaces, tap):
    """Closing a packet socket takes the kernel some 13 ms: the end does not add them up."""
    here = spaces()
    ip_batch(here, *(line for n in range(32) for line in (
        f"link add a{n} type veth peer name b{n}", f"address add 10.1.{n}.1/24 dev a{n}",
        f"address add 10.2.{n}.1/24 dev b{n}", f"link set a{n} up", f"link set b{n} up")))
    quick = max(0.6, closing_one_by_one(here, 65) / 2)
    for _ in range(5):  # where others want the CPUs just then, again
        running = tap("-", "full", space=here).wait_watching()
        assert len(watched(here)) == 65
        start = time.monotonic()
        stop_balanced(running)
        taken = time.monotonic() - start
        if taken < quick:
            break
    assert taken < quick


def closing_one_by_one(space, count):
    """Seconds that as many packet sockets take that are closed in turn."""
    made = [space.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            for _ in range(count)]
    start = time.monotonic()
    for one in made:
        one.close()
    return time.monotonic() - start


@pytest.mark.parametrize("ring", RINGS)
def test_not_alone(lab, tap, folder, ring):
    """Two taps, tcpdump and a packet socket at once: each has all of it."""
    words = ("-i", SERVER_DEVICE, "--ring", ring, "--role", "auth")
    taps = [tap(*words, f"file://{folder}/{n}.fstrm", "full", space=lab.server).wait_watching()
            for n in range(2)]
    observer = Lengths(lab.server, SERVER_DEVICE)
    path = folder / "t.pcap"
    capture = subprocess.Popen(
        lab.server.command("tcpdump", "--immediate-mode", "-B", 65536, "-i", SERVER_DEVICE, "-n",
                           "-U", "-Z", "root", "-s", SNAP, "-w", path, "udp port 53"),
        stderr=subprocess.PIPE, text=True)
    try:
        assert "listening" in capture.stderr.readline()
        exchanges = ask_varied(lab.client, lab.addresses["knot"][4])
        until(lambda: path.stat().st_size == PCAP_HEAD + 2 * len(exchanges) * PCAP_PACKET,
              "tcpdump has them")
    finally:
        capture.send_signal(signal.SIGINT)
        told = capture.communicate(timeout=60)[1]
    for number, one in enumerate(taps):
        result = stop_balanced(one)
        assert result.ledger["ring_full"] == 0
        check_exchanges(read_messages(folder / f"{number}.fstrm"), exchanges, "AUTH", CLIENT[4],
                        lab.addresses["knot"][4])
    assert f"{2 * len(exchanges)} packets captured" in told
    assert len(observer.read()) >= len(exchanges)


class XdpSocket:
    """An AF_XDP socket on queue 0 of a device, as an AF_XDP server has."""

    SOL_XDP, RX_RING, UMEM_REG, UMEM_FILL, UMEM_COMPLETION, COPY = 283, 2, 4, 5, 6, 2

    def __init__(self, space, device) -> None:
        self.memory = mmap.mmap(-1, 64 * 4096)
        self.index = link_index(space, device)
        self.socket = space.inside(self.open)

    def open(self) -> socket.socket:
        made = socket.socket(44, socket.SOCK_RAW)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        made.setsockopt(self.SOL_XDP, self.UMEM_REG,
                        struct.pack("=QQIIII", start, len(self.memory), 4096, 0, 0, 0))
        for ring in (self.UMEM_FILL, self.UMEM_COMPLETION, self.RX_RING):
            made.setsockopt(self.SOL_XDP, ring, struct.pack("=I", 32))
        address = struct.pack("=HHIII", 44, self.COPY, self.index, 0, 0)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.bind(made.fileno(), address, len(address)):
            raise OSError(ctypes.get_errno(), "bind of an AF_XDP socket")
        return made


def attach_passing(space, device, folder):
    """An XDP program that lets everything pass."""
    source = '__attribute__((section("xdp"))) int pass(void *c) { return 2; }'
    (folder / "pass.c").write_text(source)
    subprocess.run(["clang", "-target", "bpf", "-O2", "-c", folder / "pass.c", "-o",
                    folder / "pass.o"], check=True, timeout=60)
    space.ip("link", "set", device, "xdpgeneric", "object", str(folder / "pass.o"), "section",
             "xdp")


@pytest.mark.needs("clang")
@pytest.mark.parametrize("when", ("before", "later"))
def test_xdp_program(pair, tap, folder, when):
    """An XDP program alone: what it could take is told, once, and no more than that."""
    here, there = pair
    connect(here, there)
    if when == "before":
        attach_passing(here, "up0", folder)
    running = tap("-", "full", space=here).wait_watching()
    if when == "later":
        attach_passing(here, "up0", folder)
    until(lambda: "XDP" in running.stderr, "told of the program")
    with Listener(here):
        asked_until_seen(running, there, HERE, "passed.example")
    told = [line for line in stop_balanced(running).lines if "XDP" in line]
    assert len(told) == 1 and "interface up0 has an XDP program" in told[0]


@pytest.mark.needs("af_xdp", "clang")
@pytest.mark.parametrize("when", ("before", "later"))
def test_af_xdp(pair, tap, folder, when):
    """A server that bypasses taps is told of, at the start and when it starts later."""
    here, there = pair
    connect(here, there)
    if when == "later":
        running = tap("-", "full", space=here).wait_watching()
    with XdpSocket(here, "up0").socket:
        attach_passing(here, "up0", folder)
        if when == "before":
            running = tap("-", "full", space=here).wait_watching()
        until(lambda: "AF_XDP sockets" in running.stderr, "told of the server")
        told = [line for line in stop_balanced(running).lines if "XDP" in line]
    assert len(told) == 1 and "interface up0 has AF_XDP sockets" in told[0]


@pytest.mark.needs("guest", "ring_perf")
def test_cpu_later(pair, tap):
    """A CPU that was not there at the start has no perf ring: told with its number, and counted."""
    here, _ = pair
    switch = Path("/sys/devices/system/cpu/cpu1/online")
    switch.write_text("0")
    running = tap("--ring", "perf", "-", "full", space=here).wait_watching()
    switch.write_text("1")
    with Listener(here):
        thread = threading.Thread(target=ask_from_cpu, args=(1, here))
        thread.start()
        thread.join()
        until(lambda: "CPU 1 was brought up after the start" in running.stderr, "told", 60)
    result = stop_balanced(running)
    assert result.ledger["ring_full"] > 0


def ask_from_cpu(cpu, space):
    os.sched_setaffinity(0, {cpu})
    for number in range(100):
        ask(space, "127.0.0.1", f"cpu{number}.example")
