# SPDX-License-Identifier: BSD-2-Clause
"""A small HTTP client in a namespace, and a reader of the text exposition format."""

import re
import socket
import subprocess
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from netns import Namespace

PORT = 9617
SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')


@dataclass
class Answer:
    """What came back."""

    status: int
    head: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def connect(space: Namespace, address: str = "127.0.0.1", port: int = PORT) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = space.socket(family, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect((address, port))
    return client


def exchange(client: socket.socket, request: bytes) -> bytes:
    """Everything until the other end closes."""
    with client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def request(path: str = "/metrics", method: str = "GET", more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: tap\r\n{more}\r\n".encode()


def ask(space: Namespace, path: str = "/metrics", method: str = "GET", more: str = "",
        **where) -> Answer:
    head, body = exchange(connect(space, **where), request(path, method, more)).split(
        b"\r\n\r\n", 1)
    return Answer(int(head.split()[1]), head.decode(), body)


@dataclass
class Scrape:
    """One exposition. samples: (name, labels as sorted pairs) -> value."""

    text: str
    samples: Dict[Tuple[str, tuple], float] = field(default_factory=dict)
    types: Dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                assert name not in self.types, f"{name} is told twice"
                self.types[name] = kind
            elif not line.startswith("#"):
                name, labels, value = SAMPLE.match(line).groups()
                key = name, tuple(sorted(LABEL.findall(labels or "")))
                assert key not in self.samples, f"twice: {line}"
                self.samples[key] = float(value)

    def get(self, name: str, **labels: str) -> float:
        """The one sample whose labels are these, with the tap's prefix."""
        return self.samples["dnstap_bpf_" + name, tuple(sorted(labels.items()))]

    def sum(self, name: str, **labels: str) -> float:
        """Of all samples that have these labels among theirs."""
        return sum(value for (other, had), value in self.samples.items()
                   if other == "dnstap_bpf_" + name and set(labels.items()) <= set(had))

    @property
    def names(self) -> set:
        return {name for name, _ in self.samples}

    @property
    def counters(self) -> Dict[Tuple[str, tuple], float]:
        """All samples that may only grow."""
        return {key: value for key, value in self.samples.items()
                if self.types.get(key[0]) == "counter" or key[0].endswith(("_bucket", "_count"))}


def scrape(space: Namespace, **where) -> Scrape:
    answer = ask(space, **where)
    assert answer.status == 200, answer.text
    assert "Content-Type: text/plain; version=0.0.4; charset=utf-8" in answer.head
    return Scrape(answer.text)


def promtool(*words, text: Optional[str] = None) -> List[str]:
    """What it has to complain about."""
    done = subprocess.run(["promtool", *map(str, words)], input=text, capture_output=True,
                          text=True, timeout=60, check=False)
    if done.returncode == 0 and "SUCCESS" in done.stdout:
        return done.stderr.splitlines()
    return (done.stdout + done.stderr).splitlines() + ["failed"] * (done.returncode != 0)
