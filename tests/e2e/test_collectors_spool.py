# SPDX-License-Identifier: BSD-2-Clause
"""The spool: what a collector that is away, breaks off or never confirms would miss is sent again,
across restarts and kills of the tap."""

import re
import signal
import subprocess

import pytest

from collectors import RESTARTS, wait_until
from scripted import Load, Scripted, place, server_context, sink_text
from tap import REPOSITORY, binary, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
WRITTEN = 500_000  # bytes of the spool until the tap is killed
TALK = REPOSITORY / "tests" / "data" / "talk-ethernet.pcap"


def spooled_sink(kind, where, folder, *options):
    return sink_text(kind, where, f"spool={folder}/spool", "queue=8M", *options)


def spool_bytes(folder):
    return sum(path.stat().st_size for path in (folder / "spool").rglob("*.seg"))


def wait_on_disk(running, sent):
    """Until the tap has seen all that was sent, and none of it waits in memory alone."""
    def on_disk():
        sink = running.report()["sinks"][0]
        return sink["offered"] == sent and sink["queued"] == 0
    wait_until("everything is on disk", on_disk)


@pytest.mark.parametrize("kind", ("unix", "tls"))
def test_outage(kind, space, tap, folder, certificates):
    """Messages go to disk, and nothing is lost nor doubled; the disk is given back."""
    where = place(kind, folder, 50)
    tls = server_context(certificates) if kind == "tls" else None
    ca = [f"tls-ca={certificates.path('ca.pem')}"] if tls else []
    running = tap(spooled_sink(kind, where, folder, *ca), "full", space=space).wait_watching()
    with Load(space, 6000) as load:
        wait_until("much is on disk", lambda: spool_bytes(folder) > 1_000_000)
        with Scripted(where, "good", tls, space) as collector:
            collector.wait_frames(8000)
            sent = load.stop()
            collector.wait_frames(sent)
            result = stop_balanced(running)
            wait_until("FINISH", lambda: collector.finished >= 1)
    sink = result.sinks[0]
    assert sink["confirmed"] == sent == len(collector.arrivals) == len(set(collector.payloads))
    assert sink["resent"] == sink["lost_queue_full"] == 0
    assert spool_bytes(folder) == 0


def test_restarts(space, tap, folder):
    """A collector that comes and goes has everything at least once, in order each time."""
    where = folder / "s"
    running = tap(spooled_sink("unix", where, folder), "full", space=space).wait_watching()
    got = []
    with Load(space, 3000) as load:
        for _ in range(RESTARTS):
            with Scripted(where, "good", None, space) as collector:
                collector.wait_frames(200)
            got.append(collector.payloads)
        with Scripted(where, "good", None, space) as collector:
            sent = load.stop()
            wait_until("everything", lambda: len(set(sum(got, []) + collector.payloads)) == sent)
            result = stop_balanced(running)
    sink = result.sinks[0]
    assert sink["offered"] == sink["confirmed"] == sent and sink["unconfirmed"] == 0
    assert sink["resent"] > 0 and sink["lost_queue_full"] == 0
    received = sum(map(len, got)) + len(collector.payloads)
    print(f"{RESTARTS} restarts with a spool: in {sent}, confirmed {sink['confirmed']}, received {received},"
          f" of these resent {sink['resent']}")
    assert received <= sent + sink["resent"]


def test_kill(space, tap, folder):
    """kill -9: what was on disk, and what was sent and not confirmed, comes from the next tap."""
    where = folder / "s"
    running = tap(spooled_sink("unix", where, folder), "full", space=space).wait_watching()
    with Load(space, 4000) as load:
        with Scripted(where, "good", None, space) as first:
            first.wait_frames(1000)
        here = load.sent
        wait_until("more comes without a collector", lambda: load.sent > here + 2000)
        sent = load.stop()
        wait_on_disk(running, sent)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(10)
    again = tap(spooled_sink("unix", where, folder), "full", space=space).wait_watching()
    with Scripted(where, "good", None, space) as second:
        wait_until("everything", lambda: len(set(first.payloads + second.payloads)) == sent)
        sink = stop_balanced(again).sinks[0]
    # nothing had been confirmed, so the second has it all, what the first got included
    assert f"{sent} messages of an earlier run" in again.stderr
    assert len(second.payloads) == sent == sink["recovered"] == sink["confirmed"]
    assert set(first.payloads) <= set(second.payloads)
    assert spool_bytes(folder) == 0


def test_killed_under_load(space, tap, folder):
    """Several kills in the middle of writing: what comes is whole, in order, and from the start."""
    where = folder / "s"
    with Load(space, 8000):
        for _ in range(5):
            running = tap(spooled_sink("unix", where, folder), "full", space=space)
            running.wait_watching()
            before = spool_bytes(folder)
            wait_until("it writes", lambda: spool_bytes(folder) > before + WRITTEN)
            running.process.kill()
            running.process.wait(10)
    running = tap(spooled_sink("unix", where, folder), "full", space=space).wait_watching()
    with Scripted(where, "good", None, space) as collector:
        collector.wait_started()
        collector.wait_frames(int(re.search(r"(\d+) messages of an earlier", running.stderr)[1]))
        sink = stop_balanced(running).sinks[0]
        wait_until("FINISH", lambda: collector.finished >= 1)
    assert sink["recovered"] > 5 * WRITTEN // 300
    assert sink["confirmed"] == len(collector.arrivals) == sink["recovered"] + sink["offered"]
    assert collector.errors == []
    times = [message.query_time for message in collector.messages]
    assert times == sorted(times)


def test_exit_keeps_what_waits(space, tap, folder):
    """Without a collector the exit says what is kept, and the next run delivers it."""
    where = folder / "s"
    running = tap(spooled_sink("unix", where, folder), "full", space=space).wait_watching()
    with Load(space, 4000) as load:
        wait_until("enough is sent", lambda: load.sent > 2000)
        sent = load.stop()
    sink = stop_balanced(running).sinks[0]
    assert sink["spooled"] == sent and sink["lost_undelivered"] == 0
    with Scripted(where, "good", None, space) as collector:
        again = tap(spooled_sink("unix", where, folder), "full", space=space).wait_watching()
        collector.wait_frames(sent)
        sink = stop_balanced(again).sinks[0]
    assert sink["recovered"] == sink["confirmed"] == sent == len(collector.arrivals)


def test_oldest_are_given_up(space, tap, folder):
    """A full spool loses the oldest, counts and tells them, and never grows over its size."""
    where = folder / "s"
    sink = spooled_sink("unix", where, folder, "spool-size=4M")
    running = tap(sink, "full", space=space).wait_watching()
    with Load(space, 15000) as load:
        wait_until("something is given up", lambda: "the spool is full" in running.stderr)
        here = load.sent
        wait_until("more comes", lambda: load.sent > here + 3000)
        assert spool_bytes(folder) <= 4 << 20
        sent = load.stop()
    with Scripted(where, "good", None, space) as collector:
        wait_until("the newest", lambda: b"n%d" % (sent - 1) in b"".join(collector.payloads[-3:]))
        counts = stop_balanced(running).sinks[0]
    assert counts["given_up"] > 0
    assert counts["given_up"] + counts["confirmed"] + counts["lost_queue_full"] == sent
    assert counts["confirmed"] == len(set(collector.payloads))


@pytest.mark.parametrize("manner", ("never_finishes", "closes_in_frame"))
def test_bad_collectors(manner, space, tap, folder):
    """They get messages again and again, and nothing leaves the spool but with FINISH."""
    where = folder / "s"
    with Scripted(where, manner, None, space) as bad:
        running = tap(spooled_sink("unix", where, folder, "spool-size=8M"), "full", space=space)
        running.wait_watching()
        with Load(space, 5000) as load:
            wait_until("enough is sent", lambda: load.sent > 6000)
            sent = load.stop()
        wait_on_disk(running, sent)
    with Scripted(where, "good", None, space) as good:
        wait_until("everything", lambda: len(set(good.payloads)) == sent)
        counts = stop_balanced(running).sinks[0]
    assert counts["confirmed"] == sent and counts["resent"] >= len(set(bad.payloads))


def test_asks_for_finish(space, tap, folder):
    """When a quarter of the spool waits for FINISH it asks for it, and goes on."""
    where = folder / "s"
    with Scripted(where, "good", None, space) as collector:
        running = tap(spooled_sink("unix", where, folder, "spool-size=4M"), "full", space=space)
        running.wait_watching()
        with Load(space, 4000) as load:
            wait_until("two of them", lambda: collector.finished >= 2)
            sent = load.stop()
        counts = stop_balanced(running).sinks[0]
    assert counts["confirmed"] == sent == len(collector.arrivals)
    assert counts["connections"] >= 3 and counts["resent"] == 0


def test_refused(folder):
    for words, status, says in (
            (["-r", TALK, "--spool", folder, "/tmp/s"], 2, "does not go with -r"),
            (["-r", TALK, f"/tmp/s?spool={folder}"], 2, "does not go with -r"),
            ([f"tcp://127.0.0.1:1?spool={folder}/no/where"], 1, "No such file")):
        done = subprocess.run([str(word) for word in (binary(), *words)], capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == status and says in done.stderr, done.stderr
