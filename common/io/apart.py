"""Keeping memory small: work done in a child, of which only the result comes back, and modules left out or put off."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


@contextmanager
def without(module: str) -> Iterator[None]:
    """What is imported meanwhile finds no such module, and does what it does where that is not installed."""
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
    """These modules, imported meanwhile, load when something of theirs is used for the first time. Not for packages of
    which somebody imports a part: that part would be loaded twice."""
    finder = _PutOff(frozenset(modules))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _PutOff:
    """Finds what the path has, and makes it load at its first use."""

    def __init__(self, modules: frozenset[str]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self._modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


class Apart:
    """Work that a child does, from now on; whatever it imports is gone with it. Not where there are threads."""

    def __init__(self, work: Callable[[], bytes]) -> None:
        outcome_in, outcome_out = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(outcome_in)
            os._exit(_child(work, outcome_out))
        os.close(outcome_out)
        self._outcome = outcome_in

    def wait(self) -> tuple[int, bytes]:
        """(exit code, result) when the child has ended. A `SystemExit` of the work gives its code and no result;
        anything else that it raises is shown, with code 1."""
        with os.fdopen(self._outcome, "rb") as pipe:
            result = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status), result


def _child(work: Callable[[], bytes], outcome: int) -> int:
    code: object = 1
    try:
        with os.fdopen(outcome, "wb") as pipe:
            pipe.write(work())
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:  # noqa: BLE001 (the child ends here)
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


def give_back_memory() -> None:
    """What starting has used and left free goes back to the system, where the C library can do that: 0.7 MB."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass
