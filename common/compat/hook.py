"""The import hook: `thingsboard_gateway` and all below it, as files written for the other gateway import it.

`install` puts it before every other way to find modules, so that it answers also where the real package is installed.
Users' own files stand below it in two packages, `extensions.TYPE` and `connectors.TYPE`, which are one: each file is
one module object, however it is imported. Everything else under that name is refused by a sentence.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from common.compat.namesakes import let_import_namesakes
from common.compat.offered import OFFERED, PACKAGE, PACKAGES, REAL_VARIABLE, USERS_FOLDERS, names_of, refusal_of
from common.config.extension_files import loose_reason

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    # What it is at work; importlib.abc takes long to load.
    Loader = object

_log = logging.getLogger("serialgw.extensions")


def install(extension_dirs: Sequence[str]) -> None:
    """Lets users' code import `thingsboard_gateway`, its own files among it, from now on.

    `extension_dirs` are the folders that hold a folder for each type of connector, the first one wins. Called again, it
    changes these and nothing else.
    """
    folders = [os.path.abspath(folder) for folder in extension_dirs]
    finder = _installed()
    if finder is not None and finder.folders == folders:
        return
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(PACKAGE + ".")]:
        del sys.modules[name]
    if finder is not None:
        finder.folders = folders
        return
    from common.compat.loggers import use_tb_loggers  # Here: nobody needs them where nothing is installed.

    use_tb_loggers()
    finder = _Finder(folders)
    sys.meta_path.insert(0, finder)
    sys.meta_path.append(_SiblingFinder(finder))


def install_for_converters(extension_dirs: Sequence[str]) -> None:
    """As `install`, unless REAL_VARIABLE asks for the real package."""
    if os.environ.get(REAL_VARIABLE) != "1":
        install(extension_dirs)


def extension_dirs() -> list[str]:
    """The folders that are looked into; none where nothing is installed."""
    finder = _installed()
    return [] if finder is None else list(finder.folders)


def import_file(path: Path) -> ModuleType:
    """A file of an extension folder as a module, run once in the life of the process. Raises what the file raises."""
    finder = _installed()
    kind, stem = path.parent.name, path.stem
    if finder is None:
        return _import_alone(path, "")
    package = f"{PACKAGE}.{USERS_FOLDERS[0]}.{kind}"
    finder.kinds.setdefault(kind)
    if "." not in stem:
        spec = importlib.util.find_spec(f"{package}.{stem}")
        if spec is not None and spec.origin == os.path.abspath(path):
            return importlib.import_module(spec.name)
    # Another file, or a folder, of that name comes before it.
    return _import_alone(path, package)


def _import_alone(path: Path, package: str) -> ModuleType:
    """A file under a name that no other module can have: so a user's `utils.py` is in nobody's way."""
    name = f"serialgw extension {path.resolve()}"
    if name in sys.modules:
        return sys.modules[name]
    if not package and str(path.parent) not in sys.path:
        # No finder of ours: so the file finds what lies beside it.
        sys.path.append(str(path.parent))
    spec = ModuleSpec(name, _FileLoader(name, str(path)), origin=str(path))
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    if package:
        module.__package__ = package
        importlib.import_module(package)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except BaseException:  # Users' files raise anything, SystemExit too; it is passed on.
        sys.modules.pop(name, None)
        raise
    return module


def _installed() -> _Finder | None:
    return next((finder for finder in sys.meta_path if isinstance(finder, _Finder)), None)


class _Finder:
    """Finds all that is called `thingsboard_gateway`."""

    def __init__(self, folders: list[str]) -> None:
        self.folders = folders
        self.kinds: dict[str, None] = {}
        """Types of which something was imported: their files may import each other without any package."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != PACKAGE and not name.startswith(PACKAGE + "."):
            return None
        if name in OFFERED or name in PACKAGES:
            return ModuleSpec(name, _OfferedLoader(), is_package=name in PACKAGES)
        spec = self._find_users(name, path)
        if spec is None:
            raise ModuleNotFoundError(refusal_of(name), name=name)
        return spec

    def _find_users(self, name: str, path: Any) -> ModuleSpec | None:
        """A package of users' files, or one of these files."""
        _, folder, *rest = name.split(".")
        if folder not in USERS_FOLDERS or not rest:
            return None
        if len(rest) == 1:
            folders = tuple(self.folders_of(rest[0]))
            if not folders:
                return None
            self.kinds.setdefault(rest[0])
            spec = ModuleSpec(name, _FolderLoader(folders), is_package=True)
            spec.submodule_search_locations = list(folders)
            return spec
        found = PathFinder.find_spec(name, path)
        if found is not None and type(found.loader) is SourceFileLoader:
            found.loader = _FileLoader(name, found.loader.path)
        return found

    def folders_of(self, kind: str) -> Iterator[str]:
        """The folders of a type, the first one wins."""
        return (path for path in (os.path.join(folder, kind) for folder in self.folders) if os.path.isdir(path))


class _SiblingFinder:
    """Finds a file of users by its bare name, as one that lies beside it imports it: behind all other ways."""

    def __init__(self, finder: _Finder) -> None:
        self._finder = finder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if path is not None or "." in name:
            return None
        for kind in list(self._finder.kinds):
            if any(True for _ in self._finder.folders_of(kind)):
                whole = f"{PACKAGE}.{USERS_FOLDERS[0]}.{kind}"
                package = importlib.import_module(whole)
                if PathFinder.find_spec(f"{whole}.{name}", package.__path__) is not None:
                    return ModuleSpec(name, _SameLoader(f"{whole}.{name}"))
        return None


class _OfferedLoader(Loader):
    """Makes a module of what one of ours offers."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        ours = OFFERED.get(module.__name__)
        for name in names_of(module.__name__):
            setattr(module, name, getattr(sys.modules[ours or ""], name))


class _OnceLoader:
    """What is loaded already, under whichever name, is taken as it is: one module object for each file and folder."""

    _there: dict[object, ModuleType] = {}
    """File, or folders of a package → its module, which may be running still."""

    def take(self, key: object) -> ModuleType | None:
        """The module that is there; None for none. Python then gives it the specification of its other name."""
        module = self._there.get(key)
        self._spec = None if module is None else module.__spec__
        return module

    def give_back(self, module: ModuleType) -> bool:
        """Gives a module that was taken its own specification; False where it is a new one."""
        if self._spec is None:
            return False
        module.__spec__ = self._spec
        return True


class _FileLoader(SourceFileLoader, _OnceLoader):  # type: ignore[misc]
    """Runs a file of users, once."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.take(os.path.realpath(self.path))

    def exec_module(self, module: ModuleType) -> None:
        if self.give_back(module):
            return
        key = os.path.realpath(self.path)
        # Before it runs: it may be imported again meanwhile, by what it imports.
        self._there[key] = module
        try:
            self.run(module)
        except BaseException:  # As above: what has not run to its end is no module.
            self._there.pop(key, None)
            raise

    def run(self, module: ModuleType) -> None:
        """Runs it in this module. Raises ImportError where somebody without a say could have written it."""
        folders = extension_dirs()
        if folders and (why := loose_reason(Path(self.path), Path(folders[0]).parent)):
            raise ImportError(why, path=self.path)
        _, *parts = (module.__package__ or module.__name__).split(".")
        finder = _installed()
        if finder is not None and len(parts) > 1:
            package = f"{PACKAGE}.{USERS_FOLDERS[0]}.{parts[1]}"
            let_import_namesakes(module, package, finder.folders_of(parts[1]))
        super().exec_module(module)


class _FolderLoader(_OnceLoader, Loader):
    """Makes the package of a type's folders. What its `__init__` raises stops no file beside it: the other gateway does
    not run it at all."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        self._folders = folders

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.take(self._folders)

    def exec_module(self, module: ModuleType) -> None:
        if self.give_back(module):
            return
        self._there[self._folders] = module
        first = next((path for folder in self._folders if os.path.isfile(path := f"{folder}/__init__.py")), None)
        if first is None:
            return
        module.__file__ = first
        try:
            _FileLoader(module.__name__, first).run(module)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (it is users' code)
            _log.debug("%s: it has failed, and is left out: %r", first, error)


class _SameLoader(_OnceLoader, Loader):
    """Takes a module that has another name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        self.give_back(module)
