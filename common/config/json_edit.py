"""Changes one place in a JSON file that a person keeps, and leaves every other byte as it is. Pure.

A file that is read and written anew has other line breaks and another order, and the next look at what has changed
shows everything.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()
_STEP: Final = 2
"""Spaces that one level is deeper, where the file does not show how it is written."""


class Span(NamedTuple):
    """Where a value stands in the text: from its first character to behind its last."""

    start: int
    end: int


def append_item(text: str, path: tuple[str | int, ...], item: Any) -> str:
    """The text with one more item at the end of the list at `path`, written as its neighbours are. Raises ValueError
    for a text that is no JSON, KeyError where there is no list there."""
    span = span_of(text, path)
    if text[span.start] != "[":
        raise KeyError(path)
    spans = _items(text, span.start)
    end = _line_end_of(text)
    made = _written(item, _indent_of(text, spans, span), _step_of(text), end)
    if not spans:
        inner, outer = _indent_of(text, spans, span), _line_indent(text, span.start)
        return f"{text[: span.start]}[{end}{inner}{made}{end}{outer}]{text[span.end :]}"
    last = spans[-1]
    between = text[_behind_comma(text, spans[-2].end) : last.start] if len(spans) > 1 else _before(text, span, last)
    return f"{text[: last.end]},{between}{made}{text[last.end :]}"


def replace_value(text: str, path: tuple[str | int, ...], value: Any) -> str:
    """The text with another value at `path`. Raises ValueError for a text that is no JSON, KeyError where nothing is
    there."""
    span = span_of(text, path)
    made = _written(value, _line_indent(text, span.start), _step_of(text), _line_end_of(text))
    return text[: span.start] + made + text[span.end :]


def span_of(text: str, path: tuple[str | int, ...]) -> Span:
    """Where the value at `path` stands; of a key that is there twice the last one, which counts. Raises ValueError,
    KeyError."""
    start = _skip(text, 0)
    span = Span(start, _end(text, start))
    for step in path:
        if isinstance(step, str):
            span = _member(text, span.start, step)
        else:
            spans = _items(text, span.start)
            if not 0 <= step < len(spans):
                raise KeyError(path)
            span = spans[step]
    return span


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _end(text: str, start: int) -> int:
    """Behind the value that begins at `start`. Raises ValueError."""
    _, end = _DECODER.raw_decode(text, start)
    return end


def _member(text: str, start: int, key: str) -> Span:
    """The value of a key of the object that begins at `start`. Raises ValueError, KeyError."""
    if text[start : start + 1] != "{":
        raise KeyError(key)
    found: Span | None = None
    at = _skip(text, start + 1)
    while text[at : at + 1] == '"':
        name, behind = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, behind) + 1)  # The colon: raw_decode has read all of it once.
        span = Span(at, _end(text, at))
        if name == key:
            found = span
        at = _skip(text, span.end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
    if found is None:
        raise KeyError(key)
    return found


def _items(text: str, start: int) -> list[Span]:
    """The items of the list that begins at `start`. Raises ValueError, KeyError for what is no list."""
    if text[start : start + 1] != "[":
        raise KeyError(start)
    found = []
    at = _skip(text, start + 1)
    while at < len(text) and text[at] != "]":
        span = Span(at, _end(text, at))
        found.append(span)
        at = _skip(text, span.end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
    return found


def _behind_comma(text: str, end: int) -> int:
    return text.index(",", end) + 1


def _before(text: str, span: Span, first: Span) -> str:
    """The blanks before a list's only item; a space where there are none."""
    blanks = text[span.start + 1 : first.start]
    return blanks or " "


def _line_indent(text: str, at: int) -> str:
    """The blanks with which the line begins that `at` stands in."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _step_of(text: str) -> str:
    """What one level is deeper by, as the file's first deeper line shows it."""
    found = re.search(r"\n([ \t]+)\S", text)
    return found.group(1) if found else " " * _STEP


def _line_end_of(text: str) -> str:
    """As the file's first line ends; a line feed where it has one line."""
    found = re.search(r"\r?\n", text)
    return found.group() if found else "\n"


def _indent_of(text: str, spans: list[Span], span: Span) -> str:
    """How deep the items of a list stand."""
    if spans:
        return _line_indent(text, spans[-1].start)
    return _line_indent(text, span.start) + _step_of(text)


def _written(value: Any, indent: str, step: str, end: str) -> str:
    """A value as it stands in a file whose lines are `indent` deep there."""
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", f"{end}{indent}")
