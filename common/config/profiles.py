"""Profiles: what is known of a kind of device, in one JSON file each, with sample frames that tests run.

A profile is found by its name: NAME.json in the folder `profiles` beside the configuration, else among those that come
with serialgw. Its `device` is a device section without a port; the section that names the profile is laid over it (see
`profile_laying`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from common.config.findings import Findings, choices, show
from common.config.json_files import read_json
from common.config.json_object import JsonObject

OURS: Final = Path(__file__).with_name("profiles")
"""Those that come with serialgw."""
USERS: Final = "profiles"
"""The folder beside the configuration in which users' own are."""
TALKS: Final = ("by itself", "when asked")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_FORMAT: Final = re.compile(r"([1-9]\d{0,8}) ([5-8])([NEOMS])(1|1\.5|2)", re.ASCII)
_FORBIDDEN: Final = ("name", "deviceName", "port", "profile", "parameters", "enabled")
"""Keys of a device section that no profile can know."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """What a section may say, or must, so that the profile fits its device: it stands in `${name}`."""

    name: str
    meaning: str = ""
    default: Any = None
    """None: there is none, and the section must say it."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One profile as its file says it. Texts are "" and lists () where the file says nothing."""

    name: str
    file: str
    """How messages name the file."""
    title: str = ""
    vendor: str = ""
    models: tuple[str, ...] = ()
    version: int = 1
    """It rises when frames are read otherwise than before."""
    sources: tuple[str, ...] = ()
    licence: str = ""
    talks: str = "by itself"
    formats: tuple[str, ...] = ()
    """Settings at which such devices talk, `9600 8N1`: the usual one first."""
    notes: tuple[str, ...] = ()
    """What somebody who connects one has to know; one sentence or more each."""
    parameters: tuple[Parameter, ...] = ()
    device: dict[str, Any] = {}
    tests: tuple[dict[str, Any], ...] = ()


def profile_names(folder: Path | None = None) -> dict[str, Path]:
    """Name → file of all profiles, in the order of the names. `folder`: that of a configuration, whose own profiles
    come before ours."""
    found = dict(_in_folder(OURS))
    if folder is not None:
        found.update(_in_folder(folder / USERS))
    return dict(sorted(found.items()))


def _in_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    try:
        files = sorted(folder.glob("*.json"))
    except OSError:
        return
    yield from ((file.stem, file) for file in files if _NAME.fullmatch(file.stem))


def is_name(name: str) -> bool:
    """False for a text that can name no profile, such as a path."""
    return _NAME.fullmatch(name) is not None


def read_profile(name: str, path: Path, findings: Findings) -> Profile | None:
    """The profile in this file; None where a problem was noted. What its device section says is not looked at here: it
    is, with what is laid over it, where the device is read."""
    shown = f"serialgw/{USERS}/{path.name}" if path.parent == OURS else f"{USERS}/{path.name}"
    before = len(findings.problems)
    value = read_json(path, shown, findings)
    if len(findings.problems) > before:
        return None
    if not isinstance(value, dict):
        findings.problem(shown, "top level", show(value), "an object")
        return None
    top = JsonObject(value, shown, "", findings)
    said = top.maybe_text("profile")
    if said is not None and said != name:
        top.problem("profile", show(said), f"{show(name)}, as the file is called")
    device = top.child("device")
    if device is None and "device" not in value:
        top.problem("device", "nothing", "an object: a device section without a port")
    for key in _FORBIDDEN if device is not None else ():
        if device is not None and key in device.values:
            device.problem(key, f'"{key}" in a profile', "it in the device section that names the profile")
    formats = _texts(top, "formats")
    for index, one in enumerate(formats):
        if _FORMAT.fullmatch(one) is None:
            top.problem(f"formats[{index}]", show(one), 'settings such as "9600 8N1"')
    profile = Profile(
        name=name,
        file=shown,
        title=top.maybe_text("title") or "",
        vendor=top.maybe_text("vendor") or "",
        models=_texts(top, "models"),
        version=top.whole("version", 1, 1),
        sources=_texts(top, "sources"),
        licence=top.maybe_text("licence") or "",
        talks=top.choice("talks", TALKS[0], TALKS),
        formats=formats,
        notes=_texts(top, "notes"),
        parameters=tuple(_read_parameters(top)),
        device=dict(device.values) if device is not None else {},
        tests=tuple(dict(one.values) for one in top.items("tests")),
    )
    top.warn_unknown()
    return profile if len(findings.problems) == before else None


def _texts(top: JsonObject, key: str) -> tuple[str, ...]:
    """A list of texts; () for none."""
    top.knows(key)
    said = top.values.get(key)
    if said is None:
        return ()
    if not isinstance(said, list) or not all(isinstance(one, str) and one for one in said):
        top.problem(key, show(said), "a list of texts")
        return ()
    return tuple(said)


def _read_parameters(top: JsonObject) -> Iterator[Parameter]:
    child = top.child("parameters")
    for name in child.values if child is not None else ():
        one = child.child(name) if child is not None else None
        if one is None:
            continue
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            one.findings.problem(one.file, one.path, show(name), "a name of letters, digits and _")
        default = one.values.get("default")
        if isinstance(default, dict | list):
            one.problem("default", show(default), "a text, a number, true or false")
        one.knows("default")
        yield Parameter(name=name, meaning=one.maybe_text("meaning") or "", default=default)
        one.warn_unknown()


def settings_of(text: str) -> dict[str, Any]:
    """Settings such as `9600 8N1` as keys of a device section. Raises ValueError for what is none."""
    found = _FORMAT.fullmatch(text)
    if found is None:
        raise ValueError(f"found {show(text)}, expected settings such as 9600 8N1")
    stopbits = float(found[4])
    return {
        "baudrate": int(found[1]),
        "bytesize": int(found[2]),
        "parity": found[3],
        "stopbits": int(stopbits) if stopbits.is_integer() else stopbits,
    }


def no_profile(name: str, known: dict[str, Path]) -> str:
    """What is right in place of a name that no profile has, as a noun phrase."""
    from common.config.findings import nearest

    near = nearest(name, known)
    return f"a profile that there is, such as {show(near)}" if near else choices(known)
