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
from typing import Any, Final, Literal, NamedTuple

from common.core.errors import WireError, printable
from common.core.events import Send
from common.stream.counters import Counters
from common.wire import codec
from common.wire.messages import Plane, Reply, Request
from services.port_reader.core.events import CancelWrite, CheckWrite, Effect, WritePort

QUEUE_LIMIT: Final = 64
IDS_REMEMBERED: Final = 4 * QUEUE_LIMIT
"""Calls that are recognised when they come again: more than a port can work off within the time of one."""
POLL_LEAST_S: Final = 0.001
POLL_MOST_S: Final = 0.05
SUCCESS: Final = codec.pack(b'{"success":true}')
EXPIRED: Final = "expired while waiting"


Search = Callable[[re.Pattern[bytes], bytes], bool | None]
"""Whether a pattern is found in a frame; None if that takes too long."""


def search_plainly(pattern: re.Pattern[bytes], frame: bytes) -> bool:
    """A `Search` that takes as long as it takes."""
    return pattern.search(frame) is not None


class Call(NamedTuple):
    """One exchange as it was asked for."""

    id: str
    reply_to: str
    data: bytes
    method: str
    is_answered: bool
    timeout_s: float
    pattern: re.Pattern[bytes]
    until: bytes
    deadline_s: float


class Exchange:
    """The calls of one port."""

    def __init__(
        self, device: str, write_timeout_s: float | None, counters: Counters, search: Search = search_plainly
    ) -> None:
        self._device = device
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
        return self._call.until

    @property
    def next_deadline_s(self) -> float | None:
        match self._state:
            case "idle":
                return None
            case "writing":
                return min(self._poll_s, self._deadline_s)
        return self._deadline_s

    def add(self, request: Request, now_s: float, arguments: dict[str, Any] | None = None) -> list[Effect]:
        """Takes a call, or answers it at once if it can't be. A call that comes twice is written once.

        `arguments`: those of an `exchange` request, where they are not in the request's body.
        """
        if request.id in self._taken:
            return []
        self._taken.append(request.id)
        if request.time_left_s <= 0:
            return [self._error(request.id, request.reply_to, EXPIRED)]
        if len(self._queue) >= QUEUE_LIMIT:
            return [self._error(request.id, request.reply_to, "queue full")]
        try:
            self._queue.append(_read_call(request, arguments, now_s))
        except WireError as error:
            return [self._error(request.id, request.reply_to, str(error))]
        return self._next(now_s)

    def refuse(self, request: Request, error: str) -> Send:
        """The answer to a call that is not taken."""
        return self._error(request.id, request.reply_to, error)

    def pending(self, left_bytes: int, byte_s: float, now_s: float) -> None:
        """So many bytes have not left yet; each takes `byte_s` on the line."""
        self._poll_s = now_s + min(POLL_MOST_S, max(POLL_LEAST_S, left_bytes * byte_s))

    def drained(self, has_frame_begun: bool, now_s: float) -> list[Effect]:
        """The write is out. A frame that has begun before is no answer."""
        call = self._call
        if self._state != "writing" or call is None:
            return []
        if call.is_answered:
            self._state, self._deadline_s = "waiting", now_s + call.timeout_s
            self._ignored = int(has_frame_begun)
            return []
        return [Send(Plane.CALLS, Reply(call.id, call.reply_to, "", SUCCESS)), *self._end(now_s)]

    def lose_begun(self) -> None:
        """The frame that had begun before the write will not come: it has turned out to be none."""
        self._ignored = 0

    def failed(self, reason: str, now_s: float) -> list[Effect]:
        """The write failed."""
        call = self._call
        if self._state != "writing" or call is None:
            return []
        return [self._error(call.id, call.reply_to, f"write failed: {reason}"), *self._end(now_s)]

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
            is_answered, text = self._state == "late", "the responsePattern takes too long on what the device says"
            effects: list[Effect] = [] if is_answered else [self._error(call.id, call.reply_to, text)]
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
            effects = [self._error(call.id, call.reply_to, f"no answer in {call.timeout_s:g} s")]
            self._state, self._deadline_s = "late", now_s + call.timeout_s
        return effects

    def close(self, error: str) -> list[Effect]:
        """Ends all calls with this error: the port is gone, or the process ends."""
        effects: list[Effect] = []
        call = self._call
        if call is not None and self._state in ("writing", "waiting"):
            text = f"write failed: {error}" if self._state == "writing" else error
            effects.append(self._error(call.id, call.reply_to, text))
        effects += [self._error(waiting.id, waiting.reply_to, error) for waiting in self._queue]
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
            self._counters.add("patterns_timed_out")
        return bool(found)

    def _end(self, now_s: float) -> list[Effect]:
        self._state, self._call, self._ignored = "idle", None, 0
        return self._next(now_s)

    def _next(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._queue and self._state == "idle":
            call = self._queue.popleft()
            if now_s >= call.deadline_s:
                effects.append(self._error(call.id, call.reply_to, EXPIRED))
                continue
            self._counters.add("exchanges")
            timeout_s = self._write_timeout_s
            self._deadline_s = call.deadline_s if timeout_s is None else now_s + timeout_s
            self._poll_s = self._deadline_s
            self._call, self._state, self._is_hopeless = call, "writing", False
            effects.append(WritePort(call.data))
        return effects

    def _error(self, call_id: str, reply_to: str, text: str) -> Send:
        self._counters.add("exchanges_failed")
        return Send(Plane.CALLS, Reply(call_id, reply_to, printable(text), b""))


def _read_call(request: Request, arguments: dict[str, Any] | None, now_s: float) -> Call:
    """The exchange that a request asks for. Raises WireError."""
    arguments = codec.unpack_map(request.body) if arguments is None else arguments
    shapes: dict[str, tuple[type, ...]] = {
        "writes": (list,),
        "method": (str,),
        "with_response": (bool,),
        "timeout_s": (float, int),
        "pattern": (str,),
        "until": (bytes,),
    }
    for name, expected in shapes.items():
        if not isinstance(arguments.get(name), expected):
            raise WireError(f"malformed request: {name}: found {type(arguments.get(name)).__name__}")
    writes = arguments["writes"]
    if not all(isinstance(data, bytes) for data in writes):
        raise WireError("malformed request: writes: expected bytes")
    data = b"".join(writes)
    if not data:
        raise WireError("No data to send")
    try:
        # `check` has told what is doubtful in it.
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            pattern = re.compile(arguments["pattern"].encode())
    except (re.error, RecursionError) as error:
        raise WireError(f"responsePattern is no regular expression: {error}") from None
    return Call(
        request.id,
        request.reply_to,
        data,
        arguments["method"],
        arguments["with_response"],
        float(arguments["timeout_s"]),
        pattern,
        arguments["until"],
        now_s + request.time_left_s,
    )
