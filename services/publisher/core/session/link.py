"""The connection to the platform as a state: when to try, which protocol, when data may flow. Pure.

MQTT 5 first. Where it is refused by name, MQTT 3.1.1 from then on; where a peer only closes before CONNACK, or is
silent, 3.1.1 for one attempt, since a PUBACK means more on MQTT 5. There is no end to the attempts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from common.core.backoff import Backoff
from common.core.events import Note
from services.publisher.core.events import (
    ConnectPlatform,
    DisconnectPlatform,
    LinkDown,
    LinkRefused,
    LinkUp,
)

State = Literal["up", "connecting", "down"]

MQTT_5: Final = 5
MQTT_311: Final = 4
FAST_RETRY: Final = Backoff(0.2, 0.2)
"""A connection that stood and dropped is tried again at once, nearly."""
RETRY: Final = Backoff(1.0, 60.0)
REFUSED_RETRY: Final = Backoff(15.0, 60.0)
"""Wrong credentials do not mend themselves within a second."""
TRANSPORT_TIMEOUT_S: Final = 15.0
"""From the order to CONNECT; the transport itself gives up after 5 s for each address, and for TLS."""
CONNACK_TIMEOUT_S: Final = 5.0
"""From CONNECT to CONNACK."""
LIMITS_TIMEOUT_S: Final = 2.0
PROVED_S: Final = 10.0
"""A connection that stood for so long, or on which data was accepted, counts as a good one."""
UNSUPPORTED_PROTOCOL: Final = 132
CREDENTIALS: Final = frozenset({133, 134, 135, 138, 140})
"""CONNACK: client id, user name or password, not authorized, banned, authentication method."""


class Link:
    """One connection after the other."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self.state: State = "down"
        self.protocol = MQTT_5
        self.connection = 0
        """The number of the current connection, or of the last one."""
        self.established = 0
        """Connections that were accepted so far."""
        self._preferred = MQTT_5
        self._attempt = 0
        self._refusals = 0
        self._since_s = 0.0
        self._opened = False
        self._until_s = 0.0
        """When an attempt is given up."""
        self._retry_s = 0.0
        self._proved = False
        self._limits_until_s: float | None = None
        self._fault = ""

    @property
    def fault(self) -> str:
        """Why the last attempt failed, for a person; "" while the connection stands or no attempt has ended."""
        return self._fault

    def start(self, now_s: float) -> None:
        """Connects as soon as `tick` is called."""
        self._retry_s = now_s

    def tick(self, now_s: float) -> list[ConnectPlatform | DisconnectPlatform | Note]:
        """What the time demands: an attempt, or giving one up."""
        if self.state == "down" and now_s >= self._retry_s:
            self.connection += 1
            self.state, self._opened, self._proved = "connecting", False, False
            self._until_s = now_s + TRANSPORT_TIMEOUT_S
            return [ConnectPlatform(self.connection, self.protocol)]
        if self.state == "connecting" and now_s >= self._until_s:
            reason = "no answer to CONNECT" if self._opened else "the connection could not be made in time"
            event = LinkDown(self.connection, reason, reached=self._opened)
            return [DisconnectPlatform(self.connection), *self.down(event, now_s)]
        return []

    def opened(self, now_s: float) -> None:
        """CONNECT has been sent."""
        self._opened = True
        self._until_s = now_s + CONNACK_TIMEOUT_S

    def up(self, event: LinkUp, now_s: float, asks_limits: bool) -> list[Note]:
        """CONNACK accepted us. `asks_limits`: data waits for the platform's limits, for LIMITS_TIMEOUT_S at most."""
        self.state, self._since_s, self._refusals, self._fault = "up", now_s, 0, ""
        self.protocol = event.protocol
        self._limits_until_s = now_s + LIMITS_TIMEOUT_S if asks_limits else None
        self.established += 1
        return [Note("info", "link.up", {"protocol": "3.1.1" if event.protocol == MQTT_311 else "5"})]

    def refused(self, event: LinkRefused, now_s: float) -> list[Note]:
        """CONNACK refused us."""
        self.state = "down"
        if event.code == UNSUPPORTED_PROTOCOL and self.protocol == MQTT_5:
            self.protocol = self._preferred = MQTT_311
            self._retry_s = now_s
            return [Note("info", "link.protocol_refused", {"next": "3.1.1"})]
        if event.code in CREDENTIALS:
            delay_s = REFUSED_RETRY.delay_s(self._refusals, self._draw())
            self._refusals += 1
        else:
            delay_s = self._delay_s()
        self._retry_s = now_s + delay_s
        if self._fault == event.reason:
            return []
        self._fault = event.reason
        facts = {"code": event.code, "reason": event.reason, "retry_in_s": delay_s}
        return [Note("error" if event.code in CREDENTIALS else "warning", "link.refused", facts)]

    def down(self, event: LinkDown, now_s: float) -> list[Note]:
        """The connection failed or ended."""
        was_up = self.state == "up"
        is_good = was_up and (self._proved or now_s - self._since_s >= PROVED_S)
        self.state = "down"
        if not was_up and event.reached and self._preferred == MQTT_5:
            self.protocol = MQTT_311 if self.protocol == MQTT_5 else MQTT_5
            if self.protocol == MQTT_311:
                self._retry_s = now_s
                return [Note("debug", "link.no_connack", {"reason": event.reason, "next": "3.1.1"})]
        elif was_up:
            self.protocol = self._preferred
        if is_good:
            self._attempt = 0
            delay_s = FAST_RETRY.delay_s(0, self._draw())
        else:
            delay_s = self._delay_s()
        self._retry_s = now_s + delay_s
        facts = {"reason": event.reason, "retry_in_s": delay_s}
        if was_up:
            return [Note("warning", "link.lost", facts)]
        if self._fault == event.reason:
            return []
        self._fault = event.reason
        return [Note("warning", "link.failed", facts)]

    def _delay_s(self) -> float:
        # Each delay twice: an outage of some seconds is then over for us soon after it is over.
        delay_s = RETRY.delay_s(self._attempt // 2, self._draw())
        self._attempt += 1
        return delay_s

    def prove(self) -> None:
        """Data was accepted on this connection."""
        if not self._proved:
            self._proved = True
            self._attempt = 0

    def end_limits_wait(self) -> None:
        """The platform has answered, or will not."""
        self._limits_until_s = None

    def may_send_data(self, now_s: float) -> bool:
        """True while the connection stands and nothing is to be waited for."""
        if self._limits_until_s is not None and now_s >= self._limits_until_s:
            self._limits_until_s = None
        return self.state == "up" and self._limits_until_s is None

    @property
    def next_deadline_s(self) -> float | None:
        """When `tick` or `may_send_data` has to be asked again."""
        if self.state == "down":
            return self._retry_s
        if self.state == "connecting":
            return self._until_s
        return self._limits_until_s
