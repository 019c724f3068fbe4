"""Names that configurations, processes and users agree on, each written down once.

Nothing here reads or checks anything, so every room may import it.
"""

from __future__ import annotations

from typing import Final

BUILTIN_UPLINK: Final = "SerialUplinkConverter"
"""The converter of frames that is ours; any other name in `converter` is a user's class."""
BUILTIN_DOWNLINK: Final = "SerialDownlinkConverter"
"""The converter of what is written that is ours; any other name in `downlink_converter` is a user's class."""
