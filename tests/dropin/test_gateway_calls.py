"""Calls to the gateway itself: the answers that dashboards read, and what is refused on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from common.wire.messages import Entry
from services.publisher.core.dialects.thingsboard_gateway import ASKED_ANEW, NONE_GIVEN
from services.publisher.core.events import AskSupervisor, CredentialsRemoved, RemoveCredentials, SupervisorAsked
from tests.support.publisher_driving import Driver, batch, points, said

NAMES = {"press1": "Hall 3", "press2": "Hall 3", "press3": "Yard", "press4": "Yard"}


def ready() -> Driver:
    """Two connectors, one device of which has said three readings, all accepted."""
    driver = Driver(connectors=NAMES)
    driver.up(limits={})
    driver.take(batch(1, [None], kind=Entry.OPENED, device_type="press"), batch(2, points(2, 3)))
    driver.ack_all()
    return driver


def ask(driver: Driver, method: str, params: Any = None, number: int = 7) -> Any:
    """The answer to a call."""
    driver.say(f"v1/devices/me/rpc/request/{number}", {"method": method, "params": params})
    return answer(driver, number)


def answer(driver: Driver, number: int = 7) -> Any:
    found = [said(order) for order in driver.published if order.topic == f"v1/devices/me/rpc/response/{number}"]
    return found[-1] if found else None


@pytest.mark.parametrize("prefix", ["gateway_", ""])
def test_the_answers_have_the_shapes_that_dashboards_read(prefix: str) -> None:
    """With the prefix, as there, and without."""
    driver = ready()
    assert ask(driver, prefix + "ping") == {"code": 200, "resp": "pong"}
    assert ask(driver, prefix + "version") == {"code": 200, "resp": "9.9"}
    assert ask(driver, prefix + "devices", {}) == {"code": 200, "resp": {"press1": "Hall 3"}}
    assert ask(driver, prefix + "stats", []) == {
        "eventsProduced": 4,
        "eventsSent": 3,
        "Hall3EventsProduced": 4,
        "Hall3EventsSent": 4,
        "YardEventsProduced": 0,
        "YardEventsSent": 0,
    }


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("gateway_update", "not updated from the platform"),
        ("gateway_reboot", "the machine is not rebooted"),
        ("getTermInfo", "there is no remote shell"),
        ("sendCommand", "there is no remote shell"),
        ("getCommandStatus", "there is no remote shell"),
        ("terminateCommand", "there is no remote shell"),
        ("gateway_sendCommand", "there is no remote shell"),
    ],
)
def test_shell_update_and_reboot_are_refused_with_a_sentence(method: str, words: str) -> None:
    """On purpose, and nobody is asked to do it."""
    driver = ready()
    said = ask(driver, method, {"command": "rm -rf /"})
    assert words in said["error"]
    assert said["code"] == 403


def test_calls_to_connectors_that_are_not_there_say_so() -> None:
    """In the reference's words."""
    driver = ready()
    assert ask(driver, "modbus_read", {}) == {
        "error": "modbus - connector not found in available connectors.",
        "code": 404,
    }
    assert ask(driver, "gateway_nothing", {}) == {"error": "Method not found", "code": 404}


@pytest.mark.parametrize(
    ("params", "order"),
    [
        ({}, "restart 1"),
        (None, "restart 1"),
        (0, "restart 1"),
        (5, "restart 5"),
        ("2.5", "restart 2.5"),
        ("soon", "restart 1"),
        (True, "restart 1"),
        (10**12, "restart 86400"),
        (-3, "restart 1"),
    ],
)
def test_a_restart_is_asked_of_whoever_looks_after_the_processes(params: Any, order: str) -> None:
    """After so many seconds, 1 at least; the platform hears that it comes once somebody has taken the order."""
    driver = ready()
    effects = driver.say("v1/devices/me/rpc/request/8", {"method": "gateway_restart", "params": params})
    asked = [effect for effect in effects if isinstance(effect, AskSupervisor)]
    assert asked == [AskSupervisor("8", order)]
    assert answer(driver, 8) is None
    driver.hear(SupervisorAsked("8", ""))
    assert answer(driver, 8) == {"success": True}
    assert any(note.event == "gateway.restarting" for note in driver.notes)


@pytest.mark.parametrize("method", ["gateway_remove_provisioned_credentials", "remove_provisioned_credentials"])
@pytest.mark.parametrize(
    ("found", "error", "expected"),
    [
        (True, "", {"code": 200, "resp": ASKED_ANEW}),
        (False, "", {"code": 404, "error": NONE_GIVEN}),
        (True, "Read-only file system", {"code": 500, "error": "Read-only file system"}),
    ],
)
def test_given_credentials_are_forgotten_when_the_platform_asks(
    method: str, found: bool, error: str, expected: Any
) -> None:
    """It hears what became of it, and so does the log."""
    driver = ready()
    effects = driver.say("v1/devices/me/rpc/request/8", {"method": method, "params": {}})
    assert [effect for effect in effects if isinstance(effect, RemoveCredentials)] == [RemoveCredentials("8")]
    driver.hear(CredentialsRemoved("8", found, error))
    assert answer(driver, 8) == expected
    noted = [note.event for note in driver.notes if note.event.startswith("credentials.")]
    assert noted == (["credentials.not_removed"] if error else ["credentials.removed"] if found else [])


def test_where_nobody_restarts_the_platform_is_told_so() -> None:
    """As in containers, where each process belongs to somebody else."""
    driver = ready()
    driver.say("v1/devices/me/rpc/request/8", {"method": "gateway_restart", "params": 1})
    driver.hear(SupervisorAsked("8", "no `serialgw run` looks after these processes"))
    assert answer(driver, 8) == {"success": False, "error": "no `serialgw run` looks after these processes"}
