"""What waits for one device on the platform, and what the platform knows of it. Pure.

A lane is a queue of segments. A segment begins with a mark (`connect` or `disconnect`), or with none, and holds
telemetry and attributes that may be published only after the mark and everything before it was accepted.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from services.publisher.core.outbox.segments import MarkKind, Segment
from services.publisher.core.outbox.standing import Standing
from services.publisher.core.stream import ReadingStream

TELEMETRY_RUN: Final = 4
"""Attributes, of which only the last value counts, wait for so many publishes of telemetry at most."""
Kind = Literal["connect", "disconnect", "telemetry", "attributes"]
"""What a publish says of a device."""
ParcelKind = Literal["connect", "disconnect", "telemetry", "attributes", "reply"]
"""What a publish is: it says something of devices, or is a reply, which is about none of the lanes."""
Presence = Literal["closed", "open", "announced"]
"""What the platform was told of a device; see `Lane`."""
Sending = Literal["idle", "unanswered", "void"]
"""Whether a publish of a device is on its way; see `Lane`."""


class Lane:
    """One device on the platform.

    Its `presence` and the head of its queue decide what goes out next (`kind`):

    | presence    | meaning                                            | mark is first | data is first | nothing   |
    |-------------|----------------------------------------------------|---------------|---------------|-----------|
    | `closed`    | the platform need not know that it is there        | the mark      | `connect`     | nothing   |
    | `open`      | this connection has not accepted a `connect` yet   | the mark      | `connect`     | `connect` |
    | `announced` | this connection has accepted it                    | the mark      | the data      | nothing   |

    And `sending` says whether anything may go out at all:

    | sending      | meaning                                                          | what may go out |
    |--------------|------------------------------------------------------------------|-----------------|
    | `idle`       | nothing is on its way                                            | `kind`          |
    | `unanswered` | a publish with something of this lane has no answer yet          | nothing         |
    | `void`       | the same, and the platform has ended the device's session since  | nothing         |

    | what happens       | presence                                                    | sending               |
    |--------------------|-------------------------------------------------------------|-----------------------|
    | `sent`             |                                                             | `unanswered`          |
    | `answered`         | `connect`: `announced`, or `open` if it was `void`          | `idle`                |
    |                    | `disconnect`: `closed`                                      | `idle`                |
    | `given_back`       |                                                             | `idle`                |
    | `connected`        | `closed` → `open`                                           |                       |
    | `dropped`          | `announced` → `open`                                        | `unanswered` → `void` |
    | `connection_begun` | `announced` → `open`                                        |                       |
    | `deleted`          | `closed`                                                    | `unanswered` → `void` |

    Only the outbox calls these methods: after each it settles the lane's head and lists the lane by its new `kind`.
    Reading a property changes nothing. How the platform has treated the device stands in `standing`.
    """

    __slots__ = (
        "device_type",
        "is_ended",
        "is_introduced",
        "is_marked",
        "label",
        "name",
        "presence",
        "segments",
        "sending",
        "source",
        "standing",
        "telemetry_run",
        "unaccepted",
    )

    def __init__(self, name: str, label: bytes, device_type: str) -> None:
        """`label` is the name as the platform's dialect wants it in messages."""
        self.name = name
        self.label = label
        self.device_type = device_type
        self.source = name
        """The device whose port reader and converter serve this one: another name only with users' converters."""
        self.presence: Presence = "closed"
        self.sending: Sending = "idle"
        self.is_ended = False
        """True once a goodbye stands behind all that waits, or has been said, and nothing came since, though its port
        is open: of a device that a converter has named, is silent, or was deleted on the platform."""
        self.is_introduced = False
        """True once the platform was told whose device it is."""
        self.is_marked = False
        """True once its stream has said in this epoch that its port was opened or lost."""
        self.unaccepted = 0
        """Publishes of this lane that are not accepted for good (on MQTT 3.1.1 more than the unanswered one)."""
        self.telemetry_run = 0
        """Publishes of telemetry since the last one of attributes."""
        self.segments: deque[Segment] = deque([Segment(None)])
        """Never empty; what arrives goes to the last one."""
        self.standing = Standing()

    # What can be asked.

    @property
    def kind(self) -> Kind | None:
        """What has to be published next; None if nothing."""
        head = self.segments[0]
        if head.mark == "connect":
            return "connect"
        if head.mark is None and self.presence == "open":
            return "connect"
        if head.mark:
            return "disconnect"
        if not head.items and not head.attributes.values:
            return None
        if self.presence != "announced":
            return "connect"
        if head.attributes.values and (self.telemetry_run >= TELEMETRY_RUN or not head.items):
            return "attributes"
        # Items that say nothing wait here until everything before them is accepted; see `LaneTable.settle`.
        for items in head.items:
            if items.live:
                return "telemetry"
        return None

    @property
    def is_open(self) -> bool:
        """True while the platform should know the device as connected."""
        return self.presence != "closed"

    @property
    def is_there(self) -> bool:
        """True if the platform knows the device as connected once all that waits, or is on its way, has come: then a
        goodbye is due when it goes, and no announcement when it comes."""
        is_known = self.is_open or self.has_data or self.sending != "idle"
        return is_known and not self.is_ended and not self.is_ending

    @property
    def has_data(self) -> bool:
        """True if something of a stream is still to be published."""
        return any(not segment.is_empty for segment in self.segments)

    @property
    def is_ending(self) -> bool:
        """True if the last thing in the queue is a `disconnect`."""
        last = self.segments[-1]
        return last.mark == "disconnect" and not last.items and not last.attributes.values

    @property
    def waiting(self) -> tuple[int, int]:
        """(telemetry items, their bytes) that could be published next."""
        queued = self.segments[0].items
        return sum(items.live for items in queued), sum(items.size for items in queued)

    # What happens to it; the table above says what follows.

    def sent(self, kind: ParcelKind) -> None:
        """A publish of this kind goes out with something of this lane."""
        self.sending = "unanswered"
        self.unaccepted += 1
        if kind == "telemetry":
            self.telemetry_run += 1
        elif kind == "attributes":
            self.telemetry_run = 0

    def answered(self, kind: ParcelKind) -> None:
        """The platform has taken that publish; it may not be accepted for good yet."""
        if kind == "connect":
            self.presence = "open" if self.sending == "void" else "announced"
        elif kind == "disconnect":
            self.presence = "closed"
        self.sending = "idle"

    def accepted(self) -> None:
        """A publish that was answered is accepted for good."""
        self.unaccepted -= 1

    def given_back(self) -> None:
        """A publish, answered or not, is not accepted: what it said is in the queue again."""
        self.sending = "idle"
        self.unaccepted -= 1

    def connected(self) -> None:
        """The device's port reader says that it is there. Once its stream has said whether it is, only that counts."""
        if self.presence == "closed" and not self.is_marked:
            self.presence = "open"

    def dropped(self) -> None:
        """The platform has ended the device's session: a `connect` that is on its way may be older than that."""
        self.connection_begun()
        if self.sending == "unanswered":
            self.sending = "void"

    def connection_begun(self) -> None:
        """A new connection to the platform: a device that was announced has to be announced again."""
        if self.presence == "announced":
            self.presence = "open"

    def deleted(self) -> None:
        """The platform has deleted the device: to announce it would create it again, which only its data does."""
        self.dropped()
        self.presence, self.is_ended, self.is_introduced = "closed", True, False

    # Its queue.

    def queue_mark(self, segment: Segment) -> None:
        """The device's stream says that its port was opened or lost: what comes later stands behind that."""
        self.is_marked = True
        self.segments.append(segment)

    def take_mark(self) -> tuple[MarkKind, Segment | None]:
        """Takes the announcement or goodbye that is due from the queue; no segment where no entry has asked for it."""
        head = self.segments[0]
        if self.kind == "disconnect":
            head.mark = None
            return "disconnect", head
        if head.mark != "connect":
            return "connect", None
        self.device_type = head.device_type or self.device_type
        head.mark = None
        return "connect", head

    def reopen(self, segment: Segment) -> None:
        """Makes a segment the head again if it was left."""
        if self.segments[0] is not segment:
            self.segments.appendleft(segment)

    def forget(self, stream: ReadingStream, end: int) -> None:
        """Drops what this stream said below `end` and is not in flight: its reader does not want it any more."""
        for segment in self.segments:
            segment.forget(stream, end)
        segments = self.segments
        while len(segments) > 1 and self.sending == "idle" and not segments[0].mark and not segments[0].items:
            if segments[1].mark:
                break
            segments.popleft().attributes.put_before(segments[0].attributes)
