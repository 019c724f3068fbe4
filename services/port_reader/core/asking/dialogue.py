"""One question on the line: its steps, and how far it is.

    writing -> waiting -> writing ...      `send`, then what is expected, or the next step
            -> pausing -> writing ...      `wait`
            -> done                        the last step is over, and its answer, if one is wanted, has come

Each state has one time at which it ends without the device.
"""

from __future__ import annotations

from typing import Final, Literal

from common.config.asking import Ask, Step
from services.port_reader.core.events import AdjustLine, CancelWrite, CheckWrite, Effect, WritePort

WRITE_S: Final = 10.0
"""A write that has not left the machine after so long has failed, where `writeTimeout` says nothing: flow control holds
it, or the adapter hangs. 1,200 bytes take ten seconds at 1200 baud."""
POLL_LEAST_S: Final = 0.001
POLL_MOST_S: Final = 0.05
NEVER_S: Final = float("inf")

State = Literal["writing", "waiting", "pausing", "done"]


class Dialogue:
    """The steps of one question, or of the words that a device is told after an opening."""

    def __init__(
        self,
        member: int,
        steps: tuple[Step, ...],
        ask: Ask | None,
        *,
        timeout_s: float,
        write_timeout_s: float | None,
        place: int | None = None,
        attempt: int = 0,
        since_s: float = 0.0,
    ) -> None:
        """`ask`: whose answer is awaited behind the last step; None: nobody's, as after an opening. `place` and
        `since_s`: the question's place in the schedule, and since when its turn is due."""
        self.member = member
        self.ask = ask
        self.place = place
        self.attempt = attempt
        self.since_s = since_s
        self.state: State = "pausing"
        self.ends_s = NEVER_S
        """When the state is over: the write has failed, the answer has not come, the pause has ended."""
        self.expected = ""
        """The name of the message that must come next; "" for the answer to the question itself."""
        self.written = b""
        """What was written last: a line with an echo says it first."""
        self.ignored = 0
        """Frames that had begun before the write was out, and so are no answer to a question that knows nothing of its
        answer."""
        self.out_s = NEVER_S
        """When the last write was out; infinite before the first one."""
        self._steps = steps
        self._at = 0
        self._timeout_s = timeout_s
        self._write_timeout_s = WRITE_S if write_timeout_s is None else write_timeout_s
        self._poll_s = NEVER_S

    @property
    def next_deadline_s(self) -> float:
        return min(self._poll_s, self.ends_s) if self.state == "writing" else self.ends_s

    @property
    def is_probe(self) -> bool:
        """True for a question outside the turns: one to a device that is gone."""
        return self.ask is not None and self.place is None

    @property
    def is_last(self) -> bool:
        """True once what is awaited is the answer to the question itself."""
        return self._at >= len(self._steps) and not self.expected

    def advance(self, now_s: float) -> list[Effect]:
        """Goes on with the next step, up to one that takes time."""
        effects: list[Effect] = []
        self._poll_s, self.expected = NEVER_S, ""
        while self._at < len(self._steps):
            step = self._steps[self._at]
            self._at += 1
            match step.kind:
                case "send":
                    self.state, self.ends_s, self.written = "writing", now_s + self._write_timeout_s, step.data
                    return [*effects, WritePort(step.data)]
                case "expect":
                    self.state, self.ends_s, self.expected = "waiting", now_s + self._timeout_s, step.message
                    return effects
                case "wait":
                    self.state, self.ends_s = "pausing", now_s + step.value
                    return effects
                case "baudrate":
                    effects.append(AdjustLine(baudrate=int(step.value)))
                case "dtr":
                    effects.append(AdjustLine(dtr=bool(step.value)))
                case "rts":
                    effects.append(AdjustLine(rts=bool(step.value)))
        if self.ask is None:
            self.state, self.ends_s = "done", NEVER_S
        else:
            self.state, self.ends_s = "waiting", now_s + self._timeout_s
        return effects

    def pending(self, left_bytes: int, byte_s: float, now_s: float) -> None:
        """So many bytes have not left yet; each takes `byte_s` on the line."""
        self._poll_s = now_s + min(POLL_MOST_S, max(POLL_LEAST_S, left_bytes * byte_s))

    def drained(self, has_frame_begun: bool, now_s: float) -> list[Effect]:
        """The write is out."""
        self.ignored, self.out_s = int(has_frame_begun), now_s
        return self.advance(now_s)

    def check(self, now_s: float) -> list[Effect] | None:
        """What is due: a look at the write, the next step. None: the time is over, and the question has failed."""
        if now_s < self.next_deadline_s:
            return []
        if self.state == "writing" and now_s < self.ends_s:
            self._poll_s = now_s + POLL_MOST_S
            return [CheckWrite()]
        return self.advance(now_s) if self.state == "pausing" else None

    def cancel(self) -> list[Effect]:
        """What follows for the line where it ends before its end."""
        return [CancelWrite()] if self.state == "writing" else []
