"""Messages to wire parts and back: a msgpack header `[type code, fields…]` and a body that only its reader opens.

What comes in is believed only when it fits the declared structs (`common.wire.messages`): `msgspec.convert` looks at
every field of what msgpack has unpacked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgpack
import msgspec
from msgspec.structs import astuple

from common.core.errors import WireError
from common.wire.messages import (
    Faults,
    FrameBatch,
    FrameBody,
    Heartbeat,
    Message,
    ReadingBatch,
    ReadingBody,
    Register,
    Registered,
    Reply,
    Request,
    StreamReport,
    Tap,
    UserReading,
)

_TYPES: Final[tuple[type[Message], ...]] = (
    FrameBatch,
    ReadingBatch,
    StreamReport,
    Heartbeat,
    Tap,
    Register,
    Registered,
    Request,
    Reply,
)
"""Types in the order of their codes on the wire: a new one goes to the end, and none ever moves."""
_CODES: Final = {cls: code for code, cls in enumerate(_TYPES)}
_WITH_BODY: Final = frozenset(cls for cls in _TYPES if cls.__struct_fields__[-1] == "body")
"""Messages with a second part that only their reader opens."""
_HEADER_LENGTHS: Final = {cls: len(cls.__struct_fields__) - (cls in _WITH_BODY) for cls in _TYPES}
"""How many fields follow the type code."""
_BYTES: Final = (bytes,)
"""Bytes are bytes: without this msgspec takes text for them, as JSON has them."""
_TYPE_FAULT: Final = re.compile(r"Expected `(.+)`, got `(.+)`")
_PLACE: Final = re.compile(r"(.*?)(?: - at `\$\[(\d+)\].*`)?")
"""The path at the end of what msgspec says; ours names the field."""

_pack: Final = msgpack.Packer().pack
"""One for all: a new one for each message takes longer than the message."""

Shape = TypeVar("Shape")


def encode(message: Message) -> tuple[bytes, bytes]:
    """The two parts of a message: header and body (b"" where the message has none).

    The parts are separate so that whoever only passes a message on need not touch the body, which may be large.
    """
    cls, fields = type(message), astuple(message)
    if cls is FrameBatch and not fields[-2]:
        return _pack((_CODES[cls], *fields[:-2])), fields[-1]
    if cls in _WITH_BODY:
        return _pack((_CODES[cls], *fields[:-1])), fields[-1]
    return _pack((_CODES[cls], *fields)), b""


def decode(parts: Sequence[bytes]) -> Message:
    """The message of two parts; a request may have a third, which is the socket's.

    Fields at the end of a header that this version does not know are left out, and those that an older one does not say
    have their defaults. Raises WireError for anything that is no message.
    """
    if not 2 <= len(parts) <= 3:
        raise WireError(f"found {len(parts)} parts, expected 2")
    fields = unpack(parts[0])
    if type(fields) is not list or not fields or type(fields[0]) is not int:
        raise WireError("the header is no array that begins with a type code")
    code = fields.pop(0)
    if not 0 <= code < len(_TYPES):
        raise WireError(f"unknown message type {code}")
    cls = _TYPES[code]
    if len(parts) == 3 and cls is not Request:
        raise WireError("found 3 parts, expected 2")
    length = _HEADER_LENGTHS[cls]
    if len(fields) != length:
        _fit(cls, fields, length)
    if cls in _WITH_BODY:
        fields.append(parts[1])
    try:
        return msgspec.convert(fields, cls)
    except (msgspec.ValidationError, RecursionError) as error:
        raise WireError(_fault(cls, fields, str(error))) from None


def _fit(cls: type[Message], fields: list[object], length: int) -> None:
    """Makes a header of another version as long as ours: without what we don't know, with defaults for what it does
    not have. Raises WireError if it lacks more."""
    del fields[length:]
    defaults = cls.__struct_defaults__
    if cls in _WITH_BODY and defaults:
        defaults = defaults[:-1]
    missing = length - len(fields)
    if missing > len(defaults):
        raise WireError(f"{cls.__name__}: found {len(fields)} fields, expected {length}")
    fields += defaults[len(defaults) - missing :]


def _fault(cls: type[Message], fields: list[object], error: str) -> str:
    """What msgspec found wrong, in the words of this project."""
    found = _PLACE.fullmatch(error)
    if found is None or found[2] is None:
        return f"{cls.__name__}: {error}"
    name, value = cls.__struct_fields__[int(found[2])], fields[int(found[2])]
    if fault := _TYPE_FAULT.fullmatch(found[1]):
        return f"{cls.__name__}.{name}: found {fault[2]}, expected {fault[1]}"
    if type(value) is int:
        return f"{cls.__name__}.{name}: found {value}, which is no number of ours"
    return f"{cls.__name__}.{name}: {found[1]}"


def pack(value: object) -> bytes:
    """Any msgpack value: bodies of calls, and whatever else is written by one of us for another."""
    packed: bytes = _pack(value)
    return packed


def unpack(data: bytes) -> Any:
    """The value of a msgpack body, as deep and as large as it is; `unpack_as` looks at its shape. Raises WireError."""
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError) as error:
        raise WireError(f"not msgpack: {error}") from None


def unpack_as(data: bytes, shape: type[Shape]) -> Shape:
    """A msgpack body that is to have this shape, a struct or any other type. Raises WireError."""
    value = unpack(data)
    try:
        return msgspec.convert(value, shape, builtin_types=_BYTES)
    except (msgspec.ValidationError, RecursionError) as error:
        raise WireError(str(error)) from None


def unpack_map(data: bytes) -> dict[str, Any]:
    """The arguments of a call. Raises WireError if the body is no map."""
    value = unpack(data)
    if not isinstance(value, dict):
        raise WireError(f"found {type(value).__name__}, expected a map")
    return value


def pack_frames(body: FrameBody) -> bytes:
    """The body of a FrameBatch, which is also what the journal stores."""
    return pack((body.ts_ms, body.frames, body.extra))


def unpack_frames(data: bytes, count: int) -> FrameBody:
    """The body of a FrameBatch with `count` entries. Raises WireError, also where lists are of another length."""
    try:
        body = msgspec.convert(unpack(data), FrameBody, builtin_types=_BYTES)
    except (msgspec.ValidationError, RecursionError):
        raise WireError("no frame body of this count") from None
    if not len(body.ts_ms) == len(body.frames) == count:
        raise WireError("no frame body of this count")
    return body


def pack_readings(body: ReadingBody) -> bytes:
    """The body of a ReadingBatch. Readings of users' converters are structs, which msgpack does not know: they go as
    arrays."""
    fields = astuple(body)
    if body.user:
        user = {place: [_fields_of(reading) for reading in readings] for place, readings in body.user.items()}
        fields = (*fields[:4], user, *fields[5:])
    # Nearly every batch has none, and then it is written as before there were any.
    return pack((*fields[:-1], _fields_of_faults(body.faults)) if body.faults else fields[:-1])


def _fields_of_faults(faults: Faults) -> tuple[object, ...]:
    """What went wrong as an array; where the device has no messages, as before there were any."""
    fields = astuple(faults)
    return fields[:-1] if faults.lacking is None else fields


def _fields_of(reading: UserReading) -> tuple[object, ...]:
    """A user's reading as an array, without what hardly any has: so it is written as before there was that."""
    fields = astuple(reading)
    if reading.mark:
        return fields
    return fields[:-1] if reading.strategies else fields[:-2]


def unpack_readings(data: bytes, count: int) -> ReadingBody:
    """The body of a ReadingBatch with `count` entries. Raises WireError, also where lists are of another length."""
    try:
        body = msgspec.convert(unpack(data), ReadingBody, builtin_types=_BYTES)
    except (msgspec.ValidationError, RecursionError):
        raise WireError("no reading body of this count") from None
    if not len(body.ts_ms) == len(body.telemetry) == count:
        raise WireError("no reading body of this count")
    return body
