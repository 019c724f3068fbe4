"""Users' files that are called as our own packages, `common.py` above all, and the files beside them that import these.

Our packages are taken in every process of ours, so nobody who finds modules is asked for these names: a file beside
such a namesake gets an `__import__` of its own. What the user's has not, `common.converters` for one, is still ours.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final

OURS: Final = ("common", "services")


def let_import_namesakes(module: ModuleType, package: str, folders: Iterable[str]) -> None:
    """To be called before a user's file runs in this module. `package` is what the files of its `folders` are below."""
    folders = list(folders)
    names = [name for name in OURS if any(_is_there(os.path.join(folder, name)) for folder in folders)]
    if names:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importing(package, names)}


def _is_there(path: str) -> bool:
    return os.path.isfile(f"{path}.py") or os.path.isdir(path)


def _importing(package: str, names: list[str]) -> Callable[..., Any]:
    """`__import__` for which these names are below the package, as far as they are there."""

    def importing(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        top = name.partition(".")[0]
        if level or top not in names:
            return builtins.__import__(name, globals, locals, fromlist, level)
        theirs = f"{package}.{name}"
        try:
            importlib.import_module(theirs)
        except ModuleNotFoundError as error:
            if not f"{theirs}.".startswith(f"{error.name}."):
                raise
            return builtins.__import__(name, globals, locals, fromlist, level)
        if fromlist:
            return builtins.__import__(theirs, globals, locals, fromlist, 0)
        return sys.modules[f"{package}.{top}"]

    return importing
