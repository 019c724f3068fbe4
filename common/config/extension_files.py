"""Finds users' converter classes by parsing the files of the extension folders. Nothing is imported.

`serialgw check`, and every process that reads the configuration, can so say that a class is missing without running
anything of a user's; only hosts import these files.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import stat
import warnings
from collections.abc import Iterable
from pathlib import Path

import msgspec

from common.config.class_forms import SHIPPED_CONVERTERS, form_of
from common.config.names import BUILTIN_DOWNLINK, BUILTIN_UPLINK, ENTRY_POINT_GROUP, EXTENSION_FOLDERS

SHARED_EXTENSIONS = "/var/lib/thingsboard_gateway/extensions"
"""Where the reference's installation has its extensions; looked into after the folder beside the configuration."""
# Bases that declare `convert` without doing anything in it.
_ABSTRACT_BASES = {"object", "ABC", "Protocol", "Generic", "Converter", "UplinkConverter", "DownlinkConverter"}


class ConverterClass(msgspec.Struct, frozen=True):
    """A class at the top level of an extension file. `bases` are plain names, without their modules."""

    name: str
    file: str
    line: int
    bases: tuple[str, ...]
    defines_convert: bool


class BrokenFile(msgspec.Struct, frozen=True):
    """An extension file that Python can't parse. Lines and columns count from 1; 0 where Python names none."""

    file: str
    line: int
    column: int
    reason: str


class Catalogue(msgspec.Struct, frozen=True):
    """What the extension folders hold; of two classes with one name the first folder's first file wins."""

    classes: dict[str, ConverterClass]
    bound: dict[str, str]
    """Files by the other names that they bind, by import or assignment: what stands behind those doesn't show."""
    broken: tuple[BrokenFile, ...]
    loose: frozenset[str] = frozenset()
    """Files that somebody without a say in the configuration may change: none of these is ever run."""
    changed: frozenset[str] = frozenset()
    """Names of our own converters that a file gives to another class than the reference's, as published."""

    def has_convert(self, name: str) -> bool:
        """False only if the class and all its bases are known and none of them has a `convert`."""
        return self._has_convert(name, frozenset())

    def _has_convert(self, name: str, seen: frozenset[str]) -> bool:
        found = self.classes.get(name)
        if found is None:
            return name not in _ABSTRACT_BASES
        if found.defines_convert:
            return True
        return any(self._has_convert(base, seen | {name}) for base in found.bases if base not in seen | {name})


def extension_dirs_of(path: Path) -> tuple[str, ...]:
    """The folders of users' converters of the configuration at `path`, first one wins; what it says has no say."""
    return (os.path.join(os.path.abspath(path.parent), "extensions"), SHARED_EXTENSIONS)


def read_catalogue(folders: Iterable[str]) -> Catalogue:
    """All classes of converters in the extension folders, the one beside the configuration first. Folders and files
    that can't be read hold none."""
    classes: dict[str, ConverterClass] = {}
    broken: list[BrokenFile] = []
    bound: dict[str, str] = {}
    loose: set[str] = set()
    same: dict[str, bool] = {}
    folders = list(folders)
    config_dir = Path(folders[0]).parent if folders else Path()
    for folder in folders:
        for path in extension_files(folder):
            shown = str(path.relative_to(Path(folder).parent))
            parsed = _parse(path, shown)
            if isinstance(parsed, BrokenFile):
                broken.append(parsed)
                continue
            if is_loose(path, config_dir):
                loose.add(shown)
            for node in parsed.body:
                if isinstance(node, ast.ClassDef) and node.name not in bound:
                    classes.setdefault(node.name, _class_of(node, shown))
                if isinstance(node, ast.ClassDef) and node.name in (BUILTIN_UPLINK, BUILTIN_DOWNLINK):
                    same.setdefault(node.name, form_of(node) in SHIPPED_CONVERTERS)
            for name in bound_names(parsed) - classes.keys():
                bound.setdefault(name, shown)
    changed = frozenset(name for name, is_same in same.items() if not is_same)
    return Catalogue(classes, bound, tuple(broken), frozenset(loose), changed)


def loose_reason(path: Path, config_dir: Path) -> str:
    """Why an extension file is not run: others may change it, and what to do about that. "" where nothing is wrong."""
    if not is_loose(path, config_dir):
        return ""
    return (
        f"{path}: other users of this machine may change it, so it is not run: make it, and the two folders it is in,"
        " belong to this user or to the configuration's owner, and chmod go-w"
    )


def is_loose(path: Path, config_dir: Path) -> bool:
    """True if an extension file may be changed, or another one put in its place, by somebody who has no say in what the
    gateway does: it would be run with the gateway's rights. Raises nothing.

    A say have root, the gateway's user and its group, and whoever the configuration's folder belongs to, who could as
    well write into the configuration what is to be run.
    """
    users, groups = {0, os.geteuid()}, {0, os.getegid()}
    try:
        theirs = config_dir.stat()
        users.add(theirs.st_uid)
        groups.add(theirs.st_gid)
    except OSError:
        pass
    try:
        places = [path.stat(), path.parent.stat(), path.parent.parent.stat()]
    except OSError:
        return False
    return any(_is_open_to_others(place, users, groups) for place in places)


def _is_open_to_others(place: os.stat_result, users: set[int], groups: set[int]) -> bool:
    """True if others than these may change a file, or exchange what is in a folder."""
    if place.st_uid not in users:
        return True
    if stat.S_ISDIR(place.st_mode) and place.st_mode & stat.S_ISVTX:
        return False
    return bool(place.st_mode & stat.S_IWOTH) or bool(place.st_mode & stat.S_IWGRP and place.st_gid not in groups)


def bound_names(module: ast.Module) -> set[str]:
    """The names that a module may give a converter by: classes, assignments, and `from … import`."""
    names: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.ImportFrom():
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.ClassDef():
                names.add(node.name)
    return names


def extension_files(folder: str, *kinds: str) -> list[Path]:
    """The files of an extension folder for these types of connectors, those of our own where none is named, in the
    order in which they are looked into; [] if it can't be read. A folder's `__init__` is none of them: no class is
    looked for in it."""
    return [path for kind in kinds or EXTENSION_FOLDERS for path in _files_of(Path(folder, kind))]


def _files_of(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("*.py") if not path.name.startswith("__"))
    except (OSError, ValueError):
        return []


def _parse(path: Path, shown: str) -> ast.Module | BrokenFile:
    """The file as a syntax tree, or what is wrong with it. Warnings of the compiler are none of ours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        return BrokenFile(shown, error.lineno or 0, error.offset or 0, error.msg)
    except OSError as error:
        return BrokenFile(shown, 0, 0, error.strerror or "it can't be read")
    except (ValueError, RecursionError, MemoryError) as error:
        return BrokenFile(shown, 0, 0, str(error) or "too deeply nested")


def _class_of(node: ast.ClassDef, shown: str) -> ConverterClass:
    """What can be told of a class from its text: its bases by name, and whether it defines `convert` itself."""
    bases = tuple(name for name in map(_last_name, node.bases) if name)
    return ConverterClass(node.name, shown, node.lineno, bases, any(map(_is_convert, node.body)))


def _last_name(base: ast.expr) -> str:
    """A base's own name, without its module; "?" for a base that is computed, which may have anything."""
    if isinstance(base, ast.Subscript):
        base = base.value
    if isinstance(base, ast.Attribute):
        return base.attr
    return base.id if isinstance(base, ast.Name) else "?"


def _is_convert(statement: ast.stmt) -> bool:
    """True for a statement in a class that gives it a `convert`, by definition or by assignment."""
    if isinstance(statement, ast.FunctionDef):
        return statement.name == "convert"
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "convert" for target in statement.targets
    )


def has_package(name: str) -> bool:
    """True if Python finds the top-level package of `package.module`; nothing is imported."""
    top = name.split(".", maxsplit=1)[0]
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        return importlib.util.find_spec(top) is not None
    except ValueError:
        # A module without a spec, such as __main__, is there but is nobody's converter.
        return False


def entry_point_names() -> frozenset[str]:
    """Names of converters that installed packages offer."""
    import importlib.metadata  # Here: it takes as long as all the rest of reading a configuration without users' code.

    return frozenset(point.name for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
