"""What a connector hands to `send_to_storage`, as entries. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from common.conversion.results import readings_of
from common.core.errors import ConversionError
from common.core.shown import is_steering
from common.wire.calls import HOSTED, hosted_connector
from common.wire.entries import pack_entry
from common.wire.messages import LONGEST_NAME, UserReading
from services.connector_host.core.events import Said

ENTRY_BYTES: Final = 64 * 1024
"""Telemetry of one call goes into several entries above this: a batch of entries is to be small, and so is what is
sent again."""
MOST_ENTRY_BYTES: Final = 4 * 1024 * 1024
"""A single value, or the attributes of one call, of more than this is refused: a converter could not pass it on."""
DEFAULT_TYPE: Final = "default"
HANDED: Final = "found"
"""How a sentence begins about what is no result at all."""


def entries_of(
    result: object, type_of: Callable[[str, str], str] = lambda _, said: said, left_out: list[str] | None = None
) -> list[Said]:
    """The entries of a result, in its order; [] where it holds no value. `type_of` is given a device's name and the
    type that is said of it, and returns the one that it has. `left_out` takes what is said of single values that can't
    be sent, and are left out; without it they are errors. Raises ConversionError for what can't be sent, saying what
    and where."""
    entries: list[Said] = []
    for said in readings_of(result, "", DEFAULT_TYPE, HANDED, left_out):
        _check_name(said.device)
        reading = replace(said, device_type=type_of(said.device, said.device_type))
        entries += [Said(reading.device, reading.device_type, data) for data in _parts(reading)]
    return entries


def name_of(value: object) -> str:
    """A device's name as a connector gives it. Raises ConversionError for what is none."""
    if not isinstance(value, str) or not value:
        raise ConversionError(f"found {value!r:.100}, expected the name of a device")
    if len(value) > LONGEST_NAME:
        raise ConversionError(f"found a name of {len(value)} characters, expected at most {LONGEST_NAME}")
    if is_steering(value):
        raise ConversionError(f"found {value!a:.100}, expected a name without control characters")
    _check_name(value)
    return value


def _check_name(name: str) -> None:
    if hosted_connector(name) is not None:
        raise ConversionError(f'found the device "{name}", expected a name that does not begin with "{HOSTED}"')


def _parts(reading: UserReading) -> list[bytes]:
    """One entry, or more: an entry has one time of its own, so at most one item without a time may be in it."""
    parts: list[bytes] = []
    items: list[tuple[int | None, bytes]] = []
    size, has_own = 0, False
    for ts_ms, values in reading.telemetry:
        _check(values)
        if items and ((ts_ms is None and has_own) or size + len(values) > ENTRY_BYTES):
            parts.append(_pack(reading, items))
            items, size, has_own = [], 0, False
        items.append((ts_ms, values))
        size, has_own = size + len(values), has_own or ts_ms is None
    _check(reading.attributes)
    if items and size + len(reading.attributes) > ENTRY_BYTES:
        parts.append(_pack(reading, items))
        items = []
    if items or reading.attributes:
        parts.append(_pack(reading, items, reading.attributes))
    return parts


def _pack(reading: UserReading, items: Sequence[tuple[int | None, bytes]], attributes: bytes = b"") -> bytes:
    strategies = reading.strategies
    return pack_entry(
        reading.device, reading.device_type, telemetry=items, attributes=attributes, strategies=strategies
    )


def _check(data: bytes) -> None:
    if len(data) > MOST_ENTRY_BYTES:
        raise ConversionError(f"found values of {len(data)} bytes together, expected at most {MOST_ENTRY_BYTES}")
