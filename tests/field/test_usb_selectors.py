"""`usb://` selectors: what they say, which adapter they find, and what is told where that is none or two."""

from __future__ import annotations

import json
import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports as pyserial

from common.config.models import Line
from common.config.ports import identity_of, port_fault
from common.config.reading import read_gateway
from common.config.usb_ports import UsbSelector, find_port, read_selector, selector_of, usb_ports
from common.core.errors import GatewayError, LinkError
from services.cli.__main__ import main
from services.port_reader.shell.opening import open_line
from services.port_reader.shell.serial_line import SerialLine
from tests.support.usb_tree import UsbTree


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UsbTree:
    found = UsbTree(tmp_path / "host")
    found.stand_in(monkeypatch)
    found.add_other_terminals()
    return found


@pytest.fixture
def terminals() -> Iterator[list[tuple[int, str]]]:
    """Two pseudo-terminals: the device's end of each, and the path of the other."""
    ends = [pty.openpty() for _ in range(2)]
    for _, slave in ends:
        tty.setraw(slave)
    yield [(master, os.ttyname(slave)) for master, slave in ends]
    for pair in ends:
        for fd in pair:
            os.close(fd)


def read_from(line: SerialLine, master: int, data: bytes) -> bytes:
    """What the line gives of what the device says; a pseudo-terminal hands over at once."""
    os.write(master, data)
    return line.read()


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("usb://1a86:7523", UsbSelector(0x1A86, 0x7523)),
        ("USB://1A86:7523", UsbSelector(0x1A86, 0x7523)),
        ("usb://0403:6001:A50285BI", UsbSelector(0x0403, 0x6001, "A50285BI")),
        ("usb://0403:6001:a b:c%40%3f", UsbSelector(0x0403, 0x6001, "a b:c@?")),
        ("usb://0403:6001@1-1.4", UsbSelector(0x0403, 0x6001, None, "1-1.4")),
        ("usb://0403:6011:X@2-3?interface=1", UsbSelector(0x0403, 0x6011, "X", "2-3", 1)),
        ("usb://110a:1410?interface=0&port=3", UsbSelector(0x110A, 0x1410, None, None, 0, 3)),
    ],
)
def test_a_selector_is_read_and_has_one_spelling(text: str, selector: UsbSelector) -> None:
    """Each part where it belongs; what is written again is read as the same."""
    assert read_selector(text) == selector
    assert read_selector(str(selector)) == selector


@pytest.mark.parametrize(
    "text",
    [
        "usb://",
        "usb://1a86",
        "usb://1a86:752",
        "usb://1a86:7523:",
        "usb://1a86:7523@hub",
        "usb://1a86:7523?port",
        "usb://1a86:7523?interface=0&interface=1",
        "usb://1a86:7523?speed=1",
        "usb://1a86:7523:%ff",
        "usb://1a86:7523 ",
    ],
)
def test_what_is_no_selector_is_told_its_form(text: str) -> None:
    """A problem of the configuration, with what would be right."""
    assert read_selector(text) is None
    assert "usb://VID:PID[:SERIAL][@PLACE][?interface=N]" in (port_fault(text) or "")


def test_an_adapter_is_found_by_each_of_its_marks(tree: UsbTree) -> None:
    """Vendor and product alone, serial number, place, interface, and the port of an interface."""
    tree.plug("ttyUSB0", "/dev/null", place="1-1.1", serial="A1")
    tree.plug("ttyUSB1", "/dev/null", place="1-1.2", serial="A2")
    tree.plug("ttyACM0", "/dev/null", place="1-1.3", ids=("2341", "0043"), port=None)
    for number in range(2):
        tree.plug(f"ttyUSB{10 + number}", "/dev/null", place="1-1.4", ids=("0403", "6010"), interface=number)
        tree.plug(f"ttyUSB{20 + number}", "/dev/null", place="1-1.5", ids=("110a", "1410"), port=number)
    for text, name in [
        ("usb://2341:0043", "ttyACM0"),
        ("usb://0403:6001:A2", "ttyUSB1"),
        ("usb://0403:6001@1-1.1", "ttyUSB0"),
        ("usb://0403:6010?interface=1", "ttyUSB11"),
        ("usb://110a:1410?port=1", "ttyUSB21"),
    ]:
        selector = read_selector(text)
        assert selector is not None
        assert find_port(selector) == str(tree.dev / name)


def test_ports_are_given_selectors_that_fit_them_alone(tree: UsbTree) -> None:
    """The shortest: a place only between adapters that nothing else tells apart."""
    tree.plug("ttyUSB0", "/dev/null", place="1-1.1", serial="A1")
    tree.plug("ttyUSB1", "/dev/null", place="1-1.2", ids=("1a86", "7523"))
    tree.plug("ttyUSB2", "/dev/null", place="1-1.3", ids=("1a86", "7523"))
    tree.plug("ttyUSB3", "/dev/null", place="1-1.4", ids=("10c4", "ea60"), serial="0001")
    tree.plug("ttyUSB4", "/dev/null", place="1-1.5", ids=("10c4", "ea60"), serial="0001")
    tree.plug("ttyUSB5", "/dev/null", place="1-1.6", ids=("0403", "6010"), interface=0)
    tree.plug("ttyUSB6", "/dev/null", place="1-1.6", ids=("0403", "6010"), interface=1)
    ports = usb_ports()
    selectors = [str(selector_of(port, ports)) for port in ports]
    assert selectors == [
        "usb://0403:6001:A1",
        "usb://1a86:7523@1-1.2",
        "usb://1a86:7523@1-1.3",
        "usb://10c4:ea60:0001@1-1.4",
        "usb://10c4:ea60:0001@1-1.5",
        "usb://0403:6010?interface=0",
        "usb://0403:6010?interface=1",
    ]
    assert [find_port(selector_of(port, ports)) for port in ports] == [port.path for port in ports]


def test_two_that_fit_are_refused_with_the_place_of_each(tree: UsbTree) -> None:
    """Neither is opened: one of them is the wrong one."""
    tree.plug("ttyUSB0", "/dev/null", place="1-1.1")
    tree.plug("ttyUSB1", "/dev/null", place="1-1.2")
    with pytest.raises(LinkError) as raised:
        open_line(Line(port="usb://0403:6001"))
    assert str(raised.value) == (
        "2 ports fit usb://0403:6001; say which: "
        f"usb://0403:6001@1-1.1 ({tree.dev}/ttyUSB0 at @1-1.1) or usb://0403:6001@1-1.2 ({tree.dev}/ttyUSB1 at @1-1.2)"
    )


def test_none_that_fits_is_told_with_those_that_nearly_do(tree: UsbTree) -> None:
    """The state of the device says it; an adapter with another serial number is probably the one that was meant."""
    with pytest.raises(LinkError, match="no adapter usb://0403:6001:A1 is plugged in; `serialgw ports` lists"):
        open_line(Line(port="usb://0403:6001:A1"))
    tree.plug("ttyUSB0", "/dev/null", serial="A2")
    with pytest.raises(LinkError, match=r"is plugged in; there is usb://0403:6001:A2 \(.*/ttyUSB0\)$"):
        open_line(Line(port="usb://0403:6001:A1"))


def test_an_adapter_is_found_again_under_another_name(tree: UsbTree, terminals: list[tuple[int, str]]) -> None:
    """Resolved at every opening: pulled out, it is no port; plugged in again it is the same, whatever its number."""
    (first, first_path), (second, second_path) = terminals
    settings = Line(port="usb://0403:6001:A1")
    tree.plug("ttyUSB0", first_path, serial="A1")
    line = open_line(settings)
    assert read_from(line, first, b"a\n") == b"a\n"
    line.close()
    tree.pull("ttyUSB0", "1-1.4")
    with pytest.raises(LinkError, match="no adapter usb://0403:6001:A1 is plugged in"):
        open_line(settings)
    tree.plug("ttyUSB7", second_path, serial="A1", place="1-1.2")
    line = open_line(settings)
    assert read_from(line, second, b"b\n") == b"b\n"
    line.close()


def test_one_adapter_by_two_names_is_opened_once(tree: UsbTree, terminals: list[tuple[int, str]]) -> None:
    """The exclusive lock is the adapter's, and the reason names the file that a person can look at."""
    tree.plug("ttyUSB0", terminals[0][1])
    line = open_line(Line(port=terminals[0][1]))
    with pytest.raises(LinkError, match=r"ttyUSB0: in use by another process; `sudo serialgw doctor .*ttyUSB0` says"):
        open_line(Line(port="usb://0403:6001"))
    line.close()
    open_line(Line(port="usb://0403:6001")).close()


def gateway_of(tmp_path: Path, *devices: dict[str, object]) -> Path:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"name": "x", "devices": list(devices)}))
    return file


def test_two_devices_that_name_one_adapter_are_refused(tree: UsbTree, tmp_path: Path) -> None:
    """Whether by its path or by two selectors; while it is not there, nobody can tell."""
    path = str(tree.dev / "ttyUSB0")
    devices = [{"name": "a", "port": "usb://0403:6001"}, {"name": "b", "port": path}]
    file = gateway_of(tmp_path, *devices)
    assert read_gateway(file, {}).gateway.devices
    (tmp_path / "tty").touch()
    tree.plug("ttyUSB0", tmp_path / "tty")
    assert identity_of("usb://0403:6001@1-1.4") == identity_of(path)
    with pytest.raises(GatewayError, match=r"devices\[1\].port: found .*as in devices\[0\].port"):
        read_gateway(file, {})


def test_a_bus_names_its_adapter_in_one_way(tree: UsbTree, tmp_path: Path) -> None:
    """Spellings of one selector are one; two names of one adapter would be two processes, so they are refused."""
    modbus = {"framing": "modbus-rtu", "every": 5, "telemetry": [{"key": "u", "register": "input:0", "type": "uint16"}]}
    one = {**modbus, "name": "a", "address": 1, "port": "usb://1a86:7523"}
    two = {**modbus, "name": "b", "address": 2, "port": "usb://1A86:7523"}
    gateway = read_gateway(gateway_of(tmp_path, one, two), {}).gateway
    assert [len(line) for line in gateway.lines] == [2]
    (tmp_path / "tty").touch()
    tree.plug("ttyUSB0", tmp_path / "tty", ids=("1a86", "7523"))
    with pytest.raises(GatewayError, match=r"devices\[1\].port: found .*the same name on all devices of a line"):
        read_gateway(gateway_of(tmp_path, one, {**two, "port": "usb://1a86:7523@1-1.4"}), {})


def test_check_says_which_file_a_selector_is_now(
    tree: UsbTree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And, where it is none, why: no problem, for the adapter may be another machine's."""
    file = gateway_of(tmp_path, {"name": "a", "port": "usb://0403:6001"})
    assert main(["check", str(file)]) == 0
    assert "on usb://0403:6001 (no adapter usb://0403:6001 is plugged in;" in capsys.readouterr().out
    tree.plug("ttyUSB3", "/dev/null")
    assert main(["check", str(file)]) == 0
    assert f"on usb://0403:6001 (now {tree.dev}/ttyUSB3)" in capsys.readouterr().out


def test_ports_prints_the_selector_of_each_adapter(
    tree: UsbTree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To be copied into a configuration; a port that is no USB adapter's has none."""
    tree.plug("ttyUSB0", "/dev/null", ids=("1a86", "7523"))
    ports = [
        SimpleNamespace(device=str(tree.dev / name), manufacturer="", vid=None, pid=None, product="", serial_number="")
        for name in ("ttyUSB0", "ttyS0")
    ]
    monkeypatch.setattr(pyserial, "comports", lambda: ports)
    assert main(["ports"]) == 0
    said = capsys.readouterr().out
    assert said.count("selector:") == 1
    assert "usb://1a86:7523\n" in said
    assert main(["ports", "--json"]) == 0
    assert [port["usb"] for port in json.loads(capsys.readouterr().out)] == ["", "usb://1a86:7523"]


def test_identify_takes_a_selector(
    tree: UsbTree, terminals: list[tuple[int, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And listens at the port that it is now; one that fits nothing is told as where it is configured."""
    arguments = ["identify", "usb://0403:6001", "--seconds", "0.05", "--data-dir", str(tmp_path)]
    assert main(arguments) != 0
    assert "no adapter usb://0403:6001 is plugged in" in capsys.readouterr().err
    tree.plug("ttyUSB0", terminals[0][1])
    main(arguments)
    assert "usb://0403:6001: nothing came" in capsys.readouterr().out
    assert main(["identify", "usb://1", "--data-dir", str(tmp_path)]) == 2
