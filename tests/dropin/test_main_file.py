"""What the main file, its environment and the files beside it say, as the gateway understands it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.config.active import find_gateway, make_active, secrets_of, write_active
from common.config.models import Provisioning, Statistics
from common.config.reading import Loaded, read_gateway
from common.config.secrets import without_secrets
from common.core.errors import ConfigError
from common.io.endpoints import socket_dir
from services.cli.supervise.conf import Plan, programs_of, reader_name, task_path
from services.cli.supervise.prepare import write_files

KEY, SECRET = "k3y-of-the-profile", "s3cret-of-the-profile"
ASKED = {"provisionDeviceKey": KEY, "provisionDeviceSecret": SECRET}
VARIABLES = {"TB_GW_PROVISIONING_DEVICE_KEY": KEY, "TB_GW_PROVISIONING_DEVICE_SECRET": SECRET}


def write(folder: Path, files: dict[str, Any] | None = None, **thingsboard: Any) -> Path:
    main = {"thingsboard": thingsboard, "connectors": [{"name": "x", "type": "serial", "configuration": "c.json"}]}
    everything = {"tb_gateway.json": main, "c.json": {"name": "x", "devices": [{"name": "a"}]}, **(files or {})}
    for name, content in everything.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "tb_gateway.json"


def read(
    folder: Path, environ: dict[str, str] | None = None, files: dict[str, Any] | None = None, **thingsboard: Any
) -> Loaded:
    return read_gateway(write(folder, files, **thingsboard), environ or {}, with_secrets=True)


def problems(folder: Path, files: dict[str, Any] | None = None, **thingsboard: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(folder, None, files, **thingsboard)
    return refused.value.problems


# Provisioning.


def test_provisioning_is_read(tmp_path: Path) -> None:
    """In the reference's spelling of its keys, type in any case of letters."""
    asked = {"type": "mqtt_basic", "deviceName": "GW", "username": "u", "password": "p", "client_id": "c", **ASKED}
    found = read(tmp_path, provisioning=asked).gateway.platform
    assert found.provisioning == Provisioning(
        type="MQTT_BASIC", device_name="GW", key=KEY, secret=SECRET, username="u", password="p", client_id="c"
    )
    assert found.security.type == "none"


def test_the_environment_asks_for_provisioning_before_any_credentials(tmp_path: Path) -> None:
    """As there: key and secret together replace what the file says of who the gateway is."""
    (tmp_path / "ca.pem").touch()
    environ = {**VARIABLES, "TB_GW_PROVISIONING_DEVICE_CA_CERT_FILENAME": "ca.pem"}
    found = read(tmp_path, environ, security={"accessToken": "other"}).gateway.platform
    assert found.provisioning == Provisioning(type="X509_CERTIFICATE", key=KEY, secret=SECRET)
    assert (found.security.access_token, found.security.ca_cert) == (None, str(tmp_path / "ca.pem"))
    token = {**VARIABLES, "TB_GW_PROVISIONING_DEVICE_ACCESS_TOKEN": "wish"}
    provisioning = read(tmp_path, token).gateway.platform.provisioning
    assert provisioning is not None
    assert (provisioning.type, provisioning.access_token) == ("ACCESS_TOKEN", "wish")


def test_credentials_go_before_provisioning(tmp_path: Path) -> None:
    """In one file; that is said."""
    loaded = read(tmp_path, security={"accessToken": "t"}, provisioning=ASKED)
    assert loaded.gateway.platform.provisioning is None
    assert any('provisioning: has no effect: "security" has credentials already' in one for one in loaded.warnings)


def test_what_provisioning_lacks_is_said_without_a_secret(tmp_path: Path) -> None:
    """Each key by name, no value."""
    found = problems(tmp_path, provisioning={"type": SECRET, "provisionDeviceKey": KEY})
    assert [one.split(": found ")[0] for one in found] == [
        "tb_gateway.json: thingsboard.provisioning.type",
        "tb_gateway.json: thingsboard.provisioning.provisionDeviceSecret",
    ]
    assert KEY not in str(found)
    assert SECRET not in str(found)


def test_only_the_publisher_has_the_secrets_of_provisioning(tmp_path: Path) -> None:
    """The snapshot names them; the publisher has them from the environment, or from a file of their own."""
    main = write(tmp_path, provisioning={**ASKED, "access_token": "wish"})
    gateway = read_gateway(main, {}, with_secrets=True).gateway
    for shown in (read_gateway(main, {}).gateway, make_active(gateway), without_secrets(gateway.platform)):
        assert not any(secret in repr(shown) for secret in (KEY, SECRET, "wish"))
    active = tmp_path / "active.json"
    write_active(active, make_active(gateway))
    assert not any(secret in active.read_text() for secret in (KEY, SECRET, "wish"))
    environ = secrets_of(gateway.platform, {})
    main.unlink()
    found = find_gateway(main, active, tmp_path, "publisher", environ, with_secrets=True).gateway
    assert found.platform == gateway.platform
    (tmp_path / "secret").write_text(SECRET)
    filed = {**environ, "TB_GW_PROVISIONING_DEVICE_SECRET_FILE": "secret"}
    del filed["TB_GW_PROVISIONING_DEVICE_SECRET"]
    found = find_gateway(main, active, tmp_path, "publisher", filed, with_secrets=True).gateway
    assert found.platform == gateway.platform


# Filtering, activity, statistics.


def test_the_list_of_devices_is_read(tmp_path: Path) -> None:
    """The file that ThingsBoard's gateway ships."""
    shipped = Path(__file__).parent / "cases" / "list.json"
    found = read(tmp_path, files={"list.json": shipped.read_text()}, deviceFiltering=FILTERING).gateway.platform
    assert found.filtering is not None
    assert found.filtering.deny["Modbus Connector"] == ("My Modbus Device",)
    assert found.filtering.allow == {"MQTT Broker Connector": ("My Temperature Sensor",)}


FILTERING = {"enable": True, "filterFile": "list.json"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "list.json: line 1"),
        ("[]", "list.json: top level: found an empty list, expected an object"),
        ({"deny": {"x": "a"}}, 'list.json: deny.x: found "a", expected a list of device names'),
        ({"deny": {"x": ["a", "(b"]}}, 'list.json: deny.x[1]: found "(b" ('),
        ({"deny": {"x": [5]}}, "list.json: deny.x[0]: found 5, expected a device's name"),
        (None, "list.json: file: found nothing at this path"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    """With its place."""
    files = {} if content is None else {"list.json": content}
    (problem,) = problems(tmp_path, files, deviceFiltering=FILTERING)
    assert problem.startswith(said)


def test_a_list_that_is_switched_off_is_not_opened(tmp_path: Path) -> None:
    """The reference's own main file names one that many do not have."""
    assert (
        read(tmp_path, deviceFiltering={"enable": False, "filterFile": "none.json"}).gateway.platform.filtering is None
    )
    loaded = read(tmp_path, deviceFiltering={"enable": True})
    assert loaded.gateway.platform.filtering is None
    assert any("filterFile: not given: no device is left out" in one for one in loaded.warnings)


def test_activity_and_statistics_have_the_references_defaults(tmp_path: Path) -> None:
    """Silence is looked for if that is asked for; statistics are sent unless they are switched off."""
    found = read(tmp_path, checkingDeviceActivity={"checkDeviceInactivity": True}).gateway.platform
    assert (found.inactivity_timeout_s, found.inactivity_period_s) == (50, 1)
    found = read(tmp_path, checkingDeviceActivity={"inactivityTimeoutSeconds": 5}).gateway.platform
    assert found.inactivity_timeout_s is None
    assert found.statistics == Statistics(period_s=60)
    assert read(tmp_path, statistics={"enable": False}).gateway.platform.statistics is None
    loaded = read(tmp_path, statistics={"statsSendPeriodInSeconds": 1, "configuration": "statistics.json"})
    assert loaded.gateway.platform.statistics == Statistics(period_s=10)
    assert any("the gateway runs no commands" in one for one in loaded.warnings)
    assert any("1 is raised to 10" in one for one in loaded.warnings)


# How much is logged.


def levels(folder: Path, content: Any) -> tuple[dict[str, str], list[str]]:
    loaded = read(folder, files={"logs.json": content})
    return loaded.gateway.log_levels, [one for one in loaded.warnings if one.startswith("logs.json")]


def test_levels_are_taken_from_logs_json(tmp_path: Path) -> None:
    """By name or by number, in the places where the reference has its loggers."""
    shipped = json.loads((Path(__file__).parent / "cases" / "logs.json").read_text())
    everything = ("broker", "monitor", "publisher", "port_reader", "connector_host", "converter")
    assert levels(tmp_path, shipped) == (dict.fromkeys(everything, "INFO"), [])
    shipped["loggers"]["tb_connection"]["level"] = 10
    shipped["loggers"]["converter"]["level"] = "trace"
    found, said = levels(tmp_path, shipped)
    assert (found["publisher"], found["converter"], found["port_reader"], said) == ("DEBUG", "TRACE", "INFO", [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "the levels in it have no effect"),
        ({"loggers": {"service": {"level": "LOUD"}}}, 'logs.json: loggers.service.level: "LOUD" is no level'),
        ({"loggers": {"service": {"level": None}}}, "logs.json: loggers.service.level: null is no level"),
    ],
)
def test_a_logs_json_that_is_wrong_stops_nothing(tmp_path: Path, content: Any, said: str) -> None:
    """It is said: no reading depends on it."""
    found, (warning,) = levels(tmp_path, content)
    assert found == {}
    assert said in warning


def test_each_process_logs_as_much_as_its_logger_there(tmp_path: Path) -> None:
    """The level is on its command line; a level that is given to `serialgw run` counts for all."""
    plan = Plan(tmp_path / "f", tmp_path, tmp_path, ("a",), 1, "python", 0, log_levels={"publisher": "DEBUG"})
    found = {
        program.name: program.arguments[program.arguments.index("--log-level") + 1] for program in programs_of(plan)
    }
    assert found == {
        "monitor": "INFO",
        "broker": "INFO",
        "publisher": "DEBUG",
        "converter-0": "INFO",
        "port_reader-a": "INFO",
        "configurator": "INFO",
        "reloader": "INFO",
    }


def test_tasks_say_the_level_too(tmp_path: Path) -> None:
    """A port reader that starts from its task goes by that, and not by its command line."""
    active = make_active(read(tmp_path).gateway)
    device = active.gateway.devices[0].name
    data_dir = tmp_path / "data"
    plan = Plan(tmp_path / "f", data_dir, socket_dir(data_dir), (device,), 1, "python", 0)
    plan = plan._replace(log_levels={"port_reader": "DEBUG"})
    write_files(plan, active)
    written = msgspec.json.decode(task_path(plan, reader_name(device)).read_bytes())
    assert written["log_level"] == "DEBUG"


def test_a_folder_for_log_files_has_no_effect(tmp_path: Path) -> None:
    """There are no log files; that is said."""
    loaded = read(tmp_path, {"TB_GW_LOGS_PATH": "/var/log/tb"})
    assert any("TB_GW_LOGS_PATH: has no effect: the log goes to standard error" in one for one in loaded.warnings)


# What has no effect.


@pytest.mark.parametrize(
    ("thingsboard", "environ", "place"),
    [
        ({"proxy_host": "p", "proxy_port": 3128}, {}, "tb_gateway.json: thingsboard.proxy_host"),
        ({}, {"TB_GW_PROXY_HOST": "p", "TB_GW_PROXY_PORT": "3128"}, "environment: TB_GW_PROXY_HOST"),
        ({"keep_alive": 20}, {}, "tb_gateway.json: thingsboard.keep_alive"),
        (
            {"syncDevicesSharedAttributesOnConnect": False},
            {},
            "tb_gateway.json: thingsboard.syncDevicesSharedAttributesOnConnect",
        ),
    ],
)
def test_what_changes_nothing_here_is_said(
    tmp_path: Path, thingsboard: dict[str, Any], environ: dict[str, str], place: str
) -> None:
    """Once, with what happens instead; a proxy also where the environment names it."""
    [warning] = [one for one in read(tmp_path, environ, **thingsboard).warnings if "has no effect" in one]
    assert warning.startswith(f"{place}: has no effect: ")


def test_what_is_as_the_reference_has_it_by_default_is_not_warned_of(tmp_path: Path) -> None:
    """Keys that a full file of its has, and that ask for nothing."""
    found = read(tmp_path, syncDevicesSharedAttributesOnConnect=True, managerEnabled=False, proxy_host="")
    assert not [warning for warning in found.warnings if "thingsboard" in warning]
