"""`Connector`, the base of users' connectors, and who a hosted connector is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from common.compat.loggers import log_of

__all__ = ["ABC", "Connector", "abstractmethod", "log"]

log = log_of("connector")
"""Files of 2.x log by this one."""


class Identity(NamedTuple):
    """Who the connector of this process is: the host knows, whatever the connector says of itself."""

    id: str
    name: str
    type: str
    config: Any
    """Its configuration file: a dict, or the text where it is no JSON."""
    is_stopped: Callable[[], bool]
    """Asks the host."""


_identity: list[Identity] = []
"""The one of this process; none where no connector is hosted."""


def introduce(identity: Identity) -> None:
    """Says who the connector of this process is. To be called before its constructor, which may ask already."""
    _identity[:] = [identity]


class Connector(ABC):
    """The base of users' connectors; its constructor takes nothing, so that `Thread` may stand before it or behind it.

    Abstract is what was so in the first version. What came later has an answer here, for classes that are older.
    """

    @abstractmethod
    def open(self) -> Any:
        """Starts the work."""

    @abstractmethod
    def close(self) -> Any:
        """Ends it."""

    @abstractmethod
    def get_name(self) -> Any:
        """The name that it was configured with."""

    @abstractmethod
    def is_connected(self) -> Any:
        """Whether it reaches its devices."""

    @abstractmethod
    def on_attributes_update(self, content: Any) -> Any:
        """Takes changed attributes of a device."""

    @abstractmethod
    def server_side_rpc_handler(self, content: Any) -> Any:
        """Takes a call."""

    def get_id(self) -> Any:
        return _identity[0].id if _identity else None

    def get_type(self) -> Any:
        return _identity[0].type if _identity else getattr(self, "_connector_type", None)

    def get_config(self) -> Any:
        return _identity[0].config if _identity else None

    def is_stopped(self) -> Any:
        return _identity[0].is_stopped() if _identity else False

    def is_filtering_enable(self, device_name: Any) -> bool:
        """False: there is no filter for what comes twice; a report strategy says it."""
        return False

    def get_ttl_for_duplicates(self, device_name: Any) -> int:
        """0 s, for the same reason."""
        return 0
