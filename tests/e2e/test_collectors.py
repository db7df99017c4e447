# SPDX-License-Identifier: BSD-2-Clause
"""Collectors that misbehave, restart, or show the wrong certificate: each costs its own sink its
messages and nothing else, and every message is accounted for."""

import contextlib
import socket
import ssl
import subprocess
import time

import pytest

import captures
from collectors import RESTARTS, wait_until
from frames import read_file
from scripted import Load, Scripted, place, server_context, sink_text
from tap import REPOSITORY, Tap, binary, replay, said_lines, stop_balanced

LIVE = pytest.mark.needs("root", "namespaces", "bpf")
KINDS = ("unix", "tcp", "tls")
TALK = REPOSITORY / "tests" / "data" / "talk-ethernet.pcap"
EXIT_SECONDS = 10  # 3 for all sinks at once, the rest is for what else the machine does
# Connections that a collector must have had; each is noted twice where TLS is spoken on it.
TRIES = {"rubbish": 6, "huge_control": 6, "closes_at_once": 6, "closes_in_frame": 6}
REASONS = ("failed_connect", "failed_handshake", "ended_closed", "ended_timeout",
           "ended_protocol", "ended_error", "disk_full")


@pytest.fixture(scope="module")
def capture(session_folder):
    """4,000 messages."""
    return captures.write_large(session_folder / "collectors.pcap", 2000)


def tls_of(kind, certificates, **words):
    return server_context(certificates, **words) if kind == "tls" else None


def check_received(sink, received):
    """What a person who reads the counts relies on."""
    assert sink["confirmed"] <= received <= sink["confirmed"] + sink["unconfirmed"], (
        received, sink)


def row(name, sink, received, seconds):
    """A line of the table: misbehaviour, in, what became of it, received, time to exit."""
    reasons = " ".join(f"{name}={sink[name]}" for name in REASONS if sink[name])
    return (f"{name:24} in {sink['offered']:6} confirmed {sink['confirmed']:6} unconfirmed "
            f"{sink['unconfirmed']:6} queue_full {sink['lost_queue_full']:6} undelivered "
            f"{sink['lost_undelivered']:6} received {received:6} exit {seconds:4.1f} s  {reasons}")


@LIVE
@pytest.mark.parametrize("kind", KINDS)
def test_misbehaviour(kind, space, tap, folder, certificates):
    """All manners at once, and a file among them that gets everything."""
    ca = [f"tls-ca={certificates.path('ca.pem')}"] if kind == "tls" else []
    with contextlib.ExitStack() as stack:
        bad = [stack.enter_context(Scripted(
            place(kind, folder, number), manner, tls_of(kind, certificates), space))
               for number, manner in enumerate(Scripted.MANNERS)]
        words = [word for number in range(len(bad)) for word in (
            sink_text(kind, place(kind, folder, number), "queue=128K", *ca), "full")]
        running = tap(*words, f"file://{folder}/x.fstrm", "full", space=space).wait_watching()
        with Load(space, 5000) as load:
            wait_until("each has been tried again", lambda: all(
                len(one.connections) >= TRIES.get(one.manner.__name__, 1) for one in bad))
            wait_until("more than a queue holds", lambda: load.sent > 5000)
            sent = load.stop()
        begun = time.monotonic()
        result = stop_balanced(running)
        seconds = time.monotonic() - begun
        received = [len(one.arrivals) for one in bad]
        assert [one.errors for one in bad] == [[]] * len(bad)
    for manner, sink, count in zip(Scripted.MANNERS, result.sinks, received):
        print(row(f"{kind} {manner}", sink, count, seconds))
        check_received(sink, count)
    assert seconds < EXIT_SECONDS
    assert result.ledger["frames"] == sent == result.sinks[-1]["confirmed"]
    assert len(read_file(folder / "x.fstrm")) == sent
    check_reasons(dict(zip(Scripted.MANNERS, result.sinks)))


def check_reasons(sinks):
    """Each manner is counted under its own reason."""
    for manner in ("never_accepts", "rubbish", "huge_control", "closes_at_once"):
        assert sinks[manner]["confirmed"] == sinks[manner]["unconfirmed"] == 0, manner
        assert sinks[manner]["connections"] == 0
        assert sinks[manner]["lost_queue_full"] > 0
    for manner in ("rubbish", "huge_control", "closes_at_once"):
        assert sinks[manner]["failed_handshake"] >= TRIES[manner] // 2 - 1, manner
    assert sinks["never_reads"]["unconfirmed"] > 0 and sinks["never_reads"]["confirmed"] == 0
    assert sinks["never_finishes"]["unconfirmed"] == sinks["never_finishes"]["offered"]
    assert sinks["closes_in_frame"]["ended_closed"] >= TRIES["closes_in_frame"] // 2 - 1


@LIVE
@pytest.mark.parametrize("kind", KINDS)
def test_restarts_under_load(kind, space, tap, folder, certificates):
    """Restarts of the collector; what it got is between confirmed and what was written."""
    where = place(kind, folder, 20)
    ca = [f"tls-ca={certificates.path('ca.pem')}"] if kind == "tls" else []
    received = 0
    running = tap(sink_text(kind, where, *ca), "full", space=space).wait_watching()
    with Load(space, 4000) as load:
        for _ in range(RESTARTS):
            with Scripted(where, "good", tls_of(kind, certificates), space) as collector:
                collector.wait_frames(200)
            received += len(collector.arrivals)
        with Scripted(where, "good", tls_of(kind, certificates), space) as collector:
            collector.wait_frames(200)
            sent = load.stop()
            result = stop_balanced(running)
            wait_until("FINISH", lambda: collector.finished == 1)
        received += len(collector.arrivals)
    sink = result.sinks[0]
    print(row(f"{kind} {RESTARTS} restarts", sink, received, 0))
    check_received(sink, received)
    assert sink["offered"] == sent and sink["connections"] == RESTARTS + 1
    assert sink["lost_queue_full"] == sink["lost_undelivered"] == 0
    assert sink["confirmed"] >= 200 and sink["ended_closed"] + sink["ended_error"] == RESTARTS


@pytest.mark.parametrize("kind", KINDS)
def test_bidirectional_and_not(kind, folder, capture, certificates):
    """A replay's every message arrives; without a handshake nothing is confirmed."""
    ca = [f"tls-ca={certificates.path('ca.pem')}"] if kind == "tls" else []
    for number, manner in ((30, "good"), (31, "one_way")):
        where = place(kind, folder, number)
        options = ca + (["unidirectional=yes"] if manner == "one_way" else [])
        with Scripted(where, manner, tls_of(kind, certificates)) as collector:
            result = replay(folder, capture, sink_text(kind, where, *options), "full")
            wait_until("the end", lambda: collector.finished == 1)
            assert collector.errors == [] and len(collector.arrivals) == 4000
        sink = result.sinks[0]
        assert sink["confirmed"] == (4000 if manner == "good" else 0)
        assert sink["confirmed"] + sink["unconfirmed"] == 4000


def tls_replay(folder, certificates, server, *options, words=(), refused=False,
               host="localhost"):
    """Replays to a collector that shows that certificate, or a given SSL context."""
    context = server_context(certificates, server) if isinstance(server, str) else server
    with Scripted(("127.0.0.1", 6040), "good", context) as collector:
        with Tap(folder, "-r", TALK, *words, sink_text("tls", (host, 6040), *options),
                 "full") as tap:
            if refused:
                wait_until("a line about it", lambda: "trying again" in tap.stderr)
                tap.end()
            result = tap.wait()
        received, names = len(collector.arrivals), collector.names
    assert bool(result.status) == refused, result.stderr
    assert received == (0 if refused else result.ledger["frames"])
    return result, names


def test_certificate_is_verified(folder, certificates):
    """Chain and name, by name and by address; from the sink's option and from the command line."""
    ca = certificates.path("ca.pem")
    for host in ("localhost", "127.0.0.1"):
        tls_replay(folder, certificates, "good", f"tls-ca={ca}", host=host)
    tls_replay(folder, certificates, "good", words=("--tls-ca", ca))
    for server, says in (("expired", "expired"), ("other-name", "another name"),
                         ("foreign", "CA that is trusted")):
        result, _ = tls_replay(folder, certificates, server, f"tls-ca={ca}", refused=True)
        assert says in result.stderr, result.stderr
    result, _ = tls_replay(folder, certificates, "good", refused=True)
    assert "CA that is trusted" in result.stderr, "the test's CA is not the system's"


def test_verification_is_switched_off_explicitly(folder, certificates):
    for words, options in (((), ["tls-verify=no"]), (("--tls-no-verify",), [])):
        result, _ = tls_replay(folder, certificates, "other-name", *options, words=words)
        assert "not verified" in result.stderr
    result, _ = tls_replay(folder, certificates, "expired", "tls-verify=yes", refused=True,
                           words=("--tls-no-verify", "--tls-ca", certificates.path("ca.pem")))
    assert "expired" in result.stderr


def test_client_certificate(folder, certificates):
    """mTLS: the collector knows who sends; without, or with another CA's, it refuses."""
    context = server_context(certificates, client_ca="ca")
    ca = f"tls-ca={certificates.path('ca.pem')}"
    cert, key = certificates.path("client.pem"), certificates.path("client.key")
    _, names = tls_replay(folder, certificates, context, ca, f"tls-cert={cert}", f"tls-key={key}")
    assert "tap.example" in str(names[0])
    tls_replay(folder, certificates, context, ca, words=("--tls-cert", cert, "--tls-key", key))
    foreign = (f"tls-cert={certificates.path('foreign.pem')}",
               f"tls-key={certificates.path('foreign.key')}")
    # TLS 1.3 refuses after the handshake, and then its word for it may be lost to a reset
    tls_replay(folder, certificates, context, ca, refused=True)
    tls_replay(folder, certificates, context, ca, *foreign, refused=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for options, says in (((), "certificate from us"), (foreign, "not trust our certificate")):
        result, _ = tls_replay(folder, certificates, context, ca, *options, refused=True)
        assert says in result.stderr, result.stderr


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_and_no_tls(folder, certificates):
    """TLS 1.2 is enough, 1.1 is not; a collector without TLS is recognised."""
    ca = f"tls-ca={certificates.path('ca.pem')}"
    for version, refused in (("TLSv1_2", False), ("TLSv1_1", True)):
        context = server_context(certificates)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = getattr(
            ssl.TLSVersion, version)
        tls_replay(folder, certificates, context, ca, refused=refused)
    with Scripted(("127.0.0.1", 6041), "rubbish"):
        with Tap(folder, "-r", TALK, sink_text("tls", ("127.0.0.1", 6041), ca)) as tap:
            wait_until("a line about it", lambda: "does not speak TLS" in tap.stderr)
            tap.end()


def test_tls_handshake_has_a_deadline(folder, certificates):
    """Somebody who lets connect and says nothing; what was not delivered is counted."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 6042))):
        with Tap(folder, "-r", TALK, "tls://127.0.0.1:6042?tls-verify=no") as tap:
            wait_until("a line about it", lambda: "not done in time" in tap.stderr)
            tap.process.terminate()
            sink = tap.wait().sinks[0]
            assert sink["failed_connect"] >= 1 and sink["lost_undelivered"] == sink["offered"]


@pytest.mark.parametrize("words, says", [
    (["tls://localhost?tls-ca=/nowhere/ca.pem"], "/nowhere/ca.pem: No such file"),
    (["--tls-cert", "/nowhere/c.pem", "tls://localhost"], "/nowhere/c.pem: No such file"),
    (["tls://localhost?tls-ca=/etc/hostname"], "/etc/hostname"),
    (["--tls-key", "/etc/hostname", "tls://localhost"], "tls-cert")])
def test_missing_or_wrong_files(words, says):
    """Said at the start, in one line, with status 1; and nothing is connected."""
    done = subprocess.run([str(binary()), "-r", str(TALK), *words], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1
    assert says in done.stderr and len(said_lines(done.stderr)) == 1, done.stderr


def test_key_with_a_password(folder, certificates):
    """Nobody is there to be asked for it: said at the start."""
    key = folder / "locked.key"
    subprocess.run(["openssl", "pkey", "-aes256", "-passout", "pass:secret", "-in",
                    certificates.path("client.key"), "-out", key], check=True, timeout=60,
                   capture_output=True)
    done = subprocess.run(
        [str(binary()), "-r", str(TALK), "--tls-cert", str(certificates.path("client.pem")),
         "--tls-key", str(key), "tls://localhost"], capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1
    assert str(key) in done.stderr and len(said_lines(done.stderr)) == 1, done.stderr


def test_key_of_another_certificate(certificates):
    done = subprocess.run(
        [str(binary()), "-r", str(TALK), "--tls-cert", str(certificates.path("client.pem")),
         "--tls-key", str(certificates.path("good.key")), "tls://localhost"],
        capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "key values mismatch" in done.stderr and len(said_lines(done.stderr)) == 1


def test_unix_path_appears(folder):
    """At once, however long the tap has been trying: the folder is watched."""
    for number in range(3):  # where others want the CPUs just then, again
        with Tap(folder, "-r", TALK, f"unix://{folder}/late{number}") as tap:
            time.sleep(3)  # pauses grow with what has passed; in five seconds it gives up
            begun = time.monotonic()
            with Scripted(folder / f"late{number}") as collector:
                collector.wait_started()
                taken = time.monotonic() - begun
                assert tap.wait().status == 0
        if taken < 0.5:
            break
    assert taken < 0.5
