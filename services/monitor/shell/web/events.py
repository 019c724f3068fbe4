"""`/api/events?device=&kind=&before=&limit=`, and the events that pages make by what they change."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.monitor.core.chronicle.chronicle import KINDS, EventLevel, Happened, chosen
from services.monitor.shell.web.guard import refused
from services.monitor.shell.web.view import View

LIMIT: Final = 100
"""Events of one answer where nobody says how many."""
MOST: Final = 500
MOST_NAME: Final = 256
"""Characters of a device's name: what somebody asks for need not be one."""
ONLY_LOOKS: Final = frozenset({"probe", "try", "check"})
"""POSTs that change nothing."""
_DONE: Final = {
    "rpc": "called {method}",
    "attributes": "set {values}",
    "retry": "sent its dead letters through again",
    "capture": "recorded its line",
    "add": "added to the configuration",
    "config": "configuration written",
    "back": "configuration {number} brought back",
    "reload": "configuration taken",
}
"""Last word of a path → what somebody has done."""


class _Refusal(msgspec.Struct):
    """An answer that says why not; all others read as one without a word."""

    error: str = ""


def answer_events(request: Request, view: View) -> Response:
    """The newest events that fit, newest first; whether there are `more`, which `before` the last one's id are; and how
    many are `dropped` for good."""
    query = request.query_params
    kind, device = query.get("kind", ""), query.get("device", "")
    if kind and kind not in KINDS:
        return refused(400, f"kind: found {kind[:40]!r}, expected one of {', '.join(KINDS)}")
    numbers: dict[str, int | None] = {"limit": LIMIT, "before": None}
    for name in numbers:
        if text := query.get(name, ""):
            if not (text.isascii() and text.isdigit() and len(text) <= 18):
                return refused(400, f"{name}: found {text[:40]!r}, expected a whole number")
            numbers[name] = int(text)
    limit = numbers["limit"] or 0
    if not 1 <= limit <= MOST:
        return refused(400, f"limit: found {limit}, expected 1 to {MOST}")
    found, more = chosen(view.events, limit, device=device, kind=kind, before=numbers["before"])
    document = {"events": [event.show() for event in found], "more": more, "dropped": view.events_dropped}
    return Response(msgspec.json.encode(document), media_type="application/json")


def fault_in(answer: bytes) -> str:
    """Why what was asked for was not done, where an answer says so; "" else."""
    try:
        return msgspec.json.decode(answer, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def note_change(request: Request, view: View, asked: Any, fault: str) -> None:
    """Somebody has changed something, or could not. What was written stands in no event: it may be a secret."""
    what = request.url.path.rpartition("/")[2]
    if what in ONLY_LOOKS or getattr(asked, "dry_run", False):
        return
    section = getattr(asked, "section", None)
    device = getattr(asked, "device", "") or (section.get("name", "") if isinstance(section, dict) else "")
    names = {name: getattr(asked, name, "") for name in ("method", "number")}
    names["values"] = ", ".join(getattr(asked, "values", ()))
    who = request.client.host if request.client and request.client.host else "the gateway's own user"
    text = f"{_DONE.get(what, what).format_map(names)}, by {who}"
    level: EventLevel = "warning" if fault else "info"
    after = "failed" if fault else "done"
    now_ms = time.time_ns() // 1_000_000
    view.changes.append(
        Happened(now_ms, "change", level, str(device)[:MOST_NAME], "", "", after, f"{text}: {fault}" if fault else text)
    )
