"""`python -m docs.generate`: writes docs/configuration.md from the table of keys in `docs/keys.py`, docs/profiles.md
from the profiles that come with serialgw, docs/metrics.md from the table of metrics and the file of alerts, and the man
page from the parsers of the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from common.config.profile_devices import device_of_profile, find_profile
from common.config.profiles import profile_names
from docs.keys import NOTHING, SECTIONS, VARIABLES, Key, Section
from docs.man_page import MAN_PAGE, man_page
from docs.metrics_page import METRICS_PAGE, metrics_page
from services.cli.commands.profiles import placeholders_of, profile_as_text, samples_counted

PAGE: Final = Path(__file__).with_name("configuration.md")
HEAD: Final = """\
# Configuration

<!-- Written by `make docs` from docs/keys.py; change it there. -->

Every key of every file, with what counts where it is not given. `serialgw init` writes files to start from,
[deploy/example](../deploy/example) has some, and `serialgw check FILE` says everything that is wrong in yours, at once,
each with its place, and how it understands the rest. `serialgw reload` takes a change while the gateway runs: only what
is concerned is touched, and nothing is lost.

Files are JSON: texts stand in double quotes, there are no comments, and a line feed in a text is written `\\n`. A key
that nobody knows is a warning with the nearest one. *No* in the column *applied* marks a key that is read, and checked,
and has no effect; why is said behind it. What differs from ThingsBoard's gateway stands in
[compatibility.md](compatibility.md).
"""
PROFILES_PAGE: Final = Path(__file__).with_name("profiles.md")
PROFILES_HEAD: Final = """\
# Profiles

<!-- Written by `make docs` from common/config/profiles; change it there. -->

A *profile* is what is known of a kind of device: how its frames look, what it is asked, what its values are. A device
section that names one needs no more than a name and a port:

```json
{"name": "air1", "port": "/dev/ttyUSB0", "profile": "sds011"}
```

`serialgw identify PORT` finds out which one is connected, `serialgw init PORT --profile NAME` writes the configuration,
`serialgw try --profile NAME FILE` shows what a profile makes of a capture (`serialgw capture PORT -o FILE`).

What the section says besides lies over the profile:

- Objects are merged key by key. `null` takes a key away.
- Lists of data points are merged by `key`, messages by `name`, calls by `method`, attribute updates by
  `attributeOnPlatform`. An entry that the profile has is changed, another one is added, and `"enabled": false` drops
  one. Other lists are taken whole.
- `every` holds for all messages that the profile asks again and again.
- `parameters` are what a profile wants to know: `{"address": 7}` stands wherever it says `${address}`.
- `profile` may be a list; a later one lies over an earlier one.

```json
{"name": "meter2", "port": "/dev/ttyUSB1", "profile": "eastron-sdm120", "parameters": {"address": 2}, "every": 60,
 "telemetry": [{"key": "reactive_power", "enabled": false}, {"key": "energy_import", "decimals": 1}]}
```

A key means the same in all profiles, in the same unit: energy is in kWh, power in W, temperature in °C. The current of
a battery is positive while it is charged.

**Your own.** A file `NAME.json` in the folder `profiles` beside the configuration is a profile as those below are, and
comes before one of ours of that name. It needs a `device`: a section without name and port. By `talks` (`"by itself"`
or `"when asked"`) and `formats` (`["9600 8N1"]`, the usual one first) `identify` finds it. `parameters` has an object
for each name, `{"default": 1, "meaning": "the unit on the bus"}`; one without a default must be given. `title`,
`vendor`, `models`, `sources`, `licence`, `version` and `notes` are for people. `serialgw profiles show NAME` says how
it is understood. Those that come with serialgw also have `tests`: sample streams with their frames and
values, each with its source: a capture, or an example in a manual. `"composed": true` marks one that no device has
said: it was put together after the document that it names, because no capture of that case was to be had.

The frames in the journal keep the section that they were read under: a profile that changes never reads old frames
otherwise.
"""
TAIL: Final = """\
## Environment variables

They win over the files; one that is empty counts as not set.

| variable | stands for | example |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    contents = "\n".join(f"- [{section.title}](#{anchor_of(section.title)})" for section in SECTIONS)
    variables = "\n".join(f"| `{one.name}` | {one.meaning} | `{one.example}` |" for one in VARIABLES)
    sections = "\n".join(section_text(section) for section in SECTIONS)
    return f"{HEAD}\n{contents}\n- [Environment variables](#environment-variables)\n\n{sections}\n{TAIL}{variables}\n"


def section_text(section: Section) -> str:
    """A section: its heading, what it is, a row for each key."""
    text = f"{section.text}\n\n" if section.text else ""
    head = "| key | value | default | example | meaning | applied |\n|---|---|---|---|---|---|\n"
    rows = "\n".join(row_of(key) for key in section.keys)
    return f"## {section.title}\n\n{text}{head}{rows}\n"


def row_of(key: Key) -> str:
    """A key as a row of its table."""
    name = f"`{key.name}`" + (f" (older: `{key.also}`)" if key.also else "")
    default = key.instead or shown(key.default)
    applied = f"**no**: {key.unapplied}" if key.unapplied else "yes"
    cells = (name, key.kind, default, example_of(key), key.meaning, applied)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def example_of(key: Key) -> str:
    """An example as it stands in a file; nothing for objects and lists, which have sections of their own."""
    return "" if key.example in ({}, []) else f"`{json.dumps(key.name)}: {json.dumps(key.example, ensure_ascii=False)}`"


def shown(value: Any) -> str:
    """A default as it would stand in a file."""
    return "none" if value is NOTHING or value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def anchor_of(title: str) -> str:
    """The fragment by which a heading is found in the page."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def profiles_page() -> str:
    """The page of the profiles: a section each, in the words of `serialgw profiles show`."""
    names = tuple(profile_names())
    rows = []
    sections = []
    for name in names:
        profile = find_profile(name)
        device = device_of_profile(profile, parameters=placeholders_of(profile))
        cells = (f"[{name}](#{anchor_of(name)})", profile.title, profile.talks, profile.formats[0])
        rows.append(f"| {' | '.join(cells)} | {samples_counted(profile)} |")
        shown = "\n".join(profile_as_text(profile, device)[1:]).strip("\n")
        sections.append(f"## {name}\n\n{profile.title}.\n\n```text\n{shown}\n```\n")
    head = "| profile | what it is | talks | usual line | samples |\n|---|---|---|---|---|\n"
    return f"{PROFILES_HEAD}\n{head}" + "\n".join(rows) + "\n\n" + "\n".join(sections)


PAGES: Final = (
    (PAGE, page),
    (PROFILES_PAGE, profiles_page),
    (METRICS_PAGE, metrics_page),
    (MAN_PAGE, man_page),
)


def main() -> int:
    """Writes the pages, or with `--check` says whether they are what it would write."""
    if "--check" in sys.argv[1:]:
        return 0 if all(path.read_text("utf-8") == make() for path, make in PAGES) else 1
    for path, make in PAGES:
        path.write_text(make(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
