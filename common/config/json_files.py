"""Reads one JSON file: every way in which it can fail becomes a sentence with its place."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import simplejson

from common.config.findings import Findings, join_path, show

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Far more than any configuration; a log file that was named by mistake is refused before it is read."""
MAX_DEPTH = 64
"""Levels of brackets; deeper nesting would end in a RecursionError somewhere behind us."""
_COMMENT_MARKS = ("//", "/*", "#")
"""What people begin comments with, which JSON does not have."""
_FOREIGN_WORDS = ("NaN", "Infinity", "-Infinity", "True", "False", "None", "undefined")
"""Words of Python and JavaScript that look like JSON's."""
_EXPECTED = (
    ("property name", "a key in double quotes"),
    ("trailing comma", "no comma before the closing bracket"),
    ("',' delimiter", "a comma or the closing bracket"),
    ("':' delimiter", "a colon after the key"),
    ("value", "a value"),
    ("Extra data", "the end of the file"),
    ("control character", "an escape such as \\n inside a text"),
    ("escape", 'one of the escapes \\n \\r \\t \\b \\f \\\\ \\/ \\" \\uXXXX'),
    ("Unterminated string", "the closing double quote"),
)
"""A part of simplejson's message → what would be right there, in our words."""


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys stood in it more than once."""

    repeated: tuple[str, ...] = ()


def read_json(path: Path, shown: str, findings: Findings) -> Any | None:
    """The value in `path` as plain dicts and lists, or None where a problem was noted under the name `shown`.

    The value is one that can be written as JSON again: no NaN, no number beyond 64 bits, no lone surrogate, and at
    most 64 levels deep. A key that stands twice in one object is a warning; the last one counts. Raises nothing.
    """
    content = _read_bytes(path, shown, findings)
    if content is None:
        return None
    text = _decode(content, shown, findings)
    if text is None:
        return None
    try:
        value = simplejson.loads(text, object_pairs_hook=_as_object, parse_int=_as_whole, allow_nan=False)
    except simplejson.JSONDecodeError as error:
        _note_fault(text, error, shown, findings)
        return None
    except RecursionError:
        findings.problem(shown, "top level", "too many levels of brackets", f"at most {MAX_DEPTH}")
        return None
    before = len(findings.problems)
    plain = _Cleaner(shown, findings).clean(value, "", 0)
    return plain if len(findings.problems) == before else None


def _read_bytes(path: Path, shown: str, findings: Findings) -> bytes | None:
    """The file's bytes; None where a problem was noted. A pipe or a device is refused unread, for reading one may never
    end."""
    expected = "a JSON file"
    try:
        if path.is_dir():
            findings.problem(shown, "file", "a directory", expected)
        elif not path.exists():
            findings.problem(shown, "file", "nothing at this path", expected)
        elif not path.is_file():
            findings.problem(shown, "file", "a pipe or a device", expected)
        elif path.stat().st_size > MAX_FILE_BYTES:
            findings.problem(shown, "file", f"{path.stat().st_size} bytes", f"at most {MAX_FILE_BYTES}")
        else:
            return path.read_bytes()
    except OSError as error:
        findings.problem(
            shown, "file", f"one that can't be opened ({error.strerror})", expected + " that this user may read"
        )
    except ValueError:
        findings.problem(shown, "file", "a name that no file can have", expected)
    return None


def _decode(content: bytes, shown: str, findings: Findings) -> str | None:
    """The text; None where a problem was noted, with the place of the first byte that is wrong.

    Files of Windows' editors begin with a mark of their byte order: UTF-8 with one is read, UTF-16 is named.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        findings.problem(shown, "byte 0", "UTF-16", "UTF-8 text")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the byte order mark.
        position = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        found = f"0x{content[position]:02x}, which is not UTF-8"
        findings.problem(shown, f"byte {position}", found, "UTF-8 text")
        return None


def _as_object(pairs: list[tuple[str, Any]]) -> _Object:
    """An object that remembers which keys were repeated: a plain dict loses all but the last of them without a word."""
    result = _Object(pairs)
    if len(result) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        result.repeated = tuple(key for key, count in counts.items() if count > 1)
    return result


def _as_whole(digits: str) -> int | float:
    # Python refuses to convert very long integers; infinity is refused by the cleaner, with the path.
    return int(digits) if len(digits) <= 20 else math.inf


def _note_fault(text: str, error: simplejson.JSONDecodeError, shown: str, findings: Findings) -> None:
    """Turns a parser's complaint into found and expected. simplejson's own text would show what stands there, and that
    may be a secret."""
    position = error.pos
    expected = next((phrase for mark, phrase in _EXPECTED if mark in error.msg), "valid JSON")
    hint = ""
    rest = text[position : position + 10]
    word = next((word for word in _FOREIGN_WORDS if rest.startswith(word)), None)
    if position >= len(text):
        found = "the end of the file"
    elif word is not None:
        found, hint = word, " (JSON has no such word)"
    elif rest.startswith(_COMMENT_MARKS):
        found, hint = "a comment", " (JSON has no comments)"
    else:
        # One character only: what stands there may be a part of a secret.
        found = "a text" if text[position] == '"' else show(text[position])
        if rest.startswith("'"):
            hint = " (JSON texts stand in double quotes)"
        elif "trailing comma" in error.msg:
            hint = " (remove the comma)"
    if shown.endswith((".yaml", ".yml")):
        hint += " (YAML is not read)"
    findings.problem(shown, f"line {error.lineno}, column {error.colno}", found, expected + hint)


def _fits(number: float) -> bool:
    """True for a number that every process behind us can carry: 64 bits, and finite."""
    return math.isfinite(number) if isinstance(number, float) else -(2**63) <= number < 2**63


class _Cleaner:
    """Turns what simplejson gave into plain dicts and lists, noting what could not be written as JSON again."""

    def __init__(self, file: str, findings: Findings) -> None:
        self._file = file
        self._findings = findings

    def clean(self, value: Any, path: str, depth: int) -> Any:
        """The value without our own classes, at its path; problems are noted, and the value handed on so that all are
        found."""
        if depth > MAX_DEPTH:
            self._problem(path, "too many levels of brackets", f"at most {MAX_DEPTH}")
        elif isinstance(value, _Object):
            return self._clean_object(value, path, depth)
        elif isinstance(value, list):
            return [self.clean(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        elif isinstance(value, str):
            self._check_text(value, path)
        elif isinstance(value, int | float) and not _fits(value):
            self._problem(path, "a number that is too large", "one within 64 bits")
        return value

    def _clean_object(self, value: _Object, path: str, depth: int) -> dict[str, Any]:
        """A plain dict of the object; of each key that stood in it twice a warning is given."""
        for key in value.repeated:
            self._findings.warning(self._file, join_path(path, key), "stands twice in one object; the last one counts")
        for key in value:
            self._check_text(key, join_path(path, key))
        return {key: self.clean(item, join_path(path, key), depth + 1) for key, item in value.items()}

    def _check_text(self, text: str, path: str) -> None:
        r"""Notes a text that UTF-8 can't carry: an escape such as \ud800 names half a character."""
        try:
            text.encode()
        except UnicodeEncodeError:
            self._problem(path, "half of a surrogate pair", "text that UTF-8 can carry")

    def _problem(self, path: str, found: str, expected: str) -> None:
        self._findings.problem(self._file, path or "top level", found, expected)
