#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Measures the tap's peak memory under floods; no part of `make check`.

    tests/e2e/flood.py [--live] [--streams N] [--fragments N] [kind ...]

Each kind is written as a capture file and replayed with several values of the bounds; with
--live it is also put on a veth link in namespaces of its own, under a tap on each ring (as root).
Prints one line a run: what was sent, the options, the peak resident memory (VmHWM) and, of the
ledger, what says that the flood did what it should.

kinds: syn         half-open connections: a SYN and nothing else
       data        half-open connections: a SYN, and a segment with the beginning of a message
       middle      no SYN: segments that look like the beginning of a message
       large       half-open connections with 1,400 bytes of a message that never ends
       fragment    first fragments of UDP datagrams to port 53, 32 bytes each
       fragment-large  the same with 1,400 bytes each (a tenth as many)
"""

import argparse
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True

import netns  # noqa: E402
from packets import MAC_A  # noqa: E402
from tap import Tap, binary, check_balance  # noqa: E402

SERVER = bytes((10, 61, 0, 1))
SYN, ACK = 0x02, 0x10
TCP, UDP = 6, 17
MORE_FRAGMENTS = 0x2000
STREAM_BOUNDS = ((), ("--max-streams", 1024, "--stream-memory", "1M"),
                 ("--max-streams", 65536, "--stream-memory", "16M"),
                 ("--max-streams", 1048576, "--stream-memory", "256M"))
MESSAGE = struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\5start\7example\0\0\1\0\1"


def source(number):
    """A client's address and port, different for each number."""
    return (0x0a000000 | 0x800000 | number // 16000).to_bytes(4, "big"), 20000 + number % 16000


def ipv4(number, protocol, body, identifier=0, flags=0):
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), identifier, flags, 64, protocol,
                       0, source(number)[0], SERVER) + body


def segment(number, seq, ack, flags, payload=b""):
    return ipv4(number, TCP, struct.pack("!HHIIBBHHH", source(number)[1], 53, seq, ack, 0x50,
                                         flags, 65535, 0, 0) + payload)


def start_of_message(length):
    """A whole question, and a length that promises more than follows."""
    return struct.pack("!H", 65000) + (MESSAGE + b"\0" * length)[:length]


def streams(count, with_syn, payload):
    for number in range(count):
        if with_syn:
            yield segment(number, 1000, 0, SYN)
        if payload:
            yield segment(number, 1001, 5000, ACK, payload)


def fragments(count, length):
    payload = (MESSAGE + b"\0" * length)[:length - 8]
    for number in range(count):
        body = struct.pack("!HHHH", source(number)[1], 53, 4000, 0) + payload
        yield ipv4(number, UDP, body, number & 0xffff, MORE_FRAGMENTS)


def packets(kind, options):
    return {
        "syn": lambda: streams(options.streams, True, b""),
        "data": lambda: streams(options.streams, True, start_of_message(40)),
        "middle": lambda: streams(options.streams, False, start_of_message(40)),
        "large": lambda: streams(options.streams, True, start_of_message(1400)),
        "fragment": lambda: fragments(options.fragments, 32),
        "fragment-large": lambda: fragments(options.fragments // 10, 1400),
    }[kind]()


KINDS = ("syn", "data", "middle", "large", "fragment", "fragment-large")


def write_packets(path, made):
    """Raw IP packets, 5 us apart: 200,000 a second."""
    count = 0
    with open(path, "wb", buffering=1 << 20) as to:
        to.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for count, packet in enumerate(made, 1):
            seconds, micros = divmod(count * 5, 1000000)
            to.write(struct.pack("<IIII", 1700000000 + seconds, micros, len(packet), len(packet)))
            to.write(packet)
    return count


def peak(tap):
    """VmHWM in KiB; 0 when the process has ended."""
    text = Path(f"/proc/{tap.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", text)
    return int(found.group(1)) if found else 0


def replay(folder, capture, words):
    """Peak memory in KiB and the result. The peak is read until the end: what wait4(2) says of it
    includes this program, as it was when it forked."""
    kib = 0
    with Tap(folder, "-r", capture, *words, f"file://{folder}/x.fstrm", "full") as tap:
        while tap.process.poll() is None:
            kib = max(kib, peak(tap))
            time.sleep(0.002)
        return kib, tap.wait()


def live(folder, kind, options, ring):
    """The same on a link, as fast as one sender can; a tap that stands in the way of nobody."""
    with netns.Namespace() as here, netns.Namespace() as there:
        netns.join(here, "srv0", there, "cli0")
        here.add_addresses("srv0", "10.61.0.1/8")
        text = here.ip("-o", "link", "show", "dev", "srv0")
        target = bytes.fromhex(re.search(r"link/ether (\S+)", text).group(1).replace(":", ""))
        head = target + MAC_A + b"\x08\x00"
        with Tap(folder, "-i", "srv0", "--ring", ring, f"file://{folder}/x.fstrm", "full",
                 space=here) as tap, there.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            tap.wait_watching()
            wire.bind(("cli0", 0))
            began, count = time.monotonic(), 0
            for count, packet in enumerate(packets(kind, options), 1):
                wire.send(head + packet)
            seconds = time.monotonic() - began
            kib, result = peak(tap), tap.stop()
    return kib, result, count, seconds


def report(what, kib, result):
    check_balance(result)
    names = {**result.ledger, **result.fragments, **result.streams}
    told = ("ring_full", "segments", "evicted", "evicted_memory", "fragments", "fragments_evicted",
            "frames")
    notes = ", ".join(f"{name} {names[name]}" for name in told if names[name])
    print(f"{what:<66} peak {kib / 1024:7.1f} MiB   status {result.status}; {notes}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="kind", help="all where none is named")
    parser.add_argument("--streams", type=int, default=200000)
    parser.add_argument("--fragments", type=int, default=1000000)
    parser.add_argument("--live", action="store_true")
    options = parser.parse_args()
    unknown = set(options.kinds) - set(KINDS)
    if unknown:
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    subprocess.run([binary(), "-V"], check=True)
    for kind in options.kinds or KINDS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            count = write_packets(folder / "flood.pcap", packets(kind, options))
            for words in ((),) if kind.startswith("fragment") else STREAM_BOUNDS:
                kib, result = replay(folder, folder / "flood.pcap", words)
                text = " ".join(str(word) for word in words) or "defaults"
                report(f"{kind}: {count} packets, {text}", kib, result)
            for ring in ("array", "bpf", "perf") if options.live else ():
                kib, result, sent, seconds = live(folder, kind, options, ring)
                report(f"{kind}: live, {ring} ring, {sent / seconds:.0f} packets/s", kib, result)


if __name__ == "__main__":
    main()
