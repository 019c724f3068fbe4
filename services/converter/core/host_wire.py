"""What a converter and its hosts say to each other: msgpack values, one after the other, on a socket pair. Pure.

To a host: `["section", hash, section]` before the first order for it, then orders, one at a time. From it:
`["loading"]` and `["ready"]` around what users' code takes to load, and an answer to each order. Users'
code runs at the other end: what comes from there is looked at before it is believed.
"""

from __future__ import annotations

from typing import Final, assert_never

import simplejson

from common.conversion.calls import read_json
from common.conversion.values import encode_json
from common.core.errors import ConversionError, WireError
from common.wire import codec
from common.wire.messages import ReadingBody
from services.converter.core.events import (
    ConvertWithUserCode,
    DecodeWithUserCode,
    EncodeWithUserCode,
    Order,
    UserAnswered,
    UserConverted,
    UserFrame,
)

LOADING: Final = ["loading"]
READY: Final = ["ready"]
ANSWER_BYTES: Final = 64 * 1024 * 1024
"""A host that says more than this at once is ended; a slice of results has an eighth of it at most."""
SECTIONS_KEPT: Final = 16
"""Sections that a host knows, of one device: each change of its configuration is another. The oldest is forgotten
first, at both ends."""


def pack_section(section_hash: str, section: bytes) -> bytes:
    """A device's section, before the first order for it."""
    return codec.pack(["section", section_hash, section])


def pack_order(order: Order) -> bytes:
    """An order. Raises WireError for params that can't travel."""
    match order:
        case ConvertWithUserCode():
            method = None if order.answer_to is None else order.answer_to.method
            where = [order.section, order.journal, order.generation, order.first]
            return codec.pack(["convert", order.job, *where, order.frames, method])
        case DecodeWithUserCode():
            return codec.pack(["decode", order.job, order.section, order.rpc.method, order.frame])
        case EncodeWithUserCode():
            params = _pack_params(order.params)
            return codec.pack(["encode", order.job, order.section, order.rpc.method, params, *order.called])
        case _:
            assert_never(order)


def pack_converted(event: UserConverted) -> bytes:
    """What users' code made of frames."""
    frames = event.frames
    count = len(frames)
    dead = {index: frame.error for index, frame in enumerate(frames) if frame.error}
    user = {index: frame.readings for index, frame in enumerate(frames) if frame.readings}
    body = codec.pack_readings(ReadingBody([0] * count, [b""] * count, dead=dead, user=user))
    answer = None if event.answer is None else [_pack_value(event.answer[0]), event.answer[1]]
    return codec.pack(["converted", event.job, count, body, answer])


def pack_answered(verb: str, event: UserAnswered) -> bytes:
    """What users' code made of a step of a call: `verb` is `encoded` (bytes) or `decoded` (a value)."""
    value = event.value if verb == "encoded" else _pack_value(event.value)
    return codec.pack([verb, event.job, value, event.error])


def read_answer(value: object, host: int) -> UserConverted | UserAnswered:
    """The answer of a host. Raises WireError for anything else."""
    match value:
        case ["converted", int(job), int(count), bytes(body), answer] if count > 0:
            readings = codec.unpack_readings(body, count)
            frames = [UserFrame(readings.user.get(index, []), readings.dead.get(index, "")) for index in range(count)]
            return UserConverted(job, frames, _read_answer(answer), host)
        case ["encoded", int(job), bytes() | None as written, str(error)] if written is not None or error:
            return UserAnswered(job, written, error, host)
        case ["decoded", int(job), bytes(text), str(error)]:
            return UserAnswered(job, _read_value(text), error, host)
    raise WireError("no answer of a host")


def _pack_params(params: object) -> str:
    """Raises WireError."""
    try:
        return simplejson.dumps(params)
    except (TypeError, ValueError, RecursionError) as error:
        raise WireError(f"params: {error}") from None


def _pack_value(value: object) -> bytes:
    """A value as JSON: msgpack has types that the platform does not."""
    return encode_json(value)


def _read_value(text: object) -> object:
    """The value in JSON bytes that came from a host. Raises WireError."""
    if not isinstance(text, bytes):
        raise WireError("no value of a host")
    try:
        return read_json(text)
    except ConversionError as error:
        raise WireError(f"value: {error}") from None


def _read_answer(answer: object) -> tuple[object, str] | None:
    """(value, error) of a converted frame that is an answer too; None for none. Raises WireError."""
    match answer:
        case None:
            return None
        case [bytes(text), str(error)]:
            return _read_value(text), error
    raise WireError("no value and error of a host")
