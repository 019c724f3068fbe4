"""Rate limits as ThingsBoard's server keeps them: a bucket of whole tokens each, that fills evenly in nanoseconds."""

from __future__ import annotations

import json
from collections import Counter

GIGA = 10**9


class ServerBucket:
    """One `count:seconds`."""

    def __init__(self, count: int, seconds: int, now_s: float) -> None:
        self.count = count
        self.period_ns = seconds * GIGA
        self.tokens = count
        self.left = 0
        """What is over from filling: less than a token, in 1/period."""
        self.since_ns = int(now_s * GIGA)

    def fill(self, now_s: float) -> None:
        now_ns = int(now_s * GIGA)
        parts = (now_ns - self.since_ns) * self.count + self.left
        self.since_ns = now_ns
        self.tokens += parts // self.period_ns
        self.left = parts % self.period_ns
        if self.tokens >= self.count:
            self.tokens, self.left = self.count, 0


class ServerRates:
    """The buckets of one gateway's devices; what finds too little is refused and counted."""

    def __init__(self, limits: dict[str, str], now_s: float) -> None:
        """`limits` as in `gatewayRateLimits` of `getSessionLimits`."""
        self._buckets = {
            what: [ServerBucket(*map(int, pair.split(":")), now_s) for pair in text.split(",") if pair]
            for what, text in limits.items()
        }
        self.taken: Counter[str] = Counter()
        self.refused: list[tuple[float, str]] = []
        """When, and of what too much came."""

    def takes(self, topic: str, payload: bytes, now_s: float) -> bool:
        """False if a publish is too much for any bucket."""
        said = json.loads(payload)
        if topic == "v1/gateway/telemetry":
            points = [sum(len(item["values"]) for item in items) for items in said.values()]
        elif topic == "v1/gateway/attributes":
            points = [len(values) for values in said.values()]
        elif topic.startswith("v1/gateway/"):
            return self._take("messages", 1, now_s)
        else:
            return True
        # Each device of a publish is looked at by itself, also behind one that was refused.
        taken = [
            self._take("telemetryMessages", 1, now_s) and self._take("telemetryDataPoints", n, now_s) for n in points
        ]
        return all(taken)

    def _take(self, what: str, count: int, now_s: float) -> bool:
        buckets = self._buckets.get(what, [])
        for bucket in buckets:
            bucket.fill(now_s)
        if any(bucket.tokens < count for bucket in buckets):
            self.refused.append((now_s, what))
            return False
        for bucket in buckets:
            bucket.tokens -= count
        self.taken[what] += count
        return True
