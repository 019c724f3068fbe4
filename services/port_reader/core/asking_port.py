"""A port on which devices are asked, told and answered by ourselves, beside what calls write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.config.asking import Asking
from common.config.framing import Framing
from common.config.models import Device
from common.core.frame_body import body_of
from common.stream.items import Item
from common.stream.source import Source
from common.wire import calls
from common.wire.messages import Entry, Request
from services.port_reader.core.answers import Answer
from services.port_reader.core.asking.asker import AskedDevice, Asker
from services.port_reader.core.asking.repeats import Repeats, split_state
from services.port_reader.core.counters import PortReaderCounts
from services.port_reader.core.events import Chunk, Confirm, Confirmed, Effect, Opened, PortLost, WritePort
from services.port_reader.core.framers.base import DeadPiece
from services.port_reader.core.incoming.by_delimiter import Incoming
from services.port_reader.core.incoming.joining import JOIN_S
from services.port_reader.core.members import LineKeeper, Placed
from services.port_reader.core.port import LineSeen, Port, PortMeans

if TYPE_CHECKING:
    from services.port_reader.core.incoming.by_shape import ShapedIncoming

BAD_CHECKSUM: Final = "checksum"
"""Begins the reason of a dead piece that was a frame, but for its checksum."""
NO_ASKING: Final = Asking()
JOINED_S: Final = JOIN_S + 0.005
"""Nothing is asked before somebody has watched the line for so long: an answer that came sooner would be taken for the
end of a frame that nobody saw begin."""
PROBE_LEAST_S: Final = 0.02
PROBE_LEAST_BYTES: Final = 20
"""A call to another device cuts the probe of one that is gone short, but leaves it so long at least, and as long as the
line takes for so many bytes: its request, the silence behind it, and the beginning of an answer. An adapter hands bytes
over every 16 ms (FTDI's default). A unit that is back has begun to answer by then, mostly, and is heard to its end."""
NEVER_S: Final = float("inf")


class _Kept:
    """What the journal is to remember of the line: its own state, and the last frames behind it."""

    def __init__(self, line: LineKeeper, repeats: Repeats) -> None:
        self._line = line
        self._repeats = repeats
        self._said = repeats.state

    def state_after_append(self, now_s: float) -> bytes:
        self._said = self._repeats.state
        return self._line.state_after_append(now_s) + self._said

    def state_change(self, now_s: float) -> bytes | None:
        state = self._line.state_change(now_s)
        if state is None:
            # A repetition is no entry, and is to be known all the same before it is acknowledged: what the device says
            # next is told from it.
            return None if self._said == self._repeats.state else self.state_after_append(now_s)
        self._said = self._repeats.state
        return state + self._said


class AskingPort(Port):
    """A port with an `Asker`. One thing is on the line at a time: a call, a question, or a reply to a frame; calls go
    first, and never into a question."""

    def __init__(
        self,
        devices: list[Device],
        source: Source,
        line: Incoming | ShapedIncoming,
        counters: PortReaderCounts,
        means: PortMeans,
        *,
        repeats: Repeats | None = None,
    ) -> None:
        """As `Port`; `repeats` are the last frames that were kept of the line, where repetitions are to be dropped."""
        self._askings = askings = [device.asking or NO_ASKING for device in devices]
        self._repeats = repeats
        self._units = {asking.address: place for place, asking in enumerate(askings) if asking.address is not None}
        self._protocol = next((asking.protocol for asking in askings if asking.protocol), "")
        keeper = None if repeats is None else _Kept(line, repeats)
        super().__init__(devices, source, line, counters, means, keeper=keeper)
        exchange = self._exchange
        asker = self._asker = Asker(
            [AskedDevice(one.name, one.type, asking, _own(one)) for one, asking in zip(devices, askings, strict=True)],
            counters,
            wall_ms=means.clock.at_ms,
            search=means.search,
            write_timeout_s=devices[0].line.write_timeout_s,
            others=self._may_be_asked,
            gives_way_s=max(PROBE_LEAST_S, PROBE_LEAST_BYTES * self.byte_s) if self._protocol else NEVER_S,
            body=body_of(devices[0].framing.shapes) if devices[0].framing.shapes else bytes,
        )
        self._framing_now: Framing | None = None
        """What frames look like while an answer is awaited that looks otherwise than all else on the line."""
        self._now_s = 0.0
        """When the event came that is handled now."""
        exchange.is_held = self._is_held
        exchange.is_refusal = lambda device, frame: asker.is_refusal(self._members.place_of(device), frame)
        exchange.tells_devices = bool(self._protocol)
        line.is_awaited = lambda: exchange.is_listening or asker.is_listening
        times_s = [ask.timeout_s for asking in askings for ask in asking.asks] + [
            asking.timeout_s for asking in askings
        ]
        self._settles_s = max(JOINED_S, *(2 * time_s for time_s in times_s)) if self._protocol else JOINED_S
        """Nothing is asked for so long after an opening. What an earlier process, or an earlier opening, has asked may
        still be answered until then, and such an answer does not say what was asked."""
        self._has_replies = any(heard.reply for asking in askings for heard in asking.heard)
        self._on_bad_frame = next((asking.on_bad_frame for asking in askings if asking.on_bad_frame), b"")
        self._last_strays: dict[int, str] = {}
        """Why the last whole frame was no answer that came while this device was asked."""
        self._strays: list[DeadPiece] = []
        """Whole frames that nobody has asked for, on a line where that makes them meaningless."""

    def _is_held(self, device: str) -> bool:
        """Whether a call to this device waits for what is on the line: for a question, or for the rest of an answer to
        a probe that would give way."""
        asker = self._asker
        is_free = asker.is_free(self._members.place_of(device), self._now_s)
        return not is_free or (asker.asked is not None and self._line.has_frame_begun)

    def _may_be_asked(self, place: int) -> bool:
        """Whether calls leave the line, and this device, to questions. While a late answer to a call is waited for,
        other devices on a bus are asked."""
        exchange = self._exchange
        late = exchange.late_devices
        if not late:
            return exchange.is_idle
        is_waiting = exchange.is_idle or not exchange.tells_devices
        return is_waiting and bool(self._units) and all(self._members.place_of(one) != place for one in late)

    @property
    def next_deadline_s(self) -> float | None:
        deadline_s, asker_s = super().next_deadline_s, self._asker.next_deadline_s
        if self._exchange.has_waiting and self._asker.pause_ends_s > self._now_s:
            # What else keeps a call from being written ends with an event.
            asker_s = min(asker_s, self._asker.pause_ends_s)
        if asker_s == NEVER_S:
            return deadline_s
        return asker_s if deadline_s is None else min(deadline_s, asker_s)

    @property
    def is_exchanging(self) -> bool:
        """True while a call or a question is on the line: its answer must not wait."""
        return super().is_exchanging or self._exchange.is_listening or self._asker.is_waiting

    # Open and closed

    def opened(self, event: Opened, now_s: float) -> list[Effect]:
        """It is open: from now on it is asked."""
        effects = super().opened(event, now_s)
        if effects:
            self._asker.open(now_s + self._settles_s)
        return effects

    def watch(self, now_s: float) -> None:
        """All that had come since it was opened was read."""
        super().watch(now_s)
        self._asker.pause(now_s + self._settles_s)

    def _is_announced(self, place: int) -> bool:
        asker = self._asker
        return asker.is_there(place) if asker.is_open else asker.is_told_at_opening(place)

    def _close(self, partial_reason: str, entry_reason: str, now_s: float) -> list[Effect]:
        self._asker.stop()
        if self._repeats is not None:
            self._repeats.cut()
        effects = super()._close(partial_reason, entry_reason, now_s)
        self._asker.close()
        return [*effects, *self._follow_framing(now_s)]

    # What comes in

    def read(self, event: Chunk, now_s: float) -> list[Effect]:
        """Bytes of the line, and among them what was written, where that comes back."""
        data = self._asker.strip_echo(event.data, now_s)
        if not data:
            return self._go_on(now_s) if self.is_connected else []
        effects = super().read(event if data is event.data else Chunk(data, event.arrival_ms), now_s)
        while self._framing_now is not None and (behind := self._take_behind()):
            self._counters["bytes_read"] -= len(behind)
            effects += super().read(Chunk(behind, event.arrival_ms), now_s)
        return effects

    def _take_behind(self) -> bytes:
        """What an answer's own framing has left to be looked at."""
        return b"" if isinstance(self._line, Incoming) else self._line.take_behind()

    def _sort(self, frames: list[bytes], now_s: float) -> list[Effect]:
        """Frames to the streams: each as what it is to questions, and else as any port takes it."""
        effects = self._bury(now_s)
        entries: list[Placed] = []
        answers: list[Answer] = []
        confirms: list[Confirm] = []
        for frame in frames:
            found = self._asker.take(frame, now_s)
            if found is None:
                found, more = self._sort_unasked(frame, now_s)
                answers += more
            for place, item in found:
                self._asker.heard(place, item, now_s)
                if self._last_strays:
                    self._last_strays.pop(place, None)
                heard = self._asker.reply_to(place, item.origin, frame) if self._has_replies else None
                if heard is not None:
                    confirms.append(Confirm(place, heard.reply))
                    if self._repeats is not None and self._repeats.is_repeat(frame, self._arrival_ms):
                        self._counters["repeats_dropped"] += 1
                        continue
                elif self._repeats is not None:
                    self._repeats.end_message()
                entries.append((place, item))
        if self._exchange.is_listening:
            # The beginning of the frame in progress may be an answer already.
            prefixes, more = self._answers.sort([], now_s)
            entries += prefixes
            answers += more
        for call, frame in answers:
            item = Item(Entry.ANSWER, [frame], [call.request.id, call.asked.method])
            self._asker.heard(self._members.place_of(call.request.device), item, now_s)
        changes, notes = self._asker.take_changes()
        strays, self._strays = self._strays, []
        effects += [*notes, *self._dead.bury(strays, self._arrival_ms, now_s)]
        self._now_s = now_s
        effects += self._echoed(self._put_answers([*changes, *entries], answers, now_s))
        return [*effects, *confirms, *self._go_on(now_s)]

    def _put_unasked(self, frames: list[bytes], now_s: float) -> list[Effect]:
        if not self._protocol:
            return super()._put_unasked(frames, now_s)
        pieces = [DeadPiece(f"{self._why_stray(frame)}: it had begun before that", frame) for frame in frames]
        return [*self._dead.bury(pieces, self._arrival_ms, now_s)]

    def _sort_unasked(self, frame: bytes, now_s: float) -> tuple[list[Placed], list[Answer]]:
        """A frame that has to do with no question of ours."""
        exchange = self._exchange
        if not self._protocol:
            if exchange.is_listening:
                return self._answers.sort([frame], now_s, are_all=False)
            return self._members.placed([frame]), []
        if (late := exchange.take_late(frame)) is not None:
            # Its call has ended, and nobody waits for what it says.
            item = Item(Entry.ANSWER, [frame], [late.request.id, late.asked.method])
            return [(self._members.place_of(late.request.device), item)], []
        if not exchange.is_wanted(frame):
            reason = self._why_stray(frame)
            self._counters["answers_stray"] += 1
            if (asked := self._asker.asked) is not None:
                self._last_strays[asked] = reason
            if (own := self._units.get(unit_of(self._protocol, frame))) is not None:
                self._asker.heard_unasked(own, now_s)
            self._strays.append(DeadPiece(reason, frame))
            return [], []
        return self._answers.sort([frame], now_s, are_all=False)

    def _why_stray(self, frame: bytes) -> str:
        """Why a whole frame says nothing to us: it does not say by itself what it is about."""
        unit = unit_of(self._protocol, frame)
        place = self._asker.asked
        if place is None and not self._exchange.is_idle:
            place = self._members.place_of(self._exchange.device)
        if place is None:
            return f"an answer of unit {unit} while nothing was asked"
        asked = self._askings[place].address
        if asked == unit:
            return f"an answer of unit {unit} that is none to what it was asked"
        return f"an answer of unit {unit} while unit {asked} was asked"

    def _found_dead(self, pieces: list[DeadPiece]) -> None:
        super()._found_dead(pieces)
        self._asker.lose_begun()
        if self._on_bad_frame and any(piece.reason.startswith(BAD_CHECKSUM) for piece in pieces):
            self._asker.replies.add(self._on_bad_frame)

    def _tell_silent(self, now_s: float) -> list[Effect]:
        """Devices that have gone are entries of their streams."""
        changes, notes = self._asker.take_changes()
        if not changes:
            return [*notes]
        return [*notes, *self._members.put(changes, self._clock.at_ms(now_s) or 0, now_s)]

    def seen(self, now_s: float, place: int) -> LineSeen:
        """How the line is; a device that does not answer is not connected, whatever the line is."""
        line = super().seen(now_s, place)
        asker = self._asker
        untold = asker.untold(place)
        if untold is not None and (line.connected or line.fault == untold.fault):
            from services.port_reader.core.asking.unanswered import why_untold

            line = line._replace(unready=why_untold(untold, self._members.devices[0].line))
        if not line.connected:
            return line
        asked_hz, wanted_hz = asker.rates_hz(place)
        line = line._replace(asked_hz=asked_hz, wanted_hz=wanted_hz)
        if (late := asker.late(place)) is not None:
            from services.port_reader.core.asking.unanswered import why_late

            line = line._replace(late_answers=why_late(late))
        if not asker.is_there(place):
            line = line._replace(connected=False, fault=asker.why_gone(place))
        found = asker.unanswered(place, now_s)
        if found is None:
            return line
        # Here: most lines never need it, and a port reader keeps what it has loaded.
        from services.port_reader.core.asking.unanswered import why_unanswered

        newest = self._line.newest if self._line.last_byte_s >= now_s - found.for_s - found.ask.timeout_s else b""
        stray = self._last_strays.get(place, "")
        reason = why_unanswered(found, self._members.devices[0].line, self._askings[place].address, stray, newest)
        return line._replace(unanswered=reason, answers_some=found.answers_some, probe_s=found.probe_s)

    # What goes out

    def exchange(self, request: Request, asked: calls.Exchange, now_s: float) -> list[Effect]:
        """A call that writes."""
        self._now_s = now_s
        return self._echoed(super().exchange(request, asked, now_s))

    def confirmed(self, event: Confirmed, now_s: float) -> list[Effect]:
        """A frame is in the journal, unless that can't be written: then the device keeps it, and says it again."""
        if not self._source.streams[event.member].uplink.is_down:
            self._counters["replies_sent"] += 1
            self._asker.replies.add(event.reply)
        return self._go_on(now_s)

    def write_drained(self, now_s: float) -> list[Effect]:
        """The write is out."""
        asker = self._asker
        if not asker.is_writing:
            return [*self._echoed(super().write_drained(now_s)), *self._go_on(now_s)]
        if not asker.replies.is_writing:
            if self._doubt is not None:
                self._doubt.ask()
            self._line.ask()
        effects = asker.drained(self._line.has_frame_begun, now_s)
        return [*effects, *self._follow_framing(now_s), *self._go_on(now_s)]

    def write_pending(self, left_bytes: int, now_s: float) -> list[Effect]:
        """The write is on its way."""
        if not self._asker.is_writing:
            return super().write_pending(left_bytes, now_s)
        self._asker.pending(left_bytes, self.byte_s, now_s)
        return []

    def write_failed(self, reason: str, now_s: float) -> list[Effect]:
        """The write failed."""
        if not self._asker.is_writing:
            return [*self._echoed(super().write_failed(reason, now_s)), *self._go_on(now_s)]
        self._asker.write_failed(now_s)
        return [*self._tell_silent(now_s), *self._go_on(now_s)]

    def _tick_exchange(self, now_s: float) -> list[Effect]:
        """What is due of the call, or the question, on the line."""
        self._now_s = now_s
        effects = self._echoed(super()._tick_exchange(now_s))
        effects += self._asker.tick(now_s)
        if fault := self._asker.fault:
            return [*effects, *self.lost(PortLost(fault, self._clock.at_ms(now_s) or 0), now_s)]
        return [*effects, *self._go_on(now_s)]

    def _go_on(self, now_s: float) -> list[Effect]:
        """What is written next: calls before questions."""
        self._now_s = now_s
        effects = [*self._asker.step(now_s), *self._tell_silent(now_s), *self._follow_framing(now_s)]
        effects += self._echoed(self._exchange.go_on(now_s))
        return [*effects, *self._asker.go_on(now_s, may_write=not self._exchange.is_writing)]

    def _follow_framing(self, now_s: float) -> list[Effect]:
        """From now on frames are cut as an awaited answer has it, or as the line has it again, where that has
        changed."""
        framing = self._asker.framing
        if framing is self._framing_now:
            return []
        self._framing_now = framing
        if isinstance(self._line, Incoming):
            return []
        pieces = self._line.use(framing)
        if framing is not None:
            # What had begun before the question was out is over by now.
            self._asker.lose_begun()
        return self._take_pieces(pieces, now_s) if pieces else self._bury(now_s)

    def _echoed(self, effects: list[Effect]) -> list[Effect]:
        """The same; a call that is written ends the probe that gave way, and comes back too on a line with an echo."""
        for effect in effects:
            if isinstance(effect, WritePort):
                self._asker.give_way()
                self._asker.expect_echo(effect.data)
        return effects


def _own(device: Device) -> dict[str, Framing]:
    """The framings of messages that have one of their own, by name."""
    return {message.name: message.framing for message in device.messages if message.framing is not None}


def unit_of(protocol: str, frame: bytes) -> int:
    """The address that a Modbus frame begins with; -1 for a frame that has none."""
    if protocol == "modbus-rtu":
        return frame[0] if frame else -1
    try:
        return int(frame[1:3], 16)
    except ValueError:
        return -1


def split_line_state(devices: list[Device], state: bytes) -> tuple[bytes, Repeats | None]:
    """(what the line itself wanted to be remembered, the last frames), from what the journal has kept; None for a line
    on which repetitions are kept."""
    own, repeats = split_state(state)
    return own, repeats if any(
        device.asking is not None and device.asking.drops_repeats for device in devices
    ) else None
