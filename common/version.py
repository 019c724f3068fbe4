"""Which serialgw this is."""

from typing import Final

RELEASE: Final = "0.2.0"
"""What `serialgw --version` says, and every process of itself."""
PROTOCOL: Final = 2
"""How processes talk. Those that speak another one are told so by the broker, and do nothing together."""
