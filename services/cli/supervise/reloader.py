"""Takes what stands in the user's files now: a process that `serialgw run` starts when it is sent SIGHUP.

    python -m services.cli.supervise.reloader --data-dir DIR

It does what `serialgw reload` does, and says in the log what becomes of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.core.errors import ConfigError, GatewayError
from common.core.events import Note
from common.io.logs import log_note
from common.io.process import begin
from services.cli.supervise.reloading import Reloaded, Reloading, hold_lock

ADVICE = "`serialgw reload --dry-run` shows what would be done"


def main(arguments: list[str] | None = None) -> int:
    """Always 0: whatever becomes of it is said in the log, and is no reason to start it again."""
    parser = argparse.ArgumentParser(prog="services.cli.supervise.reloader", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    logger = begin("reloader", options.log_level)

    def note(found: Note) -> None:
        log_note(logger, found)

    def show(planned: Reloaded) -> None:
        for warning in planned.warnings:
            note(Note("warning", "configuration.doubtful", {"text": warning}))
        for step in planned.steps:
            note(Note("info", "configuration.planned", {"step": str(step)}))

    try:
        lock = hold_lock(options.data_dir)
        try:
            done = Reloading(options.data_dir, note, by="SIGHUP").run(show=show)
        finally:
            lock.release()
    except ConfigError as error:
        for problem in error.problems:
            note(Note("error", "configuration.refused", {"reason": problem, "then": "nothing was changed"}))
        return 0
    except (GatewayError, OSError) as error:  # OSError: the disk is full, a file is not ours.
        note(Note("error", "configuration.not_reloaded", {"reason": str(error)}))
        return 0
    event = "configuration.reloaded" if done.applied else "configuration.unchanged"
    note(Note("info", event, {"changes": len(done.steps)} if done.applied else {"then": "there was nothing to do"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
