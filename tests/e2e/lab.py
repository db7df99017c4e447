# SPDX-License-Identifier: BSD-2-Clause
"""The network that most tests share: a namespace with three servers, joined to one with clients.

    server namespace: srv0, 10.53.0.1 Knot, .2 BIND, .3 Unbound, fd00:53::1 to ::3 likewise;
                      Knot also on lo and on port 5353
    client namespace: cli0, 10.53.0.100, fd00:53::100
"""

import contextlib
from pathlib import Path
from typing import Dict, Iterable, List

import netns
import servers
from clients import Exchange
from frames import Message

CLIENT = {4: "10.53.0.100", 6: "fd00:53::100"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
OTHER_PORT = 5353
SERVER_DEVICE, CLIENT_DEVICE = "srv0", "cli0"
FAMILY_NUMBER = {4: 1, 6: 2}
UDP, TCP = 1, 2  # dnstap's SocketProtocol
CLOCK_SLACK = 5_000_000  # ns: what two samplings of the host's clock may differ by


def server_address(number: int, family: int) -> str:
    return f"10.53.0.{number}" if family == 4 else f"fd00:53::{number}"


class Lab:
    """Two namespaces and the servers, all gone with close()."""

    def __init__(self, folder: Path) -> None:
        self.stack = contextlib.ExitStack()
        self.addresses: Dict[str, Dict[int, str]] = {}
        self.roles: Dict[str, str] = {}
        folder.mkdir()
        try:
            self.server = self.stack.enter_context(netns.Namespace())
            self.client = self.stack.enter_context(netns.Namespace())
            self.join()
            for number, kind in servers.installed(servers.ALL):
                self.start(number, kind, folder / kind.name)
        except BaseException:
            self.close()
            raise

    def join(self) -> None:
        netns.join(self.server, SERVER_DEVICE, self.client, CLIENT_DEVICE)
        numbers = range(1, len(servers.ALL) + 1)
        self.server.add_addresses(SERVER_DEVICE,
                                  *(f"{server_address(n, 4)}/24" for n in numbers),
                                  *(f"{server_address(n, 6)}/64" for n in numbers))
        self.client.add_addresses(CLIENT_DEVICE, CLIENT[4] + "/24", CLIENT[6] + "/64")

    def start(self, number: int, kind: type, folder: Path) -> None:
        self.addresses[kind.name] = {f: server_address(number, f) for f in (4, 6)}
        self.roles[kind.name] = kind.role
        endpoints = [(address, 53) for address in self.addresses[kind.name].values()]
        if kind is servers.Knot:
            endpoints += [(address, 53) for address in LOOPBACK.values()]
            endpoints += [(self.addresses["knot"][4], OTHER_PORT)]
        server = kind(self.server, folder, endpoints,
                      [f"collector.example. 300 A {CLIENT[4]}"])
        self.stack.callback(server.close)

    def close(self) -> None:
        self.stack.close()


def by_key(messages: Iterable[Message]) -> Dict[tuple, Message]:
    """The messages by client port, id and direction; one that comes twice fails."""
    found: Dict[tuple, Message] = {}
    for message in messages:
        assert message.wire is not None, f"no wire bytes: {message}"
        assert message.key not in found, f"twice: {message}"
        found[message.key] = message
    return found


def check_exchanges(messages: Iterable[Message], exchanges: List[Exchange], role: str,
                    client: str, server: str, port: int = 53, protocol: int = UDP) -> None:
    """Every query and response of the client exactly once, with all fields right."""
    found = by_key(messages)
    expected = {(exchange.port, exchange.id, direction) for exchange in exchanges
                for direction in ("query", "response")}
    missing, unexpected = expected - set(found), set(found) - expected
    assert set(found) == expected, (
        f"missing {len(missing)}: {sorted(missing)[:5]}, unexpected {sorted(unexpected)[:5]}")
    for exchange in exchanges:
        asked = found[exchange.port, exchange.id, "query"]
        answered = found[exchange.port, exchange.id, "response"]
        for message in (asked, answered):
            check_flow(message, client, server, port, protocol)
        assert (asked.type, answered.type) == (role + "_QUERY", role + "_RESPONSE")
        assert asked.query == exchange.sent
        assert [answered.response] == exchange.received
        check_times(asked, answered, exchange)


def check_flow(message: Message, client: str, server: str, port: int,
               protocol: int = UDP) -> None:
    assert (message.query_address, message.response_address) == (client, server)
    assert message.response_port == port
    assert message.family == FAMILY_NUMBER[6 if ":" in client else 4]
    assert message.protocol == protocol


def check_times(asked: Message, answered: Message, exchange: Exchange) -> None:
    assert asked.response_time is None
    assert answered.query_time == asked.query_time, "a response carries its query's own time"
    assert (exchange.before - CLOCK_SLACK <= asked.query_time <= answered.response_time
            <= exchange.after + CLOCK_SLACK), f"{exchange.before} {asked} {answered}"
