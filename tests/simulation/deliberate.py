"""Deliberate faults in the cores: each is a rule of the design, broken. The simulation must notice every one.

A fault is a change to the source of one method, applied to the running code. Whoever changes that method so that the
text is not there any more gets an error that says so, and says here how the rule is broken now.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from common.io.journal.recovery import Recovery
from common.stream.device_stream import DeviceStream
from common.stream.keeping.journal_writer import JournalWriter
from common.stream.keeping.losses import Losses
from common.stream.listening import Listening
from common.stream.numbers import Stream
from common.stream.poison import Poison
from common.stream.sending.flights import Flights
from common.stream.sending.ready import Ready
from common.stream.sending.window import Window
from common.wire import codec
from services.broker.core.credit import ConverterCredit
from services.connector_host.core.calls import UserCalls
from services.connector_host.core.core import ConnectorHostCore
from services.connector_host.core.devices import DeviceTable
from services.converter.core.batches import UserJob
from services.converter.core.core import ConverterCore
from services.converter.core.lanes import Lanes
from services.converter.shell.user_code import UserCode
from services.port_reader.core.asking.asker import Asker
from services.port_reader.core.asking.matching import Messages
from services.port_reader.core.asking_port import AskingPort
from services.port_reader.core.core import PortReaderCore
from services.port_reader.core.exchange import Exchanges
from services.port_reader.core.incoming.form import Form
from services.port_reader.core.port import Port
from services.publisher.core.downlink import Downlink
from services.publisher.core.names import KeptNames
from services.publisher.core.ordering import Ordering
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.named import NamedDevices
from services.publisher.core.outbox.reports import DeviceReports, Record, Reports
from services.publisher.core.session.acceptance import Acceptance
from services.publisher.core.session.choice import Choice
from services.publisher.core.session.rates import Bucket
from services.publisher.core.stream import ReadingStream as PublisherStream

Method = tuple[type, str]
"""The class itself and a method's name: a class that moves to another file takes its faults with it."""


class Deliberate(NamedTuple):
    """One broken rule: in this method these texts, each of which stands there once, become
    others."""

    name: str
    target: Method
    edits: tuple[tuple[str, str], ...]


def one(name: str, target: Method, old: str, new: str) -> Deliberate:
    """A fault that is one edit."""
    return Deliberate(name, target, ((old, new),))


LISTED: Final = (
    one(
        "settle before acceptance",
        (Acceptance, "sent"),
        "self._suspicion.sent(token, parcel, now_s)",
        "self._suspicion.sent(token, parcel, now_s)\n    for part in parcel.parts:\n        part.accept()",
    ),
    one("settle at enqueue", (PublisherStream, "advance"), "while runs:", "while False:"),
    one(
        "trim one too many",
        (JournalWriter, "append"),
        "stream.last_ts_ms, base,",
        "stream.last_ts_ms, min(base + 1, stream.next_number),",
    ),
    one(
        "ignore the stream's generation",
        (Ordering, "take"),
        "if stream is None or batch.generation > stream.generation:",
        "if stream is None:",
    ),
    one(
        "ignore the epoch",
        (Ordering, "take"),
        "batch.epoch != self.epoch or ",
        "",
    ),
    one(
        "base from the first batch only",
        (PublisherStream, "take"),
        "self._raise_base(batch.base)",
        "pass",
    ),
    one(
        "count resends as strikes",
        (Window, "_repeat"),
        'self._counters["frames_resent"] += block.length',
        'self._counters["frames_resent"] += block.length\n'
        "    self._poison.died_in(f\"{self._counters['frames_resent']}\", [block.first])",
    ),
    one(
        "never resend a hole",
        (Flights, "due"),
        "if self.missing:",
        "if self.missing:\n        return Again([], 0)",
    ),
    one(
        "two publishes of one device in flight",
        (Lane, "sent"),
        'self.sending = "unanswered"',
        'self.sending = "idle"',
    ),
    one(
        "refused device refuses all",
        (Choice, "_choose_data"),
        "suspicion = self._suspicion\n",
        "suspicion = self._suspicion\n    if self._backing_off.until_s:\n        return []\n",
    ),
    one(
        "expected number lost at publisher start",
        (PublisherStream, "__init__"),
        "self.received = batch.base",
        "self.received = 1",
    ),
    one(
        "report only on change, never repeated",
        (Ordering, "all_reports"),
        "if now_s - max(stream.heard_s, stream.told_s) <= REPEAT_S or not stream.is_idle",
        "if False",
    ),
    one(
        "timestamp not journaled",
        (Ready, "load"),
        "for block in blocks:",
        "for block in _restamped(blocks):",
    ),
    one(
        "late answer taken for the next call's",
        (Exchanges, "tick"),
        "turn.expire(now_s)",
        "effects += self._end(now_s)",
    ),
    one(
        "expired call still written",
        (Exchanges, "refuse_late"),
        "if now_s >= call.is_given_up_s]",
        "if False]",
    ),
    one(
        "strike note not cleared",
        (UserCode, "clear"),
        "self._record.clear()",
        "pass",
    ),
    one(
        "journal read in the wrong order after a restart",
        (Ready, "load"),
        "for block in blocks:",
        "for block in reversed(blocks):",
    ),
    one(
        "window never closed",
        (Window, "_next_fitting"),
        "frames = self._limits.window_frames - (flights.end - flights.floor)",
        "frames = self._limits.window_frames",
    ),
)

LOST: Final = (
    one(
        "a gap in the journal is not told",
        (Losses, "tell"),
        "if not new:",
        "if new:",
    ),
    one(
        "numbers are given out again after a loss",
        (Recovery, "next_number"),
        "return max(self.meta.next_number, self.settled, self.mark.next_number if self.mark else 1)",
        "return max(self.meta.next_number, self.meta.settled)",
    ),
)
"""Two more, for journals that are damaged."""

DRAWN: Final = (
    Deliberate(
        "data before connect is accepted",
        (Lane, "kind"),
        (
            ('if head.mark is None and self.presence == "open":', "if False:"),
            ('if self.presence != "announced":', "if False:"),
        ),
    ),
    one(
        "what was in flight at a close is forgotten",
        (Acceptance, "close"),
        "self._outbox.give_back(flight.parcel, now_s)",
        "self._outbox.accept(flight.parcel, now_s)",
    ),
    one(
        "a PUBACK on MQTT 3.1.1 counts at once",
        (Acceptance, "acknowledge"),
        "if protocol < 5 and parcel.is_data:",
        "if False:",
    ),
    one(
        "a refusal counts as acceptance",
        (Acceptance, "acknowledge"),
        'if verdict == "accepted":',
        "if True:",
    ),
    one(
        "a new publisher is sent only what is new",
        (Window, "_begin_anew"),
        "self.ready.put_back(self.flights.begin_anew(self.base), self.base)",
        "received = self.flights.received\n    self.flights.begin_anew(self.base)\n"
        "    self.flights.received = received\n    self.ready.queue.take_all()",
    ),
    one(
        "a dead letter is reported once",
        (PublisherStream, "report"),
        "return StreamReport(",
        "self._dead = {number: reason for number, reason in self._dead.items() if number >= self.settled}\n"
        "    return StreamReport(",
    ),
    one(
        "two frames share a millisecond",
        (Stream, "stamp"),
        "first_ms = max(self.last_ts_ms + 1, clock_ms)",
        "first_ms = max(self.last_ts_ms, clock_ms)",
    ),
    one(
        "a lost port is no entry of the stream",
        (Port, "_close"),
        "return [*effects, *self._members.put_each(lambda _: entry, at_ms, now_s, self._is_announced)]",
        "return effects",
    ),
    one(
        "one death is enough to condemn a frame",
        (Poison, "_alone"),
        "if self._counts[block.first] < DEATHS:",
        "if self._counts[block.first] < 1:",
    ),
    one(
        "a frame that users' code can't convert vanishes",
        (UserJob, "take"),
        "self._dead[index] = printable(frame.error)",
        "pass",
    ),
)
"""Ten more, drawn from the design's rules after the simulation and its oracle stood."""

ATTACKED: Final = (
    one(
        "a host that does not answer is never ended",
        (Lanes, "late"),
        "if lane.due_s is not None and now_s >= lane.due_s:",
        "if False:",
    ),
    one(
        "users' code of one device holds another's",
        (Lanes, "go"),
        "if lane is None or lane.running is not None:",
        "if lane is None or any(other.running is not None for other in self._at_host.values()):\n"
        "            self._idle_work[device] = None",
    ),
    one(
        "users' code takes credit of what is built in",
        (ConverterCredit, "can_take"),
        "self.credit > 0",
        "self.credit - sum(self.pinned_out.values()) > 0",
    ),
    Deliberate(
        "what a host says too late is taken for its successor's",
        (Lanes, "returned"),
        (
            ("or lane.running.job != number:", ":"),
            ("if lane.jobs and lane.jobs[0].number == number else None", "if lane.jobs else None"),
        ),
    ),
    one(
        "a frame in which a host ended is not reported",
        (ConverterCore, "_take_end"),
        "self._deaths.add(death)",
        "pass",
    ),
)
"""What attacks on users' code found, and the rules that hold it now."""

HEARD: Final = (
    one(
        "a calm reader stays deaf when something comes",
        (Listening, "wake"),
        "if self.hears_beats:",
        "if True:",
    ),
)
"""What a source hears, and when."""

NAMED: Final = (
    one(
        "names forgotten at restart",
        (KeptNames, "__init__"),
        "for name, named in kept.items():",
        "for name, named in ():",
    ),
    one(
        "a named device is called by its source's name",
        (Downlink, "_begin"),
        "first = replace(first, called=origin.device, called_type=named.device_type)",
        "pass",
    ),
    one(
        "named devices stay away when their source is back",
        (NamedDevices, "announce"),
        "if lane.source == source and",
        "if False and",
    ),
)
"""Calls of devices that users' converters have named."""

FORMED: Final = (
    one(
        "a pause within a frame ends it",
        (Form, "settles_s"),
        "self._first_s + STALE_S if self._weight >= PAUSES_TO_DOUBT else NEVER_S",
        "last_byte_s",
    ),
)
"""What ends a line's frames."""

HOSTED: Final = (
    one(
        "stored is said before it is committed",
        (ConnectorHostCore, "_take"),
        "self._waiters.add(kept, end, now_s)",
        "effects += _settled(kept)",
    ),
    one(
        "a connector's devices are told to the first publisher only",
        (ConnectorHostCore, "_hear_publisher"),
        "effects += self._tell_devices(now_s)",
        "pass",
    ),
    one(
        "a host that was killed forgets its devices",
        (DeviceTable, "__init__"),
        "self._devices = dict(kept)",
        "self._devices = {}",
    ),
    one(
        "a call that comes twice is handed on twice",
        (UserCalls, "begin"),
        "if request.id in self._taken:",
        "if False:",
    ),
    one(
        "a device that is gone is announced again",
        (NamedDevices, "withdraw"),
        "self._names.forget(device, source, now_s)",
        "return",
    ),
)
"""Connector hosts: what they have called stored, their devices, and calls to them."""

REPORTED: Final = (
    one(
        "what has not changed is not said again to a new session",
        (Reports, "session_begun"),
        "self._memory.session += self._has_session",
        "pass",
    ),
    one(
        "what waits to be reported is settled",
        (DeviceReports, "_look"),
        "run.keep(self.name, held)",
        "pass",
    ),
    one(
        "what has changed back is no change",
        (Record, "report"),
        "self.reported, self.is_fresh, self.session, self.number = self.value, False, session, number",
        "self.is_fresh, self.session, self.number = False, session, number",
    ),
)
"""Report strategies: what each promises over new publishers, sessions and streams."""

RATED: Final = (
    one(
        "the platform's limits are taken for more",
        (Bucket, "__init__"),
        "count * RATE_SHARE / seconds",
        "2 * count / seconds",
    ),
)
"""How much the platform takes."""

ASKED: Final = (
    one(
        "late answer taken for the next question's",
        (Asker, "_fail"),
        "if may_come_late:",
        "if False:",
    ),
    one(
        "a call is written again where its answer does not come",
        (Exchanges, "tick"),
        "turn.expire(now_s)",
        "turn.expire(now_s)\n            effects.append(WritePort(turn.call.data))",
    ),
    Deliberate(
        "a reply goes out before the commit",
        (AskingPort, "_sort"),
        (
            ("confirms.append(Confirm(place, heard.reply))", "self._asker.replies.add(heard.reply)"),
            (
                "effects += self._echoed(self._put",
                "effects += self._go_on(now_s)\n    effects += self._echoed(self._put",
            ),
        ),
    ),
    one(
        "a reply goes out although the commit has failed",
        (AskingPort, "confirmed"),
        "if not self._source.streams[event.member].uplink.is_down:",
        "if True:",
    ),
    one(
        "a frame that is said again is kept again",
        (AskingPort, "_sort"),
        "if self._repeats is not None and self._repeats.is_repeat(frame, self._arrival_ms):",
        "if False:",
    ),
    one(
        "a device that has come back is not asked again",
        (Asker, "heard"),
        "self._schedule.start(now_s, [member])",
        "pass",
    ),
    one(
        "what would be any question's answer is the first one's",
        (Messages, "is_answer"),
        "found = self._first_choosy(frame, ask.name)",
        "found = self.first(frame)",
    ),
)
"""Devices that must be asked, and those that wait to be answered."""

SWAPPED: Final = (
    one(
        "frames of before a change are converted as those behind it",
        (DeviceStream, "take_section"),
        "self.uplink.section = name",
        "self.uplink.section = name\n"
        "    waiting = self.uplink._window.ready.queue.blocks\n"
        "    for place, block in enumerate(waiting):\n"
        "        waiting[place] = block._replace(section=name)",
    ),
    one(
        "a section is said to be taken and is not",
        (PortReaderCore, "_take_section"),
        "effects += self._source.take_section(place, kept.name, kept.section, now_s)",
        "pass",
    ),
    one(
        "what waits of a frame is gone when its framing changes",
        (Port, "_reframe"),
        "waiting = old.partial",
        'waiting = b""',
    ),
    one(
        "a new framing forgets that the line sends its delimiter",
        (Port, "_reframe"),
        "incoming_of(device.framing, handover.form, self.byte_s)",
        'incoming_of(device.framing, b"", self.byte_s)',
    ),
)
"""Sections that are taken by readers at work."""

ALL: Final = (
    *(*LISTED, *DRAWN, *ATTACKED, *LOST, *HEARD, *NAMED, *FORMED, *HOSTED, *REPORTED, *RATED),
    *ASKED,
    *SWAPPED,
)


@contextmanager
def applied(fault: Deliberate) -> Iterator[None]:
    """The running code with this fault. Raises LookupError if what is to be changed is not there as written."""
    owner, name, original = _find(fault.target)
    setattr(owner, name, _broken(fault, name, original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def _find(target: Method) -> tuple[Any, str, Any]:
    """(class, name, what stands there now)."""
    owner, name = target
    original = vars(owner).get(name)
    if original is None:
        raise LookupError(f"{owner.__name__}.{name} is not there any more")
    return owner, name, original


def _broken(fault: Deliberate, name: str, original: Any) -> Any:
    """The method, or property, with the fault."""
    function = original.fget if isinstance(original, property) else original
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in fault.edits:
        if source.count(old) != 1:
            raise LookupError(f"{_shown(fault.target)}: found {source.count(old)} times, expected once: {old!r}")
        source = source.replace(old, new)
    code = compile("from __future__ import annotations\n" + source, f"<{_shown(fault.target)}, broken>", "exec")
    names: dict[str, Any] = {}
    exec(code, {**vars(sys.modules[function.__module__]), "_restamped": _restamped}, names)
    # The source of a property has its decorator with it.
    return names[name]


def _shown(target: Method) -> str:
    return f"{target[0].__name__}.{target[1]}"


def _restamped(blocks: list[Any]) -> list[Any]:
    """Blocks as they would be if their times stood nowhere."""
    found = []
    for block in blocks:
        body = codec.unpack_frames(block.body, block.length)
        found.append(block._replace(body=codec.pack_frames(body.replace(ts_ms=[ts + 1000 for ts in body.ts_ms]))))
    return found
