"""When a reader hears what the publisher says, also where a beat has put that off for seconds: its line says something
now and again, each time that is settled, and it beats every five seconds."""

from __future__ import annotations

from typing import Any

import pytest

from common.config.models import Device, Framing
from common.core.liveness import STEADY_BEAT_S
from common.stream.events import Listen
from common.stream.limits import Limits
from common.stream.listening import Listening
from services.port_reader.core.events import Rest
from services.port_reader.core.hold import FULL_BYTES
from services.port_reader.core.resting import SLOW_BACKLOG, SLOW_REPORTS_S
from tests.support.port_reader_rig import Rig

FRAME = b"a frame\n"
FULL_READ = FRAME * (FULL_BYTES // len(FRAME) + 1)
ENDLESS = b"no delimiter"
SILENCE_S = 0.5
"""So long the line is silent before that ends a frame."""


def deaf_s(rig: Rig) -> float:
    """How much longer nothing that the publisher says is heard, unless something else wakes the reader."""
    rests = [effect for effect in rig.performed if isinstance(effect, Listen | Rest)]
    until_s = rests[-1].until_s if isinstance(rests[-1], Listen) else rests[-1].reports_until_s
    return max(0.0, until_s - rig.now_s)


def send(rig: Rig, data: bytes) -> None:
    """The line says this; time passes until it is sent, and nobody else's beat is heard."""
    rig.read(data, 0.0)
    if data == ENDLESS:
        rig.wait(SILENCE_S + 0.01, heartbeats=False)


def settle(rig: Rig) -> None:
    rig.report(rig.uplink.stream.next_number)


def steady_rig(data: bytes, **options: Any) -> Rig:
    """A reader whose line says this each second. It has just said that its next beat comes in five, and is deaf until
    then."""
    rig = Rig(Device(name="d", framing=Framing(timeout_s=SILENCE_S)), **options)
    rig.wait(0.1)
    settle(rig)
    for _ in range(20):
        if rig.beats[-1].every_s == STEADY_BEAT_S:
            break
        send(rig, data)
        settle(rig)
        rig.wait(0.3, heartbeats=False)
    assert deaf_s(rig) > STEADY_BEAT_S - 1.0
    return rig


def deaf_rig_that_sends() -> Rig:
    """The bytes of a frame have come before a beat, and silence ends it after the beat: nothing is read when it is
    sent."""
    rig = steady_rig(ENDLESS)
    beat_s = rig.now_s + deaf_s(rig)
    while rig.now_s < beat_s - 1.0:
        send(rig, ENDLESS)
        settle(rig)
    rig.wait(beat_s - SILENCE_S / 2 - rig.now_s, heartbeats=False)
    send(rig, ENDLESS)
    assert (rig.now_s > beat_s, rig.uplink.backlog) == (True, 1)
    assert rig.beats[-1].every_s == STEADY_BEAT_S
    return rig


@pytest.mark.parametrize(("data", "company_s"), [(FULL_READ, None), (FRAME * (SLOW_BACKLOG + 1), 0.0)])
def test_a_deaf_reader_listens_as_soon_as_much_is_under_way(data: bytes, company_s: float | None) -> None:
    """Its window has to move: right after a beat the line says much at a time, and may not rest, since the kernel is
    full or nothing is to wait."""
    rig = steady_rig(FRAME, limits=Limits(company_s=company_s))
    rig.read(data, 0.0)
    assert rig.uplink.in_flight[0] > SLOW_BACKLOG
    assert deaf_s(rig) == 0.0


def test_what_a_deaf_source_hears_late_is_no_round_trip() -> None:
    """It may have come at any time since the beat, until the source listens: else one that beats slowly would take all
    ways for slow, and wait long before it sends again."""
    listening, beat_s, every_s = Listening(), 100.0, 0.0
    while every_s != STEADY_BEAT_S:
        beat_s += every_s
        listening.calm.has_said = True
        every_s, _ = listening.beat(beat_s, is_quiet=True)
    assert listening.listened_s(beat_s + 0.25) == beat_s
    listening.news(beat_s + 1.0)
    assert listening.listened_s(beat_s + 1.25) == beat_s + 1.25


def test_what_is_sent_while_nothing_is_read_is_heard_of_as_soon() -> None:
    """Time alone has made the frame. The platform's acceptance does not lie in the socket until the next beat: for so
    long the frame would stay in the journal, and its delivery would seem to have taken."""
    assert deaf_s(deaf_rig_that_sends()) <= SLOW_REPORTS_S
