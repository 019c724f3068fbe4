"""`serialgw dead-letters`: how a dead letter is shown, and how pages are asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.core.errors import LinkError
from common.io.dead_letters import Retried, fetch_letters, retry_letters
from common.wire import codec
from common.wire.calls import Body, ListDeadLetters, RetryDeadLetters
from common.wire.messages import Reply
from services.cli.commands.dead_letters import json_line, text_line
from services.cli.text import moment

LETTER = (7, 4, 1_700_000_000_123, "no\nnumber", b'\x00"bad\n')


class FakeClient:
    """A reader with letters 1 to `count`, two to a page; a retry is refused from `refused_from` on."""

    def __init__(self, count: int, refused_from: int = 10**9) -> None:
        self.letters = [(number, number % 2, 1, "why", b"xy") for number in range(1, count + 1)]
        self.refused_from = refused_from

    def call(self, target: str, device: str, asked: Body, timeout_s: float) -> Reply:
        assert (target, device) == ("port_reader:d", "d")
        answer: dict[str, Any]
        if isinstance(asked, ListDeadLetters):
            before = asked.before or 10**9
            page = [letter for letter in self.letters if letter[0] < before][::-1][: min(2, asked.most)]
            answer = {"count": len(self.letters), "bytes": 2 * len(self.letters), "letters": page}
            return Reply("", "", "", codec.pack(answer))
        assert isinstance(asked, RetryDeadLetters)
        page = [letter for letter in self.letters if asked.after < letter[0] <= asked.until][:2]
        if page and page[0][0] >= self.refused_from:
            return Reply("", "", "the journal is full", b"")
        frames = sum(letter[1] for letter in page)
        answer = {"retried": frames, "kept": len(page) - frames, "last": page[-1][0] if page else 0}
        return Reply("", "", "", codec.pack(answer))


def test_a_letter_as_text_is_one_line_without_control_characters():
    """Time with its zone, number, reason, bytes as `watch` shows them, long ones cut."""
    line = text_line("press 1", LETTER)
    assert line == moment(LETTER[2]) + r' press 1 4 no\nnumber: "\x00\"bad\n"'
    piece = text_line("d", (1, 0, 0, "noise", b"x" * 1000))
    assert piece == f'- d - noise: "{"x" * 60}"… (1000 bytes)'


def test_a_letter_as_json_has_all_bytes():
    """One object; a piece of the line has no number."""
    assert json.loads(json_line("d", LETTER)) == {
        "device": "d",
        "id": 7,
        "time": moment(LETTER[2]),
        "ts": 1_700_000_000_123,
        "number": 4,
        "reason": "no\nnumber",
        "bytes": 6,
        "hex": "00226261640a",
    }
    assert json.loads(json_line("d", (1, 0, 1, "noise", b"")))["number"] is None


@pytest.mark.parametrize("ts_ms", [2**62, -(2**62), 2**63])
def test_absurd_times_are_shown_as_numbers(ts_ms):
    """No calendar has them; 0 is none."""
    assert moment(ts_ms) == str(ts_ms)
    assert moment(0) == "-"


def test_pages_become_one_list_newest_last():
    """As many as were asked for, with the count of all."""
    page = fetch_letters(FakeClient(7), "d", 5)
    assert ([letter[0] for letter in page.letters], page.total, page.total_bytes) == ([3, 4, 5, 6, 7], 7, 14)
    assert fetch_letters(FakeClient(0), "d", 5).letters == []
    assert len(fetch_letters(FakeClient(3), "d", 100).letters) == 3


def test_a_retry_goes_through_all_of_them_and_stops_where_it_is_refused():
    """What was done until then counts."""
    assert retry_letters(FakeClient(7), "d") == Retried(4, 3)
    assert retry_letters(FakeClient(7, refused_from=5), "d") == Retried(2, 2, "the journal is full")
    assert retry_letters(FakeClient(0), "d") == Retried(0, 0)


def test_a_device_that_can_not_be_asked_is_an_error():
    """Before anything was done there is nothing to report."""

    class Refusing:
        def call(self, *_: Any) -> Reply:
            return Reply("", "", "unknown device d", b"")

    with pytest.raises(LinkError, match="unknown device d"):
        retry_letters(Refusing(), "d")
