"""docs/troubleshooting.md uses the words that logs, errors and commands really have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from docs.generate import anchor_of
from docs.metrics_page import rules
from services.cli.diagnosis.finding import Check
from services.monitor.core.gateway.devices import DeviceWord

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
SOURCE = "\n".join(path.read_text("utf-8") for top in ("common", "services") for path in (ROOT / top).rglob("*.py"))
DIAGNOSIS = ROOT / "services" / "cli" / "diagnosis"
NUMBER = re.compile(r"\b\d+\b")
LEAST = 12
"""A shorter piece of a text is no sentence."""
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


def test_every_state_of_a_device_has_its_row_and_no_other_has() -> None:
    """By the words of `status`, each with the anchor that alerts lead to."""
    part = PAGE.partition("| state | it means | next step |")[2].partition("\n\n")[0]
    rows = re.findall(r'^\| <a id="([a-z-]+)"></a>`([a-z ]+)` \| .+ \| .+ \|$', part, re.MULTILINE)
    assert sorted(state.replace(" ", "_") for _, state in rows) == sorted(get_args(DeviceWord))
    assert all(anchor == state.replace(" ", "-") for anchor, state in rows)
    assert len(rows) == part.count("\n|") - 1, "each row is one of a state"


def test_the_page_in_the_browser_has_the_words_of_status() -> None:
    """Who reads a state there finds it here."""
    words = re.findall(r'^  (\w+): \["([^"]*)"', (ROOT / "services/monitor/page/words.js").read_text(), re.MULTILINE)
    assert [pair for pair in words if pair[1] != pair[0].replace("_", " ")] == []


def test_every_finding_of_doctor_has_its_row_and_no_other_has() -> None:
    """By what it looks at, and by the words of each fault and each warning."""
    part = PAGE.partition("## What doctor finds")[2].partition("\n## ")[0]
    assert sorted(re.findall(r'<a id="doctor-(\w+)">', part)) == sorted(get_args(Check))
    found = {said for path in DIAGNOSIS.glob("*.py") for said in findings_of(path)}
    assert len(found) > 30
    assert [said for said in sorted(found) if spoken(said) not in part] == []
    cells = [row.split("|")[2] for row in part.splitlines() if row.startswith("| ")]
    said = [piece for cell in cells for text in re.findall("`([^`]*)`", cell) for piece in text.split("…")]
    pieces = [spoken(piece) for piece in said if not piece.startswith("serialgw")]
    assert len(pieces) > 30
    source = re.sub(r'"?\n\s*f?"', "", "\n".join(path.read_text() for path in DIAGNOSIS.rglob("*.py")))
    gone = [piece for piece in pieces if NUMBER.split(piece)[0].strip() not in source and not is_made(piece)]
    assert gone == []


def spoken(piece: str) -> str:
    """A piece of a text without what leads to the next value."""
    return re.sub(r" \(pid $|; it says $", "", piece).strip(' :;(),"')


def is_made(piece: str) -> bool:
    """True for what is put together of a word that is chosen elsewhere."""
    return piece in ("it is a plain file, and no serial port", "devices")


def findings_of(path: Path) -> Iterator[str]:
    """The longest piece of each text that a fault or a warning of this file may have, where it has a sentence."""
    for function in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Name(id="Finding"), args=[_, _, ast.Constant(value=level), text, *_]) if (
                    level != "ok"
                ):
                    yield from longest(text)
                case ast.Assign(targets=[ast.Name(id="what" | "why")], value=text):
                    yield from longest(text)
                case ast.Return(value=ast.Tuple(elts=[text, _])):
                    yield from longest(text)


def longest(text: ast.expr) -> Iterator[str]:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    said = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    piece = max(said, key=len, default="")
    if " " in piece.strip() and len(piece) > LEAST:
        yield piece


def test_every_alert_leads_to_a_place_of_the_page() -> None:
    runbooks = [rule["annotations"]["runbook"] for rule in rules()]
    assert len(runbooks) > 15
    assert {book.partition("#")[0] for book in runbooks} == {"docs/troubleshooting.md"}
    assert {book.partition("#")[2] for book in runbooks} <= anchors_of(ROOT / "docs" / "troubleshooting.md")


def anchors_of(page: Path) -> set[str]:
    """The fragments that lead somewhere in a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {anchor_of(heading) for heading in headings} | set(re.findall(r'<a id="([^"]+)">', text))


def test_every_link_leads_somewhere() -> None:
    """Within docs/, in every page and the README: to a file, and to a place in it."""
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target, fragment in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text("utf-8")):
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name}: {target}"
            if fragment:
                assert fragment in anchors_of(there), f"{page.name}: {target}#{fragment}"
