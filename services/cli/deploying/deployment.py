"""What a deployment is made of: a configuration's processes, and what each needs of the machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from common.config.models import Gateway, Platform
from common.config.platform_reading import TOKEN_PLACE

REMOTE: Final = ("socket", "rfc2217", "tcp-listen")
"""Schemes of ports that need a network, and nothing else of the machine."""
SECRET_OF: Final = {
    "accessToken": "TB_GW_ACCESS_TOKEN",
    "tlsAccessToken": "TB_GW_ACCESS_TOKEN",
    "usernamePassword": "TB_GW_PASSWORD",
}
"""How the gateway proves who it is → the variable of what is secret in that."""
USB: Final = ("ttyUSB", "ttyACM")
"""What an adapter's port may be called, whichever of its names a configuration has."""
BOARD: Final = ("ttyS", "ttyAMA", "rfcomm")
"""Ports that are there without any adapter."""


class Line(NamedTuple):
    """One port reader."""

    name: str
    """The device that it is called by."""
    port: str
    """As the configuration names it."""
    kernel_name: str = ""
    """What the kernel calls it now, such as ttyUSB0; "" where it is not there, or no file."""

    @property
    def scheme(self) -> str:
        return urlsplit(self.port).scheme if "://" in self.port else ""

    @property
    def is_remote(self) -> bool:
        """True if a network leads to it."""
        return self.scheme in REMOTE

    @property
    def listens_at(self) -> int | None:
        """The TCP port at which its device connects to us; None where it does not."""
        return urlsplit(self.port).port if self.scheme == "tcp-listen" else None


class Deployment(NamedTuple):
    """Everything that the files are made of. Paths are absolute."""

    config: Path
    """The main file, or that of one connector."""
    lines: tuple[Line, ...]
    hosted: tuple[str, ...] = ()
    """The names of hosted connectors."""
    secret: str = ""
    """The variable of the secret that the configuration does not hold itself; "" where it needs none."""
    group: str = "dialout"
    group_id: int = 20
    """Who may open the ports on this machine."""
    data_dir: Path = Path("/var/lib/serialgw")
    journals: Path | None = None
    """Where the configuration wants journals to be, if it says so; else they are in the data directory."""
    command: Path = Path("/opt/serialgw/.venv/bin/serialgw")
    python: Path = Path("/opt/serialgw/.venv/bin/python")
    user: str = "serialgw"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of ports that are needed, as the kernel calls them; those of adapters always, for one may be
        plugged in that nobody knows of yet."""
        found = [kind_of(line.kernel_name) for line in self.lines if line.kernel_name]
        return tuple(dict.fromkeys([*USB, *filter(None, found)]))


def kind_of(kernel_name: str) -> str:
    """`ttyUSB` of `ttyUSB0`; "" for what is no port, such as a pseudo-terminal's number."""
    return kernel_name.rstrip("0123456789")


def lines_of(gateway: Gateway, kernel_names: Iterable[str]) -> tuple[Line, ...]:
    """A line for each port reader; `kernel_names` in the order of `gateway.lines`."""
    firsts = [devices[0] for devices in gateway.lines]
    return tuple(Line(one.name, one.line.port, name) for one, name in zip(firsts, kernel_names, strict=True))


def secret_of(platform: Platform) -> str:
    """The variable that has to bring what the files do not say, of a platform that was read with its secrets; ""."""
    variable = SECRET_OF.get(platform.security.type, "")
    held = platform.security.password if variable == "TB_GW_PASSWORD" else platform.security.access_token
    return "" if held and held != TOKEN_PLACE else variable
