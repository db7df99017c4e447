# SPDX-License-Identifier: BSD-2-Clause
"""What this machine's kernel cannot do, under Debian's in a virtual machine."""

import subprocess

import pytest

import probes
from tap import REPOSITORY

SECONDS = 85
LACKING = 77  # scripts/kernels: something it needs is not there


@pytest.mark.needs("qemu")
def test_vlan_devices(request):
    """All of test_live_vlan.py, unless it runs here anyway, and a CPU that comes later."""
    if not probes.vlan():
        return
    done = subprocess.run([REPOSITORY / "scripts" / "kernels", "test_live_vlan.py",
                           "test_host.py::test_cpu_later"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS, check=False)
    if done.returncode == LACKING:
        reason = done.stdout.strip()
        request.config.pluginmanager.get_plugin("required-tests").probe_failed(
            request.node.nodeid, reason)
        pytest.skip(reason)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "skipped" not in done.stdout, done.stdout
