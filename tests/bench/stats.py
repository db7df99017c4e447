# SPDX-License-Identifier: BSD-2-Clause
"""Medians with intervals that assume nothing about the noise: the order statistics between which
the true median lies with 95 % probability (the sign test turned around)."""

import math
import statistics
from dataclasses import dataclass
from typing import Sequence

ERROR = 0.05
FEWEST = 6  # below it no interval of 95 % exists, and the whole range is given


@dataclass
class Figure:
    """A median, its interval, and of how many values."""

    value: float
    low: float
    high: float
    count: int

    def text(self, digits: int = 2, signed: bool = False) -> str:
        sign = "+" if signed else ""
        return (f"{self.value:{sign}.{digits}f} "
                f"[{self.low:{sign}.{digits}f}, {self.high:{sign}.{digits}f}]")

    def scaled(self, factor: float) -> "Figure":
        return Figure(self.value * factor, self.low * factor, self.high * factor, self.count)


def _rank(count: int) -> int:
    """The lower end's place in order, from 0."""
    rank, tail = 0, 0.5 ** count
    while count >= FEWEST and 2 * tail <= ERROR:
        rank += 1
        tail += math.comb(count, rank) * 0.5 ** count
    return max(0, rank - 1)


def figure(values: Sequence[float]) -> Figure:
    ordered = sorted(values)
    if not ordered:
        return Figure(math.nan, math.nan, math.nan, 0)
    rank = _rank(len(ordered))
    return Figure(statistics.median(ordered), ordered[rank], ordered[-1 - rank], len(ordered))


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan
