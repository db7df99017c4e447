# SPDX-License-Identifier: BSD-2-Clause
"""What a server pays for being watched: queries per second, CPU time of the server and of all
processes involved per answered query, and what was lost on the way.

Two instances of one server run with one worker each, one plain and one with its own dnstap. In
each round every watcher is there once while dnsperf loads the plain instance, and once the load
goes to the other instance; no tap is measured twice a round. The order turns and is reversed from
round to round, and a figure is the median over the rounds of the difference to no tap in the same
round. The parts are knot, unbound and bind on the loopback device, and veth: Knot watched on one
end of a pair, with the load in a namespace at the other.
"""

import contextlib
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Optional

import cpu
import load
import native
import netns
import watchers
from collector import Counting, fstrm_to_null
from report import Part
from server_figures import NOISY_CPUS, Round, part_of

WARM_SECONDS, SETTLE_SECONDS = 0.2, 0.1
NATIVE_FLUSH_SECONDS = 1.5
PATIENCE_SECONDS = 20.0  # a part, to wait for a quiet machine before a round
PLAIN, OWN, COUNTED = "127.0.0.1", "127.0.0.2", "127.0.0.3"
VETH = {PLAIN: "10.53.0.1", OWN: "10.53.0.2", COUNTED: "10.53.0.3"}
VETH_CLIENT = "10.53.0.100"
PARTS = ("knot", "veth", "unbound", "bind")


def default_watchers(part: str) -> list[str]:
    """Everything is there at Knot on the loopback, and elsewhere what the goals need."""
    tap, rest = watchers.default_tap(), ["tcpdump", watchers.NATIVE]
    if part == "knot":
        others = [f"{ring}-full" for ring in watchers.RINGS[1:]]
        return ["none", "floor", watchers.RINGS[0], tap, *others, *rest]
    return ["none", *(["floor"] if part == "veth" else []), tap, *rest]


@dataclass
class Sample:
    """One load under one watcher. CPU times in ns, by part: server, client, tap, collector."""

    watcher: str
    round: int
    completed: int
    qps: float
    parts: dict[str, int]
    machine_busy: int
    elapsed: int
    foreign: float
    lost: dict = field(default_factory=dict)

    def per_query(self, *names: str) -> float:
        """us of CPU time a query; no names: of everything."""
        total = sum(self.parts.get(name, 0) for name in names or self.parts)
        return total / 1000 / self.completed


class Stand:
    """The servers, their collectors and the namespaces of one part, gone with close()."""

    def __init__(self, part: str, folder: Path, kinds: Optional[tuple] = None) -> None:
        """kinds: the classes of the plain and the other server, Knot's by default."""
        self.part, self.folder = part, folder
        self.kinds = kinds or native.PAIRS.get(part, native.PAIRS["knot"])
        self.stack = contextlib.ExitStack()
        folder.mkdir()
        try:
            self.lay_network()
            self.start_servers()
        except BaseException:
            self.close()
            raise
        self.queries = load.write_queries(folder / "queries")
        self.softirq = cpu.softirq_threads()

    def __enter__(self) -> "Stand":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.stack.close()

    def lay_network(self) -> None:
        self.here = self.there = self.stack.enter_context(netns.Namespace())
        self.device = "lo"
        self.here.add_addresses("lo", OWN + "/8", COUNTED + "/8")  # BIND wants to see them there
        if self.part == "veth":
            self.there = self.stack.enter_context(netns.Namespace())
            self.device = "srv0"
            netns.join(self.here, "srv0", self.there, "cli0")
            self.here.add_addresses("srv0", *(address + "/24" for address in VETH.values()))
            self.there.add_addresses("cli0", VETH_CLIENT + "/24")

    def address(self, which: str) -> str:
        return VETH[which] if self.part == "veth" else which

    def start_servers(self) -> None:
        ours = self.folder / "collector.sock"
        own = native.socket_path(self.folder / "own")
        collectors = [self.stack.enter_context(fstrm_to_null(path)) for path in (ours, own)]
        self.site = watchers.Site(self.here, self.device, self.folder, ours,
                                  collectors[0].process.pid)
        self.own_collector = collectors[1].process.pid
        self.server = self.start(self.kinds[0], "plain", PLAIN)
        self.own_server = self.start(self.kinds[1], "own", OWN)

    def start(self, kind: type, name: str, which: str):
        server = kind(self.here, self.folder / name, [(self.address(which), 53)])
        self.stack.callback(server.close)
        return server

    def sample(self, name: str, number: int, seconds: float) -> Sample:
        """One watcher under load, from its start to its end."""
        watching = watchers.ALL.get(name, watchers.Watcher)(self.site)
        pids = {"server": [self.server.child.process.pid]}
        which = PLAIN
        if name == watchers.NATIVE:
            which = OWN
            pids = {"server": [self.own_server.child.process.pid], "collector": [self.own_collector]}
        with watching:
            pids |= {**watching.processes(), "softirq": self.softirq}
            warm = self.load(which, WARM_SECONDS)
            time.sleep(SETTLE_SECONDS)
            before = cpu.snapshot(pids)
            loaded = self.load(which, seconds)
            time.sleep(SETTLE_SECONDS)
            spent = cpu.spent(before, cpu.snapshot(pids))
            lost = watching.stop(warm.completed + loaded.completed)
        return Sample(name, number, loaded.completed, loaded.qps,
                      {**spent.parts, "client": loaded.cpu_ns}, spent.busy, spent.elapsed,
                      spent.foreign(loaded.cpu_ns), lost)

    def load(self, which: str, seconds: float, rate: int = 0) -> load.Load:
        return load.run(self.there, self.address(which), self.queries, seconds, rate)

    def count_native(self, seconds: float) -> dict:
        """What a collector that counts gets from an instance of its own under full load."""
        with Counting(native.socket_path(self.folder / "counted")) as collector:
            server = self.start(self.kinds[1], "counted", COUNTED)
            time.sleep(0.5)
            collector.read()  # what the readiness query left
            time.sleep(NATIVE_FLUSH_SECONDS)
            collector.read()
            loaded = self.load(COUNTED, seconds)
            time.sleep(NATIVE_FLUSH_SECONDS)
            received = collector.read()["frames"]
            server.close()
        return {"messages": 2 * loaded.completed, "received": received,
                "lost": max(0, 2 * loaded.completed - received)}


def order(names: list[str], number: int) -> list[str]:
    """No tap twice, far apart; turned by one place a round, every second round backwards."""
    middle = (len(names) + 1) // 2
    placed = names[:middle] + ["none"] + names[middle:]
    turn = number % len(placed)
    turned = placed[turn:] + placed[:turn]
    return turned[::-1] if number % 2 else turned


def run_rounds(stand: Stand, names: list[str], options) -> list[Round]:
    """As many as were asked for; and for noisy ones others, up to a third more."""
    rounds: list[Round] = []
    patience = cpu.Patience(NOISY_CPUS, PATIENCE_SECONDS)
    most = options.rounds + options.rounds // 3
    while (len(rounds) < options.rounds
           or len(rounds) < most and sum(not one.noisy for one in rounds) < options.rounds):
        patience.wait()
        rounds.append(Round([stand.sample(name, len(rounds), options.seconds)
                             for name in order(names, len(rounds))]))
    return rounds


def measure(part: str, folder: Path, options, default: Optional[list[str]] = None,
            kinds: Optional[tuple] = None) -> Part:
    wanted = options.watchers or default or default_watchers(part)
    names = [name for name in wanted if name in watchers.LABELS]
    names = ["none"] + [name for name in names if name != "none"]
    with Stand(part, folder / part, kinds) as stand:
        rounds = run_rounds(stand, names, options)
        counted = stand.count_native(options.seconds) if "native" in names else {}
    made = part_of(part, names, rounds, counted)
    made.raw |= {"samples": [asdict(sample) for one in rounds for sample in one.samples],
                 "native_counted": counted}
    return made
