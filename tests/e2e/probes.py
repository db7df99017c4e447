# SPDX-License-Identifier: BSD-2-Clause
"""What this kernel and this user can do: the only good reasons for skipping a required test.

Each probe tries the thing itself, without the tap, and returns "" or why it cannot be done.
"""

import ctypes
import functools
import os
import shutil
import socket
import struct
from pathlib import Path

import fresh
import netns

SYS_BPF, SYS_PERF_EVENT_OPEN = {"x86_64": (321, 298), "aarch64": (280, 241)}.get(
    os.uname().machine, (0, 0))
BPF_MAP_CREATE, BPF_PROG_LOAD = 0, 5
BPF_PROG_TYPE_SOCKET_FILTER, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_RINGBUF = 1, 2, 27
BPF_F_MMAPABLE = 1 << 10
PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT, PERF_SAMPLE_RAW = 1, 10, 1 << 10
RETURN_0 = struct.pack("<BBhiBBhi", 0xb7, 0, 0, 0, 0x95, 0, 0, 0)  # r0 = 0; exit
_libc = ctypes.CDLL(None, use_errno=True)


def _descriptor(what: str, number: int, *arguments) -> str:
    """Calls what returns a descriptor, closes it; "" or the error."""
    if not number:
        return f"{what}: no system call number known for {os.uname().machine}"
    result = _libc.syscall(number, *arguments)
    if result < 0:
        return f"{what}: {os.strerror(ctypes.get_errno())}"
    os.close(result)
    return ""


def _bpf(what: str, command: int, attributes: bytes) -> str:
    block = ctypes.create_string_buffer(attributes, 128)
    return _descriptor(what, SYS_BPF, command, block, 128)


@functools.lru_cache(None)
def namespaces() -> str:
    try:
        with netns.Namespace() as one, netns.Namespace() as two:
            netns.join(one, "probe0", two, "probe1")
    except (RuntimeError, OSError) as error:
        return f"network namespaces: {error}"
    return ""


@functools.lru_cache(None)
def bpf() -> str:
    program = ctypes.create_string_buffer(RETURN_0, 16)
    license_text = ctypes.create_string_buffer(b"GPL")
    return _bpf("loading a BPF socket filter", BPF_PROG_LOAD,
                struct.pack("<IIQQIIQII", BPF_PROG_TYPE_SOCKET_FILTER, 2,
                            ctypes.addressof(program), ctypes.addressof(license_text),
                            0, 0, 0, 0, 0))


@functools.lru_cache(None)
def ring_array() -> str:
    return _bpf("a BPF array that is mapped", BPF_MAP_CREATE,
                struct.pack("<IIIII", BPF_MAP_TYPE_ARRAY, 4, 4096, 1, BPF_F_MMAPABLE))


@functools.lru_cache(None)
def ring_bpf() -> str:
    return _bpf("a BPF ring buffer", BPF_MAP_CREATE,
                struct.pack("<IIII", BPF_MAP_TYPE_RINGBUF, 0, 0, 65536))


@functools.lru_cache(None)
def ring_perf() -> str:
    attributes = struct.pack("<IIQQQ", PERF_TYPE_SOFTWARE, 64, PERF_COUNT_SW_BPF_OUTPUT, 1,
                             PERF_SAMPLE_RAW)
    block = ctypes.create_string_buffer(attributes, 128)
    return _descriptor("a perf ring for BPF output", SYS_PERF_EVENT_OPEN, block, -1, 0, -1, 0)


@functools.lru_cache(None)
def root() -> str:
    return "" if os.geteuid() == 0 else "root: these tests do not run as root"


@functools.lru_cache(None)
def vlan() -> str:
    try:
        with netns.Namespace() as one:
            one.ip("link", "add", "link", "lo", "name", "probe0", "type", "vlan", "id", "2")
    except (RuntimeError, OSError) as error:
        return "" if "not supported on device" in str(error) else f"VLAN devices: {error}"
    return ""


def tun() -> str:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"tun devices: /dev/net/tun: {error.strerror}"
    return ""


@functools.lru_cache(None)
def qemu() -> str:
    lacking = [name for name in ("qemu-system-x86_64", "busybox", "cpio", "depmod")
               if not shutil.which(name, path="/usr/sbin:/usr/bin")]
    return f"virtual machines: {', '.join(lacking)} not installed" if lacking else ""


@functools.lru_cache(None)
def tshark() -> str:
    return "" if shutil.which("tshark") else "the comparison with tshark: it is not installed"


@functools.lru_cache(None)
def systemd() -> str:
    return "" if shutil.which("systemd-analyze") else "the unit's exposure: no systemd-analyze here"


def promtool() -> str:
    return "" if shutil.which("promtool") else "what Prometheus says: promtool is not installed"


@functools.lru_cache(None)
def full() -> str:
    return "" if os.environ.get("DNSTAP_BPF_FULL") else "only `make check-full` runs these"


def af_xdp() -> str:
    try:
        socket.socket(44, socket.SOCK_RAW).close()
    except OSError as error:
        return f"no AF_XDP sockets: {error.strerror}"
    return ""


def clang() -> str:
    return "" if shutil.which("clang") else "clang is not installed"


def guest() -> str:
    """A machine whose CPUs a test may take away: that of scripts/kernels."""
    return "" if os.environ.get("DNSTAP_BPF_GUEST") else "not on a machine that others use"


def cgroup_folder() -> Path:
    """Where control groups can be made; version 2 stands alone or beside version 1."""
    top = Path("/sys/fs/cgroup")
    return next((folder for folder in (top, top / "unified", top / "pids")
                 if (folder / "cgroup.procs").exists()), top / "none")


def cgroups() -> str:
    folder = cgroup_folder() / f"probe{os.getpid()}"
    try:
        folder.mkdir()
        folder.rmdir()
    except OSError as error:
        return f"no control group can be made: {error.strerror}"
    return ""


@functools.lru_cache(None)
def fresh_root() -> str:
    if not shutil.which("mmdebstrap") or not shutil.which("lintian"):
        return "a fresh Debian root: mmdebstrap and lintian are not both installed"
    return "" if fresh.mirrors() else "a fresh Debian root: apt knows no Debian mirror"


ALL = {probe.__name__: probe for probe in (
    af_xdp, bpf, cgroups, clang, fresh_root, full, guest, namespaces, promtool, qemu, ring_array,
    ring_bpf, ring_perf, root, systemd, tshark, tun, vlan)}
