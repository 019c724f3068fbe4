"""Reads the six rate limits of the `thingsboard` section."""

from __future__ import annotations

from typing import Final

from common.config.findings import show
from common.config.json_object import JsonObject
from common.config.models import Rate, RateLimits
from common.core.rate_text import Pairs, read_rates

_MESSAGES: Final[Pairs] = ((10, 1), (60, 60))
_POINTS: Final[Pairs] = ((10, 1), (300, 60))
RATE_LIMITS: Final = {
    "rateLimits": ("data", _MESSAGES),
    "dpRateLimits": ("points", _POINTS),
    "messagesRateLimits": ("messages", _MESSAGES),
    "deviceRateLimits": ("device_data", _MESSAGES),
    "deviceDpRateLimits": ("device_points", _POINTS),
    "deviceMessagesRateLimits": ("device_messages", _MESSAGES),
}
"""Key → (field of `RateLimits`, what the reference takes ThingsBoard's own cloud to allow)."""
WORDS: Final = (
    "DEFAULT_TELEMETRY_RATE_LIMIT",
    "DEFAULT_TELEMETRY_DP_RATE_LIMIT",
    "DEFAULT_MESSAGES_RATE_LIMIT",
    "DEFAULT_RATE_LIMIT",
)
"""Words for what goes without saying. Each key has one of its own; any is taken for the key's."""
EXPECTED: Final = 'numbers and seconds such as "10:1,100:60", or "0" for no limit'


def read_rate_limits(entry: JsonObject, host: str) -> RateLimits:
    """The limits that the section names. A key that is missing, or one of the words, is a guess by the platform's host,
    as in the reference."""
    return RateLimits(**{field: _read_rate(entry, key, host, guess) for key, (field, guess) in RATE_LIMITS.items()})


def _read_rate(entry: JsonObject, key: str, host: str, guess: Pairs) -> Rate:
    entry.used(key)
    text = entry.values.get(key)
    if text is None or text in WORDS:
        return Rate(pairs=guess, is_guess=True) if _is_cloud(host) else Rate()
    if isinstance(text, int) and not isinstance(text, bool) and text == 0:
        text = ""
    if not isinstance(text, str):
        entry.problem(key, show(text), EXPECTED)
        return Rate()
    try:
        return Rate(pairs=read_rates(text))
    except ValueError:
        entry.problem(key, show(text), EXPECTED)
        return Rate()


def _is_cloud(host: str) -> bool:
    """True for ThingsBoard's own platforms, told by the name as the reference tells them."""
    return "thingsboard.cloud" in host or ("tb" in host and "cloud" in host) or "demo.thingsboard.io" in host
