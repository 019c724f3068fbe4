"""What the MQTT connection says on the wire for what the core and the dialect have ordered."""

from __future__ import annotations

import socket

import pytest

from common.config.models import Platform
from services.publisher.core.dialects import Outgoing
from services.publisher.core.events import LinkUp, Publish
from services.publisher.shell.mqtt import Connection

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_311 = b"\x20\x02\x00\x00"
SUBSCRIBED = (("from/the/platform", True),)
WILL_RETAINED_QOS_1 = 0x20 | 0x08 | 0x04
"""Bits of CONNECT's flags."""


class Peer:
    """The other end: it accepts one connection, and what comes on it is looked at byte by byte."""

    def __init__(self, protocol: int, will: Outgoing | None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = Platform(host="127.0.0.1", port=listener.getsockname()[1])
            self.connection = Connection(1, protocol, config, "us", context=None, subscriptions=SUBSCRIBED, will=will)
            assert self.connection.open() is None
            self.socket, _ = listener.accept()
        self.socket.settimeout(5)
        self.connect = self.socket.recv(4096)

    def accept(self, connack: bytes) -> None:
        self.socket.sendall(connack)
        while not any(isinstance(event, LinkUp) for event in self.connection.take_events()):
            self.connection.read()

    def close(self) -> None:
        self.connection.close()
        self.socket.close()


@pytest.mark.parametrize("protocol", [4, 5])
def test_the_dialects_will_stands_in_connect(protocol: int) -> None:
    """The MQTT broker says it for us when the connection breaks; without one the bits are not set."""
    peer = Peer(protocol, Outgoing("gateway/online", b"false", retain=True))
    flags = peer.connect[9]
    assert flags & 0x3C == WILL_RETAINED_QOS_1
    assert b"\x00\x0egateway/online\x00\x05false" in peer.connect
    peer.close()
    peer = Peer(protocol, None)
    assert peer.connect[9] & 0x3C == 0
    peer.close()


@pytest.mark.parametrize(("protocol", "connack"), [(4, CONNACK_311), (5, CONNACK_5)])
def test_what_is_to_be_kept_has_the_flag(protocol: int, connack: bytes) -> None:
    """PUBLISH of quality of service 1, with the lowest bit where the MQTT broker is to keep it."""
    peer = Peer(protocol, None)
    peer.accept(connack)
    peer.connection.publish(Publish(1, 1, "a", b"1"))
    peer.connection.publish(Publish(1, 2, "a", b"2", retain=True))
    peer.connection.write()
    said = b""
    while said.count(b"\x00\x01a") < 2:
        said += peer.socket.recv(4096)
    first, second = said.index(b"\x00\x01a") - 2, said.rindex(b"\x00\x01a") - 2
    assert (said[first], said[second]) == (0x32, 0x33)
    peer.close()
