# SPDX-License-Identifier: BSD-2-Clause
"""What the service manager hears of the tap, and what it makes of the unit."""

import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from collectors import wait_until
from hosts import until_at_rest
from scripted import Load, Scripted
from tap import REPOSITORY, stop_balanced

LIVE = pytest.mark.needs("root", "namespaces", "bpf")
EXPOSURE_MAX = 2.0
STATUS_SECONDS = 5  # user/agent/service.h
UNIT = REPOSITORY / "scripts" / "deploy" / "systemd" / "dnstap-bpf.service.in"


class Manager:
    """A socket as NOTIFY_SOCKET names it; messages are (monotonic time, {name: value})."""

    def __init__(self, folder, monkeypatch, watchdog_us=0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        (folder / "notify").chmod(0o777)  # the tap is another user by then
        self.heard = []
        self.passed = 0  # of heard
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        if watchdog_us:
            monkeypatch.setenv("WATCHDOG_USEC", str(watchdog_us))

    def listen(self, seconds):
        """All messages of so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(4096).decode()
            except TimeoutError:
                break
            self.heard.append(
                (time.monotonic(), dict(line.split("=", 1) for line in data.splitlines())))
        return self.heard

    def wait_for(self, name, pattern=".*", seconds=60):
        """The next message, behind the last that was waited for, with such a value."""
        end = time.monotonic() + seconds
        while True:
            for when, message in self.heard[self.passed:]:
                self.passed += 1
                if re.search(pattern, message.get(name, "\0")):
                    return when, message
            assert time.monotonic() < end, f"no {name}={pattern} in {self.heard}"
            self.listen(0.05)

    def count(self, name):
        return sum(name in message for _, message in self.heard)


@pytest.fixture
def manager(folder, monkeypatch):
    made = []

    def make(**words):
        made.append(Manager(folder, monkeypatch, **words))
        return made[-1]

    yield make
    for one in made:
        one.socket.close()


@LIVE
def test_life(space, tap, folder, manager):
    """Ready when all is open; a line that follows what happens; reloading; stopping."""
    service = manager(watchdog_us=2_000_000)  # an idle loop looks at its line when it wakes
    there = folder / "there"
    with Scripted(there) as collector:
        running = tap(f"unix://{there}", f"unix://{folder}/missing", space=space)
        _, ready = service.wait_for("READY", "1")
        assert "watching lo" in running.stderr, "READY comes when everything is open"
        assert re.fullmatch(r"Watching lo \((array|BPF|perf) ring\); [01] of 2 sinks connected; "
                            "0 messages, 0 lost", ready["STATUS"])
        began = time.monotonic()
        with Load(space, 500) as load:
            wait_until("enough is sent", lambda: load.sent > 100)
            sent = load.stop()
        service.wait_for("STATUS", f"1 of 2 sinks connected; {sent} messages, 0 lost")
        told = service.count("STATUS")
        assert told <= 3 + (time.monotonic() - began) / STATUS_SECONDS
        running.process.send_signal(signal.SIGHUP)
        _, reloading = service.wait_for("RELOADING", "1")
        assert int(reloading["MONOTONIC_USEC"]) > 0
        service.wait_for("READY", "1")
        result = stop_balanced(running, signal.SIGTERM)
        service.wait_for("STOPPING", "1")
        assert collector.finished == 1 and result.ledger["messages"] == sent
    assert [name for _, message in service.heard for name in message
            if name not in ("STATUS", "WATCHDOG")] == ["READY", "RELOADING", "MONOTONIC_USEC", "READY", "STOPPING"]


@LIVE
def test_not_ready_when_a_sink_cannot_be_opened(space, tap, manager):
    service = manager()
    assert tap("file:///nowhere/x", space=space).wait().status == 1
    assert service.listen(0.2) == []


def check_beats(service, interval, began):
    """Six, on the average more often than the interval; in all not much more often than twice."""
    first, _ = service.wait_for("WATCHDOG", "1")
    for _ in range(5):
        last, _ = service.wait_for("WATCHDOG", "1")
    assert (last - first) / 5 < interval
    assert service.count("WATCHDOG") < 2 + (last - began) / (interval / 4)


def is_stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


@LIVE
def test_watchdog(space, tap, manager):
    """At half the interval, from an idle loop and a busy one; a loop that hangs says nothing."""
    service = manager(watchdog_us=600_000)
    began = time.monotonic()
    running = tap("-", space=space).wait_watching()
    check_beats(service, 0.6, began)
    with Load(space, 3000):
        check_beats(service, 0.6, began)
    running.process.send_signal(signal.SIGSTOP)
    wait_until("it stands still", lambda: is_stopped(running.process.pid))
    service.listen(0.1)
    quiet = service.count("WATCHDOG")
    service.listen(0.7)
    assert service.count("WATCHDOG") == quiet
    running.process.send_signal(signal.SIGCONT)
    service.wait_for("WATCHDOG", "1")
    stop_balanced(running)


@LIVE
def test_nobody_listens(space, tap, monkeypatch):
    """Without a service manager an idle tap sleeps; a socket that is gone does not disturb it."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    with tap("-", space=space).wait_watching() as gone:
        stop_balanced(gone)
    monkeypatch.delenv("NOTIFY_SOCKET")
    running = tap("-", space=space).wait_watching()
    until_at_rest(running.process.pid)
    stop_balanced(running)


@LIVE
def test_journal(space, tap, folder, monkeypatch):
    """Where standard error is the journal's, a line begins with its priority."""
    journal = folder / "tap1.err"  # where the tap writes to when there is one already
    journal.touch()
    about = journal.stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
    running = tap(f"unix://{folder}/missing", space=space).wait_watching()
    wait_until("a warning", lambda: "not connected" in running.stderr)
    result = running.stop()
    assert re.search(r"^<6>watching lo", result.stderr, re.M), result.stderr
    assert re.search(r"^<4>warning: .*not connected", result.stderr, re.M)
    assert "dnstap-bpf:" not in result.stderr


@pytest.mark.needs("systemd")
def test_unit_is_hardened(folder):
    """systemd's own figure for it, 0 to 10."""
    unit = folder / "dnstap-bpf.service"
    unit.write_text(UNIT.read_text().replace("@BINDIR@", "/usr/bin").replace("@SYSCONFDIR@", "/etc"))
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)],
                          capture_output=True, text=True, timeout=60, check=True)
    figure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    print(figure.group(0))
    assert float(figure.group(1)) <= EXPOSURE_MAX, done.stdout
