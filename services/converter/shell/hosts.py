"""The converter's hosts: starts them, speaks with them without ever waiting, ends them from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgpack

from common.config.models import section_of
from common.core.errors import WireError
from common.io.clock import monotonic_s
from common.io.sources import Sources
from services.converter.core.events import (
    Event,
    HostEnded,
    HostEvent,
    HostLoading,
    HostReady,
    Order,
    UserAnswered,
)
from services.converter.core.host_wire import (
    ANSWER_BYTES,
    LOADING,
    READY,
    SECTIONS_KEPT,
    pack_order,
    pack_section,
    read_answer,
)
from services.converter.shell.poison_file import PoisonFile

READ_BYTES: Final = 256 * 1024
"""Bytes that are taken from a host at once; what more it has said comes in the next round."""
DEATH_S: Final = 1.0
"""The kernel takes this long at most, but for a process in a system call that can't be interrupted."""
HUNG_UP_S: Final = 0.02
"""Between the end of a process's connection and its own end."""
GOODBYE_S: Final = 0.5
"""How long hosts have to end by themselves, when the converter does."""
SECRETS: Final = "TB_GW_"
"""Variables that begin so are between the publisher and the platform, and no business of users' code."""


class HostSetup(NamedTuple):
    """What all hosts of a converter are started with."""

    name: str
    """What hosts call themselves in their log lines."""
    instance: str
    """The converter's instance, which makes the names of its hosts' lives unique."""
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
        """What the socket did not take; a host that reads slowly holds nobody but its device."""
        self.answers = msgpack.Unpacker(max_buffer_size=ANSWER_BYTES)
        """Cuts what the host says into answers; they may come in pieces."""
        self.taught: dict[str, None] = {}
        """Hashes of the sections that it knows, oldest first."""
        self.is_ready = False
        """True while its users' code is loaded: what it is in now is a frame's fault."""


class Hosts:
    """The hosts of one converter process, by number. No method waits for users' code.

    A host is started as a command, with two descriptors and no secret in its environment, in a session of its own: what
    its code starts can be ended with it.
    """

    def __init__(
        self, setup: HostSetup, poison: PoisonFile | None, sources: Sources[Event], environ: Mapping[str, str]
    ) -> None:
        """What hosts say comes by these sources."""
        self._setup = setup
        self._poison = poison
        self._environ = {name: value for name, value in environ.items() if not name.startswith(SECRETS)}
        self._hosts: dict[int, _Host] = {}
        self._dying: list[subprocess.Popen[bytes]] = []
        self._starts = 0
        self._sources = sources

    def ask(self, order: Order) -> Iterable[HostEvent]:
        """Hands an order to its host, which is started if it does not run, and taught the device's section if it does
        not know it."""
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
            if len(host.taught) >= SECTIONS_KEPT:
                del host.taught[next(iter(host.taught))]
            host.taught[order.section] = None
            host.unsent += pack_section(order.section, section_of(order.device))
        host.unsent += message
        return self._write(order.host, host)

    def end(self, number: int, why: str) -> Iterable[HostEvent]:
        """Ends a host, whatever it is in, and says what it was in: that is what its reader has to know."""
        host = self._hosts.pop(number, None)
        if host is None:
            return [HostEnded(number, None, why)]
        was_too_slow = host.process.poll() is None
        self._leave(host)
        self._kill(host.process)
        if self._poison is None:
            return [HostEnded(number, None, why)]
        if was_too_slow and not host.is_ready:
            # To load slowly is no frame's fault.
            self._poison.clear(number)
        return [HostEnded(number, self._poison.take(number), why)]

    def close(self) -> None:
        """Ends all of them: those that are at nothing by themselves. What the others are in is not to blame."""
        hosts, self._hosts = self._hosts, {}
        for host in hosts.values():
            self._leave(host)
        end_s = monotonic_s() + GOODBYE_S
        for host in hosts.values():
            with suppress(subprocess.TimeoutExpired):
                host.process.wait(max(0.0, end_s - monotonic_s()))
        for host in hosts.values():
            self._signal(host.process)
        for number, host in hosts.items():
            self._kill(host.process)
            if self._poison is not None:
                self._poison.clear(number)

    def _start(self, number: int) -> _Host:
        """Starts a host's process, with the socket pair and, if there is one, the poison file. Raises OSError."""
        self._starts += 1
        self._dying = [process for process in self._dying if process.poll() is None]
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            notes = [] if self._poison is None else [self._poison.descriptor]
            try:
                process = subprocess.Popen(
                    self._command(number, theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), *notes],
                    env=self._environ,
                    # Of its own: what its code starts ends with it.
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        host = self._hosts[number] = _Host(process, ours)
        self._sources.add_reader(host.descriptor, lambda: self._read(number, host))
        return host

    def _command(self, number: int, connection: int) -> list[str]:
        """What starts a host that talks to us over this descriptor."""
        setup = self._setup
        command = [sys.executable, "-P", "-m", "services.converter.shell.host_process", "--socket", str(connection)]
        command += ["--host", str(number), "--parent", str(os.getpid()), "--name", setup.name]
        command += ["--watchdog-s", str(setup.watchdog_s), "--log-level", setup.log_level]
        for folder in setup.extension_dirs:
            command += ["--extension-dir", str(folder)]
        if self._poison is not None:
            command += ["--note", str(self._poison.descriptor)]
            command += ["--life", f"{setup.instance}-{self._starts}"]
        return command

    def _read(self, number: int, host: _Host) -> Iterable[HostEvent]:
        """What a host has said. Whatever can't be read, or too much at once, ends it: users' code runs at the other
        end."""
        try:
            data = host.connection.recv(READ_BYTES)
        except BlockingIOError:
            return ()
        except OSError:
            data = b""
        if not data:
            return self.end(number, self._cause(host.process))
        events: list[HostEvent] = []
        try:
            host.answers.feed(data)
            for value in host.answers:
                if value in (LOADING, READY):
                    host.is_ready = value == READY
                    events.append(HostReady(number) if host.is_ready else HostLoading(number))
                else:
                    events.append(read_answer(value, number))
        except msgpack.BufferFull:
            return [*events, *self.end(number, f"it said more than {ANSWER_BYTES} bytes at once")]
        except (WireError, ValueError, msgpack.UnpackException, RecursionError) as error:
            return [*events, *self.end(number, f"it said what can't be read: {error}")]
        return events

    def _write(self, number: int, host: _Host) -> Iterable[HostEvent]:
        """Sends as much as the socket takes, and the rest when it takes more."""
        try:
            sent = host.connection.send(host.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self.end(number, self._cause(host.process))
        del host.unsent[:sent]
        if host.unsent:
            self._sources.add_writer(host.descriptor, lambda: self._write(number, host))
        else:
            self._sources.remove_writer(host.descriptor)
        return ()

    def _leave(self, host: _Host) -> None:
        """Hears no more of a host and says nothing to it."""
        self._sources.remove_reader(host.descriptor)
        self._sources.remove_writer(host.descriptor)
        host.connection.close()

    def _signal(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to the process and to all that it has started; neither need be there any more."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            process.kill()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Ends the process and what it has started."""
        self._signal(process)
        try:
            process.wait(DEATH_S)
        except subprocess.TimeoutExpired:
            self._dying.append(process)

    def _cause(self, process: subprocess.Popen[bytes]) -> str:
        """How a process ended that has hung up: by itself, with its code, or by a signal."""
        try:
            code = process.wait(HUNG_UP_S)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if code >= 0:
            return f"it exited with code {code}"
        try:
            return f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was ended by signal {-code}"
