# SPDX-License-Identifier: BSD-2-Clause
"""What each process of a tap may do, as the kernel tells it; and that with so little everything
still works that only the operator's rights can reach."""

import contextlib
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
from hosts import watched
from netns import settle
from scripted import Load, Scripted, server_context, sink_text
from tap import NOBODY, REPOSITORY, Tap, binary, stop_balanced

ROOT = pytest.mark.needs("root")
LIVE = pytest.mark.needs("root", "namespaces", "bpf")
TALK = REPOSITORY / "tests" / "data" / "talk-ethernet.pcap"
MESSAGES = 42  # in TALK
CAPABILITIES = {"dac_override": 1, "net_raw": 13, "sys_ptrace": 19, "sys_admin": 21}
THREE = ("net_raw", "bpf", "perfmon")
EXIT_SECONDS = 10  # 3, and what a busy machine adds
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


def opener_pid(tap):
    pid = tap.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1, children
    return int(children[0])


def opener(tap):
    status = read_status(Path(f"/proc/{opener_pid(tap)}/status"))
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


def is_gone(pid):
    return not Path(f"/proc/{pid}").exists()


@LIVE
def test_started_by_root(space, tap, folder):
    """Every thread of the worker is nobody's and may nothing; the opener has two capabilities."""
    running = tap(f"unix://{folder}/s?spool={folder}/spool", "full", "tcp://127.0.0.1:6000",
                  "tls://localhost:6001", f"file://{folder}/x.fstrm", "-", space=space)
    running.wait_watching()
    wait_until("a thread for each sink", lambda: len(worker(running)) == 6)
    for status in worker(running):
        check_powerless(status)
    second = opener_pid(running)
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
        pid = process.pid
        second = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        begun = time.monotonic()
        os.killpg(pid, signal.SIGINT)
        assert process.wait(60) == 0, err.read_text()
        assert time.monotonic() - begun < EXIT_SECONDS
        wait_until("the opener's end", lambda: is_gone(second))
    finally:
        process.kill()
        process.wait(10)
    assert "balanced: every packet" in err.read_text()


@LIVE
def test_killed(space, tap, folder):
    """The opener ends with the worker, and the worker says so and ends when it loses the opener."""
    running = tap(f"file://{folder}/x", "full", space=space).wait_watching()
    second = opener_pid(running)
    running.process.kill()
    running.process.wait(10)
    wait_until("the opener's end", lambda: is_gone(second))
    running = tap(f"file://{folder}/x", "full", space=space).wait_watching()
    os.kill(opener_pid(running), signal.SIGKILL)
    result = running.wait()
    assert result.status == 1 and "the opener has ended" in result.stderr
    read_file(folder / "x")


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
        second = opener_pid(running)
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
def test_opener_stopped_for_a_while(space, tap, folder):
    """An interface that came meanwhile is watched once the opener answers again."""
    running = tap(f"file://{folder}/x", "full", space=space).wait_watching()
    second = opener_pid(running)
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
def test_standard_output(space, tap, folder):
    """Lines go out through a pipe that root made, and a slow reader never blocks the tap."""
    with subprocess.Popen(space.command(binary(), "-", "full"), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        path = Path(f"/proc/{process.pid}/status")
        wait_until("confined", lambda: "Seccomp" in path.read_text()
                   and read_status(path)["Seccomp"].strip() == "2")
        wait_until("the sink", lambda: any(
            os.readlink(one) == os.readlink(f"/proc/{process.pid}/fd/1") and int(one.name) > 2
            for one in Path(f"/proc/{process.pid}/fd").iterdir()))
        wait_until("it watches", lambda: watched(space) == ["lo"])
        with Load(space, 8000) as load:
            wait_until("more than a pipe holds", lambda: load.sent > 3000)
            sent = load.stop()
        settle()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.count(b"\n") == sent, err.decode()
