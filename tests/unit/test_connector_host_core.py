"""The connector host's core: who is told that something is stored, devices, calls, and the end."""

from __future__ import annotations

import json

import pytest

from common.core.events import Drain, Note
from common.stream.limits import Limits
from common.wire import codec
from common.wire.calls import CallConnector, Encode, EncodeUpdate
from common.wire.entries import pack_entry
from common.wire.messages import Entry, Reply
from services.connector_host.core.calls import MOST_NAMED, MOST_WAITING, STUCK_AFTER
from services.connector_host.core.core import RUN_ENDED
from services.connector_host.core.devices import MOST_DEVICES, DeviceTable, KeptDevice, decode_devices
from services.connector_host.core.events import ConnectorClosed, ConnectorFailed, Replied, Returned, Said
from services.connector_host.core.life import CLOSE_S, LEAVE_S
from services.connector_host.core.submissions import STORE_WAIT_S
from tests.support.hosted import HostRig


def rig_of(**options: object) -> HostRig:
    """An open connector without devices, heard by a publisher."""
    rig = HostRig(devices={}, **options)
    rig.open()
    rig.beat()
    return rig


def replies(rig: HostRig) -> list[tuple[str, object]]:
    """(error, value) of each reply."""
    return [
        (call.error, json.loads(codec.unpack(call.body) or b"null") if not call.error else None)
        for call in rig.calls
        if isinstance(call, Reply)
    ]


# What is stored


def test_stored_is_said_when_it_is_committed_and_not_before() -> None:
    """Whoever hears SUCCESS may forget what it has said."""
    rig = rig_of()
    ticket = rig.store("meter", 1)
    assert rig.settled == {ticket: ""}
    rig.journal.is_full = True
    ticket = rig.store("meter", 2)
    assert ticket not in rig.settled
    rig.journal.is_full = False
    rig.wait(2)
    assert rig.settled[ticket] == ""


def test_a_journal_that_stays_unwritable_is_said_after_a_while() -> None:
    """The caller may try again, or go on."""
    rig = rig_of()
    rig.journal.is_full = True
    ticket = rig.store("meter", 1)
    rig.wait(STORE_WAIT_S + 0.1)
    assert "can't be written" in rig.settled[ticket]
    assert rig.beats[-1].state["journal_writable"] is False


def test_what_the_platform_has_accepted_need_not_be_on_the_disk() -> None:
    """It is safe where it is."""
    rig = rig_of()
    rig.journal.is_full = True
    ticket = rig.store("meter", 1)
    rig.report(rig.uplink.stream.next_number)
    assert rig.settled[ticket] == ""


def test_a_full_disk_and_a_full_memory_are_said_at_once() -> None:
    """Nothing is dropped without a word."""
    rig = rig_of(limits=Limits(window_bytes=1))
    rig.journal.is_full = True
    rig.store("meter", 1)
    ticket = rig.store("meter", 2)
    assert "can't be written" in rig.settled[ticket]
    assert rig.count("submissions_failed") == 1


def test_entries_have_times_of_their_own() -> None:
    """So that none replaces another on the platform."""
    rig = rig_of()
    for value in range(5):
        rig.store("meter", value)
    from tests.support.port_reader_rig import stamps_of

    stamps = [stamp for batch in rig.batches for stamp in stamps_of(batch)]
    assert len(set(stamps)) == len(stamps)


# Devices


def test_a_device_is_announced_before_its_first_value_and_once() -> None:
    """With its type, and the connector that it belongs to."""
    rig = rig_of()
    rig.store("meter", 1)
    rig.store("meter", 2)
    assert [(reading.device, reading.mark) for reading in rig.readings] == [
        ("meter", "connect"),
        ("meter", ""),
        ("meter", ""),
    ]
    assert json.loads(rig.readings[0].attributes) == {"connectorType": "demo", "connectorName": "Demo"}


def test_marks_stand_in_their_place_among_the_data() -> None:
    """What came before a goodbye is sent before it, and what comes behind it announces the device again."""
    rig = rig_of()
    rig.mark("meter", "connect")
    rig.store("meter", 1)
    rig.mark("meter", "disconnect")
    rig.mark("meter", "disconnect")
    rig.store("meter", 2)
    assert [reading.mark for reading in rig.readings] == ["connect", "", "disconnect", "connect", ""]


def test_a_new_publisher_is_told_of_all_devices() -> None:
    """It passes on calls only to devices that it has announced."""
    rig = rig_of()
    rig.mark("meter", "connect")
    rig.mark("valve", "connect", "v")
    rig.batches.clear()
    rig.beat("e2")
    assert [(reading.device, reading.device_type, reading.mark) for reading in rig.readings[-2:]] == [
        ("meter", "t", "connect"),
        ("valve", "v", "connect"),
    ]


def test_a_killed_host_goes_on_with_its_devices_and_a_stopped_one_without() -> None:
    """As the reference does with the devices of its last run."""
    rig = rig_of()
    rig.mark("meter", "connect")
    rig.wait(2)
    assert decode_devices(rig.kept[-1]) == {"meter": KeptDevice("t", True)}
    rig.give(Drain())
    assert rig.kept[-1] == b""
    assert rig.sent(Entry.LOST)
    again = HostRig(devices={"meter": KeptDevice("t", True)})
    again.beat()
    assert [reading.device for reading in again.readings] == ["meter"]


def test_a_connector_can_not_make_up_devices_without_end() -> None:
    """Those that it has go on."""
    rig = HostRig(devices={f"d{number}": KeptDevice("t", True) for number in range(MOST_DEVICES)})
    ticket = rig.store("one more", 1)
    assert str(MOST_DEVICES) in rig.settled[ticket]
    assert rig.settled[rig.store("d7", 1)] == ""


def test_devices_that_could_not_be_written_are_written_later() -> None:
    """And not at each change."""
    table = DeviceTable({})
    table.add("a", "t", 10.0)
    assert table.due_s == 10.0
    table.keep(10.0)
    table.kept("full", 10.0)
    assert table.due_s == 40.0
    assert not table.add("a", "", 11.0)
    assert table.add("b", "t", 11.0)
    assert table.due_s == 11.0
    assert table.is_known("b")
    assert not table.is_known("c")


# Calls


def test_a_call_gets_the_reference_s_content_and_the_first_answer_counts() -> None:
    """By `send_rpc_reply`, whatever the handler returns; a second answer is counted."""
    rig = rig_of()
    rig.ask(Encode("set", b'{"x":1}', "meter", "t"))
    (order,) = rig.handlers
    number = json.loads(order.content)["id"]
    assert json.loads(order.content) == {
        "device": "meter",
        "data": {"id": number, "method": "set", "params": {"x": 1}},
        "id": number,
    }
    rig.give(Replied("meter", str(number), b'{"ok":1}'))
    rig.give(Replied("meter", str(number), b'{"ok":2}'))
    rig.give(Returned(number, "rpc", b'{"error":"late"}', is_error=True))
    assert replies(rig) == [("", {"ok": 1})]
    assert rig.count("replies_unasked") == 1


def test_a_reply_to_no_call_is_said_once_a_kind() -> None:
    """A second answer is nothing to speak of; one to another device, or with a number that no call had, is a mistake
    for which somebody waits in vain."""
    rig = rig_of()
    rig.ask(Encode("set", b"1", "meter", "t"))
    number = str(rig.handlers[0].number)
    for _ in range(2):
        rig.give(Replied("other", number, b"1"))
        rig.give(Replied("", number, b"1"))
        rig.give(Replied("meter", "77", b"1"))
        rig.give(Replied("meter", "x", b"1"))
    rig.give(Replied("meter", number, b"1"))
    rig.give(Replied("meter", number, b"1"))
    found = [note.facts["reason"] for note in rig.notes if note.event == "reply.unasked"]
    assert found == ["the call with this id is of the device meter", "no call has had this id"]
    assert rig.count("replies_unasked") == 9
    assert replies(rig) == [("", 1)]


def test_methods_that_were_named_are_forgotten_before_they_are_many() -> None:
    """Whoever calls names them."""
    rig = rig_of()
    for number in range(MOST_NAMED + 5):
        rig.ask(Encode(f"get{number}", b"null", "meter", "t"))
        rig.give(Returned(rig.handlers[-1].number, "rpc", b"5", "5"))
        rig.wait(11)
    assert len(rig.core._calls._noted) <= MOST_NAMED


def test_what_a_handler_returns_is_an_answer_only_with_an_error_in_it() -> None:
    """As in the reference; what else it returns is named once, since it is the commonest mistake."""
    rig = rig_of()
    for _ in range(2):
        rig.ask(Encode("get", b"null", "meter", "t"))
        rig.give(Returned(rig.handlers[-1].number, "rpc", b"5", "5"))
    rig.ask(Encode("get", b"null", "meter", "t"))
    rig.give(Returned(rig.handlers[-1].number, "rpc", b'{"error":"no"}', is_error=True))
    rig.wait(11)
    assert replies(rig) == [("", {"error": "no"})]
    assert [note.facts["returned"] for note in rig.notes if note.event == "rpc.unanswered"] == ["5"]
    assert rig.count("calls_unanswered") == 2


def test_a_handler_that_raises_answers_with_the_error() -> None:
    """And its place goes into the log."""
    rig = rig_of()
    rig.ask(Encode("get", b"", "meter", "t"))
    rig.give(Returned(rig.handlers[-1].number, "rpc", error="demo.py, line 7: KeyError: 'x'"))
    assert replies(rig) == [("", {"error": "demo.py, line 7: KeyError: 'x'"})]
    assert any(note.event == "handler.raised" for note in rig.notes)


def test_attribute_updates_and_calls_to_the_connector_itself() -> None:
    """Each with its own content; of the latter the returned value is the answer."""
    rig = rig_of()
    rig.ask(EncodeUpdate(b'{"a":1,"deleted":["b"]}', "meter", "t"))
    rig.give(Returned(rig.handlers[-1].number, "attributes"))
    assert json.loads(rig.handlers[0].content) == {"device": "meter", "data": {"a": 1, "deleted": ["b"]}}
    rig.ask(CallConnector("scan", b"[1]", "7"), "call-2")
    number = rig.handlers[1].number
    assert json.loads(rig.handlers[1].content) == {"method": "scan", "params": [1], "id": number}
    rig.give(Returned(number, "connector", b'{"found":3}'))
    assert replies(rig) == [("", {}), ("", {"found": 3})]


def test_calls_before_open_and_without_a_device_are_refused() -> None:
    """With a sentence that names the connector."""
    rig = HostRig(devices={})
    rig.ask(Encode("get", b"", "meter", "t"))
    rig.open()
    rig.ask(Encode("get", b""))
    assert [error for error, _ in replies(rig)] == ["connector Demo is not running", "unknown connector Demo"]


def test_a_handler_that_hangs_is_noticed_after_some_calls() -> None:
    """Calls behind it are not carried out late; the process is started anew, and says why."""
    rig = rig_of()
    for number in range(STUCK_AFTER):
        rig.ask(Encode("get", b"", "meter", "t"), f"call-{number}", time_left_s=5.0)
        rig.wait(5.1)
    assert "has not come back for 3 calls in a row" in rig.beats[-1].state["fault"]
    rig.wait(LEAVE_S + 4)
    assert rig.exit == 1
    assert not rig.sent(Entry.LOST), "its devices stay: the next process has them again"


def test_calls_that_wait_have_a_bound() -> None:
    """The next one is refused at once."""
    rig = rig_of()
    for number in range(MOST_WAITING + 1):
        rig.ask(Encode("get", b"", "meter", "t"), f"call-{number}")
    assert [error for error, _ in replies(rig)] == ["queue full"]


def test_a_call_that_comes_twice_is_handed_on_once() -> None:
    """Messages between processes may be doubled, and a device is to do once what it is told once."""
    rig = rig_of()
    rig.ask(Encode("set", b"1", "meter", "t"), "call-1")
    rig.ask(Encode("set", b"1", "meter", "t"), "call-1")
    (order,) = rig.handlers
    rig.give(Replied("meter", str(order.number), b'{"ok":1}'))
    rig.ask(Encode("set", b"1", "meter", "t"), "call-1")
    assert len(rig.handlers) == 1
    assert replies(rig) == [("", {"ok": 1})]


# The end


def test_who_is_told_to_end_says_so_before_it_does() -> None:
    """Also where the end follows at once: a process that ends without that is taken for one that was killed."""
    rig = rig_of()
    rig.beats.clear()
    rig.give(Drain())
    assert rig.exit == 0
    assert [beat.state["draining"] for beat in rig.beats][:1] == [True]


def test_the_end_is_the_connector_s_close_then_its_goodbyes() -> None:
    """What it stores meanwhile is taken; afterwards nothing is."""
    rig = rig_of()
    rig.mark("meter", "connect")
    rig.closes = False
    rig.give(Drain())
    assert rig.is_closing
    last = rig.store("meter", 9)
    assert rig.settled[last] == ""
    rig.give(ConnectorClosed())
    late = rig.store("meter", 10)
    assert rig.settled[late] == "shutting down"
    kinds = [batch.kind for batch in rig.batches]
    assert kinds[-1] == Entry.LOST
    rig.report(rig.uplink.stream.next_number)
    assert rig.exit == 0


def test_a_connector_that_never_closes_is_not_waited_for() -> None:
    """It has five seconds, as in the reference."""
    rig = rig_of()
    rig.closes = False
    rig.give(Drain())
    rig.wait(CLOSE_S - 0.1)
    assert rig.exit is None
    rig.wait(4)
    assert rig.exit == 0
    assert any(note.event == "connector.not_closed" for note in rig.notes)


@pytest.mark.parametrize(("is_final", "code"), [(False, 1), (True, 78)])
def test_a_connector_that_fails_is_shown_and_then_ended(is_final: bool, code: int) -> None:
    """With a code that says whether a new start may help; what waits is still sent."""
    rig = rig_of()
    rig.store("meter", 1)
    rig.give(ConnectorFailed("demo.py, line 3: no", is_final))
    rig.wait(0.2)
    assert rig.beats[-1].state["fault"] == "demo.py, line 3: no"
    assert rig.exit is None
    rig.wait(5)
    assert rig.exit == code


def test_a_run_that_has_ended_is_said_and_nothing_else() -> None:
    """Connectors that have loops of their own return from it on purpose."""
    rig = rig_of(has_ended=lambda: True)
    rig.wait(3)
    assert rig.beats[-1].state["warning"] == RUN_ENDED
    assert rig.exit is None
    assert [note.event for note in rig.notes if isinstance(note, Note)].count("connector.ended") == 1


def test_memory_above_its_limit_ends_the_process() -> None:
    """The configuration has said so."""
    from common.core.wall_clock import WallClock  # noqa: F401 (the rig's clock)
    from services.connector_host.core.core import ConnectorFacts

    rig = rig_of(gauges=lambda: {"memory_bytes": 200 * 1024 * 1024})
    rig.core._facts = ConnectorFacts("Demo", "demo", "Demo", "/x/demo.py", 100)
    rig.wait(6)
    assert rig.exit == 1
    assert any("memoryLimitMB is 100" in str(note.facts.get("reason")) for note in rig.notes)


def test_an_entry_is_what_it_was() -> None:
    """Of its three kinds."""
    from common.wire.entries import unpack_entry
    from common.wire.messages import UserReading

    whole = pack_entry("m", "t", telemetry=[(None, b'{"a":1}'), (5, b'{"b":2}')], attributes=b'{"c":3}')
    assert whole == b'{"device":"m","type":"t","telemetry":[[null,{"a":1}],[5,{"b":2}]],"attributes":{"c":3}}'
    assert unpack_entry(whole) == UserReading("m", "t", [(None, b'{"a":1}'), (5, b'{"b":2}')], b'{"c":3}')
    assert unpack_entry(b'{"device":"m","mark":"connect","later":1}') == UserReading("m", "", [], b"", mark="connect")
    assert Said("m", "t", b"").mark == ""
