"""Converters that users wrote: found by class name, run behind a guard, their results brought into one form.

Everything of a user's that runs (import, constructor, `convert`, `to_dict` of what it returned) runs inside
`_guarded`, so that it can end only in a value or a ConversionError that names the class, the file and the line.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from common.config.extension_files import bound_names, extension_files, is_loose
from common.config.models import Device, Rpc
from common.config.names import ENTRY_POINT_GROUP, EXTENSION_FOLDER
from common.conversion.calls import called_as
from common.conversion.values import plain_value, shorten
from common.core.errors import ConversionError
from common.io.logs import TRACE
from common.wire.calls import NO_DATA
from common.wire.messages import UserReading
from services.converter.core.user_readings import normalise_result

_T = TypeVar("_T")


class ConverterLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger that users' converters get: the usual levels and `trace`."""

    def trace(self, message: object, *arguments: object) -> None:
        """Logs below DEBUG, as the reference's loggers can."""
        self.log(TRACE, message, *arguments)


class UserConverter:
    """One object of a user's class for one device, uplink or downlink; it lives as long as the process."""

    def __init__(self, converter_class: type, device: Device, logger: logging.Logger) -> None:
        """Raises ConversionError if the constructor raises."""
        self._class = converter_class
        self._device = device
        config = copy.deepcopy(device.raw)
        adapter = ConverterLogger(logger, {})
        _check_takes(
            converter_class, converter_class, (config, adapter), "its constructor", "__init__(self, config, logger)"
        )
        self._object = _guarded(converter_class, lambda: converter_class(config, adapter))
        _check_takes(converter_class, self._object.convert, (None, b""), "convert", "convert(self, config, data)")

    def convert_frame(self, frame: bytes) -> list[UserReading]:
        """What the user's class makes of a frame; [] for nothing. Raises ConversionError."""
        return _guarded(self._class, lambda: normalise_result(self._object.convert(None, frame), self._device))

    def convert_answer(self, rpc: Rpc, frame: bytes) -> object:
        """The value of an answer to an RPC: what stands under `result`. Raises ConversionError."""
        return _guarded(self._class, lambda: _result_of(self._object.convert(_response_config(rpc), frame)))

    def encode_rpc(self, rpc: Rpc, params: object, called: str = "", called_type: str = "") -> bytes:
        """The bytes to write for a call. Raises ConversionError, "No data to send" for None or nothing.

        The class gets the RPC's section, and in it who was called: `called` where a converter has named that device,
        else the configured one. What the section says under these keys itself stays.
        """
        device = called_as(self._device, called, called_type)
        config = {"deviceName": device.name, "deviceType": device.type, **copy.deepcopy(rpc.raw)}
        written = _guarded(self._class, lambda: _bytes_of(self._object.convert(config, params)))
        if not written:
            raise ConversionError(NO_DATA)
        return written


def load_converter(name: str, device: Device, extension_dirs: Sequence[str], logger: logging.Logger) -> UserConverter:
    """The user's class `name` as a converter of `device`. Raises ConversionError: not found, or it doesn't load."""
    return UserConverter(find_class(name, extension_dirs), device, logger)


def find_class(name: str, extension_dirs: Sequence[str]) -> type:
    """The class of that name: in `serial/*.py` of the folders, then `package.module:Class`, then an entry point.

    A file is imported only if it defines or imports the name. Raises ConversionError that says where was looked.
    """
    found = _find_in_folders(name, extension_dirs)
    if found is None and ":" in name:
        found = _find_in_package(name)
    if found is None:
        found = _find_entry_point(name)
    if found is None:
        places = ", ".join(str(Path(folder, EXTENSION_FOLDER)) for folder in extension_dirs) or "no extension folder"
        raise ConversionError(
            f"converter {name}: not built in, no such class in {places}, no package.module:Class, "
            f"no entry point of group {ENTRY_POINT_GROUP}"
        )
    if not inspect.isclass(found) or not callable(getattr(found, "convert", None)):
        raise ConversionError(f"converter {name}: found {shorten(repr(found))}, expected a class with a convert method")
    return found


def _find_in_folders(name: str, extension_dirs: Sequence[str]) -> object:
    """The first class, or other object, of this name in the extension files; None if no file binds it.

    A file that fails does not hide one behind it; but where none has the name, the first failure is the reason.
    """
    if not name.isidentifier():
        return None
    broken = ""
    for path in (path for folder in extension_dirs for path in extension_files(folder)):
        try:
            if not _binds_name(path, name):
                continue
            if is_loose(path, Path(extension_dirs[0]).parent):
                raise ConversionError(
                    f"{path}: other users of this machine may change it, so it is not run: make it, and the two"
                    " folders it is in, belong to this user or to the configuration's owner, and chmod go-w"
                )
            if hasattr(_import_file(path), name):
                return getattr(_import_file(path), name)
        except ConversionError as error:
            broken = broken or str(error)
    if broken:
        raise ConversionError(f"converter {name}: {broken}")
    return None


def _binds_name(path: Path, name: str) -> bool:
    """True if the file defines, assigns or imports the name. Raises ConversionError if it only can't be read."""
    try:
        source = path.read_bytes()
        if name.encode() not in source:
            return False
        tree = ast.parse(source, str(path))
    except (OSError, ValueError) as error:
        raise ConversionError(f"{path}: {error}") from None
    except SyntaxError as error:
        raise ConversionError(f"{path}, line {error.lineno}: {error.msg}") from None
    return name in bound_names(tree)


def _import_file(path: Path) -> ModuleType:
    """Imports a file once in the life of the process, under a name that no other module can have.

    So a user's `utils.py` does not get in the way of anybody's package of that name. Raises ConversionError.
    """
    module_name = f"serialgw extension {path.resolve()}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConversionError(f"{path}: found no Python source, expected a file that can be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        _guarded(path, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    except ConversionError:
        del sys.modules[module_name]
        raise
    return module


def _find_in_package(name: str) -> object:
    """What `package.module:Class` names. Raises ConversionError if the module can't be imported or has no such name."""
    module_name, _, class_name = name.partition(":")
    module = _guarded(name, lambda: importlib.import_module(module_name))
    if not hasattr(module, class_name):
        raise ConversionError(f"converter {name}: module {module_name} has no {class_name}")
    return getattr(module, class_name)


def _find_entry_point(name: str) -> object:
    """What an installed package offers under this name; None for none."""
    from importlib.metadata import entry_points  # Here: it takes long to load, and hardly anybody has any.

    for entry in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return _guarded(name, entry.load)
    return None


def _guarded(owner: type | Path | str, call: Callable[[], _T]) -> _T:
    """Runs a user's code: the one place where whatever it raises, SystemExit too, becomes a ConversionError."""
    try:
        return call()
    except ConversionError as error:
        raise ConversionError(f"{_name_of(owner)}: {error}") from None
    except (Exception, SystemExit) as error:
        raise ConversionError(_describe(owner, error)) from error


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
        message = f"{owner.__name__}: {_file_of(owner)}: {what} takes {shorten(str(signature))}, expected {expected}"
        raise ConversionError(message) from None


def _missing(owner: type | Path | str, error: ModuleNotFoundError) -> str:
    """What to do about a module that is not there; "" where the package is, and only a part of it is missing."""
    package = (error.name or "").split(".")[0]
    if package == "thingsboard_gateway":
        return "it imports thingsboard_gateway, which is not supported yet"
    if not package or package in sys.modules:
        return ""
    file = Path(_file_of(owner) if isinstance(owner, type) else owner)
    if file.with_name(f"{package}.py").exists() and file.suffix == ".py":
        return f"it imports {package}, which lies beside it, but such files can't import each other: put both into one"
    return f"{package} is not installed for this Python; to install it: {sys.executable} -m pip install {package}"


def _describe(owner: type | Path | str, error: BaseException) -> str:
    """One line: whose code it is, where in its file it raised, and what. The whole traceback would be of our own frames
    mostly."""
    said = shorten(" ".join(traceback.format_exception_only(error)[-1].split()), 300)
    if isinstance(error, ModuleNotFoundError):
        said = _missing(owner, error) or said
    if isinstance(owner, str):
        return f"{owner}: {said}"
    file = _file_of(owner) if isinstance(owner, type) else str(owner)
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)
    where = f"{file}, line {line}" if line else file
    return f"{_name_of(owner)}: {where}: {said}" if isinstance(owner, type) else f"{where}: {said}"


def _name_of(owner: type | Path | str) -> str:
    """The owner of a piece of users' code, as messages name it."""
    return owner.__name__ if isinstance(owner, type) else str(owner)


def _file_of(owner: type) -> str:
    """The file that a class stands in; its module's name where that has no file."""
    return str(getattr(sys.modules.get(owner.__module__), "__file__", None) or owner.__module__)


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
