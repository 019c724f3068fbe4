"""Reads `rs485` in `bus`: that the port's driver switches the direction of an RS-485 line.

Needed for ports whose pin RTS moves the transceiver, as on many small computers; most USB adapters do that by
themselves.
"""

from __future__ import annotations

from typing import Final

from common.config.findings import show
from common.config.json_object import JsonObject
from common.config.models import Rs485

MOST_DELAY_MS: Final = 100
"""The kernel makes no delay longer (RS485_MAX_RTS_DELAY in drivers/tty/serial/serial_core.c)."""
_ELSEWHERE: Final = ("socket://", "rfc2217://", "tcp-listen://")


def read_rs485(entry: JsonObject) -> Rs485 | None:
    """What the device in this object says of its line's direction; None where it says nothing, or false."""
    bus = entry.values.get("bus")
    if not isinstance(bus, dict) or bus.get("rs485") in (None, False):
        return None
    outer = JsonObject(bus, *entry.place("bus"), entry.findings)
    if bus["rs485"] is True:
        found = Rs485(hears_itself=bus.get("echo") is True)
    elif isinstance(bus["rs485"], dict):
        child = JsonObject(bus["rs485"], *outer.place("rs485"), entry.findings)
        found = Rs485(
            rts_on_send=child.flag("rtsOnSend", True),
            delay_before_ms=child.whole("delayBeforeMs", 0, 0, MOST_DELAY_MS),
            delay_after_ms=child.whole("delayAfterMs", 0, 0, MOST_DELAY_MS),
            hears_itself=bus.get("echo") is True,
        )
        child.warn_unknown()
    else:
        expected = 'true, or an object such as {"rtsOnSend": true, "delayBeforeMs": 1}'
        outer.problem("rs485", show(bus["rs485"]), expected)
        return None
    port = entry.values.get("port")
    if isinstance(port, str) and port.startswith(_ELSEWHERE):
        outer.warning("rs485", f"has no effect on {show(port)}: who has that port has to switch its direction")
    for key in ("rtscts", "rts"):
        if entry.values.get(key) not in (None, False):
            outer.problem("rs485", f'rs485 beside "{key}"', "one of them: the pin RTS is the direction of the line")
    return found
