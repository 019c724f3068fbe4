"""The image's file system: what deploy/Dockerfile installs is enough, read-only, for every service's command.

No Docker is needed. A file system is put together of this machine's /usr as the base image, and of /opt/serialgw as the
Dockerfile's own first stage makes it; each service runs in it by `chroot`, with what Compose would mount. `make
image-test` builds the real image, and has these tests look into that (IMAGE_ROOT).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.harness import ROOT, Line, Mosquitto, Platform, closing, needs_mosquitto, write_config
from tests.e2e.test_deploy import health_check, needs_compose, own_services
from tests.support.waiting import wait_until

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
PATHS = "/opt/serialgw/bin:/usr/local/bin:/usr/bin:/bin"
USER = 1000
AS_USER = f"setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs --bounding-set -all"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root (sudo)")
pytestmark = [needs_root, needs_compose]


class Image(NamedTuple):
    """A file system, and whether /usr and /etc of this machine are its own."""

    root: Path
    is_bare: bool

    def command(self, words: list[str], *mounts: tuple[Path, str], environ: dict[str, str] | None = None) -> list[str]:
        """What runs this in it, as the gateway's user: everything is read-only but for what is mounted."""
        root = self.root
        binds = [(Path(f"/{name}"), name) for name in ("usr", "etc")] if self.is_bare else []
        lines = ["set -e", "mount --make-rprivate /", f"mount --bind {root} {root}"]
        lines += [f"mount --bind {place} {root}/{name}" for place, name in [*binds, *mounts]]
        lines += [f"mount --rbind /{name} {root}/{name}" for name in ("dev", "proc")]
        lines += [f"mount -t tmpfs tmpfs {root}/tmp", f"mount -o remount,bind,ro {root}"]
        own = {"PATH": PATHS, "SERIALGW_DATA_DIR": "/data", **(environ or {})}
        pairs = [f"{name}={value}" for name, value in own.items()]
        script = "\n".join([*lines, f'exec chroot {root} {AS_USER} env -i "$@"'])
        return ["unshare", "--mount", "sh", "-c", script, "sh", *pairs, *words]

    def run(self, *words: str, config: Path | None = None) -> str:
        """What a command says; fails where it does not end with 0."""
        mounts = [(config, "config")] if config is not None else []
        done = subprocess.run(
            self.command(list(words), *mounts), capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The file system that IMAGE_ROOT names, or one that is put together."""
    if named := os.environ.get("IMAGE_ROOT"):
        yield Image(Path(named), is_bare=False)
        return
    folder = tmp_path_factory.mktemp("image")
    root = folder / "root"
    for name in ("usr", "etc", "dev", "proc", "tmp", "data", "config", "run/secrets", "opt/serialgw"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path(f"/{name}").is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    install(folder, root / "opt" / "serialgw")
    yield Image(root, is_bare=True)
    shutil.rmtree(root)


def install(folder: Path, place: Path) -> None:
    """Does what the Dockerfile's first stage does, with its own words; `place` becomes its /opt/serialgw."""
    stage = DOCKERFILE.partition("AS build")[2].partition("\nFROM ")[0]
    source = folder / "source"
    source.mkdir()
    for row in re.findall(r"^COPY (.*)$", stage, re.MULTILINE):
        *names, target = row.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
    [command] = re.findall(r"^RUN (.*)", stage, re.MULTILINE | re.DOTALL)
    command = re.sub(r"^ *#.*\n", "", command, flags=re.MULTILINE)
    command = command.replace("/tools", f"{folder}/tools").replace("/wheels", f"{folder}/wheels")
    script = f"set -e\nmount -t tmpfs tmpfs /opt\nmkdir /opt/serialgw\nmount --bind {place} /opt/serialgw\n{command}"
    # A wheel that was fetched for an earlier run does for this one too.
    script = script.replace(" --no-cache-dir", "")
    environ = {**os.environ, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=source,
        env=environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_is_there(image: Image) -> None:
    """On the PATH, without the source, and compiled: nothing would be written at a start, for nothing can be."""
    assert image.run("serialgw", "--version").startswith("serialgw ")
    assert image.run("python", "-c", "import services; print(services.__file__)").startswith("/opt/serialgw/lib/")
    said = image.run(
        "sh", "-c", "find /opt/serialgw/lib -name '*.pyc' | wc -l; find /opt/serialgw -name 'pip*' | wc -l"
    )
    compiled, of_pip = map(int, said.split())
    assert compiled > 500
    assert of_pip == 0


def test_a_configuration_can_be_checked_in_it(image: Image) -> None:
    """With the folder mounted as Compose mounts it."""
    said = image.run("serialgw", "check", "/config/tb_gateway.json", config=ROOT / "deploy" / "example")
    assert "no problems" in said


Command = tuple[list[str], dict[str, str]]
"""The words of one, and its environment."""


def compose_commands(config: Path) -> dict[str, Command]:
    """One container a process: each service's command."""
    return {name: (one["command"], one["environment"]) for name, one in own_services(config).items()}


def own_command(config: Path) -> dict[str, Command]:
    """All in one container: the image's own command and environment."""
    assert config.is_dir()
    [words] = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    [pairs] = re.findall(r"^ENV PATH=\S+ (.*)$", DOCKERFILE, re.MULTILINE)
    environ = dict(pair.split("=") for pair in pairs.split())
    return {"run": (json.loads(words), {**environ, "TB_GW_ACCESS_TOKEN_FILE": "/run/secrets/access_token"})}


@needs_mosquitto
@pytest.mark.parametrize("commands", [compose_commands, own_command])
def test_the_commands_run_in_it(image: Image, commands: Callable[[Path], dict[str, Command]], tmp_path: Path) -> None:
    """Together, read-only, without any capability, as the image's user: a frame arrives, each is healthy by its own
    health check, and drains."""
    line = Line(tmp_path / "ttyUSB0")
    terminal = os.readlink(line.path)
    os.chmod(terminal, 0o666)
    mosquitto = Mosquitto(tmp_path / "mosquitto")
    platform = Platform(mosquitto.port)
    [device] = json.loads((ROOT / "deploy" / "example" / "custom_serial.json").read_text())["devices"]
    config, data, secrets = tmp_path / "config", tmp_path / "data", tmp_path / "secrets"
    write_config(config, mosquitto.port, [{**device, "port": terminal}], {"security": {"type": "accessToken"}})
    for place in (data, secrets):
        place.mkdir(mode=0o700)
    (secrets / "access_token").write_text("token-of-the-image-test")
    for place in (data, secrets, secrets / "access_token", config, *config.iterdir()):
        os.chown(place, USER, USER)
    mounts = [(config, "config"), (data, "data"), (secrets, "run/secrets")]
    processes = {
        name: subprocess.Popen(image.command(words, *mounts, environ={**environ, "SERIALGW_WEB": "off"}))
        for name, (words, environ) in commands(config).items()
    }
    try:
        with closing(mosquitto, platform, line):
            platform.wait_connected("SerialDevice1", deadline_s=60)
            line.write(b"48\r2430947595\n")
            [item] = platform.wait_telemetry("SerialDevice1", 1)
            assert item["values"] == {"humidity": 48}
            for name, process in processes.items():
                wait_until(partial(is_healthy_inside, image, process.pid), f"{name} is healthy")
            for process in processes.values():
                process.send_signal(signal.SIGTERM)
            codes = {name: process.wait(60) for name, process in processes.items()}
            assert codes == dict.fromkeys(processes, 0)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def is_healthy_inside(image: Image, pid: int) -> bool:
    """What the health check says that is run where that process is."""
    inside = ["nsenter", "--target", str(pid), "--mount", "chroot", str(image.root)]
    check = [*inside, "/bin/sh", "-c", health_check(Path("/tmp/alive"))]
    return subprocess.run(check, capture_output=True, timeout=30, check=False).returncode == 0
