"""The fast way through a batch: each data point taken from all frames at once. Pure.

`common.conversion.slices.rows` converts frame by frame and says what went wrong where. Nearly always nothing does;
then the same bytes come out of whole columns, in a fraction of the operations. `Columns.convert` gives None as soon as
anything is out of the ordinary, and the batch takes the other way. tests/property holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Final

from common.config.models import DataPoint
from common.conversion.printed import is_blank
from common.conversion.values import MAX_INT, MIN_INT, encode_json, parse_string, parser_of, reads_blanks
from common.core.blanks import BLANK_BYTES
from common.core.byte_text import bytes_of

Cut = Callable[[Sequence[bytes]], "list[bytes] | None"]
"""All frames to the fields of one data point; None if a frame has no such place."""
Write = Callable[[list[bytes]], "Sequence[bytes] | None"]
"""Fields to JSON values; None, or ValueError, if one is no such value."""


_UNDERSCORE: Final = ord("_")
_LONGEST_CUT_UP: Final = 16
"""Bytes of a delimiter at most of which all slices are tried: there are 136, and nearly all delimiters have 1 or 2."""
_READ: Final = (
    *("key", "type", "from_delimiter", "until_delimiter", "keep_delimiter", "from_byte", "to_byte"),
    *("decimal", "true_text", "false_text"),
)
"""The fields of a data point that the ways below know."""
_ELSEWHERE: Final = ("report_strategy",)
"""Those that say nothing about how a value is found in a frame."""
_OTHERS: Final = tuple(name for name in DataPoint.__struct_fields__ if name not in (*_READ, *_ELSEWHERE))


class Columns:
    """One device's data points, compiled. Only for devices with telemetry, and with no key twice."""

    def __init__(self, telemetry: Sequence[DataPoint], attributes: Sequence[DataPoint], delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._suspects_of = _suspecting(telemetry, attributes, delimiter)
        self._telemetry = [(_cutter_of(point), _writer_of(point)) for point in telemetry]
        self._attributes = [(_cutter_of(point), _last_writer_of(point)) for point in attributes]
        self._telemetry_form = _form_of(telemetry)
        self._attributes_form = _form_of(attributes)
        self._around = (self._telemetry_form % b"\n").split(b"\n") if len(telemetry) == 1 else []
        """What stands before and behind the value, where there is one."""

    def convert(self, frames: Sequence[bytes]) -> tuple[list[bytes], bytes] | None:
        """Takes all data points from all frames: (telemetry of each frame, the attributes of the last one or b""), JSON
        objects.

        None if a point of any frame is absent or wrong. Each frame's attributes are looked at, the last one's count.
        """
        try:
            telemetry = _columns(self._telemetry, frames)
            attributes = _columns(self._attributes, frames)
        except ValueError:
            return None
        if telemetry is None or attributes is None:
            return None
        if self._suspects_of is not None:
            suspects = self._suspects_of(telemetry, frames)
            if suspects and any(is_blank(frame, self._delimiter) for frame in suspects):
                return None
        last = self._attributes_form % tuple(column[-1] for column in attributes) if attributes else b""
        return self._written(telemetry), last

    def _written(self, telemetry: list[Sequence[bytes]]) -> list[bytes]:
        """The values of each frame as an object."""
        if not self._around:
            form = self._telemetry_form
            return [form % row for row in zip(*telemetry, strict=True)]
        # A line feed separates them: JSON writes those within texts as \\n. So it is one join and one split for all.
        head, tail = self._around
        return (head + (tail + b"\n" + head).join(telemetry[0]) + tail).split(b"\n")


def columns_of(
    telemetry: Sequence[DataPoint], attributes: Sequence[DataPoint], delimiter: bytes = b"\n"
) -> Columns | None:
    """The fast way of these data points in frames that end with the delimiter; None if there is none."""
    for points in (telemetry, attributes):
        if len({point.key for point in points}) < len(points) or any(map(_says_more, points)):
            return None
    return Columns(telemetry, attributes, delimiter) if telemetry else None


def _suspecting(
    telemetry: Sequence[DataPoint], attributes: Sequence[DataPoint], delimiter: bytes
) -> Callable[[list[Sequence[bytes]], Sequence[bytes]], Sequence[bytes]] | None:
    """The way to those frames of a batch that may say nothing, once every point has a value in each; None where no
    frame can. To be as quick as it can be: nearly always there are none."""
    points = [*telemetry, *attributes]
    texts = [point for point in points if not reads_blanks(point, delimiter)]
    if not texts or any(_tells(point, delimiter) for point in points):
        return None
    known = [(index, _texts_of_nothing(point, delimiter)) for index, point in enumerate(telemetry)]
    found = [(index, texts) for index, texts in known if texts is not None]
    if found:
        # In one column is enough: a frame that says nothing has such a text in each.
        index, nothing = min(found, key=lambda pair: len(pair[1]))

        def suspects(telemetry: list[Sequence[bytes]], frames: Sequence[bytes]) -> Sequence[bytes]:
            column = telemetry[index]
            for text in nothing:
                if text in column:
                    return [frame for frame, value in zip(frames, column, strict=True) if value in nothing]
            return ()

        return suspects
    if all(reads_blanks(point, delimiter) for point in telemetry) and all(point.type == "string" for point in texts):
        # Texts are attributes only, of which the last frame's count.
        return lambda _telemetry, frames: frames[-1:]
    return lambda _telemetry, frames: frames


def _tells(point: DataPoint, delimiter: bytes) -> bool:
    """True if a frame in which the point has a value says something, whatever the value is."""
    opening = bytes_of(point.from_delimiter).strip(BLANK_BYTES) if point.from_delimiter else b""
    if opening and opening not in delimiter:
        return True
    if point.type == "string" or reads_blanks(point, delimiter) or len(delimiter) > _LONGEST_CUT_UP:
        return False
    # Only slices of the delimiter could be a value, with blanks around them, which no parser sees.
    return not any(_can_be_read(point, piece) for piece in _slices(delimiter))


def _can_be_read(point: DataPoint, field: bytes) -> bool:
    try:
        parser_of(point)[0](field)
    except ValueError:
        return False
    return True


def _texts_of_nothing(point: DataPoint, delimiter: bytes) -> tuple[bytes, ...] | None:
    """The values of a text in frames that say nothing: the empty text, and what is made of the delimiter; None for
    other points, and where they would be too many."""
    places = (point.from_delimiter, point.until_delimiter, point.from_byte, point.to_byte)
    is_whole = all(place in (None, "") for place in places)
    if point.type != "string" or (len(delimiter) > _LONGEST_CUT_UP and not is_whole):
        return None
    values = set()
    for piece in (b"", delimiter) if is_whole else _slices(delimiter):
        for field in (piece, b"\0" + piece):
            with suppress(UnicodeDecodeError):
                values.add(encode_json(parse_string(field)))
    return tuple(values)


def _slices(data: bytes) -> Iterator[bytes]:
    """All that can be cut out of bytes, nothing at all among it."""
    yield b""
    for start in range(len(data)):
        for end in range(start + 1, len(data) + 1):
            yield data[start:end]


def _says_more(point: DataPoint) -> bool:
    """True if a data point says something that is not looked at here: then frames are converted one by one, which is
    slower and never wrong."""
    return any(getattr(point, name) for name in _OTHERS)


def _columns(points: Sequence[tuple[Cut, Write]], frames: Sequence[bytes]) -> list[Sequence[bytes]] | None:
    """The values of each data point, column by column; None as soon as one of them has a place that a frame lacks."""
    columns = []
    for cut, write in points:
        fields = cut(frames)
        values = None if fields is None else write(fields)
        if values is None:
            return None
        columns.append(values)
    return columns


def _form_of(points: Sequence[DataPoint]) -> bytes:
    """The JSON object with a place for each value."""
    return b"{%b}" % b",".join([encode_json(point.key).replace(b"%", b"%%") + b":%b" for point in points])


def _cutter_of(point: DataPoint) -> Cut:
    """The way to a data point's fields in all frames at once; the same places as `points` finds in one."""
    if point.from_delimiter:
        until = bytes_of(point.until_delimiter) if point.until_delimiter else b""
        return _after(bytes_of(point.from_delimiter), until, keep=point.keep_delimiter)
    if point.until_delimiter:
        closing = bytes_of(point.until_delimiter)
        return lambda frames: [frame.partition(closing)[0] for frame in frames]
    if point.from_byte is not None or point.to_byte is not None:
        return _slice(point.from_byte, point.to_byte)
    return list


def _after(opening: bytes, closing: bytes, *, keep: bool) -> Cut:
    """Fields behind a delimiter. `partition` says in one call whether it is there, and what follows."""

    def cut(frames: Sequence[bytes]) -> list[bytes] | None:
        pieces = [frame.partition(opening) for frame in frames]
        if not all(map(itemgetter(1), pieces)):
            return None
        fields = list(map(itemgetter(2), pieces))
        if closing:
            fields = [field.partition(closing)[0] for field in fields]
        return [opening + field for field in fields] if keep else fields

    return cut


def _slice(first: int | None, last: int | None) -> Cut:
    """Fields by position; frames that are shorter than `least` have no such place."""
    take = itemgetter(slice(first, last))
    least = 0 if first is None else first + 1 if first >= 0 else -first

    def cut(frames: Sequence[bytes]) -> list[bytes] | None:
        return list(map(take, frames)) if min(map(len, frames)) >= least else None

    return cut


def _writer_of(point: DataPoint) -> Write:
    """The way from fields to JSON values. Numbers and texts, which nearly all values are, have ways of their own."""
    if point.type in _NUMBERS and not point.decimal:
        return _NUMBERS[point.type]
    if point.type == "string":
        return _write_texts
    parse = parser_of(point)[0]

    def write(fields: list[bytes]) -> list[bytes] | None:
        values = list(map(parse, fields))
        return None if None in values else list(map(encode_json, values))

    return write


def _write_texts(fields: list[bytes]) -> list[bytes]:
    # A number is looked for at once, bytes would be tried as a number first.
    if 0 in b"".join(fields):
        return list(map(encode_json, map(parse_string, fields)))
    return list(map(encode_json, map(str.strip, map(bytes.decode, fields))))


def _write_floats(fields: list[bytes]) -> list[bytes] | None:
    if _holds_underscores(fields):
        return None
    # One call for the whole column: numbers hold no comma. What is not finite is written as null.
    values: list[bytes] = encode_json(list(map(float, fields)))[1:-1].split(b",")
    return None if b"null" in values else values


def _holds_underscores(fields: list[bytes]) -> bool:
    """True if Python might take for one number what a device means as two."""
    return _UNDERSCORE in b"".join(fields)


def _write_ints(fields: list[bytes]) -> list[bytes] | None:
    """Whole numbers of at most 64 bits, as one JSON list taken apart at its commas."""
    if _holds_underscores(fields):
        return None
    numbers = list(map(int, fields))
    if min(numbers) < MIN_INT or max(numbers) > MAX_INT:
        return None
    return encode_json(numbers)[1:-1].split(b",")


def _last_writer_of(point: DataPoint) -> Write:
    """The writer of an attribute, of which only the last value is wanted; all of them are looked at."""
    return _write_last_text if point.type == "string" else _writer_of(point)


def _write_last_text(fields: list[bytes]) -> list[bytes]:
    # What is no UTF-8 in one of them can't become it at a line's end.
    b"\n".join(fields).decode()
    return [encode_json(parse_string(fields[-1]))]


_NUMBERS: Final[dict[str, Write]] = {"float": _write_floats, "double": _write_floats, "int": _write_ints}
