"""The way from a process of a gateway to `serialgw run`, which looks after all of them: a pipe beside the sockets.

An order is one line of words. Whoever may open the socket folder may give one; it is the same user.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

ORDERS: Final = "orders"
"""The pipe's name in the folder of the sockets."""
LOGS_PIPE: Final = "logs"
"""A second pipe, the other way: what all processes log, for the publisher, while it has it open."""
APPLY_FILE: Final = "apply.json"
"""File beside the pipes: the names of the programs that an order to apply a configuration starts anew."""
LONGEST_ORDER: Final = 512
"""Bytes of an order: less than a pipe takes at once, so that two never mix."""
NOBODY: Final = (
    "no `serialgw run` looks after these processes; what has started them (compose, systemd, a person) has to do it"
)


def send_order(sockets: Path, order: str) -> str:
    """Gives an order, without waiting; "" or a sentence that says why it could not be given. Raises nothing."""
    line = f"{order}\n".encode()
    if len(line) > LONGEST_ORDER:
        return f"the order has {len(line)} bytes, at most {LONGEST_ORDER} are taken"
    try:
        pipe = os.open(sockets / ORDERS, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return NOBODY if error.errno in (errno.ENXIO, errno.ENOENT) else f"the order could not be given: {error}"
    try:
        os.write(pipe, line)
        return ""
    except OSError as error:
        return f"the order could not be given: {error.strerror}"
    finally:
        os.close(pipe)
