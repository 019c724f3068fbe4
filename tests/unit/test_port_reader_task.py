"""What a port reader is told to do: by the file of `serialgw run`, or by the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config.models import Connector, Device, Gateway
from common.config.task import Task, device_task, write_task, written_task
from common.io.journal.places import file_name

PRESS = Device(name="press 1", type="press")
OWN = "--device=press 1"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """The task of `press 1`, written."""
    config = tmp_path / "serial.json"
    config.write_text("{}")
    devices = (PRESS, Device(name="b", type="b"))
    connector = Connector(name="serial", devices=devices, file=str(config))
    made = device_task(Gateway(connectors=(connector,), file=str(config)), PRESS, tmp_path, "DEBUG")
    (tmp_path / "task").write_bytes(write_task(made))
    return made


def test_a_task_comes_back_from_its_file(task: Task, tmp_path: Path) -> None:
    """As `serialgw run` writes it and the reader's `--task=` names it."""
    assert written_task(["--config", "x", f"--task={tmp_path / 'task'}", OWN]) == task
    assert (task.device, task.devices, task.log_level) == (PRESS, ("press 1", "b"), "DEBUG")
    assert task.journal == str(tmp_path / "journals" / file_name("press 1"))


def test_what_was_checked_counts_not_what_is_being_edited(task: Task, tmp_path: Path) -> None:
    """A reader that is restarted while somebody saves the file, or has saved half of it, or removed it, comes back."""
    for content in ("{}", '{"na', ""):
        (tmp_path / "serial.json").write_text(content)
        assert written_task([f"--task={tmp_path / 'task'}", OWN]) == task
    (tmp_path / "serial.json").unlink()
    assert written_task([f"--task={tmp_path / 'task'}", OWN]) == task


def test_a_task_that_others_may_have_written_is_not_believed(task: Task, tmp_path: Path) -> None:
    """It says where to journal, and with root's rights."""
    tmp_path.chmod(0o777)
    assert written_task([f"--task={tmp_path / 'task'}", OWN]) is None


def test_without_a_task_of_ours_the_configuration_decides(task: Task, tmp_path: Path) -> None:
    """No argument, no file, a damaged file, another device's."""
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b'{"device":7}')
    assert written_task(["--config", "x", OWN]) is None
    assert written_task([f"--task={tmp_path / 'nowhere'}", OWN]) is None
    assert written_task([f"--task={damaged}", OWN]) is None
    assert written_task([f"--task={tmp_path / 'task'}", "--device=b"]) is None
