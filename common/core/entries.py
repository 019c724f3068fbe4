"""One item of telemetry as users' code writes it, in any of its forms, and the key that such code may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class DatapointKey:
    """A key of telemetry or of attributes that brings a report strategy of its own.

    It is taken wherever a key is. Two are equal if key and strategy are; none is equal to a text.
    """

    __slots__ = ("key", "report_strategy")

    def __init__(self, key: str, report_strategy: Any = None) -> None:
        self.key = key
        self.report_strategy = report_strategy

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DatapointKey):
            return False
        return (self.key, self.report_strategy) == (other.key, other.report_strategy)

    def __hash__(self) -> int:
        return hash((self.key, self.report_strategy))

    def __repr__(self) -> str:
        return f"DatapointKey(key={self.key}, report_strategy={self.report_strategy})"


def split_entry(item: Mapping[Any, Any]) -> tuple[Any, dict[Any, Any]]:
    """(time or None, values) of one telemetry item; the time is as it stands there.

    An item is `{key: value}`, with `ts` among the keys or not, or `{"ts": ms, "values": {key: value}}`, where more keys
    may stand beside `values` if no key comes twice. Raises ValueError for anything else: `ts` and `values` are never
    taken for keys of telemetry.
    """
    if "values" not in item:
        return item.get("ts"), {key: value for key, value in item.items() if key != "ts"}
    values = {} if item["values"] is None else item["values"]
    if not isinstance(values, Mapping):
        raise ValueError(f"found {type(values).__name__} as values, expected values to be a dict of telemetry")
    others = {
        key: value for key, value in item.items() if key not in ("ts", "values", "metadata") and value is not None
    }
    twice = sorted(str(key) for key in others if key in values)
    if twice or (others and "ts" not in item):
        keys = ", ".join(map(str, item))
        why = f" ({twice[0]} stands beside values and in it)" if twice else ""
        raise ValueError(f'found keys {keys}{why}, expected {{"ts", "values"}} or plain keys')
    return item.get("ts"), {**others, **values}
