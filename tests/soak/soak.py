#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Hours of ordinary trouble in a short time: `sudo make soak SECONDS=1800` runs it.

    tests/soak/soak.py [--seconds N]

Knot in a namespace of its own is asked at half of the rate that this machine reaches without a
tap. Meanwhile the collector dies every 20 s and comes back a second later, an interface and an
address come or go every 5 s, and every 30 s SIGHUP brings a sink or takes it away. The tap must
never need more memory than in its first two minutes, or keep a descriptor, or lose count of one
message.
Prints a line of figures every 10 s; exit status 1 when anything is wrong.
"""

import argparse
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, List

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE.parent / "e2e")]

import load  # noqa: E402
import netns  # noqa: E402
from collector import Counting  # noqa: E402
from collectors import wait_until  # noqa: E402
from flood_lab import SERVER_DEVICE, Link  # noqa: E402
from flood_packets import SERVER  # noqa: E402
from tap import Tap, check_balance  # noqa: E402

SAMPLE, CHURN, RESTART, RELOAD = 10, 5, 20, 30  # s between two of each
FULL_SECONDS = 5        # for which the full rate is measured
AWAY = 1                # s without a collector
SETTLE = 4              # s until what was changed has been followed
WARM = 60               # s until which memory may grow; sinks come and go within as many
GROWTH = 1024           # KiB: what malloc may keep of a moment's need
LATE = 3                # s for responses that dnsperf no longer waits for


def first_sink(sinks: List[dict]) -> dict:
    """The one that is always there."""
    return next(sink for sink in sinks if sink["sink"].endswith("/s"))


@dataclass
class Sample:
    """One look at the two processes."""

    at: float
    kib: Dict[str, int]
    descriptors: Dict[str, int]
    ledger: dict

    def __str__(self) -> str:
        sink = first_sink(self.ledger["sinks"])
        return (f"{self.at:6.0f} s  worker {self.kib['worker'] / 1024:6.2f} MiB "
                f"{self.descriptors['worker']:3} fd, opener {self.kib['opener'] / 1024:5.2f} MiB "
                f"{self.descriptors['opener']:3} fd; matched {self.ledger['ledger']['matched']}, "
                f"frames {sink['frames']}, confirmed {sink['confirmed']}, unconfirmed "
                f"{sink['unconfirmed']}, lost_queue_full {sink['lost_queue_full']}, ring_full "
                f"{self.ledger['ledger']['ring_full']}")


@dataclass
class Soak:
    """The tap, what is done to it, and what was seen of it."""

    link: Link
    folder: Path
    tap: Tap
    collector: Counting
    began: float = field(default_factory=time.monotonic)
    received: int = 0
    restarts: int = 0
    reloads: int = 0
    changes: int = 0
    samples: List[Sample] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    def stop_collector(self) -> None:
        """What is in its socket and not read yet is lost with it."""
        self.received += self.collector.read()["frames"]
        self.collector.__exit__()

    def restart_collector(self) -> None:
        self.stop_collector()
        time.sleep(AWAY if self.restarts else 4 * AWAY)  # the first time until its queue is full
        self.collector = Counting(self.socket)
        self.restarts += 1

    def signal(self, number: int) -> None:
        assert self.tap.process.poll() is None, f"the tap ended by itself: {self.tap.stderr}"
        self.tap.process.send_signal(number)

    def reload(self, second: bool) -> None:
        """With a second sink, which nobody listens on, or without it."""
        said = self.tap.stderr.count("reloaded")
        write_config(self.folder, second)
        self.signal(signal.SIGHUP)
        wait_until(f"the reload: {self.tap.stderr}",
                   lambda: self.tap.stderr.count("reloaded") > said)
        self.reloads += 1

    def change(self, step: int) -> None:
        """Of four steps: an interface comes, an address comes, they go."""
        ip = self.link.server.ip
        (lambda: ip("link", "add", "new0", "type", "veth", "peer", "name", "new1"),
         lambda: ip("address", "add", "10.62.0.1/24", "dev", "new0"),
         lambda: ip("address", "add", "10.61.0.77/24", "dev", SERVER_DEVICE),
         lambda: self.restore())[step % 4]()
        if step % 4 == 0:
            ip("link", "set", "new0", "up")
            ip("link", "set", "new1", "up")
        self.changes += 1

    def restore(self) -> None:
        """The interfaces as they were at the beginning."""
        if "new0" in self.link.server.ip("-o", "link"):
            self.link.server.ip("link", "del", "new0")
        if "10.61.0.77" in self.link.server.ip("-o", "address"):
            self.link.server.ip("address", "del", "10.61.0.77/24", "dev", SERVER_DEVICE)

    def read_ledger(self) -> dict:
        """What SIGUSR1 writes."""
        self.tap.ledger_file.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        found: dict = {}

        def whole() -> bool:
            try:
                found.update(json.loads(self.tap.ledger_file.read_text()))
            except (OSError, ValueError):  # not there yet, or not all of it
                return False
            return True

        wait_until("the ledger on SIGUSR1", whole)
        count = found["ledger"]  # what is between the kernel and here is on its way
        assert count["matched"] >= count["recorded"] + count["ring_full"], found
        return found

    def sample(self) -> Sample:
        worker = self.tap.process.pid
        opener = int(Path(f"/proc/{worker}/task/{worker}/children").read_text().split()[0])
        processes = {"worker": worker, "opener": opener}
        one = Sample(time.monotonic() - self.began,
                     {name: resident(pid) for name, pid in processes.items()},
                     {name: len(os.listdir(f"/proc/{pid}/fd"))
                      for name, pid in processes.items()}, self.read_ledger())
        self.samples.append(one)
        print(one, flush=True)
        return one

    def most(self, name: str, until: float) -> int:
        """KiB, with every sink there was: what malloc keeps of one that went may show late."""
        return max(one.kib[name] for one in self.samples if one.at <= until)

    def settled(self) -> Sample:
        """With everything as it was at the beginning."""
        self.restore()
        self.reload(False)
        time.sleep(SETTLE)
        return self.sample()

    def trouble(self, until: float) -> None:
        """Everything in its turn until then (s since the beginning)."""
        turns = [Turn(SAMPLE, self.sample), Turn(RESTART, self.restart_collector),
                 Turn(CHURN, lambda steps=itertools.count(): self.change(next(steps))),
                 Turn(RELOAD, lambda flags=itertools.cycle((True, False)):
                      self.reload(next(flags)))]
        while time.monotonic() - self.began < until:
            for turn in turns:
                turn.take()
            time.sleep(0.1)


class Turn:
    """Something that is done every so many seconds."""

    def __init__(self, every: float, action: Callable[[], object]) -> None:
        self.every, self.action, self.last = every, action, time.monotonic()

    def take(self) -> None:
        if time.monotonic() - self.last >= self.every:
            self.last += self.every
            self.action()


def resident(pid: int) -> int:
    """KiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


def write_config(folder: Path, second: bool) -> Path:
    lines = ["role: auth", "sinks:", f"  - unix://{folder}/s full"]
    lines += [f"  - unix://{folder}/nobody?queue=1M full"] if second else []
    path = folder / "dnstap-bpf.yaml"
    path.write_text("\n".join([*lines, ""]))
    return path


def asking(link: Link, queries: Path, seconds: float, rate: int) -> subprocess.Popen:
    """Into a file: it says a line for each query that it gives up."""
    with open(queries.with_suffix(".said"), "w", encoding="utf-8") as said:
        return subprocess.Popen(load.dnsperf_command(link.client, SERVER, queries, seconds, rate),
                                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)


def figures(process: subprocess.Popen, queries: Path) -> Dict[str, int]:
    assert process.wait(60) == 0, "dnsperf failed"
    text = queries.with_suffix(".said").read_text()
    return {name: int(re.search(rf"Queries {name}:\s+(\d+)", text).group(1))
            for name in ("sent", "completed", "lost")}


def problems(soak: Soak, first: Sample, last: Sample, result, asked: Dict[str, int]
             ) -> Iterator[str]:
    """What is not as it must be, each in a line."""
    for name in first.kib:
        before, after = (soak.most(name, until) for until in (2 * first.at, last.at))
        if after > before + GROWTH:
            yield f"the {name} grew from {before} to {after} KiB at most"
        if last.descriptors[name] > first.descriptors[name]:
            yield (f"the {name}'s descriptors went from {first.descriptors[name]} to "
                   f"{last.descriptors[name]}")
    if result.status:
        yield f"the tap ended with {result.status}: {result.stderr[-500:]}"
    try:
        check_balance(result, reloaded=True)
    except AssertionError as error:
        yield f"the ledger does not balance: {error}"
    sink, matched = first_sink(result.sinks), result.ledger["matched"]
    # What dnsperf calls lost was asked, and may have been answered late.
    low, high = asked["sent"] + asked["completed"], 2 * asked["sent"]
    if not low <= matched <= high:
        yield f"matched {matched}, not within {low} and {high}"
    if not sink["confirmed"] <= soak.received <= sink["confirmed"] + sink["unconfirmed"]:
        yield f"the collectors got {soak.received} frames: {sink}"


def measure(link: Link, folder: Path, seconds: float) -> int:
    queries = load.write_queries(folder / "queries")
    full = figures(asking(link, queries, FULL_SECONDS, 0), queries)["completed"] // FULL_SECONDS
    print(f"Knot without a tap answers {full} queries/s; now {full // 2} for {seconds:.0f} s",
          flush=True)
    words = ("--config", write_config(folder, False))
    with Tap(folder, *words, space=link.server) as tap, Counting(folder / "s") as collector:
        tap.wait_watching()
        soak = Soak(link, folder, tap, collector)
        warm = min(WARM, seconds / 3)
        asker = asking(link, queries, seconds, full // 2)
        try:
            soak.trouble(warm)
            first = soak.settled()
            soak.trouble(seconds - SETTLE)
            last = soak.settled()
            asked = figures(asker, queries)
        finally:
            asker.kill()
            asker.wait(10)
        time.sleep(LATE)
        result = tap.stop()
        soak.stop_collector()
    found = list(problems(soak, first, last, result, asked))
    report(soak, first, last, result, asked)
    for problem in found:
        print(f"soak: {problem}")
    return int(bool(found))


def report(soak: Soak, first: Sample, last: Sample, result, asked: Dict[str, int]) -> None:
    most = {name: soak.most(name, last.at) for name in first.kib}
    print(f"\nfirst {first}\nlast  {last}\n"
          f"most  worker {most['worker'] / 1024:.2f} MiB, opener {most['opener'] / 1024:.2f} MiB\n"
          f"{soak.restarts} restarts of the collector, {soak.changes} changes of interfaces, "
          f"{soak.reloads} reloads\n"
          f"dnsperf: {asked['sent']} sent, {asked['completed']} completed, {asked['lost']} lost; "
          f"collectors got {soak.received}\nledger: "
          + ", ".join(f"{name} {value}" for name, value in result.ledger.items() if value)
          + "\nsink: " + ", ".join(f"{name} {value}" for name, value
                                   in first_sink(result.sinks).items() if value), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800, help="how long (1800)")
    options = parser.parse_args()
    if os.geteuid():
        print("soak: needs root, for namespaces and packet sockets", file=sys.stderr)
        return 1
    netns.remove_leftovers()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    with tempfile.TemporaryDirectory(prefix="dnstap-bpf-soak-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        link = Link(folder / "link")
        try:
            return measure(link, folder, options.seconds)
        finally:
            link.close()


if __name__ == "__main__":
    sys.exit(main())
