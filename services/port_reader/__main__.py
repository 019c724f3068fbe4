"""`python -m services.port_reader --config FILE --device NAME [--data-dir DIR]`: the process of one serial port.

There are as many of these as ports, so what one loads counts: the configuration is read by `serialgw run`, or else in a
child, and nothing is imported before its time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from common.io.apart import Apart, put_off, without

if TYPE_CHECKING:
    from common.config.task import Task

UNUSED: Final = ("ipaddress", "msgspec.inspect", "socket", "zmq.utils.jsonapi")
"""Modules that libraries import and this process does not use, unless its line is a TCP connection: 0.7 MB. None that
is needed where something fails: then it may be too late to load anything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one port reader; returns its exit code."""
    with _light():
        # What both need comes first, so that it is loaded once.
        from common.config.task import read_task, written_task

    task, code = written_task(sys.argv[1:] if arguments is None else arguments), 0
    reading = Apart(lambda: _read_task(arguments)) if task is None else None
    with _light():
        # Meanwhile.
        import services.port_reader.shell.serving  # noqa: F401
    if reading is not None:
        code, found = reading.wait()
        task = read_task(found) if found and not code else None
    return code if task is None else _serve(task)


@contextmanager
def _light() -> Iterator[None]:
    """What is imported meanwhile loads little."""
    # msgspec takes `typing_extensions` where it is installed: 1.3 MB for names that `typing` has.
    with without("typing_extensions"), put_off(*UNUSED):
        yield


def _serve(task: Task) -> int:
    from services.port_reader.shell.serving import Stopped, serve

    try:
        return serve(task)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201
        return stopped.code


def _read_task(arguments: Sequence[str] | None) -> bytes:
    from common.config.task import write_task
    from services.port_reader.shell.plan import find_task

    return write_task(find_task(arguments))


if __name__ == "__main__":
    sys.exit(main())
