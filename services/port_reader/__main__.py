"""`python -m services.port_reader --config FILE --device NAME [--data-dir DIR]`: the process of one serial port."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from common.io.apart import done_apart
from services.port_reader.task import Task


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one port reader; returns its exit code."""
    code, found = done_apart(lambda: _read_task(arguments))
    if not found:
        return code
    # Only now, so that the child need not hold it.
    from services.port_reader.serving import Stopped, serve

    try:
        return serve(msgspec.json.decode(found, type=Task))
    except Stopped as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201
        return stopped.code


def _read_task(arguments: Sequence[str] | None) -> bytes:
    # Here, so that all that reads configurations is never loaded outside the child.
    from services.port_reader.plan import find_task

    return msgspec.json.encode(find_task(arguments))


if __name__ == "__main__":
    sys.exit(main())
