"""All lanes, and which of them have something to publish. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.publisher.core.dialects import Dialect
from services.publisher.core.names import KeptNames
from services.publisher.core.outbox.lanes import Lane
from services.publisher.core.outbox.segments import Segment

DEFAULT_TYPE: Final = "default"
MOST_REFUSED: Final = 256
"""Devices that the heartbeat names as refused; more of them have one common cause."""


class LaneTable:
    """A lane per device, and the two lists of those that have something to publish.

    Whoever changes a lane settles it then (`settle`), and so brings the lists up to date. The parts of the outbox do
    that; all others only look.
    """

    def __init__(self, dialect: Dialect, types: Mapping[str, str], names: KeptNames) -> None:
        """`types`: the device type of each configured device; `names` knows what the platform calls them."""
        self._dialect = dialect
        self._types = types
        self._names = names
        self.lanes: dict[str, Lane] = {}
        self.marks: dict[Lane, float] = {}
        """Lanes that wait to say connect or disconnect, and since when."""
        self.data: dict[Lane, float] = {}
        """Lanes that have telemetry or attributes to publish, and since when; the longest waiting first."""

    def lane(self, name: str, device_type: str = "") -> Lane:
        """The lane of a device, begun where it is new."""
        lane = self.lanes.get(name)
        if lane is None:
            kind = device_type or self._types.get(name, DEFAULT_TYPE)
            lane = self.lanes[name] = Lane(name, self.label_of(name), kind)
        return lane

    def label_of(self, name: str) -> bytes:
        """What the platform calls a device, as its dialect wants it in messages."""
        return self._dialect.label(self._names.shown(name))

    def settle(self, lane: Lane, now_s: float) -> None:
        """Passes over what says nothing at the head of a lane, and lists the lane by what comes next.

        What says nothing (items that gave no telemetry or became dead letters, attributes of which none is left) counts
        as accepted, and segments that are empty end, but only when nothing before them is unaccepted: numbers settle in
        order. A lane with an unanswered publish is in no list.
        """
        if lane.sending != "idle":
            kind = None
        else:
            self._pass_empty(lane)
            kind = lane.kind
        is_mark = kind in ("connect", "disconnect")
        # This is done several times for each publish, so it calls nothing.
        if not is_mark and lane in self.marks:
            del self.marks[lane]
        if (is_mark or kind is None) and lane in self.data:
            del self.data[lane]
        listed = self.marks if is_mark else self.data
        if kind is not None and lane not in listed:
            listed[lane] = now_s

    @staticmethod
    def _pass_empty(lane: Lane) -> None:
        while True:
            head = lane.segments[0]
            if not lane.unaccepted:
                while head.items and not head.mark and not head.items[0].live:
                    items = head.items.popleft()
                    items.go_to(len(items.entries))
                    items.accept(len(items.entries))
                if head.attributes.runs and not head.attributes.values:
                    # All that was left of them has become dead letters.
                    head.attributes.accept()
            if len(lane.segments) == 1 or not head.is_empty:
                return
            lane.segments.popleft()

    def unlist(self, lane: Lane) -> None:
        """Something of this lane goes out, and it has nothing to publish until that was answered."""
        self.marks.pop(lane, None)
        self.data.pop(lane, None)

    def end(self, lane: Lane, now_s: float) -> None:
        """Says goodbye to a device behind all that waits for it."""
        lane.segments.append(Segment("disconnect"))
        lane.is_ended = True
        self.settle(lane, now_s)

    def is_announced(self, device: str, source: str) -> bool:
        """True if this connection has accepted the announcement of a device that `source` serves."""
        lane = self.lanes.get(device)
        return lane is not None and lane.source == source and lane.presence == "announced"

    def announced_by(self, source: str) -> list[str]:
        """The devices that `source` serves and that this connection knows."""
        return [lane.name for lane in self.lanes.values() if lane.source == source and lane.presence == "announced"]

    @property
    def refused(self) -> dict[str, str]:
        """Device that is kept back after refusals → why it was refused. One that has nothing to say is none of them."""
        refused = [lane for lane in (*self.marks, *self.data) if lane.standing.refusals]
        return {lane.name: lane.standing.refused_for for lane in refused[:MOST_REFUSED]}

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to publish and nothing unaccepted."""
        return not any(lane.unaccepted or lane.has_data for lane in self.lanes.values())
