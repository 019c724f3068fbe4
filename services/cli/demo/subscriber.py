"""The demo's view from the platform's side: what arrives at the MQTT broker, with the time of its arrival."""

from __future__ import annotations

import queue
import time
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
import simplejson
from paho.mqtt.enums import CallbackAPIVersion

from common.core.errors import LinkError

CONNECT: str = "v1/gateway/connect"
"""The topics of ThingsBoard's gateway API, as the platform sees them."""
TELEMETRY: str = "v1/gateway/telemetry"
ATTRIBUTES: str = "v1/gateway/attributes"
RPC: str = "v1/gateway/rpc"


class Arrival(NamedTuple):
    """One MQTT message: when it came (monotonic seconds), its topic, its JSON value."""

    at_s: float
    topic: str
    value: Any


class Subscriber:
    """A client of the MQTT broker; paho's network thread fills a queue, the demo empties it."""

    def __init__(self, host: str, port: int) -> None:
        """Raises LinkError if the broker refuses."""
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="serialgw-demo", protocol=mqtt.MQTTv311)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda *_: self._client.subscribe("v1/gateway/#", 1) and None
        self._client.on_subscribe = lambda *_: self._ready.put(True)
        # A subscription that is acknowledged misses nothing that comes later.
        self._client.connect(host, port)
        self._client.loop_start()
        try:
            self._ready.get(timeout=10)
        except queue.Empty:
            raise LinkError("the demo's MQTT broker took no subscription in 10 s") from None

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        """Takes the time first: it runs in paho's own thread, at the moment of the arrival."""
        at_s = time.monotonic()
        try:
            value = simplejson.loads(message.payload)
        except ValueError:
            value = None
        self._arrivals.put(Arrival(at_s, message.topic, value))

    def arrivals(self) -> list[Arrival]:
        """What came since the last call."""
        found = []
        while not self._arrivals.empty():
            found.append(self._arrivals.get_nowait())
        return found

    def publish(self, topic: str, value: object) -> None:
        """Says something to the gateway, as the platform would."""
        self._client.publish(topic, simplejson.dumps(value), qos=1)

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()
