"""Connectors that use the process as if it were theirs alone: its signals, its logging, its streams, its children."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosting import Whole, write_connectors
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
SIGNALS = ("handler", "default", "wakeup", "loop")
LOGS = ("handlers", "basic", "dict", "silent")
WAYS = (*SIGNALS, *LOGS, "streams", "forks")


class Scene(NamedTuple):
    """One gateway that hosts one of each."""

    platform: Platform
    whole: Whole

    def failures(self, way: str) -> list[str]:
        """What the connector was refused that a process of its own would give it."""
        items = self.platform.wait_telemetry(f"by {way}", 3, deadline_s=60)
        return list(items[-1]["values"].get("failed", []))

    def log(self) -> str:
        return self.whole.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All of them under supervisord."""
    folder = tmp_path_factory.mktemp("odd")
    broker = Mosquitto(folder / "mqtt")
    connectors: dict[str, tuple[str, str, Any]] = {
        way.capitalize(): ("odd", "OddConnector", {"device": f"by {way}", "way": way}) for way in WAYS
    }
    config = write_connectors(folder / "config", broker.port, connectors)
    platform = Platform(broker.port)
    whole = Whole(folder, config)
    with closing(broker, platform, whole):
        platform.wait_connected(*(f"by {way}" for way in WAYS), deadline_s=60)
        yield Scene(platform, whole)


@pytest.mark.parametrize("way", LOGS)
def test_logging_is_the_connectors_own_affair(scene: Scene, way: str) -> None:
    """However it sets logging up, its calls do not fail, and what it logs and what the gateway says of it is told."""
    assert scene.failures(way) == []
    number = 10 + LOGS.index(way)
    assert scene.platform.call(f"by {way}", "refused", None, number) == {"answer": "Status.FAILURE"}
    who = f"[connector_host:{way.capitalize()}]"

    def lines() -> list[str]:
        return [line for line in scene.log().splitlines() if who in line]

    wait_until(lambda: any("send_to_storage of OddConnector: " in line for line in lines()), "the refusal is said")
    assert any("connector.opened" in line for line in lines())
    assert any(f"by {way} prints 1" in line for line in lines())
    if way != "silent":
        assert any(f"by {way} logs 1" in line for line in lines())


def test_the_streams_are_those_of_a_program(scene: Scene) -> None:
    """What libraries ask of standard output is there, and nothing waits for somebody who types."""
    assert scene.failures("streams") == []
    wait_until(lambda: "bytes of the stream" in scene.log(), "bytes are told")
    wait_until(lambda: "a child of the stream" in scene.log(), "a child's output is told")


def test_a_child_ends_when_it_is_told_to_and_its_parent_does_not(scene: Scene) -> None:
    """A signal to a child that the connector has forked is the child's alone."""
    pid = scene.platform.call("by forks", "pids", None, 31)["answer"][0]
    assert scene.platform.call("by forks", "terminate", None, 32) == {"answer": -signal.SIGTERM}
    assert scene.platform.call("by forks", "pids", None, 33)["answer"][0] == pid


def test_a_child_is_a_program_of_its_own(scene: Scene) -> None:
    """Its handlers of signals are its own, and what it hands over is refused at once: the gateway is in its parent."""
    assert scene.platform.call("by forks", "handler in child", None, 36) == {"answer": ["Status.FAILURE", "told", 7]}
    assert "which the connector has forked" in scene.log()


def test_a_child_that_outlives_its_parent_is_in_nobody_s_way(scene: Scene) -> None:
    """The connector is started again after a kill, though what it has forked goes on."""
    pid, child = scene.platform.call("by forks", "pids", None, 34)["answer"]
    before = len(scene.platform.telemetry("by forks"))
    os.kill(pid, signal.SIGKILL)
    scene.platform.wait_telemetry("by forks", before + 5, deadline_s=30)
    assert Path(f"/proc/{child}").exists()
    os.kill(child, signal.SIGKILL)


def test_all_are_stopped_in_order(scene: Scene) -> None:
    """Whatever a connector does about signals: it is closed, what it stores then arrives, and its device is
    disconnected. Children that it has left to `multiprocessing` end with it."""
    child = scene.platform.call("by forks", "pids", None, 35)["answer"][1]
    scene.whole.close()
    assert scene.whole.process.returncode == 0
    for way in WAYS:
        device = f"by {way}"
        assert scene.platform.telemetry(device)[-1]["values"] == {"last": True}, way
        assert scene.platform.on("v1/gateway/disconnect", device), way
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")
