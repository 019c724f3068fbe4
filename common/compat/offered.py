"""Which modules of `thingsboard_gateway` are offered, by which of ours, and what is said of all others."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Final

PACKAGE: Final = "thingsboard_gateway"
REAL_VARIABLE: Final = "SERIALGW_REAL_THINGSBOARD_GATEWAY"
"""Set to 1, converters get the package that is installed, if one is, and nothing of this."""
USERS_FOLDERS: Final = ("extensions", "connectors")
"""The packages in which users' own files stand, in a package for each type of connector; both have the same files."""
OFFERED: Final = {
    "thingsboard_gateway": "common.compat.service",
    "thingsboard_gateway.connectors.connector": "common.compat.connector",
    "thingsboard_gateway.connectors.converter": "common.compat.converter",
    "thingsboard_gateway.gateway.constant_enums": "common.compat.constant_enums",
    "thingsboard_gateway.gateway.constants": "common.compat.constants",
    "thingsboard_gateway.gateway.entities.attributes": "common.converters",
    "thingsboard_gateway.gateway.entities.converted_data": "common.converters",
    "thingsboard_gateway.gateway.entities.datapoint_key": "common.converters",
    "thingsboard_gateway.gateway.entities.report_strategy_config": "common.compat.strategies",
    "thingsboard_gateway.gateway.entities.telemetry_entry": "common.converters",
    "thingsboard_gateway.gateway.statistics.decorators": "common.compat.statistics",
    "thingsboard_gateway.gateway.statistics.statistics_service": "common.compat.statistics",
    "thingsboard_gateway.gateway.statistics_service": "common.compat.statistics",
    "thingsboard_gateway.gateway.tb_gateway_service": "common.compat.service",
    "thingsboard_gateway.tb_utility.tb_loader": "common.compat.module_loader",
    "thingsboard_gateway.tb_utility.tb_logger": "common.compat.loggers",
    "thingsboard_gateway.tb_utility.tb_utility": "common.compat.utility",
}
"""Module there → module of ours, whose `__all__` is what it has. Some moved from one version to the next: then both
places are here."""
PACKAGES: Final = frozenset(
    {
        PACKAGE,
        *(f"{PACKAGE}.{folder}" for folder in USERS_FOLDERS),
        *(name.rpartition(".")[0] for name in OFFERED if "." in name),
    }
)
"""Offered modules that have others in them."""
CONNECTORS: Final = frozenset(
    "bacnet ble can ftp grpc knx modbus modbus_async mqtt ocpp odbc opcua opcua_asyncio "  # noqa: SIM905
    "request rest s7 snmp socket xmpp".split()
)
"""Connectors that the other gateway has built in, of all its versions."""
SEE: Final = "(see docs/compatibility.md#imports)"


def names_of(module: str) -> Sequence[str]:
    """What an offered module has, modules in it aside. Imports the one of ours that has them, nothing of a user's."""
    ours = OFFERED.get(module)
    return importlib.import_module(ours).__all__ if ours else ()


def refusal_of(module: str) -> str:
    """The sentence on a module below `thingsboard_gateway` that is not offered."""
    parts = module.split(".")
    if len(parts) > 2 and parts[1] in USERS_FOLDERS and parts[2] in CONNECTORS:
        return f"{'.'.join(parts[:3])} is another connector of that gateway; serialgw has no such module {SEE}"
    if len(parts) > 3 and parts[1] in USERS_FOLDERS:
        return f"{module}: the folder {parts[2]} of the extension folders has no such file {SEE}"
    if len(parts) == 3 and parts[1] in USERS_FOLDERS:
        return f"{module}: the extension folders have no folder {parts[2]}, and serialgw has no such module {SEE}"
    return f"{module}: serialgw has no such module {SEE}"


def name_refusal_of(module: str, name: str) -> str:
    """The sentence on a name that an offered module does not have."""
    return f"{module}: serialgw has no {name} there {SEE}"


def sentence_of(error: ImportError) -> str:
    """What an import below `thingsboard_gateway` failed by; "" where it failed by something else."""
    module = error.name or ""
    if module != PACKAGE and not module.startswith(PACKAGE + "."):
        return ""
    if isinstance(error, ModuleNotFoundError):
        return refusal_of(module)
    # Python says the name in its text alone before 3.12.
    name = re.match(r"cannot import name '(\w+)'", str(error))
    if name is None:
        return ""
    inner = f"{module}.{name[1]}"
    is_module = module in PACKAGES and module not in OFFERED
    return refusal_of(inner) if is_module else name_refusal_of(module, name[1])
