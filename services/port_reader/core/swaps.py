"""Which changes of a device's section an open reader takes as they are, and for which it has to be started anew. Pure.

| what has changed                                            | what becomes of the reader                            |
|-------------------------------------------------------------|-------------------------------------------------------|
| data points, messages, calls, report strategy, class of the | it goes on: frames from now on are of the new section |
| converter, and what else only conversion and calls look at  |                                                       |
| framing, of a line that only this device has                | it goes on: what has no end yet is taken apart anew   |
| speed, data bits, parity, stop bits, flow control, time to  | it goes on: they are set on the open port             |
| write, of a line that only this device has                  |                                                       |
| everything else                                             | it is started anew; its journal keeps all it has read |

To be imported only where a section changes: most readers never hear of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from common.config.framing import Framing
from common.config.models import Device, Line

MOST_SWAPS: Final = 256
"""Sections that one process takes. Each stays in memory, as frames that wait may name it; a reader that starts anew
forgets those that none names any more."""
_SET_OPEN: Final = ("baudrate", "write_timeout_s")
"""Settings of a line that are changed wherever its port is."""
_SET_HERE: Final = ("bytesize", "parity", "stopbits", "xonxoff", "rtscts")
"""And those that are changed where the port is this machine's."""
_REMOTE: Final = "rfc2217://"
_STAYS: Final = {"name": "another name", "type": "another device type", "uplink_queue_size": "another uplinkQueueSize"}
"""Fields of a device that a reader is started with, in words."""


def why_not(before: Device, after: Device, on_line: Sequence[Device]) -> str:
    """Why a reader can't go on with `after` where it has `before`, as a part of a sentence ("another port"); "" if it
    can. `on_line`: all devices of the reader."""
    for field, words in _STAYS.items():
        if getattr(before, field) != getattr(after, field):
            return words
    if before.has_user_converter != after.has_user_converter:
        return "other processes convert its frames"
    if before.asking != after.asking:
        return "it is asked otherwise"
    if _own_framings(before) != _own_framings(after):
        return "an answer is framed otherwise"
    is_plain = len(on_line) == 1 and before.asking is None
    if before.framing != after.framing and not is_plain:
        return "another framing on a line where devices are asked, or of several devices"
    return _why_no_line(before.line, after.line, is_plain=is_plain)


def _own_framings(device: Device) -> dict[str, Framing]:
    """The framings of messages that have one of their own, by name."""
    return {message.name: message.framing for message in device.messages if message.framing is not None}


def fault_of(device: Device) -> str:
    """Why no reader could go by this section, whatever it goes by now; "" if one can. Whoever reads files has checked
    that; what comes over the calls plane may be anybody's."""
    framing, line = device.framing, device.line
    if not framing.delimiter or framing.max_frame_bytes < 1 or not framing.timeout_s >= 0:
        return "its framing ends no frame"
    if (framing.kind == "shapes") != bool(framing.shapes):
        return "its framing has no shape"
    return "" if line.baudrate > 0 and line.bytesize > 0 and line.stopbits > 0 else "its line has no speed"


def _why_no_line(before: Line, after: Line, *, is_plain: bool) -> str:
    if before == after:
        return ""
    if not is_plain:
        return "other settings of a line where devices are asked, or of several devices"
    kept = _SET_OPEN if before.port.startswith(_REMOTE) else (*_SET_OPEN, *_SET_HERE)
    taken = msgspec.structs.replace(before, **{field: getattr(after, field) for field in kept})
    if taken == after:
        return ""
    other = [field for field in Line.__struct_fields__ if getattr(taken, field) != getattr(after, field)]
    return "another port" if "port" in other else f"another {other[0].removesuffix('_s')} of the line"
