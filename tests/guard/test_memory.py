"""What a port reader loads: there are as many of them as ports. PSS is in `make bench`."""

from __future__ import annotations

import subprocess
import sys

LOADED_KIB = 9_900
"""Memory of its own when all is loaded, on a Python 3.11 whose bytecode is there."""
ROOM = 1.2
SHOW = """
import sys
from common.io.apart import put_off, without
from services.port_reader.__main__ import UNUSED

with without("typing_extensions"), put_off(*UNUSED):
    import services.port_reader.task
    import services.port_reader.serving
own_kib = next(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("Anonymous:"))
print(own_kib, *(name for name in UNUSED if type(sys.modules.get(name)) is type(sys)))
"""


def test_a_port_reader_loads_what_it_needs():
    """No module that it does not use, and not more memory than counted."""
    shown = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, check=True, timeout=60).stdout
    own_kib, *loaded = shown.split()
    assert loaded == []
    assert int(own_kib) <= LOADED_KIB * ROOM
