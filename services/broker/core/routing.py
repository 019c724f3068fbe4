"""Calls: where a request or a reply goes, and the answer in place of a process that is not there. Pure.

A caller names a device or a role, never a process: which converter serves `converter@press1`, or whether its reader
converts calls itself, is known here alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from common.wire.calls import (
    EXPIRED,
    NO_CONVERTER,
    NO_PUBLISHER,
    QUEUE_FULL,
    SHUTTING_DOWN,
    converted_device,
    hosted_stream,
    not_connected,
    reader_of,
    refuse,
    unknown_device,
)
from common.wire.messages import Reply, Request
from services.broker.core.counters import BrokerCounts
from services.broker.core.events import SendTo, Unreachable
from services.broker.core.member import Member
from services.broker.core.registry import Registry

HELD_LIMIT: Final = 1024
"""Calls that wait while a new broker learns who is there."""

PickConverter = Callable[[str, bool], Member | None]
"""(device, is_pinned) → the converter that serves it."""


class _Held(NamedTuple):
    """A call that can't be routed yet, and since when it waits: its own time runs on."""

    message: Request | Reply
    since_s: float


class Router:
    """Routes calls. While `is_settling` nobody is called missing: what can't be routed is held, and tried again."""

    def __init__(self, registry: Registry, pick_converter: PickConverter, counters: BrokerCounts) -> None:
        self._registry = registry
        self._pick_converter = pick_converter
        self._counters = counters
        self._held: list[_Held] = []
        self.is_settling = True
        """True while a new broker can't know who is there."""
        self.is_draining = False
        """True once the broker was told to end: requests are refused, replies still find their way."""

    def request(self, message: Request, now_s: float) -> list[SendTo]:
        """A request on its way: sent, held, or answered with an error."""
        self._counters["requests"] += 1
        if self.is_draining:
            return self._refuse(message, SHUTTING_DOWN, now_s)
        return self._request(message, now_s)

    def reply(self, message: Reply, now_s: float) -> list[SendTo]:
        """A reply on its way: sent, held, or dropped: its caller is gone."""
        self._counters["replies"] += 1
        return self._reply(message, now_s)

    def retry(self, now_s: float) -> list[SendTo]:
        """Tries again what is held: somebody has registered, time has passed, or settling is over."""
        held, self._held = self._held, []
        effects: list[SendTo] = []
        for message, since_s in held:
            if isinstance(message, Reply):
                effects += self._reply(message, now_s, since_s)
            elif self.is_draining:
                effects += self._refuse(message, SHUTTING_DOWN, now_s)
            else:
                effects += self._request(message, now_s, since_s)
        return effects

    def unreachable(self, event: Unreachable, now_s: float) -> list[SendTo]:
        """Finds another way for a call that could not be sent, or refuses it. The registry has already been told which
        process is gone."""
        match event.message:
            case Request() as request if event.why == "full":
                return self._refuse(request, QUEUE_FULL, now_s)
            case Request() as request:
                return self._request(request, now_s)
            case Reply() as reply if event.why == "gone":
                return self._reply(reply, now_s)
            case Reply():
                self._counters["replies_dropped"] += 1
        return []

    @property
    def held(self) -> int:
        """How many calls wait while the broker settles, for the heartbeat."""
        return len(self._held)

    def _request(self, message: Request, now_s: float, since_s: float | None = None) -> list[SendTo]:
        """Finds the target; `since_s` is when a held request came. The time that is left shrinks by the time it was
        held."""
        arrived_s = now_s if since_s is None else since_s
        time_left_s = message.time_left_s - (now_s - arrived_s)
        # Written so that a time that is no number counts as expired.
        if not time_left_s > 0:
            return self._refuse(message, EXPIRED, now_s)
        found = self._resolve(message.target)
        if isinstance(found, str):
            if not self.is_settling:
                return self._refuse(message, found, now_s)
            if len(self._held) >= HELD_LIMIT:
                return self._refuse(message, QUEUE_FULL, now_s)
            self._held.append(_Held(message, arrived_s))
            return []
        member, section = found
        return [SendTo(member.route, message.replace(section=section or message.section, time_left_s=time_left_s))]

    def _reply(self, message: Reply, now_s: float, since_s: float | None = None) -> list[SendTo]:
        """Finds the caller by its address, not by its connection: one that has reconnected meanwhile gets its answer
        too."""
        member = self._registry.find_live(message.target)
        if member is not None:
            return [SendTo(member.route, message)]
        if self.is_settling and len(self._held) < HELD_LIMIT:
            self._held.append(_Held(message, now_s if since_s is None else since_s))
        else:
            self._counters["replies_dropped"] += 1
        return []

    def _refuse(self, message: Request, error: str, now_s: float) -> list[SendTo]:
        """Answers a request with an error, at its `reply_to`."""
        self._counters["requests_unroutable"] += 1
        return self._reply(refuse(message, error), now_s)

    def _resolve(self, target: str) -> tuple[Member, str] | str:
        """(who, section or "" to leave it), or the error for a target that is not there."""
        name = converted_device(target)
        if name is None:
            member = self._registry.find_live(target)
            return (member, "") if member else self._absence(target)
        reader = reader_of(name)
        device = self._registry.find_live(reader)
        if device is None:
            return self._absence(reader)
        if device.own_calls:
            return device, ""
        converter = self._pick_converter(device.name, device.pinned)
        return (converter, device.section) if converter else NO_CONVERTER

    def _absence(self, address: str) -> str:
        """The error text for an address that nobody answers under."""
        kind, _, name = address.partition(":")
        match kind:
            case "port_reader" if self._registry.find(address):
                return not_connected(name)
            case "port_reader":
                return unknown_device(name)
            case "connector_host" if self._registry.find(address):
                return not_connected(hosted_stream(name))
            case "connector_host":
                return unknown_device(hosted_stream(name))
            case "publisher":
                return NO_PUBLISHER
            case "converter":
                return NO_CONVERTER
        return f"{address} is not running"
