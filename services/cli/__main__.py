"""What the console command `serialgw` starts. It imports next to nothing, so that Ctrl-C is quiet from the start."""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 130
"""The code that shells give to what Ctrl-C has ended: 128 and the number of SIGINT."""


def main(argv: list[str] | None = None) -> int:
    """Runs one command line; returns its exit code, 130 for Ctrl-C, which needs no traceback."""
    try:
        from services.cli.command_line import run_command_line

        return run_command_line(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
