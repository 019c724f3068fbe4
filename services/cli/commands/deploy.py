"""`serialgw deploy`: prints the file by which Compose, systemd, udev or a supervisord starts a gateway, whole, for a
configuration. It writes only where a folder for it is named."""

from __future__ import annotations

import argparse
import grp
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from common.config.models import Gateway
from common.config.names import SECRET_FILE_SUFFIX, SECRET_VARIABLES
from common.config.ports import identity_of
from common.config.reading import Loaded
from common.config.usb_ports import usb_ports
from common.core.errors import ConfigError, LinkError
from common.core.shown import harmless
from common.io.arguments import DATA_DIR_VARIABLE
from common.io.variables import WITHHELD
from services.cli.arguments import Subparsers, utf8_path
from services.cli.backing.contents import config_files
from services.cli.deploying.compose import compose_file
from services.cli.deploying.deployment import SECRET_OF, Deployment, Line, lines_of, secret_of
from services.cli.deploying.numbers import majors_of
from services.cli.deploying.per_port import is_short, printed, unit_files
from services.cli.deploying.supervisor import supervisor_sections
from services.cli.deploying.udev import udev_rules
from services.cli.deploying.unit import systemd_unit
from services.cli.parser import WARNING
from services.cli.usage import UsageError
from services.cli.whole import read_whole

DRIVERS: Final = Path("/proc/devices")
"""Where the kernel lists the drivers that are loaded, with their numbers."""
_BRING_SECRETS: Final = {*SECRET_VARIABLES, *(name + SECRET_FILE_SUFFIX for name in SECRET_VARIABLES)}
DEBIANS_DIALOUT: Final = 20
STATE_DIR: Final = Path("/var/lib/serialgw")
"""The data directory of a service, where nothing else is said: that of the user who prints the file is not meant."""


def _compose(deployment: Deployment) -> str:
    return compose_file(deployment, _drivers())


def _udev(deployment: Deployment) -> str:
    return udev_rules(deployment, usb_ports())


KINDS: Final[dict[str, Callable[[Deployment], str]]] = {
    "compose": _compose,
    "systemd": systemd_unit,
    "udev": _udev,
    "supervisor": supervisor_sections,
}


def add_parser(subparsers: Subparsers) -> None:
    """Adds `deploy` and its options."""
    parser = subparsers.add_parser(
        "deploy",
        help="print the file by which something else starts the gateway",
        description="Prints a whole file for a configuration: for Compose with a container for each process, a unit "
        "for systemd, rules for udev, or sections for a supervisord that runs already. Print it again after a device "
        "was added. Nothing is written without --into, and no secret is printed.",
        epilog="examples:\n"
        "  serialgw deploy compose --config tb_gateway.json > compose.yml\n"
        "  serialgw deploy systemd --config /etc/serialgw/tb_gateway.json\n"
        "  serialgw deploy systemd --per-port --config /etc/serialgw/tb_gateway.json --into units\n"
        "  serialgw deploy udev --config tb_gateway.json\n\n"
        "exit codes: 0 printed, 2 wrong usage, 78 problems in the configuration",
    )
    parser.add_argument("kind", choices=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--config", type=utf8_path, required=True, metavar="FILE", help="the configuration")
    parser.add_argument(
        "--per-port",
        action="store_true",
        help="systemd: a unit for each process, by templates, in place of one that runs them all",
    )
    parser.add_argument(
        "--into", type=utf8_path, metavar="DIR", help="with --per-port: write each unit as a file of this folder"
    )
    parser.add_argument(
        "--data-dir",
        type=utf8_path,
        default=Path(os.environ.get(DATA_DIR_VARIABLE) or STATE_DIR),
        metavar="DIR",
        help=f"where journals and sockets are to be, but for compose (default: ${DATA_DIR_VARIABLE}, else %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the file. Raises ConfigError with every problem of the configuration; UsageError, LinkError."""
    _check_options(args)
    loaded, secret = read_configured(args.config, os.environ)
    deployment = find_deployment(args.config, loaded.gateway, secret, args.data_dir)
    for warning in [*loaded.warnings, *_warnings(args.kind, deployment, loaded.gateway), *_too_long(args, deployment)]:
        print(f"{WARNING}{warning}", file=sys.stderr)
    if args.into is not None:
        for path in write_units(deployment, args.into):
            print(path)
        return 0
    print(printed(deployment) if args.per_port else KINDS[args.kind](deployment), end="")
    return 0


def _check_options(args: argparse.Namespace) -> None:
    if args.per_port and args.kind != "systemd":
        raise UsageError(f"--per-port is for systemd, found {args.kind}")
    if args.into is not None and not args.per_port:
        raise UsageError("--into needs --per-port: without it there is one file, which is printed")


def write_units(deployment: Deployment, folder: Path) -> list[Path]:
    """Writes each unit into the folder, which is made; the files. Raises LinkError where that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        for name, text in unit_files(deployment).items():
            path = folder / name
            path.write_text(text, "utf-8")
            found.append(path)
    except OSError as error:
        raise LinkError(f"{error.filename}: {error.strerror}; name a folder that can be written with --into") from None
    return found


def read_configured(config: Path, environ: Mapping[str, str]) -> tuple[Loaded, str]:
    """The configuration, and the variable of the secret that its files do not hold. Raises ConfigError."""
    plain = {name: value for name, value in environ.items() if name not in _BRING_SECRETS}
    try:
        loaded = read_whole(config, plain, with_secrets=True)
        secret = secret_of(loaded.gateway.platform)
    except ConfigError:
        # With something in the places of what comes from elsewhere, only what is really wrong is left.
        loaded = read_whole(config, {**plain, **dict.fromkeys(SECRET_OF.values(), WITHHELD)})
        secret = SECRET_OF.get(loaded.gateway.platform.security.type, "")
    # That the token is still to come is why the file has a place for it.
    warnings = [said for said in loaded.warnings if not (secret and secret in said)]
    return Loaded(loaded.gateway, warnings), secret


def find_deployment(config: Path, gateway: Gateway, secret: str, data_dir: Path) -> Deployment:
    """What is to be deployed, with what this machine knows of its ports."""
    lines = lines_of(gateway, [_kernel_name(devices[0].line.port) for devices in gateway.lines])
    group_id = _group_of(lines)
    return Deployment(
        config=config.absolute(),
        lines=lines,
        hosted=tuple(one.name for one in gateway.hosted),
        secret=secret,
        group=_group_name(group_id),
        group_id=group_id,
        data_dir=data_dir.absolute(),
        journals=None if gateway.storage.data_dir is None else Path(gateway.storage.data_dir),
        command=Path(sys.executable).with_name("serialgw"),
        python=Path(sys.executable),
    )


def _kernel_name(port: str) -> str:
    """What the kernel calls a port that is there; for one that is not, what a plain name says."""
    place = identity_of(port)
    if place.startswith("/dev/") and (os.path.exists(place) or place == port) and "/" not in place[5:]:
        return place[5:]
    return ""


def _group_of(lines: tuple[Line, ...]) -> int:
    """The group of the first port that is there; else the one that ports have on this machine."""
    for line in lines:
        if line.kernel_name:
            try:
                found = os.stat(f"/dev/{line.kernel_name}").st_gid
            except OSError:
                continue
            if found:
                return found
    for name in ("dialout", "uucp"):
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            continue
    return DEBIANS_DIALOUT


def _group_name(group_id: int) -> str:
    try:
        return grp.getgrgid(group_id).gr_name
    except KeyError:
        return str(group_id)


def _drivers() -> str:
    try:
        return DRIVERS.read_text()
    except OSError:
        return ""


def _too_long(args: argparse.Namespace, deployment: Deployment) -> list[str]:
    """Devices and connectors that no unit can be named after."""
    if not args.per_port:
        return []
    names = [*(line.name for line in deployment.lines), *deployment.hosted]
    return [
        f"{harmless(name)}: the name is too long for a unit's, which has 255 bytes; give it a shorter one, or let "
        "`serialgw run` look after all processes"
        for name in names
        if not is_short(name)
    ]


def _warnings(kind: str, deployment: Deployment, gateway: Gateway) -> list[str]:
    """What the printed file can't know, or can't help."""
    if kind != "compose":
        return []
    folder = deployment.config.parent
    unknown = majors_of(deployment.kinds, _drivers())[1]
    found = [
        f"no number of the driver of {one} ports is known here: add a rule for it to device_cgroup_rules, with the "
        "number that /proc/devices says where they are"
        for one in unknown
    ]
    elsewhere = config_files(gateway)[1]
    found += [f"{path} is not below {folder}, which is all that the containers see of it" for path in elsewhere]
    if deployment.journals is not None and gateway.storage.type != "memory":
        found.append(
            f"storage: journals are to be in {deployment.journals}, which no container may write: leave data_file_path "
            "or data_folder_path out, and they are in the volume"
        )
    if gateway.storage.type == "memory" and any(line.is_remote for line in deployment.lines):
        found.append("storage: memory: the journal of a port behind a network ends with its container")
    return found
