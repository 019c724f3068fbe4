"""One place of a JSON file is changed, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.json_edit import append_item, replace_value

FILE = """{
    "name": "Serial",   "devices": [
        {"name": "a", "port": "/dev/ttyUSB0"},
        {"name": "b"}
    ],
    "devices2": []
}
"""


def test_an_item_is_added_as_its_neighbours_are_written() -> None:
    """On a line of its own, as deep as they are; every other byte stays."""
    made = append_item(FILE, ("devices",), {"name": "c"})
    assert made == FILE.replace('{"name": "b"}\n', '{"name": "b"},\n        {\n            "name": "c"\n        }\n')


def test_an_empty_list_gets_its_first_item() -> None:
    """One step deeper than its line."""
    assert json.loads(append_item(FILE, ("devices2",), 7))["devices2"] == [7]
    assert append_item("[]", (), 1) == "[\n  1\n]"
    assert append_item("[1]", (), 2) == "[1, 2]"


def test_a_value_is_replaced_in_its_place() -> None:
    """Of a key that stands twice the last one, as readers take it."""
    assert replace_value('{"a": 1, "a" : [2, {"b":3}] }', ("a", 1, "b"), 4) == '{"a": 1, "a" : [2, {"b":4}] }'


@pytest.mark.parametrize("path", [("nothing",), ("name",), ("devices", 0), ("devices", 9)])
def test_a_list_that_is_not_there_is_an_error(path: tuple[str | int, ...]) -> None:
    """Nothing is guessed."""
    with pytest.raises(KeyError):
        append_item(FILE, path, 1)


def test_what_is_no_json_is_an_error() -> None:
    """And changes nothing."""
    with pytest.raises(ValueError, match="Expecting"):
        append_item("{'a': []}", ("a",), 1)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(values, max_size=4), values, st.sampled_from([None, 1, 2, 4, "\t"]), st.booleans())
def test_the_list_is_longer_by_one_however_it_is_written(
    items: list[Any], item: Any, indent: int | str | None, is_plain: bool
) -> None:
    """And all else is the same."""
    text = json.dumps({"before": items, "list": items, "after": {"list": 1}}, indent=indent, ensure_ascii=is_plain)
    made = json.loads(append_item(text, ("list",), item))
    assert made == {"before": items, "list": [*items, item], "after": {"list": 1}}
    assert json.loads(replace_value(text, ("list",), item))["list"] == item
