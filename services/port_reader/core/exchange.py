"""Calls that write to the device: one exchange at a time, first come first served.

    idle -> writing -> waiting -> idle            an answer came
                    -> idle                       no answer wanted, or it could not be written
                       waiting -> late -> idle    no answer in time: one late frame, or as long again, is waited for

Every call ends in one `Reply`, or in a frame that `offer` calls its answer. Nothing is tried again once it was written.
"""

from __future__ import annotations

import re
import warnings
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from common.core.errors import ConversionError
from common.core.events import Send, answer
from common.wire import calls
from common.wire.calls import EXPIRED, NO_DATA, QUEUE_FULL, TOO_SLOW_PATTERN, no_answer, refuse, reply, write_failed
from common.wire.messages import Request
from services.port_reader.core.counters import PortReaderCounts
from services.port_reader.core.events import CancelWrite, CheckWrite, Effect, WritePort

QUEUE_LIMIT: Final = 64
IDS_REMEMBERED: Final = 4 * QUEUE_LIMIT
"""Calls that are recognised when they come again: more than a port can work off within the time of one."""
POLL_LEAST_S: Final = 0.001
POLL_MOST_S: Final = 0.05
SUCCESS: Final = b'{"success":true}'

Search = Callable[[re.Pattern[bytes], bytes], bool | None]
"""Whether a pattern is found in a frame; None if that takes too long."""


def search_plainly(pattern: re.Pattern[bytes], frame: bytes) -> bool:
    """A `Search` that takes as long as it takes."""
    return pattern.search(frame) is not None


class Call(NamedTuple):
    """One exchange as it was asked for."""

    request: Request
    """Without its body: `asked` is what stood there."""
    asked: calls.Exchange
    data: bytes
    pattern: re.Pattern[bytes]
    deadline_s: float


class Exchange:
    """The calls of one port."""

    def __init__(
        self, write_timeout_s: float | None, counters: PortReaderCounts, search: Search = search_plainly
    ) -> None:
        self._write_timeout_s = write_timeout_s
        self._counters = counters
        self._queue: deque[Call] = deque()
        self._taken: deque[str] = deque(maxlen=IDS_REMEMBERED)
        self._call: Call | None = None
        self._state: Literal["idle", "writing", "waiting", "late"] = "idle"
        self._deadline_s = 0.0
        self._poll_s = 0.0
        self._ignored = 0
        self._search = search
        self._is_hopeless = False
        """True once the awaited answer's pattern has taken too long on a frame."""

    @property
    def is_idle(self) -> bool:
        """True if no call is on the line."""
        return self._state == "idle"

    @property
    def is_listening(self) -> bool:
        """True if frames have to be offered one by one."""
        return self._state in ("waiting", "late")

    @property
    def until(self) -> bytes:
        """What ends the awaited answer besides the device's delimiter; b"" for nothing."""
        if self._state != "waiting" or self._ignored or self._call is None:
            return b""
        return self._call.asked.until

    @property
    def next_deadline_s(self) -> float | None:
        match self._state:
            case "idle":
                return None
            case "writing":
                return min(self._poll_s, self._deadline_s)
        return self._deadline_s

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

    def refuse(self, request: Request, error: str) -> Send:
        """The answer to a call that is not taken, or that fails."""
        self._counters["exchanges_failed"] += 1
        return answer(refuse(request, error))

    def pending(self, left_bytes: int, byte_s: float, now_s: float) -> None:
        """So many bytes have not left yet; each takes `byte_s` on the line."""
        self._poll_s = now_s + min(POLL_MOST_S, max(POLL_LEAST_S, left_bytes * byte_s))

    def drained(self, has_frame_begun: bool, now_s: float) -> list[Effect]:
        """The write is out. A frame that has begun before is no answer."""
        call = self._call
        if self._state != "writing" or call is None:
            return []
        if call.asked.with_response:
            self._state, self._deadline_s = "waiting", now_s + call.asked.timeout_s
            self._ignored = int(has_frame_begun)
            return []
        return [answer(reply(call.request, SUCCESS)), *self._end(now_s)]

    def lose_begun(self) -> None:
        """The frame that had begun before the write will not come: it has turned out to be none."""
        self._ignored = 0

    def failed(self, reason: str, now_s: float) -> list[Effect]:
        """The write failed."""
        call = self._call
        if self._state != "writing" or call is None:
            return []
        return [self.refuse(call.request, write_failed(reason)), *self._end(now_s)]

    def is_answer(self, frame: bytes) -> bool:
        """True if `offer` would take this frame for the awaited answer."""
        if self._state != "waiting" or self._ignored or self._call is None:
            return False
        return self._matches(self._call, frame)

    def offer(self, frame: bytes) -> Call | None:
        """The call whose answer this frame is; None for telemetry. To be followed by `go_on` after the chunk."""
        call = self._call
        if call is None or not self.is_listening:
            return None
        if self._ignored:
            self._ignored -= 1
            return None
        if not self._matches(call, frame):
            return None
        is_answer = self._state == "waiting"
        self._state, self._call = "idle", None
        return call if is_answer else None

    def go_on(self, now_s: float) -> list[Effect]:
        """Begins the next call if nothing is going on; ends one whose answer will not be recognised."""
        call = self._call
        if self._is_hopeless and call is not None and self.is_listening:
            is_answered = self._state == "late"
            effects: list[Effect] = [] if is_answered else [self.refuse(call.request, TOO_SLOW_PATTERN)]
            return [*effects, *self._end(now_s)]
        return self._next(now_s) if self._state == "idle" else []

    def tick(self, now_s: float) -> list[Effect]:
        """What is due: a look at the write, time-outs, the next call."""
        effects: list[Effect] = []
        call = self._call
        if call is not None and self._state == "writing":
            if now_s >= self._deadline_s:
                effects = [CancelWrite(), *self.failed("timed out", now_s)]
            elif now_s >= self._poll_s:
                self._poll_s = now_s + POLL_MOST_S
                effects = [CheckWrite()]
        elif call is not None and self._state != "idle" and now_s >= self._deadline_s:
            if self._state == "late":
                return self._end(now_s)
            effects = [self.refuse(call.request, no_answer(call.asked.timeout_s))]
            self._state, self._deadline_s = "late", now_s + call.asked.timeout_s
        return effects

    def close(self, error: str) -> list[Effect]:
        """Ends all calls with this error: the port is gone, or the process ends."""
        effects: list[Effect] = []
        call = self._call
        if call is not None and self._state in ("writing", "waiting"):
            text = write_failed(error) if self._state == "writing" else error
            effects.append(self.refuse(call.request, text))
        effects += [self.refuse(waiting.request, error) for waiting in self._queue]
        self._queue.clear()
        self._state, self._call, self._ignored = "idle", None, 0
        return effects

    def _matches(self, call: Call, frame: bytes) -> bool:
        """True for what may be the answer. A pattern that takes too long is not tried on every frame of a busy line."""
        if self._is_hopeless:
            return False
        found = self._search(call.pattern, frame)
        if found is None:
            self._is_hopeless = True
            self._counters["patterns_timed_out"] += 1
        return bool(found)

    def _end(self, now_s: float) -> list[Effect]:
        self._state, self._call, self._ignored = "idle", None, 0
        return self._next(now_s)

    def _next(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._queue and self._state == "idle":
            call = self._queue.popleft()
            if now_s >= call.deadline_s:
                effects.append(self.refuse(call.request, EXPIRED))
                continue
            self._counters["exchanges"] += 1
            timeout_s = self._write_timeout_s
            self._deadline_s = call.deadline_s if timeout_s is None else now_s + timeout_s
            self._poll_s = self._deadline_s
            self._call, self._state, self._is_hopeless = call, "writing", False
            effects.append(WritePort(call.data))
        return effects


def _read_call(request: Request, asked: calls.Exchange, now_s: float) -> Call:
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
    return Call(request.replace(body=b""), asked, data, pattern, now_s + request.time_left_s)
