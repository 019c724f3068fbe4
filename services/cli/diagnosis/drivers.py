"""Adapters that are plugged in and have no port: their kernel module is missing, or a program has taken them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from services.cli.diagnosis.adapters import Adapter, adapters
from services.cli.diagnosis.finding import Finding
from services.cli.diagnosis.host import Host, Process
from services.cli.diagnosis.programs import NO_BRLTTY, takes_adapter


def driver_findings(host: Host, running: Sequence[Process]) -> list[Finding]:
    """A fault for each adapter without a port."""
    return [_explain(host, one, running) for one in adapters(host) if not one.has_port]


def _explain(host: Host, adapter: Adapter, running: Sequence[Process]) -> Finding:
    subject = str(adapter)
    if takes_adapter(host, adapter, running):
        cure = f"{NO_BRLTTY}\nthen plug the adapter out and in again"
        return Finding("brltty", subject, "fault", "it has no port, for brltty has taken it", cure)
    if "usbfs" in adapter.drivers:
        cure = (
            "end the program that talks to it over USB (a flash tool, a virtual machine), and plug it out and in again"
        )
        return Finding("driver", subject, "fault", "it has no port, for a program has taken it from its driver", cure)
    release = os.uname().release
    if not os.path.isdir(os.path.join(host.modules, release)) and os.path.isdir(host.modules):
        what = f"it has no port, and the kernel that runs ({release}) has no modules here any more: it was updated"
        cure = "start the machine anew:\nsudo reboot"
        return Finding("driver", subject, "fault", what, cure)
    if not os.path.isdir(os.path.join(host.sys, "module", adapter.module)):
        what = f"it has no port, for the kernel module {adapter.module} is not loaded"
        cure = (
            f"on the host:\nsudo modprobe {adapter.module}\n"
            f"if there is none, on Debian and Ubuntu:\nsudo apt-get install linux-modules-extra-{release}"
        )
        return Finding("driver", subject, "fault", what, cure)
    what = f"it has no port, although the kernel module {adapter.module} is loaded"
    return Finding(
        "driver", subject, "fault", what, "plug it out and in again; the reason stands in:\nsudo dmesg | tail"
    )
