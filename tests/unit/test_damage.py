"""Frames with a wrong checksum: their share, and the checksum that would be right."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from common.config.device.checksum_reading import read_checksum
from common.config.findings import Findings
from common.config.json_object import JsonObject
from common.config.models import Device, Line
from common.core.checksum import NAMES, Check, calculator, sealed, size_of, speller
from common.core.checksum_guess import Guess, guess_checksum
from common.core.frame_shape import Checksum, Spelling
from tests.support.framing import framing_of
from tests.support.port_reader_rig import Rig

SECTION: dict[str, Any] = {"framing": {"start": "hex:AA", "length": 8}, "checksum": {"type": "sum8"}}
PAYLOADS = [bytes((0xAA, 1, at, 3 * at & 0xFF, 0x7E, 17 * at & 0xFF)) for at in range(1, 30)]

SDI12 = Checksum(type="crc16-arc", spelling="sdi12")


def rig_of(section: dict[str, Any]) -> Rig:
    rig = Rig(Device(name="d", type="t", framing=framing_of(section), line=Line(baudrate=9600)))
    rig.beat()
    return rig


def read_again(found: Guess) -> Checksum | None:
    """What a configuration with the keys of a guess says; None if it is refused."""
    return read_checksum(JsonObject(found.keys, "serial.json", "devices[0].checksum", Findings()))


@pytest.mark.parametrize("name", NAMES)
def test_each_checksum_is_recognized_behind_another_name(name: str):
    """By frames that have it: the name, or another way to say the same of these frames."""
    right = Checksum(type=name, from_byte=1)
    frames = [sealed(right, payload) for payload in PAYLOADS[:8]]
    wrong = Checksum(type="sum8" if name != "sum8" else "crc8", at_byte=-size_of(right))
    found = guess_checksum(wrong if size_of(right) == 1 else Checksum(type=wrong.type), frames)
    assert found is not None
    check = Check(found.checksum)
    assert all(check.is_right(sealed(right, payload)) for payload in PAYLOADS[8:])
    assert read_again(found) == found.checksum


def test_nothing_is_guessed_from_too_little():
    """One frame with a sum of eight bits, or frames that have nothing to do with each other."""
    right = Checksum(type="xor8")
    assert guess_checksum(Checksum(type="sum8"), [sealed(right, PAYLOADS[0])] * 5) is None
    assert guess_checksum(Checksum(type="sum8"), [bytes(range(at, at + 8)) + b"\x5a" for at in range(8)]) is None
    assert guess_checksum(Checksum(type="sum8"), []) is None


@pytest.mark.parametrize("spelling", get_args(Spelling))
@pytest.mark.parametrize("configured", NAMES)
def test_a_guess_ends_whatever_is_configured(configured: str, spelling: Spelling):
    """Each kind that is written in each way, with frames that are right by another one and frames that are nothing:
    what is found is what these frames have, and can be configured."""
    right = Checksum(type="crc16-modbus", spelling="little")
    wrong = Checksum(type=configured, spelling=spelling)
    nothing = [bytes((at, 7 * at & 0xFF, 0x40 | at, 0x5F, 0x7E)) for at in range(8)]
    assert guess_checksum(wrong, nothing) is None
    found = guess_checksum(wrong, [sealed(right, payload) for payload in PAYLOADS[:8]])
    assert found is not None
    assert found.checksum.type == "crc16-modbus"
    assert read_again(found) == found.checksum


def test_what_has_no_room_for_a_kind_is_not_tried_with_it():
    """Frames that end with three characters of the lowest 18 bits of a sum: such a checksum can't be configured."""
    frames = [payload + speller(SDI12)(sum(payload)) for payload in PAYLOADS[:8]]
    found = guess_checksum(SDI12, frames)
    assert found is not None
    assert found.checksum.type == "sum16"
    for narrow in ("sum8", "xor8"):
        written = [payload + speller(SDI12)(calculator(Checksum(type=narrow))(payload)) for payload in PAYLOADS[:8]]
        found = guess_checksum(SDI12, written)
        assert found is None or read_again(found) == found.checksum


def test_a_byte_that_is_always_zero_is_no_checksum_of_nothing():
    """The checksum stands early in the frame, and what begins behind it would be over no byte at all."""
    frames = [bytes((0xAA, at, 0, 3 * at & 0xFF)) for at in range(8)]
    assert guess_checksum(Checksum(type="crc8", at_byte=2), frames) is None


@pytest.mark.parametrize(
    ("wrong", "right", "data", "key"),
    [
        (
            Checksum(type="crc16-arc", after=b"\x03", spelling="hex"),
            Checksum(type="crc16-kermit", after=b"\x03", spelling="hex"),
            b"data %d\x03",
            ("after", "hex:03"),
        ),
        (
            Checksum(type="crc16-arc", after=b"\xc3\xa9", spelling="big"),
            Checksum(type="crc16-arc", after=b"\xc3\xa9", spelling="little"),
            b"data %d\xc3\xa9",
            ("after", "hex:C3 A9"),
        ),
        (
            Checksum(type="crc16-arc", to_after=b";", spelling="hex"),
            Checksum(type="crc16-x25", to_after=b";", spelling="hex"),
            b"data %d;more %d",
            ("toAfter", ";"),
        ),
    ],
)
def test_a_guess_says_every_key_that_it_needs(wrong, right, data, key):
    """Copied into a file the keys mean what was found, whatever bytes its texts stand for."""
    frames = [sealed(right, data.replace(b"%d", b"%d" % (at * at))) for at in range(20, 28)]
    found = guess_checksum(wrong, frames)
    assert found is not None
    assert found.checksum.type == right.type
    assert found.keys[key[0]] == key[1]
    assert read_again(found) == found.checksum


def test_a_line_with_a_wrong_checksum_in_the_file_says_which_one_fits():
    """Bytes come, no frame is found, and the cure is a key that can be copied."""
    rig = rig_of({**SECTION, "checksum": {"type": "crc16-xmodem"}})
    right = Checksum(type="crc16-modbus", spelling="little")
    for payload in PAYLOADS[:20]:
        rig.read(sealed(right, payload), after_s=1)
    rig.wait(1.5)
    said = rig.beats[-1].state["unframed"]
    assert 'set "checksum": {"type": "crc16-modbus", "as": "little"}' in said
    assert rig.count("checksums_wrong") >= 19


def test_a_disturbed_line_is_told_by_its_share():
    """A quarter of its frames is wrong; it is told while it lasts, and not after a minute without any."""
    rig = rig_of({**SECTION, "checksum": {"type": "crc16-modbus", "as": "little"}})
    right = Checksum(type="crc16-modbus", spelling="little")
    for at, payload in enumerate(PAYLOADS[:24]):
        frame = sealed(right, payload)
        rig.read(frame if at % 4 else frame[:-1] + bytes((frame[-1] ^ 1,)), after_s=1)
    rig.wait(1.5)
    said = rig.beats[-1].state["damaged"]
    assert said.startswith(
        "6 of the last 24 frames (25 %) have a wrong checksum; the last one: checksum: the frame says"
    )
    assert "is the line disturbed" in said
    assert rig.count("checksums_wrong") == 6
    for payload in PAYLOADS * 3:
        rig.read(sealed(right, payload), after_s=1)
    assert rig.beats[-1].state["damaged"] == ""


def test_a_burst_of_noise_is_not_told():
    """Two frames are no state of a line; the counter has them."""
    rig = rig_of({**SECTION, "checksum": {"type": "crc16-modbus", "as": "little"}})
    for _ in range(2):
        rig.read(b"\xaa\1\2\3\4\5\6\7", after_s=1)
    rig.wait(2.5)
    assert rig.beats[-1].state["damaged"] == ""
    assert rig.count("checksums_wrong") == 2
