"""What hosted connectors are given to do: they store at their rate, devices come and go, the platform calls."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.simulation.frames import answer_of, value_of
from tests.simulation.host import TYPE, HostedDevice, HostProcess
from tests.simulation.scenario import LOAD_S, Scenario
from tests.simulation.world import World

START_S = 2.0
FIRST_CALL = 10_000
"""Calls of hosted connectors are numbered from here on."""


class HostedCall(NamedTuple):
    """One call from the platform: of a device, or, without one, of the connectors themselves."""

    id: int
    device: HostedDevice | None
    host: HostProcess
    at_s: float
    publisher_life: int

    @property
    def answer(self) -> int:
        """What the connector answers, if it does."""
        return self.id if self.device is None else value_of(answer_of(self.device.number, self.id))


class HostLoad:
    """The talk of all connectors, drawn apart from that of lines; `asked` are the calls that reached the gateway."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._draw = draw = random.Random(f"connectors {scenario.seed}")
        self._start_s = world.clock.now_s
        self._is_over = False
        self._count = FIRST_CALL
        self.asked: list[HostedCall] = []
        self.updated: dict[str, list[int]] = {}
        """Device → the attribute values that the platform has said to it."""
        for host in world.hosts:
            for device in host.devices:
                world.clock.after(START_S + draw.random(), self._speak, host, device)
                if host.plan.goes_away:
                    world.clock.after(START_S + 40 * draw.random(), self._go_away, host, device)
            for _ in range(host.plan.calls):
                world.clock.after(START_S + draw.random() * (LOAD_S - START_S), self._call, host)

    def stop(self) -> None:
        """Nobody says anything any more."""
        self._is_over = True

    def _speak(self, host: HostProcess, device: HostedDevice) -> None:
        draw, clock = self._draw, self._world.clock
        if self._is_over or clock.now_s > self._start_s + host.plan.until_s:
            return
        if host.connector is not None:
            host.connector.store(device, draw.randint(1, host.plan.most_values))
        clock.after((0.5 + draw.random()) / host.plan.rate_hz, self._speak, host, device)

    def _go_away(self, host: HostProcess, device: HostedDevice) -> None:
        """A device is gone, behind what it has said; and comes back by a mark, by its next value, or never."""
        if self._is_over or host.connector is None:
            return
        host.connector.mark(device, "disconnect")
        if self._draw.random() < 0.5:
            self._world.clock.after(1 + 3 * self._draw.random(), self._come_back, host, device)

    def _come_back(self, host: HostProcess, device: HostedDevice) -> None:
        if host.connector is not None and not device.is_there:
            host.connector.mark(device, "connect")

    def _call(self, host: HostProcess) -> None:
        """A call of a device that the platform knows as connected, an attribute update, or a call of the connectors."""
        draw, world = self._draw, self._world
        device, kind = draw.choice(host.devices), draw.random()
        self._count += 1
        number = self._count
        call = HostedCall(number, device, host, world.clock.now_s, world.publisher.life)
        if kind < 0.2:
            values = self.updated.setdefault(device.name, [])
            if world.platform.is_announced(device.name):
                values.append(number)
                world.platform.say("v1/gateway/attributes", {"device": device.name, "data": {"level": number}})
        elif kind < 0.4:
            said = {"method": f"{TYPE}_ask", "params": number}
            if world.platform.say(f"v1/devices/me/rpc/request/{number}", said):
                self.asked.append(call._replace(device=None))
        elif world.platform.is_announced(device.name):
            said = {"device": device.name, "data": {"id": number, "method": "ask", "params": number}}
            if world.platform.say("v1/gateway/rpc", said):
                self.asked.append(call)
