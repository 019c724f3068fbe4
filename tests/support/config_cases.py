"""The configuration cases under tests/cases/config, copied to a folder of their own, links made.

A case's `arguments.json`, where it has one, names the `file` to read, the `links` to make (name: target) and the
environment (`environ`). `{TMP}` in a file stands for the folder.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

CASES = Path(__file__).parents[1] / "cases" / "config"


def names(kind: str) -> list[str]:
    """The names of the cases in `bad` or `good`."""
    return sorted(path.name for path in (CASES / kind).iterdir() if path.is_dir())


def expected(kind: str, name: str, folder: Path) -> list[str]:
    """The case's messages, word for word."""
    return (CASES / kind / name / "expected.txt").read_text().replace("{TMP}", str(folder)).splitlines()


def prepare(kind: str, name: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """Copy a case into `folder`; returns the file to read and the environment."""
    folder = folder.resolve()
    shutil.copytree(CASES / kind / name, folder, dirs_exist_ok=True)
    settings = json.loads((folder / "arguments.json").read_text()) if (folder / "arguments.json").exists() else {}
    for link, target in settings.get("links", {}).items():
        (folder / link).symlink_to(folder / target)
    for path in folder.glob("*.json"):
        path.write_bytes(path.read_bytes().replace(b"{TMP}", str(folder).encode()))
    main = "tb_gateway.json" if (folder / "tb_gateway.json").exists() else "custom_serial.json"
    return folder / settings.get("file", main), settings.get("environ", {})
