"""Which method performs which effect, as a table: one look-up for each effect, however many kinds there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from services.port_reader.core.events import Event

Known_contra = TypeVar("Known_contra", contravariant=True)
Kind = TypeVar("Kind")
Table = dict[type, Callable[[Any], Iterable[Event]]]


class Performers(Generic[Known_contra]):
    """A table whose type says which kinds it knows: mypy takes one that lacks a kind of effect for no
    `Performers[Effect]`. It takes the place of a `match`, which would try each kind before the right one."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def on(self, kind: type[Kind], perform: Callable[[Kind], Iterable[Event]]) -> Performers[Known_contra | Kind]:
        """Adds one more kind; returns the larger table, for the type of this one can't grow."""
        return Performers({**self.table, kind: perform})
