"""Each profile that comes with serialgw: its samples give their values, also cut, behind garbage, damaged."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from common.config.models import device_of, section_of
from common.config.profiles import OURS, settings_of
from common.config.reading import read_gateway
from common.core.modbus import span_of
from tests.profiles.samples import (
    KEYS,
    NAMES,
    Sample,
    compiled,
    cut,
    in_chunks,
    origin_of,
    profile_of,
    samples_of,
    sent_by,
    values_in,
)

FLIPPED_WHOLE = 600
"""Streams of up to so many bytes are tried with each of their bits turned; the few longer ones, of hundreds of lines of
one form, with every fourth: all of them take half a minute."""
GARBAGE = (b"\x00", b"\xff\x00\xff", b"garbage\r\n", bytes(range(256)))
NUMBERS = ("int", "float", "double", "hexint", "bcd")
WITHOUT_UNIT = re.compile(r"power_factor(_l\d)?|hdop")
"""Numbers that are not whole and have no unit."""
OF_UNIT_BESIDE = ("weight", "value")
"""Numbers whose unit the device says beside them."""
UNITS = {
    "energy": "kWh",
    "voltage": "V",
    "current": "A",
    "power": "W",
    "temperature": "°C",
    "frequency": "Hz",
    "charge": "Ah",
    "state_of_charge": "%",
    "humidity": "%",
    "pressure": "hPa",
}
"""First, or last but for a phase, word of a key → the unit that it has in all profiles."""


def frames_and_values(sample: Sample, chunks: list[bytes]) -> tuple[list[bytes], int, list[dict[str, Any]]]:
    """(frames, candidates whose checksum was wrong, what each frame says)."""
    frames, dead = cut(sample.device, chunks)
    wrong = sum(piece.reason.startswith("checksum") for piece in dead)
    return frames, wrong, values_in(compiled(sample), frames, origin_of(sample))


def has_crc(sample: Sample) -> bool:
    """True if all frames of the device have a check of 16 bits or more that finds each damaged bit."""
    checks = [shape.checksums for shape in sample.device.framing.shapes]
    return all(any(one.type.startswith(("crc16", "crc24", "crc32")) for one in some) for some in checks)


@pytest.mark.parametrize("name", NAMES)
def test_samples_give_their_frames_and_values(name: str) -> None:
    """However the line is cut into chunks; and nothing in a sample is wrong or left over."""
    for sample in samples_of(name):
        says = sample.says
        whole = frames_and_values(sample, [sample.stream])
        for size in (1, 7):
            assert frames_and_values(sample, in_chunks(sample.stream, size)) == whole, says["what"]
        frames, wrong, values = whole
        assert (len(frames), wrong) == (says["frames"], says.get("dead", 0)), says["what"]
        result = compiled(sample).convert_batch(frames, [], origin_of(sample))
        assert (result.errors, result.unfit, result.dead) == (0, 0, {}), says["what"]
        together = {key: value for said in values for key, value in said.items()}
        expected = says["telemetry"]
        found = values if isinstance(expected, list) else [together]
        for said, wanted in zip(found, expected if isinstance(expected, list) else [expected], strict=True):
            assert {key: said.get(key) for key in wanted} == wanted, says["what"]
            assert [type(said[key]) is bool for key in wanted] == [type(value) is bool for value in wanted.values()]
        attributes = says.get("attributes", {})
        assert {key: together.get(key) for key in attributes} == attributes, says["what"]


@pytest.mark.parametrize("name", NAMES)
def test_samples_behind_garbage_and_a_truncated_copy(name: str) -> None:
    """What stands in front costs nothing of the frames behind it. Lines without a beginning need one line to begin."""
    for sample in samples_of(name):
        good, _ = cut(sample.device, [sample.stream])
        in_front = [*GARBAGE, *(sample.stream[:at] for at in {1, len(sample.stream) // 2, len(sample.stream) - 1})]
        starts = all(shape.starts or shape.code for shape in sample.device.framing.shapes)
        for front in in_front:
            times = 1 if starts else 2
            frames, _ = cut(sample.device, [front + sample.stream * times])
            assert frames[-len(good) :] == good, (sample.says["what"], front)


@pytest.mark.parametrize("name", NAMES)
def test_samples_with_a_bit_turned(name: str) -> None:
    """The good ones behind are found; and where a CRC is in all frames, no value comes out that was never said."""
    for sample in samples_of(name):
        stream = sample.stream
        good, _ = cut(sample.device, [stream])
        converter, origin = compiled(sample), origin_of(sample)
        known = set(good)
        values = [*values_in(converter, good, origin), {}]
        # A line without a beginning takes the one behind it along; so does a sum of 8 bits, once in 256 times.
        behind = stream * (1 if has_crc(sample) else 2)
        for at in range(len(stream)):
            for bit in range(8) if len(stream) <= FLIPPED_WHOLE else range(at % 4, 8, 4):
                damaged = bytearray(stream)
                damaged[at] ^= 1 << bit
                frames, _ = cut(sample.device, [bytes(damaged) + behind])
                assert frames[-len(good) :] == good, (sample.says["what"], at, bit)
                strange = [frame for frame in frames if frame not in known] if has_crc(sample) else []
                if strange:
                    # A CRC in small letters is right, too; and one that is right by chance is not what was asked for.
                    said = values_in(converter, strange, origin)
                    assert all(one in values for one in said), (sample.says["what"], at, bit, said)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_is_what_the_makers_say(name: str) -> None:
    """Byte for byte, and each question of the profile is in a sample."""
    asked = set()
    wanted = set()
    for sample in samples_of(name):
        assert not sample.asked or sample.ask is not None, (sample.says["what"], sample.asked)
        asked |= {sample.ask.name} if sample.ask is not None else set()
        wanted |= {ask.name for ask in sample.device.asking.asks} if sample.device.asking is not None else set()
    spans = {name: span_of(name) for name in wanted}
    merged = {name for name, span in spans.items() if span is None or any_sample_reads(span, asked)}
    assert merged <= asked
    assert bool(asked) == (profile_of(name).talks == "when asked")


def any_sample_reads(span: Any, asked: set[str]) -> bool:
    """False for a read of one point, where the read of several that it is a part of is in a sample."""
    others = [other for other in map(span_of, asked) if other is not None and other != span]
    return not any(
        other.table == span.table and other.first <= span.first and span.end <= other.end for other in others
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_point_is_in_a_sample(name: str) -> None:
    """A key that no sample's words name could be anything."""
    named: set[str] = set()
    keys: set[str] = set()
    for sample in samples_of(name):
        said = sample.says["telemetry"]
        for values in (*(said if isinstance(said, list) else [said]), sample.says.get("attributes", {})):
            named |= values.keys()
        keys |= {point.key for point in (*sample.device.all_telemetry, *sample.device.all_attributes)}
    assert keys == named


@pytest.mark.parametrize("name", NAMES)
def test_profiles_say_who_they_are(name: str) -> None:
    """Where their facts are from, under which licence they stand, and how their devices talk."""
    profile = profile_of(name)
    assert json.loads((OURS / f"{name}.json").read_text("utf-8"))["profile"] == name
    assert profile.title
    assert profile.vendor
    assert profile.models
    assert profile.sources
    assert profile.licence == "Apache-2.0"
    assert profile.formats
    assert len(profile.tests) >= 3
    settings = [settings_of(text) for text in profile.formats]
    line = samples_of(name)[0].device.line
    assert {key: getattr(line, key) for key in settings[0]} == settings[0]
    for says in profile.tests:
        assert says.keys() <= KEYS
        assert says["what"]
        assert says["source"]
        # A sample that nobody has seen on a line is marked; its source is what it was composed after.
        assert says.get("composed") in (None, True)
        assert says["source"].startswith("after ") == ("composed" in says), says["source"]


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_words_and_numbers_have_units(name: str) -> None:
    """The same words as in other profiles, in small letters, and the same units."""
    for message in samples_of(name)[0].device.messages:
        points = (*message.telemetry, *message.attributes)
        for point in points:
            assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", point.key), point.key
            meaning = point.meaning
            whole = point.type not in ("float", "double", "float32", "float64") and meaning.scale in (1, -1)
            if not whole and not meaning.map and point.key not in OF_UNIT_BESIDE:
                assert meaning.unit or WITHOUT_UNIT.fullmatch(point.key), point.key
            words = re.sub(r"_(l?\d+|max|min|total|today|absolute|import|export|scc)\b", "", point.key).split("_")
            unit = UNITS.get("_".join(words)) or UNITS.get(words[-1]) or UNITS.get(words[0])
            if meaning.unit and unit and meaning.unit not in ("VA", "var", "K"):
                assert meaning.unit == unit, point.key


@pytest.mark.parametrize("name", NAMES)
def test_no_number_of_a_person_or_a_meter(name: str) -> None:
    """Streams have no long numbers but dates, zeros, bits and what stands in the values."""
    for sample in samples_of(name):
        said = sample.says["telemetry"]
        values = {str(v) for one in (said if isinstance(said, list) else [said]) for v in one.values()}
        text = sample.stream.decode("latin-1")
        for run in re.findall(r"(?<![0-9A-Fa-f.])\d{8,}(?![0-9A-Fa-f.WS])", text):
            plain = run.lstrip("0")
            known = any(plain.rstrip("0") in value.replace(".", "") for value in values)
            assert (
                len(plain) < 8 or known or set(run) <= {"0", "1"} or set(run) == {"9"} or run in ("30" * 16, "30" * 17)
            ), run


def test_samples_survive_the_journal() -> None:
    """A section that is journaled reads as it was, with nothing in it of the profile that it came from."""
    for name in NAMES:
        device = samples_of(name)[0].device
        assert device_of(section_of(device)) == device


@pytest.mark.parametrize("name", NAMES)
def test_a_section_of_three_keys_is_a_whole_device(name: str, tmp_path: Any) -> None:
    """Name, port and profile, in a file, without a warning."""
    path = tmp_path / "serial.json"
    path.write_text(json.dumps({"name": "S", "devices": [{"name": "d", "port": "/dev/ttyUSB0", "profile": name}]}))
    loaded = read_gateway(path, {})
    assert not [text for text in loaded.warnings if "devices[0]" in text or "profiles" in text]
    assert loaded.gateway.devices[0].framing == samples_of(name)[0].device.framing


def test_sent_by_names_the_sends_alone() -> None:
    """Of a dialogue with waits and baud rates, what goes out."""
    (sample, *_) = samples_of("iec62056-21")
    assert sample.ask is not None
    assert sent_by(sample.ask) == (b"/?!\r\n", b"\x06050\r\n")
