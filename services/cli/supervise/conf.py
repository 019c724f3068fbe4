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

import msgspec

from common.config.active import ACTIVE_NAME
from common.config.task_file import OPTION as TASK
from common.io.exits import EXIT_CONFIG
from common.io.variables import WITHHELD
from services.cli.supervise.launch import LAUNCHER, encode_word

SOCKET_NAME: Final = "sv.sock"
"""Short: supervisord first binds it with its pid appended, and a Unix socket's path ends at 107 bytes."""
STARTS_DIR: Final = "starts"
"""Folder in the run directory that says when each program was last started, for the launcher's waits."""
TASKS_DIR: Final = "tasks"
"""Folder in the run directory with a file for each port reader and connector host, which says what it is to do."""
STOP_WAIT_S: Final = 10
"""A process that has not ended so long after SIGTERM is killed."""
FILES_PER_PROGRAM: Final = 4
"""Descriptors that supervisord needs for each: pipes for its output, and some to spare."""
CONFIGURATOR: Final = "configurator"
"""The program that applies what the platform wants configured; it runs only while there is something of that."""
RELOADER: Final = "reloader"
"""The program that takes what stands in the user's files now; it runs when `serialgw run` is sent SIGHUP."""
PLAN_NAME: Final = "plan.json"
"""File in the run directory with what was planned at the start, for the configurator."""
_GROUPS: Final = (
    "monitor",
    "broker",
    "publisher",
    "converters",
    "connector_hosts",
    "port_readers",
    CONFIGURATOR,
    RELOADER,
)
"""From the one that stops last to the one that stops first."""


class Program(NamedTuple):
    """One process: its group, its name towards supervisord, its module and what follows it on the command line."""

    group: str
    name: str
    module: str
    arguments: tuple[str, ...]
    ends: bool = False
    """True for one that has done its work when it exits with 0."""
    starts: bool = True
    """False for one that is only started when it is wanted."""


class Plan(NamedTuple):
    """What `serialgw run` starts. Paths are absolute."""

    config: Path
    data_dir: Path
    run_dir: Path
    """The socket directory (`common.io.endpoints.socket_dir`)."""
    devices: tuple[str, ...]
    """Those that port readers are called by: one for each line."""
    converters: int
    python: str
    user_id: int
    secrets: tuple[str, ...] = ()
    """The variables among SECRET_VARIABLES that are set."""
    log_level: str = "INFO"
    log_levels: Mapping[str, str] = {}
    """Kind of process → its level, where that is another one."""
    is_level_given: bool = False
    """True if `log_level` was given to `serialgw run`, and so counts for all."""
    socket_base: str = ""
    """`run_dir` as supervisord names its socket there, where the path is too long for one: by a descriptor."""
    pid: int = 0
    """The process that becomes supervisord."""
    files: tuple[str, ...] = ()
    """The configuration's files, for whose change a process waits that could not use them."""
    hosted: tuple[str, ...] = ()
    """The names of hosted connectors."""
    left_journals: tuple[Path, ...] = ()
    """Journals of devices that are no longer configured; each is drained by a reader without a port."""
    from_file: tuple[str, ...] = ()
    """Those of `secrets` that the configuration says itself, and the environment did not."""


def reader_name(device: str) -> str:
    """supervisord's name for the port reader of a device."""
    return f"port_reader-{_program_word(device)}"


def host_name(connector: str) -> str:
    """supervisord's name for the process of a hosted connector."""
    return f"connector_host-{_program_word(connector)}"


def task_path(plan: Plan, program: str) -> Path:
    """Where the task of a process is written, by supervisord's name for it."""
    return plan.run_dir / TASKS_DIR / _file_name(program)


def _program_word(name: str) -> str:
    return encode_word(name).replace("/", "~2F").replace(":", "~3A").replace(",", "~2C")


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
        arguments = (*common, f"{TASK}{task_path(plan, name)}", f"--device={device}")
        found.append(Program("port_readers", name, "services.port_reader", arguments))
    common = common_of("connector_host")
    for connector in plan.hosted:
        name = host_name(connector)
        arguments = (*common, f"{TASK}{task_path(plan, name)}", f"--connector={connector}")
        found.append(Program("connector_hosts", name, "services.connector_host", arguments))
    common = common_of("port_reader")
    for path in plan.left_journals:
        name = "drain-" + encode_word(path.name).replace(":", "~3A").replace(",", "~2C")
        drain = (*common, f"--journal={path}")
        found.append(Program("port_readers", name, "services.port_reader", drain, ends=True))
    applies = ("--config", str(plan.config), "--data-dir", str(plan.data_dir), "--log-level", plan.log_level)
    module = "services.cli.supervise.configurator"
    found.append(Program(CONFIGURATOR, CONFIGURATOR, module, applies, ends=True, starts=False))
    reloads = ("--data-dir", str(plan.data_dir), "--log-level", plan.log_level)
    found.append(Program(RELOADER, RELOADER, "services.cli.supervise.reloader", reloads, ends=True, starts=False))
    return found


def write_plan(plan: Plan) -> bytes:
    """The plan as bytes."""
    return msgspec.json.encode(plan, enc_hook=str)


def read_plan(content: bytes) -> Plan:
    """The plan that `write_plan` wrote. Raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(content, type=Plan, dec_hook=lambda kind, value: kind(value))


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
    command = " ".join([_word(shlex.quote(plan.python)), "-P", "-m", LAUNCHER, *words])
    return f"""\
[program:{program.name}]
command={command}
{_environment(plan, program)}{"" if program.starts else "autostart=false"}
autorestart=unexpected
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
