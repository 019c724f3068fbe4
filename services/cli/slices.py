"""Says in Python's notation which bytes of a frame a data point takes."""

from __future__ import annotations

from common.config.models import DataPoint, Rpc
from common.core.byte_text import bytes_of
from common.core.quoting import spelled


def describe_slice(point: DataPoint) -> str:
    """`frame[3:-1]`, `frame[:find("\\r")]`, or `frame` for the whole of it."""
    start, end = point.from_delimiter, point.until_delimiter
    if start is not None:
        length = len(bytes_of(start))
        behind = f"find({spelled(start)})+{length}"
        first = f"find({spelled(start)})" if point.keep_delimiter else behind
        last = "" if end is None else f"find({spelled(end)}, {behind})"
        return f"frame[{first}:{last}]"
    if end is not None:
        return f"frame[:find({spelled(end)})]"
    if point.from_byte is None and point.to_byte is None:
        return "frame"
    return f"frame[{_number(point.from_byte)}:{_number(point.to_byte)}]"


def describe_answer(rpc: Rpc) -> str:
    """The slice of an answer to `rpc`; its frame is called `answer`.

    Both are written as Python would slice them, because that is what people try when a value looks wrong.
    """
    point = DataPoint(
        key="",
        until_delimiter=rpc.response_until_delimiter,
        from_byte=rpc.response_from_byte,
        to_byte=rpc.response_to_byte,
    )
    return describe_slice(point).replace("frame", "answer", 1)


def _number(position: int | None) -> str:
    """A position as Python writes it; nothing for none."""
    return "" if position is None else str(position)
