"""The parser that all commands have: help that fits into 80 columns, errors that begin alike."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, Final, NoReturn

MOST_COLUMNS: Final = 80
"""Help is no wider, however wide the terminal is: long lines are hard to read."""
ERROR: Final = "error: "
"""What every error of every command begins with, on standard error."""
WARNING: Final = "warning: "


class HelpText(argparse.RawDescriptionHelpFormatter):
    """Text is wrapped, line by line: so examples stay on lines of their own."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(shutil.get_terminal_size().columns, MOST_COLUMNS) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(line for given in text.splitlines() for line in _wrapped(given, width, indent) or [""])


def _wrapped(line: str, width: int, indent: str) -> Iterable[str]:
    """A line as lines that fit; what continues it stands as deep as it does."""
    depth = indent + " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line.strip(), width, initial_indent=depth, subsequent_indent=depth, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """The parser of the command line, and of each command.

    Abbreviated options are not taken: a new option would change what an old script means.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "formatter_class": HelpText, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Says how it is used and what is wrong, and exits with 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{ERROR}{message} (`{self.prog} --help` says more)\n")
