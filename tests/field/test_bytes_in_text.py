"""Text that stands for bytes is these bytes, or a warning says how they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.framing import Framing
from common.config.models import DataPoint, device_of, section_of
from common.conversion.calls import convert_answer, exchange_for, rpc_writes, update_writes
from common.core.byte_text import Placeholder, bytes_of, parts_of, spell
from common.core.errors import ConfigError, ConversionError
from common.core.quoting import spelled
from common.wire.messages import Reply
from services.cli.__main__ import main
from services.cli.slices import describe_slice
from services.cli.text import spelled_out
from services.port_reader.core.unframed import why_unframed
from tests.field.reading import convert, read_device, telemetry, write_config
from tests.support.port_reader_rig import Rig

EVENTS = [{"key": "ev", "type": "bytes", "toByte": -3}]
DISPLAY = b"\x65\x00\x01\x01\xff\xff\xff\x65\x00\x02\x01\xff\xff\xff"


@pytest.mark.parametrize("spelling", ["hex:FF FF FF", "hex:ffffff", "hex:Ff:fF:FF", "hex:ff-ff-ff", "hex: FF  FF FF "])
def test_a_delimiter_of_any_bytes(spelling: str, tmp_path: Path) -> None:
    """Blanks, colons, dashes and the case of digits are as one likes."""
    device, warnings = read_device(tmp_path, delimiter=spelling, telemetry=EVENTS)
    assert warnings == []
    assert telemetry(convert(device, DISPLAY)) == [{"ev": "65000101"}, {"ev": "65000201"}]


def test_the_characters_above_ascii_become_other_bytes_and_a_warning_says_so(tmp_path: Path) -> None:
    """The sentence has both spellings: of the bytes that were meant, and of those that are taken now."""
    device, warnings = read_device(tmp_path, delimiter="\u00ff\u00ff\u00ff", telemetry=EVENTS)
    assert device.framing.delimiter == b"\xc3\xbf" * 3
    assert warnings == [
        (
            'delimiter: "ÿÿÿ" becomes UTF-8, the bytes C3 BF C3 BF C3 BF; for the bytes FF FF FF write "hex:FF FF FF",'
            ' and "hex:C3 BF C3 BF C3 BF" where UTF-8 is meant'
        )
    ]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("0x0D", '"\\r"'),
        ("0xAA", '"hex:AA"'),
        ("0x0D 0x0A", '"\\r\\n"'),
        ("0D 0A", '"\\r\\n"'),
        ("FF FF FF", '"hex:FF FF FF"'),
        ("\\r", '"\\r"'),
        ("\\r\\n", '"\\r\\n"'),
        ("\\n", '"\\n"'),
        ("\\xaa", '"hex:AA"'),
        ("CRLF", '"\\r\\n"'),
        ("cr", '"\\r"'),
        ("LF", '"\\n"'),
        ("TAB", '"\\t"'),
        ("<CR>", '"\\r"'),
        ("<CR><LF>", '"\\r\\n"'),
        ("[ETX]", '"hex:03"'),
        ("^M", '"\\r"'),
        ("#13#10", '"\\r\\n"'),
        ("%0D%0A", '"\\r\\n"'),
        ("HEX:FF", '"hex:FF"'),
        ("\\f", '"hex:0C"'),
        ("\\v", '"hex:0B"'),
        ("\\e", '"hex:1B"'),
        ("\\015", '"\\r"'),
        ("\\377", '"hex:FF"'),
        ("\\xD", '"\\r"'),
        ("\\x{0D}", '"\\r"'),
        ("x0D", '"\\r"'),
        ("x0Dx0A", '"\\r\\n"'),
        ("#0D", '"\\r"'),
        ("#13", '"\\r"'),
        ("&#x0D;", '"\\r"'),
        ("&#xD;", '"\\r"'),
        ("/r/n", '"\\r\\n"'),
        ("/n", '"\\n"'),
        ("OK/r/n", '"OK\\r\\n"'),
        ("chr(13)", '"\\r"'),
        ("Ctrl-M", '"\\r"'),
        ("<BS>", '"hex:08"'),
        ("'\\r'", '"\\r"'),
        ('"\\r\\n"', '"\\r\\n"'),
        ("b'\\r\\n'", '"\\r\\n"'),
        ("'0x0D'", '"\\r"'),
        ("'OK\\r'", '"OK\\r"'),
        ("\\r;", '"\\r;"'),
        (";\\r", '";\\r"'),
        ("\\n,", '"\\n,"'),
        ("0x0D;", '"\\r;"'),
        ("OK 0x0D", '"OK \\r"'),
        ("\\\\r", '"\\r"'),
        ("\\\\r\\\\n", '"\\r\\n"'),
        ("\\\\\\x03", '"hex:03"'),
        ("\\r\\nOK", '"\\r\\nOK"'),
    ],
)
def test_other_notations_of_bytes_get_the_right_one(wrong: str, right: str, tmp_path: Path) -> None:
    """They stay the letters that they are, as in the reference, and are warned of wherever they end something."""
    device, warnings = read_device(
        tmp_path,
        delimiter=wrong,
        telemetry=[{"key": "a", "type": "string", "fromDelimiter": wrong, "untilDelimiter": wrong}],
        serverSideRpc=[
            {"method": "m", "template": "x", "withResponse": True, "responsePattern": "^x"}
            | {"responseUntilDelimiter": wrong},
        ],
    )
    assert device.framing.delimiter == wrong.encode()
    assert sorted(warning.split(": ")[0] for warning in warnings) == [
        "delimiter",
        "serverSideRpc[0].responseUntilDelimiter",
        "telemetry[0].fromDelimiter",
        "telemetry[0].untilDelimiter",
    ]
    for warning in warnings:
        assert f"{json.dumps(wrong)} is taken letter by letter" in warning
        assert warning.removesuffix(", with a small hex:").endswith(f" {right}")


@pytest.mark.parametrize(
    "text",
    [
        "\r\n",
        "\n",
        "kg",
        "T:",
        "°C",
        "µS/cm",
        "Feuchte für",
        "::",
        "\\",
        "10",
        "AA",
        "FF",
        "C:\\temp",
        "Ω",
        "\x03",
        "x10",
        "X02",
        "n/a",
        "1/n",
        "km/h",
        "a/r/n/b",
        "'",
        "''",
        "'a'",
        "it's",
        "\\note",
        "\\rOK",
        "ctrl",
        "chrome",
        "char",
    ],
)
def test_words_and_signs_are_no_slips(text: str, tmp_path: Path) -> None:
    """What a device may well say is taken without a word."""
    _, warnings = read_device(tmp_path, telemetry=[{"key": "a", "type": "string", "untilDelimiter": text}])
    assert warnings == []


@pytest.mark.parametrize("text", ["hex:", "hex:F", "hex:FG", "hex:0xFF", "hex:FF\r\n", "hex: F F"])
@pytest.mark.parametrize("key", ["delimiter", "fromDelimiter", "responseUntilDelimiter", "template", "responsePattern"])
def test_wrong_digits_are_an_error(key: str, text: str, tmp_path: Path) -> None:
    """It says what is right, and how a text that begins with hex: is written."""
    place: dict[str, Any] = {key: text}
    device = place
    if key == "fromDelimiter":
        device = {"telemetry": [{"key": "a", **place}]}
    elif key != "delimiter":
        device = {"serverSideRpc": [{"method": "m", "template": "x", "withResponse": True, **place}]}
    with pytest.raises(ConfigError) as caught:
        read_device(tmp_path, **device)
    [problem] = caught.value.problems
    assert f"{key}: found {json.dumps(text)}, expected pairs of hexadecimal digits" in problem
    assert 'such as "hex:0D FF"' in problem


def test_a_data_point_between_bytes(tmp_path: Path) -> None:
    """STX and a code above 0x7F around the value, in a listing as well."""
    point = {"key": "t", "type": "float", "fromDelimiter": "hex:02 80", "untilDelimiter": "hex:ff"}
    device, warnings = read_device(tmp_path, delimiter="hex:03", telemetry=[point])
    assert warnings == []
    assert device_of(section_of(device)) == device
    assert telemetry(convert(device, b"\x02\x8023.5\xff9\x03\x02\x8024\xff\x03")) == [{"t": 23.5}, {"t": 24.0}]


@pytest.mark.parametrize(
    ("entry", "params", "written"),
    [
        ({"template": "hex:02 ${params} 03"}, "A", b"\x02A\x03"),
        ({"template": "hex:AA55${params.a}FF ${deviceName}"}, {"a": 7}, b"\xaa\x557\xffd"),
        ({"template": "hex:A0 01 01 A2"}, None, b"\xa0\x01\x01\xa2"),
        ({"template": "hex:${params}"}, "x", b"x"),
        ({"template": "hex:01 ${params} 99", "type": "hex"}, "FF 0d", b"\x01\xff\x0d\x99"),
        ({"template": "W${params.addr};", "type": "hex"}, {"addr": "80"}, b"W\x80;"),
        ({"type": "hex"}, "FF 01", b"\xff\x01"),
        ({"type": "hex"}, "hex:ff-01", b"\xff\x01"),
    ],
)
def test_bytes_that_a_call_writes(entry: dict[str, Any], params: object, written: bytes, tmp_path: Path) -> None:
    """In a template, or as params that are digits."""
    device, warnings = read_device(
        tmp_path, downlink_converter="SerialDownlinkConverter", serverSideRpc=[{"method": "m", **entry}]
    )
    assert warnings == []
    assert rpc_writes(device, device.rpcs[0], json.dumps(params).encode()) == [written]


@pytest.mark.parametrize("params", ["F", "zz", 5, True, {"a": 1}, ""])
def test_params_that_are_no_digits_are_refused(params: object, tmp_path: Path) -> None:
    """The caller is told what is right."""
    device, _ = read_device(tmp_path, serverSideRpc=[{"method": "m", "type": "hex", "template": "hex:01 ${params}"}])
    with pytest.raises(ConversionError, match=r'expected pairs of hexadecimal digits, such as "FF 0D"$'):
        rpc_writes(device, device.rpcs[0], json.dumps(params).encode())


def test_an_attribute_update_of_bytes(tmp_path: Path) -> None:
    """`stringToDevice` as a template."""
    update = {"attributeOnPlatform": "rate", "stringToDevice": "hex:AA ${rate} 0D"}
    device, warnings = read_device(tmp_path, attributeUpdates=[update])
    assert warnings == []
    assert update_writes(device, b'{"rate": 12}') == ([b"\xaa12\r"], "")


@pytest.mark.parametrize(
    ("template", "meant"),
    [
        ("SET ${params}\\r\\n", "SET ${params}\r\n"),
        ("SET ${params}<CR>", "SET ${params}\r"),
        ("SET ${params}^M", "SET ${params}\r"),
        ("0x02${params}0x03", "hex:02 ${params} 03"),
        ("\u00aaU${params}\u00ff", "hex:AA 55 ${params} FF"),
        ("\\xaa${params}", "hex:AA ${params}"),
        ("SET 0x0D", "SET \r"),
        ("SET ${params}0x0D", "SET ${params}\r"),
        ("SET ${params}0x0D 0x0A", "SET ${params}\r\n"),
        ("SET ${params}/r/n", "SET ${params}\r\n"),
        ("SET ${params}\\015", "SET ${params}\r"),
        ("SET ${params}\\r;", "SET ${params}\r;"),
        ("SET ${params}\\\\r", "SET ${params}\r"),
        ("'SET ${params}\\r'", "SET ${params}\r"),
        ("b'${params}\\r\\n'", "${params}\r\n"),
        ("\\e[2J${params}", "hex:1B 5B 32 4A ${params}"),
        ("\\r\\nGET ${params}\\r\\n", "\r\nGET ${params}\r\n"),
    ],
)
def test_templates_in_other_notations(template: str, meant: str, tmp_path: Path) -> None:
    """The warning has the whole template as it was probably meant."""
    _, warnings = read_device(tmp_path, serverSideRpc=[{"method": "m", "template": template}])
    [warning] = warnings
    assert warning.endswith(f" {json.dumps(meant)}") or "where UTF-8 is meant" in warning
    parts_of(meant)


@pytest.mark.parametrize(
    "template",
    [
        "SET ${params}\r\n",
        "READ 0x0D\r\n",
        "GET 0x10",
        "GET 1/n",
        "'${params}'",
        "SP ${params} °C",
        "<x>${params}</x>",
        'AT="${params}"\r',
    ],
)
def test_plain_templates_are_no_slips(template: str, tmp_path: Path) -> None:
    """Nothing is said of them."""
    _, warnings = read_device(tmp_path, serverSideRpc=[{"method": "m", "template": template}])
    assert warnings == []


def test_an_answer_of_bytes(tmp_path: Path) -> None:
    """The port reader writes the bytes, and takes only a frame with the pattern's byte, up to the code that ends it."""
    rpc = {
        "method": "get",
        "template": "hex:05 FF",
        "withResponse": True,
        "responseType": "int",
        "responsePattern": "hex:86",
        "responseUntilDelimiter": "hex:86",
    }
    device, warnings = read_device(
        tmp_path, delimiter="hex:FE", telemetry=[{"key": "t", "type": "int"}], serverSideRpc=[rpc]
    )
    assert warnings == []
    exchange = exchange_for([b"\x05\xff"], device.rpcs[0])
    assert (exchange.pattern, exchange.until) == ("\\x86", b"\x86")
    rig = Rig(device)
    rig.read(b"1\xfe")
    rig.call("encode", {"method": "get", "params": b""})
    assert rig.written == [b"\x05\xff"]
    rig.read(b"7\xfe42\x86\xfe")
    [reply] = [message for message in rig.calls if isinstance(message, Reply)]
    assert reply.error == ""
    assert convert_answer(device.rpcs[0], b"42\x86") == 42


def test_a_pattern_in_other_notations(tmp_path: Path) -> None:
    """`\\xff` of regular expressions is right, and what the warnings advise."""
    for pattern, advice in (("\u00ff", '"\\\\xff"'), ("0x06", '"hex:06"'), ("<ACK>", '"hex:06"')):
        rpc = {"method": "m", "template": "x", "withResponse": True, "responsePattern": pattern}
        _, warnings = read_device(tmp_path, serverSideRpc=[rpc])
        assert [advice in warning for warning in warnings] == [True]
    for pattern in ("\\xff", "^v[0-9]", "[CR]", "\r$"):
        rpc = {"method": "m", "template": "x", "withResponse": True, "responsePattern": pattern}
        assert read_device(tmp_path, serverSideRpc=[rpc])[1] == []


def test_check_lists_bytes_as_it_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Digits for what can't be printed; behind letters that are not ASCII stand their bytes."""
    path = write_config(
        tmp_path,
        {
            "name": "d",
            "delimiter": "hex:ff ff",
            "telemetry": [{"key": "a", "type": "int", "fromDelimiter": "hex:41 3d", "untilDelimiter": "\u0003"}],
            "serverSideRpc": [{"method": "m", "template": "hex:02 ${params} 0D"}],
        },
        {"name": "e", "delimiter": "°", "serverSideRpc": [{"method": "m", "type": "hex", "template": "°${params}"}]},
    )
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert 'each ends with "hex:FF FF"\n' in said
    assert 'frame[find("A=")+2:find("hex:03", find("A=")+2)]' in said
    assert 'writes "\\u0002${params}\\r"' not in said
    assert 'writes "hex:02 ${params} 0D", no answer' in said
    assert 'each ends with "°" (C2 B0)\n' in said
    assert 'writes "°${params}" (C2 B0 ${params}) with params as hex' in said
    assert main(["check", str(path), "--json"]) == 0
    assert [device["delimiter"] for device in json.loads(capsys.readouterr().out)["devices"]] == ["hex:FF FF", "°"]


@pytest.mark.parametrize(
    "typed", ["543a31", "54 3A 31", "54:3a:31", "0x54 0x3a 0x31", "0x54,0x3A,0x31", "hex:54 3a 31"]
)
def test_try_takes_digits_as_people_copy_them(typed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From other tools' outputs."""
    path = write_config(tmp_path, {"name": "d", "telemetry": [{"key": "t", "type": "int", "fromDelimiter": "T:"}]})
    assert main(["try", str(path), "--hex", typed, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["telemetry"] == {"t": 1}


@pytest.mark.parametrize("typed", ["5", "0x", "54 3", "xyz"])
def test_try_refuses_half_digits(typed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an example of what is right."""
    assert main(["try", str(write_config(tmp_path, {"name": "d"})), "--hex", typed]) == 2
    assert 'expected pairs of hexadecimal digits, such as "34 0d"' in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"\r\n", b"\xff", b"abc", b"hex:41", "°C".encode(), bytes(range(256))])
def test_what_is_spelled_is_read_as_the_same_bytes(data: bytes) -> None:
    """For every text that a warning or a listing shows."""
    assert bytes_of(spell([data])) == data
    parts = [data, Placeholder("params"), data]
    assert parts_of(spell(parts)) == parts


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x03", '"hex:03"'),
        (b"\xff\xff", '"hex:FF FF"'),
        (b"\r\n", '"\\r\\n"'),
        ("°".encode(), '"°"'),
        (b'"', '"\\""'),
        (b"hex:", '"hex:68 65 78 3A"'),
        (b"\x00", '"hex:00"'),
    ],
)
def test_a_delimiter_is_spelled_alike_wherever_it_is_told(data: bytes, said: str, tmp_path: Path) -> None:
    """What the log says of bytes that end no frame can be copied into the file, and is what `check` shows then."""
    assert spelled(data) == said
    assert f"the configuration awaits {said}; " in why_unframed(Framing(delimiter=data), b"xyz")
    device, _ = read_device(tmp_path, delimiter=json.loads(said))
    assert device.framing.delimiter == data
    assert spelled_out(device.framing.delimiter).startswith(said)
    point = DataPoint(key="a", until_delimiter=json.loads(said))
    assert describe_slice(point) == f"frame[:find({said})]"
