# SPDX-License-Identifier: BSD-2-Clause
"""Kernels that are set otherwise than Debian sets them, and CPUs that come and go. For the virtual
machines of scripts/kernels alone: what is changed here is the whole machine's. Also what else must
pass each kernel's verifier: the programs with filters, and those of other namespaces."""

import contextlib
import os
import resource
import subprocess
import threading
import time
from pathlib import Path

import pytest

from clients import query
from frames import read_file, read_messages
from hosts import Listener, until
from scripted import Load
from tap import RINGS, Tap, stop_balanced, unprivileged

pytestmark = pytest.mark.needs("guest", "root", "namespaces", "bpf")
THREE = ("net_raw", "bpf", "perfmon")
SETTINGS = Path("/proc/sys")
BTF = "/sys/kernel/btf"
CPUS = sorted(os.sched_getaffinity(0))
EACH_CPU = 100  # queries


@contextlib.contextmanager
def setting(name, value):
    """Another value for as long; some cannot be taken back."""
    path = SETTINGS / name
    before = path.read_text()
    path.write_text(value)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.write_text(before)


@contextlib.contextmanager
def without_btf():
    """What the kernel tells of its own types is gone."""
    if not Path(BTF).exists():
        yield
        return
    subprocess.run(["busybox", "mount", "-t", "tmpfs", "none", BTF], check=True, timeout=60)
    try:
        yield
    finally:
        subprocess.run(["busybox", "umount", BTF], check=True, timeout=60)


@pytest.fixture
def check(space, folder, readable_program):
    """check(ring, options): with the three capabilities the tap works by that ring."""
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (before[1], before[1]))

    def one(ring, *options, shares=1):
        with Tap(folder, "--ring", ring, *options, f"file://{folder}/x.fstrm", "full", space=space,
                 nobody=True, capabilities=THREE, program=readable_program) as running:
            running.wait_watching()
            with Load(space, 500) as load:
                time.sleep(0.3)
                sent = load.stop()
            result = stop_balanced(running)
        frames = result.ledger["frames"]
        assert frames == sent if shares == 1 else 0 < frames < sent
        assert len(read_file(folder / "x.fstrm")) == frames

    yield one
    resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


@pytest.mark.parametrize("ring", RINGS)
def test_perf_event_paranoid_2(check, ring):
    """The kernel's own default: CAP_PERFMON is enough for the perf ring."""
    with setting("kernel/perf_event_paranoid", "2"):
        check(ring)


@pytest.mark.parametrize("ring", ("array", "bpf"))
def test_filters(check, ring):
    """By networks and by sampling: of the queries some pass."""
    check(ring, "--client-net", "127.0.0.0/8", "--server-net", "127.0.0.1", "--sample", 2,
          shares=2)


@pytest.mark.parametrize("ring", ("array", "bpf"))
def test_without_jit(check, ring):
    with setting("net/core/bpf_jit_enable", "0"):
        check(ring)


def test_hardened_jit(check):
    with setting("net/core/bpf_jit_harden", "2"):
        check("array")


def test_without_btf(check):
    with without_btf():
        check("array")


@pytest.fixture
def stranger():
    """A process of another user's in a network namespace that has no name, with lo up."""
    words = " ".join(unprivileged(["busybox", "sleep", "600"]))
    process = subprocess.Popen(["busybox", "unshare", "-n", "sh", "-c",
                                f"ip link set lo up && exec /usr/bin/{words}"])
    yield process
    process.kill()
    process.wait()


def test_namespaces_where_nobody_may_trace(stranger, space, tap):
    """They are found and watched where Yama keeps even root from tracing without CAP_SYS_PTRACE."""
    sockets = Path(f"/proc/{stranger.pid}/net/packet")
    with setting("kernel/yama/ptrace_scope", "2"):
        running = tap("--netns", "all", "-", "full", space=space).wait_watching()
        until(lambda: len(sockets.read_text().splitlines()) == 2, "watched inside", 60)
        stop_balanced(running)


def switch(cpu, on):
    Path(f"/sys/devices/system/cpu/cpu{cpu}/online").write_text(str(int(on)))


def ask_from(cpu, space, first):
    """Queries from a thread of its own, all of them from this CPU; nobody answers."""
    thread = threading.Thread(target=_ask_from, args=(cpu, space, first))
    thread.start()
    return thread


def _ask_from(cpu, space, first):
    os.sched_setaffinity(0, {cpu})
    with space.socket(2, 2) as client:
        client.connect(("127.0.0.1", 53))
        for number in range(first, first + EACH_CPU):
            client.send(query(number, f"n{number}.example"))


@pytest.mark.parametrize("ring", RINGS)
def test_every_cpu(space, tap, folder, ring):
    """All of them at once: each query once, in whichever CPU's part of the ring."""
    running = tap("--ring", ring, f"file://{folder}/x.fstrm", "full", space=space).wait_watching()
    with Listener(space):
        for thread in [ask_from(cpu, space, EACH_CPU * at) for at, cpu in enumerate(CPUS)]:
            thread.join()
        result = stop_balanced(running)
    assert result.ledger["ring_full"] == 0
    ids = [message.key[1] for message in read_messages(folder / "x.fstrm")]
    assert sorted(ids) == list(range(EACH_CPU * len(CPUS)))


@pytest.mark.parametrize("ring", ("array", "bpf"))
def test_cpus_come_and_go(space, tap, folder, ring):
    """One that comes after the start, goes with its packets unread, and comes again."""
    last = CPUS[-1]
    switch(last, False)
    running = tap("--ring", ring, f"file://{folder}/x.fstrm", "full", space=space).wait_watching()
    with Listener(space):
        for turn in range(2):
            switch(last, True)
            ask_from(last, space, EACH_CPU * turn).join()
            switch(last, False)
        switch(last, True)
        result = stop_balanced(running)
    assert result.ledger["ring_full"] == 0
    ids = [message.key[1] for message in read_messages(folder / "x.fstrm")]
    assert sorted(ids) == list(range(EACH_CPU * 2))


def test_cpu_again_perf(space, tap, folder):
    """A perf ring is dead once its CPU has gone: told with its number, and counted."""
    last = CPUS[-1]
    running = tap("--ring", "perf", f"file://{folder}/x.fstrm", "full", space=space).wait_watching()
    with Listener(space):
        ask_from(last, space, 0).join()
        switch(last, False)
        switch(last, True)
        ask_from(last, space, EACH_CPU).join()
        until(lambda: f"CPU {last} was brought up after the start" in running.stderr, "told", 60)
        result = stop_balanced(running)
    assert result.ledger["frames"] == result.ledger["ring_full"] == EACH_CPU


# Last, for 1 holds until the machine is started again.
@pytest.mark.parametrize("value", ("0", "1"))
def test_unprivileged_bpf_disabled(check, value):
    with setting("kernel/unprivileged_bpf_disabled", value):
        check("array")

