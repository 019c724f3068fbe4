"""With `"frames": false` nothing that devices say is shown, in no reason either."""

from __future__ import annotations

import msgspec
import pytest

from common.wire.states import PortReaderState
from services.monitor.core.gateway.hiding import hidden, without_words
from tests.web.snapshots import beat, healthy, snapshot_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("found 'PIN=1234', expected a finite decimal number", "found …"),
        ("found \"it's 1234", "found …"),
        ("found b'1234'", "found …"),
        ("it can't be opened: it's gone", "it can't be opened: it's gone"),
        ("", ""),
    ],
)
def test_what_is_quoted_is_left_out(text: str, shown: str) -> None:
    """Also where it was cut, or has quotes in itself; an apostrophe is none."""
    assert hidden(text) == shown


def test_no_word_of_a_device_is_in_the_snapshot() -> None:
    """Neither in its state nor in what the processes say; all else is the same."""
    said = "the last error: found 'PIN=1234'"
    state = PortReaderState(device="press", port="/dev/ttyUSB0", connected=True, unframed=said)
    snapshot = snapshot_of(*healthy()[:3], beat("port_reader", "press", state))
    assert b"1234" in msgspec.json.encode(snapshot.show())
    shown = msgspec.json.encode(without_words(snapshot).show())
    assert b"1234" not in shown
    assert b"the last error: found" in shown
    plain = snapshot_of(*healthy())
    assert without_words(plain).show() == plain.show()
