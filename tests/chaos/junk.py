"""Bytes that are no message, thrown at every socket that the broker has bound."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import Any

import msgpack
import zmq

from common.io.endpoints import Endpoints

HEADERS: tuple[Any, ...] = (None, 7, "FrameBatch", [], {}, ["FrameBatch"], ["Register", 1, 2], {"kind": []}, [[]] * 40)


def throw_junk(run_dir: Path, draw: random.Random) -> None:
    """Junk on each plane, as messages and as bytes that are not even ZeroMQ's."""
    endpoints = Endpoints(run_dir)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    targets = [
        (zmq.PUSH, endpoints.frames_in),
        (zmq.PUSH, endpoints.readings_in),
        (zmq.DEALER, endpoints.calls),
        (zmq.PUB, endpoints.events_in),
    ]
    for kind, endpoint in targets:
        with context.socket(kind) as peer:
            peer.linger = 200
            peer.connect(endpoint)
            for _ in range(draw.randrange(1, 30)):
                with contextlib.suppress(zmq.Again):
                    peer.send_multipart(_parts(draw), flags=zmq.DONTWAIT)
    context.term()
    for path in sorted(run_dir.iterdir()):
        if path.is_socket() and path.name != "sv.sock":
            _throw_bytes(path, draw)


def _parts(draw: random.Random) -> list[bytes]:
    made = [
        lambda: draw.randbytes(draw.randrange(200)),
        lambda: b"",
        lambda: b"beat." + draw.randbytes(8),
        lambda: msgpack.packb(draw.choice(HEADERS)),
        lambda: b"\xdd\xff\xff\xff\xff",
    ]
    return [draw.choice(made)() for _ in range(draw.randrange(1, 5))]


def _throw_bytes(path: Path, draw: random.Random) -> None:
    with socket.socket(socket.AF_UNIX) as peer, contextlib.suppress(OSError):
        peer.settimeout(0.2)
        peer.connect(str(path))
        peer.sendall(draw.randbytes(draw.randrange(1, 500)))
