"""A change of the configuration in words: what becomes of whom, and whether anything is interrupted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from common.config.models import DataPoint, Device, Gateway, Line, Platform, Storage
from services.cli.supervise.difference import Difference
from services.port_reader.core.swaps import why_not

Sign = Literal["+", "-", "~", "!"]
NO_INTERRUPTION: Final = "no interruption"
ON_THE_OPEN_PORT: Final = "set on the open port"
PUBLISHER: Final = "publisher restarts, nothing is lost"
KNOWN: Final = "the connectors that it knows, their logs or report strategies"
NEEDS_RESTART: Final = "needs a restart of all: refused without --restart; what waits in the old place stays there"
UNFINISHED: Final = "an earlier change was not completed"
SECRET: Final = ("security", "provisioning")
"""Of the platform's fields those of which no value is shown."""
_ARROW: Final = "→"


class Step(NamedTuple):
    """One line of a plan."""

    sign: Sign
    """+ comes, - goes, ~ changes, ! can't be done while the gateway runs."""
    what: str
    """A device's name, or `platform`, `storage`, `web`, `log levels`, `connector NAME`."""
    text: str
    """What is another, and in brackets what that interrupts; "" where nothing is to be said."""

    def __str__(self) -> str:
        text = f": {self.text}" if self.text and self.sign in "~!" else f" {self.text}" if self.text else ""
        return f"{self.sign} {self.what}{text}"


def steps_of(
    before: Gateway, after: Gateway, change: Difference, waiting: Mapping[str, int], *, has_new_secrets: bool = False
) -> list[Step]:
    """The plan, devices first. `waiting`: how many frames each device's journal holds, where that is known."""
    return [
        *_devices(before, after, change, waiting),
        *_connectors(change),
        *_platform(before, after, change, has_new_secrets=has_new_secrets),
        *_storage(before.storage, after.storage, change),
        *_others(before, after),
    ]


def needs_restart(before: Gateway, after: Gateway) -> bool:
    """True for what no running process can take: the place of the journals."""
    old, new = before.storage, after.storage
    return (old.type, old.data_dir) != (new.type, new.data_dir)


def _devices(before: Gateway, after: Gateway, change: Difference, waiting: Mapping[str, int]) -> Iterator[Step]:
    old, new = _by_name(before), _by_name(after)
    lines = {device.name: line for line in before.lines for device in line}
    lines_after = {device.name: line for line in after.lines for device in line}
    gone = [name for name in old if name not in new]
    ports = {old[name].line.port: name for name in gone}
    for name, device in new.items():
        if name not in old:
            former = ports.get(device.line.port)
            text = f"(on the port of {former}: the platform will see a new device)" if former else ""
            yield Step("+", name, text)
        elif old[name] != device:
            why = why_not(old[name], device, lines[name]) if name not in change.swapped else ""
            yield Step("~", name, _changed(old[name], device, why, is_swapped=name in change.swapped))
        elif name in change.changed and (before.storage == after.storage or change.limits):
            is_same = [one.name for one in lines[name]] == [one.name for one in lines_after[name]]
            why = UNFINISHED if is_same else "other devices on its line"
            yield Step("~", name, f"{why} (its port reader starts anew)")
    for name in gone:
        frames = waiting.get(name, 0)
        yield Step("-", name, f"({frames} {'frame' if frames == 1 else 'frames'} will be sent first)" if frames else "")


def _by_name(gateway: Gateway) -> dict[str, Device]:
    return {device.name: device for device in gateway.devices}


def _changed(old: Device, new: Device, why: str, *, is_swapped: bool) -> str:
    parts = list(_parts(old, new))
    if not is_swapped:
        return f"{_joined(parts) or why or 'its line'} (its port reader starts anew{f': {why}' if why else ''})"
    return f"{_joined(parts)} ({ON_THE_OPEN_PORT if old.line != new.line else NO_INTERRUPTION})"


def _parts(old: Device, new: Device) -> Iterator[str]:
    for field in Line.__struct_fields__:
        yield from _arrow(field.removesuffix("_s"), getattr(old.line, field), getattr(new.line, field))
    yield from _arrow("type", old.type, new.type)
    if count := _other_points(old, new):
        yield _counted(count, "data point")
    calls = _others_among(old.rpcs, new.rpcs) + _others_among(old.attribute_updates, new.attribute_updates)
    if calls:
        yield _counted(calls, "call")
    if old.framing != new.framing:
        yield "framing"
    if old.asking != new.asking:
        yield "what it is asked"
    if old.report_strategy != new.report_strategy:
        yield "report strategy"
    yield from _arrow("byteorder", old.byteorder, new.byteorder)
    yield from _arrow("converter", old.converter, new.converter)
    yield from _arrow("downlink converter", old.downlink_converter, new.downlink_converter)
    yield from _arrow("connector", old.connector_name, new.connector_name)
    yield from _arrow("uplinkQueueSize", old.uplink_queue_size, new.uplink_queue_size)


def _joined(parts: list[str]) -> str:
    return ", ".join(parts) or "its section"


def _other_points(old: Device, new: Device) -> int:
    if old.messages != new.messages:
        return max(1, _others_among(_points(old), _points(new)))
    return _others_among(_points(old), _points(new))


def _points(device: Device) -> tuple[DataPoint, ...]:
    return device.all_telemetry + device.all_attributes


def _others_among(old: Iterable[Any], new: Iterable[Any]) -> int:
    """How many of either are not among the other; one that is another under the same place counts once."""
    before, after = list(old), list(new)
    return max(sum(one not in after for one in before), sum(one not in before for one in after))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _arrow(name: str, old: object, new: object) -> list[str]:
    return [] if old == new else [f"{name} {_shown(old)} {_ARROW} {_shown(new)}"]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None or value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def _connectors(change: Difference) -> Iterator[Step]:
    for name in change.hosts_added:
        yield Step("+", f"connector {name}", "")
    for name in change.hosts_changed:
        yield Step("~", f"connector {name}", "its file or its entry (its process starts anew)")
    for name in change.hosts_removed:
        yield Step("-", f"connector {name}", "(what waits is sent first)")


def _platform(before: Gateway, after: Gateway, change: Difference, *, has_new_secrets: bool) -> Iterator[Step]:
    if not change.publisher:
        return
    parts: list[str] = []
    for field in Platform.__struct_fields__:
        old, new = getattr(before.platform, field), getattr(after.platform, field)
        if old != new:
            plain = isinstance(old, str | int | float) and isinstance(new, str | int | float) and field not in SECRET
            parts += _arrow(field, old, new) if plain else [field.replace("_", " ")]
    if has_new_secrets and "security" not in parts:
        parts.append("security")
    if parts:
        yield Step("~", "platform", f"{', '.join(parts)} ({PUBLISHER})")
    else:
        yield Step("~", "publisher", f"{KNOWN} ({PUBLISHER})")


def _storage(old: Storage, new: Storage, change: Difference) -> Iterator[Step]:
    if old == new:
        return
    parts = [
        part for field in Storage.__struct_fields__ for part in _arrow(field, getattr(old, field), getattr(new, field))
    ]
    if (old.type, old.data_dir) != (new.type, new.data_dir):
        yield Step("!", "storage", f"{', '.join(parts)} ({NEEDS_RESTART})")
    elif change.limits:
        yield Step("~", "storage", f"{', '.join(parts)} ({NO_INTERRUPTION}; what is more than that is dropped)")
    else:
        yield Step("~", "storage", f"{', '.join(parts)} (all port readers start anew, nothing is lost)")


def _others(before: Gateway, after: Gateway) -> Iterator[Step]:
    if before.web != after.web:
        yield Step("~", "web", "(the monitor restarts; no data passes through it)")
    if before.log_levels != after.log_levels:
        yield Step("~", "log levels", f"({NO_INTERRUPTION})")
