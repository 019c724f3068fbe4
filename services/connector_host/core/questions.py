"""What the connector asks the platform: to the publisher, and back to what the connector has left for it. Pure."""

from __future__ import annotations

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
        """Correlation id → the question, in the order of their deadlines."""

    def begin(self, asked: AttributesAsked, now_s: float) -> list[Send]:
        """Sends a question to the publisher."""
        who = self._identity
        call_id = f"ask-{who.instance}-{asked.number}"
        self._open[call_id] = _Open(asked.number, now_s + ANSWER_S + SPARE_S)
        verb, body = verb_of(AskAttributes), pack_body(AskAttributes(asked.device, asked.keys, asked.is_client))
        return [Send(Plane.CALLS, Request(call_id, who.address, PUBLISHER, verb, self._stream, "", ANSWER_S, body))]

    def is_open(self, call_id: str) -> bool:
        """True for the id of a question without an answer."""
        return call_id in self._open

    def reply(self, reply: Reply) -> list[CallBack]:
        """The publisher has answered, or the broker has for it."""
        number = self._open.pop(reply.id).number
        if reply.error:
            return [CallBack(number, b"", reply.error)]
        try:
            content = codec.unpack(reply.body)
            if isinstance(content, bytes):
                msgspec.json.decode(content)
                return [CallBack(number, content)]
        except (WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        return [CallBack(number, b"", "the reply is no JSON")]

    def expire(self, now_s: float) -> list[CallBack]:
        """The questions whose time is over."""
        late = [call_id for call_id, question in self._open.items() if now_s >= question.deadline_s]
        return [CallBack(self._open.pop(call_id).number, b"", NO_ANSWER) for call_id in late]

    @property
    def next_deadline_s(self) -> float | None:
        """When `expire` has to be called."""
        return next((question.deadline_s for question in self._open.values()), None)
