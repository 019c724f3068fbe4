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


def section(number: int) -> str:
    return json.dumps({"name": f"d{number}", "port": f"/dev/ttyX{number}", "profile": "sds011"})


def test_two_who_add_at_once_both_do(tmp_path: Path, config: Path) -> None:
    """None of them undoes what another has written."""
    numbers = range(4)
    done: list[subprocess.CompletedProcess[str]] = []
    adding = [
        threading.Thread(target=lambda n=n: done.append(run(tmp_path, "add", "--section", "-", said=section(n))))
        for n in numbers
    ]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join(60)
    assert [one.returncode for one in done] == [0] * len(numbers), [one.stderr for one in done]
    assert {one["name"] for one in json.loads(config.read_text())["devices"]} == {"old", *(f"d{n}" for n in numbers)}


def test_the_file_stays_whose_it_was_and_where_its_link_leads(tmp_path: Path, config: Path) -> None:
    """Also where root adds a device: else the gateway's user could not read its configuration any more."""
    real = tmp_path / "kept" / "real.json"
    real.parent.mkdir()
    config.rename(real)
    config.symlink_to(real)
    real.write_bytes(b"\xef\xbb\xbf" + real.read_bytes().replace(b"\n", b"\r\n"))
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 1234, 1235)
    before, text = real.stat(), real.read_bytes()
    done = run(tmp_path, "add", "--section", "-", said=section(1))
    assert done.returncode == 0, done.stderr
    after = real.stat()
    assert config.is_symlink()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    changed = real.read_bytes()
    assert changed.startswith(text[: text.index(b"\r\n   ] }")])
    assert changed.count(b"\n") == changed.count(b"\r\n")
    assert os.listdir(real.parent) == ["real.json"]
    assert run(tmp_path, "check", "tb_gateway.json").returncode == 0


def test_a_configuration_that_would_be_broken_is_never_there(tmp_path: Path, config: Path) -> None:
    """Whoever reads the files meanwhile finds them whole: they are found good before they are written."""
    before = config.stat()
    done = run(tmp_path, "add", "/dev/ttyOther", "--profile", "nonsense", "--name", "x")
    assert done.returncode == 78
    assert "serial.json: devices[1].profile" in done.stderr
    assert (config.stat().st_ino, config.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_elsewhere_is_changed_too(tmp_path: Path, config: Path) -> None:
    """Or is as it was."""
    folder = tmp_path / "main"
    folder.mkdir()
    main = (tmp_path / "tb_gateway.json").read_text().replace("serial.json", "../serial.json")
    (folder / "tb_gateway.json").write_text(main)
    before, found = config.read_text(), config.stat()
    done = run(folder, "add", "/dev/ttyOther", "--profile", "nonsense", "--name", "x")
    assert done.returncode == 78
    assert "../serial.json: devices[1].profile" in done.stderr
    assert config.read_text() == before
    # It was never written, not even for a moment.
    assert (config.stat().st_ino, config.stat().st_mtime_ns) == (found.st_ino, found.st_mtime_ns)
    (folder / "section.json").write_text(section(1))
    assert run(folder, "add", "--section", "section.json").returncode == 0
    assert json.loads(config.read_text())["devices"][1]["name"] == "d1"


def test_a_section_is_no_word_of_the_command(tmp_path: Path, config: Path) -> None:
    """Everybody sees those in `ps`, with what is secret in them; nor is an empty name a name."""
    before = config.read_text()
    refused = run(tmp_path, "add", "--section", section(1))
    assert refused.returncode == 2
    assert "expected a file's name, or - for standard input" in refused.stderr
    assert "sds011" not in refused.stderr
    assert run(tmp_path, "add", "--section", "nowhere.json").returncode == 2
    for said in ("[]", "{", '{"name": 1, "port": "x"}', '{"name": "", "port": "/dev/ttyX"}'):
        assert run(tmp_path, "add", "--section", "-", said=said).returncode == 2
    unnamed = run(tmp_path, "add", "/dev/ttyX", "--profile", "sds011", "--name", "", "--yes")
    assert unnamed.returncode == 2
    assert "expected a name" in unnamed.stderr
    assert config.read_text() == before
