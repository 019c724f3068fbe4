"""What users' converters return, brought into one form: `UserReading`s whose values JSON can carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from common.config.models import Device
from common.conversion.values import encode_json, plain_value, shorten
from common.core.errors import ConversionError
from common.core.shown import is_steering
from common.wire.messages import UserReading

LONGEST_NAME: Final = 255
"""Characters of a device's name or type, as ThingsBoard takes them."""


def normalise_result(result: object, device: Device) -> list[UserReading]:
    """One reading per device named in `result`; [] where it holds no value.

    `result` is None, a `ConvertedData` (anything with `to_dict()`), a dict of the same shape, or a list of these. A
    name or type that is missing is the device's own. Values of None are left out: the platform takes no null.
    Telemetry without `ts` has None, and entries without it are one where their keys differ.

    Raises ConversionError for a shape or a value that can't be sent, saying which.
    """
    results = result if isinstance(result, list | tuple) else [result]
    readings = [_normalise(item, device) for item in results if item is not None]
    return [reading for reading in readings if reading.telemetry or reading.attributes]


def _normalise(result: object, device: Device) -> UserReading:
    """One reading of one result. Raises ConversionError."""
    data = _as_dict(result, "convert returned")
    name = _text(data, "deviceName", device.name)
    device_type = _text(data, "deviceType", device.type)
    telemetry = [(ts, encode_json(values)) for ts, values in _telemetry(data.get("telemetry"))]
    attributes = _attributes(data.get("attributes"))
    return UserReading(name, device_type, telemetry, encode_json(attributes) if attributes else b"")


def _as_dict(value: object, where: str) -> Mapping[object, object]:
    """The mapping of a result, or of what its `to_dict` returns: the reference's `ConvertedData` has one."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if not isinstance(value, Mapping):
        raise ConversionError(f"{where} {shorten(repr(value))}, expected ConvertedData or a dict")
    return value


def _text(data: Mapping[object, object], key: str, default: str) -> str:
    """A device's name or type, the default where there is none. Platform and people see it, so it has bounds."""
    value = data.get(key)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise ConversionError(f"{key}: found {shorten(repr(value))}, expected text")
    if len(value) > LONGEST_NAME:
        raise ConversionError(f"{key}: found {len(value)} characters, expected at most {LONGEST_NAME}")
    if is_steering(value):
        raise ConversionError(f"{key}: found {shorten(ascii(value))}, expected a name without control characters")
    return str(_plain(value, key))


def _telemetry(items: object) -> list[tuple[int | None, dict[str, object]]]:
    """(timestamp or None, values) of each entry. Entries without a timestamp are one, unless a key comes twice: then
    both values are kept."""
    if not items:
        return []
    entries: list[tuple[int | None, dict[str, object]]] = []
    for item in _as_list(items, "telemetry"):
        ts, values = _entry(_as_dict(item, "telemetry: found"))
        if not values:
            continue
        last = entries[-1] if entries else None
        if last and last[0] is None and ts is None and values.keys().isdisjoint(last[1]):
            last[1].update(values)
        else:
            entries.append((ts, values))
    return entries


def _entry(item: Mapping[object, object]) -> tuple[int | None, dict[str, object]]:
    """`{"ts", "values"}` or plain `{key: value}`."""
    values = item.get("values")
    if isinstance(values, Mapping) and set(item) <= {"ts", "values", "metadata"}:
        return _timestamp(item.get("ts")), _members(values, "telemetry")
    return None, _members(item, "telemetry")


def _timestamp(ts: object) -> int | None:
    """Milliseconds since 1970 as users' code gives them, whole floats too; None for none: then the frame's own
    counts."""
    if ts is None:
        return None
    if isinstance(ts, bool) or not isinstance(ts, int | float) or ts != ts // 1 or not 0 <= ts < 2**63:
        raise ConversionError(f"ts: found {shorten(repr(ts))}, expected milliseconds since 1970")
    return int(ts)


def _attributes(items: object) -> dict[str, object]:
    """All attributes of a result as one object, the last value of each key."""
    merged: dict[str, object] = {}
    for item in _as_list(items, "attributes") if items else []:
        merged.update(_members(_as_dict(item, "attributes: found"), "attributes"))
    return merged


def _as_list(items: object, where: str) -> list[object]:
    """The entries of `items`; one that stands by itself is a list of one."""
    if isinstance(items, list | tuple):
        return list(items)
    if isinstance(items, Mapping) or hasattr(items, "to_dict"):
        return [items]
    raise ConversionError(f"{where}: found {shorten(repr(items))}, expected a list or a dict")


def _members(values: Mapping[object, object], where: str) -> dict[str, object]:
    """Values whose keys are text and which JSON can carry; those that are None are left out."""
    members: dict[str, object] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise ConversionError(f"{where}: found the key {shorten(repr(key))}, expected text")
        if value is not None:
            members[str(_plain(key, where))] = _plain(value, f"{where}: {shorten(key)}")
    return members


def _plain(value: object, where: str) -> object:
    """The value as plain Python. Raises ConversionError that says where it stands."""
    try:
        return plain_value(value)
    except ValueError as error:
        raise ConversionError(f"{where}: found {error}") from None
