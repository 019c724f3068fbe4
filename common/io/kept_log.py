"""Where `serialgw run` keeps what all processes have logged: two files of the data directory, the older one whole."""

from __future__ import annotations

from typing import Final

FOLDER: Final = "log"
"""In the data directory, mode 0700."""
NAME: Final = "gateway.log"
"""What is being written. When it is full it takes the older one's place."""
OLDER: Final = "gateway.log.1"
