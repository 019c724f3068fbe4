"""`serialgw doctor` finds what is wrong on a real machine, says what mends it, and touches nothing meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.cli.__main__ import main
from services.cli.diagnosis.host import Host
from tests.support.publisher_process import MOSQUITTO, TOKEN, free_port, make_certificate, start_mosquitto
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65_534
DEVICES = Path("/sys/fs/cgroup/devices")
Captured = pytest.CaptureFixture[str]
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


@pytest.fixture
def port() -> Iterator[str]:
    """A pseudo-terminal that nobody has open."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    yield name
    os.close(master)


class Doctor:
    """What one run of the command has said."""

    def __init__(self, arguments: list[str], capsys: Captured, data_dir: Path) -> None:
        words = ["doctor", *arguments, "--data-dir", str(data_dir)]
        self.code = main([*words, "--json"])
        said = json.loads(capsys.readouterr().out)
        self.findings: list[dict[str, Any]] = said["findings"]
        assert said["ok"] is (self.code == 0)

    def fault(self, check: str) -> dict[str, Any]:
        """The one fault of this kind; the exit code tells of it, and it names its cure."""
        return one_fault(self.findings, check, self.code)

    def is_ok(self, check: str) -> bool:
        return [one["level"] for one in self.findings if one["check"] == check] == ["ok"]


def one_fault(findings: list[dict[str, Any]], check: str, code: int = 1) -> dict[str, Any]:
    found = [one for one in findings if one["check"] == check and one["level"] == "fault"]
    assert (len(found), code) == (1, 1), findings
    assert found[0]["cure"]
    return found[0]


@contextlib.contextmanager
def child(code: str, *arguments: str, environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, that has said a line: it is ready."""
    command = [sys.executable, "-c", code, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


HOLDS = """
import fcntl, os, sys, termios
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.ioctl(port, termios.TIOCEXCL)
print("ready", flush=True)
sys.stdin.read()
"""
LOOKS = """
import json, os, sys
from services.cli.commands import doctor
from services.cli.diagnosis.host import Host
from services.cli.diagnosis.whole import Asked, look
from common.io import port_access
import termios, encodings.idna
from pathlib import Path
asked = Asked(sys.argv[1], None, Path("/nowhere"))
look(asked, Host.own())
print("ready", flush=True)
group = sys.argv[2]
if group:
    with open(group, "w") as file:
        file.write(str(os.getpid()))
else:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
sys.stdin.readline()
print(json.dumps([one._asdict() for one in look(asked, Host.own())]), flush=True)
"""


def looked_as_another(port: str, group: str = "") -> list[dict[str, Any]]:
    """What a process finds that is another user's, or in a group of its own for devices. It looks once before, so that
    it has loaded all that it needs."""
    with child(LOOKS, port, group) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        findings: list[dict[str, Any]] = json.loads(process.stdout.readline())
        return findings


def test_a_port_that_is_fine(port: str, tmp_path: Path, capsys: Captured) -> None:
    """Exit code 0, and nothing is said but that."""
    doctor = Doctor([port], capsys, tmp_path)
    assert (doctor.code, doctor.is_ok("access"), doctor.is_ok("holder")) == (0, True, True)
    assert main(["doctor", port, "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("\n\n0 faults, 0 warnings\n")


def test_a_port_that_is_not_there(tmp_path: Path, capsys: Captured) -> None:
    """With the command that lists those that are."""
    assert "serialgw ports" in Doctor(["/dev/ttyUSB77"], capsys, tmp_path).fault("port")["cure"]
    assert "serialgw ports" in Doctor(["usb://ffff:0001"], capsys, tmp_path).fault("port")["cure"]
    assert "a folder" in Doctor([str(tmp_path)], capsys, tmp_path).fault("port")["found"]


@needs_root
def test_a_port_that_this_user_may_not_open(port: str) -> None:
    """The command that mends it names the group and the user, and stands on a line of its own."""
    os.chown(port, 0, 20)
    os.chmod(port, 0o660)
    cure = one_fault(looked_as_another(port), "access")["cure"]
    in_container = 'group_add: ["20"]' if Host.own().is_container else None
    assert in_container in cure if in_container else re.search(r"^sudo usermod -aG \S+ \S+$", cure, re.MULTILINE)


@pytest.mark.skipif(not os.access(DEVICES, os.W_OK), reason="needs the right to make a cgroup for devices")
def test_a_port_whose_number_is_not_allowed_here(port: str) -> None:
    """As in a container without a rule for its devices: the file's rights would do, and the kernel says EPERM."""
    group = DEVICES / f"serialgw-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "devices.deny").write_text("c 136:* rwm")
        fault = one_fault(looked_as_another(port, str(group / "cgroup.procs")), "access")
        assert 'device_cgroup_rules: ["c 136:* rmw"]' in fault["cure"]
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the process has left its group")
        group.rmdir()


def test_a_port_that_another_process_has(port: str, tmp_path: Path, capsys: Captured) -> None:
    """By name and pid, with the command that ends it."""
    with child(HOLDS, port) as process:
        fault = Doctor([port], capsys, tmp_path).fault("holder")
        assert f"pid {process.pid}" in fault["found"]
        assert f"kill {process.pid}" in fault["cure"]


def test_a_port_that_is_only_locked(port: str, tmp_path: Path, capsys: Captured) -> None:
    """/proc/locks tells of other users' processes too, into whose open files nobody may look."""
    code = (
        "import fcntl, os, sys\nport = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)\n"
        "fcntl.flock(port, fcntl.LOCK_EX)\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    with child(code, port) as process:
        assert f"pid {process.pid}" in Doctor([port], capsys, tmp_path).fault("holder")["found"]
        if os.getuid() == 0:
            os.chmod(port, 0o666)
            assert f"pid {process.pid}" in one_fault(looked_as_another(port), "holder")["found"]


def test_the_readers_of_gateways_are_told_apart(port: str, tmp_path: Path, capsys: Captured) -> None:
    """This gateway's own reader has the port by right; another's is a fault that names its data directory."""
    own = {"SERIALGW_GATEWAY": str(tmp_path.resolve())}
    with child(HOLDS, port, "services.port_reader", environ=own):
        doctor = Doctor([port], capsys, tmp_path)
        assert (doctor.code, doctor.is_ok("holder")) == (0, True)
    with child(HOLDS, port, "services.port_reader", environ={"SERIALGW_GATEWAY": "/srv/other"}):
        assert "/srv/other" in Doctor([port], capsys, tmp_path).fault("holder")["found"]


def test_the_port_is_never_opened(port: str, tmp_path: Path, capsys: Captured) -> None:
    """Opening raises DTR, which resets many boards: the kernel tells of each opening."""
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_NONBLOCK)
    in_open = 0x20
    assert libc.inotify_add_watch(watcher, port.encode(), in_open) >= 0
    try:
        Doctor([port], capsys, tmp_path)
        assert struct.unpack("i", fcntl.ioctl(watcher, 0x541B, b"\0\0\0\0"))[0] == 0
        os.close(os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
        assert len(os.read(watcher, 4096)) > 0
    finally:
        os.close(watcher)


def config(folder: Path, line: str, port: int, **security: str) -> list[str]:
    """A gateway with a device on a line, and a platform."""
    thingsboard = {"host": "127.0.0.1", "port": port, "security": security or {"accessToken": TOKEN}}
    connector = {"type": "serial", "name": "Serial", "configuration": "serial.json"}
    (folder / "serial.json").write_text(json.dumps({"devices": [{"name": "press1", "port": line}]}))
    file = folder / "tb_gateway.json"
    file.write_text(json.dumps({"thingsboard": thingsboard, "connectors": [connector]}))
    file.chmod(0o600)
    return ["--config", str(file)]


@contextlib.contextmanager
def mosquitto(folder: Path, extra: str) -> Iterator[int]:
    """A real MQTT broker's port."""
    process, port = start_mosquitto(folder, extra)
    try:
        yield port
    finally:
        process.kill()
        process.wait(10)


def test_a_platform_that_is_not_there(port: str, tmp_path: Path, capsys: Captured) -> None:
    """Nobody listens."""
    fault = Doctor(config(tmp_path, port, free_port()), capsys, tmp_path).fault("platform")
    assert "nothing listens there" in fault["found"]
    assert '"port"' in fault["cure"]


@needs_mosquitto
def test_a_platform_that_refuses_the_token(port: str, tmp_path: Path, capsys: Captured) -> None:
    """A real broker that knows another one; the token itself is nowhere in what is said."""
    with mosquitto(tmp_path, "allow_anonymous false") as broker:
        doctor = Doctor(config(tmp_path, port, broker), capsys, tmp_path)
    fault = doctor.fault("platform")
    assert "refuses the access token" in fault["found"]
    assert '"accessToken"' in fault["cure"]
    assert TOKEN not in json.dumps(doctor.findings)


@needs_mosquitto
def test_a_platform_that_lets_the_gateway_in(port: str, tmp_path: Path, capsys: Captured) -> None:
    """And `--offline` connects to nothing."""
    with mosquitto(tmp_path, "allow_anonymous true") as broker:
        arguments = config(tmp_path, port, broker)
        assert Doctor(arguments, capsys, tmp_path).is_ok("platform")
        offline = Doctor([*arguments, "--offline"], capsys, tmp_path)
    assert [one for one in offline.findings if one["check"] == "platform"] == []


@needs_mosquitto
def test_tls_spoken_to_a_plain_port_and_the_reverse(port: str, tmp_path: Path, capsys: Captured) -> None:
    """Each says which of both sides is to change."""
    make_certificate(tmp_path, "server")
    tls = {"accessToken": TOKEN, "caCert": str(tmp_path / "server.pem")}
    with mosquitto(tmp_path, "allow_anonymous true") as broker:
        fault = Doctor(config(tmp_path, port, broker, **tls), capsys, tmp_path).fault("platform")
    assert "without TLS" in fault["found"]
    assert "8883" in fault["cure"]
    keys = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\nallow_anonymous true"
    with mosquitto(tmp_path, keys) as broker:
        fault = Doctor(config(tmp_path, port, broker), capsys, tmp_path).fault("platform")
    assert "speaks TLS, and the gateway does not" in fault["found"]
    assert '"caCert"' in fault["cure"]


@needs_root
def test_a_disk_that_is_full(tmp_path: Path, capsys: Captured) -> None:
    """A real file system in memory, with no room left; and one that is read-only."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=700", "serialgw-test", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        (place / "film").write_bytes(bytes(16 * 1024 * 1024))
        fault = Doctor(["--offline"], capsys, place).fault("storage")
        assert "the disk is full" in fault["found"]
        assert f"du -xhd1 {place}" in fault["cure"]
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        fault = Doctor(["--offline"], capsys, place).fault("storage")
        assert "read-only" in fault["found"]
        assert f"mount -o remount,rw {place}" in fault["cure"]
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_data_directory_that_others_may_write_in(tmp_path: Path, capsys: Captured) -> None:
    """A gateway refuses it, and so does the doctor before it starts."""
    place = tmp_path / "data"
    place.mkdir()
    place.chmod(0o777)
    assert f"chmod go-w {place}" in Doctor(["--offline"], capsys, place).fault("storage")["cure"]


def test_a_clock_that_has_gone_back(tmp_path: Path, capsys: Captured) -> None:
    """What the gateway has written stands in the future now."""
    (tmp_path / "active").touch()
    os.utime(tmp_path / "active", (4_000_000_000, 4_000_000_000))
    [found] = [one for one in Doctor(["--offline"], capsys, tmp_path).findings if one["check"] == "clock"]
    assert "it has gone back" in found["found"]
    assert "timedatectl set-ntp true" in found["cure"]


def test_a_configuration_that_can_not_be_used(tmp_path: Path, capsys: Captured) -> None:
    """Each problem is a fault, with the command that says more; the rest is looked at all the same."""
    file = tmp_path / "tb_gateway.json"
    file.write_text("{")
    doctor = Doctor(["--config", str(file)], capsys, tmp_path)
    assert doctor.fault("configuration")["cure"] == f"serialgw check {file}"
    assert doctor.is_ok("storage")


def test_ports_at_the_other_end_of_a_network(tmp_path: Path, capsys: Captured) -> None:
    """A server that is there or not, and an address of ours that another program has."""
    free = free_port()
    assert "nothing listens" in Doctor([f"socket://127.0.0.1:{free}"], capsys, tmp_path).fault("network")["found"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert Doctor([f"rfc2217://127.0.0.1:{taken}"], capsys, tmp_path).is_ok("network")
        fault = Doctor([f"tcp-listen://127.0.0.1:{taken}"], capsys, tmp_path).fault("network")
        assert f"sport = :{taken}" in fault["cure"]
    assert Doctor([f"tcp-listen://127.0.0.1:{free}"], capsys, tmp_path).is_ok("network")
    assert Doctor([f"socket://127.0.0.1:{free}", "--offline"], capsys, tmp_path).is_ok("network")


def test_a_device_stands_for_its_port(port: str, tmp_path: Path, capsys: Captured) -> None:
    """As its name is what a person knows."""
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"name": "x", "devices": [{"name": "press1", "port": port}]}))
    doctor = Doctor(["press1", "--config", str(file)], capsys, tmp_path)
    assert [one["subject"] for one in doctor.findings if one["check"] == "access"] == [port]
