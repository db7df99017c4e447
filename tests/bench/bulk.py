# SPDX-License-Identifier: BSD-2-Clause
"""What other traffic pays: one TCP transfer, not of port 53, across a veth pair whose receiving end
is watched, in Gbit/s. sendfile(2) from memory on one side, the other discards; once in the large
segments of offloading, and once in packets of 1,500 bytes, each of which the filter looks at."""

import contextlib
import os
import socket
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import netns
import offloads
import watchers
from collector import fstrm_to_null
from report import Goal, Part
from server_cost import order
from stats import Figure, figure

SECONDS, CHUNK, PORT = 0.6, 1 << 20, 5001
ADDRESS, SENDER = "10.63.0.1", "10.63.0.2"
KINDS = {"large segments": True, "1,500-byte packets": False}
GOAL = 97.0


@dataclass
class Link:
    """The two ends, and where the taps stand."""

    site: watchers.Site
    there: netns.Namespace

    def transfer(self, seconds: float) -> float:
        """Gbit/s that the receiver got."""
        with self.site.space.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, \
                self.there.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((ADDRESS, PORT))
            listener.listen(1)
            sender.connect((ADDRESS, PORT))
            receiver, _ = listener.accept()
            with receiver:
                thread = threading.Thread(target=send, args=(sender, seconds), daemon=True)
                thread.start()
                got = receive(receiver)
                thread.join(10)
        return got


def send(sender: socket.socket, seconds: float) -> None:
    memory = os.memfd_create("bulk")
    try:
        os.truncate(memory, CHUNK)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            os.sendfile(sender.fileno(), memory, 0, CHUNK)
        sender.shutdown(socket.SHUT_WR)
    finally:
        os.close(memory)


def receive(receiver: socket.socket) -> float:
    got, buffer, start = 0, bytearray(CHUNK), time.monotonic()
    while True:
        length = receiver.recv_into(buffer, CHUNK, socket.MSG_TRUNC)
        if not length:
            return got * 8 / 1e9 / (time.monotonic() - start)
        got += length


@contextlib.contextmanager
def links(folder: Path, large: bool):
    folder.mkdir()
    with netns.Namespace() as here, netns.Namespace() as there:
        netns.join(here, "srv0", there, "cli0")
        here.add_addresses("srv0", ADDRESS + "/24")
        there.add_addresses("cli0", SENDER + "/24")
        for space, device in ((here, "srv0"), (there, "cli0")):
            for command in () if large else (offloads.TSO, offloads.GSO, offloads.GRO):
                offloads.change(space, device, command, 0)
        with fstrm_to_null(folder / "c.sock") as collector:
            yield Link(watchers.Site(here, "srv0", folder, folder / "c.sock",
                                     collector.process.pid), there)


def sample(link: Link, name: str) -> float:
    with watchers.ALL[name](link.site) as watching:
        rate = link.transfer(SECONDS)
        watching.stop(0)
    return rate


def measure(folder: Path, options) -> Part:
    names = ["none", "floor", watchers.default_tap()]
    part = Part("bulk", f"a TCP transfer over a watched veth pair, {options.rounds} rounds",
                ["watcher", *(f"{kind}, % kept" for kind in KINDS)])
    columns: dict[str, dict[str, Figure]] = {}
    for number, (kind, large) in enumerate(KINDS.items()):
        with links(folder / f"bulk{number}", large) as link:
            rounds = [[(name, sample(link, name)) for name in order(names, turn)]
                      for turn in range(options.rounds)]
        part.raw[kind] = rounds
        columns[kind] = kept(part, kind, names, rounds)
    for name in names[1:]:
        part.rows.append([watchers.LABELS[name],
                          *(columns[kind][name].text(1) for kind in KINDS)])
    part.goals = [Goal(f"bulk: {kind}, throughput kept, {watchers.LABELS[names[2]]}",
                       columns[kind][names[2]], GOAL, at_most=False, unit=" %", digits=1)
                  for kind in KINDS]
    return part


def kept(part: Part, kind: str, names: list[str], rounds: list) -> dict[str, Figure]:
    """Percent of the same round's rate without a tap, by watcher."""
    def mean(one: list, wanted: str) -> float:
        return statistics.mean(rate for name, rate in one if name == wanted)

    bare = statistics.median(mean(one, "none") for one in rounds)
    part.notes.append(f"{kind} without a tap: {bare:.1f} Gbit/s")
    return {name: figure([100 * mean(one, name) / mean(one, "none") for one in rounds])
            for name in names[1:]}
