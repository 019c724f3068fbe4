"""What devices say stands in reasons, too: where it is not to be seen it is taken out of them. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from services.monitor.core.gateway.snapshot import Process, Snapshot

_QUOTED: Final = re.compile(r"(?<!\w)b?['\"]")
"""Where something is quoted; the apostrophe of a word is none."""


def hidden(text: str) -> str:
    """A sentence without what it quotes, and what comes behind: where a quotation ends nobody knows for sure, for the
    text may have been cut, and what is quoted may have quotes."""
    found = _QUOTED.search(text)
    return text if found is None else f"{text[: found.start()]}…"


def without_words(snapshot: Snapshot) -> Snapshot:
    """The same with no word that a device, or a frame, has said."""
    devices = tuple(row._replace(state=row.state._replace(reason=hidden(row.state.reason))) for row in snapshot.devices)
    return snapshot._replace(devices=devices, processes=tuple(map(_of_process, snapshot.processes)))


def _of_process(process: Process) -> Process:
    if process.beat is None:
        return process
    return process._replace(beat=process.beat.replace(state=_of_value(process.beat.state)))


def _of_value(value: Any) -> Any:
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, list | tuple):
        return [_of_value(one) for one in value]
    if isinstance(value, dict):
        return {key: _of_value(one) for key, one in value.items()}
    return value
