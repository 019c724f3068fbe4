"""The built-in downlink converter: RPC params and attribute updates to the bytes that are written to the device.

Pure. Rules: the reference page's RPC section with differences 9 and 10 (docs/compatibility.md).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable

from common.config.models import AttributeUpdate, Device, Rpc
from common.conversion.values import encode_json, plain_value, shorten
from common.core.errors import ConversionError
from common.wire.calls import NO_DATA

NOT_DEFINED = "Downlink converter not defined"

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
"""`${name}` in a template."""
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
"""Decimal digits with a sign at most; int() alone would take underscores and other scripts' digits too."""


def encode_rpc(device: Device, rpc: Rpc, params: object) -> bytes:
    """What is written to the device for a call; never empty.

    Raises ConversionError with the text the platform gets: "No data to send" for nothing to write, "Downlink converter
    not defined" for params on a device without a converter (a `template` needs none), else what is wrong with params.
    """
    if rpc.template is not None:
        written = _fill_template(rpc.template, device, params)
    elif params is None:
        raise ConversionError(NO_DATA)
    elif device.downlink_converter is None:
        raise ConversionError(NOT_DEFINED)
    elif rpc.type == "int":
        written = _encode_int(rpc, device, _whole_number(params))
    elif rpc.type in ("float", "double"):
        written = _encode_float(device, params)
    else:
        written = _text_of(params, "params").encode()
    if not written:
        raise ConversionError(NO_DATA)
    return written


def encode_attribute_update(device: Device, update: AttributeUpdate, data: dict[str, object]) -> bytes:
    """`stringToDevice` with `${attribute}`, `${deviceName}` and `${deviceType}` filled in; other text stays as it is.

    `data` is what the platform sent. Raises ConversionError if it has no value for the attribute, or nothing is left
    to write.
    """
    if update.attribute not in data:
        raise ConversionError(f"the update has no attribute {update.attribute}")
    names = {
        "deviceName": device.name,
        "deviceType": device.type,
        update.attribute: _text_of(data[update.attribute], update.attribute),
    }
    written = _substitute(update.string_to_device, lambda found: names.get(found[1], found[0]))
    if not written:
        raise ConversionError(NO_DATA)
    return written


def _whole_number(params: object) -> int:
    """Params of type int: a whole number, true or false, or decimal text."""
    if isinstance(params, int):
        return int(params)
    if isinstance(params, str) and _WHOLE_NUMBER.fullmatch(params):
        try:
            return int(params)
        except ValueError:
            pass  # more digits than Python converts
    raise ConversionError(f"params: found {_shown(params)}, expected a whole number")


def _encode_int(rpc: Rpc, device: Device, number: int) -> bytes:
    """Shortest form, or `length` bytes: unsigned, or two's complement if negative or `signed`."""
    signed = number < 0 if rpc.signed is None else rpc.signed
    if number < 0 and not signed:
        raise ConversionError(f"params: found {_shown(number)}, expected no negative number, since signed is false")
    magnitude = ~number if number < 0 else number
    bits = magnitude.bit_length() + (1 if signed else 0)
    shortest = max(1, (bits + 7) // 8)
    length = shortest if rpc.length is None else rpc.length
    if shortest > length:
        raise ConversionError(f"params: found {_shown(number)}, which needs {shortest} bytes; length is {length}")
    return number.to_bytes(length, device.byteorder, signed=signed)


def _encode_float(device: Device, params: object) -> bytes:
    """4 bytes where the number is exactly a single, else 8 (IEEE 754)."""
    order = ">" if device.byteorder == "big" else "<"
    try:
        number = float(params) if isinstance(params, int | float) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConversionError(f"params: found {_shown(params)}, expected a finite number")
    try:
        single = struct.pack(f"{order}f", number)
    except OverflowError:
        return struct.pack(f"{order}d", number)
    is_exact = struct.unpack(f"{order}f", single)[0] == params
    return single if is_exact else struct.pack(f"{order}d", number)


def _fill_template(template: str, device: Device, params: object) -> bytes:
    """`${params}`, `${params.name}`, `${deviceName}`, `${deviceType}` filled in, in one pass."""

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name == "deviceName":
            return device.name
        if name == "deviceType":
            return device.type
        if name == "params":
            return _text_of(params, "params")
        if name.startswith("params."):
            return _text_of(_member(params, name.removeprefix("params.")), name)
        raise ConversionError(
            f"template: found {found[0]}, expected ${{params}}, ${{params.name}}, ${{deviceName}} or ${{deviceType}}"
        )

    return _substitute(template, fill)


def _substitute(text: str, fill: Callable[[re.Match[str]], str]) -> bytes:
    """The text with its placeholders filled in, as UTF-8. What was filled in is not looked at again: no value is a
    template."""
    try:
        return _PLACEHOLDER.sub(fill, text).encode()
    except UnicodeEncodeError:
        raise ConversionError(f"found {shorten(ascii(text))} with a lone surrogate, expected text") from None


def _member(params: object, name: str) -> object:
    """A member of params that are an object. Raises ConversionError for params that have no such member."""
    if not isinstance(params, dict) or name not in params:
        raise ConversionError(f"params: found {_shown(params)}, expected an object with {name}")
    return params[name]


def _text_of(value: object, where: str) -> str:
    """Text as it is; numbers, true and false as JSON writes them; objects and lists as compact JSON."""
    if value is None:
        raise ConversionError(f"{where}: found null, expected a value")
    if isinstance(value, int) and not isinstance(value, bool):
        return _decimal(value, where)
    try:
        plain = plain_value(value)
    except ValueError as error:
        raise ConversionError(f"{where}: found {error}") from None
    return plain if isinstance(plain, str) else encode_json(plain).decode()


def _decimal(number: int, where: str) -> str:
    """An integer as text. Python refuses very long ones, which a platform may well send."""
    try:
        return str(number)
    except ValueError:  # more digits than Python converts
        raise ConversionError(f"{where}: found an integer of {number.bit_length()} bits, expected fewer") from None


def _shown(value: object) -> str:
    """Params in a message, cut short."""
    try:
        return shorten(repr(value))
    except ValueError:  # more digits than Python converts
        return "a very long integer"
