"""RPC params and attribute updates as bytes: the page's rules with differences 9 and 10."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.models import AttributeUpdate, Device, Rpc
from common.conversion.downlink import encode_attribute_update, encode_rpc
from common.core.errors import ConversionError

DEVICE = Device(name="press1", type="press", downlink_converter="SerialDownlinkConverter")
HUGE = 10**5000
"""More digits than Python writes; in a list, since pytest names cases by their numbers."""
LITTLE = Device(byteorder="little", downlink_converter="SerialDownlinkConverter")


@pytest.mark.parametrize(
    ("rpc", "params", "written"),
    [
        ({"type": "int"}, 0, b"\x00"),
        ({"type": "int"}, 255, b"\xff"),
        ({"type": "int"}, 256, b"\x01\x00"),
        ({"type": "int"}, -1, b"\xff"),
        ({"type": "int"}, -128, b"\x80"),
        ({"type": "int"}, -129, b"\xff\x7f"),
        ({"type": "int"}, " -5 ", b"\xfb"),
        ({"type": "int"}, True, b"\x01"),
        ({"type": "int", "signed": True}, 127, b"\x7f"),
        ({"type": "int", "signed": True}, 128, b"\x00\x80"),
        ({"type": "int", "signed": True}, 0, b"\x00"),
        ({"type": "int", "length": 4}, 1, b"\x00\x00\x00\x01"),
        ({"type": "int", "length": 2}, -2, b"\xff\xfe"),
        ({"type": "int", "length": 1}, 255, b"\xff"),
        ({"type": "float"}, 1.5, b"\x3f\xc0\x00\x00"),
        ({"type": "float"}, 16777216, b"\x4b\x80\x00\x00"),
        ({"type": "float"}, 16777217, b"\x41\x70\x00\x00\x10\x00\x00\x00"),
        ({"type": "double"}, 1e39, b"\x48\x07\x82\x87\xf4\x9c\x4a\x1d"),
        ({}, "", None),
        ({}, "on\r\n", b"on\r\n"),
        ({}, 1e22, b"1e22"),
        ({}, 2**80, b"1208925819614629174706176"),
        ({}, False, b"false"),
        ({"type": "json"}, {"a": [1, None, "é"]}, '{"a":[1,null,"é"]}'.encode()),
    ],
)
def test_params_become_bytes(rpc: dict[str, Any], params: object, written: bytes | None) -> None:
    """Shortest integers, floats of 4 or 8 bytes, text as JSON writes it; nothing is appended."""
    if written is None:
        with pytest.raises(ConversionError, match=r"^No data to send$"):
            encode_rpc(DEVICE, Rpc(method="m", **rpc), params)
    else:
        assert encode_rpc(DEVICE, Rpc(method="m", **rpc), params) == written


def test_byteorder_little_turns_numbers_around() -> None:
    """Integers and floats follow the device's byteorder; text does not."""
    assert encode_rpc(LITTLE, Rpc(method="m", type="int"), 256) == b"\x00\x01"
    assert encode_rpc(LITTLE, Rpc(method="m", type="int", length=3), -2) == b"\xfe\xff\xff"
    assert encode_rpc(LITTLE, Rpc(method="m", type="double"), 256) == b"\x00\x00\x80\x43"
    assert encode_rpc(LITTLE, Rpc(method="m"), "ab") == b"ab"


@pytest.mark.parametrize(
    ("rpc", "params", "reason"),
    [
        ({"type": "int"}, None, "No data to send"),
        ({"type": "int"}, "abc", "params: found 'abc', expected a whole number"),
        ({"type": "int"}, "9" * 5000, "expected a whole number"),
        ({"type": "int"}, 1.5, "params: found 1.5, expected a whole number"),
        ({"type": "int"}, {"a": 1}, "params: found {'a': 1}, expected a whole number"),
        ({"type": "int", "signed": False}, -1, "expected no negative number"),
        ({"type": "int", "length": 1}, 256, "params: found 256, which needs 2 bytes; length is 1"),
        ({"type": "int", "length": 1, "signed": True}, 128, "which needs 2 bytes; length is 1"),
        ({"type": "float"}, "5", "params: found '5', expected a finite number"),
        ({"type": "float"}, float("inf"), "expected a finite number"),
        ({"type": "float"}, 10**400, "expected a finite number"),
        ({"type": "float"}, [HUGE], "expected a finite number"),
        ({}, "\ud800", "lone surrogate"),
        ({}, {"a": float("nan")}, "params: found nan"),
        ({}, [HUGE], "an integer of more than 64 bits"),
        ({"template": "${params}"}, None, "params: found null, expected a value"),
        ({"template": "${params.x}"}, {"y": 1}, "params: found {'y': 1}, expected an object with x"),
        ({"template": "${params.x}"}, 5, "params: found 5, expected an object with x"),
        ({"template": "${other}"}, 5, "template: found ${other}, expected ${params}"),
        ({"template": ""}, 5, "No data to send"),
    ],
)
def test_params_that_can_not_be_converted(rpc: dict[str, Any], params: object, reason: str) -> None:
    """The text is the platform's answer: what was found and what would be right."""
    with pytest.raises(ConversionError) as caught:
        encode_rpc(DEVICE, Rpc(method="m", **rpc), params)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("type_name", ["int", "float", "string"])
def test_an_integer_of_too_many_digits_never_crashes(type_name: str) -> None:
    """Python refuses to write integers of more than 4,300 digits; int params need no digits."""
    rpc = Rpc(method="m", type=type_name)
    if type_name == "int":
        assert int.from_bytes(encode_rpc(DEVICE, rpc, HUGE), "big") == HUGE
    else:
        with pytest.raises(ConversionError, match=r"very long integer|an integer of"):
            encode_rpc(DEVICE, rpc, HUGE)


@pytest.mark.parametrize(
    ("template", "params", "written"),
    [
        ("SET ${params}\r\n", 25, b"SET 25\r\n"),
        ("SET ${params}\r\n", True, b"SET true\r\n"),
        ("${params.x},${params.y}", {"x": 1.5, "y": "é"}, "1.5,é".encode()),
        ("${params.x}", {"x": "${deviceName}"}, b"${deviceName}"),
        ("${deviceName}/${deviceType}", None, b"press1/press"),
        ("100% $x {y}", None, b"100% $x {y}"),
    ],
)
def test_a_template_replaces_type(template: str, params: object, written: bytes) -> None:
    """Filled in one pass, so that params can't smuggle placeholders in."""
    assert encode_rpc(DEVICE, Rpc(method="m", type="int", template=template), params) == written


@pytest.mark.parametrize(
    ("params", "written"), [({"a": 1}, b'SET {"a":1}\r\n'), ("${deviceName}", b"SET ${deviceName}\r\n")]
)
def test_a_template_takes_any_text(params: object, written: bytes) -> None:
    """Where no type says that params are a number."""
    assert encode_rpc(DEVICE, Rpc(method="m", template="SET ${params}\r\n"), params) == written


def test_params_need_a_downlink_converter_and_a_template_does_not() -> None:
    """The reference's texts for a device without `downlink_converter`."""
    bare = Device()
    with pytest.raises(ConversionError, match=r"^Downlink converter not defined$"):
        encode_rpc(bare, Rpc(method="m"), 0)
    with pytest.raises(ConversionError, match=r"^No data to send$"):
        encode_rpc(bare, Rpc(method="m"), None)
    assert encode_rpc(bare, Rpc(method="m", template="GET\n"), None) == b"GET\n"


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("value = ${attr1}\n", 25, b"value = 25\n"),
        ("${attr1}${attr1}", "é", "éé".encode()),
        ("${deviceName} ${deviceType} ${attr1}", 1.5, b"press1 press 1.5"),
        ("${other} ${attr1}", False, b"${other} false"),
        ("${attr1}", {"a": [1]}, b'{"a":[1]}'),
        ("${attr1}", "${deviceName}", b"${deviceName}"),
        ("fixed\n", 0, b"fixed\n"),
    ],
)
def test_an_attribute_update_fills_its_text(text: str, value: object, written: bytes) -> None:
    """Named attribute, device name and type are replaced; other text stays as it is."""
    update = AttributeUpdate(attribute="attr1", string_to_device=text)
    assert encode_attribute_update(DEVICE, update, {"attr1": value, "other": 1}) == written


@pytest.mark.parametrize(
    ("text", "data", "reason"),
    [
        ("${attr1}", {"other": 1}, "the update has no attribute attr1"),
        ("${attr1}", {"attr1": None}, "attr1: found null, expected a value"),
        ("${attr1}", {"attr1": ""}, "No data to send"),
        ("\ud800", {"attr1": 1}, "lone surrogate"),
    ],
)
def test_an_attribute_update_that_can_not_be_written(text: str, data: dict[str, Any], reason: str) -> None:
    """Nothing is written, and the reason names the attribute."""
    with pytest.raises(ConversionError, match=reason):
        encode_attribute_update(DEVICE, AttributeUpdate(attribute="attr1", string_to_device=text), data)
