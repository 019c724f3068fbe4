"""`serialgw run`: checks the configuration, writes a supervisord configuration, and becomes supervisord.

Everything that can be wrong is found before anything is started, and what is started goes by what was checked: files
that somebody edits meanwhile have no say.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from common.config.active import ACTIVE_NAME, Active, make_active, read_active, secrets_of
from common.config.history import START, read_contents, record
from common.config.models import Storage
from common.config.names import CONFIG_DIR_VARIABLE, SECRET_VARIABLES
from common.config.overlay import OVERLAY_NAME, REMOTE_DIR, Overlay, read_overlay
from common.config.taken import hashes_of, write_refused, write_taken
from common.config.task import code_of, files_of
from common.core.errors import ConfigError, GatewayError, LinkError
from common.core.shown import harmless
from common.io.endpoints import is_short, keep_folder_across_exec, socket_dir
from common.io.exits import EXIT_CONFIG
from common.io.journal.places import journal_dir, left_journals
from common.io.locks import FileLock
from common.io.logs import FORMAT_VARIABLE, FORMATS
from common.io.outlet import LogOutlet, OutletStream, open_sink
from common.io.private import is_private, keep_private, make_private
from services.cli.arguments import Subparsers, add_data_dir, log_level, utf8_path, whole_number
from services.cli.parser import WARNING
from services.cli.supervise.conf import Plan, comment_faults
from services.cli.supervise.environment import gateway_environment
from services.cli.supervise.prepare import write_files, write_remote
from services.cli.supervise.shown import ROOM_OPTION
from services.cli.supervise.signals import hold_signals
from services.cli.supervise.takeover import end_leftovers
from services.cli.supervise.wanted import read_laid
from services.cli.text import counted
from services.cli.usage import UsageError

DEFAULT_FILE: Final = Path("tb_gateway.json")
"""What is run where nothing is named: what `init` writes, and what the reference calls its main file."""
LOCK_NAME: Final = "gateway.lock"
"""The file in the data directory whose lock means that a gateway runs on it."""
MOST_CONVERTERS: Final = 64
"""More than any machine of this kind has cores."""
INHERITED_LOCK_FD: Final = 3
"""The lock's descriptor across exec, so that it is held as long as supervisord lives."""
INHERITED_DIR_FD: Final = 4
"""supervisord leaves descriptors 3 and 4 alone, and closes them in its children."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `run` and its options."""
    parser = subparsers.add_parser(
        "run",
        help="run the whole gateway on this host",
        description="Runs the whole gateway in the foreground: one process per serial port, converters, publisher, "
        "broker and monitor, under supervisord. Ctrl-C or SIGTERM lets everything finish, and exits with 0. "
        "Logs go to standard error, and are kept for `serialgw logs`.",
        epilog="examples:\n"
        "  serialgw run\n"
        "  serialgw run tb_gateway.json\n"
        "  serialgw run custom_serial.json --data-dir /srv/serialgw\n\n"
        "exit codes: 0 stopped, 69 another gateway runs on this data directory, or others can write in it, "
        f"{EXIT_CONFIG} problems in the configuration",
    )
    parser.add_argument(
        "file",
        type=utf8_path,
        nargs="?",
        metavar="FILE",
        help=f"main or connector configuration (default: {DEFAULT_FILE} in ${CONFIG_DIR_VARIABLE}, else here)",
    )
    parser.add_argument("--config", type=utf8_path, metavar="FILE", help="the same")
    add_data_dir(parser)
    parser.add_argument(
        "--converters",
        type=whole_number(1, MOST_CONVERTERS),
        default=default_converters(),
        metavar="N",
        help="converter processes (default: %(default)s)",
    )
    parser.add_argument(
        "--last-good",
        action="store_true",
        help="if the configuration has problems, run what has run last: for a service that starts with nobody there",
    )
    parser.add_argument(
        "--log-level",
        type=log_level,
        metavar="LEVEL",
        help="TRACE, DEBUG, INFO, WARNING or ERROR (default: as logs.json beside the configuration says, else INFO)",
    )
    parser.add_argument(
        "--log-format",
        choices=FORMATS,
        help=f"log lines for people, or a JSON object each for programs (default: ${FORMAT_VARIABLE}, else text)",
    )


def default_converters() -> int:
    """Two where the cores are there: while one restarts, the other goes on."""
    return max(1, min(2, len(os.sched_getaffinity(0))))


def run(args: argparse.Namespace) -> int:
    """Becomes supervisord, and never returns if all goes well. Raises ConfigError, LinkError (another gateway),
    UsageError, OSError.

    The lock comes first: whoever has it knows that no other gateway lives here, and may end what one has left behind.
    """
    args.config = chosen_file(args)
    keep_private()
    if args.log_format is not None:
        # All processes inherit it.
        os.environ[FORMAT_VARIABLE] = args.log_format
    # A start waits for nobody who should read of it.
    told = OutletStream(LogOutlet(open_sink(sys.stderr), lambda _: b""))
    wanted = _find_wanted(args)
    for warning in wanted.warnings:
        print(f"{WARNING}{warning}", file=told)
    gateway = wanted.active.gateway
    check_storage(gateway.storage)
    plan = make_plan(args, gateway.readers, wanted.environ)
    if args.log_level is None:
        plan = plan._replace(log_levels=gateway.log_levels)
    else:
        plan = plan._replace(is_level_given=True)
    # Journals of devices that are configured no more are sent too; each gets a reader without a port.
    folder = journal_dir(gateway.storage, plan.data_dir)
    hosted = tuple(connector.name for connector in gateway.hosted)
    left_ones = tuple(left_journals(folder, gateway.streams))
    plan = plan._replace(left_journals=left_ones, files=files_of(gateway), hosted=hosted)
    plan = plan._replace(from_file=wanted.from_file)
    lock = _take_lock(plan.data_dir)
    if count := end_leftovers(plan.data_dir):
        print(f"serialgw: ended {counted(count, 'process')} of a gateway that was killed here before", file=told)
    conf = write_files(plan, wanted.active)
    write_remote(plan, wanted.active, wanted.overlay)
    if wanted.fault:
        write_refused(plan.data_dir, wanted.fault)
    else:
        number = record(plan.data_dir, START, (), read_contents(plan.files), code_of(gateway))
        write_taken(plan.data_dir, hashes_of(plan.files), number)
    # From here on Ctrl-C stops the gateway in order.
    hold_signals()
    hosts = f"{counted(len(hosted), 'hosted connector')}, " if hosted else ""
    left = f"{counted(len(plan.left_journals), 'journal')} of earlier devices to send, " if plan.left_journals else ""
    print(
        f"serialgw: {counted(len(gateway.devices), 'device')}, {hosts}{counted(plan.converters, 'converter')}, "
        f"{left}data in {plan.data_dir}; stop with Ctrl-C",
        file=told,
    )
    if wanted.overlay.keys:
        parts, place = ", ".join(wanted.overlay.keys), plan.data_dir / REMOTE_DIR / OVERLAY_NAME
        print(harmless(f"serialgw: what the platform has configured lies over the files: {parts} ({place})"), file=told)
    lock.keep_across_exec(INHERITED_LOCK_FD)
    # A Unix socket's path ends at 107 bytes; a descriptor of its folder names it shorter.
    if not is_short(plan.run_dir):
        keep_folder_across_exec(plan.run_dir, INHERITED_DIR_FD)
    command = [sys.executable, *ROOM_OPTION, "-P", "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
    os.execve(sys.executable, command, gateway_environment(wanted.environ, os.getpid(), plan.data_dir))


def chosen_file(args: argparse.Namespace) -> Path:
    """The configuration that was named in either place, else the one in this folder. Raises UsageError."""
    named: set[Path] = {path for path in (args.file, args.config) if path is not None}
    if len(named) > 1:
        raise UsageError(f"found two configurations, {args.file} and {args.config}, expected one")
    if named:
        return named.pop()
    folder = os.environ.get(CONFIG_DIR_VARIABLE)
    default = Path(folder) / DEFAULT_FILE if folder else DEFAULT_FILE
    if not default.exists():
        where = f"{folder}, which {CONFIG_DIR_VARIABLE} names" if folder else "this folder"
        raise UsageError(
            f"no configuration is named, and there is no {DEFAULT_FILE} in {where}; "
            "`serialgw run FILE` names one, `serialgw init` writes one"
        )
    return default


class Wanted(NamedTuple):
    """What is to run: the snapshot, the environment with the secrets that belong to it, and what is worth a warning."""

    active: Active
    environ: dict[str, str]
    warnings: list[str]
    overlay: Overlay = Overlay()
    """What the platform has configured, as far as it counts."""
    from_file: tuple[str, ...] = ()
    """The variables of secrets that the files say, and the environment did not."""
    fault: str = ""
    """Why the files can't be used, where what has run last is run again."""


def _find_wanted(args: argparse.Namespace) -> Wanted:
    """What is to run. Raises ConfigError with every problem, unless `--last-good` asks for what has run last."""
    environ = dict(os.environ)
    data_dir = args.data_dir.expanduser().absolute()
    overlay = read_overlay(data_dir / REMOTE_DIR / OVERLAY_NAME) if is_private(data_dir) else Overlay()
    try:
        overlay, whole = read_laid(args.config, environ, overlay)
    except ConfigError as error:
        # What somebody else may have put there says nothing.
        is_ours = args.last_good and is_private(data_dir)
        active = read_active(data_dir / ACTIVE_NAME) if is_ours else None
        if active is None or active.gateway.file != os.path.abspath(args.config):
            raise
        warnings = [*error.problems, "the configuration can't be used; what has run last is run again (--last-good)"]
        return Wanted(active, environ, warnings, fault=error.problems[0])
    secrets = secrets_of(whole.gateway.platform, environ)
    from_file = tuple(name for name, value in secrets.items() if environ.get(name) != value)
    environ.update(secrets)
    return Wanted(make_active(whole.gateway), environ, whole.warnings, overlay, from_file)


def check_storage(storage: Storage) -> None:
    """Makes the journals' folder where the configuration names one. Raises GatewayError if journals can't be there.

    Relative to the main file, as in the reference, it may well be where a service may not write. A port reader would
    find that out too, and end again and again; here a person reads it.
    """
    if storage.data_dir is None or storage.type == "memory":
        return
    folder = Path(storage.data_dir)
    try:
        make_private(folder)
        if os.access(folder, os.W_OK | os.X_OK):
            return
        reason = "this user may not write there"
    except LinkError as error:
        raise LinkError(f"storage: {error}") from None
    except OSError as error:
        reason = error.strerror or "it can't be made"
    raise GatewayError(
        f"storage: journals can't be kept in {folder}: {reason}; leave data_file_path or data_folder_path out of the "
        "configuration, and they are kept in the data directory"
    )


def make_plan(args: argparse.Namespace, devices: tuple[str, ...], environ: Mapping[str, str]) -> Plan:
    """What is to be started; creates the data directory. Raises LinkError, GatewayError.

    supervisord's file has no way to write some paths; that is said here and not by its parser.
    """
    data_dir = args.data_dir.expanduser().absolute()
    try:
        run_dir = socket_dir(data_dir)
    except OSError as error:
        reason = f"{error.filename or data_dir}: {error.strerror}"
        raise GatewayError(f"{reason}; --data-dir names a folder that this user may write") from None
    plan = Plan(
        config=args.config.absolute(),
        data_dir=data_dir,
        run_dir=run_dir,
        socket_base="" if is_short(run_dir) else f"/proc/self/fd/{INHERITED_DIR_FD}",
        pid=os.getpid(),
        devices=devices,
        converters=args.converters,
        python=sys.executable,
        user_id=os.getuid(),
        secrets=tuple(name for name in SECRET_VARIABLES if environ.get(name)),
        log_level=args.log_level or "INFO",
    )
    if faults := comment_faults([plan.data_dir, plan.run_dir, Path(plan.python)]):
        raise GatewayError(f"{faults[0]}: supervisord can't take a path with ' ;' or ' #' in it; choose another one")
    return plan


def _take_lock(data_dir: Path) -> FileLock:
    """The data directory's lock. Raises LinkError, which says what to do about the gateway that has it."""
    try:
        return FileLock(data_dir / LOCK_NAME)
    except LinkError as error:
        raise LinkError(
            f"a gateway is already running on this data directory: {error}; `serialgw status` shows it, SIGTERM to that"
            " process stops it, and --data-dir names another place for a second one"
        ) from None
