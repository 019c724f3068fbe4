"""Log lines as telemetry of the gateway: which, under which keys, how many, and never one too many."""

from __future__ import annotations

from typing import Any

from common.wire.messages import Entry
from services.publisher.core.events import ConfiguredRead, HearLogs, LinkUp, LogLines
from services.publisher.core.remote import RemoteSetup
from services.publisher.core.remote_log import LINES_A_MESSAGE, LONGEST_LINE, MOST_LINES
from tests.support.publisher_driving import Driver, batch, said
from tests.support.topic_dialect import TopicDialect

OWN = "v1/devices/me/telemetry"
AT = "2026-11-29T21:40:04.123+00:00"
AT_MS = 1795988404123


def ready(**setup: Any) -> Driver:
    driver = Driver(connectors=dict.fromkeys(("press1", "press2"), "Hall 3"), remote=RemoteSetup(**setup))
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"))
    driver.ack_all()
    return driver


def level(driver: Driver, word: Any) -> list[Any]:
    return driver.say("v1/devices/me/attributes", {"RemoteLoggingLevel": word})


def log(driver: Driver, *lines: str) -> None:
    driver.hear(LogLines("".join(f"{line}\n" for line in lines).encode(), AT_MS))
    driver.ack_all()


def line(text: str, word: str = "INFO", who: str = "broker:0", at: str = AT) -> str:
    return f"{at} {word:7} [{who}] {text}"


def told(driver: Driver) -> list[dict[str, Any]]:
    """The items of all messages."""
    return [item for order in driver.published if order.topic == OWN for item in said(order)]


def test_the_level_is_asked_for_and_taken_from_the_attribute() -> None:
    """On each connection; the lines are heard only while somebody wants them."""
    driver = ready(keys=("RemoteLoggingLevel",))
    (question,) = [order for order in driver.published if "attributes/request" in order.topic]
    assert said(question) == {"sharedKeys": "RemoteLoggingLevel"}
    effects = driver.say("v1/devices/me/attributes/response/1", {"shared": {"RemoteLoggingLevel": "info"}})
    assert HearLogs(True) in effects
    log(driver, line("broker.started a=1"))
    assert told(driver) == [
        {"ts": AT_MS, "values": {"LOGS": line("broker.started a=1"), "SERVICE_LOGS": line("broker.started a=1")}}
    ]
    assert HearLogs(False) in level(driver, "NONE")


def test_each_line_has_the_keys_that_dashboards_read() -> None:
    """By whose it is, from the level up; two in one millisecond stay two."""
    driver = ready()
    level(driver, "WARNING")
    log(
        driver,
        line("link.down why=x", "WARNING", "publisher:0"),
        line("journal.full device=press1", "ERROR", "port_reader:press1"),
        line("bad value", "WARNING", "converter:0 press1"),
        line("process.died name=x", "WARNING", "supervisord"),
        line("broker.started", "INFO"),
    )
    found = told(driver)
    keys = [next(key for key in item["values"] if key != "LOGS") for item in found]
    assert keys == ["CONNECTION_LOGS", "STORAGE_LOGS", "EXTENSION_LOGS", "SERVICE_LOGS"]
    assert [item["ts"] for item in found] == [AT_MS, AT_MS + 1, AT_MS + 2, AT_MS + 3]


def test_lines_about_a_connectors_devices_have_its_name() -> None:
    """From the connector's own level up, whatever the platform's level is; also those of its users' converters."""
    driver = ready(logged={"Hall 3": "WARNING"})
    log(
        driver,
        line("port.lost reason=EIO", "WARNING", "port_reader:press1"),
        line("odd frame", "ERROR", "converter:1 press2"),
        line('frame.dead device="press1" n=1', "WARNING", "broker:0"),
        line("port.opened", "INFO", "port_reader:press1"),
        line("broker.started", "ERROR"),
    )
    assert [list(item["values"]) for item in told(driver)] == [["Hall 3_LOGS"]] * 3


def test_lines_of_a_hosted_connectors_process_have_its_name() -> None:
    """Also where its name has a blank in it."""
    driver = Driver(connectors={"connector:My Board": "My Board"}, remote=RemoteSetup(logged={"My Board": "WARNING"}))
    driver.up(limits={})
    log(
        driver,
        line("connector.opened", who="connector_host:My Board"),
        line("no such pin", "ERROR", who="connector_host:My Board"),
        line("no such pin", "ERROR", who="connector_host:Other"),
    )
    expected = line("no such pin", "ERROR", who="connector_host:My Board")
    assert [item["values"] for item in told(driver)] == [{"My Board_LOGS": expected}]


def test_a_traceback_is_one_line() -> None:
    """With what it belongs to; what is endless is cut."""
    driver = ready()
    level(driver, "ERROR")
    log(driver, line("process.crashed", "ERROR"), "Traceback (most recent call last):", "  File x", "x" * 9_000)
    (item,) = told(driver)
    assert item["values"]["LOGS"].startswith(line("process.crashed", "ERROR") + "\nTraceback")
    assert len(item["values"]["LOGS"]) <= LONGEST_LINE + 1


def test_a_flood_is_bounded_and_says_what_it_has_left_out() -> None:
    """One message in a second, so many lines each; the oldest give way and are counted."""
    driver = ready()
    level(driver, "INFO")
    before = len(driver.published)
    log(driver, *(line(f"flood n={number}") for number in range(MOST_LINES + 500)))
    driver.hear(LogLines(b"", AT_MS))
    assert len(driver.published) - before == 1
    first = told(driver)
    assert "500 log lines were left out" in first[0]["values"]["LOGS"]
    assert 0 < len(first) <= LINES_A_MESSAGE
    for _ in range(120):
        driver.wait(1.0)
        driver.ack_all()
    assert len(told(driver)) == MOST_LINES + 1


def test_no_secret_is_told_and_no_line_makes_another() -> None:
    """Whoever has written it; and a refused message of ours makes no further one."""
    driver = ready(hidden=("s3cr3t",))
    level(driver, "INFO")
    log(driver, line("oops token=s3cr3t", who="converter:0 press1"))
    (item,) = told(driver)
    assert "s3cr3t" not in str(item)
    assert "***" in str(item)
    driver.wait(2.0)
    log(driver, line(f"publish.refused code=151 topic={OWN}", "WARNING", "publisher:0"))
    driver.wait(2.0)
    assert len(told(driver)) == 1


def test_a_word_that_is_no_level_changes_nothing() -> None:
    """It is said which there are."""
    driver = ready()
    for word in ("LOUD", 5, None):
        assert HearLogs(True) not in level(driver, word)
    notes = [note for note in driver.notes if note.event == "remote_log.level_unknown"]
    assert len(notes) == 3
    assert "WARNING" in str(notes[0].facts["expected"])


def test_lines_wait_while_the_platform_is_away() -> None:
    """And go out on the next connection."""
    driver = ready()
    level(driver, "INFO")
    driver.down()
    log(driver, line("link.down", "WARNING", "publisher:0"))
    assert told(driver) == []
    driver.again()
    driver.ack_all()
    assert len(told(driver)) == 1


def test_a_platform_without_a_place_for_it_is_told_nothing() -> None:
    """In another dialect; the lines do not pile up."""
    setup = RemoteSetup(keys=("Serial",), is_configurable=True, logged={"Hall 3": "INFO"})
    driver = Driver(dialect=TopicDialect(), connectors={"press1": "Hall 3"}, remote=setup)
    driver.hear(LinkUp(driver.connection, 5))
    before = len(driver.published)
    driver.hear(ConfiguredRead(b'{"attributes":{"Serial":{}}}'))
    log(driver, line("port.lost", "WARNING", "port_reader:press1"))
    driver.wait(5.0)
    assert len(driver.published) == before
