"""Reads `framing` and `checksum` of a device: what its frames look like, and whether that can work."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from common.config.device.checksum_reading import read_checksum, read_checksums
from common.config.device.escape_reading import read_escape
from common.config.device.named_framings import NAMED
from common.config.device.protocol_reading import read_bytes, read_number, read_texts
from common.config.findings import choices, nearest, show
from common.config.framing import LONGEST_S, MAX_FRAME_BYTES, MAX_FRAME_LIMIT, Framing
from common.config.json_object import JsonObject
from common.core.checksum import CRCS, size_of
from common.core.frame_shape import FRAMING_NAMES, Checksum, Field, Length, Shape

FIELD_TYPES: Final = (
    *("uint8", "uint16", "uint24", "uint32"),
    *(f"{kind}{digits}" for kind in ("dec", "hex") for digits in range(1, 9)),
)
"""What the field of a length may be: a number, or so many digits."""
_DISCARD: Final[Literal["discard"]] = "discard"
_LONGEST_MS: Final = LONGEST_S * 1000
_EXPECTED: Final = (
    'an object, such as {"start": "hex:AA C0", "length": 10}, a list of such objects, or one of the names '
    + ", ".join(FRAMING_NAMES)
)


class _Rules(NamedTuple):
    """What holds for the whole line, whichever shape says it."""

    skip: bytes
    partial_ms: int | None
    mask: int


def has_shapes(entry: JsonObject) -> bool:
    """True if this device's frames are described by `framing`."""
    return "framing" in entry.values


def read_shaped(entry: JsonObject, *, begins: bool = False) -> Framing:
    """The framing of a device, or of a message, that has the key `framing`. `begins`: the first byte is known to begin
    a frame, as in the answer to a question.

    What is wrong is noted with its place, and the shapes that are right are handed out.
    """
    entry.knows("framing", "checksum")
    max_bytes, first = (MAX_FRAME_BYTES, _DISCARD) if begins else _read_device_rules(entry)
    value, named = entry.values["framing"], ""
    rules = _Rules(b"", None, 0xFF)
    if isinstance(value, str):
        named, shapes, rules = _read_named(entry, value)
    elif isinstance(value, dict | list):
        shapes, rules = _read_shapes(entry, value, max_bytes, begins=begins)
    else:
        entry.problem("framing", show(value), _EXPECTED)
        shapes = ()
    return Framing(
        kind="shapes" if shapes else "delimiter",
        max_frame_bytes=max_bytes,
        first_frame=first,
        named=named,
        shapes=shapes,
        skip=rules.skip,
        partial_ms=rules.partial_ms,
        mask=rules.mask,
    )


def _read_device_rules(entry: JsonObject) -> tuple[int, Literal["discard", "keep"]]:
    """(`maxFrameBytes`, `firstFrame`), which only devices have."""
    for key in ("delimiter", "timeout"):
        if key in entry.values:
            entry.warning(key, 'it has no effect beside "framing"')
    entry.knows("delimiter", "timeout", "maxFrameBytes", "firstFrame")
    max_bytes = entry.whole("maxFrameBytes", MAX_FRAME_BYTES, 1, MAX_FRAME_LIMIT)
    return max_bytes, entry.choice("firstFrame", _DISCARD, ("discard", "keep"))


def _read_named(entry: JsonObject, name: str) -> tuple[str, tuple[Shape, ...], _Rules]:
    """A framing by its name, with the device's checksum where it has none of its own."""
    if name not in NAMED:
        near = nearest(name, NAMED)
        expected = f'"{near}"? The names are {", ".join(NAMED)}' if near else choices(NAMED)
        entry.problem("framing", show(name), expected)
        read_checksums(entry, "checksum")
        return "", (), _Rules(b"", None, 0xFF)
    shapes, skip = NAMED[name]
    if "checksum" in entry.values and any(shape.checksums for shape in shapes):
        entry.problem("checksum", f'"checksum" beside the framing {name}', "no other: this framing has its own")
    elif checksums := read_checksums(entry, "checksum"):
        shapes = tuple(msgspec.structs.replace(shape, checksums=checksums) for shape in shapes)
        for shape in shapes:
            for checksum in checksums:
                _check_in(entry, "checksum", shape, checksum)
    return name, shapes, _Rules(skip, None, 0xFF)


def _read_shapes(entry: JsonObject, value: Any, max_bytes: int, *, begins: bool) -> tuple[tuple[Shape, ...], _Rules]:
    """One shape, or a list of them."""
    if isinstance(value, dict):
        child = entry.child("framing")
        objects = [child] if child is not None else []
    else:
        objects = list(entry.items("framing"))
        if not objects and not value:
            entry.problem("framing", "an empty list", "at least one shape")
    shared = read_checksums(entry, "checksum")
    before = len(entry.findings.problems)
    shapes = [_read_shape(one, entry, shared, max_bytes, begins=begins) for one in objects]
    rules = _read_rules(objects)
    if len(objects) > 1 and len(entry.findings.problems) == before:
        _check_together(objects, shapes)
    return tuple(shapes) if len(entry.findings.problems) == before else (), rules


def _read_rules(objects: list[JsonObject]) -> _Rules:
    """What is said of the whole line; several shapes may say it, if they say the same."""
    found: dict[str, list[Any]] = {"skip": [], "partialMs": [], "mask": []}
    for one in objects:
        read = {
            "skip": read_bytes(one, "skip"),
            "partialMs": one.maybe_whole("partialMs", 1, _LONGEST_MS, nullable=False),
            "mask": read_number(one, "mask", 1, 0xFF),
        }
        for key, value in read.items():
            if key in one.values:
                if found[key] and found[key][0] != value:
                    one.problem(key, show(one.values[key]), "what the other shape says: it holds for the whole line")
                found[key].append(value)
        one.warn_unknown()
    first = {key: values[0] if values else None for key, values in found.items()}
    return _Rules(first["skip"] or b"", first["partialMs"], 0xFF if first["mask"] is None else first["mask"])


def _read_shape(
    entry: JsonObject, device: JsonObject, shared: tuple[Checksum, ...], max_bytes: int, *, begins: bool
) -> Shape:
    """One shape, checked by itself. `shared`: the checksums of the device, which count where it has none of its own."""
    before = len(entry.findings.problems)
    entry.knows("skip", "partialMs", "mask")
    own = read_checksums(entry, "checksum")
    is_cobs = entry.choice("decode", "", ("cobs",)) == "cobs" if "decode" in entry.values else False
    entry.knows("decode")
    ends = read_texts(entry, "end")
    shape = Shape(
        starts=read_texts(entry, "start"),
        ends=ends or ((b"\0",) if is_cobs and "end" not in entry.values else ()),
        end_plus=entry.whole("endPlus", 0, 1, 65_536),
        end_until=read_bytes(entry, "endUntil"),
        length=_read_length(entry, max_bytes),
        escape=read_escape(entry),
        is_cobs=is_cobs,
        restarts=entry.flag("restart", False),
        strip=_read_strip(entry),
        checksums=own if "checksum" in entry.values else shared,
        silence_ms=entry.maybe_whole("silenceMs", 1, _LONGEST_MS, nullable=False),
    )
    if len(entry.findings.problems) == before:
        _check_shape(entry, shape, max_bytes, begins=begins)
        for checksum in shape.checksums:
            _check_in(entry if "checksum" in entry.values else device, "checksum", shape, checksum)
    return shape


def _read_strip(entry: JsonObject) -> tuple[int, int]:
    entry.knows("strip")
    value = entry.values.get("strip", [0, 0])
    is_right = (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= 255 for count in value)
    )
    if not is_right:
        entry.problem(
            "strip", show(value), "two numbers from 0 to 255: bytes off the front and off the end, such as [1, 1]"
        )
        return 0, 0
    return value[0], value[1]


def _read_length(entry: JsonObject, max_bytes: int) -> int | Length | None:
    """How long frames are: a number, or where they say it."""
    if not isinstance(entry.values.get("length"), dict):
        return entry.maybe_whole("length", 1, max_bytes, nullable=False)
    child = entry.child("length")
    if child is None:
        return None
    fields = [_read_field(child)]
    more = child.values.get("add")
    if isinstance(more, list):
        fields += [_read_field(one, is_added=True) for one in child.items("add")]
    elif (one := child.child("add")) is not None:
        fields.append(_read_field(one, is_added=True))
    plus = child.whole("plus", 0, -65_536, MAX_FRAME_LIMIT)
    header = child.child("headerChecksum")
    checksum = read_checksum(header) if header is not None else None
    if header is not None and checksum is not None:
        places = (checksum.from_byte, checksum.at_byte, checksum.to_byte)
        if checksum.at_byte is None or any(place is not None and place < 0 for place in places):
            header.problem("at", "a place that is not from the front", '"at", and all places counted from 0')
    child.warn_unknown()
    return Length(fields=tuple(fields), plus=plus, header_checksum=checksum)


def _read_field(entry: JsonObject, *, is_added: bool = False) -> Field:
    if "at" not in entry.values:
        entry.problem("at", "nothing", "the byte at which the length stands, from 0")
    field = Field(
        at=entry.whole("at", 0, 0, 65_535),
        type=entry.choice("type", "uint8", FIELD_TYPES),
        byteorder=entry.choice("byteorder", "big", ("big", "little")),
        mask=read_number(entry, "mask", 1, 0xFFFFFFFF),
        times=entry.whole("times", 1, 1, 65_536),
    )
    if is_added:
        entry.warn_unknown()
    return field


# What can't work


def _check_shape(entry: JsonObject, shape: Shape, max_bytes: int, *, begins: bool) -> None:
    """Says what of a shape contradicts itself, or can't find a frame."""
    _check_what_ends(entry, shape)
    _check_what_begins(entry, shape, begins=begins)
    for text in (*shape.starts, *shape.ends):
        if len(text) >= max_bytes:
            entry.problem("start", f"{len(text)} bytes", f'less than "maxFrameBytes", which is {max_bytes}')
    if shape.escape is not None and shape.is_cobs:
        entry.problem("decode", '"decode" beside "escape"', "one of them")
    if shape.is_cobs and (shape.starts or shape.length is not None or shape.end_plus):
        entry.problem("decode", '"cobs" beside "start", "length" or "endPlus"', '"end" alone: COBS has nothing else')
    _advise_restart(entry, shape)


def _check_what_ends(entry: JsonObject, shape: Shape) -> None:
    ends = bool(shape.ends)
    for key, given in (("endPlus", shape.end_plus), ("endUntil", shape.end_until)):
        if given and not ends:
            entry.problem(key, f'"{key}" without "end"', f'"end": {key} is counted from there')
    if shape.end_plus and shape.end_until:
        entry.problem("endUntil", '"endUntil" beside "endPlus"', "one of them")
    if shape.end_until and (shape.length is not None or not shape.starts):
        entry.problem("endUntil", '"endUntil" without "start", or with "length"', '"start" and "end" beside it')
    if shape.silence_ms is not None and (shape.starts or ends or isinstance(shape.length, Length)):
        entry.problem(
            "silenceMs",
            '"silenceMs" beside "start", "end" or a length that the frame says',
            "none of them: silence ends frames only where nothing else does",
        )
    if shape.silence_ms is not None and (shape.escape or shape.is_cobs or shape.restarts):
        entry.problem("silenceMs", '"silenceMs" beside "escape", "decode" or "restart"', "none of them")
    if shape.ends or shape.length is not None or shape.silence_ms is not None:
        return
    what = "a start, and nothing that ends a frame" if shape.starts else "nothing that ends a frame"
    entry.findings.problem(entry.file, entry.path, what, '"end", "length", or "silenceMs" where there is nothing else')


def _check_what_begins(entry: JsonObject, shape: Shape, *, begins: bool) -> None:
    is_blind = not (begins or shape.starts or shape.ends or shape.checksums or shape.silence_ms is not None)
    if isinstance(shape.length, int) and is_blind:
        entry.problem(
            "length",
            "a fixed length with nothing to find its beginning by",
            '"start", "end", "checksum" or "silenceMs" beside it',
        )
    elif isinstance(shape.length, Length) and not (begins or shape.starts or shape.checksums):
        entry.problem("length", "a length with nothing to find its beginning by", '"start" or "checksum" beside it')
    if not shape.starts and shape.escape is not None and shape.length is not None:
        entry.problem("escape", '"escape" and "length" without "start"', '"start" beside them')
    if shape.restarts and not shape.starts:
        entry.problem("restart", '"restart" without "start"', '"start" beside it')
    elif shape.restarts and any(start in end for start in shape.starts for end in (*shape.ends, shape.end_until)):
        entry.problem("restart", "a start that stands in the end", "a start by which an end is no new beginning")
    length = shape.length
    least = max(map(len, shape.starts), default=0) + max(map(len, shape.ends), default=0) + shape.end_plus
    if isinstance(length, int) and length < max(least, sum(shape.strip) + 1):
        entry.problem(
            "length", str(length), f"at least {max(least, sum(shape.strip) + 1)}: start, end and strip are in it"
        )


def _check_in(entry: JsonObject, key: str, shape: Shape, checksum: Checksum) -> None:
    """Says where a checksum can't hold in frames of a shape."""
    size = size_of(checksum)
    if checksum.each is None and isinstance(shape.length, int):
        _check_places(entry, key, shape.length, checksum, size)
    if checksum.at_byte is not None or checksum.after or checksum.result is not None:
        return
    if checksum.each is not None:
        wanted = f'"at", such as {-size - len(checksum.each[1])}: else it would stand in the end of its part'
        entry.problem(key, 'a checksum of each part without "at"', wanted)
    elif shape.end_until:
        wanted = '"at" or "after": else it would stand in what ends the frame'
        entry.problem(key, 'a checksum without "at"', wanted)
    elif shape.ends and shape.end_plus < size and not shape.is_cobs:
        at = -size - max(map(len, shape.ends)) - shape.end_plus
        entry.problem(key, 'a checksum without "at"', f'"at": {at}, right before the end: else it would be the end')


def _check_places(entry: JsonObject, key: str, length: int, checksum: Checksum, size: int) -> None:
    """The same for frames of a known length."""
    first = _absolute(checksum.from_byte, length)
    at = length - size if checksum.at_byte is None else _absolute(checksum.at_byte, length)
    if checksum.result is not None:
        at, size = length, 0
    to = at if checksum.to_byte is None else _absolute(checksum.to_byte, length)
    if checksum.after or checksum.to_after:
        return
    if not 0 <= at <= length - size:
        entry.problem(key, f"a checksum of {size} bytes at byte {at}", f"a place in a frame of {length} bytes")
    elif not 0 <= first < to <= length:
        entry.problem(
            key, f"a range from byte {first} to before byte {to}", f"one that is in a frame of {length} bytes"
        )
    elif first < at + size and at < to:
        entry.problem(key, f"a range up to byte {to - 1}", f"one that leaves out byte {at}, where the checksum stands")


def _absolute(position: int, length: int) -> int:
    return position if position >= 0 else length + position


def _advise_restart(entry: JsonObject, shape: Shape) -> None:
    """A frame that has lost its end runs into the next one: only a checksum can tell, and not each of them does."""
    if "restart" in entry.values or not shape.starts or not shape.ends or shape.length is not None or shape.escape:
        return
    if set(shape.starts) & set(shape.ends):
        return
    if all(map(_is_blind_to_joins, shape.checksums)):
        why = "there is no checksum" if not shape.checksums else "this checksum also fits two frames in a row"
        entry.warning(
            "start",
            f"two frames whose end between is damaged pass for one, as {why}: if a start never stands inside a frame,"
            ' say "restart": true (else false)',
        )


def _is_blind_to_joins(checksum: Checksum) -> bool:
    """True for a CRC that comes to nothing over a frame and its own CRC."""
    crc = checksum.crc or CRCS.get(checksum.type)
    return crc is not None and not crc.init and not crc.xorout and crc.refin == crc.refout


def _check_together(objects: list[JsonObject], shapes: list[Shape]) -> None:
    """Several shapes are told apart by their starts."""
    taken: dict[bytes, int] = {}
    for place, (entry, shape) in enumerate(zip(objects, shapes, strict=True)):
        if not shape.starts:
            entry.findings.problem(
                entry.file, entry.path, "a shape without a start", '"start": several shapes are told apart by it'
            )
        elif shape.strip[0]:
            entry.problem("strip", show(list(shape.strip)), "[0, …]: the start tells which shape a frame has")
        for start in shape.starts:
            if taken.setdefault(start, place) != place:
                entry.problem("start", show(entry.values["start"]), "a start that no other shape has")
