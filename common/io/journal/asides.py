"""Damaged journals that were set aside: their names, how many are kept, and what is said of them.

What was readable of one goes on in a new journal; the old files are kept for whoever wants to know what happened to
them, or to get more out of them by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

from common.core.events import Note

KEPT: Final = 3
"""So many are kept of each journal, each with its log: enough for a person to look at, and a card that goes bad, which
damages its journals again and again, does not fill itself with them."""
_MARK: Final = ".damaged-"


def aside_names(path: Path, stamp: str) -> Iterator[Path]:
    """Where a damaged journal may go: nothing that was put aside is written over."""
    yield path.with_name(f"{path.name}{_MARK}{stamp}")
    for number in count(2):
        yield path.with_name(f"{path.name}{_MARK}{stamp}-{number}")


def damaged_note(path: Path, aside: Path | None, reason: str) -> Note:
    """Says that a journal was damaged, and where it is. The oldest of its kind are removed, and counted in it."""
    facts: dict[str, Any] = {} if aside is None else {"aside": aside}
    removed = remove_old(path, aside)
    if removed:
        facts["older_removed"] = removed
    return Note("error", "journal.damaged", {**facts, "reason": reason})


def remove_old(path: Path, newest: Path | None) -> int:
    """Removes those of a journal that are more than KEPT, oldest first, each with its log; returns how many. `newest`
    stays whatever the clock said when it was named."""
    found: dict[str, list[Path]] = {}
    try:
        for part in path.parent.iterdir():
            if part.name.startswith(f"{path.name}{_MARK}"):
                found.setdefault(re.sub("-(wal|shm)$", "", part.name), []).append(part)
        others = sorted((name for name in found if newest is None or name != newest.name), key=lambda n: _age(found[n]))
        old = others[: max(0, len(found) - KEPT)]
        for part in (part for name in old for part in found[name]):
            part.unlink(missing_ok=True)
    except OSError:
        return 0  # the folder can't be read or written now: the next one that is set aside finds them
    return len(old)


def _age(parts: list[Path]) -> tuple[str, int]:
    """What sorts them: the time in their name, and of those of one second when they got it."""
    stamp = re.sub(r"-\d+$", "", re.sub("-(wal|shm)$", "", parts[0].name))
    # A clock that is set back makes names that sort wrong; within a second only the file system knows the order.
    return stamp, max(part.stat().st_ctime_ns for part in parts)
