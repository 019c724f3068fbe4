"""What the platform accepted: counted as it comes, so that hours of frames take no memory."""

from __future__ import annotations

import threading
from array import array
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TELEMETRY = "v1/gateway/telemetry"
FAULTS_KEPT = 20


class Account:
    """One device's numbers: each new one must be the next; an old one must be an exact repeat."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.repeats = 0
        self.out_of_order = 0
        self.faults: list[str] = []
        self._times = array("q")

    @property
    def accepted(self) -> int:
        """Numbers 1 to this have come, in order."""
        return len(self._times)

    def take(self, number: int, ts_ms: int) -> None:
        """A reading of this number came."""
        expected = len(self._times) + 1
        if number == expected:
            if self._times and ts_ms <= self._times[-1]:
                self._fault(f"{number} has the time {ts_ms}, its predecessor {self._times[-1]}")
            self._times.append(ts_ms)
        elif 0 < number < expected:
            self.repeats += 1
            if self._times[number - 1] != ts_ms:
                self._fault(f"{number} came with {self._times[number - 1]} and with {ts_ms}")
        else:
            self.out_of_order += 1
            self._fault(f"{number} came when {expected} was expected")

    def _fault(self, text: str) -> None:
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(f"{self.device}: {text}")


class Counter:
    """A subscriber that keeps its session, so that it hears all that the MQTT broker has accepted."""

    def __init__(self, port: int, devices: list[str]) -> None:
        self.accounts = {device: Account(device) for device in devices}
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="counter", clean_session=False, protocol=mqtt.MQTTv311
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(TELEMETRY, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10), "the counter could not subscribe"

    @property
    def faults(self) -> list[str]:
        return [fault for account in self.accounts.values() for fault in account.faults]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        for device, items in msgspec.json.decode(message.payload).items():
            if (account := self.accounts.get(device)) is not None:
                for item in items:
                    account.take(item["values"]["n"], item["ts"])
