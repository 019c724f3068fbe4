"""`serialgw doctor` on machines that can't be made here: containers, consoles, ModemManager, brltty, adapters without a
kernel module. Each is a prepared /proc, /sys, /dev, /run and /etc."""

from __future__ import annotations

import os
import pty
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.commands.doctor import as_text
from services.cli.diagnosis.finding import Finding
from services.cli.diagnosis.whole import Asked, look
from tests.support.machine import Machine

PORT = "ttyUSB0"
MM_RULE = 'ATTR{idVendor}=="0403", ATTR{idProduct}=="6001", ENV{ID_MM_DEVICE_IGNORE}="1"'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def terminal() -> Iterator[str]:
    """What a device file of the prepared machine leads to."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    yield name
    os.close(master)


def findings(machine: Machine, port: str = "", name: str = PORT) -> list[Finding]:
    """What is found of a port of the machine."""
    return look(Asked(port or f"{machine.host.dev}/{name}", None, Path(machine.host.root)), machine.host, {})


def one(found: list[Finding], check: str, level: str) -> Finding:
    """The one finding of this kind that is no praise."""
    [finding] = [one for one in found if one.check == check and one.level != "ok"]
    assert (finding.level, bool(finding.cure)) == (level, True)
    return finding


def test_an_adapter_that_is_as_it_should_be(machine: Machine, terminal: str) -> None:
    """Nothing is wrong but its name, for which there is a better one."""
    machine.usb.plug(PORT, terminal, serial="A50285BI")
    machine.see_usb(driver="ftdi_sio")
    found = findings(machine)
    assert [(one.check, one.level) for one in found] == [("access", "ok"), ("holder", "ok"), ("name", "warning")]
    assert one(found, "name", "warning").cure.endswith('"port": "usb://0403:6001:A50285BI"')
    assert [one.level for one in findings(machine, "usb://0403:6001")] == ["ok", "ok"]


def test_udevs_name_is_preferred(machine: Machine, terminal: str) -> None:
    """As `serialgw ports` and `init` do."""
    machine.usb.plug(PORT, terminal)
    machine.see_usb()
    by_id = machine.usb.dev / "serial/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-FTDI-if00").symlink_to(f"../../{PORT}")
    assert f'"port": "{by_id}/usb-FTDI-if00"' in one(findings(machine), "name", "warning").cure


def test_a_container_that_does_not_see_the_file(machine: Machine, terminal: str) -> None:
    """The kernel has the port, and the container only what was there when it was started."""
    machine.usb.plug(PORT, terminal)
    (machine.usb.dev / PORT).unlink()
    machine.write(".dockerenv", "")
    fault = one(findings(machine), "port", "fault")
    assert "the adapter is plugged in" in fault.found
    assert "volumes: [/dev:/dev]" in fault.cure


def test_a_link_of_udevs_that_leads_nowhere(machine: Machine) -> None:
    """The adapter it is named after is not plugged in."""
    (machine.usb.dev / PORT).symlink_to("gone")
    assert "leads nowhere" in one(findings(machine), "port", "fault").found


def test_other_adapters_are_named_where_one_is_missing(machine: Machine, terminal: str) -> None:
    """It may have another number now."""
    machine.usb.plug("ttyUSB1", terminal)
    assert f"{machine.host.dev}/ttyUSB1" in one(findings(machine), "port", "fault").found


def test_a_console(machine: Machine, terminal: str) -> None:
    """With the word that is to be taken out of the kernel's command line."""
    machine.usb.plug(PORT, terminal)
    machine.write("proc/consoles", f"{PORT}              -W- (EC  p a)  188:0\n")
    machine.write("proc/cmdline", f"console={PORT},115200 quiet")
    assert f"console={PORT},115200" in one(findings(machine), "console", "fault").cure


def test_a_login(machine: Machine, terminal: str) -> None:
    """A getty answers whatever the device says; one on another terminal is none of ours."""
    machine.usb.plug(PORT, terminal)
    machine.run("/sbin/agetty", "--noclear", "tty1", "linux")
    assert not [one for one in findings(machine) if one.check == "login"]
    machine.run("/sbin/agetty", "-o", "-p -- \\u", "--keep-baud", "115200", PORT, "vt220", port=machine.usb.dev / PORT)
    cure = one(findings(machine), "login", "fault").cure
    assert cure == f"sudo systemctl disable --now serial-getty@{PORT}.service"


def test_modem_manager(machine: Machine, terminal: str) -> None:
    """A warning while it only may, a fault while it has the port, nothing where a rule keeps it away."""
    machine.usb.plug(PORT, terminal)
    machine.see_usb()
    assert not [one for one in findings(machine) if one.check == "modem_manager"]
    pid = machine.run("/usr/sbin/ModemManager")
    assert MM_RULE in one(findings(machine), "modem_manager", "warning").cure
    data = machine.write("run/udev/data/c189:7", "E:ID_MM_DEVICE_IGNORE=1\n")
    assert not [one for one in findings(machine) if one.check == "modem_manager"]
    data.unlink()
    (Path(machine.host.proc) / str(pid) / "fd" / "9").symlink_to(machine.usb.dev / PORT)
    assert MM_RULE in one(findings(machine), "modem_manager", "fault").cure


@pytest.mark.parametrize("rule", ['ENV{PRODUCT}=="403/6001/*"', 'ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6001"'])
def test_brltty_that_may_take_an_adapter(machine: Machine, terminal: str, rule: str) -> None:
    """Its rules name the chip, in either of both ways; a line that is commented out names nothing."""
    machine.usb.plug(PORT, terminal)
    rules = machine.write("lib/udev/rules.d/85-brltty.rules", f"# {rule}\n")
    assert not [one for one in findings(machine) if one.check == "brltty"]
    rules.write_text(f'{rule}, GOTO="brltty_usb_run"\n')
    assert "systemctl mask" in one(findings(machine), "brltty", "warning").cure
    machine.write("etc/udev/rules.d/85-brltty.rules", "")
    assert not [one for one in findings(machine) if one.check == "brltty"]


def test_brltty_that_has_taken_an_adapter(machine: Machine) -> None:
    """Then there is no port at all, and whoever looks for it finds that out."""
    machine.see_usb(ids=("1a86", "7523"), driver="usbfs")
    machine.run("/usr/bin/brltty")
    found = findings(machine)
    assert "there is no such port" in one(found, "port", "fault").found
    assert "brltty has taken it" in one(found, "brltty", "fault").found


def test_a_program_that_has_taken_an_adapter(machine: Machine) -> None:
    """Over USB, past the kernel's driver."""
    machine.see_usb(driver="usbfs")
    assert "a program has taken it" in one(findings(machine), "driver", "fault").found


def test_a_kernel_module_that_is_missing(machine: Machine) -> None:
    """It is named; where the kernel was updated under a machine that runs, that is."""
    machine.see_usb(ids=("1a86", "7523"))
    assert "sudo modprobe ch341" in one(findings(machine), "driver", "fault").cure
    (Path(machine.host.sys) / "module" / "ch341").mkdir(parents=True)
    assert "dmesg" in one(findings(machine), "driver", "fault").cure
    shutil.rmtree(Path(machine.host.modules) / os.uname().release)
    assert "sudo reboot" in one(findings(machine), "driver", "fault").cure


def test_lock_files(machine: Machine, terminal: str) -> None:
    """Of a program that runs: it is named. Of one that has ended: the file is to be removed."""
    machine.usb.plug(PORT, terminal)
    pid = machine.run("/usr/bin/minicom")
    lock = machine.write(f"run/lock/LCK..{PORT}", f"{pid:10}\n")
    assert f"minicom (pid {pid}, " in one(findings(machine), "holder", "fault").found
    lock.write_text("      9999\n")
    assert one(findings(machine), "holder", "warning").cure == f"sudo rm {lock}"


def test_words_of_others_steer_no_terminal(machine: Machine, terminal: str) -> None:
    """Names of processes are anybody's to choose."""
    machine.usb.plug(PORT, terminal)
    machine.run("\x1b[2Jevil", port=machine.usb.dev / PORT)
    found = findings(machine)
    assert one(found, "holder", "fault")
    for width in (None, 60):
        assert "\\u001b[2Jevil" in as_text(found, width)
        assert "\x1b" not in as_text(found, width)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (
            ["/usr/bin/python3", "-u", "-m", "serial.tools.miniterm", "/dev/ttyUSB0"],
            "python3 running serial.tools.miniterm (",
        ),
        (["python3", "/home/ada/read.py"], "python3 running read.py ("),
        (["node", "/srv/red.js"], "node running red.js ("),
        (["picocom", "-b", "9600"], "picocom ("),
    ],
)
def test_a_script_is_known_by_its_name(machine: Machine, terminal: str, command: list[str], shown: str) -> None:
    """Of an interpreter alone nobody could tell what to end."""
    machine.usb.plug(PORT, terminal)
    machine.run(*command, port=machine.usb.dev / PORT)
    assert f": {shown}" in one(findings(machine), "holder", "fault").found


def test_text_fits_a_terminal_and_commands_stay_whole() -> None:
    """A command that is broken can't be copied."""
    command = f"sudo {'x' * 100}"
    text = as_text([Finding("port", "/dev/x", "fault", "word " * 30, f"do this:\n{command}")], 60)
    assert max(len(line) for line in text.splitlines() if "xxx" not in line) <= 60
    assert f"\n         {command}\n" in text


def test_a_name_without_hardware(machine: Machine, terminal: str) -> None:
    """Kernels make 32 of them, whatever the board has."""
    machine.usb.add_other_terminals()
    (machine.usb.dev / "ttyS0").symlink_to(terminal)
    kind = machine.write("sys/devices/platform/serial8250/tty/ttyS0/type", "4\n")
    assert [one.level for one in findings(machine, name="ttyS0")] == ["ok", "ok"]
    kind.write_text("0\n")
    assert "no chip behind it" in one(findings(machine, name="ttyS0"), "port", "fault").found
