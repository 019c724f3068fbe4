"""What was applied lately: the files as they were each time, who had them applied, and what that changed.

An entry is a file of its own in `history/` of the data directory, written whole and flushed before it has its name, so
a half one is never found. Nobody starts from an entry: going back writes it into the user's files, which are read,
checked and planned like any other change. So no entry holds a secret either (`common.config.blanking`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from common.config.blanking import blanked
from common.config.taken import content_hash
from common.core.errors import LinkError
from common.io.clock import wall_ms
from common.io.private import is_private, make_private, write_private

FOLDER: Final = "history"
"""In the data directory, mode 0700."""
KEY_NAME: Final = "key"
"""In that folder: with it secrets are blanked, so that the same one is known again."""
KEY_BYTES: Final = 32
MOST_KEPT: Final = 20
"""Entries: some weeks of a gateway that is being set up, some years of one that is not. The oldest one goes; how many
have gone is the difference between the newest number and this."""
MOST_FILE_BYTES: Final = 1024 * 1024
"""A larger file is not kept: with as many as there may be they would fill the disk that journals need."""
START: Final = "start"
"""Who had it applied, where a gateway was started with other files than before."""
MOST_STEPS: Final = 100
"""Lines of a plan that are kept."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. A later version may have more fields, with defaults."""

    number: int
    """From 1, and never used again."""
    at_ms: int
    by: str
    """Who had it applied: `command line`, `SIGHUP`, `page`, `page (add)`, `watch`, `start`, `back to N`."""
    summary: tuple[str, ...] = ()
    """The plan in words, a line each; () where no process had to do anything."""
    files: dict[str, str] = {}
    """Path → its text without secrets."""
    left_out: tuple[str, ...] = ()
    """Files that were too large, or no text."""
    hashes: dict[str, str] = {}
    """Path → the hash of its content, by which it is known whether it is another one now."""


def read_history(data_dir: Path) -> list[Applied]:
    """All entries, the newest first; what can't be read is left out. Raises nothing."""
    found = [_read(data_dir / FOLDER / f"{number}.json") for number in _numbers(data_dir)]
    return [entry for entry in found if entry is not None]


def read_entry(data_dir: Path, number: int) -> Applied | None:
    """One entry; None where it is not there, or can't be read."""
    return _read(data_dir / FOLDER / f"{number}.json")


def outline_of(entry: Applied) -> dict[str, object]:
    """An entry without its files' texts, as JSON."""
    about = {"number": entry.number, "at_ms": entry.at_ms, "by": entry.by, "summary": list(entry.summary)}
    return {**about, "files": [os.path.basename(path) for path in entry.files], "left_out": list(entry.left_out)}


def shown(entry: Applied) -> Applied:
    """An entry as somebody may see it: with the hash of a whole file and its text a short secret could be guessed."""
    return msgspec.structs.replace(entry, hashes={})


def record(
    data_dir: Path, by: str, summary: Iterable[str], contents: Mapping[str, bytes], code: Iterable[str] = ()
) -> int:
    """Keeps these files as applied now; the newest entry's number, also where it holds the same already, and 0 where
    nothing can be kept. `code`: those of them that are programs, of which only the hash is kept. Raises nothing."""
    numbers = _numbers(data_dir)
    newest = numbers[0] if numbers else 0
    hashes = {path: content_hash(content) for path, content in contents.items()}
    known = read_entry(data_dir, newest) if newest else None
    if known is not None and known.hashes == hashes:
        return newest
    try:
        key = blanking_key(data_dir)
        texts = {path: _text(content) for path, content in contents.items() if path not in set(code)}
        entry = Applied(
            number=newest + 1,
            at_ms=wall_ms(),
            by=by,
            summary=tuple(summary)[:MOST_STEPS],
            files={path: blanked(text, key) for path, text in texts.items() if text is not None},
            left_out=tuple(path for path, text in texts.items() if text is None),
            hashes=hashes,
        )
        for draft in (data_dir / FOLDER).glob("*.new"):
            draft.unlink(missing_ok=True)  # Of somebody who was ended while he wrote.
        write_private(data_dir / FOLDER / f"{entry.number}.json", msgspec.json.encode(entry).decode(), flush=True)
        for number in _numbers(data_dir)[MOST_KEPT:]:
            (data_dir / FOLDER / f"{number}.json").unlink(missing_ok=True)
    except (OSError, LinkError):
        return newest  # A full disk: what was applied is applied.
    return entry.number


def blanking_key(data_dir: Path) -> bytes:
    """What secrets are blanked with in this gateway; made where there is none. Raises OSError, LinkError."""
    make_private(data_dir / FOLDER, close=True)
    path = data_dir / FOLDER / KEY_NAME
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) < KEY_BYTES:
        write_private(path, secrets.token_hex(KEY_BYTES), flush=True)
        found = path.read_bytes()  # Of two who have made one at the same time both have the last one.
    return found


def read_contents(files: Iterable[str]) -> dict[str, bytes]:
    """Path → content, of those that can be read."""
    found = {}
    for path in files:
        try:
            found[path] = Path(path).read_bytes()
        except (OSError, ValueError):
            continue
    return found


def _numbers(data_dir: Path) -> list[int]:
    """Of all entries, the newest first. What somebody else may have put there is none."""
    folder = data_dir / FOLDER
    if not is_private(folder):
        return []
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted((int(stem) for stem in stems if stem.isascii() and stem.isdigit() and len(stem) < 12), reverse=True)


def _read(path: Path) -> Applied | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Applied)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _text(content: bytes) -> str | None:
    if len(content) > MOST_FILE_BYTES:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
