"""The platform accepts the connection, and loses it again and again, or takes nothing: it is said once, with the most
probable cause; attempts become slower; `serialgw status` does not call that well."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from common.core.events import Note
from services.cli.commands.status import as_text, is_well
from services.publisher.core.events import LinkDown, LinkUp
from services.publisher.core.session.faults import Place, describe_loss
from tests.field.test_platform_out_of_reach import LIBRARIES
from tests.support.publisher_driving import Driver, batch, points
from tests.support.publisher_process import MOSQUITTO, FakeBroker, Publisher, start_mosquitto
from tests.support.waiting import wait_until
from tests.unit.test_publisher_mqtt import CONNACK_5, Peer


def notes(driver: Driver, event: str) -> list[Note]:
    return [note for note in driver.notes if note.event == event and note.level != "debug"]


def pause_s(driver: Driver) -> float:
    """Waits for the next attempt; how long that was."""
    connection, began_s = driver.connection, driver.now_s
    while driver.connection == connection:
        driver.wait(0.1)
    return driver.now_s - began_s


def lose(driver: Driver, code: int = 0) -> float:
    """The connection is lost; the pause until the next attempt."""
    driver.hear(LinkDown(driver.connection, "", True, "closed", code))
    return pause_s(driver)


def test_a_client_id_that_another_uses() -> None:
    """MQTT 5 says so: one warning that names the client id, and pauses that grow to half a minute."""
    driver = Driver()
    pauses = []
    for number in range(12):
        driver.up(limits={})
        driver.take(batch(number + 1, points(number + 1, 1)))
        driver.ack_all()
        pauses.append(lose(driver, 142))
    assert [round(pause) for pause in pauses[:6]] == [1, 2, 4, 8, 16, 30]
    assert pauses[-1] >= 30
    lost = notes(driver, "link.lost")
    assert len(lost) == 1
    assert "another client uses the same client id at localhost:1883" in str(lost[0].facts["reason"])
    assert len(notes(driver, "link.up")) == 1


def test_a_copied_data_directory_is_named() -> None:
    """Where no client id is configured, the file it comes from may have been copied."""
    driver = Driver()
    driver.up(limits={})
    lose(driver, 142)
    assert "publisher.id" in driver.core._session.link.fault


def test_losses_without_a_word_are_slowed_down_though_data_was_accepted() -> None:
    """MQTT 3.1.1 says no reason: after some in a row the probable cause is said, once, and pauses grow."""
    driver = Driver()
    pauses = []
    for number in range(14):
        driver.up(4, limits={})
        driver.take(batch(number + 1, points(number + 1, 1)))
        driver.ack_all()
        driver.wait(1.1)
        pauses.append(lose(driver))
    assert max(pauses[:5]) < 0.5
    assert pauses[-1] >= 25
    reasons = [str(note.facts["reason"]) for note in notes(driver, "link.lost")]
    assert len([reason for reason in reasons if "again and again" in reason]) == 1
    assert "client id" in reasons[-1]


def test_the_state_outlasts_connack_and_ends_when_the_connection_stands() -> None:
    """While it goes on, the heartbeat keeps the reason even though the link is up; some time later it is over."""
    driver = Driver()
    for _ in range(8):
        driver.up(limits={})
        lose(driver)
    driver.up(limits={})
    link = driver.core._session.link
    assert link.state == "up"
    assert link.fault
    driver.wait(5.0)
    assert link.fault
    driver.wait(200.0)
    assert link.fault == ""
    assert len(notes(driver, "link.steady")) == 1
    assert lose(driver) < 0.5


def test_a_connection_that_is_lost_now_and_then_is_tried_again_at_once() -> None:
    """One a minute is a poor network, and no reason to wait."""
    driver = Driver()
    for _ in range(20):
        driver.up(limits={})
        driver.wait(60.0)
        assert lose(driver) < 0.5
    assert "again and again" not in str(driver.notes)


def test_a_platform_that_never_acknowledges() -> None:
    """The access token of a device that is no gateway: the connection stands, and no announcement has an answer."""
    driver = Driver()
    link = driver.core._session.link
    for _ in range(4):
        driver.hear(LinkUp(driver.connection, 5))
        driver.take(batch(1, points(1, 1)))
        driver.wait(20.5)
        assert "never acknowledges what the gateway publishes" in link.fault
        assert '"Is gateway"' in link.fault
        pause_s(driver)
    assert len(notes(driver, "link.lost")) == 1
    # The box was ticked.
    driver.up(limits={})
    driver.ack_all()
    assert link.fault == ""


def test_a_platform_that_closes_at_the_first_publish() -> None:
    """Other servers close at once: said after some in a row, once."""
    driver = Driver()
    link = driver.core._session.link
    for _ in range(6):
        driver.hear(LinkUp(driver.connection, 5))
        driver.take(batch(1, points(1, 1)))
        lose(driver)
    assert "closes it when the gateway publishes" in link.fault
    reasons = [str(note.facts["reason"]) for note in notes(driver, "link.lost")]
    assert len([reason for reason in reasons if '"Is gateway"' in reason]) == 1


@pytest.mark.parametrize(
    ("code", "word"), [(149, "maxPayloadSizeBytes"), (151, "quota"), (139, "shutting down"), (150, "rate limits")]
)
def test_what_a_server_says_at_its_goodbye(code: int, word: str) -> None:
    """Codes of MQTT 5 in words."""
    driver = Driver()
    driver.up(limits={})
    lose(driver, code)
    assert word in str(notes(driver, "link.lost")[0].facts["reason"])


def test_status_is_not_well_while_the_link_is_up_for_moments() -> None:
    """The reason stands behind `up`, and the exit code is 1."""
    link = {"state": "up", "fault": "another client uses the same client id", "host": "tb", "port": 1883}
    document: dict[str, Any] = {"processes": [], "link": link, "backlog": {"frames": 0, "bytes": 0}}
    assert not is_well(document)
    assert "up (another client uses the same client id), tb:1883" in as_text(document)
    assert is_well({**document, "link": {**link, "fault": ""}})


def test_the_reason_on_the_wire() -> None:
    """DISCONNECT of MQTT 5 with the code "session taken over"."""
    peer = Peer(5, None)
    peer.accept(CONNACK_5)
    peer.socket.sendall(b"\xe0\x02\x8e\x00")
    peer.connection.read()
    (event,) = peer.connection.take_events()
    assert isinstance(event, LinkDown)
    assert event.code == 142
    peer.close()


def test_a_platform_that_falls_silent_has_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cable that is pulled out somewhere: nobody has hung up, and the person has to look at the network."""
    peer = Peer(5, None)
    peer.accept(CONNACK_5)
    now_s = time.monotonic() + 10_000
    clock = iter(range(int(now_s), 10**9, 1000))
    monkeypatch.setattr("paho.mqtt.client.time_func", lambda: float(next(clock)))
    for _ in range(3):
        peer.connection.check()
    event = next(event for event in peer.connection.take_events() if isinstance(event, LinkDown))
    assert event.kind == "lost"
    said = describe_loss(Place("tb", 1883, False, "accessToken", False), event)
    assert said.startswith("tb:1883 does not answer any more: look at the network between")
    peer.close()


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_two_clients_of_one_id_at_a_real_broker(tmp_path: Path) -> None:
    """One that does not say why it closes: after some times the most probable cause is said, and attempts become rare,
    until the other is gone."""
    (tmp_path / "data").mkdir()
    mosquitto, port = start_mosquitto(tmp_path)
    broker = FakeBroker(tmp_path / "data")
    (tmp_path / "data" / "publisher.id").write_text("the-same\n")
    publisher = Publisher(tmp_path, {"host": "127.0.0.1", "port": port})
    other = mqtt.Client(CallbackAPIVersion.VERSION2, "the-same", reconnect_on_failure=False)

    def push_out() -> bool:
        """Comes again each time that the gateway has pushed it out."""
        broker.step()
        if broker.beat is not None and broker.beat.state["link"] == "up":
            other.reconnect()
            other.loop(0.05)
        return broker.beat is not None and "same client id" in broker.beat.state["fault"]

    try:
        broker.wait_link()
        other.connect("127.0.0.1", port)
        wait_until(push_out, "the probable cause", 60)
        assert publisher.said.count("same client id") == 1
        assert not LIBRARIES.search(publisher.said)
        other.disconnect()
        broker.wait_link()
    finally:
        publisher.close()
        broker.close()
        mosquitto.terminate()
        mosquitto.wait(10)
