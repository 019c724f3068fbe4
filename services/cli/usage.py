"""A command line that was understood word by word and makes no sense as a whole."""

from __future__ import annotations

from typing import Final

EXIT_USAGE: Final = 2
"""As argparse has it for wrong options."""


class UsageError(Exception):
    """An argument that makes no sense; the text is for the person who typed it."""
