"""docs/recipes.md: each configuration is right as it stands, and each command prints what the page shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from services.publisher.core.dialects.thingsboard import RPC as RPC_TOPIC
from tests.dropin.certificates import Authority, needs_openssl
from tests.e2e.harness import Mosquitto, free_port, needs_mosquitto
from tests.support.ser2net import PROGRAM as SER2NET
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")
RECIPES = {part.partition("\n")[0]: part.partition("\n")[2] for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}
FILE = re.compile(r"`([\w/]+\.json)`[^`\n]*:\n\n```json\n(.*?)```", re.DOTALL)
SHOWN = re.compile(r"```console\n(.*?)```", re.DOTALL)
WITH_FILES = "ThingsBoard with TLS and certificates"
BROKER = "Any other MQTT broker"
SERVER = "An adapter at another machine (ser2net)"


def write(folder: Path, recipe: str) -> list[Path]:
    """The configurations of a recipe, as the page has them; profiles of its own lie beside them."""
    found = []
    for name, text in FILE.findall(RECIPES[recipe]):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        if path.parent == folder:
            found.append(path)
    return found


def run(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of `serialgw`, as the page has it."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    line = f'"{sys.executable}" -m services.cli {arguments}'
    return subprocess.run(
        line, shell=True, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_works_as_it_stands(tmp_path: Path, recipe: str) -> None:
    """`check` finds nothing to complain of, and `try` prints what the page shows."""
    files = write(tmp_path, recipe)
    assert files, "a recipe has a whole configuration"
    for path in files if recipe != WITH_FILES else files[1:]:
        done = run(tmp_path, f"check {path.name}")
        assert done.stdout.rstrip().endswith(": no problems, no warnings"), done.stdout + done.stderr
    for shown in SHOWN.findall(RECIPES[recipe]):
        commands = [line for line in shown.splitlines() if line.startswith("$ serialgw ")]
        said = []
        for command in commands:
            done = run(tmp_path, command.removeprefix("$ serialgw "))
            said += [command, *(line.rstrip() for line in (done.stdout + done.stderr).rstrip("\n").split("\n"))]
        assert shown.splitlines() == said


def test_the_list_at_the_top_has_all_of_them() -> None:
    assert re.findall(r"^- \[(.*)\]\(#", PAGE, re.MULTILINE) == list(RECIPES)


@needs_mosquitto
@needs_openssl
def test_certificates_are_shown_and_taken(tmp_path: Path) -> None:
    """The recipe with TLS, at a real platform that lets nobody in without a certificate."""
    (path, _) = write(tmp_path, WITH_FILES)
    authority = Authority(tmp_path, "ca")
    for name in ("server", "gateway"):
        authority.sign(name)
    (tmp_path / "gateway.pem").rename(tmp_path / "cert.pem")
    (tmp_path / "gateway.key").rename(tmp_path / "key.pem")
    files = {"cafile": "ca.pem", "certfile": "server.pem", "keyfile": "server.key"}
    extra = "".join(f"{key} {tmp_path / name}\n" for key, name in files.items()) + "require_certificate true"
    broker = Mosquitto(tmp_path / "mqtt", extra)
    try:
        main = json.loads(path.read_text())
        main["thingsboard"] |= {"host": "localhost", "port": broker.port}
        path.write_text(json.dumps(main))
        done = run(tmp_path, f"check {path.name} --connect")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the platform lets the gateway in" in done.stdout
    finally:
        broker.stop()


def test_what_the_page_says_to_the_broker_is_a_call() -> None:
    """By the topics that the gateway has, of a device and a method that the recipe has."""
    listen, say = map(shlex.split, re.findall(r"^mosquitto_\w+ .*$", RECIPES[BROKER], re.MULTILINE))
    assert say[:3] == ["mosquitto_pub", "-t", RPC_TOPIC]
    assert RPC_TOPIC.startswith(listen[listen.index("-t") + 1].rstrip("#"))
    call = json.loads(say[say.index("-m") + 1])
    (device,) = json.loads(dict(FILE.findall(RECIPES[BROKER]))["serial.json"])["devices"]
    assert call["device"] == device["name"]
    assert call["data"]["method"] == device["serverSideRpc"][0]["method"]


@pytest.mark.skipif(SER2NET is None, reason="ser2net is not installed")
def test_ser2net_takes_its_file(tmp_path: Path) -> None:
    """And `doctor` says that somebody listens there."""
    (text,) = re.findall(r"```yaml\n(.*?)```", RECIPES[SERVER], re.DOTALL)
    port = free_port()
    (tmp_path / "ser2net.yaml").write_text(text.replace("tcp,4001", f"tcp,127.0.0.1,{port}"))
    command = [str(SER2NET), "-n", "-d", "-c", str(tmp_path / "ser2net.yaml"), "-P", str(tmp_path / "pid")]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            asked = f"doctor rfc2217://127.0.0.1:{port}"
            wait_until(lambda: "somebody listens there" in run(tmp_path, asked).stdout, "ser2net listens", 30, 0.2)
        finally:
            server.terminate()
