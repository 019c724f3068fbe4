"""Registration and heartbeat of one process."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from common.core.events import Arrived, Junk, Note, Reconnected, Send, Start, Tick
from common.core.liveness import BEAT_S, CALM_BEAT_S, liveness
from common.core.membership import REGISTER_AGAIN_S, REGISTER_RETRY_S, Membership
from common.core.version import PROTOCOL, RELEASE
from common.wire.messages import Heartbeat, Identity, Plane, Register, Registered, Request

IDENTITY = Identity("converter", "0", "i1", 42, "here", "/lock")


@pytest.fixture
def membership() -> Membership:
    return Membership(IDENTITY, {"a": 1})


def registers(effects: list[Any]) -> list[Register]:
    return [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, Register)]


def accepted(broker: str = "b1") -> Arrived:
    return Arrived(Plane.CALLS, Registered("converter:0", True, "", broker, "ipc://frames"))


def refused(reason: str = "somebody else") -> Arrived:
    return Arrived(Plane.CALLS, Registered("converter:0", False, reason, "b1", ""))


def broker_beat(instance: str) -> Arrived:
    return Arrived(Plane.EVENTS, Heartbeat("broker", "0", instance, 1, "here", 1.0, {}, {}))


def test_it_registers_at_the_start_and_repeats_until_it_is_answered(membership: Membership) -> None:
    """The broker may be starting; each quarter of a second."""
    assert registers(membership.handle(Start(), 100.0)) == [
        Register("converter", "0", "i1", 42, "here", "/lock", {"a": 1, "release": RELEASE, "protocol": PROTOCOL})
    ]
    assert membership.next_deadline_s <= 100.0 + REGISTER_RETRY_S
    assert membership.handle(Tick(), 100.0 + REGISTER_RETRY_S / 2) == []
    assert len(registers(membership.handle(Tick(), 100.0 + REGISTER_RETRY_S))) == 1
    membership.handle(accepted(), 100.5)
    assert (membership.broker, membership.frames_endpoint) == ("b1", "ipc://frames")
    assert membership.handle(Tick(), 200.0) == []


def test_an_accepted_registration_is_repeated(membership: Membership) -> None:
    """A connection can break while both ends live: without this the broker would never learn the new one."""
    membership.handle(Start(), 100.0)
    membership.handle(accepted(), 100.1)
    sent_s = [at_s for at_s in range(101, 131) if registers(membership.beat(float(at_s), {}, {}))]
    assert [later_s - at_s for at_s, later_s in pairwise(sent_s)] == [REGISTER_AGAIN_S] * 9
    membership.handle(broker_beat("b2"), 131.0)
    assert not registers(membership.beat(140.0, {}, {})), "without a broker the retry does it"


def test_it_registers_with_each_new_broker(membership: Membership) -> None:
    """The broker's heartbeat shows another instance; the same one changes nothing."""
    membership.handle(Start(), 100.0)
    membership.handle(accepted("b1"), 100.1)
    assert membership.handle(broker_beat("b1"), 101.0) == []
    assert len(registers(membership.handle(broker_beat("b2"), 102.0))) == 1
    assert membership.broker == ""
    membership.handle(accepted("b2"), 102.1)
    assert membership.broker == "b2"


def test_a_refusal_is_said_once_and_tried_again_each_second(membership: Membership) -> None:
    """The one who has the name may go; another reason is another line."""
    membership.handle(Start(), 100.0)
    assert [note.facts for note in membership.handle(refused(), 100.1)] == [{"reason": "somebody else"}]
    assert membership.handle(Tick(), 100.9) == []
    assert len(registers(membership.handle(Tick(), 101.2))) == 1
    assert membership.handle(refused(), 101.3) == []
    assert len(membership.handle(refused("a third"), 101.4)) == 1


def test_it_beats_each_second(membership: Membership) -> None:
    """The first beat is due at the start; uptime counts from there; junk is among the counters, and the version and
    whether the broker has taken us among the facts."""
    membership.handle(Start(), 100.0)
    assert membership.is_due(100.0)
    (send,) = membership.beat(100.0, {"s": 1}, {"c": 2})
    assert send == Send(
        Plane.EVENTS,
        Heartbeat(
            "converter",
            "0",
            "i1",
            42,
            "here",
            0.0,
            {"s": 1, "release": RELEASE, "registered": False},
            {"c": 2, "junk_messages": 0},
        ),
    )
    assert not membership.is_due(100.0 + BEAT_S / 2)
    assert membership.is_due(100.0 + BEAT_S)
    membership.handle(accepted(), 100.1)
    assert membership.next_deadline_s == 100.0 + BEAT_S


def test_new_facts_are_registered(membership: Membership) -> None:
    """A reader whose section changed says so at once."""
    membership.handle(Start(), 100.0)
    membership.handle(accepted(), 100.1)
    assert [message.detail for message in registers(membership.update({"b": 2}, 101.0))] == [
        {"b": 2, "release": RELEASE, "protocol": PROTOCOL}
    ]


def test_junk_is_counted_and_said_once(membership: Membership) -> None:
    """A flood of junk is no flood in the log."""
    membership.handle(Start(), 100.0)
    membership.handle(accepted(), 100.1)
    found = [membership.handle(Junk(Plane.CALLS, "why"), 100.2) for _ in range(3)]
    assert [len(effects) for effects in found] == [1, 0, 0]
    assert isinstance(found[0][0], Note)
    (send,) = membership.beat(100.3, {}, {})
    assert send.message.counters == {"junk_messages": 3}


@pytest.mark.parametrize(
    ("silent_s", "expected"),
    [(0, "alive"), (2.99, "alive"), (3, "late"), (4.99, "late"), (5, "lost"), (500, "lost")],
)
def test_silence_means(silent_s: float, expected: str) -> None:
    """Late after 3 s, lost after 5 s."""
    assert liveness(silent_s) == expected


@pytest.mark.parametrize(("silent_s", "expected"), [(11.9, "alive"), (12, "late"), (13.9, "late"), (14, "lost")])
def test_silence_of_who_beats_slowly_means(silent_s: float, expected: str) -> None:
    """The same patience, from when the beat was due."""
    assert liveness(silent_s, CALM_BEAT_S) == expected


def test_news_bring_the_next_beat_near(membership: Membership) -> None:
    """Who promised one in ten seconds may say sooner that something has happened."""
    membership.handle(Start(), 100.0)
    membership.handle(accepted(), 100.1)
    (send, *again) = membership.beat(110.0, {}, {}, CALM_BEAT_S)
    assert (send.message.every_s, again, membership.next_deadline_s) == (CALM_BEAT_S, [], 120.0)
    membership.hurry(112.0)
    assert membership.next_deadline_s == 112.0 + BEAT_S


def test_a_new_connection_is_registered_at_once(membership: Membership) -> None:
    """To a broker it may be a new route."""
    membership.handle(Start(), 100.0)
    membership.handle(accepted(), 100.1)
    assert len(registers(membership.handle(Reconnected(), 150.0))) == 1


@pytest.mark.parametrize("asks", [(), ("publisher:0",)])
def test_a_start_is_one_registration(asks: tuple[str, ...]) -> None:
    """Not two; and whose beats are wanted is asked once a broker has accepted us, and again only of a new one."""
    membership = Membership(IDENTITY, {}, asks)
    assert len(registers(membership.handle(Start(), 100.0))) == 1
    wanted = membership.handle(accepted(), 100.1)
    assert [
        effect.message.target for effect in wanted if isinstance(effect, Send) and isinstance(effect.message, Request)
    ] == list(asks)
    assert membership.handle(accepted(), 103.0) == []
    membership.handle(broker_beat("b2"), 104.0)
    assert len(membership.handle(accepted("b2"), 104.1)) == len(asks)
