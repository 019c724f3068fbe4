"""docs/troubleshooting.md uses the words that logs, errors and commands really have."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_every_link_leads_somewhere() -> None:
    """Within docs/, in every page and the README."""
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
