"""What the configuration's reader makes of questions and the messages that answer them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.core.errors import ConfigError
from tests.field.reading import read_device

ASKED: dict[str, Any] = {"name": "value", "every": 5, "ask": "V?\n"}
STEPS: list[dict[str, Any]] = [{"send": "N?\n"}, {"expect": "name"}, {"send": "V?\n"}]


@pytest.mark.parametrize(
    "messages",
    [
        [{**ASKED, "ask": STEPS}, {"name": "name"}],
        [ASKED, {"name": "other", "ask": "O?\n", "every": 5}],
        [ASKED, {"name": "alarm", "when": "^!"}],
        [{"name": "name", "ask": "N?\n", "every": 5, "framing": {"length": 4}}, {"name": "rest"}],
    ],
    ids=["a step waits for it", "it is asked for itself", "it says which are its own", "the other is framed otherwise"],
)
def test_a_message_behind_one_that_takes_any_answer_is_reached(messages: list[Any], tmp_path: Path) -> None:
    """By whoever asks for it, or waits for it, or because it knows its frames."""
    device, _ = read_device(tmp_path, framing={"end": "\n"}, messages=messages)
    assert len(device.messages) == 2


@pytest.mark.parametrize(
    "messages",
    [
        [ASKED, {"name": "rest"}],
        [{**ASKED, "when": "^V"}, {"name": "same", "when": "^V"}],
        [{"name": "all"}, {"name": "name"}, {**ASKED, "when": "^V", "ask": STEPS}],
    ],
    ids=["nobody waits for it", "the same frames", "nobody asks for the first one"],
)
def test_a_message_that_no_frame_reaches_is_refused(messages: list[Any], tmp_path: Path) -> None:
    """With the message in front of it that takes its frames."""
    with pytest.raises(ConfigError, match=r"messages\[1\]\.when: found a message behind .*messages\[0\]"):
        read_device(tmp_path, framing={"end": "\n"}, messages=messages)
