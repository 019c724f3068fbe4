"""Which connection counts. Pure.

Where the gateway has no credentials, it is first the one by which it asks for some; then those of its session with the
platform.
"""

from __future__ import annotations

from common.core.deadlines import earliest
from services.publisher.core.events import CredentialsKept, LinkEvent
from services.publisher.core.session.link import Link
from services.publisher.core.session.provisioning import Provisioner


class Connecting:
    """Makes the connections that are due: those for the credentials (`provisioner`; None where there are some), and
    once there are credentials the session's (`link`)."""

    def __init__(self, link: Link, provisioner: Provisioner | None) -> None:
        self._link = link
        self._provisioner = provisioner
        self._asking = provisioner
        """None once there are credentials."""

    @property
    def link(self) -> Link:
        """The connection that counts."""
        return self._asking.link if self._asking else self._link

    @property
    def is_asking(self) -> bool:
        """True while the gateway asks for credentials: nothing can be published before."""
        return self._asking is not None

    @property
    def next_deadline_s(self) -> float | None:
        """When `tick` has something to do."""
        link_s = None if self._asking else self._link.next_deadline_s
        return earliest(link_s, self._provisioner.next_deadline_s) if self._provisioner else link_s

    def tick(self, now_s: float) -> None:
        """Does what the time demands: an attempt that is due, or was too slow."""
        if self._provisioner is not None:
            self._provisioner.tick(now_s)
        if self._asking is None:
            self._link.tick(now_s)

    def hear(self, event: LinkEvent, now_s: float) -> None:
        """What happens while the gateway asks for credentials. Once it has them, the session's connection is begun."""
        asking = self._asking
        if asking is None:
            return
        if event.connection == asking.link.connection:
            asking.hear(event, now_s)
        if asking.is_done:
            self._asking = None
            # Connections are numbered on: what is still heard of that one is of one that is over.
            self._link.connection = asking.link.connection
            self._link.start(now_s)

    def forget(self) -> None:
        """The platform wants its credentials forgotten: those that could not be written so far are not, later."""
        if self._provisioner is not None:
            self._provisioner.forget()

    def kept(self, event: CredentialsKept, now_s: float) -> None:
        """Credentials were written, or could not be."""
        if self._provisioner is not None:
            self._provisioner.kept(event, now_s)
