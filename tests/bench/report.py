# SPDX-License-Identifier: BSD-2-Clause
"""What a part of the bench hands back, and how all of them become one text and one JSON file."""

import math
import textwrap
from dataclasses import dataclass, field
from typing import Optional

from stats import Figure

WIDTH = 100


@dataclass
class Goal:
    """A figure held against its bound. met is None where there was nothing to measure."""

    what: str
    figure: Figure
    bound: float
    at_most: bool = True
    unit: str = ""
    digits: int = 2

    @property
    def met(self) -> Optional[bool]:
        if math.isnan(self.figure.value):
            return None
        return (self.figure.value <= self.bound if self.at_most
                else self.figure.value >= self.bound)

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies on one side of the bound."""
        return not self.figure.low < self.bound < self.figure.high

    def row(self) -> list[str]:
        verdict = {True: "met", False: "MISSED", None: "-"}[self.met]
        verdict += "" if self.sure else " ?"
        sign = "<=" if self.at_most else ">="
        return [self.what, self.figure.text(self.digits) + self.unit,
                f"{sign} {self.bound:g}{self.unit}", verdict]

    def as_json(self) -> dict:
        return {"what": self.what, "value": self.figure.value, "low": self.figure.low,
                "high": self.figure.high, "values": self.figure.count, "bound": self.bound,
                "at_most": self.at_most, "unit": self.unit.strip(), "met": self.met, "sure": self.sure}


@dataclass
class Part:
    """One part's table, its goals, remarks, and the raw figures."""

    name: str
    title: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: dict = field(default_factory=dict)
    failed: bool = False

    def text(self) -> str:
        lines = [f"{self.name}: {self.title}"]
        lines += table([self.header, *self.rows]) if self.rows else []
        for note in self.notes:
            lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict:
        return {"title": self.title, "table": [self.header, *self.rows], "notes": self.notes,
                "goals": [goal.as_json() for goal in self.goals], **self.raw}


def table(rows: list[list[str]]) -> list[str]:
    """Columns as wide as their widest cell: the first to the left, the others to the right."""
    columns = max(len(row) for row in rows)
    padded = [row + [""] * (columns - len(row)) for row in rows]
    widths = [max(len(row[column]) for row in padded) for column in range(columns)]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width
                                             in zip(row[1:], widths[1:])]
        return "  " + "  ".join(cells).rstrip()

    return [line(padded[0]), "  " + "-" * (sum(widths) + 2 * (columns - 1)), *map(line, padded[1:])]


def whole(parts: list[Part], machine: list[str]) -> str:
    """Everything, the goals last, where the eye ends."""
    lines = [*machine, ""]
    for part in parts:
        lines += [part.text(), ""]
    goals = [goal.row() for part in parts for goal in part.goals]
    if goals:
        lines += ["goals", *table([["figure", "median [95 %]", "goal", ""], *goals])]
    return "\n".join(lines) + "\n"
