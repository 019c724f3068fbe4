"""What hosted connectors ask the platform: attributes of their devices, as it has them. Pure.

A question goes out once its device was announced on this connection, since the server would create a device that it
does not know, of a type of its own choice. It is asked again on the next connection if it had no answer on this one,
and each is answered once: by what the platform says, or by why it has said nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from common.core.events import answer
from common.wire.calls import EXPIRED, QUEUE_FULL, AskAttributes, hosted_connector, refuse, reply
from common.wire.messages import Request
from services.publisher.core.dialects import AttributesAnswer, Dialect, Outgoing
from services.publisher.core.outlet import Outlet
from services.publisher.core.replies import Replies

MOST_OPEN: Final = 1_000
"""Questions of all connectors at a time; the next one is refused at once."""
MOST_OF_ONE: Final = 64
"""Of these, so many of one connector: it sends no more at a time, and one that does leaves room for others."""
MOST_KEYS: Final = 1_000
"""Attributes in one question."""
NOT_ASKABLE: Final = "this platform can't be asked for attributes"


def not_announced(device: str, time_s: float) -> str:
    """The platform does not know the device, or is not there."""
    return f"the platform has not taken device {device} for connected within {time_s:g} s"


def not_answered(time_s: float) -> str:
    """A plain MQTT broker never answers."""
    return f"the platform has not answered within {time_s:g} s"


@dataclass(slots=True)
class _Question:
    """A question without an answer."""

    request: Request
    asked: AskAttributes
    began_s: float
    number: int = 0
    """Under which it was asked on this connection; 0 while it waits."""
    message: Outgoing | None = None
    """What asks it, once it was asked."""

    @property
    def deadline_s(self) -> float:
        return self.began_s + self.request.time_left_s


class Questions:
    """All open questions, MOST_OPEN at most."""

    def __init__(
        self,
        dialect: Dialect,
        replies: Replies,
        out: Outlet,
        *,
        number: Callable[[], int],
        shown: Callable[[str], str],
        is_announced: Callable[[str, str], bool],
    ) -> None:
        """`number` gives each question one that no other has; `shown`: what the platform calls a device;
        `is_announced(device, stream)`: true if the device of that connector's was announced on this connection."""
        self._dialect = dialect
        self._replies = replies
        self._out = out
        self._number = number
        self._shown = shown
        self._is_announced = is_announced
        self._open: dict[str, _Question] = {}
        self.due_s: float | None = None
        """When `expire` has to be called. No property: it is asked for at each turn, and mostly None."""

    def begin(self, request: Request, asked: AskAttributes, now_s: float) -> None:
        """A connector asks; the same request once more is no new question."""
        if request.id in self._open:
            return
        if hosted_connector(request.device) is None:
            self._refuse(request, f"found device {request.device}, expected a hosted connector's stream")
        elif not 0 < len(asked.keys) <= MOST_KEYS:
            self._refuse(request, f"found {len(asked.keys)} attributes, expected 1 to {MOST_KEYS}")
        elif len(self._open) >= MOST_OPEN or self._count_of(request.device) >= MOST_OF_ONE:
            self._refuse(request, QUEUE_FULL)
        else:
            question = self._open[request.id] = _Question(request, asked, now_s)
            self._ask(question, now_s)
            self._look()

    def announced(self, device: str, now_s: float) -> None:
        """The platform has taken a device for connected: what waits for that is asked."""
        for question in list(self._open.values()):
            if question.asked.device == device and not question.number:
                self._ask(question, now_s)

    def connection_begun(self) -> None:
        """What had no answer on the last connection is asked again, each when its device was announced on this one."""
        self._replies.remove([question.message for question in self._open.values() if question.message])
        for question in self._open.values():
            question.number, question.message = 0, None

    def answered(self, said: AttributesAnswer) -> bool:
        """True if the platform's answer is to one of these questions."""
        for question in self._open.values():
            if question.number == said.request and question.asked.device == said.device:
                parts: dict[str, object] = {"id": said.request, "device": said.device}
                if said.value:
                    parts["value"] = msgspec.Raw(said.value)
                if said.values:
                    parts["values"] = msgspec.Raw(said.values)
                del self._open[question.request.id]
                self._look()
                self._out.order(answer(reply(question.request, msgspec.json.encode(parts))))
                return True
        return False

    def expire(self, now_s: float) -> None:
        """Says of each question whose time is over why it has no answer."""
        for question in [question for question in self._open.values() if now_s >= question.deadline_s]:
            time_s = question.request.time_left_s
            why = not_answered(time_s) if question.number else not_announced(question.asked.device, time_s)
            self._end(question, why)

    def end_all(self, error: str) -> None:
        """Ends every open question with this error."""
        for question in list(self._open.values()):
            self._end(question, error)

    def _count_of(self, stream: str) -> int:
        return sum(question.request.device == stream for question in self._open.values())

    def _look(self) -> None:
        self.due_s = min((question.deadline_s for question in self._open.values()), default=None)

    def _ask(self, question: _Question, now_s: float) -> None:
        asked = question.asked
        if not self._is_announced(asked.device, question.request.device):
            return
        number = self._number()
        message = self._dialect.ask_attributes(number, self._shown(asked.device), asked.keys, is_client=asked.is_client)
        if message is None:
            self._end(question, NOT_ASKABLE)
            return
        question.number, question.message = number, message
        self._replies.add(message, now_s)

    def _end(self, question: _Question, error: str) -> None:
        del self._open[question.request.id]
        self._look()
        if question.message is not None:
            self._replies.remove([question.message])
        self._refuse(question.request, error)

    def _refuse(self, request: Request, error: str) -> None:
        self._out.order(answer(refuse(request, error or EXPIRED)))
