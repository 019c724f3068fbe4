"""`python -m services.port_reader --config FILE --device NAME [--data-dir DIR]`: the process of one serial port.

There are as many of these as ports, so what one loads counts: the configuration is read in a child, and nothing is
imported before its time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.io.apart import Apart, without


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one port reader; returns its exit code."""
    reading = Apart(lambda: _read_task(arguments))
    # Meanwhile. msgspec takes `typing_extensions` where it is installed: 1.3 MB for names that `typing` has.
    with without("typing_extensions"):
        from services.port_reader.serving import Stopped, serve
        from services.port_reader.task import read_task
    code, found = reading.wait()
    if code or not found:
        return code
    try:
        return serve(read_task(found))
    except Stopped as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201
        return stopped.code


def _read_task(arguments: Sequence[str] | None) -> bytes:
    from services.port_reader.plan import find_task
    from services.port_reader.task import write_task

    return write_task(find_task(arguments))


if __name__ == "__main__":
    sys.exit(main())
