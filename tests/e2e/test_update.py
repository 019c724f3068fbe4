"""`deploy/update.sh`: another release takes the place of the one that runs, and gives it back where it is not well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from services.cli.text import compact
from services.monitor.core.gateway.devices import DeviceState
from services.monitor.core.gateway.snapshot import DeviceRow
from tests.e2e.harness import ROOT, Line, Mosquitto, Platform, closing, needs_mosquitto, number_device, write_config
from tests.support.waiting import wait_until

pytestmark = needs_mosquitto
GOOD = f'PYTHONPATH={ROOT} exec {sys.executable} -P -m services.cli "$@"\n'
BROKEN = f'[ "$1" != run ] || exit 70\n{GOOD}'
REFUSING = f'[ "$1" != check ] || {{ echo "error: it can not be used" >&2; exit 78; }}\n{GOOD}'


class Host:
    """A machine with releases side by side, a link to the one that runs, and a command that restarts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mosquitto, self.line = Mosquitto(folder / "mosquitto"), Line(folder / "tty")
        self.platform = Platform(self.mosquitto.port)
        self.config = write_config(folder / "config", self.mosquitto.port, [number_device("A", self.line)])
        self.data_dir, self.link, self.pid = folder / "data", folder / "current", folder / "pid"
        self.link.symlink_to(self.release("old", GOOD))
        self.environ = {
            **os.environ,
            "SERIALGW_LINK": str(self.link),
            "SERIALGW_CONFIG": str(self.config),
            "SERIALGW_DATA_DIR": str(self.data_dir),
            "SERIALGW_USER": "",
            "SERIALGW_RESTART": str(self._restart()),
        }
        subprocess.run([self.environ["SERIALGW_RESTART"]], check=True, timeout=60, env=self.environ)
        self.platform.wait_connected("A", deadline_s=60)

    def release(self, name: str, script: str) -> Path:
        """A folder of a release, whose command does this."""
        command = self.folder / name / ".venv" / "bin" / "serialgw"
        command.parent.mkdir(parents=True)
        command.write_text(f"#!/bin/sh\n{script}")
        command.chmod(0o755)
        return self.folder / name

    def _restart(self) -> Path:
        """What `systemctl restart` does: the old one is asked to end, and is waited for."""
        run = f"{self.link}/.venv/bin/serialgw run {self.config} --converters 1 --data-dir {self.data_dir}"
        script = self.folder / "restart"
        script.write_text(
            "#!/bin/sh\n"
            f"if [ -e {self.pid} ]; then kill $(cat {self.pid}) 2>/dev/null;"
            f" while kill -0 $(cat {self.pid}) 2>/dev/null; do sleep 0.1; done; fi\n"
            f"nohup {run} >>{self.folder}/run.log 2>&1 </dev/null &\n"
            f"echo $! >{self.pid}\n"
        )
        script.chmod(0o755)
        return script

    def update(self, new: Path, seconds: int) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / "deploy" / "update.sh"), str(new), str(seconds)]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=150, check=False)

    def stop(self) -> None:
        """Ends what runs, and waits for it."""
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int(self.pid.read_text())
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists(), "the gateway has ended", 60)


@contextmanager
def host_in(folder: Path) -> Iterator[Host]:
    host = Host(folder)
    with closing(host.mosquitto, host.platform, host.line, host):
        yield host


@pytest.mark.timeout(300)
def test_a_release_that_is_not_well_gives_way_and_one_that_is_stays(tmp_path: Path) -> None:
    """Nothing is touched where it can't be used at all. A backup is made first; what a device says between is there."""
    with host_in(tmp_path) as host:
        refused = host.update(host.release("refusing", REFUSING), 5)
        assert refused.returncode == 78
        assert host.link.resolve().name == "old"

        back = host.update(host.release("broken", BROKEN), 3)
        assert back.returncode == 1, back.stdout + back.stderr
        assert "runs again" in back.stderr
        assert host.link.resolve().name == "old"
        assert (host.data_dir / "before-broken.tar.gz").is_file()
        host.line.write(b"1\n")
        host.platform.wait_telemetry("A", 1, 60)

        done = host.update(host.release("new", GOOD), 60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert host.link.resolve().name == "new"
        host.line.write(b"2\n")
        host.platform.wait_telemetry("A", 2, 60)


@pytest.mark.parametrize(("served_then", "code"), [(("A",), 0), (("A", "B"), 0), ((), 1), (("B",), 1)])
def test_a_device_that_was_away_before_hides_none_that_is_lost(
    tmp_path: Path, served_then: tuple[str, ...], code: int
) -> None:
    """Two devices, of which B was away before the update: the whole is not well before and after, and A counts."""

    def release(name: str, *served: str) -> Path:
        rows = [_row(device, is_served=device in served) for device in ("A", "B")]
        document = compact({"processes": [], "devices": rows})
        script = f"[ \"$1\" != status ] || {{ cat <<'END'\n{document}\nEND\nexit {int(len(served) < 2)}; }}\n"
        command = tmp_path / name / ".venv" / "bin" / "serialgw"
        command.parent.mkdir(parents=True)
        command.write_text(f"#!/bin/sh\n{script}")
        command.chmod(0o755)
        return tmp_path / name

    link, new = tmp_path / "link", release("new", *served_then)
    link.symlink_to(release("old", "A"))
    environ = {"SERIALGW_LINK": str(link), "SERIALGW_USER": "", "SERIALGW_RESTART": "true"}
    command = [str(ROOT / "deploy" / "update.sh"), str(new), "1"]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert link.resolve().name == ("new" if code == 0 else "old")


def _row(name: str, *, is_served: bool) -> dict[str, object]:
    """A device as `serialgw status --json` has it; its port's name has a quote."""
    state = DeviceState("receiving" if is_served else "port_closed", 'is_served":true')
    return DeviceRow(name, '/dev/"x', state, 1.0, None, 0, 0, 0).show()


def test_what_is_no_release_is_said_before_anything_is_done(tmp_path: Path) -> None:
    """With what would be right."""
    link = tmp_path / "link"
    (tmp_path / "old" / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "old" / ".venv" / "bin" / "serialgw").symlink_to("/bin/true")

    def said(*words: str) -> str:
        command = [str(ROOT / "deploy" / "update.sh"), *words]
        environ = {**os.environ, "SERIALGW_LINK": str(link)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        return done.stderr

    assert "usage:" in said()
    assert "make venv" in said(str(tmp_path))
    assert "is no link" in said(str(tmp_path / "old"))
    link.symlink_to(tmp_path / "old")
    assert "already" in said(str(tmp_path / "old"))
