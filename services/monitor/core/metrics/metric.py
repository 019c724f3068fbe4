"""One name in the exposition. Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
PREFIX: Final = "serialgw_"


class Metric(NamedTuple):
    """One name in the exposition."""

    name: str
    """Without the prefix; of counters without `_total`."""
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it stands in the exposition."""
        return f"{PREFIX}{self.name}" + ("_total" if self.kind == "counter" else "")
