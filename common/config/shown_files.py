"""The files of a configuration as they are shown and edited over HTTP and by `serialgw config`: texts without secrets.

Which there are says the main file itself, as it stands on the disk now; the one that is broken, what runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from common.config.blanking import blanked
from common.config.file_names import can_name_a_file
from common.config.history import MOST_FILE_BYTES, read_contents
from common.core.hashes import short_hash

MOST_FILES: Final = 256
"""More connectors than any gateway has; what a main file says must not make us read a whole disk."""
TAG_DIGITS: Final = 32
ENDING: Final = ".json"


class ShownFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the configuration."""

    name: str
    """As the main file names it; the main file's own without its folder."""
    path: str
    text: str
    """Without secrets; "" for a file that is not there, or not shown."""
    is_there: bool
    fault: str = ""
    """Why it is not shown."""
    bound: str = ""
    """Why it can't be written."""


def names_of_files(config: Path, known: Iterable[str] = ()) -> list[str]:
    """The names of a configuration's files, the main one first. `known`: paths, for a main file that can't be read."""
    try:
        found = named_in(config.read_bytes())
    except OSError:
        found = None
    if found is None:
        found = _fit([os.path.relpath(path, config.parent) for path in known if path])
    return list(dict.fromkeys([config.name, *found]))[:MOST_FILES]


def named_in(main: bytes) -> list[str] | None:
    """The names of files that a main file's content says; None where it can't be read."""
    try:
        content = json.loads(main.decode("utf-8-sig"))
        entries = content.get("connectors", []) if isinstance(content, dict) else []
        return _fit([entry.get("configuration") for entry in entries if isinstance(entry, dict)])
    except (ValueError, RecursionError, AttributeError, TypeError):
        return None


def _fit(names: Iterable[object]) -> list[str]:
    return [name for name in names if isinstance(name, str) and name.endswith(ENDING) and can_name_a_file(name)]


def contents_of(config: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Name → content, of those that are there and no larger than what is kept."""
    paths = {str(config.parent / name): name for name in names}
    small = [path for path in paths if _size(path) <= MOST_FILE_BYTES]
    return {paths[path]: content for path, content in read_contents(small).items()}


def tag_of(contents: Mapping[str, bytes], key: bytes) -> str:
    """Another one for other contents. Nobody can find a short secret from it without the key."""
    words = b"".join(b"%b\0%d\0%b" % (name.encode(), len(it), it) for name, it in sorted(contents.items()))
    return short_hash(key + b"\0" + words, TAG_DIGITS)


def shown_files(config: Path, names: Iterable[str], contents: Mapping[str, bytes], key: bytes) -> list[ShownFile]:
    """All files as somebody may see them."""
    return [_shown(config, name, contents.get(name), key) for name in names]


def _shown(config: Path, name: str, content: bytes | None, key: bytes) -> ShownFile:
    path = config.parent / name
    is_there, text, fault = os.path.lexists(path), "", ""
    if content is not None:
        try:
            text = blanked(content.decode(), key)
        except UnicodeDecodeError:
            fault = "it is no UTF-8 text"
    elif is_there:
        fault = f"it can't be read, or is larger than {MOST_FILE_BYTES // 1024} KiB"
    bound = fault or why_bound(config, name)
    return ShownFile(name=name, path=str(path), text=text, is_there=is_there, fault=fault, bound=bound)


def why_bound(config: Path, name: str) -> str:
    """Why a file can't be written from here; "" where it can."""
    folder = config.absolute().parent
    path = folder / name
    if not name.endswith(ENDING) or not Path(os.path.abspath(path)).is_relative_to(folder):
        return f"only {ENDING} files below {folder} are edited from here"
    target = Path(os.path.realpath(path))
    if not os.access(target if target.exists() else target.parent, os.W_OK) or not os.access(target.parent, os.W_OK):
        return f"the gateway's user may not write {target}, or its folder is mounted read-only"
    return ""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size if os.path.isfile(path) else MOST_FILE_BYTES + 1
    except (OSError, ValueError):
        return MOST_FILE_BYTES + 1
