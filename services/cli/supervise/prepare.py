"""The files that `serialgw run` leaves for the processes: what they start from, and what supervisord is to do.

Each is written only where it is not there already, so that a gateway that was stopped starts again on a full disk.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from common.config.active import ACTIVE_NAME, Active, write_active
from common.config.host_task import host_task, write_host_task
from common.config.task import device_task, write_task
from common.io.private import write_private
from services.cli.supervise.conf import (
    STARTS_DIR,
    TASKS_DIR,
    Plan,
    host_name,
    reader_name,
    supervisord_conf,
    task_path,
)

CONF_NAME: Final = "supervisord.conf"


def write_files(plan: Plan, active: Active) -> Path:
    """Writes the active snapshot, the task of each port reader and connector host, and supervisord's configuration;
    returns the last one's path.

    For who holds the data directory's lock: no process of this gateway reads them meanwhile. Raises OSError.
    """
    write_active(plan.data_dir / ACTIVE_NAME, active)
    shutil.rmtree(plan.run_dir / STARTS_DIR, ignore_errors=True)
    for name in (STARTS_DIR, TASKS_DIR):
        (plan.run_dir / name).mkdir(mode=0o700, exist_ok=True)
    tasks: set[str] = set()
    gateway = active.gateway
    for device in gateway.devices:
        path = task_path(plan, reader_name(device.name))
        tasks.add(path.name)
        write_private(path, write_task(device_task(gateway, device, plan.data_dir, plan.log_level)).decode())
    for connector in gateway.hosted:
        path = task_path(plan, host_name(connector.name))
        tasks.add(path.name)
        task = host_task(gateway, connector, plan.data_dir, plan.log_level)
        write_private(path, write_host_task(task).decode())
    for path in (plan.run_dir / TASKS_DIR).iterdir():
        if path.name not in tasks:
            path.unlink(missing_ok=True)
    conf = plan.data_dir / CONF_NAME
    write_private(conf, supervisord_conf(plan))
    return conf
