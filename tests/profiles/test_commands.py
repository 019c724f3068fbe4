"""`serialgw profiles`, and `init` and `try` with a profile."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from common.config.reading import read_gateway
from common.core.modbus import frame_of
from common.io.exits import EXIT_CONFIG
from docs.generate import PROFILES_PAGE, profiles_page
from services.cli.__main__ import main
from tests.profiles.samples import NAMES, samples_of

Captured = pytest.CaptureFixture[str]


def test_the_list_has_all(capsys: Captured) -> None:
    """For people and for programs."""
    assert main(["profiles"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in NAMES)
    assert main(["profiles", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["profile"] for one in listed] == list(NAMES)
    assert all(one["title"] and one["formats"] and one["talks"] for one in listed)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_shown_in_words(name: str, capsys: Captured) -> None:
    """Each of its values, its line and how its frames look; the same for a program."""
    assert main(["profiles", "show", name]) == 0
    text = capsys.readouterr().out
    device = samples_of(name)[0].device
    assert all(point.key in text for point in (*device.all_telemetry, *device.all_attributes))
    assert f'"profile":"{name}"' in text
    assert main(["profiles", "show", name, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["profile"], shown["licence"]) == (name, "Apache-2.0")
    assert shown["device"]["messages"]


def test_composed_samples_are_marked(capsys: Captured) -> None:
    """Each sample with where it is from; one that was composed after a document says so."""
    assert main(["profiles", "show", "sds011"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"smoke +composed after the data sheet\n", text)
    assert re.search(r"captured +avaldebe/PyPMS tests/captured_data/SDS01x.hexdump\n", text)
    assert main(["profiles", "show", "sds011", "--json"]) == 0
    samples = json.loads(capsys.readouterr().out)["samples"]
    assert [(one["what"], one["composed"]) for one in samples][-1] == ("smoke", True)
    assert [one["composed"] for one in samples].count(True) == 1


def test_ones_own_profiles_are_listed_and_shown(tmp_path: Path, capsys: Captured) -> None:
    """Those in the folder `profiles` of `--dir`."""
    (tmp_path / "profiles").mkdir()
    own = {"title": "Mine", "device": {"framing": "lines", "telemetry": [{"key": "k", "type": "string"}]}}
    (tmp_path / "profiles" / "mine.json").write_text(json.dumps(own))
    assert main(["profiles", "--dir", str(tmp_path)]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["profiles", "show", "mine", "--dir", str(tmp_path)]) == 0
    assert "mine: Mine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["profiles", "show"], 2, "found no name, expected serialgw profiles show NAME"),
        (["profiles", "show", "sds111"], EXIT_CONFIG, 'profile: found "sds111", expected a profile that there is'),
        (["try", "--profile", "sds011"], 2, "found nothing to try, expected --hex"),
        (["try", "--profile", "sds011", "file", "--hex", "00"], 2, "found bytes given twice"),
        (["try", "--profile", "sds011", "file", "device"], 2, "a profile has one device"),
        (["try", "--hex", "00"], 2, "found no configuration"),
        (["try", "--profile", "sds011", "not-there"], 2, "not-there: No such file"),
        (["init", "socket://h:1", "--profile", "sds111"], EXIT_CONFIG, 'profile: found "sds111"'),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: list[str], code: int, said: str, capsys: Captured) -> None:
    """With an exit code of its kind."""
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_a_frame_is_tried_under_a_profile(capsys: Captured) -> None:
    """Typed as digits."""
    assert main(["try", "--profile", "sds011", "--hex", "aa c0 06 00 06 00 58 d9 3d ab", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["telemetry"] == {"pm25": 0.6, "pm10": 0.6}


def test_a_file_of_bytes_is_tried_under_a_profile(tmp_path: Path, capsys: Captured) -> None:
    """What was captured, dead pieces with their reasons."""
    path = tmp_path / "captured.bin"
    path.write_bytes(samples_of("sds011")[1].stream)
    assert main(["try", "--profile", "sds011", str(path), "--json"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["telemetry"] for one in found if one["telemetry"]] == [
        {"pm25": 0.6, "pm10": 0.6},
        {"pm25": 0.9, "pm10": 0.9},
    ]
    assert any("checksum" in error["error"] for one in found for error in one["errors"])


ANSWER_OF_UNIT_7 = frame_of("modbus-rtu", 7, bytes((4, 2, 0, 0))).hex()


def test_an_answer_of_a_modbus_device_is_tried(capsys: Captured) -> None:
    """Under the question that it can answer; one that answers none is an error, and a refusal is said in words."""
    (sample,) = [one for one in samples_of("eastron-sdm630") if one.says["what"] == "frequency and energy"]
    assert main(["try", "--profile", "eastron-sdm630", "--hex", sample.stream.hex()]) == 0
    text = capsys.readouterr().out
    assert "answers    input:70+6" in text
    assert "telemetry  frequency      float32  [3:7]    42 48 14 7B  = 50.02" in text
    assert main(["try", "--profile", "eastron-sdm630", "--hex", ANSWER_OF_UNIT_7]) == 1
    assert "it answers none of the questions to this device" in capsys.readouterr().out
    assert main(["try", "--profile", "eastron-sdm630", "--hex", "01 84 02 c2 c1"]) == 1
    assert "illegal data address" in capsys.readouterr().out


def test_init_writes_a_device_with_a_profile(tmp_path: Path, capsys: Captured) -> None:
    """Which check takes as it is, with what may be said written out."""
    arguments = ["init", "/dev/ttyUSB0", "--anyway", "--dir", str(tmp_path), "--name", "meter"]
    assert main([*arguments, "--profile", "eastron-sdm120", "--baudrate", "9600"]) == 0
    assert "serialgw profiles show eastron-sdm120" in capsys.readouterr().out
    (section,) = json.loads((tmp_path / "custom_serial.json").read_text())["devices"]
    assert section == {
        "name": "meter",
        "port": "/dev/ttyUSB0",
        "profile": "eastron-sdm120",
        "baudrate": 9600,
        "parameters": {"address": 1},
    }
    (device,) = read_gateway(tmp_path / "tb_gateway.json", {}).gateway.devices
    assert (device.type, device.line.baudrate) == ("SDM120", 9600)
    assert main(["check", str(tmp_path / "tb_gateway.json")]) == 0


def test_the_page_is_what_would_be_written() -> None:
    """docs/profiles.md says what the profiles say; `make docs` writes it."""
    assert PROFILES_PAGE.read_text("utf-8") == profiles_page()
