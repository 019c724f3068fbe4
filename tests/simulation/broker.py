"""The broker in the simulated world: its core, and the sockets that only it binds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from common.core.events import Core, Send, Tick
from common.io.sockets import RECEIVE_LIMIT
from common.wire.messages import Identity, Message, Plane
from services.broker.core.core import BrokerCore
from services.broker.core.events import (
    CloseFrames,
    ForwardReadings,
    FramesArrived,
    FramesBlocked,
    FramesWritable,
    OpenFrames,
    ReadingsBlocked,
    ReadingsWritable,
    RestFrames,
    SendFrames,
    SendTo,
    Unreachable,
)
from tests.simulation.kernel import Process, arrived

if TYPE_CHECKING:
    from tests.simulation.world import World


class BrokerProcess(Process):
    """The broker, with the sockets that only it binds."""

    def __init__(self, world: World) -> None:
        super().__init__(world.clock, "broker:0")
        self.world = world
        self.endpoints: dict[str, str] = {}
        """converter name -> endpoint."""
        self.blocked: set[str] = set()
        """Converters to which nothing goes before `FramesWritable`."""
        self.most_frames = RECEIVE_LIMIT
        """Batches that its shell takes in one go."""
        self.frames: list[FramesArrived] = []
        """What waits in the socket while frames rest, or behind as many as are taken in one go."""
        self.left_over = 0
        """How often something waited so."""
        self.rest_until_s = 0.0

    def make_core(self) -> Core:
        self.endpoints = {}
        self.blocked = set()
        self.frames, self.rest_until_s = [], 0.0
        return BrokerCore(Identity("broker", "0", f"broker#{self.life}", 1, "host"), lambda tag: f"{self.life}/{tag}")

    def hear(self, event: Any) -> None:
        """What its loop does: frames that come while they rest wait in the socket, for the end of the rest or a
        timer; so do those that come behind others."""
        is_resting = self.clock.now_s < self.rest_until_s or self.frames
        if isinstance(event, FramesArrived) and self.alive and is_resting:
            self.frames.append(event)
            return
        if isinstance(event, Tick):
            self._take_frames()
        super().hear(event)

    def _take_frames(self) -> None:
        """What is more than is taken in one go has its turn after what else has come by now: no rest begins before."""
        taken, self.frames = self.frames[: self.most_frames], self.frames[self.most_frames :]
        if self.frames:
            self.left_over += 1
            self.clock.after(0.0, self._take_more, self.life)
        for event in taken:
            super().hear(event)

    def _take_more(self, life: int) -> None:
        if self.life == life:
            self._take_frames()

    def _end_rest(self, life: int) -> None:
        if self.life == life and self.clock.now_s >= self.rest_until_s:
            self._take_frames()

    def perform(self, effect: Any) -> Iterable[Any]:
        match effect:
            case RestFrames(until_s=until_s):
                self.rest_until_s = until_s
                self.clock.after(max(0.0, until_s - self.clock.now_s), self._end_rest, self.life)
            case Send(plane=Plane.EVENTS, message=message):
                return self.world.send(self, Plane.EVENTS, message)
            case OpenFrames(converter=name, endpoint=endpoint):
                self.endpoints[name] = endpoint
            case CloseFrames(converter=name):
                self.endpoints.pop(name, None)
                self.blocked.discard(name)
            case SendFrames(converter=name):
                return self._send_frames(effect, name)
            case ForwardReadings(batch=batch):
                event = arrived(Plane.READINGS, batch)
                blocked = self.world.carry(self, self.world.publisher, event, Plane.READINGS, ReadingsWritable())
                return [ReadingsBlocked(batch)] if blocked else ()
            case SendTo(route=route, message=message):
                return self._send_to(effect, route, message)
            case _:
                raise AssertionError(f"the broker's core ordered {effect!r}")
        return ()

    def _send_frames(self, effect: SendFrames, name: str) -> Iterable[Any]:
        receiver = self.world.converters[int(name)]
        if name not in self.blocked:
            # Another endpoint: not connected yet, or to a broker that is gone.
            is_connected = receiver.endpoint == self.endpoints.get(name)
            event = arrived(Plane.FRAMES, effect.batch)
            if is_connected and not self.world.carry(self, receiver, event, Plane.FRAMES, None):
                return ()
            self.blocked.add(name)
            self.clock.after(0.01, self._watch, self.life, name)
        return [FramesBlocked(*effect)]

    def _watch(self, life: int, name: str) -> None:
        """Looks again and again whether the converter is connected, as the poller would."""
        if self.life != life or name not in self.blocked:
            return
        receiver = self.world.converters[int(name)]
        if receiver.alive and receiver.endpoint == self.endpoints.get(name):
            self.blocked.discard(name)
            self.hear(FramesWritable(name))
        elif name in self.endpoints:
            self.clock.after(0.05, self._watch, life, name)

    def _send_to(self, effect: SendTo, route: bytes, message: Message) -> Iterable[Any]:
        name, life = route.decode().rsplit("#", 1)
        receiver = self.world.processes.get(name)
        if receiver is None:
            self.world.client_heard(message)
            return ()
        if not receiver.alive or receiver.life != int(life):
            return [Unreachable(effect.route, message, "gone")]
        self.world.carry(self, receiver, arrived(Plane.CALLS, message), Plane.CALLS, None)
        return ()
