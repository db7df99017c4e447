# SPDX-License-Identifier: BSD-2-Clause
"""Collectors that break the protocol: each costs its own sink its messages and nothing else."""

import contextlib
import signal
import time

import pytest

from frames import read_file
from hostile import Hostile
from scripted import Load, place, sink_text
from tap import check_balance
from test_collectors import EXIT_SECONDS, KINDS, LIVE, check_received, row, tls_of

SINKS_MAX = 7  # beside the file


def groups(manners):
    return [manners[at:at + SINKS_MAX] for at in range(0, len(manners), SINKS_MAX)]


def check_sink(kind, manner, sink, collector, seconds):
    received = len(collector.arrivals)
    print(row(f"{kind} {manner}", sink, received, seconds))
    assert collector.errors == [], manner
    check_received(sink, received)
    if manner in Hostile.WELL:
        assert received == sink["confirmed"] == sink["offered"]
    elif manner in Hostile.REFUSED or manner == "resets_in_accept":
        assert sink["confirmed"] == sink["unconfirmed"] == sink["connections"] == 0
        assert sink["failed_handshake"] > 0, manner
    elif manner != "drips":
        ends = sink["ended_protocol"] + sink["ended_closed"] + sink["ended_error"]
        assert ends > 0 and sink["unconfirmed"] + sink["lost_undelivered"] > 0, manner


@LIVE
@pytest.mark.parametrize("kind", KINDS)
def test_hostile(kind, space, tap, folder, certificates):
    """All manners at once, at as many taps as it needs, and a file at each that gets everything."""
    ca = [f"tls-ca={certificates.path('ca.pem')}"] if kind == "tls" else []
    manners = Hostile.REFUSED + Hostile.BROKEN + Hostile.WELL + (
        Hostile.TLS if kind == "tls" else ())
    with contextlib.ExitStack() as stack:
        bad = {manner: stack.enter_context(Hostile(
            place(kind, folder, number), manner, tls_of(kind, certificates), space))
               for number, manner in enumerate(manners)}
        taps = []
        for number, group in enumerate(groups(manners)):
            words = [word for manner in group for word in (
                sink_text(kind, place(kind, folder, manners.index(manner)), "queue=128K", *ca),
                "full")]
            taps.append(tap(*words, f"file://{folder}/x{number}", "full", space=space))
        for running in taps:
            running.wait_watching()
        with Load(space, 1500) as load:
            time.sleep(1.5)
            sent = load.stop()
        begun = time.monotonic()
        for running in taps:
            running.process.send_signal(signal.SIGTERM)
        results = [running.wait() for running in taps]
        seconds = time.monotonic() - begun
    for number, (group, result) in enumerate(zip(groups(manners), results)):
        assert result.status == 0, result.stderr
        check_balance(result)
        assert " 0 messages" not in result.stderr
        for manner, sink in zip(group, result.sinks):
            check_sink(kind, manner, sink, bad[manner], seconds)
        assert len(read_file(folder / f"x{number}")) == sent == result.sinks[-1]["confirmed"]
    assert seconds < EXIT_SECONDS
