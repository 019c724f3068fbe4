"""What must be true of hosted connectors: nothing is missing that was called stored, order is kept, calls end once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.host import HostedDevice, HostProcess
from tests.simulation.host_load import HostedCall, HostLoad
from tests.simulation.source import shed_by

if TYPE_CHECKING:
    from tests.simulation.world import World

CALL_S = 10.0
"""A call of the platform's lives so long."""
SLACK_S = 1.0
UP_S = 15.0
"""A host that has lived for so long has told the platform of its devices."""


def judge_host(world: World, host: HostProcess) -> Iterator[str]:
    """What is wrong with one connector at the end, when all journals are empty."""
    yield from dict.fromkeys(host.problems)
    allowed = host.shed + (shed_by(host.core) if host.core else 0)
    missing: set[int] = set()
    for device in host.devices:
        accepted = world.accepted(device.name)
        missing |= device.stored - set(accepted)
        yield from _judge_order(world, device, accepted)
        yield from _judge_presence(world, host, device)
    if len(missing) > allowed:
        yield f"{host.name}: {len(missing)} called stored and missing, {allowed} were shed: {sorted(missing)[:5]}"
    if letters := [letter for letter in host.disk.dead if letter.number]:
        yield f"{host.name}: {len(letters)} dead letters, the first for: {letters[0].reason}"
    if host.connector is not None and host.connector.pending:
        yield f"{host.name}: {len(host.connector.pending)} calls of the connector were never answered"
    if host.disk.reused:
        yield f"{host.name}: numbers given out again: {host.disk.reused[:5]}"


def _judge_order(world: World, device: HostedDevice, accepted: list[int]) -> Iterator[str]:
    places = {value: place for place, value in enumerate(device.handed)}
    times: dict[int, int] = {}
    for ts_ms, value in world.platform.telemetry.get(device.name, []):
        if value not in places:
            yield f"{device.name}: {value} was never handed over"
        elif times.setdefault(value, ts_ms) != ts_ms:
            yield f"{device.name}: {value} came with two timestamps"
    if len(set(times.values())) < len(times):
        yield f"{device.name}: two values share a millisecond"
    order = [places[value] for value in accepted if value in places]
    if order != sorted(order):
        yield f"{device.name}: out of order"
    last = world.platform.attributes.get(device.name, {}).get("last")
    # What was never called stored may have been accepted in part before it was lost with its process.
    kept = max((place for place, value in enumerate(accepted) if value in device.stored), default=0)
    if accepted and last not in accepted[kept:] and last in device.stored:
        yield f"{device.name}: the last attribute is {last}, expected {accepted[-1]}"


def _judge_presence(world: World, host: HostProcess, device: HostedDevice) -> Iterator[str]:
    """A device that the connector has named is announced in this connection, also if it is silent."""
    is_up = host.connector is not None and host.connector.is_open and world.clock.now_s > host.started_s + UP_S
    if is_up and world.platform.is_connected and device.is_there and not world.platform.is_announced(device.name):
        yield f"{device.name}: not connected at the end"
    said = world.platform.lifecycle.get(device.name, [])
    if is_up and said and device.is_there is False and said[-1] != "disconnect":
        yield f"{device.name}: gone, and not disconnected at the end"


def judge_call(world: World, call: HostedCall, must_reply: bool) -> Iterator[str]:
    """A call has one reply at most, which is its own answer, and its handler was called once at most, in time."""
    own = call.device is None
    name = f"call {call.id} of {call.host.connector_name if call.device is None else call.device.name}"
    platform = world.platform
    replies = platform.gateway_replies.get(str(call.id), []) if own else platform.replies.get(call.id, [])
    if len({str(reply) for reply in replies}) > 1:
        yield f"{name}: {len(replies)} replies"
    if not replies and must_reply:
        yield f"{name}: no reply"
    if any("result" in reply and reply["result"] != call.answer for reply in replies):
        yield f"{name}: replied {replies[0]}, expected {call.answer}"
    for host in world.hosts:
        handled = [
            one
            for one in host.handled
            if one.kind == ("connector" if own else "rpc")
            and (one.content if own else one.content["data"])["params"] == call.id
        ]
        if len(handled) > 1:
            yield f"{name}: handled {len(handled)} times"
        if late := [one for one in handled if one.at_s > call.at_s + CALL_S + SLACK_S]:
            yield f"{name}: handled {late[0].at_s - call.at_s:.1f} s after it was asked"


def judge_updates(world: World, load: HostLoad) -> Iterator[str]:
    """A connector hears of an attribute what the platform has said, and once."""
    for host in world.hosts:
        heard = Counter(
            (one.content["device"], one.content["data"]["level"]) for one in host.handled if one.kind == "attributes"
        )
        for (device, level), times in heard.items():
            if level not in load.updated.get(device, []):
                yield f"{device}: was told the attribute {level}, which nobody has said"
            elif times > 1:
                yield f"{device}: was told the attribute {level} {times} times"
