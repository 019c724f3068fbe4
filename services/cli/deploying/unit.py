"""The systemd unit that runs the whole gateway. Pure.

Two settings of those that are usually named are left out on purpose. `PrivateDevices` hides every serial port.
`ProtectClock` before systemd 253 allows a device of its own, and whatever allows one shuts out all that is not allowed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from services.cli.deploying.deployment import Deployment

STATE: Final = Path("/var/lib")
"""What systemd makes for a service, and lets it write, is below."""
HOMES: Final = (Path("/home"), Path("/root"))
SECRETS: Final = Path("/etc/serialgw")
"""Where the file with the secret is, for root alone: systemd reads it."""

SHUT: Final = """\
CapabilityBoundingSet=
LockPersonality=true
NoNewPrivileges=true
PrivateTmp=true
ProtectControlGroups=true
ProtectHome={home}
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
ProtectSystem=strict
# Not RemoveIPC: with `storage: memory` the journals are in /dev/shm, and are to be there at the next start.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged"""
"""What no process of a gateway needs."""
DRIVERS: Final = """\
# DeviceAllow looks up drivers by name when the unit starts: one that is loaded only when the first adapter is plugged
# in would not be found, and the adapter not be allowed.
ExecStartPre=+-/sbin/modprobe -abq usbserial cdc_acm"""

_UNIT: Final = """\
# /etc/systemd/system/serialgw.service: the whole gateway on one host. See docs/deploy.md.
[Unit]
Description=serialgw: serial devices to an IoT platform over MQTT
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
# supervisord says every few seconds that it goes round; it looks after all others.
WatchdogSec=60
User={user}
SupplementaryGroups={group}
{secret}# Further variables, such as TB_GW_HOST=…, in a file of mode 0600 that belongs to root.
EnvironmentFile=-/etc/serialgw/environment
{drivers}
ExecStart={command} run --last-good --config {config} --data-dir {data_dir}
# What stands in the files now, without a restart; it says by its exit code what became of it.
ExecReload={command} reload --data-dir {data_dir}
{state}
# SIGTERM goes to supervisord alone, which stops the processes in the order of the data.
KillMode=mixed
TimeoutStopSec=60
Restart=on-failure
RestartSec=2
# A configuration error, and nothing that ran before: a restart would not help.
RestartPreventExitStatus=78
UMask=0077
OOMScoreAdjust=-200

# Serial ports, and no other device; no PrivateDevices, which would hide them.
DevicePolicy=closed
{devices}
{shut}
# supervisord gives its own socket to the user who has it already, and ends where it may not.
SystemCallFilter=@chown

[Install]
WantedBy=multi-user.target
"""


def systemd_unit(deployment: Deployment) -> str:
    """The text of the unit."""
    return _UNIT.format(
        user=deployment.user,
        group=deployment.group,
        secret=secret_lines(deployment.secret),
        drivers=DRIVERS,
        shut=shut_lines(deployment),
        data_dir=_word(str(deployment.data_dir)),
        command=_word(str(deployment.command)),
        config=_word(str(deployment.config)),
        state=state_lines(deployment),
        devices=device_lines(deployment),
    )


def shut_lines(deployment: Deployment) -> str:
    """What a process of this gateway can't do."""
    return SHUT.format(home="read-only" if _is_at_home(deployment) else "true")


def device_lines(deployment: Deployment) -> str:
    """The ports that may be opened."""
    return "\n".join(f"DeviceAllow=char-{kind} rw" for kind in deployment.kinds)


def secret_lines(variable: str) -> str:
    """How the secret comes from a file of root's to the publisher, and into no environment."""
    if not variable:
        return ""
    name = variable.removeprefix("TB_GW_").lower()
    return (
        f"# The {name.replace('_', ' ')} alone, in a file of mode 0600 that belongs to root.\n"
        f"LoadCredential={name}:{SECRETS / name}\n"
        f"Environment={variable}_FILE=/run/credentials/%n/{name}\n"
    )


def state_lines(deployment: Deployment) -> str:
    """What the gateway may write."""
    data_dir, journals = deployment.data_dir, deployment.journals
    if data_dir.parent == STATE:
        lines = [f"StateDirectory={_word(data_dir.name)}", "StateDirectoryMode=0700"]
    else:
        lines = [f"ReadWritePaths={_word(str(data_dir))}"]
    if journals is not None and not journals.is_relative_to(data_dir):
        lines.append(f"ReadWritePaths={_word(str(journals))}")
    return "\n".join(lines)


def _is_at_home(deployment: Deployment) -> bool:
    """True if something that the gateway reads is in a home folder."""
    places = (deployment.command, deployment.config)
    return any(place.is_relative_to(home) for place in places for home in HOMES)


def _word(text: str) -> str:
    """A path as one word of a unit: blanks would end it, `%` and `$` begin something else."""
    plain = text.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if any(letter.isspace() or letter in "\"';" for letter in plain):
        return '"' + plain.replace('"', '\\"') + '"'
    return plain
