"""A process as the broker knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.core.liveness import BEAT_S, Liveness


@dataclass(slots=True)
class Member:
    """One registered process. `liveness` is as of the last `Registry.age`, so that what waits unread in a socket of a
    broker that was stopped and continued is heard before anyone is called lost."""

    kind: str
    name: str
    instance: str
    route: bytes
    pid: int
    host: str
    lock: str
    detail: dict[str, Any]
    heard_s: float
    every_s: float = BEAT_S
    """How often it beats, as it said last."""
    liveness: Liveness = "alive"
    draining: bool = False

    @property
    def address(self) -> str:
        """The name under which calls reach it: kind and name, such as `port_reader:press1`."""
        return f"{self.kind}:{self.name}"

    @property
    def section(self) -> str:
        """Hash of a port reader's section; "" where it named none."""
        return str(self.detail.get("section", ""))

    @property
    def own_calls(self) -> bool:
        """True for a port reader that converts its device's calls itself."""
        return self.detail.get("own_calls") is True

    @property
    def temporary(self) -> bool:
        """True for a port reader that only sends what an earlier device left, and ends then: its silence is its end.

        It said so when it registered: one that has nothing to send is gone before anybody has heard it beat."""
        return self.detail.get("temporary") is True

    @property
    def pinned(self) -> bool:
        """True for a port reader whose device has users' code, which stays with one converter."""
        return self.detail.get("pinned") is True

    @property
    def company_s(self) -> float:
        """How long frames may wait for company before they come to this publisher; 0 where it has said nothing."""
        found = self.detail.get("company_ms")
        return found / 1000 if type(found) is int else 0.0
