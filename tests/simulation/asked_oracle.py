"""What must be true of devices that are asked: each answer is that of its own question, each result is in the journal
before it is acknowledged, a call is written once, and turns go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from common.config.asking import REPEAT_S
from tests.simulation.asked import AskedProcess
from tests.simulation.asked_load import AskedCall, AskedLoad
from tests.simulation.instruments import Analyser, Units

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

TURN_S = 8.0
"""While nothing is wrong with its line no question waits longer for its turn: the longest period, a call and a probe in
between."""
DIALOGUE_S = 16.0
"""The same of an analyser: it may just have begun to wait for what will not come."""
CALL_S = 10.0
"""A call of the platform's lives so long."""
SLACK_S = 1.0


def look_at_turns(world: World, calm_from_s: float) -> Iterator[str]:
    """What is not asked, or not acknowledged, though nothing has gone wrong there for a while: whatever happens
    elsewhere, a reader needs nobody for it."""
    now_s = world.clock.now_s
    for asked in world.asked:
        instrument = asked.instrument
        if (asked.is_disturbed and now_s <= calm_from_s) or asked.disturbed[0] != asked.life:
            asked.disturbed = asked.life, now_s
        quiet_s = asked.disturbed[1]
        yield from dict.fromkeys(instrument.problems)
        for device, question in instrument.questions:
            if now_s - max(instrument.asked_s.get((device, question), 0.0), quiet_s) > TURN_S:
                yield f"{device}: {question} is not asked any more"
        is_waiting = isinstance(instrument, Analyser) and instrument.is_busy
        if is_waiting and now_s - max(instrument.acknowledged_s, quiet_s) > DIALOGUE_S:
            yield f"{asked.stream}: what it says is not acknowledged any more"


def judge_asked(world: World, asked: AskedProcess, scenario: Scenario) -> Iterator[str]:
    """What is wrong with one line at the end, when all that was to be delivered is."""
    instrument = asked.instrument
    yield from dict.fromkeys(instrument.problems)
    for place, (device, disk) in enumerate(zip(asked.streams, asked.disks, strict=True)):
        accepted = world.platform.keyed[device]
        yield from _judge_attribution(asked, device, accepted)
        first: dict[Any, int] = {}
        for at, (_, _, value) in enumerate(accepted):
            first.setdefault(value, at)
        kept = {number: values for number, values in asked.kept[place].items() if number < asked.marks[place]}
        missing = [value for values in kept.values() for value in values if value not in first]
        if missing:
            yield f"{device}: {len(missing)} in the journal and missing: {missing[:5]}"
        # An analyser that was not acknowledged says its results again, several of them one after the other.
        said = dict.fromkeys(values[0] for _, values in sorted(kept.items()) if values)
        order = [first[value] for value in said if value in first]
        if order != sorted(order):
            yield f"{device}: out of order"
        if disk.reused:
            yield f"{device}: numbers given out again: {disk.reused[:5]}"
        if (
            device not in asked.silent_for(TURN_S)
            and world.platform.lifecycle.get(device, ["nothing"])[-1] != "connect"
        ):
            yield f"{device}: not connected at the end"
    if isinstance(instrument, Analyser):
        yield from _judge_results(world, asked, instrument, scenario)


def _judge_attribution(asked: AskedProcess, device: str, accepted: list[tuple[int, str, Any]]) -> Iterator[str]:
    """The first that is wrong: more say the same."""
    said = asked.instrument.said
    times: dict[Any, int] = {}
    for ts_ms, key, value in accepted:
        spoken = said.get(value)
        if spoken is None:
            yield f"{device}: {value} was never said"
            return
        if (spoken.device, spoken.key) != (device, key):
            yield f"{device}: {value} came as {key}, and was said by {spoken.device} as {spoken.key}"
            return
        if times.setdefault(value, ts_ms) != ts_ms and not isinstance(asked.instrument, Analyser):
            yield f"{device}: {value} came with two timestamps"
            return


def _judge_results(world: World, asked: AskedProcess, analyser: Analyser, scenario: Scenario) -> Iterator[str]:
    """No acknowledged result is missing, and none is there twice; by the clock on the wall a repetition is one, so
    where that was set it may be none."""
    entries = Counter(value for values in asked.kept[0].values() for value in values)
    for value in analyser.acknowledged - entries.keys():
        if not asked.is_kept(asked.stream, value):
            yield f"{asked.stream}: {value} is acknowledged, and was never in the journal"
    if scenario.kinds["clock jumps"]:
        return
    accepted = {(ts_ms, value) for ts_ms, _, value in world.platform.keyed[asked.stream]}
    for value, times in Counter(value for _, value in accepted).items():
        said_s = analyser.times.get(value, [])
        pauses_s = [after_s - before_s for before_s, after_s in pairwise(said_s)]
        if times > 1 and max(pauses_s, default=0.0) < REPEAT_S - 1:
            yield f"{asked.stream}: {value} is there {times} times"


def judge_asked_call(world: World, load: AskedLoad, call: AskedCall, must_reply: bool) -> Iterator[str]:
    """A call has one reply at most, which is its own answer, and was written once at most, in time."""
    name = f"call {call.id} of {call.device}"
    replies = world.platform.replies.get(call.id, [])
    if len({str(reply) for reply in replies}) > 1:
        yield f"{name}: {len(replies)} replies"
    if not replies and must_reply:
        yield f"{name}: no reply"
    if others := world.platform.replied_as.get(call.id, set()) - {call.device}:
        yield f"{name}: the reply came from {sorted(others)}"
    heard, instrument = call.asked.asked_line.heard, call.asked.instrument
    result = next((reply["result"] for reply in replies if "result" in reply), None)
    if call.method == "get":
        yield from _judge_get(load, call, result)
        return
    if isinstance(result, str) and result != f"S{call.id} done":
        yield f"{name}: replied {result}, the answer to another"
    written = [one for one in heard if instrument.is_call(one.data, call.id)]
    if len(written) > 1:
        yield f"{name}: written {len(written)} times"
    if written and written[0].at_s > call.at_s + CALL_S + SLACK_S:
        yield f"{name}: written {written[0].at_s - call.at_s:.1f} s after it was asked"
    if result is not None and not written:
        yield f"{name}: replied {result}, and was never written"


def _judge_get(load: AskedLoad, call: AskedCall, result: Any) -> Iterator[str]:
    """What a call has read was asked for after it, and for it alone."""
    name, instrument = f"call {call.id} of {call.device}", call.asked.instrument
    spoken = instrument.said.get(result)
    if result is not None and (spoken is None or (spoken.device, spoken.key) != (call.device, "get")):
        yield f"{name}: replied {result}, which is {spoken}"
    elif spoken is not None and spoken.asked_s < call.at_s:
        yield f"{name}: replied {result}, which another has asked for"
    calls = [one for one in load.asked if one.device == call.device and one.method == "get"]
    if call is calls[-1] and isinstance(instrument, Units):
        written = sum(instrument.is_get(one.data, call.device) for one in call.asked.asked_line.heard)
        if written > len(calls):
            yield f"{call.device}: get was written {written} times for {len(calls)} calls"
