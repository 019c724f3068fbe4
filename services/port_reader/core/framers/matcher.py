"""Whether a frame of one shape begins at a place, and where it ends. Pure.

A verdict never depends on more bytes than it waited for: what is said of a place stays true, however the rest comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from common.core.checksum import Check, faults_of
from common.core.frame_shape import Field, Length, Shape
from services.port_reader.core.framers.cobs import decode_cobs
from services.port_reader.core.framers.escapes import Unescaper

WAIT: Final = 0
"""More bytes are needed: so many as `needs` says."""
FALSE: Final = -1
"""No frame begins here."""
BAD: Final = -2
"""All is in its place up to `bad_end`, but the frame is wrong: `fault` says what."""
EMPTY: Final = -3
"""Nothing between two ends. Where the end is the start as well only the first is to be passed over, else all up to
`bad_end`."""

_NUMBER_SIZES: Final = {"uint8": 1, "uint16": 2, "uint24": 3, "uint32": 4}


class Matcher:
    """One shape, made ready to judge places. It remembers how far it has looked for an end, so places must rise."""

    def __init__(self, shape: Shape, max_frame_bytes: int) -> None:
        """A frame of more than `max_frame_bytes` bytes on the line is none."""
        self.offset = 0
        """The place in the stream of the first byte of `data`: whoever shortens `data` adds to it."""
        self.needs = 0
        """With WAIT: so many bytes `data` must have before the same place is judged again."""
        self.missing_bytes: int | None = None
        """With WAIT: how many bytes the frame still needs; None if nobody knows."""
        self.bad_end = 0
        """With BAD, and with FALSE where `wasted_bytes` has risen: where the candidate ends."""
        self.wasted_bytes = 0
        """So many bytes of candidates were looked at that were none; whoever counts them sets it to 0."""
        self.fault = ""
        self.frame = b""
        """What the verdict is of, where it is a frame or BAD: unescaped and stripped in the first case."""
        self.starts = shape.starts
        self.is_checked = bool(shape.checksums)
        self.checksums = shape.checksums
        self._max = max_frame_bytes
        self._checks = [Check(checksum) for checksum in shape.checksums]
        self._is_right = _all_right(self._checks)
        self._start_size = len(shape.starts[0]) if shape.starts else 0
        self.ends = shape.ends
        self._end_pattern = _pattern_of(shape.ends)
        self._plus, self._until = shape.end_plus, shape.end_until
        self._is_flag = bool(set(shape.starts) & set(shape.ends))
        self.shared_bytes = self._start_size if self._is_flag and (shape.checksums or shape.length is not None) else 0
        """So many bytes of a frame's end may begin the next frame, too."""
        self._unescaper = None if shape.escape is None else Unescaper(shape.escape)
        self._is_cobs = shape.is_cobs
        self._strip = slice(shape.strip[0], -shape.strip[1] or None) if any(shape.strip) else None
        self._restarts = shape.restarts
        self._length = shape.length
        self._fields = _field_readers(shape.length) if isinstance(shape.length, Length) else ()
        self._header_check = None
        self._header_bytes = 0
        if isinstance(shape.length, Length):
            self._header_bytes = max(field.at + field_size(field) for field in shape.length.fields)
            if shape.length.header_checksum is not None:
                self._header_check = Check(shape.length.header_checksum)
                self._header_bytes = max(self._header_bytes, header_bytes(shape.length))
        self._end_at = self._end_to = self._looked_to = -1
        """Places in the stream: where the next end begins, where it ends with all that follows it (-1: not known),
        and before which no end begins."""
        self.end_bytes = max(map(len, shape.ends), default=0) + shape.end_plus
        self.judge = self._judge_choice(shape)
        """What begins at `place` of `data`: the end of a frame (above 0), or WAIT, FALSE, BAD or EMPTY."""

    def _judge_choice(self, shape: Shape) -> Callable[[bytes | bytearray, int], int]:
        if shape.code == "modbus-rtu":
            return self._judge_modbus
        if shape.code == "sml":
            return self._judge_sml
        is_plain = self._unescaper is None and not self._restarts
        if isinstance(shape.length, int) and is_plain:
            return self._judge_fixed
        return self._judge_ended if shape.length is None else self._judge_counted

    def line_end(self, data: bytes | bytearray, place: int) -> int:
        """Where the line in progress at `place` ends, for a shape without a start; -1 if that has not come."""
        return self._end_to - self.offset if self._find_end(data, place) else -1

    def start_bytes(self, data: bytes | bytearray, place: int) -> int:
        """How long the start at this place is."""
        if len(self.starts) < 2:
            return self._start_size
        return max((len(start) for start in self.starts if data.startswith(start, place)), default=0)

    # Shapes with a length

    def _judge_fixed(self, data: bytes | bytearray, place: int) -> int:
        """Always the same length, and nothing escaped."""
        end = place + self._length  # type: ignore[operator]
        if end > len(data):
            self.needs, self.missing_bytes = end, end - len(data)
            return WAIT
        ends = self.ends
        if ends and not self._ends_at(data, end):
            return FALSE
        frame = self.frame = bytes(data[place:end])
        if self._is_right(frame):
            if self._strip is not None:
                self.frame = frame[self._strip]
            return end
        return self._bad(end, is_in_place=bool(ends))

    def _judge_counted(self, data: bytes | bytearray, place: int) -> int:
        """The length stands in the frame, or escapes make it longer, or a start inside it begins it anew."""
        verdict = self._judge_length(data, place)
        if self._restarts and verdict != FALSE:
            end = verdict if verdict > 0 else self.bad_end if verdict == BAD else len(data)
            if self._is_begun_anew(data, place, end):
                return FALSE
            # With each byte it may turn out that it begins anew.
            self.needs = min(self.needs, len(data) + 1)
        return verdict

    def _judge_length(self, data: bytes | bytearray, place: int) -> int:
        length = self._length
        if self._is_flag and data.startswith(self.ends, place + self._start_size):
            return EMPTY
        if not isinstance(length, int):
            header = self._take(data, place, self._header_bytes)
            if header is None:
                return WAIT
            length = self._read_length(header)
            if length is None or length < self._header_bytes:
                return FALSE
        if length > self._max:
            return FALSE
        return self._judge_sized(data, place, length)

    def _judge_sized(self, data: bytes | bytearray, place: int, length: int) -> int:
        """A frame of `length` bytes, escapes undone."""
        if self._unescaper is None:
            end = place + length
            if end > len(data):
                self.needs, self.missing_bytes = end, end - len(data)
                return WAIT
            if self.ends and not self._ends_at(data, end):
                return FALSE
            frame = bytes(data[place:end])
        else:
            tail = self._plus + len(self.ends[0]) if self.ends else 0
            whole = self._take(data, place, length - tail)
            if whole is None:
                return WAIT
            end = self._taken_to + tail
            if end > len(data):
                self.needs, self.missing_bytes = end, end - len(data)
                return WAIT
            if tail and not self._ends_at(data, end):
                return FALSE
            frame = whole + bytes(data[self._taken_to : end])
        self.frame = frame
        if self._is_right(frame):
            if self._strip is not None:
                self.frame = frame[self._strip]
            return end
        return self._bad(end, is_in_place=bool(self.ends) or self._unescaper is not None)

    def _take(self, data: bytes | bytearray, place: int, count: int) -> bytes | None:
        """The first `count` bytes of the frame, escapes undone; None to wait for more, or where they can't be undone,
        which is waited for for ever, or until something else ends it. `_taken_to` is the place behind them."""
        start = self.start_bytes(data, place)
        if self._unescaper is None or count <= start:
            end = place + count
            if end > len(data):
                self.needs, self.missing_bytes = end, None
                return None
            self._taken_to = end
            return bytes(data[place:end])
        first = place + start
        end = self._unescaper.end_of(data, first, count - start)
        if end > len(data):
            self.needs, self.missing_bytes = end, end - len(data)
            return None
        self._taken_to = end
        content, _ = self._unescaper.undo(bytes(data[first:end]))
        return bytes(data[place:first]) + content

    _taken_to = 0

    def _read_length(self, header: bytes) -> int | None:
        """What the header says; None if it is none."""
        length = self._length
        if not isinstance(length, Length):
            raise TypeError("a shape without a length field")
        if self._header_check is not None and not self._header_check.is_right(header):
            return None
        total = length.plus
        for read in self._fields:
            value = read(header)
            if value is None:
                return None
            total += value
        return total

    def _ends_at(self, data: bytes | bytearray, end: int) -> bool:
        """True if one of the ends stands right before `end`, but for what follows it."""
        last = end - self._plus
        return any(data.startswith(one, last - len(one)) for one in self.ends)

    # Shapes with an end

    def _judge_ended(self, data: bytes | bytearray, place: int) -> int:
        """Only its end says how long it is."""
        size = len(data)
        first = place + self.start_bytes(data, place)
        is_known = self._find_end(data, first)
        end = self._end_to - self.offset if is_known else size
        if self._restarts:
            limit = self._end_at - self.offset + self._end_size - 1 if self._end_at >= 0 and not self._until else end
            if self._is_begun_anew(data, place, min(limit, size)):
                return FALSE
        if not is_known:
            self.needs, self.missing_bytes = size + 1, None
            return FALSE if size - place >= self._max else WAIT
        if end - place > self._max:
            return FALSE
        at = self._end_at - self.offset
        if at == first and (self._is_flag or not self.starts):
            self.bad_end = end
            return EMPTY
        return self._judge_content(data, place, first, at, end)

    def _judge_content(self, data: bytes | bytearray, place: int, first: int, at: int, end: int) -> int:
        """All of it is there: the start up to `first`, what stands between, and the end from `at` to `end`."""
        if self._is_cobs:
            decoded = decode_cobs(bytes(data[first:at]))
            if decoded is None:
                self.frame = bytes(data[place:end])
                return self._bad_because("these bytes are no COBS", end)
            frame = decoded
        elif self._unescaper is None:
            frame = bytes(data[place:end])
        else:
            content, fault = self._unescaper.undo(bytes(data[first:at]))
            if fault:
                self.frame = bytes(data[place:end])
                return self._bad_because(fault, end)
            frame = bytes(data[place:first]) + content + bytes(data[at:end])
        self.frame = frame
        if self._is_right(frame):
            if self._strip is not None:
                self.frame = frame[self._strip]
            return end
        return self._bad(end)

    def _find_end(self, data: bytes | bytearray, first: int) -> bool:
        """Finds the first end that begins at `first` or behind it; True if all of it is there."""
        offset = self.offset
        is_double = self._unescaper is not None and self._unescaper.is_double
        if is_double or self._end_at - offset < first:
            self._end_at = self._end_to = -1
            start = max(first, self._looked_to - offset)
            if is_double and self._unescaper is not None:
                # Which byte of a run is an escape shows only from the frame's start.
                at, size = self._unescaper.find_end(data, first, self.ends)
            elif self._end_pattern is not None:
                found = self._end_pattern.search(data, start)
                at, size = (found.start(), found.end() - found.start()) if found else (-1, 0)
                if found and found.lastgroup == "part":
                    self._looked_to, at = offset + at, -1
                elif not found:
                    self._looked_to = offset + len(data)
            else:
                end = self.ends[0]
                at, size = data.find(end, start), len(end)
                if at < 0:
                    self._looked_to = offset + max(len(data) - size + 1, start)
            if at < 0:
                return False
            self._end_at, self._end_size = offset + at, size
        if self._end_to < 0:
            behind = self._end_at - offset + self._end_size
            if self._until:
                found_at = data.find(self._until, behind)
                if found_at < 0:
                    return False
                self._end_to = offset + found_at + len(self._until)
            elif behind + self._plus > len(data):
                return False
            else:
                self._end_to = offset + behind + self._plus
        return True

    _end_size = 0

    def _is_begun_anew(self, data: bytes | bytearray, place: int, limit: int) -> bool:
        """True if another start stands behind `place`, all of it before `limit`: no frame begins here then."""
        return any(data.find(start, place + 1, limit) >= 0 for start in self.starts)

    # Shapes that no table describes

    def _judge_modbus(self, data: bytes | bytearray, place: int) -> int:
        """An answer of Modbus RTU: its function says how long it is (Modbus application protocol 1.1b3)."""
        if place + 3 > len(data):
            self.needs, self.missing_bytes = place + 3, None
            return FALSE if data[place] == 0 else WAIT
        function, third = data[place + 1], data[place + 2]
        if data[place] == 0:
            return FALSE
        if function & 0x80:
            length = 5
        elif function in _COUNTED or 0x41 <= function <= 0x48 or 0x64 <= function <= 0x6E:
            length = 5 + third
        elif function == 0x18:
            if place + 4 > len(data):
                self.needs, self.missing_bytes = place + 4, None
                return WAIT
            length = 6 + (third << 8) + data[place + 3]
        else:
            length = _FIXED.get(function, 0)
            if not length:
                return FALSE
        if length > min(self._max, _MODBUS_BYTES):
            return FALSE
        return self._judge_sized(data, place, length)

    def _judge_sml(self, data: bytes | bytearray, place: int) -> int:
        """A file of SML, transport version 1: 1B four times is an escape, and means itself if it comes twice."""
        at = max(place + 8, self._looked_to - self.offset if self._end_at == place + self.offset else 0)
        # Here `_end_at` remembers of which place it was looked for.
        self._end_at = place + self.offset
        while True:
            at = data.find(_SML_ESCAPE, at)
            if at < 0:
                self._looked_to = self.offset + max(len(data) - 3, place + 8)
                self.needs, self.missing_bytes = len(data) + 1, None
                return FALSE if len(data) - place >= self._max else WAIT
            if at + 8 > len(data):
                self._looked_to = self.offset + at
                self.needs, self.missing_bytes = at + 8, at + 8 - len(data)
                return WAIT
            if data.startswith(_SML_ESCAPE, at + 4):
                at += 8
                continue
            if data[at + 4] == 0x1A:
                break
            if data[at + 4] != 0x1B:
                return FALSE
            # The file's last bytes before the escape look like one.
            at += 1
        end = at + 8
        if end - place > self._max:
            return FALSE
        self.frame = bytes(data[place:end])
        return end if self._is_right(self.frame) else self._bad(end)

    # Verdicts

    def _bad(self, end: int, *, is_in_place: bool = True) -> int:
        """A checksum is wrong. Without an end in its place the candidate is no more than a start that was none."""
        self.fault, self.bad_end = "", end
        self.wasted_bytes += len(self.frame)
        return BAD if is_in_place else FALSE

    def _bad_because(self, fault: str, end: int) -> int:
        self.fault, self.bad_end = fault, end
        self.wasted_bytes += len(self.frame)
        return BAD

    def explain(self, frame: bytes, fault: str) -> str:
        """What is wrong with a candidate that was BAD, for a person."""
        return fault or f"checksum: {faults_of(self._checks, frame)}"


_COUNTED: Final = frozenset((0x01, 0x02, 0x03, 0x04, 0x0C, 0x11, 0x14, 0x15, 0x17))
"""Functions whose answer says in its third byte how many follow."""
_FIXED: Final = {0x05: 8, 0x06: 8, 0x07: 5, 0x08: 8, 0x0B: 8, 0x0F: 8, 0x10: 8, 0x16: 10}
"""Function → bytes of its answer."""
_MODBUS_BYTES: Final = 256
"""The longest frame of Modbus RTU."""
_SML_ESCAPE: Final = b"\x1b\x1b\x1b\x1b"


def _all_right(checks: list[Check]) -> Callable[[bytes], bool]:
    if len(checks) == 1:
        return checks[0].is_right
    judges = [check.is_right for check in checks]
    return lambda frame: all(judge(frame) for judge in judges)


def _pattern_of(ends: tuple[bytes, ...]) -> re.Pattern[bytes] | None:
    """What finds the first of several ends, or at the end of the data what may become one (the group `part`); None for
    one end, which needs no pattern."""
    return pattern_of_texts(ends) if len(ends) > 1 else None


def pattern_of_texts(texts: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """What finds the first of several texts, the longest where two begin at one place, or at the end of the data what
    may become one: then the group `part` has matched."""
    by_size = sorted(set(texts), key=len, reverse=True)
    whole = b"|".join(re.escape(text) for text in by_size)
    heads = {text[:size] for text in by_size for size in range(1, len(text))}
    if not heads:
        return re.compile(whole, re.DOTALL)
    # A part of a longer text goes before a shorter one that is whole: which of them it is shows with the next byte.
    part = b"|".join(re.escape(head) for head in sorted(heads, key=len, reverse=True))
    return re.compile(b"(?P<part>(?:" + part + rb")\Z)|(?P<whole>" + whole + b")", re.DOTALL)


def field_size(field: Field) -> int:
    """How many bytes a field takes."""
    return _NUMBER_SIZES.get(field.type) or int(field.type[3:])


def header_bytes(length: Length) -> int:
    """How many bytes of a frame must be there before its header's checksum can be judged."""
    checksum = length.header_checksum
    if checksum is None or checksum.at_byte is None:
        return 0
    from common.core.checksum import size_of

    return checksum.at_byte + size_of(checksum)


def _field_readers(length: Length) -> tuple[Callable[[bytes], int | None], ...]:
    return tuple(_field_reader(field) for field in length.fields)


def _field_reader(field: Field) -> Callable[[bytes], int | None]:
    """What reads a field's share of a length; None for digits that are none."""
    at, times, mask, order = field.at, field.times, field.mask, field.byteorder
    end = at + field_size(field)
    if field.type.startswith(("dec", "hex")):
        base = 10 if field.type.startswith("dec") else 16
        digits = re.compile(rb"[0-9]+" if base == 10 else rb"[0-9A-Fa-f]+")

        def read_digits(header: bytes) -> int | None:
            text = header[at:end]
            return int(text, base) * times if digits.fullmatch(text) else None

        return read_digits
    if mask is None:
        return lambda header: int.from_bytes(header[at:end], order) * times
    bits = mask
    return lambda header: (int.from_bytes(header[at:end], order) & bits) * times
