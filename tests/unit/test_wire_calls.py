"""The bodies of calls: the bytes that release 0.2 wrote, what is believed of what comes in, and how a call ends."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from common.core.errors import WireError
from common.wire import codec
from common.wire.calls import (
    AskAttributes,
    Beat,
    Body,
    CallConnector,
    CallDevice,
    Configured,
    Decode,
    DiedIn,
    Encode,
    EncodeUpdate,
    Exchange,
    FindSection,
    ListDeadLetters,
    RetryDeadLetters,
    SharedKeys,
    Status,
    TakeDevices,
    TakeLimits,
    TakeSection,
    UpdateAttributes,
    Watched,
    body_of,
    converted_device,
    converter_of,
    pack_body,
    reader_of,
    refuse,
    reply,
    verb_of,
)
from common.wire.messages import Reply, Request

WRITES = [b"GET\n", b"\xff"]
GOLDEN: list[tuple[Body, str, Any]] = [
    (Encode("set", b"5"), "encode", {"method": "set", "params": b"5", "called": "", "called_type": ""}),
    (
        Encode("set", b"5", "attic", "room"),
        "encode",
        {"method": "set", "params": b"5", "called": "attic", "called_type": "room"},
    ),
    (EncodeUpdate(b'{"a":1}'), "encode_update", {"data": b'{"a":1}', "called": "", "called_type": ""}),
    (
        Exchange(WRITES, "get", True, 2.5, "^T=", b";"),
        "exchange",
        {
            "writes": WRITES,
            "method": "get",
            "with_response": True,
            "timeout_s": 2.5,
            "pattern": "^T=",
            "until": b";",
        },
    ),
    (
        Exchange(WRITES),
        "exchange",
        {"writes": WRITES, "method": "", "with_response": False, "timeout_s": 0.0, "pattern": "", "until": b""},
    ),
    (
        Exchange(WRITES, "set", True, 1.0, "a|b", b"", [(b"SET\n", "c|d")], "a|c"),
        "exchange",
        {
            "writes": WRITES,
            "method": "set",
            "with_response": True,
            "timeout_s": 1.0,
            "pattern": "a|b",
            "until": b"",
            "then": [(b"SET\n", "c|d")],
            "good": "a|c",
        },
    ),
    (Decode("get", b"T=21\n"), "decode", {"method": "get", "frame": b"T=21\n"}),
    (
        CallConnector("getValue", b"5", "12"),
        "call_connector",
        {"method": "getValue", "params": b"5", "request": "12"},
    ),
    (SharedKeys("attic"), "shared_keys", {"device": "attic"}),
    (
        AskAttributes("attic", ["a", "b"], True),
        "ask_attributes",
        {"device": "attic", "keys": ["a", "b"], "is_client": True},
    ),
    (FindSection("0123456789abcdef"), "section", {"section": "0123456789abcdef"}),
    (TakeSection(b"{}"), "take_section", {"section": b"{}"}),
    (DiedIn("j0", 3, [7, 2**40]), "note", {"journal": "j0", "generation": 3, "numbers": [7, 2**40]}),
    (TakeLimits(5, 6, 7.5), "take_limits", {"max_records": 5, "max_bytes": 6, "ttl_s": 7.5}),
    (TakeDevices(b"{}"), "take_devices", {"devices": b"{}"}),
    (Watched(["a"], ["b"]), "watched", {"devices": ["a"], "connectors": ["b"]}),
    (ListDeadLetters(0, 100), "dead_letters", {"before": 0, "most": 100}),
    (RetryDeadLetters(7, 2**63 - 1), "retry", {"after": 7, "until": 2**63 - 1}),
    (CallDevice("press 1", "set", b"5"), "rpc", {"device": "press 1", "method": "set", "params": b"5"}),
    (UpdateAttributes("press 1", b"{}"), "attributes", {"device": "press 1", "data": b"{}"}),
    (Beat(), "beat", {}),
    (Status(), "status", None),
    (Configured(), "configured", {}),
]


def ask(verb: str, body: bytes) -> Request:
    return Request("call-1", "client:1", "port_reader:d", verb, "d", "s", 5.0, body)


@pytest.mark.parametrize(("body", "verb", "literal"), GOLDEN)
def test_each_body_has_the_bytes_it_had(body: Body, verb: str, literal: Any) -> None:
    """Written and read: the map of release 0.2, its keys in that order, under its verb."""
    assert verb_of(type(body)) == verb
    assert pack_body(body) == codec.pack(literal)
    assert body_of(ask(verb, codec.pack(literal))) == body


def test_the_golden_bytes_are_of_every_verb() -> None:
    """A new verb needs bytes too."""
    assert {type(body) for body, _, _ in GOLDEN} == set(get_args(Body))
    assert len({verb for _, verb, _ in GOLDEN}) == len(get_args(Body))


@pytest.mark.parametrize(("body", "verb", "literal"), GOLDEN)
def test_fields_that_a_newer_version_has_added_are_left_out(body: Body, verb: str, literal: Any) -> None:
    """Wherever they stand."""
    longer = {"new": [1, {"more": None}], **(literal or {}), "newer": b"x"}
    assert body_of(ask(verb, codec.pack(longer))) == body


@pytest.mark.parametrize(("body", "verb", "literal"), GOLDEN)
def test_a_body_that_lacks_a_field_or_has_one_of_another_type_is_refused(body: Body, verb: str, literal: Any) -> None:
    """With a sentence that names the field; one with a default may be missing."""
    required = len(body.__struct_fields__) - len(body.__struct_defaults__)
    # What is left out where it is empty has no literal of its own.
    names = [name for name in body.__struct_fields__ if literal is not None and name in literal]
    for place, name in enumerate(names):
        lacking = ask(verb, codec.pack({key: value for key, value in literal.items() if key != name}))
        if place < required:
            with pytest.raises(WireError, match=f"^malformed request: .*`{name}`"):
                body_of(lacking)
        else:
            assert isinstance(body_of(lacking), type(body))
        for wrong in (None, {"odd": 1}, object_of_another_type(literal[name])):
            with pytest.raises(WireError, match=rf"^malformed request: Expected .* at `\$\.{name}"):
                body_of(ask(verb, codec.pack({**literal, name: wrong})))


def object_of_another_type(value: Any) -> Any:
    """Text for bytes and the other way round, as both are to be told apart; an item of another type in a list."""
    match value:
        case str():
            return value.encode()
        case bytes():
            return "text"
        case bool():
            return 1
        case list():
            return [1.5]
    return "1"


@pytest.mark.parametrize("verb", [verb for body, verb, _ in GOLDEN if body.__struct_fields__])
@pytest.mark.parametrize("body", [b"", b"\xc1", b"\xc0", b"\x90", b"\x91" * 5_000 + b"\x90", b"\x81\xa6method"])
def test_what_is_no_map_is_refused(verb: str, body: bytes) -> None:
    """Nothing, no msgpack, nil, lists however deep, half a map."""
    with pytest.raises(WireError, match=r"^malformed request: "):
        body_of(ask(verb, body))


@pytest.mark.parametrize("body", [b"", b"\xc0", b"\x80", b"\xc1", codec.pack({"new": 1})])
@pytest.mark.parametrize("asked", [Beat(), Status()])
def test_a_verb_without_arguments_takes_any_body(asked: Body, body: bytes) -> None:
    """Nobody looks into it: nil and the empty map are both said."""
    assert body_of(ask(verb_of(type(asked)), body)) == asked


@pytest.mark.parametrize(
    "literal", [{"before": -1, "most": 1}, {"before": 0, "most": -1}, {"before": 2**63, "most": 1}, {"before": True}]
)
def test_ids_are_whole_numbers_that_sqlite_can_hold(literal: dict[str, Any]) -> None:
    """What is none is refused before anybody looks it up."""
    with pytest.raises(WireError, match=r"^malformed request: "):
        body_of(ask("dead_letters", codec.pack(literal)))


def test_a_whole_number_of_seconds_is_a_time_too() -> None:
    """A configuration may say 2 for 2.0."""
    assert body_of(ask("exchange", codec.pack({"writes": [b"a"], "timeout_s": 2}))) == Exchange([b"a"], timeout_s=2.0)


def test_a_verb_that_is_unknown_or_not_served_is_none() -> None:
    """Whatever its body is: a newer version may know it, or another process."""
    assert body_of(ask("reboot", b"\xc1")) is None
    assert body_of(ask("encode", b"\xc1"), Exchange, Beat) is None
    assert body_of(ask("beat", b""), Exchange, Beat) == Beat()
    with pytest.raises(WireError, match=r"^malformed request: "):
        body_of(ask("exchange", b"\xc1"), Exchange, Beat)


def test_addresses() -> None:
    """A device's reader, and whoever converts its calls; names may hold what they like."""
    assert (reader_of("press 1"), converter_of("a@b:c")) == ("port_reader:press 1", "converter@a@b:c")
    assert converted_device(converter_of("a@b:c")) == "a@b:c"
    assert converted_device("converter:0") is None
    assert converted_device(reader_of("converter@x")) is None


def test_a_call_ends_with_a_value_or_with_a_text_that_can_be_sent() -> None:
    """To whoever has asked, under the call's id."""
    request = ask("beat", b"")
    assert reply(request, b"{}") == Reply("call-1", "client:1", "", codec.pack(b"{}"))
    assert reply(request, None) == Reply("call-1", "client:1", "", b"\xc0")
    refused = refuse(request, "no \ud800 here")
    assert refused == Reply("call-1", "client:1", "no \\ud800 here", b"")
    assert codec.decode(codec.encode(refused)) == refused
