"""Just enough MQTT 3.1.1 to stand beside a gateway at little cost: subscribe, publish, take packets apart."""

from __future__ import annotations

import socket
from typing import Final

PUBLISH: Final = 3


def text(data: bytes) -> bytes:
    """Length and bytes, as MQTT writes strings. At most 65,535 bytes."""
    return len(data).to_bytes(2) + data


def connect(port: int, client_id: bytes, topics: list[bytes]) -> socket.socket:
    """A connection to the MQTT broker on this machine, subscribed with QoS 0. Raises OSError."""
    found = socket.create_connection(("127.0.0.1", port))
    hello = b"\0\4MQTT\4\2\0\0" + text(client_id)
    subscribe = b"\0\1" + b"".join(text(topic) + b"\0" for topic in topics)
    found.sendall(packet(0x10, hello) + packet(0x82, subscribe))
    return found


def packet(head: int, body: bytes) -> bytes:
    """A whole packet: its first byte, its size, its body."""
    size, rest = b"", len(body)
    while rest > 127:
        size += bytes([rest & 127 | 128])
        rest >>= 7
    return bytes([head]) + size + bytes([rest]) + body


def next_packet(buffer: bytearray, start: int) -> tuple[int, int, int] | None:
    """(kind, where its body begins, its end) of the packet at `start`; None if it is not whole yet."""
    size, shift, place = 0, 0, start + 1
    while True:
        if place >= len(buffer):
            return None
        byte = buffer[place]
        size |= (byte & 127) << shift
        shift, place = shift + 7, place + 1
        if byte < 128:
            break
    return (buffer[start] >> 4, place, place + size) if place + size <= len(buffer) else None
