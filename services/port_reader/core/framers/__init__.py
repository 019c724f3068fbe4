"""How chunks become frames: one file and one line here per kind of framing."""

from __future__ import annotations

from typing import Final

from services.port_reader.core.framers.delimiter import DelimiterFramer

FRAMERS: Final = {"delimiter": DelimiterFramer}
