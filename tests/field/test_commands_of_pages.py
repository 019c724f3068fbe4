"""Every command that the pages name is one that there is, and those of the way to the cause run on a gateway."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.cli.command_line import COMMANDS, build_parser
from tests.e2e.harness import Line, Mosquitto, Platform, needs_mosquitto

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("profiles.md", "metrics.md")
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in GENERATED)]
WRITTEN = re.compile(
    r"`(?:\$ )?(?:sudo )?(serialgw [a-z][^`\n]*)`|^ {4}(?:sudo )?(serialgw [a-z][^\n#]*)"
    r"|^(?:\$ )?(serialgw [a-z][^\n#]*)$",
    re.MULTILINE,
)
NO_VALUES = ("demo:", "run --log-level")
"""What a program prints, and an option that is named without its value."""
LATER = {"…": "1", "N": "1"}
"""What stands for something else in the pages → something that is right there."""
ON_A_GATEWAY = {
    "status": "status",
    "status --data-dir DIR": "status --data-dir data",
    "status --json": "status --json",
    "reload": "reload",
    "reload --dry-run": "reload --dry-run",
    "check tb_gateway.json": "check tb_gateway.json",
    "check FILE --json": "check tb_gateway.json --json",
    "watch DEVICE --raw": "watch thermo --raw",
    "watch DEVICE": "watch thermo",
    "capture DEVICE -o FILE": "capture thermo -o said.txt",
    "try FILE DEVICE --text '…'": r"try tb_gateway.json thermo --text 'T:21\r\n'",
    "try FILE DEVICE --file FILE": "try tb_gateway.json thermo --file said.txt",
    "try FILE DEVICE": "try tb_gateway.json thermo --hex '54 3A 32 31 0A'",
    "try FILE DEVICE --rpc METHOD --params … --answer '…'": "try tb_gateway.json thermo --rpc ping --params 1",
    "rpc DEVICE METHOD PARAMS": "rpc thermo ping 1",
    "logs DEVICE": "logs thermo",
    "logs": "logs",
    "dead-letters DEVICE": "dead-letters thermo",
    "dead-letters": "dead-letters",
    "config history": "config history",
    "config diff N": "config diff 1",
    "doctor": "doctor",
    "doctor DEVICE": "doctor thermo",
    "doctor PORT": "doctor ttyUSB0",
    "ports": "ports",
}
"""A command of docs/troubleshooting.md → the same with the names that there are in the test."""
ELSEWHERE = {"run", "check", "try", "rpc", "config back N", "doctor /dev/ttyUSB0"}
"""A name alone, or what the tests of getting-started.md, of `doctor` and of the history run."""
COMMANDS_THAT_GO_ON = ("watch thermo --raw", "watch thermo", "capture thermo -o said.txt")
"""Begun first, and ended by Ctrl-C when all others are over."""
AFTER_THEM = ("try tb_gateway.json thermo --file said.txt",)


def commands_of(page: Path) -> list[str]:
    """The commands of a page, without `serialgw`."""
    found = [next(filter(None, groups)) for groups in WRITTEN.findall(page.read_text("utf-8"))]
    return list(dict.fromkeys(one.removeprefix("serialgw ").strip() for one in found))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_each_command_is_one_that_there_is(page: Path) -> None:
    """With these options; a command's name alone, or with `…`, stands for the command."""
    for command in commands_of(page):
        try:
            words = [LATER.get(word, word) for word in shlex.split(re.split(r" [|>&] | && |;|\)|,", command)[0])]
        except ValueError:
            continue
        name = words[0]
        if command.startswith(NO_VALUES):
            continue
        if "|" in name:
            assert set(name.split("|")) <= COMMANDS.keys() | {name}, command
            continue
        assert name in COMMANDS, f"{page.name}: {command}"
        if len(words) == 1 or re.search(r"[|\[\]]", command):
            continue
        try:
            build_parser(name).parse_args(words)
        except SystemExit as end:
            refused = end.code != 0
        else:
            refused = False
        assert not refused, f"{page.name}: serialgw {command}"


@needs_mosquitto
@pytest.mark.timeout(240)
def test_the_commands_of_troubleshooting_run_on_a_gateway(tmp_path: Path) -> None:
    """All that the page has, but for the names of device, file and call."""
    assert set(commands_of(ROOT / "docs" / "troubleshooting.md")) == ON_A_GATEWAY.keys() | ELSEWHERE
    line, broker = Line(tmp_path / "ttyUSB0"), Mosquitto(tmp_path / "mqtt")
    platform, over = Platform(broker.port), threading.Event()
    rpc = {"method": "ping", "template": "PING ${params}\n"}
    point = {"key": "t", "type": "float", "fromByte": 2}
    device = {"name": "thermo", "port": str(line.path), "telemetry": [point], "serverSideRpc": [rpc]}
    main = {
        "thingsboard": {"host": "127.0.0.1", "port": broker.port, "security": {"accessToken": "A1"}},
        "connectors": [{"name": "S", "type": "serial", "configuration": "serial.json"}],
    }
    (tmp_path / "serial.json").write_text(json.dumps({"name": "S", "devices": [device]}))
    (tmp_path / "tb_gateway.json").write_text(json.dumps(main))
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SERIALGW_DATA_DIR": str(tmp_path / "data")}

    def begin(words: list[str], output: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "services.cli", *words]
        return subprocess.Popen(command, cwd=tmp_path, env=environ, text=True, stdout=output, stderr=subprocess.STDOUT)

    def talk() -> None:
        while not over.wait(0.2):
            line.write(b"T:21\r\n")

    talker = threading.Thread(target=talk, daemon=True)
    talker.start()
    gateway = begin(["run"], subprocess.DEVNULL)
    try:
        platform.wait_telemetry("thermo", 3, deadline_s=60)
        going = {command: begin(shlex.split(command), subprocess.PIPE) for command in COMMANDS_THAT_GO_ON}
        for command in ON_A_GATEWAY.values():
            if command not in COMMANDS_THAT_GO_ON + AFTER_THEM:
                finish(command, begin(shlex.split(command), subprocess.PIPE))
        for command, process in going.items():
            process.send_signal(signal.SIGINT)
            finish(command, process)
        for command in AFTER_THEM:
            finish(command, begin(shlex.split(command), subprocess.PIPE))
    finally:
        over.set()
        talker.join(10)
        gateway.terminate()
        gateway.wait(30)
        for thing in (platform, line):
            thing.close()
        broker.stop()


def finish(command: str, process: subprocess.Popen[str]) -> None:
    """It ends, and well; `doctor` tells of the machine, too."""
    said = process.communicate(timeout=60)[0]
    well = (0, 1) if command.startswith("doctor") else (0,)
    assert process.returncode in well, f"serialgw {command}: {process.returncode}\n{said}"
