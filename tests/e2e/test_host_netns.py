# SPDX-License-Identifier: BSD-2-Clause
"""Network namespaces of containers: found, watched, told apart, and let go when they die.

`--netns all` watches every namespace of the machine, also those that others made meanwhile, so
tests look at names of their own.
"""

import collections
import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from frames import read_messages
from hosts import (Listener, ask, asked_until_seen, bpf_objects, descriptors, has_link, ip_batch,
                   opener_of, own_kib, sees, until, watched)
from probes import cgroup_folder
from netns import Namespace, ip, join
from tap import RINGS, binary, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
BATCHES, BATCH = 4, 50
DESCRIPTORS = 500  # more than a tap has, fewer than it may get
SLOTS = 255  # namespaces that are watched at once
OTHERS = 100  # what others' namespaces may add meanwhile; each has five descriptors
GREW_KIB = 8192  # bursts touch more of the tables; a leak would be 200 of something


@contextlib.contextmanager
def process_in(space):
    """A process inside that does nothing."""
    process = subprocess.Popen(space.command("sleep", "600"))
    until(lambda: "sleep" in Path(f"/proc/{process.pid}/comm").read_text(), "it is inside")
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
def three(spaces):
    """The tap's namespace `here`, and two joined to it."""
    here, one, two = spaces(), spaces(), spaces()
    for number, space in enumerate((one, two), 1):
        join(here, f"host{number}", space, "eth0")
        here.add_addresses(f"host{number}", f"10.7{number}.0.1/24")
        space.add_addresses("eth0", f"10.7{number}.0.2/24")
        space.ip("route", "add", "default", "via", f"10.7{number}.0.1")
    return here, one, two


def extras(folder, word):
    """The distinct extras of the queries for that name."""
    return {one.extra for one in read_messages(folder / "x.fstrm") 
            if word.encode() in (one.query or b"")}


def test_awaited(three, tap):
    """A name that nothing has yet is told once, and watched when something has it."""
    here, one, two = three
    name = f"{two.name}late"
    running = tap("--netns", one.name, "--netns", name, "-", space=here).wait_watching()
    assert watched(one) == ["eth0", "lo"] and watched(two) == []
    with process_in(two) as pid:
        ip("netns", "attach", name, str(pid))
        try:
            until(lambda: watched(two) == ["eth0", "lo"], "it is watched")
        finally:
            ip("netns", "del", name)
    told = [line for line in stop_balanced(running).stderr.splitlines() if "waiting for" in line]
    assert len(told) == 1 and f"--netns {name}: " in told[0]


@pytest.mark.parametrize("wanted", ("all", "name", "pid"))
@pytest.mark.parametrize("ring", RINGS)
def test_watched(three, tap, folder, wanted, ring):
    """What a namespace says to itself is seen, with its name; others only if they are wanted."""
    here, one, two = three
    with contextlib.ExitStack() as stack:
        word = {"all": "all", "name": one.name}.get(wanted) or str(
            stack.enter_context(process_in(one)))
        running = tap("--netns", word, "--ring", ring, "--extra", "{netns}/{interface}/{container}",
                      "-", "full", f"file://{folder}/x.fstrm", "full", space=here).wait_watching()
        for space in three:
            stack.enter_context(Listener(space))
        asked_until_seen(running, one, "127.0.0.1", "inside.example")
        asked_until_seen(running, here, "127.0.0.1", "own.example")
        until(lambda: watched(one) == ["eth0", "lo"], "the way out is watched")
        if wanted == "all":
            asked_until_seen(running, two, "127.0.0.1", "other.example")
        else:
            ask(two, "127.0.0.1", "other.example")
        ask(one, "10.71.0.1", "out.example")
        until(lambda: sees(running, "out.example"), "seen on its way out")
        until(lambda: watched(two) == (["eth0", "lo"] if wanted == "all" else []), "its own")
    result = stop_balanced(running)
    assert result.stdout.count(b'"out.example."') == 1, "at the container and at the host: once"
    assert result.ledger["duplicates"] >= 1
    assert extras(folder, "inside") == {f"{one.name}/lo/"}
    assert extras(folder, "out") == {f"{one.name}/eth0/"}
    assert extras(folder, "own") == {"/lo/"}
    assert extras(folder, "other") == ({f"{two.name}/lo/"} if wanted == "all" else set())


def test_comes_later(three, spaces, tap):
    """A namespace made after the start is found, and its interfaces as they come."""
    here = three[0]
    running = tap("--netns", "all", "-", "full", space=here).wait_watching()
    later = spaces()
    with Listener(later):
        asked_until_seen(running, later, "127.0.0.1", "later.example")
        join(here, "late0", later, "eth0")
        later.add_addresses("eth0", "10.73.0.2/24")
        here.add_addresses("late0", "10.73.0.1/24")
        asked_until_seen(running, here, "10.73.0.2", "reached.example")
        until(lambda: watched(later) == ["eth0", "lo"], "watched inside")
    stop_balanced(running)


def test_found_twice(three, tap):
    """A namespace with two names and a process is attached once."""
    here, one, _ = three
    second = f"{one.name}again"
    ip("netns", "attach", second, str(os.getpid()))  # makes the file; then it is ours to mount on
    subprocess.run(["umount", f"/run/netns/{second}"], check=True)
    subprocess.run(["mount", "--bind", f"/run/netns/{one.name}", f"/run/netns/{second}"],
                   check=True)
    try:
        with process_in(one):
            running = tap("--netns", "all", "-", "full", space=here).wait_watching()
            time.sleep(2.5)
            assert watched(one) == ["eth0", "lo"]
            stop_balanced(running)
    finally:
        Namespace.remove(second)


def test_dead_is_let_go(three, tap):
    """Our sockets would keep a namespace alive: while the tap sleeps they do, then no more."""
    here, one, two = three
    running = tap("--netns", "all", "-", "full", space=here).wait_watching()
    with Listener(one):
        asked_until_seen(running, one, "127.0.0.1", "alive.example")
    running.process.send_signal(signal.SIGSTOP)
    one.close()
    time.sleep(1)
    assert has_link(here, "host1"), "it is alive as long as somebody holds a socket in it"
    running.process.send_signal(signal.SIGCONT)
    until(lambda: not has_link(here, "host1"), "the namespace went")
    with process_in(two):  # a process is enough to stay
        with Listener(two):
            asked_until_seen(running, two, "127.0.0.1", "named.example")
            subprocess.run(["umount", f"/run/netns/{two.name}"], check=True)
            time.sleep(2.5)
            assert has_link(here, "host2")
    until(lambda: not has_link(here, "host2"), "the namespace went with its process")
    assert "no longer watching" in stop_balanced(running).stderr


def test_blind_lets_go(three, tap):
    """While nobody can list them, none is kept alive; afterwards those that live are watched."""
    here, one, two = three
    running = tap("--netns", "all", "-", "full", space=here).wait_watching()
    until(lambda: watched(two) == ["eth0", "lo"], "watched at first")
    opener = opener_of(running.process)
    os.kill(opener, signal.SIGSTOP)
    try:
        one.close()
        until(lambda: not has_link(here, "host1"), "the namespace went")
        until(lambda: watched(two) == [], "the other one too")
        assert watched(here)
        assert running.stderr.count("not watched until they can be listed again") == 1
    finally:
        os.kill(opener, signal.SIGCONT)
    with Listener(two):
        asked_until_seen(running, two, "127.0.0.1", "listed.example")
    stop_balanced(running)


def test_tries_again(three, tap, folder):
    """What could not be attached for want of descriptors is attached when there are some."""
    here, one, two = three
    limited = folder / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n {DESCRIPTORS}\nexec {binary()} "$@"\n')
    limited.chmod(0o755)
    running = tap("--netns", "all", "-", "full", space=here, program=limited).wait_watching()
    until(lambda: watched(one) == ["eth0", "lo"], "watched at first")
    room = DESCRIPTORS - descriptors(running.process.pid)
    ip_batch(one, *(line for number in range(room + 2) for line in (
        f"link add m{number} type veth peer name p{number}",
        f"address add 10.75.{number}.1/24 dev m{number}",
        f"link set m{number} up")))
    until(lambda: "cannot watch interface m" in running.stderr, "refused")
    time.sleep(3)  # addresses are settled: the kernel has no more to say of this namespace
    before = len(watched(one))
    two.close()  # nothing happens in the other, and yet its interfaces get what this had
    until(lambda: len(watched(one)) > before, "tried again")
    stop_balanced(running)


def test_more_than_fit(three, tap):
    """It is said once, and who is watched stays it."""
    here, one, _ = three
    running = tap("--netns", "all", "-", "full", space=here).wait_watching()
    until(lambda: watched(one) == ["eth0", "lo"], "watched at first")
    crowd = [subprocess.Popen(["unshare", "--net", "sleep", "600"]) for _ in range(SLOTS + 1)]
    try:
        until(lambda: f"more than {SLOTS} network namespaces" in running.stderr, "said")
        time.sleep(2.5)  # another scan
        with Listener(one):
            asked_until_seen(running, one, "127.0.0.1", "still.example")
        assert running.stderr.count("more than") == 1
    finally:
        for process in crowd:
            process.kill()
            process.wait(10)
    stop_balanced(running)


def test_addresses_of_all(three, tap, folder):
    """The addresses of a watched namespace are this host's; without it the same is transit."""
    here, one, two = three
    here.sysctl("net.ipv4.ip_forward", 1)
    alone = tap("-", "full", space=here).wait_watching()
    running = tap("--netns", one.name, "-", "full", f"file://{folder}/x.fstrm", "full",
                  space=here).wait_watching()
    with Listener(one):
        asked_until_seen(running, two, "10.71.0.2", "passing.example")
        until(lambda: b"passing" in Path(running.out).read_bytes(), "written")
    assert stop_balanced(alone).ledger["transit"] >= 1
    result = stop_balanced(running)
    assert result.ledger["transit"] == 0
    assert {message.type for message in read_messages(folder / "x.fstrm")} == {"CLIENT_QUERY"}


@pytest.mark.needs("cgroups")
def test_container(three, tap, folder):
    """The container's id comes from the control group of its process, and can be asked for."""
    here, one, _ = three
    container = "".join(random.choice("0123456789abcdef") for _ in range(64))
    group = cgroup_folder() / f"docker-{container}.scope"
    group.mkdir()
    try:
        with process_in(one) as pid:
            (group / "cgroup.procs").write_text(str(pid))
            running = tap("--netns", container[:12], "--extra", "{container}", "-", "full",
                          f"file://{folder}/x.fstrm", "full", space=here).wait_watching()
            with Listener(one):
                asked_until_seen(running, one, "127.0.0.1", "contained.example")
            stop_balanced(running)
        assert extras(folder, "contained") == {container}
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), "its process is gone")
        group.rmdir()


def test_said_at_the_start(three, tap):
    """Without --netns a line says that there is more than is watched."""
    running = tap("-", space=three[0]).wait_watching()
    until(lambda: "are not watched: --netns all" in running.stderr, "said")
    stop_balanced(running)


class Load:
    """Queries to a namespace's own address until it is stopped."""

    def __init__(self, space) -> None:
        self.space, self.stopped = space, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "Load":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stopped.set()
        self.thread.join()

    def run(self) -> None:
        while not self.stopped.is_set():
            for number in range(20):
                ask(self.space, "127.0.0.1", f"load{number}.example")
            time.sleep(0.01)


def make_batch(here, batch):
    """BATCH namespaces with veth pairs into `here`, made by as few commands as possible."""
    made = [Namespace() for _ in range(BATCH)]
    ip_batch(here, *(line for number, space in enumerate(made) for line in (
        f"link add v{batch}x{number} type veth peer name eth0 netns {space.name}",
        f"address add 10.{batch}.{number}.1/24 dev v{batch}x{number}",
        f"link set v{batch}x{number} up")))
    for space in made:
        ip_batch(space, "address add 10.99.0.1/24 dev eth0", "link set eth0 up")
    return made


def links(space):
    return [line.split(":")[1].split("@")[0].strip()
            for line in space.ip("-o", "link", "show").splitlines()]


def namespaces_alive():
    return len(subprocess.run(["lsns", "-t", "net", "-n", "-o", "NS"], capture_output=True,
                              text=True, check=True).stdout.split())


Counts = collections.namedtuple(
    "Counts", "fds opener_fds kib opener_kib bpf opener_bpf namespaces")


def left(first, last):
    """What is there at last that was not at first."""
    return [name for name, is_left in (
        ("bpf", (last.bpf, last.opener_bpf) != (first.bpf, first.opener_bpf)),
        ("opener_fds", last.opener_fds > first.opener_fds),
        ("fds", last.fds - first.fds >= OTHERS)) if is_left]


def test_rounds(spaces, tap, capsys):
    """200 namespaces with veth pairs come and go under load: nothing is left of them."""
    here, counts = spaces(), []
    running = tap("--netns", "all", "--query-timeout", 1, "--max-queries", 4096, "--queue-size",
                  "1M", "-", "full", space=here).wait_watching()
    opener = opener_of(running.process)

    def count():
        return Counts(descriptors(running.process.pid), descriptors(opener),
                      own_kib(running.process.pid), own_kib(opener),
                      bpf_objects(running.process.pid), bpf_objects(opener), namespaces_alive())

    with Listener(here), Load(here):
        for batch in range(BATCHES + 1):  # the first makes what is made once
            made = make_batch(here, batch)
            try:
                until(lambda: all(watched(space) == ["eth0", "lo"] for space in made),
                      "all of the batch are watched")
                asked_until_seen(running, made[-1], "127.0.0.1", f"round{batch}.example")
            finally:
                for space in made:
                    space.close()
            until(lambda: not any(link.startswith("v") for link in links(here)),
                  "all of the batch are gone")
            until(lambda: watched(here) == ["lo"], "nothing of it is watched")
            if counts:  # what is closed is given back a little later
                until(lambda: not left(counts[0], count()), "what was opened for it is closed")
            counts.append(count())
    stop_balanced(running)
    first, last = counts[0], counts[-1]
    with capsys.disabled():
        for rounds, one in ((0, first), (BATCHES * BATCH, last)):
            print(f"\n{rounds} rounds: descriptors {one.fds} and {one.opener_fds}, KiB {one.kib} "
                  f"and {one.opener_kib}, programs {len(one.bpf['prog_id'])}, maps "
                  f"{len(one.bpf['map_id'])}, namespaces {one.namespaces}", end="")
    assert last.kib - first.kib < GREW_KIB and last.opener_kib - first.opener_kib < GREW_KIB
    assert last.namespaces - first.namespaces < OTHERS
