"""What a line is asked by itself, one question at a time, for all devices on it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from common.config.asking import Ask, Asking, Bus, Heard
from common.config.framing import Framing
from common.core.blanks import BLANK_BYTES
from common.core.events import Note
from common.core.frame_body import BodyOf
from common.stream.items import Item
from common.wire.messages import NOBODY, Entry
from services.port_reader.core.asking.dialogue import NEVER_S, Dialogue
from services.port_reader.core.asking.echo import Echo
from services.port_reader.core.asking.health import Health
from services.port_reader.core.asking.matching import Messages
from services.port_reader.core.asking.replies import Replies
from services.port_reader.core.asking.schedule import Schedule
from services.port_reader.core.asking.turns import Late, Turns
from services.port_reader.core.counters import PortReaderCounts
from services.port_reader.core.events import CancelWrite, Effect, WritePort
from services.port_reader.core.members import Placed

if TYPE_CHECKING:
    from services.port_reader.core.asking.unanswered import Unanswered, Untold

INIT_TIMEOUT_S: Final = 5.0
"""How long a device may take for what `init` expects of it: instruments that are just switched on test themselves."""
UNANSWERED_S: Final = 15.0
"""A device that has not answered for so long is told, also where its turns are too far apart for it to count as gone: a
person who waits for values has begun to wonder."""


class AskedDevice(NamedTuple):
    """One device on the line, as far as asking is concerned."""

    name: str
    type: str
    asking: Asking
    framings: Mapping[str, Framing] = MappingProxyType({})
    """What answers to its questions look like, by the questions' names, where all else on the line looks otherwise."""


class _Late(NamedTuple):
    """A question whose answer did not come in time, and may still come."""

    ask: Ask
    until_s: float


class Asker:
    """The questions of one line. Its owner tells it what happens on the line, and asks it in its turn:

    - `take` what a frame is, each frame, before anybody else looks at it;
    - `step` and `go_on` whenever something has ended, for what is to be written next;
    - `is_free` before anything else is written: never into a dialogue, nor while a late answer is waited for.

    A device that fails `offlineAfter` turns in a row is gone: it gets one probe for each step of its back-off, and
    costs the others on its line no more than that. After a time-out nothing is asked of a device for as long again, so
    that a late answer is never taken for the next one's; others on the line are asked meanwhile. Where an answer says
    whose it is, a probe also gives way to a call to another device: then it is over as one that timed out.
    """

    def __init__(
        self,
        devices: Sequence[AskedDevice],
        counters: PortReaderCounts,
        *,
        wall_ms: Callable[[float], int | None],
        search: Callable[[re.Pattern[bytes], bytes], bool | None],
        write_timeout_s: float | None,
        others: Callable[[int], bool] = lambda _: True,
        gives_way_s: float = NEVER_S,
        body: BodyOf = bytes,
    ) -> None:
        """`devices`: all on the line, in the order of their streams. `search` finds patterns in bounded time. `others`:
        whether this device may be asked as far as calls are concerned, which have the same line. `gives_way_s`: how
        long a probe has before a call may cut it short; infinite where nobody can tell whose an answer is. `body` takes
        the body out of a frame."""
        self._devices = devices
        self._counters = counters
        self._write_timeout_s = write_timeout_s
        self._others = others
        self._gives_way_s = gives_way_s
        askings = [device.asking for device in devices]
        bus = next((asking.bus for asking in askings if asking.bus is not None), Bus())
        self._is_bus = any(asking.address is not None for asking in askings)
        self._pause_s = bus.pause_s
        self._messages = [Messages(device.asking, search, body, device.framings) for device in devices]
        self._schedule = Schedule([(at, ask) for at, one in enumerate(askings) for ask in one.asks], wall_ms)
        self._turns = [Turns(asking.asks) for asking in askings]
        self._healths = [Health(bus.offline_after, bus.max_backoff_s) for _ in devices]
        self._reasons: dict[int, str] = {}
        """Why devices are gone."""
        self._starts: list[int] = []
        """Devices that are still to be told their `init`."""
        self._failed: list[dict[str, tuple[Ask, float]]] = [{} for _ in devices]
        """Of each device the questions that were not answered the last time, by name, and since when they are not."""
        self._instead: dict[int, bytes] = {}
        """The last frame that came while an answer of this device was awaited, and was none."""
        self._asked_s: dict[int, float] = {}
        """When the last question to a device was out that was not answered in time."""
        self._after_s: dict[int, float] = {}
        """How long after such a question the device has said something that nobody waited for any more."""
        self._untold: dict[int, Dialogue] = {}
        """Devices that did not take what they are told after an opening, and how far they took it."""
        self._lates: dict[int, _Late] = {}
        self._dialogue: Dialogue | None = None
        self._needs_step = False
        """True once what a dialogue expected in its middle has come."""
        self._echo = Echo() if bus.echo else None
        self.replies = Replies()
        self._pauses_until_s = 0.0
        self.is_open = False
        self._is_stopping = False
        self._orders: deque[Effect] = deque()
        """What an event has led to that has no effects of its own to give."""
        self._changes: list[Placed] = []
        self._notes: list[Note] = []
        self.fault = ""
        """Why the port can't be used: the only device on it did not take its `init`. Whoever closes it makes it ""."""

    # What the owner asks

    @property
    def is_writing(self) -> bool:
        """True while something of ours leaves the machine."""
        return self.replies.is_writing or (self._dialogue is not None and self._dialogue.state == "writing")

    @property
    def is_waiting(self) -> bool:
        """True while something is on the line, or its answer is awaited: the line must be read all the time."""
        return self._dialogue is not None or bool(self._lates) or self.replies.is_writing

    @property
    def is_listening(self) -> bool:
        """True if a frame may be an answer, or may come late."""
        return bool(self._lates) or (self._dialogue is not None and self._dialogue.state == "waiting")

    @property
    def asked(self) -> int | None:
        """The device whose answer is awaited; None while none is."""
        return None if self._dialogue is None else self._dialogue.member

    @property
    def framing(self) -> Framing | None:
        """What frames look like now: an answer that looks otherwise than all else is awaited, or may come late; None:
        as the line's framing has it."""
        dialogue = self._dialogue
        if dialogue is not None:
            if dialogue.ask is None or dialogue.state != "waiting" or not dialogue.is_last:
                return None
            return self._devices[dialogue.member].framings.get(dialogue.ask.name)
        if self._is_bus:
            return None
        return next((self._devices[at].framings.get(late.ask.name) for at, late in self._lates.items()), None)

    def is_free(self, member: int, now_s: float) -> bool:
        """True if a call may be written to this device now; what is on the line then `gives_way`."""
        if self._dialogue is not None and (self._dialogue.member == member or now_s < self._way_s):
            return False
        if self.replies.is_writing or now_s < self._pauses_until_s:
            return False
        if not self._is_bus:
            return not self._lates and not self._starts
        return member not in self._lates

    @property
    def _way_s(self) -> float:
        """From when on the dialogue that is on the line gives way to a call; infinite for never."""
        dialogue = self._dialogue
        if dialogue is None or not dialogue.is_probe or dialogue.state != "waiting":
            return NEVER_S
        if not self._healths[dialogue.member].may_be_cut or (self._echo is not None and self._echo.is_awaited):
            return NEVER_S
        return dialogue.out_s + max(self._gives_way_s, self._pause_s)

    def give_way(self) -> None:
        """A call is written now: the probe that was on the line is over, and its answer may still come."""
        dialogue = self._dialogue
        if dialogue is None or dialogue.ask is None:
            return
        self._dialogue = None
        self._counters["asks_cut"] += 1
        self._lates[dialogue.member] = _Late(dialogue.ask, dialogue.ends_s + dialogue.ask.timeout_s)
        self._healths[dialogue.member].cut(dialogue.ends_s)

    def is_told_at_opening(self, member: int) -> bool:
        """True for a device that is there when the port is open. One that has the line for itself and takes an `init`
        is there when it has taken that."""
        return self._is_bus or not self._devices[member].asking.init

    def is_there(self, member: int) -> bool:
        """True if the platform knows the device as connected."""
        return not self._healths[member].is_gone and (self.is_told_at_opening(member) or not self._is_starting)

    def why_gone(self, member: int) -> str:
        """Why the platform does not know the device as connected while the port is open."""
        return self._reasons.get(member, "it has not taken its init")

    def unanswered(self, member: int, now_s: float) -> Unanswered | None:
        """What is to be told of a device that does not answer: once it is gone, or has not answered for
        UNANSWERED_S. None of one that answers."""
        health, failed = self._healths[member], self._failed[member]
        if not failed:
            return None
        ask, since_s = min(failed.values(), key=lambda one: one[1])
        if not health.is_gone and now_s < since_s + UNANSWERED_S:
            return None
        # Here: most lines never need it, and a port reader keeps what it has loaded.
        from services.port_reader.core.asking.unanswered import Unanswered

        probe_s = max(health.probe_s - now_s, 0.0) if health.probe_s < NEVER_S else None
        others = len(self._devices[member].asking.asks) - len(failed)
        answers_some = others > 0 and not health.is_gone
        instead, after_s = self._instead.get(member, b""), self._after_s.get(member)
        return Unanswered(ask, now_s - since_s, probe_s, instead, answers_some, after_s)

    def rates_hz(self, member: int) -> tuple[float, float]:
        """(turns a second that are taken, turns a second that the configuration wants) of the device's questions."""
        turns = self._turns[member]
        return turns.asked_hz, turns.wanted_hz

    def late(self, member: int) -> Late | None:
        """The question of this device whose answers always come too late; None if none is."""
        return self._turns[member].late

    def untold(self, member: int) -> Untold | None:
        """How far a device has taken its `init` that did not take it whole; None for one that has."""
        dialogue = self._untold.get(member)
        if dialogue is None:
            return None
        # Here: most lines never need it, and a port reader keeps what it has loaded.
        from services.port_reader.core.asking.unanswered import Untold

        return Untold(_init_fault(dialogue), dialogue.written, dialogue.expected, self._instead.get(member, b""))

    @property
    def _is_starting(self) -> bool:
        """True while a device with a line of its own has not taken its `init`."""
        is_told = self._dialogue is not None and self._dialogue.ask is None
        return not self._is_bus and (bool(self._starts) or is_told or bool(self.fault))

    @property
    def next_deadline_s(self) -> float:
        """When something is due; infinite for nothing. What others on the line keep from being written is not: their
        end is an event, and `go_on` follows it."""
        if not self.is_open:
            return NEVER_S
        deadlines = [self.replies.next_deadline_s, *(late.until_s for late in self._lates.values())]
        if self._dialogue is not None:
            return min([*deadlines, self._dialogue.next_deadline_s])
        if not self.replies.is_writing:
            deadlines.append(max(self._next_turn_s, self._pauses_until_s))
        return min(deadlines)

    @property
    def _next_turn_s(self) -> float:
        """When the next thing is to be asked that may be asked then."""
        if any(self._may_be_told(member) for member in self._starts):
            return 0.0
        probes = [
            health.probe_s for at, health in enumerate(self._healths) if at not in self._lates and self._others(at)
        ]
        return min([self._schedule.next_deadline_s(self._is_asked), *probes])

    @property
    def pause_ends_s(self) -> float:
        """When a call that has to wait for a pause, or for a probe to give way, may be written; infinite where
        something else keeps it."""
        if not self.is_open or self.replies.is_writing:
            return NEVER_S
        if self._dialogue is not None:
            return self._way_s
        return self._pauses_until_s if self._pauses_until_s > 0 else NEVER_S

    def take_changes(self) -> tuple[list[Placed], list[Note]]:
        """(devices that have come or gone, as entries; what is to be logged), since the last call."""
        changes, self._changes = self._changes, []
        notes, self._notes = self._notes, []
        return changes, notes

    # What happens to the port

    def open(self, from_s: float) -> None:
        """The port is open; questions are asked from then on."""
        self.is_open, self._is_stopping, self.fault = True, False, ""
        for health, turns in zip(self._healths, self._turns, strict=True):
            health.answered()
            turns.restart(from_s)
        self._starts = [member for member, one in enumerate(self._devices) if one.asking.init]
        self._schedule.start(from_s, range(len(self._devices)))
        self._pauses_until_s = from_s

    def pause(self, until_s: float) -> None:
        """Nothing is written before then."""
        self._pauses_until_s = max(self._pauses_until_s, until_s)

    def stop(self) -> None:
        """The port is about to be closed: nothing more is begun."""
        self._is_stopping = True

    def close(self) -> None:
        """It is closed: what was begun is over."""
        self.is_open, self._needs_step = False, False
        self._dialogue = None
        self._lates.clear()
        self._orders.clear()
        self._starts = []
        self.replies.close()
        if self._echo is not None:
            self._echo.forget()

    # What comes in

    def strip_echo(self, chunk: bytes, now_s: float) -> bytes:
        """What the line says beside what was written to it."""
        if self._echo is None:
            return chunk
        rest, found = self._echo.take(chunk)
        if found == "collision":
            self._counters["collisions"] += 1
            if self._dialogue is not None:
                if self._dialogue.state == "writing":
                    self._orders.append(CancelWrite())
                self._fail(self._dialogue, now_s, may_come_late=False)
        return rest

    def expect_echo(self, data: bytes) -> None:
        """This is being written."""
        if self._echo is not None:
            self._echo.expect(data)

    def heard(self, member: int, item: Item, now_s: float) -> None:
        """This has come from the device, asked or not: it is here, unless it is its line that repeats what was
        written."""
        if item.kind == Entry.ANSWER and item.extra[:1] == [NOBODY]:
            return
        if item.kind == Entry.FRAMES and not item.origin:
            self.heard_unasked(member, now_s)
        if not self._healths[member].answered():
            return
        self._failed[member].clear()
        self._after_s.pop(member, None)
        self._turns[member].restart(now_s)
        device = self._devices[member]
        self._reasons.pop(member, None)
        self._changes.append((member, Item(Entry.OPENED, [device.type.encode()])))
        self._notes.append(Note("info", "device.answers", {"device": device.name}))
        if device.asking.init and member not in self._starts:
            # It was away, and may have been switched off: it is told anew what it is told after an opening.
            self._starts.append(member)
        self._schedule.start(now_s, [member])

    def heard_unasked(self, member: int, now_s: float) -> None:
        """The device says something, and no answer of it is awaited: it may be one that comes much too late."""
        if self._failed[member] and member in self._asked_s and self.asked != member:
            self._after_s[member] = now_s - self._asked_s[member]

    def take(self, frame: bytes, now_s: float) -> list[Placed] | None:
        """The entries that a frame is, if it has to do with a question; None if it is no business of ours."""
        for member, late in self._lates.items():
            messages = self._messages[member]
            if messages.is_telling(late.ask) and messages.is_answer(late.ask, frame):
                return self._take_late(member, late, frame, now_s)
        dialogue = self._dialogue
        if dialogue is not None and dialogue.state == "waiting":
            found = self._take_awaited(dialogue, frame, now_s)
            if found is None:
                self._instead[dialogue.member] = frame
            return found
        if self._is_bus or not self._lates or not frame.strip(BLANK_BYTES):
            return None
        # Nobody can tell it from the answer that did not come in time.
        [(member, late)] = self._lates.items()
        return None if self._messages[member].is_telling(late.ask) else self._take_late(member, late, frame, now_s)

    def _take_late(self, member: int, late: _Late, frame: bytes, now_s: float) -> list[Placed]:
        """It says what was asked, only later: nothing else was asked of this device since."""
        del self._lates[member]
        ask = late.ask
        self._settle(member, ask)
        self._turns[member].come_late(ask, now_s - (late.until_s - 2 * ask.timeout_s))
        self._counters["asks_late"] += 1
        self._schedule.forgive(member, ask)
        return [(member, _answer_to(ask.name, frame))]

    def _take_awaited(self, dialogue: Dialogue, frame: bytes, now_s: float) -> list[Placed] | None:
        """A frame while an answer is awaited."""
        member, ask, messages = dialogue.member, dialogue.ask, self._messages[dialogue.member]
        if not dialogue.expected and ask is None:
            return None
        if not (messages.tells(dialogue.expected) if ask is None or dialogue.expected else messages.is_telling(ask)):
            if dialogue.ignored:
                dialogue.ignored = 0
                return None
            if not frame.strip(BLANK_BYTES):
                return None
            if (repetition := self._take_repetition(dialogue, frame)) is not None:
                return repetition
        if ask is None or dialogue.expected:
            if not messages.is_expected(dialogue.expected, frame):
                return self._take_repetition(dialogue, frame)
            self._needs_step = True
            return [(member, _answer_to(dialogue.expected, frame))]
        if messages.is_refusal(ask, frame):
            return self._take_refusal(dialogue, ask, frame, now_s)
        if not messages.is_answer(ask, frame):
            return self._take_repetition(dialogue, frame)
        self._counters["asks_answered"] += 1
        self._turns[member].settle(ask)
        self._settle(member, ask)
        self._end(now_s)
        return [(member, _answer_to(ask.name, frame))]

    def _take_refusal(self, dialogue: Dialogue, ask: Ask, frame: bytes, now_s: float) -> list[Placed]:
        """The device will not answer: that is an answer too, and no reason to ask again at once."""
        self._counters["asks_refused"] += 1
        self._settle(dialogue.member, ask)
        self._end(now_s)
        if dialogue.place is not None and ask.parts and self._messages[dialogue.member].is_whole_refused(ask, frame):
            # Its parts will show which of the places there are.
            self._schedule.split(dialogue.place, now_s)
            facts = {"device": self._devices[dialogue.member].name, "ask": ask.name, "parts": len(ask.parts)}
            self._notes.append(Note("info", "ask.split", facts))
        return [(dialogue.member, _answer_to(ask.name, frame))]

    def _settle(self, member: int, ask: Ask) -> None:
        """The question has its answer."""
        if self._failed[member].pop(ask.name, None):
            self._instead.pop(member, None)
            self._after_s.pop(member, None)

    def _take_repetition(self, dialogue: Dialogue, frame: bytes) -> list[Placed] | None:
        """A device that repeats what it is sent says nothing by that."""
        bare = frame.strip(BLANK_BYTES)
        if not bare or bare != dialogue.written.strip(BLANK_BYTES):
            return None
        self._instead[dialogue.member] = frame
        return [(dialogue.member, Item(Entry.ANSWER, [frame], [NOBODY, ""]))]

    def is_refusal(self, member: int, frame: bytes) -> bool:
        """True if the device says with this frame that it will not do what it was told."""
        return self._messages[member].refusal(frame) is not None

    def reply_to(self, member: int, origin: str, frame: bytes) -> Heard | None:
        """The message that is answered when this frame is in the journal; None if none is. `origin`: what it answers,
        or ""."""
        messages = self._messages[member]
        found = messages.refusal(frame) or (messages.named(origin) if origin else messages.first(frame))
        return found if found is not None and found.reply else None

    # What goes out

    def step(self, now_s: float) -> list[Effect]:
        """What follows from what has come; a dialogue that is over leaves the line to calls first."""
        effects = [*self._orders]
        self._orders.clear()
        if self._needs_step and self._dialogue is not None:
            self._needs_step = False
            effects += self._perform(self._dialogue.advance(now_s), now_s)
        return effects

    def go_on(self, now_s: float, *, may_write: bool) -> list[Effect]:
        """What is written next, if anything is. `may_write`: nothing of a call is leaving the machine just now."""
        effects: list[Effect] = []
        if not self.is_open or self._is_stopping or not may_write or self.is_writing:
            return effects
        if acknowledgement := self.replies.begin(now_s):
            self.expect_echo(acknowledgement.data)
            return [*effects, acknowledgement]
        if self._dialogue is None and now_s >= self._pauses_until_s:
            self._dialogue = self._next(now_s)
            if self._dialogue is not None:
                effects += self._perform(self._dialogue.advance(now_s), now_s)
        return effects

    def _next(self, now_s: float) -> Dialogue | None:
        """The dialogue whose turn it is: words after an opening before questions; of these the one that is due for
        longest, a probe of a device that is gone being one of them."""
        for member in self._starts:
            if self._may_be_told(member):
                self._starts.remove(member)
                return self._dialogue_of(member, None, since_s=now_s)
        if not self._is_bus and self._starts:
            return None
        place = self._schedule.next_of(self._is_asked, now_s)
        since_s = NEVER_S if place is None else self._schedule.since_s(place)
        probed = self._probed(now_s, since_s)
        if probed is not None and (first := self._schedule.first_of(probed)) is not None:
            self._healths[probed].probe_s = NEVER_S
            self._counters["asks"] += 1
            return self._dialogue_of(probed, self._schedule.ask_of(first), since_s=now_s)
        if place is None:
            return None
        taken = self._schedule.take(place, now_s)
        self._counters["asks"] += 1
        self._counters["asks_missed"] += taken.missed
        member, ask = self._schedule.member_of(place), self._schedule.ask_of(place)
        self._turns[member].take(taken.missed, now_s, is_again=taken.attempt > 0)
        return self._dialogue_of(member, ask, place=place, attempt=taken.attempt, since_s=since_s)

    def _probed(self, now_s: float, before_s: float) -> int | None:
        """The device that is gone and to be tried, if one has been due for longer than `before_s` says."""
        found = None
        for member, health in enumerate(self._healths):
            if health.probe_s <= now_s and health.probe_s < before_s and self._may_be_told(member):
                found, before_s = member, health.probe_s
        return found

    def _dialogue_of(
        self, member: int, ask: Ask | None, *, since_s: float, place: int | None = None, attempt: int = 0
    ) -> Dialogue:
        return Dialogue(
            member,
            self._devices[member].asking.init if ask is None else ask.steps,
            ask,
            timeout_s=INIT_TIMEOUT_S if ask is None else ask.timeout_s,
            write_timeout_s=self._write_timeout_s,
            place=place,
            attempt=attempt,
            since_s=since_s,
        )

    def drained(self, has_frame_begun: bool, now_s: float) -> list[Effect]:
        """The write is out."""
        dialogue = self._dialogue
        if self.replies.end_write() or dialogue is None or dialogue.state != "writing":
            return []
        return self._perform(dialogue.drained(has_frame_begun, now_s), now_s)

    def pending(self, left_bytes: int, byte_s: float, now_s: float) -> None:
        """The write is on its way: so many bytes have not left yet; each takes `byte_s` on the line."""
        if self.replies.is_writing:
            self.replies.pending(left_bytes, byte_s, now_s)
        elif self._dialogue is not None:
            self._dialogue.pending(left_bytes, byte_s, now_s)

    def write_failed(self, now_s: float) -> None:
        """The write failed: the question has."""
        if not self.replies.end_write() and self._dialogue is not None:
            self._fail(self._dialogue, now_s, may_come_late=False)

    def lose_begun(self) -> None:
        """The frame that had begun before the write will not come: it has turned out to be none."""
        if self._dialogue is not None:
            self._dialogue.ignored = 0

    def tick(self, now_s: float) -> list[Effect]:
        """What is due, beside new questions: `go_on` is to follow."""
        for member in [member for member, late in self._lates.items() if now_s >= late.until_s]:
            del self._lates[member]
        if self.replies.is_writing:
            return self.replies.tick(now_s)
        dialogue = self._dialogue
        if dialogue is None:
            return []
        effects = dialogue.check(now_s)
        if effects is not None:
            return self._perform(effects, now_s)
        is_waiting = dialogue.state == "waiting"
        self._fail(dialogue, now_s, may_come_late=is_waiting)
        return [] if is_waiting else [CancelWrite()]

    # How a dialogue ends

    def _perform(self, effects: list[Effect], now_s: float) -> list[Effect]:
        """What a dialogue orders; one that is over gives the line free."""
        for effect in effects:
            if isinstance(effect, WritePort):
                self.expect_echo(effect.data)
        dialogue = self._dialogue
        if dialogue is not None and dialogue.state == "done":
            self._end(now_s)
            self._untold.pop(dialogue.member, None)
            if not self.is_told_at_opening(dialogue.member):
                device = self._devices[dialogue.member]
                self._changes.append((dialogue.member, Item(Entry.OPENED, [device.type.encode()])))
        return effects

    def _end(self, now_s: float) -> None:
        self._dialogue = None
        self._pauses_until_s = now_s + self._pause_s

    def _fail(self, dialogue: Dialogue, now_s: float, *, may_come_late: bool) -> None:
        """The question has brought no answer: it is asked again, or its turn has failed."""
        member, ask = dialogue.member, dialogue.ask
        self._end(now_s)
        if ask is None:
            self._fail_start(dialogue)
            return
        self._counters["asks_unanswered"] += 1
        if may_come_late:
            self._lates[member] = _Late(ask, now_s + ask.timeout_s)
            self._asked_s[member] = now_s - ask.timeout_s
        self._failed[member].setdefault(ask.name, (ask, now_s))
        health = self._healths[member]
        if dialogue.place is not None and not health.is_gone and dialogue.attempt < ask.retries:
            self._schedule.retry(dialogue.place, dialogue.attempt + 1, dialogue.since_s)
        elif health.failed(now_s):
            self._lose(member, f"no answer to {ask.name}" if ask.name else "no answer")

    def _lose(self, member: int, reason: str) -> None:
        """The device counts as gone from now on."""
        self._schedule.stop([member])
        self._reasons[member] = reason
        self._notes.append(Note("warning", "device.silent", {"device": self._devices[member].name, "reason": reason}))
        self._changes.append((member, Item(Entry.LOST, [reason.encode()])))

    def _fail_start(self, dialogue: Dialogue) -> None:
        """A device did not take what it is told after an opening."""
        device = self._devices[dialogue.member]
        reason = _init_fault(dialogue)
        self._untold[dialogue.member] = dialogue
        if self._is_bus:
            # Others on the line are not to suffer for it: it is asked, and told again when it comes back.
            self._notes.append(Note("warning", "device.init_failed", {"device": device.name, "reason": reason}))
        else:
            self.fault = reason

    def _is_asked(self, member: int) -> bool:
        """True if the device may be asked all its questions in their turns."""
        return member not in self._lates and not self._healths[member].is_gone and self._others(member)

    def _may_be_told(self, member: int) -> bool:
        """True if something may be written to the device, gone or not."""
        return member not in self._lates and self._others(member)


def _init_fault(dialogue: Dialogue) -> str:
    """Why a device did not take what it is told after an opening."""
    return f"init: no {dialogue.expected}" if dialogue.expected else "init: it could not be written"


def _answer_to(origin: str, frame: bytes) -> Item:
    """A frame that was asked for."""
    return Item(Entry.FRAMES, [frame], origin=origin)
