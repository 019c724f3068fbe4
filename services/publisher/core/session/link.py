"""The connection to the platform as a state: when to try, which protocol, when data may flow. Pure.

MQTT 5 first. Where it is refused by name, MQTT 3.1.1 from then on; where a peer only closes before CONNACK, or is
silent, 3.1.1 for one attempt, since a PUBACK means more on MQTT 5. There is no end to the attempts.

What went wrong is said in the words of `faults`: once, however often it comes. Where a failure may have several causes,
the shell is asked to look what is there, and the next attempt waits for that.
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
    LinkFault,
    LinkRefused,
    LinkUp,
    Probe,
    Probed,
)
from services.publisher.core.outlet import Outlet
from services.publisher.core.session.faults import (
    TAKEN_OVER,
    UNCLEAR,
    Place,
    describe_failure,
    describe_loss,
    describe_refusal,
    describe_restless,
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
"""So long data waits for the platform's limits."""
PROVED_S: Final = 10.0
"""A connection that stood for so long, or on which data was accepted, counts as a good one."""
RESTLESS_RETRY: Final = Backoff(1.0, 30.0)
"""Connections that are lost again and again are slowed down; two clients that push each other out, for instance."""
RESTLESS_FROM: Final = 6
"""Connections lost in a row, each soon after it was accepted, after which the cause is no passing one. One on which no
data was accepted counts twice."""
CALM_PAUSES: Final = 4
"""A connection is not lost soon if it stood for so many times the last pause: who pushes us out may wait as long."""
UNPUBLISHED_FROM: Final = 3
"""Connections that ended at a publish, while none was ever acknowledged, after which that is taken for the cause."""
PROBE_TIMEOUT_S: Final = 12.0
"""So long the next attempt waits for a look at the other side, which takes 8 s at most."""
PROBE_EVERY: Final = 10
"""Failures of one kind in a row after which the other side is looked at again: it may be another by then."""
SAID_BY_PROTOCOL: Final[frozenset[LinkFault]] = frozenset({"", "closed", "silent"})
"""How a peer ends an attempt in a protocol version that it does not know."""
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

    def __init__(self, place: Place, draw: Callable[[], float], out: Outlet) -> None:
        """`draw` gives numbers in [0, 1) for jitter, so that not all gateways come back in the same moment."""
        self._place = place
        self._draw = draw
        self._out = out
        self.state: State = "down"
        self.protocol = MQTT_5
        self.connection = 0
        """The number of the current connection, or of the last one."""
        self.established = 0
        """Connections that were accepted so far."""
        self.fault = ""
        """Why the link is not up, or not for long, for a person: a sentence with what to do; "" while all is well or
        no attempt has ended."""
        self._said = ""
        """The fault that was logged last, while it lasts."""
        self.has_accepted = False
        """True once the platform has accepted a publish of a device."""
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
        self._losses = 0
        """Connections in a row that were lost soon after they were accepted; see `RESTLESS_FROM`."""
        self._unpublished = 0
        """Connections that ended while nothing of a device's had been acknowledged, since the last that was."""
        self._pauses = 0
        """Pauses that were made because of them."""
        self._pause_s = 0.0
        """The last pause because of such losses."""
        self._unclear: tuple[LinkDown, float] | None = None
        """A failure whose cause is being looked for, and the pause that is to follow; said when that is known."""
        self._looked: tuple[LinkFault, Probed | None] = ("", None)
        """The kind of failure for which the other side was looked at last, and what was found."""
        self._unlooked = 0
        """Failures of that kind since then."""
        self._is_denied = False
        """True once what a connection was made for was refused on it: the next one has to show that it is not."""

    def start(self, now_s: float) -> None:
        """Connects as soon as `tick` is called."""
        self.next_deadline_s = now_s

    def tick(self, now_s: float) -> None:
        """Does what the time demands: begins an attempt, or gives one up."""
        if self.next_deadline_s is None or now_s < self.next_deadline_s:
            return
        if self.state == "down":
            if self._unclear:
                self._say_unclear(None)
            self.connection += 1
            self.state, self._opened, self._proved = "connecting", False, False
            self.next_deadline_s = now_s + TRANSPORT_TIMEOUT_S
            self._out.order(ConnectPlatform(self.connection, self.protocol))
        elif self.state == "connecting":
            kind: LinkFault = "silent" if self._opened else "late"
            self._out.order(DisconnectPlatform(self.connection))
            self.down(LinkDown(self.connection, "", reached=self._opened, kind=kind), now_s)

    def opened(self, now_s: float) -> None:
        """CONNECT has been sent."""
        self._opened = True
        self.next_deadline_s = now_s + CONNACK_TIMEOUT_S

    def up(self, event: LinkUp, now_s: float, asks_limits: bool) -> None:
        """CONNACK accepted us. `asks_limits`: data waits for the platform's limits, for LIMITS_TIMEOUT_S at most."""
        self.state, self._since_s, self._refusals = "up", now_s, 0
        self._looked = ("", None)
        if not self.is_restless and not self._unpublished and not self._is_denied:
            self.fault = self._said = ""
        self.protocol = event.protocol
        self.next_deadline_s = now_s + LIMITS_TIMEOUT_S if asks_limits else None
        self.established += 1
        level: Level = "debug" if self.fault else "info"
        self._out.note(level, "link.up", protocol="3.1.1" if event.protocol == MQTT_311 else "5")

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
        level: Level = "error" if event.code in CREDENTIALS else "warning"
        reason = describe_refusal(self._place, event.code, event.reason)
        self._say(level, "link.refused", reason, delay_s, code=event.code)

    def deny(self, event: str, reason: str, delay_s: float, now_s: float) -> None:
        """The platform has let us in, and refuses what we came for: a person is told once, and it is tried again."""
        self._out.order(DisconnectPlatform(self.connection))
        self.state, self._is_denied = "down", True
        self.next_deadline_s = now_s + delay_s
        self._say("error", event, reason, delay_s)

    def down(self, event: LinkDown, now_s: float, *, was_rate: bool = False, was_publishing: bool = False) -> None:
        """The connection failed or ended. The same fault is logged once, however often it comes.

        `was_rate`: it ended because we had said too much, which is known and has its own pace. `was_publishing`: the
        platform had not acknowledged what was published for a device.
        """
        was_up = self.state == "up"
        self.state = "down"
        if was_up:
            self.protocol = self._preferred
            self._lost(event, now_s, was_rate=was_rate, was_publishing=was_publishing)
            return
        if event.reached and self._preferred == MQTT_5 and event.kind in SAID_BY_PROTOCOL:
            self.protocol = MQTT_311 if self.protocol == MQTT_5 else MQTT_5
            if self.protocol == MQTT_311:
                self.next_deadline_s = now_s
                self._out.note("debug", "link.no_connack", next="3.1.1")
                return
        self._failed(event, now_s)

    def _failed(self, event: LinkDown, now_s: float) -> None:
        """An attempt has failed. If that can have several causes, they are told apart before it is said."""
        delay_s = self._delay_s()
        self.next_deadline_s = now_s + delay_s
        kind, found = self._looked
        self._unlooked += 1
        if event.kind in UNCLEAR and (event.kind != kind or self._unlooked >= PROBE_EVERY):
            self._unclear, self._unlooked = (event, delay_s), 0
            self.fault = self.fault or describe_failure(self._place, event)
            self.next_deadline_s = now_s + max(delay_s, PROBE_TIMEOUT_S)
            self._out.order(Probe(self.connection))
            return
        self._say("warning", "link.failed", describe_failure(self._place, event, found), delay_s)

    def probed(self, event: Probed, now_s: float) -> None:
        """What the other side is: the failure is said now, and the next attempt comes after its pause."""
        if self._unclear:
            self.next_deadline_s = now_s + self._unclear[1]
            self._say_unclear(event)

    def _say_unclear(self, found: Probed | None) -> None:
        if self._unclear:
            event, delay_s = self._unclear
            self._unclear, self._looked = None, (event.kind, found)
            self._say("warning", "link.failed", describe_failure(self._place, event, found), delay_s)

    def _lost(self, event: LinkDown, now_s: float, *, was_rate: bool, was_publishing: bool) -> None:
        """A connection that was accepted has ended. If that happens again and again, it is said once with its most
        probable cause, and attempts become slower, also where data was accepted: whoever pushes us out does so."""
        stood_s = now_s - self._since_s
        is_taken = event.code == TAKEN_OVER
        if self._stood(now_s) or was_rate:
            self._losses = self._pauses = 0
        else:
            self._losses = max(self._losses + (1 if self._proved else 2), RESTLESS_FROM * is_taken)
        if event.kind == "unacknowledged":
            self.has_accepted = False
        self._unpublished += was_publishing and not self.has_accepted
        if (self._proved or stood_s >= PROVED_S) and event.kind != "unacknowledged":
            self._attempt = 0
            delay_s = FAST_RETRY.delay_s(0, self._draw())
        else:
            delay_s = self._delay_s()
        if self.is_restless:
            # Where something was on its way a record of it may be the cause: it is looked for meanwhile, close by
            # close, and other devices must not wait for that.
            is_own = was_publishing and not is_taken
            delay_s = max(delay_s, RESTLESS_RETRY.delay_s(0 if is_own else self._pauses, self._draw()))
            self._pauses += not is_own
            self._pause_s = delay_s
        self.next_deadline_s = now_s + delay_s
        reason = describe_loss(self._place, event)
        is_known = is_taken or event.kind == "unacknowledged"
        was_published = self._unpublished >= UNPUBLISHED_FROM
        if (self.is_restless or was_published) and not is_known:
            reason = describe_restless(self._place, was_published=was_published)
            is_known = True
        if not is_known:
            # Each single loss is news.
            self._said = ""
        self._say("warning", "link.lost", reason, delay_s)

    @property
    def is_restless(self) -> bool:
        """True while connections are lost again and again."""
        return self._losses >= RESTLESS_FROM

    def _stood(self, now_s: float) -> bool:
        """True for a connection that has stood so long that its end, if it comes, is one of its own."""
        return now_s - self._since_s >= max(PROVED_S, CALM_PAUSES * self._pause_s)

    def check(self, now_s: float) -> None:
        """To be called each second: a connection that stands long enough ends what was said of the earlier ones."""
        if self.state == "up" and self.is_restless and self._stood(now_s):
            self._losses, self._pauses, self._pause_s = 0, 0, 0.0
            self._mend()

    def accepted(self) -> None:
        """The platform has accepted what was published for a device: it takes us for a gateway."""
        self.has_accepted = True
        self._unpublished = 0
        self._mend()

    def _mend(self) -> None:
        """Ends a fault that outlasts CONNACK, if no cause for it is left."""
        if self.fault and self.state == "up" and not self.is_restless and not self._unpublished:
            self.fault = self._said = ""
            self._out.note("info", "link.steady")

    def _say(self, level: Level, event: str, reason: str, delay_s: float, **facts: int) -> None:
        """Logs a fault, if it is another one than before."""
        self.fault = reason
        if self._said != reason:
            self._said = reason
            self._out.note(level, event, **facts, reason=reason, retry_in_s=delay_s)

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
