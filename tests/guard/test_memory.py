"""What a port reader loads, and what it takes: there are as many as ports. PSS under load is in `make bench`."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.harness import ROOT, Gateway, Line, closing, write_config
from tests.support.waiting import wait_until

MORE_KIB: Final = 1024
"""What all that is asked, framed and converted by its section may cost a reader that a plain one does not have."""
PLAIN: Final[dict[str, Any]] = {"name": "plain", "telemetry": [{"key": "n", "type": "int"}]}
WITH_NEW_KEYS: Final[dict[str, dict[str, Any]]] = {
    "framed": {
        "framing": {"start": "hex:AA 55", "length": {"at": 2, "plus": 5}},
        "checksum": {"type": "crc16-modbus"},
        "messages": [
            {"name": f"m{kind}", "when": {"at": 3, "is": f"hex:0{kind}"}, "telemetry": [{"key": f"v{kind}", "at": 4}]}
            for kind in range(4)
        ],
    },
    "asked": {
        "framing": {"end": "\r\n"},
        "messages": [
            {"name": "v", "ask": "V?\r\n", "every": 0.2, "pattern": "V {v}", "telemetry": [{"key": "v", "name": "v"}]},
            {"name": "said", "when": "^R", "reply": "<ACK>", "telemetry": [{"key": "r"}]},
        ],
        "dropRepeats": True,
    },
    "modbus": {
        "framing": "modbus-rtu",
        "address": 1,
        "every": 0.2,
        "telemetry": [{"key": f"r{at}", "register": f"input:{10 * at}"} for at in range(10)],
    },
}
LOADED_KIB: Final = {(3, 11): 10_200, (3, 12): 11_200, (3, 13): 11_600}
"""Memory of its own when all is loaded, by version of Python."""
ROOM: Final = 1.2
SHOW: Final = """
import sys
from services.port_reader.__main__ import UNUSED, _light

with _light():
    import common.config.task
    import services.port_reader.shell.serving
own_kib = next(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("Anonymous:"))
assert type(sys.modules["traceback"]) is type(sys), "needed where something fails"
print(own_kib, *(name for name in UNUSED if type(sys.modules.get(name)) is type(sys)))
"""


def test_a_port_reader_loads_what_it_needs():
    """No module that it does not use, and not more memory than counted."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", SHOW]
    # The first one may have to compile, which takes memory of its own.
    shown = [subprocess.run(command, env=environ, stdout=-1, check=True, timeout=60).stdout for _ in range(2)][1]
    own_kib, *loaded = shown.split()
    assert loaded == []
    if sys.version_info[:2] in LOADED_KIB:
        assert int(own_kib) <= LOADED_KIB[sys.version_info[:2]] * ROOM


def _own_kib(pid: int) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss_Anon:"))


@pytest.mark.parametrize("kind", WITH_NEW_KEYS)
def test_what_a_section_asks_for_takes_a_reader_little(tmp_path: Path, kind: str) -> None:
    """Two readers that have opened their ports, heard something, and asked where they ask: one with these keys, one
    without."""
    plain, other = Line(tmp_path / "plain"), Line(tmp_path / "other")
    devices = [{**PLAIN, "port": str(plain.path)}, {**WITH_NEW_KEYS[kind], "name": kind, "port": str(other.path)}]
    gateway = Gateway(tmp_path, write_config(tmp_path / "config", 1, devices))
    with closing(plain, other, gateway):
        for package in ("common", "services"):
            # As an installed gateway is: to compile takes memory of its own.
            compileall.compile_dir(ROOT / package, quiet=1)
        for name in ("plain", kind):
            gateway.start(name, "port_reader", "--device", name)
            wait_until(lambda name=name: "port.opened" in gateway.log(name), f"{name} opens its port", 20.0)
        if kind != "framed":
            other.read_until(b"\r\n" if kind == "asked" else b"", 10.0)
        plain.write(b"12\n" * 50)
        other.write(b"R 12\r\n" * 50)
        sizes = {}
        for name in ("plain", kind):
            process = gateway.processes[name]
            sizes[name] = min(_own_kib(process.pid) for _ in range(3))
        sys.stdout.write(f"{sizes}\n")
        assert sizes[kind] <= sizes["plain"] + MORE_KIB
