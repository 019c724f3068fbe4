"""What users' converters and connectors say, brought into one form: `UserReading`s whose values JSON can carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from common.conversion.values import MAX_DEPTH, encode_json, plain_value, shorten
from common.core.entries import split_entry
from common.core.errors import ConversionError
from common.core.shown import is_steering
from common.wire.messages import LONGEST_NAME, UserReading

SECONDS_FROM: Final = 10**8
"""Numbers from here on, 1973 in seconds, look like seconds …"""
SECONDS_TO: Final = 10**11
"""… up to here: as milliseconds they would lie before March 1973, and nobody has readings of that time."""
MICROSECONDS_FROM: Final = 10**14
"""As milliseconds this is the year 5138: such a number is microseconds …"""
NANOSECONDS_FROM: Final = 10**17
"""… or from here on nanoseconds."""
LONGEST_TIME: Final = 19
"""Digits of a time that comes as text; more are none of any unit."""
RETURNED: Final = "convert returned"


class _Taken(NamedTuple):
    """What comes of reading a result beside its values."""

    strategies: dict[str, object]
    """Those that keys bring."""
    left_out: list[str] | None
    """What is said of values that are left out because they can't be sent; None: such a value is an error."""


_RESULT_KEYS: Final = {"deviceName", "deviceType", "telemetry", "timeseries", "attributes", "metadata"}


def readings_of(
    result: object, name: str, device_type: str, where: str = RETURNED, left_out: list[str] | None = None
) -> list[UserReading]:
    """One reading per device named in `result`; [] where it holds no value.

    `result` is None, a `ConvertedData` (anything with `to_dict()`), a dict of the same shape, or a list of these;
    `name` and `device_type` stand in for what it does not say. Without a `name` it has to say one. Values of None are
    left out: the platform takes no null. Telemetry without `ts` has None, and entries without it are one where their
    keys differ. Nothing of `result` is kept: its author may use it again.

    Raises ConversionError for a shape or a value that can't be sent, saying which and where it stands; `where` is how
    the sentence begins where `result` is no result at all. With `left_out` a value that can't be sent is no error: it
    is left out, and a sentence about it added there.
    """
    if isinstance(result, list | tuple):
        readings = [
            _of_list(item, index, name, device_type, where, left_out=left_out)
            for index, item in enumerate(result)
            if item is not None
        ]
    else:
        readings = [] if result is None else [_reading_of(result, name, device_type, where, left_out)]
    return [reading for reading in readings if reading.telemetry or reading.attributes]


def _of_list(
    result: object, index: int, name: str, device_type: str, where: str, *, left_out: list[str] | None
) -> UserReading:
    """One reading of a list of results; an error says of which."""
    try:
        return _reading_of(result, name, device_type, where, left_out)
    except ConversionError as error:
        raise ConversionError(f"result[{index}]: {error}") from None


def _reading_of(result: object, name: str, device_type: str, where: str, left_out: list[str] | None) -> UserReading:
    """One reading of one result. Raises ConversionError."""
    data = _as_dict(result, where, "ConvertedData or a dict")
    if data and data.keys().isdisjoint(_RESULT_KEYS):
        raise ConversionError(f'found keys {_keys_of(data)}, expected "telemetry" or "attributes" with these in it')
    name = _text(data, "deviceName", name)
    if not name:
        raise ConversionError("deviceName: found none, expected the name of a device")
    device_type = _text(data, "deviceType", device_type)
    taken = _Taken({}, left_out)
    items = [*_telemetry(data, "telemetry", taken), *_telemetry(data, "timeseries", taken)]
    telemetry = [(ts, encode_json(values)) for ts, values in items]
    attributes = _attributes(data.get("attributes"), taken)
    written = encode_json(taken.strategies) if taken.strategies else b""
    return UserReading(name, device_type, telemetry, encode_json(attributes) if attributes else b"", written)


def _as_dict(value: object, where: str, expected: str = '{"ts", "values"} or {key: value}') -> Mapping[object, object]:
    """The mapping of a result, or of what it says of itself: our classes by `to_result`, others by `to_dict`."""
    if hasattr(value, "to_result"):
        value = value.to_result()
    elif hasattr(value, "to_dict"):
        value = value.to_dict()
    if not isinstance(value, Mapping):
        raise ConversionError(f"{where} {shorten(repr(value))}, expected {expected}")
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


def _telemetry(data: Mapping[object, object], key: str, taken: _Taken) -> list[tuple[int | None, dict[str, object]]]:
    """(timestamp or None, values) of each entry. Entries without a timestamp are one, unless a key comes twice: then
    both values are kept. Strategies that keys bring are added to `taken`."""
    entries: list[tuple[int | None, dict[str, object]]] = []
    for where, item in _as_list(data.get(key), key):
        ts, values = _entry(_as_dict(item, f"{where}: found"), where, taken)
        if not values:
            continue
        last = entries[-1] if entries else None
        if last and last[0] is None and ts is None and values.keys().isdisjoint(last[1]):
            last[1].update(values)
        else:
            entries.append((ts, values))
    return entries


def _entry(item: Mapping[object, object], where: str, taken: _Taken) -> tuple[int | None, dict[str, object]]:
    """(timestamp or None, values) of one item, whichever of its forms it has."""
    try:
        ts, values = split_entry(item)
    except ValueError as error:
        raise ConversionError(f"{where}: {error}") from None
    return _timestamp(ts, f"{where}: ts"), _members(values, where, taken)


def _timestamp(ts: object, where: str) -> int | None:
    """Milliseconds since 1970 as users' code gives them: integers, floats, whose parts of a millisecond are left out,
    and digits as text; None for none: then the frame's own counts."""
    if ts is None:
        return None
    number = int(ts) if isinstance(ts, str) and _is_digits(ts) else ts
    expected = "expected milliseconds since 1970"
    if isinstance(number, int) and number.bit_length() > 64:
        raise ConversionError(f"{where}: found an integer of {number.bit_length()} bits, {expected}")
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number < 0:
        raise ConversionError(f"{where}: found {shorten(repr(ts))}, {expected}")
    if SECONDS_FROM <= number < SECONDS_TO:
        raise ConversionError(
            f"{where}: found {ts}, which looks like seconds, {expected}, such as {int(number * 1000)}"
        )
    if number >= MICROSECONDS_FROM:
        unit, parts = ("nanoseconds", 10**6) if number >= NANOSECONDS_FROM else ("microseconds", 1000)
        found = f"{shorten(str(ts))}, which looks like {unit}"
        raise ConversionError(f"{where}: found {found}, {expected}, such as {int(number) // parts}")
    return int(number)


def _is_digits(text: str) -> bool:
    """True for text that is nothing but an integer's decimal digits."""
    digits = text.strip()
    return digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST_TIME


def _attributes(items: object, taken: _Taken) -> dict[str, object]:
    """All attributes of a result as one object, the last value of each key."""
    merged: dict[str, object] = {}
    for where, item in _as_list(items, "attributes"):
        values = _as_dict(item, f"{where}: found")
        if values.keys() == {"ts", "values"}:
            raise ConversionError(f"{where}: found keys ts, values, expected plain keys: attributes have no time")
        merged.update(_members(values, where, taken))
    return merged


def _as_list(items: object, where: str) -> list[tuple[str, object]]:
    """The entries of `items`, each with its place; one that stands by itself is a list of one."""
    if items is None:
        return []
    if isinstance(items, list | tuple):
        return [(f"{where}[{index}]", item) for index, item in enumerate(items)]
    if isinstance(items, Mapping) or hasattr(items, "to_dict"):
        return [(where, items)]
    raise ConversionError(f"{where}: found {shorten(repr(items))}, expected a list or a dict")


def _keys_of(values: Mapping[object, object]) -> str:
    """Keys in a message, cut short."""
    return shorten(", ".join(map(str, values)))


def _members(values: Mapping[object, object], where: str, taken: _Taken) -> dict[str, object]:
    """Values whose keys are text, or `DatapointKey`s, and which JSON can carry; those that are None are left out."""
    members: dict[str, object] = {}
    for key, value in values.items():
        try:
            name, member = _member(key, value, where)
        except ConversionError as error:
            if taken.left_out is None:
                raise
            taken.left_out.append(str(error))
            continue
        if member is not None:
            members[name] = member
            if key is not name and (strategy := _strategy_of(key)) is not None:
                taken.strategies[name] = strategy
    return members


def _member(key: object, value: object, where: str) -> tuple[str, object]:
    """A key's text and its value in plain Python. Raises ConversionError."""
    name = key if isinstance(key, str) else getattr(key, "key", None)
    if not isinstance(name, str):
        raise ConversionError(f"{where}: found the key {shorten(repr(key))}, expected text")
    if value is None:
        return name, None
    return str(_plain(name, where)), _plain(value, f"{where}: {shorten(name)}")


def _strategy_of(key: object) -> object:
    """The report strategy that a key brings, as a configuration says it; None for none, and for what is no such."""
    strategy = getattr(key, "report_strategy", None)
    if strategy is not None and hasattr(strategy, "to_config"):
        strategy = strategy.to_config()
    try:
        return plain_value(strategy) if isinstance(strategy, dict) else None
    except ValueError:
        return None


def _plain(value: object, where: str) -> object:
    """The value as plain Python: bytes as the UTF-8 text that they are, numbers of numpy as numbers. Raises
    ConversionError that says where it stands."""
    try:
        return plain_value(value)
    except ValueError as error:
        reason = str(error)
    try:
        return plain_value(_simplified(value))
    except UnicodeDecodeError as error:
        found = shorten(repr(bytes(error.object)))
        raise ConversionError(f"{where}: found {found}, expected bytes that are UTF-8 text, or text") from None
    except ValueError:
        raise ConversionError(f"{where}: found {reason}") from None


def _simplified(value: object, depth: int = 0) -> object:
    """The value with what has but one plain meaning made plain, however deep it stands. Raises UnicodeDecodeError."""
    if depth > MAX_DEPTH:
        return value
    match value:
        case bytes() | bytearray():
            return value.decode()
        case dict():
            return {getattr(key, "key", key): _simplified(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_simplified(item, depth + 1) for item in value]
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    return value
