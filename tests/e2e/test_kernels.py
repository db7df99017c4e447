# SPDX-License-Identifier: BSD-2-Clause
"""The tap under Debian's kernels, old and new, in virtual machines without acceleration.

DNSTAP_BPF_KERNELS: of which releases; `make check` takes the one of Debian 12, and with it what
the kernel that runs here may lack.
"""

import os
import subprocess

import pytest

from tap import REPOSITORY

SUITES = os.environ.get("DNSTAP_BPF_KERNELS", "bookworm").split()
SECONDS = 1500  # five times what it takes; each test in there has a bound of its own
LACKING = 77  # scripts/kernels: something it needs is not there
EACH_RING = ("test_servers.py::test_server[knot-4-{}]", "test_live_tcp.py::test_pipelined[knot-4-{}]",
             "test_live_tcp.py::test_pipelined[knot-6-{}]",
             "test_live_fragments.py::test_both_ways[knot-4-server-{}]",
             "test_live_fragments.py::test_both_ways[knot-6-server-{}]")
TESTS = ["test_capabilities.py", "test_live_vlan.py", "test_host.py::test_cpu_later",
         "test_confinement.py::test_started_by_root",
         "test_servers.py::test_loopback_is_seen_once",
         *(test.format(ring) for test in EACH_RING for ring in ("array", "bpf", "perf")),
         "test_kernel_settings.py"]


@pytest.mark.needs("qemu")
@pytest.mark.seconds(SECONDS + 60)
@pytest.mark.parametrize("suite", SUITES)
def test_live(request, suite):
    """Capabilities, UDP, TCP, fragments, VLAN devices, by every ring; settings and CPUs that change."""
    done = subprocess.run([REPOSITORY / "scripts" / "kernels", "-s", suite, *TESTS],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "KERNELS_SECONDS": str(SECONDS),
                               "KERNELS_PROGRAMS": "knotd"},
                          timeout=SECONDS + 30, check=False)
    if done.returncode == LACKING:
        reason = done.stdout.strip()
        request.config.pluginmanager.get_plugin("required-tests").probe_failed(
            request.node.nodeid, reason)
        pytest.skip(reason)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout
    told = [line for line in done.stdout.splitlines()
            if line.startswith("kernel ") or " passed" in line]
    print(" ".join(told))
