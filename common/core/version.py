"""Which serialgw this is."""

from __future__ import annotations

# `typing` takes longer to load than all else that `services.cli.supervise.launch` needs, at each start of each process.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

RELEASE: Final = "0.2.0"
"""What `serialgw --version` says, and every process of itself."""
PROTOCOL: Final = 2
"""How processes talk. Those that speak another one are told so by the broker, and do nothing together."""
