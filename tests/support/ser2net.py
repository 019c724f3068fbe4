"""ser2net, a server that gives serial ports of its machine to others, in front of a pseudo-terminal."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tty
from pathlib import Path

from tests.support.waiting import wait_until

PROGRAM = shutil.which("ser2net", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
"""None where it is not installed. Debian puts it where only root looks."""


class Ser2net:
    """A running server: a port that speaks RFC 2217 and one that is raw, both in front of the same terminal."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.link = folder / "tty"
        self.plug()
        self.rfc2217_port, self.raw_port = _free_ports()
        connector = f"  connector: serialdev(nouucplock),{self.link},9600n81,local\n"
        (folder / "ser2net.yaml").write_text(
            "%YAML 1.1\n---\n"
            f"connection: &rfc2217\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{self.rfc2217_port}\n{connector}"
            f"connection: &raw\n  accepter: tcp,127.0.0.1,{self.raw_port}\n{connector}"
        )
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [PROGRAM or "ser2net", "-n", "-d", "-c", str(folder / "ser2net.yaml"), "-P", str(folder / "pid")],
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(self._listens, "ser2net listens")

    def plug(self) -> None:
        """Plugs the adapter in: a new terminal under the old name."""
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self.slave))

    def pull(self) -> None:
        """Pulls it out."""
        self.link.unlink()
        os.close(self.slave)
        os.close(self.master)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
        if self.link.exists():
            self.pull()

    def _listens(self) -> bool:
        assert self._process.poll() is None, "ser2net has ended"
        with open("/proc/net/tcp") as file:
            listening = {line.split()[1].split(":")[1] for line in list(file)[1:] if line.split()[3] == "0A"}
        return {f"{self.rfc2217_port:04X}", f"{self.raw_port:04X}"} <= listening


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]
