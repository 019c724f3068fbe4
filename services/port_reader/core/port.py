"""The port as the core sees it: open or not, when to try again, what its chunks become, whose answer a frame is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from common.config.models import Device
from common.core.backoff import Backoff
from common.core.errors import ConversionError
from common.core.events import Note, Send
from common.stream.counters import SourceCounts
from common.stream.events import Bury, DeadLetter, SetFlags, StreamEffect
from common.stream.items import Flags, Item, items_of
from common.stream.numbers import StreamState
from common.stream.uplink import Uplink
from common.wire import calls
from common.wire.calls import (
    EXPIRED,
    SHUTTING_DOWN,
    Decode,
    Encode,
    EncodeUpdate,
    converter_of,
    not_connected,
    pack_body,
    verb_of,
)
from common.wire.messages import Entry, Plane, Reply, Request
from services.port_reader.core.doubt import Doubt
from services.port_reader.core.events import Chunk, ClosePort, Effect, Opened, OpenPort, PortLost, ReadOut
from services.port_reader.core.exchange import Call, Exchange, Search, search_plainly
from services.port_reader.core.line import Line

REOPEN: Final = Backoff(0.1, 0.4)
"""An adapter that comes back is open again well within a second."""
OPEN_TIMEOUT_S: Final = 5.0
NOTE_AGAIN_S: Final = 60.0
"""Dead pieces of one reason are said again after this; the counter has them all."""
STABLE_S: Final = 1.0
"""A port that was open for this long is tried again at once when it is lost."""


class Port:
    """One line in both directions."""

    def __init__(
        self,
        device: Device,
        state: StreamState,
        uplink: Uplink,
        counters: SourceCounts,
        *,
        draw: Callable[[], float],
        search: Search = search_plainly,
    ) -> None:
        self._device = device
        self._uplink = uplink
        self._counters = counters
        self._draw = draw
        self._line = Line(device.framing, state.has_seen_delimiter, state.is_mid_frame)
        self._exchange = Exchange(device.line.write_timeout_s, counters, search)
        self.is_connected = False
        self._opened_s = 0.0
        self._attempt = 0
        self._retry_s: float | None = None
        self._open_deadline_s: float | None = None
        self._reason = ""
        self._noted_s: dict[str, float] = {}
        self._wall_offset_ms = 0.0
        self._arrival_ms = 0
        self._rests_until_s = 0.0
        self._has_read = False
        self._doubt: Doubt | None = None
        """While a burst is read in which bytes may be missing."""
        bits = 1 + device.line.bytesize + (device.line.parity != "N") + device.line.stopbits
        self.byte_s = bits / device.line.baudrate
        """How long the line takes for a byte."""

    @property
    def next_deadline_s(self) -> float | None:
        deadlines = [self._retry_s, self._open_deadline_s, self._exchange.next_deadline_s]
        if self._doubt is not None and self._doubt.ends_s is not None:
            deadlines.append(self._doubt.ends_s)
        elif self.is_connected and (silence_s := self._line.next_deadline_s) is not None:
            deadlines.append(max(silence_s, self._rests_until_s))
        return min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)

    def open(self, now_s: float) -> list[Effect]:
        """Tries to open it."""
        self._retry_s, self._open_deadline_s = None, now_s + OPEN_TIMEOUT_S
        return [OpenPort()]

    def opened(self, event: Opened, now_s: float) -> list[Effect]:
        """It is open: an entry of the stream."""
        if self._open_deadline_s is None:
            return []
        self._open_deadline_s, self._reason = None, ""
        self.is_connected, self._opened_s = True, now_s
        self._counters["ports_opened"] += 1
        self._set_clock(event.wall_ms, now_s)
        self._line.open()
        facts = {"device": self._device.name, "port": self._device.line.port}
        entry = Item(Entry.OPENED, [self._device.type.encode()])
        return [Note("info", "port.opened", facts), *self._put([entry], event.wall_ms, now_s), ReadOut()]

    def watch(self, now_s: float) -> None:
        """All that had come since it was opened was read."""
        self._line.watch(now_s)

    def open_failed(self, reason: str, now_s: float) -> list[Effect]:
        """It can't be opened now; one warning per reason."""
        if self._open_deadline_s is None:
            return []
        self._open_deadline_s = None
        self._retry_s = now_s + REOPEN.delay_s(self._attempt, self._draw())
        self._attempt += 1
        if reason == self._reason:
            return []
        self._reason = reason
        facts = {"device": self._device.name, "port": self._device.line.port, "reason": reason}
        return [Note("warning", "port.unavailable", facts)]

    def lost(self, event: PortLost, now_s: float) -> list[Effect]:
        """It is gone: closed, an entry of the stream, calls ended, tried again."""
        if not self.is_connected:
            return []
        self._set_clock(event.wall_ms, now_s)
        self._attempt = 0 if now_s >= self._opened_s + STABLE_S else self._attempt + 1
        self._retry_s = now_s + REOPEN.delay_s(self._attempt, self._draw())
        self._counters["ports_lost"] += 1
        facts = {"device": self._device.name, "port": self._device.line.port, "reason": event.reason}
        effects: list[Effect] = [ClosePort(), Note("warning", "port.lost", facts)]
        effects += self._close("port lost in mid-frame", event.reason, now_s)
        return [*effects, *self._exchange.close(self._not_connected)]

    def drain(self, now_s: float) -> list[Effect]:
        """The process ends: no more reading."""
        effects: list[Effect] = [ClosePort()]
        effects += self._exchange.close(SHUTTING_DOWN)
        self._retry_s = self._open_deadline_s = None
        if not self.is_connected:
            return effects
        was_mid_frame = self._line.flag_after_append(now_s)
        effects += self._close("shut down in mid-frame", "shut down", now_s)
        return [*effects, SetFlags(was_mid_frame, self._line.has_seen_delimiter)]

    def read(self, event: Chunk, now_s: float) -> list[Effect]:
        """Bytes of the line."""
        if not self.is_connected:
            return []
        if not self._has_read and self._uplink.is_down:
            # Who was here before us could not write down where in a frame it died.
            self._line.distrust()
        self._has_read, self._rests_until_s = True, 0.0
        self._set_clock(event.arrival_ms, now_s)
        self._counters["bytes_read"] += len(event.data)
        frames = self._line.feed(event.data, now_s)
        if self._doubt is None:
            return self._sort(frames, now_s)
        return self._end_doubt(now_s) if self._doubt.take(len(event.data), frames, now_s) else []

    def doubt(self, reason: str, *, is_anywhere: bool) -> None:
        """Bytes may be missing in what is read next."""
        if self.is_connected and self._doubt is None:
            self._doubt = Doubt(reason, self.byte_s, is_anywhere=is_anywhere)

    def _end_doubt(self, now_s: float) -> list[Effect]:
        """The burst that was read after a gap is over: its frames, but for those that may be two halves."""
        doubt, self._doubt = self._doubt, None
        if doubt is None:
            return []
        verdict = doubt.judge(self._line.partial_bytes, now_s)
        if verdict.is_cut:
            self._counters["gaps"] += 1
            self._line.interrupt(doubt.reason)
        self._line.put_dead(verdict.dead, doubt.reason)
        return self._sort(verdict.good, now_s)

    def exchange(self, request: Request, asked: calls.Exchange, now_s: float) -> list[Effect]:
        """A call that writes."""
        if not self.is_connected:
            return [self._exchange.refuse(request, self._not_connected)]
        return self._exchange.add(request, asked, now_s)

    def call(self, request: Request, asked: Encode | EncodeUpdate, now_s: float) -> list[Effect]:
        """A call that is still to be converted to what it writes."""
        from services.port_reader.core.calls import exchange_of

        if request.time_left_s <= 0:
            return [self._exchange.refuse(request, EXPIRED)]
        notes: list[Note] = []
        try:
            exchange = exchange_of(self._device, request, asked, notes)
        except ConversionError as error:
            return [self._exchange.refuse(request, str(error)), *notes]
        return [*self.exchange(request, exchange, now_s), *notes]

    @property
    def is_exchanging(self) -> bool:
        """True while a call is on the line: its answer must not wait."""
        return not self._exchange.is_idle

    @property
    def ends_by_silence(self) -> bool:
        """True while it is silence that ends the line's frames: it has to be heard when it is."""
        return self._line.ends_by_silence

    def refuse(self, request: Request, error: str) -> Send:
        """The answer to a call that is not taken."""
        return self._exchange.refuse(request, error)

    def write_drained(self, now_s: float) -> list[Effect]:
        """The write is out."""
        return self._exchange.drained(self._line.has_frame_begun, now_s)

    def write_pending(self, left_bytes: int, now_s: float) -> list[Effect]:
        """The write is on its way."""
        self._exchange.pending(left_bytes, self.byte_s, now_s)
        return []

    def write_failed(self, reason: str, now_s: float) -> list[Effect]:
        """The write failed."""
        return self._exchange.failed(reason, now_s)

    def tick(self, now_s: float) -> list[Effect]:
        """What is due."""
        if self._retry_s is not None and now_s >= self._retry_s:
            return self.open(now_s)
        if self._open_deadline_s is not None and now_s >= self._open_deadline_s:
            return [ClosePort(), *self.open_failed("timed out", now_s)]
        if not self.is_connected:
            return []
        if self._doubt is not None and self._doubt.ends_s is not None:
            # What came since the gap goes to the stream before anything behind it.
            effects = self._end_doubt(now_s) if now_s >= self._doubt.ends_s else []
            return [*effects, *self._exchange.tick(now_s)]
        if now_s < self._rests_until_s:
            return self._exchange.tick(now_s)
        frame = self._line.expire(now_s)
        effects = self._sort([] if frame is None else [frame], now_s)
        return [*effects, *self._exchange.tick(now_s)]

    def rest(self, until_s: float) -> None:
        """The line is not read before then: that nothing comes says nothing."""
        self._rests_until_s = until_s

    @property
    def _not_connected(self) -> str:
        return not_connected(self._device.name)

    def _sort(self, frames: list[bytes], now_s: float) -> list[Effect]:
        """Frames to the stream, an answer also to its call, dead pieces to the dead letters."""
        effects = self._bury(now_s)
        if self._exchange.is_listening:
            return [*effects, *self._sort_answers(frames, now_s)]
        if frames:
            return [*effects, *self._put(items_of(frames), self._arrival_ms, now_s)]
        return [*effects, *self._flag(now_s)]

    def _sort_answers(self, frames: list[bytes], now_s: float) -> list[Effect]:
        """As `_sort`, while a call waits for its answer."""
        items: list[Item] = []
        answers: list[tuple[Call, bytes]] = []
        for frame in frames:
            for piece in self._cut_at_until(frame):
                self._offer(piece, items, answers)
        until = self._exchange.until
        if until and (prefix := self._line.take_prefix(until)) and self._offer(prefix, items, answers, must=True):
            self._line.cut(len(prefix))
        effects = self._put(items, self._arrival_ms, now_s) if items else self._flag(now_s)
        # Committed first, as everything; before the frames, as somebody waits.
        place = next((at for at, effect in enumerate(effects) if type(effect) is Send), len(effects))
        effects[place:place] = [Send(Plane.CALLS, self._answer(call, frame, now_s)) for call, frame in answers]
        return [*effects, *self._exchange.go_on(now_s)]

    def _answer(self, call: Call, frame: bytes, now_s: float) -> Reply | Request:
        """What an answer says, or the question to whoever can tell."""
        device, request, method = self._device, call.request, call.asked.method
        if not device.has_user_converter:
            from services.port_reader.core.calls import reply_of

            reply = reply_of(device, request, method, frame)
            if reply.error:
                self._counters["exchanges_failed"] += 1
            return reply
        verb, body, target = verb_of(Decode), pack_body(Decode(method, frame)), converter_of(device.name)
        left_s, section = call.deadline_s - now_s, self._uplink.section
        return Request(request.id, request.reply_to, target, verb, device.name, section, left_s, body)

    def _cut_at_until(self, frame: bytes) -> list[bytes]:
        """The frame, or the answer that ends before its delimiter and what stands behind."""
        until = self._exchange.until
        place = frame.find(until) if until else -1
        if place < 0:
            return [frame]
        answer, rest = frame[: place + len(until)], frame[place + len(until) :]
        if not self._exchange.is_answer(answer):
            return [frame]
        return [answer] if rest in (b"", self._device.framing.delimiter) else [answer, rest]

    def _offer(self, frame: bytes, items: list[Item], answers: list[tuple[Call, bytes]], must: bool = False) -> bool:
        """Adds a frame to the items; True if it is an answer. With `must` it is added only then."""
        call = self._exchange.offer(frame) if not must or self._exchange.is_answer(frame) else None
        if call is not None:
            items.append(Item(Entry.ANSWER, [frame], [call.request.id, call.asked.method]))
            answers.append((call, frame))
            return True
        if must:
            return False
        if items and items[-1].kind == Entry.FRAMES:
            items[-1].frames.append(frame)
        else:
            items.append(Item(Entry.FRAMES, [frame]))
        return False

    def _close(self, partial_reason: str, entry_reason: str, now_s: float) -> list[Effect]:
        effects = self._end_doubt(now_s)
        self.is_connected = False
        self._line.abort(partial_reason)
        effects += self._bury(now_s)
        entry = Item(Entry.LOST, [entry_reason.encode(errors="replace")])
        return [*effects, *self._put([entry], self._wall_ms(now_s), now_s)]

    def _bury(self, now_s: float) -> list[Bury | Note]:
        """Dead pieces to the dead letters; one line a minute for each reason, however noisy the line is."""
        pieces = self._line.take_dead()
        if not pieces:
            return []
        self._exchange.lose_begun()
        self._counters["dead_letters"] += len(pieces)
        facts = {"device": self._device.name, "reason": pieces[-1].reason, "bytes": sum(len(p.data) for p in pieces)}
        letters = [DeadLetter(0, self._arrival_ms, piece.reason, piece.data) for piece in pieces]
        if now_s < self._noted_s.get(pieces[-1].reason, 0.0):
            return [Bury(letters)]
        self._noted_s[pieces[-1].reason] = now_s + NOTE_AGAIN_S
        return [Bury(letters), Note("info", "frame.dead", facts)]

    def _put(self, items: list[Item], clock_ms: int, now_s: float) -> list[StreamEffect]:
        flags = Flags(self._line.flag_after_append(now_s), self._line.has_seen_delimiter)
        return self._uplink.put(items, clock_ms, flags, now_s)

    def _flag(self, now_s: float) -> list[StreamEffect]:
        flag = self._line.flag_change(now_s)
        return [] if flag is None else [SetFlags(flag, self._line.has_seen_delimiter)]

    def _set_clock(self, wall_ms: int, now_s: float) -> None:
        self._arrival_ms = wall_ms
        self._wall_offset_ms = wall_ms - now_s * 1000

    def _wall_ms(self, now_s: float) -> int:
        """What the wall clock shows, from its last reading."""
        return int(self._wall_offset_ms + now_s * 1000)
