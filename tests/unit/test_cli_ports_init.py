"""`serialgw ports` and `serialgw init`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports as pyserial

from common.config.reading import read_gateway
from common.core.errors import GatewayError
from common.io import port_access
from services.cli.__main__ import main
from services.cli.commands import init, ports


def adapter(device: str) -> SimpleNamespace:
    return SimpleNamespace(
        device=device, manufacturer="FTDI", vid=0x0403, product="FT232R", pid=0x6001, serial_number="A50285BI"
    )


@pytest.fixture
def device_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that pyserial lists as a port, with a by-id link."""
    path = tmp_path / "ttyUSB0"
    path.touch(0o660)
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (by_id / "usb-FTDI-if00").symlink_to("../ttyUSB0")
    monkeypatch.setattr(pyserial, "comports", lambda: [adapter(str(path))])
    monkeypatch.setattr(ports, "BY_ID", by_id)
    monkeypatch.setattr(init, "BY_ID", by_id)
    return path


def test_ports_says_everything_about_a_port(device_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Path, by-id link, vendor, product, serial number and access, for people and for programs."""
    assert main(["ports"]) == 0
    text = capsys.readouterr().out
    for part in (
        str(device_file),
        "by-id/usb-FTDI-if00",
        "FTDI (0403)",
        "FT232R (6001)",
        "A50285BI",
        "you may open it",
    ):
        assert part in text
    assert main(["ports", "--json"]) == 0
    [port] = json.loads(capsys.readouterr().out)
    assert (port["path"], port["may_open"], port["advice"]) == (str(device_file), True, "")


def test_no_port_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty screen; an empty list for programs."""
    monkeypatch.setattr(pyserial, "comports", list)
    assert main(["ports"]) == 0
    assert "No serial port was found" in capsys.readouterr().out
    assert main(["ports", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_who_may_not_open_a_port_is_told_the_command(device_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group that the port belongs to, as a command to copy."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "stat", lambda _: SimpleNamespace(st_mode=0o660, st_gid=20))
    monkeypatch.setattr(port_access, "_group_name", lambda _: "dialout")
    monkeypatch.setattr(port_access, "_user_name", lambda: "ada")
    monkeypatch.setattr(port_access, "_members", lambda _: [])
    may_open, group, advice = port_access.access_to(str(device_file))
    assert (may_open, group) == (False, "dialout")
    assert "sudo usermod -aG dialout ada" in advice
    monkeypatch.setattr(port_access, "_members", lambda _: ["ada"])
    assert "log out and in again" in port_access.access_to(str(device_file))[2]
    monkeypatch.setattr(os, "stat", lambda _: SimpleNamespace(st_mode=0o600, st_gid=0))
    assert "udev rule" in port_access.access_to(str(device_file))[2]


def test_init_writes_a_configuration_that_check_accepts(
    device_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the ports that are there, by their by-id links; the only thing to be said is that the token is missing."""
    assert main(["init", "--dir", str(tmp_path / "conf"), "--host", "tb.example.org"]) == 0
    assert "serialgw run " in capsys.readouterr().out
    gateway, warnings = read_gateway(tmp_path / "conf" / "tb_gateway.json", {})
    assert [warning.split(": ")[1] for warning in warnings] == ["thingsboard.security.accessToken"]
    assert gateway.platform.host == "tb.example.org"
    assert [device.line.port for device in gateway.devices] == [str(tmp_path / "by-id" / "usb-FTDI-if00")]
    assert (tmp_path / "conf" / "tb_gateway.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("given", "platform"),
    [
        ("tb.example.org", ("tb.example.org", 1883)),
        ("tb.example.org:8883", ("tb.example.org", 8883)),
        ("192.0.2.7:1884", ("192.0.2.7", 1884)),
        ("2001:db8::1", ("2001:db8::1", 1883)),
        ("[2001:db8::1]:1884", ("2001:db8::1", 1884)),
    ],
)
def test_init_takes_the_platforms_port_too(
    given: str, platform: tuple[str, int], device_file: Path, tmp_path: Path
) -> None:
    """As people write addresses; without a port it is MQTT's."""
    assert main(["init", "--dir", str(tmp_path / "conf"), "--host", given]) == 0
    found = read_gateway(tmp_path / "conf" / "tb_gateway.json", {}).gateway.platform
    assert (found.host, found.port) == platform


def test_init_overwrites_only_when_forced(
    device_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither file is touched if one of them is there."""
    (tmp_path / "custom_serial.json").write_text("mine")
    assert main(["init", "--dir", str(tmp_path)]) == 1
    assert "--force" in capsys.readouterr().err
    assert not (tmp_path / "tb_gateway.json").exists()
    assert (tmp_path / "custom_serial.json").read_text() == "mine"
    assert main(["init", "--dir", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "custom_serial.json").read_text() != "mine"


def test_init_takes_named_ports_once_each(device_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port and a link to it are one port; addresses are taken as they are."""
    monkeypatch.setattr(init, "kind_of_file", lambda _: "")
    link = tmp_path / "link"
    link.symlink_to(device_file)
    chosen = init.choose_ports([str(device_file), str(link), "socket://192.0.2.7:4001"])
    assert chosen == [str(tmp_path / "by-id" / "usb-FTDI-if00"), "socket://192.0.2.7:4001"]


@pytest.mark.parametrize("port", ["/dev/ttyNOSUCH", "spy://host:1", "COM3"])
def test_init_refuses_ports_that_are_not_there_or_not_served(port: str) -> None:
    """With the name of the port in the sentence."""
    with pytest.raises(GatewayError, match=port.replace("/", "/")):
        init.choose_ports([port])


def test_init_without_any_port_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 and what to do."""
    monkeypatch.setattr(pyserial, "comports", list)
    assert main(["init"]) == 1
    assert "no serial port was found" in capsys.readouterr().err


def test_parsers_have_no_options_in_common_that_differ() -> None:
    """Every command's parser can be built, and its help is not empty."""
    from services.cli.command_line import COMMANDS, build_parser

    for name in COMMANDS:
        parser = build_parser(name)
        [subparsers] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        assert len(subparsers.choices[name].format_help()) > 100
