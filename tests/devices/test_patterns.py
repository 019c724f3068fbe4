"""`pattern`: what it takes, and what it costs."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.conversion.grammar.patterns import compiled, names_of

WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("pattern", "body", "found"),
    [
        ("S {stable} {weight} {unit}", b"S S     100.00 g", {"stable": b"S", "weight": b"100.00", "unit": b"g"}),
        ("S {stable} {weight} {unit}", b"S  S 100.00", None),
        ("S I", b"S I", {}),
        ("S I", b"S  I ", {}),
        ("S I", b"S IX", None),
        ('{code},"{}"', b'+0,"No error"', {"code": b"+0"}),
        ("Q,{direction},{speed},{}", b"Q,,000.04,M,00,", {"direction": b"", "speed": b"000.04"}),
        ("{all}", b"  what ever it is ", {"all": b"what ever it is"}),
        ("T={t}C", b"T=21.5C", {"t": b"21.5"}),
        ("T={t}C", b"T=21.5F", None),
        ("a.b*{x}", b"a.b*1", {"x": b"1"}),
        ("a.b*{x}", b"aXb*1", None),
    ],
)
def test_what_a_pattern_takes(pattern: str, body: bytes, found: dict[str, bytes] | None) -> None:
    """A blank is a run of blanks; a name takes what is there up to what follows; all other signs mean themselves."""
    match = compiled(pattern).match(body)
    assert (None if match is None else match.groupdict()) == found


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_what_stands_between_texts_comes_back(words: list[str]) -> None:
    """However many there are."""
    pattern = "<" + "|".join(f"{{n{index}}}" for index in range(len(words))) + ">"
    match = compiled(pattern).match(("<" + "|".join(words) + ">").encode())
    assert match is not None
    assert [match[f"n{index}"].decode() for index in range(len(words))] == words


@pytest.mark.parametrize("pattern", ["{a}{b}", "{a} {a}", "{a b}", "{1}", "{a", "a}", "{a} {}{b}"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """Two names without a text between them could be cut anywhere."""
    with pytest.raises(ValueError, match=re.compile("brace|name|twice|between")):
        names_of(pattern)


def test_a_long_frame_costs_no_more_than_its_length() -> None:
    """Nothing is tried twice: ten times the bytes take some ten times as long, not a hundred or a million."""
    pattern = compiled("a{b}a{c}a{d}a{e}a{f}x")

    def cost_s(size: int) -> float:
        body = b"a " * size
        start = perf_counter()
        assert pattern.match(body) is None
        return perf_counter() - start

    cost_s(10)
    assert min(cost_s(30_000) for _ in range(3)) < 60 * min(cost_s(3_000) for _ in range(5)) + 0.01
