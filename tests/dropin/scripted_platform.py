"""A client of the MQTT broker that plays ThingsBoard's server: gives credentials, and calls the gateway."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.publisher_process import wait_listening


class ScriptedPlatform:
    """Hears everything, and answers to requests for credentials as `gives` says; None: not at all."""

    def __init__(self, port: int, gives: dict[str, Any] | None = None, user: str = "server") -> None:
        self.seen: list[tuple[str, Any]] = []
        self.gives = gives
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user)
        ready = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe([("v1/#", 1), ("/provision/#", 1)])
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.on_message = self._hear
        wait_listening(port)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert ready.wait(10), "the scripted platform could not subscribe"

    def _hear(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        value = json.loads(message.payload)
        self.seen.append((message.topic, value))
        if message.topic != "/provision/request" or self.gives is None:
            return
        answer = self.gives
        if answer["status"] == "SUCCESS":
            kind = value["credentialsType"]
            given = {
                "ACCESS_TOKEN": value.get("token"),
                "MQTT_BASIC": {
                    "clientId": value.get("clientId"),
                    "userName": value.get("username"),
                    "password": value.get("password"),
                },
                "X509_CERTIFICATE": value.get("hash"),
            }[kind]
            answer = {**answer, "credentialsType": kind, "credentialsValue": given}
        client.publish("/provision/response", json.dumps(answer), qos=1)

    def say(self, topic: str, payload: Any) -> None:
        self._client.publish(topic, json.dumps(payload), qos=1)

    def on(self, topic: str) -> list[Any]:
        """What was said on a topic, in order."""
        return [payload for seen, payload in list(self.seen) if seen == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class TlsDoor:
    """Ends TLS before a plain broker, and knows the certificates of those who come through it. One that it was not told
    of is refused; who has none may pass."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._behind = port
        self.shown: list[str | None] = []
        """The certificate of each connection in PEM form; None where there was none."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def trust(self, certificate: str) -> None:
        """Lets this one in from now on."""
        self._context.load_verify_locations(cadata=certificate)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        try:
            spoken = self._context.wrap_socket(client, server_side=True)
            found = spoken.getpeercert(binary_form=True)
            self.shown.append(ssl.DER_cert_to_PEM_cert(found) if found else None)
            behind = socket.create_connection(("127.0.0.1", self._behind))
        except OSError:
            client.close()
            return
        threading.Thread(target=self._copy, args=(behind, spoken), daemon=True).start()
        self._copy(spoken, behind)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self._server.close()
