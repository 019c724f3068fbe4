"""The broker's shell: real sockets and the real core, one round of the loop after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from common.core.events import Arrived, Start
from common.core.version import PROTOCOL
from common.io.endpoints import Endpoints, frames_name, socket_dir
from common.io.loop import Loop
from common.io.process import make_identity
from common.io.sockets import HIGH_WATER, RECEIVE_LIMIT, connect
from common.io.sources import Sources
from common.wire import codec
from common.wire.messages import Plane, Register, Registered
from services.broker.core.core import BrokerCore
from services.broker.shell.shell import BrokerShell
from tests.support.brokering import frames
from tests.support.waiting import wait_until

LEFT = 100
"""Batches that are left over when two rounds have taken as many as they may."""


class Broker:
    """A broker whose loop goes round when the test says so; no rest ends meanwhile, however slow the machine is."""

    def __init__(self, folder: Path) -> None:
        self.endpoints = Endpoints(socket_dir(folder))
        self.sources: Sources[Any] = Sources()
        self.shell = BrokerShell(zmq.Context(), self.endpoints, self.sources, logging.getLogger("test"))
        self.core = BrokerCore(make_identity("broker"), frames_name)
        self.loop = Loop(self.core, self.shell, self.sources, logging.getLogger("test"))
        self.ends: zmq.Socket[bytes] = self.shell._frames_in.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        """Tells of each reader's connection that has ended."""
        self.loop.dispatch(Start())
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.calls = connect(self.context, zmq.DEALER, Plane.CALLS, self.endpoints.calls)

    def round(self) -> bool:
        """One round; False if no socket that is looked at had anything."""
        ready = self.sources.poll(0)
        self.loop._hear(ready)
        return bool(ready)

    def ask_to_register(self, kind: str, **detail: Any) -> None:
        """Whoever it is has asked, and the broker has not looked yet."""
        message = Register(kind, "0", f"{kind}#1", 1, "host", "", {"protocol": PROTOCOL, **detail})
        wait_until(lambda: self.calls.send(message), "the broker is connected")
        wait_until(lambda: self.shell._calls.poll(0), "the registration arrives")

    def has_answered(self) -> Registered:
        """The answer to it, which has been sent by now."""
        events = wait_until(lambda: list(self.calls.receive()), "the answer")
        assert isinstance(events[0], Arrived)
        assert isinstance(events[0].message, Registered)
        return events[0].message

    def say(self, count: int) -> None:
        """So many readers' batches of one frame, all of which wait in the broker's socket at the end."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        readers = range(0, count, HIGH_WATER)
        for begin in readers:
            socket = context.socket(zmq.PUSH)
            socket.connect(self.endpoints.frames_in)
            for number in range(begin, min(begin + HIGH_WATER, count)):
                socket.send_multipart(codec.encode(frames(f"d{number}", length=1)))
            socket.close(linger=-1)
        context.term()
        # All has left them. The end of a connection is seen when all that it has brought was taken in.
        for _ in readers:
            assert self.ends.poll(10_000)
            self.ends.recv_multipart()

    def close(self) -> None:
        self.context.destroy(linger=0)
        self.shell._frames_in.disable_monitor()
        self.ends.close()
        self.shell.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.close()


def test_what_is_left_over_waits_for_no_moment_and_holds_up_nobody(broker: Broker) -> None:
    """More batches than are taken at a time, where what comes alone rests: the next rounds take them, before anything
    rests, and whoever has called since is answered between two of them."""
    broker.ask_to_register("publisher", company_ms=40)
    assert broker.round()
    assert broker.has_answered().accepted
    broker.say(2 * RECEIVE_LIMIT + LEFT)
    broker.ask_to_register("client")
    taken = []
    while broker.round():
        taken.append(broker.core.counters["batches_in"])
        if len(taken) == 1:
            assert broker.has_answered().accepted
    assert taken == [RECEIVE_LIMIT, 2 * RECEIVE_LIMIT, 2 * RECEIVE_LIMIT + LEFT]


def test_frames_rest_once_nothing_is_left(broker: Broker) -> None:
    """Also where the last round has taken as many as it may: whatever comes next begins the rest."""
    broker.ask_to_register("publisher", company_ms=40)
    assert broker.round()
    broker.say(RECEIVE_LIMIT)
    assert broker.round()
    assert not broker.round()
    broker.say(1)
    assert broker.round()
    broker.say(1)
    assert not broker.round()
    broker.sources.end_rests(float("inf"))
    assert broker.round()
    assert broker.core.counters["batches_in"] == RECEIVE_LIMIT + 2
