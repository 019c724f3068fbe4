"""What a data point's place may hold instead of a value. Pure.

A place has one of four outcomes in a frame: a value; absent, where the frame has no such place; no value, where the
device says that it has none (an empty field, an invalid mark, something out of bounds); or a ValueError, where there
are bytes that are not what the type says. No value is neither 0 nor a fault: it is counted, and nothing is sent.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal


class Lack(Enum):
    """Why there is no value, where nothing is wrong."""

    ABSENT = "the frame has no such place"
    NOTHING = "the device says that it has no value"


ABSENT: Final[Literal[Lack.ABSENT]] = Lack.ABSENT
NOTHING: Final[Literal[Lack.NOTHING]] = Lack.NOTHING
