# SPDX-License-Identifier: BSD-2-Clause
"""An oracle that is not ours: tshark must find the same messages in the same capture.

    python3 test_oracle.py [MESSAGES [SEED]]     compares a larger capture and prints the numbers

DNSTAP_BPF_ORACLE_MESSAGES asks the test for a larger one too.
"""

import ipaddress
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Iterator, List

import pytest

import cases
import cases_mixed
from cases_scene import PROTOCOL_TCP, PROTOCOL_UDP, Sent
from frames import read_messages
from packets import ETHERNET, pcap
from tap import check_balance, replay

MESSAGES = int(os.environ.get("DNSTAP_BPF_ORACLE_MESSAGES", "4000"))
MS = 10**6
WORDS = ("-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "dns", "-T", "ek", "-x", "-j", "dns")


def as_list(value) -> list:
    """What tshark writes for one thing, or for several."""
    return value if isinstance(value, list) else [value]


def sent_in(packet: dict) -> Iterator[Sent]:
    """The DNS messages that tshark found with one packet."""
    layers = packet["layers"]
    six = "ipv6_raw" in layers
    head = bytes.fromhex(as_list(layers["ipv6_raw" if six else "ip_raw"])[0])
    at, size = (8, 16) if six else (12, 4)
    addresses = [str(ipaddress.ip_address(head[n:n + size])) for n in (at, at + size)]
    stream = "tcp_raw" in layers
    ports = struct.unpack("!HH", bytes.fromhex(
        as_list(layers["tcp_raw" if stream else "udp_raw"])[0])[:4])
    for text in as_list(layers["dns_raw"]):
        wire = bytes.fromhex(text)
        if stream:  # with its length before it
            assert struct.unpack("!H", wire[:2])[0] == len(wire) - 2
            wire = wire[2:]
        yield Sent(PROTOCOL_TCP if stream else PROTOCOL_UDP, addresses[0], ports[0],
                   addresses[1], ports[1], wire, int(packet["timestamp"]) * MS)


def ask_tshark(capture: Path) -> List[Sent]:
    with subprocess.Popen(["tshark", "-n", "-r", capture, *WORDS], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        lines = [line for line in process.stdout if line.startswith(b'{"timestamp"')]
    assert process.returncode == 0
    return [sent for line in lines for sent in sent_in(json.loads(line))]


def seen(messages: List[Sent], milliseconds: bool) -> Counter:
    """What is compared: everything but, with tshark, what is below a millisecond."""
    return Counter(one._replace(time=one.time // MS if milliseconds else one.time)
                   for one in messages)


def check_same(ours: Counter, theirs: Counter, whose: str) -> None:
    """Says who has what the other has not."""
    said = [f"{sum(extra.values())} only {where}: " + ", ".join(
        f"{sent[:5]} {len(sent.wire)} B at {sent.time}" for sent in list(extra)[:3])
        for where, extra in (("ours", ours - theirs), (whose, theirs - ours)) if extra]
    assert not said, "; ".join(said)


def compare(folder: Path, seed: int, count: int) -> str:
    """The generator, the tap and tshark agree on every byte. Returns the numbers in words."""
    made = list(cases_mixed.mixed(seed, count))
    capture, out = folder / "mixed.pcap", folder / "out.fstrm"
    capture.write_bytes(pcap(ETHERNET, (packet for packet, _ in made), nanoseconds=True))
    sent = [message for _, messages in made for message in messages]
    began = time.monotonic()
    result = replay(folder, capture, f"file://{out}", "full")
    took = time.monotonic() - began
    check_balance(result)
    ours = [cases.as_sent(message) for message in read_messages(out)]
    check_same(seen(ours, False), seen(sent, False), "the generator's")
    began = time.monotonic()
    theirs = ask_tshark(capture)
    check_same(seen(ours, True), seen(theirs, True), "tshark's")
    return (f"{len(sent)} messages in {len(made)} packets, seed {seed}: tap {len(ours)} in "
            f"{took:.2f} s, tshark {len(theirs)} in {time.monotonic() - began:.1f} s, equal")


def main(count: str = "60000", seed: str = "1") -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(compare(Path(folder), int(seed), int(count)))


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("seed", (1, 2))
def test_tshark_finds_the_same(folder, seed):
    compare(folder, seed, MESSAGES)


if __name__ == "__main__":
    main(*sys.argv[1:])
