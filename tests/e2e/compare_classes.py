# SPDX-License-Identifier: BSD-2-Clause
"""The classes of differences between a server's own dnstap and ours, and which side is right.

Each class is a name in CLASSES and a rule below it; the first rule that fits decides. What fits
none is unexplained.
"""

import collections
import struct
from dataclasses import dataclass
from typing import Dict, Optional

import dns.exception
import dns.message

UNEXPLAINED = "UNEXPLAINED"
FORMERR, SERVFAIL, NOTIMP, REFUSED, BADVERS = 1, 2, 4, 5, 16
QUERY, NOTIFY, UPDATE = 0, 4, 5
SOA, IXFR, AXFR = 6, 251, 252
QR, TC, RD, RA = 0x8000, 0x0200, 0x0100, 0x0080
UDP, TCP = 1, 2
SERVER_ROLES, OWN_ROLES = ("AUTH", "CLIENT", "UPDATE"), ("RESOLVER", "FORWARDER")
COARSE_NS = 10**7  # the clock that BIND takes its times from stands still between ticks
END_NS = 2 * 10**9  # before the last message of a server that is being stopped


@dataclass(frozen=True)
class Class:
    """right: ours, native, both, or neither (a loss, or what nobody can decide)."""

    right: str
    text: str


CLASSES: Dict[str, Class] = {
    # Fields of a pair.
    "first-exchange": Class(
        "native",
        "the first exchange with a server of which no response was seen yet: RD decides "
        "between AUTH and CLIENT"),
    "bind-auth-no-recursion": Class(
        "ours",
        "BIND's resolver calls a query AUTH when it will not recurse for it (no RD, or "
        "refused), and so does its response without RD"),
    "bind-client-response": Class(
        "ours",
        "BIND's authoritative server: AUTH_QUERY, but CLIENT_RESPONSE when RD is set"),
    "knot-update-type": Class("ours", "Knot calls an UPDATE query AUTH_QUERY"),
    "bind-tcp-for-udp": Class(
        "ours",
        "BIND's RESOLVER_RESPONSE says TCP for a UDP exchange that took long"),
    "unbound-local-port": Class(
        "ours",
        "Unbound's own port in RESOLVER and FORWARDER messages is 0, 53 or an earlier one's"),
    "loopback-other-view": Class(
        "both",
        "one packet between two servers of one host, of which only the asking one reported"),
    "zone-case": Class(
        "both",
        "query_zone in the case of the zone file, and in that of the packet"),
    "zone-server-only": Class(
        "both",
        "query_zone that the server knows and the packet does not prove"),
    "zone-deeper": Class("both", "query_zone: the one that was asked, and the one that answered"),
    # Native messages without one of ours.
    "loopback-two-views": Class(
        "both",
        "one packet between two servers of one host: each reports it, we once, as the "
        "server's side"),
    "knot-transfer-queries": Class(
        "ours",
        "Knot logs the query of a zone transfer again for each of its messages"),
    "question-malformed": Class(
        "native",
        "a message whose question or counts do not parse is counted (dns_malformed), not "
        "emitted"),
    "nsd-stray-response": Class("ours", "NSD calls a response that reaches it AUTH_QUERY"),
    "never-sent": Class(
        "ours",
        "a response that the server logged and never sent: its TCP connection had ended, or "
        "the server was being stopped"),
    # Ours without a native one.
    "unasked-response": Class(
        "ours",
        "a response that nobody here asked for, or that came after the timeout"),
    "server-side-only": Class(
        "ours",
        "what the server asks others: dnsdist's upstream and its health checks; transfers, "
        "SOA queries and NOTIFY of Knot, NSD and BIND"),
    "gave-up-waiting": Class("ours", "a response that came when the server did not wait any more"),
    "notify": Class("ours", "NOTIFY to BIND"),
    "transfer": Class(
        "ours",
        "the messages of a zone transfer from BIND; what NSD's transfer process answers"),
    "knot-update-response": Class("ours", "the response to an UPDATE of Knot"),
    "error-response": Class(
        "ours",
        "errors made before the server's dnstap is asked: FORMERR, NOTIMP, BADVERS, and "
        "REFUSED, with or without the query"),
    "unanswered": Class("ours", "a query that the server left without an answer and did not log"),
    "native-lost": Class("ours", "ordinary exchanges: what the server's dnstap lost"),
}

# Native messages without a partner whose packet ours has all the same.
SAME_PACKET = ("loopback-two-views", "knot-transfer-queries", "nsd-stray-response")


class Context:
    """What the rules look up about all the messages."""

    def __init__(self, natives: list, ours: list) -> None:
        self.askers = {one.query_address for one in natives if one.role in OWN_ROLES}
        self.served = {one.response_address for one in natives if one.role in SERVER_ROLES}
        self.native_end = max((one.time for one in natives), default=0)
        self.paired = collections.defaultdict(list)
        self.exchanges: dict = collections.defaultdict(list)
        self.connections = collections.defaultdict(list)
        for one in ours:
            if one.protocol == TCP:
                self.connections[self.connection(one)].append(one.time)
            self.exchanges[self.exchange_key(one)].append(one)
            if one.partner:
                self.paired[one.is_query, one.wire].append(one)
        self.known_since = self.first_lessons(ours)
        self.recursive = {(one.response_address, one.response_port) for one in ours
                          if not one.is_query and one.flags & RA}

    @staticmethod
    def connection(one) -> tuple:
        return (one.query_address, one.query_port, one.response_address, one.response_port)

    @staticmethod
    def exchange_key(one) -> tuple:
        return (one.query_address, one.query_port, one.response_address, one.response_port,
                one.protocol, one.wire and one.wire[:2], one.query_time)

    @staticmethod
    def first_lessons(ours: list) -> dict:
        """When each server first told whether it is recursive."""
        since: dict = {}
        for one in ours:
            lesson = not one.is_query and one.opcode == QUERY \
                and one.flags & 15 not in (FORMERR, NOTIMP, REFUSED)
            if lesson:
                key = (one.response_address, one.response_port)
                since[key] = min(since.get(key, one.time), one.time)
        return since

    def is_first(self, ours) -> bool:
        since = self.known_since.get((ours.response_address, ours.response_port))
        return since is None or (ours.query_time or 0) <= since

    def others(self, one) -> list:
        """The other messages of an exchange of ours."""
        return [other for other in self.exchanges[self.exchange_key(one)]
                if other is not one and other.is_query != one.is_query]


def is_message(wire: bytes) -> bool:
    """What the tap takes for a DNS message: counts that the length can hold, and a question."""
    if len(wire) < 12:
        return False
    flags, questions, *records = struct.unpack_from("!HHHHH", wire, 2)
    if not flags & TC and 5 * questions + 11 * sum(records) > len(wire) - 12:
        return False
    at = 12
    while questions and at < len(wire) and 0 < wire[at] < 64:
        at += wire[at] + 1
    return not questions or (at + 5 <= len(wire) and wire[at] == 0 and at - 12 < 255)


def rcode_of(one) -> int:
    """With the extended bits, where the message parses."""
    try:
        return int(dns.message.from_wire(one.wire, ignore_trailing=True).rcode())
    except (dns.exception.DNSException, struct.error, ValueError):
        return one.flags & 15


def of_type(native, ours, context: Context) -> Optional[str]:
    roles = (native.role, ours.role)
    server = (ours.response_address, ours.response_port)
    if native.type.endswith("QUERY") != ours.type.endswith("QUERY"):
        return None
    if native.role in OWN_ROLES and ours.role in SERVER_ROLES \
            and ours.response_address in context.served:
        return "loopback-other-view"
    if roles == ("AUTH", "UPDATE"):
        return "knot-update-type"
    if set(roles) == {"AUTH", "CLIENT"} and context.is_first(ours):
        return "first-exchange"
    if roles == ("AUTH", "CLIENT") and server in context.recursive:
        return "bind-auth-no-recursion"
    if roles == ("CLIENT", "AUTH") and not native.is_query and native.flags & RD \
            and server not in context.recursive:
        return "bind-client-response"
    return None


def of_zone(native, ours) -> str:
    if ours.query_zone is None:
        return "zone-server-only"
    if ours.query_zone.lower() == (native.query_zone or b"").lower():
        return "zone-case"
    return "zone-deeper"


def of_field(name: str, native, ours, context: Context) -> Optional[str]:
    if name == "type":
        return of_type(native, ours, context)
    if name == "query_zone" and native.query_zone is not None:
        return of_zone(native, ours)
    if name == "query_port" and native.role in OWN_ROLES:
        return "unbound-local-port"
    if name == "protocol" and native.type == "RESOLVER_RESPONSE" \
            and (native.protocol, ours.protocol) == (TCP, UDP):
        return "bind-tcp-for-udp"
    return None


def same_packet(native, ours) -> bool:
    """Whether a native message without a partner speaks of a packet that has one."""
    names = ("protocol", "query_address", "response_address", "response_port")
    return all(getattr(native, name) in (None, getattr(ours, name)) for name in names) \
        and ours.partner.role != native.role


def was_never_sent(native, context: Context) -> bool:
    """A tail of a TCP connection of which we have the rest, or SERVFAIL at the server's end."""
    if native.is_query:
        return False
    if native.protocol == TCP:
        times = context.connections[context.connection(native)]
        after = [time for time in times if COARSE_NS < time - native.time < END_NS]
        return bool(times) and not after
    return rcode_of(native) == SERVFAIL and context.native_end - native.time < END_NS


def of_native(native, context: Context) -> Optional[str]:
    twins = context.paired.get((native.is_query, native.wire), ())
    if any(same_packet(native, ours) for ours in twins):
        return "loopback-two-views"
    if native.type == "AUTH_QUERY" and native.kind in (AXFR, IXFR) and twins:
        return "knot-transfer-queries"
    if native.wire is not None and not is_message(native.wire):
        return "question-malformed"
    if native.is_query and native.flags & QR:
        return "nsd-stray-response"
    return "never-sent" if was_never_sent(native, context) else None


def of_own(one, context: Context) -> str:
    """A message of the server's own asking."""
    if one.query_address not in context.askers or one.opcode == NOTIFY \
            or one.kind in (AXFR, IXFR):
        return "server-side-only"
    if not one.is_query and any(other.partner for other in context.others(one)):
        return "gave-up-waiting"
    return "native-lost"


def of_ours(one, context: Context) -> Optional[str]:
    if not one.is_query and one.query_time is None:
        return "unasked-response"
    if one.role in OWN_ROLES:
        return of_own(one, context)
    if one.opcode == NOTIFY:
        return "notify"
    kinds = {one.kind, *(other.kind for other in context.others(one))}
    if kinds & {AXFR, IXFR}:
        return "transfer"
    if one.type == "UPDATE_RESPONSE":
        return "knot-update-response"
    answers = [one] if not one.is_query else context.others(one)
    if not answers:
        return "unanswered"
    if all(rcode_of(answer) in (FORMERR, NOTIMP, REFUSED, BADVERS) for answer in answers):
        return "error-response"
    return "native-lost"


def table() -> str:
    """The classes as a table in markdown."""
    rows = ["| class | what | right |", "|---|---|---|"]
    rows += [f"| {name} | {one.text} | {one.right} |" for name, one in CLASSES.items()]
    return "\n".join(rows)
