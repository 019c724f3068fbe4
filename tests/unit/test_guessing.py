"""What is thought of a line by what came of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.identifying.candidates import candidates
from services.cli.probing.guessing import SILENCE_MS, SURE, Heard, best, guess

LINES = b"".join(b"T:%d.5;H:%d\r\n" % (number, number + 30) for number in range(20))
SDS011 = bytes.fromhex("aac00600060058d9") + b"\x3d\xab"


def test_text_line_by_line_is_sure() -> None:
    """With the ends that it has, and without the first line, which may have been joined in its middle."""
    found = guess(Heard("9600 8N1", (LINES,)))
    assert found.score >= SURE
    assert found.delimiter == b"\r\n"
    assert found.frames[-1] == b"T:19.5;H:49\r\n"
    assert found.section("/dev/x", "a") == {
        "name": "a",
        "port": "/dev/x",
        "baudrate": 9600,
        "bytesize": 8,
        "parity": "N",
        "stopbits": 1,
        "delimiter": "\r\n",
        "telemetry": [{"type": "string", "key": "frame"}],
    }


def test_the_right_setting_comes_before_noise() -> None:
    """What was heard at a wrong speed is no text; a person sees a sample of it all the same."""
    noise = bytes((number * 97 + 13) % 256 for number in range(300))
    guesses = best([guess(Heard("115200 8N1", (noise,))), guess(Heard("9600 8N1", (LINES,))), guess(Heard("1200 8N1"))])
    assert [one.setting for one in guesses] == ["9600 8N1", "115200 8N1"]
    assert "another setting" in guesses[1].reason


def test_line_errors_count_against_a_setting() -> None:
    """Text at the wrong parity may look right, and the driver knows better."""
    quiet, loud = guess(Heard("9600 8N1", (LINES,))), guess(Heard("9600 7E1", (LINES,), line_errors=len(LINES)))
    assert loud.score < quiet.score
    assert "line errors" in loud.reason


def test_a_known_device_is_named_by_its_checksums() -> None:
    """And its section is the profile."""
    some = [one for found in candidates(asks=False).values() for one in found if one.setting == "9600 8N1"]
    for _ in range(4):
        for one in some:
            one.listen(SDS011)
    found = guess(Heard("9600 8N1", (SDS011, b"", SDS011, b"")), some)
    assert (found.score, found.profiles[0]) == (1.0, "sds011")
    assert found.section("/dev/x", "air", found.profiles[0]) == {"name": "air", "port": "/dev/x", "profile": "sds011"}


def test_binary_frames_are_cut_where_the_line_is_silent() -> None:
    """Frames of one length with pauses between them."""
    frame = bytes.fromhex("5510ff0001fe")
    found = guess(Heard("9600 8N1", (frame, b"", frame, b"", frame, b"", frame, b"")))
    assert found.frames == (frame,) * 3
    assert "binary frames of 6 bytes" in found.reason
    section = found.section("/dev/ttyX", "a")
    assert section["framing"] == {"silenceMs": SILENCE_MS}


@pytest.mark.parametrize("chunks", [(), (b"",), (b"", b"")])
def test_silence_is_no_guess(chunks: tuple[bytes, ...]) -> None:
    """Nothing can be said of it."""
    assert best([guess(Heard("9600 8N1", chunks))]) == []


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 1000))
def test_whatever_comes_there_is_a_score(chunks: list[bytes], errors: int) -> None:
    """From 0 to 1, and frames are made of what came."""
    found = guess(Heard("9600 8N1", tuple(chunks), errors))
    assert 0 <= found.score <= 1
    assert all(frame in found_in(chunks) for frame in found.frames)


def found_in(chunks: list[bytes]) -> bytes:
    return b"".join(chunks)
