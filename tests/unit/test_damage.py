"""Frames with a wrong checksum: their share, and the checksum that would be right."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.models import Device, Line
from common.core.checksum import NAMES, Check, sealed, size_of
from common.core.checksum_guess import guess_checksum
from common.core.frame_shape import Checksum
from tests.support.framing import framing_of
from tests.support.port_reader_rig import Rig

SECTION: dict[str, Any] = {"framing": {"start": "hex:AA", "length": 8}, "checksum": {"type": "sum8"}}
PAYLOADS = [bytes((0xAA, 1, at, 3 * at & 0xFF, 0x7E, 17 * at & 0xFF)) for at in range(1, 30)]


def rig_of(section: dict[str, Any]) -> Rig:
    rig = Rig(Device(name="d", type="t", framing=framing_of(section), line=Line(baudrate=9600)))
    rig.beat()
    return rig


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


def test_nothing_is_guessed_from_too_little():
    """One frame with a sum of eight bits, or frames that have nothing to do with each other."""
    right = Checksum(type="xor8")
    assert guess_checksum(Checksum(type="sum8"), [sealed(right, PAYLOADS[0])] * 5) is None
    assert guess_checksum(Checksum(type="sum8"), [bytes(range(at, at + 8)) + b"\x5a" for at in range(8)]) is None
    assert guess_checksum(Checksum(type="sum8"), []) is None


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
