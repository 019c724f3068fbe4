"""`serialgw profiles`: the kinds of devices that are known, and what is known of one, in words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common.config.models import Device
from common.config.profile_devices import device_of_profile, find_profile
from common.config.profiles import Profile, profile_names
from common.io.exits import EXIT_CONFIG
from services.cli.arguments import Subparsers, utf8_path, utf8_text
from services.cli.described import describe_contents, describe_framing, device_as_json
from services.cli.text import compact, counted, table
from services.cli.usage import UsageError

SHOW = "show"


def add_parser(subparsers: Subparsers) -> None:
    """Adds `profiles` and its options."""
    parser = subparsers.add_parser(
        "profiles",
        help="list the kinds of devices that are known, or show one",
        description="Lists the profiles: devices that need no description of their own. A device section with a name, "
        'a port and "profile": NAME is a whole one; what else it says lies over the profile. Files of your own in '
        "the folder profiles beside the configuration come first.",
        epilog="examples:\n"
        "  serialgw profiles\n"
        "  serialgw profiles --json\n"
        "  serialgw profiles show victron-ve-direct\n"
        "  serialgw profiles show mine --dir /etc/serialgw\n\n"
        f"exit codes: 0 done, 2 wrong usage, {EXIT_CONFIG} there is no such profile, or its file has problems",
    )
    parser.add_argument("action", choices=[SHOW], nargs="?", metavar=SHOW, help="say what a profile knows")
    parser.add_argument("name", type=utf8_text, nargs="?", metavar="NAME", help="of the profile")
    parser.add_argument(
        "--dir", type=utf8_path, default=Path(), metavar="DIR", help="the configuration's folder (default: here)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON value, for programs")


def run(args: argparse.Namespace) -> int:
    """Prints the list, or one profile. Raises ConfigError, UsageError."""
    if args.action is None:
        profiles = [find_profile(name, args.dir) for name in profile_names(args.dir)]
        print(compact([summary_of(profile) for profile in profiles]) if args.json else list_as_text(profiles))
        return 0
    if args.name is None:
        raise UsageError("found no name, expected serialgw profiles show NAME")
    profile = find_profile(args.name, args.dir)
    device = device_of_profile(profile, args.dir, parameters=placeholders_of(profile))
    print(compact(profile_as_json(profile, device)) if args.json else "\n".join(profile_as_text(profile, device)))
    return 0


def placeholders_of(profile: Profile) -> dict[str, Any]:
    """A value for each parameter that has none of its own, so that the device can be shown: 1, the first of all
    units."""
    return {one.name: 1 for one in profile.parameters if one.default is None}


def summary_of(profile: Profile) -> dict[str, Any]:
    """What the list says of a profile, for a program."""
    return {
        "profile": profile.name,
        "title": profile.title,
        "vendor": profile.vendor,
        "models": list(profile.models),
        "talks": profile.talks,
        "formats": list(profile.formats),
        "file": profile.file,
    }


def list_as_text(profiles: list[Profile]) -> str:
    """The list for a person."""
    rows = [("PROFILE", "TALKS", "WHAT IT IS")]
    rows += [(profile.name, profile.talks, profile.title) for profile in profiles]
    count = counted(len(profiles), "profile")
    return "\n".join([*table(rows), "", f"{count}; `serialgw profiles show NAME` says what one knows"])


def profile_as_text(profile: Profile, device: Device) -> list[str]:
    """A profile for a person: what it is, and what is read."""
    lines = [f"{profile.name}: {profile.title}", ""]
    facts = [
        ("vendor", profile.vendor),
        ("models", ", ".join(profile.models)),
        ("talks", profile.talks),
        ("line", " or ".join(profile.formats)),
        ("frames", describe_framing(device.framing)),
        ("file", f"{profile.file}, version {profile.version}, {profile.licence or 'no licence named'}"),
    ]
    lines += [f"  {line}" for line in table([(name, value) for name, value in facts if value])]
    if profile.parameters:
        lines += ["", "parameters:"]
        rows = [(one.name, _default(one.default), one.meaning) for one in profile.parameters]
        lines += [f"  {line}" for line in table(rows)]
    lines += ["", "device:", *(f"  {line}" for line in describe_contents(device) or ["no values"])]
    for title, texts in (("notes", profile.notes), ("sources", profile.sources)):
        if texts:
            lines += ["", f"{title}:", *(f"  {text}" for text in texts)]
    if profile.tests:
        samples = samples_as_json(profile)
        seen = [(one["what"], f"{'composed ' if one['composed'] else ''}{one['source']}") for one in samples]
        lines += ["", "samples:", *(f"  {line}" for line in table(seen))]
    return [*lines, "", "in a configuration:", f"  {example_of(profile)}"]


def samples_as_json(profile: Profile) -> list[dict[str, Any]]:
    """What each sample stream of a profile shows, and where it is from; `composed`: no device has said it, somebody
    has put it together from what a document says."""
    return [
        {
            "what": str(test.get("what", "")),
            "composed": test.get("composed") is True,
            "source": str(test.get("source", "")),
        }
        for test in profile.tests
    ]


def samples_counted(profile: Profile) -> str:
    """How many samples there are, and how many of them are composed: "3, 1 composed"."""
    composed = sum(one["composed"] for one in samples_as_json(profile))
    return f"{len(profile.tests)}" + (f", {composed} composed" if composed else "")


def _default(value: Any) -> str:
    return "required" if value is None else f"default {compact(value)}"


def example_of(profile: Profile) -> str:
    """A device section with this profile."""
    section: dict[str, Any] = {"name": "device1", "port": "/dev/ttyUSB0", "profile": profile.name}
    needed = placeholders_of(profile)
    return compact({**section, "parameters": needed} if needed else section)


def profile_as_json(profile: Profile, device: Device) -> dict[str, Any]:
    """A profile for a program, with the device as `check --json` has it."""
    return {
        **summary_of(profile),
        "version": profile.version,
        "licence": profile.licence,
        "sources": list(profile.sources),
        "notes": list(profile.notes),
        "parameters": [
            {"name": one.name, "default": one.default, "meaning": one.meaning} for one in profile.parameters
        ],
        "samples": samples_as_json(profile),
        "device": device_as_json(device),
    }
