"""Says what a file of users imports under `thingsboard_gateway` that is not offered. Nothing of a user's is run."""

from __future__ import annotations

import ast
import importlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from common.compat.offered import OFFERED, PACKAGE, PACKAGES, USERS_FOLDERS, name_refusal_of, names_of, refusal_of
from common.config.extension_files import bound_names, extension_files

_CAUGHT: Final = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
"""Who catches one of these has thought of a module that is not there."""
_Import = ast.Import | ast.ImportFrom


def missing_names(name: str, extension_dirs: Sequence[str], *kinds: str) -> list[str]:
    """One sentence, with file and line, for each name that the class `name` of these types of connectors, a converter
    where none is named, would not get: in the file that has the class, and in those beside it that this imports. []
    where no file has the class."""
    return next(
        (
            missing_in_file(path, extension_dirs)
            for folder in extension_dirs
            for path in extension_files(folder, *kinds)
            if (tree := _parse(path)) is not None and name in bound_names(tree)
        ),
        [],
    )


def missing_in_file(path: Path, extension_dirs: Sequence[str]) -> list[str]:
    """The same for a file; [] for one that can't be read, of which others say so."""
    reader = _Reader(extension_dirs)
    reader.read(path)
    return list(dict.fromkeys(reader.missing))


class _Reader:
    """Reads files of users, each once, and keeps what they lack."""

    def __init__(self, extension_dirs: Sequence[str]) -> None:
        self._folders = extension_dirs
        self._seen: set[Path] = set()
        self.missing: list[str] = []

    def read(self, path: Path) -> None:
        tree = None if path in self._seen else _parse(path)
        self._seen.add(path)
        if tree is None:
            return
        offered: dict[str, str] = {}
        """What the file calls by a name of its own → the dotted name that it has there."""
        for statement in self._imports(tree.body):
            self.missing += [f"{path}, line {statement.lineno}: {why}" for why in self._refusals(statement)]
            offered.update(_bound(statement))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and (why := _refused_member(node, offered)):
                self.missing.append(f"{path}, line {node.lineno}: {why}")
        for other in self._beside(path, tree):
            self.read(other)

    def _imports(self, body: Iterable[ast.AST]) -> Iterator[_Import]:
        """The imports that run unless somebody has thought of their failing, wherever they stand."""
        for node in body:
            if isinstance(node, _Import):
                yield node
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from self._imports(node.orelse)
            elif isinstance(node, ast.Try) and any(map(_catches_import, node.handlers)):
                tried = list(self._imports(node.body))
                failing = any(True for one in tried for _ in self._refusals(one))
                yield from (one for one in tried if not any(True for _ in self._refusals(one)))
                yield from self._imports([*(node.handlers if failing else node.orelse), *node.finalbody])
            else:
                yield from self._imports(ast.iter_child_nodes(node))

    def _refusals(self, node: _Import) -> Iterator[str]:
        """Why an import fails, if it does."""
        if isinstance(node, ast.Import):
            yield from (refusal_of(one.name) for one in node.names if _is_ours(one.name) and not self._has(one.name))
            return
        module = node.module or ""
        if node.level or not _is_ours(module):
            return
        if not self._has(module):
            yield refusal_of(module)
            return
        for one in node.names:
            if one.name != "*" and not self._has_name(module, one.name):
                is_place = module in PACKAGES and module not in OFFERED
                yield refusal_of(f"{module}.{one.name}") if is_place else name_refusal_of(module, one.name)

    def _has(self, module: str) -> bool:
        """True if the module is offered, or is a file or a folder of users."""
        return module in OFFERED or module in PACKAGES or bool(self._users_places(module))

    def _has_name(self, module: str, name: str) -> bool:
        if self._has(f"{module}.{name}") or name in names_of(module):
            return True
        # What a file of users has shows only when it runs.
        return any(place.suffix == ".py" or (place / "__init__.py").is_file() for place in self._users_places(module))

    def _users_places(self, module: str) -> list[Path]:
        """The file, or the folders, that users have under this name."""
        parts = module.split(".")
        if len(parts) < 3 or parts[1] not in USERS_FOLDERS:
            return []
        places = [Path(folder, *parts[2:]) for folder in self._folders]
        files = [place.with_name(f"{place.name}.py") for place in places if len(parts) > 3]
        return [file for file in files if file.is_file()] or [place for place in places if place.is_dir()]

    def _beside(self, path: Path, tree: ast.Module) -> Iterator[Path]:
        """The files of users that a file imports, in any of the ways there are."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                modules = [module, *(f"{module}.{one.name}".lstrip(".") for one in node.names)]
            else:
                continue
            level = getattr(node, "level", 0)
            for module in filter(None, modules):
                if _is_ours(module) and not level:
                    yield from (place for place in self._users_places(module) if place.suffix == ".py")
                    continue
                folder = path.parents[level - 1] if 0 < level <= len(path.parents) else path.parent
                file = folder.joinpath(*module.split(".")).with_suffix(".py")
                if file.is_file():
                    yield file


def _parse(path: Path) -> ast.Module | None:
    """The file as a syntax tree; None for one that Python can't read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(PACKAGE + ".")


def _catches_import(handler: ast.ExceptHandler) -> bool:
    """True for a handler that runs where a module is missing."""
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _CAUGHT for kind in kinds)


def _bound(node: _Import) -> dict[str, str]:
    """What an import of offered modules gives names to."""
    if isinstance(node, ast.ImportFrom):
        if node.level or not _is_ours(node.module or ""):
            return {}
        return {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    ours = [one for one in node.names if _is_ours(one.name)]
    return {one.asname or PACKAGE: one.name if one.asname else PACKAGE for one in ours}


def _refused_member(node: ast.Attribute, offered: dict[str, str]) -> str:
    """Why `TBUtility.something`, or `constants.SOMETHING`, is not there; "" where it is, or is none of these."""
    if not isinstance(node.ctx, ast.Load):
        return ""
    first, *others = ast.unparse(node.value).split(".")
    if first not in offered:
        return ""
    whole = ".".join([offered[first], *others])
    if whole in OFFERED and whole not in PACKAGES:
        return "" if node.attr in names_of(whole) or node.attr.startswith("__") else name_refusal_of(whole, node.attr)
    module, _, name = whole.rpartition(".")
    if name not in names_of(module):
        return ""
    found = getattr(importlib.import_module(OFFERED[module]), name)
    return name_refusal_of(whole, node.attr) if isinstance(found, type) and not hasattr(found, node.attr) else ""
