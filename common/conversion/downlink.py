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
from common.core.byte_text import EXPECTED_HEX, HEX, Placeholder, bytes_of, parts_of
from common.core.errors import ConversionError
from common.wire.calls import NO_DATA

NOT_DEFINED = "Downlink converter not defined"

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
"""Decimal digits with a sign at most; int() alone would take underscores and other scripts' digits too."""
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
"""The same with a fraction and an exponent, for float()."""


def encode_rpc(device: Device, rpc: Rpc, params: object) -> bytes:
    """What is written to the device for a call; never empty.

    Raises ConversionError with the text the platform gets: "No data to send" for nothing to write, "Downlink converter
    not defined" for params on a device without a converter (a `template` needs none), else what is wrong with params.
    """
    if rpc.template is not None:
        written = _fill_template(rpc, rpc.template, device, params)
    elif params is None:
        raise ConversionError(NO_DATA)
    elif device.downlink_converter is None:
        raise ConversionError(NOT_DEFINED)
    elif (word := _word_of(params, rpc)) is not None:
        written = word
    elif rpc.type == "int":
        written = _encode_int(rpc, device, _whole_number(params))
    elif rpc.type in ("float", "double"):
        written = _encode_float(device, params)
    else:
        written = _bytes_of_value(rpc, params, "params")
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

    def fill(name: str) -> bytes:
        # An attribute may be called deviceName: then it is what is meant.
        if name == update.attribute:
            return _utf8(_text_of(data[name], name, update))
        names = {"deviceName": device.name, "deviceType": device.type}
        return _utf8(names.get(name, f"${{{name}}}"))

    written = _substitute(update.string_to_device, fill)
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


def _fill_template(rpc: Rpc, template: str, device: Device, params: object) -> bytes:
    """`${params}`, `${params.name}`, `${deviceName}`, `${deviceType}` filled in, in one pass."""

    def fill(name: str) -> bytes:
        if name == "deviceName":
            return _utf8(device.name)
        if name == "deviceType":
            return _utf8(device.type)
        if name == "params":
            return _bytes_of_value(rpc, _held_to_type(rpc, params), "params")
        if name.startswith("params."):
            return _bytes_of_value(rpc, _member(params, name.removeprefix("params.")), name)
        raise ConversionError(
            f"template: found ${{{name}}}, expected ${{params}}, ${{params.name}}, ${{deviceName}} or ${{deviceType}}"
        )

    return _substitute(template, fill)


def _substitute(template: str, fill: Callable[[str], bytes]) -> bytes:
    """The bytes of a template with its placeholders filled in. What was filled in is not looked at again: no value is a
    template."""
    try:
        return b"".join(fill(part.name) if isinstance(part, Placeholder) else part for part in parts_of(template))
    except UnicodeEncodeError:
        raise ConversionError(f"found {shorten(ascii(template))} with a lone surrogate, expected text") from None
    except ValueError:
        raise ConversionError(f"found {shorten(template)}, expected {EXPECTED_HEX}") from None


def _bytes_of_value(rpc: Rpc, value: object, where: str) -> bytes:
    """What is written for a value as text, or for `hex` as the bytes that it spells."""
    if rpc.type == "hex" and _word_of(value, rpc) is None:
        return _encode_hex(value, where)
    return _utf8(_text_of(value, where, rpc))


def _encode_hex(value: object, where: str) -> bytes:
    """Bytes that a text gives in hexadecimal digits, `hex:` before them or not."""
    if isinstance(value, str):
        try:
            return bytes_of(HEX + value.removeprefix(HEX))
        except ValueError:
            pass
    raise ConversionError(f'{where}: found {_shown(value)}, expected pairs of hexadecimal digits, such as "FF 0D"')


def _held_to_type(rpc: Rpc, params: object) -> object:
    """Params as a template writes them where `type` says that they are a number: a text that is one stays as it is
    written, with the device's sign before its fraction. Members of an object, true and false are not held to it.

    Raises ConversionError for what is no such number; null is left to whoever writes it.
    """
    if params is None or isinstance(params, bool):
        return params
    if rpc.type == "int":
        return params if isinstance(params, str) and _WHOLE_NUMBER.fullmatch(params) else _whole_number(params)
    if rpc.type in ("float", "double"):
        plain = params.replace(",", ".", 1) if rpc.decimal and isinstance(params, str) else params
        if not _is_number(plain):
            raise ConversionError(f"params: found {_shown(params)}, expected a finite number")
        return plain.replace(".", ",") if rpc.decimal and isinstance(plain, str) else params
    return params


def _is_number(value: object) -> bool:
    """True for a finite number, and for the decimal text of one."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return False
    try:
        return isinstance(value, int | float | str) and math.isfinite(float(value))
    except OverflowError:
        return False


def _word_of(value: object, spelling: Rpc | AttributeUpdate) -> bytes | None:
    """The device's own word for true or false; None for all other values, and where it has none."""
    words = spelling.true_text if value is True else spelling.false_text if value is False else ()
    return bytes_of(words[0]) if words else None


def _utf8(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _member(params: object, name: str) -> object:
    """A member of params that are an object. Raises ConversionError for params that have no such member."""
    if not isinstance(params, dict) or name not in params:
        raise ConversionError(f"params: found {_shown(params)}, expected an object with {name}")
    return params[name]


def _text_of(value: object, where: str, spelling: Rpc | AttributeUpdate) -> str | bytes:
    """Text as it is; numbers, true and false as the device spells them, or else as JSON does; objects and lists as
    compact JSON."""
    if value is None:
        raise ConversionError(f"{where}: found null, expected a value")
    word = _word_of(value, spelling)
    if word is not None:
        return word
    if isinstance(value, int) and not isinstance(value, bool):
        return _decimal(value, where)
    try:
        plain = plain_value(value)
    except ValueError as error:
        raise ConversionError(f"{where}: found {error}") from None
    written = plain if isinstance(plain, str) else encode_json(plain).decode()
    return written.replace(".", ",") if spelling.decimal and isinstance(plain, float) else written


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
