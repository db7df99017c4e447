# SPDX-License-Identifier: BSD-2-Clause
"""Frame Streams and dnstap, read by code that shares nothing with the tap.

The dnstap schema stands here as a table of field numbers and is read by Debian's Python protobuf,
so that a mistake in the tap's own proto file would show.
"""

import ipaddress
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
FIELD_CONTENT_TYPE = 1

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {"bytes": _FIELD.TYPE_BYTES, "u32": _FIELD.TYPE_UINT32, "u64": _FIELD.TYPE_UINT64,
          "f32": _FIELD.TYPE_FIXED32, "msg": _FIELD.TYPE_MESSAGE}
_DNSTAP = (("identity", 1, "bytes"), ("version", 2, "bytes"), ("extra", 3, "bytes"),
           ("message", 14, "msg"), ("type", 15, "u32"))
_MESSAGE = (("type", 1, "u32"), ("socket_family", 2, "u32"), ("socket_protocol", 3, "u32"),
            ("query_address", 4, "bytes"), ("response_address", 5, "bytes"),
            ("query_port", 6, "u32"), ("response_port", 7, "u32"),
            ("query_time_sec", 8, "u64"), ("query_time_nsec", 9, "f32"),
            ("query_message", 10, "bytes"), ("query_zone", 11, "bytes"),
            ("response_time_sec", 12, "u64"), ("response_time_nsec", 13, "f32"),
            ("response_message", 14, "bytes"), ("policy", 15, "bytes"),
            ("http_protocol", 16, "u32"))
TYPES = ("AUTH", "RESOLVER", "CLIENT", "FORWARDER", "STUB", "TOOL", "UPDATE")


def type_name(number: int) -> str:
    return TYPES[(number - 1) // 2] + ("_QUERY" if number % 2 else "_RESPONSE")


def _dnstap_class():
    """The class of the outer message, made from the tables above."""
    file = descriptor_pb2.FileDescriptorProto(name="e2e.proto", package="e2e", syntax="proto2")
    for name, fields in (("Message", _MESSAGE), ("Dnstap", _DNSTAP)):
        entry = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = _FIELD.LABEL_REQUIRED if field == "type" else _FIELD.LABEL_OPTIONAL
            made = entry.field.add(name=field, number=number, type=_KINDS[kind], label=label)
            if kind == "msg":
                made.type_name = ".e2e.Message"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(
        pool.FindMessageTypeByName("e2e.Dnstap"))


Dnstap = _dnstap_class()


@dataclass
class Message:
    """One dnstap message in the terms tests speak in; None is absent. Times are wall ns."""

    type: str
    family: Optional[int]
    protocol: Optional[int]
    query_address: Optional[str]
    response_address: Optional[str]
    query_port: Optional[int]
    response_port: Optional[int]
    query_time: Optional[int]
    response_time: Optional[int]
    query: Optional[bytes]
    response: Optional[bytes]
    identity: Optional[str]
    version: Optional[str]
    extra: Optional[str] = None

    @property
    def is_query(self) -> bool:
        return self.type.endswith("_QUERY")

    @property
    def wire(self) -> Optional[bytes]:
        return self.query if self.is_query else self.response

    @property
    def id(self) -> int:
        return struct.unpack_from("!H", self.wire)[0]

    @property
    def key(self) -> tuple:
        """What tells the messages of one client apart: its port, the DNS id, the direction."""
        return (self.query_port, self.id, "query" if self.is_query else "response")


def _address(packed: Optional[bytes]) -> Optional[str]:
    if packed is None:
        return None
    assert len(packed) in (4, 16), f"an address of {len(packed)} bytes"
    return str(ipaddress.ip_address(packed))


def _text(raw: Optional[bytes]) -> Optional[str]:
    return None if raw is None else raw.decode("utf-8")


def decode(frame: bytes) -> Message:
    """Decodes one frame; whatever is not a whole, known dnstap message raises."""
    outer = Dnstap.FromString(frame)
    assert outer.type == 1, f"Dnstap.type is {outer.type}"
    inner = outer.message
    assert 1 <= inner.type <= 14, f"Message.type is {inner.type}"

    def get(name: str):
        return getattr(inner, name) if inner.HasField(name) else None

    def time(name: str) -> Optional[int]:
        seconds, nanoseconds = get(name + "_sec"), get(name + "_nsec")
        if seconds is None:
            return None
        assert (nanoseconds or 0) < 10**9
        return seconds * 10**9 + (nanoseconds or 0)

    return Message(
        type_name(inner.type), get("socket_family"), get("socket_protocol"),
        _address(get("query_address")), _address(get("response_address")),
        get("query_port"), get("response_port"), time("query_time"), time("response_time"),
        get("query_message"), get("response_message"),
        _text(outer.identity if outer.HasField("identity") else None),
        _text(outer.version if outer.HasField("version") else None),
        _text(outer.extra if outer.HasField("extra") else None))


def control(kind: int, content_type: bytes = b"") -> bytes:
    """A control frame, escape and length included."""
    body = struct.pack("!I", kind)
    if content_type:
        body += struct.pack("!II", FIELD_CONTENT_TYPE, len(content_type)) + content_type
    return struct.pack("!II", 0, len(body)) + body


def data(payload: bytes) -> bytes:
    return struct.pack("!I", len(payload)) + payload


def parse_control(body: bytes) -> tuple:
    """(kind, content types) of a control frame's body."""
    kind, types, at = struct.unpack_from("!I", body)[0], [], 4
    while at < len(body):
        field, length = struct.unpack_from("!II", body, at)
        assert field == FIELD_CONTENT_TYPE and at + 8 + length <= len(body)
        types.append(body[at + 8:at + 8 + length])
        at += 8 + length
    return kind, types


def split(stream: bytes) -> Iterator[tuple]:
    """The frames of a stream: (True, body) of a control frame, (False, payload) of a data frame.

    A stream that ends inside a frame raises.
    """
    at, end = 0, len(stream)
    while at < end:
        length = struct.unpack_from("!I", stream, at)[0]
        is_control = length == 0
        at += 4
        if is_control:
            length = struct.unpack_from("!I", stream, at)[0]
            at += 4
        assert at + length <= end, f"the stream ends inside a frame, at {at} of {end}"
        yield is_control, stream[at:at + length]
        at += length


def whole_part(stream: bytes) -> bytes:
    """Up to the last whole frame, as a reader takes a stream that was cut off somewhere."""
    at = 0
    while at + 8 <= len(stream):
        length, next_word = struct.unpack_from("!II", stream, at)
        end = at + 4 + length if length else at + 8 + next_word
        if end > len(stream):
            break
        at = end
    return stream[:at]


def read_file(path: Path, whole: bool = True) -> List[bytes]:
    """The payloads of a Frame Streams file: START, data and, if it was closed whole, STOP."""
    parts = list(split(Path(path).read_bytes()))
    assert parts, f"{path} is empty"
    assert parts[0] == (True, control(START, CONTENT_TYPE)[8:]), "no START at the beginning"
    if parts[-1][0]:
        assert parts.pop() == (True, control(STOP)[8:]), "not STOP at the end"
    else:
        assert not whole, "no STOP at the end"
    assert not any(is_control for is_control, _ in parts[1:])
    return [payload for _, payload in parts[1:]]


def read_messages(path: Path, whole: bool = True) -> List[Message]:
    return [decode(payload) for payload in read_file(path, whole)]
