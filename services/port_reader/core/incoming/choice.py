"""Which way in a line has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.config.framing import Framing
from services.port_reader.core.incoming.by_delimiter import Incoming

if TYPE_CHECKING:
    from services.port_reader.core.incoming.by_shape import ShapedIncoming


def incoming_of(framing: Framing, state: bytes, byte_s: float) -> Incoming | ShapedIncoming:
    """The incoming side for a line's framing. `state` is what the journal has kept of the line, `byte_s` how long the
    line takes for a byte."""
    if framing.kind == "delimiter":
        return Incoming(framing, state)
    # Here: lines with a delimiter never need it, and a port reader keeps what it has loaded.
    from services.port_reader.core.incoming.by_shape import ShapedIncoming

    return ShapedIncoming(framing, state, byte_s)
