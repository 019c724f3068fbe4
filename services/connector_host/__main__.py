"""`python -m services.connector_host --config FILE --connector NAME [--data-dir DIR]`: a connector that a user wrote.

Its task stands in a file: `serialgw run` has written it from a configuration that it has checked, or else this process
reads the configuration, writes the file, and becomes a new program that has loaded only what serving takes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.io.lean import without


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one connector host; returns its exit code. Raises SystemExit where it can't serve."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    # msgspec takes `typing_extensions` where it is installed: 1.3 MiB for names that `typing` has.
    with without("typing_extensions"):
        from common.config.host_task import written_host_task

        task = written_host_task(words)
    if task is None:
        from services.connector_host.shell.starting import find_task, start_anew

        task, anew = find_task(words)
        if arguments is None:
            start_anew(task, anew)
    with without("typing_extensions"):
        from services.connector_host.shell.serving import serve
    return serve(task)


if __name__ == "__main__":
    sys.exit(main())
