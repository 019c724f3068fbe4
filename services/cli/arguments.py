"""Arguments that several commands take, checked as they are parsed: what is wrong is exit 2 with a usage line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from common.config.names import LOG_LEVELS
from common.io.arguments import DATA_DIR_VARIABLE, default_data_dir
from services.cli.usage import UsageError

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What a command's `add_parser` adds its own parser to."""


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds `--data-dir`, by which every command finds the gateway: sockets, journals and locks are in it."""
    parser.add_argument(
        "--data-dir",
        type=utf8_path,
        default=default_data_dir(os.environ),
        metavar="DIR",
        help=f"where journals and sockets live (default: ${DATA_DIR_VARIABLE}, else %(default)s)",
    )


def add_device(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Adds the device, which stands behind what is in front of it, or behind `--device`: `one_device` has it."""
    parser.add_argument("device", type=utf8_text, nargs="?", metavar="DEVICE", help=meaning)
    parser.add_argument("--device", dest="device_option", type=utf8_text, metavar="DEVICE", help="the same")


def one_device(args: argparse.Namespace) -> str | None:
    """The device that was named in either place; None for none. Raises UsageError for two."""
    named = {name for name in (args.device, args.device_option) if name is not None}
    if len(named) > 1:
        raise UsageError(f"found two devices, {args.device} and {args.device_option}, expected one")
    return named.pop() if named else None


def utf8_text(text: str) -> str:
    """The text itself, which is to be sent or written as UTF-8: bytes that are none would fail only there."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"found {os.fsencode(text)!r}, expected UTF-8 text") from None
    return text


def utf8_path(text: str) -> Path:
    """A path that a file of ours can name. An empty one would quietly be this folder, so it is refused."""
    if not text:
        raise argparse.ArgumentTypeError("found an empty text, expected a path")
    return Path(utf8_text(text))


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`, for argparse: what is none is exit 2 with a sentence."""

    def convert(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from {low} to {high}")
        return value

    return convert


def log_level(text: str) -> str:
    """The name of a log level in upper case, however it was typed."""
    if text.upper() not in LOG_LEVELS:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected one of {', '.join(LOG_LEVELS)}")
    return text.upper()
