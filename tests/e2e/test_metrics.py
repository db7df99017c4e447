# SPDX-License-Identifier: BSD-2-Clause
"""--metrics: what Prometheus reads, readiness, and clients that mean no good."""

import json
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from clients import UdpClient, dnsperf, query, write_dnsperf_input
from collectors import Collector, wait_until
from hosts import until_at_rest
from lab import SERVER_DEVICE
from scrape import PORT, Scrape, ask, connect, exchange, promtool, request, scrape
from scripted import Load
from tap import REPOSITORY, RINGS, stop_balanced

pytestmark = pytest.mark.needs("root", "namespaces", "bpf")
DEPLOY = REPOSITORY / "scripts" / "deploy"
CONNECTIONS = 16  # user/agent/http.h
LIFETIME = 10     # s, there too
LOAD = 20000
NS = 1_000_000_000
REASONS = {"packets_dropped": ("ring_full", "ring_broken", "packet_truncated", "packet_malformed",
                               "packet_other", "duplicates"),
           "payloads_dropped": ("dns_short", "dns_truncated", "dns_malformed",
                                "reassembled_malformed", "reassembled_foreign",
                                "reassembled_segments"),
           "messages_dropped": ("transit", "multicast", "own", "frame_oversize",
                                "filtered_network", "filtered_sample", "filtered_name",
                                "filtered_type", "filtered_rcode")}


def settled(space, messages: int, **where) -> Scrape:
    """A scrape that has so many messages, after which nothing changes any more."""
    before = {}
    while True:
        now = scrape(space, **where)
        counts = {key: value for key, value in now.counters.items() if "process" not in key[0]}
        if counts == before and now.get("messages_total") >= messages:
            return now
        before = counts
        time.sleep(0.15)


def check_histograms(found: Scrape) -> None:
    """Buckets never shrink from one bound to the next, and the last is the count."""
    buckets = {}
    for (name, labels), value in found.samples.items():
        if name == "dnstap_bpf_response_latency_seconds_bucket":
            had = dict(labels)
            buckets.setdefault(had["role"], []).append((float(had["le"]), value))
    assert buckets
    for role, row in buckets.items():
        bounds, counts = zip(*sorted(row))
        assert bounds == (*(0.00025 * 2 ** i for i in range(16)), float("inf"))
        assert list(counts) == sorted(counts)
        assert counts[-1] == found.get("response_latency_seconds_count", role=role)
        assert found.get("response_latency_seconds_sum", role=role) > 0


def check_ledger(found: Scrape, ledger: dict, final: dict) -> None:
    """Every count of the ledger is in the scrape, under a name of its own or as a reason."""
    reasons = {reason: name for name, all_of in REASONS.items() for reason in all_of}
    for name, value in ledger.items():
        if name in reasons:
            assert found.get(reasons[name] + "_total", reason=name) == value, name
        elif name == "queries_unanswered":
            # what was pending at the end is given up then
            assert found.sum(name + "_total") + found.get("queries_pending") >= value
        else:
            assert found.get(name + "_total") == value, name
    assert found.sum("dnstap_messages_total") == ledger["frames"]
    assert found.sum("response_latency_seconds_count") == ledger["responses_matched"]
    assert found.get("sink_frames_total", sink=final["sink"]) == final["offered"]


def test_under_load(lab, tap, folder):
    """What is scraped while dnsperf runs never goes back, and at the end is the ledger."""
    data, done, scrapes = folder / "queries", {}, []
    write_dnsperf_input(data)
    running = tap("-i", SERVER_DEVICE, "--role", "auth", "--metrics", PORT,
                  f"file://{folder}/x.fstrm?queue=32M", "full", space=lab.server).wait_watching()
    load = threading.Thread(target=lambda: done.update(
        dnsperf(lab.client, lab.addresses["knot"][4], LOAD, data)))
    load.start()
    while load.is_alive():
        scrapes.append(scrape(lab.server))
        load.join(0.03)
    with UdpClient(lab.client, lab.addresses["knot"][6]) as client:
        client.ask([query(n, f"missing{n}.example", flags=0) for n in range(20)])
    last = settled(lab.server, 2 * LOAD + 40)
    result = stop_balanced(running)
    assert done["completed"] == LOAD and scrapes
    for before, after in zip(scrapes, [*scrapes[1:], last]):
        for key, value in before.counters.items():
            assert after.counters[key] >= value, key
    check_ledger(last, result.ledger, {**result.sinks[0], "sink": f"file://{folder}/x.fstrm"})
    check_histograms(last)
    assert last.get("dnstap_messages_total", type="AUTH_QUERY", protocol="udp",
                    family="ipv4") == LOAD
    assert last.get("dnstap_responses_total", role="AUTH", rcode="NXDOMAIN") >= 20
    assert last.sum("dnstap_responses_total") == LOAD + 20
    assert last.get("sink_queue_size_bytes", sink=f"file://{folder}/x.fstrm") == 32 << 20
    assert last.get("ring_peak_bytes") > 0 and last.get("interfaces") == 1
    assert last.samples["process_resident_memory_bytes", ()] > 1 << 20
    assert abs(last.samples["process_start_time_seconds", ()] - time.time()) < 3600


@pytest.mark.needs("promtool")
def test_promtool(lab, tap, folder):
    """Nothing to complain about; the dashboard and the alerts ask for what is there."""
    tap("-i", SERVER_DEVICE, "--metrics", PORT, f"unix://{folder}/s", space=lab.server,
        ).wait_watching()
    with UdpClient(lab.client, lab.addresses["knot"][4]) as client:
        client.ask([query(n, f"n{n}.example", flags=0) for n in range(20)])
    found = settled(lab.server, 40)
    assert not promtool("check", "metrics", text=found.text)
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(asked) > 30
    used = set(re.findall(r"(?:dnstap_bpf|process)_\w+", " ".join(asked) +
                          json.dumps(dashboard["templating"]) +
                          (DEPLOY / "alerts.yaml").read_text()))
    assert used - found.names == set()
    rules = folder / "rules.yaml"
    rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(asked)]}]}))
    assert not promtool("check", "rules", rules)


@pytest.mark.needs("promtool")
def test_alerts():
    assert not promtool("check", "rules", DEPLOY / "alerts.yaml")
    assert not promtool("test", "rules", REPOSITORY / "tests" / "data" / "alerts.test.yaml")


def test_ready(space, tap, folder):
    """Ready with every collector there, and an interface to watch; a line for what is missing."""
    there = folder / "s"
    space.ip("link", "add", "watched0", "type", "veth", "peer", "name", "peer0")
    space.ip("link", "set", "watched0", "up")
    running = tap("-i", "watched0", "--metrics", PORT, f"unix://{there}?queue=1M",
                  f"file://{folder}/x.fstrm", space=space).wait_watching()
    try:
        answer = ask(space, "/readyz")
        assert (answer.status, answer.text) == (503, f"sink unix://{there}: not connected\n")
        assert ask(space, "/healthz").status == 200
        assert scrape(space).get("sink_connected", sink=f"unix://{there}") == 0
        with Collector(there) as collector:
            collector.wait_started()
            wait_until("ready", lambda: ask(space, "/readyz").status == 200)
            wait_until("the same in the metrics", lambda: scrape(space).get(
                "sink_connected", sink=f"unix://{there}") == 1)
        wait_until("not ready", lambda: ask(space, "/readyz").status == 503)
        space.ip("link", "del", "watched0")
        wait_until("no interface", lambda: "no interface is watched\n" in ask(
            space, "/readyz").text)
        wait_until("the same in the metrics", lambda: scrape(space).get("interfaces") == 0)
    finally:
        running.stop()


def test_reload(space, tap, folder):
    """A sink that goes and comes back goes on by its counts; both ends of a reload are counted."""
    config, stays, goes = folder / "c.yaml", f"file://{folder}/x.fstrm", f"unix://{folder}/s"

    def reload(running, *lines, says="reloaded") -> None:
        before = running.stderr.count(says)
        config.write_text("\n".join(["metrics: 9617", "sinks:",
                                     *(f"  - {line}" for line in lines), ""]))
        running.process.send_signal(signal.SIGHUP)
        wait_until(says, lambda: running.stderr.count(says) > before)

    config.write_text(f"metrics: 9617\nsinks:\n  - {stays}\n  - {goes}?queue=1M full\n")
    with Collector(folder / "s") as collector:
        running = tap("--config", config, space=space).wait_watching()
        load = Load(space, 0)  # by hand
        collector.wait_started()
        load.send(500)
        first = settled(space, 500)
        reload(running, stays)
        wait_until("the sink's end", lambda: collector.finished == 1)
        load.send(100)
        without = settled(space, 600)
        reload(running, stays, goes + "?queue=2M")
        collector.wait_started(2)
        load.send(70)
        last = settled(space, 670)
        load.stop()
        reload(running, "tcp:/nonsense", says="nothing is changed")
        done = settled(space, 670)
        stop_balanced(running, reloaded=True)
    offered = [each.get("sink_frames_total", sink=goes) for each in (first, without, last)]
    assert offered[0] == offered[1] > 0 and offered[2] >= offered[1] + 70
    assert [each.sum("sink_connected", sink=goes) for each in (first, without, last)] == [1, 0, 1]
    assert ("dnstap_bpf_sink_connected", (("sink", goes),)) not in without.samples
    assert last.get("sink_queue_size_bytes", sink=goes) == 2 << 20
    assert [done.get("reloads_total", result=how) for how in ("done", "failed")] == [2, 1]


def test_nothing_secret(space, tap, folder, certificates):
    """Of a sink only its place is told, not the paths of its keys."""
    key = certificates.path("good.key")
    options = f"tls-key={key}&tls-cert={certificates.path('good.pem')}"
    tap("--metrics", PORT, f"tls://127.0.0.1:6999?{options}",
        "--spool", folder / "spool", "-", space=space).wait_watching()
    text = scrape(space).text + ask(space, "/readyz").text
    assert 'sink="tls://127.0.0.1:6999"' in text and 'sink="-"' in text
    assert str(key.parent) not in text and "tls-key" not in text and "spool=" not in text


@pytest.mark.parametrize("address, where", [
    (f"127.0.0.2:{PORT}", {"address": "127.0.0.2"}),
    ("[::1]:9618", {"address": "::1", "port": 9618})])
def test_address(space, tap, address, where):
    tap("--metrics", address, "-", space=space).wait_watching()
    assert ask(space, "/healthz", **where).text == "ok\n"
    with pytest.raises(OSError):
        connect(space)


@pytest.mark.parametrize("address, says", [("127.0.0.1:9617", "is another tap running?"),
                                           ("192.0.2.1:9617", "`ip address` shows")])
def test_bad_address(space, tap, folder, address, says):
    """One line, and no sink is touched."""
    with space.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", PORT))
        taken.listen(1)
        result = tap("--metrics", address, f"file://{folder}/x.fstrm", space=space).wait()
    assert result.status == 1
    assert [line for line in result.lines if says in line] == result.lines
    assert not (folder / "x.fstrm").exists()


def test_requests(space, tap):
    """GET and HEAD of three paths; all else is refused, and nothing of it read."""
    tap("--metrics", PORT, "-", space=space).wait_watching()
    head = ask(space, "/metrics", "HEAD")
    assert head.status == 200 and not head.body and "Content-Length: " in head.head
    assert ask(space, "/metrics?x=y").status == 200
    for path in ("/", "/metric", "/metrics/", "//metrics", "/../metrics"):
        assert ask(space, path).status == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "get"):
        answer = ask(space, "/metrics", method, "Content-Length: 1000000\r\n")
        assert answer.status == 405 and "Allow: GET, HEAD" in answer.head, method
    assert ask(space, "/healthz", more="Content-Length: 5\r\n").status == 200
    assert ask(space, "/" + "x" * 20000).status in (404, 414)
    assert ask(space, "/healthz", more="X: " + "y" * 20000 + "\r\n").status in (413, 431)
    for rubbish in (b"GET /healthz HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"):
        assert not exchange(connect(space), rubbish).startswith(b"HTTP/1.1 200")
    assert ask(space, "/healthz").text == "ok\n"


def sockets_of(process) -> int:
    folder = Path(f"/proc/{process.pid}/fd")
    return sum(os.readlink(folder / name).startswith("socket:") for name in os.listdir(folder))


class Slow:
    """Clients that send a byte now and then and never read what they asked for."""

    def __init__(self, space, count: int) -> None:
        self.clients = [connect(space) for _ in range(count)]
        for number, client in enumerate(self.clients):
            client.setblocking(False)
            if number % 2:
                client.send(request())
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.trickle, daemon=True)
        self.thread.start()

    def trickle(self) -> None:
        while not self.ending.wait(0.5):
            for client in self.clients[::2]:
                try:
                    client.send(b"G")
                except OSError:
                    pass  # it was ended

    def close(self) -> None:
        self.ending.set()
        self.thread.join(5)
        for client in self.clients:
            client.close()


def delays(collector: Collector) -> list:
    """Seconds from each query's packet to its arrival, sorted."""
    wall = time.time() - time.monotonic()
    return sorted(when + wall - message.query_time / NS
                  for (when, _), message in zip(collector.arrivals, collector.messages))


def is_answered(space) -> bool:
    """Within the patience of scrape.connect()."""
    try:
        return ask(space, "/healthz").status == 200
    except OSError:
        return False


def test_slow_clients(space, tap, folder):
    """They hold the few connections there are, for a time, and nothing else."""
    with Collector(folder / "s") as collector:
        running = tap("--metrics", PORT, f"unix://{folder}/s", "full", space=space).wait_watching()
        collector.wait_started()
        open_before = sockets_of(running.process)
        slow = Slow(space, 2 * CONNECTIONS)  # the rest waits in the kernel's queue
        began = time.monotonic()
        with Load(space, 2000) as load:
            wait_until("enough is sent", lambda: load.sent > 2000)
            assert sockets_of(running.process) - open_before <= CONNECTIONS
            sent = load.stop()
        collector.wait_frames(sent)
        assert delays(collector)[len(collector.arrivals) * 9 // 10] < LIFETIME / 4
        # the first lot is ended after its time, trickling or not; and so are those that came then
        wait_until("an answer", lambda: is_answered(space), 12 * LIFETIME)
        assert LIFETIME / 2 < time.monotonic() - began
        late = Slow(space, CONNECTIONS)
        time.sleep(0.1)
        began = time.monotonic()
        result = stop_balanced(running)
        assert time.monotonic() - began < LIFETIME / 2
        assert result.ledger["ring_full"] == 0 and result.ledger["messages"] == sent
        slow.close()
        late.close()


def test_all_connections_idle(space, tap):
    """One more than there may be, which then go away: there are answers at once, and then rest."""
    running = tap("--metrics", PORT, "-", space=space).wait_watching()
    clients = [connect(space) for _ in range(CONNECTIONS + 1)]
    time.sleep(0.3)
    for client in clients:
        client.close()
    time.sleep(0.3)
    with connect(space) as client:
        client.settimeout(LIFETIME / 2)
        client.sendall(request("/healthz"))
        assert client.recv(64).startswith(b"HTTP/1.1 200")
    until_at_rest(running.process.pid)


def test_many_scrapes(space, tap):
    """Who scrapes all the time gets answers, and hardly delays the packets."""
    running = tap("--metrics", PORT, "-", space=space).wait_watching()
    ending, counts = threading.Event(), [0] * 4

    def hammer(number: int) -> None:
        while not ending.is_set():
            assert ask(space).status == 200
            counts[number] += 1

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    with Load(space, 5000) as load:
        wait_until("each had answers", lambda: min(counts) > 5)
        sent = load.stop()
    ending.set()
    for thread in threads:
        thread.join()
    result = stop_balanced(running)
    print(f"{sum(counts)} scrapes")
    assert result.ledger["messages"] == sent and result.ledger["ring_full"] == 0


@pytest.mark.parametrize("ring", RINGS)
def test_ring(space, tap, ring):
    """How large it is, and the most that has waited in it since the scrape before."""
    running = tap("--ring", ring, "--metrics", PORT, "-", space=space).wait_watching()
    load = Load(space, 0)  # by hand
    load.send(100)
    found = scrape(space)
    wait_until("something has waited", lambda: (load.send(100), scrape(space))[1].get(
        "ring_peak_bytes") > 0)
    load.stop()
    assert found.get("ring_size_bytes") >= 1 << 20
    stop_balanced(running)


def test_idle(space, tap):
    """Nobody asks, nobody wakes; neither after somebody asked."""
    running = tap("--metrics", PORT, "-", space=space).wait_watching()
    for _ in range(3):
        scrape(space)
    with connect(space):
        pass
    until_at_rest(running.process.pid)
    stop_balanced(running)
