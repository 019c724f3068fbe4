"""Calls of the platform to hosted connectors themselves: `<type>_<method>` on the gateway's own device. Pure.

Each goes to every connector of that type, as in the reference, and the first that returns something has answered it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from common.core.errors import WireError
from common.wire import codec
from common.wire.calls import CallConnector, host_of, hosted_stream, pack_body, verb_of
from common.wire.messages import PUBLISHER, Reply, Request

OWN_METHODS: Final = "gateway_"
"""Methods that begin so are the gateway's own, whatever types there are."""
MOST_OPEN: Final = 100
"""Calls to connectors at a time; the next one is refused at once."""


class ConnectorAnswer(NamedTuple):
    """How a call has ended: `error` "" and JSON (b"" where no connector has returned anything), or an error text."""

    request: str
    data: bytes
    error: str = ""
    is_late: bool = False
    began_s: float = 0.0
    """When it was asked."""


class _Open(NamedTuple):
    """A call whose answer is not known yet."""

    request: str
    began_s: float
    deadline_s: float
    steps: dict[str, Request]
    """Correlation id → what was asked of a connector that has not answered yet."""


class ConnectorCalls:
    """Which connectors there are of which type, and the calls to them that are open."""

    def __init__(self, types: Mapping[str, Sequence[str]], prefix: str) -> None:
        """`types`: the connectors of each type, by name; `prefix` begins the ids that are made here."""
        self._types = types
        self._prefix = prefix
        self._count = 0
        self._open: list[_Open] = []

    def split(self, method: str) -> tuple[str, str] | None:
        """(type, what the connectors know the method as); None for a method that is meant for none of them."""
        if method.startswith(OWN_METHODS):
            return None
        # Of two types that fit the longer one is meant: a type may have an underscore itself.
        for kind in sorted(self._types, key=len, reverse=True):
            if method.startswith(f"{kind}_") and len(method) > len(kind) + 1:
                return kind, method[len(kind) + 1 :]
        return None

    def begin(self, request: str, method: str, params: bytes, deadline_s: float, now_s: float) -> list[Request]:
        """Asks every connector that the method is meant for; [] where there are too many calls already."""
        found = self.split(method)
        if found is None or len(self._open) >= MOST_OPEN:
            return []
        kind, rest = found
        body, steps = pack_body(CallConnector(rest, params, request)), {}
        for name in self._types[kind]:
            self._count += 1
            call_id = f"{self._prefix}-c{self._count}"
            stream, left_s = hosted_stream(name), deadline_s - now_s
            steps[call_id] = Request(
                call_id, PUBLISHER, host_of(name), verb_of(CallConnector), stream, "", left_s, body
            )
        self._open.append(_Open(request, now_s, deadline_s, steps))
        return list(steps.values())

    def is_open(self, call_id: str) -> bool:
        """True for the id of a step that nobody has answered yet."""
        return any(call_id in call.steps for call in self._open)

    def reply(self, reply: Reply) -> ConnectorAnswer | None:
        """A connector has answered, or could not be asked; the call's end, if it is that."""
        call = next((call for call in self._open if reply.id in call.steps), None)
        if call is None:
            return None
        del call.steps[reply.id]
        data, error = (b"", reply.error) if reply.error else _json_of(reply.body)
        if data:
            self._open.remove(call)
            return ConnectorAnswer(call.request, data, began_s=call.began_s)
        if call.steps:
            return None
        self._open.remove(call)
        return ConnectorAnswer(call.request, b"", error, began_s=call.began_s)

    def expire(self, now_s: float) -> list[ConnectorAnswer]:
        """The calls whose time is over."""
        if not self._open:
            return []
        late = [call for call in self._open if now_s >= call.deadline_s]
        self._open = [call for call in self._open if now_s < call.deadline_s]
        return [ConnectorAnswer(call.request, b"", "Request timeout", True, call.began_s) for call in late]

    def end_all(self, error: str) -> list[ConnectorAnswer]:
        """Ends every open call with this error."""
        ended, self._open = self._open, []
        return [ConnectorAnswer(call.request, b"", error, began_s=call.began_s) for call in ended]

    @property
    def next_deadline_s(self) -> float | None:
        """When `expire` has to be called."""
        return min((call.deadline_s for call in self._open), default=None)


def _json_of(body: bytes) -> tuple[bytes, str]:
    """(JSON, "") of a reply's body, or (b"", why there is none)."""
    try:
        data = codec.unpack(body)
        if isinstance(data, bytes):
            if data:
                msgspec.json.decode(data)
            return data, ""
    except (WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return b"", "the reply is no JSON"
