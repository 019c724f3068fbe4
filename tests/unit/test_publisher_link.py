"""The connection: protocols, retries, limits, refusals, drain, heartbeat."""

from __future__ import annotations

from typing import Any

from common.config.models import Platform, Security
from common.core.events import Arrived, Drain, Exit, Note, Send
from common.wire.messages import Entry, Heartbeat, Plane, Registered, Request
from services.publisher.core.events import (
    ConnectPlatform,
    DisconnectPlatform,
    LinkDown,
    LinkOpened,
    LinkRefused,
    LinkUp,
    Probe,
    Probed,
)
from services.publisher.core.ordering import RECEIVED_S
from tests.support.publisher_driving import Driver, batch, points, said


def attempts(effects: list[Any]) -> list[int]:
    return [effect.protocol for effect in effects if isinstance(effect, ConnectPlatform)]


def first_attempt(driver: Driver) -> int:
    return driver.connection


def test_mqtt_5_is_tried_first_and_3_1_1_where_it_is_refused():
    """CONNACK 132 means 3.1.1 at once and from then on, on every later connection."""
    driver = Driver()
    effects = driver.hear(LinkRefused(driver.connection, 132, "Unsupported protocol version"))
    assert attempts(effects) == [4]
    driver.up(4, limits={})
    assert attempts(driver.down() + driver.wait(2.0)) == [4]


def test_close_before_connack_means_3_1_1_for_one_attempt():
    """A peer that only closes gets 3.1.1 next; a later connection begins with 5 again."""
    driver = Driver()
    assert attempts(driver.down()) == [4]
    driver.up(4, limits={})
    assert attempts(driver.down() + driver.wait(2.0)) == [5]
    assert attempts(driver.down()) == [4]


def test_unreachable_host_keeps_the_protocol():
    """A connection that could not be made says nothing about the protocol; retries slow down to 60 s, for ever."""
    driver = Driver()
    driver.down("connection refused", reached=False)
    gaps = []
    for _ in range(30):
        began_s = driver.now_s
        connection = driver.connection
        while driver.connection == connection:
            driver.wait(0.5)
        gaps.append(driver.now_s - began_s)
        driver.down("connection refused", reached=False)
    assert gaps[0] <= 1.5
    assert max(gaps) == 60
    assert gaps[-1] == 60
    assert len([note for note in driver.notes if note.event == "link.failed"]) == 1


def test_good_connection_that_drops_is_tried_again_at_once():
    """An established link retries within half a second; one that never did anything, slower each time."""
    driver = Driver()
    driver.up(limits={})
    driver.wait(15.0)
    assert attempts(driver.down() + driver.wait(0.5)) == [5]
    driver.up(limits={})
    assert attempts(driver.down() + driver.wait(0.5)) == []


def test_connection_on_which_data_was_accepted_is_a_good_one_however_short():
    """On both protocols: a platform that takes data and then closes is tried again at once, again and again."""
    for protocol in (5, 4):
        driver = Driver()
        if protocol == 4:
            driver.hear(LinkRefused(driver.connection, 132, "Unsupported protocol version"))
        for number in range(1, 6):
            driver.up(protocol, limits={})
            driver.take(batch(number, points(number, 1)))
            driver.ack_all()
            driver.wait(1.1)
            assert driver.report().settled == number + 1
            assert attempts(driver.down() + driver.wait(0.5)) == [protocol]


def test_bad_credentials_are_one_error_and_slow_retries():
    """One ERROR says what a person has to mend; attempts go on, 15 s apart and more."""
    driver = Driver()
    count = 0
    for _ in range(400):
        connection = driver.connection
        driver.hear(LinkRefused(connection, 135, "Not authorized"))
        driver.wait(0.5)
        count += driver.connection != connection
    assert 4 <= count <= 12
    errors = [note for note in driver.notes if note.level == "error"]
    assert [note.event for note in errors] == ["link.refused"]


def test_transport_that_never_stands_ends_the_attempt():
    """After 15 s without a transport the attempt is given up and made again, with the same protocol."""
    driver = Driver()
    effects = driver.wait(20.0)
    assert [effect for effect in effects if isinstance(effect, DisconnectPlatform)] == [DisconnectPlatform(1)]
    assert attempts(effects) == [5]


def test_silent_server_is_tried_in_3_1_1():
    """5 s after CONNECT without CONNACK the connection is closed; the next attempt is 3.1.1 at once, then 5 again, with
    one warning for all of it, which comes when the other side was looked at."""
    driver = Driver()
    driver.hear(LinkOpened(driver.connection))
    assert attempts(driver.wait(4.9)) == []
    effects = driver.wait(0.2)
    assert attempts(effects) == [4]
    assert DisconnectPlatform(1) in effects
    driver.hear(LinkOpened(driver.connection))
    assert Probe(driver.connection) in driver.wait(5.1)
    assert attempts(driver.hear(Probed(driver.connection, "")) + driver.wait(1.5)) == [5]
    driver.hear(LinkOpened(driver.connection))
    driver.wait(5.1)
    driver.up(4, limits={})
    events = [note.event for note in driver.notes if note.level != "debug"]
    assert events == ["link.failed", "link.up"]


def test_data_waits_two_seconds_for_limits_and_announcements_do_not():
    """Without an answer to getSessionLimits devices are announced meanwhile, and data flows after 2 s."""
    driver = Driver()
    driver.hear(LinkUp(driver.connection, 5))
    driver.take(batch(1, points(1, 1)))
    driver.ack_all()
    assert driver.topics() == ["v1/devices/me/rpc/request/1", "connect"]
    driver.wait(1.9)
    assert len(driver.published) == 2
    driver.wait(0.2)
    assert driver.topics()[-1] == "telemetry"


def test_own_question_coming_back_ends_the_wait():
    """A plain MQTT broker sends our question back: nobody will answer, data flows at once."""
    driver = Driver()
    driver.up()
    driver.take(batch(1, points(1, 1)))
    driver.say("v1/devices/me/rpc/request/1", {"method": "getSessionLimits", "params": {"timeout": 5000}})
    driver.settle_control()
    assert driver.topics()[-1] == "telemetry"
    assert not [topic for topic in driver.topics() if "response" in topic]


def test_events_of_an_older_connection_are_ignored():
    """LinkDown of the last connection does not end this one."""
    driver = Driver()
    driver.up(limits={})
    driver.down()
    driver.again()
    driver.hear(LinkDown(1, "late", True))
    driver.take(batch(1, points(1, 1)))
    driver.ack_all()
    assert driver.report().settled == 2


def beats(effects: list[Any]) -> list[Heartbeat]:
    return [effect.message for effect in effects if isinstance(effect, Send) and isinstance(effect.message, Heartbeat)]


def test_heartbeat_tells_epoch_link_and_no_secret():
    """Each second: epoch, link, host, port, counters and every stream's report; never a secret."""
    secrets = Security(type="usernamePassword", access_token="hush1", username="hush2", password="hush3")
    driver = Driver(Platform(host="there", security=secrets))
    driver.up(limits={})
    driver.take(batch(1, points(1, 2)))
    driver.ack_all()
    effects = driver.wait(2.5)
    found = beats(effects)
    assert len(found) in (2, 3)
    state = found[-1].state
    assert (state["epoch"], state["link"], state["host"], state["port"]) == ("epoch-1", "up", "there", 1883)
    assert found[-1].counters["readings_accepted"] == 2
    assert "hush" not in str(found) + str(driver.notes) + str(driver.published)
    reports = [
        effect for effect in effects if isinstance(effect, Send) and effect.message.__class__.__name__ == "StreamReport"
    ]
    assert len(reports) == len(found)


def test_connected_silent_device_is_announced_from_its_readers_heartbeat():
    """A new publisher on idle lines announces what port readers say is connected, so that calls reach it."""
    driver = Driver()
    driver.up(limits={})
    driver.published.clear()
    beat = Heartbeat("port_reader", "press1", "r", 2, "here", 1.0, {"connected": True, "device": "press1"}, {})
    gone = beat.replace(name="press2", state={"connected": False, "device": "press2"})
    driver.hear(Arrived(Plane.EVENTS, beat), Arrived(Plane.EVENTS, gone))
    assert [said(order) for order in driver.published] == [{"device": "press1", "type": "press"}]
    driver.ack_all()
    driver.take(batch(1, [None], kind=Entry.LOST))
    driver.ack_all()
    driver.hear(Arrived(Plane.EVENTS, beat))
    assert driver.topics() == ["connect", "disconnect"]


def test_connected_device_is_announced_though_all_it_has_said_is_junk():
    """A new publisher whose first frames of a device are dead letters: calls have to reach it all the same."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(7, [None], dead={0: "no number"}, base=7))
    driver.published.clear()
    beat = Heartbeat("port_reader", "press1", "r", 2, "here", 1.0, {"connected": True, "device": "press1"}, {})
    driver.hear(Arrived(Plane.EVENTS, beat))
    driver.ack_all()
    driver.hear(Arrived(Plane.EVENTS, beat))
    assert driver.topics() == ["connect"]


def test_one_report_for_the_batches_of_a_turn():
    """Batches that arrive together cause one report of their stream; without a platform it comes a little later, for
    acceptance could come with it."""
    driver = Driver()
    effects = driver.take(*(batch(number, points(number, 1)) for number in range(1, 11)))
    assert not any(hasattr(effect, "message") for effect in effects)
    effects = driver.wait(RECEIVED_S)
    reports = [effect.message for effect in effects if isinstance(effect, Send) and hasattr(effect.message, "received")]
    assert [report.received for report in reports] == [11]


def test_drain_publishes_what_is_in_hand_and_leaves():
    """On SIGTERM new batches are not taken; what is in hand is accepted, reported, then DISCONNECT and exit 0."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, points(1, 5)))
    driver.ack_all()
    driver.take(batch(6, points(6, 5)))
    assert not [effect for effect in driver.hear(Drain()) if isinstance(effect, Exit)]
    driver.take(batch(11, points(11, 5)))
    effects = driver.ack(driver.unacked[0])
    assert effects[-1] == Exit(0)
    assert DisconnectPlatform(driver.connection) in effects
    assert driver.report().settled == driver.report().received == 11


def test_drain_ends_after_three_seconds():
    """A platform that does not answer can't hold the exit up."""
    driver = Driver()
    driver.up(limits={})
    driver.take(batch(1, points(1, 5)))
    driver.hear(Drain())
    driver.wait(2.9)
    assert not driver.exited
    driver.wait(0.2)
    assert driver.exited


def test_drain_without_a_link_is_immediate():
    """Nothing can be published: the journal keeps it."""
    driver = Driver()
    driver.take(batch(1, points(1, 5)))
    assert Exit(0) in driver.hear(Drain())


def test_notes_of_the_link_come_once_per_change():
    """One line when the link is lost, one when it is back."""
    driver = Driver()
    driver.up(limits={})
    driver.wait(15.0)
    driver.down("reset")
    for _ in range(3):
        driver.wait(5.0)
        driver.down("refused", reached=False)
    driver.again()
    events = [note.event for note in driver.notes if isinstance(note, Note)]
    assert events == ["link.up", "link.lost", "link.failed", "link.up"]


def test_a_new_publisher_asks_readers_to_show_themselves():
    """Those that are silent beat once in a while only, and their devices are to be announced."""
    driver = Driver()
    effects = driver.hear(Arrived(Plane.CALLS, Registered("publisher:0", True, "", "b2", "")))
    asked = [effect.message for effect in effects if isinstance(effect, Send) and isinstance(effect.message, Request)]
    assert {(request.verb, request.target) for request in asked} >= {("beat", "port_reader:press1")}
    again = driver.hear(Arrived(Plane.CALLS, Registered("publisher:0", True, "", "b2", "")))
    assert not any(isinstance(effect, Send) and isinstance(effect.message, Request) for effect in again)
