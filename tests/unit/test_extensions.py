"""Users' converters: found, loaded, run behind the guard, their results brought into one form."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from common.config.models import Device, Rpc
from common.converters import ConvertedData, Converter, TelemetryEntry
from common.core.errors import ConversionError
from common.wire.messages import UserReading
from services.converter.core.user_readings import normalise_result
from services.converter.shell.extensions import UserConverter, find_class, load_converter

LOGGER = logging.getLogger("tests.extensions")
DEVICE = Device(name="press1", type="press", raw={"name": "press1", "own": {"offset": 2}})

GOOD = """
from common.converters import ConvertedData, Converter

class MyConverter(Converter):
    def convert(self, config, data):
        self.logger.trace("frame %r", data)
        converted = ConvertedData(self.config["name"])
        converted.add_to_telemetry({"length": len(data) + self.config["own"]["offset"]})
        converted.add_to_attributes("raw", data.hex())
        return converted
"""


def write_extension(folder: Path, source: str, name: str = "mine.py") -> Path:
    path = folder / "serial" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return path


def load(folder: Path, source: str, name: str = "MyConverter") -> UserConverter:
    write_extension(folder, source)
    return load_converter(name, DEVICE, [str(folder)], LOGGER)


def class_of(convert: Any) -> UserConverter:
    made = type(
        "Made", (), {"__init__": lambda self, config, logger: None, "convert": lambda self, c, d: convert(c, d)}
    )
    return UserConverter(made, DEVICE, LOGGER)


def test_a_class_from_an_extension_file_converts_frames(tmp_path: Path) -> None:
    """Found by class name beside the configuration, given the device's section and a logger with trace."""
    readings = load(tmp_path, GOOD).convert_frame(b"abc")
    assert readings == [UserReading("press1", "default", [(None, b'{"length":5}')], b'{"raw":"616263"}')]


def test_the_first_folder_wins_and_a_file_is_imported_once(tmp_path: Path) -> None:
    """Two folders may hold one class name; two devices share one module."""
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        write_extension(folder, GOOD)
    found = find_class("MyConverter", [str(first), str(second)])
    assert Path(sys.modules[found.__module__].__file__ or "").is_relative_to(first)
    assert find_class("MyConverter", [str(first)]) is found
    assert find_class("MyConverter", [str(second)]) is not found


def test_files_that_do_not_bind_the_name_are_never_imported(tmp_path: Path) -> None:
    """Another file's syntax error or side effect is no trouble of this device's."""
    write_extension(tmp_path, "class Other(:", "a_broken.py")
    write_extension(tmp_path, "# MyConverter\nraise SystemExit(1)", "b_mentions.py")
    assert load(tmp_path, GOOD).convert_frame(b"")


def test_package_and_entry_point_are_looked_up_after_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`package.module:Class` by import; an entry point by its name."""
    module = ModuleType("made_package")
    module.Named = type("Named", (), {"convert": lambda self, config, data: None})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_package", module)
    assert find_class("made_package:Named", [str(tmp_path)]) is module.Named

    class FakeEntryPoint:
        def load(self) -> type:
            return module.Named  # type: ignore[no-any-return]

    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group, name: [FakeEntryPoint()] if name == "short" else []
    )
    assert find_class("short", []) is module.Named


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1", "converter MyConverter: not built in, no such class in {folder}/serial"),
        ("class MyConverter(:", "converter MyConverter: {file}, line 1: invalid syntax"),
        (
            "import nothing_here\nclass MyConverter: pass",
            "{file}, line 1: nothing_here is not installed for this Python; to install it: ",
        ),
        ("class MyConverter: pass\nraise SystemExit(3)", "{file}, line 2: SystemExit: 3"),
        ("class MyConverter: pass", "expected a class with a convert method"),
        ("MyConverter = 5", "found 5, expected a class with a convert method"),
        (
            "from thingsboard_gateway.connectors.mqtt.mqtt_connector import MqttConnector\nclass MyConverter: pass",
            "{file}, line 1: thingsboard_gateway.connectors.mqtt is another connector of that gateway; serialgw has no",
        ),
        (
            "class MyConverter:\n def __init__(self, c, l):\n  raise KeyError('x')\n def convert(self, c, d): pass",
            "MyConverter: {file}, line 3: KeyError: 'x'",
        ),
        (
            "class MyConverter:\n def __init__(self, a, b, c): pass\n def convert(self, c, d): pass",
            "MyConverter: {file}: its constructor takes (a, b, c), expected __init__(self, config, logger)",
        ),
        (
            "from common.converters import Converter\nclass MyConverter(Converter): pass",
            "MyConverter: {file}: TypeError: Can't instantiate abstract class",
        ),
    ],
)
def test_a_class_that_does_not_load_says_where(tmp_path: Path, source: str, reason: str) -> None:
    """File, class and line; never anything but a ConversionError, so that only this device is affected."""
    with pytest.raises(ConversionError) as caught:
        load(tmp_path, source)
    assert reason.format(folder=tmp_path, file=tmp_path / "serial" / "mine.py") in str(caught.value)


@pytest.mark.parametrize("raised", ["ValueError('bad frame')", "SystemExit(1)", "RecursionError()", "BadText()"])
def test_whatever_convert_raises_names_file_class_and_line(tmp_path: Path, raised: str) -> None:
    """An exception of user code, SystemExit too, is a reason for a dead letter; even one that can't be printed."""
    source = (
        "class BadText(Exception):\n def __str__(self): raise OSError\n"
        "class MyConverter:\n def __init__(self, c, l): pass\n def convert(self, c, d):\n"
        f"  raise {raised}\n"
    )
    converter = load(tmp_path, source)
    with pytest.raises(ConversionError) as caught:
        converter.convert_frame(b"x")
    assert str(caught.value).startswith(f"MyConverter: {tmp_path}/serial/mine.py, line 6: ")
    assert "\n" not in str(caught.value)


def test_an_interrupt_is_no_fault_of_the_converters(tmp_path: Path) -> None:
    """KeyboardInterrupt ends the process as ever: it is not caught as the frame's fault."""

    def interrupt(config: Any, data: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        class_of(interrupt).convert_frame(b"x")


def test_a_converter_can_not_change_the_configuration() -> None:
    """The section it gets is a copy."""

    class Meddling(Converter):
        def convert(self, config: Any, data: Any) -> Any:
            self.config["own"]["offset"] += 1

    UserConverter(Meddling, DEVICE, LOGGER).convert_frame(b"x")
    assert DEVICE.raw["own"] == {"offset": 2}


@pytest.mark.parametrize(
    ("result", "readings"),
    [
        (None, []),
        ({}, []),
        ([], []),
        ({"telemetry": [], "attributes": {}}, []),
        ({"telemetry": [{"a": 0}]}, [UserReading("press1", "press", [(None, b'{"a":0}')], b"")]),
        ({"telemetry": {"a": 1}}, [UserReading("press1", "press", [(None, b'{"a":1}')], b"")]),
        ({"telemetry": [{"a": 1}, {"b": None}]}, [UserReading("press1", "press", [(None, b'{"a":1}')], b"")]),
        ({"telemetry": [{"a": 1}, {"b": 2}]}, [UserReading("press1", "press", [(None, b'{"a":1,"b":2}')], b"")]),
        (
            {"telemetry": [{"a": 1}, {"a": 2}]},
            [UserReading("press1", "press", [(None, b'{"a":1}'), (None, b'{"a":2}')], b"")],
        ),
        (
            {"deviceName": "other", "deviceType": "t", "telemetry": [{"ts": 5.0, "values": {"a": (1,)}}]},
            [UserReading("other", "t", [(5, b'{"a":[1]}')], b"")],
        ),
        ({"attributes": [{"a": 1}, {"a": 2, "b": {}}]}, [UserReading("press1", "press", [], b'{"a":2,"b":{}}')]),
        (
            [{"telemetry": [{"a": 1}]}, {"deviceName": "two", "attributes": {"b": True}}],
            [UserReading("press1", "press", [(None, b'{"a":1}')], b""), UserReading("two", "press", [], b'{"b":true}')],
        ),
    ],
)
def test_results_of_every_shape_become_readings(result: object, readings: list[UserReading]) -> None:
    """Dicts as on the page; what holds no value is no reading."""
    assert normalise_result(result, DEVICE) == readings


def test_converted_data_is_what_the_page_describes() -> None:
    """Entries and attributes one by one, in lists and in dicts; read back by name."""
    data = ConvertedData("d", metadata={"m": 1})
    data.add_to_telemetry(TelemetryEntry({"a": 1}, ts=7))
    data.add_to_telemetry([{"ts": 8, "values": {"a": 2}}, {"b": 3}])
    data.add_to_attributes("x", 1)
    data.add_to_attributes({"x": 2})
    data.add_to_attributes([{"y": 3}, {"y": 4}])
    data.add_to_metadata({"n": 2})
    assert data["telemetry"] == data.telemetry
    assert (data["deviceName"], data["deviceType"], data.metadata) == ("d", "default", {"m": 1, "n": 2})
    assert normalise_result(data, DEVICE) == [
        UserReading("d", "default", [(7, b'{"a":1}'), (8, b'{"a":2}'), (None, b'{"b":3}')], b'{"x":2,"y":4}')
    ]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (5, "convert returned 5, expected ConvertedData or a dict"),
        ({"deviceName": 5}, "deviceName: found 5, expected text"),
        ({"telemetry": "abc"}, "telemetry: found 'abc', expected a list or a dict"),
        ({"telemetry": ["abc"]}, "telemetry[0]: found 'abc', expected"),
        ({"telemetry": [{"a": float("nan")}]}, "telemetry[0]: a: found nan, which JSON can't carry"),
        ({"telemetry": [{"a": [float("inf")]}]}, "telemetry[0]: a: found inf"),
        (
            {"telemetry": [{"a": b"\xff"}]},
            "telemetry[0]: a: found b'\\xff', expected bytes that are UTF-8 text, or text",
        ),
        ({"telemetry": [{"a": {1: 2}}]}, "telemetry[0]: a: found the key 1 of type int, expected text"),
        ({"telemetry": [{1: 2}]}, "telemetry[0]: found the key 1, expected text"),
        ({"telemetry": [{"a": 2**64}]}, "telemetry[0]: a: found an integer of more than 64 bits"),
        ({"telemetry": [{"a": "\ud800"}]}, "telemetry[0]: a: found '\\ud800' with a lone surrogate"),
        (
            {"telemetry": [{"ts": "now", "values": {"a": 1}}]},
            "telemetry[0]: ts: found 'now', expected milliseconds since 1970",
        ),
        (
            {"telemetry": [{"ts": -1, "values": {"a": 1}}]},
            "telemetry[0]: ts: found -1, expected milliseconds since 1970",
        ),
        ({"attributes": {"a": object}}, "attributes: a: found <class 'object'> of type type"),
    ],
)
def test_a_result_that_can_not_be_sent_says_which_value(result: object, reason: str) -> None:
    """The reason of the dead letter names the class, the place and what stands there."""
    with pytest.raises(ConversionError) as caught:
        class_of(lambda config, data: result).convert_frame(b"x")
    assert str(caught.value).startswith(f"Made: {reason}")


def test_values_that_contain_themselves_are_refused() -> None:
    """A list inside itself ends in a reason, not in a crash."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ConversionError, match="nested deeper"):
        class_of(lambda config, data: {"telemetry": [{"a": loop}]}).convert_frame(b"x")


def test_an_answer_goes_through_the_uplink_converter() -> None:
    """It gets the response description as config and returns the value under `result`."""
    rpc = Rpc(method="m", response_type="int", response_from_byte=0, response_until_delimiter=";")
    converter = class_of(lambda config, data: {"result": [config, data.decode()]})
    assert converter.convert_answer(rpc, b"5;") == [
        {"type": "int", "fromByte": 0, "untilDelimiter": ";", "delimiter": ";"},
        "5;",
    ]
    for bad, reason in ((5, "convert returned 5, expected"), ({"result": b"x"}, "result: found b'x' of type bytes")):
        with pytest.raises(ConversionError, match=reason):
            class_of(lambda config, data, bad=bad: bad).convert_answer(rpc, b"5;")


def test_a_downlink_converter_returns_bytes() -> None:
    """It gets the RPC's section and the params; None or empty is "No data to send"; text is refused."""
    rpc = Rpc(method="m", raw={"method": "m", "own": 1})
    assert class_of(lambda config, data: bytearray([config["own"], data])).encode_rpc(rpc, 7) == b"\x01\x07"
    for nothing in (None, b""):
        with pytest.raises(ConversionError, match=r"^No data to send$"):
            class_of(lambda config, data, nothing=nothing: nothing).encode_rpc(rpc, 7)
    with pytest.raises(ConversionError, match=r"^Made: convert returned 'x', expected bytes"):
        class_of(lambda config, data: "x").encode_rpc(rpc, 7)
