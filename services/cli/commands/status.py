"""`serialgw status`: every process of a running gateway, and the link to the platform."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import simplejson

from common.config.taken import read_taken
from common.core.errors import GatewayError, LinkError
from common.core.shown import harmless
from common.io.client import Client, json_of
from common.io.clock import wall_ms
from common.wire.calls import Status
from common.wire.messages import MONITOR
from services.cli.arguments import Subparsers, add_data_dir
from services.cli.parser import WARNING
from services.cli.screen import Screen
from services.cli.text import compact, counted, moment, table

ANSWER_S: Final = 5.0
SETTLED_S: Final = 2.5
"""Everyone beats each second; a monitor that is older than this has heard who is there."""
RETRY_S: Final = 0.25
"""The monitor is asked again after this, while it is too young to know everyone."""
REGISTERED_S: Final = 10.0
"""A process that is older than this has found its broker, or never will."""
AGAIN_S: Final = 1.0
"""`--watch` asks again after this: everyone beats each second."""
LEAST_HZ: Final = 0.005
"""A rate below this is shown as none: a line of such a device is known by its last frame."""
PENDING: Final = "the files were edited since they were taken: `serialgw reload --dry-run` says what would change"
_DEVICES: Final = ("DEVICE", "STATE", "FOR", "PORT", "LAST FRAME", "RATE", "WAITING", "DEAD LETTERS", "ERRORS")
"""The columns of the devices' table."""
_NARROW: Final = 3
"""So many of them stand beside each other in any terminal."""
_HEAD: Final = ("PROCESS", "DEVICE", "PID", "STATE", "UPTIME", "BACKLOG", "COUNTERS")
"""The columns of the processes' table."""
_INDENT: Final = "    "
REASON_WIDTH: Final = 100
"""How long a line with a reason may be where there is no terminal."""
MIN_REASON: Final = 40
"""And how long at least, however narrow the terminal."""
_MAIN_COUNTERS: Final = {
    "broker": ("frames_in", "readings_out", "frames_dropped", "batches_dropped", "requests", "takeovers"),
    "publisher": ("readings_accepted", "publishes", "publishes_refused", "reconnects", "dead_letters", "rpc_calls"),
    "converter": (
        "frames_converted",
        "conversion_errors",
        "user_errors",
        "dead_letters",
        "hosts_ended",
        "hosts_died",
        "calls_in",
    ),
    "connector_host": (
        "submissions",
        "submissions_failed",
        "results_refused",
        "frames_resent",
        "frames_shed",
        "frames_dropped",
        "frames_lost",
        "dead_letters",
        "calls_handled",
        "calls_unanswered",
    ),
    "port_reader": (
        "frames_read",
        "frames_resent",
        "frames_shed",
        "frames_dropped",
        "frames_lost",
        "dead_letters",
        "exchanges",
        "exchanges_failed",
    ),
}
"""Kind of process → what a person looks for first; `--json` has all counters."""
_ORDER: Final = ("monitor", "broker", "publisher", "converter", "connector_host", "port_reader")
"""Kinds of processes as the table shows them: those that a gateway has once come first."""


def add_parser(subparsers: Subparsers) -> None:
    """Adds `status` and its options."""
    parser = subparsers.add_parser(
        "status",
        help="show every device and process of a running gateway",
        description="Shows every device: its state and the reason, for how long, when its last frame came, how many "
        "frames a second it says, how many wait in its journal, how many dead letters it keeps, and how many values "
        "could not be read. Then whether the platform can be reached. Then every process: device, pid, alive, late (no "
        "heartbeat for 3 s) or lost (5 s), uptime, what waits in its journal, its counters.",
        epilog="examples:\n"
        "  serialgw status\n"
        "  serialgw status --watch\n"
        "  serialgw status --json\n\n"
        "exit codes: 0 all devices are served and the platform is reached, 1 a device is not served (its port is "
        "closed, or what it says does not reach the platform), or a process is late, lost or of another version, "
        "69 no gateway is running there; with --watch 0 for Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, with all counters")
    parser.add_argument("--watch", action="store_true", help="show it again each second, until Ctrl-C")
    add_data_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the state: 0 if all is well, 1 if not. Raises LinkError if there is no gateway, or no monitor.

    Right after a start not everyone has beaten: then it waits for up to five seconds before it says that all is not
    well.
    """
    if args.watch:
        return watch(args)
    with Client(args.data_dir) as client:
        document = _ask(client)
        deadline_s = time.monotonic() + 2 * SETTLED_S
        while not is_well(document) and is_young(document) and time.monotonic() < deadline_s:
            time.sleep(RETRY_S)
            document = _ask(client)
    taken = read_taken(args.data_dir.expanduser())
    document["configuration"] = {"pending": taken.is_pending, "successful": taken.successful, "reason": taken.reason}
    if args.json:
        print(simplejson.dumps(document, indent=2, ensure_ascii=False))
    else:
        has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
        print(as_text(document, shutil.get_terminal_size().columns if has_width else None))
        if taken.is_pending:
            print(PENDING)
    return 0 if is_well(document) else 1


def watch(args: argparse.Namespace) -> int:
    """Shows the state again and again, in place on a terminal, one after the other elsewhere. 0 for Ctrl-C. Raises
    LinkError if there is no gateway at first; one that ends later is waited for."""
    is_drawn = sys.stdout.isatty() and not args.json
    screen = Screen(sys.stdout)
    asked = _Asking(args.data_dir)
    try:
        with screen if is_drawn else contextlib.nullcontext():
            while True:
                document, fault = asked.ask()
                if args.json:
                    print(compact({"fault": fault} if fault else document), flush=True)
                else:
                    width = screen.width if is_drawn else None
                    head = [f"{moment(wall_ms())}, again each second; Ctrl-C ends it"]
                    shown = as_text(document, width).splitlines() if document is not None else []
                    lines = [*head, *([f"{WARNING}{fault}"] if fault else []), "", *shown]
                    if is_drawn:
                        screen.draw(lines)
                    else:
                        print("\n".join([*lines, ""]), flush=True)
                time.sleep(AGAIN_S)
    except KeyboardInterrupt:
        return 0
    finally:
        asked.close()


class _Asking:
    """Asks a monitor again and again, whether it is there or not."""

    def __init__(self, data_dir: Path) -> None:
        """Raises LinkError if no gateway is there."""
        self._data_dir = data_dir
        self._client: Client | None = Client(data_dir)
        self._last: dict[str, Any] | None = None

    def ask(self) -> tuple[dict[str, Any] | None, str]:
        """(the last state that was told, why there is no newer one)."""
        try:
            if self._client is None:
                self._client = Client(self._data_dir)
            self._last = _ask(self._client)
            return self._last, ""
        except GatewayError as error:
            self.close()
            return self._last, str(error)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _ask(client: Client) -> dict[str, Any]:
    """The monitor's document. Raises LinkError if it can't be had."""
    reply = client.call(MONITOR, "", Status(), ANSWER_S)
    if reply.error:
        raise LinkError(f"the monitor can't be asked: {reply.error}")
    document: dict[str, Any] = simplejson.loads(json_of(reply))
    return document


def is_young(document: Mapping[str, Any]) -> bool:
    """True while the monitor has hardly had the time to hear everyone's heartbeat."""
    uptimes_s = [process["uptime_s"] for process in document["processes"] if process["kind"] == "monitor"]
    return max(uptimes_s, default=0.0) < SETTLED_S


def is_well(document: Mapping[str, Any]) -> bool:
    """True if every device is served, every process is alive and takes part, all are of one version, and the platform
    is reached."""
    is_alive = all(process["state"] == "alive" for process in document["processes"])
    is_served = all(device["is_served"] for device in document.get("devices", ()))
    link = document["link"]
    is_reached = link["state"] == "up" and not link.get("fault")
    return is_reached and is_alive and is_served and not faults_of(document)


def faults_of(document: Mapping[str, Any]) -> list[str]:
    """A sentence for each fault that no process's state shows by itself.

    Different releases understand each other, but an update that stops half way is not what anybody wants; a process
    that is not registered works for nobody.
    """
    living = [process for process in document["processes"] if process["state"] != "lost"]
    releases = {str(process["facts"].get("release", "before 0.2.0")) for process in living}
    found = []
    if len(releases) > 1:
        named = ", ".join(sorted(releases))
        found.append(f"processes of different versions ({named}) run side by side: stop the gateway and run it again")
    for process in living:
        if process["facts"].get("registered") is False and process["uptime_s"] > REGISTERED_S:
            name = f"{process['kind']}:{process['name']}"
            found.append(f"{name} runs, but the broker does not take it: its log says why")
    return found


def losses_of(document: Mapping[str, Any]) -> list[str]:
    """A sentence for each journal that damage has taken something from, since its reader was started. That is over, and
    no fault of a gateway that runs: it does not change the exit code."""
    return [
        f"{process['device']}: damage to its journal took {lost} entries; the log and `serialgw dead-letters` have"
        " their numbers"
        for process in document["processes"]
        if (lost := process["counters"].get("frames_lost", 0))
    ]


def as_text(document: Mapping[str, Any], width: int | None = None) -> str:
    """The tables for a person; where one does not fit into `width` characters, counters go below their process."""
    processes = sorted(document["processes"], key=_place)
    rows = [_HEAD, *(_row(process) for process in processes)]
    backlog = document["backlog"]
    waiting = f"waiting in journals: {counted(backlog['frames'], 'frame')}, {counted(backlog['bytes'], 'byte')}"
    faults = [f"fault: {fault}" for fault in faults_of(document)]
    losses = [f"lost: {loss}" for loss in losses_of(document)]
    platform = textwrap.wrap(f"platform: {_link(document['link'])}", width or 10**6, subsequent_indent=_INDENT)
    whole = [*platform, waiting, *losses, *faults]
    return "\n".join([*_devices(document.get("devices", []), width), *whole, "", *_fitting(rows, width)])


def _devices(devices: Sequence[Mapping[str, Any]], width: int | None) -> list[str]:
    """The lines of the devices' table, each with the reason for its state below it; an empty line follows."""
    if not devices:
        return []
    rows = [_DEVICES, *map(_device_row, devices)]
    lines = table(rows)
    room = max(MIN_REASON, (width or REASON_WIDTH) - len(_INDENT))
    below: list[list[str]] = [[] for _ in rows]
    if width is not None and max(map(len, lines)) > width:
        lines = table([row[:_NARROW] for row in rows])
        below = [textwrap.wrap(_cells(row), room) if row is not _DEVICES else [] for row in rows]
    found = lines[:1]
    for line, more, device in zip(lines[1:], below[1:], devices, strict=True):
        reason = textwrap.wrap(harmless(device["reason"]), room)
        found += [line, *(_INDENT + part for part in (*more, *reason))]
    return [*found, ""]


def _cells(row: Sequence[str]) -> str:
    """What does not fit beside a device, in words."""
    return ", ".join(
        f"{name.lower()} {cell}" for name, cell in zip(_DEVICES[_NARROW:], row[_NARROW:], strict=True) if cell
    )


def _device_row(device: Mapping[str, Any]) -> tuple[str, ...]:
    """A device as the cells of its row; what is 0 or unknown is left out."""
    age_s = device["frame_age_s"]
    return (
        harmless(device["name"]),
        device["state"].replace("_", " "),
        uptime(device["for_s"]),
        device["port"],
        "" if age_s is None else f"{uptime(age_s)} ago",
        rate(device.get("frames_hz")),
        str(device["backlog"] or ""),
        str(device["dead_letters"] or ""),
        str(device["conversion_errors"] or ""),
    )


def _link(link: Mapping[str, Any]) -> str:
    """The platform's line: its state, where it is, and what it speaks; why it is not reached, or not for long."""
    is_up = link["state"] == "up"
    protocol = {4: "MQTT 3.1.1", 5: "MQTT 5"}.get(link.get("protocol", 0), "") if is_up else ""
    fault = f" ({link['fault']})" if link.get("fault") else ""
    place = f"{link['host']}:{link.get('port', '')}" if "host" in link else ""
    return ", ".join(part for part in (link["state"] + fault, place, protocol) if part)


def _place(process: Mapping[str, Any]) -> tuple[int, str]:
    """The order of rows: by kind, then by name."""
    kind = process["kind"]
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), process["name"])


def _row(process: Mapping[str, Any]) -> tuple[str, ...]:
    """A process as the cells of its row; counters that are 0 say nothing and are left out."""
    facts = process["facts"]
    kind, name = process["kind"], process["name"]
    state = process["state"] + (", port closed" if facts.get("connected") is False else "")
    wanted = _MAIN_COUNTERS.get(kind, ())
    counters = " ".join(f"{key}={value}" for key, value in process["counters"].items() if value and key in wanted)
    pid = "-" if process["pid"] is None else str(process["pid"])
    shown = f"{kind} {name}" if kind == "converter" else kind
    return (
        shown,
        harmless(process["device"]),
        pid,
        state,
        uptime(process["uptime_s"]),
        str(facts.get("backlog", "")),
        counters,
    )


def _fitting(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The lines of the table; where it is too wide for the terminal, counters are wrapped below their process."""
    whole = table(rows)
    if width is None or max(map(len, whole)) <= width:
        return whole
    lines = []
    for line, row in zip(table([row[:-1] for row in rows]), rows, strict=True):
        counters = [] if row is _HEAD else textwrap.wrap(row[-1], max(20, width - len(_INDENT)))
        lines += [line, *(_INDENT + part for part in counters)]
    return lines


def rate(frames_hz: float | None) -> str:
    """`480/s`, `4.8/s`, `0.02/s`; "" for nothing, or nothing known."""
    if not frames_hz or frames_hz < LEAST_HZ:
        return ""
    digits = 0 if frames_hz >= 10 else 1 if frames_hz >= 1 else 2
    return f"{frames_hz:.{digits}f}/s"


def uptime(seconds: float) -> str:
    """The two largest units: `2d 3h`, `3h 20m`, `20m 5s`, `5s`."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts or unit == "s":
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
