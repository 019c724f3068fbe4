"""Pieces of the input and what becomes of them, for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from common.config.point_models import FLOATS, INTEGERS
from common.conversion.outcomes import PointResult
from common.conversion.values import encode_json
from common.core.quoting import shown
from services.cli.text import table
from services.cli.trial.frames import Outcome
from services.cli.trial.pieces import Piece

ROW_BYTES: Final = 16
"""Bytes in a row of hexadecimal; what has no more stands on the frame's own line."""
MOST_ROWS: Final = 16
"""The rest of a longer frame is counted; JSON has all of it."""
FIELD_BYTES: Final = 16
"""Bytes of a data point that are shown at most."""
_BINARY: Final = frozenset({*INTEGERS, *FLOATS, "bcd", "bits", "hex", "bytes", "bool"})
"""Types whose bytes are no text, where the frame is none."""


def is_text(data: bytes) -> bool:
    """True for what is read as text: at least three of four bytes are printed characters or ends of lines."""
    plain = sum(0x20 <= byte < 0x7F or byte in b"\r\n\t" for byte in data)
    return plain * 4 >= len(data) * 3


def as_json(outcome: Outcome | None, piece: Piece) -> str:
    """An outcome on one line, for a program; or what the device was told."""
    shape: dict[str, Any] = {}
    if piece.at_s is not None:
        shape["atS"] = piece.at_s
    shape |= {"bytes": len(piece.frame), "hex": piece.frame.hex()}
    if piece.is_written:
        return encode_json({**shape, "written": True, "asks": piece.origin}).decode()
    if outcome is None:
        return encode_json({**shape, "foreign": True}).decode()
    if piece.partial:
        shape["partial"] = True
    if piece.dead:
        shape["dead"] = True
    if outcome.decoded:
        shape["decodedHex"] = outcome.decoded.hex()
    found = {
        "deviceName": outcome.device_name,
        "deviceType": outcome.device_type,
        "telemetry": outcome.telemetry,
        "attributes": outcome.attributes,
        "errors": [{"key": key, "error": error} for key, error in outcome.errors],
        "message": outcome.message,
        "points": [_point_as_json(point) for point in outcome.points],
    }
    return encode_json({**found, **shape}).decode()


def _point_as_json(point: PointResult) -> dict[str, Any]:
    shape: dict[str, Any] = {"key": point.key, "kind": point.kind, "type": point.type, "status": point.status}
    if point.span is not None:
        shape |= {"from": point.span[0], "to": point.span[1], "hex": point.field.hex()}
    return {**shape, "value": point.value} if point.status == "value" else {**shape, "why": point.why}


def as_text(outcome: Outcome | None, piece: Piece, number: int) -> str:
    """An outcome for a person: the piece with its number among its kind, whose reading it is, and what was found."""
    lines = _head(piece, number)
    if outcome is not None:
        body = outcome.lines
        if not piece.dead:
            lines.append(f"  {outcome.device_name} ({outcome.device_type})")
        if outcome.decoded:
            lines += _with_bytes("    decoded   ", outcome.decoded, "")
        rows = table([_row_of(point, _is_shown_as_text(outcome, piece)) for point in outcome.points])
        # What is wrong with all of it stands below what was found.
        body = [*rows, *body] if outcome.failed and not outcome.telemetry and not outcome.attributes else [*body, *rows]
        lines += [f"    {line}" for line in body]
    return "\n".join(lines)


def _is_shown_as_text(outcome: Outcome, piece: Piece) -> bool:
    return is_text(outcome.decoded or piece.frame)


def _head(piece: Piece, number: int) -> list[str]:
    """What it is, when it came, and its bytes."""
    what = "told" if piece.is_written else f"dead {number}" if piece.dead else f"frame {number}"
    at = "" if piece.at_s is None else f", at {piece.at_s:.3f} s"
    note = piece.note
    if piece.is_written and piece.origin:
        note = f"asks {piece.origin}"
    if piece.is_foreign:
        note = "stands behind a request that is none to this device"
    size = f"{len(piece.frame)} byte{'' if len(piece.frame) == 1 else 's'}"
    return list(_with_bytes(f"{what}, {size}{at}:", piece.frame, f" ({note})" if note else ""))


def _with_bytes(head: str, data: bytes, note: str) -> Iterator[str]:
    """Text as it reads, in quotes; else bytes in hexadecimal with their text beside them, in rows if there are many."""
    if is_text(data):
        yield f"{head} {shown(data)}{note}"
    elif len(data) <= ROW_BYTES:
        yield f"{head} {in_hex(data)}  {_beside(data)}{note}"
    else:
        yield f"{head}{note}"
        for start in range(0, min(len(data), MOST_ROWS * ROW_BYTES), ROW_BYTES):
            row = data[start : start + ROW_BYTES]
            yield f"  {start:6}  {in_hex(row):<{ROW_BYTES * 3 - 1}}  {_beside(row)}"
        if len(data) > MOST_ROWS * ROW_BYTES:
            yield f"          … {len(data) - MOST_ROWS * ROW_BYTES} bytes more"


def in_hex(data: bytes) -> str:
    """`AA C0 04`."""
    return data.hex(" ").upper()


def _beside(data: bytes) -> str:
    """The same bytes as text, a dot for what is none."""
    return "|" + "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in data) + "|"


def _row_of(point: PointResult, is_shown_as_text: bool) -> tuple[str, ...]:
    """What a data point found: kind, key, type, place, bytes taken, value or why not."""
    return (
        point.kind,
        point.key,
        point.type,
        f"[{point.span[0]}:{point.span[1]}]" if point.span else "-",
        _field(point, is_shown_as_text) if point.span else "-",
        _found_by(point),
    )


def _field(point: PointResult, is_shown_as_text: bool) -> str:
    """The bytes that it took."""
    if is_shown_as_text or point.type not in _BINARY:
        return shown(point.field)
    if len(point.field) > FIELD_BYTES:
        return f"{in_hex(point.field[:FIELD_BYTES])} … ({len(point.field)} bytes)"
    return in_hex(point.field)


def _found_by(point: PointResult) -> str:
    """The value, or why there is none."""
    if point.status == "value":
        return f"= {encode_json(point.value).decode()}"
    return f"{'no value' if point.status == 'none' else point.status}: {point.why}"
