"""Whether processes that were told to start anew have come up, by what the monitor says of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from common.wire.calls import host_of
from common.wire.messages import PUBLISHER

HOSTS: Final = host_of("")
"""Begins the address of each hosted connector's process."""
Rows = Mapping[str, Mapping[str, Any]]
"""What the monitor says of each process, by its address."""


class ComingUp:
    """Those that are waited for; `look` is called again and again."""

    def __init__(self, wanted: Iterable[str], before: Rows, *, with_link: bool) -> None:
        """`wanted`: addresses; `before`: what was said of them before they were told. `with_link`: the publisher has to
        reach the platform, too, as it did before."""
        self._wanted = set(wanted)
        self._before = before
        self._with_link = with_link
        self.pids: dict[str, int] = {}
        """Those that have come up, as of the last look."""
        self.fault = ""
        """Why a hosted connector can't go on, as it has said in any look; "" while none has."""

    def look(self, rows: Rows | None) -> bool:
        """True if all beat under new pids; None: the monitor does not answer."""
        if rows is None:
            return False
        fresh = {who: row for who, row in rows.items() if who in self._wanted and self._is_fresh(who, row)}
        self.pids = {who: row["pid"] for who, row in fresh.items()}
        for who, row in fresh.items():
            if who.startswith(HOSTS) and (fault := row["facts"].get("fault")) and not self.fault:
                self.fault = f"connector {who.removeprefix(HOSTS)}: {fault}"
        return fresh.keys() == self._wanted and (not self._with_link or is_link_up(rows))

    @property
    def missing_ones(self) -> set[str]:
        """Those that have not come up, as of the last look."""
        return self._wanted - self.pids.keys()

    @property
    def missing(self) -> str:
        """The first that has not come up."""
        return min(self.missing_ones, default="the connection to the platform")

    def has_ended(self, held: Mapping[str, int]) -> bool:
        """True if one of these that had come up, by their pids, is another process by now."""
        return any(self.pids.get(who, pid) != pid for who, pid in held.items())

    def _is_fresh(self, who: str, row: Mapping[str, Any]) -> bool:
        # What an earlier device has left is sent under its name.
        if row["facts"].get("temporary"):
            return False
        # On a machine with much to do a process that is well may be late.
        return row["state"] in ("alive", "late") and row["pid"] != self._before.get(who, {}).get("pid")


def is_link_up(rows: Rows) -> bool:
    """True if the publisher reaches the platform."""
    return bool(rows.get(PUBLISHER, {}).get("facts", {}).get("link") == "up")
