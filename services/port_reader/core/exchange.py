"""Calls that write to the device: one exchange at a time, first come first served.

    idle -> writing -> waiting -> idle            an answer came
                    -> idle                       no answer wanted, or it could not be written
                       waiting -> late -> idle    no answer in time: one late frame, or as long again, is waited for

Where an answer says by itself which device it is from (`tells_devices`), only calls to the device that is late wait for
that, and the line is idle at once.

Every call ends in one `Reply`, or in a frame that `offer` calls its answer. Nothing is tried again once it was written.
"""

from __future__ import annotations

import re
import warnings
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, assert_never

from common.core.errors import ConversionError
from common.core.events import Send, answer
from common.wire import calls
from common.wire.calls import (
    CALL_TIME,
    EXPIRED,
    NO_DATA,
    QUEUE_FULL,
    RESPONSE_TIME,
    TOO_SLOW_PATTERN,
    WRITE_TIME,
    no_answer,
    not_written,
    refuse,
    reply,
    timed_out,
    write_failed,
)
from common.wire.messages import Request
from services.port_reader.core.counters import PortReaderCounts
from services.port_reader.core.events import CancelWrite, CheckWrite, Effect, WritePort

QUEUE_LIMIT: Final = 64
IDS_REMEMBERED: Final = 4 * QUEUE_LIMIT
"""Calls that are recognised when they come again: more than a port can work off within the time of one."""
POLL_LEAST_S: Final = 0.001
POLL_MOST_S: Final = 0.05
TELL_S: Final = 0.25
"""So long before its time is over a call that has waited for others is refused: whoever asked shall hear why, and not
end it without a reason in the same moment."""
PASSED_OVER_S: Final = 1.0
"""A frame that is the answer only if no other comes waits for that one so long: a device that repeats what it is sent
says more at once, and one whose answer is the repetition is answered this much later."""
SUCCESS: Final = b'{"success":true}'

Search = Callable[[re.Pattern[bytes], bytes], bool | None]
"""Whether a pattern is found in a frame; None if that takes too long."""


def search_plainly(pattern: re.Pattern[bytes], frame: bytes) -> bool:
    """A `Search` that takes as long as it takes."""
    return pattern.search(frame) is not None


class LineCall(NamedTuple):
    """One exchange as it was asked for."""

    request: Request
    """Without its body: `asked` is what stood there."""
    asked: calls.Exchange
    data: bytes
    pattern: re.Pattern[bytes]
    deadline_s: float
    step: int = 0
    """How many of its further writes (`Exchange.then`) are out."""

    @property
    def is_given_up_s(self) -> float:
        """When it is not written any more."""
        return self.deadline_s - min(TELL_S, self.request.time_left_s / 2)


class Turn:
    """The call that is on the line, and how far it is. Each state has one time at which it ends without the device."""

    def __init__(self, call: LineCall, write_until_s: float) -> None:
        self.call = call
        self.state: Literal["writing", "waiting", "late"] = "writing"
        self.ends_s = write_until_s
        """When the state is over: the write has failed, the answer is late, or will not come any more."""
        self.poll_s = write_until_s
        """When to look how far the write is; nothing tells when a serial port has sent its last byte."""
        self.ignored = 0
        """Frames that had begun before the write was out, and so are no answer."""
        self.settles_s = float("inf")
        """When a frame that was passed over is the answer, if no other comes."""
        self.is_hopeless = False
        """True once the awaited answer's pattern has taken too long on a frame."""
        self.next_write = b""
        """What of the call is to be written next, now that what came before it was answered."""

    @property
    def next_deadline_s(self) -> float:
        if self.state == "writing":
            return min(self.poll_s, self.ends_s)
        return min(self.settles_s, self.ends_s)

    @property
    def awaits_answer(self) -> bool:
        """True if the next frame may be the answer."""
        return self.state == "waiting" and not self.ignored

    def wait(self, ignored: int, now_s: float) -> None:
        """The write is out: the answer has its time from now on."""
        self.state, self.ends_s, self.ignored = "waiting", now_s + self.call.asked.timeout_s, ignored

    def expire(self, now_s: float) -> None:
        """No answer in time: one that comes late must not be taken for the next call's."""
        self.state, self.ends_s = "late", now_s + self.call.asked.timeout_s


class Exchanges:
    """The calls of one port: a queue, and at most one call on the line (`Turn`)."""

    def __init__(
        self, write_timeout_s: float | None, counters: PortReaderCounts, search: Search = search_plainly
    ) -> None:
        """`write_timeout_s` None: a write may take as long as its call has. `search` finds patterns in frames."""
        self._write_timeout_s = write_timeout_s
        self._counters = counters
        self._search = search
        self._queue: deque[LineCall] = deque()
        self._taken: deque[str] = deque(maxlen=IDS_REMEMBERED)
        """Ids of calls, so that one that comes twice is written once."""
        self._turn: Turn | None = None
        self._given_up: list[Send] = []
        """Refusals of calls whose answers are too long, until `go_on`."""
        self._lates: dict[str, Turn] = {}
        """Where answers tell devices: the call of each device whose answer did not come in time, and may still come."""
        self.tells_devices = False
        """Whether no answer of one device can be taken for one of another."""
        self.had_come: Callable[[], str] = lambda: ""
        """What of the awaited answer had come when its time is over, in words behind the error's; "" for nothing."""
        self.is_held: Callable[[str], bool] = lambda _: False
        """Whether a call to this device has to wait for something else that is on the line."""
        self.is_refusal: Callable[[str, bytes], bool] = lambda *_: False
        """Whether this device says with a frame that it will not do what it was told, however its answers look."""

    @property
    def is_idle(self) -> bool:
        """True if no call is on the line."""
        return self._turn is None

    @property
    def is_listening(self) -> bool:
        """True if frames have to be offered one by one."""
        return bool(self._lates) or (self._turn is not None and self._turn.state != "writing")

    @property
    def pending(self) -> list[LineCall]:
        """The call on the line, and those that wait to be written."""
        return [*([] if self._turn is None else [self._turn.call]), *self._queue]

    @property
    def has_waiting(self) -> bool:
        """True if a call waits to be written."""
        return bool(self._queue)

    @property
    def device(self) -> str:
        """The device that the call on the line is for; "" for none."""
        return "" if self._turn is None else self._turn.call.request.device

    def take_late(self, frame: bytes) -> LineCall | None:
        """The call that this frame answers too late, where answers tell devices; None for any other frame."""
        for device, turn in self._lates.items():
            if self._matches(turn, frame):
                if turn.ignored:
                    # It had begun before the write: the answer is still to come.
                    turn.ignored = 0
                else:
                    del self._lates[device]
                return turn.call
        return None

    @property
    def is_writing(self) -> bool:
        """True while a call is leaving the machine."""
        return self._turn is not None and self._turn.state == "writing"

    @property
    def late_devices(self) -> list[str]:
        """The devices whose answers did not come in time, and may still come: until then they are asked nothing
        else."""
        turn = self._turn
        return [*self._lates, *([turn.call.request.device] if turn is not None and turn.state == "late" else [])]

    def is_wanted(self, frame: bytes) -> bool:
        """True for what the call on the line takes for its answer, in time or late."""
        turn = self._turn
        return turn is not None and turn.state != "writing" and not turn.ignored and self._matches(turn, frame)

    @property
    def until(self) -> bytes:
        """What ends the awaited answer besides the device's delimiter; b"" for nothing."""
        return self._turn.call.asked.until if self._turn is not None and self._turn.awaits_answer else b""

    @property
    def next_deadline_s(self) -> float | None:
        deadlines = [late.ends_s for late in self._lates.values()]
        if self._turn is not None:
            deadlines.append(self._turn.next_deadline_s)
        if deadlines:
            deadlines += [call.is_given_up_s for call in self._queue]
        return min(deadlines, default=None)

    def add(self, request: Request, asked: calls.Exchange, now_s: float) -> list[Effect]:
        """Takes a call, or answers it at once if it can't be. A call that comes twice is written once."""
        if request.id in self._taken:
            return []
        self._taken.append(request.id)
        if request.time_left_s <= 0:
            return [self.refuse(request, EXPIRED)]
        if len(self._queue) >= QUEUE_LIMIT:
            return [self.refuse(request, QUEUE_FULL)]
        try:
            self._queue.append(_read_call(request, asked, now_s))
        except ConversionError as error:
            return [self.refuse(request, str(error))]
        return self._next(now_s)

    def set_write_timeout(self, write_timeout_s: float | None) -> None:
        """A write may take so long from the next one on; None: as long as its call has."""
        self._write_timeout_s = write_timeout_s

    def refuse(self, request: Request, error: str) -> Send:
        """The answer to a call that is not taken, or that fails."""
        self._counters["exchanges_failed"] += 1
        return answer(refuse(request, error))

    def left(self, left_bytes: int, byte_s: float, now_s: float) -> None:
        """So many bytes have not left yet; each takes `byte_s` on the line."""
        if self._turn is not None:
            self._turn.poll_s = now_s + min(POLL_MOST_S, max(POLL_LEAST_S, left_bytes * byte_s))

    def drained(self, has_frame_begun: bool, now_s: float) -> list[Effect]:
        """The write is out. A frame that has begun before is no answer."""
        turn = self._turn
        if turn is None or turn.state != "writing":
            return []
        if turn.call.asked.with_response:
            turn.wait(int(has_frame_begun), now_s)
            return []
        return [answer(reply(turn.call.request, SUCCESS)), *self._end(now_s)]

    def lose_begun(self) -> None:
        """The frame that had begun before the write will not come: it has turned out to be none."""
        if self._turn is not None:
            self._turn.ignored = 0

    def failed(self, reason: str, now_s: float) -> list[Effect]:
        """The write failed."""
        turn = self._turn
        if turn is None or turn.state != "writing":
            return []
        return [self.refuse(turn.call.request, write_failed(reason)), *self._end(now_s)]

    def is_answer(self, frame: bytes) -> bool:
        """True if `offer` would take this frame for the awaited answer."""
        return self._turn is not None and self._turn.awaits_answer and self._matches(self._turn, frame)

    @property
    def unsure(self) -> LineCall | None:
        """The call of which no pattern says what its answer looks like, if the next frame may be that."""
        turn = self._turn
        if turn is None or turn.state == "writing" or turn.ignored or turn.call.asked.pattern:
            return None
        return turn.call

    @property
    def listening(self) -> LineCall | None:
        """The call whose answer the next frame may be, or a part of it, in time or late."""
        turn = self._turn
        return None if turn is None or turn.state == "writing" or turn.ignored else turn.call

    @property
    def is_late(self) -> bool:
        """True if the call on the line has ended without its answer, which may still come."""
        return self._turn is not None and self._turn.state == "late"

    def give_up(self, reason: str, now_s: float) -> None:
        """What has come for the call on the line is too long for an answer; its rest may still come. To be followed by
        `go_on`."""
        if self._turn is not None and self._turn.state == "waiting":
            self._counters["answers_too_long"] += 1
            self._given_up.append(self.refuse(self._turn.call.request, reason))
            self._turn.expire(now_s)

    def pass_over(self, now_s: float) -> bool:
        """A frame has come that is the answer only if no other comes soon. False if no call waits for one any more."""
        turn = self._turn
        if turn is None or turn.state != "waiting":
            return False
        turn.settles_s = min(turn.settles_s, turn.ends_s, now_s + PASSED_OVER_S)
        return True

    def is_settled(self, now_s: float) -> bool:
        """True if what was passed over is the answer after all: `take_turn` follows."""
        return self._turn is not None and self._turn.state == "waiting" and now_s >= self._turn.settles_s

    def take_turn(self) -> LineCall:
        """The call that is on the line, which is answered, or was late. To be followed by `go_on`."""
        turn, self._turn = self._turn, None
        if turn is None:
            raise RuntimeError("no call is on the line")
        return turn.call

    def offer(self, frame: bytes) -> LineCall | None:
        """The call whose answer this frame is; None for telemetry. To be followed by `go_on` after the chunk."""
        turn = self._turn
        if turn is None or turn.state == "writing":
            return None
        if turn.ignored:
            turn.ignored -= 1
            return None
        if not self._matches(turn, frame):
            return None
        if turn.state == "waiting" and self._goes_on(turn, frame):
            return None
        self._turn = None
        return turn.call if turn.state == "waiting" else None

    def _goes_on(self, turn: Turn, frame: bytes) -> bool:
        """True if this answer is followed by another write of the same call."""
        call = turn.call
        if call.step >= len(call.asked.then):
            return False
        if call.asked.good and not re.search(call.asked.good.encode(), frame):
            return False
        data, pattern = call.asked.then[call.step]
        turn.call = call._replace(data=data, pattern=re.compile(pattern.encode()), step=call.step + 1)
        turn.state, turn.next_write = "writing", data
        return True

    def go_on(self, now_s: float) -> list[Effect]:
        """Begins the next call if nothing is going on; ends one whose answer will not be recognised."""
        given_up, self._given_up = self._given_up, []
        return [*given_up, *self._go_on(now_s)]

    def _go_on(self, now_s: float) -> list[Effect]:
        turn = self._turn
        if turn is None:
            return self._next(now_s)
        if turn.next_write:
            data, turn.next_write = turn.next_write, b""
            timeout_s = self._write_timeout_s
            turn.ends_s = turn.poll_s = turn.call.deadline_s if timeout_s is None else now_s + timeout_s
            return [WritePort(data)]
        if not turn.is_hopeless or turn.state == "writing":
            return []
        is_answered = turn.state == "late"
        effects: list[Effect] = [] if is_answered else [self.refuse(turn.call.request, TOO_SLOW_PATTERN)]
        return [*effects, *self._end(now_s)]

    def tick(self, now_s: float) -> list[Effect]:
        """What is due: a look at the write, time-outs, the next call."""
        for device in [device for device, late in self._lates.items() if now_s >= late.ends_s]:
            del self._lates[device]
        turn = self._turn
        if turn is None:
            return self._next(now_s)
        if now_s < turn.next_deadline_s:
            return []
        if turn.state == "writing" and now_s < turn.ends_s:
            turn.poll_s = now_s + POLL_MOST_S
            return [CheckWrite()]
        match turn.state:
            case "writing":
                return [CancelWrite(), *self.failed(self._write_bound(turn), now_s)]
            case "waiting":
                error = no_answer(turn.call.asked.timeout_s, RESPONSE_TIME) + self.had_come()
                effects: list[Effect] = [self.refuse(turn.call.request, error)]
                turn.expire(now_s)
                if not self.tells_devices:
                    return effects
                self._lates[turn.call.request.device] = turn
                return [*effects, *self._end(now_s)]
            case "late":
                return self._end(now_s)
            case _:
                assert_never(turn.state)

    def refuse_late(self, now_s: float) -> list[Effect]:
        """Ends the calls that wait for others and have no time left to be written."""
        late = [call for call in self._queue if now_s >= call.is_given_up_s]
        if late:
            self._queue = deque(call for call in self._queue if now_s < call.is_given_up_s)
        return [self.refuse(call.request, not_written(round(call.request.time_left_s, 1))) for call in late]

    def close(self, error: str) -> list[Effect]:
        """Ends all calls with this error: the port is gone, or the process ends."""
        effects: list[Effect] = []
        self._lates.clear()
        turn, self._turn = self._turn, None
        if turn is not None and turn.state != "late":
            text = write_failed(error) if turn.state == "writing" else error
            effects.append(self.refuse(turn.call.request, text))
        effects += [self.refuse(waiting.request, error) for waiting in self._queue]
        self._queue.clear()
        return effects

    def _matches(self, turn: Turn, frame: bytes) -> bool:
        """True for what may be the answer, or refuses it. A pattern that takes too long is not tried on every frame of
        a busy line."""
        if turn.is_hopeless:
            return False
        found = self._search(turn.call.pattern, frame)
        if found is None:
            turn.is_hopeless = True
            self._counters["patterns_timed_out"] += 1
            return False
        return found or self.is_refusal(turn.call.request.device, frame)

    def _write_bound(self, turn: Turn) -> str:
        """Why a write that takes too long has failed, and whose time that was."""
        if self._write_timeout_s is not None:
            return timed_out(self._write_timeout_s, WRITE_TIME)
        return timed_out(round(turn.call.request.time_left_s, 1), CALL_TIME)

    def _end(self, now_s: float) -> list[Effect]:
        self._turn = None
        return self._next(now_s)

    def _next(self, now_s: float) -> list[Effect]:
        """Writes the first call that still has time, if none is on the line."""
        effects = self.refuse_late(now_s)
        call = self._first() if self._turn is None else None
        if call is not None:
            self._counters["exchanges"] += 1
            timeout_s = self._write_timeout_s
            self._turn = Turn(call, call.deadline_s if timeout_s is None else now_s + timeout_s)
            effects.append(WritePort(call.data))
        return effects

    def _first(self) -> LineCall | None:
        """Takes the first call that may be written now from the queue; None if none may."""
        for place, call in enumerate(self._queue):
            if call.request.device not in self._lates and not self.is_held(call.request.device):
                del self._queue[place]
                return call
        return None


def _read_call(request: Request, asked: calls.Exchange, now_s: float) -> LineCall:
    """The exchange that a request asks for. Raises ConversionError if there is nothing to write, or the pattern is
    none."""
    data = b"".join(asked.writes)
    if not data:
        raise ConversionError(NO_DATA)
    try:
        # `check` has told what is doubtful in it.
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            pattern = re.compile(asked.pattern.encode())
    except (re.error, RecursionError) as error:
        raise ConversionError(f"responsePattern is no regular expression: {error}") from None
    return LineCall(request.replace(body=b""), asked, data, pattern, now_s + request.time_left_s)
