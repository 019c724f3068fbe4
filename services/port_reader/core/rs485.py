"""How a port's driver is told to switch the direction of an RS-485 line, as the kernel's `serial_rs485`. Pure.

The struct is 8 numbers of 32 bits in this machine's order of bytes: flags, the delay before sending and the delay after
it in ms, and room (include/uapi/linux/serial.h).
"""

from __future__ import annotations

import struct
from typing import Final

from common.config.models import Rs485

SIZE_BYTES: Final = 32
GET: Final = 0x542E
"""The ioctl that reads it, TIOCGRS485."""
SET: Final = 0x542F
"""The ioctl that writes it, TIOCSRS485."""
ENABLED: Final = 1 << 0
RTS_ON_SEND: Final = 1 << 1
RTS_AFTER_SEND: Final = 1 << 2
RX_DURING_TX: Final = 1 << 4
_OURS: Final = ENABLED | RTS_ON_SEND | RTS_AFTER_SEND | RX_DURING_TX
_HEAD: Final = struct.Struct("=3I")


def packed(settings: Rs485, before: bytes) -> bytes:
    """What to write. `before`: what was read, SIZE_BYTES; what is not ours of it (termination, addresses) stays."""
    flags = _HEAD.unpack_from(before)[0] & ~_OURS | ENABLED
    flags |= RTS_ON_SEND if settings.rts_on_send else RTS_AFTER_SEND
    flags |= RX_DURING_TX if settings.hears_itself else 0
    return _HEAD.pack(flags, settings.delay_before_ms, settings.delay_after_ms) + before[_HEAD.size :]


def refused(wanted: bytes, found: bytes) -> list[str]:
    """What a driver has made of what it was told, in words, where that is something else: it takes what it can."""
    flags, before_ms, after_ms = _HEAD.unpack_from(wanted)
    found_flags, found_before_ms, found_after_ms = _HEAD.unpack_from(found)
    if not found_flags & ENABLED:
        return ["rs485 (the driver leaves it off)"]
    differing = flags ^ found_flags
    words = []
    if differing & (RTS_ON_SEND | RTS_AFTER_SEND):
        words.append("rs485.rtsOnSend (the driver knows the other level only)")
    if differing & RX_DURING_TX:
        words.append(f"rs485: the line is {'not ' if flags & RX_DURING_TX else ''}heard while it is written to")
    for name, wanted_ms, found_ms in (("Before", before_ms, found_before_ms), ("After", after_ms, found_after_ms)):
        if wanted_ms != found_ms:
            words.append(f"rs485.delay{name}Ms {wanted_ms} (the driver makes it {found_ms})")
    return words
