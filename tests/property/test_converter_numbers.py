"""Every number that goes into the converter's core comes out, whatever happens on the way."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple

from common.config.models import Device
from common.core.events import Blocked, Send, Writable
from common.wire.messages import Entry, FrameBatch, Plane, ReadingBatch, UserReading
from services.converter.core.events import UserFrame
from tests.support.converting import PRESS, USER, World, body_of, frame_batch

NEVER_KNOWN = Device(name="never")
FRAMES = st.lists(st.binary(max_size=6) | st.integers(0, 99).map(lambda n: b"%d" % n), min_size=1, max_size=12)
KINDS = st.sampled_from([Entry.FRAMES, Entry.FRAMES, Entry.OPENED, Entry.LOST, Entry.ANSWER, Entry.DEAD])


@st.composite
def batches(draw: st.DrawFn) -> FrameBatch:
    kind = draw(KINDS)
    frames = draw(FRAMES)
    fields: dict[str, Any] = {"extra": ["call-1", draw(st.sampled_from(["get", "gone"]))]}
    if kind != Entry.FRAMES:
        frames = frames[:1]
    return frame_batch(draw(st.sampled_from([PRESS, USER, NEVER_KNOWN])), frames, 1, kind, **fields)


STEPS = st.lists(
    st.one_of(batches(), batches(), batches(), st.sampled_from(["teach", "block", "writable", "wait", "long wait"])),
    min_size=5,
    max_size=25,
)


def convert(frame: bytes) -> UserFrame:
    """Users' code that raises for some frames and has nothing to say for others."""
    if len(frame) % 3 == 0:
        return UserFrame([], "UserUp: ValueError")
    return UserFrame([UserReading("user", "t", [(None, b"{}")], b"")] if len(frame) % 3 == 1 else [])


class Run:
    """A core between a reader that numbers its batches and a publisher that keeps what comes."""

    def __init__(self, slice_frames: int, answers_at_once: bool) -> None:
        self._answers_at_once = answers_at_once
        self.world = World().start()
        self.world.users.slice_frames = slice_frames
        self.world.users.convert = convert
        self.sent: list[FrameBatch] = []
        self.out: list[ReadingBatch] = []
        self._next = 1

    def step(self, step: FrameBatch | str) -> None:
        match step:
            case FrameBatch():
                self.sent.append(step.replace(first=self._next))
                self._next += step.length
                self.world.say(self.sent[-1])
                if self._answers_at_once:
                    self.teach()
            case "teach":
                self.teach()
            case "block":
                for batch in self.world.take(ReadingBatch):
                    self.world.hear(Blocked(Plane.READINGS, batch))
            case "writable":
                self.world.hear(Writable(Plane.READINGS))
            case _:
                self.world.run_for(0.5 if step == "wait" else 6.0)

    def teach(self) -> None:
        """The readers of two devices answer, the third's never does."""
        for request in self.world.take_requests("section"):
            for device in (PRESS, USER):
                if request.device == device.name:
                    self.world.effects.append(Send(Plane.CALLS, request))
                    self.world.teach(device)

    def finish(self) -> None:
        for _ in range(3):
            self.step("writable")
            self.step("long wait")
        self.out += self.world.take(ReadingBatch)


@settings(max_examples=150)
@given(steps=STEPS, slice_frames=st.integers(1, 7), answers_at_once=st.booleans())
def test_every_number_that_goes_in_comes_out(
    steps: list[FrameBatch | str], slice_frames: int, answers_at_once: bool
) -> None:
    """One reading batch per frame batch: the same header and every entry, or length 0 and the credit back."""
    run = Run(slice_frames, answers_at_once)
    for step in steps:
        run.step(step)
    run.finish()
    assert sorted(batch.first for batch in run.out) == [batch.first for batch in run.sent]
    by_first = {batch.first: batch for batch in run.out}
    for sent in run.sent:
        batch = by_first[sent.first]
        made, came = astuple(batch), astuple(sent)
        assert made[:4] + made[5:8] == came[:4] + came[5:8]
        assert batch.length in (0, sent.length)
        body = body_of(batch)
        assert set(body.dead) | set(body.user) <= set(range(batch.length))
        assert not set(body.dead) & set(body.user)
        assert (body.answer is not None) == (sent.kind == Entry.ANSWER and batch.length == 1)
        if sent.device == NEVER_KNOWN.name and sent.kind in (Entry.FRAMES, Entry.ANSWER):
            assert batch.length == 0
