"""What report strategies promise, compared with what the platform has heard.

The state of a device is a part of its number (`frames.state_of`), so each item that has a number says what the state
was then. Whoever reads the reports alone must find the same: with ON_CHANGE for every moment, with ON_REPORT_PERIOD at
the end, and no report says a state that never was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tests.simulation.frames import state_of

if TYPE_CHECKING:
    from tests.simulation.platform import Item
    from tests.simulation.world import World


REFUSAL_S = 2.0
"""So long after the platform has refused a reading for the last time the publisher has made it a dead letter."""


def judge_reports(
    world: World, device: str, strategy: str, said_s: Mapping[int, float], *, resets: int | None, is_settled: bool
) -> Iterator[str]:
    """What is wrong with the reports of one device. `said_s`: when each of its numbers was said. `resets`: how often
    values may have counted as first ones for other reasons than a new publisher or session; None: often."""
    items = world.platform.items.get(device, [])
    states = {state_of(value) for value in said_s}
    if wrong := [item.state for item in items if item.state is not None and item.state not in states]:
        yield f"{device}: the state {wrong[0]} never was"
    if strategy != "ON_REPORT_PERIOD":
        yield from judge_changes(device, items, said_s, world.platform.refused_s)
        yield from _judge_sessions(world, device, items, said_s)
    if strategy == "ON_CHANGE" and resets is not None:
        refused = len(said_s.keys() & world.platform.refused_s.keys())
        yield from _judge_unchanged(world, device, items, resets + refused)
    if strategy != "ON_CHANGE" and is_settled:
        yield from _judge_last(device, items)


def judge_changes(
    device: str, items: list[Item], said_s: Mapping[int, float], refused_s: Mapping[int, float]
) -> Iterator[str]:
    """Of each number that was accepted the platform knows the state in the end: from its own report, as the one of a
    number before it that was reported last, or, where that number was refused, from a report of the state alone that
    came before it. Answers have another place among the reports than on the line; they count for none of this.

    What was on its way when a change was refused does not say it again: the change is in the dead letter. What was said
    later does, whether it has changed or not."""
    accepted = {item.number: item.at_s for item in reversed(items)}
    reported = {item.number for item in items if item.state is not None}
    alone_s = {item.state: item.at_s for item in reversed(items) if item.number is None}
    state: int | None = None
    begun: int | None = None
    """The state that the device was in last."""
    known_s = 0.0
    """When the publisher knows that the platform has refused to hear of it."""
    for value in said_s:
        if value < 0:
            continue
        if begun != state_of(value):
            begun, known_s = state_of(value), 0.0
        if value not in accepted:
            known_s = max(known_s, refused_s.get(value, -REFUSAL_S) + REFUSAL_S)
            continue
        state = state_of(value) if value in reported else state
        if state != state_of(value) and alone_s.get(state_of(value), float("inf")) <= accepted[value]:
            state = state_of(value)
        if state != state_of(value) and said_s[value] > known_s:
            yield f"{device}: at {value} the platform takes its state for {state}"
            return


def _judge_sessions(world: World, device: str, items: list[Item], said_s: Mapping[int, float]) -> Iterator[str]:
    """In each session the state is reported again, with what was said in it."""
    begins = [*(since_s for since_s, _ in world.platform.links), world.platform._since_s]
    reported = {item.session for item in items if item.state is not None}
    for session in dict.fromkeys(item.session for item in items):
        if session not in reported and any(
            item.session == session and item.number is not None and said_s.get(item.number, 0.0) > begins[session]
            for item in items
        ):
            yield f"{device}: its state was not reported again in session {session}"
            return


def _judge_unchanged(world: World, device: str, items: list[Item], resets: int) -> Iterator[str]:
    """What has not changed is reported once more for each publisher, session and refusal, and never else."""
    numbered = {item.number: item for item in items if item.number is not None and item.state is not None}
    first = {item.number: None for item in items if item.number is not None}
    extra, before = 0, None
    for number in first:
        extra += number in numbered and state_of(number) == before
        before = state_of(number)
    most = len(world.platform.links) + 1 + world.publisher.life + resets
    if extra > most:
        yield f"{device}: {extra} unchanged states were reported, {most} may be"


def _judge_last(device: str, items: list[Item]) -> Iterator[str]:
    """When all is over the last state was reported."""
    numbers = [item.number for item in items if item.number is not None]
    states = [item.state for item in items if item.state is not None]
    # An answer whose call had ended comes when that is known, and says its state then.
    lasts = {state_of(numbers[-1]), state_of(max(numbers, key=abs))} if numbers else set()
    if lasts and (not states or states[-1] not in lasts):
        yield f"{device}: the last state is {states[-1:]}, expected {lasts}"
