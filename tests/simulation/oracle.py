"""What must be true: bounds while a world runs, the promise when it has come to rest."""

from __future__ import annotations

import re
from typing import Any

from common.wire import codec
from services.converter.core.lanes import LANE_BATCHES
from services.publisher.core.ordering import STREAM_CREDIT_BYTES
from services.publisher.core.stream import WINDOW
from tests.simulation.asked_load import AskedCall, AskedLoad
from tests.simulation.asked_oracle import judge_asked, judge_asked_call, look_at_turns
from tests.simulation.faults import Faults
from tests.simulation.frames import is_whole
from tests.simulation.host_load import HostedCall, HostLoad
from tests.simulation.host_oracle import judge_call, judge_host, judge_updates
from tests.simulation.load import Asked, Load
from tests.simulation.reader import ReaderProcess
from tests.simulation.report_oracle import judge_reports
from tests.simulation.scenario import Scenario
from tests.simulation.source import Disk, SourceProcess, shed_by
from tests.simulation.swaps import judge_swaps
from tests.simulation.watching import Watch
from tests.simulation.world import RPC_TIMEOUT_S, World, platform_names

LOOK_S = 0.25
PATIENCE_S = 12.0
"""In a calm world nothing waits longer than this for the platform, but for a device that it refuses."""
NEIGHBOUR_S = 5.0
"""The same while another device's users' code hangs: less than that is at one frame, or a slow one takes."""
CALL_S = 10.0
"""A call of the platform's lives so long."""
SLACK_S = 1.0
BEHIND_S = 2 * RPC_TIMEOUT_S + 1.0
"""A late answer is waited for as long as an answer is."""
DEATHS = 3


class Oracle:
    """Looks at a world from outside the cores' own idea of themselves; `problems` are what is wrong."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        load: Load,
        host_load: HostLoad,
        asked_load: AskedLoad,
        faults: Faults,
    ) -> None:
        self.world = world
        self.scenario = scenario
        self.load = load
        self.host_load = host_load
        self.asked_load = asked_load
        self.faults = faults
        self.problems: list[str] = []
        self._shed: dict[SourceProcess, int] = dict.fromkeys(world.sources, 0)
        self._oldest: dict[str, tuple[int, int, float]] = {}
        """Stream -> (generation, its lowest unsettled number, since when it is that)."""
        self._struck = 0
        self._watch = Watch(world)
        self._behind: dict[Any, float] = {}
        """(reader, life) -> when it wrote the last call whose answer was one for a call of the reader before it."""
        world.clock.after(LOOK_S, self._look)

    # Bounds, several times a second.

    def _look(self) -> None:
        for source in self.world.sources:
            self._look_at_source(source)
        self._look_at_publisher()
        self._look_at_converters()
        self._look_at_strikes()
        self._look_at_rates()
        for problem in self._watch.look(self.faults.calm_from_s):
            self._note(problem)
        for problem in look_at_turns(self.world, self.faults.calm_from_s):
            self._note(problem)
        self.world.clock.after(LOOK_S, self._look)

    def _note(self, problem: str) -> None:
        if self.world.clock.trace:
            self.world.clock.trace(f"PROBLEM {problem}")
        if problem not in self.problems:
            self.problems.append(problem)

    def _look_at_rates(self) -> None:
        """The first publisher never exceeds the platform's limits; a later one can't know what is left of them."""
        rates = self.world.platform.rates
        if rates is not None and rates.refused and self.world.publisher.life == 1:
            self._note(f"more was said than the platform takes: {rates.refused[0]}")

    def _look_at_source(self, source: SourceProcess) -> None:
        core: Any = source.core
        if core is None:
            self._shed[source] = 0
            return
        name, limits = source.stream, source.limits
        for stream, disk in zip(core._source.streams, source.disks, strict=True):
            frames, size = stream.uplink._window.in_flight
            if frames > limits.window_frames or (size > limits.window_bytes and frames > 1):
                self._note(f"{stream.device}: the window is exceeded")
            if stream.uplink.backlog > limits.max_records:
                self._note(f"{stream.device}: the journal is above its limit")
            self._look_at_patience(stream.device, disk, stream.uplink)
        shed = core.counters["frames_shed"]
        if shed > self._shed[source] and limits.max_records > 50_000:
            self._note(f"{name}: shed {shed} although no limit was reached")
        self._shed[source] = shed
        if isinstance(source, ReaderProcess):
            self._look_at_port(name, core._port, source.device.framing.max_frame_bytes)

    def _look_at_port(self, name: str, port: Any, max_frame_bytes: int) -> None:
        if len(port._exchange._queue) > 64:
            self._note(f"{name}: {len(port._exchange._queue)} calls wait")
        if len(port._line._framer.partial) > max_frame_bytes + 1:
            self._note(f"{name}: a partial frame of {len(port._line._framer.partial)} bytes")

    def _look_at_patience(self, stream: str, disk: Disk, uplink: Any) -> None:
        now_s = self.world.clock.now_s
        generation, base, since_s = self._oldest.get(stream, (0, 0, now_s))
        is_moving = generation != disk.state.generation or base != uplink._window.base or uplink.backlog == 0
        patience_s = NEIGHBOUR_S if self.faults.troubled else PATIENCE_S
        if is_moving or stream in self.faults.refused | self.faults.troubled:
            self._oldest[stream] = (disk.state.generation, uplink._window.base, now_s)
        elif now_s > self.faults.calm_from_s and now_s - since_s > patience_s:
            if self.faults.troubled and now_s - self.faults.calm_from_s < patience_s:
                return  # what went wrong before may take its 12 s
            self._note(f"{stream}: {base} waits for {patience_s:g} s though nothing of it is wrong")

    def _look_at_publisher(self) -> None:
        core: Any = self.world.publisher.core
        if core is None:
            return
        for stream in core._ordering._streams.values():
            early = stream._early
            if early.batches and max(kept.end for kept in early.batches) > stream.received + WINDOW:
                self._note("the publisher keeps numbers beyond its window")
            if early.bytes > STREAM_CREDIT_BYTES:
                self._note("the publisher keeps more bytes than the credit")
        flights = core._session.flights.in_flight.values()
        # Announcements go out before the platform has said what it takes.
        data = sum(flight.parcel.is_data for flight in flights)
        if data > self.scenario.session_limits.get("maxInflightMessages", 100) or len(flights) > 100:
            self._note("more publishes in flight than the platform takes")

    def _look_at_converters(self) -> None:
        bad = {"messages doubled", "messages lost", "messages delayed", "messages reordered"}
        # On bad links credit is restored for batches that were only late.
        most = 16 if bad & set(self.scenario.kinds) else 4
        most += LANE_BATCHES * sum(reader.device.has_user_converter for reader in self.world.readers)
        for converter in self.world.converters:
            core: Any = converter.core
            held = 0 if core is None else len(core._held) + core._lanes.held
            if held > most:
                self._note(f"{converter.name} holds {held} batches")

    def _look_at_strikes(self) -> None:
        """A frame is suspected only if a process died in it."""
        while self._struck < len(self.world.strikes):
            reader, number = self.world.strikes[self._struck]
            self._struck += 1
            for block in reader.disk.blocks:
                if block.first <= number < block.end:
                    frame = codec.unpack_frames(block.body, block.length).frames[number - block.first]
                    if not self.world.died_in[frame]:
                        self._note(f"{reader.stream}: {number} is suspected, but nobody died in it")

    @property
    def has_found_bad_records(self) -> bool:
        """True if every bad frame is a dead letter, as far as it was ever journaled."""
        bad = set().union(*self.load.bad.values())
        if not bad:
            return True
        found = {
            int(letter.data) for r in self.world.readers for letter in r.disk.dead if letter.number and letter.data
        }
        lost = found.union(*(r.line.tolerated | r.lost_values for r in self.world.readers))
        return bad <= found or (bad <= lost and self.world.is_settled)

    # The verdict.

    def judge(self, is_settled: bool) -> list[str]:
        """All problems of the run; [] if everything held."""
        if not is_settled:
            rest = {
                name: disk.backlog
                for source in self.world.sources
                for name, disk in zip(source.streams, source.disks, strict=True)
            }
            self._note(f"not everything is delivered long after the last fault: {rest}")
        for reader in self.world.readers:
            self._judge_device(reader)
        for call in self.load.asked:
            self._judge_call(call)
        self._judge_hosts(is_settled)
        self._judge_asked(is_settled)
        self._judge_strategies(is_settled)
        for problem in self._watch.judge(self.faults.refused) if is_settled else ():
            self._note(problem)
        for problem in dict.fromkeys(self.world.platform.faults):
            self._note(problem)
        for process in self.world.processes.values():
            if not process.alive and process not in self.world.returning:
                self._note(f"{process.name} does not run at the end; exit code {process.exit_code}")
        if not self.scenario.faults:
            self._judge_effort()
        return self.problems

    def _judge_hosts(self, is_settled: bool) -> None:
        world = self.world
        for host in world.hosts if is_settled else ():
            for problem in judge_host(world, host):
                self._note(problem)
        for call in self.host_load.asked:
            for problem in judge_call(world, call, self._must_reply(call)):
                self._note(problem)
        for problem in judge_updates(world, self.host_load):
            self._note(problem)

    def _judge_asked(self, is_settled: bool) -> None:
        world = self.world
        for asked in world.asked if is_settled else ():
            for problem in judge_asked(world, asked, self.scenario):
                self._note(problem)
        for call in self.asked_load.asked:
            for problem in judge_asked_call(world, self.asked_load, call, self._must_reply(call)):
                self._note(problem)

    def _judge_strategies(self, is_settled: bool) -> None:
        """What each device has reported, by its strategy; those that users' converters name have that of the line."""
        strategies = iter(self.scenario.strategies)
        found: list[tuple[str, str, dict[int, float], SourceProcess]] = []
        for reader in self.world.readers if self.scenario.strategies else ():
            strategy = next(strategies)
            found += [(name, strategy, reader.line.said_s, reader) for name in platform_names(reader)]
        for host in self.world.hosts if self.scenario.strategies else ():
            found += [(device.name, next(strategies), device.handed, host) for device in host.devices]
        for name, strategy, said_s, source in found:
            # What was shed, or comes anew from another process, is forgotten, with what was reported of it.
            shed = source.shed + (shed_by(source.core) if source.core else 0)
            resets = None if shed else source.disk.state.generation
            problems = judge_reports(
                self.world, name, strategy, said_s, resets=resets, is_settled=is_settled and not shed
            )
            for problem in problems:
                self._note(problem)

    def _judge_effort(self) -> None:
        converted = sum(converter.frames_converted for converter in self.world.converters)
        numbered = sum(disk.state.next_number - 1 for source in self.world.sources for disk in source.disks)
        if converted > 1.1 * numbered:
            self._note(f"{converted} conversions of {numbered} frames without any fault")

    def _judge_device(self, reader: ReaderProcess) -> None:
        name, line = reader.device.name, reader.line
        places = {said.value: place for place, said in enumerate(line.frames)}
        accepted: set[int] = set()
        for target in platform_names(reader):
            accepted |= self._judge_order(target, places, line.device)
        bad = self.load.bad[reader]
        # A slow frame in which its process was killed three times is a dead letter like one that kills.
        letters = {int(letter.data) for letter in reader.disk.dead if letter.number and letter.data}
        condemned = {value for value in letters if self.world.died_in[b"%d\n" % value] >= DEATHS}
        lost = reader.lost_values
        missing = set(places) - accepted - line.tolerated - self._answered(reader) - bad - condemned - lost
        if wrong := reader.told - reader.disk.taken.keys():
            self._note(f"{name}: told as lost, but nothing took it: {sorted(wrong)[:5]}")
        if reader.disk.reused:
            self._note(f"{name}: numbers given out again: {reader.disk.reused[:5]}")
        allowed = reader.shed + (shed_by(reader.core) if reader.core else 0)  # type: ignore[arg-type]
        if len(missing) > allowed:
            self._note(f"{name}: {len(missing)} missing, {allowed} were shed: {sorted(missing)[:5]}")
        self._judge_dead_letters(reader, accepted, allowed)
        self._judge_lifecycle(reader, allowed)
        for problem in judge_swaps(reader, self.world.platform.items.get(name, [])):
            self._note(problem)

    def _judge_order(self, target: str, places: dict[int, int], device: int) -> set[int]:
        """The values accepted for one device on the platform; what a journal lost may have been on its way."""
        times: dict[int, int] = {}
        said_at: dict[int, int] = {}
        for ts_ms, value in self.world.platform.telemetry.get(target, []):
            if not is_whole(value, device) or value not in places:
                if not self._is_rest(value, device):
                    self._note(f"{target}: {value} was never said")
                continue
            if times.setdefault(value, ts_ms) != ts_ms:
                self._note(f"{target}: {value} came with two timestamps")
            if said_at.setdefault(ts_ms, value) != value:
                self._note(f"{target}: {value} and {said_at[ts_ms]} share a millisecond")
        # An answer whose call has ended comes when that is known: only what nobody asked for has its place.
        numbers = [value for value in times if value > 0]
        order = [places[value] for value in numbers]
        if order != sorted(order):
            wrong = next(value for value, a, b in zip(numbers[1:], order, order[1:], strict=False) if b < a)
            self._note(f"{target}: {wrong} is out of order")
        last = self.world.platform.attributes.get(target, {}).get("last")
        # Of what damage took, or what was never journaled when its reader died, accepted in part, nobody has the rest.
        lost = self.world.readers[device].lost_values | self.world.readers[device].line.tolerated
        kept = max((place for place, value in enumerate(numbers) if value not in lost), default=0)
        allowed = {*numbers[kept:], *(value for value in times if value < 0), *self.world.platform.bad_values, *lost}
        if times and last not in allowed:
            self._note(f"{target}: the last attribute is {last}, expected {numbers[-1:]}")
        return set(times)

    def _is_rest(self, value: object, device: int) -> bool:
        """True for the rest of a frame in whose pause its reader died between reading and noting that it had begun."""
        line = self.world.readers[device].line
        begun = (said for said in line.tolerated if str(said).endswith(str(value)))
        return self.scenario.kinds["kill at a step"] > 0 and any(begun)

    def _answered(self, reader: ReaderProcess) -> set[int]:
        """Answers that somebody got as a reply, or that were on their way as one when the connection ended."""
        found: set[int] = set()
        for call in self.load.asked:
            if call.id in self.world.platform.tried_replies:
                found.add(call.answer)
            for reply in self.world.platform.replies.get(call.id, []):
                if call.reader is reader and "result" in reply:
                    found.add(reply["result"])
        return found

    def _judge_dead_letters(self, reader: ReaderProcess, accepted: set[int], allowed: int) -> None:
        name, line, bad = reader.device.name, reader.line, self.load.bad[reader]
        letters = [int(letter.data) for letter in reader.disk.dead if letter.number and letter.data]
        if len(letters) != len(set(letters)):
            self._note(f"{name}: a frame is a dead letter twice")
        for value in set(letters) - bad:
            if self.world.died_in[b"%d\n" % value] < DEATHS:
                self._note(f"{name}: {value} is a dead letter though nothing is wrong with it")
        if wrong := bad & accepted:
            self._note(f"{name}: bad and yet accepted: {sorted(wrong)}")
        unknown = bad - set(letters) - line.tolerated - reader.lost_values
        if len(unknown) > allowed:
            self._note(f"{name}: bad and yet no dead letter: {sorted(unknown)}")

    def _judge_lifecycle(self, reader: ReaderProcess, allowed: int) -> None:
        name = reader.device.name
        said = self.world.platform.lifecycle.get(name, [])
        if not said or said[-1] != "connect":
            self._note(f"{name}: not connected at the end")
        for named in platform_names(reader)[1:]:
            # It comes and goes with the device whose converter has named it.
            if (heard := self.world.platform.lifecycle.get(named)) and heard[-1] != "connect":
                self._note(f"{named}: not connected at the end")
        core: Any = reader.core
        if core is not None and reader.life == 1 and not allowed:
            lost = core.counters["ports_lost"]
            if said.count("disconnect") < lost:
                self._note(f"{name}: lost {lost} times, but {said.count('disconnect')} times disconnected")

    # Calls.

    def _judge_call(self, call: Asked) -> None:
        replies = self.world.platform.replies.get(call.id, [])
        distinct = {str(reply) for reply in replies}
        name = f"call {call.id} of {call.device}"
        if len(distinct) > 1:
            self._note(f"{name}: {len(distinct)} replies")
        if not replies and self._must_reply(call):
            self._note(f"{name}: no reply")
        if others := self.world.platform.replied_as.get(call.id, set()) - {call.device}:
            self._note(f"{name}: the reply came from {sorted(others)}")
        is_unknown = any(reply.get("error") == f"unknown device {call.device}" for reply in replies)
        if is_unknown and call.device != call.reader.device.name:
            self._note(f"{name}: nobody knows who serves it, though the platform was told of it")
        for reply in replies[:1]:
            if call.method == "ask" and "result" in reply and reply["result"] != call.answer:
                self._judge_wrong_answer(call, reply["result"], name)
        for written in self._writes(call):
            if written.at_s > call.at_s + CALL_S + SLACK_S:
                self._note(f"{name}: written {written.at_s - call.at_s:.1f} s after it was asked")
        if len(self._writes(call)) > 1:
            self._note(f"{name}: written {len(self._writes(call))} times")

    def _judge_wrong_answer(self, call: Asked, result: int, name: str) -> None:
        """Another call's answer; not the gateway's fault if its reader died in between, which knew of that call, or if
        that other call was ended so by the answer to one before. Answers that are too slow for their calls then stay
        one call behind until nobody has called for a while."""
        seen = {call.id}
        written = self._writes(call)
        place = (call.reader, written[0].life) if written else None
        while (other := self._asked_for(call.reader, result)) is not None and other.id not in seen:
            mine, theirs = self._writes(call), self._writes(other)
            if mine and theirs and theirs[0].life < mine[0].life:
                if place is not None:
                    self._behind[place] = written[0].at_s
                return
            seen.add(other.id)
            call = other
            reply = next(iter(self.world.platform.replies.get(other.id, [])), {})
            result = reply.get("result", other.answer)
        if place in self._behind and written[0].at_s - self._behind[place] <= BEHIND_S:
            self._behind[place] = written[0].at_s
            return
        self._note(f"{name}: replied {result}, the answer to another")

    def _asked_for(self, reader: ReaderProcess, result: int) -> Asked | None:
        """The call to which this is the answer."""
        return next((call for call in self.load.asked if call.reader is reader and call.answer == result), None)

    def _writes(self, call: Asked) -> list[Any]:
        ids = b"%d\n" % call.id
        if call.method == "tell":
            # Whatever name stands in it: that is looked at, too.
            told = [
                one for one in call.reader.line.heard if one.data.startswith(b"!") and one.data.endswith(b" " + ids)
            ]
            if wrong := [one for one in told if one.data != b"!%s %s" % (call.device.encode(), ids)]:
                self._note(f"call {call.id} of {call.device}: {wrong[0].data!r} was written")
            return told
        wanted = (b"?" if call.method == "ask" else b"=") + ids
        return [written for written in call.reader.line.heard if written.data == wanted]

    def _stalled_s(self, start_s: float, end_s: float) -> float:
        """How long processes stood still, or messages were slow, in this time."""
        stalls = self.faults.stalls
        return sum(end - start for start, end in stalls if start < end_s and end > start_s)

    def _must_reply(self, call: Asked | HostedCall | AskedCall) -> bool:
        """True if the publisher lived, ran and could reach the platform when the reply was due."""
        world = self.world
        end_s = call.at_s + 2 * CALL_S
        if world.publisher.life != call.publisher_life or self._stalled_s(call.at_s, end_s):
            return False
        if any(start < end_s and end > call.at_s for start, end in self.faults.deaf):
            return False
        place_s = call.at_s
        for since_s, until_s in [*world.platform.links, (world.platform._since_s, world.clock.now_s)]:
            if until_s > call.at_s and since_s < end_s:
                if since_s - place_s > CALL_S - 2:
                    return False
                place_s = until_s
        return place_s >= end_s


def printable(problems: list[str]) -> str:
    """For a person: object addresses left out, so that two runs of one seed say the same."""
    return re.sub(r" at 0x[0-9a-f]+", "", "\n  ".join(problems))
