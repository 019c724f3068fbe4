"""What the broker's heartbeat says of the broker, beside its counters. Pure."""

from __future__ import annotations

from typing import Any

from common.core.version import RELEASE
from common.wire.states import BrokerState, ConverterSeen, facts_of
from services.broker.core.dispatch import Dispatcher
from services.broker.core.registry import Registry
from services.broker.core.routing import Router


def own_facts(
    dispatcher: Dispatcher, registry: Registry, router: Router, queued_bytes: int, is_draining: bool
) -> dict[str, Any]:
    """The state of the heartbeat: who converts, how much waits, and whether the broker begins or ends.

    The broker registers with nobody, as everyone registers with it; so it says itself that it takes part.
    """
    state = BrokerState(
        converters={
            name: ConverterSeen(
                credit=converter.credit,
                pinned=converter.pins,
                liveness=converter.member.liveness,
                draining=converter.member.draining,
                blocked=converter.is_blocked,
            )
            for name, converter in dispatcher.converters.items()
        },
        devices=sum(m.kind == "port_reader" and m.liveness != "lost" for m in registry.members),
        queued_devices=dispatcher.queued_devices,
        queued_bytes=queued_bytes,
        held_calls=router.held,
        settling=router.is_settling,
        draining=is_draining,
    )
    return {**facts_of(state), "release": RELEASE, "registered": True}
