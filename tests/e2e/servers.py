# SPDX-License-Identifier: BSD-2-Clause
"""Knot, BIND and Unbound as child processes in a namespace, each with a configuration of its own.

All three answer for `example.` from the same list of names and reach no other server.
"""

import shutil
import time
from pathlib import Path
from typing import List

import dns.message
import dns.name

from daemons import Child
from netns import Namespace

NAMES = 300
READY_SECONDS = 60


def records() -> List[str]:
    """The zone's records, one a line, names in full."""
    lines = ["example. 3600 SOA ns.example. hostmaster.example. 1 3600 600 86400 60",
             "example. 3600 NS ns.example.", "ns.example. 3600 A 10.53.0.1"]
    for number in range(NAMES):
        name = f"n{number}.example. 300"
        lines += [f"{name} A 192.0.2.{number % 250 + 1}", f"{name} AAAA 2001:db8::{number + 1:x}",
                  f'{name} TXT "number {number}"']
    return lines


class Server:
    """A running server. Subclasses write the configuration and name the command."""

    name = ""
    binary = ""

    def __init__(self, space: Namespace, folder: Path, endpoints: List[tuple],
                 extra_records: List[str] = ()) -> None:
        self.space, self.folder, self.endpoints = space, folder, endpoints
        folder.mkdir()
        (folder / "example.zone").write_text("\n".join([*records(), *extra_records]) + "\n")
        config = folder / "config"
        config.write_text(self.config([*records(), *extra_records]))
        self.child = Child(self.command(config), folder / "log", space)
        try:
            self.await_ready()
        except BaseException:
            self.close()
            raise

    @classmethod
    def installed(cls) -> bool:
        return shutil.which(cls.binary, path="/usr/sbin:/usr/bin") is not None

    def await_ready(self) -> None:
        query = dns.message.make_query(dns.name.from_text("n0.example."), "A").to_wire()
        deadline = time.monotonic() + READY_SECONDS
        for endpoint in self.endpoints:
            self.child.await_answer(self.name, self.space, endpoint, query, deadline)

    def close(self) -> None:
        self.child.close()

    def config(self, zone: List[str]) -> str:
        raise NotImplementedError

    def command(self, config: Path) -> list:
        raise NotImplementedError


class Knot(Server):
    """Authoritative; RA is never set."""

    name, binary, role = "knot", "knotd", "AUTH"

    def config(self, zone: List[str]) -> str:
        listen = ", ".join(f"{address}@{port}" for address, port in self.endpoints)
        return f"""
server:
    rundir: "{self.folder}"
    listen: [ {listen} ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{self.folder}/db"
log:
  - target: stderr
    any: warning
zone:
  - domain: example.
    file: "{self.folder}/example.zone"
"""

    def command(self, config: Path) -> list:
        return ["/usr/sbin/knotd", "-c", config]


class Bind(Server):
    """Authoritative, recursion off."""

    name, binary, role = "bind", "named", "AUTH"

    def config(self, zone: List[str]) -> str:
        def listen(colon: bool) -> str:
            words = [(a, p) for a, p in self.endpoints if (":" in a) == colon]
            ports = sorted({port for _, port in words})
            option = "listen-on-v6" if colon else "listen-on"
            return "".join(
                f"{option} port {port} {{ {'; '.join(a for a, p in words if p == port)}; }};\n"
                for port in ports) or f"{option} {{ none; }};\n"

        return f"""
options {{
    directory "{self.folder}";
    managed-keys-directory "{self.folder}";
    pid-file none;
    session-keyfile none;
    recursion no;
    notify no;
    minimal-responses yes;
    dnssec-validation no;
    {listen(False)}{listen(True)}
}};
controls {{ }};
zone "example" {{ type primary; file "{self.folder}/example.zone"; }};
"""

    def command(self, config: Path) -> list:
        return ["/usr/sbin/named", "-g", "-n", "1", "-U", "1", "-c", config]


class Unbound(Server):
    """Answers recursive queries, RA set, from local data."""

    name, binary, role = "unbound", "unbound", "CLIENT"

    def config(self, zone: List[str]) -> str:
        interfaces = "".join(f"    interface: {a}@{p}\n" for a, p in self.endpoints)
        data = "".join(f"    local-data: '{line}'\n" for line in zone)
        return f"""server:
    chroot: ""
    username: ""
    pidfile: ""
    directory: "{self.folder}"
    use-syslog: no
    logfile: ""
    do-daemonize: no
    num-threads: 1
    module-config: "iterator"
    access-control: 0.0.0.0/0 allow
    access-control: ::0/0 allow
{interfaces}    local-zone: "example." static
{data}remote-control:
    control-enable: no
"""

    def command(self, config: Path) -> list:
        return ["/usr/sbin/unbound", "-d", "-c", config]


ALL = (Knot, Bind, Unbound)


def installed(kinds) -> list:
    """Of these, each with its number: virtual machines have only what their tests need."""
    return [(number, kind) for number, kind in enumerate(kinds, 1) if kind.installed()]
