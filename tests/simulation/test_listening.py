"""A port reader that listens to others now and again only: how late it hears what the publisher says of its stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from common.core.liveness import STEADY_BEAT_S
from common.stream.keeping.upkeep import TRIM_S
from common.stream.limits import Limits
from common.stream.uplink import Uplink
from common.wire.messages import Heartbeat, Message, Plane, StreamReport
from services.port_reader.core.hold import FULL_BYTES, LONGEST_S
from tests.simulation.kernel import Process
from tests.simulation.scenario import DevicePlan, Scenario
from tests.simulation.world import World

STEP_S = 0.01
HEARD_S = LONGEST_S + 2 * STEP_S
"""News may be heard so late: after a rest, and by us in the step after it."""
WINDOW = 64
SOON_S = 0.15
"""All processes together take less; a deaf reader hears by its resend timer, after 0.25 s."""


class Talk:
    """A world with one line, and what the publisher has told its reader: what of it is not heard, or still stored."""

    def __init__(self, *, ends_frames: bool = True, slow_s: float = 0.005, window: int = 4_096) -> None:
        limits = Limits(window_frames=window)
        plan = DevicePlan(False, rate_hz=1.0, pauses=False, until_s=0.0, answers_after_s=(0.01,), limits=limits)
        self.world = World(Scenario(1, (plan,), 1, True, {}, user_frame_s=0.001, calls=0, faults=()))
        self.clock = self.world.clock
        self.reader = self.world.readers[0]
        self.reader.line.ends_frames = ends_frames
        self.world.platform.slow_s = slow_s
        self.told: dict[int, float] = {}
        """Settled up to here → when the publisher said so."""
        self.steady_beats = 0
        self.heard_late_s = self.trimmed_late_s = 0.0
        self.most_in_flight = 0
        self._send = self.world.send
        self.world.send = self._watch  # type: ignore[method-assign]
        self.world.start()
        self.clock.run(3.0)

    @property
    def uplink(self) -> Uplink:
        return self.reader.core._source.streams[0].uplink  # type: ignore[union-attr, no-any-return]

    def _watch(self, sender: Process, plane: Plane, message: Message) -> Iterable[Any]:
        if isinstance(message, StreamReport):
            self.told.setdefault(message.settled, self.clock.now_s)
        elif isinstance(message, Heartbeat) and sender is self.reader:
            self.steady_beats += message.every_s == STEADY_BEAT_S
        return self._send(sender, plane, message)

    def run(self, seconds: float) -> None:
        """Time passes; how late news is heard, and what is settled leaves the journal."""
        end_s = self.clock.now_s + seconds
        while self.clock.now_s < end_s:
            self.clock.run(min(STEP_S, end_s - self.clock.now_s))
            uplink = self.uplink
            heard = uplink.stream.next_number - uplink.backlog
            stored = min(self.reader.disk.rows, default=heard)
            self.most_in_flight = max(self.most_in_flight, uplink.in_flight[0])
            for number, told_s in list(self.told.items()):
                late_s = self.clock.now_s - told_s
                if number > heard:
                    self.heard_late_s = max(self.heard_late_s, late_s)
                elif number > stored:
                    self.trimmed_late_s = max(self.trimmed_late_s, late_s)
                else:
                    del self.told[number]


@pytest.mark.parametrize("slow_s", [0.005, 0.5])
@pytest.mark.parametrize("ends_frames", [True, False])
@pytest.mark.parametrize("rate_hz", [0.1, 0.17, 0.2, 0.45, 1.0, 3.0, 20.0])
def test_news_of_a_line_that_says_something_now_and_again_is_heard(
    rate_hz: float, ends_frames: bool, slow_s: float
) -> None:
    """However often it speaks, whatever ends its frames, and however long the platform takes: what is settled is heard
    of within a rest, and leaves the journal soon after."""
    talk = Talk(ends_frames=ends_frames, slow_s=slow_s, window=WINDOW)
    for _ in range(int(min(60.0, 200 / rate_hz) * rate_hz)):
        assert talk.reader.line.say_number()
        talk.run(1 / rate_hz)
    talk.run(TRIM_S + 4.0)
    assert not talk.told
    assert talk.heard_late_s <= HEARD_S
    assert talk.trimmed_late_s <= HEARD_S + TRIM_S
    assert talk.most_in_flight < WINDOW
    talk.world.close()


@pytest.mark.parametrize("rate_hz", [1.0, 3.0])
def test_a_full_read_right_after_a_slow_beat_is_passed_on_as_ever(rate_hz: float) -> None:
    """Much at once, where the reader has just put off for five seconds what is said of it."""
    talk = Talk()
    line = talk.reader.line
    while not talk.steady_beats:
        line.say_number()
        talk.run(1 / rate_hz)
    talk.reader.stop()
    while len(line.waiting) < FULL_BYTES:
        assert line.say_number()
    talk.reader.go_on()
    talk.run(SOON_S)
    assert talk.uplink.backlog == 0
    talk.world.close()
