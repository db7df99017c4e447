# SPDX-License-Identifier: BSD-2-Clause
"""As true as native: mixed traffic through a small internet, and every server's own dnstap held
against ours. `tests/e2e/internet run MESSAGES` does the same with more, and prints the figures.
"""

import collections
import copy
import signal
import time

import pytest

import compare
import compare_classes as classes
import internet as internet_module
import internet_run
from frames import read_messages
from internet_zones import address
from tap import Tap, check_balance, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")

MESSAGES, RATE = 10000, 2000.0
RUN_SECONDS = 600
HOSTS = ("root", "nsd", "knot", "bind", "unbound", "bindres", "dnsdist", "forward", "all")
FOUR = ("knot", "bind", "unbound", "dnsdist")  # which have MESSAGES each, about
AUTHORITATIVE, RECURSIVE = (1, 2, 10, 11, 40), (20, 21, 30, 31, 41, 42, 43)

# A native message without a partner: these, and in which hosts.
ONLY_NATIVE = {
    "loopback-two-views": {"all"}, "knot-transfer-queries": {"knot"},
    "nsd-stray-response": {"nsd"}, "never-sent": {"bind", "bindres", "unbound", "forward", "all"},
    "question-malformed": set(HOSTS) - {"root"}}
# A field that differs.
DIFFERENT = {
    "first-exchange": set(HOSTS), "bind-auth-no-recursion": {"bindres"},
    "bind-client-response": {"bind"}, "knot-update-type": {"knot"}, "bind-tcp-for-udp": {"bindres"},
    "loopback-other-view": {"all"}, "unbound-local-port": {"unbound", "forward", "all"},
    "zone-case": set(HOSTS), "zone-server-only": set(HOSTS),
    "zone-deeper": {"unbound", "bindres", "all"}}
# What only we have.
ONLY_OURS = {"unasked-response", "server-side-only", "gave-up-waiting", "notify", "transfer",
             "knot-update-response", "error-response", "unanswered", "native-lost"}


def fixed_roles(made, folder):
    """Two taps on the client's host, which is told that it is a stub, or a tool."""
    space = made.hosts["client"].space
    taps = {role: Tap(folder, "--role", role, f"file://{folder}/{role}.fstrm", "full", space=space)
            for role in ("stub", "tool")}
    try:
        for tap in taps.values():
            tap.wait_watching()
        for family in (4, 6):
            internet_run.dig(made, f"@{address(20, family)}", "n7.bind.test")
        for tap in taps.values():
            stop_balanced(tap)
    finally:
        for tap in taps.values():
            tap.__exit__()
    return {role: read_messages(folder / f"{role}.fstrm") for role in taps}


class Run:
    """What a run left: its hosts, compared, and the client's messages under fixed roles."""

    def __init__(self, folder) -> None:
        folder.mkdir()
        made = internet_module.Internet(folder / "files", ("--query-zone", "--with-query"),
                                        count_packets=True)
        try:
            self.fixed = fixed_roles(made, folder)
            start = time.monotonic()
            self.counted = internet_run.load(made, MESSAGES, RATE)
            self.seconds = time.monotonic() - start
            self.hosts = internet_run.compare_hosts(made.stop())
        finally:
            made.close()
        self.contexts = {name: classes.Context(host.native, host.ours)
                         for name, host in self.hosts.items()}


@pytest.fixture(scope="module")
def run(session_folder):
    signal.alarm(RUN_SECONDS)  # the whole run, in place of one test's bound
    return Run(session_folder / "native")


def of_host(test):
    return pytest.mark.parametrize("name", HOSTS)(test)


@of_host
def test_every_difference_has_a_name(run, name):
    report = run.hosts[name].report
    assert not report.unexplained, compare.text_of(report)
    allowed = ONLY_OURS | {found for table in (ONLY_NATIVE, DIFFERENT)
                           for found, hosts in table.items() if name in hosts}
    assert not set(report.classes) - allowed, compare.text_of(report)


@of_host
def test_what_native_emitted_is_in_ours(run, name):
    """All of it, but for malformed messages, which are counted, and what was never on the wire."""
    host = run.hosts[name]
    found = host.report.classes
    assert host.native
    assert host.report.in_ours == len(host.native) - found["question-malformed"] \
        - found["never-sent"], compare.text_of(host.report)
    assert found["question-malformed"] <= host.host.result.ledger["dns_malformed"]
    assert found["never-sent"] <= len(host.native) / 100


@pytest.mark.parametrize("name", FOUR)
def test_enough_was_compared(run, name):
    assert run.hosts[name].report.total("matched") >= 0.8 * MESSAGES


@of_host
def test_ours_lose_nothing(run, name):
    """Every packet that the kernel counted was matched, and every frame is in the file."""
    host = run.hosts[name]
    result = host.host.result
    assert result.status == 0, result.stderr
    check_balance(result)
    assert host.counted == result.ledger["matched"]
    assert result.ledger["ring_full"] == 0
    assert result.sinks[0]["confirmed"] == len(host.ours) == result.ledger["frames"]


def expected_role(one, query, name, run) -> str:
    """By who is who in this internet, not by what the packets say."""
    numbers = {compare.ipaddress.ip_address(address(number, family)).packed: number
               for number in run.hosts[name].host.numbers for family in (4, 6)}
    number = numbers.get(one.response_address)
    if number in AUTHORITATIVE or number in RECURSIVE:
        if one.opcode == classes.UPDATE:
            return "UPDATE"
        return "AUTH" if number in AUTHORITATIVE else "CLIENT"
    assert one.query_address in numbers
    return "FORWARDER" if query.flags & classes.RD else "RESOLVER"


@of_host
def test_roles(run, name):
    context, seen = run.contexts[name], set()
    for one in run.hosts[name].ours:
        query = one if one.is_query else next(iter(context.others(one)), one)
        if not context.is_first(one):
            assert one.role == expected_role(one, query, name, run), str(one)
        seen.add(one.role)
    wanted = {"knot": {"AUTH", "UPDATE", "RESOLVER"}, "bind": {"AUTH", "UPDATE", "RESOLVER"},
              "unbound": {"CLIENT", "RESOLVER"}, "bindres": {"CLIENT", "RESOLVER"},
              "dnsdist": {"CLIENT", "FORWARDER"}, "forward": {"CLIENT", "FORWARDER"},
              "all": {"AUTH", "CLIENT", "RESOLVER", "FORWARDER"}}.get(name, {"AUTH"})
    assert wanted <= seen


@pytest.mark.parametrize("role", ("stub", "tool"))
def test_fixed_roles(run, role):
    messages = run.fixed[role]
    assert [one.type for one in messages] == [f"{role.upper()}_QUERY",
                                              f"{role.upper()}_RESPONSE"] * 2
    assert {one.response_address for one in messages} == {address(20, 4), address(20, 6)}


@of_host
def test_query_and_response_agree(run, name):
    """Each matched response has its query in the stream, of the same role, and its bytes."""
    context = run.contexts[name]
    for one in run.hosts[name].ours:
        if one.is_query or one.query_time is None:
            continue
        queries = context.others(one)
        assert queries, str(one)
        assert {query.role for query in queries} == {one.role}
        assert one.response_time >= one.query_time
        if one.other is not None:
            assert one.other in {query.wire for query in queries}, str(one)


@of_host
def test_every_matched_response_has_a_query_time(run, name):
    host = run.hosts[name]
    without = [one for one in host.ours if not one.is_query and one.query_time is None]
    assert len(without) == host.host.result.ledger["responses_unmatched"]
    malformed = {(one.query_address, one.query_port, one.wire[:2]) for one in host.native
                 if one.is_query and one.wire and not classes.is_message(one.wire)}
    for one in without:
        is_answer = one.partner and one.role not in classes.OWN_ROLES
        assert not is_answer or (one.query_address, one.query_port, one.wire[:2]) in malformed


@of_host
def test_addresses_and_ports_always(run, name):
    for one in run.hosts[name].ours:
        length = {1: 4, 2: 16}[one.family]
        assert len(one.query_address) == len(one.response_address) == length, str(one)
        assert one.query_port and one.response_port and one.protocol in (1, 2), str(one)
        assert one.wire and (one.query_time or not one.is_query), str(one)


def test_times_are_near(run):
    """Within the coarse clock of BIND, and the time that packets wait for a server that is busy."""
    for name in HOSTS:
        for what, row in run.hosts[name].report.time_summary().items():
            assert row["median_apart_us"] < 2_000_000, f"{name} {what}: {row}"


def test_the_load_was_mixed(run):
    """That each kind of traffic did occur, so that an agreement says something."""
    ours = [one for name in HOSTS for one in run.hosts[name].ours]
    responses = [one for one in ours if not one.is_query]
    assert {one.flags & 15 for one in responses} >= {0, 1, 2, 3, 4, 5}  # NOERROR to REFUSED
    assert {one.opcode for one in ours} >= {0, 2, 4, 5}
    assert {one.kind for one in ours} >= {classes.SOA, classes.AXFR, classes.IXFR}
    assert {(one.family, one.protocol) for one in ours} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert any(one.flags & classes.TC for one in responses)
    assert sum(row["retried"] for row in run.counted.values()) > 0
    assert sum(row["unanswered"] for row in run.counted.values()) > 0
    assert run.hosts["knot"].host.result.ledger["reassembled"] > 0


def unpaired(messages):
    made = copy.deepcopy([one for one in messages if one.partner][:2000])
    for one in made:
        one.partner = None
    return made


def test_the_comparison_sees_faults(run):
    """A stream of ours that is spoilt by hand is found out."""
    host = run.hosts["knot"]
    natives = unpaired(host.native)
    ours = unpaired([one.partner for one in host.native if one.partner])
    count = collections.Counter(one.wire for one in ours)
    plain = [one for one in ours if one.type == "AUTH_RESPONSE" and one.protocol == classes.UDP
             and count[one.wire] == 1 and len(one.wire) > 60]
    for one in plain[50:60]:
        ours.remove(one)
    plain[100].response_port = 54
    plain[150].query_address = bytes(4)
    plain[200].wire = plain[200].wire[:-1] + bytes([plain[200].wire[-1] ^ 1])
    plain[250].type = "STUB_RESPONSE"
    report = compare.compare(natives, ours)
    assert report.total("only native") == 10
    for field, number in (("response_port", 100), ("query_address", 150), ("wire", 200),
                          ("type", 250)):
        found = [text for text in report.unexplained if text.startswith(field + ":")]
        assert len(found) == 1 and str(plain[number]) in found[0], report.unexplained
    assert len(report.unexplained) == 14
