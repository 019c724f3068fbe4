"""Messages to wire parts and back: a msgpack header `[type code, fields…]` and a body that only its reader opens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, get_type_hints

import msgpack

from common.core.errors import WireError
from common.wire.messages import (
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

_TYPES: Final[tuple[type[Any], ...]] = (
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
_CODES: Final = {cls: code for code, cls in enumerate(_TYPES)}
MOST_NUMBER: Final = 2**53
"""Of a header: far more than a stream will ever count to, and small enough to be added up and sent on."""
MOST_ENTRIES: Final = 65_536
"""In one batch; a reader's have 512."""
_BATCHES: Final = frozenset({FrameBatch, ReadingBatch})
_WITH_BODY: Final = frozenset(cls for cls in _TYPES if cls._fields[-1] == "body")


def _shape(cls: type[Any]) -> tuple[type[Any], ...]:
    """The runtime type of each header field: enough to keep junk out, cheap enough for every batch."""
    hints = get_type_hints(cls)
    names = cls._fields[:-1] if cls in _WITH_BODY else cls._fields
    return tuple(getattr(hints[name], "__origin__", hints[name]) for name in names)


_SHAPES: Final = {cls: _shape(cls) for cls in _TYPES}
_NUMBERS: Final = {
    cls: itemgetter(0, 0, *(place for place, expected in enumerate(shape, 1) if expected is int))
    for cls, shape in _SHAPES.items()
}
"""Where the whole numbers of a header are; the type code is one, said twice so that there are always some."""
_READINGS: Final = frozenset((list, list, bytes, dict, dict, answer, str) for answer in (list, type(None)))
"""The types of what a reading body holds."""
_pack: Final = msgpack.Packer().pack
"""One for all: a new one for each message takes longer than the message."""


def encode(message: Message) -> tuple[bytes, bytes]:
    """The two parts of a message: header and body (b"" where the message has none)."""
    cls = type(message)
    if cls in _WITH_BODY:
        return pack((_CODES[cls], *message[:-1])), message[-1]  # type: ignore[return-value]
    return pack((_CODES[cls], *message)), b""


def decode(parts: Sequence[bytes]) -> Message:
    """The message of two parts; a request may have a third, which is the socket's. Raises WireError for anything else
    that `encode` could not have made."""
    if not 2 <= len(parts) <= 3:
        raise WireError(f"found {len(parts)} parts, expected 2")
    fields = unpack(parts[0])
    if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
        raise WireError("the header is no array that begins with a type code")
    if not 0 <= fields[0] < len(_TYPES):
        raise WireError(f"unknown message type {fields[0]}")
    cls = _TYPES[fields[0]]
    if len(parts) == 3 and cls is not Request:
        raise WireError("found 3 parts, expected 2")
    _check_shape(cls, fields)
    if cls in _BATCHES:
        _check_batch(fields)
    if cls in _WITH_BODY:
        return cls(*fields[1:], parts[1])  # type: ignore[no-any-return]
    if cls is StreamReport:
        fields[7] = _pairs(fields[7], int)
        fields[8] = _pairs(fields[8], str)
    return cls(*fields[1:])  # type: ignore[no-any-return]


def _check_shape(cls: type[Any], fields: list[Any]) -> None:
    shape = _SHAPES[cls]
    if tuple(map(type, fields[1:])) == shape:
        numbers = _NUMBERS[cls](fields)
        if min(numbers) >= -MOST_NUMBER and max(numbers) <= MOST_NUMBER:
            return
    if len(fields) != len(shape) + 1:
        raise WireError(f"{cls.__name__}: found {len(fields) - 1} fields, expected {len(shape)}")
    for index, expected in enumerate(shape):
        found = fields[index + 1]
        if type(found) is not expected and not (expected is float and type(found) is int):
            name = cls._fields[index]
            raise WireError(f"{cls.__name__}.{name}: found {type(found).__name__}, expected {expected.__name__}")
        if expected is int and not -MOST_NUMBER <= found <= MOST_NUMBER:
            raise WireError(f"{cls.__name__}.{cls._fields[index]}: found {found}, which is no number of ours")


def _check_batch(fields: list[Any]) -> None:
    """Both kinds of batches have the same fields up to `epoch`."""
    generation, first, length, base = fields[3:7]
    if min(generation, first, base) < 0 or not 0 <= length <= MOST_ENTRIES:
        raise WireError(f"a batch of {length} entries from {first}, base {base}, generation {generation}")


def _pairs(value: list[Any], second: type[Any]) -> list[tuple[Any, Any]]:
    for pair in value:
        if not (isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int and type(pair[1]) is second):
            raise WireError("StreamReport: a range or a dead letter is no pair")
    return [(pair[0], pair[1]) for pair in value]


def pack(value: Any) -> bytes:
    """Any msgpack value: the bodies of calls."""
    packed: bytes = _pack(value)
    return packed


def unpack(data: bytes) -> Any:
    """The value of a msgpack body. Raises WireError."""
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError) as error:
        raise WireError(f"not msgpack: {error}") from None


def unpack_map(data: bytes) -> dict[str, Any]:
    """The arguments of a call. Raises WireError if the body is no map."""
    value = unpack(data)
    if not isinstance(value, dict):
        raise WireError(f"found {type(value).__name__}, expected a map")
    return value


def pack_frames(body: FrameBody) -> bytes:
    """The body of a FrameBatch, which is also what the journal stores."""
    return pack([body.ts_ms, body.frames, body.extra])


def unpack_frames(data: bytes, count: int) -> FrameBody:
    """The body of a FrameBatch with `count` entries. Raises WireError."""
    value = unpack(data)
    if _kinds(value, 3) == (list, list, list):
        ts_ms, frames, extra = value
        if len(ts_ms) == len(frames) == count and _are(ts_ms, int) and _are(frames, bytes) and _are(extra, str):
            return FrameBody(ts_ms, frames, extra)
    raise WireError("no frame body of this count")


def pack_readings(body: ReadingBody) -> bytes:
    """The body of a ReadingBatch."""
    return pack(list(body))


def unpack_readings(data: bytes, count: int) -> ReadingBody:
    """The body of a ReadingBatch with `count` entries. Raises WireError."""
    value = unpack(data)
    if _kinds(value, 7) in _READINGS:
        ts_ms, telemetry, attributes, dead, user, answer, device_type = value
        is_whole = len(ts_ms) == len(telemetry) == count and _are(ts_ms, int) and _are(telemetry, bytes)
        if is_whole and (not dead or (_are(dead, int) and _are(dead.values(), str))):
            reply = None if answer is None else _answer(answer)
            return ReadingBody(ts_ms, telemetry, attributes, dead, _user(user) if user else {}, reply, device_type)
    raise WireError("no reading body of this count")


def _kinds(value: Any, count: int) -> tuple[type[Any], ...]:
    """The types of the items of a list that has so many; () for anything else."""
    return tuple(map(type, value)) if type(value) is list and len(value) == count else ()


def _are(values: Iterable[Any], expected: type[Any]) -> bool:
    """True if every value is of exactly this type; fast, for it looks at each frame."""
    return set(map(type, values)) <= {expected}


def _user(value: dict[Any, Any]) -> dict[int, list[UserReading]]:
    if not (_are(value, int) and _are(value.values(), list)):
        raise WireError("no users' readings by index")
    return {index: [_user_reading(entry) for entry in entries] for index, entries in value.items()}


def _user_reading(value: Any) -> UserReading:
    match value:
        case [str(device), str(device_type), list(items), bytes(attributes)]:
            return UserReading(device, device_type, [_user_item(item) for item in items], attributes)
    raise WireError("no user's reading")


def _user_item(value: Any) -> tuple[int | None, bytes]:
    match value:
        case [int() | None as ts_ms, bytes(values)]:
            return ts_ms, values
    raise WireError("no time and values of a user's reading")


def _answer(value: Any) -> tuple[str, bytes] | None:
    match value:
        case None:
            return None
        case [str(call_id), bytes(reply)]:
            return call_id, reply
    raise WireError("no correlation id and reply")
