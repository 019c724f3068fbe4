"""The pictures of the pages: there, small, without what is this machine's, and shown somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.terminal import Ran, session_as_svg

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
MOST = 5
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.png")), ids=lambda path: str(path.name))
def test_a_picture_of_the_page_is_small(path: Path) -> None:
    """As large as a window, and quickly there."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert tuple(int.from_bytes(content[at : at + 4]) for at in (16, 20)) == (1280, 800)
    assert len(content) <= MOST_BYTES


def test_each_picture_is_shown_and_described() -> None:
    """And each that is shown is there: test_every_link_leads_somewhere."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {
        (name, words.strip())
        for page in pages
        for words, name in re.findall(r"!\[([^\]]*)\]\((?:docs/)?pictures/([\w.]+)\)", page.read_text("utf-8"))
    }
    assert {name for name, _ in shown} == {path.name for path in FOLDER.iterdir()}
    assert all(words for _, words in shown)
    assert len(list(FOLDER.glob("*.png"))) <= MOST


def test_the_session_is_text_and_nothing_else() -> None:
    """No script, nothing from elsewhere, no path of the machine that it was recorded on."""
    text = (FOLDER / "terminal.svg").read_text("utf-8")
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(text).iter()}
    assert tags == {"svg", "title", "style", "rect", "text", "tspan"}
    assert re.findall(r"href|url\(|@import|/tmp|/home|/root|ccessToken", text) == []
    assert text.count('class="command"') > 2


def test_what_was_printed_stands_in_the_picture_as_it_was() -> None:
    """Also what would be markup, and blanks at the beginning; a line comes after its command."""
    svg = session_as_svg([Ran("say '<b>'", ["  <b> & ]]>", ""]), Ran("end", ["over"])], "a <title>")
    texts = ElementTree.fromstring(svg).findall(f"{SVG}text")
    assert ["".join(text.itertext()) for text in texts] == ["$ say '<b>'", "  <b> & ]]>", "$ end", "over"]
    delays = [float(re.findall(r"delay: ([\d.]+)s", text.attrib["style"])[0]) for text in texts]
    assert delays == sorted(delays)
