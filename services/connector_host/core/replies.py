"""What `send_rpc_reply` sends, by its arguments. Pure.

As the reference has it, but for two things: what is sent is JSON and not a text with JSON in it, and content that has
none of the reference's own words is not dropped where `success_sent` is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import simplejson

from common.conversion.values import encode_json, plain_value

ANSWERS: Final = ("success", "error", "response", "result")
"""Content with one of these is a whole answer."""


def reply_of(content: object, success_sent: object, *, is_to_connector: bool) -> bytes | None:
    """The answer as JSON; None where the arguments say nothing. `is_to_connector`: the connector itself was called,
    not one of its devices. Raises ValueError for content that JSON can't carry."""
    if isinstance(content, str | bytes | bytearray):
        content = _parsed(content)
    if success_sent is None:
        if content is None and not is_to_connector:
            return None
        return encode_json(plain_value(content))
    said: dict[object, object] = {"success": bool(success_sent)}
    if isinstance(content, Mapping):
        # The caller's own object stays as it is.
        said = {**content, "success": success_sent} if not content.keys().isdisjoint(ANSWERS) else {**said, **content}
    elif content is not None:
        said = {**said, "content": content}
    return encode_json(plain_value(said.get("result", said)))


def _parsed(content: str | bytes | bytearray) -> object:
    """The value of a JSON text; the text itself where it is none."""
    text = content if isinstance(content, str) else bytes(content).decode(errors="replace")
    try:
        return simplejson.loads(text)
    except (ValueError, RecursionError):
        return text
