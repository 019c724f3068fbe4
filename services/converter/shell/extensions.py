"""Converters that users wrote: found by class name, run behind a guard, their results brought into one form.

Everything of a user's that runs (import, constructor, `convert`, `to_dict` of what it returned) runs inside
`guarded`, so that it can end only in a value or a ConversionError that names the class, the file and the line.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.compat.classes import find_in_folders
from common.compat.guard import file_of, guarded
from common.compat.hook import install_for_converters
from common.config.models import Device, Rpc
from common.config.names import ENTRY_POINT_GROUP, EXTENSION_FOLDERS, USERS_OWN
from common.conversion.calls import called_as
from common.conversion.values import plain_value, shorten
from common.core.errors import ConversionError
from common.io.logs import TRACE
from common.wire.calls import NO_DATA
from common.wire.messages import UserReading
from services.converter.core.user_readings import normalise_result


class ConverterLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger that users' converters get: the usual levels, and what the reference's loggers have besides."""

    def trace(self, message: object, *arguments: object, **options: Any) -> None:
        """Logs below DEBUG."""
        self.log(TRACE, message, *arguments, **options)

    def error(self, message: object, *arguments: object, **options: Any) -> None:  # type: ignore[override]
        """As ever; `attr_name`, by which the reference counts errors, is taken and left alone."""
        options.pop("attr_name", None)
        super().error(message, *arguments, **options)

    def exception(self, message: object, *arguments: object, **options: Any) -> None:  # type: ignore[override]
        """As `error`, with the traceback."""
        self.error(message, *arguments, **{"exc_info": True, **options})

    def stop(self) -> None:
        """Nothing: the logger is its process's."""

    def reset(self) -> None:
        """Nothing: errors are counted by nobody."""


class UserConverter:
    """One object of a user's class for one device, uplink or downlink; it lives as long as the process."""

    def __init__(self, converter_class: type, device: Device, logger: logging.Logger) -> None:
        """Raises ConversionError if the constructor raises, or takes what nobody gives."""
        self._class = converter_class
        self._device = device
        config = copy.deepcopy(device.raw)
        given, options = _constructor_takes(converter_class, config, ConverterLogger(logger, {}))
        self._object = guarded(converter_class, lambda: converter_class(*given, **options))
        # Older classes have no logger, and read the section that comes with each frame.
        self._frame_config = None if len(given) + len(options) > 1 else config
        _check_takes(converter_class, self._object.convert, (None, b""), "convert", "convert(self, config, data)")

    def convert_frame(self, frame: bytes) -> list[UserReading]:
        """What the user's class makes of a frame; [] for nothing. Raises ConversionError."""
        return guarded(
            self._class, lambda: normalise_result(self._object.convert(self._frame_config, frame), self._device)
        )

    def convert_answer(self, rpc: Rpc, frame: bytes) -> object:
        """The value of an answer to an RPC: what stands under `result`. Raises ConversionError."""
        return guarded(self._class, lambda: _result_of(self._object.convert(_response_config(rpc), frame)))

    def encode_rpc(self, rpc: Rpc, params: object, called: str = "", called_type: str = "") -> bytes:
        """The bytes to write for a call. Raises ConversionError, "No data to send" for None or nothing.

        The class gets the RPC's section, and in it who was called: `called` where a converter has named that device,
        else the configured one. What the section says under these keys itself stays.
        """
        device = called_as(self._device, called, called_type)
        config = {"deviceName": device.name, "deviceType": device.type, **copy.deepcopy(rpc.raw)}
        written = guarded(self._class, lambda: _bytes_of(self._object.convert(config, params)))
        if not written:
            raise ConversionError(NO_DATA)
        return written


def load_converter(name: str, device: Device, extension_dirs: Sequence[str], logger: logging.Logger) -> UserConverter:
    """The user's class `name` as a converter of `device`. Raises ConversionError: not found, or it doesn't load."""
    return UserConverter(find_class(name, extension_dirs), device, logger)


def find_class(name: str, extension_dirs: Sequence[str]) -> type:
    """The class of that name: in the files of the folders, then `package.module:Class`, then an entry point.

    A file is imported only if it defines or imports the name. Raises ConversionError that says where was looked.
    """
    install_for_converters(extension_dirs)
    name = name.removeprefix(USERS_OWN)
    try:
        found = find_in_folders(name, extension_dirs)
    except ConversionError as error:
        raise ConversionError(f"converter {error}") from None
    if found is None and ":" in name:
        found = _find_in_package(name)
    if found is None:
        found = _find_entry_point(name)
    if found is None:
        usual, *others = EXTENSION_FOLDERS
        looked_in = [Path(folder, kind) for folder in extension_dirs for kind in (usual, *others)]
        places = ", ".join(str(place) for place in looked_in if place.name == usual or place.is_dir())
        places = places or "no extension folder"
        raise ConversionError(
            f"converter {name}: not built in, no such class in {places}, no package.module:Class, "
            f"no entry point of group {ENTRY_POINT_GROUP}"
        )
    if not inspect.isclass(found) or not callable(getattr(found, "convert", None)):
        raise ConversionError(f"converter {name}: found {shorten(repr(found))}, expected a class with a convert method")
    return found


def _find_in_package(name: str) -> object:
    """What `package.module:Class` names. Raises ConversionError if the module can't be imported or has no such name."""
    module_name, _, class_name = name.partition(":")
    module = guarded(name, lambda: importlib.import_module(module_name))
    if not hasattr(module, class_name):
        raise ConversionError(f"converter {name}: module {module_name} has no {class_name}")
    return getattr(module, class_name)


def _find_entry_point(name: str) -> object:
    """What an installed package offers under this name; None for none."""
    from importlib.metadata import entry_points  # Here: it takes long to load, and hardly anybody has any.

    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return guarded(name, entry.load)
    return None


def _constructor_takes(
    owner: type, config: Mapping[str, Any], logger: ConverterLogger
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a class is made of: (config, logger), (config), or nothing, whichever its constructor takes; a logger alone
    where it asks for that by name. Raises ConversionError where it takes none of these.

    Only what is declared counts: a TypeError that the constructor raises is its own.
    """
    try:
        signature = inspect.signature(owner)
    except (ValueError, TypeError):
        return (config, logger), {}
    names = [name for name in signature.parameters if name in ("log", "logger")]
    choices: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((config, logger), {}), ((config,), {}), ((), {})]
    if names and len(signature.parameters) == 1:
        choices.insert(0, ((), {names[0]: logger}))
    elif names and signature.parameters[names[0]].kind is inspect.Parameter.KEYWORD_ONLY:
        choices.insert(0, ((config,), {names[0]: logger}))
    for given, options in choices:
        try:
            signature.bind(*given, **options)
        except TypeError:
            continue
        return given, options
    _check_takes(owner, owner, (config, logger), "its constructor", "__init__(self, config, logger)")
    raise AssertionError("one of the choices is what was refused")


def _check_takes(owner: type, call: Callable[..., object], given: tuple[object, ...], what: str, expected: str) -> None:
    """Raises ConversionError if something of a user's class can't be called with what we give it. Where Python doesn't
    know what it takes, the call itself will tell."""
    try:
        signature = inspect.signature(call)
    except (ValueError, TypeError):
        return
    try:
        signature.bind(*given)
    except TypeError:
        message = f"{owner.__name__}: {file_of(owner)}: {what} takes {shorten(str(signature))}, expected {expected}"
        raise ConversionError(message) from None


def _response_config(rpc: Rpc) -> dict[str, object]:
    """The response description that an uplink converter gets as `config`, under a data point's names."""
    described = {
        "type": rpc.response_type or None,
        "fromByte": rpc.response_from_byte,
        "toByte": rpc.response_to_byte,
        "untilDelimiter": rpc.response_until_delimiter,
        "delimiter": rpc.response_until_delimiter,
    }
    return {name: value for name, value in described.items() if value is not None}


def _result_of(answer: object) -> object:
    """The value in `{"result": value}`, which is how uplink converters answer for calls."""
    if not isinstance(answer, dict) or "result" not in answer:
        raise ConversionError(f'convert returned {shorten(repr(answer))}, expected {{"result": value}}')
    try:
        return plain_value(answer["result"])
    except ValueError as error:
        raise ConversionError(f"result: found {error}") from None


def _bytes_of(written: object) -> bytes:
    """What a downlink converter returned, as bytes; nothing for None."""
    if written is None:
        return b""
    if not isinstance(written, bytes | bytearray | memoryview):
        raise ConversionError(f"convert returned {shorten(repr(written))}, expected bytes")
    return bytes(written)
