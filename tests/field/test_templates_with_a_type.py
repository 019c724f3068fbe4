"""A template with a type: params themselves are what the type says, and everything else is filled in as it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.conversion.calls import rpc_writes
from common.core.errors import ConversionError
from tests.field.reading import read_device


def _write(folder: Path, params: object, **rpc: Any) -> bytes:
    device, warnings = read_device(folder, serverSideRpc=[{"method": "m", **rpc}])
    assert warnings == []
    [written] = rpc_writes(device, device.rpcs[0], json.dumps(params).encode())
    return written


@pytest.mark.parametrize("type_name", ["int", "float", "double", "string"])
@pytest.mark.parametrize(
    ("params", "written"),
    [
        ({"ch": "A", "v": 5}, b"OUT A 5"),
        ({"ch": "A", "v": 2.5}, b"OUT A 2.5"),
        ({"ch": True, "v": "x"}, b"OUT true x"),
        ({"ch": [1], "v": "${deviceName}"}, b"OUT [1] ${deviceName}"),
    ],
)
def test_members_are_written_as_they_are(type_name: str, params: object, written: bytes, tmp_path: Path) -> None:
    """A channel's name beside the number; a number has a fraction or none."""
    assert _write(tmp_path, params, template="OUT ${params.ch} ${params.v}", type=type_name) == written


@pytest.mark.parametrize(
    ("type_name", "params", "written"),
    [
        ("int", "abc", None),
        ("int", 2.5, None),
        ("int", {"a": 1}, None),
        ("int", "1_0", None),
        ("int", "\u0663", None),
        ("int", "007", b"LED 007"),
        ("int", " 5 ", b"LED  5 "),
        ("int", 12, b"LED 12"),
        ("int", True, b"LED true"),
        ("int", False, b"LED false"),
        ("float", "abc", None),
        ("float", "nan", None),
        ("float", "Infinity", None),
        ("float", "1e999", None),
        ("float", "1_0", None),
        ("float", "1_0.5", None),
        ("float", "\u0663", None),
        ("float", "\u0663.5", None),
        ("float", "2,5", None),
        ("float", "", None),
        ("float", ".", None),
        ("float", [1.5], None),
        ("float", True, b"LED true"),
        ("float", 2.5, b"LED 2.5"),
        ("float", "-.5e-3", b"LED -.5e-3"),
        ("float", "7.", b"LED 7."),
        ("double", "2.50", b"LED 2.50"),
        ("string", "abc", b"LED abc"),
    ],
)
def test_params_are_what_the_type_says(type_name: str, params: object, written: bytes | None, tmp_path: Path) -> None:
    """A text where a number was promised is refused instead of written; true and false are no texts."""
    if written is not None:
        assert _write(tmp_path, params, template="LED ${params}", type=type_name) == written
        return
    with pytest.raises(ConversionError, match=r"params: found .*, expected a (whole|finite) number$"):
        _write(tmp_path, params, template="LED ${params}", type=type_name)


@pytest.mark.parametrize("type_name", ["float", "double"])
@pytest.mark.parametrize(
    ("params", "written"),
    [
        (2.5, b"SP 2,5"),
        ("2.5", b"SP 2,5"),
        ("2,5", b"SP 2,5"),
        ("-.5E-3", b"SP -,5E-3"),
        (7, b"SP 7"),
        ("1.234,5", None),
        ("1,234.5", None),
        ("1,2,3", None),
    ],
)
def test_a_number_in_a_text_has_the_devices_comma(
    type_name: str, params: object, written: bytes | None, tmp_path: Path
) -> None:
    """As the same number has that comes as a number. Separators of thousands are never read."""
    if written is not None:
        assert _write(tmp_path, params, template="SP ${params}", type=type_name, decimal=",") == written
        return
    with pytest.raises(ConversionError, match="expected a finite number"):
        _write(tmp_path, params, template="SP ${params}", type=type_name, decimal=",")


def test_a_text_stays_a_text(tmp_path: Path) -> None:
    """Without a type that is a number, a version is not respelled."""
    assert _write(tmp_path, "2.5", template="SP ${params}", decimal=",") == b"SP 2.5"
