"""Switches the processes of a running gateway over from one configuration to another, and sees that they come up.

The files from which processes start are written first, so that one that dies meanwhile starts with what is wanted now.
Then port readers that can go on take their new sections; those that can't, or don't, start anew, with all others that
are concerned. Nobody else hears of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from common.config.active import Active
from common.config.models import Gateway, section_of
from common.config.task import files_of
from common.core.errors import GatewayError
from common.core.events import Note
from common.io.client import Client, json_of
from common.io.journal.places import journal_dir, left_journals
from common.io.journal.serving import limits_of
from common.io.orders import APPLY_FILE, send_order
from common.io.private import write_private
from common.wire.calls import (
    Status,
    TakeDevices,
    TakeLimits,
    TakeSection,
    Watched,
    host_of,
    hosted_connector,
    hosted_stream,
    reader_of,
)
from common.wire.messages import MONITOR, PUBLISHER
from services.cli.supervise.coming_up import ComingUp, Rows, is_link_up
from services.cli.supervise.conf import Plan, host_name, reader_name
from services.cli.supervise.difference import Difference
from services.cli.supervise.prepare import write_planned
from services.publisher.core.known import encode_known, known_of

COME_UP_S: Final = 30.0
"""What starts anew has to register and beat within this: many starts at once on a small machine take their time."""
HOLD_S: Final = 2.0
"""And has to live so long; one that ends at once comes again and again."""
HEARD_S: Final = 5.0
"""So long the monitor has to hear who runs: each beats once a second, or at once when a monitor has just started."""
LOOK_S: Final = 0.25
"""Between two looks at the gateway."""
TAKE_S: Final = 5.0
"""A reader takes a section at once; one that does not answer within this is started anew."""

Look = Callable[[], "dict[str, Any] | None"]
"""What the monitor says of each process, by its address; None while it does not answer."""


class Taken(NamedTuple):
    """What became of sections that were handed to readers at work."""

    taken: tuple[str, ...]
    """Devices whose readers go by them."""
    refused: dict[str, str]
    """Device → why its reader has to start anew."""


class Switching:
    """One gateway's processes; `plan` and `active` are what they go by now, or were told to."""

    def __init__(
        self,
        plan: Plan,
        active: Active,
        note: Callable[[Note], None],
        look: Look | None = None,
        hold_s: float | None = None,
    ) -> None:
        """`hold_s`: who has started anew has to live so long before it is taken for well; None: HOLD_S."""
        self.plan = plan
        self.active = active
        self._note = note
        self._look = look or (lambda: ask_monitor(plan.data_dir))
        self._hold_s = HOLD_S if hold_s is None else hold_s

    def switch(self, active: Active, change: Difference) -> str:
        """Writes what the processes start from, and has those that are concerned go by it; "" or who does not."""
        self.take(active)
        started = [*map(reader_of, change.changed), *map(host_of, change.hosts_changed)]
        started += [PUBLISHER] if change.publisher else []
        swapping = {reader_of(device): device for device in change.swapped}
        fewer = who_keeps(active.gateway, change) if change.limits else []
        is_told = change.known and not change.publisher
        before = self._look_at([*started, *swapping, *map(reader_of, fewer), *([PUBLISHER] if is_told else [])])
        try:
            write_planned(self.plan, active)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        run_dir = self.plan.run_dir
        if change.levels and (why := send_order(run_dir, "levels")):
            return why
        handed = hand_over(self.plan.data_dir, active.gateway, change.swapped)
        limited = hand_limits(self.plan.data_dir, active.gateway, fewer)
        deaf = {name: why for name, why in limited.refused.items() if hosted_connector(name) is None}
        deaf_hosts = [connector for name in limited.refused if (connector := hosted_connector(name)) is not None]
        refused = handed._replace(refused={**handed.refused, **deaf})
        anew = list(dict.fromkeys((*change.changed, *self._told(refused, active.gateway))))
        restarts = [*map(reader_name, anew), *map(host_name, (*change.hosts_changed, *deaf_hosts))]
        is_told = is_told and self._has_told_publisher(active.gateway)
        has_new_publisher = change.publisher or (change.known and not is_told)
        restarts += ["publisher"] if has_new_publisher else []
        is_deaf = change.names and not tell_monitor(self.plan.data_dir, active.gateway)
        restarts += ["monitor"] if change.monitor or is_deaf else []
        added = [*map(reader_of, change.added), *map(host_of, change.hosts_added)]
        try:
            write_private(run_dir / APPLY_FILE, json.dumps(restarts))
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        # Also where nobody is to start anew: then the next start of each goes by what is written now.
        if why := send_order(run_dir, "apply"):
            return why
        started += map(host_of, deaf_hosts)
        started += [who for device in anew if (who := reader_of(device)) not in started]
        started += [PUBLISHER] if has_new_publisher and not change.publisher else []
        wanted = dict.fromkeys((*started, *added))
        stay = {who: before[who]["pid"] for who, device in swapping.items() if device in handed.taken and who in before}
        stay |= {who: before[who]["pid"] for name in limited.taken if (who := reader_of(name)) in before}
        stay = {who: pid for who, pid in stay.items() if who not in started}
        stay |= {PUBLISHER: before[PUBLISHER]["pid"]} if is_told and PUBLISHER in before else {}
        # Who comes may be there already, where a change is completed that somebody else has begun.
        before = {who: row for who, row in before.items() if who not in added or who in started}
        return self._await(wanted, stay, before, was_up=has_new_publisher and is_link_up(before))

    def take(self, active: Active) -> None:
        """This is what is to be written for the processes; none of them hears of it."""
        folder = journal_dir(active.gateway.storage, self.plan.data_dir)
        self.plan = self.plan._replace(
            devices=active.gateway.readers,
            hosted=tuple(connector.name for connector in active.gateway.hosted),
            left_journals=tuple(left_journals(folder, active.gateway.streams)),
            files=files_of(active.gateway),
            log_levels={} if self.plan.is_level_given else active.gateway.log_levels,
        )
        self.active = active

    def _has_told_publisher(self, gateway: Gateway) -> bool:
        """False if it has to start anew, which is said."""
        why = tell_publisher(self.plan.data_dir, gateway)
        if why:
            self._note(Note("info", "devices.not_taken", {"reason": why, "then": "the publisher is started anew"}))
        return not why

    def _told(self, handed: Taken, gateway: Gateway) -> list[str]:
        """The readers, by their first devices, that did not take a section."""
        readers = {device.name: line[0].name for line in gateway.lines for device in line}
        for device, why in handed.refused.items():
            facts = {"device": device, "reason": why, "then": "its port reader is started anew"}
            self._note(Note("info", "section.not_taken", facts))
        return [readers[device] for device in handed.refused]

    def _look_at(self, running: Sequence[str]) -> Rows:
        """What the monitor says of each process, once it has heard all of these: a process of which it is only heard
        when it has been told to end would be taken for its successor. One that does not run is not waited for long."""
        rows: dict[str, Any] = {}

        def are_heard() -> bool:
            rows.update(self._look() or {})
            return all(rows.get(who, {}).get("pid") is not None for who in running)

        until(are_heard, HEARD_S)
        return rows

    def _await(self, started: Iterable[str], stay: Mapping[str, int], before: Rows, *, was_up: bool) -> str:
        """Waits until all of these beat under new pids, and go on beating, and those that stay do so under theirs; ""
        or who does not."""
        coming = ComingUp(started, before, with_link=was_up)
        ended = ""

        def look() -> bool:
            nonlocal ended
            rows = self._look()
            for who, pid in stay.items():
                # A monitor that has just started anew has not heard everybody.
                if rows and rows.get(who, {}).get("pid") not in (None, pid):
                    ended = f"{who} has ended after it had taken what was changed"
            return coming.look(rows)

        def has_failed(held: Mapping[str, int]) -> bool:
            look()
            return bool(coming.fault or ended) or coming.has_ended(held)

        # Where nobody starts anew nobody is waited for, not even the monitor.
        is_awaited = bool(coming.missing_ones)
        if is_awaited and not until(lambda: look() or bool(coming.fault), COME_UP_S):
            return f"{coming.missing} has not come up within {COME_UP_S:g} s: see its lines in the log"
        held = coming.pids
        hold_s = self._hold_s if held else min(self._hold_s, HOLD_S)
        # A connector is made and opened meanwhile.
        if not until(lambda: has_failed(held), hold_s) and (not is_awaited or until(look, COME_UP_S)):
            return ""
        return coming.fault or ended or "a process that was started anew has ended"


def hand_over(data_dir: Path, gateway: Gateway, devices: Iterable[str]) -> Taken:
    """Hands each of these devices' sections to its reader. Raises nothing: who does not take one has to start anew."""
    wanted = {device.name: device for device in gateway.devices if device.name in set(devices)}
    taken: list[str] = []
    refused: dict[str, str] = {}
    if not wanted:
        return Taken((), {})
    try:
        with Client(data_dir) as client:
            for name, device in wanted.items():
                try:
                    reply = client.call(reader_of(name), name, TakeSection(section_of(device)), TAKE_S)
                except GatewayError as error:
                    refused[name] = str(error)
                    continue
                if reply.error:
                    refused[name] = reply.error
                else:
                    taken.append(name)
    except GatewayError as error:
        refused |= {name: str(error) for name in wanted if name not in refused and name not in taken}
    return Taken(tuple(taken), refused)


def hand_limits(data_dir: Path, gateway: Gateway, names: Iterable[str]) -> Taken:
    """Tells those who have journals, each by its first device or its connector's stream, how much they keep from now
    on. Raises nothing: who does not take it has to start anew."""
    wanted = list(names)
    if not wanted:
        return Taken((), {})
    folder = journal_dir(gateway.storage, data_dir)
    sizes = {device.name: device.uplink_queue_size for device in gateway.devices}
    sizes |= {hosted_stream(one.name): one.uplink_queue_size for one in gateway.hosted}
    taken: list[str] = []
    refused: dict[str, str] = {}
    try:
        with Client(data_dir) as client:
            for name in wanted:
                limits = limits_of(folder, gateway.streams, sizes[name], gateway.storage)
                asked = TakeLimits(limits.max_records, limits.max_bytes, limits.ttl_s or 0.0)
                try:
                    why = client.call(reader_of(name), name, asked, TAKE_S).error
                except GatewayError as error:
                    why = str(error)
                if why:
                    refused[name] = why
                else:
                    taken.append(name)
    except (GatewayError, OSError) as error:
        refused |= {name: str(error) for name in wanted if name not in refused and name not in taken}
    return Taken(tuple(taken), refused)


def who_keeps(gateway: Gateway, change: Difference) -> list[str]:
    """Who has journals and goes on: the first device of each line, and the streams of hosted connectors."""
    lines = [line[0].name for line in gateway.lines]
    found = [name for name in lines if name not in change.added and name not in change.changed]
    hosts = [one.name for one in gateway.hosted if one.name not in (*change.hosts_added, *change.hosts_changed)]
    return [*found, *map(hosted_stream, hosts)]


def tell_monitor(data_dir: Path, gateway: Gateway) -> bool:
    """Tells the monitor which devices and connectors there are from now on; False if it does not take it, and so has to
    start anew. A page stays open meanwhile, and what is known of the others is not forgotten."""
    watched = Watched([device.name for device in gateway.devices], [connector.name for connector in gateway.hosted])
    try:
        with Client(data_dir) as client:
            return not client.call(MONITOR, "", watched, TAKE_S).error
    except GatewayError:
        return False


def tell_publisher(data_dir: Path, gateway: Gateway) -> str:
    """Tells the publisher which devices there are from now on, and what it has to know of them; "" or why it has to
    start anew. Its connection to the platform stands meanwhile."""
    try:
        with Client(data_dir) as client:
            return client.call(PUBLISHER, "", TakeDevices(encode_known(known_of(gateway))), TAKE_S).error
    except GatewayError as error:
        return str(error)


def ask_monitor(data_dir: Path) -> dict[str, Any] | None:
    """Address → what the monitor says of a process; None while it does not answer."""
    try:
        with Client(data_dir) as client:
            rows = json.loads(json_of(client.call(MONITOR, "", Status(), 2.0)))["processes"]
    except (GatewayError, ValueError, KeyError):
        return None
    return {f"{row['kind']}:{row['name']}": row for row in rows}


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """True as soon as the condition is; False if it is not within so many seconds."""
    end_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end_s:
            return False
        time.sleep(LOOK_S)
    return True
