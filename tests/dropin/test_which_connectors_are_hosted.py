"""Which entries of the main file our port readers take, which are hosted, and what `check` says of them."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.config import connector_files
from common.config.connector_files import find_connector, form_of
from common.config.models import ReportStrategy
from common.config.reading import read_gateway
from common.core.errors import ConfigError
from services.cli.__main__ import main
from services.cli.supervise.conf import host_name
from services.cli.supervise.difference import difference
from services.publisher.core.strategies import strategies_of

OWN = "class {name}:\n    '''A {name}.'''\n\n    def open(self):\n        return 1  # {name}\n"
SERIAL = {"name": "Line", "devices": [{"name": "press", "port": "/dev/ttyUSB0", "telemetry": [{"key": "n"}]}]}


def write(folder: Path, entries: list[dict[str, Any]], files: dict[str, str], config: str = "{}") -> Path:
    """A main file with these entries, and files below `extensions`."""
    for name, source in files.items():
        path = folder / "extensions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    (folder / "own.json").write_text(config)
    (folder / "line.json").write_text(json.dumps(SERIAL))
    main_file = folder / "tb_gateway.json"
    main_file.write_text(json.dumps({"thingsboard": {"host": "localhost", "port": 1883}, "connectors": entries}))
    return main_file


def entry(kind: str, class_name: str | None = None, name: str = "Own", **more: Any) -> dict[str, Any]:
    file = "line.json" if kind in ("serial", "custom") and class_name != "Own" else "own.json"
    found = {"name": name, "type": kind, "configuration": file, **more}
    return found if class_name is None else {**found, "class": class_name}


@pytest.mark.parametrize(
    ("kind", "class_name", "file", "expected"),
    [
        ("demo", "Own", "demo/a.py", "hosted"),
        ("Demo", "Own", "demo/a.py", "hosted"),
        ("demo", "Own", "serial/a.py", "nobody"),
        ("demo", None, "demo/a.py", "nobody"),
        ("custom", "Own", "custom/a.py", "hosted"),
        ("custom", "CustomSerialConnector", "custom/a.py", "serialgw"),
        ("custom", None, "custom/a.py", "serialgw"),
        ("serial", "Own", "serial/a.py", "hosted"),
        ("serial", "SerialConnector", "serial/a.py", "serialgw"),
        ("serial", None, "serial/a.py", "serialgw"),
        ("../demo", "Own", "demo/a.py", "nobody"),
    ],
)
def test_who_serves_an_entry(tmp_path: Path, kind: str, class_name: str | None, file: str, expected: str) -> None:
    """By its type, its class, and where that is found."""
    beside = entry("serial", name="Line", configuration="more.json")
    (tmp_path / "more.json").write_text(json.dumps({**SERIAL, "devices": [{**SERIAL["devices"][0], "name": "p2"}]}))
    (tmp_path / "more.json").write_text((tmp_path / "more.json").read_text().replace("ttyUSB0", "ttyUSB1"))
    path = write(tmp_path, [entry(kind, class_name), beside], {file: OWN.format(name="Own")})
    loaded = read_gateway(path, {})
    served = {connector.name for connector in loaded.gateway.connectors} - {"Line"}
    hosted = {connector.name for connector in loaded.gateway.hosted}
    assert (bool(served), bool(hosted)) == (expected == "serialgw", expected == "hosted")
    assert any("is not served" in warning for warning in loaded.warnings) == (expected == "nobody")


def test_the_reference_s_own_connector_is_known_by_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other comments and docstrings it is the same; with anything changed it is the user's."""
    source = OWN.format(name="SerialConnector")
    shipped = ast.parse(source).body[0]
    assert isinstance(shipped, ast.ClassDef)
    monkeypatch.setattr(connector_files, "SHIPPED", {form_of(shipped)})
    same = source.replace("'''A SerialConnector.'''", '"""Ours, copied."""').replace("# SerialConnector", "# copied")
    changed = source.replace("return 1", "return 2")
    files = {"serial/same.py": same, "custom/changed.py": changed}
    write(tmp_path, [], files)
    folders = (str(tmp_path / "extensions"),)
    assert find_connector("serial", "SerialConnector", folders).found.is_shipped  # type: ignore[union-attr]
    assert not find_connector("custom", "SerialConnector", folders).found.is_shipped  # type: ignore[union-attr]
    path = write(tmp_path, [entry("serial", "SerialConnector")], files)
    assert [one.name for one in read_gateway(path, {}).gateway.connectors] == ["Own"]


def test_a_converter_beside_is_no_connector(tmp_path: Path) -> None:
    """Both may stand in one folder, and in one file."""
    source = "class Own:\n    def convert(self, config, data): ...\n"
    write(tmp_path, [], {"serial/a.py": source, "serial/b.py": OWN.format(name="Own")})
    found = find_connector("serial", "Own", (str(tmp_path / "extensions"),)).found
    assert found is not None
    assert found.file.endswith("b.py")


def test_what_a_connector_gets(tmp_path: Path) -> None:
    """Its file as an object, or as the text that it is; its limits."""
    files = {"demo/a.py": OWN.format(name="Own")}
    path = write(
        tmp_path,
        [entry("demo", "Own", memoryLimitMB=64, uplinkQueueSize=10)],
        files,
        '{"id": "7", "logLevel": "debug", "x": [1]}',
    )
    (hosted,) = read_gateway(path, {}).gateway.hosted
    assert (hosted.config, hosted.text) == ({"id": "7", "logLevel": "debug", "x": [1]}, "")
    assert (hosted.id, hosted.log_level) == ("7", "DEBUG")
    assert (hosted.memory_limit_mb, hosted.uplink_queue_size) == (64, 10)
    (hosted,) = read_gateway(write(tmp_path, [entry("demo", "Own")], files, "a: 1\n"), {}).gateway.hosted
    assert (hosted.config, hosted.text) == (None, "a: 1\n")


@pytest.mark.parametrize(
    ("entries", "text", "expected"),
    [
        ([entry("demo", "Own")], "{}", "ON_CHANGE"),
        ([entry("demo", "Own", reportStrategy={"type": "ON_REPORT_PERIOD"})], "{}", "ON_REPORT_PERIOD"),
        ([entry("demo", "Own")], '{"reportStrategy": {"type": "on_received"}}', None),
        (
            [entry("demo", "Own", reportStrategy={"type": "ON_RECEIVED"})],
            '{"reportStrategy": {"type": "ON_CHANGE_OR_REPORT_PERIOD"}}',
            "ON_CHANGE_OR_REPORT_PERIOD",
        ),
    ],
)
def test_the_report_strategy_of_a_connector(
    tmp_path: Path, entries: list[dict[str, Any]], text: str, expected: str | None
) -> None:
    """What its devices say goes by its own file, else by its entry, else by the main file; the publisher goes by it."""
    files = {"demo/a.py": OWN.format(name="Own")}
    path = write(tmp_path, entries, files, text)
    main = json.loads(path.read_text())
    main["thingsboard"]["reportStrategy"] = {"type": "ON_CHANGE"}
    path.write_text(json.dumps(main))
    gateway = read_gateway(path, {}).gateway
    found = (strategies_of(gateway) or {}).get("connector:Own")
    assert (found.otherwise.type if found and found.otherwise else None) == expected
    (hosted,) = gateway.hosted
    other = msgspec.structs.replace(hosted, report_strategy=ReportStrategy(type="ON_CHANGE", report_period_ms=7))
    assert difference(gateway, msgspec.structs.replace(gateway, hosted=(other,))).publisher


def test_what_is_no_report_strategy_in_a_connectors_own_file(tmp_path: Path) -> None:
    """The file may be of any kind: a warning, and the one around it counts."""
    files = {"demo/a.py": OWN.format(name="Own")}
    path = write(tmp_path, [entry("demo", "Own")], files, '{"reportStrategy": {"type": "SOMETIMES"}}')
    read = read_gateway(path, {})
    assert read.gateway.hosted[0].report_strategy is None
    (warning,) = read.warnings
    assert f'{tmp_path / "own.json"}: reportStrategy.type: found "SOMETIMES", expected ' in warning
    assert warning.endswith("; it has no effect")


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([entry("demo", "Own", configuration="gone.json")], "configuration: found"),
        ([entry("demo", "Own"), entry("demo", "Own")], "a name that no other connector has"),
        ([entry("demo", "Own", memoryLimitMB=1)], "a whole number from 32"),
        ([entry("demo", "Other")], "one whose class stands in an extension folder"),
    ],
)
def test_what_stops_the_gateway(tmp_path: Path, entries: list[dict[str, Any]], problem: str) -> None:
    """Each with its place and what would be right."""
    path = write(tmp_path, entries, {"demo/a.py": OWN.format(name="Own")})
    with pytest.raises(ConfigError, match="found") as caught:
        read_gateway(path, {})
    assert any(problem in one for one in caught.value.problems)


def test_a_device_is_not_called_as_a_hosted_connector_s_stream(tmp_path: Path) -> None:
    """They would share a journal, and one of them would never start. Without that connector it is a name as any."""
    files = {"demo/a.py": OWN.format(name="Own")}
    serial = {"devices": [{"name": "connector:Own", "port": "/dev/ttyUSB0", "telemetry": [{"key": "n"}]}]}
    path = write(tmp_path, [entry("serial"), entry("demo", "Own")], files)
    (tmp_path / "line.json").write_text(json.dumps(serial))
    with pytest.raises(ConfigError) as caught:
        read_gateway(path, {})
    (problem,) = caught.value.problems
    assert 'line.json: devices[0].name: found "connector:Own", as what the connector Own stores is called' in problem
    path = write(tmp_path, [entry("serial")], files)
    (tmp_path / "line.json").write_text(json.dumps(serial))
    assert read_gateway(path, {}).gateway.streams == ("connector:Own",)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_refused_unread(tmp_path: Path, kind: str) -> None:
    """Reading a pipe may never end."""
    path = write(tmp_path, [entry("demo", "Own")], {"demo/a.py": OWN.format(name="Own")})
    (tmp_path / "own.json").unlink()
    os.mkfifo(tmp_path / "own.json") if kind == "pipe" else (tmp_path / "own.json").mkdir()
    with pytest.raises(ConfigError, match="which is no plain file, expected a file beside"):
        read_gateway(path, {})


def test_a_file_that_others_may_change_is_not_hosted(tmp_path: Path) -> None:
    """As with converters."""
    path = write(tmp_path, [entry("demo", "Own")], {"demo/a.py": OWN.format(name="Own")})
    (tmp_path / "extensions" / "demo" / "a.py").chmod(0o666)
    with pytest.raises(ConfigError) as caught:
        read_gateway(path, {})
    assert "which other users of this machine may change" in caught.value.problems[0]


def test_check_says_who_serves_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And imports the classes, each of which may fail."""
    files = {"demo/a.py": OWN.format(name="Own"), "bad/b.py": "import not_there_at_all\n" + OWN.format(name="Bad")}
    own = {**entry("demo", "Own"), "configuration": "own.json"}
    path = write(tmp_path, [own, entry("serial", name="Line")], files)
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "connector Line: read by serialgw" in said
    assert f"connector Own: hosted: class Own of file {tmp_path}/extensions/demo/a.py" in said
    path = write(tmp_path, [own, entry("bad", "Bad", name="Bad")], files)
    assert main(["check", "--json", str(path)]) == 78
    result = json.loads(capsys.readouterr().out)
    assert "connector Bad: class: " in result["problems"][0]
    assert "not_there_at_all is not installed" in result["problems"][0]
    assert [one["servedBy"] for one in result["connectors"]] == ["hosted", "hosted"]


def test_supervisord_has_a_word_for_any_name() -> None:
    """Connectors may be called as anything."""
    assert host_name("Board") == "connector_host-Board"
    assert not set(host_name("a: b/c,d;e %")) & set(":/,; %")
