"""What a page that listens is told."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from services.monitor.core.changes import Documents, Told
from tests.web.snapshots import NOW_S, beat, healthy, snapshot_of, table_of

Document = dict[str, object]


def test_all_at_first_then_only_what_has_changed() -> None:
    """A gateway in which nothing happens costs a page nothing."""
    told, document = Told(), Documents().of(snapshot_of(*healthy()), NOW_S, 1e9)
    first = told.news(document)
    assert {*first} == {"devices", "processes", "link", "backlog"}
    assert [row["name"] for row in first["devices"]["changed"]] == ["press", "connector:Own"]
    assert told.news(document) == {}


def test_ages_are_moments_that_stay() -> None:
    """So a row that only grows older is not told again."""
    told, table = Told(), table_of(*healthy())
    told.news(Documents().of(table.snapshot(), NOW_S, 1e9))
    table.age(NOW_S + 1)
    assert told.news(Documents().of(table.snapshot(), NOW_S + 1, 1e9 + 1)) == {}


def test_a_row_is_made_anew_when_its_process_beats() -> None:
    """Until then it is the same object, and nobody compares it with itself."""
    documents, table = Documents(), table_of(*healthy())

    def rows(later_s: float) -> dict[str, dict[str, object]]:
        document = documents.of(table.snapshot(), NOW_S + later_s, 1e9 + later_s)
        return {row["address"]: row for row in document["processes"]}

    first = rows(0)
    table.hear(beat("converter", "0"), NOW_S + 1)
    second = rows(1)
    assert [address for address in first if second[address] is not first[address]] == ["converter:0"]
    table.age(NOW_S + 60)
    assert {row["state"] for row in rows(60).values()} == {"lost"}


def test_who_is_gone_is_told() -> None:
    """A converter that was stopped for good leaves the page."""
    told = Told()
    more = beat("converter", "1")
    told.news(Documents().of(snapshot_of(*healthy(), more), NOW_S, 1e9))
    news = told.news(Documents().of(snapshot_of(*healthy()), NOW_S, 1e9))
    assert news == {"processes": {"changed": [], "gone": ["converter:1"]}}


rows = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))


@given(st.lists(st.tuples(rows, rows, st.integers(0, 2)), min_size=1))
def test_who_follows_the_news_knows_what_there_is(steps: list[tuple[dict[str, int], dict[str, int], int]]) -> None:
    """Whatever comes and goes."""
    told, known = Told(), {"devices": {}, "processes": {}, "link": None}
    for devices, processes, link in steps:
        document = {
            "devices": [{"name": name, "n": number} for name, number in devices.items()],
            "processes": [{"address": name, "n": number} for name, number in processes.items()],
            "link": link,
        }
        news = told.news(document)
        for part, key in (("devices", "name"), ("processes", "address")):
            for row in news.get(part, {}).get("changed", []):
                known[part][row[key]] = row["n"]
            for name in news.get(part, {}).get("gone", []):
                del known[part][name]
        known["link"] = news.get("link", known["link"])
        assert known == {"devices": devices, "processes": processes, "link": link}


def test_a_page_keeps_little_of_many_devices() -> None:
    """Twenty pages of a thousand devices are not to weigh what the monitor weighs."""
    document = {"devices": [{"name": f"d{n}", "reason": "x" * 2_000} for n in range(1_000)], "processes": []}
    told = Told()
    tracemalloc.start()
    try:
        told.news(document)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 200_000
