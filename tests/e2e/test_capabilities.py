# SPDX-License-Identifier: BSD-2-Clause
"""The smallest set of capabilities with which an ordinary user's tap starts under this kernel:
the table of README, "Kernels". Run in the virtual machines of scripts/kernels, where
perf_event_paranoid and unprivileged_bpf_disabled are as Debian's kernels have them."""

import os
import re
import time
from pathlib import Path

import pytest

from frames import read_file
from scripted import Load
from tap import RINGS, Tap, stop_balanced
from test_confinement import check_powerless, worker

pytestmark = pytest.mark.needs("guest", "root", "namespaces", "bpf")
LINUX = tuple(int(word) for word in re.match(r"(\d+)\.(\d+)", os.uname().release).groups())
THREE = ("net_raw", "bpf", "perfmon")
SUFFICIENT = {"array": THREE, "bpf": THREE, "perf": ("net_raw", "sys_admin")}
LIMITED = "--memlock=8388608"  # what systemd gives a service
UNLIMITED = "--memlock=unlimited"
MAPS_ARE_LOCKED = LINUX < (5, 11)


@pytest.fixture
def start(space, folder, readable_program):
    """start(ring, capabilities, limit): a tap of nobody's with those."""
    def one(ring, capabilities, limit=UNLIMITED):
        script = folder / "limited"
        script.write_text(f'#!/bin/sh\nexec prlimit "{limit}" "{readable_program}" "$@"\n')
        script.chmod(0o755)
        return Tap(folder, "--ring", ring, f"file://{folder}/x.fstrm", "full", space=space,
                   nobody=True, capabilities=capabilities, program=script)

    return one


def check_works(running, space, folder):
    """It taps, and its worker may nothing."""
    running.wait_watching()
    for status in worker(running):
        check_powerless(status, bounds=True)
    with Load(space, 500) as load:
        time.sleep(0.5)
        sent = load.stop()
    result = stop_balanced(running)
    assert result.ledger["frames"] == sent == len(read_file(folder / "x.fstrm"))


def check_refused(running):
    """It ends with one line that says what to do."""
    result = running.wait(60)
    assert result.status == 1 and len(result.lines) == 1, result.stderr
    return result.lines[0]


def test_as_debian_has_it():
    """Else the table tells of another machine."""
    folder = Path("/proc/sys/kernel")
    assert (folder / "perf_event_paranoid").read_text().strip() == "3"
    assert (folder / "unprivileged_bpf_disabled").read_text().strip() == "2"


@pytest.mark.parametrize("ring", RINGS)
def test_enough(start, space, folder, ring):
    with start(ring, SUFFICIENT[ring]) as running:
        check_works(running, space, folder)


@pytest.mark.parametrize("ring, spared", [(ring, name) for ring, names in SUFFICIENT.items()
                                          for name in names])
def test_none_to_spare(start, ring, spared):
    with start(ring, set(SUFFICIENT[ring]) - {spared}) as running:
        assert "CAP_" + spared.upper() in check_refused(running)


@pytest.mark.parametrize("ring", ("array", "bpf"))
def test_locked_memory(start, space, folder, ring):
    """Before Linux 5.11 maps count as such, and the line says so."""
    with start(ring, THREE, LIMITED) as running:
        if not MAPS_ARE_LOCKED:
            check_works(running, space, folder)
            return
        line = check_refused(running)
        assert "8192 KiB" in line and "LimitMEMLOCK" in line and "Linux 5.11" in line
    with start(ring, (*THREE, "sys_resource"), LIMITED) as running:
        check_works(running, space, folder)


def test_locked_memory_perf(start, space, folder):
    """Its ring counts as such under every kernel."""
    with start("perf", SUFFICIENT["perf"], LIMITED) as running:
        assert "CAP_IPC_LOCK" in check_refused(running)
    with start("perf", (*SUFFICIENT["perf"], "ipc_lock"), LIMITED) as running:
        check_works(running, space, folder)
