"""What a port reader is told to do: by the file of `serialgw run`, or by the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.config.models import Connector, Device, Gateway
from common.io.journals import file_name
from services.port_reader.task import Task, device_task, write_task, written_task

PRESS = Device(name="press 1", type="press")
OWN = "--device=press 1"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """The task of `press 1`, written a second after its configuration."""
    config = tmp_path / "serial.json"
    config.write_text("{}")
    devices = (PRESS, Device(name="b", type="b"))
    connector = Connector(name="serial", devices=devices, file=str(config))
    made = device_task(Gateway(connectors=(connector,), file=str(config)), PRESS, tmp_path, "DEBUG")
    (tmp_path / "task").write_bytes(write_task(made))
    _touch(config, -1.0)
    return made


def _touch(path: Path, after_s: float) -> None:
    """Makes a file as old as the task and so much younger."""
    at_ns = (path.parent / "task").stat().st_mtime_ns + int(after_s * 1e9)
    os.utime(path, ns=(at_ns, at_ns))


def test_a_task_comes_back_from_its_file(task: Task, tmp_path: Path) -> None:
    """As `serialgw run` writes it and the reader's `--task=` names it."""
    assert written_task(["--config", "x", f"--task={tmp_path / 'task'}", OWN]) == task
    assert (task.device, task.devices, task.log_level) == (PRESS, ("press 1", "b"), "DEBUG")
    assert task.journal == str(tmp_path / "journals" / file_name("press 1"))


def test_a_younger_configuration_has_the_last_word(task: Task, tmp_path: Path) -> None:
    """Who edits it and restarts a reader gets what it says now; also if it is gone."""
    _touch(tmp_path / "serial.json", 0.0)
    assert written_task([f"--task={tmp_path / 'task'}", OWN]) is None
    (tmp_path / "serial.json").unlink()
    assert written_task([f"--task={tmp_path / 'task'}", OWN]) is None


def test_without_a_task_of_ours_the_configuration_decides(task: Task, tmp_path: Path) -> None:
    """No argument, no file, a damaged file, another device's."""
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b'{"device":7}')
    assert written_task(["--config", "x", OWN]) is None
    assert written_task([f"--task={tmp_path / 'nowhere'}", OWN]) is None
    assert written_task([f"--task={damaged}", OWN]) is None
    assert written_task([f"--task={tmp_path / 'task'}", "--device=b"]) is None
