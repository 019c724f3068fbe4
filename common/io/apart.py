"""Work whose memory is not to stay: done in a child, of which only the result comes back."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def done_apart(work: Callable[[], bytes]) -> tuple[int, bytes]:
    """(exit code, result): forks, does the work in the child, and waits for its end.

    Whatever the child imports is gone with it. A `SystemExit` of the work gives its code and no result; anything else
    that it raises is shown, with code 1. To be called before there are threads.
    """
    outcome_in, outcome_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(outcome_in)
        os._exit(_child(work, outcome_out))
    os.close(outcome_out)
    with os.fdopen(outcome_in, "rb") as pipe:
        result = pipe.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), result


def _child(work: Callable[[], bytes], outcome: int) -> int:
    code: object = 1
    try:
        with os.fdopen(outcome, "wb") as pipe:
            pipe.write(work())
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1
