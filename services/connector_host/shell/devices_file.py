"""The file of a connector's devices: read once at the start, written when the core says so."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from common.io.private import write_private
from services.connector_host.core.devices import KeptDevice, decode_devices

MOST_BYTES: Final = 16 * 1024 * 1024
"""A larger file is none of ours."""


def read_devices(path: Path) -> tuple[dict[str, KeptDevice], str]:
    """What the file says, and a sentence for the log where it can't be used: the connector names its devices again.
    Raises nothing."""
    try:
        with path.open("rb") as file:
            return decode_devices(file.read(MOST_BYTES)), ""
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{path}: {error.strerror or error}; the devices are learned anew"
    except ValueError as error:
        return {}, f"{path}: {error}; the devices are learned anew"


def write_devices(path: Path, content: bytes) -> str:
    """Writes the file whole or not at all, or removes it where there is nothing to say; why not, or ""."""
    try:
        if content:
            write_private(path, content.decode())
        else:
            path.unlink(missing_ok=True)
        return ""
    except OSError as error:
        return f"{path}: {error.strerror or error}"
