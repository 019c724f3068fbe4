"""Getting credentials from the platform, before anything else can be said to it. Pure.

A connection is made for it, as for everything else (`link`); the question goes out, and the answer ends the connection.
Who is refused asks again, more and more slowly: somebody may be putting the key right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from common.core.deadlines import earliest
from services.publisher.core.dialects.provisioning import Ask, Denied, Given, ProvisioningWords
from services.publisher.core.events import (
    CredentialsKept,
    DisconnectPlatform,
    KeepCredentials,
    LinkDown,
    LinkEvent,
    LinkOpened,
    LinkRefused,
    LinkUp,
    PlatformMessage,
    Probed,
    Publish,
)
from services.publisher.core.outlet import Outlet
from services.publisher.core.session.faults import Place, describe_denial, describe_unanswered
from services.publisher.core.session.link import REFUSED_RETRY, Link

ANSWER_S: Final = 30.0
"""So long the answer may take. ThingsBoard ends such a connection after a minute."""
KEEP_RETRY_S: Final = 30.0
"""Credentials that could not be written are written again after this."""


class Provisioner:
    """Asks until it is given credentials, which the shell keeps and uses from then on (`KeepCredentials`)."""

    def __init__(
        self, place: Place, words: ProvisioningWords, ask: Ask, draw: Callable[[], float], out: Outlet
    ) -> None:
        """`draw` gives numbers in [0, 1) for jitter."""
        self._place = place._replace(credentials="provisioning")
        self._words = words
        self._ask = ask
        self._draw = draw
        self._out = out
        self.link = Link(self._place, draw, out)
        self.is_done = False
        """True once there are credentials."""
        self._answer_until_s: float | None = None
        self._denials = 0
        self._content = b""
        """Credentials that are not on the disk yet."""
        self._keep_at_s: float | None = None
        self._has_failed = False

    @property
    def next_deadline_s(self) -> float | None:
        """When `tick` has something to do."""
        link_s = None if self.is_done else self.link.next_deadline_s
        return earliest(link_s, self._answer_until_s, self._keep_at_s)

    def tick(self, now_s: float) -> None:
        """Does what the time demands."""
        if self._answer_until_s is not None and now_s >= self._answer_until_s:
            self._deny(describe_unanswered(self._place, ANSWER_S), now_s)
        if self._keep_at_s is not None and now_s >= self._keep_at_s:
            self._keep()
        if not self.is_done:
            self.link.tick(now_s)

    def hear(self, event: LinkEvent, now_s: float) -> None:
        """What happens on the connection that is made for this."""
        state = self.link.state
        match event:
            case LinkOpened() if state == "connecting":
                self.link.opened(now_s)
            case LinkUp() if state == "connecting":
                self.link.up(event, now_s, asks_limits=False)
                self._answer_until_s = now_s + ANSWER_S
                self._out.order(Publish(self.link.connection, 1, *self._words.request(self._ask)))
            case LinkRefused() if state == "connecting":
                self.link.refused(event, now_s)
            case LinkDown() if state == "up":
                self._deny(describe_unanswered(self._place, None), now_s)
            case LinkDown() if state == "connecting":
                self.link.down(event, now_s)
            case Probed() if state == "down":
                self.link.probed(event, now_s)
            case PlatformMessage(is_retained=False) if state == "up":
                self._take(self._words.answer(event.topic, event.payload), now_s)
            case _:
                pass  # Nothing that says anything here.

    def _take(self, answer: Given | Denied | None, now_s: float) -> None:
        match answer:
            case Given(type=kind, content=content) if kind == self._ask.type:
                self._answer_until_s = None
                self._out.order(DisconnectPlatform(self.link.connection))
                self._out.note("info", "gateway.provisioned", credentials=kind, device=self._ask.device_name)
                self._content = content
                self.is_done = True
                self._keep()
            case Given():
                self._deny(describe_denial(self._place, Denied("unclear"), self._ask.device_name), now_s)
            case Denied():
                self._deny(describe_denial(self._place, answer, self._ask.device_name), now_s)

    def _deny(self, reason: str, now_s: float) -> None:
        self._answer_until_s = None
        delay_s = REFUSED_RETRY.delay_s(self._denials, self._draw())
        self._denials += 1
        self.link.deny("gateway.not_provisioned", reason, delay_s, now_s)

    def _keep(self) -> None:
        self._keep_at_s = None
        self._out.order(KeepCredentials(self._content))

    def forget(self) -> None:
        """What could not be written so far is not wanted any more."""
        self._content, self._keep_at_s = b"", None

    def kept(self, event: CredentialsKept, now_s: float) -> None:
        """They were written, or not: then they serve as long as this process lives, and it is tried again."""
        if not event.error:
            self._content = b""
            return
        self._keep_at_s = now_s + KEEP_RETRY_S
        if not self._has_failed:
            self._has_failed = True
            then = "they serve until the gateway is started again, and it would have to ask anew"
            self._out.note("error", "credentials.not_kept", reason=event.error, retry_in_s=KEEP_RETRY_S, then=then)
