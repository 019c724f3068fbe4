"""What comes of a frame: what all frames of a batch say, what one data point found, and what may stand in its place
instead of a value. Pure.

A place has one of four outcomes in a frame: a value; absent, where the frame has no such place; no value, where the
device says that it has none (an empty field, an invalid mark, something out of bounds); or a ValueError, where there
are bytes that are not what the type says. No value is neither 0 nor a fault: it is counted, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal, NamedTuple

from common.conversion.spans import Span
from common.wire.messages import Lacking, UserReading

Kind = Literal["telemetry", "attribute"]
"""What a value is for the platform: telemetry is kept over time, of an attribute the last value counts."""


class Lack(Enum):
    """Why there is no value, where nothing is wrong."""

    ABSENT = "the frame has no such place"
    NOTHING = "the device says that it has no value"


ABSENT: Final[Literal[Lack.ABSENT]] = Lack.ABSENT
NOTHING: Final[Literal[Lack.NOTHING]] = Lack.NOTHING


class PointResult(NamedTuple):
    """What one data point found in one frame, for a person. `span` and `field` are what it took, if anything."""

    key: str
    kind: Kind
    type: str
    status: Literal["value", "absent", "error", "blank", "none"]
    span: Span | None
    field: bytes
    value: object
    why: str
    """Why there is no value; "" if there is one."""


class BatchResult(NamedTuple):
    """What a run of frames says; `telemetry[i]` and `attributes[i]` are JSON objects of frame i, b"" for no value."""

    telemetry: list[bytes]
    attributes: list[bytes]
    """Fragments, merged later: a batch costs one publish of attributes, not one a frame."""
    dead: dict[int, str]
    """Index of each frame that gave no value and at least one error, with the reason."""
    errors: int
    """Data points that failed, those of dead frames included."""
    absent: int
    """Data points that had no place in their frame, and JSON nulls."""
    error_sample: str
    """The first error of a frame that is not dead, or "": for a log line."""
    blank: int = 0
    """Frames that say nothing: blanks, NULs and the delimiter only, of which no point has made a value."""
    never: Sequence[str] = ()
    """Keys of the data points that were absent from every frame that says something to them; () where `lacking` says
    it."""
    user: dict[int, list[UserReading]] = {}
    """Index of each frame whose values have the device's own time, or belong to another device → these readings."""
    nothing: int = 0
    """Data points of which the device says that they have no value: neither absent nor wrong."""
    unfit: int = 0
    """Dead frames that no message fits."""
    times_refused: int = 0
    """Frames whose own time can't be read, or is too far from ours: they have ours."""
    lacking: Lacking | None = None
    """None for a device without messages."""
