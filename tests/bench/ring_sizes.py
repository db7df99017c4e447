# SPDX-License-Identifier: BSD-2-Clause
"""Which ring it takes to lose nothing: messages lost at full load (Knot, loopback, full) on the
default ring by `--ring-size`, while server, load, tap and collector share the CPUs."""

import functools
from pathlib import Path

import watchers
from report import Part
from server_cost import Stand

SIZES = ("256K", "512K", "1M", "2M", "4M", "8M")
PASSES, SECONDS = 2, 1.2


def measure(folder: Path, options) -> Part:
    ring = watchers.RINGS[0]
    found: dict[str, list] = {size: [] for size in SIZES}
    for size in SIZES:
        watchers.ALL[size] = functools.partial(watchers.Ours, ring,
                                               ("full", "--ring-size", size))
    with Stand("knot", folder / "sizes") as stand:
        for number in range(PASSES):
            for size in SIZES[::-1] if number % 2 else SIZES:
                found[size].append(stand.sample(size, number, SECONDS))
    part = Part("sizes", f"losses at full load by the size of each CPU's {ring} ring",
                ["size", "q/s", "messages", "ring full", "queue full"])
    for size, samples in found.items():
        messages, ring_full, queue_full = (sum(one.lost[name] for one in samples)
                                           for name in ("messages", "ring_full", "queue_full"))
        part.rows.append([size, f"{sum(one.qps for one in samples) / len(samples):,.0f}",
                          f"{messages:,}", f"{ring_full:,}", f"{queue_full:,}"])
    part.raw = {"samples": {size: [one.lost for one in samples]
                            for size, samples in found.items()}}
    return part
