"""What the connector asks the platform: to the publisher, and back to what the connector has left for it. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import msgspec

from common.core.errors import WireError
from common.core.events import Send
from common.wire import codec
from common.wire.calls import AskAttributes, hosted_stream, pack_body, verb_of
from common.wire.messages import PUBLISHER, Identity, Plane, Reply, Request
from services.connector_host.core.events import AttributesAsked, CallBack

ANSWER_S: Final = 30.0
"""So long an answer is waited for, as in the reference. The device may have to be announced first."""
SPARE_S: Final = 2.0
"""The publisher says by itself why there is no answer; one that is killed meanwhile says nothing."""
NO_ANSWER: Final = f"no answer within {ANSWER_S + SPARE_S:g} s"
NOT_ASKED: Final = f"not asked within {ANSWER_S:g} s: there were too many questions before it"
ASKED_AT_ONCE: Final = 64
"""Questions of one connector that are with the publisher, which has others to serve; further ones wait here."""


class _Waiting(NamedTuple):
    """A question that was not sent yet."""

    asked: AttributesAsked
    deadline_s: float


class _Open(NamedTuple):
    """A question without an answer."""

    number: int
    deadline_s: float


class Questions:
    """The open questions of one connector; the shell, which keeps what is called back, bounds them."""

    def __init__(self, identity: Identity, connector: str) -> None:
        self._identity = identity
        self._stream = hosted_stream(connector)
        self._open: dict[str, _Open] = {}
        """Correlation id → the question."""
        self._waiting: deque[_Waiting] = deque()

    def begin(self, asked: AttributesAsked, now_s: float) -> list[Send]:
        """Takes a question, and sends it to the publisher if not too many are with it."""
        self._waiting.append(_Waiting(asked, now_s + ANSWER_S))
        return self._send(now_s)

    def is_open(self, call_id: str) -> bool:
        """True for the id of a question without an answer."""
        return call_id in self._open

    def reply(self, reply: Reply, now_s: float) -> list[CallBack | Send]:
        """The publisher has answered, or the broker has for it."""
        return [_answered(self._open.pop(reply.id).number, reply), *self._send(now_s)]

    def expire(self, now_s: float) -> list[CallBack | Send]:
        """Ends the questions whose time is over."""
        late: list[CallBack | Send] = []
        for call_id in [call_id for call_id, question in self._open.items() if now_s >= question.deadline_s]:
            late.append(CallBack(self._open.pop(call_id).number, b"", NO_ANSWER))
        while self._waiting and now_s >= self._waiting[0].deadline_s:
            late.append(CallBack(self._waiting.popleft().asked.number, b"", NOT_ASKED))
        return [*late, *self._send(now_s)] if late else []

    @property
    def next_deadline_s(self) -> float | None:
        """When `expire` has to be called."""
        times = [question.deadline_s for question in self._open.values()]
        if self._waiting:
            times.append(self._waiting[0].deadline_s)
        return min(times, default=None)

    def _send(self, now_s: float) -> list[Send]:
        sends = []
        while self._waiting and len(self._open) < ASKED_AT_ONCE:
            asked, deadline_s = self._waiting.popleft()
            who, left_s = self._identity, deadline_s - now_s
            call_id = f"ask-{who.instance}-{asked.number}"
            self._open[call_id] = _Open(asked.number, deadline_s + SPARE_S)
            verb, body = verb_of(AskAttributes), pack_body(AskAttributes(asked.device, asked.keys, asked.is_client))
            request = Request(call_id, who.address, PUBLISHER, verb, self._stream, "", left_s, body)
            sends.append(Send(Plane.CALLS, request))
        return sends


def _answered(number: int, reply: Reply) -> CallBack:
    if reply.error:
        return CallBack(number, b"", reply.error)
    try:
        content = codec.unpack(reply.body)
        if isinstance(content, bytes):
            msgspec.json.decode(content)
            return CallBack(number, content)
    except (WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return CallBack(number, b"", "the reply is no JSON")
