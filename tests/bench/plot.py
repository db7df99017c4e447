# SPDX-License-Identifier: BSD-2-Clause
"""The plot of a run, from the same figures as its tables: what each watcher costs a server and the
machine, what it leaves of the queries per second, and the goals as shares of their bounds."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402

from report import Part  # noqa: E402
from watchers import LABELS  # noqa: E402

COLOURS = {"none": "0.6", "floor": "0.75", "array": "#c6dbef", "array-full": "#2171b5",
           "perf": "#dadaeb", "perf-full": "#807dba", "bpf": "#c7e9c0", "bpf-full": "#41ab5d",
           "tcpdump": "#fdae6b", "native": "#cb181d"}
PANELS = {"server": "server CPU over no tap, us/query", "machine":
          "all CPU over no tap, us/query", "kept": "queries per second kept, %"}


def _shown(parts: list[Part]) -> list[str]:
    """The watchers that occur, the server's own dnstap last."""
    names = [name for name in LABELS if name not in ("none", "native")] + ["native"]
    return [name for name in names if any(name in part.raw["figures"] for part in parts)]


def _bars(axes, parts: list[Part], what: str) -> None:
    """Groups of bars: a server each; the whiskers are 95 % intervals."""
    names = _shown(parts)
    width = 0.8 / max(1, len(names))
    for place, name in enumerate(names):
        for group, part in enumerate(parts):
            one = part.raw["figures"].get(name, {}).get(what)
            if one:
                value, low, high = one
                axes.bar(group + (place - (len(names) - 1) / 2) * width, value, width,
                         color=COLOURS.get(name, "0.3"), yerr=[[value - low], [high - value]],
                         error_kw={"linewidth": 0.8})
    axes.set_xticks(range(len(parts)), [part.name for part in parts])
    axes.set_title(PANELS[what], fontsize=10)
    axes.grid(axis="y", linewidth=0.3)
    axes.axhline(0, color="black", linewidth=0.6)


def _legend(figure, parts: list[Part]) -> None:
    used = _shown(parts)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLOURS.get(name, "0.3")) for name in used]
    figure.legend(handles, [LABELS[name] for name in used], loc="upper center", ncols=4,
                  fontsize=8, frameon=False)


def _share(goal) -> float:
    """How much of its bound a figure uses up: 1 is the bound, more is a miss."""
    if goal.at_most:
        return goal.figure.value / (goal.bound or 1)
    return goal.bound / goal.figure.value


def _goals(axes, parts: list[Part]) -> None:
    goals = [goal for part in parts for goal in part.goals if goal.met is not None]
    shares = [min(3.0, _share(goal)) for goal in goals]
    axes.barh(range(len(goals)), shares, color=["#238b45" if goal.met else "#cb181d"
                                                for goal in goals])
    axes.set_yticks(range(len(goals)), [goal.what for goal in goals], fontsize=6)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_title("goals: share of the bound used (right of the line: missed)", fontsize=10)


def draw(path: Path, parts: list[Part], head: list[str]) -> None:
    servers = [part for part in parts if "figures" in part.raw]
    goals = sum(len(part.goals) for part in parts)
    heights = ([3.0] if servers else []) + [max(1.5, 0.16 * goals)]
    figure = pyplot.figure(figsize=(12, sum(heights) + 1.6), layout="constrained")
    grid = figure.add_gridspec(len(heights), len(PANELS), height_ratios=heights)
    for place, what in enumerate(PANELS if servers else ()):
        _bars(figure.add_subplot(grid[0, place]), servers, what)
    _goals(figure.add_subplot(grid[-1, :]), parts)
    figure.get_layout_engine().set(rect=(0, 0.03, 1, 0.90))
    if servers:
        _legend(figure, servers)
    figure.text(0.01, 0.01, head[0], fontsize=6)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
