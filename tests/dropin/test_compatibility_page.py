"""docs/compatibility.md says of each key of the other gateway what it is here, and which keys are ours."""

from __future__ import annotations

import re
from pathlib import Path

from docs.keys import (
    ACTIVITY,
    CONNECTOR,
    CONNECTORS,
    DEVICE,
    FILTERING,
    MAIN,
    PLATFORM,
    POINT,
    PROVISIONING,
    REPORT,
    RPC,
    SECTIONS,
    SECURITY,
    STATISTICS,
    STORAGE,
    UPDATE,
    VARIABLES,
)

PAGE = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text()
WHERE = {
    MAIN.path: "main file",
    CONNECTOR.path: "connector file",
    POINT.path: "data points",
    **{
        section.path: f"`{section.path}`"
        for section in (
            *(PLATFORM, SECURITY, PROVISIONING, FILTERING, ACTIVITY, STATISTICS),
            *(STORAGE, CONNECTORS, DEVICE),
        )
    },
    RPC.path: "`serverSideRpc[]`",
    UPDATE.path: "`attributeUpdates[]`",
    REPORT.path: "`reportStrategy`",
}
"""Section of docs/keys.py → what the tables call it; those that the other gateway does not have go by their path."""
OURS = re.compile(r"TB_GW_\w+_FILE|SERIALGW_\w+")
"""Variables that the other gateway does not have, though they have its prefix."""


def part(title: str) -> str:
    """The text below a heading of the page."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows() -> list[tuple[str, list[str], str]]:
    """The table of keys: (where, which, what they are here)."""
    found = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", part("Every key"), re.MULTILINE)
    return [(where, re.findall("`([^`]+)`", which), here) for where, which, here in found if "`" in which]


def named(where: str) -> list[str]:
    return [name for place, names, _ in rows() for name in names if place == where]


def ours() -> dict[str, list[str]]:
    """The table of our own keys: where → which; none are listed where all are ours."""
    found = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", part("Keys of ours"), re.MULTILINE)
    return {where: re.findall("`([^`]+)`", which) for where, which in found if which == "all" or "`" in which}


def test_every_key_has_one_row() -> None:
    """In its section, as one that the other gateway has or as one of ours, never as both."""
    of_us = ours()
    wholly = {where for where, names in of_us.items() if not names}
    assert set(WHERE) | {where.strip("`") for where in wholly} == {section.path for section in SECTIONS}
    assert not wholly & {*WHERE.values(), *(where for where, _, _ in rows())}
    assert of_us.keys() - wholly <= set(WHERE.values())
    for section in SECTIONS:
        if section.path in WHERE:
            where = WHERE[section.path]
            assert sorted([*named(where), *of_us.get(where, ())]) == sorted(key.name for key in section.keys), where


def test_every_variable_has_one_row() -> None:
    """Of those that are read; and what the table names besides is not here."""
    told = named("environment")
    assert sorted(told) == sorted(set(told))
    assert {one.name for one in VARIABLES if not OURS.fullmatch(one.name)} <= set(told)
    unknown = set(told) - {one.name for one in VARIABLES}
    assert all(here.startswith("not here: ") for _, names, here in rows() if unknown & set(names))


def test_each_row_says_same_better_or_not_here() -> None:
    """Better says how, and not here why; numbers are those of the differences."""
    numbers = {int(number) for number in re.findall(r"^\| (\d+) \|", part("Where serialgw differs, on purpose"), re.M)}
    assert len(rows()) > 50
    for _, names, here in rows():
        assert re.fullmatch(r"same(: .+)?|better: .+|not here: .+", here), names
        for said in re.findall(r"\(([\d, ]+)\)|better: ([\d, ]+)$", here):
            assert {int(number) for number in re.findall(r"\d+", "".join(said))} <= numbers, (names, said)


def test_links_within_the_page_lead_somewhere() -> None:
    """A heading for each."""
    headings = {
        re.sub(r"[^\w\- ]", "", title).replace(" ", "-").lower() for title in re.findall(r"^#+ (.+)$", PAGE, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
