# SPDX-License-Identifier: BSD-2-Clause
"""Every named capture, what the tap makes of it, and the table of both.

    python3 cases.py            prints the table
    python3 cases.py FOLDER     writes the captures there
"""

import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterable, List, Optional

import cases_tcp  # noqa: F401, each of these modules registers its cases
import cases_tap  # noqa: F401
import cases_large  # noqa: F401
import cases_fragments  # noqa: F401
import cases_network  # noqa: F401
import cases_hosts  # noqa: F401
from cases_scene import Case, Sent, played
from frames import Message, read_messages
from packets import pcap
from tap import Result, check_balance, replay


@lru_cache(maxsize=None)
def all_cases() -> Dict[str, Case]:
    made = played()
    assert len({case.name for case in made}) == len(made)
    return {case.name: case for case in made}


def capture(case: Case) -> bytes:
    return pcap(case.link, case.packets, nanoseconds=True)


def as_sent(message: Message) -> Sent:
    """What the tap says, in the message's own direction."""
    client = (message.query_address, message.query_port)
    server = (message.response_address, message.response_port)
    ends = (*client, *server) if message.is_query else (*server, *client)
    time = message.query_time if message.is_query else message.response_time
    return Sent(message.protocol, *ends, message.wire, time)


@dataclass
class Outcome:
    """What came of a case."""

    result: Result
    messages: List[Message]

    def count(self, name: str) -> int:
        section, _, rest = name.rpartition(".")
        return getattr(self.result, section or "ledger")[rest]


def run(case: Case, folder: Path, program: Optional[Path] = None) -> Outcome:
    """Replays the case's capture."""
    path, out = folder / "capture.pcap", folder / "out.fstrm"
    path.write_bytes(capture(case))
    result = replay(folder, path, *case.words, f"file://{out}", "full", program=program)
    return Outcome(result, read_messages(out))


def by_direction(messages: Iterable[Sent]) -> Dict[tuple, List[Sent]]:
    found = defaultdict(list)
    for message in messages:
        found[message.direction].append(message)
    return found


def short(messages: List[Sent]) -> str:
    return ", ".join(f"{len(one.wire)} B id {one.wire[:2].hex()} at {one.time}"
                     for one in messages) or "nothing"


def check(case: Case, outcome: Outcome) -> None:
    """Every message, in order in each direction, at its time; the counts; the balance."""
    came = [as_sent(message) for message in outcome.messages]
    if outcome.count("responses_unmatched"):  # they wait for their query, others pass them
        came.sort(key=lambda one: one.time)
    found = by_direction(came)
    expected = by_direction(case.messages)
    for direction in {**expected, **found}:
        one, other = expected[direction], found[direction]
        assert [m.wire for m in one] == [m.wire for m in other], (
            f"{direction}: expected {short(one)}; found {short(other)}")
        for sent, seen in zip(one, other):
            assert sent.time is None or seen.time == sent.time, (
                f"{direction}: expected {short([sent])}, found {short([seen])}")
    if case.types:
        assert [message.type for message in outcome.messages] == case.types
    counts = {name: outcome.count(name) for name in case.counts}
    wrong = {name: (case.counts[name], counts[name]) for name in counts
             if counts[name] != case.counts[name]}
    assert not wrong, f"(expected, counted): {wrong}"
    check_balance(outcome.result)


def row(case: Case, folder: Path) -> str:
    """One line of the table."""
    outcome = run(case, folder)
    try:
        check(case, outcome)
        verdict = "as expected"
    except AssertionError as error:
        verdict = "WRONG: " + str(error).splitlines()[0][:160]
    counted = " ".join(f"{name.partition('.')[2] or name}={value}"
                       for name, value in case.counts.items() if value)
    return (f"{case.name:42} {len(case.packets):7} {len(case.messages):8} "
            f"{len(outcome.messages):7}  {verdict:12} {counted}")


def print_table() -> None:
    print(f"{'case':42} {'packets':>7} {'expected':>8} {'emitted':>7}  {'':12} counted")
    with tempfile.TemporaryDirectory() as folder:
        for case in all_cases().values():
            print(row(case, Path(folder)))


def main(folder: str = "") -> None:
    if not folder:
        print_table()
    for case in all_cases().values() if folder else ():
        Path(folder, case.name + ".pcap").write_bytes(capture(case))


if __name__ == "__main__":
    main(*sys.argv[1:])
