"""The file by whose age a health check sees that a process goes round."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from common.io.alive import EVERY_S, OLD_S, AliveFile, alive_path, file_name
from common.io.pulse import Pulse
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


def test_it_has_the_name_of_its_process_in_the_folder_of_the_sockets(tmp_path: Path) -> None:
    """Kind and name; a name that no file can have is spelled otherwise, a long one is cut and stays distinct."""
    assert alive_path(tmp_path, "converter:1", {}) == tmp_path / "alive" / "converter-1"
    assert file_name("port_reader:../x y") == "port_reader-..%2Fx%20y"
    long, other = (file_name(f"port_reader:{'ü' * 300}{end}") for end in "ab")
    assert long != other
    assert len(long) <= 255


def test_whoever_a_gateway_looks_after_has_none(tmp_path: Path) -> None:
    """`serialgw run` reads pulses; a file a process would be a write to the disk each few seconds, for nobody."""
    environ = {"SERIALGW_TOP": "1", "SERIALGW_ALIVE_FILE": str(tmp_path / "x")}
    assert alive_path(tmp_path, "broker:0", environ) is None


def test_systemd_hears_of_a_process_that_it_has_started_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY once it goes round, then a word every few seconds, and that it ends; below `serialgw run` nothing, since
    that speaks for all."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, (tmp_path / "log").open("wb") as log:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("SERIALGW_TOP", "1")
        Pulse(tmp_path, log.fileno(), "broker:0").beat(1.0)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        monkeypatch.delenv("SERIALGW_TOP")
        pulse = Pulse(tmp_path, log.fileno(), "broker:0")
        for now_s in (100.0, 101.5, 103.0, 105.0, 106.5, 110.0):
            pulse.beat(now_s)
        pulse.close()
        said = [systemd.recv(100) for _ in range(4)]
        assert said == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_its_time_moves_with_each_touch_that_is_due(tmp_path: Path) -> None:
    """Often enough for a check by OLD_S, which a process that goes round every ten seconds passes."""
    path = tmp_path / "alive" / "broker-0"
    file = AliveFile(path)
    file.touch(100.0)
    assert path.stat().st_mode & 0o777 == 0o600
    os.utime(path, (1, 1))
    file.touch(100.0 + EVERY_S / 2)
    assert path.stat().st_mtime == 1
    file.touch(100.0 + EVERY_S)
    assert path.stat().st_mtime > 1
    path.unlink()
    file.touch(200.0)
    assert path.exists()
    file.remove()
    assert not path.exists()
    assert EVERY_S + 10 < OLD_S


@pytest.mark.parametrize("made", ["a file for a folder", "a link"])
def test_what_lies_in_its_way_is_left_alone(tmp_path: Path, made: str) -> None:
    """Then there is no file, and whoever looks is told so by its absence; the process goes on."""
    if made == "a link":
        (tmp_path / "alive").mkdir()
        (tmp_path / "alive" / "broker-0").symlink_to(tmp_path / "target")
    else:
        (tmp_path / "alive").write_text("")
    AliveFile(tmp_path / "alive" / "broker-0").touch(1.0)
    assert not (tmp_path / "target").exists()


def test_a_process_that_was_started_by_hand_has_one_while_it_lives(tmp_path: Path) -> None:
    """And none after it has ended in order, so that a later check is not misled."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "services.broker", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            file = tmp_path / "run" / "alive" / "broker-0"
            wait_until(file.exists, "the broker touches its file", 30)
            process.terminate()
            assert process.wait(30) == 0
            assert not file.exists()
        finally:
            process.kill()
