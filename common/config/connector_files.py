"""Finds the classes of connectors that users wrote, by parsing the files of the extension folders. Nothing is imported.

The reference's own serial connector is no such class: whoever has copied it wants what it does, and our port reader
does that. It is known by its form, in each release in which it was published.
"""

from __future__ import annotations

import ast
import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from common.config.extension_files import is_loose

CONVERT: Final = "convert"
"""A class with this method is a converter, in whatever folder it stands."""
SHIPPED: Final = frozenset(
    {
        "cb758ae80e622206",
        "0fe0b391e3ce6ec0",
        "810fa2d9ef305240",
        "adc623747c6d17c0",
        "36cb5a58a7a21524",
        "71603050aa97d6b4",
        "e433f01fe2527cbe",
        "73a1b5ac373b6629",
        "0c37ca29ad51b52e",
        "cfbc38b5692e8b0b",
        "c7af422f1e6e149c",
        "25dabcf000a224b4",
        "77bf28423def6019",
        "fa0f816899a0c10f",
        "931c36cb72222ad7",
        "47453c1472475f70",
        "a2ae4def431a7a0b",
        "db7816627773868e",
    }
)
"""`form_of` each version of the serial connector that ThingsBoard IoT Gateway has had among its extensions, from
November 2019 to February 2026."""


class ConnectorClass(msgspec.Struct, frozen=True):
    """A class at the top level of a file in `<type>/` of an extension folder."""

    name: str
    file: str
    """Its path."""
    line: int
    is_shipped: bool
    """True for the reference's own serial connector, unchanged."""
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
                is_shipped = form_of(node) in SHIPPED
                found = ConnectorClass(class_name, str(path), node.lineno, is_shipped, is_loose(path, config_dir))
                return Search(found, looked_at, broken)
    return Search(None, looked_at, broken)


def form_of(node: ast.ClassDef) -> str:
    """A digest of what a class does: the same with other comments, docstrings and line breaks, another where anything
    else is changed, and the same for each version of Python."""
    return hashlib.sha256(json.dumps(_form(node)).encode()).hexdigest()[:16]


def _form(node: Any) -> Any:
    if isinstance(node, ast.AST):
        fields = []
        for name, value in ast.iter_fields(node):
            said = value[1:] if name == "body" and _has_docstring(node) else value
            if said not in (None, []) and name not in ("kind", "type_comment", "ctx"):
                fields.append([name, _form(said)])
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [_form(part) for part in node]
    return repr(node)


def _has_docstring(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return ast.get_docstring(node, clean=False) is not None


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
