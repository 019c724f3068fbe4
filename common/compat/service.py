"""`TBGatewayService`, which users' code names in annotations."""

from __future__ import annotations

__all__ = ["TBGatewayService"]


class TBGatewayService:
    """The gateway, as the type of an argument. What a hosted connector gets derives from it; nobody else makes one."""
