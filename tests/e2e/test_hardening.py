# SPDX-License-Identifier: BSD-2-Clause
"""What compiler and linker put between a mistake and whoever would use it, as the program has it."""

import re
import subprocess

import pytest

from tap import binary


@pytest.fixture(scope="module")
def readelf():
    def read(*words):
        done = subprocess.run(["readelf", "--wide", *words, str(binary())], capture_output=True,
                              text=True, timeout=60, check=True)
        return done.stdout

    return read


@pytest.fixture(scope="module")
def segments(readelf):
    """Each program header: its type and its flags."""
    found = re.findall(r"^  ([A-Z_]+) +(?:0x[0-9a-f]+ +){5}([R ][W ][E ]) ",
                       readelf("--program-headers"), re.MULTILINE)
    assert len(found) > 5
    return found


@pytest.fixture(scope="module")
def imported(readelf):
    """The functions it takes from libraries."""
    return set(re.findall(r" UND ([a-zA-Z0-9_]+)", readelf("--dyn-syms")))


def test_position_independent(readelf):
    assert "DYN (" in readelf("--file-header")
    dynamic = readelf("--dynamic")
    assert re.search(r"FLAGS_1.*\bPIE\b", dynamic)
    assert "TEXTREL" not in dynamic


def test_full_relro(readelf, segments):
    assert "GNU_RELRO" in dict(segments)
    assert re.search(r"FLAGS.*\bBIND_NOW\b", readelf("--dynamic"))


def test_nothing_both_written_and_run(segments):
    """The stack neither."""
    assert dict(segments)["GNU_STACK"].strip() == "RW"
    assert not [one for one in segments if "W" in one[1] and "E" in one[1]]


def test_stack_protector(imported):
    assert "__stack_chk_fail" in imported


def test_fortified(imported):
    """Copies and formats whose room the compiler knows are checked."""
    assert {"__memcpy_chk", "__snprintf_chk", "__fprintf_chk"} <= imported


def test_libraries_from_the_system_only(readelf):
    dynamic = readelf("--dynamic")
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
