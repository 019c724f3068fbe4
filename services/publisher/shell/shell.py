"""What the publisher does to the world: its sockets and its connection to the platform. It decides nothing.

Batches of readings come by the readings plane, calls and their replies by the calls plane; reports on what was settled
leave by the events plane, where each port reader hears of its own streams.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, assert_never

from common.core.events import Exit, Note, Send
from common.io.endpoints import Endpoints
from common.io.shell import Planes
from common.io.sockets import REPORTS_HIGH_WATER
from common.io.sources import Sources
from common.wire.messages import Plane
from services.publisher.core.events import (
    AskSupervisor,
    CheckLink,
    ConnectPlatform,
    CredentialsKept,
    CredentialsRemoved,
    DisconnectPlatform,
    Effect,
    Event,
    HearLogs,
    KeepCredentials,
    KeepNames,
    KeepRequest,
    LookAtMachine,
    NamesKept,
    Probe,
    Publish,
    ReadConfigured,
    RemoveCredentials,
    RoundOver,
    SupervisorAsked,
)
from services.publisher.shell.machine import MachineLook
from services.publisher.shell.names_file import write_names
from services.publisher.shell.platform_link import Access, PlatformLink
from services.publisher.shell.remote_files import RemoteFiles

TOPICS: Final = (b"beat.broker.", b"beat.port_reader.", b"beat.connector_host.")
"""A new broker wants to be registered with; port readers' beats tell a new publisher which devices are connected, and
theirs and connector hosts' how much waits in their journals."""
CLOSE_LINGER_MS: Final = 200
"""At the end the last reports and replies get this long to leave."""


class PublisherShell:
    """Performs the effects of `PublisherCore`."""

    def __init__(
        self,
        endpoints: Endpoints,
        access: Access,
        sources: Sources[Event],
        logger: logging.Logger,
        *,
        names: Path,
        remote: RemoteFiles,
        renew: Callable[[bytes], tuple[Access, str]] | None = None,
        forget: Callable[[], tuple[bool, str]] | None = None,
    ) -> None:
        """`names` is the file of the names that users' converters have given; `remote` what is said to whoever looks
        after the processes, and heard of them. `renew` keeps credentials that the platform has given, and says how it
        is reached with them, and why they are not on the disk, or "". `forget` removes them: (whether there were some,
        why they are still there, or "")."""
        self._names = names
        self._remote = remote
        self._renew = renew
        self._forget = forget
        self._planes = Planes(endpoints, sources, logger)
        self._link = PlatformLink(access, sources)
        self._machine = MachineLook(sources)
        # A call comes first: somebody waits for what it does.
        self._planes.add_calls()
        self._planes.add_events(TOPICS, REPORTS_HIGH_WATER, is_lazy=True)
        self._planes.add_pull(Plane.READINGS, endpoints.readings_out)
        self._link.listen()
        # The core packs for the platform what came together, not each batch by itself.
        sources.round_end = lambda: (RoundOver(),)

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carries out one effect; returns what follows from it at once."""
        match effect:
            case Send(plane=plane, message=message):
                return self._planes.send(plane, message)
            case Publish():
                return self._link.publish(effect)
            case Note() | Exit():
                return self._planes.perform(effect)
            case CheckLink():
                return self._link.check(effect)
            case KeepNames(content=content):
                return (NamesKept(write_names(self._names, content)),)
            case AskSupervisor(request=request, order=order):
                return (SupervisorAsked(request, self._remote.ask(order)),)
            case KeepRequest(request=request, content=content):
                return (SupervisorAsked(request, self._remote.keep(content)),)
            case ReadConfigured():
                return (self._remote.read(),)
            case HearLogs(is_wanted=is_wanted):
                self._remote.hear_logs(is_wanted)
            case KeepCredentials(content=content):
                return (self._keep(content),)
            case RemoveCredentials(request=request):
                found, error = (False, "") if self._forget is None else self._forget()
                return (CredentialsRemoved(request, found, error),)
            case LookAtMachine():
                self._machine.look()
            case ConnectPlatform():
                self._link.connect(effect)
            case Probe():
                self._link.probe(effect)
            case DisconnectPlatform():
                self._link.disconnect()
            case _:
                assert_never(effect)
        return ()

    def _keep(self, content: bytes) -> CredentialsKept:
        if self._renew is None:
            return CredentialsKept("nobody keeps them")
        access, error = self._renew(content)
        self._link.use(access)
        return CredentialsKept(error)

    def close(self) -> None:
        """Closes everything, letting what was sent leave."""
        self._link.disconnect()
        self._remote.hear_logs(False)
        self._planes.close(CLOSE_LINGER_MS)
