"""What the broker's heartbeat says of the broker, beside its counters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from common.core.version import RELEASE
from common.wire.states import BrokerState, ConverterSeen, facts_of
from services.broker.core.credit import ConverterCredit
from services.broker.core.member import Member


class Waiting(NamedTuple):
    """How much waits in the broker."""

    devices: int
    """Devices that have batches in a queue."""
    size_bytes: int
    """Bytes of all queues together."""
    calls: int
    """Calls that are held until everybody has registered."""


def own_facts(
    converters: Mapping[str, ConverterCredit],
    members: Iterable[Member],
    waiting: Waiting,
    is_settling: bool,
    is_draining: bool,
) -> dict[str, Any]:
    """The state of the heartbeat: who converts, how much waits, and whether the broker begins or ends.

    The broker registers with nobody, as everyone registers with it; so its own heartbeat says that it is registered.
    """
    state = BrokerState(
        converters={name: _seen(converter) for name, converter in converters.items()},
        devices=sum(member.kind == "port_reader" and member.liveness != "lost" for member in members),
        queued_devices=waiting.devices,
        queued_bytes=waiting.size_bytes,
        held_calls=waiting.calls,
        settling=is_settling,
        draining=is_draining,
    )
    return {**facts_of(state), "release": RELEASE, "registered": True}


def _seen(converter: ConverterCredit) -> ConverterSeen:
    """A converter as the heartbeat shows it."""
    return ConverterSeen(
        credit=converter.credit,
        pinned=converter.pins,
        liveness=converter.member.liveness,
        draining=converter.member.draining,
        blocked=converter.is_blocked,
    )
