"""The files that `serialgw run` leaves for the processes: what they start from, and what supervisord is to do.

Each is written only where it is not there already, so that a gateway that was stopped starts again on a full disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from common.config.active import ACTIVE_NAME, Active, write_active
from common.config.task import device_task, write_task
from services.cli.supervise.conf import STARTS_DIR, TASKS_DIR, Plan, supervisord_conf, task_path

CONF_NAME: Final = "supervisord.conf"


def write_files(plan: Plan, active: Active) -> Path:
    """Writes the active snapshot, each port reader's task and supervisord's configuration; returns the last one's path.

    For who holds the data directory's lock: no process of this gateway reads them meanwhile. Raises OSError.
    """
    write_active(plan.data_dir / ACTIVE_NAME, active)
    shutil.rmtree(plan.run_dir / STARTS_DIR, ignore_errors=True)
    for name in (STARTS_DIR, TASKS_DIR):
        (plan.run_dir / name).mkdir(mode=0o700, exist_ok=True)
    tasks = {}
    for device in active.gateway.devices:
        path = task_path(plan, device.name)
        tasks[path.name] = path
        write_private(path, write_task(device_task(active.gateway, device, plan.data_dir, plan.log_level)).decode())
    for path in (plan.run_dir / TASKS_DIR).iterdir():
        if path.name not in tasks:
            path.unlink(missing_ok=True)
    conf = plan.data_dir / CONF_NAME
    write_private(conf, supervisord_conf(plan))
    return conf


def write_private(path: Path, text: str) -> None:
    """Writes a file of mode 0600, whole or not at all; one that says this already is left as it is."""
    content = text.encode()
    try:
        if path.read_bytes() == content and not path.is_symlink():
            return
    except OSError:
        pass
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
