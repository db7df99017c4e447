# SPDX-License-Identifier: BSD-2-Clause
"""The Debian packages, in `make check-full`: checked by lintian, then a life on a fresh Debian, with
its own systemd: installed, tapping, reloaded, upgraded, removed, purged without a trace."""

import os
import re
import subprocess
import time

import pytest

import fresh
from collectors import wait_until
from scripted import Load, Scripted
from test_packages import make

pytestmark = [pytest.mark.needs("full", "root", "namespaces", "bpf", "fresh_root"),
              pytest.mark.seconds(600)]
UNIT = "dnstap-bpf.service"
CONFIG = "/etc/dnstap-bpf/dnstap-bpf.yaml"
SOCKET = "/run/dnstap-bpf/dnstap.sock"
CAP_NET_RAW = 1 << 13
EVERYWHERE = ("find", "/", "-xdev", "-not", "(", "-path", "/proc", "-prune", ")")
# What dpkg, systemd and the databases of users write for themselves.
BOOKKEEPING = re.compile(r"/(var/(log|lib/dpkg|lib/systemd|cache|tmp)|run|tmp|sys|dev)(/|$)|/etc/\.?"
                         r"(passwd|group|shadow|gshadow|subuid|subgid|machine-id)[-.a-z]*$")


@pytest.fixture(scope="module")
def packages(session_folder):
    """dnstap-bpf of two versions and the library, by name and version."""
    build, made = session_folder / "packages", {}
    for version in ("0.1.0", "0.2.0"):
        make(f"BUILD={build}", f"VERSION={version}", "deb")
        for path in build.glob(f"*_{version}-1_*.deb"):
            made[path.name.split("_")[0], version] = path
    assert len(made) == 4
    return made


@pytest.fixture(scope="module")
def root(session_folder, packages):
    """A fresh root with what the packages depend on, but not the packages."""
    depends = subprocess.run(
        ["dpkg-deb", "-f", packages["dnstap-bpf", "0.1.0"], "Depends"], capture_output=True,
        text=True, check=True).stdout
    names = [re.match(r"[a-z0-9.+-]+", one.strip()).group() for one in depends.split(",")]
    folder = session_folder / "root"
    fresh.make(folder, names)
    for path in packages.values():
        (folder / "root" / path.name).write_bytes(path.read_bytes())
    return folder


def test_lintian(packages):
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error", *packages.values()], capture_output=True,
        text=True, timeout=200, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packages_are_identical_when_built_again(packages, session_folder):
    build = session_folder / "packages-again"
    make(f"BUILD={build}", "VERSION=0.2.0", "deb")
    for name in ("dnstap-bpf", "libdnstap-emit-dev"):
        path = packages[name, "0.2.0"]
        assert path.read_bytes() == (build / path.name).read_bytes()


def install(system, packages, version):
    path = packages["dnstap-bpf", version]
    system.run("dpkg", "--install", "--force-confold", f"/root/{path.name}")


def everything(system):
    return {line for line in system.run(*EVERYWHERE).stdout.splitlines()
            if not BOOKKEEPING.search(line)}


def status_of(system, pid):
    text = system.run("cat", f"/proc/{pid}/status").stdout
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def check_active(system):
    """It has said READY; and no process of it has more rights than it must."""
    state = system.unit(UNIT, "ActiveState", "MainPID", "NRestarts", "StatusText", "Result")
    journal = system.run("journalctl", "-u", UNIT, "--no-pager", check=False).stdout
    assert state["ActiveState"] == "active" and state["NRestarts"] == "0", f"{state} {journal}"
    assert state["StatusText"].startswith("Watching lo ("), state
    worker = status_of(system, state["MainPID"])
    assert worker["Uid"].split() != ["0"] * 4
    assert [worker[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == ["0" * 16] * 4
    assert worker["Seccomp"] == "2" and worker["NoNewPrivs"] == "1"
    group = system.run("cat", f"/proc/{state['MainPID']}/task/{state['MainPID']}/children").stdout
    opener, = group.split()
    assert int(status_of(system, opener)["CapPrm"], 16) in (0, CAP_NET_RAW)
    return state["MainPID"]


def tap_some(system, rate=500):
    """A collector in the folder that is made for it, and queries on the system's loopback."""
    where = system.path_of(SOCKET)
    with Scripted(where) as collector:
        os.chmod(where, 0o660)
        group = system.run("stat", "-c", "%G", SOCKET).stdout.strip()
        assert group == "dnstap-bpf", "the folder gives its group to what is made in it"
        collector.wait_started()
        with Load(system, rate) as load:
            time.sleep(1)
            sent = load.stop()
        wait_until("all queries", lambda: len(collector.arrivals) >= sent)
        assert len(collector.arrivals) == sent and not collector.errors


def test_life(root, packages):
    system = fresh.Booted(root)
    try:
        before = everything(system)
        install(system, packages, "0.1.0")
        first = check_active(system)
        assert system.run("systemctl", "is-enabled", UNIT).stdout.strip() == "enabled"
        assert "0.1.0" in system.run("dnstap-bpf", "--version").stdout
        tap_some(system)
        system.path_of(CONFIG).write_text(system.path_of(CONFIG).read_text() + "sample: 1\n")
        system.run("systemctl", "reload", UNIT)
        assert check_active(system) == first
        tap_some(system)

        install(system, packages, "0.2.0")
        assert check_active(system) != first
        assert "0.2.0" in system.run("dnstap-bpf", "--version").stdout
        assert system.path_of(CONFIG).read_text().endswith("sample: 1\n")
        tap_some(system)

        system.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT)
        wait_until("it is started again", lambda: system.unit(UNIT, "NRestarts", "SubState") == {
            "NRestarts": "1", "SubState": "running"}, 20)
        system.run("dpkg", "--remove", "dnstap-bpf")
        assert system.unit(UNIT, "ActiveState")["ActiveState"] == "inactive"
        assert system.path_of(CONFIG).exists()
        system.run("dpkg", "--purge", "dnstap-bpf")
        assert everything(system) == before
        assert system.run("getent", "passwd", "dnstap-bpf", check=False).returncode != 0
    finally:
        system.close()
