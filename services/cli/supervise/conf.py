"""The supervisord configuration of a gateway: one program per process, restarted without end, but not after exit 78.

Stop order is the way of the data: readers first, so that nothing new comes in, then those behind them, the monitor
last.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from common.config.active import ACTIVE_NAME
from common.config.task import OPTION as TASK
from common.io.exits import EXIT_CONFIG
from common.io.variables import WITHHELD
from services.cli.supervise.launch import encode_word

SOCKET_NAME: Final = "sv.sock"
"""Short: supervisord first binds it with its pid appended, and a Unix socket's path ends at 107 bytes."""
STARTS_DIR: Final = "starts"
"""Folder in the run directory that says when each program was last started, for the launcher's waits."""
TASKS_DIR: Final = "tasks"
"""Folder in the run directory with a file for each port reader, which says what it is to do."""
STOP_WAIT_S: Final = 10
"""A process that has not ended so long after SIGTERM is killed."""
FILES_PER_PROGRAM: Final = 4
"""Descriptors that supervisord needs for each: pipes for its output, and some to spare."""
_GROUPS: Final = ("monitor", "broker", "publisher", "converters", "port_readers")
"""From the one that stops last to the one that stops first."""


class Program(NamedTuple):
    """One process: its group, its name towards supervisord, its module and what follows it on the command line."""

    group: str
    name: str
    module: str
    arguments: tuple[str, ...]
    ends: bool = False
    """True for one that has done its work when it exits with 0."""


class Plan(NamedTuple):
    """What `serialgw run` starts. Paths are absolute."""

    config: Path
    data_dir: Path
    run_dir: Path
    """The socket directory (`common.io.endpoints.socket_dir`)."""
    devices: tuple[str, ...]
    converters: int
    python: str
    user_id: int
    secrets: tuple[str, ...] = ()
    """The variables among SECRET_VARIABLES that are set."""
    log_level: str = "INFO"
    log_levels: Mapping[str, str] = {}
    """Kind of process → its level, where that is another one."""
    socket_base: str = ""
    """`run_dir` as supervisord names its socket there, where the path is too long for one: by a descriptor."""
    pid: int = 0
    """The process that becomes supervisord."""
    files: tuple[str, ...] = ()
    """The configuration's files, for whose change a process waits that could not use them."""
    left_journals: tuple[Path, ...] = ()
    """Journals of devices that are no longer configured; each is drained by a reader without a port."""


def reader_name(device: str) -> str:
    """supervisord's name for the port reader of a device."""
    return "port_reader-" + encode_word(device).replace("/", "~2F").replace(":", "~3A").replace(",", "~2C")


def task_path(plan: Plan, device: str) -> Path:
    """Where the task of a device's port reader is written."""
    return plan.run_dir / TASKS_DIR / _file_name(reader_name(device))


def programs_of(plan: Plan) -> list[Program]:
    """The processes of a gateway, in the order in which they start."""
    places = ("--config", str(plan.config), "--data-dir", str(plan.data_dir))
    snapshot = ("--active", str(plan.data_dir / ACTIVE_NAME))

    def common_of(kind: str) -> tuple[str, ...]:
        return (*places, *snapshot, "--log-level", plan.log_levels.get(kind, plan.log_level))

    found = [Program(name, name, f"services.{name}", common_of(name)) for name in ("monitor", "broker", "publisher")]
    for slot in range(plan.converters):
        arguments = (*common_of("converter"), "--slot", str(slot))
        found.append(Program("converters", f"converter-{slot}", "services.converter", arguments))
    common = common_of("port_reader")
    for device in plan.devices:
        name = reader_name(device)
        arguments = (*common, f"{TASK}{task_path(plan, device)}", f"--device={device}")
        found.append(Program("port_readers", name, "services.port_reader", arguments))
    for path in plan.left_journals:
        name = "drain-" + encode_word(path.name).replace(":", "~3A").replace(",", "~2C")
        drain = (*common, f"--journal={path}")
        found.append(Program("port_readers", name, "services.port_reader", drain, ends=True))
    return found


def supervisord_conf(plan: Plan) -> str:
    """The text of the file. It holds no secret: the publisher reads them from where the user put them."""
    programs = programs_of(plan)
    sections = [_head(plan, len(programs))]
    sections += [_program(plan, program) for program in programs]
    for priority, group in enumerate(_GROUPS, start=1):
        names = ",".join(program.name for program in programs if program.group == group)
        if names:
            sections.append(f"[group:{group}]\npriority={priority}\nprograms={names}\n")
    return "\n".join(sections)


def _head(plan: Plan, programs: int) -> str:
    user = "user=0\n" if plan.user_id == 0 else ""
    base = _word(plan.socket_base or str(plan.run_dir))
    # By a descriptor of supervisord's own, which another process finds under its pid.
    from_outside = base.replace("/proc/self/", f"/proc/{plan.pid}/")
    return f"""\
; Written by `serialgw run` at each start; changes here are lost.
[unix_http_server]
file={base}/{SOCKET_NAME}
chmod=0600

[supervisorctl]
serverurl=unix://{from_outside}/{SOCKET_NAME}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

; Not an interface: our part inside supervisord.
[rpcinterface:serialgw]
supervisor.rpcinterface_factory=services.cli.supervise.part:start
run_dir={encode_word(str(plan.run_dir))}
files={" ".join(map(encode_word, plan.files))}

[supervisord]
nodaemon=true
silent=true
{user}umask=077
minprocs=1
minfds={max(1024, 256 + FILES_PER_PROGRAM * programs)}
logfile={_word(str(plan.data_dir / "supervisord.log"))}
logfile_maxbytes=1MB
logfile_backups=1
pidfile={_word(str(plan.run_dir / "supervisord.pid"))}
"""


def _program(plan: Plan, program: Program) -> str:
    """A program's section: restarted for ever, without the waits of supervisord's own; the launcher waits."""
    stamp = str(plan.run_dir / STARTS_DIR / _file_name(program.name))
    words = [encode_word(word) for word in (stamp, program.module, *program.arguments)]
    command = " ".join([_word(shlex.quote(plan.python)), "-P", "-m", "services.cli.supervise.launch", *words])
    return f"""\
[program:{program.name}]
command={command}
{_environment(plan, program)}autorestart=unexpected
exitcodes={_exit_codes(program)}
startsecs=0
startretries=1000000000
stopsignal=TERM
stopwaitsecs={STOP_WAIT_S}
redirect_stderr=true
stdout_logfile=NONE
stdout_events_enabled=true
"""


def _exit_codes(program: Program) -> str:
    """Exit codes after which there is no restart."""
    return f"0,{EXIT_CONFIG}" if program.ends else str(EXIT_CONFIG)


def _environment(plan: Plan, program: Program) -> str:
    """All but the publisher see a word in the place of each secret."""
    if program.group == "publisher" or not plan.secrets:
        return ""
    return "environment=" + ",".join(f'{name}="{WITHHELD}"' for name in plan.secrets) + "\n"


def _file_name(name: str) -> str:
    # An encoded name may be longer than a file name can be.
    return name if len(name) <= 100 else name[:60] + hashlib.sha256(name.encode()).hexdigest()[:16]


def _word(text: str) -> str:
    """A path as supervisord's parser takes it: `%` begins an expansion there."""
    return text.replace("%", "%%")


def comment_faults(paths: Sequence[Path]) -> list[Path]:
    """The paths that supervisord's file can't carry: a ` ;` or ` #` in a value begins a comment."""
    return [path for path in paths if any(mark in str(path) for mark in (" ;", " #", "\t;", "\t#", "\n"))]
