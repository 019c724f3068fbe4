"""One thing that `serialgw doctor` has found, with the line that mends it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

Check: TypeAlias = Literal[
    "configuration",
    "gateway",
    "device",
    "port",
    "name",
    "access",
    "holder",
    "console",
    "login",
    "modem_manager",
    "brltty",
    "driver",
    "network",
    "storage",
    "platform",
    "clock",
]
"""What was looked at, for programs."""
Level: TypeAlias = Literal["fault", "warning", "ok"]
"""A fault keeps data from passing; a warning may, or will after the next start; the rest is as it should be."""
LEVELS: Final[tuple[Level, ...]] = ("fault", "warning", "ok")
"""From the worst one."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    check: Check
    subject: str
    """A port, a folder, the platform: whatever was looked at."""
    level: Level
    found: str
    """What was found, as the rest of a sentence about the subject."""
    cure: str = ""
    """What mends it: a command, a line of a file, or what to do by hand; "" where there is nothing to mend. Commands
    stand on lines of their own."""
