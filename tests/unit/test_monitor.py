"""The monitor's core: what `status` shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.core.events import Arrived, Drain, Exit, Send, Start, Tick
from common.wire import codec
from common.wire.calls import Watched, pack_body
from common.wire.messages import Heartbeat, Identity, Plane, Registered, Reply, Request
from services.monitor.core.core import MonitorCore
from services.monitor.core.gateway.table import FORGET_S, ROWS_LIMIT


class World:
    """A monitor that knows of one configured device."""

    def __init__(self) -> None:
        self.core = MonitorCore(Identity("monitor", "0", "m1", 7, "here"), ["press"])
        self.now_s = 100.0
        self.core.handle(Start(), self.now_s)
        self.core.handle(Arrived(Plane.CALLS, Registered("monitor:0", True, "", "b1", "")), self.now_s)

    def beat(self, kind: str, name: str = "0", instance: str = "i1", **fields: Any) -> None:
        beat = Heartbeat(kind, name, instance, 42, "here", 1.0, {}, {"n": 1}).replace(**fields)
        self.core.handle(Arrived(Plane.EVENTS, beat), self.now_s)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.core.handle(Tick(), self.now_s)

    def ask(self, verb: str = "status") -> Reply:
        request = Request("call-1", "client:1", "monitor:0", verb, "", "", 5.0, codec.pack(None))
        effects = self.core.handle(Arrived(Plane.CALLS, request), self.now_s)
        (reply,) = [e.message for e in effects if isinstance(e, Send) and e.plane is Plane.CALLS]
        assert (reply.id, reply.target) == ("call-1", "client:1")
        return reply

    def status(self) -> dict[str, Any]:
        return json.loads(codec.unpack(self.ask().body))

    def process(self, kind: str) -> dict[str, Any]:
        (found,) = [process for process in self.status()["processes"] if process["kind"] == kind]
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_a_process_is_shown_as_its_heartbeat_says(world: World) -> None:
    """All that `status` promises of a process."""
    world.beat("port_reader", "press", state={"port": "/dev/x"})
    assert world.process("port_reader") == {
        "kind": "port_reader",
        "name": "press",
        "device": "press",
        "pid": 42,
        "host": "here",
        "state": "alive",
        "uptime_s": 1.0,
        "counters": {"n": 1},
        "facts": {"port": "/dev/x"},
    }


def test_a_configured_device_that_never_beat_is_lost_without_a_pid(world: World) -> None:
    """Somebody should look why its reader doesn't run."""
    found = world.process("port_reader")
    assert (found["device"], found["state"], found["pid"]) == ("press", "lost", None)


def test_silence_makes_late_and_lost_and_a_beat_alive(world: World) -> None:
    """As everywhere: 3 s, 5 s; only when all that had arrived was heard."""
    world.beat("publisher")
    states = []
    for seconds in (2, 2, 2):
        world.pass_time(seconds)
        states.append(world.process("publisher")["state"])
    world.now_s += 60
    world.beat("publisher")
    states.append(world.process("publisher")["state"])
    assert states == ["alive", "late", "lost", "alive"]


def test_a_new_instance_takes_the_place_of_the_old_one(world: World) -> None:
    """One line per address; what the older one says while the newer is alive doesn't show."""
    world.beat("converter", instance="old", uptime_s=50.0)
    world.beat("converter", instance="new", uptime_s=0.0, pid=43)
    world.beat("converter", instance="old", uptime_s=50.0)
    assert world.process("converter")["pid"] == 43
    world.pass_time(6)
    world.beat("converter", instance="old", uptime_s=56.0)
    assert world.process("converter")["pid"] == 42


def test_the_link_is_what_the_publisher_says(world: World) -> None:
    """Unknown while there is none, or it is lost: it can't know then."""
    assert world.status()["link"] == {"state": "unknown", "epoch": ""}
    world.beat("publisher", state={"epoch": "e1", "link": "up", "protocol": 5})
    assert world.status()["link"] == {"state": "up", "epoch": "e1", "protocol": 5}
    world.pass_time(6)
    assert world.status()["link"]["state"] == "unknown"


def test_the_backlog_is_the_sum_of_the_readers(world: World) -> None:
    """Frames and bytes that wait in journals."""
    world.beat("port_reader", "press", state={"backlog": 5, "backlog_bytes": 100})
    world.beat("port_reader", "scale", state={"backlog": 2, "backlog_bytes": 50})
    world.beat("port_reader", "odd", state={"backlog": "many"})
    assert world.status()["backlog"] == {"frames": 7, "bytes": 150}


def test_who_is_gone_for_an_hour_is_forgotten_unless_configured(world: World) -> None:
    """A converter that is no longer run disappears; a device's reader doesn't."""
    world.beat("converter", "9")
    world.beat("port_reader", "press")
    world.pass_time(FORGET_S + 1)
    assert [(p["kind"], p["state"]) for p in world.status()["processes"]] == [("port_reader", "lost")]


def test_the_table_is_bounded_and_leaves_out_clients(world: World) -> None:
    """Commands come and go; junk names end somewhere."""
    world.beat("client", "abc")
    for number in range(ROWS_LIMIT + 10):
        world.beat("converter", str(number))
    processes = world.status()["processes"]
    assert len(processes) == ROWS_LIMIT
    assert all(process["kind"] != "client" for process in processes)


@pytest.mark.parametrize(
    "state",
    [{"x": b"\xff"}, {1: 2}, {"x": float("nan")}, {b"k": 1}, {"x": "y" * 100_000}, {(1, 2): 3}, {"x": {None: 1}}],
)
def test_facts_of_any_shape_are_shown_or_left_out(world: World, state: dict[Any, Any]) -> None:
    """They come from the wire; an odd one must not take `status` away from everyone."""
    world.beat("converter", state=state, counters={"n": "many"})
    assert world.process("converter")["counters"] == {}


def test_another_verb_is_answered_with_an_error(world: World) -> None:
    """Nobody waits for nothing."""
    assert world.ask("reboot").error == "unknown verb reboot"


def test_it_beats_and_exits_at_once(world: World) -> None:
    """It holds nothing that a drain could save."""
    world.now_s += 1
    effects = world.core.handle(Tick(), world.now_s)
    assert [effect.message.kind for effect in effects if isinstance(effect, Send)] == ["monitor"]
    assert isinstance(world.core.handle(Drain(), world.now_s)[-1], Exit)


def test_a_reader_that_was_to_end_is_not_missed(world: World) -> None:
    """What drains a forgotten device's journal is shown while it runs, and no longer when it has ended."""
    world.beat("port_reader", "gone", state={"temporary": True})
    world.beat("port_reader", "press", state={"temporary": False})
    assert {process["name"] for process in world.status()["processes"]} == {"gone", "press"}
    world.pass_time(6)
    assert [process["name"] for process in world.status()["processes"]] == ["press"]


def test_a_rate_is_told_from_heartbeats(world: World) -> None:
    """Frames a second, by the process's own clock: of the last moments where many come, of a minute where few do. A new
    process begins anew, and nothing is made of what is no number."""

    def rate(frames: Any, uptime_s: float, instance: str = "i1") -> Any:
        world.beat("port_reader", "press", instance, uptime_s=uptime_s, counters={"frames_read": frames})
        [device] = world.status()["devices"]
        return device["frames_hz"]

    assert rate(0, 1.0) is None
    assert rate(0, 2.0) == 0
    # A line that begins to talk is known by the fourth second to say five frames in each.
    assert [rate(5 * second, 2.0 + second) for second in range(1, 8)][3:] == [5.0] * 4
    # It falls silent: less and less, and nothing after a minute.
    silent = [rate(35, 9.0 + second) for second in range(1, 65)]
    assert silent == sorted(silent, reverse=True)
    assert silent[-1] == 0
    # One frame in twenty seconds.
    assert [rate(35 + second // 20, 73.0 + second) for second in range(1, 121)][-1] == 0.05
    known = rate(41, 194.0)
    for frames, uptime_s in ((10, 195.0), (400, 100.0), (float("nan"), 196.0), (500, float("nan"))):
        assert rate(frames, uptime_s) == known
    assert rate(7, 1.0, "i2") is None
    # A calm process beats each ten seconds.
    assert [rate(7 + 2 * beat, 1.0 + 10 * beat, "i2") for beat in range(1, 30)][-1] == 0.2


def watch(world: World, devices: list[str], connectors: list[str]) -> None:
    """Somebody has changed the configuration."""
    body = pack_body(Watched(devices, connectors))
    request = Request("call-2", "client:1", "monitor:0", "watched", "", "", 5.0, body)
    (answer,) = [e for e in world.core.handle(Arrived(Plane.CALLS, request), world.now_s) if isinstance(e, Send)]
    assert isinstance(answer.message, Reply)
    assert answer.message.error == ""


def test_who_comes_and_goes_while_it_runs_is_told(world: World) -> None:
    """A new device is missed until its reader beats; one that is configured no more is shown until its reader has
    ended, and then is no fault; what is known of all others stays."""
    world.beat("port_reader", "press", state={"port": "/dev/x"})
    watch(world, ["pump"], ["Own"])
    assert [device["name"] for device in world.status()["devices"]] == ["pump", "connector:Own"]
    found = {process["name"]: process["state"] for process in world.status()["processes"]}
    assert found == {"Own": "lost", "press": "alive", "pump": "lost"}
    world.pass_time(20.0)
    assert {process["name"] for process in world.status()["processes"]} == {"Own", "pump"}
    watch(world, ["pump", "press"], [])
    world.pass_time(20.0)
    assert {process["name"] for process in world.status()["processes"]} == {"press", "pump"}
