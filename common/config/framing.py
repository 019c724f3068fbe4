"""How the bytes of a device become frames: the model, and the keys that it is read from.

A new way of framing is a kind and its fields here, a file in the port reader's `core/framers/`, and a line in their
registry. A process that only has a model (a port reader, a converter) loads nothing of the reading of files by this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from common.core.byte_text import bytes_of
from common.core.frame_shape import Shape

DELIMITER: Final = b"\n"
MAX_FRAME_BYTES: Final = 65_536
MAX_FRAME_LIMIT: Final = 16 * 1024 * 1024
"""The largest `maxFrameBytes`: a bound against slips, far above what a serial device says at once."""
TIMEOUT_S: Final = 1.0
LONGEST_S: Final = 86_400
"""pyserial waits for ever with null; a day is as long as a frame will ever be waited for."""


class Framing(msgspec.Struct, frozen=True, kw_only=True):
    """How the bytes of a device become frames."""

    kind: Literal["delimiter", "shapes"] = "delimiter"
    """Which framer cuts them; each kind has one file in the port reader's core."""
    delimiter: bytes = DELIMITER
    """The bytes that end a frame, at least one; they stay part of it."""
    max_frame_bytes: int = MAX_FRAME_BYTES
    """What is longer, without its delimiter, is no frame but a dead letter; so no line can fill our memory."""
    first_frame: Literal["discard", "keep"] = "discard"
    """`keep` takes what comes before the first delimiter after joining a talking line as a frame."""
    timeout_s: float = TIMEOUT_S
    """Seconds of silence that end a frame on a line that has never sent the delimiter."""
    named: str = ""
    """The framing's name where the file gives one of `FRAMING_NAMES`; the shapes are then its own."""
    shapes: tuple[Shape, ...] = ()
    """What frames look like, where `kind` is "shapes". Several are told apart by their starts."""
    skip: bytes = b""
    """Byte values that mean nothing between frames of shapes."""
    partial_ms: int | None = None
    """So long the rest of a frame with a shape may take; None: by its length and the line's speed."""
    mask: int = 0xFF
    """What of each byte counts where frames have shapes: 0x7F clears a parity bit."""


class Keys(Protocol):
    """What is used of the object in the file (`JsonObject`), so that it need not be loaded with the model."""

    @property
    def values(self) -> Mapping[str, Any]: ...
    def byte_text(self, key: str) -> str | None: ...
    def whole(self, key: str, default: int, low: int, high: int) -> int: ...
    def number(self, key: str, default: float, low: float, high: float) -> float: ...
    def choice(self, key: str, default: Any, allowed: Sequence[Any]) -> Any: ...
    def knows(self, *keys: str) -> None: ...
    def problem(self, key: str, found: str, expected: str) -> None: ...


def read_framing(entry: Keys) -> Framing:
    """What ends a frame of the device in this object. `timeout` is the reference's word for the silence that does."""
    waits_for_ever = entry.values.get("timeout", TIMEOUT_S) is None
    entry.knows("timeout")
    return Framing(
        delimiter=_read_delimiter(entry),
        max_frame_bytes=entry.whole("maxFrameBytes", MAX_FRAME_BYTES, 1, MAX_FRAME_LIMIT),
        first_frame=entry.choice("firstFrame", "discard", ("discard", "keep")),
        timeout_s=float(LONGEST_S) if waits_for_ever else entry.number("timeout", TIMEOUT_S, 0, LONGEST_S),
    )


def _read_delimiter(entry: Keys) -> bytes:
    """The delimiter's bytes. One that is longer than a frame may be could never end one."""
    text = entry.byte_text("delimiter")
    delimiter = DELIMITER if text is None else bytes_of(text)
    # `maxFrameBytes` itself is checked where it is read.
    limit = entry.values.get("maxFrameBytes", MAX_FRAME_BYTES)
    if isinstance(limit, int) and 1 <= limit <= len(delimiter):
        entry.problem("maxFrameBytes", str(limit), f"more than the delimiter's {len(delimiter)} bytes")
    return delimiter
