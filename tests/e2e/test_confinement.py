# SPDX-License-Identifier: BSD-2-Clause
"""What each process of a tap may do, as the kernel tells it. What it can do all the same:
test_rights.py."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

import captures
from collectors import wait_until
from frames import read_file
from hosts import is_gone, opener_of
from scripted import Load
from tap import NOBODY, REPOSITORY, Tap, binary, stop_balanced

ROOT = pytest.mark.needs("root")
LIVE = pytest.mark.needs("root", "namespaces", "bpf")
TALK = REPOSITORY / "tests" / "data" / "talk-ethernet.pcap"
MESSAGES = 42  # in TALK
CAPABILITIES = {"dac_override": 1, "net_raw": 13, "sys_ptrace": 19, "sys_admin": 21}
THREE = ("net_raw", "bpf", "perfmon")
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def mask(*names):
    return sum(1 << CAPABILITIES[name] for name in names)


def read_status(path):
    """The fields of a status file of proc(5)."""
    return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)


def ids(status, name):
    return {int(word) for word in status[name].split()}


def capabilities(status):
    return {name: int(status[name], 16) for name in SETS}


def worker(tap):
    """The status of each of its threads."""
    tasks = Path(f"/proc/{tap.process.pid}/task")
    return [read_status(task / "status") for task in tasks.iterdir()]


def opener(tap):
    status = read_status(Path(f"/proc/{opener_of(tap.process)}/status"))
    assert status["Name"].strip() == "dnstap-opener"
    assert status["Threads"].strip() == "1"
    return status


def check_confined(status, uid):
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2", status
    assert ids(status, "Uid") == {uid}
    assert (ids(status, "Gid") == {0}) == (uid == 0)


def check_powerless(status, uid=NOBODY, bounds=False):
    """bounds: the bounding set is as it was."""
    check_confined(status, uid)
    assert status["Groups"].split() == []
    left = capabilities(status)
    assert all(left[name] == 0 for name in SETS if not (bounds and name == "CapBnd")), left


def check_opener(status, uid, kept):
    check_confined(status, uid)
    left = capabilities(status)
    assert left["CapPrm"] == left["CapEff"] == kept, left
    assert left["CapInh"] == left["CapAmb"] == 0
    assert uid or left["CapBnd"] == 0


@LIVE
def test_started_by_root(space, tap, folder):
    """Every thread of the worker is nobody's and may nothing; the opener has two capabilities."""
    running = tap(f"unix://{folder}/s?spool={folder}/spool", "full", "tcp://127.0.0.1:6000",
                  "tls://localhost:6001", f"file://{folder}/x.fstrm", "-", space=space)
    running.wait_watching()
    wait_until("a thread for each sink", lambda: len(worker(running)) == 6)
    for status in worker(running):
        check_powerless(status)
    second = opener_of(running.process)
    check_opener(opener(running), 0, mask("net_raw", "dac_override"))
    for pid in (running.process.pid, second):
        limit = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
                     if line.startswith("Max core file size"))
        assert limit.split()[4:6] == ["0", "0"]
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0, "not dumpable"
    held = [os.readlink(path) for path in Path(f"/proc/{second}/fd").iterdir()]
    assert not any(name.startswith("anon_inode") for name in held), "neither BPF nor perf"
    stop_balanced(running)
    assert is_gone(second)


@LIVE
def test_started_with_three_capabilities(space, tap, folder, readable_program):
    """The user stays. Without CAP_SETPCAP the bounding set does too, and no_new_privs stands."""
    running = tap(f"file://{folder}/x.fstrm", "full", space=space, nobody=True,
                  capabilities=THREE, program=readable_program).wait_watching()
    for status in worker(running):
        check_powerless(status, bounds=True)
    check_opener(opener(running), NOBODY, mask("net_raw"))
    with Load(space, 1000) as load:
        sent = load.stop()
    result = stop_balanced(running)
    assert 0 < result.ledger["frames"] == sent == len(read_file(folder / "x.fstrm"))


@LIVE
def test_opener_with_namespaces(space, tap, folder):
    """Entering namespaces takes two more capabilities, in the opener alone."""
    running = tap("--netns", space.name, "-i", "lo", f"file://{folder}/x.fstrm", "full")
    running.wait_watching()
    for status in worker(running):
        check_powerless(status)
    check_opener(opener(running), 0, mask("net_raw", "dac_override", "sys_admin", "sys_ptrace"))
    stop_balanced(running)


@contextlib.contextmanager
def replay_from_pipe(folder, *words, **options):
    """A replay that stands in the middle of its file; what is yielded is the tap and the rest."""
    pipe = folder / "pipe"
    os.mkfifo(pipe, 0o600)
    with Tap(folder, "-r", pipe, *words, **options) as running:
        content = captures.pcap(captures.ETHERNET, captures.large_ethernet(5))
        with open(pipe, "wb", buffering=0) as writer:
            writer.write(content[:60])
            wait_until("it reads", lambda: worker(running)[0]["Seccomp"].strip() == "2"
                       or running.process.poll() is not None)
            yield running
            writer.write(content[60:])
        assert running.wait(20).status == 0, running.stderr


@ROOT
def test_replay_by_root(folder):
    """A capture file is no more to be trusted than packets; one that only root may read is read."""
    program = folder / "with-groups"
    program.write_text(f'#!/bin/sh\nexec setpriv --groups 4,24 "{binary()}" "$@"\n')
    program.chmod(0o755)
    with replay_from_pipe(folder, f"file://{folder}/x.fstrm", "full", program=program) as running:
        assert opener(running)["Groups"].split() == ["4", "24"], "as it was started"
        for status in worker(running):
            check_powerless(status)
        check_opener(opener(running), 0, mask("net_raw", "dac_override"))
        wait_until("the sink, and so the signals", (folder / "x.fstrm").exists)
        running.process.send_signal(signal.SIGUSR1)
        wait_until("the ledger, though it waits", lambda: "ledger:" in running.stderr)
    assert len(read_file(folder / "x.fstrm")) == 10


@ROOT
def test_replay_by_anybody(folder, readable_program):
    with contextlib.ExitStack() as stack:
        folder.chmod(0o777)
        done = subprocess.Popen(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
             readable_program, "-r", "-", f"file://{folder}/x.fstrm", "full"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        stack.callback(done.kill)
        path = Path(f"/proc/{done.pid}/status")
        wait_until("confined", lambda: read_status(path)["Seccomp"].strip() == "2")
        check_powerless(read_status(path), bounds=True)
        assert done.communicate(TALK.read_bytes(), 20) and done.returncode == 0
    assert len(read_file(folder / "x.fstrm")) == MESSAGES
    assert (folder / "x.fstrm").stat().st_uid == NOBODY


def run(*words):
    return subprocess.run([str(word) for word in (binary(), *words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


@ROOT
def test_user(folder):
    """--user by name and by number; the default is dnstap-bpf where there is one."""
    with replay_from_pipe(folder, "--user", "daemon", f"file://{folder}/x", "full") as running:
        check_powerless(worker(running)[0], uid=1)
    (folder / "pipe").unlink()
    with replay_from_pipe(folder, "--user", "4711", f"file://{folder}/x", "full") as running:
        check_powerless(worker(running)[0], uid=4711)
    (folder / "pipe").unlink()
    (folder / "passwd").write_text(
        Path("/etc/passwd").read_text() + "dnstap-bpf:x:4712:4712::/nonexistent:/bin/false\n")
    script = folder / "with-user"
    script.write_text(f'#!/bin/sh\nmount --bind "{folder}/passwd" /etc/passwd && '
                      f'exec "{binary()}" "$@"\n')
    script.chmod(0o755)
    wrapper = folder / "unshared"
    wrapper.write_text(f'#!/bin/sh\nexec unshare -m "{script}" "$@"\n')
    wrapper.chmod(0o755)
    with replay_from_pipe(folder, f"file://{folder}/x", "full", program=wrapper) as running:
        check_powerless(worker(running)[0], uid=4712)


@ROOT
@pytest.mark.parametrize("words", (["-r", TALK], ["-i", "lo"]), ids=("replay", "live"))
def test_no_such_user(folder, words):
    done = run(*words, "--user", "no-such-user", f"file://{folder}/x", "full")
    assert done.returncode == 1 and not (folder / "x").exists()
    assert len(done.stderr.splitlines()) == 1 and "--user no-such-user" in done.stderr


@ROOT
def test_root_without_setuid(folder):
    """As in a container to which only the three are granted: one line says what to do."""
    command = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all", "--ambient-caps=-all",
               binary(), "-r", TALK]
    done = subprocess.run([*map(str, command), f"file://{folder}/x", "full"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 1 and "CAP_SETUID" in done.stderr and "--user root" in done.stderr
    done = subprocess.run([*map(str, command), "--user", "root", f"file://{folder}/x", "full"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "stays root" in done.stderr, done.stderr
    assert len(read_file(folder / "x")) == MESSAGES


@LIVE
def test_log_and_off(space, tap, folder):
    running = tap("--confine", "log", f"file://{folder}/x", "full", space=space).wait_watching()
    for status in worker(running):
        check_powerless(status)
    assert "--confine log" in stop_balanced(running).stderr
    running = tap("--confine", "off", f"file://{folder}/y", "full", space=space).wait_watching()
    status = worker(running)[0]
    assert ids(status, "Uid") == {0} and status["Seccomp"].strip() == "0"
    assert "--confine off" in stop_balanced(running).stderr
