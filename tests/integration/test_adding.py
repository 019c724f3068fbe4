"""`serialgw probe` and `serialgw add` at a line that talks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Line

ROOT = Path(__file__).resolve().parents[2]
SDS011 = bytes.fromhex("aac00600060058d93dab")


def run(folder: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SERIALGW_DATA_DIR": str(folder / "data")}
    command = [sys.executable, "-m", "services.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, cwd=folder, env=environ, input=said, check=False
    )


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Callable[[bytes], Path]]:
    """Gives the path of a line that says the same again and again."""
    line, over = Line(tmp_path / "ttyNew"), threading.Event()
    threads = []

    def begin(frame: bytes) -> Path:
        def talk() -> None:
            while not over.wait(0.3):
                line.write(frame)

        threads.append(threading.Thread(target=talk, daemon=True))
        threads[0].start()
        return line.path

    yield begin
    over.set()
    for thread in threads:
        thread.join(10)
    line.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gateway's files with one device, written as a person writes them."""
    main = {"thingsboard": {"security": {"accessToken": "t"}}}
    main["connectors"] = [{"name": "S", "type": "serial", "configuration": "serial.json"}]
    (tmp_path / "tb_gateway.json").write_text(json.dumps(main))
    text = (
        '{ "name": "S",\n   "devices": [\n      {"name":"old", "port": "/dev/ttyOld",  "profile": "sds011"}\n   ] }\n'
    )
    (tmp_path / "serial.json").write_text(text)
    return tmp_path / "serial.json"


def test_probe_shows_samples_of_what_it_hears(tmp_path: Path, talking: Callable[[bytes], Path]) -> None:
    """A line of text is recognised at once, and is told how to go on."""
    port = talking(b"T:21.5\n")
    done = run(tmp_path, "probe", str(port))
    assert done.returncode == 0, done.stderr
    assert '1. 9600 8N1: text, each frame ends with line feed\n     "T:21.5\\n"' in done.stdout
    assert f"serialgw add {port}" in done.stdout
    found = json.loads(run(tmp_path, "probe", str(port), "--json").stdout)
    assert found["guesses"][0]["section"]["delimiter"] == "\n"


def test_a_known_device_is_added_by_its_profile(tmp_path: Path, config: Path, talking: Callable[[bytes], Path]) -> None:
    """One object is added, every other byte stays, and the whole is a good configuration."""
    port, before = talking(SDS011), config.read_text()
    done = run(tmp_path, "add", str(port), said="\nair\n")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "1. 9600 8N1: checksums are right, as of sds011" in done.stdout
    after = config.read_text()
    assert after.startswith(before[: before.index("\n   ] }")])
    assert after.endswith("\n   ] }\n")
    assert json.loads(after)["devices"][1] == {"name": "air", "port": str(port), "profile": "sds011"}
    assert run(tmp_path, "check", "tb_gateway.json").returncode == 0


def test_an_unknown_device_is_added_with_its_frames_as_text(
    tmp_path: Path, config: Path, talking: Callable[[bytes], Path]
) -> None:
    """Without a person, the likeliest guess."""
    port = talking(b"T:21.5\n")
    done = run(tmp_path, "add", str(port), "--yes", "--name", "room")
    assert done.returncode == 0, done.stderr
    added = json.loads(config.read_text())["devices"][1]
    assert (added["name"], added["delimiter"], added["telemetry"]) == (
        "room",
        "\n",
        [{"type": "string", "key": "frame"}],
    )


def test_a_configuration_that_would_be_broken_stays_as_it_was(tmp_path: Path, config: Path) -> None:
    """The problem is named, and nothing was changed."""
    before = config.read_text()
    done = run(tmp_path, "add", "/dev/ttyOther", "--profile", "nonsense", "--name", "x")
    assert done.returncode == 78
    assert "nonsense" in done.stderr
    assert config.read_text() == before
    for words in (["--name", "old"], ["--connector", "T"]):
        assert run(tmp_path, "add", "/dev/ttyOther", "--profile", "sds011", *words).returncode in (1, 2)
    assert run(tmp_path, "add", "/dev/ttyOld", "--profile", "sds011", "--name", "x").returncode == 1
    assert config.read_text() == before
