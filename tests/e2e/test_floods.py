# SPDX-License-Identifier: BSD-2-Clause
"""Whatever is sent to port 53: the server goes on answering, the tap stays small, and what ordinary
clients said is emitted or counted.

Each flood comes three times, the same packets each time: without a tap, and twice under one with
tables so small that the first fills them. Each prints a line: the flood's rate, the tap's memory
after each time, what ordinary clients were answered without and with the tap, and each reason
that the tap gives for what it did not report. `make check-full` sends eight times as much.
"""

import os
import resource
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict

import pytest

import flood_packets
from clients import RD, UdpClient, query
from flood import write_packets
from flood_lab import SERVER_DEVICE, Flooded, Link, Packets, flood, losses, missing
from flood_packets import CLIENT, SERVER
from frames import read_file, read_messages
from lab import CLOCK_SLACK, check_flow
from tap import REPOSITORY, RINGS, replay, stop_balanced
from tcp_clients import framed

pytestmark = [pytest.mark.needs("root", "namespaces", "bpf"), pytest.mark.seconds(180)]
TIMES = 8 if os.environ.get("DNSTAP_BPF_FULL") else 1
SMALL = ("--ring-size", "2M", "--queue-size", "2M", "--max-streams", 1024, "--stream-memory", "2M",
         "--max-queries", 8192, "--query-zone")
CEILING = (28 + 4 * os.cpu_count()) << 10  # KiB: with SMALL; a ring of each CPU is mapped twice
GROWTH = 2 << 10       # KiB that the second time may add
DEFAULT_CEILING = (64 + 16 * os.cpu_count()) << 10
HOUR = 3600 * 10**9
QUIET_PORT = 5354  # on the other one the server still answers SYNs of floods before


@pytest.fixture(scope="module")
def link(session_folder):
    made = Link(session_folder / "floods")
    yield made
    made.close()


@pytest.fixture
def tell(capsys):
    """Prints a line whether or not pytest keeps what tests print."""
    def say(line: str) -> None:
        with capsys.disabled():
            print("\n" + line, end=" ", flush=True)

    return say


@dataclass
class Kind:
    """count and rate of the packets of flood_packets.py's `name`; seen: what the tap must say."""

    name: str
    count: int
    rate: int
    seen: Callable[[Dict[str, int], Flooded], bool]


def fragments_seen(count: Dict[str, int], done: Flooded) -> bool:
    return count["fragments"] + count["fragments_refused"] >= done.sent


KINDS = (
    Kind("random_subdomains", 10000, 20000, lambda count, done: count["queries"] >= done.sent),
    Kind("one_key", 10000, 20000, lambda count, done: count["queries"] >= done.sent),
    Kind("all_ids", 65536, 40000, lambda count, done: count["queries"] >= done.sent),
    Kind("half_open", 20000, 30000, lambda count, done: count["segments"] >= done.sent),
    Kind("byte_by_byte", 24000, 50000, lambda count, done: count["segments"] >= done.sent
         and count["stream_messages"] == 0),
    Kind("overlaps", 18000, 40000, lambda count, done: fragments_seen(count, done)
         and count["fragments_overlap"] > 0 and count["reassembled"] == 0),
    Kind("first_fragments", 12000, 25000, lambda count, done: fragments_seen(count, done)
         and count["fragments_evicted"] > 0 and count["reassembled"] == 0),
    Kind("fragmented_garbage", 18000, 30000, lambda count, done: fragments_seen(count, done)
         and (losses(done.result) or count["reassembled"] >= done.sent // 45 * 0.9)),
    Kind("compression_loops", 16000, 25000, lambda count, done: count["dns_malformed"] > 0
         and count["messages"] + count["dns_malformed"] >= done.sent),
    Kind("stray_responses", 20000, 30000,
         lambda count, done: count["responses_unmatched"] >= done.sent),
    Kind("colliding_keys", 12000, 20000, lambda count, done: count["queries"] >= done.sent),
)


def check(done: Flooded, ceiling: int = CEILING, growth: int = GROWTH) -> None:
    """What holds in every flood."""
    lost = losses(done.result)
    absent = missing(done.path, done.waves)
    assert absent <= lost, f"{absent} messages are nowhere, {lost} counted as lost"
    assert done.served, f"{done.rate} answers/s of {done.bare.rate}, {done.answered_share}"
    assert max(done.kib) < ceiling, f"{done.kib} KiB"
    assert done.kib[1] < done.kib[0] + growth, f"it grew: {done.kib} KiB"


def counts(done: Flooded) -> Dict[str, int]:
    return {**done.result.fragments, **done.result.streams, **done.result.ledger}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_packets(link, folder, tell, kind):
    packets = Packets(link, getattr(flood_packets, kind.name)(kind.count * TIMES))
    done = flood(link, folder, SMALL, lambda: packets.send(kind.rate))
    tell(done.row(kind.name))
    check(done)
    assert kind.seen(counts(done), done), str(counts(done))


def connections(link: Link, count: int) -> list:
    """From within the namespace, to the server; connecting, all at once."""
    def make() -> list:
        made = []
        for _ in range(count):
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            made[-1].setblocking(False)
            made[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made[-1].connect_ex((SERVER, 53))
        return made

    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    return link.client.inside(make)


def send_slowly(link: Link, count: int, seconds: int) -> int:
    """A byte a second on each connection, whether or not the server still listens there."""
    made, sent = connections(link, count), count
    stream = framed(query(1, "n1.example"))
    for at in range(seconds):
        time.sleep(1)
        for one in made:
            try:
                sent += one.send(stream[at:at + 1])
            except OSError:
                pass  # the server has closed it
    return sent


def send_noise(link: Link, count: int, times: int) -> int:
    """64 KiB of noise as one message on each connection."""
    sent, noise = 0, os.urandom(65535)
    for _ in range(times):
        for one in connections(link, count):
            with one:
                one.settimeout(2)
                try:
                    one.sendall(framed(noise))
                    sent += 1
                except OSError:
                    pass  # the server has closed it: it is not bound to read that
    return sent


def test_slow_connections(link, folder, tell):
    done = flood(link, folder, SMALL, lambda: send_slowly(link, 500 * min(TIMES, 4), 2))
    tell(done.row("slow connections"))
    check(done)
    assert counts(done)["segments"] >= done.sent


def test_noise_over_tcp(link, folder, tell):
    done = flood(link, folder, SMALL, lambda: send_noise(link, 30, TIMES))
    tell(done.row("64 KiB of noise, TCP"))
    check(done)
    assert sum(one.sent for one in done.waves) > 0
    found = counts(done)
    assert found["stream_messages"] + found["bytes_retransmitted"] + sum(
        value for name, value in found.items() if name.startswith("skipped_")) > 0


def test_default_sizes(link, folder, tell):
    """With tables of the usual size, and three floods at once."""
    packets = Packets(link, (packet for three in zip(
        flood_packets.half_open(20000 * TIMES), flood_packets.stray_responses(20000 * TIMES),
        flood_packets.first_fragments(20000 * TIMES)) for packet in three))
    done = flood(link, folder, (), lambda: packets.send(60000))
    tell(done.row("three, default sizes"))
    check(done, DEFAULT_CEILING, growth=DEFAULT_CEILING)  # the second one fills them further


@pytest.mark.parametrize("ring", RINGS)
def test_ring_too_small(link, tap, folder, tell, ring):
    """Half of it while the tap does not get the CPU: what does not fit is counted to the packet."""
    packets = Packets(link, flood_packets.stray_responses(15000 * TIMES, QUIET_PORT))
    running = tap("-i", SERVER_DEVICE, "--port", QUIET_PORT, "--ring", ring, "--ring-size", "256K",
                  f"file://{folder}/x.fstrm?queue=64M", "full", space=link.server).wait_watching()
    before, began = link.dropped(), time.monotonic()
    running.process.send_signal(signal.SIGSTOP)
    sent = packets.send(0)
    running.process.send_signal(signal.SIGCONT)
    sent += packets.send(0)
    taken, sent = time.monotonic() - began, sent - (link.dropped() - before)
    result = stop_balanced(running)
    count = result.ledger
    tell(f"ring of 256 KiB, {ring:<5} {sent / taken:7.0f}/s  matched {count['matched']}, recorded "
         f"{count['recorded']}, ring_full {count['ring_full']}")
    assert count["matched"] == sent == count["recorded"] + count["ring_full"]
    assert count["ring_full"] > 0 and count["recorded"] > 100
    assert len(read_file(folder / "x.fstrm")) == count["frames"] == count["recorded"]


def cpu_seconds(folder: Path, capture: Path) -> float:
    """Of a replay; the least of three, as others want the CPU too."""
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    found = []
    for _ in range(3):
        before = spent()
        result = replay(folder, capture, "--max-queries", 131072, f"file://{folder}/x.fstrm")
        found.append(spent() - before)
        assert result.ledger["queries"] == result.ledger["frames"] > 0
    return min(found)


def test_colliding_keys_cost_no_more(folder, tell):
    """All of them wait for an answer at once. In one chain they would cost thousands of times as
    much."""
    spent = {}
    for name in ("spread_keys", "colliding_keys"):
        write_packets(folder / name, getattr(flood_packets, name)(60000))
        spent[name] = cpu_seconds(folder, folder / name)
    tell(f"replay of 60,000 queries: {spent['spread_keys']:.2f} s of CPU, "
         f"{spent['colliding_keys']:.2f} s where their keys collide")
    assert spent["colliding_keys"] < 3 * spent["spread_keys"] + 0.1


class Clock:
    """A wall clock of a tap's own; see clock_step.c."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.file, library = folder / "step", folder / "clock_step.so"
        subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                        "-shared", "-fPIC", "-o", str(library),
                        str(REPOSITORY / "tests" / "e2e" / "clock_step.c")], check=True)
        self.step = 0
        self.file.write_bytes(bytes(8))
        monkeypatch.setenv("CLOCK_STEP", str(self.file))
        monkeypatch.setenv("LD_PRELOAD", str(library))

    def set(self, ns: int) -> None:
        self.step = ns
        with open(self.file, "r+b") as to:
            to.write(struct.pack("@q", ns))


def test_clock_stepped_by_hours(link, tap, folder, monkeypatch):
    """Forth and back: nothing is lost, responses keep their queries, and a second later times are
    those of the new clock."""
    with monkeypatch.context() as patch:
        clock = Clock(folder, patch)
        running = tap("-i", SERVER_DEVICE, f"file://{folder}/x.fstrm", "full", space=link.server)
    running.wait_watching()
    expected = {}
    with UdpClient(link.client, SERVER, source_port=next(link.ports)) as client:
        for number, hours in enumerate((5, -7, 24 * 400)):
            clock.set(hours * HOUR)
            at_once = [query(n, "n1.example", flags=0)
                       for n in range(1000 * number, 1000 * number + 50)]
            client.ask(at_once)
            time.sleep(1.2)
            client.ask([query(1000 * number + 99, "n1.example", flags=RD)])
            later = client.ask([query(n, "n1.example", flags=0)
                                for n in range(1000 * number + 100, 1000 * number + 150)])
            expected.update({one.id: (one, clock.step) for one in later})
    result = stop_balanced(running)
    messages = read_messages(folder / "x.fstrm")
    assert result.ledger["responses_matched"] == result.ledger["queries"] == len(messages) // 2
    assert len(messages) == 2 * 3 * 101
    for message in messages:
        check_flow(message, CLIENT, SERVER, 53)
        assert message.query_time is not None
        if message.id in expected:
            exchange, step = expected[message.id]
            for moment in (message.query_time, message.response_time):
                assert moment is None or (exchange.before - CLOCK_SLACK <= moment - step
                                          <= exchange.after + CLOCK_SLACK), (message, step)
