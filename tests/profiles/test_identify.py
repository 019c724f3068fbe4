"""`serialgw identify` on pseudo-terminals, at the other end of which devices talk, or wait to be asked."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.io.exits import EXIT_UNAVAILABLE
from services.cli.__main__ import main
from tests.profiles.samples import samples_of

Captured = pytest.CaptureFixture[str]
PACE_S = 0.02
TALKING = (
    "victron-ve-direct",
    "dsmr-p1",
    "sml",
    "nmea0183",
    "sds011",
    "pmsx003",
    "rdm6300",
    "teleinfo",
    "gill-windsonic",
)


@contextmanager
def device(says: bytes = b"", answers: dict[bytes, bytes] | None = None) -> Iterator[str]:
    """The path of a port with a device at its other end: it says something again and again, and answers."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    ended = threading.Event()

    def run() -> None:
        asked = b""
        while not ended.is_set():
            if says:
                try:
                    os.write(ours, says)
                except BlockingIOError:
                    pass
            if select.select([ours], [], [], PACE_S)[0]:
                asked += os.read(ours, 4096)
            for question, answer in (answers or {}).items():
                if question in asked:
                    asked = b""
                    os.write(ours, answer)
            # Who talks, does so at a pace.
            ended.wait(PACE_S)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        ended.set()
        thread.join()
        os.close(ours)
        os.close(theirs)


def identify(port: str, folder: Path, *more: str, seconds: str = "0.2") -> int:
    return main(["identify", port, "--seconds", seconds, "--data-dir", str(folder), "--dir", str(folder), *more])


@pytest.mark.parametrize("name", TALKING)
def test_a_device_that_talks_is_named(name: str, tmp_path: Path, capsys: Captured) -> None:
    """First of all, with values, its setting, and what to do next."""
    sample = samples_of(name)[0]
    with device(sample.stream) as port:
        assert identify(port, tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert found[0]["profile"] == name
    assert found[0]["checked"]
    assert found[0]["frames"] >= 2
    assert found[0]["values"]


def test_what_is_found_is_said_with_the_next_step(tmp_path: Path, capsys: Captured) -> None:
    """Progress on standard error, the result on standard output."""
    with device(samples_of("sds011")[0].stream) as port:
        assert identify(port, tmp_path) == 0
    out, err = capsys.readouterr()
    assert "sds011: Nova SDS011 particle sensor, 9600 8N1, " in out
    assert "pm25 = 0.6" in out
    assert f"serialgw init {port} --profile sds011\n" in out
    assert "listening at 9600 8N1" in err


def asked_and_answered(name: str) -> dict[bytes, bytes]:
    answers: dict[bytes, Any] = {}
    for sample in samples_of(name):
        if len(sample.asked) == 1 and not sample.says.get("parameters") and not sample.says.get("device"):
            answers.setdefault(sample.asked[0], sample.stream)
    return answers


@pytest.mark.parametrize("name", ["voltronic-pi30", "jbd-bms", "pzem-016"])
def test_a_device_that_must_be_asked_is_named(name: str, tmp_path: Path, capsys: Captured) -> None:
    """With `--ask`; without, nothing is written to it."""
    with device(answers=asked_and_answered(name)) as port:
        assert identify(port, tmp_path, "--ask", "--json", seconds="0.1") == 0
        found = json.loads(capsys.readouterr().out)["found"]
        assert name in [one["profile"] for one in found]
        assert identify(port, tmp_path, "--json", seconds="0.05") == 1
    assert json.loads(capsys.readouterr().out)["found"] == []


OWN: dict[str, Any] = {
    "title": "t",
    "vendor": "v",
    "models": ["m"],
    "version": 1,
    "sources": ["s"],
    "licence": "Apache-2.0",
    "formats": ["9600 8N1"],
}


def test_a_profile_of_ones_own_may_have_a_delimiter(tmp_path: Path, capsys: Captured) -> None:
    """As a device of the configuration may; its frames have no checksum to be sure by."""
    points = [{"key": "t", "type": "float", "fromDelimiter": "T=", "untilDelimiter": ";"}]
    shape = {"type": "m", "baudrate": 9600, "delimiter": "\r\n", "telemetry": points}
    tests = [{"what": "made up", "stream": "T=21.5;\r\n", "frames": 1, "telemetry": {"t": 21.5}}]
    (tmp_path / "profiles").mkdir()
    said = {"profile": "mine", **OWN, "talks": "by itself", "device": shape, "tests": tests}
    (tmp_path / "profiles" / "mine.json").write_text(json.dumps(said))
    with device(b"T=21.5;\r\n") as port:
        assert identify(port, tmp_path, "--json") == 0
    [found] = json.loads(capsys.readouterr().out)["found"]
    assert (found["profile"], found["checked"], found["values"]) == ("mine", False, {"t": 21.5})


def test_an_answer_is_known_by_its_own_framing(tmp_path: Path, capsys: Captured) -> None:
    """Which is the question's, and not the line's."""
    message = {"name": "energy", "ask": "hex:05 00", "every": 2, "framing": {"length": 6}}
    message |= {"checksum": {"type": "sum8", "from": 1}, "telemetry": [{"key": "energy", "at": 1, "type": "uint16"}]}
    shape = {"type": "m", "baudrate": 9600, "framing": {"end": "\n"}, "messages": [message]}
    sample = {"what": "made up", "stream": "hex:05 01 02 03 05 0B", "asked": "hex:05 00", "telemetry": {"energy": 258}}
    (tmp_path / "profiles").mkdir()
    said = {"profile": "mine", **OWN, "talks": "when asked", "device": shape, "tests": [{**sample, "frames": 1}]}
    (tmp_path / "profiles" / "mine.json").write_text(json.dumps(said))
    with device(answers={b"\x05\0": bytes.fromhex("05010203050b")}) as port:
        assert identify(port, tmp_path, "--ask", "--json", seconds="0.1") == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert [(one["profile"], one["values"]) for one in found] == [("mine", {"energy": 258})]


def test_nothing_is_said_to_be_nothing(tmp_path: Path, capsys: Captured) -> None:
    """A silent line, and one whose bytes no profile knows; each with what may help."""
    with device() as port:
        assert identify(port, tmp_path, seconds="0.05") == 1
    out = capsys.readouterr().out
    assert "nothing came, at any setting" in out
    assert f"serialgw identify {port} --ask" in out
    with device(bytes(range(256))) as port:
        assert identify(port, tmp_path, seconds="0.05") == 1
    assert "bytes came, and no profile fits them" in capsys.readouterr().out


def test_a_port_that_somebody_has_is_refused(tmp_path: Path, capsys: Captured) -> None:
    """Two who read one line would each get a part of it."""
    with device() as port:
        taken = os.open(port, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(taken, fcntl.LOCK_EX)
            assert identify(port, tmp_path) == EXIT_UNAVAILABLE
        finally:
            os.close(taken)
    assert "another process has it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("port", "code", "said"),
    [
        ("/dev/ttyUSB99", EXIT_UNAVAILABLE, "/dev/ttyUSB99: No such file or directory"),
        ("socket://h:1", 2, "expected a serial port of this host"),
    ],
)
def test_what_is_no_port_is_said(port: str, code: int, said: str, tmp_path: Path, capsys: Captured) -> None:
    """With the exit code of its kind."""
    assert identify(port, tmp_path) == code
    assert said in capsys.readouterr().err


def test_a_wrong_time_is_wrong_usage(tmp_path: Path, capsys: Captured) -> None:
    """Not a number, or none that makes sense."""
    for text in ("soon", "0", "nan", "1000"):
        with pytest.raises(SystemExit) as caught:
            identify("/dev/ttyUSB0", tmp_path, seconds=text)
        assert caught.value.code == 2
    assert "expected seconds from 0.05 to 60" in capsys.readouterr().err
