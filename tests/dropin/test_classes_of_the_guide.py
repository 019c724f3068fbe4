"""Copies of the classes that the other gateway's guide has, beside the configuration: unchanged ones do what ours do,
changed ones are their author's, and run."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from common.config import class_forms, connector_files, extension_files
from common.config.class_forms import form_of
from common.config.connector_files import find_connector
from common.config.reading import read_gateway
from services.cli.__main__ import main

UPLINK = """
class SerialUplinkConverter:
    def __init__(self, config, logger):
        self.config = config

    def convert(self, config, data):
        return {"deviceName": self.config["name"], "deviceType": "default", "telemetry": [{"mine": len(data)}]}
"""
DOWNLINK = """
class SerialDownlinkConverter:
    def __init__(self, config, logger):
        self.config = config

    def convert(self, config, data):
        return b"mine"
"""
CONNECTOR = """
class SerialDevice:
    def run(self):
        return 1


class SerialConnector:
    def open(self):
        return SerialDevice().run()
"""


def write(folder: Path, files: dict[str, str], **device: Any) -> Path:
    """A connector's file with a device, and files below `extensions`."""
    for name, source in files.items():
        path = folder / "extensions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    section = {"name": "press", "port": "/dev/ttyUSB0", "telemetry": [{"type": "string", "key": "text"}], **device}
    (folder / "custom_serial.json").write_text(json.dumps({"name": "Line", "devices": [section]}))
    return folder / "custom_serial.json"


def publish(monkeypatch: pytest.MonkeyPatch, *sources: str) -> None:
    """As if the other gateway had been published with these classes."""
    forms = frozenset(
        form_of(node) for source in sources for node in ast.parse(source).body if isinstance(node, ast.ClassDef)
    )
    monkeypatch.setattr(extension_files, "SHIPPED_CONVERTERS", forms)
    monkeypatch.setattr(connector_files, "SHIPPED", forms)


def test_a_changed_converter_runs_though_it_is_called_as_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has changed the guide's class for a device gets the values that it gives, and `check` says which runs."""
    files = {"serial/custom_serial_uplink_converter.py": UPLINK, "serial/custom_serial_downlink_converter.py": DOWNLINK}
    rpc = {"method": "set"}
    path = write(tmp_path, files, downlink_converter="SerialDownlinkConverter", serverSideRpc=[rpc])
    [device] = read_gateway(path, {}).gateway.devices
    assert (device.has_user_uplink, device.has_user_downlink) == (True, True)
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "converter  extensions:SerialUplinkConverter, downlink extensions:SerialDownlinkConverter" in said
    assert main(["try", str(path), "press", "--text", "abc\n"]) == 0
    assert 'telemetry  {"mine":4}' in capsys.readouterr().out
    assert main(["try", str(path), "press", "--rpc", "set", "--params", "5"]) == 0
    assert "'mine'" in capsys.readouterr().out


def test_an_unchanged_converter_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its comments and docstrings may differ; nothing of it runs."""
    publish(monkeypatch, UPLINK)
    path = write(tmp_path, {"serial/copied.py": UPLINK.replace("def convert", "# copied\n    def convert")})
    assert main(["try", str(path), "press", "--text", "abc\n"]) == 0
    assert "text  string  [0:4]" in capsys.readouterr().out


def test_the_first_file_that_has_the_class_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed one behind an unchanged one is never found by name; one that only imports it has none."""
    publish(monkeypatch, UPLINK)
    changed = UPLINK.replace("len(data)", "0")
    files = {"serial/a.py": "from .b import SerialUplinkConverter", "serial/b.py": UPLINK, "serial/c.py": changed}
    assert not read_gateway(write(tmp_path, files), {}).gateway.devices[0].has_user_uplink
    (tmp_path / "extensions" / "serial" / "b.py").unlink()
    assert read_gateway(tmp_path / "custom_serial.json", {}).gateway.devices[0].has_user_uplink


def test_a_changed_converter_that_others_may_change_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every file of a user's: it would run with the gateway's rights."""
    path = write(tmp_path, {"serial/mine.py": UPLINK})
    (tmp_path / "extensions" / "serial" / "mine.py").chmod(0o666)
    assert main(["check", str(path)]) == 78
    assert '"SerialUplinkConverter" in extensions/serial/mine.py, which other users' in capsys.readouterr().out


def test_a_changed_converter_that_python_can_t_read_is_warned_of(tmp_path: Path) -> None:
    """Ours serves the device meanwhile, so nothing else would say that the values are not the author's."""
    path = write(tmp_path, {"serial/mine.py": UPLINK.replace("len(data)", "len(data")})
    [warning] = [one for one in read_gateway(path, {}).warnings if "extensions" in one]
    assert "mine.py can't be read (line 7, column " in warning


def test_converters_beside_a_custom_connector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has configured the other gateway by its dashboard has them in `extensions/custom`."""
    mine = UPLINK.replace("SerialUplinkConverter", "MyConverter")
    path = write(tmp_path, {"custom/mine.py": f"from .more import size\n{mine}", "custom/more.py": "size = len"})
    path.write_text(path.read_text().replace('"telemetry"', '"converter": "MyConverter", "telemetry"'))
    assert main(["check", str(path)]) == 0
    capsys.readouterr()
    assert main(["try", str(path), "press", "--text", "abc\n"]) == 0
    assert 'telemetry  {"mine":4}' in capsys.readouterr().out


def test_a_connector_with_a_changed_class_beside_it_is_hosted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's connector reads its ports in another class of the same file."""
    publish(monkeypatch, CONNECTOR)
    folders = (str(tmp_path / "extensions"),)
    for changed, is_shipped in ((CONNECTOR, True), (CONNECTOR.replace("return 1", "return 2"), False)):
        write(tmp_path, {"serial/custom_serial_connector.py": changed + UPLINK})
        found = find_connector("serial", "SerialConnector", folders).found
        assert found is not None
        assert found.is_shipped is is_shipped


def test_forms_are_digests() -> None:
    """Sixteen hexadecimal digits each."""
    for form in class_forms.SHIPPED | class_forms.SHIPPED_CONVERTERS:
        assert len(bytes.fromhex(form)) == 8
