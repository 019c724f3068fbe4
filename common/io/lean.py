"""Keeping a process small: modules that are left out, or put off until they are used.

For port readers, of which there are as many as ports. Measured when one has loaded all that it needs, in memory of its
own: 10.4 MiB with this, 1.0 more where nothing is put off, 1.3 more where `typing_extensions` is found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


@contextmanager
def without(module: str) -> Iterator[None]:
    """What is imported meanwhile finds no such module, and does what it does where that is not installed.

    Only for modules that their users try to import and can do without. One that is loaded already stays as it is.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


@contextmanager
def put_off(*modules: str) -> Iterator[None]:
    """Modules of these names, imported meanwhile, load when something of theirs is used for the first time. Not for
    packages of which somebody imports a part: that part would be loaded twice."""
    finder = _PutOff(frozenset(modules))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _PutOff:
    """A finder that stands before all others: it finds what the path has, and makes it load at its first use."""

    def __init__(self, modules: frozenset[str]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Python's import asks this of each module; None for all that are not to be put off."""
        if name not in self._modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
