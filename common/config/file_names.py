"""Which texts can be names of files."""

from __future__ import annotations

import os


def can_name_a_file(name: str) -> bool:
    """False for a text that the system takes for no path at all: it holds a NUL, or half a character."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False
