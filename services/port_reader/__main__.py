"""`python -m services.port_reader --config FILE --device NAME [--data-dir DIR]`: the process of one serial port.

There are as many of these as ports, so what one loads counts. Its task stands in a file: `serialgw run` has written it
from a configuration that it has checked, or else this process reads the configuration, writes the file, and becomes a
new program in the same process that has loaded only what serving takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from common.io.lean import put_off, without

UNUSED: Final = ("ipaddress", "msgspec.inspect", "random", "socket", "zmq.utils.jsonapi")
"""Modules that libraries import and this process does not use, unless its line is a TCP connection: 1.0 MiB. None that
is needed where something fails: then it may be too late to load anything."""


def load() -> None:
    """Loads what serving takes, for a process that forks readers."""
    with _light():
        import common.config.task  # noqa: F401
        import services.port_reader.shell.serving  # noqa: F401


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one port reader; returns its exit code. Raises SystemExit where it can't serve."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    with _light():
        from common.config.task import written_task

        task = written_task(words)
    if task is None:
        from services.port_reader.shell.starting import find_task, start_anew

        task, anew = find_task(words)
        if arguments is None:
            # Where a new program can't be had, as on a full disk, this one serves: more memory is better than no line.
            start_anew(task, anew)
    with _light():
        from services.port_reader.shell.serving import serve
    return serve(task)


@contextmanager
def _light() -> Iterator[None]:
    """What is imported meanwhile loads little."""
    # msgspec takes `typing_extensions` where it is installed: 1.3 MiB for names that `typing` has.
    with without("typing_extensions"), put_off(*UNUSED):
        yield


if __name__ == "__main__":
    sys.exit(main())
