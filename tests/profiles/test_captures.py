"""Captures of known devices, in tests/cases/captures: `identify` names them as they are replayed, `try` shows all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.__main__ import main
from services.cli.captures.files import read_capture
from services.cli.captures.form import Chunk
from tests.profiles.samples import samples_of
from tests.support.replaying import CAPTURES, replayed

Captured = pytest.CaptureFixture[str]
SAMPLES = {
    "sds011": (0, 2, 1, 0),
    "pmsx003": (0, 0),
    "victron-ve-direct": (0, 1, 0),
    "dsmr-p1": (0, 1, 0),
    "sml": (0, 1, 0),
    "nmea0183": (0, 1, 2, 0),
}
"""Profile → its samples that the capture is composed of."""
QUICK = ("--seconds", "0.4")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_capture_is_composed_of_samples(name: str) -> None:
    """So it says what a device of this kind says."""
    entries = read_capture(CAPTURES / f"{name}.txt", 1_000_000)
    said = b"".join(one.data for one in entries if isinstance(one, Chunk))
    assert said == b"".join(samples_of(name)[number].stream for number in SAMPLES[name])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_replayed_device_is_named(name: str, tmp_path: Path, capsys: Captured) -> None:
    """First of all, by its checksums, whatever the setting at which the line is opened."""
    with replayed(CAPTURES / f"{name}.txt", "--loop", "--speed", "20") as port:
        arguments = ["identify", port, *QUICK, "--json", "--data-dir", str(tmp_path), "--dir", str(tmp_path)]
        assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert (found[0]["profile"], found[0]["checked"]) == (name, True)
    assert found[0]["values"]


def test_a_replayed_meter_answers_and_is_named(tmp_path: Path, capsys: Captured) -> None:
    """With its recorded answers to the recorded question."""
    with replayed(CAPTURES / "pzem-016.txt", "--at-once") as port:
        arguments = ["identify", port, "--seconds", "0.1", "--ask", "--json"]
        assert main([*arguments, "--data-dir", str(tmp_path), "--dir", str(tmp_path)]) == 0
    assert "pzem-016" in [one["profile"] for one in json.loads(capsys.readouterr().out)["found"]]


@pytest.mark.parametrize("name", [*SAMPLES, "pzem-016"])
def test_try_says_of_each_byte_what_becomes_of_it(name: str, capsys: Captured) -> None:
    """Frames and dead pieces are all of a line but what its framing leaves out; points took bytes of their frames."""
    path = CAPTURES / f"{name}.txt"
    assert main(["try", "--profile", name, str(path), "--json"]) in (0, 1)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    said = b"".join(one.data for one in read_capture(path, 1_000_000) if isinstance(one, Chunk) and not one.is_written)
    taken = sum(one["bytes"] for one in shown if not one.get("written"))
    assert taken <= len(said)
    assert taken >= 0.95 * len(said)
    points = [(point, bytes.fromhex(one["hex"])) for one in shown for point in one.get("points", ())]
    spanned = [(point, frame) for point, frame in points if "from" in point]
    assert all(frame[point["from"] : point["to"]].hex() == point["hex"] for point, frame in spanned)
    assert all("from" in point for point, _ in points if point["status"] == "value")
    assert any(point["status"] == "value" for point, _ in points)
