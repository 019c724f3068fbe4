"""The file that holds what one process is to do: how the process finds it, and when it believes it.

`serialgw run` writes it from a configuration that it has checked, which nobody edits meanwhile; and 64 processes need
not read the configuration of 64 devices each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from common.io.private import is_private

TaskT = TypeVar("TaskT")
OPTION: Final = "--task="
"""The argument that names the file; it wants another one that says whose task it is."""


def find_written(
    arguments: Sequence[str], read: Callable[[bytes], TaskT], whose: Callable[[TaskT], str]
) -> TaskT | None:
    """The task in the file that the arguments name. None if they name none, it holds no task or another's, or the file
    lies where somebody else may have put it: then the configuration has to be read.

    `read` makes a task of the file's bytes, and raises msgspec.DecodeError or UnicodeDecodeError where they are none;
    `whose` gives the argument that says whose it is.
    """
    places = [word.removeprefix(OPTION) for word in arguments if word.startswith(OPTION)]
    if not places:
        return None
    try:
        if not is_private(Path(places[-1]).parent):
            return None
        task = read(Path(places[-1]).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return task if whose(task) in arguments else None
