"""What connectors do that none should do: each is said in `serialgw status`, and touches nobody else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Mosquitto, Platform, closing, needs_mosquitto
from tests.support.hosting import Whole, write_connectors

pytestmark = needs_mosquitto
LATE_S = 1.0
"""A neighbour's value is late only by what the test's own machine takes."""
ENOUGH = 10
"""Values of the neighbour's that say how late they are."""
ROUGH: dict[str, dict[str, Any]] = {
    "Calm": {},
    "Hangs": {},
    "Floods": {"thread": "floods"},
    "Raises": {"constructor": "raises"},
    "Dies": {"thread": "raises"},
}


class Scene(NamedTuple):
    """One gateway with rough connectors, and a well-behaved one beside them."""

    platform: Platform
    whole: Whole

    def latency_s(self, since_s: float) -> float:
        """How late the neighbour's values were that were stored since then, but for the latest one in a hundred. What
        was stored before may have waited for another test, which a test that is alone does not run beside."""

        def late(_: object) -> list[float] | None:
            found = sorted(
                seen.at_s - item["ts"] / 1000
                for seen in list(self.platform.seen)
                if seen.topic == "v1/gateway/telemetry"
                for item in seen.payload.get("Pump", ())
                if item["ts"] / 1000 > since_s
            )
            return found if len(found) >= ENOUGH else None

        late_s = self.platform.wait_for(late, "the neighbour goes on")
        p99_s = late_s[int(len(late_s) * 0.99)]
        sys.stdout.write(f"p50 {late_s[len(late_s) // 2] * 1000:.0f} ms, p99 {p99_s * 1000:.0f} ms of {len(late_s)}\n")
        return p99_s


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All of them under supervisord."""
    folder = tmp_path_factory.mktemp("rough")
    broker = Mosquitto(folder / "mqtt")
    connectors: dict[str, tuple[str, str, Any]] = {
        name: ("rough", "RoughConnector", {"device": f"of {name}", **settings}) for name, settings in ROUGH.items()
    }
    connectors["Gone"] = ("rough", "RoughConnector", {"device": "of Gone"})
    connectors["Demo"] = ("demo", "DemoConnector", {"devices": [{"name": "Pump", "type": "pump"}]})
    config = write_connectors(folder / "config", broker.port, connectors)
    other = folder / "config" / "extensions" / "rough" / "gone_connector.py"
    other.write_text("import serial_lib_that_is_not_there\n\n\nclass GoneConnector:\n    pass\n")
    main = json.loads(config.read_text())
    next(entry for entry in main["connectors"] if entry["name"] == "Gone")["class"] = "GoneConnector"
    config.write_text(json.dumps(main))
    platform = Platform(broker.port)
    whole = Whole(folder, config)
    with closing(broker, platform, whole):
        platform.wait_telemetry("Pump", 1, deadline_s=60)
        platform.wait_telemetry("of Calm", 1, deadline_s=60)
        yield Scene(platform, whole)


@pytest.mark.alone
def test_a_flood_slows_itself_down_and_nobody_else(scene: Scene) -> None:
    """It waits for the journal; what it prints is shown in part."""
    since_s = time.time()
    scene.platform.wait_for(
        lambda _: len(scene.platform.telemetry("of Floods")) > 2000, "some of the flood has arrived", 60
    )
    assert scene.latency_s(since_s) < LATE_S
    assert scene.whole.state("connector:Floods")["is_served"]
    assert scene.whole.log.read_text(errors="replace").count("flood ") < 5_000


def test_a_missing_module_is_said_with_what_to_type(scene: Scene) -> None:
    """And not tried again and again: another start would find the same."""
    reason = scene.whole.wait_state("connector:Gone", "connector_failed")
    assert "serial_lib_that_is_not_there is not installed" in reason
    assert "-m pip install serial_lib_that_is_not_there" in reason


def test_a_constructor_that_raises_is_tried_again_and_said(scene: Scene) -> None:
    """With file and line."""
    reason = scene.whole.wait_state("connector:Raises", "connector_failed", "connector_restarted")
    assert "rough_connector.py, line" in reason
    assert "OSError: no such bus" in reason


def test_a_thread_of_the_connector_that_dies_is_said(scene: Scene) -> None:
    """The process is started anew."""
    reason = scene.whole.wait_state("connector:Dies", "connector_failed", "connector_restarted")
    assert "RuntimeError: the bus is gone" in reason


@pytest.mark.alone
@pytest.mark.parametrize("method", ["exit", "crash"])
def test_a_connector_that_ends_the_process_is_started_again(scene: Scene, method: str) -> None:
    """What it has stored arrives, and others do not notice."""
    since_s = time.time()
    before = len(scene.platform.telemetry("of Calm"))
    number = 1 if method == "exit" else 2
    scene.platform.say("v1/gateway/rpc", {"device": "of Calm", "data": {"id": number, "method": method}})
    scene.platform.wait_telemetry("of Calm", before + 1, deadline_s=40)
    reason = scene.whole.wait_state("connector:Calm", "connector_restarted")
    assert "without a word" in reason
    assert scene.latency_s(since_s) < LATE_S


@pytest.mark.alone
def test_the_interpreter_held_is_nobody_else_s_affair(scene: Scene) -> None:
    """For as long as no call of it is over; afterwards it goes on."""
    since_s = time.time()
    assert scene.platform.call("of Calm", "hold", 3, 3) == {"done": "hold"}
    assert scene.latency_s(since_s) < LATE_S


@pytest.mark.alone
def test_a_handler_that_hangs_is_said_after_three_calls(scene: Scene) -> None:
    """Whoever called gets an error in time; the connector is started anew."""
    since_s = time.time()
    before = len(scene.platform.telemetry("of Hangs"))
    for number in (11, 12, 13):
        scene.platform.say("v1/gateway/rpc", {"device": "of Hangs", "data": {"id": number, "method": "hang"}})
    assert "no answer in 10 s" in scene.platform.reply("of Hangs", 11)["error"]
    reason = scene.whole.wait_state("connector:Hangs", "connector_failed", "connector_restarted")
    assert "server_side_rpc_handler has not come back for 3 calls in a row" in reason
    scene.platform.wait_telemetry("of Hangs", before + 1, deadline_s=40)
    assert scene.latency_s(since_s) < LATE_S
