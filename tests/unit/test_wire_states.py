"""What heartbeats say: the same keys in the same order as release 0.2, and nothing else is believed."""

from __future__ import annotations

from typing import Any

import pytest

from common.wire.messages import Heartbeat
from common.wire.states import (
    AnyState,
    BrokerState,
    ConverterSeen,
    ConverterState,
    MonitorState,
    PortReaderState,
    PublisherState,
    State,
    facts_of,
    state_of,
)

KEYS: list[tuple[State, list[str]]] = [
    (
        PortReaderState(),
        [
            "device",
            "port",
            "connected",
            "draining",
            "held",
            "temporary",
            "journal",
            "generation",
            "backlog",
            "backlog_bytes",
            "in_flight",
            "in_flight_bytes",
            "journal_writable",
            "fault",
            "since_s",
            "byte_s",
            "frame_s",
            "unframed",
            "unanswered",
            "answers_some",
            "probe_s",
            "damaged",
            "line_errors",
            "unready",
            "late_answers",
            "refused",
            "asked_hz",
            "wanted_hz",
            "oldest_s",
            "most_backlog",
            "most_backlog_bytes",
            "delivered",
            "dead",
        ],
    ),
    (ConverterState(), ["slot", "draining", "held", "user_devices", "hosts"]),
    (
        PublisherState(),
        [
            "epoch",
            "link",
            "fault",
            "protocol",
            "host",
            "port",
            "devices",
            "in_flight",
            "backlog",
            "calls",
            "yields",
            "refused",
            "unaccepted_s",
            "left_out",
            "published",
            "refused_codes",
            "interval_s",
            "called",
            "calls_ended",
        ],
    ),
    (
        BrokerState(),
        ["converters", "devices", "queued_devices", "queued_bytes", "held_calls", "settling", "draining"],
    ),
    (MonitorState(), []),
]


def beat(state: dict[str, Any]) -> Heartbeat:
    return Heartbeat("publisher", "0", "i", 1, "h", 1.0, state, {})


@pytest.mark.parametrize(("state", "keys"), KEYS, ids=lambda value: type(value).__name__)
def test_each_kind_says_what_it_said(state: State, keys: list[str]) -> None:
    """People's scripts read them from `status --json`, and processes of other versions hear them."""
    assert list(facts_of(state)) == keys
    assert state_of(beat(facts_of(state)), type(state)) == state


def test_the_brokers_converters_are_maps() -> None:
    """Msgpack and JSON know no structs."""
    facts = facts_of(BrokerState(converters={"0": ConverterSeen(credit=2, liveness="alive")}))
    assert facts["converters"] == {
        "0": {"credit": 2, "pinned": 0, "liveness": "alive", "draining": False, "blocked": False}
    }


def test_what_is_not_known_is_left_out_and_what_is_missing_has_a_default() -> None:
    """Processes of two versions hear each other."""
    assert state_of(beat({"epoch": "e1", "new": [1]}), PublisherState) == PublisherState(epoch="e1")


@pytest.mark.parametrize("junk", [{"epoch": 5}, {"backlog": "much"}, {"devices": 1.5}])
def test_junk_is_nobodys_state(junk: dict[str, Any]) -> None:
    """None: whoever hears it goes on with what it knows."""
    assert state_of(beat(junk), PublisherState) is None
    assert state_of(beat(junk), AnyState) == AnyState()
