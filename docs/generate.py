"""`python -m docs.generate`: writes docs/configuration.md from the table of keys in `docs/keys.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from docs.keys import NOTHING, SECTIONS, VARIABLES, Key, Section

PAGE: Final = Path(__file__).with_name("configuration.md")
HEAD: Final = """\
# Configuration

<!-- Written by `make docs` from docs/keys.py; change it there. -->

Every key of every file, with what counts where it is not given. `serialgw init` writes files to start from,
[deploy/example](../deploy/example) has some, and `serialgw check FILE` says everything that is wrong in yours, at once,
each with its place, and how it understands the rest. A change takes effect with the next start of the gateway.

Files are JSON: texts stand in double quotes, there are no comments, and a line feed in a text is written `\\n`. A key
that nobody knows is a warning with the nearest one. *No* in the column *applied* marks a key that is read, and checked,
and has no effect; why is said behind it. What differs from ThingsBoard's gateway stands in
[compatibility.md](compatibility.md).
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


def main() -> int:
    """Writes the page, or with `--check` says whether it is what it would write."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text("utf-8") == page() else 1
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
