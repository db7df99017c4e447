# SPDX-License-Identifier: BSD-2-Clause
"""Whether a message costs the same when there are more of them. The tap's own CPU time per message
live, from 1,000 queries a second to all that the machine reaches (Knot, loopback, full); and in
replays, with 10 to 65,536 queries in flight, and with 1 to 4,096 TCP connections.

The levels take turns; what is held against the bound is the dearest level over the cheapest one,
both by their medians, paired within the rounds."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import cpu
import traffic
import watchers
from replay_cost import MEMORY, tap_seconds
from report import Goal, Part
from server_cost import PLAIN, SETTLE_SECONDS, Stand
from stats import Figure, figure

RATES = (1000, 10000, 50000, 100000, 200000, 0)  # 0: as many as come
IN_FLIGHT, STREAMS = (10, 1000, 65536), (1, 64, 4096)
EXCHANGES = 300_000
LIVE_SECONDS = 1.5
ROUNDS = 5
GOAL = 1.15
MISSED_RATE = 0.9  # a level of which less than this was reached is left out


@dataclass
class Live:
    """Of one load: the tap's CPU ns a message, those of its threads, the queries a second."""

    ns: float
    threads: list[float]
    reached: float


def live(stand: Stand, rate: int) -> Live:
    with watchers.ALL[watchers.default_tap()](stand.site) as watching:
        pids = {"tap": watching.processes()["tap"]}
        warm = stand.load(PLAIN, 0.2, rate)
        time.sleep(SETTLE_SECONDS)
        before, threads = cpu.snapshot(pids), cpu.threads_ns(pids["tap"][0])
        loaded = stand.load(PLAIN, LIVE_SECONDS, rate)
        time.sleep(SETTLE_SECONDS)
        spent, after = cpu.spent(before, cpu.snapshot(pids)), cpu.threads_ns(pids["tap"][0])
        watching.stop(warm.completed + loaded.completed)
    messages = 2 * loaded.completed
    return Live(spent.parts["tap"] / messages,
                [(after[tid] - threads.get(tid, 0)) / messages for tid in sorted(after)],
                loaded.qps)


def live_levels(folder: Path, rounds: int) -> dict[int, list[Live]]:
    """By the rate, those that the machine reaches."""
    found: dict[int, list[Live]] = {}
    with Stand("knot", folder) as stand:
        for number in range(rounds):
            for rate in RATES[::-1] if number % 2 else RATES:
                one = live(stand, rate)
                if one.reached >= MISSED_RATE * rate:
                    found.setdefault(rate, []).append(one)
    return {rate: found[rate] for rate in RATES if len(found.get(rate, [])) >= max(1, rounds - 1)}


def split(levels: dict[int, list[Live]]) -> list[str]:
    """What of the live cost belongs to the time that passes, and what to the messages."""
    rates = [rate for rate in levels if rate]
    if len(rates) < 2:
        return []
    low, high = min(rates), max(rates)
    ms = {rate: 2 * rate * statistics.median(one.ns for one in levels[rate]) / 1e6
          for rate in (low, high)}
    each = (ms[high] - ms[low]) / (2 * (high - low))
    return [f"live, from {low:,} to {high:,} q/s: {ms[low] - 2 * low * each:.1f} ms a second "
            f"whatever comes, and {each * 1e6:.0f} ns a message"]


def by_thread(full_load: list[Live]) -> str:
    """The tap's first thread has the packets, each other one a sink."""
    each = [f"{statistics.median(values):.0f}" for values in zip(*(one.threads
                                                                  for one in full_load))]
    rate = statistics.median(one.reached for one in full_load)
    return f"live, full load of {rate:,.0f} q/s, ns a message by thread: {', '.join(each)}"


def replayed_levels(name: str, levels: dict[str, Path], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {level: [] for level in levels}
    for number in range(rounds):
        for level in list(levels)[::-1] if number % 2 else levels:
            done = tap_seconds(levels[level])
            found[level].append(done.cpu * 1e9 / (2 * EXCHANGES))
    return found


def flatness(levels: dict[str, list[float]]) -> Figure:
    """The dearest level over the cheapest, round by round."""
    ordered = sorted(levels.values(), key=statistics.median)
    return figure([dear / cheap for dear, cheap in zip(ordered[-1], ordered[0])])


def add(part: Part, what: str, levels: dict[str, list[float]]) -> None:
    if not levels:
        part.notes.append(f"{what}: no rate was reached")
        return
    cheapest = min(statistics.median(values) for values in levels.values())
    for level, values in levels.items():
        middle = statistics.median(values)
        part.rows.append([f"{what}: {level}", figure(values).text(0), f"{middle / cheapest:.2f}"])
    if len(levels) > 1:
        part.goals.append(Goal(f"growth: {what}, dearest / cheapest level", flatness(levels), GOAL))
    part.raw[what] = levels


def measure(folder: Path, options) -> Part:
    rounds = min(ROUNDS, options.rounds)
    part = Part("growth", f"the tap's CPU time by message, {rounds} rounds",
                ["level", "ns/message", "to the cheapest"])
    found = live_levels(folder / "growth", rounds)
    add(part, f"live, {watchers.RINGS[0]} ring",
        {f"{rate:,} q/s" if rate else "full load": [one.ns for one in seen]
         for rate, seen in found.items()})
    part.notes += split(found) + ([by_thread(found[0])] if 0 in found else [])
    made = {"queries in flight": (IN_FLIGHT, traffic.write_udp),
            "TCP connections": (STREAMS, traffic.write_tcp)}
    for what, (numbers, write) in made.items():
        paths = {f"{number:,}": MEMORY / f"{folder.name}-growth-{number}.pcap"
                 for number in numbers}
        try:
            for number, path in zip(numbers, paths.values()):
                write(path, EXCHANGES, number)
            add(part, f"-r, {what}", replayed_levels(what, paths, rounds))
        finally:
            for path in paths.values():
                path.unlink(missing_ok=True)
    return part
