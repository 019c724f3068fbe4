"""A running gateway's dead letters: port readers keep them in their journals, and are asked for them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from common.core.errors import LinkError
from common.io.client import Client
from common.wire import codec
from common.wire.calls import ListDeadLetters, RetryDeadLetters, reader_of

ANSWER_S: Final = 10.0
"""A page, or a batch of a retry, takes far less even on a slow card."""
MOST_KEPT: Final = 10_000
"""The most that can be asked for: as many as a journal keeps."""
Letter = tuple[int, int, int, str, bytes]
"""(id, number, ts_ms, reason, bytes)."""


class Page(NamedTuple):
    """The newest dead letters of a device, oldest first, and how many there are."""

    letters: list[Letter]
    total: int
    total_bytes: int
    """Bytes of all dead letters of the device, not of this page."""


class Retried(NamedTuple):
    """What became of a retry: how many went back into the stream, how many stay; `error` why it ended early, or ""."""

    retried: int
    kept: int
    error: str = ""


def fetch_letters(client: Client, device: str, most: int) -> Page:
    """The newest `most` dead letters of a device, page by page. Raises LinkError."""
    found: list[Letter] = []
    total = total_bytes = before = 0
    while len(found) < most:
        page = _ask(client, device, ListDeadLetters(before, most - len(found)))
        if not before:
            total, total_bytes = page["count"], page["bytes"]
        if not page["letters"]:
            break
        found += [tuple(letter) for letter in page["letters"]]
        before = found[-1][0]
    return Page(found[::-1], total, total_bytes)


def retry_letters(client: Client, device: str) -> Retried:
    """Sends everything that is dead now through again, batch by batch; what fails again meanwhile is not tried twice.

    Raises LinkError if the device can't be asked at all; a batch that fails later ends the retry, and the result says
    so.
    """
    newest = fetch_letters(client, device, 1).letters
    until = newest[-1][0] if newest else 0
    retried = kept = after = 0
    while after < until:
        try:
            result = _ask(client, device, RetryDeadLetters(after, until))
        except LinkError as error:
            return Retried(retried, kept, str(error))
        if not result["last"]:
            break
        retried, kept, after = retried + result["retried"], kept + result["kept"], result["last"]
    return Retried(retried, kept)


def _ask(client: Client, device: str, asked: ListDeadLetters | RetryDeadLetters) -> dict[str, Any]:
    """The body of a port reader's reply. Raises LinkError with the reply's error."""
    reply = client.call(reader_of(device), device, asked, ANSWER_S)
    if reply.error:
        raise LinkError(reply.error)
    return codec.unpack_map(reply.body)
