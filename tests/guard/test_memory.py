"""What a port reader loads: there are as many of them as ports. PSS is in `make bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

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
