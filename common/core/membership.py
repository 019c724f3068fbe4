"""A process among the others: it registers with each new broker and every few seconds, and beats each second. Part of
every core but the broker's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from common.core.events import Arrived, CommonEffect, Junk, Note, Reconnected, Send, Start, answer
from common.core.liveness import BEAT_S
from common.core.version import PROTOCOL, RELEASE
from common.wire.calls import Beat, pack_body, reply, verb_of
from common.wire.messages import Heartbeat, Identity, Plane, Register, Registered, Request

ASKED_S: Final = 5.0
REGISTER_RETRY_S: Final = 0.25
"""A registration that got no answer, or a refusal, is said again after this: the broker may be starting."""
REGISTER_AGAIN_S: Final = 3.0
"""An accepted one is repeated: the broker knows our connection by it, and a connection can break while both live."""


class Registering:
    """When a registration is said again, and for what reason it was refused last."""

    def __init__(self) -> None:
        self.retry_s = 0.0
        """If it is not answered."""
        self.again_s = 0.0
        """If it is accepted."""
        self.refusal = ""

    def said(self, now_s: float) -> None:
        """It is said now."""
        self.retry_s, self.again_s = now_s + REGISTER_RETRY_S, now_s + REGISTER_AGAIN_S

    def refused(self, reason: str, now_s: float) -> bool:
        """The broker has refused it. True if the reason is another one than before, and so to be told."""
        self.retry_s = now_s + BEAT_S
        is_new, self.refusal = reason != self.refusal, reason
        return is_new


class Membership:
    """Registration and heartbeat of one process.

    The core hands it every event first (`handle`): the start, the broker's answers, a new broker, a connection that was
    made anew. On each event it asks whether a beat is due (`is_due`), and then gives the state and counters to send
    (`beat`).
    """

    def __init__(self, identity: Identity, detail: dict[str, Any], asks: Iterable[str] = ()) -> None:
        """`detail`: what the broker is to know of us. `asks`: addresses of those whose heartbeats are wanted as soon
        as a broker has accepted us, since they beat once in a while only, or since nothing can be done before."""
        self.identity = identity
        self.detail = detail
        self.broker = ""
        """The broker's instance that has accepted us; "" while there is none."""
        self.asks = tuple(asks)
        self.frames_endpoint = ""
        self.junk = 0
        self._started_s = 0.0
        self._beat_s = 0.0
        self._said = Registering()

    def handle(self, event: object, now_s: float) -> list[CommonEffect]:
        """Effects of what concerns membership; [] for everything else."""
        match event:
            case Start():
                # The first beat is due at once.
                self._started_s = self._beat_s = now_s
                return self._register(now_s)
            case Arrived(message=Registered() as said):
                return self._answered(said, now_s)
            case Arrived(message=Heartbeat(kind="broker") as beat) if self.broker not in ("", beat.instance):
                self.broker = ""
                return self._register(now_s)
            case Reconnected():
                # Said again until it is answered.
                self.broker = ""
                return self._register(now_s)
            case Junk(plane=plane, reason=reason):
                self.junk += 1
                if self.junk == 1:
                    return [Note("warning", "wire.junk", {"plane": plane.value, "reason": reason})]
        if not self.broker and now_s >= self._said.retry_s:
            return self._register(now_s)
        return []

    def update(self, detail: dict[str, Any], now_s: float) -> list[CommonEffect]:
        """Registers again under new facts, such as another section."""
        self.detail = detail
        return self._register(now_s)

    def is_due(self, now_s: float) -> bool:
        """True when a heartbeat has to go out now."""
        return now_s >= self._beat_s

    def _ask_for_beats(self) -> list[CommonEffect]:
        verb, body, who = verb_of(Beat), pack_body(Beat()), self.identity.address
        return [
            Send(Plane.CALLS, Request(f"beat-{self.identity.instance}", who, address, verb, "", "", ASKED_S, body))
            for address in self.asks
        ]

    def answer(self, request: Request, now_s: float) -> list[CommonEffect]:
        """The answer to who asks for a beat, which is due now."""
        self._beat_s = min(self._beat_s, now_s)
        return [answer(reply(request, None))]

    def show(self, now_s: float) -> None:
        """The next beat is due now."""
        self._beat_s = min(self._beat_s, now_s)

    def hurry(self, now_s: float) -> None:
        """The next beat is due within a second, whatever the last one promised."""
        self._beat_s = min(self._beat_s, now_s + BEAT_S)

    def beat(
        self, now_s: float, state: dict[str, Any], counters: dict[str, int], every_s: float = BEAT_S
    ) -> list[CommonEffect]:
        """The heartbeat, and now and then the registration; the next one is due after `every_s`."""
        self._beat_s = now_s + every_s
        who = self.identity
        uptime_s = now_s - self._started_s
        counters = {**counters, "junk_messages": self.junk}
        state = {**state, "release": RELEASE, "registered": bool(self.broker)}
        beat = Heartbeat(who.kind, who.name, who.instance, who.pid, who.host, uptime_s, state, counters, every_s)
        # A slow-beating process learns of reconnections by `Reconnected`, so it need not re-register periodically.
        again = self._register(now_s) if self.broker and now_s >= self._said.again_s and every_s == BEAT_S else []
        return [Send(Plane.EVENTS, beat), *again]

    @property
    def next_deadline_s(self) -> float:
        return self._beat_s if self.broker else min(self._beat_s, self._said.retry_s)

    def _register(self, now_s: float) -> list[CommonEffect]:
        self._said.said(now_s)
        who = self.identity
        detail = {**self.detail, "release": RELEASE, "protocol": PROTOCOL}
        message = Register(who.kind, who.name, who.instance, who.pid, who.host, who.lock, detail)
        return [Send(Plane.CALLS, message)]

    def _answered(self, said: Registered, now_s: float) -> list[CommonEffect]:
        if said.accepted:
            is_new = said.broker != self.broker
            self.broker, self.frames_endpoint, self._said.refusal = said.broker, said.frames_endpoint, ""
            return self._ask_for_beats() if is_new else []
        if not self._said.refused(said.reason, now_s):
            return []
        return [Note("warning", "registration.refused", {"reason": said.reason})]
