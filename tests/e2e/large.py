# SPDX-License-Identifier: BSD-2-Clause
"""A second network, for large answers: Knot and BIND with a zone of thousands of records, which
both let anyone transfer, and with answers of 3 KB and 60 KB, joined to a client by a link of MTU
1280.

    server namespace: srv1, 10.54.0.1 Knot, .2 BIND (zone transfers of many records a message),
                      .3 BIND (of one record a message), fd00:54::1 to ::3 likewise; Knot also on lo
    client namespace: cli1, 10.54.0.100, fd00:54::100
"""

import contextlib
import struct
from pathlib import Path
from typing import Dict, List

import netns
import servers
from clients import question

CLIENT = {4: "10.54.0.100", 6: "fd00:54::100"}
SERVER_DEVICE, CLIENT_DEVICE = "srv1", "cli1"
MTU = 1280
ZONE_RECORDS = 4000  # above the common ones
MEDIUM, LARGE = "medium.example", "large.example"  # TXT, about 3 KB and 60 KB
UDP_MOST = 4096
PADDING = 12  # an EDNS option


def padded_query(number: int, name: str, qtype: int, padding: int) -> bytes:
    """A query that takes answers of 4096 bytes over UDP and has this much padding."""
    head = struct.pack("!HHHHHH", number, 0, 1, 0, 0, 1)
    option = struct.pack("!HH", PADDING, padding) + b"\0" * padding if padding else b""
    edns = b"\0" + struct.pack("!HHIH", 41, UDP_MOST, 0, len(option))
    return head + question(name, qtype) + edns + option


def address(number: int, family: int) -> str:
    return f"10.54.0.{number}" if family == 4 else f"fd00:54::{number}"


def zone() -> List[str]:
    lines = [f"z{number}.example. 300 A 192.0.2.{number % 250 + 1}"
             for number in range(ZONE_RECORDS)]
    for name, count in ((MEDIUM, 3), (LARGE, 60)):  # BIND takes at most 100 of one type
        lines += [f'{name}. 300 TXT "{number:0>3}{"x" * 247}"' + f' "{"y" * 250}"' * 3
                  for number in range(count)]
    return lines


class LargeKnot(servers.Knot):
    def config(self, zone: List[str]) -> str:
        text = super().config(zone)
        text = text.replace("zone:\n", "acl:\n  - id: anyone\n    action: transfer\nzone:\n")
        text = text.replace("server:\n", f"server:\n    udp-max-payload: {UDP_MOST}\n")
        return text + "    acl: anyone\n"


class LargeBind(servers.Bind):
    transfer_format = "many-answers"

    def config(self, zone: List[str]) -> str:
        return super().config(zone).replace("options {", f"""options {{
    allow-transfer {{ any; }};
    transfer-format {self.transfer_format};
    max-udp-size {UDP_MOST};
    tcp-idle-timeout 100;""")


class OneAnswerBind(LargeBind):
    name, transfer_format = "bind-one-answer", "one-answer"


ALL = (LargeKnot, LargeBind, OneAnswerBind)


class LargeLab:
    """Two namespaces and the servers, all gone with close()."""

    def __init__(self, folder: Path) -> None:
        self.stack = contextlib.ExitStack()
        self.addresses: Dict[str, Dict[int, str]] = {}
        folder.mkdir()
        try:
            self.server = self.stack.enter_context(netns.Namespace())
            self.client = self.stack.enter_context(netns.Namespace())
            self.join()
            self.allow_fast_open()
            for number, kind in servers.installed(ALL):
                self.start(number, kind, folder / kind.name)
        except BaseException:
            self.close()
            raise

    def join(self) -> None:
        netns.join(self.server, SERVER_DEVICE, self.client, CLIENT_DEVICE)
        numbers = range(1, len(ALL) + 1)
        for space, device in ((self.server, SERVER_DEVICE), (self.client, CLIENT_DEVICE)):
            space.ip("link", "set", device, "mtu", str(MTU))
        self.server.add_addresses(SERVER_DEVICE, *(f"{address(n, 4)}/24" for n in numbers),
                                  *(f"{address(n, 6)}/64" for n in numbers))
        self.client.add_addresses(CLIENT_DEVICE, CLIENT[4] + "/24", CLIENT[6] + "/64")

    def allow_fast_open(self) -> None:
        """Data in a SYN, without a cookie, in both namespaces; sockets made later have it."""
        for space in (self.server, self.client):
            space.sysctl("net.ipv4.tcp_fastopen", 0x1 | 0x2 | 0x4 | 0x200 | 0x400)

    def start(self, number: int, kind: type, folder: Path) -> None:
        self.addresses[kind.name] = {f: address(number, f) for f in (4, 6)}
        endpoints = [(one, 53) for one in self.addresses[kind.name].values()]
        if kind is LargeKnot:
            endpoints += [("127.0.0.1", 53), ("::1", 53)]
        self.stack.callback(kind(self.server, folder, endpoints, zone()).close)

    def close(self) -> None:
        self.stack.close()
