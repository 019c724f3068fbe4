"""Names of ports that people write from memory, ports that are none, and ports that may not be opened."""

from __future__ import annotations

import errno
import json
import os
import pty
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.config.ports import port_fault, port_hint
from common.config.reading import read_gateway
from common.core.errors import GatewayError
from common.io import port_access
from services.cli.__main__ import main
from services.cli.commands import init
from services.cli.usage import UsageError
from services.port_reader.shell import serial_line

FTDI = "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ttyUSB0", "/dev/ttyUSB0"),
        ("ttyACM0", "/dev/ttyACM0"),
        ("USB0", "/dev/ttyUSB0"),
        ("/dev/USB1", "/dev/ttyUSB1"),
        ("/dev/ttyusb0", "/dev/ttyUSB0"),
        ("/DEV/ttyUSB0", "/dev/ttyUSB0"),
        ("/dev/tty/USB0", "/dev/ttyUSB0"),
        ("dev/ttyUSB0", "/dev/ttyUSB0"),
        ("ttyama0", "/dev/ttyAMA0"),
        ("/ttyS1", "/dev/ttyS1"),
        (" /dev/ttyUSB0", "/dev/ttyUSB0"),
        ("/dev/ttyUSB0 ", "/dev/ttyUSB0"),
        (FTDI, f"/dev/serial/by-id/{FTDI}"),
        (f"by-id/{FTDI}", f"/dev/serial/by-id/{FTDI}"),
        (f"/dev/serial/{FTDI}", f"/dev/serial/by-id/{FTDI}"),
        ("pci-0000:00:14.0-usb-0:2:1.0-port0", "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0"),
        ("/dev/tty.usbserial-1420", "/dev/ttyUSB0"),
        ("cu.usbmodem14201", "/dev/ttyUSB0"),
    ],
)
def test_a_name_from_memory_is_told_what_was_meant(written: str, meant: str, tmp_path: Path) -> None:
    """A warning of `check`: the machine may have a file of that name all the same."""
    assert port_hint(written) == meant
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"name": "x", "devices": [{"port": written}]}))
    (warning,) = read_gateway(file, {}).warnings
    assert "devices[0].port" in warning
    assert f'did you mean "{meant}"?' in warning


@pytest.mark.parametrize(
    "port",
    [
        "/dev/ttyUSB0",
        "/dev/ttyAMA0",
        f"/dev/serial/by-id/{FTDI}",
        "/dev/press1",
        "/dev/pts/4",
        "/tmp/ttyUSB0",
        "socket://ttyUSB0:1",
        "/home/ada/USB0",
    ],
)
def test_a_name_that_may_well_be_right_is_left_alone(port: str, tmp_path: Path) -> None:
    assert port_hint(port) is None
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"name": "x", "devices": [{"port": port}]}))
    assert read_gateway(file, {}).warnings == []


def test_a_name_that_is_relative_and_nothing_else_is_still_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"name": "x", "devices": [{"port": "press1"}]}))
    (warning,) = read_gateway(file, {}).warnings
    assert "depends on the folder" in warning


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("/dev/null", "/dev/null is a device of another kind, and no serial port"),
        ("/dev/urandom", "no serial port"),
        ("/dev/ptmx", "no serial port"),
        ("/dev", "/dev is a folder, and no serial port"),
        ("/etc/hostname", "/etc/hostname is a plain file, and no serial port"),
        ("/dev/ttyUSB99", "--anyway takes it for another machine"),
        ("ttyUSB99", 'did you mean "/dev/ttyUSB99"?'),
        ("COM3", "a port of Windows"),
    ],
)
def test_init_takes_serial_ports_only(port: str, said: str) -> None:
    """What is none would be a configuration that can never work."""
    with pytest.raises(GatewayError) as raised:
        init.choose_ports([port])
    assert said in str(raised.value)


def test_init_prepares_for_another_machine_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ports that are not there, under names of their own; what can be no port is refused all the same."""
    monkeypatch.chdir(tmp_path)
    arguments = ["init", "/dev/ttyUSB98", "/dev/ttyUSB99", "--name", "press 1"]
    assert main(arguments) == 1
    assert main([*arguments, "--anyway"]) == 0
    said = capsys.readouterr().out
    for step in ("serialgw check tb_gateway.json", "serialgw run\n", "serialgw watch", "serialgw try", "Is gateway"):
        assert step in said
    assert "'press 1'" in said
    devices = read_gateway("tb_gateway.json", {}).gateway.devices
    assert [(one.name, one.line.port) for one in devices] == [
        ("press 1", "/dev/ttyUSB98"),
        ("SerialDevice2", "/dev/ttyUSB99"),
    ]
    assert main(["init", "/dev/null", "--anyway", "--force"]) == 1


def test_init_takes_a_pseudo_terminal() -> None:
    """Programs that play a device have one."""
    ours, theirs = pty.openpty()
    try:
        assert init.choose_ports([os.ttyname(theirs)]) == [os.ttyname(theirs)]
    finally:
        os.close(ours)
        os.close(theirs)


def test_init_has_a_name_for_each_port() -> None:
    assert init.choose_names(["a"], 2) == ["a", "SerialDevice2"]
    with pytest.raises(UsageError, match="2 names for 1 port"):
        init.choose_names(["a", "b"], 1)
    with pytest.raises(UsageError, match="two devices"):
        init.choose_names(["SerialDevice2"], 2)


@pytest.mark.parametrize(
    "host", ["a:b:c", "dead:beef", "tb:", ":1883", "tb:1883:1", "[::1", "1:2:3:4:5:6:7:8:9", ":::"]
)
def test_init_refuses_what_is_no_address(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A host with more colons than one is an IPv6 address, or a slip."""
    with pytest.raises(SystemExit) as ended:
        main(["init", "--host", host])
    assert ended.value.code == 2
    assert "expected HOST or HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mode", "group_id", "members", "said"),
    [
        (0o600, 0, [], "no group may open it"),
        (0o620, 5, [], "no group may open it"),
        (0o660, 0, [], "no group may open it"),
        (0o660, 20, [], "sudo usermod -aG dialout ada"),
        (0o660, 20, ["ada"], "log out and in again"),
    ],
)
def test_a_port_reader_advises_as_the_list_of_ports_does(
    mode: int, group_id: int, members: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is ever told to join the group root."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "stat", lambda _: SimpleNamespace(st_mode=mode, st_gid=group_id))
    monkeypatch.setattr(port_access, "_group_name", lambda number: {20: "dialout", 5: "tty", 0: "root"}[number])
    monkeypatch.setattr(port_access, "_user_name", lambda: "ada")
    monkeypatch.setattr(port_access, "_members", lambda _: members)
    advice = port_access.access_to("/dev/ttyUSB0")[2]
    reason = serial_line._explain("/dev/ttyUSB0", OSError(errno.EACCES, "Permission denied"))
    assert said in advice
    assert reason == f"permission denied: {advice}"
    assert "root" not in reason


@pytest.mark.parametrize(
    ("port", "fault"),
    [
        ("rfc2217://10.0.0.5:4001", None),
        ("rfc2217://10.0.0.5", "names no host and port"),
        ("socket://:4001", "names no host and port"),
        ("tcp-listen://:4001", None),
        ("tcp-listen://[::1]:4001", None),
        ("tcp-listen://", "names no port to listen at"),
        ("tcp-listen://:0", "names no port to listen at"),
        ("tcp-listen://:99999", "names no port to listen at"),
        ("hwgrep://FTDI", "not served yet"),
    ],
)
def test_an_address_is_whole(port: str, fault: str | None) -> None:
    """Whoever connects needs a host and a port, whoever listens a port only."""
    said = port_fault(port)
    assert said is None if fault is None else fault in (said or "")
