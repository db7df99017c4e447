# SPDX-License-Identifier: BSD-2-Clause
"""The zones of the small internet, signed with BIND's tools, and who serves them.

    .            root   signed            test.      nsd    signed
    knot.test.   knot   dynamic           bind.test. bind   signed (NSEC3)
    nsd.test.    nsd    signed            dyn.bind.test. bind, dynamic
    bogus.test.  bind   its signatures do not verify
    all.test.    the Knot on the host that is all three
    lame., dead., slow., old., half., lower., late.test.   odd_server.py, each a fault of its own
"""

import re
import subprocess
from pathlib import Path
from typing import Dict, List

NAMES = 200
SECONDS = 60
ODD = {"dead": 50, "lame": 51, "slow": 52, "old": 53, "half": 54, "lower": 55, "late": 56}
SERVED = {".": 1, "test.": 2, "nsd.test.": 2, "knot.test.": 10, "bind.test.": 11,
          "dyn.bind.test.": 11, "bogus.test.": 11, "all.test.": 40,
          **{f"{name}.test.": number for name, number in ODD.items()}}
CHILDREN = {".": ["test."], "bind.test.": ["dyn.bind.test."],
            "test.": [name for name in SERVED if name.count(".") == 2]}
SIGNED = ("bind.test.", "nsd.test.", "bogus.test.", "test.", ".")  # children first


def address(number: int, family: int) -> str:
    return f"10.77.0.{number}" if family == 4 else f"fd77::{number:x}"


def _under(name: str, zone: str) -> str:
    return name + "." + zone.rstrip(".") + ("." if zone != "." else "")


def _apex(zone: str) -> List[str]:
    server = _under("ns", zone)
    return [f"{zone} 3600 SOA {server} hostmaster.{zone if zone != '.' else 'test.'}"
            " 1 3600 600 86400 60", f"{zone} 3600 NS {server}",
            f"{server} 3600 A {address(SERVED[zone], 4)}",
            f"{server} 3600 AAAA {address(SERVED[zone], 6)}"]


def _delegations(zone: str, signers: Dict[str, str]) -> List[str]:
    lines = []
    for child in CHILDREN.get(zone, ()):
        lines += _apex(child)[1:]
        if child in signers:
            lines.append(signers[child])
    return lines


def _names(zone: str) -> List[str]:
    """What the load asks for: addresses, aliases, a wildcard, answers of 3 KB and 20 KB."""
    lines = [f"{_under('*.w', zone)} 300 A 192.0.2.7", f"{zone} 300 MX 10 {_under('n1', zone)}"]
    for number in range(NAMES):
        name = _under(f"n{number}", zone)
        lines += [f"{name} {number % 60 + 1} A 192.0.2.{number}",
                  f"{name} {number % 60 + 1} AAAA 2001:db8::{number:x}",
                  f'{name} 300 TXT "number {number}"',
                  f"{_under(f'c{number}', zone)} 30 CNAME {name}"]
    for name, count in (("big", 3), ("huge", 20)):
        lines += [f'{_under(name, zone)} 30 TXT "{number:0>3}{"x" * 240}"' + f' "{"y" * 250}"' * 3
                  for number in range(count)]
    return lines + [f"{_under('sub', zone)} 300 NS {_under('ns.sub', zone)}",
                    f"{_under('ns.sub', zone)} 300 A {address(ODD['dead'], 4)}"]


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=SECONDS,
                          check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _sign(folder: Path, zone: str, file: str) -> str:
    """Signs a zone's file in place; returns its DS record."""
    key = _run(folder, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone).strip()
    nsec3 = ["-3", "-"] if zone == "bind.test." else []
    _run(folder, "dnssec-signzone", "-q", "-z", "-P", "-S", *nsec3, "-o", zone, "-f", file, file)
    return re.sub(r"\s+", " ", _run(folder, "dnssec-dsfromkey", "-2", key + ".key")).strip()


def _spoil(file: Path) -> None:
    """Another address under the signature: what a validating resolver must refuse."""
    file.write_text(re.sub(r"192\.0\.2\.(\d+)", r"192.0.2.1\1", file.read_text()))


def file_name(zone: str) -> str:
    return ("root" if zone == "." else zone.rstrip(".")) + ".zone"


def write(folder: Path) -> str:
    """Writes the zone files that servers load; returns the root's DS record."""
    signers: Dict[str, str] = {}
    order = [zone for zone in SERVED if zone not in SIGNED] + list(SIGNED)
    for zone in order:
        if zone.split(".")[0] in ODD:
            continue
        lines = _apex(zone) + _delegations(zone, signers)
        if zone not in (".", "test."):
            lines += _names(zone)
        file = folder / file_name(zone)
        file.write_text("\n".join(lines) + "\n")
        if zone in SIGNED:
            signers[zone] = _sign(folder, zone, file.name)
        if zone == "bogus.test.":
            _spoil(file)
    return signers["."]
