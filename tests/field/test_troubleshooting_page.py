"""docs/troubleshooting.md uses the words that logs, errors and commands really have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from services.monitor.core.gateway.devices import DeviceWord

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
SOURCE = "\n".join(path.read_text("utf-8") for top in ("common", "services") for path in (ROOT / top).rglob("*.py"))
EVENT = re.compile(r"`([a-z_]+\.[a-z_]+)`")


def test_every_event_is_one_that_is_logged() -> None:
    """What was renamed in the code is renamed in the page."""
    events = set(EVENT.findall(PAGE)) - {"tb_gateway.json"}
    assert len(events) > 10
    assert [event for event in sorted(events) if f'"{event}"' not in SOURCE] == []


def test_every_answer_of_a_call_is_one_that_is_given() -> None:
    """The table of answers; what varies in them is left out."""
    part = PAGE.partition("## A device that is called")[2].partition("\n## ")[0]
    said = [text for row in re.findall(r"^\| (`.*?`) \|", part, re.MULTILINE) for text in re.findall("`([^`]*)`", row)]
    assert len(said) > 6
    for text in said:
        beginning = text.partition("…")[0].strip(" :")
        assert beginning in SOURCE, text


def test_every_reason_of_a_port_is_one_that_is_given() -> None:
    part = PAGE.partition("## The port")[2].partition("\n## ")[0]
    ours = ("no such port", "join its group", "no group may open it", "in use by another process", "hung up")
    for reason in ours:
        assert reason in part
        assert reason in SOURCE


def test_every_reason_of_the_platform_is_one_that_is_given() -> None:
    part = PAGE.partition("## The platform refuses")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)
    said = [text for row in rows for text in re.findall("`([^`]*)`", row) if not EVENT.fullmatch(f"`{text}`")]
    assert len(said) > 12
    # Sentences are put together of parts: quotes and line ends of the source are left out.
    source = re.sub(r'"?\n\s*f?"', "", SOURCE)
    assert [text for text in said if text not in source] == []


def test_every_state_of_a_device_is_one_that_there_is() -> None:
    part = PAGE.partition("| state | it means | do |")[2].partition("\n\n")[0]
    states = {state.replace(" ", "_") for state in re.findall(r"^\| `([a-z ]+)` \|", part, re.MULTILINE)}
    assert states == set(get_args(DeviceWord)) - {"unknown"}


def test_every_link_leads_somewhere() -> None:
    """Within docs/, in every page and the README."""
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
