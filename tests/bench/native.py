# SPDX-License-Identifier: BSD-2-Clause
"""The three servers with a dnstap of their own, beside the plain ones of the end-to-end tests:
queries and responses, all their sizes as they come, over a Unix socket."""

from pathlib import Path

import servers


def socket_path(folder: Path) -> Path:
    """Where a native server that lives in this folder looks for its collector."""
    return folder.with_name(folder.name + ".sock")


class NativeKnot(servers.Knot):
    def config(self, zone: list[str]) -> str:
        module = (f'mod-dnstap:\n  - id: native\n    sink: "unix:{socket_path(self.folder)}"\n'
                  "template:\n  - id: default\n    global-module: mod-dnstap/native\n")
        return super().config(zone).replace("\nzone:\n", f"\n{module}zone:\n")


class NativeBind(servers.Bind):
    def config(self, zone: list[str]) -> str:
        return super().config(zone).replace("options {", f"""options {{
    dnstap {{ all; }};
    dnstap-output unix "{socket_path(self.folder)}";""")


class NativeUnbound(servers.Unbound):
    def config(self, zone: list[str]) -> str:
        return super().config(zone) + f"""dnstap:
    dnstap-enable: yes
    dnstap-socket-path: "{socket_path(self.folder)}"
    dnstap-log-client-query-messages: yes
    dnstap-log-client-response-messages: yes
"""


PAIRS = {"knot": (servers.Knot, NativeKnot), "bind": (servers.Bind, NativeBind),
         "unbound": (servers.Unbound, NativeUnbound)}
