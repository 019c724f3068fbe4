"""Loads users' converters for `serialgw check`, in a process that may hang, print, or end as it likes; and says before
what their files import of the ThingsBoard gateway that serialgw does not have."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Container, Mapping
from contextlib import suppress
from time import monotonic
from typing import Final, NamedTuple

from common.compat.offered import REAL_VARIABLE
from common.compat.used_names import missing_names
from common.config.connector_files import folder_of
from common.config.models import Gateway, section_of
from common.config.names import USERS_OWN
from common.io.users_path import users_environment

LOAD_S: Final = 30.0
"""A class that takes longer is said not to load: the largest libraries take ten seconds on a small machine. The gateway
itself gives it two minutes, and meanwhile the device's frames wait."""
ALL_S: Final = 120.0
"""What all classes together may take: whoever waits for `check` sits in front of it."""
SECRETS: Final = "TB_GW_"
"""Variables that begin so are no business of users' code, as in the gateway."""
PRINTED_BYTES: Final = 300
"""So much of the end of what users' code has printed is shown where its process ends."""
READ_BYTES: Final = 65_536


class Load(NamedTuple):
    """One class that one device needs, or that a hosted connector is."""

    place: str
    """File, device and key, for a sentence."""
    name: str
    section: str
    """"" for a connector."""
    kind: str = ""
    """The folder of a connector's class inside the extension folders; "" for a converter."""


def load_all(
    gateway: Gateway,
    environ: Mapping[str, str],
    load_s: float = LOAD_S,
    all_s: float = ALL_S,
    *,
    without: Container[str] = (),
) -> tuple[list[str], list[str]]:
    """(why users' classes do not load, what could not be tried): each class is loaded once for each device and key that
    names it, but those in `without`, of which it is known. Raises nothing of users' code; OSError where no process can
    be started."""
    waiting = {number: load for number, load in enumerate(_loads_of(gateway)) if load.name not in without}
    if waiting and (why := _foreign(gateway)):
        return [], [f"users' converters were not loaded: {why}"]
    problems: list[str] = []
    until_s = monotonic() + all_s
    while waiting and monotonic() < until_s:
        problems += _load_some(waiting, gateway, environ, load_s=load_s, until_s=until_s)
    untried = [f"{load.place}: {load.name} was not loaded: the others took {all_s:g} s" for load in waiting.values()]
    return problems, untried


def missing_of(gateway: Gateway, environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Users' classes that can't load, since their files import what serialgw does not offer: what that is, and where.
    Their files are read, and nothing in them is run."""
    missing: dict[str, list[str]] = {}
    known: set[str] = set()
    for load in _loads_of(gateway) if environ.get(REAL_VARIABLE) != "1" else ():
        name, kinds = load.name.removeprefix(USERS_OWN), (load.kind,) if load.kind else ()
        if load.name not in known and (names := missing_names(name, gateway.extension_dirs, *kinds)):
            missing[load.name] = [f"{load.place}: {missed}" for missed in names]
        known.add(load.name)
    return missing


def _foreign(gateway: Gateway) -> str:
    """Why this user, who may be root, should not run what belongs to somebody else; "" where nothing speaks against."""
    folder = os.path.dirname(gateway.extension_dirs[0]) if gateway.extension_dirs else "."
    try:
        owner = os.stat(folder).st_uid
    except OSError:
        return ""
    if owner in (0, os.geteuid()):
        return ""
    return f"{folder} belongs to user id {owner}, and they would run as user id {os.geteuid()}: check it as that user"


def _loads_of(gateway: Gateway) -> list[Load]:
    """What has to be loaded, in the order of the configuration."""
    loads = []
    for connector in gateway.connectors:
        for device in connector.devices:
            place, section = f"{connector.file}: device {device.name}", section_of(device).decode()
            if device.has_user_uplink:
                loads.append(Load(f"{place}: converter", device.converter, section))
            if device.has_user_downlink and device.downlink_converter is not None:
                loads.append(Load(f"{place}: downlink_converter", device.downlink_converter, section))
    for hosted in gateway.hosted:
        loads.append(Load(f"connector {hosted.name}: class", hosted.class_name, "", folder_of(hosted.type)))
    return loads


def _load_some(
    waiting: dict[int, Load], gateway: Gateway, environ: Mapping[str, str], *, load_s: float, until_s: float
) -> list[str]:
    """Loads what waits in one process, until that ends or takes too long; what was tried is taken out of `waiting`."""
    problems: list[str] = []
    child = _Child(waiting, gateway, environ)
    current: int | None = None
    try:
        while waiting:
            lines = child.read(min(monotonic() + load_s, until_s))
            if lines is None:
                return problems + _ended(waiting, current, f"did not load in {load_s:g} s, and was ended")
            for number, why in lines:
                if number not in waiting:
                    continue
                current = number if why is None else None
                if why is not None:
                    load = waiting.pop(number)
                    problems += [f"{load.place}: {why}"] if why else []
            if not lines:
                return problems + _ended(waiting, current, child.why_ended())
        return problems
    finally:
        child.close()


def _ended(waiting: dict[int, Load], current: int | None, why: str) -> list[str]:
    """The process is over. What it was at is to blame; where that is nothing, the first that waits."""
    load = waiting.pop(current if current is not None else next(iter(waiting)))
    return [f"{load.place}: {load.name} {why}"]


class _Child:
    """The process in which classes are loaded, and what it says."""

    def __init__(self, waiting: Mapping[int, Load], gateway: Gateway, environ: Mapping[str, str]) -> None:
        result, theirs = os.pipe()
        printed, output = os.pipe()
        environ = {name: value for name, value in users_environment(environ).items() if not name.startswith(SECRETS)}
        command = [sys.executable, "-P", "-m", "services.converter.shell.load_process"]
        try:
            self._process = subprocess.Popen(
                [*command, "--result", str(theirs), "--parent", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[theirs],
                env=environ,
                # Of its own: what users' code starts ends with it, and Ctrl-C is ours alone.
                start_new_session=True,
            )
        finally:
            os.close(theirs)
            os.close(output)
        self._result, self._printed = result, printed
        # What users' code has started may hold its other end for ever.
        os.set_blocking(printed, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(result, selectors.EVENT_READ)
        self._selector.register(printed, selectors.EVENT_READ)
        self._unread = b""
        self._has_junk = False
        self._tail = b""
        loads = [[number, load.name, load.section, load.kind] for number, load in waiting.items()]
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(json.dumps({"dirs": gateway.extension_dirs, "loads": loads}).encode())

    def read(self, until_s: float) -> list[tuple[int, str | None]] | None:
        """What it says next: (number, None) before a class, and (number, why it does not load, or "") behind it; [] at
        its end, None for nothing until then. What it prints is taken too, and never holds it."""
        while not self._has_junk and (left_s := until_s - monotonic()) > 0:
            for key, _ in self._selector.select(left_s):
                data = os.read(key.fd, READ_BYTES)
                if key.fd == self._printed:
                    self._tail = (self._tail + data)[-PRINTED_BYTES:]
                    if not data:
                        self._selector.unregister(self._printed)
                    continue
                *lines, self._unread = (self._unread + data).split(b"\n")
                if lines or not data:
                    return self._understood(lines)
        return [] if self._has_junk else None

    def _understood(self, lines: list[bytes]) -> list[tuple[int, str | None]]:
        """What it has said, up to what no process of ours says: users' code can write to any descriptor."""
        understood: list[tuple[int, str | None]] = []
        for line in lines:
            try:
                number, why = json.loads(line)
                understood.append((int(number), why if why is None else str(why)))
            except (ValueError, TypeError):
                self._has_junk = True
                break
        return understood

    def why_ended(self) -> str:
        """How its process has ended, and what it printed last."""
        if self._has_junk:
            return "has written into what it was given to say how it loads"
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "has closed what it was given to say how it loads"
        with suppress(BlockingIOError):
            while data := os.read(self._printed, READ_BYTES):
                self._tail = (self._tail + data)[-PRINTED_BYTES:]
        how = f"ended its process with exit code {code}"
        if code < 0:
            how = f"ended its process by {signal.Signals(-code).name}"
        last = self._tail.decode(errors="replace").strip().rpartition("\n")[2]
        return how + (f", having printed: {last}" if last else "")

    def close(self) -> None:
        """Ends it with all that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        os.close(self._result)
        os.close(self._printed)
