"""One frame, taken apart as far as its data points ask for it. Pure.

A view lives for one frame. What costs something (fields, pairs, JSON, OBIS codes, records) is done at the first point
that asks, once for all of them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from common.conversion.grammar.mbus import Record, records_of
from common.conversion.grammar.obis import Entries, entries_of
from common.conversion.grammar.sml import SmlValue, is_sml, values_of
from common.conversion.values import parse_json
from common.core.frame_body import SpanOf
from common.core.quoting import shown


class View:
    """A frame under a message."""

    __slots__ = (
        "_body",
        "_json",
        "_obis",
        "_records",
        "_sml",
        "_span",
        "_span_of",
        "data",
        "frame",
        "is_loose",
        "names",
        "parts",
    )

    def __init__(self, frame: bytes, span_of: SpanOf) -> None:
        self.frame = frame
        self.data = frame
        """What `at` counts in: the frame, or what it was decoded to."""
        self._span_of = span_of
        self._span: tuple[int, int] | None = None
        self.parts: list[bytes] | None = None
        self.names: dict[str, bytes] = {}
        """The values that `pairs`, `pattern` or `regex` name."""
        self._body: bytes | None = None
        self._json: Any = self
        self.is_loose = False
        """True where what `json` gives has members that have to be looked at one by one."""
        self._obis: Entries | None = None
        self._sml: list[SmlValue] | None = None
        self._records: list[Record] | None = None

    def decoded(self, data: bytes) -> None:
        """From now on points count in this."""
        self.data, self._span, self._body = data, (0, len(data)), data

    @property
    def span(self) -> tuple[int, int]:
        """The place of the body in `data`, [start, end)."""
        if self._span is None:
            self._span = self._span_of(self.frame)
        return self._span

    @property
    def body(self) -> bytes:
        if self._body is None:
            start, end = self.span
            self._body = self.data[start:end]
        return self._body

    def json(self, encoding: str = "") -> Any:
        """What the body says as JSON, in the encoding of the first point that asks; or the frame, where frames begin or
        end with the braces of an object. Raises ValueError, for each point that asks."""
        if self._json is self:
            self._json = self._json_of(encoding)
        if isinstance(self._json, ValueError):
            raise self._json
        return self._json

    def _json_of(self, encoding: str) -> Any:
        body = self.body
        texts = [body] if len(body) == len(self.data) else [body, self.data]
        fault = ""
        for text in texts:
            try:
                return parse_json(text.decode(encoding).encode() if encoding else text)
            except ValueError as error:
                fault = fault or str(error)
        # Here: most devices write whole JSON.
        from common.conversion.grammar.loose_json import loads

        for text in texts:
            with suppress(ValueError):
                value = loads(text, encoding)
                self.is_loose = True
                return value
        return ValueError(f"found {shown(body.strip())}, expected JSON ({fault})")

    @property
    def is_sml(self) -> bool:
        return is_sml(self.frame)

    def obis(self) -> Entries:
        """The OBIS codes of a frame of text."""
        if self._obis is None:
            self._obis = entries_of(self.frame)
        return self._obis

    def sml(self) -> list[SmlValue]:
        """The values of an SML file. Raises ValueError for a broken one."""
        if self._sml is None:
            self._sml = values_of(self.frame)
        return self._sml

    def records(self) -> list[Record]:
        """The records of an M-Bus frame. Raises ValueError for a broken one."""
        if self._records is None:
            self._records = records_of(self.frame)
        return self._records
