"""What the body of a frame is, from the `framing` and `checksum` of a case: as much of them as a converter sees."""

from __future__ import annotations

from typing import Any

from common.config.look_alikes import CONTROL_NAMES
from common.core.byte_text import bytes_of
from common.core.frame_shape import Checksum, Shape

NAMED: dict[str, tuple[Shape, ...]] = {
    "lines": (Shape(ends=(b"\r\n", b"\n", b"\r")),),
    "nmea": (
        Shape(starts=(b"$", b"!"), ends=(b"\r\n",), checksums=(Checksum(type="xor8", after=b"*", spelling="hex"),)),
    ),
}


def shapes_of(device: dict[str, Any]) -> tuple[Shape, ...]:
    """The shapes of a device's section; of most framings that have a name, one that says nothing."""
    framing = device.get("framing", {"end": "\n"})
    if isinstance(framing, str):
        return NAMED.get(framing, (Shape(),))
    common = device.get("checksum")
    return tuple(
        _shape(one, one.get("checksum", common)) for one in (framing if isinstance(framing, list) else [framing])
    )


def _shape(said: dict[str, Any], checksum: dict[str, Any] | None) -> Shape:
    return Shape(
        starts=_texts(said.get("start")),
        ends=_texts(said.get("end")),
        end_plus=said.get("endPlus", 0),
        end_until=b"".join(_texts(said.get("endUntil"))),
        strip=tuple(said.get("strip", (0, 0))),
        checksums=() if checksum is None else (_checksum(checksum),),
    )


def _checksum(said: dict[str, Any]) -> Checksum:
    spelling = said.get("as", "big")
    return Checksum(
        type=said["type"],
        from_byte=said.get("from", 0),
        to_byte=said.get("to"),
        at_byte=said.get("at"),
        after=b"".join(_texts(said.get("after"))),
        result=said.get("result"),
        spelling=spelling,
        hex_pairs=said.get("unit") == "hexPairs",
        each=tuple(map(str.encode, said["each"])) if "each" in said else None,
    )


def _texts(said: Any) -> tuple[bytes, ...]:
    texts = [] if said is None else said if isinstance(said, list) else [said]
    return tuple(CONTROL_NAMES[text.strip("<>")] if text.startswith("<") else bytes_of(text) for text in texts)
