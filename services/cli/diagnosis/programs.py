"""Programs that take serial ports unasked: the kernel's console, a login, ModemManager, brltty."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.cli.diagnosis.adapters import BRAILLE, Adapter, is_left_to_us, kernel_name
from services.cli.diagnosis.finding import Finding
from services.cli.diagnosis.holders import Holder
from services.cli.diagnosis.host import Host, Process, names_in, text_of

MODEM_MANAGER: Final = "ModemManager"
BRLTTY: Final = "brltty"
GETTY: Final = ("agetty", "getty", "mgetty", "mingetty")
NO_BRLTTY: Final = "where no Braille display is used:\nsudo systemctl mask --now brltty.service brltty-udev.service"
_RULES: Final = "rules.d"


class Place(NamedTuple):
    """A port, and what it is on this machine."""

    port: str
    """As a person has named it."""
    path: str
    adapter: Adapter | None


def program_findings(host: Host, place: Place, running: Sequence[Process], holders: Sequence[Holder]) -> list[Finding]:
    """What programs may do with a port that they do not hold at this moment, or hold and can be told to let go."""
    found = [_console(host, place.port, place.path), _login(place.port, place.path, running)]
    if (adapter := place.adapter) is not None:
        held = any(holder.process.name == MODEM_MANAGER for holder in holders)
        process = next((one for one in running if one.name == MODEM_MANAGER), None)
        if process is not None and (held or not is_left_to_us(host, place.path)):
            found.append(_modem_manager(place.port, adapter, process, held=held))
        if takes_adapter(host, adapter, running):
            ids = f"{adapter.vendor}:{adapter.product}"
            what = f"brltty is installed and takes adapters like this one ({ids}) for its own"
            found.append(Finding("brltty", place.port, "warning", what, NO_BRLTTY))
    return [one for one in found if one is not None]


def holder_finding(port: str, holder: Holder, data_dir: str) -> Finding | None:
    """A process that has the port; None for one of which more is said elsewhere."""
    process = holder.process
    if holder.is_reader:
        if holder.data_dir in ("", data_dir):
            return Finding("holder", port, "ok", f"a port reader of this gateway has it open (pid {process.pid})")
        what = f"the gateway of another data directory has it open (pid {process.pid}, {holder.data_dir})"
        cure = "stop that one, or take the port out of one of both configurations"
        return Finding("holder", port, "fault", what, cure)
    if process.name in (MODEM_MANAGER, *GETTY):
        return None
    if process.name == BRLTTY:
        return Finding("brltty", port, "fault", f"brltty has it open (pid {process.pid})", NO_BRLTTY)
    cure = f"end that program, or this process:\n{'' if process.user_id == os.getuid() else 'sudo '}kill {process.pid}"
    return Finding("holder", port, "fault", f"another process has it open: {process}", cure)


def _console(host: Host, port: str, path: str) -> Finding | None:
    """The kernel writes its messages to what `console=` names."""
    name = kernel_name(path)
    consoles = [line.split()[0] for line in text_of(os.path.join(host.proc, "consoles")).splitlines() if line.strip()]
    if name not in consoles:
        return None
    words = [word for word in text_of(os.path.join(host.proc, "cmdline")).split() if word.startswith("console=")]
    named = [word for word in words if word.startswith((f"console={name}", "console=serial"))] or [f"console={name}"]
    cure = (
        f"take {' '.join(named)} out of the kernel's command line and start the machine anew: in GRUB_CMDLINE_LINUX of "
        "/etc/default/grub, then\nsudo update-grub\non a Raspberry Pi:\n"
        "sudo raspi-config nonint do_serial_cons 1"
    )
    return Finding("console", port, "fault", "the kernel writes its own messages to it (it is a console)", cure)


def _login(port: str, path: str, running: Sequence[Process]) -> Finding | None:
    """A getty waits there for somebody to log in, and answers the device."""
    name = kernel_name(path)
    for process in running:
        if process.name in GETTY and any(os.path.basename(word) == name for word in process.command[1:]):
            cure = f"sudo systemctl disable --now serial-getty@{name}.service"
            return Finding("login", port, "fault", f"{process} offers a login on it, and answers what it says", cure)
    return None


def _modem_manager(port: str, adapter: Adapter, process: Process, *, held: bool) -> Finding:
    """ModemManager says AT commands to what may be a modem, and has the port meanwhile."""
    rule = (
        f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{adapter.vendor}", ATTR{{idProduct}}=="{adapter.product}", '
        'ENV{ID_MM_DEVICE_IGNORE}="1"'
    )
    cure = (
        f"echo '{rule}' | sudo tee /etc/udev/rules.d/78-serialgw-{adapter.vendor}-{adapter.product}.rules\n"
        "sudo udevadm control --reload && sudo udevadm trigger\n"
        "or, where there is no modem:\nsudo systemctl disable --now ModemManager"
    )
    if held:
        what = f"ModemManager has it open (pid {process.pid}): it takes it for a modem"
        return Finding("modem_manager", port, "fault", what, cure)
    what = f"ModemManager runs (pid {process.pid}), and no udev rule keeps it from saying AT commands to this adapter"
    return Finding("modem_manager", port, "warning", what, cure)


def takes_adapter(host: Host, adapter: Adapter, running: Sequence[Process]) -> bool:
    """True if brltty is there, and an adapter with this chip may be taken by it."""
    if adapter.ids not in BRAILLE:
        return False
    vendor, product = adapter.ids
    # udev's PRODUCT has no leading zeros.
    short = f"{vendor.lstrip('0')}/{product.lstrip('0')}/"
    pattern = re.compile(rf'^[^#\n]*(?:"{short}|"{vendor}".*"{product}")', re.IGNORECASE | re.MULTILINE)
    rules: dict[str, str] = {}
    # What stands in /etc under the same name counts instead (udev(7)).
    for folder in (os.path.join(host.lib, "udev", _RULES), os.path.join(host.etc, "udev", _RULES)):
        rules |= {name: os.path.join(folder, name) for name in names_in(folder) if BRLTTY in name}
    return any(pattern.search(text_of(path)) for path in rules.values()) or any(one.name == BRLTTY for one in running)
