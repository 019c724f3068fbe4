"""Which data points never find anything, from a device's frames to what the publisher's heartbeat says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.config.models import Device
from common.wire import codec
from common.wire.messages import Entry, ReadingBatch
from services.publisher.core.stream import Release, Run
from services.publisher.core.yields import ENOUGH_FRAMES, Yields
from tests.field.reading import read_device
from tests.support.converting import World, frame_batch

TWO: list[dict[str, Any]] = [
    {
        "name": "measure",
        "when": "^M;",
        "fields": ";",
        "telemetry": [{"key": "t", "field": 1, "type": "float"}, {"key": "h", "field": 4, "type": "float"}],
    },
    {"when": "^S;", "fields": ";", "telemetry": [{"key": "t", "field": 3, "type": "float"}, {"key": "u", "field": 1}]},
]
MEASURE, STATE, BLANK = b"M;21.5;;\n", b"S;12.6\n", b"\r\n"


class Watched:
    """A device, the converter's core, and what the publisher makes of the batches."""

    def __init__(self, folder: Path, **section: Any) -> None:
        self._device: Device = read_device(folder, **section)[0]
        self._world = World().start()
        self._world.know(self._device)
        self._yields = Yields()
        self._stream: Any = object()
        self.batches = 0
        """What the converter has sent."""

    def say(self, *frames: bytes, times: int = 1) -> Watched:
        """A batch with these frames, so many times."""
        for _ in range(times):
            self._world.say(frame_batch(self._device, list(frames)))
            for batch in self._world.take(ReadingBatch):
                body = codec.unpack_readings(batch.body, batch.length)
                self.batches += 1
                run = Run(self._stream, batch.first, batch.first + batch.length)
                self._yields.note("d", Release(run, Entry.FRAMES, body), 1.0)
        return self

    @property
    def absent(self) -> list[str]:
        """The data points that are told."""
        seen = self._yields.seen(2.0).get("d")
        return seen.absent if seen is not None else []


@pytest.fixture
def two(tmp_path: Path) -> Watched:
    return Watched(tmp_path, messages=TWO)


def test_batches_of_another_message_find_no_point_of_this_one(two: Watched) -> None:
    """A device that prints two kinds of lines, each in a batch of its own: each message's points are its own."""
    two.say(MEASURE, times=ENOUGH_FRAMES).say(STATE, times=3)
    assert two.absent == ["h of the message measure"]
    two.say(STATE, times=ENOUGH_FRAMES)
    assert two.absent == ["h of the message measure", "t of the message number 2"]


def test_a_key_that_two_messages_have_is_looked_for_in_both(two: Watched) -> None:
    """Found in one of them, it is lacking in the other, though both come in one batch."""
    two.say(MEASURE, STATE, times=ENOUGH_FRAMES)
    assert two.absent == ["h of the message measure", "t of the message number 2"]


def test_of_a_message_that_has_not_come_nothing_is_said(two: Watched) -> None:
    """Nor of one that has come too seldom, however many others have."""
    two.say(b"M;21.5;;;40\n", times=10 * ENOUGH_FRAMES)
    assert two.absent == []
    two.say(STATE, times=ENOUGH_FRAMES - 1)
    assert two.absent == []
    two.say(STATE)
    assert two.absent == ["t of the message number 2"]


def test_a_point_that_was_found_once_is_never_told_again(two: Watched) -> None:
    """Whatever comes behind it."""
    two.say(MEASURE, times=ENOUGH_FRAMES).say(b"M;21.5;;;40\n", STATE).say(MEASURE, STATE, times=2 * ENOUGH_FRAMES)
    assert two.absent == ["t of the message number 2"]


def test_frames_that_no_message_takes_find_nothing(tmp_path: Path) -> None:
    """Nor do blank ones: of a device with one message, whose points are told by their keys alone."""
    one = Watched(tmp_path, messages=TWO[:1])
    one.say(MEASURE, times=ENOUGH_FRAMES - 1).say(b"boot v1.2\n", BLANK, times=3)
    assert one.absent == []
    one.say(MEASURE).say(b"boot v1.2\n").say(BLANK)
    assert one.absent == ["h"]
    one.say(b"boot v1.2\n", b"M;21.5;;;40\n")
    assert one.absent == []


def test_blank_frames_lack_nothing(tmp_path: Path) -> None:
    """A message that takes any frame takes blank ones too."""
    any_frame = Watched(tmp_path, fields=";", telemetry=[{"key": "t", "field": 0}, {"key": "h", "field": 1}])
    any_frame.say(b"21.5;40\n", times=2).say(BLANK, times=2 * ENOUGH_FRAMES)
    assert any_frame.absent == []
    other = Watched(tmp_path, fields=";", telemetry=[{"key": "t", "field": 0}, {"key": "h", "field": 1}])
    other.say(BLANK, times=2 * ENOUGH_FRAMES).say(b"21.5\n", BLANK, times=ENOUGH_FRAMES)
    assert other.absent == ["h"]


def test_a_batch_that_travels_in_parts_finds_no_more_than_a_whole_one(tmp_path: Path) -> None:
    """What the converter made of it is too large for one message: its first part says nothing of what went wrong."""
    long = b"x" * 20_000 + b"\n"
    points = [{"key": "text", "type": "string"}, {"key": "h", "fromDelimiter": "h=", "type": "int"}]
    line = Watched(tmp_path, telemetry=points)
    line.say(*[long] * 500)
    assert (line.absent, line.batches) == (["h"], 2)
    parts = Watched(tmp_path, messages=[{**TWO[0], "telemetry": [*TWO[0]["telemetry"], {"key": "m", "field": 2}]}])
    parts.say(*[b"M;21.5;" + long] * 500)
    assert (parts.absent, parts.batches) == (["h"], 2)
