"""Units for who wants systemd itself to look after each process: one a port, by a template. Pure.

They and `serialgw.service` are never up together: each process has a lock, and they say so to systemd besides. When
all of them stop, each does so before those that it sends to, so that what was read gets as far as it can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from common.io.exits import EXIT_CONFIG
from common.io.variables import WITHHELD
from services.cli.deploying.deployment import Deployment
from services.cli.deploying.supervisor import CONVERTERS
from services.cli.deploying.unit import DRIVERS, device_lines, secret_lines, shut_lines, state_lines

FOLDER: Final = Path("/etc/systemd/system")
TARGET: Final = "serialgw.target"
BROKER: Final = "serialgw-broker.service"
PUBLISHER: Final = "serialgw-publisher.service"
MONITOR: Final = "serialgw-monitor.service"
LONGEST: Final = 255 - len("serialgw-connector@.service")
"""Bytes of an instance's name, once it is escaped: systemd takes no longer ones."""
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.")

_UNIT: Final = """\
# {folder}/{name}: {what}. See docs/deploy.md.
[Unit]
Description=serialgw: {what}
PartOf={target}
Conflicts=serialgw.service
{after}# Whoever ends is started again, however often.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
# Each process says every few seconds that it goes round.
WatchdogSec=60
User={user}
{more}# No variable is replaced in it, whatever a device is called.
ExecStart=:{command}
{state}
KillMode=mixed
TimeoutStopSec=20
Restart=on-failure
RestartSec=1
# A configuration error: a restart would not help.
RestartPreventExitStatus={config_code}
UMask=0077
OOMScoreAdjust=-200

DevicePolicy=closed
{devices}{shut}

[Install]
WantedBy={target}
"""


class _Kind(NamedTuple):
    """A unit of one process, or the template of several."""

    name: str
    what: str
    service: str
    words: tuple[str, ...] = ()
    """What its command has beside the places of the configuration and the data."""
    after: tuple[str, ...] = ()


def unit_files(deployment: Deployment) -> dict[str, str]:
    """File's name → its text."""
    converters = [f"serialgw-converter@{slot}.service" for slot in range(CONVERTERS)]
    behind = (BROKER, PUBLISHER, *converters)
    kinds = [
        _Kind(BROKER, "the broker between all others", "broker"),
        _Kind(MONITOR, "the page, metrics and health", "monitor"),
        _Kind(PUBLISHER, "the connection to the platform", "publisher", after=(BROKER,)),
        _Kind("serialgw-converter@.service", "converter %I", "converter", ("--slot=%i",), (BROKER, PUBLISHER)),
        _Kind("serialgw-reader@.service", "device %I", "port_reader", ("--device=%I",), behind),
    ]
    if deployment.hosted:
        host = ("serialgw-connector@.service", "connector %I", "connector_host", ("--connector=%I",))
        kinds.append(_Kind(*host, behind))
    return {
        TARGET: _target(deployment, converters),
        **{kind.name: _unit(deployment, kind) for kind in kinds},
    }


def instances_of(deployment: Deployment) -> list[str]:
    """The units of the devices and of hosted connectors, as far as their names are short enough."""
    readers = [f"serialgw-reader@{escape(line.name)}.service" for line in deployment.lines if is_short(line.name)]
    hosts = [f"serialgw-connector@{escape(name)}.service" for name in deployment.hosted if is_short(name)]
    return [*readers, *hosts]


def is_short(name: str) -> bool:
    """False for a device whose name no unit can have."""
    return len(escape(name)) <= LONGEST


def escape(name: str) -> str:
    """A name as systemd-escape writes it, which a unit's %I takes back."""
    found = []
    for place, byte in enumerate(name.encode()):
        letter = chr(byte)
        if letter == "/":
            found.append("-")
        elif letter in _PLAIN and (place or letter != "."):
            found.append(letter)
        else:
            found.append(f"\\x{byte:02x}")
    return "".join(found)


def printed(deployment: Deployment) -> str:
    """All of them, one after the other; each begins with the place where it is to be."""
    return "\n".join(unit_files(deployment).values())


def _target(deployment: Deployment, converters: list[str]) -> str:
    wanted = [BROKER, PUBLISHER, MONITOR, *converters, *instances_of(deployment)]
    return (
        f"# {FOLDER}/{TARGET}: the whole gateway, a unit for each process. See docs/deploy.md.\n"
        "[Unit]\n"
        "Description=serialgw: serial devices to an IoT platform over MQTT\n"
        "Conflicts=serialgw.service\n"
        "Wants=network-online.target\n"
        "After=network-online.target\n"
        + "".join(f"Wants={name}\n" for name in wanted)
        + "\n[Install]\nWantedBy=multi-user.target\n"
    )


def _unit(deployment: Deployment, kind: _Kind) -> str:
    is_reader = kind.service == "port_reader"
    places = ["--config", str(deployment.config), "--data-dir", str(deployment.data_dir)]
    command = [*map(_word, [str(deployment.python), "-P", "-m", f"services.{kind.service}", *places]), *kind.words]
    return _UNIT.format(
        folder=FOLDER,
        name=kind.name,
        what=kind.what,
        target=TARGET,
        after="".join(f"After={one}\n" for one in kind.after),
        user=deployment.user,
        more=_more(deployment, kind.service),
        command=" ".join(command),
        state=state_lines(deployment),
        config_code=EXIT_CONFIG,
        devices=f"{device_lines(deployment)}\n" if is_reader else "",
        shut=shut_lines(deployment),
    )


def _more(deployment: Deployment, kind: str) -> str:
    """What the process gets beside its user: the group of the ports, or the secret, and never both."""
    lines = ""
    if kind == "port_reader":
        lines += f"SupplementaryGroups={deployment.group}\n"
    if kind == "publisher":
        lines += secret_lines(deployment.secret)
        lines += "# Further variables, such as TB_GW_HOST=…, in a file of mode 0600 that belongs to root.\n"
    elif deployment.secret:
        lines += f"# The publisher alone gets it.\nEnvironment={deployment.secret}={WITHHELD}\n"
    lines += "EnvironmentFile=-/etc/serialgw/environment\n"
    if kind == "port_reader":
        lines += f"{DRIVERS}\n"
    return lines


def _word(text: str) -> str:
    """A path as one word of a command in which no variable is replaced."""
    plain = text.replace("\\", "\\\\").replace("%", "%%")
    if any(letter.isspace() or letter in "\"';" for letter in plain):
        return '"' + plain.replace('"', '\\"') + '"'
    return plain
