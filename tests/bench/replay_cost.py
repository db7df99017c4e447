# SPDX-License-Identifier: BSD-2-Clause
"""Messages per second a core: `-r` of a large capture in memory to a file sink on /dev/null, full,
by the CPU time of all threads; and tcpdump -r FILE -w /dev/null on the same file, in turns.

The capture is made for the run: two messages an exchange, 10 queries in flight."""

import statistics
from pathlib import Path

import children
import traffic
from report import Goal, Part
from stats import figure
from tap import binary

MESSAGES, IN_FLIGHT, ROUNDS = 2_000_000, 10, 7
GOAL = 2.5  # million messages a second a core
MEMORY = Path("/dev/shm")


def tap_seconds(capture: Path, *words) -> children.Done:
    return children.run(binary(), "-r", capture, *words, "file:///dev/null", "full")


def _row(name: str, done: list[children.Done], messages: int) -> list[str]:
    rates = figure([messages / one.cpu / 1e6 for one in done])
    each = statistics.median(one.cpu for one in done) * 1e9 / messages
    return [name, rates.text(2), f"{each:.0f}",
            f"{statistics.median(messages / one.wall for one in done) / 1e6:.2f}"]


def measure(folder: Path, options) -> Part:
    capture = MEMORY / f"{folder.name}-replay.pcap"
    try:
        traffic.write_udp(capture, MESSAGES // 2, IN_FLIGHT)
        ours, theirs = [], []
        for number in range(min(ROUNDS, options.rounds)):
            turns = [lambda: ours.append(tap_seconds(capture)), lambda: theirs.append(
                children.run("tcpdump", "-r", capture, "-Z", "root", "-w", "/dev/null"))]
            for turn in turns[::-1] if number % 2 else turns:
                turn()
    finally:
        capture.unlink(missing_ok=True)
    part = Part("replay", f"-r of {MESSAGES / 1e6:g} million messages in memory to /dev/null, full",
                ["program", "M messages/s/core", "ns/message", "M messages/s"])
    part.rows = [_row("dnstap-bpf -r", ours, MESSAGES), _row("tcpdump -r -w", theirs, MESSAGES)]
    part.goals = [Goal("replay: million messages/s/core",
                       figure([MESSAGES / one.cpu / 1e6 for one in ours]), GOAL, at_most=False)]
    ratio = figure([one.cpu / other.cpu for one, other in zip(ours, theirs)])
    part.notes = [f"CPU time of ours / tcpdump's: {ratio.text(2)}"]
    part.raw = {"cpu_seconds": {"ours": [one.cpu for one in ours],
                                "tcpdump": [one.cpu for one in theirs]}, "messages": MESSAGES}
    return part
