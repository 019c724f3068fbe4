"""Where ThingsBoard's own package is installed for the same Python: ours answers first, and nothing of its is run.

`make dropin` runs this, with the tests of converters and connectors, in an environment that has the package; so the
name of this file is none that a plain run of the tests collects.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.compat.offered import OFFERED, PACKAGE, REAL_VARIABLE
from common.config.connector_files import find_connector
from common.config.extension_files import read_catalogue
from common.config.names import BUILTIN_DOWNLINK, BUILTIN_UPLINK
from services.cli.__main__ import main
from tests.dropin.test_converter_files import CASES, STYLES

ROOT = Path(__file__).parents[2]
CONNECTORS = Path(__file__).parent / "cases" / "connectors" / "extensions"
CLASSES = {
    "demo": "DemoConnector",
    "gpio": "GpioConnector",
    "climate": "ClimateConnector",
    "industrial": "IndustrialConnector",
    "text": "TextConnector",
    "asking": "AskingConnector",
}
REAL = Path(str(importlib.metadata.distribution("thingsboard-gateway").locate_file(PACKAGE)))
LOADED = "[name for name, m in sys.modules.items() if str(getattr(m, '__file__', '')).startswith(REAL)]"
"""What a process has run of the package's files."""


def run(source: str, *arguments: str, **environ: str) -> Any:
    """What a Python program prints, as JSON; `REAL` is the package's folder in it."""
    program = f"import json, sys\nREAL = {str(REAL)!r}\n{source}"
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_package_is_there_for_who_has_no_hook() -> None:
    """Without it all else here would say nothing."""
    source = f"import thingsboard_gateway.gateway.constants\nprint(json.dumps({LOADED}))"
    assert f"{PACKAGE}.gateway.constants" in run(source)


def test_each_module_that_is_offered_is_ours() -> None:
    """All of them, with the classes that our own code has under another name."""
    source = f"""
import importlib
from common.compat import hook
from common.converters import ConvertedData
hook.install([])
for name in {sorted(OFFERED)!r}:
    importlib.import_module(name)
from thingsboard_gateway.gateway.entities.converted_data import ConvertedData as offered
print(json.dumps([{LOADED}, offered is ConvertedData]))
"""
    assert run(source) == [[], True]


def test_what_only_the_package_has_is_refused() -> None:
    """Its other connectors and its storage, though their files are there."""
    source = """
import importlib
from common.compat import hook
hook.install([])
said = []
for name in ("connectors.modbus", "storage", "gateway.tb_client", "extensions.serial.custom_serial_uplink_converter"):
    try:
        importlib.import_module("thingsboard_gateway." + name)
        said.append(name + " was found")
    except ModuleNotFoundError as error:
        said.append("docs/compatibility.md#imports" in str(error))
print(json.dumps(said))
"""
    assert (REAL / "connectors" / "modbus").is_dir()
    assert run(source) == [True] * 4


def test_no_converter_and_no_connector_runs_a_file_of_the_package() -> None:
    """Each class of the examples, found and imported as a host does it."""
    source = f"""
from common.compat.classes import find_in_folders
from common.compat.hook import install
from services.converter.shell.extensions import find_class
names, folder, connectors, more = json.loads(sys.argv[1])
found = [find_class(name, [folder]).__name__ for name in names]
install([more])
found += [find_in_folders(name, [more], kind).__name__ for kind, name in connectors.items()]
print(json.dumps([found, {LOADED}]))
"""
    names = sorted({name for name, *_ in STYLES})
    asked = json.dumps([names, str(CASES / "extensions"), CLASSES, str(CONNECTORS)])
    assert run(source, asked) == [[*names, *CLASSES.values()], []]


@pytest.mark.parametrize(("wanted", "loaded"), [("1", [f"{PACKAGE}.gateway.constants"]), ("", [])])
def test_who_asks_for_the_package_gets_it(tmp_path: Path, wanted: str, loaded: list[str]) -> None:
    """By the variable. The file imports a module that needs none of the packages that the whole one needs."""
    (tmp_path / "serial").mkdir()
    (tmp_path / "serial" / "mine.py").write_text(
        "from thingsboard_gateway.gateway.constants import TELEMETRY_PARAMETER\n"
        "class Mine:\n    def convert(self, config, data): ...\n"
    )
    source = f"""
from services.converter.shell.extensions import find_class
find_class("Mine", [sys.argv[1]])
print(json.dumps([name for name in {LOADED} if name.endswith("constants")]))
"""
    assert run(source, str(tmp_path), **{REAL_VARIABLE: wanted}) == loaded


def test_its_own_serial_classes_are_known_by_their_form() -> None:
    """So what the guide's reader has copied is read by our port readers, and by our converters."""
    folders = [str(REAL / "extensions")]
    found = find_connector("serial", "SerialConnector", folders).found
    assert found is not None
    assert found.is_shipped
    catalogue = read_catalogue(folders)
    assert {BUILTIN_UPLINK, BUILTIN_DOWNLINK} <= set(catalogue.classes)
    assert catalogue.changed == frozenset()


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A folder as the package's installation has it, with the guide's entry in the main file."""
    shutil.copytree(REAL / "extensions", tmp_path / "extensions")
    for name in ("custom_serial.json", "logs.json", "list.json"):
        shutil.copy(REAL / "config" / name, tmp_path / name)
    whole = json.loads((REAL / "config" / "tb_gateway.json").read_text())
    whole["thingsboard"] |= {"host": "localhost", "security": {"type": "accessToken", "accessToken": "t0k3n"}}
    entry = {"name": "Serial Connector", "type": "serial", "configuration": "custom_serial.json"}
    whole["connectors"] = [{**entry, "class": "SerialConnector"}]
    (tmp_path / "tb_gateway.json").write_text(json.dumps(whole))
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return tmp_path


def test_what_it_ships_is_taken_as_it_is(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Main file, connector file, `logs.json` and classes."""
    assert main(["check", str(shipped / "tb_gateway.json")]) == 0
    said = capsys.readouterr().out
    assert "connector Serial Connector: read by serialgw" in said
    assert "converter  SerialUplinkConverter, downlink SerialDownlinkConverter" in said


def test_its_converters_run_as_anybody_s_where_they_are_changed(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They load through our imports, and give the guide's frame the values that they give there; so does a changed
    connector's class, which is hosted."""
    folder = shipped / "extensions" / "serial"
    for path, before, after in (
        (folder / "custom_serial_uplink_converter.py", '"Data to convert: %s"', '"Frame: %s"'),
        (folder / "custom_serial_downlink_converter.py", '"Data to convert: %s"', '"Params: %s"'),
        (folder / "custom_serial_connector.py", "self.daemon = True", "self.daemon = not False"),
    ):
        source = path.read_text()
        assert before in source
        path.write_text(source.replace(before, after))
    own = json.loads((shipped / "custom_serial.json").read_text())
    (shipped / "alone.json").write_text(json.dumps({**own, "name": "Alone"}))
    assert main(["check", str(shipped / "tb_gateway.json")]) == 0
    assert "hosted: class SerialConnector" in capsys.readouterr().out
    assert main(["check", str(shipped / "alone.json")]) == 0
    assert "converter  extensions:SerialUplinkConverter" in capsys.readouterr().out
    assert main(["try", str(shipped / "alone.json"), "SerialDevice1", "--text", "48\\r2430947595\\n"]) == 0
    said = capsys.readouterr().out
    assert '{"humidity":48.0}' in said
    assert '{"SerialNumber":"430947595"}' in said
    assert main(["try", str(shipped / "alone.json"), "SerialDevice1", "--rpc", "setValue", "--params", "258"]) == 0
    assert "0102" in capsys.readouterr().out
