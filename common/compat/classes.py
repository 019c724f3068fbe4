"""Finds users' classes in the extension folders, and runs no file but the one that has the class."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from common.compat.guard import guarded
from common.compat.hook import import_file
from common.config.extension_files import bound_names, extension_files, loose_reason
from common.core.errors import ConversionError


def find_in_folders(name: str, extension_dirs: Sequence[str], *kinds: str) -> object:
    """The first class, or other object, of this name in the files of these types' folders, those of converters where
    none is named; None if no file binds it.

    A file that fails does not hide one behind it; but where none has the name, the first failure is the reason. Raises
    ConversionError that says it.
    """
    if not name.isidentifier():
        return None
    broken = ""
    for path in (path for folder in extension_dirs for path in extension_files(folder, *kinds)):
        try:
            if not _binds_name(path, name):
                continue
            if why := loose_reason(path, Path(extension_dirs[0]).parent):
                raise ConversionError(why)
            module = guarded(path, lambda path=path: import_file(path))  # type: ignore[misc]
            if hasattr(module, name):
                return getattr(module, name)
        except ConversionError as error:
            broken = broken or str(error)
    if broken:
        raise ConversionError(f"{name}: {broken}")
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
