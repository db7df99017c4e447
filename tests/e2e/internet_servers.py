# SPDX-License-Identifier: BSD-2-Clause
"""The daemons of the small internet: configurations and child processes.

Each runs in the foreground with a folder of its own, on the addresses of its host, and where the
server has dnstap of its own that is on, in its default size, towards a collector's socket.
"""

import time
from pathlib import Path
from typing import List, Optional

import dns.message

from daemons import Child
from internet_zones import ODD, address, file_name
from netns import Namespace

READY_SECONDS = 60


class Daemon:
    """What all servers share. number: the last part of its addresses."""

    name, answers_for = "", "."

    def __init__(self, space: Namespace, folder: Path, zones: Path, number: int) -> None:
        self.space, self.folder, self.zones, self.number = space, folder, zones, number
        self.v4, self.v6 = address(number, 4), address(number, 6)
        self.socket = folder / "dnstap.sock"
        self.child: Optional[Child] = None

    def start(self) -> None:
        config = self.folder / "config"
        config.write_text(self.config())
        self.child = Child(self.command(config), self.folder / "log", self.space)

    def wait_ready(self) -> None:
        query = dns.message.make_query(self.answers_for, "SOA").to_wire()
        deadline = time.monotonic() + READY_SECONDS
        self.child.await_answer(self.name, self.space, (self.v4, 53), query, deadline)

    def close(self) -> None:
        if self.child:
            self.child.close()

    def config(self) -> str:
        raise NotImplementedError

    def command(self, config: Path) -> list:
        raise NotImplementedError

    def write_hints(self) -> Path:
        """Where the root is."""
        hints = self.folder / "hints"
        hints.write_text(f". 3600 NS ns.\nns. 3600 A {address(1, 4)}\n"
                         f"ns. 3600 AAAA {address(1, 6)}\n")
        return hints

    def take_zone(self, zone: str) -> Path:
        """A copy of its own, for dynamic zones are written to."""
        copy = self.folder / file_name(zone)
        copy.write_text((self.zones / file_name(zone)).read_text())
        return copy


class Knot(Daemon):
    """Authoritative. knot.test is dynamic, and BIND has a copy of it; it has one of BIND's."""

    name = "knot"

    def __init__(self, *words, zones: List[str], other: int = 0) -> None:
        super().__init__(*words)
        self.served, self.other, self.answers_for = zones, other, zones[0]

    def config(self) -> str:
        text = f"""
server:
    rundir: "{self.folder}"
    listen: [ {self.v4}@53, {self.v6}@53 ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 4096
    version: "knot"
    identity: "{self.name}{self.number}"
database:
    storage: "{self.folder}/db"
log:
  - target: stderr
    any: warning
mod-dnstap:
  - id: native
    sink: "unix:{self.socket}"
template:
  - id: default
    global-module: mod-dnstap/native
remote:
  - id: other
    address: {address(self.other or 250, 4)}
acl:
  - id: anyone
    action: [ transfer, update, notify ]
zone:
"""
        for zone in self.served:
            text += f"""  - domain: {zone}
    file: "{self.take_zone(zone)}"
    acl: anyone
"""
            text += "    notify: other\n" if self.other else ""
        if self.other:
            text += f'  - domain: dyn.bind.test.\n    master: other\n    acl: anyone\n' \
                    f'    file: "{self.folder}/copy.zone"\n'
        return text

    def command(self, config: Path) -> list:
        return ["/usr/sbin/knotd", "-c", config]


class Bind(Daemon):
    """Authoritative, recursion off."""

    name, answers_for = "bind", "bind.test."

    def options(self) -> str:
        return f"""
    directory "{self.folder}";
    managed-keys-directory "{self.folder}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {self.v4}; }};
    listen-on-v6 {{ {self.v6}; }};
    query-source address {self.v4};
    query-source-v6 address {self.v6};
    dnstap {{ all; }};
    dnstap-output unix "{self.socket}";
"""

    def config(self) -> str:
        text = f"""
options {{ {self.options()}
    recursion no;
    max-udp-size 4096;
    notify explicit;
    allow-transfer {{ any; }};
    version "bind";
    server-id "bind";
}};
controls {{ }};
zone "knot.test" {{ type secondary; primaries {{ {address(10, 4)}; }}; file "copy.zone"; }};
"""
        for zone in ("bind.test.", "bogus.test.", "dyn.bind.test."):
            dynamic = f"allow-update {{ any; }}; also-notify {{ {address(10, 4)}; }};" \
                if zone.startswith("dyn.") else ""
            text += f'zone "{zone}" {{ type primary; file "{self.take_zone(zone)}"; {dynamic} }};\n'
        return text

    def command(self, config: Path) -> list:
        return ["/usr/sbin/named", "-g", "-n", "1", "-U", "1", "-c", config]


class BindResolver(Bind):
    """A validating resolver."""

    name, answers_for = "bindres", "knot.test."

    def __init__(self, *words, anchor: str) -> None:
        super().__init__(*words)
        self.anchor = anchor

    def config(self) -> str:
        tag, algorithm, digest, value = self.anchor.split()[3:]
        hints = self.write_hints()
        return f"""
options {{ {self.options()}
    recursion yes;
    allow-query {{ any; }};
    allow-recursion {{ 10.77.0.0/17; fd77::/16; }};
    dnssec-validation yes;
    resolver-query-timeout 10000;
    empty-zones-enable no;
}};
controls {{ }};
trust-anchors {{ . static-ds {tag} {algorithm} {digest} "{value}"; }};
zone "." {{ type hint; file "{hints}"; }};
"""


class Nsd(Daemon):
    """Authoritative for the TLD and a zone below it."""

    name, answers_for = "nsd", "nsd.test."

    def config(self) -> str:
        zones = "".join(f'zone:\n    name: "{zone}"\n    zonefile: "{self.take_zone(zone)}"\n'
                        '    provide-xfr: 0.0.0.0/0 NOKEY\n    provide-xfr: ::/0 NOKEY\n'
                        for zone in ("test.", "nsd.test."))
        return f"""server:
    ip-address: {self.v4}
    ip-address: {self.v6}
    username: ""
    chroot: ""
    server-count: 1
    pidfile: "{self.folder}/pid"
    database: ""
    zonelistfile: "{self.folder}/zone.list"
    xfrdfile: "{self.folder}/xfrd.state"
    xfrdir: "{self.folder}"
    zonesdir: "{self.folder}"
    rrl-ratelimit: 0
    version: "nsd"
remote-control:
    control-enable: no
dnstap:
    dnstap-enable: yes
    dnstap-socket-path: "{self.socket}"
    dnstap-log-auth-query-messages: yes
    dnstap-log-auth-response-messages: yes
{zones}"""

    def command(self, config: Path) -> list:
        return ["/usr/sbin/nsd", "-d", "-c", config]


class Unbound(Daemon):
    """A validating resolver, or with `upstream` a forwarder."""

    name, answers_for = "unbound", "knot.test."

    def __init__(self, *words, anchor: str, upstream: int = 0) -> None:
        super().__init__(*words)
        self.anchor, self.upstream = anchor, upstream

    def way(self) -> str:
        if self.upstream:
            return f"""forward-zone:
    name: "."
    forward-addr: {address(self.upstream, 4)}
    forward-addr: {address(self.upstream, 6)}
"""
        self.write_hints()
        return ""

    def config(self) -> str:
        anchor = self.folder / "anchor"
        anchor.write_text(self.anchor + "\n")
        way = self.way()
        hints = "" if self.upstream else f'    root-hints: "{self.folder}/hints"\n'
        return f"""server:
    chroot: ""
    username: ""
    pidfile: ""
    directory: "{self.folder}"
    use-syslog: no
    logfile: ""
    do-daemonize: no
    num-threads: 1
    interface: {self.v4}
    interface: {self.v6}
    outgoing-interface: {self.v4}
    outgoing-interface: {self.v6}
    access-control: 10.77.0.0/17 allow
    access-control: fd77::/16 allow
    access-control: 10.77.128.0/17 refuse
    use-caps-for-id: {"no" if self.upstream else "yes"}
    qname-minimisation: yes
    identity: "unbound"
    trust-anchor-file: "{anchor}"
    local-zone: "test." nodefault
    local-zone: "local.test." static
    local-data: "here.local.test. A 192.0.2.1"
{hints}remote-control:
    control-enable: no
dnstap:
    dnstap-enable: yes
    dnstap-socket-path: "{self.socket}"
    dnstap-log-resolver-query-messages: yes
    dnstap-log-resolver-response-messages: yes
    dnstap-log-client-query-messages: yes
    dnstap-log-client-response-messages: yes
    dnstap-log-forwarder-query-messages: yes
    dnstap-log-forwarder-response-messages: yes
{way}"""

    def command(self, config: Path) -> list:
        return ["/usr/sbin/unbound", "-d", "-c", config]


class Dnsdist(Daemon):
    """A forwarder with a cache, and rules by which it answers or drops by itself."""

    name, answers_for = "dnsdist", "knot.test."

    def __init__(self, *words, upstream: List[str]) -> None:
        super().__init__(*words)
        self.upstream = upstream

    def config(self) -> str:
        upstream = "".join(
            f'newServer({{address="{f"[{one}]" if ":" in one else one}:53", checkInterval=5}})\n'
            for one in self.upstream)
        return f"""
setLocal("{self.v4}:53")
addLocal("[{self.v6}]:53")
setACL({{"0.0.0.0/0", "::/0"}})
setSecurityPollSuffix("")
{upstream}native = newFrameStreamUnixLogger("{self.socket}")
addAction(AllRule(), DnstapLogAction("dnsdist", native))
addResponseAction(AllRule(), DnstapLogResponseAction("dnsdist", native))
addCacheHitResponseAction(AllRule(), DnstapLogResponseAction("dnsdist", native))
addSelfAnsweredResponseAction(AllRule(), DnstapLogResponseAction("dnsdist", native))
addAction("spoofed.test.", SpoofAction("192.0.2.55"))
addAction("refused.test.", RCodeAction(DNSRCode.REFUSED))
addAction("dropped.test.", DropAction())
getPool(""):setCache(newPacketCache(10000))
"""

    def command(self, config: Path) -> list:
        return ["/usr/bin/dnsdist", "--supervised", "--disable-syslog", "-C", config]


class OddServers(Daemon):
    """odd_server.py at every address of its host; it has no dnstap, and no readiness to await."""

    name = "odd"

    def start(self) -> None:
        words = [word for name, number in ODD.items() for family in (4, 6)
                 for word in (name, address(number, family))]
        program = Path(__file__).with_name("odd_server.py")
        self.child = Child(["/usr/bin/python3", program, *words], self.folder / "log", self.space)

    def wait_ready(self) -> None:
        pass
