"""The files that `serialgw run` leaves for the processes: what they start from, and what supervisord is to do.

Each is written only where it is not there already, so that a gateway that was stopped starts again on a full disk.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec

from common.config.active import ACTIVE_NAME, Active, write_active
from common.config.findings import Findings
from common.config.host_task import host_task, write_host_task
from common.config.json_files import read_json
from common.config.overlay import (
    CONFIGURED_NAME,
    PREVIOUS_NAME,
    REMOTE_DIR,
    Configured,
    Overlay,
    configured_attributes,
    read_configured,
)
from common.config.reading import laid_over
from common.config.task import device_task, write_task
from common.io.clock import wall_ms
from common.io.levels import write_levels
from common.io.private import write_private
from services.cli.supervise.conf import (
    PLAN_NAME,
    STARTS_DIR,
    TASKS_DIR,
    Plan,
    host_name,
    reader_name,
    supervisord_conf,
    task_path,
    write_plan,
)

KINDS: Final = ("monitor", "broker", "publisher", "converter", "connector_host", "port_reader")
"""Kinds of processes that have a level of their own."""
CONF_NAME: Final = "supervisord.conf"


def write_files(plan: Plan, active: Active) -> Path:
    """Writes the active snapshot, the task of each port reader and connector host, and supervisord's configuration;
    returns the last one's path.

    For who holds the data directory's lock: no process of this gateway reads them meanwhile. Raises OSError.
    """
    shutil.rmtree(plan.run_dir / STARTS_DIR, ignore_errors=True)
    for name in (STARTS_DIR, TASKS_DIR):
        (plan.run_dir / name).mkdir(mode=0o700, exist_ok=True)
    conf = write_planned(plan, active)
    names = [reader_name(reader) for reader in active.gateway.readers]
    names += [host_name(connector.name) for connector in active.gateway.hosted]
    tasks = {task_path(plan, name).name for name in names}
    for path in (plan.run_dir / TASKS_DIR).iterdir():
        if path.name not in tasks:
            path.unlink(missing_ok=True)
    return conf


def write_planned(plan: Plan, active: Active) -> Path:
    """Writes the active snapshot, the task of each port reader and connector host, and supervisord's configuration,
    also while processes run: each file is exchanged whole. Returns the last one's path. Raises OSError."""
    write_active(plan.data_dir / ACTIVE_NAME, active)
    levels = {kind: plan.log_levels.get(kind, plan.log_level) for kind in KINDS}
    write_levels(plan.run_dir, levels)
    for device, *_ in active.gateway.lines:
        task = device_task(active.gateway, device, plan.data_dir, levels["port_reader"])
        write_private(task_path(plan, reader_name(device.name)), write_task(task).decode())
    for connector in active.gateway.hosted:
        host = host_task(active.gateway, connector, plan.data_dir, levels["connector_host"])
        write_private(task_path(plan, host_name(connector.name)), write_host_task(host).decode())
    write_private(plan.run_dir / PLAN_NAME, write_plan(plan).decode())
    conf = plan.data_dir / CONF_NAME
    write_private(conf, supervisord_conf(plan))
    return conf


def write_remote(plan: Plan, active: Active, overlay: Overlay) -> None:
    """Writes down what is configured, for a platform that may change it. A change that was being applied when the
    gateway ended is forgotten: it had not been found good. Raises OSError."""
    folder = plan.data_dir / REMOTE_DIR
    (folder / PREVIOUS_NAME).unlink(missing_ok=True)
    if not active.gateway.platform.remote_configuration:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    main = read_json(plan.config, plan.config.name, Findings())
    laid = laid_over(plan.config, main if isinstance(main, dict) else {}, overlay)
    attributes = configured_attributes(laid, overlay, wall_ms())
    write_configured(folder, Configured(attributes=attributes, handled=read_configured(folder).handled))


def write_configured(folder: Path, configured: Configured) -> None:
    """Writes down what is configured, for the publisher. Raises OSError."""
    write_private(folder / CONFIGURED_NAME, msgspec.json.encode(configured).decode(), flush=True)
