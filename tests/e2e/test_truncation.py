# SPDX-License-Identifier: BSD-2-Clause
"""Every named capture cut everywhere: no crash, no invented message, a ledger that balances."""

import os
import random
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cases
import cases_cuts
from frames import read_messages
from packets import pcap
from tap import Tap, binary, check_balance

SMALL = "fragment-that-is-whole"  # torn at every byte
TORN = 2                          # places where each other capture is torn
SECONDS = 60


def sanitized():
    """The program with sanitizers, if it has been built."""
    named = os.environ.get("DNSTAP_BPF_SANITIZED")
    path = Path(named) if named else binary().parent / "sanitized" / "dnstap-bpf"
    return path if path.exists() else None


PROGRAMS = [binary()] + ([sanitized()] if sanitized() else [])
program = pytest.mark.parametrize("program", PROGRAMS, ids=("plain", "sanitized")[:len(PROGRAMS)])


def replay(folder, content, words, program):
    """The status and the messages of a capture that may be torn; the ledger if it got that far."""
    (folder / "capture").write_bytes(content)
    out = folder / "out"
    if program != binary():
        words = [*words, "--confine", "off"]  # at its end the sanitizer traces the process
    with Tap(folder, "-r", folder / "capture", *words, f"file://{out}", "full",
             program=program) as tap:
        result = tap.wait(SECONDS)
    assert result.status in (0, 1), f"status {result.status}: {result.stderr}"
    assert "Sanitizer" not in result.stderr and "runtime error" not in result.stderr
    assert result.balanced is not None or result.status == 1, result.stderr
    if result.balanced is not None:
        check_balance(result)
    return result, [cases.as_sent(message) for message in read_messages(out)
                    ] if out.exists() else []


def allowed(case):
    """Counts the messages of the whole capture, and those that only its other packets refute."""
    return Counter(message[:6] for message in case.messages + case.contested)


@program
@pytest.mark.parametrize("name", sorted(cases.all_cases()))
def test_packets_cut_short(folder, name, program):
    """As with a snap length, all packets and each alone; and the capture behind each packet."""
    case = cases.all_cases()[name]
    for every in cases_cuts.chosen_cuts(case):
        if program != PROGRAMS[0]:
            every = every[::4]
        content = pcap(case.link, cases_cuts.varied(case, every), nanoseconds=True)
        result, found = replay(folder, content, case.words, program)
        assert result.status == 0, result.stderr
        cases_cuts.check_varied(allowed(case), found, every)


def torn_places(name, size):
    if name == SMALL:
        return range(size)
    return random.Random(name).sample(range(size), TORN)


@program
def test_files_torn(folder, program):
    """The file itself ends early: inside its header, a packet's header, or a packet."""
    jobs = []
    for name, case in cases.all_cases().items():
        content = cases.capture(case)
        places = torn_places(name, len(content))
        jobs += [(case, content[:at]) for at in
                 (places if program == PROGRAMS[0] else list(places)[::5])]

    def run(job):
        number, (case, content) = job
        place = folder / str(number)
        place.mkdir()
        _, found = replay(place, content, case.words, program)
        assert not Counter(message[:6] for message in found) - allowed(case), case.name

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, enumerate(jobs)))


def test_empty_and_missing_files(folder):
    """They are said to be what they are, with status 1."""
    (folder / "empty").write_bytes(b"")
    for name in ("empty", "missing"):
        done = subprocess.run([binary(), "-r", folder / name, "-"], capture_output=True,
                              timeout=SECONDS, check=False)
        assert done.returncode == 1 and name in done.stderr.decode()
