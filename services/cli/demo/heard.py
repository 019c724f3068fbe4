"""What the demo has heard from the platform's side: which devices are there, and every message, until somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from services.cli.demo.figures import Figures, readings_of
from services.cli.demo.subscriber import ATTRIBUTES, CONNECT, TELEMETRY, Arrival


class Came(NamedTuple):
    """One reading that the demo had sent: what it says, and how long it took from the line to the MQTT broker."""

    device: str
    number: int
    values: dict[str, object]
    latency_s: float


class Heard:
    """Takes what arrives at the MQTT broker, and counts the readings among it."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.connected: set[str] = set()
        """Devices that were announced."""
        self.with_attributes: set[str] = set()
        """Devices of which an attribute came."""
        self._messages: list[Arrival] = []

    def take(self, arrival: Arrival) -> list[Came]:
        """Takes a message; returns the numbered readings in it that came for the first time."""
        if not isinstance(arrival.value, dict):
            return []
        self._messages.append(arrival)
        if arrival.topic == CONNECT:
            self.connected.add(str(arrival.value.get("device")))
        elif arrival.topic == ATTRIBUTES:
            self.with_attributes |= {name for name, values in arrival.value.items() if isinstance(values, dict)}
        elif arrival.topic == TELEMETRY:
            return self._take_readings(arrival)
        return []

    def forget_messages(self) -> None:
        """What has come is of no interest to `find` any more."""
        self._messages.clear()

    def find(self, is_wanted: Callable[[Arrival], bool]) -> Arrival | None:
        """The first message of this kind since the last `forget_messages`; None if none has come."""
        return next(filter(is_wanted, self._messages), None)

    def _take_readings(self, arrival: Arrival) -> list[Came]:
        came = []
        for device, values in readings_of(arrival.value):
            if "count" in values:
                latency_s = self.figures.came(device, values["count"], arrival.at_s)
                if latency_s is not None:
                    came.append(Came(device, values["count"], values, latency_s))
        return came


def setpoints(arrival: Arrival) -> list[tuple[str, object]]:
    """(device, set point) of each reading in a message that has one; [] for any other message."""
    if arrival.topic != TELEMETRY:
        return []
    return [(device, values["setpoint"]) for device, values in readings_of(arrival.value) if "setpoint" in values]
