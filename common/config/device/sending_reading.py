"""Reads `send`: what is put around everything that is written to a device, and how it is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from common.config.asking import Step
from common.config.device.checksum_reading import read_checksum
from common.config.device.escape_reading import read_escape
from common.config.device.protocol_reading import read_bytes
from common.config.findings import show
from common.config.framing import Framing
from common.config.json_object import JsonObject
from common.core.control_names import named
from common.core.frame_shape import Checksum, Escape, Shape
from common.core.sending import Escapes, escapes_of, framed

_EXPECTED_ESCAPE: Final = 'true: as the frames have it, or an object, such as {"byte": "hex:7D", "xor": "0x20"}'


class Sealing:
    """What `send` puts around everything that is written: a start, a checksum, an end, and escapes between them; and
    the messages that a step may expect. `names`: of each whether it has a framing of its own."""

    def __init__(
        self,
        checksum: Checksum | None = None,
        end: bytes = b"",
        names: Mapping[str, bool] = MappingProxyType({}),
        *,
        start: bytes = b"",
        escapes: Escapes = (),
        is_cobs: bool = False,
    ) -> None:
        self.checksum = checksum
        self.start, self.end = start, end
        self.escapes, self.is_cobs = tuple(escapes), is_cobs
        self.names = names

    def step(self, entry: JsonObject, key: str, data: bytes) -> Step | None:
        """The step that sends the bytes of this key as they stand on the line. None where there are none, or too few
        for the checksum, which is noted."""
        if not data:
            return None
        try:
            written = framed(
                data,
                start=self.start,
                checksum=self.checksum,
                escapes=self.escapes,
                is_cobs=self.is_cobs,
                end=self.end,
            )
        except ValueError as error:
            found = f'bytes without what the checksum of "send" is over ({error})'
            entry.problem(key, found, 'the bytes that the checksum is over, or a "checksum" of its own in "send"')
            return None
        return Step(kind="send", data=written)


def read_send(entry: JsonObject, framing: Framing, names: Mapping[str, bool]) -> Sealing:
    """What is added to everything that is written to the device in this object. `names`: of its messages."""
    child = entry.child("send") if entry.values.get("send") is not None else None
    if child is None:
        return Sealing(names=names)
    start = read_bytes(child, "start") if "start" in child.values else b""
    end = read_bytes(child, "end") if "end" in child.values else b""
    checksum = _read_checksum(child, framing)
    escapes, is_cobs = _read_escapes(child, framing, start, end)
    child.warn_unknown()
    return Sealing(checksum, end, names, start=start, escapes=escapes, is_cobs=is_cobs)


def _read_checksum(entry: JsonObject, framing: Framing) -> Checksum | None:
    """The checksum behind what is written: an own one, or that of the frames."""
    said = entry.values.get("checksum")
    entry.knows("checksum")
    if isinstance(said, dict):
        inner = entry.child("checksum")
        return read_checksum(inner) if inner is not None else None
    if said is True:
        own = [one for shape in framing.shapes for one in shape.checksums]
        if own:
            return own[0]
        entry.problem("checksum", "true, and the frames have no checksum", 'an object, such as {"type": "sum8"}')
    elif said not in (None, False):
        entry.problem("checksum", show(said), 'true: as the frames have it, or an object, such as {"type": "sum8"}')
    return None


def _read_escapes(entry: JsonObject, framing: Framing, start: bytes, end: bytes) -> tuple[Escapes, bool]:
    """(what is written instead of which bytes, whether it is COBS)."""
    said = entry.values.get("escape")
    entry.knows("escape")
    own = next((shape for shape in framing.shapes if shape.escape is not None or shape.is_cobs), None)
    if isinstance(said, dict):
        inner = entry.child("escape")
        also = read_bytes(inner, "also") if inner is not None and "also" in inner.values else b""
        escape = read_escape(entry, "also")
        return (() if escape is None else _escapes(entry, framing, escape, (start, end), also)), False
    if said is True and own is not None:
        if own.escape is not None:
            return _escapes(entry, framing, own.escape, (start, end)), False
        _check_cobs(entry, own, start, end)
        return (), True
    if said is True:
        entry.problem("escape", "true, and the frames have no escape", _EXPECTED_ESCAPE.partition(", or ")[2])
    elif said not in (None, False):
        entry.problem("escape", show(said), _EXPECTED_ESCAPE)
    elif said is None and own is not None:
        what = "COBS" if own.is_cobs else "an escape"
        advice = f'the frames have {what}: say "escape": true, if what is sent is to have it (else false)'
        entry.warning("escape", advice)
    return (), False


def _check_cobs(entry: JsonObject, shape: Shape, start: bytes, end: bytes) -> None:
    """Says what can't stand around COBS."""
    if start:
        entry.problem("start", '"start" before COBS', '"end" alone: COBS has nothing else')
    if end not in shape.ends:
        entry.problem("end", named(end) if end else "nothing", f"{named(shape.ends[0])}, which ends COBS")


def _escapes(
    entry: JsonObject, framing: Framing, escape: Escape, around: tuple[bytes, bytes], also: bytes = b""
) -> tuple[tuple[int, bytes], ...]:
    """What is written instead of which bytes: of all that mean something to the framing, where the escape can stand
    for any. Of a start or an end (`around`) of several bytes each is escaped, so that no part of it stands inside."""
    special = {one[0] for one in around if len(one) == 1} | set(also)
    if escape.xor:
        texts = [text for shape in framing.shapes for text in (*shape.starts, *shape.ends)]
        special |= set(b"".join((*around, framing.skip, *texts)))
    try:
        escapes = escapes_of(escape, sorted(special))
    except ValueError as error:
        entry.problem("escape", f"no way to write {error} inside", f'{error} among what its "map" says is meant')
        return ()
    begins = {*special, escape.byte}
    for byte, written in escapes:
        if escape.xor and written[1] in begins:
            why = f"{byte:02X} is sent as {written.hex(' ').upper()}, and {written[1]:02X} is escaped itself"
            entry.warning("escape", f"{why}: most devices would not understand it")
    return escapes
