"""Runs users' code so that it ends in a value, or in one sentence that names the class, the file and the line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from common.compat.offered import sentence_of
from common.conversion.values import shorten
from common.core.errors import ConversionError

_T = TypeVar("_T")
Owner = type | Path | str
"""Whose code runs: a class, a file, or a name as somebody configured it."""


def guarded(owner: Owner, call: Callable[[], _T]) -> _T:
    """Runs a user's code: the one place where whatever it raises, SystemExit too, becomes a ConversionError."""
    try:
        return call()
    except ConversionError as error:
        raise ConversionError(f"{_name_of(owner)}: {error}") from None
    except (Exception, SystemExit) as error:
        raise ConversionError(_describe(owner, error)) from error


def _describe(owner: Owner, error: BaseException) -> str:
    """One line: whose code it is, where in its file it raised, and what. The whole traceback would be of our own frames
    mostly."""
    said = shorten(" ".join(traceback.format_exception_only(error)[-1].split()), 300)
    if isinstance(error, ImportError):
        said = sentence_of(error) or _missing(error) or said
    if isinstance(owner, str):
        return f"{owner}: {said}"
    file = file_of(owner) if isinstance(owner, type) else str(owner)
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == file), None)
    where = f"{file}, line {line}" if line else file
    return f"{_name_of(owner)}: {where}: {said}" if isinstance(owner, type) else f"{where}: {said}"


def _missing(error: ImportError) -> str:
    """What to do about a package that is not there; "" where it is, and only a part of it is missing."""
    package = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not package or package in sys.modules:
        return ""
    return f"{package} is not installed for this Python; to install it: {sys.executable} -m pip install {package}"


def _name_of(owner: Owner) -> str:
    """The owner of a piece of users' code, as messages name it."""
    return owner.__name__ if isinstance(owner, type) else str(owner)


def file_of(owner: type) -> str:
    """The file that a class stands in; its module's name where that has no file."""
    return str(getattr(sys.modules.get(owner.__module__), "__file__", None) or owner.__module__)
