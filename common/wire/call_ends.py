"""How calls end, as one of few words: the error text itself is a sentence for whoever called. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

from common.wire.calls import EXPIRED, MALFORMED, METHOD_NOT_FOUND, NO_DATA, QUEUE_FULL, SHUTTING_DOWN

CallEnd = Literal[
    "ok",
    "unknown_device",
    "not_connected",
    "unknown_method",
    "bad_params",
    "write_failed",
    "no_answer",
    "expired",
    "queue_full",
    "stopping",
    "other",
]
ENDS: Final[tuple[CallEnd, ...]] = get_args(CallEnd)
_WHOLE: Final[dict[str, CallEnd]] = {
    "": "ok",
    METHOD_NOT_FOUND: "unknown_method",
    NO_DATA: "bad_params",
    MALFORMED: "bad_params",
    EXPIRED: "expired",
    QUEUE_FULL: "queue_full",
    SHUTTING_DOWN: "stopping",
    "Request timeout": "no_answer",
}
_PARTS: Final[tuple[tuple[str, str, CallEnd], ...]] = (
    ("unknown device ", "", "unknown_device"),
    ("unknown connector ", "", "unknown_device"),
    ("device ", " is not connected", "not_connected"),
    ("connector ", "", "not_connected"),
    ("unknown verb ", "", "unknown_method"),
    ("params can't be converted: ", "", "bad_params"),
    ("not JSON: ", "", "bad_params"),
    ("no attribute update is configured for ", "", "bad_params"),
    ("the call is too large: ", "", "bad_params"),
    ("write failed: ", "", "write_failed"),
    ("no answer in ", "", "no_answer"),
    ("not written within ", "", "expired"),
)
"""How a text begins and ends → what it means; the first that fits."""


def end_of(error: str) -> CallEnd:
    """What an error text means; "" is a call that went well."""
    found = _WHOLE.get(error)
    if found is not None:
        return found
    for beginning, end, meaning in _PARTS:
        if error.startswith(beginning) and error.endswith(end):
            return meaning
    return "other"
