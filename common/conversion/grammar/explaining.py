"""What data points with a place find in one frame, and which bytes they took, for a person. Pure.

What makes values (`locators`) knows bytes, and not always where they stood: it has no time for that. Here it is looked
for once more, by the same rules. A value that stands in no one place (of JSON, a constant) has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from common.config.models import DataPoint, Message
from common.config.point_models import Place
from common.conversion.grammar import mbus, obis, sml
from common.conversion.grammar.binary import length_at
from common.conversion.grammar.patterns import compiled
from common.conversion.grammar.patterns_of_bytes import compile_bytes, searcher
from common.conversion.grammar.views import View
from common.conversion.outcomes import ABSENT, NOTHING, Kind, PointResult
from common.conversion.spans import Span, locator_of

Ready = tuple[str, Callable[[View], Any], DataPoint]
"""A point that is ready for frames: its key, the way to its value, and what the configuration says of it."""

_NATIVE: Final = ("path", "mbus", "value")
"""Places whose values come with a type of their own."""
_WORD: Final = re.compile(rb"\S+")
"""What stands between blanks, as `bytes.split` has it."""


class Taken(NamedTuple):
    """Bytes and their place, [start, end): in the frame, or in what it was decoded to, whose places `at` counts."""

    span: Span
    field: bytes


def explained(readings: Sequence[Ready], kind: Kind, view: View, message: Message | None = None) -> list[PointResult]:
    """What each point finds in a view that was taken apart by this message, in order."""
    return [_explained(reading, kind, view, message) for reading in readings]


def _explained(reading: Ready, kind: Kind, view: View, message: Message | None) -> PointResult:
    key, take, source = reading
    span, field = _taken(source, view, message) or (None, b"")
    try:
        value = take(view)
    except ValueError as error:
        return PointResult(key, kind, _type_of(source), "error", span, field, None, str(error))
    if value is ABSENT or value is NOTHING:
        status: Literal["absent", "none"] = "absent" if value is ABSENT else "none"
        return PointResult(key, kind, _type_of(source), status, span, field, None, str(value.value))
    return PointResult(key, kind, _type_of(source), "value", span, field, value, "")


def _taken(point: DataPoint, view: View, message: Message | None) -> Taken | None:
    try:
        return taken_by(point, view, message)
    except ValueError:
        # What is wrong is said where the value is made.
        return None


def _type_of(point: DataPoint) -> str:
    if point.type or point.place is None:
        return point.type or "string"
    if point.place.by in _NATIVE:
        return "as it is"
    return "hex" if point.place.by == "at" else "string"


def taken_by(point: DataPoint, view: View, message: Message | None) -> Taken | None:
    """What the point took of a view that was taken apart by this message; None where it took nothing, or what stands in
    no one place. Raises ValueError where the view can't be taken apart as the point wants it."""
    place = point.place
    if place is None or place.by == "slice":
        return _in(view.data, _slice(point, view))
    match place.by:
        case "at":
            return _in(view.data, _at(point, place, view))
        case "field":
            return _fields(place, view, message)
        case "name":
            return None if message is None else _named(message, view).get(place.text)
        case "regex":
            found = searcher(place.text)(view.frame)
            return None if found is None else _in(view.frame, found.span(1 if found.re.groups else 0))
        case "obis":
            code = obis.code_of(place.text)
            found_at = sml.place_of(view.frame, code) if view.is_sml else obis.place_of(view.frame, code, place.group)
            return _in(view.frame, found_at)
        case "mbus":
            wanted = mbus.wanted_of(place.text)
            record = next((one for one in view.records() if wanted.is_in(one)), None)
            return None if record is None else _in(view.frame, record.span)
    return None


def _in(data: bytes, span: Span | None) -> Taken | None:
    return None if span is None or span[0] < 0 else Taken(span, data[span[0] : span[1]])


def _slice(point: DataPoint, view: View) -> Span | None:
    if point.from_delimiter or point.until_delimiter or point.from_byte is not None or point.to_byte is not None:
        return locator_of(point)(view.data)
    return view.span


def _at(point: DataPoint, place: Place, view: View) -> Span | None:
    size = length_at(point, place)
    start = place.at if place.at >= 0 else len(view.data) + place.at
    end = view.span[1] if size is None else start + size
    return (start, end) if 0 <= start <= end <= len(view.data) else None


def _fields(place: Place, view: View, message: Message | None) -> Taken | None:
    """One field, or several: all from the first of them to the last."""
    if message is None or not message.fields:
        return None
    spans = list(_spans_between(view.body, message.fields))
    if any(not -len(spans) <= number < len(spans) for number in place.fields):
        return None
    chosen = [spans[number] for number in place.fields]
    base = view.span[0]
    hull = min(start for start, _ in chosen) + base, max(end for _, end in chosen) + base
    return _in(view.data, hull)


def _spans_between(body: bytes, separator: bytes) -> Iterator[Span]:
    if separator == b" ":
        yield from (found.span() for found in _WORD.finditer(body))
        return
    start = 0
    for piece in body.split(separator):
        yield start, start + len(piece)
        start += len(piece) + len(separator)


def _named(message: Message, view: View) -> dict[str, Taken]:
    """Each name that the message finds, and its value; later ones over earlier, as in a view."""
    found: dict[str, Taken] = {}
    base = view.span[0]
    if message.pairs is not None:
        between, assign = message.pairs
        for start, end in _spans_between(view.body, between):
            name, is_there, value = view.body[start:end].partition(assign)
            if is_there:
                found[name.strip().decode("utf-8", "replace")] = Taken((base + end - len(value), base + end), value)
    if message.pattern and (match := compiled(message.pattern).match(view.body)):
        found.update(_groups(match, base))
    if message.regex and (match := compile_bytes(message.regex).search(view.frame)):
        found.update(_groups(match, 0))
    return found


def _groups(match: re.Match[bytes], base: int) -> dict[str, Taken]:
    return {
        name: Taken((base + match.start(name), base + match.end(name)), value)
        for name, value in match.groupdict().items()
        if value is not None
    }
