# SPDX-License-Identifier: BSD-2-Clause
"""The figures of server_cost: differences to no tap and quotients of them, taken within each round
and only then summed up over the rounds."""

import statistics
from dataclasses import dataclass
from typing import Callable

import watchers
from report import Goal, Part
from stats import FEWEST, Figure, figure

NOISY_CPUS = 0.15  # foreign CPU from which on a round is marked
# Of our server cost to the server's own dnstap's.
SERVER_GOALS = {"bind": 0.25, "knot": 0.20, "veth": 0.20}
TCPDUMP_GOAL, MACHINE_GOAL = 0.5, {"knot": 0.6, "veth": 0.6}
TITLES = {"knot": "Knot DNS, loopback", "bind": "BIND, loopback", "unbound": "Unbound, loopback",
          "veth": "Knot DNS, a veth pair", "peers": "Knot DNS, loopback, other watchers",
          "coredns": "CoreDNS, loopback"}
HEADER = ["watcher", "q/s kept %", "server us/q", "server + us/q", "machine + us/q", "tap us/q",
          "collector us/q", "lost"]


@dataclass
class Round:
    """The samples of one round."""

    samples: list

    def mean(self, watcher: str, value: Callable) -> float:
        return statistics.mean(value(one) for one in self.samples if one.watcher == watcher)

    def over_none(self, watcher: str, *parts: str) -> float:
        """us of CPU time a query above no tap."""
        def value(sample):
            return sample.per_query(*parts)
        return self.mean(watcher, value) - self.mean("none", value)

    def kept(self, watcher: str) -> float:
        """Queries per second, of those without a tap."""
        return self.mean(watcher, lambda one: one.qps) / self.mean("none", lambda one: one.qps)

    @property
    def foreign(self) -> float:
        return max(one.foreign for one in self.samples)

    @property
    def noisy(self) -> bool:
        return self.foreign > NOISY_CPUS


def quotient(rounds: list[Round], one: str, other: str, *parts: str) -> Figure:
    """How much dearer one watcher is than the other, over no tap."""
    pairs = [(each.over_none(one, *parts), each.over_none(other, *parts)) for each in rounds]
    return figure([above / below for above, below in pairs if below > 0])


def row(watcher: str, rounds: list[Round], lost: str) -> list[str]:
    def over_none(*parts: str) -> str:
        if watcher == "none":
            return "-"
        return figure([one.over_none(watcher, *parts) for one in rounds]).text(2)

    def own(part: str) -> str:
        value = statistics.median(one.mean(watcher, lambda s: s.per_query(part)) for one in rounds)
        return f"{value:.2f}" if value else "-"

    if watcher == "none":
        qps = statistics.median(one.mean("none", lambda s: s.qps) for one in rounds)
        kept = f"{qps:,.0f} q/s"
    else:
        kept = figure([one.kept(watcher) for one in rounds]).scaled(100).text(1)
    return [watchers.LABELS[watcher], kept, own("server"), over_none("server"), over_none(),
            own("tap"), own("collector"), lost]


def figures(watcher: str, rounds: list[Round]) -> dict[str, list[float]]:
    """Value and interval of what the plot shows."""
    found = {"server": figure([one.over_none(watcher, "server") for one in rounds]),
             "machine": figure([one.over_none(watcher) for one in rounds]),
             "kept": figure([one.kept(watcher) for one in rounds]).scaled(100)}
    return {name: [one.value, one.low, one.high] for name, one in found.items()}


def lost_text(watcher: str, rounds: list[Round], counted: dict) -> str:
    all_lost = [one.lost for each in rounds for one in each.samples
                if one.watcher == watcher and one.lost]
    if watcher == watchers.NATIVE and counted:
        all_lost = [counted]
    if not all_lost:
        return "-"
    lost, of = (sum(one[name] for one in all_lost) for name in ("lost", "messages"))
    return f"{lost:,} ({100 * lost / of:.2f} %)" if lost else f"0 of {of / 1e6:.1f} M"


def total_lost(watcher: str, rounds: list[Round]) -> Figure:
    value = sum(one.lost.get("lost", 0) for each in rounds for one in each.samples
                if one.watcher == watcher)
    return Figure(value, value, value, len(rounds))


def goals(part: str, names: list[str], rounds: list[Round],
          all_rounds: list[Round]) -> list[Goal]:
    taps = [name for name in names if name.removesuffix("-full") in watchers.RINGS]
    if not taps:
        return []
    ours = watchers.default_tap() if watchers.default_tap() in taps else taps[0]
    made, label = [], watchers.LABELS[ours]
    if "native" in names:
        if part in SERVER_GOALS:
            made.append(Goal(f"{part}: server cost, {label} / own dnstap",
                             quotient(rounds, ours, "native", "server"), SERVER_GOALS[part]))
        made.append(Goal(f"{part}: machine cost, {label} / own dnstap",
                         quotient(rounds, ours, "native"), MACHINE_GOAL.get(part, 1.0)))
        made.append(Goal(f"{part}: q/s kept, {label} / own dnstap",
                         figure([one.kept(ours) / one.kept("native") for one in rounds]),
                         1.0, at_most=False))
    if "tcpdump" in names:
        made.append(Goal(f"{part}: server cost, {label} / tcpdump",
                         quotient(rounds, ours, "tcpdump", "server"), TCPDUMP_GOAL))
    made += [Goal(f"{part}: messages lost, {watchers.LABELS[name]}",
                  total_lost(name, all_rounds), 0, digits=0) for name in taps]
    return made


def noise_text(rounds: list[Round], used: list[Round]) -> str:
    marked = [str(number) for number, one in enumerate(rounds) if one.noisy]
    text = (f"Others held at most {max(one.foreign for one in rounds):.2f} CPUs during a load. ")
    if not marked:
        return text + "No round is marked."
    return text + (f"Rounds in which it was more than {NOISY_CPUS}: {', '.join(marked)}; "
                   + ("left out." if len(used) < len(rounds) else "too many to leave them out."))


def quiet(rounds: list[Round]) -> list[Round]:
    """Those in which nobody else needed the CPUs, where they are enough for an interval."""
    found = [one for one in rounds if not one.noisy]
    return found if len(found) >= max(FEWEST, 2 * len(rounds) // 3) else rounds


def part_of(part: str, names: list[str], all_rounds: list[Round], counted: dict) -> Part:
    rounds = quiet(all_rounds)
    made = Part(part, f"{TITLES[part]}, {len(rounds)} rounds; + is over no tap of the same round, "
                "median [95 %]", HEADER)
    made.rows = [row(name, rounds, lost_text(name, all_rounds, counted)) for name in names]
    made.goals = goals(part, names, rounds, all_rounds)
    made.raw["figures"] = {name: figures(name, rounds) for name in names}
    made.notes.append(noise_text(all_rounds, rounds))
    return made
