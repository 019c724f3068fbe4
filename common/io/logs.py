"""Log lines: an event and its facts, `time LEVEL kind[name] event key=value …`, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from common.events import Note

TRACE: Final = 5
_LEVELS: Final = {
    "TRACE": TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}
_NOTE_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@+,%#")


def start_logs(process: str, level: str = "INFO") -> logging.Logger:
    """The logger of this process, `process` being its address such as `port_reader:press1`."""
    logging.addLevelName(TRACE, "TRACE")
    handler = logging.StreamHandler(sys.stderr)
    shown = process.replace("%", "%%")
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s.%(msecs)03d %(levelname)-7s [{shown}] %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    logger = logging.getLogger("serialgw")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(_LEVELS.get(level.upper(), logging.INFO))
    return logger


def log_note(logger: logging.Logger, note: Note) -> None:
    """Writes what a core noted."""
    level = _NOTE_LEVELS[note.level]
    if logger.isEnabledFor(level):
        logger.log(level, "%s", " ".join([note.event, *(_fact(key, value) for key, value in note.facts.items())]))


def _fact(key: str, value: Any) -> str:
    """`key=value`, in quotes only where a plain word would be ambiguous; long values are cut at 300 characters."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if not text or not _PLAIN.issuperset(text):
        text = '"' + "".join(map(_quoted, text[:300])) + '"'
    return f"{key}={text if len(text) <= 300 else text[:297] + '...'}"


def _quoted(character: str) -> str:
    """Within quotes: nothing may end them, break the line or steer the terminal."""
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
