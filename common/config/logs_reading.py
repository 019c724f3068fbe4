"""Reads how much is logged from `logs.json`, the reference's file beside its main file.

Only the levels are taken. Where the log goes is no matter of the gateway: it writes to standard error. A file that
can't be read is a warning, as there: no reading depends on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from common.config.findings import Findings, choices, show
from common.config.json_files import read_json
from common.config.names import LOG_LEVELS

NAME: Final = "logs.json"
KINDS: Final = {
    "service": ("broker", "monitor"),
    "tb_connection": ("publisher",),
    "connector": ("port_reader", "connector_host"),
    "converter": ("converter",),
}
"""The reference's logger → the kinds of our processes that do its work."""
NUMBERS: Final = (5, 10, 20, 30, 40, 50)
"""Python's numbers for LOG_LEVELS."""
_ABSENT: Final[Any] = object()


def read_log_levels(folder: Path, findings: Findings, laid: Any = None) -> dict[str, str]:
    """Kind of process → level, for each that the file names; {} where there is no file, or one that can't be used.
    `laid`: what stands in the file's place; None for nothing."""
    path = folder / NAME
    if laid is not None:
        return levels_in(laid, findings)
    if not path.exists():
        return {}
    faults = Findings()
    value = read_json(path, NAME, faults)
    if faults.problems:
        findings.warnings += [f"{problem}; the levels in it have no effect" for problem in faults.problems]
        return {}
    return levels_in(value, findings)


def levels_in(value: Any, findings: Findings) -> dict[str, str]:
    """Kind of process → level, for each that the file's value names; what is no level is a warning."""
    loggers = value.get("loggers") if isinstance(value, dict) else None
    if not isinstance(loggers, dict):
        return {}
    found: dict[str, str] = {}
    for logger, kinds in KINDS.items():
        entry = loggers.get(logger)
        said = entry.get("level", _ABSENT) if isinstance(entry, dict) else _ABSENT
        if said is _ABSENT:
            continue
        level = _level_of(said)
        if level is None:
            sentence = f"{show(said)} is no level, expected {choices(LOG_LEVELS)}"
            findings.warning(NAME, f"loggers.{logger}.level", sentence)
            continue
        found |= dict.fromkeys(kinds, level)
    return found


def _level_of(said: object) -> str | None:
    """The level by its name, or by Python's number for it: the next one above where the number is between two."""
    if isinstance(said, str):
        return said.upper() if said.upper() in LOG_LEVELS else None
    if isinstance(said, bool) or not isinstance(said, int):
        return None
    return next((name for name, number in zip(LOG_LEVELS, NUMBERS, strict=True) if said <= number), LOG_LEVELS[-1])
