"""Where a connector's threads meet the gateway's, and what its arguments come to."""

from __future__ import annotations

import json
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from common.core.errors import ConversionError
from common.wire.entries import unpack_entry
from services.connector_host.core.devices import KeptDevice, encode_devices
from services.connector_host.core.events import ConnectorOpened, Said, Submitted
from services.connector_host.core.replies import reply_of
from services.connector_host.core.results import ENTRY_BYTES, MOST_ENTRY_BYTES, entries_of, name_of
from services.connector_host.shell.devices_file import read_devices, write_devices
from services.connector_host.shell.intake import ENDED, MOST_WAITING, Intake
from services.connector_host.shell.serving import id_of
from services.connector_host.shell.users_code import describe
from services.connector_host.shell.users_log import PrintedLines
from tests.support.waiting import wait_until


def entry(number: int) -> Said:
    return Said("d", "t", b"%d" % number)


def test_what_comes_together_is_one_event_and_order_is_kept() -> None:
    """One commit for all of it; what is no data stays in its place."""
    intake = Intake()
    intake.submit((entry(1),), waits=False)
    intake.submit((entry(2), entry(3)), waits=False)
    intake.post(ConnectorOpened())
    intake.submit((entry(4),), waits=False)
    events = list(intake.take())
    assert [type(event) for event in events] == [Submitted, ConnectorOpened, Submitted]
    assert [len(one.said) for one in events[0].submissions] == [1, 2]  # type: ignore[union-attr]


def test_whoever_stores_waits_until_it_is_settled() -> None:
    """And hears why not."""
    intake = Intake()
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(intake.submit((entry(1),)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: intake.waiting == 2, "both wait")
    intake.settle([1], "")
    wait_until(lambda: said == [""], "one goes on")
    intake.settle([2], "the disk is full")
    for thread in threads:
        thread.join(10)
    assert said == ["", "the disk is full"]
    assert intake.waiting == 0


def test_memory_has_a_bound_and_whoever_passes_it_waits() -> None:
    """One call that is larger is taken when nothing else waits."""
    intake = Intake()
    intake.submit(tuple(map(entry, range(MOST_WAITING + 5))), waits=False)
    goes_on = threading.Event()

    def store() -> None:
        intake.submit((entry(1),), waits=False)
        goes_on.set()

    threading.Thread(target=store, daemon=True).start()
    assert not goes_on.wait(0.05)
    intake.settle([1], "")
    assert goes_on.wait(10)


def test_the_end_lets_everybody_go() -> None:
    """Those that wait for the journal, those that wait for room, and those that come later."""
    intake = Intake()
    intake.submit(tuple(map(entry, range(MOST_WAITING))), waits=False)
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(intake.submit((entry(1),))))
    thread.start()
    intake.end()
    thread.join(10)
    assert said == [ENDED]
    assert intake.submit((entry(2),)) == ENDED


@pytest.mark.parametrize(
    ("content", "success_sent", "expected"),
    [
        ({"value": 1}, None, {"value": 1}),
        ('{"value": 1}', None, {"value": 1}),
        (b"[1, 2]", None, [1, 2]),
        ("no JSON", None, "no JSON"),
        ({"result": 5}, None, {"result": 5}),
        (0, None, 0),
        (None, True, {"success": True}),
        (None, 0, {"success": False}),
        ({"value": 1}, True, {"success": True, "value": 1}),
        ({"error": "no"}, False, {"error": "no", "success": False}),
        ({"result": {"value": 1}}, True, {"value": 1}),
        ({"success": True, "x": 1}, False, {"success": False, "x": 1}),
        (5, True, {"success": True, "content": 5}),
    ],
)
def test_what_a_reply_says(content: Any, success_sent: Any, expected: Any) -> None:
    """As in the reference, but as JSON and with nothing dropped."""
    data = reply_of(content, success_sent, is_to_connector=False)
    assert data is not None
    assert json.loads(data) == expected


def test_a_reply_that_says_nothing_or_what_is_no_json() -> None:
    """None, but for the connector itself; a ValueError."""
    assert reply_of(None, None, is_to_connector=False) is None
    assert reply_of(None, None, is_to_connector=True) == b"null"
    with pytest.raises(ValueError, match="object"):
        reply_of({"x": object()}, None, is_to_connector=False)


def test_entries_have_one_value_without_a_time_each_and_a_size() -> None:
    """So that each has a millisecond of its own, and none is too large to be sent."""
    same = {"deviceName": "d", "telemetry": [{"a": 1}, {"a": 2}, {"ts": 1700000000000, "values": {"a": 3}}]}
    assert [unpack_entry(one.data).telemetry for one in entries_of(same)] == [
        [(None, b'{"a":1}')],
        [(None, b'{"a":2}'), (1700000000000, b'{"a":3}')],
    ]
    large = {
        "deviceName": "d",
        "telemetry": [{"ts": 1700000000000 + n, "values": {"a": "x" * 1000}} for n in range(200)],
    }
    parts = entries_of([large, {"deviceName": "e", "attributes": {"k": 1}}])
    assert all(len(one.data) < 2 * ENTRY_BYTES for one in parts)
    assert sum(len(unpack_entry(one.data).telemetry) for one in parts) == 200
    assert (parts[-1].device, unpack_entry(parts[-1].data).attributes) == ("e", b'{"k":1}')
    assert entries_of({"deviceName": "d"}) == []


@pytest.mark.parametrize(
    "result",
    [
        {"telemetry": [{"a": 1}]},
        {"deviceName": "d", "telemetry": [{"a": "x" * MOST_ENTRY_BYTES}]},
        {"deviceName": "d", "telemetry": [{"ts": 1700000000, "values": {"a": 1}}]},
        {"deviceName": "connector:Own", "telemetry": [{"a": 1}]},
        5,
    ],
)
def test_what_can_not_be_sent_says_so(result: Any) -> None:
    """With its place."""
    with pytest.raises(ConversionError, match="expected"):
        entries_of(result)


@pytest.mark.parametrize("name", [None, "", 5, "a\nb", "x" * 256, "connector:Own"])
def test_what_is_no_name_of_a_device(name: Any) -> None:
    """The platform and people see it."""
    with pytest.raises(ConversionError, match="expected"):
        name_of(name)


def test_printed_lines_are_log_lines() -> None:
    """Whole ones, and nothing without an end."""
    told: list[str] = []
    stream = PrintedLines(told.append)
    print("a", 1, end="", file=stream)
    stream.writelines(["b\nc\n", "x" * 100_000])
    assert told == ["a 1b", "c"]
    assert len(stream._partial) < 10_000


def test_errors_say_where_and_what_to_do() -> None:
    """In the user's own file."""
    with pytest.raises(ValueError, match="Expecting") as raised:
        json.loads("{")
    assert describe(raised.value, (__file__.rpartition("/")[0],)).startswith(f"{__file__}, line ")
    missing = ModuleNotFoundError("No module named 'smbus_of_nobody'", name="smbus_of_nobody")
    assert describe(missing, ()).endswith("-m pip install smbus_of_nobody")


def test_an_id_has_the_reference_s_form_and_stays() -> None:
    """Where no file names one."""
    assert id_of("j1", "Board") == id_of("j1", "Board") != id_of("j2", "Board")
    assert [len(part) for part in id_of("j1", "Board").split("-")] == [8, 4, 4, 4, 12]


def test_that_no_device_is_left_is_kept_where_nothing_can_be_written(tmp_path: Path) -> None:
    """Else the next process would announce devices that have said goodbye. A file that may have no byte stands for a
    full disk."""
    file = tmp_path / "devices"
    there = {"valve": KeptDevice("t", True)}
    assert write_devices(file, encode_devices(there)) == ""
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        fault = write_devices(file, encode_devices({**there, "pump": KeptDevice("t", True)}))
        found, _ = read_devices(file)
        removed = write_devices(file, b"")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    assert "File too large" in fault
    assert found == there
    assert removed == write_devices(file, b"") == ""
    assert read_devices(file) == ({}, "")
