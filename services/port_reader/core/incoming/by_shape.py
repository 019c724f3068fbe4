"""The incoming side of a line whose frames have shapes: the framer, and what time does to it.

To be imported only where `framing` says shapes: other lines never need it.
"""

from __future__ import annotations

from typing import Final

from common.config.framing import Framing
from common.core.frame_shape import Checksum
from services.port_reader.core.framers import shaped
from services.port_reader.core.framers.base import FAULTY_FRAMES, ShapedFramer
from services.port_reader.core.incoming.form import STALE_S, Piece
from services.port_reader.core.incoming.joining import JOINED, Handover, read_line_state
from services.port_reader.core.incoming.way_in import WayIn

PARTIAL_S: Final = 0.5
"""Silence that ends the hope for the rest of a frame; adapters hand bytes on every 16 ms, device servers less often."""
PARTIAL_TIMES: Final = 3
"""A frame of known length may take so many times its time on the line, and PARTIAL_S: a device may pause in it."""
NEWEST_BYTES: Final = 256
"""So many of the newest bytes are kept for a person to see, while none of them is a frame."""
MOST_MARKS: Final = 1_024
"""So many reads are remembered while their bytes wait; of more, two and two count as one."""
_STATES: Final = (b"\0\0", b"\1\0")
"""What the journal keeps of the line, by whether it is in mid-frame; other framings read it as they read their own."""


class ShapedIncoming(WayIn):
    """Chunks in, frames and dead pieces out; all times are `now_s`.

    | what has come                      | when the rest is given up                                                 |
    |------------------------------------|---------------------------------------------------------------------------|
    | a part of a frame with a start     | after `partialMs`; else in silence of PARTIAL_S, or, of a known length,   |
    |                                    | PARTIAL_TIMES the time that it takes on the line and PARTIAL_S            |
    | a part of a line, which has no     | in silence of `partialMs`, else of STALE_S: the pause may be in the line  |
    | start                              |                                                                           |
    | bytes of a shape with `silenceMs`  | never: in silence of that they are a frame                                |
    """

    _framer: ShapedFramer
    _due_s: float | None = None

    def __init__(self, framing: Framing, state: bytes, byte_s: float) -> None:
        """`state` is what the journal has kept of the line, `byte_s` how long the line takes for a byte."""
        self._own_framing, self._own_framer = framing, shaped(framing)
        super().__init__(self._own_framer, framing, is_mid_frame=read_line_state(state, b"").is_mid_frame)
        self._wrong_before = 0
        """Frames with a wrong checksum that other framers have found than the one in force."""
        self._fault_before = ""
        """What was wrong with the last of them that another framing than the line's own had cut."""
        self._faulty_before: tuple[tuple[Checksum, ...], list[bytes]] = ((), [])
        """And the newest of those."""
        self._behind = b""
        """What came behind a frame that another framing than the line's own has cut."""
        self._byte_s = byte_s
        self._cut_by(framing, self._own_framer)
        self.late_s: list[float] = []
        """When the first frames of the last `feed` had come, those that were there before it."""
        self.asked_s = -1.0
        """When a call was written last: what had come by then is no answer to it."""
        self._marks: list[tuple[int, float]] = []
        """(place in the stream, when the bytes before it had come), of the bytes that wait; places rise."""
        self._newest = b""

    def _cut_by(self, framing: Framing, framer: ShapedFramer) -> None:
        """This framer is in force from now on; the framing says when its rest is given up."""
        first = framing.shapes[0]
        is_line = not first.starts and not first.code and first.length is None
        self._framer = framer
        self._partial_s = None if framing.partial_ms is None else framing.partial_ms / 1000
        self.ends_by_silence = first.silence_ms is not None
        """True if silence ends the line's frames: then it has to be read all the time."""
        if first.silence_ms is not None:
            self._silence_s = first.silence_ms / 1000
        elif self._partial_s is not None:
            self._silence_s = self._partial_s
        else:
            self._silence_s = STALE_S if is_line else PARTIAL_S
        self._has_total = not is_line and not self.ends_by_silence
        self._ends = frozenset(end for shape in framing.shapes for end in shape.ends)

    def use(self, framing: Framing | None) -> list[Piece]:
        """What comes next is cut by this framing; None: by the line's own again. The frames that stand in what waits:
        a frame that has begun before another framing comes into force has no end, and what follows an answer in
        another framing is looked at again."""
        framer, own = self._framer, self._own_framer
        if framing is not None:
            pieces = self._pieces_of(framer.rest("another framing has begun in mid-frame"))
            self._put_off(framer)
            self._cut_by(framing, shaped(framing))
        else:
            waiting = framer.partial + self.take_behind()
            self._put_off(framer)
            self._cut_by(self._own_framing, own)
            self._wrong_before -= own.wrong_frames
            pieces = [Piece(frame, self._last_byte_s, False) for frame in (own.feed(waiting) if waiting else ())]
        self._marks.clear()
        self._due_s = None
        self.late_s = []
        if self._framer.waiting_bytes:
            self._mark(self._last_byte_s)
        return pieces

    def _put_off(self, framer: ShapedFramer) -> None:
        """This framer is in force no more: what it has to tell is kept."""
        self._dead += framer.take_dead()
        self._wrong_before += framer.wrong_frames
        if framer is self._own_framer or not framer.last_fault:
            return
        self._fault_before = framer.last_fault
        checksums, frames = framer.faulty
        before = self._faulty_before[1] if checksums == self._faulty_before[0] else []
        self._faulty_before = checksums, [*before, *frames][-FAULTY_FRAMES:]

    def take_behind(self) -> bytes:
        """What has come and was not looked at yet: to be fed again by whoever has looked at the frames before it, as
        one of them may be the end of the framing in force."""
        behind, self._behind = self._behind, b""
        return behind

    @property
    def is_sure(self) -> bool:
        """True if each frame shows by its checksum that it is whole."""
        return self._framer.is_sure

    @property
    def newest(self) -> bytes:
        """The newest bytes since the last frame."""
        return self._newest

    @property
    def last_fault(self) -> str:
        """What was wrong with the last frame that was whole and wrong."""
        return self._framer.last_fault or self._fault_before

    @property
    def wrong_frames(self) -> int:
        """How many frames were whole but for their checksum."""
        return self._wrong_before + self._framer.wrong_frames

    @property
    def faulty(self) -> tuple[tuple[Checksum, ...], list[bytes]]:
        """(the checksums that were to be right, the newest frames that had them wrong)."""
        return self._framer.faulty if self._framer.last_fault else self._faulty_before

    @property
    def partial(self) -> bytes:
        """What waits for what it is."""
        return self._framer.partial

    @property
    def is_dead_run(self) -> bool:
        """True if what waits is no frame, whatever comes behind it."""
        return self._framer.is_dead_run

    @property
    def has_frame_begun(self) -> bool:
        """True if the next frame's first byte has already come."""
        return self._framer.candidate_bytes > 0 and not self._framer.is_dead_run

    @property
    def handover(self) -> Handover:
        """For who is to cut the frames of this line from now on."""
        return Handover(self._joining, self._last_byte_s, self.stored_mid_frame, _STATES[0])

    def interrupt(self, reason: str) -> None:
        """Bytes may be missing here."""
        self._framer.interrupt(reason)

    def feed(self, chunk: bytes, now_s: float) -> list[bytes]:
        """The frames that this chunk completes, and before them those that it has shown to be some (`late_s`)."""
        framer = self._framer
        if self._joining.awaits_first and self._joining.begins_dead(now_s):
            framer.interrupt(JOINED)
        self._last_byte_s = now_s
        frames = framer.feed(chunk) if framer is self._own_framer else self._feed_up_to_frame(chunk)
        if self.late_s or framer.late_ends:
            self.late_s = [self._time_of(end) for end in framer.late_ends]
        if framer.waiting_bytes:
            self._mark(now_s)
            self._newest = (self._newest + chunk)[-NEWEST_BYTES:] if not frames else framer.partial[-NEWEST_BYTES:]
        elif frames:
            self._newest, self._due_s = b"", None
            self._marks.clear()
        else:
            self._newest, self._due_s = (self._newest + chunk)[-NEWEST_BYTES:], None
        return frames

    def _feed_up_to_frame(self, chunk: bytes) -> list[bytes]:
        """The frames that end where the first one does; what comes behind it may be framed otherwise."""
        framer = self._framer
        for end in range(1, len(chunk) + 1):
            if frames := framer.feed(chunk[end - 1 : end]):
                self._behind = chunk[end:]
                return frames
        return []

    def ask(self) -> None:
        """A call was written: what has come by now is no answer to it."""
        self.asked_s = self._last_byte_s

    def is_bare_end(self, data: bytes) -> bool:
        """True for bytes that end a frame and say nothing."""
        return not data or data in self._ends

    def take_prefix(self, until: bytes) -> bytes | None:
        """Nothing: a frame with a shape is known by its shape, and never by its beginning alone."""
        return None

    def cut(self, count: int) -> None:
        """Never called, as there is no prefix."""
        raise RuntimeError("a frame with a shape has no prefix")

    def expire(self, now_s: float) -> list[Piece]:
        """Frames that are found, or made, as the rest of what waits has not come in time. What has become dead by it
        comes with `take_dead`."""
        if self._due_s is None or now_s < self._due_s:
            return []
        framer = self._framer
        is_silent = now_s >= self._last_byte_s + self._silence_s
        pieces = self._pieces_of(framer.rest() if is_silent else framer.pass_over())
        self._set_due()
        return pieces

    def abort(self, reason: str) -> list[Piece]:
        """The line ends here: the frames that stand in what waits; the rest of it is dead."""
        self._joining.awaits_first = False
        waiting = self._framer.rest(reason)
        pieces = self._pieces_of(waiting)
        self._due_s = None
        self._marks.clear()
        return pieces

    def _state(self) -> bytes:
        return _STATES[self.stored_mid_frame]

    def _pieces_of(self, frames: list[bytes]) -> list[Piece]:
        """Frames that stood in what waited, with their times."""
        times = map(self._time_of, self._framer.late_ends)
        return [Piece(frame, came_s, came_s <= self.asked_s) for frame, came_s in zip(frames, times, strict=True)]

    def _mark(self, now_s: float) -> None:
        """Bytes wait, the newest of this moment: remembers when they came, and until when the rest is waited for."""
        marks, framer = self._marks, self._framer
        waiting_from = framer.fed_bytes - framer.waiting_bytes
        while marks and marks[0][0] <= waiting_from:
            marks.pop(0)
        marks.append((framer.fed_bytes, now_s))
        if len(marks) > MOST_MARKS:
            del marks[1:-1:2]
        self._set_due()

    def _set_due(self) -> None:
        framer = self._framer
        if not framer.waiting_bytes:
            self._due_s = None
            return
        due_s = self._last_byte_s + self._silence_s
        candidate_bytes = framer.candidate_bytes
        if self._has_total and candidate_bytes:
            began_s = self._time_of(framer.fed_bytes - candidate_bytes + 1)
            if self._partial_s is not None:
                due_s = began_s + self._partial_s
            elif (missing := framer.missing_bytes) is not None:
                due_s = min(due_s, began_s + PARTIAL_TIMES * (candidate_bytes + missing) * self._byte_s + PARTIAL_S)
        self._due_s = due_s

    def _time_of(self, end: int) -> float:
        """When the byte before this place in the stream had come, if it waits still or has waited until now."""
        return next((came_s for place, came_s in self._marks if place >= end), self._last_byte_s)
