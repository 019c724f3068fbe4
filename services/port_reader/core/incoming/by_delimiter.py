"""The incoming side of the line: the framer, and what ends a frame besides its delimiter."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from common.config.framing import Framing
from services.port_reader.core.framers import delimited
from services.port_reader.core.framers.base import DeadPiece
from services.port_reader.core.framers.delimiter import DelimiterFramer
from services.port_reader.core.incoming.form import (
    ENDS_APART_S,
    ENDS_TO_BE_SURE,
    KINDS,
    LEAST_PAUSE_S,
    NEVER_S,
    STALE_S,
    Form,
    Piece,
)
from services.port_reader.core.incoming.joining import (
    DELIMITER_KEPT,
    JOINED,
    Cut,
    Handover,
    cut_more,
    read_line_state,
)
from services.port_reader.core.incoming.way_in import WayIn

if TYPE_CHECKING:
    from common.core.frame_shape import Checksum


class Incoming(WayIn):
    """Chunks in, frames and dead pieces out, where a delimiter ends frames; all times are `now_s`."""

    late_s: tuple[float, ...] = ()
    """A delimiter ends a frame when it comes: none is found later."""
    asked_s = -1.0
    """Says nothing here: see `late_s`."""
    is_sure = False
    """What has its delimiter may have lost its middle."""
    last_fault = ""
    """No frame is wrong that has its delimiter."""
    wrong_frames = 0
    faulty: tuple[tuple[Checksum, ...], list[bytes]] = ((), [])
    """Nor has it a checksum."""

    _framer: DelimiterFramer

    def __init__(self, framing: Framing, state: bytes) -> None:
        """`state` is what the journal has kept of the line."""
        is_mid_frame, form = read_line_state(state, framing.delimiter)
        super().__init__(delimited(framing), framing, is_mid_frame=is_mid_frame)
        self._framer.has_seen_end = form == "delimiter"
        self._form = Form(form)
        self._cut: Cut | None = None
        """What will be `returned` once the delimiter has come."""
        self._is_paused = False
        """True once the silence behind the last byte was as long as `timeout`."""
        kept = framing.delimiter[-DELIMITER_KEPT:]
        self._packed = tuple(tuple(bytes((flag, kind)) + kept for kind in range(len(KINDS))) for flag in (0, 1))
        """The line's state as the journal keeps it, by is_mid_frame and form. They stand ready, as each commit takes
        one along."""
        self._timeout_s = framing.timeout_s

    @property
    def ends_by_silence(self) -> bool:
        """True if silence may end the line's frames."""
        return (not self._framer.has_seen_end or self._form.count > 0) and isfinite(self._timeout_s)

    @property
    def partial(self) -> bytes:
        """What waits for its end."""
        return self._framer.partial

    @property
    def is_dead_run(self) -> bool:
        """True if what waits is no frame, whatever comes behind it."""
        return self._framer.is_dead_run

    @property
    def newest(self) -> bytes:
        """What has come of which no frame was made so far."""
        return self._framer.partial

    @property
    def has_frame_begun(self) -> bool:
        """True if the next frame's first byte has already come."""
        return self._has_bytes and not self._framer.is_dead_run

    @property
    def handover(self) -> Handover:
        """For who is to cut the frames of this line from now on."""
        form = self._packed[0][1 if self._framer.has_seen_end else 2 * self._form.is_silence]
        return Handover(self._joining, self._last_byte_s, self.stored_mid_frame, form)

    def interrupt(self, reason: str) -> None:
        """Bytes may be missing here: what comes up to the next delimiter is no frame."""
        self._framer.interrupt(reason)
        self._form.forget_places()

    def feed(self, chunk: bytes, now_s: float) -> list[bytes]:
        """The frames that this chunk completes."""
        if self._joining.awaits_first and self._joining.begins_dead(now_s):
            self._framer.interrupt(JOINED)
        self._last_byte_s, self._is_paused = now_s, False
        form = self._form
        if form.is_touched:
            return self._feed_formed(chunk, now_s)
        frames = self._framer.feed(chunk)
        if frames and now_s >= form.next_end_s:
            # As `Form.end` counts it, but without a call: this is where all bytes come in.
            form.ends += 1
            form.next_end_s = now_s + ENDS_APART_S if form.ends < ENDS_TO_BE_SURE else NEVER_S
        return frames

    def _feed_formed(self, chunk: bytes, now_s: float) -> list[bytes]:
        """The same where a delimiter changes more than that."""
        framer, form = self._framer, self._form
        had_seen_end, framer.has_seen_end = framer.has_seen_end, False
        waited = framer.waiting_bytes
        frames = framer.feed(chunk)
        if framer.has_seen_end:
            form.end(now_s)
            self.returned, self._cut = self._cut, None
            return frames
        framer.has_seen_end = had_seen_end
        if framer.waiting_bytes != waited + len(chunk):
            # What was too long is gone.
            form.forget_places()
        return frames

    def ask(self) -> None:
        """A call was written: what has begun by now is no answer to it."""
        self._form.ask(self.partial_bytes)

    def is_bare_end(self, data: bytes) -> bool:
        """True for bytes that end a frame and say nothing."""
        return self._framer.is_bare_end(data)

    def take_prefix(self, until: bytes) -> bytes | None:
        """The beginning of the frame in progress up to and with `until`, if it has it; not taken yet."""
        if not self.has_frame_begun:
            return None
        partial = self._framer.partial
        place = partial.find(until)
        return partial[: place + len(until)] if place >= 0 else None

    def cut(self, count: int) -> None:
        """Takes the prefix that was looked at; a delimiter right behind it is swallowed."""
        self._framer.cut(count)
        self._form.cut(count)

    def expire(self, now_s: float) -> list[Piece]:
        """What silence has made frames: mostly none, or one; several where the form of the line was in doubt.

        What silence has made dead pieces comes with `take_dead`.
        """
        framer, form = self._framer, self._form
        due_s = self._due_s
        if due_s is None or now_s < due_s:
            return []
        if not self._is_paused:
            self._is_paused = True
            if framer.waiting_bytes and isfinite(self._timeout_s):
                form.pause(framer.waiting_bytes, self._last_byte_s)
            if now_s < (self._due_s or 0.0):
                return []
        had_seen_end = framer.has_seen_end
        if now_s < self._settles_s:
            if form.count:
                form.go_stale()
            if now_s < self._settles_s:
                self._end_dead(f"no delimiter within {STALE_S:g} s")
                return []
        data, reason = framer.end()
        form.settle(had_seen_end)
        framer.has_seen_end = False
        pieces = form.take_pieces(data, self._last_byte_s)
        if pieces and reason:
            # Behind the first pause somebody saw them begin.
            self._add_dead(DeadPiece(reason, pieces.pop(0).data))
        if pieces and (had_seen_end or self._cut):
            self._cut = cut_more(self._cut, pieces)
        return pieces

    def abort(self, reason: str) -> list[Piece]:
        """The line ends here: a frame in progress becomes a dead piece; no other frame stands in it."""
        self._joining.awaits_first = False
        self._end_dead(reason)
        return []

    def _end_dead(self, reason: str) -> None:
        """What waits is no frame. Where it came with pauses each part is a piece: it may have been one."""
        data, dead_reason = self._framer.end()
        for piece in self._form.take_pieces(data, self._last_byte_s):
            self._add_dead(DeadPiece(dead_reason or reason, piece.data))
            dead_reason = ""

    def _state(self) -> bytes:
        return self._packed[self.stored_mid_frame][1 if self._framer.has_seen_end else 2 * self._form.is_silence]

    @property
    def _has_bytes(self) -> bool:
        return self._framer.waiting_bytes > 0

    @property
    def _due_s(self) -> float | None:
        """When silence means something for what waits; None if nothing does, or for ever."""
        framer = self._framer
        if not framer.is_mid_frame or self._joining.awaits_first:
            return None
        if not self._is_paused and isfinite(self._timeout_s):
            least_s = LEAST_PAUSE_S if framer.has_seen_end else 0.0
            return self._last_byte_s + max(self._timeout_s, least_s)
        if framer.has_seen_end:
            return min(self._settles_s, self._last_byte_s + STALE_S)
        return self._settles_s if isfinite(self._timeout_s) else None

    @property
    def _settles_s(self) -> float:
        form, has_seen_end = self._form, self._framer.has_seen_end
        is_awaited = not has_seen_end and not form.is_silence and self.is_awaited()
        return form.settles_s(has_seen_end, self._last_byte_s, is_awaited=is_awaited)
