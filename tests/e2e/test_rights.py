# SPDX-License-Identifier: BSD-2-Clause
"""With rights given up, everything still works that only the operator's rights can reach; and what
becomes of the two processes when one of them stops, is killed or told to end."""

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

import captures
from certificates import Certificates
from collectors import Collector, wait_until
from frames import read_file
from hosts import is_gone, opener_of
from netns import settle
from scripted import Load, Scripted, server_context, sink_text
from tap import Tap, binary, stop_balanced
from test_confinement import worker

ROOT = pytest.mark.needs("root")
LIVE = pytest.mark.needs("root", "namespaces", "bpf")
EXIT_SECONDS = 10  # 3, and what a busy machine adds


@pytest.fixture
def secret(folder):
    """A folder into which only root may look."""
    path = folder / "secret"
    path.mkdir(0o700)
    return path


@LIVE
def test_what_only_root_reaches(space, tap, secret):
    """A collector's socket that comes later, files and their rotation, the ledger."""
    path = secret / "s"
    running = tap("--ledger", secret / "ledger.json", f"unix://{path}", "full",
                  f"file://{secret}/%Y-x.fstrm?rotate-size=64K", "full", space=space)
    running.wait_watching()
    with Load(space, 4000) as load:
        time.sleep(6)  # pauses grow with what has passed
        begun = time.monotonic()
        with Collector(path) as collector:
            path.chmod(0o600)
            collector.wait_started()
            assert time.monotonic() - begun < 2, "it was not seen to come"
            collector.wait_frames(1)
        path.unlink()
        with Collector(path) as again:
            path.chmod(0o600)
            again.wait_started()
            again.wait_frames(1)
            wait_until("several files", lambda: len(list(secret.glob("*x.fstrm*"))) > 3)
            running.process.send_signal(signal.SIGUSR1)
            wait_until("the ledger", (secret / "ledger.json").exists)
            sent = load.stop()
            result = running.stop()
            wait_until("FINISH", lambda: again.finished == 1)
    assert result.status == 0, result.stderr
    files = sorted(secret.glob("*x.fstrm*"))
    assert len(files) > 3 and sum(len(read_file(one)) for one in files) == sent
    assert len(collector.arrivals) > 0 and len(again.arrivals) > 0
    for one in (*files, secret / "ledger.json"):
        status = one.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o644)
    assert '"balanced": true' in (secret / "ledger.json").read_text()
    assert [one.name for one in secret.glob("ledger*")] == ["ledger.json"]


@LIVE
def test_spool_only_root_reaches(space, tap, secret, folder):
    """Written while the collector is away, found by the next run, and given back."""
    words = (f"unix://{secret}/s?spool={secret}/spool&spool-size=4M", "full")
    running = tap(*words, space=space).wait_watching()
    with Load(space, 8000) as load:
        wait_until("enough is sent", lambda: load.sent > 3000)
        sent = load.stop()
    assert stop_balanced(running).sinks[0]["spooled"] == sent
    segments = list((secret / "spool").rglob("*.seg"))
    assert segments and {one.stat().st_uid for one in segments} == {0}
    with Collector(secret / "s") as collector:
        again = tap(*words, space=space).wait_watching()
        collector.wait_frames(sent)
        assert stop_balanced(again).sinks[0]["confirmed"] == sent
    assert not list((secret / "spool").rglob("*.seg"))


@LIVE
def test_tls_key_only_root_reads(space, tap, secret, session_folder):
    """The key, both certificates and a folder of CAs; a key renewed in place is taken up."""
    made = Certificates(secret / "certificates")
    cas = secret / "cas"
    cas.mkdir(0o700)
    (cas / "ca.pem").write_bytes(made.path("ca.pem").read_bytes())
    subprocess.run(["openssl", "rehash", str(cas)], check=True, capture_output=True, timeout=60)
    made.path("client.key").chmod(0o600)
    where = ("127.0.0.1", 6090)
    sink = sink_text("tls", ("localhost", 6090), f"tls-ca={cas}",
                     f"tls-cert={made.path('client.pem')}", f"tls-key={made.path('client.key')}")
    running = tap(sink, "full", space=space)
    with Scripted(where, "good", server_context(made, client_ca="ca"), space) as first:
        running.wait_watching()
        first.wait_started()
    made.make("client", "DNS:renewed.example", ca="other-ca")
    made.path("client.key").chmod(0o600)
    with Scripted(where, "good", server_context(made, client_ca="other-ca"), space) as second:
        second.wait_started()
        with Load(space, 100) as load:
            sent = load.stop()
        second.wait_frames(sent)
        stop_balanced(running)
    assert running.stderr.count("connected") >= 2, running.stderr


@LIVE
def test_ends_from_a_terminal(space, folder):
    """Ctrl-C goes to both processes: the worker ends in its time, and with it the opener."""
    err = folder / "err"
    with open(err, "wb") as errors:
        process = subprocess.Popen(
            space.command(binary(), f"unix://{folder}/nobody", "full", f"file://{folder}/x",
                          "full"), stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until("watching", lambda: "watching" in err.read_text() or process.poll() is not None)
        second = opener_of(process)
        begun = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0, err.read_text()
        assert time.monotonic() - begun < EXIT_SECONDS
        wait_until("the opener's end", lambda: is_gone(second))
    finally:
        process.kill()
        process.wait(10)
    assert "balanced: every packet" in err.read_text()


@LIVE
@pytest.mark.parametrize("stopped", (False, True), ids=("running", "stopped"))
def test_killed(space, tap, folder, stopped):
    """The opener ends with the worker, whatever it is doing."""
    running = tap(f"file://{folder}/x", "full", space=space).wait_watching()
    second = opener_of(running.process)
    if stopped:
        os.kill(second, signal.SIGSTOP)
    running.process.kill()
    running.process.wait(10)
    wait_until("the opener's end", lambda: is_gone(second))


@LIVE
def test_opener_killed(space, tap, folder):
    """The worker says that it has lost the opener, and ends."""
    running = tap(f"file://{folder}/x", "full", space=space).wait_watching()
    os.kill(opener_of(running.process), signal.SIGKILL)
    result = running.wait()
    assert result.status == 1 and "the opener has ended (signal 9)" in result.stderr
    read_file(folder / "x")


@ROOT
@pytest.mark.parametrize("waits_for", ("packet", "room"))
def test_opener_of_a_replay_killed(folder, waits_for):
    """So does a replay that waits: in the middle of a packet, or for room in a queue."""
    pipe = folder / "pipe"
    os.mkfifo(pipe, 0o600)
    words = (pipe, f"file://{folder}/x") if waits_for == "packet" else (
        captures.write_large(folder / "large", 5000), "tcp://127.0.0.1:9?queue=128K")
    with Tap(folder, "-r", *words, "full") as running:
        with open(pipe, "r+b", buffering=0) as writer:
            writer.write(captures.pcap(captures.ETHERNET, captures.large_ethernet(1))[:60])
            wait_until("it reads", lambda: worker(running)[0]["Seccomp"].strip() == "2")
            time.sleep(0.2)
            os.kill(opener_of(running.process), signal.SIGKILL)
            result = running.wait()
    assert result.status == 1 and "the opener has ended (signal 9)" in result.stderr


@LIVE
def test_children_of_others(space, tap, folder):
    """As the first process of a container the tap hears of the end of processes it never made."""
    program = folder / "with-child"
    program.write_text(f'#!/bin/sh\nsleep 1 &\necho $! >{folder}/child\nexec "{binary()}" "$@"\n')
    program.chmod(0o755)
    running = tap(f"file://{folder}/x", "full", space=space, program=program).wait_watching()
    child = Path("/proc", (folder / "child").read_text().strip(), "stat")
    wait_until("its end", lambda: child.read_text().split()[2] == "Z")
    time.sleep(0.2)
    stop_balanced(running)


def add_interface(space, name):
    space.ip("link", "add", name, "type", "veth", "peer", "name", "peer")
    space.ip("address", "add", "192.0.2.1/24", "dev", name)
    space.ip("link", "set", name, "up")


@LIVE
def test_opener_stopped(space, tap, folder):
    """What does not answer holds up neither the packets nor the exit, and no file is emptied."""
    running = tap(f"unix://{folder}/s", "full", f"file://{folder}/x", "full", space=space)
    with Collector(folder / "s") as collector:
        running.wait_watching()
        collector.wait_started()
        second = opener_of(running.process)
        os.kill(second, signal.SIGSTOP)
        try:
            add_interface(space, "new0")
            running.process.send_signal(signal.SIGHUP)
            with Load(space, 1000) as load:
                collector.wait_frames(1000)
                sent = load.stop()
            wait_until("all of them", lambda: len(collector.arrivals) == sent)
            begun = time.monotonic()
            running.process.send_signal(signal.SIGTERM)
            result = running.wait()
            assert time.monotonic() - begun < EXIT_SECONDS
        finally:
            if not is_gone(second):
                os.kill(second, signal.SIGCONT)
    space.ip("link", "del", "new0")
    assert "the opener does not answer" in result.stderr
    assert result.status == 1 and "cannot write the ledger" in result.stderr
    assert "balanced: every packet" in result.stderr
    assert len(read_file(folder / "x")) == sent
    wait_until("the opener's end", lambda: is_gone(second))


@LIVE
def test_exit_when_nothing_answers(space, tap, folder):
    """The opener is stopped and a collector never reads: their times do not add up."""
    running = tap("tcp://127.0.0.1:6091", "full", space=space)
    with Scripted(("127.0.0.1", 6091), "never_reads", space=space):
        running.wait_watching()
        with Load(space, 20000) as load:
            wait_until("more than a socket holds", lambda: load.sent > 8000)
            load.stop()
        os.kill(opener_of(running.process), signal.SIGSTOP)
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        result = running.wait()
        seconds = time.monotonic() - begun
    assert "cannot write the ledger" in result.stderr
    assert 2 < seconds < EXIT_SECONDS


@LIVE
def test_opener_stopped_for_a_while(space, tap, folder):
    """An interface that came meanwhile is watched once the opener answers again."""
    running = tap(f"file://{folder}/x", "full", space=space).wait_watching()
    second = opener_of(running.process)
    os.kill(second, signal.SIGSTOP)
    try:
        add_interface(space, "new1")
        time.sleep(1.5)
        assert "new1" not in running.stderr
    finally:
        os.kill(second, signal.SIGCONT)
    wait_until("new1", lambda: "new1" in running.stderr)
    stop_balanced(running)
    space.ip("link", "del", "new1")


@LIVE
def test_standard_output(space, folder):
    """Lines go out through a pipe that root made, and a slow reader never blocks the tap."""
    err = folder / "err"
    with open(err, "wb") as errors, subprocess.Popen(
            space.command(binary(), "-", "full"), stdout=subprocess.PIPE, stderr=errors,
            stdin=subprocess.DEVNULL) as process:
        wait_until("it watches", lambda: "watching" in err.read_text())
        with Load(space, 8000) as load:
            wait_until("more than a pipe holds", lambda: load.sent > 3000)
            sent = load.stop()
        settle()
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 0, err.read_text()
    assert out.count(b"\n") == sent, err.read_text()
