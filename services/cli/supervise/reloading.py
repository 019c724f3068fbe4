"""Takes what stands in the user's files now, while the gateway runs: reads, plans, applies, watches, and goes back.

It may be killed at any moment. `remote/previous.json`, which the configurator uses too, is there from before the first
file is written until all processes go by the last one; whoever finds it does not know which of the two configurations a
process has, and asks for both differences: each step may be done twice. A gateway that is started meanwhile reads the
files anyway.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from common.config.active import ACTIVE_NAME, Active, make_active, read_active, secrets_of, write_active
from common.config.history import read_contents, record
from common.config.models import Gateway
from common.config.names import SECRET_VARIABLES
from common.config.overlay import OVERLAY_NAME, PREVIOUS_NAME, REMOTE_DIR, Overlay, read_overlay
from common.config.reading import Loaded
from common.config.taken import content_hash, write_refused, write_taken
from common.config.task import code_of, files_of
from common.core.errors import ConfigError, GatewayError, LinkError
from common.core.events import Note
from common.io.client import ADVICE, Client
from common.io.endpoints import find_socket_dir
from common.io.locks import FileLock
from common.io.orders import LONGEST_ORDER, send_order
from common.wire.calls import Configured, reader_of
from common.wire.messages import PUBLISHER
from services.cli.commands.run import check_storage
from services.cli.supervise.conf import PLAN_NAME, Plan, read_plan
from services.cli.supervise.difference import Difference, difference, together
from services.cli.supervise.launch import encode_word
from services.cli.supervise.prepare import write_planned, write_remote
from services.cli.supervise.steps import Step, needs_restart, steps_of
from services.cli.supervise.switching import Switching, ask_monitor, until
from services.cli.supervise.wanted import environ_in, new_secrets, publishers_environ, read_laid
from services.cli.trial.loads import load_all

LOCK_NAME: Final = "reload.lock"
"""The file in the data directory whose lock means that somebody changes what runs."""
LOCK_S: Final = 300.0
"""A change that is being applied takes a minute or two at most, with the way back."""
WATCH_S: Final = 10.0
"""What was started anew has to live so long before it is taken for well: a process that fails at its start does so
several times in that time."""
TELL_S: Final = 2.0
MOST_READS: Final = 5
"""An editor that is saving is done after a moment; files that change all the time are not taken."""
COMMAND_LINE: Final = "command line"
"""Who has it applied, where nobody says otherwise; for the history."""

Read = Callable[[Path, Mapping[str, str], Overlay], tuple[Overlay, Loaded]]
"""Reads the configuration in a main file, with the environment and what the platform has configured."""


class Reloaded(NamedTuple):
    """What became of it."""

    steps: list[Step]
    warnings: list[str]
    applied: bool
    """False where nothing was to do, or only the plan was asked for."""


def find_plan(data_dir: Path) -> Plan | None:
    """What `serialgw run` has planned on this data directory, if one runs there now; None if none does."""
    try:
        plan = read_plan((find_socket_dir(data_dir) / PLAN_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return plan if environ_of(plan) is not None else None


def environ_of(plan: Plan) -> dict[str, str] | None:
    """The environment that `serialgw run` has, and all its processes get but for the secrets; None if it does not run.

    What a configuration says depends on it: whoever changes it may sit at a terminal that has another.
    """
    return environ_in(Path(f"/proc/{plan.pid}"), plan.data_dir)


def become_owner(data_dir: Path) -> None:
    """Root becomes the user whose gateway this is: what it would write nobody else could read. Raises LinkError for
    another user."""
    try:
        found = data_dir.stat()
    except OSError as error:
        raise LinkError(f"no gateway is running at {data_dir}: {error.strerror}; {ADVICE}") from None
    if found.st_uid == os.geteuid():
        return
    if os.geteuid() != 0:
        raise LinkError(f"the gateway at {data_dir} is another user's: give this command as that user, or as root")
    try:
        os.initgroups(pwd.getpwuid(found.st_uid).pw_name, found.st_gid)
    except KeyError:
        os.setgroups([found.st_gid])
    os.setgid(found.st_gid)
    os.setuid(found.st_uid)


def hold_lock(data_dir: Path, patience_s: float = LOCK_S) -> FileLock:
    """The lock of whoever changes what runs; waits for one that has it. Raises LinkError when that takes too long."""
    held: list[FileLock] = []

    def is_held() -> bool:
        try:
            held.append(FileLock(data_dir / LOCK_NAME))
        except LinkError:
            return False
        return True

    if not until(is_held, patience_s):
        raise LinkError(f"another change is being applied since {patience_s:g} s; `serialgw status` shows what runs")
    return held[0]


class Reloading:
    """One reload of a gateway that `serialgw run` looks after. For who has the lock of `hold_lock`."""

    def __init__(
        self,
        data_dir: Path,
        note: Callable[[Note], None],
        watch_s: float = WATCH_S,
        *,
        by: str = COMMAND_LINE,
        read: Read = read_laid,
    ) -> None:
        """`by`: who has it applied. Raises LinkError if no `serialgw run` looks after processes there."""
        plan = find_plan(data_dir)
        environ = environ_of(plan) if plan is not None else None
        if plan is None or environ is None:
            raise LinkError(f"no `serialgw run` is at work on {data_dir}; {ADVICE}")
        active = read_active(plan.data_dir / ACTIVE_NAME)
        if active is None:
            raise LinkError(f"{plan.data_dir} has no {ACTIVE_NAME} that can be read; `serialgw run` writes it")
        self._plan = plan
        self._active = active
        self._folder = plan.data_dir / REMOTE_DIR
        self._unfinished = read_active(self._folder / PREVIOUS_NAME)
        """What is to be returned to, where a change was begun and nobody is left who applies it."""
        self._environ = {name: value for name, value in environ.items() if name not in plan.from_file}
        self._note = note
        self._by = by
        self._read_files = read
        self._contents: dict[str, bytes] = {}
        """What the files said when they were read: somebody may edit them while that is being applied."""
        self._switching = Switching(plan, active, note, hold_s=watch_s)
        self._overlay = Overlay()
        self._secrets: dict[str, str] = {}
        self._new_secrets: dict[str, str] = {}
        """Those that the publisher does not have yet."""

    def run(self, *, dry_run: bool = False, may_restart: bool = False, show: Callable[[Reloaded], None]) -> Reloaded:
        """Reads the files and applies what is another; `show` hears the plan before anything is done.

        Raises ConfigError with every problem; GatewayError for what needs a restart, and with the reason when it was
        taken back. Then nothing has changed.
        """
        try:
            wanted, secrets, warnings = self._read()
        except ConfigError as error:
            if not dry_run:
                write_refused(self._plan.data_dir, error.problems[0])
            raise
        self._secrets = secrets
        self._new_secrets = new_secrets(secrets, publishers_environ(self._plan.data_dir), self._plan.from_file)
        change = self._difference(wanted.gateway)
        if self._new_secrets:
            change = change._replace(publisher=True)
        waiting, before = self._waiting(change), self._active.gateway
        steps = steps_of(before, wanted.gateway, change, waiting, has_new_secrets=bool(self._new_secrets))
        told = Reloaded(steps, warnings, applied=False)
        show(told)
        restart = needs_restart(self._active.gateway, wanted.gateway)
        if dry_run or (change.is_empty and self._unfinished is None):
            if not dry_run:
                self._write_down(wanted.gateway, steps)
            return told
        if restart and not may_restart:
            raise GatewayError("this needs a restart of all processes: --restart allows it; nothing was changed")
        if problems := class_problems(wanted.gateway, change, self._environ):
            write_refused(self._plan.data_dir, problems[0])
            raise ConfigError(problems)
        if self._active.gateway.storage != wanted.gateway.storage:
            check_storage(wanted.gateway.storage)
        if restart:
            self._restart(wanted)
            self._write_down(wanted.gateway, steps)
        else:
            self._apply(wanted, change, steps)
        return told._replace(applied=True)

    def _write_down(self, wanted: Gateway, steps: list[Step]) -> None:
        """These files are applied: whoever looks for edited ones compares with them, and the history has them."""
        data_dir, contents = self._plan.data_dir, self._contents
        number = record(data_dir, self._by, map(str, steps), contents, code_of(wanted))
        hashes = {path: content_hash(contents[path]) if path in contents else "" for path in files_of(wanted) if path}
        write_taken(data_dir, hashes, number)

    def _read(self) -> tuple[Active, dict[str, str], list[str]]:
        """(the snapshot of what the files say, its secrets, what is worth a warning). Raises ConfigError."""
        overlay = read_overlay(self._folder / OVERLAY_NAME)
        files: tuple[str, ...] = files_of(self._active.gateway)
        for _ in range(MOST_READS):
            self._contents = read_contents(files)
            self._overlay, whole = self._read_files(self._plan.config, self._environ, overlay)
            files = files_of(whole.gateway)
            if read_contents(files) == self._contents:
                break
        else:
            raise ConfigError([f"{self._plan.config}: its files change all the time; try again when they hold still"])
        return make_active(whole.gateway), secrets_of(whole.gateway.platform, self._environ), whole.warnings

    def _difference(self, wanted: Gateway) -> Difference:
        change = difference(self._active.gateway, wanted)
        return change if self._unfinished is None else together(difference(self._unfinished.gateway, wanted), change)

    def _waiting(self, change: Difference) -> dict[str, int]:
        """How many frames wait of devices that go, by what the monitor says."""
        rows = (ask_monitor(self._plan.data_dir) or {}) if change.removed else {}
        found = {name: rows.get(reader_of(name), {}).get("facts", {}).get("backlog") for name in change.removed}
        return {name: count for name, count in found.items() if isinstance(count, int)}

    def _apply(self, wanted: Active, change: Difference, steps: list[Step]) -> None:
        """Switches over, and back where somebody does not come up. Raises GatewayError."""
        previous = self._unfinished or self._active
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_active(self._folder / PREVIOUS_NAME, previous)
        plan, former = self._plan, publishers_environ(self._plan.data_dir) or {}
        if not (why := self._hand_on(self._new_secrets)):
            self._know()
            why = self._switching.switch(wanted, change)
        if why:
            self._note(Note("warning", "configuration.returning", {"reason": why}))
            self._hand_on({name: former.get(name, "") for name in self._new_secrets})
            self._switching.plan = self._switching.plan._replace(secrets=plan.secrets, from_file=plan.from_file)
            back = together(
                difference(wanted.gateway, previous.gateway), difference(self._active.gateway, previous.gateway)
            )
            again = self._switching.switch(previous, back)
            (self._folder / PREVIOUS_NAME).unlink(missing_ok=True)
            write_refused(self._plan.data_dir, why)
            if again:
                self._note(Note("error", "configuration.not_returned", {"reason": again}))
                raise GatewayError(f"{why}; and not everything has returned to what it was: {again}")
            raise GatewayError(f"{why}; what ran before runs again")
        # Before the mark of what is being applied goes: who is ended in between is followed by one who does it again.
        self._write_down(wanted.gateway, steps)
        write_remote(self._switching.plan, wanted, self._overlay)
        (self._folder / PREVIOUS_NAME).unlink(missing_ok=True)
        if wanted.gateway.platform.remote_configuration:
            self._tell_publisher()

    def _restart(self, wanted: Active) -> None:
        """Writes what all are to start from, and has all of them stop in order and start. Raises GatewayError."""
        if why := self._hand_on(self._new_secrets):
            raise GatewayError(why)
        self._know()
        self._switching.take(wanted)
        write_planned(self._switching.plan, wanted)
        write_remote(self._switching.plan, wanted, self._overlay)
        if why := send_order(self._plan.run_dir, "restart reload"):
            raise GatewayError(why)

    def _know(self) -> None:
        """Keeps the secrets from all but the publisher, and remembers which of them the files say."""
        secrets = self._secrets
        names = tuple(name for name in SECRET_VARIABLES if secrets.get(name) or self._environ.get(name))
        from_file = tuple(name for name, value in secrets.items() if self._environ.get(name) != value)
        self._switching.plan = self._switching.plan._replace(secrets=names, from_file=from_file)

    def _hand_on(self, secrets: Mapping[str, str]) -> str:
        """Gives secrets to `serialgw run`, whose environment the publisher starts with; by its pipe, as no file of ours
        ever holds one. "" or why it could not be done."""
        orders = [
            f"secret {name} {encode_word(value)}" if value else f"secret {name}" for name, value in secrets.items()
        ]
        if any(len(order.encode()) >= LONGEST_ORDER for order in orders):
            return "a secret is too long to be handed on: stop the gateway and start it anew"
        return next((why for order in orders if (why := send_order(self._plan.run_dir, order))), "")

    def _tell_publisher(self) -> None:
        """Lets the publisher look at what is configured now; one that does not hear it looks at its next start."""
        try:
            with Client(self._plan.data_dir) as client:
                client.call(PUBLISHER, "", Configured(), TELL_S)
        except GatewayError:
            pass


def class_problems(gateway: Gateway, change: Difference, environ: Mapping[str, str]) -> list[str]:
    """Why users' classes of those that are concerned do not load; each is loaded in a process of its own."""
    wanted, hosts = {*change.added, *change.changed, *change.swapped}, {*change.hosts_added, *change.hosts_changed}
    lines = {device.name for line in gateway.lines if wanted & {one.name for one in line} for device in line}
    connectors = tuple(
        msgspec.structs.replace(one, devices=tuple(device for device in one.devices if device.name in lines))
        for one in gateway.connectors
    )
    hosted = tuple(one for one in gateway.hosted if one.name in hosts)
    problems, _ = load_all(msgspec.structs.replace(gateway, connectors=connectors, hosted=hosted), environ)
    return problems
