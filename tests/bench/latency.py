# SPDX-License-Identifier: BSD-2-Clause
"""From packet to collector: from a message's own time (when the tap's program saw the packet) to
the moment at which a collector in C has read its frame from a Unix socket; at one query a second,
at 1,000, and at as many as Knot and dnsperf reach on the machine (loopback, full)."""

import time
from pathlib import Path

import cpu
import watchers
from collector import Counting
from report import Goal, Part
from server_cost import PLAIN, Stand
from stats import Figure, figure
from tap import Tap

RATES = {"1 q/s": (1, 5.0), "1,000 q/s": (1000, 2.0), "full load": (0, 2.0)}
PASSES = 2
GOALS = {"1,000 q/s": ("p50", 5.0, "median"), "full load": ("p99", 50.0, "99th percentile")}
DRAIN_SECONDS = 0.3


def one_by_one(stand: Stand, seconds: float) -> None:
    """One query a second; dnsperf would send its first ones together."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stand.server.await_ready()
        time.sleep(1)


def sample(stand: Stand, ring: str, rate: int, seconds: float) -> dict:
    """Latency in ms and what the load was."""
    path = stand.folder / "latency.sock"
    with Counting(path) as collector, Tap(
            stand.folder, "-i", "lo", "--ring", ring, f"unix://{path}", "full",
            space=stand.here) as tap:
        tap.wait_watching()
        time.sleep(0.2)
        collector.read()
        before = cpu.snapshot({})
        if rate == 1:
            one_by_one(stand, seconds)
        else:
            stand.load(PLAIN, seconds, rate)
        elapsed = cpu.spent(before, cpu.snapshot({})).elapsed
        time.sleep(DRAIN_SECONDS)
        got = collector.read()
        tap.stop()
    return {"frames": got["frames"], "messages_per_second": got["frames"] * 1e9 / elapsed,
            **{name: got[name] / 1000 for name in ("p50", "p90", "p99", "most")}}


def measure(folder: Path, options) -> Part:
    found: dict[tuple[str, str], list[dict]] = {}
    with Stand("knot", folder / "latency") as stand:
        for number in range(PASSES):
            for ring in watchers.RINGS[::-1] if number % 2 else watchers.RINGS:
                for name, (rate, seconds) in RATES.items():
                    if rate != 1 or number == 0:
                        found.setdefault((ring, name), []).append(
                            sample(stand, ring, rate, seconds))
    part = Part("latency", f"packet to collector, ms; mean of {PASSES} runs (1 q/s: one)",
                ["ring, load", "messages/s", "median", "90 %", "99 %", "most"])
    for (ring, name), samples in found.items():
        middle = {key: figure([one[key] for one in samples]).value for key in samples[0]}
        part.rows.append([f"{ring}, {name}", f"{middle['messages_per_second']:,.0f}",
                          *(f"{middle[key]:.2f}" for key in ("p50", "p90", "p99", "most"))])
        if name in GOALS and ring == watchers.RINGS[0]:
            key, bound, what = GOALS[name]
            part.goals.append(Goal(f"latency: {what} at {name}, {ring} ring",
                                   _range([one[key] for one in samples]), bound, unit=" ms"))
    part.raw = {"samples": [{"ring": ring, "load": name, **one}
                            for (ring, name), samples in found.items() for one in samples]}
    return part


def _range(values: list[float]) -> Figure:
    return Figure(figure(values).value, min(values), max(values), len(values))
