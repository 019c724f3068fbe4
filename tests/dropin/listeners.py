"""A real mosquitto with several listeners, each with rules of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.publisher_process import MOSQUITTO, wait_listening


def pair(folder: Path, name: str) -> str:
    """The lines by which a listener has this certificate."""
    return f"certfile {folder}/{name}.pem\nkeyfile {folder}/{name}.key"


def start_listeners(folder: Path, listeners: Mapping[int, str]) -> subprocess.Popen[bytes]:
    """mosquitto, listening on each of these ports by its rules."""
    assert MOSQUITTO is not None
    lines = ["per_listener_settings true", "user root"]
    for port, rules in listeners.items():
        lines += [f"listener {port} 127.0.0.1", rules]
    config = folder / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n")
    with (folder / "mosquitto.log").open("ab") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=log, stderr=subprocess.STDOUT)
    for port in listeners:
        wait_listening(port)
    return process
