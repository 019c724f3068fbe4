"""The converter's hosts: starts them, speaks with them without ever waiting, ends them from outside."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgpack

from common.config.models import section_of
from common.errors import WireError
from common.io.loop import Loop
from services.converter.events import HostEnded, HostReady, Order, UserAnswered, UserConverted
from services.converter.host_wire import ANSWER_BYTES, READY, pack_order, pack_section, read_answer
from services.converter.notes import NoteFile

READ_BYTES: Final = 256 * 1024
DEATH_S: Final = 1.0
"""The kernel takes this long at most, but for a process in a system call that can't be interrupted."""
GOODBYE_S: Final = 0.5
"""At the end hosts have this long to end by themselves."""
SECRETS: Final = "TB_GW_"
"""What begins so in the environment is between the publisher and the platform, and no business of users' code."""


class HostSetup(NamedTuple):
    """What all hosts of a converter are started with."""

    name: str
    """In their log lines."""
    instance: str
    """Of the converter."""
    extension_dirs: Sequence[str]
    watchdog_s: float
    log_level: str


class _Host:
    """One process and the way to it."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.process = process
        self.connection = connection
        self.descriptor = connection.fileno()
        self.unsent = bytearray()
        self.answers = msgpack.Unpacker(max_buffer_size=ANSWER_BYTES)
        self.taught: set[str] = set()
        """Hashes of the sections that it knows."""


class Hosts:
    """The hosts of one converter process, by number. No method waits for users' code."""

    def __init__(
        self, setup: HostSetup, notes: NoteFile | None, environ: Mapping[str, str], logger: logging.Logger
    ) -> None:
        self._setup = setup
        self._notes = notes
        self._environ = {name: value for name, value in environ.items() if not name.startswith(SECRETS)}
        self._logger = logger
        self._hosts: dict[int, _Host] = {}
        self._dying: list[subprocess.Popen[bytes]] = []
        self._starts = 0
        self._loop: Loop | None = None

    def attach(self, loop: Loop) -> None:
        """What hosts say comes by this loop."""
        self._loop = loop

    def ask(self, order: Order) -> Iterable[Any]:
        """Hands an order to its host, which is started if it does not run."""
        host = self._hosts.get(order.host)
        if host is None:
            try:
                host = self._start(order.host)
            except OSError as error:
                return [HostEnded(order.host, None, f"could not be started: {error}")]
        try:
            message = pack_order(order)
        except WireError as error:
            return [UserAnswered(order.job, None, str(error), order.host)]
        if order.section not in host.taught:
            host.taught.add(order.section)
            host.unsent += pack_section(order.section, section_of(order.device))
        host.unsent += message
        return self._write(order.host, host)

    def end(self, number: int, why: str) -> Iterable[Any]:
        """Ends a host, whatever it is in."""
        host = self._hosts.pop(number, None)
        if host is None:
            return [HostEnded(number, None, why)]
        self._leave(host)
        self._kill(host.process)
        note = self._notes.take(number) if self._notes is not None else None
        return [HostEnded(number, note, why)]

    def close(self) -> None:
        """Ends all of them: those that are at nothing by themselves."""
        hosts, self._hosts = list(self._hosts.values()), {}
        for host in hosts:
            self._leave(host)
        for host in hosts:
            with suppress(subprocess.TimeoutExpired):
                host.process.wait(GOODBYE_S)
            self._kill(host.process)

    def _start(self, number: int) -> _Host:
        """Raises OSError."""
        self._starts += 1
        self._dying = [process for process in self._dying if process.poll() is None]
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            setup = self._setup
            arguments = [
                sys.executable,
                "-P",
                "-m",
                "services.converter.host_process",
                "--socket",
                str(theirs.fileno()),
            ]
            arguments += ["--host", str(number), "--parent", str(os.getpid()), "--name", setup.name]
            arguments += ["--watchdog-s", str(setup.watchdog_s), "--log-level", setup.log_level]
            for folder in setup.extension_dirs:
                arguments += ["--extension-dir", str(folder)]
            passed = [theirs.fileno()]
            if self._notes is not None:
                passed.append(self._notes.descriptor)
                arguments += ["--note", str(self._notes.descriptor)]
                arguments += ["--life", f"{setup.instance}-{self._starts}"]
            try:
                process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    pass_fds=passed,
                    env=self._environ,
                    # Of its own: what its code starts ends with it.
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        host = self._hosts[number] = _Host(process, ours)
        if self._loop is not None:
            self._loop.add_reader(host.descriptor, lambda: self._read(number, host))
        return host

    def _read(self, number: int, host: _Host) -> Iterable[Any]:
        try:
            data = host.connection.recv(READ_BYTES)
        except BlockingIOError:
            return ()
        except OSError:
            data = b""
        if not data:
            return self.end(number, self._cause(host.process))
        events: list[HostReady | UserConverted | UserAnswered] = []
        try:
            host.answers.feed(data)
            for value in host.answers:
                events.append(HostReady(number) if value == READY else read_answer(value, number))
        except (WireError, ValueError, msgpack.UnpackException, RecursionError) as error:
            return [*events, *self.end(number, f"it said what can't be read: {error}")]
        return events

    def _write(self, number: int, host: _Host) -> Iterable[Any]:
        try:
            sent = host.connection.send(host.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self.end(number, self._cause(host.process))
        del host.unsent[:sent]
        if self._loop is not None:
            if host.unsent:
                self._loop.add_writer(host.descriptor, lambda: self._write(number, host))
            else:
                self._loop.remove_writer(host.descriptor)
        return ()

    def _leave(self, host: _Host) -> None:
        if self._loop is not None:
            self._loop.remove_reader(host.descriptor)
            self._loop.remove_writer(host.descriptor)
        host.connection.close()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Ends the process and what it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            process.kill()
        try:
            process.wait(DEATH_S)
        except subprocess.TimeoutExpired:
            self._dying.append(process)

    def _cause(self, process: subprocess.Popen[bytes]) -> str:
        """How a process ended that has hung up."""
        try:
            code = process.wait(0.1)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if code >= 0:
            return f"it exited with code {code}"
        try:
            return f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was ended by signal {-code}"
