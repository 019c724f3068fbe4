"""Lays a device section over the profiles that it names.

Objects are merged by key. Lists of data points, messages and calls are merged by what names their entries; an entry
with `"enabled": false` drops the one of that name; other lists are taken whole. What comes out is a device section like
any other, and that is what is journaled and hashed: a profile that changes later never reads old frames otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from common.config.findings import Findings, join_path, nearest, show
from common.config.json_object import JsonObject
from common.config.placed import Placed, PlacedList, Where
from common.config.profiles import Parameter, Profile, is_name, no_profile, profile_names, read_profile

KEYS: Final = ("profile", "parameters")
"""Keys of a device section that only this reads."""
_NAMED_BY: Final[Mapping[str, str]] = {
    "telemetry": "key",
    "attributes": "key",
    "messages": "name",
    "serverSideRpc": "method",
    "attributeUpdates": "attributeOnPlatform",
}
"""Lists whose entries have names, and by which key."""
_OLDER: Final[Mapping[str, str]] = {
    "timeseries": "telemetry",
    "deviceName": "name",
    "deviceType": "type",
    "uplink_converter": "converter",
    "attributeOnThingsBoard": "attributeOnPlatform",
}
"""Spellings of keys → the one under which they are laid over each other."""
_PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z]\w*)\}", re.ASCII)


def with_profiles(entry: JsonObject, folder: Path) -> JsonObject | None:
    """The device section in this object, laid over the profiles that it names; itself where it names none; None where
    one of them can't be used, which is noted. `folder`: that of the file."""
    if "profile" not in entry.values:
        if entry.values.get("parameters") is not None:
            entry.warning("parameters", 'has no effect without "profile"')
        return entry
    before = len(entry.findings.problems)
    profiles = [profile for place, name in _names(entry) if (profile := _read(entry, place, name, folder)) is not None]
    given = _parameters(entry, profiles)
    if len(entry.findings.problems) > before:
        return None
    base = Placed()
    for profile in profiles:
        fill = _filler(entry, profile.parameters, given)
        own = _laid_names(_placed(profile.device, (profile.file, "device"), fill))
        base = _lay(base, own, entry.findings)
    section = {key: value for key, value in entry.values.items() if key not in KEYS}
    over = _placed(section, (entry.file, entry.path), lambda text, where: (text, where))
    laid = _lay(base, _laid_names(over), entry.findings)
    _say_every(laid, base, over)
    return JsonObject(laid, entry.file, entry.path, entry.findings)


def _names(entry: JsonObject) -> list[tuple[str, str]]:
    """(key for messages, name) of each profile that the section names."""
    said = entry.values["profile"]
    if isinstance(said, str) and said:
        return [("profile", said)]
    if not isinstance(said, list) or not said or not all(isinstance(one, str) and one for one in said):
        entry.problem("profile", show(said), "the name of a profile, or a list of names")
        return []
    return [(f"profile[{index}]", name) for index, name in enumerate(said)]


def _read(entry: JsonObject, place: str, name: str, folder: Path) -> Profile | None:
    """A profile by its name; None where there is none, or its file has problems."""
    known = profile_names(folder)
    where = (entry.file, f"{entry.path}.{place}")
    if not is_name(name) or name not in known:
        entry.findings.problem(*where, show(name), no_profile(name, known))
        return None
    return read_profile(name, known[name], entry.findings)


def _parameters(entry: JsonObject, profiles: Sequence[Profile]) -> Mapping[str, Any]:
    """What the section gives for `${}`. What a profile needs and nobody gives is a problem, a name that no profile
    knows a warning."""
    child = entry.child("parameters") if entry.values.get("parameters") is not None else None
    given = {} if child is None else {key: value for key, value in child.values.items() if value is not None}
    known = {one.name: one for profile in profiles for one in profile.parameters}
    for name, value in given.items():
        if child is None:
            continue
        if name not in known:
            near = nearest(name, known)
            child.warning(name, "no profile of this device knows it" + (f', did you mean "{near}"?' if near else ""))
        elif isinstance(value, dict | list):
            child.problem(name, show(value), "a text, a number, true or false")
    for one in known.values():
        if one.default is None and one.name not in given:
            entry.findings.problem(
                entry.file,
                join_path(join_path(entry.path, "parameters"), one.name),
                "nothing",
                one.meaning or "a value",
            )
    return given


def _filler(
    entry: JsonObject, parameters: Sequence[Parameter], given: Mapping[str, Any]
) -> Callable[[str, Where], tuple[Any, Where]]:
    """Puts parameters in place of `${name}`: a text that is nothing else becomes the value itself. Names that the
    profile does not declare are not touched: calls have placeholders of their own."""
    values = {one.name: given.get(one.name, one.default) for one in parameters}

    def fill(text: str, where: Where) -> tuple[Any, Where]:
        names = [name for name in _PLACEHOLDER.findall(text) if name in values]
        if not names:
            return text, where
        if names[0] in given:
            where = entry.file, join_path(join_path(entry.path, "parameters"), names[0])
        if text == f"${{{names[0]}}}":
            return values[names[0]], where
        return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), text), where

    return fill


def _placed(value: Any, where: Where, filled: Callable[[str, Where], tuple[Any, Where]]) -> Any:
    """A value as it was read, with its places. `filled` says what stands in place of a text, and where that is from."""
    return _with_place(value, where, filled)[0]


def _with_place(value: Any, where: Where, filled: Callable[[str, Where], tuple[Any, Where]]) -> tuple[Any, Where]:
    file, path = where
    if isinstance(value, dict):
        found = Placed()
        for key, one in value.items():
            found.put(key, *_with_place(one, (file, join_path(path, key)), filled))
        return found, where
    if isinstance(value, list):
        entries = PlacedList()
        for index, one in enumerate(value):
            entries.put(*_with_place(one, (file, f"{path}[{index}]"), filled))
        return entries, where
    return filled(value, where) if isinstance(value, str) else (value, where)


def _laid_names(section: Any) -> Any:
    """The same object with the newer of two spellings of a key, so that what is meant alike is laid over each other."""
    if not isinstance(section, Placed):
        return section
    for older, newer in _OLDER.items():
        if older in section and newer not in section:
            section.put(newer, section[older], section.places[older])
            section.drop(older)
    for key in _NAMED_BY:
        entries = section.get(key)
        for one in entries if isinstance(entries, list) else ():
            _laid_names(one)
    return section


def _lay(base: Any, over: Any, findings: Findings) -> Any:
    """An object over another one; what is no object on both sides is taken as it is."""
    if not isinstance(base, Placed) or not isinstance(over, Placed):
        return over
    laid = Placed()
    for key, value in base.items():
        laid.put(key, value, base.places[key])
    for key, value in over.items():
        where = over.places[key]
        if key in _NAMED_BY and isinstance(value, PlacedList):
            below = base.get(key)
            value = _lay_lists(  # noqa: PLW2901 (the same, laid over what was there)
                below if isinstance(below, PlacedList) else PlacedList(), value, _NAMED_BY[key], findings
            )
        elif key in base:
            value = _lay(base[key], value, findings)  # noqa: PLW2901
        laid.put(key, value, where)
    return laid


def _lay_lists(base: PlacedList, over: PlacedList, named_by: str, findings: Findings) -> PlacedList:
    """A list over another one, entry by entry: those of one name are one."""
    entries = list(zip(base, base.places, strict=True))
    for value, where in zip(over, over.places, strict=True):
        name = value.get(named_by) if isinstance(value, Placed) else None
        at = next((n for n, (one, _) in enumerate(entries) if _is_named(one, named_by, name)), None)
        is_enabled = _take_enabled(value, where, findings)
        if is_enabled and at is None:
            entries.append((value, where))
        elif is_enabled and at is not None:
            entries[at] = _lay(entries[at][0], value, findings), where
        elif at is not None:
            del entries[at]
        else:
            there = [one[named_by] for one, _ in entries if isinstance(one, Placed) and named_by in one]
            names = ", ".join(map(show, there)) or "nothing"
            findings.warning(*where, f"no {named_by} {show(name)} is there to be dropped; there is: {names}")
    found = PlacedList()
    for value, where in entries:
        found.put(value, where)
    return found


def _is_named(entry: Any, named_by: str, name: Any) -> bool:
    return name is not None and isinstance(entry, Placed) and entry.get(named_by) == name


def _take_enabled(value: Any, where: Where, findings: Findings) -> bool:
    """What an entry says of itself in `enabled`, which is taken out of it."""
    if not isinstance(value, Placed) or "enabled" not in value:
        return True
    said, place = value["enabled"], value.places["enabled"]
    value.drop("enabled")
    if not isinstance(said, bool):
        findings.problem(*place, show(said), "true or false")
        return True
    return said


def _say_every(laid: Placed, base: Placed, over: Placed) -> None:
    """What a section says of `every` beside its profile holds for all that the profile asks again and again."""
    messages, own = laid.get("messages"), over.get("messages")
    if "every" not in over or not isinstance(messages, PlacedList):
        return
    every, where = over["every"], over.places["every"]
    said = [one for one in own if isinstance(one, Placed) and "every" in one] if isinstance(own, PlacedList) else []
    names = {one.get("name") for one in said}
    for one in messages:
        if not isinstance(one, Placed) or "ask" not in one or one.get("name") in names:
            continue
        if "every" in one or "on" not in one:
            one.put("every", every, where)
    if isinstance(base.get("messages"), PlacedList):
        laid.drop("every")
