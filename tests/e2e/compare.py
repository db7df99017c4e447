#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds a server's own dnstap against ours, message by message.

    /usr/bin/python3 tests/e2e/compare.py [OPTIONS] NATIVE.fstrm [NATIVE.fstrm]... OURS.fstrm

Both are Frame Streams files of the same time and host, ours written with `full`; several native
ones are taken as one. A native message and one of ours are a pair when both are queries or both
responses, their DNS bytes are the same, and no field that the native one has says otherwise; of
several the nearest in time. What is left is paired by id, name and addresses, then, where the
native message bears no bytes, by addresses and time. Each field that both have and that differs is
a difference; differences and messages without a partner are put into the classes of
compare_classes.py, and what fits none is unexplained. Exit status: 1 when something is.

--list prints every unexplained item, --class some of a class, --json everything as JSON.
"""

import argparse
import bisect
import collections
import ipaddress
import json
import statistics
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, List, Optional

sys.dont_write_bytecode = True

import compare_classes as classes  # noqa: E402
import frames  # noqa: E402

FIELDS = ("type", "family", "protocol", "query_address", "response_address", "query_port",
          "response_port", "wire", "query_zone", "query_time", "response_time")
EXACT = ("protocol", "query_address", "response_address", "query_port", "response_port")
NEAR_NS = 5 * 10**9  # pairs that are not byte for byte the same must be this near in time
LISTED_MOST = 40
SAMPLES_MOST = 100


@dataclass
class One:
    """A message of either side; None is absent. Addresses are packed, times wall ns."""

    type: str
    family: Optional[int]
    protocol: Optional[int]
    query_address: Optional[bytes]
    response_address: Optional[bytes]
    query_port: Optional[int]
    response_port: Optional[int]
    query_time: Optional[int]
    response_time: Optional[int]
    query_zone: Optional[bytes]
    wire: Optional[bytes]
    other: Optional[bytes]  # the other direction's message, where it is borne too
    partner: Optional["One"] = None

    @property
    def is_query(self) -> bool:
        return self.type.endswith("_QUERY")

    @property
    def role(self) -> str:
        return self.type.rsplit("_", 1)[0]

    @property
    def time(self) -> int:
        return (self.query_time if self.is_query else self.response_time) or 0

    @property
    def flags(self) -> int:
        return struct.unpack_from("!H", self.wire, 2)[0] if self.wire and len(self.wire) > 3 else 0

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15

    @property
    def name(self) -> bytes:
        """The question's name, type and class, in lower case; empty where there is none."""
        wire, at = self.wire or b"", 12
        if len(wire) < 17 or not struct.unpack_from("!H", wire, 4)[0]:
            return b""
        while at < len(wire) and wire[at]:
            at += wire[at] + 1
        return wire[12:at].lower() + wire[at:at + 5]

    @property
    def kind(self) -> int:
        """The question's type, 0 without one."""
        name = self.name
        return struct.unpack_from("!H", name, len(name) - 4)[0] if len(name) > 4 else 0

    def __str__(self) -> str:
        def address(packed: Optional[bytes], port: Optional[int]) -> str:
            shown = str(ipaddress.ip_address(packed)) if packed else "-"
            return f"{shown} {'-' if port is None else port}"

        return (f"{self.type} {address(self.query_address, self.query_port)} > "
                f"{address(self.response_address, self.response_port)} protocol {self.protocol} "
                f"times {self.query_time} {self.response_time} "
                f"{'-' if self.wire is None else self.wire[:80].hex()}")


def read(path: Path) -> List[One]:
    made = []
    for payload in frames.read_file(path, whole=False):
        inner = frames.Dnstap.FromString(payload).message
        got = {name.name: value for name, value in inner.ListFields()}

        def time(name: str, got=got) -> Optional[int]:
            seconds = got.get(name + "_sec")
            return None if seconds is None else seconds * 10**9 + got.get(name + "_nsec", 0)

        kind = frames.type_name(inner.type)
        own, other = (("query_message", "response_message") if kind.endswith("_QUERY")
                      else ("response_message", "query_message"))
        made.append(One(
            kind, got.get("socket_family"), got.get("socket_protocol"), got.get("query_address"),
            got.get("response_address"), got.get("query_port"), got.get("response_port"),
            time("query_time"), time("response_time"), got.get("query_zone"), got.get(own),
            got.get(other)))
    return made


def blank(value) -> bool:
    """What a server writes that does not know: nothing, port 0, the wildcard address."""
    return value is None or value == 0 or (isinstance(value, bytes) and not any(value))


def unset(value) -> bool:
    """For zones, of which the root's is all zeros."""
    return value is None


def disagreements(native: One, ours: One) -> int:
    return sum(1 for name in EXACT if not blank(getattr(native, name))
               and getattr(native, name) != getattr(ours, name))


def cost(native: One, ours: One) -> tuple:
    return (disagreements(native, ours), native.type != ours.type, abs(native.time - ours.time))


def pair_group(natives: List[One], ours: List[One], most: int) -> None:
    """Pairs the cheapest first; a pair may disagree in at most `most` fields."""
    if len(natives) == len(ours) == 1:
        candidates = [(cost(natives[0], ours[0]), 0, 0)]
    else:
        candidates = sorted((cost(a, b), i, j) for i, a in enumerate(natives)
                            for j, b in enumerate(ours) if disagreements(a, b) <= most)
    for price, i, j in candidates:
        if price[0] <= most and not natives[i].partner and not ours[j].partner:
            natives[i].partner, ours[j].partner = ours[j], natives[i]


def pair_by(key, natives: Iterable[One], ours: Iterable[One], most: int = 0) -> None:
    """Pairs what has the same key on both sides and no partner yet."""
    groups: Dict[object, tuple] = collections.defaultdict(lambda: ([], []))
    for side, messages in enumerate((natives, ours)):
        for one in messages:
            if not one.partner:
                groups[key(one)][side].append(one)
    for left, right in groups.values():
        if left and right:
            pair_chunks(sorted(left, key=lambda one: one.time),
                        sorted(right, key=lambda one: one.time), most)


def pair_chunks(left: List[One], right: List[One], most: int) -> None:
    """A large group is cut by time, so that the work stays bounded."""
    if len(left) * len(right) <= 250_000:
        pair_group(left, right, most)
        return
    times = [one.time for one in right]
    for one in left:
        at = bisect.bisect_left(times, one.time)
        near = [other for other in right[max(0, at - 50):at + 50] if not other.partner]
        pair_group([one], near, most)


def pair(natives: List[One], ours: List[One]) -> None:
    with_bytes = [one for one in natives if one.wire is not None]
    pair_by(lambda one: (one.is_query, one.wire), with_bytes, ours)
    for shift in (0, NEAR_NS // 2):  # twice, for pairs on either side of a boundary
        pair_by(lambda one, shift=shift: (one.is_query, one.wire and one.wire[:2], one.name,
                                          (one.time + shift) // NEAR_NS), with_bytes, ours)
    pair_by(lambda one: (one.is_query, one.wire), with_bytes, ours, most=1)
    bare = [one for one in natives if one.wire is None]
    if bare:
        pair_by(lambda one: (one.type, one.query_address, one.query_port), bare, ours)


@dataclass
class Report:
    """What a comparison found."""

    types: Dict[str, collections.Counter] = field(default_factory=dict)
    fields: collections.Counter = field(default_factory=collections.Counter)
    more: collections.Counter = field(default_factory=collections.Counter)
    classes: collections.Counter = field(default_factory=collections.Counter)
    times: Dict[str, List[int]] = field(default_factory=dict)
    unexplained: List[str] = field(default_factory=list)
    samples: Dict[str, List[str]] = field(default_factory=dict)

    def total(self, what: str) -> int:
        return sum(counter[what] for counter in self.types.values())

    @property
    def in_ours(self) -> int:
        """Native messages whose packet ours has, paired or told by another native message."""
        return self.total("matched") + sum(self.classes[name] for name in classes.SAME_PACKET)

    def count(self, kind: str, what: str) -> None:
        self.types.setdefault(kind, collections.Counter())[what] += 1

    def file(self, class_name: Optional[str], text: str) -> None:
        if class_name:
            self.classes[class_name] += 1
            samples = self.samples.setdefault(class_name, [])
            if len(samples) < SAMPLES_MOST:
                samples.append(text)
        else:
            self.classes[classes.UNEXPLAINED] += 1
            self.unexplained.append(text)

    def time_summary(self) -> Dict[str, dict]:
        """Ours minus native, in microseconds."""
        made = {}
        for name, values in sorted(self.times.items()):
            sizes = sorted(abs(value) for value in values)
            made[name] = {"count": len(values), "median_us": statistics.median(values) / 1e3,
                          "median_apart_us": statistics.median(sizes) / 1e3,
                          "p99_apart_us": sizes[len(sizes) * 99 // 100] / 1e3,
                          "max_apart_us": sizes[-1] / 1e3}
        return made

    def as_json(self) -> dict:
        return {"types": self.types, "fields": self.fields, "more": self.more,
                "classes": self.classes, "times": self.time_summary(),
                "unexplained": self.unexplained}


def compare_pair(report: Report, native: One, ours: One, context: classes.Context) -> None:
    report.count(native.type, "matched")
    differing = []
    for name in FIELDS:
        left, right = getattr(native, name), getattr(ours, name)
        unknown = unset if name == "query_zone" else blank
        if unknown(left) and not unknown(right):
            report.more[f"{name} in {ours.type}"] += 1
        elif name.endswith("_time") and left and right:
            report.times.setdefault(f"{native.type} {name}", []).append(right - left)
        elif left != right:
            differing.append(name)
    for name in differing:
        report.fields[f"{name} of {native.type}"] += 1
        report.file(classes.of_field(name, native, ours, context),
                    f"{name}:\n  native {native}\n  ours   {ours}")


def compare(natives: List[One], ours: List[One]) -> Report:
    pair(natives, ours)
    report = Report()
    context = classes.Context(natives, ours)
    for native in natives:
        if native.partner:
            compare_pair(report, native, native.partner, context)
        else:
            report.count(native.type, "only native")
            report.file(classes.of_native(native, context), f"only native: {native}")
    for one in ours:
        if not one.partner:
            report.count(one.type, "only ours")
            report.file(classes.of_ours(one, context), f"only ours: {one}")
    return report


def compare_files(natives: List[Path], ours: Path) -> Report:
    return compare([one for path in natives for one in read(path)], read(ours))


def text_of(report: Report, listed: bool = False, samples: Iterable[str] = ()) -> str:
    lines = [f"{'type':24}{'matched':>10}{'only native':>13}{'only ours':>11}"]
    for name, counter in sorted(report.types.items()):
        lines.append(f"{name:24}{counter['matched']:>10}{counter['only native']:>13}"
                     f"{counter['only ours']:>11}")
    lines.append(f"{'all':24}{report.total('matched'):>10}{report.total('only native'):>13}"
                 f"{report.total('only ours'):>11}")
    for title, counter in (("fields that differ", report.fields),
                           ("fields that only ours has", report.more),
                           ("classes", report.classes)):
        if counter:
            lines += ["", title]
            lines += [f"{count:>10}  {name}" for name, count in sorted(counter.items())]
    lines += ["", "times apart, ours minus native, in microseconds",
              f"{'':40}{'pairs':>8}{'median':>10}{'|median|':>10}{'|p99|':>11}{'|max|':>12}"]
    for name, row in report.time_summary().items():
        lines.append(f"{name:40}{row['count']:>8}{row['median_us']:>10.1f}"
                     f"{row['median_apart_us']:>10.1f}{row['p99_apart_us']:>11.1f}"
                     f"{row['max_apart_us']:>12.1f}")
    for name in samples:
        lines += ["", f"class {name}:", *report.samples.get(name, ["none"])]
    if report.unexplained:
        shown = report.unexplained if listed else report.unexplained[:LISTED_MOST]
        lines += ["", f"unexplained: {len(report.unexplained)}", *shown]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares a server's dnstap with ours.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="every unexplained item")
    parser.add_argument("--class", dest="samples", metavar="NAME", action="append", default=[],
                        help="show some of a class")
    parser.add_argument("native", nargs="+", type=Path)
    parser.add_argument("ours", type=Path)
    options = parser.parse_args()
    report = compare_files(options.native, options.ours)
    print(json.dumps(report.as_json(), indent=1) if options.json
          else text_of(report, options.list, options.samples))
    return 1 if report.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
