"""`serialgw deploy`: what it prints is whole, fits its configuration, and is what stands in deploy/."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.config.usb_ports import UsbPort
from services.cli.__main__ import main
from services.cli.deploying.compose import compose_file
from services.cli.deploying.deployment import Deployment, Line
from services.cli.deploying.numbers import majors_of
from services.cli.deploying.per_port import LONGEST, escape, instances_of, printed, unit_files
from services.cli.deploying.supervisor import supervisor_sections
from services.cli.deploying.udev import udev_rules
from services.cli.deploying.unit import systemd_unit
from services.cli.deploying.yaml_text import quoted, service_names

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "cases" / "deploy"
CONFIG = Path("/etc/serialgw/tb_gateway.json")
PRESS = Line("press1", "/dev/ttyUSB0", "ttyUSB0")
EXAMPLE = Deployment(CONFIG, (Line("SerialDevice1", "/dev/ttyUSB0", "ttyUSB0"),), secret="TB_GW_ACCESS_TOKEN")
MANY = Deployment(
    CONFIG,
    (
        PRESS,
        Line("Halle 3/ü", "/dev/ttyAMA0", "ttyAMA0"),
        Line("far", "rfc2217://192.0.2.7:4001"),
        Line("calls us", "tcp-listen://:5001"),
        Line('"$X" 100%', "usb://1a86:7523@1-1.4"),
    ),
    hosted=("Board",),
    group_id=18,
    data_dir=Path("/srv/gate way"),
    journals=Path("/srv/queue"),
    command=Path("/home/u/serial gw/bin/serialgw"),
)
ADAPTERS = [
    UsbPort("/dev/ttyUSB0", 0x0403, 0x6001, "A50285BI", "1-1.2", 0, 0),
    UsbPort("/dev/ttyUSB1", 0x1A86, 0x7523, "", "1-1.4", 0, 0),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("compose.yml", compose_file(MANY)),
        ("serialgw.service", systemd_unit(MANY)),
        ("per-port.txt", printed(MANY)),
        ("supervisor.conf", supervisor_sections(MANY)),
        ("60-serialgw.rules", udev_rules(MANY, ADAPTERS)),
    ],
)
def test_what_is_printed_is_what_was_looked_at(name: str, text: str) -> None:
    """A change of these is seen in whole, and looked at by somebody."""
    assert text == (GOLDEN / name).read_text("utf-8")


def test_the_units_file_is_what_is_printed_for_the_example() -> None:
    """So there is one text of it."""
    assert (ROOT / "deploy" / "systemd" / "serialgw.service").read_text("utf-8") == systemd_unit(EXAMPLE)


def test_the_compose_file_is_what_is_printed_for_the_example() -> None:
    """But for how the image is made, and for what has a profile."""
    shipped = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text("utf-8"))
    printed = yaml.safe_load(compose_file(EXAMPLE, folder="./example"))
    ours = {name: one for name, one in shipped["services"].items() if "profiles" not in one}
    assert {one.pop("build")["dockerfile"] for one in ours.values()} == {"deploy/Dockerfile"}
    assert ours == printed["services"]
    for part in ("networks", "secrets"):
        assert shipped[part] == printed[part]


def services_of(deployment: Deployment) -> dict[str, Any]:
    """The services of its Compose file."""
    services: dict[str, Any] = yaml.safe_load(compose_file(deployment))["services"]
    return services


def test_a_line_has_what_it_needs_of_the_machine_and_no_more() -> None:
    """A device a group and rules, a remote one a network, one that is connected to a port of its own."""
    services = services_of(MANY)
    press, far, called = services["reader-press1"], services["reader-far"], services["reader-calls-us"]
    assert press["group_add"] == ["${DIALOUT_GID:-18}"]
    assert press["device_cgroup_rules"] == ["c 188:* rmw", "c 166:* rmw", "c 204:* rmw"]
    assert press["network_mode"] == "none"
    for one in (far, called):
        assert "network_mode" not in one
        assert "device_cgroup_rules" not in one
        assert "/dev:/dev" not in one["volumes"]
    assert called["ports"] == ["5001:5001"]
    assert services["connector-Board"]["command"][-1] == "--connector=Board"


def test_a_name_reaches_its_process_as_it_is() -> None:
    """Through YAML, and through Compose, which takes a dollar for a variable."""
    command = services_of(MANY)["reader-X-100"]["command"]
    assert command[-1].replace("$$", "$") == '--device="$X" 100%'


@pytest.mark.parametrize("text", ["plain", 'a"b\\c', "line\nfeed\ttab", "\x07\x7f\x85", "ü€😀", "  ", "#x: y", ""])
def test_any_text_comes_back_from_yaml(text: str) -> None:
    """Whatever stands in it."""
    assert yaml.safe_load(quoted(text)) == text


def test_services_have_distinct_names() -> None:
    """However alike the names are that they are made of."""
    assert service_names("reader", ["a b", "a/b", "ü", "", "a-b-2"]) == [
        "reader-a-b",
        "reader-a-b-2",
        "reader-x",
        "reader-x-2",
        "reader-a-b-2-2",
    ]


def test_a_driver_with_a_number_of_the_day_is_found_where_it_is_loaded() -> None:
    """And named where it is not."""
    listed = "Character devices:\n  4 ttyS\n234 ttyXRUSB\n\nBlock devices:\n  8 sd\n"
    assert majors_of(("ttyUSB", "ttyXRUSB", "ttyMXUSB"), listed) == ({"ttyUSB": 188, "ttyXRUSB": 234}, ("ttyMXUSB",))


def test_two_lines_of_one_link_name_have_one_each() -> None:
    """A rule names a port by what nothing else has: serial number, else place, and says which."""
    lines = (PRESS, Line("press 1", "/dev/ttyUSB1", "ttyUSB1"), Line("press_1", "usb://0403:6010"))
    rules = udev_rules(Deployment(CONFIG, lines), ADAPTERS)
    assert 'ATTRS{serial}=="A50285BI"' in rules
    assert 'KERNELS=="1-1.4"' in rules
    assert [rules.count(f"serialgw/{name}") for name in ('press1"', 'press_1"', 'press_1_2"')] == [1, 1, 1]
    assert rules.count("belongs to the socket") == 1
    assert rules.count("Any adapter of this kind") == 1


def test_a_serial_number_ends_no_rule() -> None:
    """What means something in a rule stands for any character."""
    port = UsbPort("/dev/ttyUSB0", 1, 2, 'x", RUN+="/bin/sh*[1]\n', "1-1", 0, 0)
    for row in udev_rules(Deployment(CONFIG, (PRESS,)), [port]).splitlines():
        assert 'RUN+="' not in row
        assert row.count('"') % 2 == 0


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed (apt-get install systemd)"
)
@pytest.mark.parametrize("deployment", [EXAMPLE, MANY], ids=["example", "many"])
def test_systemd_takes_the_unit_and_finds_it_shut(deployment: Deployment, tmp_path: Path) -> None:
    """`verify` says nothing of it, and its exposure is at most 3.0 of 10."""
    program = tmp_path / "serialgw"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "serialgw.service"
    unit.write_text(systemd_unit(deployment._replace(command=program)))

    def analyze(*arguments: str) -> str:
        done = subprocess.run(
            ["systemd-analyze", *arguments, str(unit)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    # Of units that it has read beside ours it may say something too.
    assert "serialgw" not in analyze("verify")
    analyze("security", "--offline=true", "--threshold=30")


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed (apt-get install systemd)"
)
@pytest.mark.parametrize("deployment", [EXAMPLE, MANY], ids=["example", "many"])
def test_systemd_takes_the_units_of_each_process_and_finds_them_shut(deployment: Deployment, tmp_path: Path) -> None:
    """Templates, an instance for each device, and what holds them together; none is more open than the one for all."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, text in unit_files(deployment._replace(python=program)).items():
        (tmp_path / name).write_text(text)
    for name in instances_of(deployment):
        kind = name.partition("@")[0]
        (tmp_path / name).symlink_to(f"{kind}@.service")
    units = sorted(path for path in tmp_path.iterdir() if path.suffix in (".service", ".target"))

    def analyze(*arguments: str) -> str:
        done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    assert "serialgw" not in analyze("verify", *map(str, units))
    services = [str(path) for path in units if path.suffix == ".service" and not path.is_symlink()]
    analyze("security", "--offline=true", "--threshold=30", *services)


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd is not installed")
def test_a_name_is_escaped_as_systemd_does_it() -> None:
    """And comes back whole."""
    names = ["press1", "Halle 3/ü", '"$X" 100%', ".dot", "a-b", "\\x2d", "€", "a:b_c.d"]
    done = subprocess.run(["systemd-escape", "--", *names], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == list(map(escape, names))


def test_each_process_gets_what_it_needs_and_no_more() -> None:
    """Ports for readers alone, the secret for the publisher alone."""
    files = unit_files(EXAMPLE)
    assert [name for name, text in files.items() if "DeviceAllow" in text] == ["serialgw-reader@.service"]
    assert [name for name, text in files.items() if "LoadCredential" in text] == ["serialgw-publisher.service"]
    assert all("TB_GW_ACCESS_TOKEN=withheld" in text for name, text in files.items() if "er@" in name)
    assert "serialgw-connector@.service" not in files
    assert "Wants=serialgw-reader@SerialDevice1.service\n" in files["serialgw.target"]
    assert "Wants=serialgw-connector@Board.service\n" in unit_files(MANY)["serialgw.target"]


def test_units_are_written_where_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each as a file; without the folder all are printed, each with its place. A name that is too long is said."""
    device = {"name": "press1", "port": "socket://192.0.2.7:4001", "telemetry": [{"key": "t", "type": "string"}]}
    devices = [device, {**device, "name": "x" * (LONGEST + 1), "port": "socket://192.0.2.7:4002"}]
    config = tmp_path / "serial.json"
    config.write_text(json.dumps({"name": "s", "devices": devices}))
    words = ["deploy", "systemd", "--per-port", "--config", str(config)]
    assert main([*words, "--into", str(tmp_path / "units")]) == 0
    out, err = capsys.readouterr()
    assert "too long for a unit's" in err
    assert out.split() == [str(tmp_path / "units" / name) for name in unit_files(EXAMPLE)]
    target = (tmp_path / "units" / "serialgw.target").read_text("utf-8")
    assert "Wants=serialgw-reader@press1.service" in target
    assert "xx" not in target
    assert main(words) == 0
    assert "# /etc/systemd/system/serialgw-reader@.service: device %I." in capsys.readouterr().out
    assert main(["deploy", "udev", "--per-port", "--config", str(config)]) == 2
    assert main(["deploy", "systemd", "--into", "x", "--config", str(config)]) == 2
    (tmp_path / "file").write_text("")
    assert main([*words, "--into", str(tmp_path / "file")]) == 69


def test_supervisord_takes_the_sections(tmp_path: Path) -> None:
    """With every word of every command."""
    from supervisor.options import ServerOptions

    conf = tmp_path / "supervisord.conf"
    text = supervisor_sections(MANY._replace(user="root"))
    conf.write_text(f"[supervisord]\nuser=root\nlogfile={tmp_path}/log\n{text}")
    options = ServerOptions()
    options.realize(["-c", str(conf)])
    [group] = options.process_group_configs
    assert len(group.process_configs) == 5 + len(MANY.lines) + 1
    commands = {one.name: one.command for one in group.process_configs}
    assert commands["serialgw-reader-X-100"].endswith(r'"--device=\"$X\" 100%"')
    assert {tuple(one.exitcodes) for one in group.process_configs} == {(78,)}


def deploys(kind: str, config: Path) -> int:
    """The exit code of the command."""
    return main(["deploy", kind, "--config", str(config)])


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ({"type": "accessToken"}, "TB_GW_ACCESS_TOKEN_FILE"),
        ({"type": "accessToken", "accessToken": "YOUR_ACCESS_TOKEN"}, "TB_GW_ACCESS_TOKEN_FILE"),
        ({"type": "usernamePassword", "username": "gw"}, "TB_GW_PASSWORD_FILE"),
        ({"type": "accessToken", "accessToken": "secret-of-the-file"}, ""),
        ({"type": "usernamePassword", "username": "gw", "password": "secret-of-the-file"}, ""),
    ],
)
@pytest.mark.parametrize("kind", ["compose", "systemd", "supervisor", "udev"])
def test_the_secret_is_asked_for_where_the_files_do_not_have_it(
    kind: str, security: dict[str, str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is printed nowhere."""
    device = {"name": "press1", "port": "/dev/ttyUSB0", "telemetry": [{"key": "t", "type": "string"}]}
    (tmp_path / "custom_serial.json").write_text(json.dumps({"name": "s", "devices": [device]}))
    main_file = tmp_path / "tb_gateway.json"
    entry = {"name": "s", "type": "serial", "configuration": "custom_serial.json"}
    main_file.write_text(json.dumps({"thingsboard": {"host": "h", "security": security}, "connectors": [entry]}))
    main_file.chmod(0o600)
    assert deploys(kind, main_file) == 0
    out, err = capsys.readouterr()
    assert "secret-of-the-file" not in out + err
    assert "TOKEN" not in err
    assert ("_FILE" in out.replace("SECRET_FILE", "").replace("ALIVE_FILE", "")) == (bool(expected) and kind != "udev")
    assert kind == "udev" or expected in out
    assert "press1" in out or kind == "systemd"


def test_a_configuration_with_problems_is_not_deployed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are named as `check` names them, and nothing is printed."""
    (tmp_path / "tb_gateway.json").write_text('{"thingsboard": {"port": "x"}, "connectors": []}')
    assert deploys("compose", tmp_path / "tb_gateway.json") == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert "thingsboard.port" in err


def test_what_containers_will_not_see_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files elsewhere, and journals in a place that only the host has; for a unit the latter is allowed instead."""
    device = {"name": "press1", "port": "socket://192.0.2.7:4001", "telemetry": [{"key": "t", "type": "string"}]}
    (tmp_path / "etc").mkdir()
    (tmp_path / "serial.json").write_text(json.dumps({"name": "s", "devices": [device]}))
    entry = {"name": "s", "type": "serial", "configuration": str(tmp_path / "serial.json")}
    storage = {"type": "file", "data_folder_path": str(tmp_path / "queue")}
    main_file = tmp_path / "etc" / "tb_gateway.json"
    security = {"type": "accessToken"}
    whole = {"thingsboard": {"host": "h", "security": security}, "storage": storage, "connectors": [entry]}
    main_file.write_text(json.dumps(whole))
    assert deploys("compose", main_file) == 0
    err = capsys.readouterr().err
    assert f"{tmp_path}/serial.json is not below {tmp_path}/etc" in err
    assert f"journals are to be in {tmp_path}/queue" in err
    assert deploys("systemd", main_file) == 0
    out, err = capsys.readouterr()
    assert f"ReadWritePaths={tmp_path}/queue\n" in out
    assert "queue" not in err
    main_file.write_text(json.dumps(whole | {"storage": {"type": "memory"}}))
    assert deploys("compose", main_file) == 0
    assert "ends with its container" in capsys.readouterr().err
