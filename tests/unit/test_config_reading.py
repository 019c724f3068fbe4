"""What a configuration that can be used becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.models import DataPoint, Gateway, Security, Storage, device_of, section_of
from common.config.reading import read_gateway
from common.core.errors import ConfigError
from services.cli.slices import describe_slice
from tests.support.config_cases import prepare

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
DEVICE = {"name": "Press1", "port": "/dev/ttyUSB0"}


def read(
    folder: Path, main: dict[str, Any], *, environ: dict[str, str] | None = None, with_secrets: bool = False
) -> Gateway:
    """Reads `main` with one serial connector beside it."""
    connectors = [{"name": "Serial", "type": "serial", "configuration": "custom_serial.json"}]
    (folder / "tb_gateway.json").write_text(json.dumps({"connectors": connectors, **main}))
    (folder / "custom_serial.json").write_text(json.dumps({"name": "Serial", "devices": [DEVICE]}))
    return read_gateway(folder / "tb_gateway.json", environ or {}, with_secrets=with_secrets).gateway


def test_shipped_example_is_clean():
    """With a token the example that is shipped loads without a warning, whole and as the connector file alone."""
    for name in ("tb_gateway.json", "custom_serial.json"):
        gateway, warnings = read_gateway(EXAMPLE / name, {"TB_GW_ACCESS_TOKEN": "t"})
        assert warnings == []
        assert [device.name for device in gateway.devices] == ["SerialDevice1"]
        assert [rpc.with_response for rpc in gateway.devices[0].rpcs] == [False, True]


def test_example_page_in_both_forms_gives_the_same_device(tmp_path: Path):
    """A serial connector file alone gives the device that the main file gives with it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    alone = read_gateway(*prepare("good", "example_alone", tmp_path / "a")).gateway
    both = read_gateway(*prepare("good", "example_both", tmp_path / "b")).gateway
    assert alone.devices == both.devices
    assert (alone.platform.host, alone.platform.port) == ("localhost", 1883)
    device = alone.devices[0]
    assert device.telemetry == (DataPoint(key="humidity", type="float", until_delimiter="\r"),)
    assert device.attributes == (DataPoint(key="SerialNumber", type="string", from_byte=3, to_byte=-1),)
    assert device.attribute_updates[0].string_to_device == "value = ${attr1}\n"
    assert device.raw["telemetry"][0]["untilDelimiter"] == "\r"
    assert (device.framing.delimiter, device.line.baudrate, device.line.exclusive) == (b"\n", 9600, True)
    assert device_of(section_of(device)) == device


def test_older_spellings(tmp_path: Path):
    """deviceName, deviceType, uplink_converter, timeseries and attributeOnThingsBoard mean what they meant."""
    device = read_gateway(*prepare("good", "older_spellings", tmp_path)).gateway.devices[0]
    assert (device.name, device.type, device.line.baudrate) == ("Press1", "press", 9600)
    assert [point.key for point in device.telemetry] == ["t"]
    assert device.attribute_updates[0].attribute == "a"


def test_users_converters_are_taken_without_importing_them(tmp_path: Path):
    """A class in extensions/serial and package.module:Class are both taken; the section goes to them as it stands."""
    gateway = read_gateway(*prepare("good", "users_converters", tmp_path)).gateway
    device = gateway.devices[0]
    assert (device.converter, device.downlink_converter) == ("PressConverter", "json.decoder:JSONDecoder")
    assert device.has_user_converter
    assert device.raw["pressSetting"] == 5
    assert gateway.extension_dirs[0] == str(tmp_path.resolve() / "extensions")


def test_null_timeouts_wait_as_pyserial_does(tmp_path: Path):
    """null for a time-out means no limit, null elsewhere where it is allowed means not given."""
    device = read_gateway(*prepare("good", "nulls", tmp_path)).gateway.devices[0]
    assert (device.framing.timeout_s, device.line.write_timeout_s, device.line.exclusive) == (86_400.0, None, True)
    assert device.telemetry == (DataPoint(key="a"),)


@pytest.mark.parametrize(
    ("security", "environ", "expected"),
    [
        ({"accessToken": "s"}, {}, Security(type="accessToken", access_token="s")),
        ({"accessToken": 5}, {}, Security(type="accessToken", access_token="5")),
        ({}, {}, Security()),
        ({}, {"TB_GW_ACCESS_TOKEN": "e"}, Security(type="accessToken", access_token="e")),
        ({"accessToken": "s"}, {"TB_GW_ACCESS_TOKEN": "e"}, Security(type="accessToken", access_token="e")),
        (
            {"type": "accessToken", "accessToken": "s"},
            {"TB_GW_USERNAME": "u", "TB_GW_PASSWORD": "p"},
            Security(type="usernamePassword", access_token="s", username="u", password="p"),
        ),
        (
            {"type": "usernamePassword", "username": "u", "password": "p", "clientId": "c"},
            {"TB_GW_PASSWORD": ""},
            Security(type="usernamePassword", username="u", password="p", client_id="c"),
        ),
    ],
)
def test_security_of_file_and_environment(
    security: dict[str, Any], environ: dict[str, str], expected: Security, tmp_path: Path
):
    """The environment wins over the file; without a type the credentials that are there say it."""
    main = {"thingsboard": {"host": "h", "security": security}}
    assert read(tmp_path, main, environ=environ, with_secrets=True).platform.security == expected


def test_only_who_asks_gets_secrets(tmp_path: Path):
    """Without with_secrets no credential is in what is returned, wherever it came from."""
    main = {"thingsboard": {"security": {"type": "usernamePassword", "username": "s3cret", "clientId": "s3cret"}}}
    gateway = read(tmp_path, main, environ={"TB_GW_PASSWORD": "s3cret"})
    assert gateway.platform.security == Security(type="usernamePassword")
    assert "s3cret" not in repr(gateway)


def test_environment_names_the_platform(tmp_path: Path):
    """TB_GW_HOST and TB_GW_PORT win over the file."""
    main = {"thingsboard": {"host": "file", "port": 1}}
    platform = read(tmp_path, main, environ={"TB_GW_HOST": "env", "TB_GW_PORT": "8883"}).platform
    assert (platform.host, platform.port) == ("env", 8883)


def test_ca_file_beside_the_main_file(tmp_path: Path):
    """caCert is looked for beside the main file and switches TLS on; the path returned is absolute."""
    (tmp_path / "ca.pem").write_text("certificate")
    security = read(tmp_path, {"thingsboard": {"security": {"accessToken": "s", "caCert": "ca.pem"}}}).platform.security
    assert security.ca_cert == str(tmp_path / "ca.pem")
    assert security.uses_tls


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ({}, Storage()),
        ({"type": "memory", "max_records_count": 7, "data_file_path": "x.db"}, Storage(type="memory", max_records=7)),
        (
            {"type": "file", "data_folder_path": "./data", "max_records_per_file": 5, "max_file_count": 4},
            Storage(type="file", data_dir="{}/data", max_records=20),
        ),
        (
            {"type": "sqlite", "data_file_path": "./data/data.db", "messages_ttl_in_days": 2, "size_limit": 3},
            Storage(data_dir="{}/data", ttl_s=172_800, max_bytes=30 * 1024 * 1024),
        ),
        ({"type": "sqlite", "data_file_path": "/var/gw"}, Storage(data_dir="/var/gw")),
    ],
)
def test_storage_limits(storage: dict[str, Any], expected: Storage, tmp_path: Path):
    """Each storage type takes its own keys; relative paths are the main file's neighbours."""
    found = read(tmp_path, {"storage": storage}).storage
    assert repr(found) == repr(expected).replace("{}", str(tmp_path))


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (DataPoint(key="k"), "frame"),
        (DataPoint(key="k", from_byte=0), "frame[0:]"),
        (DataPoint(key="k", until_delimiter=";"), 'frame[:find(";")]'),
        (DataPoint(key="k", from_delimiter="H=", from_byte=3), 'frame[find("H=")+2:]'),
        (DataPoint(key="k", from_delimiter="H=", keep_delimiter=True), 'frame[find("H="):]'),
        (DataPoint(key="k", from_delimiter="H=", until_delimiter=";"), 'frame[find("H=")+2:find(";", find("H=")+2)]'),
    ],
)
def test_slices_as_text(point: DataPoint, expected: str):
    """The text that check prints says which bytes are taken, in Python's notation."""
    assert describe_slice(point) == expected


def test_unreadable_and_odd_paths_are_problems(tmp_path: Path):
    """A pipe, a loop of links or a name with NUL is a problem like any other, and nothing hangs."""
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    for path in ("/dev/null", tmp_path / "loop.json", "a\0b.json", ""):
        with pytest.raises(ConfigError):
            read_gateway(path, {})


def test_a_key_in_the_place_of_its_file_is_not_shown(tmp_path: Path):
    """What is wrong with a configuration everybody is told who may look."""
    main = tmp_path / "tb_gateway.json"
    key = "-----BEGIN PRIVATE KEY-----\\ns3cret\\n-----END PRIVATE KEY-----"
    security = f'{{"type": "tlsPrivateKey", "privateKey": "{key}"}}'
    main.write_text(f'{{"thingsboard": {{"host": "h", "security": {security}}}, "connectors": []}}')
    with pytest.raises(ConfigError) as caught:
        read_gateway(main, {})
    (problem,) = [one for one in caught.value.problems if "privateKey" in one]
    assert "found a key itself (" in problem
    assert "s3cret" not in problem
