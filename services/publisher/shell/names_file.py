"""The file of the names that users' converters have given: read once at the start, written when the core says so."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from common.io.private import write_private
from services.publisher.core.names import MOST_FILE_BYTES, Named, decode_names, decode_renamed

NAME: Final = "publisher.names"
"""In the data directory, beside the publisher's lock."""
ASIDE: Final = ".unreadable"
"""Ends the name of a file that this release can't read. An earlier one of that name makes room."""


class KeptFile(NamedTuple):
    """What the file says."""

    names: dict[str, Named]
    renamed: dict[str, str]
    fault: str
    """A sentence for the log where it can't be used; else ""."""


def read_names(path: Path) -> KeptFile:
    """What the file says, and a sentence for the log where it can't be used: then it is set aside, and the names are
    learned anew. Raises nothing."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
        if len(content) > MOST_FILE_BYTES:
            raise ValueError(f"it has more than {MOST_FILE_BYTES} bytes")
        return KeptFile(decode_names(content), decode_renamed(content), "")
    except FileNotFoundError:
        return KeptFile({}, {}, "")
    except OSError as error:
        return KeptFile({}, {}, f"{path}: {error.strerror or error}; the names are learned anew")
    except ValueError as error:
        aside = path.with_name(path.name + ASIDE)
        try:
            path.replace(aside)
        except OSError as failure:
            return KeptFile(
                {}, {}, f"{path}: {error}; it could not be set aside ({failure.strerror}); the names are learned anew"
            )
        return KeptFile({}, {}, f"{path}: {error}; it was set aside as {aside.name}, and the names are learned anew")


def write_names(path: Path, content: bytes) -> str:
    """Writes the file whole or not at all, and on the disk before this returns; why not, or ""."""
    try:
        write_private(path, content.decode(), flush=True)
        return ""
    except OSError as error:
        return f"{path}: {error.strerror or error}"
