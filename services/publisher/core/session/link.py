"""The connection to the platform as a state: when to try, which protocol, when data may flow. Pure.

MQTT 5 first. Where it is refused by name, MQTT 3.1.1 from then on; where a peer only closes before CONNACK, or is
silent, 3.1.1 for one attempt, since a PUBACK means more on MQTT 5. There is no end to the attempts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from common.core.backoff import Backoff
from common.core.events import Level
from services.publisher.core.events import (
    ConnectPlatform,
    DisconnectPlatform,
    LinkDown,
    LinkRefused,
    LinkUp,
)
from services.publisher.core.outlet import Outlet

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
"""So long data waits for the platform's limits."""
PROVED_S: Final = 10.0
"""A connection that stood for so long, or on which data was accepted, counts as a good one."""
UNSUPPORTED_PROTOCOL: Final = 132
CREDENTIALS: Final = frozenset({133, 134, 135, 138, 140})
"""CONNACK: client id, user name or password, not authorized, banned, authentication method."""


class Link:
    """One connection after the other, and each of these states has a deadline:

    | state        | what it waits for            | at the deadline               |
    |--------------|------------------------------|-------------------------------|
    | `down`       | the next attempt             | `connecting`                  |
    | `connecting` | the transport, then CONNACK  | `down`: the attempt failed    |
    | `up`         | the platform's limits, once  | data goes out without them    |

    The delay before the next attempt depends on how good the last connection was: one on which data was accepted, or
    that stood for `PROVED_S`, is tried again at once.
    """

    def __init__(self, draw: Callable[[], float], out: Outlet) -> None:
        """`draw` gives numbers in [0, 1) for jitter, so that not all gateways come back in the same moment."""
        self._draw = draw
        self._out = out
        self.state: State = "down"
        self.protocol = MQTT_5
        self.connection = 0
        """The number of the current connection, or of the last one."""
        self.established = 0
        """Connections that were accepted so far."""
        self.fault = ""
        """Why the last attempt failed, for a person; "" while the connection stands or no attempt has ended."""
        self.next_deadline_s: float | None = 0.0
        """When the present state ends by itself; None if it does not."""
        self._preferred = MQTT_5
        """The version that the next attempt begins with."""
        self._attempt = 0
        """Attempts since the last good connection."""
        self._refusals = 0
        """CONNACKs that refused our credentials, in a row."""
        self._since_s = 0.0
        """When this connection was accepted."""
        self._opened = False
        """True once this attempt has sent CONNECT."""
        self._proved = False

    def start(self, now_s: float) -> None:
        """Connects as soon as `tick` is called."""
        self.next_deadline_s = now_s

    def tick(self, now_s: float) -> None:
        """Does what the time demands: begins an attempt, or gives one up."""
        if self.next_deadline_s is None or now_s < self.next_deadline_s:
            return
        if self.state == "down":
            self.connection += 1
            self.state, self._opened, self._proved = "connecting", False, False
            self.next_deadline_s = now_s + TRANSPORT_TIMEOUT_S
            self._out.order(ConnectPlatform(self.connection, self.protocol))
        elif self.state == "connecting":
            reason = "no answer to CONNECT" if self._opened else "the connection could not be made in time"
            self._out.order(DisconnectPlatform(self.connection))
            self.down(LinkDown(self.connection, reason, reached=self._opened), now_s)

    def opened(self, now_s: float) -> None:
        """CONNECT has been sent."""
        self._opened = True
        self.next_deadline_s = now_s + CONNACK_TIMEOUT_S

    def up(self, event: LinkUp, now_s: float, asks_limits: bool) -> None:
        """CONNACK accepted us. `asks_limits`: data waits for the platform's limits, for LIMITS_TIMEOUT_S at most."""
        self.state, self._since_s, self._refusals, self.fault = "up", now_s, 0, ""
        self.protocol = event.protocol
        self.next_deadline_s = now_s + LIMITS_TIMEOUT_S if asks_limits else None
        self.established += 1
        self._out.note("info", "link.up", protocol="3.1.1" if event.protocol == MQTT_311 else "5")

    def refused(self, event: LinkRefused, now_s: float) -> None:
        """CONNACK refused us. Wrong credentials need a person; everything else may pass."""
        self.state = "down"
        if event.code == UNSUPPORTED_PROTOCOL and self.protocol == MQTT_5:
            self.protocol = self._preferred = MQTT_311
            self.next_deadline_s = now_s
            self._out.note("info", "link.protocol_refused", next="3.1.1")
            return
        if event.code in CREDENTIALS:
            delay_s = REFUSED_RETRY.delay_s(self._refusals, self._draw())
            self._refusals += 1
        else:
            delay_s = self._delay_s()
        self.next_deadline_s = now_s + delay_s
        if self.fault != event.reason:
            self.fault = event.reason
            level: Level = "error" if event.code in CREDENTIALS else "warning"
            self._out.note(level, "link.refused", code=event.code, reason=event.reason, retry_in_s=delay_s)

    def down(self, event: LinkDown, now_s: float) -> None:
        """The connection failed or ended. The same fault is logged once, however often it comes."""
        was_up = self.state == "up"
        is_good = was_up and (self._proved or now_s - self._since_s >= PROVED_S)
        self.state = "down"
        if not was_up and event.reached and self._preferred == MQTT_5:
            self.protocol = MQTT_311 if self.protocol == MQTT_5 else MQTT_5
            if self.protocol == MQTT_311:
                self.next_deadline_s = now_s
                self._out.note("debug", "link.no_connack", reason=event.reason, next="3.1.1")
                return
        elif was_up:
            self.protocol = self._preferred
        if is_good:
            self._attempt = 0
            delay_s = FAST_RETRY.delay_s(0, self._draw())
        else:
            delay_s = self._delay_s()
        self.next_deadline_s = now_s + delay_s
        if was_up:
            self._out.note("warning", "link.lost", reason=event.reason, retry_in_s=delay_s)
        elif self.fault != event.reason:
            self.fault = event.reason
            self._out.note("warning", "link.failed", reason=event.reason, retry_in_s=delay_s)

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
        """The platform has said what it takes: data need not wait any more."""
        if self.state == "up":
            self.next_deadline_s = None

    def may_send_data(self, now_s: float) -> bool:
        """True while the connection stands and the wait for the platform's limits is over."""
        if self.state != "up":
            return False
        if self.next_deadline_s is not None and now_s >= self.next_deadline_s:
            self.next_deadline_s = None
        return self.next_deadline_s is None
