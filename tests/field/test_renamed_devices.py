"""A device that was renamed or taken out: what is said of the process that sends what it has left."""

from __future__ import annotations

from common.core.events import Note, Send, Start
from common.wire.messages import Register
from tests.support.brokering import World
from tests.support.port_reader_rig import Rig


def events(world: World) -> list[str]:
    return [note.event for note in world.take(Note)]


def test_a_reader_that_only_drains_says_so_when_it_registers() -> None:
    """It may be gone before anybody has heard it beat."""
    for has_port in (True, False):
        rig = Rig(has_port=has_port)
        sent = [e.message for e in rig.core.handle(Start(), 0.0) if isinstance(e, Send)]
        (said,) = [message for message in sent if isinstance(message, Register)]
        assert said.detail["temporary"] is not has_port


def test_a_reader_that_has_drained_is_neither_late_nor_lost() -> None:
    """At every start of a gateway it would be a false alarm."""
    world = World()
    world.register("port_reader", "old name", detail={"temporary": True})
    world.take(Note)
    world.pass_time(10)
    assert events(world) == ["process.left"]
    assert world.core._registry.find("port_reader:old name") is None


def test_a_reader_that_has_drained_and_comes_back_is_welcome() -> None:
    """The device is configured again under its old name, or a drain goes on."""
    world = World()
    world.register("port_reader", "press", instance="first", detail={"temporary": True})
    world.pass_time(10)
    assert world.register("port_reader", "press", instance="second").accepted
    world.take(Note)
    world.pass_time(10)
    assert events(world) == ["process.late", "process.lost"]


def test_a_reader_of_a_configured_device_that_falls_silent_is_lost() -> None:
    """Also one that says something odd of itself."""
    for said in ({}, {"temporary": False}, {"temporary": "yes"}):
        world = World()
        world.register("port_reader", "press", detail=said)
        world.take(Note)
        world.pass_time(10)
        assert events(world) == ["process.late", "process.lost"]
