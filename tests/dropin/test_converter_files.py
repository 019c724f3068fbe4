"""Converter files in the styles of both eras of the other gateway: each loads unmodified and gives the right values."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.compat import hook
from common.config.models import Device, Rpc
from common.core.errors import ConversionError
from common.wire.messages import UserReading
from services.cli.__main__ import main
from services.converter.shell.extensions import find_class, load_converter

CASES = Path(__file__).parent / "cases" / "converters"
DIRS = [str(CASES / "extensions")]
ROOT = Path(__file__).parents[2]
MS = 1719400000000
SECTION: dict[str, Any] = {
    "name": "press1",
    "type": "press",
    "deviceType": "press",
    "telemetry": [{"key": "a", "reportStrategy": {"type": "ON_CHANGE"}}, {"key": "b"}],
}
DEVICE = Device(name="press1", type="press", raw=SECTION)
LOGGER = logging.getLogger("tests.dropin")


def reading(device: str, device_type: str, telemetry: Any, attributes: Any = None) -> UserReading:
    written = [(ts, json.dumps(values, separators=(",", ":")).encode()) for ts, values in telemetry]
    return UserReading(
        device, device_type, written, json.dumps(attributes, separators=(",", ":")).encode() if attributes else b""
    )


STYLES: list[tuple[str, bytes, list[UserReading]]] = [
    (
        "GuideUplinkConverter",
        b"1.5,2\n",
        [
            reading("press1", "press", [(None, {"a": 1.5, "b": 2.0})], {"raw": "312e352c320a"}).replace(
                strategies=b'{"a":{"type":"ON_CHANGE","ttl":86400}}'
            )
        ],
    ),
    ("OneArgumentConverter", b"7;8", [reading("press1", "press", [(None, {"a": 7, "b": 8})], {"unit": "kg"})]),
    ("NoArgumentConverter", b"A17\n", [reading("press1", "press", [(MS, {"code": "A17"})])]),
    ("NoArgumentConverter", b"\n", []),
    (
        "DeviceConverter",
        b"3.5 4",
        [
            reading("attic", "room", [(MS, {"t": 3.5})]),
            reading("cellar", "press", [(MS + 1, {"t": 4.0})], {"unit": "C"}),
        ],
    ),
    ("InheritedConverter", b"9", [reading("gauge", "pressure", [(MS, {"p": 9.0, "raw": "9"})], {"unit": "bar"})]),
    ("ByConnectorsConverter", b"x", [reading("press1", "meter", [(None, {"V": 1.5})])]),
    ("BareConverter", b"\x01\x02", [reading("press1", "press", [(None, {"sum": 3, "same": True})])]),
    ("RelativeConverter", b"\x01\x02", [reading("press1", "press", [(None, {"sum": 3}), (None, {"sum": 7})])]),
    ("MixedConverter", b"\xaa\x05\x06\x00", [reading("radar", "radar", [(MS, {"distance": 5, "level": 6})])]),
    ("MixedConverter", b"\xaa\x05", []),
    (
        "UtilitiesConverter",
        b'{"id": "tank1", "tank": {"level": 12}}',
        [
            reading(
                "tank1",
                "press",
                [(None, {"level": 12, "other": "NoArgumentConverter", "none": True, "installed": True})],
            )
        ],
    ),
    (
        "LosslessConverter",
        b"x",
        [reading("press1", "default", [(5, {"n": 0}), (5, {"n": False, "m": ""})], {"zero": 0, "empty": ""})],
    ),
]
"""(class, frame, what goes out for it)."""


@pytest.mark.parametrize(("name", "frame", "readings"), STYLES)
def test_each_style_gives_its_values(name: str, frame: bytes, readings: list[UserReading]):
    """One, two and no constructor arguments; dict and ConvertedData; siblings in four ways beside a folder whose
    `__init__` raises."""
    assert load_converter(name, DEVICE, DIRS, LOGGER).convert_frame(frame) == readings


def test_an_answer_and_a_call_go_through_files_of_the_guide():
    """Uplink gives `{"result": value}` for an answer; downlink gets the call's section."""
    rpc = Rpc(method="set", type="float", raw={"method": "set", "type": "float"})
    assert load_converter("GuideUplinkConverter", DEVICE, DIRS, LOGGER).convert_answer(rpc, b"2.5") == 2.5
    downlink = load_converter("GuideDownlinkConverter", DEVICE, DIRS, LOGGER)
    assert downlink.encode_rpc(rpc, 1.0) == b"\x3f\x80\x00\x00"


def test_a_result_that_its_author_uses_again_is_taken_as_it_was():
    """What a frame gave does not change with the next one."""
    converter = load_converter("OneArgumentConverter", DEVICE, DIRS, LOGGER)
    first = converter.convert_frame(b"1;2")
    converter.convert_frame(b"3;4")
    assert first == [reading("press1", "press", [(None, {"a": 1, "b": 2})], {"unit": "kg"})]


def test_a_file_is_one_module_under_all_its_names():
    """So it runs once, and `isinstance` holds across the ways to import it."""
    found = find_class("DeviceConverter", DIRS)
    import thingsboard_gateway.connectors.serial.device_and_logger as by_connectors  # type: ignore[import-not-found]
    import thingsboard_gateway.extensions.serial.device_and_logger as by_extensions  # type: ignore[import-not-found]

    assert by_connectors is by_extensions
    assert by_connectors.DeviceConverter is found
    assert sys.modules[found.__module__] is by_connectors
    package = sys.modules["thingsboard_gateway.connectors.serial"]
    assert package is sys.modules["thingsboard_gateway.extensions.serial"]


def test_installing_again_changes_the_folders_alone(tmp_path: Path):
    """It stands once among the ways to find modules, and first."""
    hook.install(DIRS)
    hook.install(DIRS)
    assert [type(finder).__name__ for finder in sys.meta_path].count("_Finder") == 1
    assert type(sys.meta_path[0]).__name__ == "_Finder"
    hook.install([str(tmp_path)])
    assert hook.extension_dirs() == [str(tmp_path)]
    with pytest.raises(ModuleNotFoundError, match="the extension folders have no folder serial"):
        import thingsboard_gateway.extensions.serial.device_and_logger  # noqa: F401


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        (
            "from thingsboard_gateway.connectors.modbus.modbus_connector import ModbusConnector",
            "thingsboard_gateway.connectors.modbus is another connector of that gateway; serialgw has no such module",
        ),
        (
            "from thingsboard_gateway.connectors import opcua",
            "thingsboard_gateway.connectors.opcua is another connector of that gateway; serialgw has no such module",
        ),
        ("import thingsboard_gateway.storage", "thingsboard_gateway.storage: serialgw has no such module"),
        (
            "from thingsboard_gateway.gateway.constants import NOBODY",
            "thingsboard_gateway.gateway.constants: serialgw has no NOBODY there",
        ),
        (
            "from thingsboard_gateway.extensions.serial.nobody import x",
            "thingsboard_gateway.extensions.serial.nobody: the folder serial of the extension folders has no such file",
        ),
    ],
)
def test_what_is_not_offered_is_refused_by_name(tmp_path: Path, line: str, refusal: str):
    """With the file and its line, and where to read more; `check` says the same of a file that it does not run."""
    folder = tmp_path / "extensions" / "serial"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(f"{line}\nclass Mine:\n def convert(self, config, data): pass")
    said = f"{folder}/mine.py, line 1: {refusal} (see docs/compatibility.md#imports)"
    with pytest.raises(ConversionError) as caught:
        load_converter("Mine", DEVICE, [str(tmp_path / "extensions")], LOGGER)
    assert str(caught.value) == f"converter Mine: {said}"


def test_a_file_that_others_may_change_is_not_run_by_one_beside_it(tmp_path: Path):
    """Whoever imports it: it would run with the gateway's rights."""
    folder = tmp_path / "extensions" / "serial"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("from .tools import x\nclass Mine:\n def convert(self, config, data): pass")
    (folder / "tools.py").write_text("x = 1")
    (folder / "tools.py").chmod(0o666)
    with pytest.raises(
        ConversionError, match=r"mine.py, line 1: .*/tools.py: other users of this machine may change it"
    ):
        load_converter("Mine", DEVICE, [str(tmp_path / "extensions")], LOGGER)


def test_two_folders_may_have_files_of_one_name(tmp_path: Path):
    """The first one's is found by name; a class of the second one's is loaded all the same."""
    folders = [tmp_path / "a" / "extensions", tmp_path / "b" / "extensions"]
    for folder, name in zip(folders, ("First", "Second"), strict=True):
        (folder / "serial").mkdir(parents=True)
        (folder / "serial" / "same.py").write_text(f"class {name}:\n def convert(self, config, data): pass")
    (folders[1] / "serial" / "same.py").write_text("from .tools import Second")
    (folders[1] / "serial" / "tools.py").write_text("class Second:\n def convert(self, config, data): pass")
    dirs = [str(folder) for folder in folders]
    assert find_class("First", dirs).__module__ == "thingsboard_gateway.extensions.serial.same"
    assert find_class("Second", dirs).__module__ == "thingsboard_gateway.extensions.serial.tools"


LACKING = """
import typing
from thingsboard_gateway.tb_utility.tb_utility import TBUtility
from thingsboard_gateway.gateway import constants as names
from mine_too import x
try:
    from thingsboard_gateway.gateway.hot_reloader import HotReloader
except ImportError:
    HotReloader = None
if typing.TYPE_CHECKING:
    from thingsboard_gateway.gateway.tb_client import TBClient
open({mark!r}, "w")
class Mine:
    def __init__(self, config, logger):
        from thingsboard_gateway.storage.event_storage import EventStorage
        TBUtility.update_main_config_with_env_variables({{}})
    def convert(self, config, data):
        return {{names.TELEMETRY_PARAMETER: names.NOBODY}}
"""


def test_check_lists_what_is_not_offered_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Each name with file and line, once however many devices use the file, in those beside it too; not what somebody
    has caught, nor what is there for types alone."""
    folder, mark = tmp_path / "extensions" / "serial", tmp_path / "ran"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(LACKING.format(mark=str(mark)))
    (folder / "mine_too.py").write_text("from thingsboard_gateway.connectors.mqtt import mqtt_connector\nx = 1")
    (folder / "unused.py").write_text("import thingsboard_gateway.storage")
    devices = [{"name": name, "port": f"/dev/tty{name}", "converter": "Mine"} for name in ("S1", "S2")]
    path = tmp_path / "custom_serial.json"
    path.write_text(json.dumps({"name": "serial", "devices": devices}))
    assert main(["check", str(path), "--json"]) == 78
    problems = json.loads(capsys.readouterr().out)["problems"]
    place, package = f"{path}: device S1: converter: {folder}", "thingsboard_gateway"
    expected = [
        ("mine.py, line 15", ".storage.event_storage: serialgw has no such module"),
        (
            "mine.py, line 16",
            ".tb_utility.tb_utility.TBUtility: serialgw has no update_main_config_with_env_variables there",
        ),
        ("mine.py, line 18", ".gateway.constants: serialgw has no NOBODY there"),
        ("mine_too.py, line 1", ".connectors.mqtt is another connector of that gateway; serialgw has no such module"),
    ]
    see = "(see docs/compatibility.md#imports)"
    assert problems == [f"{place}/{where}: {package}{why} {see}" for where, why in expected]
    assert not mark.exists()


def test_check_accepts_all_of_these_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Read and loaded, as the gateway does it."""
    names = sorted({name for name, _, _ in STYLES})
    devices = [{**SECTION, "name": name, "port": f"/dev/tty{name}", "converter": name} for name in names]
    path = tmp_path / "custom_serial.json"
    path.write_text(json.dumps({"name": "serial", "devices": devices}))
    (tmp_path / "extensions").symlink_to(CASES / "extensions")
    assert (main(["check", str(path), "--json"]), json.loads(capsys.readouterr().out)["problems"]) == (0, [])


REAL = """
import sys
from pathlib import Path
import logging
from common.config.models import Device
from services.converter.shell.extensions import load_converter
found = load_converter("GuideDownlinkConverter", Device(name="d", raw={}), [sys.argv[1]], logging.getLogger("x"))
print(sys.modules["thingsboard_gateway"].__name__, getattr(sys.modules["thingsboard_gateway"], "IS_REAL", False))
"""


@pytest.mark.parametrize(("wanted", "printed"), [("", "thingsboard_gateway False"), ("1", "thingsboard_gateway True")])
def test_the_real_package_is_used_only_where_somebody_asks_for_it(tmp_path: Path, wanted: str, printed: str):
    """One behaviour everywhere, whether or not the package is installed."""
    for place in ("", "connectors"):
        (tmp_path / "thingsboard_gateway" / place).mkdir()
        (tmp_path / "thingsboard_gateway" / place / "__init__.py").write_text("IS_REAL = True")
    (tmp_path / "thingsboard_gateway" / "connectors" / "converter.py").write_text("class Converter: pass")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "SERIALGW_REAL_THINGSBOARD_GATEWAY": wanted}
    command = [sys.executable, "-c", REAL, DIRS[0]]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.strip(), ran.stderr) == (printed, "")
