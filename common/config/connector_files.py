"""Finds the classes of connectors that users wrote, by parsing the files of the extension folders. Nothing is imported.

The reference's own serial connector is no such class: whoever has copied it wants what it does, and our port reader
does that. It is known by its form, in each release in which it was published.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from common.config.class_forms import SHIPPED, form_of
from common.config.extension_files import is_loose

CONVERT: Final = "convert"
"""A class with this method is a converter, in whatever folder it stands."""


class ConnectorClass(msgspec.Struct, frozen=True):
    """A class at the top level of a file in `<type>/` of an extension folder."""

    name: str
    file: str
    """Its path."""
    line: int
    is_shipped: bool
    """True for the reference's own serial connector, unchanged, as are all classes beside it in its file."""
    is_loose: bool
    """True if somebody without a say in the configuration may change the file: then it is never run."""


class Search(msgspec.Struct, frozen=True):
    """What came of looking for a class."""

    found: ConnectorClass | None
    looked_at: int = 0
    """Files of that type's folders."""
    broken: str = ""
    """The first file that Python can't parse, with the place and the reason; "" where there is none."""


def folder_of(kind: str) -> str:
    """The folder of a connector's type inside an extension folder."""
    return kind.lower()


def find_connector(kind: str, class_name: str, folders: Iterable[str]) -> Search:
    """Looks for a connector's class in the files of its type, folder by folder and file by file in alphabetical order,
    as the process that runs it does. A converter of that name is none. Raises nothing."""
    folders = list(folders)
    config_dir = Path(folders[0]).parent if folders else Path()
    looked_at, broken = 0, ""
    for path in (path for folder in folders for path in _files(folder, kind)):
        looked_at += 1
        try:
            module = _parse(path)
        except SyntaxError as error:
            broken = broken or f"{path} line {error.lineno or 0}: {error.msg}"
            continue
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            broken = broken or f"{path}: {error}"
            continue
        for node in module.body:
            if isinstance(node, ast.ClassDef) and node.name == class_name and not _is_converter(node):
                is_shipped = all(form_of(one) in SHIPPED for one in _connector_classes(module))
                found = ConnectorClass(class_name, str(path), node.lineno, is_shipped, is_loose(path, config_dir))
                return Search(found, looked_at, broken)
    return Search(None, looked_at, broken)


def _connector_classes(module: ast.Module) -> list[ast.ClassDef]:
    """All classes of a file but the converters: a connector may have its loop in another one beside it."""
    return [node for node in module.body if isinstance(node, ast.ClassDef) and not _is_converter(node)]


def _is_converter(node: ast.ClassDef) -> bool:
    return any(isinstance(part, ast.FunctionDef) and part.name == CONVERT for part in node.body)


def _files(folder: str, kind: str) -> list[Path]:
    """The files of a type in an extension folder; [] if there are none to be read."""
    name = folder_of(kind)
    if not name or "/" in name or "\0" in name or name.startswith("."):
        return []
    try:
        return sorted(path for path in Path(folder, name).glob("*.py") if not path.name.startswith("__"))
    except (OSError, ValueError):
        return []


def _parse(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(path.read_bytes(), str(path))
