"""Names in the environment of a gateway's processes. Apart, for who is started often and needs nothing else."""

from __future__ import annotations

# `typing` takes longer to load than all else that `services.cli.supervise.launch` needs, at each start of each process.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TOP_VARIABLE: Final = "SERIALGW_TOP"
"""The pid of the `serialgw run` that a process belongs to."""
RELEASE_VARIABLE: Final = "SERIALGW_RELEASE"
"""Which serialgw that `serialgw run` was."""
GATEWAY_VARIABLE: Final = "SERIALGW_GATEWAY"
"""The data directory of that `serialgw run`: by this a later one knows what an earlier one has left behind."""
ALIVE_VARIABLE: Final = "SERIALGW_ALIVE_FILE"
"""The file whose age says that the process goes round, where it is another than `common.io.alive` chooses."""
WITHHELD: Final = "withheld"
"""What all but the publisher see in place of a secret: enough for the configuration to be found complete."""
ASKED_BY_VARIABLE: Final = "SERIALGW_ASKED_BY"
"""Who has a command of ours reload the configuration, for the history: set by the monitor for its page."""
