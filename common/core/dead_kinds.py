"""Why something became a dead letter, as one of few kinds: the reason itself is a sentence for people. Pure.

Reasons travel between processes and stand in journals as sentences. Those that are not about a data point begin with
one of the texts below, whoever writes them; so their kind is known wherever they are counted.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

DeadKind = Literal[
    "incomplete",
    "too_long",
    "joined",
    "missing_bytes",
    "no_frame",
    "checksum",
    "stray",
    "conversion",
    "users_code",
    "killed_converters",
    "refused",
    "too_large",
    "damaged",
    "other",
]
KINDS: Final[tuple[DeadKind, ...]] = get_args(DeadKind)

NOWHERE: Final = "the journal has lost it"
DIED: Final = "a converter died"
TOO_LARGE: Final = "larger than the platform's limit"
MADE_TOO_LARGE: Final = "what the converter made of it has"
REFUSED: Final = "refused by the platform with reason code"
CLOSED: Final = "the platform closed the connection at it"
UNREAD: Final = "what the converter made of it can't be read"
NO_ROOM: Final = "users' converters have named more than"
_BEGINNINGS: Final[tuple[tuple[str, DeadKind], ...]] = (
    (NOWHERE, "damaged"),
    (DIED, "killed_converters"),
    (TOO_LARGE, "too_large"),
    (MADE_TOO_LARGE, "too_large"),
    (REFUSED, "refused"),
    (CLOSED, "refused"),
    (UNREAD, "conversion"),
    (NO_ROOM, "refused"),
)


def kind_of_entry(reason: str, *, is_users: bool) -> DeadKind:
    """The kind of an entry that was numbered and was given up later. `is_users`: users' code converts it."""
    for beginning, kind in _BEGINNINGS:
        if reason.startswith(beginning):
            return kind
    return "users_code" if is_users else "conversion"
