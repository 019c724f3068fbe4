"""A file written for the other gateway in a host, the process in which users' converters run."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgpack
import pytest

from common.config.models import Device, section_of
from common.core.hashes import short_hash
from services.converter.core.events import ConvertWithUserCode
from services.converter.core.host_wire import LOADING, READY, pack_order, pack_section, read_answer

DIRS = Path(__file__).parent / "cases" / "converters" / "extensions"
WAIT_S: Final = 60.0
OWN_KIB: Final = 18_000
"""Memory of its own that a host with all that is offered may have: 14,500 were seen with Python 3.11."""


class Host:
    """A host's process, and a converter's end of the way to it."""

    def __init__(self, extensions: Path = DIRS) -> None:
        self.connection, theirs = socket.socketpair()
        self.connection.settimeout(WAIT_S)
        command = [
            sys.executable,
            "-P",
            "-m",
            "services.converter.shell.host_process",
            "--socket",
            str(theirs.fileno()),
        ]
        command += [
            "--host",
            "1",
            "--parent",
            str(os.getpid()),
            "--watchdog-s",
            "30",
            "--extension-dir",
            str(extensions),
        ]
        with theirs:
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
            )
        self._answers = msgpack.Unpacker()

    def convert(self, device: Device, frame: bytes) -> Any:
        """What the device's class makes of a frame."""
        section = section_of(device)
        order = ConvertWithUserCode(1, device, short_hash(section, 16), "journal", 1, 1, [frame], None)
        self.connection.sendall(pack_section(order.section, section) + pack_order(order))
        while True:
            data = self.connection.recv(65_536)
            if not data:
                raise EOFError
            self._answers.feed(data)
            for value in self._answers:
                if value not in (LOADING, READY):
                    return read_answer(value, order.host)

    def own_kib(self) -> int:
        found = re.search(r"Anonymous:\s+(\d+)", Path(f"/proc/{self.process.pid}/smaps_rollup").read_text())
        assert found
        return int(found[1])

    def end(self) -> str:
        """Ends it; what it has said."""
        self.connection.close()
        return self.process.communicate(timeout=WAIT_S)[1].decode()


def test_a_host_runs_such_files_and_says_what_they_log():
    """By a logger of their own, too; and it does not grow much by what it offers."""
    raw = {"name": "press1", "telemetry": [{"key": "a"}]}
    host = Host()
    try:
        guide = host.convert(Device(name="press1", converter="GuideUplinkConverter", raw=raw), b"1.5")
        whole = host.convert(
            Device(name="tank", converter="UtilitiesConverter", raw=raw), json.dumps({"id": "t", "tank": {}}).encode()
        )
        own_kib = host.own_kib()
    finally:
        said = host.end()
    assert guide.frames[0].readings[0].telemetry == [(None, b'{"a":1.5}')]
    assert whole.frames[0].readings[0].device == "t", said
    assert own_kib <= OWN_KIB
    assert "utilities says t" in said
    assert "anybody says t" in said


FORKING: Final = """
import multiprocessing
import os
import time


class Forking:
    def __init__(self, config, logger):
        self._child = multiprocessing.Process(target=time.sleep, args=(600,), daemon=True)
        self._child.start()

    def convert(self, config, data):
        if data == b"die":
            os._exit(1)
        return {"telemetry": [{"child": self._child.pid}]}
"""


def test_the_death_of_a_host_is_seen_at_once_whatever_it_has_forked(tmp_path: Path):
    """A child has no end of the way to the converter, which waits for the host's."""
    (tmp_path / "serial").mkdir()
    (tmp_path / "serial" / "forking.py").write_text(FORKING)
    host = Host(tmp_path)
    device = Device(name="press1", converter="Forking")
    child = json.loads(host.convert(device, b"1").frames[0].readings[0].telemetry[0][1])["child"]
    try:
        with pytest.raises(EOFError):
            host.convert(device, b"die")
        assert Path(f"/proc/{child}").exists()
    finally:
        os.kill(child, signal.SIGKILL)
        host.end()


SAME_NAMES: Final = {
    "common.py": "def scale(value):\n    return 2 * value\n",
    "services/__init__.py": "",
    "services/deep.py": "from common import scale\n\n\ndef twice(value):\n    return scale(scale(value))\n",
    "named.py": """
import common
import common as also
import services.deep
from common import *
from common.converters import ConvertedData, Converter
from services import deep


class Named(Converter):
    def convert(self, config, data):
        import common as late

        value = int(data)
        found = ConvertedData("press1")
        found.add_to_telemetry({
            "plain": common.scale(value), "also": also is common is late, "star": scale(value),
            "deep": services.deep.twice(value), "from": deep.twice(value),
        })
        return found
""",
}


def test_files_of_users_may_be_called_as_our_packages(tmp_path: Path):
    """Beside a `common.py` or a folder `services` these names are the user's own, and what is only in ours is ours."""
    for name, source in SAME_NAMES.items():
        path = tmp_path / "serial" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    host = Host(tmp_path)
    try:
        made = host.convert(Device(name="press1", converter="Named"), b"3").frames[0]
    finally:
        host.end()
    assert made.error == ""
    assert made.readings[0].telemetry == [(None, b'{"plain":6,"also":true,"star":6,"deep":12,"from":12}')]
