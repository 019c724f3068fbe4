"""What a port reader is told to do: by the file of `serialgw run`, or by the configuration."""

from __future__ import annotations

from pathlib import Path

from common.config.models import Connector, Device, Gateway
from common.io.journals import file_name
from services.port_reader.task import device_task, write_task, written_task

PRESS = Device(name="press 1", type="press")
GATEWAY = Gateway(connectors=(Connector(name="serial", devices=(PRESS, Device(name="b", type="b"))),))


def test_a_task_comes_back_from_its_file(tmp_path: Path) -> None:
    """As `serialgw run` writes it and the reader's `--task=` names it."""
    task = device_task(GATEWAY, PRESS, tmp_path, "DEBUG")
    file = tmp_path / "task"
    file.write_bytes(write_task(task))
    assert written_task(["--config", "x", f"--task={file}"]) == task
    assert (task.device, task.devices, task.log_level) == (PRESS, ("press 1", "b"), "DEBUG")
    assert task.journal == str(tmp_path / "journals" / file_name("press 1"))


def test_without_a_file_that_can_be_read_the_configuration_decides(tmp_path: Path) -> None:
    """No argument, no file, a damaged file: None."""
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b'{"device":7}')
    assert written_task(["--config", "x"]) is None
    assert written_task([f"--task={tmp_path / 'nowhere'}"]) is None
    assert written_task([f"--task={damaged}"]) is None
