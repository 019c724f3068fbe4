"""Every observed case of the reference gives its result, or stands under a numbered difference.

A difference is claimed only if two things hold: what the reference did follows from the field that the difference says
it takes, and what serialgw did is what the difference says serialgw does.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import simplejson

from common.config.models import DataPoint, Device, Rpc
from common.conversion.downlink import encode_rpc
from common.conversion.outcomes import PointResult
from common.conversion.slices.rows import compile_device
from common.core.errors import ConversionError

CASES = Path(__file__).parent.parent / "cases"
UPLINK = json.loads((CASES / "converter-uplink.json").read_text())["cases"]
DOWNLINK = json.loads((CASES / "converter-downlink.json").read_text())["cases"]

UPLINK_COUNTS = Counter({0: 623, 1: 30, 2: 31, 3: 63, 4: 10, 5: 232, 6: 4, 7: 6, 21: 1, 23: 79, 24: 63})
DOWNLINK_COUNTS = Counter({0: 76, 9: 3, 10: 36})
"""Cases by difference; 0 is the reference's own result."""

Outcome = tuple[str, str]
"""("value", its JSON), ("dropped", "") or ("error", "")."""


def point_of(case: dict[str, Any]) -> DataPoint:
    point = case["datapoint"]
    return DataPoint(
        key="k",
        type=point["type"],
        from_delimiter=point.get("fromDelimiter"),
        until_delimiter=point.get("untilDelimiter"),
        from_byte=point.get("fromByte"),
        to_byte=point.get("toByte"),
    )


def observed(case: dict[str, Any]) -> Outcome:
    reference = case["reference"]
    if "value" in reference:
        return "value", json.dumps(reference["value"])
    return ("dropped", "") if "dropped" in reference else ("error", "")


def expected_of(type_name: str, field: bytes) -> Outcome:
    """What the reference makes of a field, once it has taken it: falsy values dropped, NaN by name."""
    try:
        match type_name:
            case "string":
                value: Any = field.decode().strip()
            case "int":
                value = int(field)
            case "float" | "double":
                value = float(field)
                value = str(value) if not math.isfinite(value) else value
            case "bool":
                text = field.decode().strip()
                value = text.lower() == "true" or (text.lstrip("+-").isdigit() and int(text) != 0)
            case "json":
                value = simplejson.loads(field.decode())
            case _:
                value = field.hex()
    except ValueError:
        return "error", ""
    return ("value", json.dumps(value)) if value else ("dropped", "")


def difference_1(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """The reference drops a falsy value that serialgw sends."""
    falsy = ours.status == "value" and any(ours.value is other or ours.value == other for other in (0, 0.0, False, ""))
    return falsy and outcome == ("dropped", "") == expected_of(point.type, ours.field)


def difference_2(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """Both positions positive: the reference slices backwards and finds nothing."""
    if not (point.from_byte and point.to_byte and 0 < point.from_byte < point.to_byte < len(frame)):
        return False
    return outcome == expected_of(point.type, b"") and ours.field == frame[point.from_byte : point.to_byte]


def difference_3(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """Too short for fromByte: the reference takes the frame from its start; absent here."""
    if not point.from_byte or len(frame) > point.from_byte or ours.status != "absent":
        return False
    return outcome == expected_of(point.type, frame[: point.to_byte])


def difference_4(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """The reference keeps fromDelimiter in the value; serialgw starts after it."""
    opening = (point.from_delimiter or "").encode()
    if not opening or opening not in frame or ours.field != frame.split(opening, 1)[1][: len(ours.field)]:
        return False
    return outcome == expected_of(point.type, opening + ours.field)


def difference_5(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """fromDelimiter not found: the reference takes the frame, up to untilDelimiter if that is there; absent here."""
    opening, closing = (point.from_delimiter or "").encode(), (point.until_delimiter or "").encode()
    if not opening or opening in frame or ours.status != "absent":
        return False
    return outcome == expected_of(point.type, frame.split(closing, 1)[0] if closing else frame)


def difference_6(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """An untilDelimiter before fromDelimiter: the reference doesn't find the one behind it."""
    opening, closing = (point.from_delimiter or "").encode(), (point.until_delimiter or "").encode()
    if not opening or not closing or not 0 <= frame.find(closing) < frame.find(opening):
        return False
    rest = frame.split(opening, 1)[1]
    return ours.field == rest.split(closing, 1)[0] and outcome == expected_of(point.type, opening + rest)


def difference_7(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """NaN and infinity are conversion errors here."""
    return (
        ours.status == "error"
        and point.type in ("float", "double")
        and outcome
        in (
            ("value", '"nan"'),
            ("value", '"inf"'),
            ("value", '"-inf"'),
        )
    )


def difference_21(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """The delimiter stands first: the reference takes the whole frame; the field is empty here."""
    closing = (point.until_delimiter or "").encode()
    if not closing or point.from_delimiter or not frame.startswith(closing) or ours.field != b"":
        return False
    return ours.span == (0, 0) and outcome == expected_of(point.type, frame)


def difference_23(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """A text that is neither true nor a number is false in the reference; here other words are known, or refused."""
    if point.type != "bool" or outcome != expected_of("bool", ours.field):
        return False
    is_number = ours.field.strip().lstrip(b"+-").replace(b".", b"").isdigit()
    return outcome == ("dropped", "") and (ours.status == "error" or is_number or ours.value is True)


def difference_24(frame: bytes, point: DataPoint, ours: PointResult, outcome: Outcome) -> bool:
    """A frame of blanks and its delimiter says nothing; the reference converts it, or says that it can't."""
    return ours.status == "blank" and not frame.strip() and point.type not in ("", "bytes")


UPLINK_DIFFERENCES = {
    24: difference_24,
    23: difference_23,
    1: difference_1,
    2: difference_2,
    3: difference_3,
    5: difference_5,
    6: difference_6,
    21: difference_21,
    7: difference_7,
    4: difference_4,
}


def judge_uplink(case: dict[str, Any]) -> int | str:
    """The number of the difference that a case stands under; 0 for the reference's result; else what is wrong."""
    frame, point, outcome = bytes.fromhex(case["frame_hex"]), point_of(case), observed(case)
    ours = compile_device(Device(telemetry=(point,))).explain(frame)[0]
    if ours.status == "error" and outcome[0] == "error":
        return 0
    if ours.status == "value" and outcome == ("value", json.dumps(ours.value)):
        return 0
    for number, stands in UPLINK_DIFFERENCES.items():
        if stands(frame, point, ours, outcome):
            return number
    return f"{frame!r} {case['datapoint']}: reference {case['reference']}, serialgw {ours}"


def test_every_uplink_case_is_the_references_or_a_numbered_difference() -> None:
    """All 1,142 observed frames convert as in the reference, or under a difference of the documented list."""
    verdicts = [judge_uplink(case) for case in UPLINK]
    assert [verdict for verdict in verdicts if isinstance(verdict, str)] == []
    counts = Counter(verdicts)
    assert counts == UPLINK_COUNTS
    assert sum(counts.values()) == 1142


def judge_downlink(case: dict[str, Any]) -> int | str:
    device = Device(downlink_converter="SerialDownlinkConverter", byteorder=case["device"].get("byteorder", "big"))
    rpc = Rpc(method="m", type=case["rpc"].get("type", "string"))
    params, reference = case["params"], case["reference"]
    try:
        written, error = encode_rpc(device, rpc, params), ""
    except ConversionError as failure:
        written, error = b"", str(failure)
    if "bytes_hex" in reference and reference["bytes_hex"] == written.hex() and not error:
        return 0
    if ("none" in reference and error == "No data to send") or ("error" in reference and error):
        return 0
    if rpc.type == "int" and stands_under_9(params, reference, written, device):
        return 9
    if rpc.type not in ("int", "float", "double") and stands_under_10(params, reference, written):
        return 10
    return f"{case}: serialgw {written!r} {error}"


def stands_under_9(params: Any, reference: dict[str, Any], written: bytes, device: Device) -> bool:
    """0 is one byte where the reference has none; negative numbers and decimal text have bytes where it raises."""
    if params == 0 and not isinstance(params, bool):
        return reference == {"bytes_hex": ""} and written == b"\x00"
    if isinstance(params, str):
        return "error" in reference and written == bytes([int(params)])
    return (
        "error" in reference
        and isinstance(params, int)
        and params < 0
        and int.from_bytes(written, device.byteorder, signed=True) == params
    )


def stands_under_10(params: Any, reference: dict[str, Any], written: bytes) -> bool:
    """Params that are no text: the reference raises, JSON here."""
    compact = json.dumps(params, separators=(",", ":")).encode()
    return "error" in reference and not isinstance(params, str) and params is not None and written == compact


def test_every_downlink_case_is_the_references_or_a_numbered_difference() -> None:
    """All 115 observed calls give the reference's bytes or error, or stand under difference 9 or 10."""
    verdicts = [judge_downlink(case) for case in DOWNLINK]
    assert [verdict for verdict in verdicts if isinstance(verdict, str)] == []
    counts = Counter(verdicts)
    assert counts == DOWNLINK_COUNTS
    assert sum(counts.values()) == 115
