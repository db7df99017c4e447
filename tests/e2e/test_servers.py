# SPDX-License-Identifier: BSD-2-Clause
"""Real servers under a live tap: every query and response exactly once, and right."""

import signal
import socket

import pytest

from clients import RD, UdpClient, ask_varied, dig, dnsperf, query, write_dnsperf_input
from collectors import golang_dnstap
from frames import decode, read_messages
from lab import (CLIENT, CLIENT_DEVICE, LOOPBACK, OTHER_PORT, SERVER_DEVICE, by_key,
                 check_exchanges)
from tap import RINGS, Tap, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
SERVERS = ("knot", "bind", "unbound")


def prime(space, role, server, port=53):
    """One exchange that tells the tap what kind of server this is."""
    with UdpClient(space, server, port) as client:
        flags = RD if role == "CLIENT" else 0
        return client.ask([query(60000, "n1.example", flags=flags)])


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("server", SERVERS)
def test_server(lab, tap, folder, server, family, ring):
    address, role = lab.addresses[server][family], lab.roles[server]
    running = tap("-i", SERVER_DEVICE, "--ring", ring, f"file://{folder}/x.fstrm", "full",
                  space=lab.server).wait_watching()
    exchanges = prime(lab.client, role, address) + ask_varied(lab.client, address)
    result = stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    check_exchanges(messages, exchanges, role, CLIENT[family], address)
    assert {message.identity for message in messages} == {socket.gethostname()}
    assert all(message.version.startswith("dnstap-bpf") for message in messages)
    assert result.ledger["queries_unanswered"] == result.ledger["responses_unmatched"] == 0
    assert result.ledger["responses_matched"] == len(exchanges)
    assert result.sinks[0]["confirmed"] == 2 * len(exchanges)


@pytest.mark.parametrize("ring", RINGS)
def test_dnsperf(lab, tap, folder, ring):
    """20,000 queries at full speed to Knot: 40,000 messages at a real collector."""
    write_dnsperf_input(folder / "input")
    with golang_dnstap(folder / "out", path=folder / "s") as collector:
        running = tap("-i", SERVER_DEVICE, "--ring", ring, f"unix://{folder}/s", "full",
                      space=lab.server).wait_watching()
        done = dnsperf(lab.client, lab.addresses["knot"][4], 20000, folder / "input")
        result = stop_balanced(running)
        assert result.ledger["ring_full"] == 0
        frames = collector.wait_frames(result.ledger["frames"])
    assert done["completed"] == done["sent"] == 20000
    assert len(frames) == result.ledger["frames"] == 2 * done["sent"]
    assert result.sinks[0]["confirmed"] == len(frames)
    kinds = [decode(frame).is_query for frame in frames]
    assert kinds.count(True) == kinds.count(False) == done["sent"]


@pytest.mark.parametrize("family", (4, 6))
def test_loopback_is_seen_once(lab, tap, folder, family):
    """Without -i: the default interfaces, of which lo is one."""
    running = tap(f"file://{folder}/x.fstrm", "full", space=lab.server).wait_watching()
    exchanges = prime(lab.server, "AUTH", LOOPBACK[family])
    exchanges += ask_varied(lab.server, LOOPBACK[family], 100)
    stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "AUTH", LOOPBACK[family],
                    LOOPBACK[family])


def test_own_address_over_loopback_is_seen_once(lab, tap, folder):
    """A host that asks its own address uses lo, whichever device has the address."""
    address = lab.addresses["unbound"][4]
    running = tap(f"file://{folder}/x.fstrm", "full", space=lab.server).wait_watching()
    with UdpClient(lab.server, address) as client:
        exchanges = client.ask([query(n, f"n{n}.example", flags=RD) for n in range(1, 41)])
    stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "CLIENT", client.address,
                    address)


@pytest.mark.parametrize("family", (4, 6))
def test_port_53_to_port_53(lab, tap, folder, family):
    """The QR bit alone tells who asked."""
    address = lab.addresses["knot"][family]
    running = tap("-i", SERVER_DEVICE, f"file://{folder}/x.fstrm", "full",
                  space=lab.server).wait_watching()
    with UdpClient(lab.client, address, source_port=53) as client:
        exchanges = client.ask([query(n, f"n{n}.example", flags=0) for n in range(1, 41)])
    stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    assert {message.query_port for message in messages} == {53}
    check_exchanges(messages, exchanges, "AUTH", CLIENT[family], address)


def test_several_interfaces_and_ports(lab, tap, folder):
    """What is named with -i and --port is seen, all of it, and nothing else."""
    knot, bind = lab.addresses["knot"][4], lab.addresses["bind"][4]
    both = tap("-i", SERVER_DEVICE, "-i", "lo", "--port", 53, "--port", OTHER_PORT,
               f"file://{folder}/both.fstrm", "full", space=lab.server).wait_watching()
    other = tap("-i", SERVER_DEVICE, "--port", OTHER_PORT, f"file://{folder}/other.fstrm", "full",
                space=lab.server).wait_watching()
    on_53 = prime(lab.client, "AUTH", knot)
    on_other = prime(lab.client, "AUTH", knot, OTHER_PORT)
    on_lo = prime(lab.server, "AUTH", LOOPBACK[4])
    on_53 += ask_varied(lab.client, bind, 30, flags=0)
    on_other += ask_varied(lab.client, knot, 30, OTHER_PORT, flags=0)
    stop_balanced(both)
    stop_balanced(other)
    check_exchanges(read_messages(folder / "other.fstrm"), on_other, "AUTH", CLIENT[4], knot,
                    OTHER_PORT)
    wanted = {(exchange.port, exchange.id, direction) for direction in ("query", "response")
              for exchange in on_53 + on_other + on_lo}
    assert set(by_key(read_messages(folder / "both.fstrm"))) == wanted


@pytest.mark.parametrize("role, flags", (("FORWARDER", RD), ("RESOLVER", 0)))
def test_initiator_side(lab, tap, folder, role, flags):
    """In the client's namespace only the initiator is local."""
    address = lab.addresses["knot"][4]
    running = tap("-i", CLIENT_DEVICE, f"file://{folder}/x.fstrm", "full",
                  space=lab.client).wait_watching()
    exchanges = ask_varied(lab.client, address, 40, flags=flags)
    stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, role, CLIENT[4], address)


def test_fixed_role(lab, tap, folder):
    """--role and --identity hold for every message."""
    address = lab.addresses["unbound"][6]
    running = tap("-i", SERVER_DEVICE, "--role", "resolver", "--identity", "ns1.test",
                  f"file://{folder}/x.fstrm", "full", space=lab.server).wait_watching()
    exchanges = ask_varied(lab.client, address, 40, flags=RD)
    stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    check_exchanges(messages, exchanges, "RESOLVER", CLIENT[6], address)
    assert {message.identity for message in messages} == {"ns1.test"}


def test_without_full(lab, tap, folder):
    """Everything but the message itself; the filter then copies only its beginning."""
    address = lab.addresses["knot"][4]
    running = tap("-i", SERVER_DEVICE, f"file://{folder}/x.fstrm",
                  space=lab.server).wait_watching()
    exchanges = prime(lab.client, "AUTH", address) + ask_varied(lab.client, address, 40)
    result = stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    assert len(messages) == 2 * len(exchanges)
    assert all(message.query is None and message.response is None for message in messages)
    assert all(message.response_time for message in messages if not message.is_query)
    assert result.ledger["responses_matched"] == len(exchanges)


@pytest.mark.parametrize("ring", RINGS)
def test_what_is_in_the_ring_at_the_end(lab, tap, folder, ring):
    """A tap that did not run while packets came, and is then told to end, reads them first."""
    address = lab.addresses["knot"][4]
    running = tap("-i", SERVER_DEVICE, "--ring", ring, f"file://{folder}/x.fstrm", "full",
                  space=lab.server).wait_watching()
    running.process.send_signal(signal.SIGSTOP)
    exchanges = ask_varied(lab.client, address, flags=0)
    running.process.send_signal(signal.SIGINT)
    running.process.send_signal(signal.SIGCONT)
    stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "AUTH", CLIENT[4], address)


@pytest.mark.parametrize("ring", RINGS)
def test_short_runs(lab, tap, folder, ring):
    """The end comes right after the first packets: they are read, with times and types."""
    address = lab.addresses["knot"][4]
    for number in range(8):
        path = folder / f"{number}.fstrm"
        running = tap("-i", SERVER_DEVICE, "--ring", ring, f"file://{path}", "full",
                      space=lab.server).wait_watching()
        with UdpClient(lab.client, address) as client:
            exchanges = client.ask([query(number, "n1.example", flags=0)])
        stop_balanced(running)
        check_exchanges(read_messages(path), exchanges, "AUTH", CLIENT[4], address)


@pytest.mark.parametrize("ring", RINGS)
def test_full_ring_is_counted(lab, tap, folder, ring):
    """More than the ring holds while the tap stands still: what is lost is counted, the rest is
    right."""
    address = lab.addresses["knot"][4]
    running = tap("-i", SERVER_DEVICE, "--ring", ring, "--ring-size", "256K",
                  f"file://{folder}/x.fstrm", "full", space=lab.server).wait_watching()
    running.process.send_signal(signal.SIGSTOP)
    write_dnsperf_input(folder / "input")
    done = dnsperf(lab.client, address, 20000, folder / "input")
    running.process.send_signal(signal.SIGCONT)
    result = stop_balanced(running)
    count = result.ledger
    assert count["matched"] == done["sent"] + done["completed"]
    assert count["ring_full"] > 0 and count["recorded"] > 100
    assert len(read_messages(folder / "x.fstrm")) == count["frames"] == count["recorded"]


def test_capabilities_are_enough(lab, folder, readable_program):
    """With the capabilities that the README names, and no more: it works, by whichever ring."""
    capabilities = ("net_raw", "bpf", "perfmon")
    with Tap(folder, "-i", SERVER_DEVICE, f"file://{folder}/x.fstrm", "full", space=lab.server,
             nobody=True, capabilities=capabilities, program=readable_program) as running:
        running.wait_watching()
        exchanges = ask_varied(lab.client, lab.addresses["knot"][4], 40, flags=0)
        stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "AUTH", CLIENT[4],
                    lab.addresses["knot"][4])


@pytest.mark.parametrize("words", ([], ["--verbose"]), ids=("as usual", "verbose"))
def test_verbose(lab, tap, words):
    """It says more about how it starts, and lines of debugging only then."""
    running = tap("-i", SERVER_DEVICE, *words, "-", space=lab.server).wait_watching()
    told = stop_balanced(running).stderr
    assert ("debug: " in told) == bool(words), told


def test_dig(lab, tap, folder):
    """A look-up by hand, over both families."""
    running = tap("-i", SERVER_DEVICE, f"file://{folder}/x.fstrm", "full",
                  space=lab.server).wait_watching()
    for family in (4, 6):
        answer = dig(lab.client, "@" + lab.addresses["unbound"][family], "n7.example", "AAAA")
        assert "2001:db8::8" in answer
    stop_balanced(running)
    types = [message.type for message in read_messages(folder / "x.fstrm")]
    assert types == ["CLIENT_QUERY", "CLIENT_RESPONSE"] * 2
