# SPDX-License-Identifier: BSD-2-Clause
"""SIGHUP with --config: what stays misses nothing, what changes changes, what is wrong does not."""

import itertools
import os
import signal
import threading
from pathlib import Path

import pytest

from clients import UdpClient, dnsperf, query, write_dnsperf_input
from collectors import Collector, wait_until
from frames import decode, read_file, read_messages
from lab import SERVER_DEVICE
from scripted import Scripted, server_context
from tap import stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
LOAD = 20000
TLS_PORT = 6001


class Configured:
    """A tap in the lab's server namespace with a configuration that can be changed."""

    def __init__(self, lab, tap, folder) -> None:
        self.lab, self.start_tap, self.path = lab, tap, folder / "dnstap-bpf.yaml"
        self.tap = None

    def write(self, *lines) -> None:
        self.path.write_text("\n".join([f"interface: {SERVER_DEVICE}", *map(str, lines), ""]))

    def start(self, *lines) -> None:
        self.write(*lines)
        self.tap = self.start_tap("--config", self.path, space=self.lab.server).wait_watching()

    def said(self, words: str) -> int:
        return self.tap.stderr.count(words)

    def reload(self, *lines, says: str = "reloaded") -> None:
        """Until it has been said that it was done, or that something is wrong."""
        before = self.said(says)
        self.write(*lines)
        self.tap.process.send_signal(signal.SIGHUP)
        wait_until(f"a line with {says}: {self.tap.stderr}", lambda: self.said(says) > before)

    def ask(self, first: int, count: int = 20) -> None:
        """Until they are read: they count under the configuration of that time."""
        before = self.tap.seen()
        with UdpClient(self.lab.client, self.lab.addresses["knot"][4]) as client:
            client.ask([query(n, f"n{n % 300}.example", flags=0)
                        for n in range(first, first + count)])
        self.tap.wait_seen(before + 2 * count)

    def stop(self, reloaded: bool = True):
        return stop_balanced(self.tap, reloaded=reloaded)


@pytest.fixture
def configured(lab, tap, folder):
    return Configured(lab, tap, folder)


def sinks(*urls):
    return ["sinks:", *(f"  - {url}" for url in urls)]


def test_under_load(configured, lab, folder):
    """Sinks come and go under dnsperf: the one that stays has each message once."""
    data, done = folder / "queries", {}
    write_dnsperf_input(data)
    stays, other = f"unix://{folder}/stays full", f"unix://{folder}/other"
    with Collector(folder / "stays") as collector, Collector(folder / "other") as second:
        configured.start(*sinks(stays, other))
        collector.wait_started()
        load = threading.Thread(target=lambda: done.update(
            dnsperf(lab.client, lab.addresses["knot"][4], LOAD, data)))
        load.start()
        for round_number in range(6):
            if round_number % 2:  # it has come back before it is taken out
                second.wait_started(1 + round_number // 2)
            names = (stays, f"file://{folder}/{round_number}.fstrm") if round_number % 2 else (
                other + " full", stays)
            configured.reload(*sinks(*names))
        load.join()
        result = configured.stop()
        assert collector.started == collector.finished == 1
        wait_until("the last FINISH", lambda: second.finished == second.started)
        received = [decode(payload) for payload in collector.payloads]
    assert done["completed"] == LOAD
    assert len(received) == result.ledger["frames"] == 2 * LOAD
    assert sum(1 for message in received if not message.is_query) == LOAD
    by_name = {sink["sink"]: sink for sink in result.sinks}
    assert by_name[stays.split()[0]]["confirmed"] == 2 * LOAD
    assert len(by_name) == len(result.sinks) == 5
    assert by_name[other]["connections"] == 3
    for sink in result.sinks:
        assert sink["confirmed"] == sink["frames"] or sink["lost_undelivered"], sink
    files = [read_file(path) for path in sorted(folder.glob("*.fstrm"))]
    assert [len(frames) for frames in files] == [
        by_name[f"file://{folder}/{number}.fstrm"]["confirmed"] for number in (1, 3, 5)]


def test_bad_file(configured, folder):
    """One line with the place, and the old configuration goes on."""
    path = folder / "x.fstrm"
    good = [*sinks(f"file://{path} full"), "role: auth"]
    configured.start(*good)
    for wrong, says in ((["role: king"], "yaml:4: role: king"), (["nonsense: 1"], "yaml:4: nonsense"),
                        (["role: [auth"], "not YAML")):
        configured.reload(*sinks(f"file://{folder}/other.fstrm"), *wrong, says=says)
    configured.reload(*sinks(f"file://{folder}/no/such/folder full"), says="nothing is changed")
    assert configured.said("nothing is changed: ") == 4
    configured.path.unlink()
    configured.tap.process.send_signal(signal.SIGHUP)
    wait_until("it says that there is no file", lambda: configured.said("No such file"))
    os.mkfifo(configured.path)
    configured.tap.process.send_signal(signal.SIGHUP)
    wait_until("it says that it is a pipe", lambda: configured.said("it is a pipe"))
    configured.ask(1)
    result = configured.stop(reloaded=False)
    assert "does not answer" not in result.stderr
    assert len(read_file(path)) == 40 == result.sinks[0]["confirmed"]
    assert not (folder / "other.fstrm").exists()


def test_removed_and_added(configured, folder):
    """A sink that is taken out ends with FINISH, one that is added begins with what comes next."""
    with Collector(folder / "old") as old, Collector(folder / "new") as new:
        configured.start(*sinks(f"unix://{folder}/old full"))
        old.wait_started()
        configured.ask(1)
        old.wait_frames(40)
        configured.reload(*sinks(f"unix://{folder}/new full"))
        configured.ask(101)
        wait_until("FINISH", lambda: old.finished == 1)
        new.wait_frames(40)
        result = configured.stop()
        assert {message.id for message in old.messages} == set(range(1, 21))
        assert {message.id for message in new.messages} == set(range(101, 121))
    assert [(sink["stopped"], sink["confirmed"]) for sink in result.sinks] == [
        (False, 40), (True, 40)]
    assert "(taken out)" in result.stderr


def test_what_was_taken_out_counts(configured, folder):
    """A file that lacks messages is told when it is let go, and by the exit status."""
    configured.start(*sinks("file:///dev/full"))
    configured.ask(1)
    configured.reload(*sinks(f"file://{folder}/x.fstrm"))
    wait_until("it says so", lambda: configured.said(
        "sink file:///dev/full, which was taken out, lacks messages: the exit status will be 1"))
    configured.ask(101)
    result = configured.tap.stop()
    assert result.status == 1 and result.balanced
    assert [(sink["confirmed"], sink["lost_undelivered"]) for sink in result.sinks] == [
        (40, 0), (0, 40)]


def test_unchanged(configured, folder):
    """Nothing is connected, finished or emptied by a reload but files that rotate."""
    with Collector(folder / "s") as collector:
        kept = sinks(f"unix://{folder}/s full", f"file://{folder}/plain", f"file://{folder}/moved",
                     f"file://{folder}/rotating?rotate-interval=1d")
        configured.start(*kept)
        configured.ask(1)
        collector.wait_frames(40)
        os.rename(folder / "moved", folder / "moved.1")
        before = (folder / "plain").stat().st_ino
        configured.reload(*kept)
        wait_until("the next file", lambda: configured.said("finished"))
        configured.ask(101)
        collector.wait_frames(80)
        result = configured.stop(reloaded=False)
        assert collector.started == collector.finished == 1
    assert configured.said("sinks: 4 stay, 0 opened, 0 being ended") == 1
    assert (folder / "plain").stat().st_ino == before and len(read_file(folder / "plain")) == 80
    for name in ("moved", "moved.1", "rotating", "rotating.1"):
        assert len(read_file(folder / name)) == 40, name
    assert [sink["connections"] for sink in result.sinks] == [1, 1, 2, 2]


def test_what_cannot_change(configured, lab, folder):
    """Interfaces and namespaces are those of the start, and each is told in a line."""
    configured.start(*sinks(f"file://{folder}/x.fstrm"))
    configured.path.write_text(f"interface: [lo]\nnetns: [all]\nsinks: file://{folder}/x.fstrm\n")
    configured.tap.process.send_signal(signal.SIGHUP)
    wait_until("it is reloaded", lambda: configured.said("reloaded"))
    configured.ask(1)
    result = configured.stop(reloaded=False)
    for key in ("interface", "netns"):
        assert result.stderr.count(f"takes effect at the next start: {key}\n") == 1
    assert len(read_file(folder / "x.fstrm")) == 40 and "now watching" not in result.stderr


def test_what_changes_while_it_runs(configured, folder):
    """Role, texts, filters, full and --with-query; what cannot change is told in a line."""
    path = folder / "x.fstrm"
    configured.start(*sinks(f"file://{path}"), "role: auth")
    configured.ask(1)
    configured.reload(*sinks(f"file://{path} full"), "role: client", "identity: after",
                      "extra: '{interface}'", "name: n7.example", "with-query: yes",
                      "max-queries: 100", "ring-size: 512K")
    configured.ask(1)
    result = configured.stop(reloaded=False)
    messages = read_messages(path)
    assert sorted(message.type for message in messages[:40]) == (
        ["AUTH_QUERY"] * 20 + ["AUTH_RESPONSE"] * 20)
    assert all(message.wire is None for message in messages[:40])
    asked, answered = messages[40:]
    assert (asked.type, answered.type) == ("CLIENT_QUERY", "CLIENT_RESPONSE")
    assert asked.id == answered.id == 7 and asked.wire and answered.wire
    assert answered.query == asked.wire
    assert asked.identity == "after" and asked.extra == SERVER_DEVICE
    assert result.ledger["filtered_name"] == 38
    for key in ("max-queries", "ring-size"):
        assert f"takes effect at the next start: {key}" in result.stderr
    assert result.sinks[0]["connections"] == 1


def test_changed_settings(configured, folder):
    """Another queue: a socket's sink is begun anew, a file is not written over."""
    with Collector(folder / "s") as collector:
        names = f"unix://{folder}/s", f"file://{folder}/x.fstrm"
        configured.start(*sinks(*names))
        configured.ask(1)
        collector.wait_frames(40)
        configured.reload(*sinks(*names), "queue-size: 1M")
        wait_until("the second connection", lambda: collector.started == 2)
        configured.ask(101)
        collector.wait_frames(80)
        result = configured.stop()
        assert collector.finished == 2
    assert len(read_file(folder / "x.fstrm")) == 80
    assert f"takes effect at the next start: sinks: file://{folder}/x.fstrm" in result.stderr


def test_renewed_certificate(configured, lab, folder, certificates):
    """A CA file with the same name and other contents makes a new connection; the same one none."""
    where, ca = ("127.0.0.1", TLS_PORT), folder / "ca.pem"
    ca.write_bytes(certificates.path("ca.pem").read_bytes())
    lines = sinks(f"tls://127.0.0.1:{TLS_PORT} full"), f"tls-ca: {ca}"
    with Scripted(where, "good", server_context(certificates), lab.server) as collector:
        configured.start(*lines[0], lines[1])
        collector.wait_started()
        configured.reload(*lines[0], lines[1])
        configured.ask(1)
        collector.wait_frames(40)
        assert collector.started == 1
        ca.write_bytes(certificates.path("ca.pem").read_bytes() + b"\n")
        configured.reload(*lines[0], lines[1])
        collector.wait_started(2)
        configured.ask(101)
        collector.wait_frames(80)
        configured.stop()


def test_spool(configured, folder):
    """What a sink that is taken out has left in its spool is sent when it is back."""
    sink = f"unix://{folder}/s?spool={folder}/spool full"
    configured.start(*sinks(sink))
    configured.ask(1)
    configured.reload(*sinks("'-'"))
    configured.ask(101)
    configured.reload(*sinks(sink), "spool-size: 8M")
    configured.reload(*sinks(sink), "spool-size: 16M", says="takes effect at the next start")
    with Collector(folder / "s") as collector:
        configured.ask(201)
        collector.wait_frames(80)
        result = configured.stop()
        ids = {message.id for message in collector.messages}
    assert ids == set(range(1, 21)) | set(range(201, 221))
    rows = {sink["stopped"]: sink for sink in result.sinks if "/s?" in sink["sink"]}
    assert rows[True]["spooled"] == rows[False]["recovered"] == 40
    assert rows[False]["confirmed"] == 80


def test_spool_of_a_sink_that_stays(configured, lab, folder):
    """Its folder is that of the start, and new files in it are begun also after `full` changed."""
    data, sink = folder / "queries", f"unix://{folder}/s?spool={folder}/spool&spool-size=16M"
    write_dnsperf_input(data)
    configured.start(*sinks(sink))
    for full in (" full", "", " full", " full"):
        configured.reload(*sinks(sink + full))
    dnsperf(lab.client, lab.addresses["knot"][4], LOAD, data)
    with Collector(folder / "s") as collector:
        collector.wait_frames(2 * LOAD)
        result = configured.stop()
    assert "refuses" not in result.stderr
    assert result.sinks[0]["confirmed"] == 2 * LOAD and result.sinks[0]["spool_failed"] == 0


def test_another_reload_waits(configured, folder):
    """A sink that takes its time to end, named again at once, is opened when it has ended."""
    with Collector(folder / "s", pause=1.0) as collector:
        configured.start(*sinks(f"unix://{folder}/s"))
        collector.wait_started()
        configured.ask(1)
        configured.reload(*sinks(f"file://{folder}/x.fstrm"))
        configured.reload(*sinks(f"unix://{folder}/s", f"file://{folder}/x.fstrm"))
        collector.wait_started(2)
        assert collector.finished == 1 and len(collector.arrivals) == 40
        configured.ask(101)
        result = configured.stop()
    assert [sink["confirmed"] for sink in result.sinks] == [40, 40, 40]


def check_rotated(configured, folder, *, reloaded: bool) -> None:
    """Asks until the file has been rotated twice."""
    before, first = len(list(folder.glob("*.fstrm*"))), itertools.count(1001, 20)

    def rotated() -> bool:
        configured.ask(next(first))
        return len(list(folder.glob("*.fstrm*"))) >= before + 2

    wait_until("it is rotated twice", rotated)
    result = configured.stop(reloaded=reloaded)
    files = list(folder.glob("*.fstrm*"))
    assert "refuses" not in result.stderr
    assert sum(len(read_file(path)) for path in files) == result.ledger["frames"]


def test_failed_reloads_forget_nothing(configured, folder):
    """What runs may go on to open what it was started with, however often a reload fails."""
    good = sinks(f"file://{folder}/x.fstrm?rotate-interval=1s full")
    configured.start(*good)
    for _ in range(3):
        configured.reload(*sinks(f"file://{folder}/no/such/folder full"),
                          says="nothing is changed")
    check_rotated(configured, folder, reloaded=False)


def test_a_sink_that_stays_keeps_its_rights(configured, folder):
    """Rotation that ends with the next start goes on until then, however many reloads later."""
    configured.start(*sinks(f"file://{folder}/x.fstrm?rotate-interval=1s full"))
    for _ in range(3):
        configured.reload(*sinks(f"file://{folder}/x.fstrm full"))
    assert configured.said("takes effect at the next start: sinks: ") == 3
    check_rotated(configured, folder, reloaded=False)


def memory(pid: int) -> int:
    """KiB that are the process's own."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines()
               if line.startswith("Private_Dirty"))


def test_many_reloads_leak_nothing(configured, folder):
    """Descriptors, threads and memory are after 60 reloads what they were after 20."""
    def count(what: str) -> int:
        return len(os.listdir(f"/proc/{pid}/{what}"))

    configured.start(*sinks(f"file://{folder}/x.fstrm"))
    pid = configured.tap.process.pid
    for number in range(60):
        name = f"unix://{folder}/{number % 2}" if number % 3 else f"file://{folder}/y.fstrm"
        configured.reload(*sinks(f"file://{folder}/x.fstrm", name), f"identity: me{number}")
        if number == 20:
            wait_until("what was taken out has ended", lambda: count("task") == 3)
            descriptors, before = count("fd"), memory(pid)
    wait_until("what was taken out has ended", lambda: count("task") == 3)
    wait_until(f"at most {descriptors} descriptors", lambda: count("fd") <= descriptors)
    assert memory(pid) < before + 2048
    configured.stop()
