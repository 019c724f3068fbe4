"""What the exit code of a process says to whoever has started it, in the numbers of sysexits.h.

A supervisor of ours starts a process again after every code but EXIT_CONFIG. The codes stand apart from `process`,
because the command line and our part in supervisord want nothing else of it, and must not load ZeroMQ for a number.
"""

from __future__ import annotations

from typing import Final

EXIT_UNAVAILABLE: Final = 69
"""EX_UNAVAILABLE: something else holds what we need; a restart may help."""
EXIT_CRASH: Final = 70
"""EX_SOFTWARE: a bug. The journal keeps the data, and a restart goes on from there."""
EXIT_CONFIG: Final = 78
"""EX_CONFIG: the configuration can't be used, and a restart would not help before it is changed."""
