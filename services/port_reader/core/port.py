"""The port as the core sees it: open or not, what its chunks become, whose answer a frame is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from common.config.models import Device, Line
from common.core.deadlines import earliest
from common.core.errors import ConversionError
from common.core.events import Note, Send, answer
from common.core.liveness import BEAT_S
from common.core.wall_clock import WallClock
from common.stream.events import SetLineState
from common.stream.items import Item
from common.stream.source import Source
from common.wire import calls
from common.wire.calls import EXPIRED, SHUTTING_DOWN, Encode, EncodeUpdate, not_connected
from common.wire.messages import Entry, Plane, Reply, Request
from services.port_reader.core.answers import Answer, Answers, step_after
from services.port_reader.core.counters import PortReaderCounts
from services.port_reader.core.dead_pieces import DeadPieces
from services.port_reader.core.events import (
    AdjustLine,
    Chunk,
    ClosePort,
    Confirmed,
    Effect,
    LineErrors,
    Opened,
    OpenPort,
    PortLost,
    ReadOut,
)
from services.port_reader.core.exchange import Exchanges, Search
from services.port_reader.core.framers.base import DeadPiece
from services.port_reader.core.incoming.by_delimiter import Incoming
from services.port_reader.core.incoming.form import Piece
from services.port_reader.core.incoming.joining import Cut
from services.port_reader.core.line_errors import LineHealth
from services.port_reader.core.members import LineKeeper, Members, Owner, Placed
from services.port_reader.core.opening import Opening

if TYPE_CHECKING:
    from services.port_reader.core.damage import Damage
    from services.port_reader.core.doubt import Doubt
    from services.port_reader.core.incoming.by_shape import ShapedIncoming

UNFRAMED_S: Final = 15.0
"""Bytes that have come again and again for so long without the end of a frame are told: a person who waits for values
has begun to wonder, and no device takes so long for a message. A burst of noise does not come again."""
REFRAMED: Final = "the framing was changed in mid-frame"
UNFRAMED_QUIET_S: Final = 120.0
"""After so long without any byte the line is silent, and that is told instead."""


OVERDUE: Final = {
    "rfc2217": "timed out: no connection, or a server that does not speak RFC 2217 (raw TCP is socket://)",
    "tcp-listen": "no device has connected yet",
}
"""What it means that a port of such a scheme is not open after its time."""


class LineSeen(NamedTuple):
    """How the line is: what the fields of the same names say in a port reader's heartbeat."""

    connected: bool
    fault: str
    since_s: float
    byte_s: float | None
    frame_s: float | None
    unframed: str
    unanswered: str = ""
    answers_some: bool = False
    probe_s: float | None = None
    damaged: str = ""
    line_errors: str = ""
    unready: str = ""
    late_answers: str = ""
    refused: str = ""
    asked_hz: float = 0.0
    wanted_hz: float = 0.0


class PortMeans(NamedTuple):
    """What a port is given beside its line: the time of day, chance in [0, 1) for jitter, a search for patterns in
    bounded time, and who says whose a frame is that nobody asked for (None: the first device's)."""

    clock: WallClock
    draw: Callable[[], float]
    search: Search
    owner: Owner | None


class Port:
    """One line in both directions, for the devices on it.

    What comes in goes the way chunk → frames (`Incoming`) → entries of their devices (`Members`, and `Answers`
    while a call waits) → streams. What goes out is an exchange at a time (`Exchanges`).
    """

    def __init__(
        self,
        devices: list[Device],
        source: Source,
        line: Incoming | ShapedIncoming,
        counters: PortReaderCounts,
        means: PortMeans,
        *,
        keeper: LineKeeper | None = None,
    ) -> None:
        """`devices`: all of one port; the settings of the line are the first one's. `keeper`: what the journal is to
        remember of the line; None: what `line` has to say."""
        self._counters = counters
        self._source = source
        self._line = line
        self._clock = means.clock
        self._members = Members(devices, source, keeper or line, means.owner)
        self._opening = Opening(means.draw)
        self._exchange = exchange = Exchanges(devices[0].line.write_timeout_s, counters, means.search)
        line.is_awaited = lambda: exchange.is_listening
        self._answers = Answers(self._exchange, line, self._members)
        self._dead = DeadPieces(self._members.names, counters, source.streams[0].uplink.dead)
        self._arrival_ms = 0
        """When what is told now came: the last chunk, or what happened to the port."""
        self._rests_until_s = 0.0
        self._has_read = False
        self._frame_s: float | None = None
        """When the last frame ended."""
        self._unframed_s: float | None = None
        """Since when bytes have come and no frame has ended; None while there are none."""
        self._unframed = ""
        """What is said of these bytes; the newest may be dead letters by now."""
        self._damage: Damage | None = None
        """None while no checksum was wrong."""
        self._good_frames = 0
        """How many frames there were when the last heartbeat was made."""
        self._doubt: Doubt | None = None
        """While a burst is read in which bytes may be missing."""
        self._has_told_returned = False
        self._health = LineHealth()
        self._refused: set[str] = set()
        """Settings that were told to be refused; each is told once."""
        self._refused_now: list[str] = []
        """Those of this opening."""
        self._earlier: dict[str, tuple[Device, str]] = {}
        """Call → how its device was configured when it was asked for, and the section's name: of those that were on
        their way when that has changed."""
        self._wrong_before = 0
        """Wrong checksums that were found before the framing was changed."""
        self._framing = devices[0].framing
        self._is_cut = False
        """True while the framing is changed of a line in whose frame bytes may be missing."""
        self.byte_s = byte_seconds(devices[0].line)

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices on the line, as they are configured now."""
        return self._members.devices

    @property
    def is_connected(self) -> bool:
        """True while the port is open."""
        return self._opening.is_open

    @property
    def next_deadline_s(self) -> float | None:
        deadlines = [self._opening.next_deadline_s, self._exchange.next_deadline_s]
        if self._doubt is not None and self._doubt.ends_s is not None:
            deadlines.append(self._doubt.ends_s)
        elif self.is_connected and (silence_s := self._line.next_deadline_s) is not None:
            deadlines.append(max(silence_s, self._rests_until_s))
        return earliest(*deadlines)

    # Open and closed

    def open(self, now_s: float) -> list[Effect]:
        """Tries to open it."""
        self._refused_now = []
        self._opening.begin(now_s)
        return [OpenPort()]

    def opened(self, event: Opened, now_s: float) -> list[Effect]:
        """It is open: an entry of each device's stream, which tells the platform that the device is there."""
        if not self._opening.opened(now_s):
            return []
        self._source.show(now_s)
        self._counters["ports_opened"] += 1
        self._set_clock(event.wall_ms, now_s)
        self._line.open()
        entries = self._members.put_each(_opened_entry, event.wall_ms, now_s, self._is_announced)
        return [Note("info", "port.opened", self._facts), *entries, ReadOut()]

    def _is_announced(self, place: int) -> bool:
        """True for a device that is there when its port is open, and gone when that is."""
        return True

    def watch(self, now_s: float) -> None:
        """All that had come since it was opened was read."""
        self._line.watch(now_s)

    def open_failed(self, reason: str, now_s: float) -> list[Effect]:
        """It can't be opened now; one warning per reason."""
        if not self._opening.failed(reason, now_s):
            return []
        self._source.show(now_s)
        return [Note("warning", "port.unavailable", {**self._facts, "reason": reason})]

    def lost(self, event: PortLost, now_s: float) -> list[Effect]:
        """It is gone: closed, an entry of each stream, calls ended, tried again."""
        if not self.is_connected:
            return []
        self._set_clock(event.wall_ms, now_s)
        self._source.show(now_s)
        self._counters["ports_lost"] += 1
        effects: list[Effect] = [ClosePort(), Note("warning", "port.lost", {**self._facts, "reason": event.reason})]
        effects += self._close("port lost in mid-frame", event.reason, now_s)
        self._opening.lost(event.reason, now_s)
        return [*effects, *self._exchange.close(not_connected(self._members.names))]

    def drain(self, now_s: float) -> list[Effect]:
        """The process ends: no more reading."""
        effects: list[Effect] = [ClosePort()]
        effects += self._exchange.close(SHUTTING_DOWN)
        if self.is_connected:
            state = self._members.line_state(now_s)
            effects += self._close("shut down in mid-frame", "shut down", now_s)
            effects.append(SetLineState(state))
        self._opening.close()
        return effects

    def _close(self, partial_reason: str, entry_reason: str, now_s: float) -> list[Effect]:
        effects = self._end_doubt(now_s)
        self._unframed_s = None
        found = self._line.abort(partial_reason)
        effects += self._take_pieces(found, now_s) if found else self._bury(now_s)
        effects += self._put_unended(now_s, is_closed=True)
        entry = Item(Entry.LOST, [entry_reason.encode(errors="replace")])
        at_ms = self._clock.at_ms(now_s) or 0
        return [*effects, *self._members.put_each(lambda _: entry, at_ms, now_s, self._is_announced)]

    # Configured otherwise

    def part_with(self, place: int, device: Device, now_s: float) -> list[Effect]:
        """The device at this place is about to be configured so: ends what can't be judged any more when it is."""
        members = self._members
        section = self._source.streams[place].uplink.section
        mine = {
            call.request.id: (members.devices[place], section)
            for call in self._exchange.pending
            if members.place_of(call.request.device) == place
        }
        pending = {call.request.id for call in self._exchange.pending}
        self._earlier = {**mine, **{call: kept for call, kept in self._earlier.items() if call in pending}}
        effects = self._end_doubt(now_s)
        self._is_cut = self._line.is_interrupted
        framing = members.devices[place].framing
        if device.framing != framing and self._line.is_dead_run:
            pieces = self._line.abort(REFRAMED)
            if framing.kind == "delimiter":
                # The rest of what is dead is still to come. Where shapes begin frames, it begins none.
                self._line.interrupt(REFRAMED)
            effects += self._take_pieces(pieces, now_s)
        return effects

    def take_device(self, place: int, device: Device, now_s: float) -> list[Effect]:
        """The device at this place is configured so from now on. What has come of the line stays, and goes on."""
        before = self._members.devices[place]
        self._members.replace(place, device)
        effects: list[Effect] = []
        if device.line != before.line:
            self.byte_s = byte_seconds(device.line)
            self._exchange.set_write_timeout(device.line.write_timeout_s)
            effects.append(AdjustLine(settings=device.line))
        if device.framing != before.framing:
            effects += self._reframe(device, now_s)
        return effects

    def _reframe(self, device: Device, now_s: float) -> list[Effect]:
        """The line's frames end otherwise from now on: what has no end yet is taken apart anew."""
        # Here: nearly no process ever needs it, and a port reader keeps what it has loaded.
        from services.port_reader.core.incoming.choice import incoming_of

        old, handover = self._line, self._line.handover
        # A line that has sent its delimiter is known to, also by the next framing, unless that has another one.
        self._line = line = incoming_of(device.framing, handover.form, self.byte_s)
        line.is_awaited = old.is_awaited
        line.follow(handover)
        self._answers.follow(line)
        self._members.follow(line)
        is_cut = self._is_cut or (self._framing.kind == "delimiter" and old.is_dead_run)
        self._framing, self._has_told_returned, self._damage = device.framing, False, None
        self._unframed, self._unframed_s = "", None
        self._wrong_before += old.wrong_frames
        if self._wrong_before:
            self._counters["checksums_wrong"] = self._wrong_before
        if is_cut:
            line.interrupt(REFRAMED)
        waiting = old.partial
        return self._sort(line.feed(waiting, now_s) if waiting else [], now_s)

    # What comes in

    def read(self, event: Chunk, now_s: float) -> list[Effect]:
        """Bytes of the line."""
        if self._opening.state != "open":
            return []
        if not self._has_read and self._members.is_unwritable:
            # The process before us could not write down whether it died in the middle of a frame.
            self._line.distrust()
        self._has_read, self._rests_until_s = True, 0.0
        self._arrival_ms = event.arrival_ms
        self._clock.set(event.arrival_ms, now_s)
        self._counters["bytes_read"] += len(event.data)
        frames = self._line.feed(event.data, now_s)
        if frames:
            self._frame_s, self._unframed_s = now_s, None
        elif self._unframed_s is None:
            self._unframed_s = now_s
        if self._line.late_s:
            return self._read_late(event, frames, now_s)
        if self._line.returned is not None:
            return [*self._tell_returned(self._line.returned), *self._judge(event, frames, now_s)]
        return self._judge(event, frames, now_s) if self._doubt is not None else self._sort(frames, now_s)

    def _read_late(self, event: Chunk, frames: list[bytes], now_s: float) -> list[Effect]:
        """The first of these frames had come before: something had hidden them. They have their own times, but for
        those that wait for the end of a burst."""
        if self._doubt is not None:
            return self._judge(event, frames, now_s)
        late, asked_s = self._line.late_s, self._line.asked_s
        pieces = [Piece(frame, came_s, came_s <= asked_s) for frame, came_s in zip(frames, late, strict=False)]
        effects = self._take_pieces(pieces, now_s)
        self._arrival_ms = event.arrival_ms
        return [*effects, *self._judge(event, frames[len(late) :], now_s)]

    def _judge(self, event: Chunk, frames: list[bytes], now_s: float) -> list[Effect]:
        """Frames that may be doubted: then they wait for the end of their burst."""
        if self._doubt is None:
            return self._sort(frames, now_s)
        return self._end_doubt(now_s) if self._doubt.take(len(event.data), frames, now_s) else []

    def doubt(self, reason: str, *, is_anywhere: bool) -> None:
        """Bytes may be missing in what is read next."""
        if self.is_connected and self._line.is_sure:
            # A frame of two halves shows by its checksum.
            self._counters["gaps"] += is_anywhere
            self._line.interrupt(reason)
        elif self.is_connected and self._doubt is None:
            # Here: nearly no process ever needs it, and a port reader keeps what it has loaded.
            from services.port_reader.core.doubt import Doubt

            self._doubt = Doubt(reason, self.byte_s, is_anywhere=is_anywhere)

    def damaged(self, errors: LineErrors, now_s: float) -> None:
        """The driver has counted these errors."""
        self._counters["framing_errors"] += errors.framing
        self._counters["parity_errors"] += errors.parity
        self._counters["overruns"] += errors.overruns
        self._counters["breaks"] += errors.breaks
        self._health.add(errors, now_s)

    def refused(self, settings: list[str]) -> list[Note]:
        """The port's driver, or the server that has it, does not take these of its settings; each is told once."""
        self._refused_now += [one for one in settings if one not in self._refused_now]
        new = [one for one in settings if one not in self._refused]
        self._refused.update(new)
        return [Note("warning", "port.setting_refused", {**self._facts, "setting": one}) for one in new]

    def rest(self, until_s: float) -> None:
        """The line is not read before then: silence until then must not end a frame."""
        self._rests_until_s = until_s

    @property
    def ends_by_silence(self) -> bool:
        """True while silence ends the line's frames: then the line has to be read all the time."""
        return self._line.ends_by_silence

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
        if not verdict.unasked:
            return self._sort(verdict.good, now_s)
        unasked = self._put_unasked(verdict.unasked, now_s)
        return [*unasked, *self._sort(verdict.good, now_s)]

    def _put_unasked(self, frames: list[bytes], now_s: float) -> list[Effect]:
        """Frames that had begun before what was written last was out."""
        return [*self._members.put_frames(frames, self._arrival_ms, now_s)]

    def _sort(self, frames: list[bytes], now_s: float) -> list[Effect]:
        """Frames to the streams, an answer also to its call, dead pieces to the dead letters."""
        effects = self._bury(now_s)
        if not self._exchange.is_listening:
            return [*effects, *self._members.put_frames(frames, self._arrival_ms, now_s)]
        entries, answers = self._answers.sort(frames, now_s)
        return [*effects, *self._put_answers(entries, answers, now_s)]

    def _put_answers(self, entries: list[Placed], answers: list[Answer], now_s: float) -> list[Effect]:
        """What has come to the streams, and to the calls what is their answer; then the next call."""
        # Committed first, as everything; before the frames, as somebody waits.
        replies = [self._answer(found, now_s) for found in answers]
        effects = self._put_unended(now_s)
        effects += self._members.put(entries, self._arrival_ms, now_s, replies)
        effects += self._exchange.go_on(now_s)
        return [*effects, *self._put_unended(now_s)]

    def _put_unended(self, now_s: float, *, is_closed: bool = False) -> list[Effect]:
        """The lines of an answer that has no end to the streams, each with its time."""
        effects: list[Effect] = []
        for came_s, run in groupby(self._answers.take_unended(is_closed=is_closed), itemgetter(0)):
            frames = self._members.placed([frame for _, frame in run])
            effects += self._members.put(frames, self._clock.at_ms(came_s) or 0, now_s)
        return effects

    def _answer(self, found: Answer, now_s: float) -> Send:
        """The reply to the call, or the request to the converter that can read the answer."""
        call, frame = found
        place = self._members.place_of(call.request.device)
        section = self._source.streams[place].uplink.section
        device = self._members.devices[place]
        if self._earlier:
            device, section = self._earlier.pop(call.request.id, (device, section))
        step = step_after(call, frame, device, section, now_s)
        if isinstance(step, Reply) and step.error:
            self._counters["exchanges_failed"] += 1
        return answer(step) if isinstance(step, Reply) else Send(Plane.CALLS, step)

    def _bury(self, now_s: float) -> list[Effect]:
        """Dead pieces to the dead letters."""
        pieces = self._line.take_dead()
        if not pieces:
            return []
        self._found_dead(pieces)
        return [*self._dead.bury(pieces, self._arrival_ms, now_s)]

    def _found_dead(self, pieces: list[DeadPiece]) -> None:
        """The line has said what is no frame."""
        self._exchange.lose_begun()

    # What goes out

    def exchange(self, request: Request, asked: calls.Exchange, now_s: float) -> list[Effect]:
        """A call that writes."""
        if not self.is_connected:
            return [self._source.refuse(request, not_connected(self._members.of(request.device).name))]
        return self._exchange.add(request, asked, now_s)

    def call(self, request: Request, asked: Encode | EncodeUpdate, now_s: float) -> list[Effect]:
        """A call that is still to be converted to what it writes."""
        from services.port_reader.core.calls import exchange_of

        if request.time_left_s <= 0:
            return [self._source.refuse(request, EXPIRED)]
        notes: list[Note] = []
        device = self._members.of(request.device)
        try:
            exchange = exchange_of(device, request, asked, notes)
        except ConversionError as error:
            return [self._source.refuse(request, str(error)), *notes]
        return [*self.exchange(request, exchange, now_s), *notes]

    @property
    def is_exchanging(self) -> bool:
        """True while a call is on the line: its answer must not wait."""
        return not self._exchange.is_idle

    def write_drained(self, now_s: float) -> list[Effect]:
        """The write is out."""
        if self._doubt is not None:
            self._doubt.ask()
        self._line.ask()
        return self._exchange.drained(self._line.has_frame_begun, now_s)

    def write_pending(self, left_bytes: int, now_s: float) -> list[Effect]:
        """The write is on its way."""
        self._exchange.left(left_bytes, self.byte_s, now_s)
        return []

    def write_failed(self, reason: str, now_s: float) -> list[Effect]:
        """The write failed."""
        return self._exchange.failed(reason, now_s)

    def confirmed(self, event: Confirmed, now_s: float) -> list[Effect]:
        """A frame that is to be answered is in the journal."""
        raise RuntimeError(f"nobody has asked for {event!r} at {now_s}")

    def tick(self, now_s: float) -> list[Effect]:
        """What is due."""
        if self._opening.is_retry_due(now_s):
            return self.open(now_s)
        if self._opening.is_overdue(now_s):
            scheme = self._members.devices[0].line.port.partition(":")[0]
            return [ClosePort(), *self.open_failed(OVERDUE.get(scheme, "timed out"), now_s)]
        if not self.is_connected:
            return []
        if self._doubt is not None and self._doubt.ends_s is not None:
            # What came since the gap goes to the stream before anything behind it.
            effects = self._end_doubt(now_s) if now_s >= self._doubt.ends_s else []
            return [*effects, *self._tick_exchange(now_s)]
        if now_s < self._rests_until_s:
            return self._tick_exchange(now_s)
        effects = self._take_pieces(self._line.expire(now_s), now_s)
        return [*effects, *self._tick_exchange(now_s)]

    def _tick_exchange(self, now_s: float) -> list[Effect]:
        """What is due of the call on the line."""
        if self._exchange.is_settled(now_s):
            return self._put_answers([], [self._answers.settle()], now_s)
        effects = [*self._exchange.refuse_late(now_s), *self._exchange.tick(now_s)]
        return [*effects, *self._put_unended(now_s)]

    def _take_pieces(self, pieces: list[Piece], now_s: float) -> list[Effect]:
        """What silence has made frames. Each has its own time, however long it waited for that."""
        if not pieces:
            return self._sort([], now_s)
        self._frame_s, self._unframed_s = now_s, None
        effects: list[Effect] = []
        last_ms = self._arrival_ms
        for data, came_s, is_unasked in pieces:
            self._arrival_ms = last_ms - round((self._line.last_byte_s - came_s) * 1000)
            if is_unasked:
                self._exchange.lose_begun()
                effects += self._bury(now_s)
                effects += self._put_unasked([data], now_s)
            else:
                effects += self._sort([data], now_s)
        return effects

    # What a person is to know

    def seen(self, now_s: float, place: int) -> LineSeen:
        """How the line is now, for the heartbeat of the device at this place."""
        opening, frame_s, byte_s = self._opening, self._frame_s, self._line.last_byte_s
        return LineSeen(
            connected=opening.is_open,
            fault="" if opening.is_open else opening.reason,
            since_s=now_s - opening.since_s,
            byte_s=now_s - byte_s if byte_s else None,
            frame_s=None if frame_s is None else now_s - frame_s,
            unframed=self._why_unframed(now_s),
            damaged=self._why_damaged(now_s),
            line_errors=self._health.fault(now_s) if opening.is_open else "",
            refused=", ".join(self._refused_now),
        )

    def _why_unframed(self, now_s: float) -> str:
        """What is wrong with bytes that have come for UNFRAMED_S without the end of a frame; "" if nothing is."""
        last_s = self._line.last_byte_s
        if self._unframed_s is None or now_s >= last_s + UNFRAMED_QUIET_S:
            self._unframed, self._unframed_s = "", None
        elif last_s >= self._unframed_s + UNFRAMED_S and (waiting := self._line.newest):
            # Here: most lines never need it, and a port reader keeps what it has loaded.
            from services.port_reader.core.unframed import why_unframed

            fault = self._line.last_fault
            if self._damage is not None and (guess := self._damage.guess(*self._line.faulty, now_s)):
                fault = f"{fault}; {guess}"
            self._unframed = why_unframed(self._framing, waiting, fault)
        return self._unframed

    def _why_damaged(self, now_s: float) -> str:
        """How many frames of the last minute had a wrong checksum; "" if hardly any had."""
        good, wrong = self._counters["frames_read"], self._line.wrong_frames
        good_before, self._good_frames = self._good_frames, good
        if not wrong:
            return ""
        damage = self._damage
        if damage is None:
            # Here: most lines never need it, and a port reader keeps what it has loaded.
            from services.port_reader.core.damage import Damage

            damage = self._damage = Damage()
            damage.mark(good_before, 0, now_s - BEAT_S)
        self._counters["checksums_wrong"] = self._wrong_before + wrong
        damage.mark(good, wrong, now_s)
        if not damage.is_told(good, wrong):
            return ""
        return damage.told(good, wrong, self._line.last_fault, damage.guess(*self._line.faulty, now_s))

    def _tell_returned(self, cut: Cut) -> list[Effect]:
        """The delimiter has come again after silence had ended frames: said once, as each message may do so."""
        self._line.returned = None
        if self._has_told_returned:
            return []
        self._has_told_returned = True
        # Here: most lines never need it, and a port reader keeps what it has loaded.
        from services.port_reader.core.unframed import why_cut

        return [Note("warning", "line.form", {**self._facts, "reason": why_cut(self._framing, *cut)})]

    def _set_clock(self, wall_ms: int, now_s: float) -> None:
        """Something has come at this time."""
        self._arrival_ms = wall_ms
        self._clock.set(wall_ms, now_s)

    @property
    def _facts(self) -> dict[str, str]:
        """What each line in the log says of the port."""
        return {"device": self._members.names, "port": self._members.devices[0].line.port}


def byte_seconds(line: Line) -> float:
    """How long the line takes for a byte: its start bit, parity and stop bits included."""
    bits = 1 + line.bytesize + (line.parity != "N") + line.stopbits
    return bits / line.baudrate


def _opened_entry(device: Device) -> Item:
    return Item(Entry.OPENED, [device.type.encode()])
