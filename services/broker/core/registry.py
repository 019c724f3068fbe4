"""Knows who is there: one live process per address, from registrations and heartbeats. Pure."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final, NamedTuple

from common.core.liveness import LOST_S, Liveness, liveness
from common.wire.messages import Heartbeat, Register
from common.wire.states import AnyState, state_of
from services.broker.core.member import Member

MEMBERS_LIMIT: Final = 4096
"""Processes that are remembered: far more than one host runs, and a bound for junk registrations."""
SUPERSEDED_LIMIT: Final = 4096
"""Instances that lost their identity and are remembered for it."""
CONVERTER_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Admission(NamedTuple):
    """What became of a registration: `member` None means refused, and `reason` says why."""

    member: Member | None
    reason: str = ""
    is_new: bool = False
    """True for an instance that was not registered before."""
    replaced: Member | None = None
    """The member that had the address until now."""


class Registry:
    """The table of members by address: who holds it, who lost it, and who is alive.

    An instance that lost its address to another is remembered: whatever it still says must not be taken for the word of
    its successor.
    """

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._superseded: OrderedDict[str, bytes] = OrderedDict()
        """Instance → its route."""

    def register(self, message: Register, route: bytes, now_s: float) -> Admission:
        """Accepts or refuses a process by the rules of docs/protocol.md."""
        address = f"{message.kind}:{message.name}"
        if message.instance in self._superseded:
            return Admission(None, f"{address} was taken over from this instance")
        if message.kind == "converter" and not CONVERTER_NAME.fullmatch(message.name):
            return Admission(None, "a converter's name has 1 to 64 letters, digits, - and _")
        holder = self._members.get(address)
        if holder is not None and holder.instance == message.instance:
            holder.route, holder.detail, holder.heard_s, holder.liveness = route, message.detail, now_s, "alive"
            return Admission(holder)
        if holder is not None and not _may_take_over(message, holder):
            return Admission(None, f"{address} is running with pid {holder.pid} on {holder.host}")
        if holder is None and not self._has_room():
            return Admission(None, f"{MEMBERS_LIMIT} processes are registered")
        member = Member(
            kind=message.kind,
            name=message.name,
            instance=message.instance,
            route=route,
            pid=message.pid,
            host=message.host,
            lock=message.lock,
            detail=message.detail,
            heard_s=now_s,
        )
        self._members[address] = member
        if holder is not None:
            self._supersede(holder)
        return Admission(member, is_new=True, replaced=holder)

    def hear(self, beat: Heartbeat, now_s: float) -> tuple[Member, Liveness] | None:
        """Takes a heartbeat: the member and what it was before; None from a process that is not registered."""
        member = self._members.get(f"{beat.kind}:{beat.name}")
        if member is None or member.instance != beat.instance:
            return None
        before, member.liveness, member.heard_s = member.liveness, "alive", now_s
        member.every_s = beat.every_s
        state = state_of(beat, AnyState)
        member.draining = state is not None and state.draining
        return member, before

    def age(self, now_s: float) -> list[Member]:
        """Members whose liveness has changed by now; clients that are lost are forgotten, and so are those that were
        here for a while only."""
        changed = []
        for member in list(self._members.values()):
            now = liveness(now_s - member.heard_s, member.every_s)
            if now != member.liveness:
                member.liveness = now
                changed.append(member)
                if now == "lost" and (member.kind == "client" or member.temporary):
                    del self._members[member.address]
        return changed

    def disconnect(self, route: bytes, now_s: float) -> list[Member]:
        """The members whose connection turned out to be gone: lost, until they are heard again. Each of our processes
        has a connection of its own; a peer that registers several over one loses them together."""
        gone = [member for member in self._members.values() if member.route == route and member.liveness != "lost"]
        for member in gone:
            member.heard_s, member.liveness = min(member.heard_s, now_s - LOST_S - member.every_s), "lost"
        return gone

    def find(self, address: str) -> Member | None:
        """The member that has registered under this address, even if it is lost; None if there is none."""
        return self._members.get(address)

    def find_live(self, address: str) -> Member | None:
        """The member that can be reached under this address; None if there is none."""
        member = self._members.get(address)
        return None if member is None or member.liveness == "lost" else member

    def is_superseded(self, instance: str) -> bool:
        """True for an instance that has lost its identity."""
        return instance in self._superseded

    def is_superseded_route(self, route: bytes) -> bool:
        """True for a connection by which an instance came that has lost its identity."""
        return bool(self._superseded) and route in self._superseded.values()

    @property
    def members(self) -> list[Member]:
        """Everyone who has registered and was not forgotten, lost ones too."""
        return list(self._members.values())

    def _has_room(self) -> bool:
        """Makes room by forgetting the member that has been silent longest, if one is lost."""
        if len(self._members) < MEMBERS_LIMIT:
            return True
        oldest = min(self._members.values(), key=lambda member: member.heard_s)
        if oldest.liveness != "lost" or oldest.kind == "converter":
            return False
        del self._members[oldest.address]
        return True

    def _supersede(self, member: Member) -> None:
        """Remembers that this instance has lost its address; the longest ago is forgotten first."""
        self._superseded[member.instance] = member.route
        if len(self._superseded) > SUPERSEDED_LIMIT:
            self._superseded.popitem(last=False)


def _may_take_over(message: Register, holder: Member) -> bool:
    """A lost process may be replaced; so may one whose lock the newcomer holds, for then it is dead."""
    has_its_lock = message.lock != "" and message.lock == holder.lock and message.host == holder.host
    return holder.liveness == "lost" or has_its_lock
