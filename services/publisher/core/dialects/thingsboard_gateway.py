"""What ThingsBoard can call on the gateway itself, and the answers, as its gateway dashboards read them.

Source: ThingsBoard documentation "Service RPC Methods". There each method begins with `gateway_`; here our own are
taken without it too, since no type of connector is called like one of them.
"""

from __future__ import annotations

from typing import Final

from common.wire.calls import METHOD_NOT_FOUND
from services.publisher.core.dialects import GatewayFacts

PREFIX: Final = "gateway_"
LEAST_RESTART_S: Final = 1.0
"""A restart waits at least so long, as there: its answer is still to go out."""
MOST_RESTART_S: Final = 86_400.0
"""A day; who wants it later calls later."""
NO_SHELL: Final = "there is no remote shell: the gateway runs no commands that come from the platform"
FORGET_METHOD: Final = "remove_provisioned_credentials"
ASKED_ANEW: Final = "removed: the gateway asks for credentials anew when it is started again"
NONE_GIVEN: Final = "there are no credentials that the platform has given this gateway"
REFUSED: Final = {
    "update": "serialgw is not updated from the platform, which would have to choose its packages: update it on its "
    "machine",
    "reboot": "the machine is not rebooted from the platform; gateway_restart restarts the gateway's processes",
    "getTermInfo": NO_SHELL,
    "sendCommand": NO_SHELL,
    "getCommandStatus": NO_SHELL,
    "terminateCommand": NO_SHELL,
}
"""Methods that the reference has and that are refused on purpose, with why."""


def answer_gateway(method: str, facts: GatewayFacts) -> dict[str, object]:
    """The answer to a call; an error, with a code, for what there is not, and for what is refused."""
    name = method.removeprefix(PREFIX)
    match name:
        case "ping":
            return {"code": 200, "resp": "pong"}
        case "version":
            return {"code": 200, "resp": facts.version}
        case "devices":
            return {"code": 200, "resp": facts.devices()}
        case "stats":
            return _stats(facts)
    if name in REFUSED:
        return {"error": REFUSED[name], "code": 403}
    kind = method.partition("_")[0]
    if kind == PREFIX.rstrip("_"):
        return {"error": METHOD_NOT_FOUND, "code": 404}
    # Anything else is a call to the connectors of a type: `TYPE_METHOD`.
    return {"error": f"{kind} - connector not found in available connectors.", "code": 404}


def _stats(facts: GatewayFacts) -> dict[str, object]:
    """Sums, and for each connector its own under its name without blanks."""
    said: dict[str, object] = {"eventsProduced": facts.received, "eventsSent": facts.accepted}
    for connector, (produced, sent) in facts.events().items():
        name = connector.replace(" ", "")
        said |= {f"{name}EventsProduced": produced, f"{name}EventsSent": sent}
    return said


def forgets_credentials(method: str) -> bool:
    """True for the call by which the gateway is to forget the credentials that it was given."""
    return method.removeprefix(PREFIX) == FORGET_METHOD


def answer_forgotten(found: bool, error: str) -> dict[str, object]:
    """What became of that call, with the reference's codes."""
    if error:
        return {"error": error, "code": 500}
    return {"code": 200, "resp": ASKED_ANEW} if found else {"error": NONE_GIVEN, "code": 404}


def restart_after_s(method: str, params: object) -> float | None:
    """How long a restart is to wait, if that is what is called; None for every other method."""
    if method.removeprefix(PREFIX) != "restart":
        return None
    try:
        wanted_s = float(params) if isinstance(params, int | float | str) else 0.0
    except (ValueError, OverflowError):
        wanted_s = 0.0
    # Written so that what is no number at all (NaN) is the least.
    return min(MOST_RESTART_S, wanted_s) if wanted_s > LEAST_RESTART_S else LEAST_RESTART_S
