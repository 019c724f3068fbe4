"""`TBModuleLoader`, by which connectors find the classes of their converters."""

from __future__ import annotations

import logging
from typing import Any

from common.compat import hook
from common.core.errors import ConversionError

__all__ = [
    "CONNECTORS_FOLDER",
    "DEB_INSTALLATION_EXTENSION_PATH",
    "EXTENSIONS_FOLDER",
    "GRPC_CONNECTORS_FOLDER",
    "TBModuleLoader",
]

EXTENSIONS_FOLDER = "/extensions"
CONNECTORS_FOLDER = "/connectors"
GRPC_CONNECTORS_FOLDER = "/grpc_connectors"
DEB_INSTALLATION_EXTENSION_PATH = "/var/lib/thingsboard_gateway/extensions"


class TBModuleLoader:
    """Classes of the extension folders by type of connector and name."""

    PATHS: list[str] = []
    LOADED_CONNECTORS: dict[str, Any] = {}

    @staticmethod
    def find_paths() -> None:
        """Says in PATHS where is looked."""
        folders = hook.extension_dirs()
        if folders != TBModuleLoader.PATHS:
            TBModuleLoader.PATHS[:] = folders
            TBModuleLoader.LOADED_CONNECTORS.clear()

    @staticmethod
    def import_module(extension_type: str, module_name: str) -> Any:
        """The class of that name in the files of that type's folder; where there is none, a list of what went wrong,
        empty where no file has the name. Only files that have it are run, each once."""
        TBModuleLoader.find_paths()
        known = f"{extension_type}{module_name}"
        if known in TBModuleLoader.LOADED_CONNECTORS:
            return TBModuleLoader.LOADED_CONNECTORS[known]
        from common.compat.classes import find_in_folders  # Here: it reads files, and many a class needs no other.

        try:
            found = find_in_folders(module_name, hook.extension_dirs(), str(extension_type).lower())
        except ConversionError as error:
            logging.getLogger("service").error("%s", error)
            return [str(error)]
        if found is None:
            return []
        TBModuleLoader.LOADED_CONNECTORS[known] = found
        return found

    @staticmethod
    def import_package_files(extension_type: str, package_name: str) -> list[str]:
        """Refused: nothing of an extension is run but what somebody names."""
        return [f"serialgw does not import all files of {extension_type}/{package_name}: import each by its name"]
