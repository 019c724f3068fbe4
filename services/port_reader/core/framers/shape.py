"""Frames that are known by their shape: start, end, length, escape, checksum. Pure.

The nearest start begins a candidate. One that turns out to be none costs its first byte, and the search goes on in what
is there already: so a start in the middle of noise, or of a frame that was joined late, never hides the frame behind
it. A shape without a start is looked for at each byte; one with nothing but an end takes all up to that end, right or
wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from common.core.frame_shape import Checksum, Shape
from services.port_reader.core.framers.base import FAULTY_BYTES, FAULTY_FRAMES, DeadPiece
from services.port_reader.core.framers.matcher import BAD, EMPTY, FALSE, WAIT, Matcher, pattern_of_texts

NO_FRAME: Final = "no frame in these bytes"
FREE_WORK_BYTES: Final = 1024 * 1024
"""So many bytes of candidates that were none are looked at in any case."""
WORK_A_BYTE: Final = 256
"""So many more for each byte of the line since the last frame: a line of nothing but starts may ask for each of its
bytes to be looked at as often as a frame is long."""


class ShapeFramer:
    """Cuts chunks into frames of one or more shapes; how the chunks were cut never changes the result.

    At most twice `max_frame_bytes` are held: bytes that are no frame yet, and a candidate behind them. A candidate that
    was whole and wrong comes out as one dead piece with its reason, unless a frame begins inside it; what stands
    between frames and candidates comes out as a piece for each run, at most `max_frame_bytes` long.
    """

    def __init__(self, shapes: Sequence[Shape], max_frame_bytes: int, skip: bytes = b"", mask: int = 0xFF) -> None:
        """Several shapes all have starts. `skip`: byte values that mean nothing between frames; `mask`: what of each
        byte counts."""
        self.late_ends: list[int] = []
        """The places in the stream where the first frames of the last `feed` end, if they were there before it."""
        self.fed_bytes = 0
        """The place in the stream behind the last byte that came."""
        self._matchers = [Matcher(shape, max_frame_bytes) for shape in shapes]
        self._max = max_frame_bytes
        self._skip = skip
        self._mask_table = None if mask == 0xFF else bytes(byte & mask for byte in range(256))
        first = shapes[0]
        self._is_lines = not first.starts and not first.code and first.length is None
        self.is_sure = all(shape.checksums for shape in shapes)
        """True if each frame shows by its checksum that it is whole."""
        self._single = self._matchers[0] if len(shapes) == 1 and len(first.starts) < 2 else None
        self._start_bytes = len(first.starts[0]) if first.starts else 0
        starts = [(start, matcher) for matcher in self._matchers for start in matcher.starts]
        self._by_start = sorted(starts, key=lambda pair: -len(pair[0]))
        self._find = self._finder()
        self._data = bytearray()
        self._offset = 0
        """The place in the stream of the first byte of `_data`."""
        self._run = 0
        """Bytes of `_data` before this one are told already."""
        self._at = 0
        """The search goes on here."""
        self._needs = 0
        """So many bytes `_data` must have before there is anything to be found out; 0: as soon as one comes."""
        self._candidate: Matcher | None = None
        """What waits for the rest of a frame that begins at `_at`."""
        self._suspect: tuple[int, str] | None = None
        """A candidate that was whole and wrong, and begins where `_run` is: where it ends, and what was wrong."""
        self._reason = ""
        """Why bytes may be missing; "" if none may."""
        self._rest_reason = ""
        """Why nothing more comes, where it is not silence."""
        self._is_dead_line = False
        """True while all up to the next end is dead."""
        self._work = self._work_from = 0
        """How many bytes of candidates were looked at that were none, since the last frame, and from where on."""
        self._faulty: tuple[Matcher, bytes, str] | None = None
        """The last candidate that was whole and wrong."""
        self.wrong_frames = 0
        """How many candidates were whole, and had a wrong checksum; those that begin in another one are not counted."""
        self._faulties: list[bytes] = []
        self._faulty_to = 0
        """The place in the stream where the last of these ends: what begins in it is no frame of its own."""
        self._dead: list[DeadPiece] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that this chunk completes; `late_ends` says which of them were there already."""
        if self._mask_table is not None:
            chunk = chunk.translate(self._mask_table)
        self.fed_bytes += len(chunk)
        if self.late_ends:
            self.late_ends = []
        data = self._data
        if not data:
            return self._scan(chunk, 0)
        before = len(data)
        data += chunk
        if len(data) < self._needs:
            return []
        return self._scan(data, before)

    def pass_over(self) -> list[bytes]:
        """The candidate in progress is none: its rest did not come in time. The frames that stand in what is there;
        those that are whole count as late."""
        self.late_ends = []
        if self._candidate is None:
            return []
        self._candidate = None
        if self._is_lines:
            self._end_line()
            return []
        self._at += 1
        return self._scan(self._data, len(self._data))

    def rest(self, reason: str = "") -> list[bytes]:
        """Silence: no candidate will be completed. The frames that stand in what is there; all else is dead."""
        self._rest_reason = reason
        frames, ends = [], []
        while self._candidate is not None:
            frames += self.pass_over()
            ends += self.late_ends
        self.late_ends = ends
        self._dispose(self._data, len(self._data))
        self._keep(self._data, len(self._data))
        self._reason, self._is_dead_line, self._rest_reason = "", False, ""
        return frames

    def interrupt(self, reason: str) -> None:
        """Bytes may be missing here. What has a checksum shows by that whether it is whole; of other shapes the frame
        in progress is dead, and so is the next one where none is."""
        self._reason = reason
        if self._is_lines:
            self._is_dead_line = True

    def take_dead(self) -> list[DeadPiece]:
        """What could be no frame since the last call."""
        if not self._dead:
            return []
        dead, self._dead = self._dead, []
        return dead

    @property
    def last_fault(self) -> str:
        """What was wrong with the last candidate that was whole; "" while none was."""
        if self._faulty is None:
            return ""
        matcher, frame, fault = self._faulty
        return matcher.explain(frame, fault)

    @property
    def faulty(self) -> tuple[tuple[Checksum, ...], list[bytes]]:
        """(what was to be right, the newest frames that had it wrong)."""
        return (self._faulty[0].checksums if self._faulty is not None else ()), [*self._faulties]

    @property
    def partial(self) -> bytes:
        """What waits: bytes that are no frame so far, and a candidate."""
        return bytes(self._data[self._run :])

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait."""
        return len(self._data) - self._run

    @property
    def candidate_bytes(self) -> int:
        """How many bytes of a candidate have come."""
        return len(self._data) - self._at if self._candidate is not None else 0

    @property
    def missing_bytes(self) -> int | None:
        """How many more bytes the candidate needs; None where nobody knows."""
        return None if self._candidate is None else self._candidate.missing_bytes

    @property
    def is_mid_frame(self) -> bool:
        """True in the middle of a frame whose rest might be taken for a whole one: what has a checksum is not."""
        return not self.is_sure and (self._candidate is not None or self._is_dead_line)

    @property
    def is_dead_run(self) -> bool:
        """True if what waits begins no frame."""
        return self._candidate is None or self._is_dead_line

    @property
    def is_interrupted(self) -> bool:
        """True if bytes may be missing in the frame in progress, or in the next one."""
        return bool(self._reason) or self._is_dead_line

    # The search

    def _finder(self) -> Callable[[bytes | bytearray, int], int]:
        """What finds the nearest place at which a frame may begin: the end of the data if none does."""
        if not self._by_start:
            return lambda data, at: at
        texts = tuple(dict.fromkeys(start for start, _ in self._by_start))
        if len(texts) == 1:
            start = texts[0]
            if len(start) == 1:

                def find_byte(data: bytes | bytearray, at: int) -> int:
                    place = data.find(start, at)
                    return len(data) if place < 0 else place

                return find_byte

            def find_text(data: bytes | bytearray, at: int) -> int:
                place = data.find(start, at)
                if place >= 0:
                    return place
                size = len(data)
                for place in range(max(at, size - len(start) + 1), size):
                    if start.startswith(bytes(data[place:])):
                        return place
                return size

            return find_text
        pattern: re.Pattern[bytes] = pattern_of_texts(texts)

        def find_any(data: bytes | bytearray, at: int) -> int:
            found = pattern.search(data, at)
            return found.start() if found else len(data)

        return find_any

    def _scan(self, data: bytes | bytearray, before: int) -> list[bytes]:
        """The frames in `data` from where the search stands; `before`: so many of its bytes had come earlier."""
        frames: list[bytes] = []
        at, size, single, find = self._at, len(data), self._single, self._find
        for one in self._matchers:
            one.offset = self._offset
        self._candidate, self._needs = None, 0
        while True:
            at = find(data, at)
            if self._suspect is not None and at >= self._suspect[0]:
                self._dispose(data, self._suspect[0])
            if at >= size or (self._is_dead_line and (at := self._pass_line(data, at)) >= size):
                break
            if single is None:
                verdict, matcher = self._judge_any(data, at)
            elif at + self._start_bytes > size:
                verdict, matcher = WAIT, None
            else:
                verdict, matcher = single.judge(data, at), single
            if matcher is None:
                break
            if verdict > 0:
                if at > self._run or self._suspect is not None:
                    self._dispose(data, at)
                    self._work = 0
                self._run = verdict
                at_begin, at = at, verdict - matcher.shared_bytes
                if self._reason and not self._takes(matcher, data, at_begin, verdict):
                    continue
                if verdict <= before:
                    self.late_ends.append(self._offset + verdict)
                frames.append(matcher.frame)
            elif verdict == WAIT:
                self._candidate, self._needs = matcher, matcher.needs
                break
            else:
                at = self._pass(data, at, verdict, matcher)
        self._keep(data, self._run if self._is_dead_line else at)
        return frames

    def _judge_any(self, data: bytes | bytearray, at: int) -> tuple[int, Matcher | None]:
        """The verdict of the first shape that does not deny, those with the longest start first; no matcher where only
        a part of a start is there."""
        verdict, matcher = FALSE, self._matchers[0]
        for start, one in self._by_start:
            if data.startswith(start, at):
                matcher = one
                verdict = one.judge(data, at)
                if verdict != FALSE:
                    break
            elif len(data) - at < len(start) and start.startswith(bytes(data[at:])):
                return WAIT, None
        return verdict, matcher

    def _takes(self, matcher: Matcher, data: bytes | bytearray, at: int, end: int) -> bool:
        """Whether a frame is whole though bytes may be missing: what has a checksum is."""
        reason, self._reason = self._reason, ""
        if not matcher.is_checked:
            self._dead.append(DeadPiece(reason, bytes(data[at:end])))
        return matcher.is_checked

    def _pass(self, data: bytes | bytearray, at: int, verdict: int, matcher: Matcher) -> int:
        """No frame begins at `at`: where to go on."""
        if verdict == EMPTY:
            end = matcher.bad_end if self._is_lines else at + self._start_bytes
            if at >= self._run:
                self._run = max(self._run, end) if at == self._run else self._run
            return end
        wasted = sum(one.wasted_bytes for one in self._matchers)
        if wasted:
            self._keep_faulty(at, matcher)
        if self._is_lines:
            return self._pass_bad_line(data, at, verdict, matcher)
        if verdict == BAD and self._suspect is None:
            # Whatever becomes of it, what stands before it is in no frame.
            self._bury(data, at)
            self._suspect = matcher.bad_end, matcher.explain(matcher.frame, matcher.fault)
        return self._spend(at, wasted, matcher) if wasted else at + 1

    def _keep_faulty(self, at: int, matcher: Matcher) -> None:
        """Remembers a candidate that was whole and wrong."""
        if self._faulty is None or self._faulty[0] is not matcher:
            self._faulties.clear()
        self._faulty = matcher, matcher.frame, matcher.fault
        if matcher.fault or self._offset + at < self._faulty_to:
            return
        self._faulty_to = self._offset + matcher.bad_end
        self.wrong_frames += 1
        if len(matcher.frame) > FAULTY_BYTES:
            return
        self._faulties.append(matcher.frame)
        del self._faulties[:-FAULTY_FRAMES]

    def _spend(self, at: int, wasted: int, matcher: Matcher) -> int:
        """Where to go on behind a candidate that cost the work of looking at so many bytes: mostly at its next byte."""
        for one in self._matchers:
            one.wasted_bytes = 0
        if not self._work:
            self._work_from = self._offset + at
        self._work += wasted
        allowed = FREE_WORK_BYTES + WORK_A_BYTE * (self._offset + at - self._work_from)
        return at + 1 if self._work <= allowed else max(matcher.bad_end, at + 1)

    def _pass_bad_line(self, data: bytes | bytearray, at: int, verdict: int, matcher: Matcher) -> int:
        """A line that is wrong, or longer than a frame may be."""
        for one in self._matchers:
            one.wasted_bytes = 0
        if verdict == BAD:
            self._suspect = matcher.bad_end, matcher.explain(matcher.frame, matcher.fault)
            self._dispose(data, matcher.bad_end)
            return matcher.bad_end
        self._is_dead_line = True
        self._reason = self._reason or f"no end of a frame within {self._max} bytes"
        return at

    def _pass_line(self, data: bytes | bytearray, at: int) -> int:
        """Where the line ends that is dead; the data's size if that is not there yet."""
        end = self._matchers[0].line_end(data, at)
        if end >= 0:
            self._dispose(data, end)
            self._reason, self._is_dead_line = "", False
            return end
        self._candidate = self._matchers[0]
        # What may be the beginning of an end has to stay.
        full = (len(data) - self._run - self._matchers[0].end_bytes) // self._max * self._max
        if full > 0:
            self._dispose(data, self._run + full)
        return len(data)

    def _end_line(self) -> None:
        """The line in progress gets no end."""
        self._reason = self._reason or self._rest_reason or "no end of a frame in time"
        self._dispose(self._data, len(self._data))
        self._reason, self._is_dead_line = "", False
        self._keep(self._data, len(self._data))

    def _dispose(self, data: bytes | bytearray, to: int) -> None:
        """Bytes before `to` that are in no frame are dead: the candidate that was wrong, and what stands around it."""
        suspect, self._suspect = self._suspect, None
        if suspect is not None:
            end = min(suspect[0], to)
            if end > self._run:
                self._dead.append(DeadPiece(suspect[1], bytes(data[self._run : end])))
                self._run = end
        self._bury(data, to)

    def _bury(self, data: bytes | bytearray, to: int) -> None:
        """Bytes before `to` that are told nowhere yet are dead, in pieces that are not too long."""
        reason = self._reason or self._rest_reason or NO_FRAME
        while self._run < to:
            end = min(self._run + self._max, to)
            piece = bytes(data[self._run : end])
            if self._skip:
                piece = piece.strip(self._skip)
            if piece:
                self._dead.append(DeadPiece(reason, piece))
            self._run = end

    def _keep(self, data: bytes | bytearray, at: int) -> None:
        """Forgets what is told; the search is to go on at `at`."""
        full = (at - self._run - 1) // self._max * self._max
        if full > 0 and self._suspect is None and not self._is_dead_line:
            self._dispose(data, self._run + full)
        base = min(at, self._run, len(data))
        if data is self._data:
            del self._data[:base]
        else:
            self._data += data[base:]
        self._offset += base
        self._at, self._run = at - base, self._run - base
        self._needs = max(self._needs - base, 0)
        if self._suspect is not None:
            self._suspect = self._suspect[0] - base, self._suspect[1]
