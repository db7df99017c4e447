# SPDX-License-Identifier: BSD-2-Clause
"""Filters and anonymisation under live traffic: what is asked for comes whole, the rest is counted.

What the kernel's side left out are packets (filtered_kernel); what user space left out are messages
(filtered_*). Both must be what the clients' traffic says.
"""

import json
import math
import struct
import threading

import pytest

from clients import RD, UdpClient, ask_varied, dnsperf, query, write_dnsperf_input
from collectors import golang_dnstap
from frames import decode, read_file, read_messages
from lab import CLIENT, CLIENT_DEVICE, OTHER_PORT, SERVER_DEVICE, TCP, check_exchanges
from tap import FILTERED, REPOSITORY, RINGS, Tap, replay, stop_balanced
from tcp_clients import TcpClient
from test_reload import configured  # noqa: F401, a fixture

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
SECOND = {4: "10.53.0.200", 6: "fd00:53::200"}  # of the client namespace
QUERIES = 60
NOERROR, NXDOMAIN, BADVERS = 0, 3, 16
TALK = REPOSITORY / "tests" / "data" / "talk-ethernet.pcap"


@pytest.fixture(scope="module")
def second(lab):
    """A second client address, which is used only by who binds to it."""
    lab.client.ip("address", "add", SECOND[4] + "/24", "dev", CLIENT_DEVICE)
    lab.client.ip("address", "add", SECOND[6] + "/64", "dev", CLIENT_DEVICE, "nodad",
                  "preferred_lft", "0")
    yield SECOND
    lab.client.ip("address", "del", SECOND[4] + "/24", "dev", CLIENT_DEVICE)
    lab.client.ip("address", "del", SECOND[6] + "/64", "dev", CLIENT_DEVICE)


def watch(lab, tap, folder, *words) -> Tap:
    return tap("-i", SERVER_DEVICE, *words, f"file://{folder}/x.fstrm", "full",
               space=lab.server).wait_watching()


def ask(lab, server, source=None, names=None, flags=0, **words):
    names = names or [f"n{number}.example" for number in range(QUERIES)]
    with UdpClient(lab.client, server, source=source) as client:
        done = client.ask([query(number + 1, name, flags=flags, **words)
                           for number, name in enumerate(names)])
    assert all(exchange.received for exchange in done)
    return done


def ask_tcp(lab, server, count=QUERIES):
    with TcpClient(lab.client, server) as client:
        return client.ask([query(number + 1, f"n{number}.example", flags=0)
                           for number in range(count)], together=3)


def filtered(result) -> dict:
    """The reasons that user space counted."""
    return {name[len("filtered_"):]: result.ledger[name] for name in FILTERED
            if result.ledger[name]}


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
def test_client_net(lab, tap, folder, second, family, ring):
    """One of two clients, over UDP; the other one's packets never leave the kernel."""
    knot = lab.addresses["knot"][family]
    running = watch(lab, tap, folder, "--ring", ring, "--client-net", second[family])
    ask(lab, knot)
    wanted = ask(lab, knot, second[family])
    result = stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), wanted, "AUTH", second[family], knot)
    assert result.ledger["filtered_kernel"] == 2 * QUERIES
    assert result.ledger["matched"] == 2 * len(wanted)
    assert filtered(result) == {}


def test_client_net_tcp(lab, tap, folder, second):
    """Segments have addresses as well, and are left out whole connections at a time."""
    knot = lab.addresses["knot"][4]
    running = watch(lab, tap, folder, "--client-net", second[4])
    ask_tcp(lab, knot)
    wanted = ask(lab, knot, second[4])
    result = stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), wanted, "AUTH", second[4], knot)
    assert result.ledger["filtered_kernel"] >= 6 and result.ledger["segments"] == 0
    assert filtered(result) == {}


@pytest.mark.parametrize("family", (4, 6))
def test_server_net(lab, tap, folder, family):
    """One of two servers, over UDP and TCP."""
    knot, bind = lab.addresses["knot"][family], lab.addresses["bind"][family]
    running = watch(lab, tap, folder, "--server-net", bind)
    ask(lab, knot)
    over_udp = ask(lab, bind)
    over_tcp = ask_tcp(lab, bind)
    result = stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    check_exchanges([m for m in messages if m.protocol != TCP], over_udp, "AUTH", CLIENT[family],
                    bind)
    check_exchanges([m for m in messages if m.protocol == TCP], over_tcp, "AUTH", CLIENT[family],
                    bind, protocol=TCP)
    assert result.ledger["filtered_kernel"] == 2 * QUERIES
    assert filtered(result) == {}


def test_networks_go_by_role(lab, tap, folder):
    """The server as a client: the kernel cannot tell, user space knows by the QR bit."""
    knot = lab.addresses["knot"][4]
    running = watch(lab, tap, folder, "--client-net", knot)
    ask(lab, knot)
    result = stop_balanced(running)
    assert result.ledger["filtered_kernel"] == result.ledger["frames"] == 0
    assert filtered(result) == {"network": 2 * QUERIES}
    assert result.ledger["queries"] == 0


def check_share(pairs: int, all_of_them: int, sample: int) -> None:
    """Within six standard deviations of a binomial distribution."""
    mean = all_of_them / sample
    assert abs(pairs - mean) < 6 * math.sqrt(mean * (1 - 1 / sample)), f"{pairs}, not {mean}"


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family", (4, 6))
def test_sample(lab, tap, folder, family, ring):
    """20,000 exchanges at full speed: of the sample each query with its response, no others."""
    write_dnsperf_input(folder / "input")
    running = watch(lab, tap, folder, "--ring", ring, "--sample", 4)
    done = dnsperf(lab.client, lab.addresses["knot"][family], 20000, folder / "input")
    result = stop_balanced(running)
    assert done["completed"] == done["sent"] == 20000 and result.ledger["ring_full"] == 0
    messages = read_messages(folder / "x.fstrm")
    queries = {(m.query_port, m.id) for m in messages if m.is_query}
    responses = {(m.query_port, m.id) for m in messages if not m.is_query}
    assert queries == responses and len(messages) == 2 * len(queries)
    assert all(m.query_time for m in messages)
    check_share(len(queries), 20000, 4)
    assert result.ledger["filtered_kernel"] == 40000 - len(messages)
    assert result.ledger["matched"] == result.ledger["frames"] == len(messages)
    assert filtered(result) == {}
    for name in ("queries_unanswered", "queries_evicted", "responses_unmatched"):
        assert result.ledger[name] == 0, name


def test_sample_tcp(lab, tap, folder):
    """In user space alone, for segments do not show where messages begin."""
    knot, count = lab.addresses["knot"][4], 2000
    running = watch(lab, tap, folder, "--sample", 4)
    exchanges = ask_tcp(lab, knot, count)
    result = stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    taken = {m.id for m in messages}
    check_exchanges(messages, [e for e in exchanges if e.id in taken], "AUTH", CLIENT[4], knot,
                    protocol=TCP)
    check_share(len(taken), count, 4)
    assert filtered(result) == {"sample": 2 * (count - len(taken))}
    assert result.ledger["filtered_kernel"] == 0
    assert result.ledger["queries"] == result.ledger["queries_answered"] == len(taken)


def test_type(lab, tap, folder):
    """Responses alone still know their query's time."""
    knot = lab.addresses["knot"][4]
    running = watch(lab, tap, folder, "--type", "AUTH_RESPONSE")
    exchanges = ask(lab, knot)
    result = stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    assert [m.type for m in messages] == ["AUTH_RESPONSE"] * QUERIES
    before = {e.id: e.before for e in exchanges}
    assert all(before[m.id] - 5_000_000 < m.query_time <= m.response_time for m in messages)
    assert filtered(result) == {"type": QUERIES}
    assert result.ledger["responses_matched"] == QUERIES


def test_name(lab, tap, folder):
    """Two suffixes, in any case, at label borders; a message without a question has no name."""
    bind = lab.addresses["bind"][4]
    running = watch(lab, tap, folder, "--name", "N1.Example.", "--name", "missing.example")
    inside = ["n1.example", "n1.EXAMPLE", "a.b.missing.example", "missing.example", "x.n1.example"]
    outside = ["n11.example", "xn1.example", "example", "xmissing.example", "n2.example"]
    exchanges = ask(lab, bind, names=inside + outside)
    with UdpClient(lab.client, bind) as client:
        empty = client.ask_one(struct.pack("!HHHHHH", 999, 0, 0, 0, 0, 0))
    assert empty.received
    result = stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges[:len(inside)], "AUTH", CLIENT[4],
                    bind)
    assert filtered(result) == {"name": 2 * len(outside) + 2}
    assert result.ledger["queries"] == len(inside)


@pytest.mark.parametrize("full", (["full"], []), ids=("full", "headers"))
def test_rcode(lab, tap, folder, full):
    """NXDOMAIN and, of EDNS's, BADVERS, which the header alone calls NOERROR; queries all the same.

    Where no sink wants the messages themselves they must come whole for it too.
    """
    knot = lab.addresses["knot"][4]
    running = tap("-i", SERVER_DEVICE, "--rcode", "NXDOMAIN", "--rcode", BADVERS,
                  f"file://{folder}/x.fstrm", *full, space=lab.server).wait_watching()
    ask(lab, knot)
    missing = ask(lab, knot, names=[f"missing{n}.example" for n in range(10)])
    long_name = ".".join(["a" * 60] * 4 + ["example"])  # OPT stands behind all that is clamped
    with UdpClient(lab.client, knot) as client:
        sent = query(7, long_name, flags=0, edns=True)
        version_1 = sent[:-5] + b"\1" + sent[-4:]  # the OPT record's TTL: its second byte
        refused = client.ask_one(version_1)
    assert refused.received and refused.received[0][3] & 15 == NOERROR
    assert missing[0].received[0][3] & 15 == NXDOMAIN
    result = stop_balanced(running)
    types = [m.type for m in read_messages(folder / "x.fstrm")]
    assert types.count("AUTH_QUERY") == QUERIES + len(missing) + 1
    assert types.count("AUTH_RESPONSE") == len(missing) + 1
    assert filtered(result) == {"rcode": QUERIES}
    assert result.ledger["responses_matched"] == QUERIES + len(missing) + 1


def test_all_at_once(lab, tap, folder, second):
    """Each message has one reason, and the sum is what the clients did."""
    knot, bind = lab.addresses["knot"][4], lab.addresses["bind"][4]
    running = watch(lab, tap, folder, "--port", 53, "--port", OTHER_PORT, "--server-net", knot,
                    "--client-net", "10.53.0.0/24", "--sample", 2, "--name", "example",
                    "--type", "AUTH_RESPONSE", "--rcode", "NOERROR")
    ask(lab, bind)
    exchanges = ask_varied(lab.client, knot, 400, flags=0)
    ask(lab, knot, second[4], names=["n1.other", "n2.other"])
    result = stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    assert messages and {m.type for m in messages} == {"AUTH_RESPONSE"}
    assert all(m.response[3] & 15 == NOERROR for m in messages)
    assert {(m.query_port, m.id) for m in messages} <= {(e.port, e.id) for e in exchanges}
    reasons = filtered(result)
    assert set(reasons) <= {"type", "rcode", "name"} and reasons["type"] and reasons["rcode"]
    assert result.ledger["filtered_kernel"] + result.ledger["messages"] == 2 * (
        QUERIES + len(exchanges) + 2)


@pytest.mark.parametrize("family", (4, 6))
def test_anonymise(lab, tap, folder, family):
    """The client's address is cut in frames, lines and JSON; its bytes and all else stay."""
    knot = lab.addresses["knot"][family]
    cut = {4: "10.53.0.0", 6: "fd00:53::"}[family]
    lines = tap("-i", SERVER_DEVICE, "--anonymise", "24,48", "--format", "json", "-",
                space=lab.server).wait_watching()
    text = tap("-i", SERVER_DEVICE, "--anonymise", "24,48", "-", space=lab.server).wait_watching()
    running = watch(lab, tap, folder, "--anonymise", "24,48")
    exchanges = ask(lab, knot)
    stop_balanced(running)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "AUTH", cut, knot)
    said = stop_balanced(lines).stdout.decode()
    read = [json.loads(line) for line in said.splitlines()]
    assert {line["message"]["query_address"] for line in read} == {cut}
    assert {line["message"]["response_address"] for line in read} == {knot}
    written = stop_balanced(text).stdout.decode()
    assert written.count(cut + " ") == 2 * QUERIES
    assert CLIENT[family] + " " not in said + written and CLIENT[family] + '"' not in said


def test_anonymise_leaves_this_host(lab, tap, folder):
    """Seen from the asking host, which is nobody's client; with --role it may be anybody's."""
    knot = lab.addresses["knot"][4]
    asking = tap("-i", CLIENT_DEVICE, "--anonymise", "24,48", f"file://{folder}/a.fstrm", "full",
                 space=lab.client).wait_watching()
    answering = watch(lab, tap, folder, "--anonymise", "24,48", "--role", "resolver")
    exchanges = ask(lab, knot)
    stop_balanced(asking)
    stop_balanced(answering)
    check_exchanges(read_messages(folder / "a.fstrm"), exchanges, "RESOLVER", CLIENT[4], knot)
    check_exchanges(read_messages(folder / "x.fstrm"), exchanges, "RESOLVER", "10.53.0.0", knot)


def test_anonymise_at_a_collector(lab, tap, folder):
    """The whole way, into another program: no frame has more than the prefix."""
    with golang_dnstap(folder / "out", path=folder / "s") as collector:
        running = tap("-i", SERVER_DEVICE, "--anonymise", "16,32", "--sample", 1, f"{folder}/s",
                      "full", space=lab.server).wait_watching()
        ask(lab, lab.addresses["unbound"][4], flags=RD)
        result = stop_balanced(running)
        frames = collector.wait_frames(result.ledger["frames"])
    assert len(frames) == 2 * QUERIES
    assert {decode(frame).query_address for frame in frames} == {"10.53.0.0"}


def test_reload_filters(configured, lab, folder, second):
    """Filters that come, change and go by SIGHUP, in the kernel where it has them, else here."""
    knot = lab.addresses["knot"][4]
    sink = ["sinks:", f"  - file://{folder}/x.fstrm full"]
    configured.start(*sink, f"client-net: {second[4]}/32")
    wanted, other = [], 0
    for words in ([f"client-net: {second[4]}/32", "anonymise: 24,48"],  # the kernel's as before
                  [f"client-net: {CLIENT[4]}/32", "name: n1.example"],  # now user space's
                  [f"server-net: {knot}/32", f"port: {OTHER_PORT}"],
                  ["sample: 1000000000"], []):
        configured.reload(*sink, *words)
        before = configured.tap.seen()
        first, then = ask(lab, knot), ask(lab, knot, second[4])
        if words[-1:] != [f"port: {OTHER_PORT}"]:  # there nobody asks
            configured.tap.wait_seen(before + 2 * len(first + then))
        wanted += {"anonymise: 24,48": then, "name: n1.example": first[1:2]}.get(
            words[-1] if words else "", [] if words else first + then)
        other += 2 * len(first + then)
    result = configured.stop()
    messages = read_messages(folder / "x.fstrm")
    assert {(m.query_port, m.id) for m in messages} == {(e.port, e.id) for e in wanted}
    assert len(messages) == 2 * len(wanted)
    assert [m.query_address for m in messages[:2 * QUERIES]] == ["10.53.0.0"] * 2 * QUERIES
    reasons = filtered(result)
    assert result.ledger["filtered_kernel"] == 2 * QUERIES  # of the first round
    assert reasons == {"network": 2 * QUERIES, "name": 2 * QUERIES - 2, "sample": 4 * QUERIES}
    # One round was on a port that nobody asked.
    assert len(messages) + sum(reasons.values()) + 2 * QUERIES == other - 4 * QUERIES
    assert configured.said("left out by this process") == 3


def test_reload_wants_bytes(configured, lab, folder):
    """From headers to whole messages under load: those cut short before are not lost to the old."""
    (folder / "input").write_text("".join(
        ".".join(["a" * 60] * 3 + [f"{number:060}", "example"]) + " A\n" for number in range(1000)))
    plain, full = f"  - file://{folder}/plain.fstrm", f"  - file://{folder}/full.fstrm full"
    configured.start("sinks:", plain)

    def ask_thousands(count):
        dnsperf(lab.client, lab.addresses["knot"][4], 1000 * count, folder / "input")

    load = threading.Thread(target=ask_thousands, args=(20,))
    load.start()
    configured.tap.wait_seen(1000)
    configured.reload("sinks:", plain, full)
    load.join()
    ask_thousands(1)
    result = configured.stop()
    assert result.ledger["dns_truncated"] == 0
    assert len(read_file(folder / "plain.fstrm")) == result.ledger["frames"] == 42000
    whole = [message.wire for message in read_messages(folder / "full.fstrm")]
    assert whole and all(len(wire) > 265 for wire in whole)


def test_replay(folder):
    """The same on a capture file, all in user space: each message passes or has a reason."""
    whole = replay(folder, TALK, f"file://{folder}/whole.fstrm", "full")
    server = "203.0.113.53"
    result = replay(folder, TALK, "--server-net", server, "--anonymise", "8,16",
                    f"file://{folder}/x.fstrm", "full")
    messages = read_messages(folder / "whole.fstrm")
    wanted = [m.wire for m in messages if m.response_address == server]
    found = read_messages(folder / "x.fstrm")
    assert 0 < len(wanted) < len(messages) and [m.wire for m in found] == wanted
    assert {m.query_address for m in found} == {"198.0.0.0"}
    assert filtered(result) == {"network": whole.ledger["frames"] - len(wanted)}
    assert result.ledger["filtered_kernel"] == 0 and result.balanced
