"""Names that configurations, processes and users agree on, each written down once.

Nothing here reads or checks anything, so every room may import it.
"""

from __future__ import annotations

from typing import Final

BUILTIN_UPLINK: Final = "SerialUplinkConverter"
"""Our class in `converter`, which turns frames into readings; any other name is a user's class."""
BUILTIN_DOWNLINK: Final = "SerialDownlinkConverter"
"""Our class in `downlink_converter`, which turns params into bytes; any other name is a user's class."""
BUILTIN_ENTRIES: Final = "serialgw:entries"
"""Our class for what a connector host journals, which reads itself; no configuration names it, nor can a user's class
have this name."""
ENTRY_POINT_GROUP: Final = "serialgw.converters"
"""The group under which installed packages offer users' converters."""
USERS_OWN: Final = "extensions:"
"""Before the name of a class of ours where a user's file has a class of that name that is not the reference's own:
then that one is meant. No configuration says it."""
EXTENSION_FOLDERS: Final = ("serial", "custom")
"""The folders inside an extension folder whose `*.py` hold users' converters, as the reference has them: by the type
of their connector.

A user's class is looked for in these files first, folder by folder and file by file in alphabetical order; then as
`package.module:Class`; then among the entry points. `checking.py` says at reading whether it will be found, and
`services/converter/shell/extensions.py` finds it.
"""
LOG_LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""How much a process logs, from most to least. TRACE, below Python's own levels, is the reference's."""
CONNECTOR_LOG_LEVELS: Final = (*LOG_LEVELS, "NONE")
"""Levels of what a connector's users' converters log: the same words, and one for nothing at all."""
CONFIG_DIR_VARIABLE: Final = "TB_GW_CONFIG_DIR"
"""Names the folder of the main file, where no file is named."""
SECRETS: Final = {
    "TB_GW_ACCESS_TOKEN": "access_token",
    "TB_GW_USERNAME": "username",
    "TB_GW_PASSWORD": "password",
    "TB_GW_CLIENT_ID": "client_id",
}
"""Environment variable → field of `models.Security`. Only the publisher ever has their values."""
PROVISIONING_SECRETS: Final = {
    "TB_GW_PROVISIONING_DEVICE_KEY": "key",
    "TB_GW_PROVISIONING_DEVICE_SECRET": "secret",
    "TB_GW_PROVISIONING_DEVICE_ACCESS_TOKEN": "access_token",
    "TB_GW_PROVISIONING_DEVICE_USERNAME": "username",
    "TB_GW_PROVISIONING_DEVICE_PASSWORD": "password",
    "TB_GW_PROVISIONING_DEVICE_CLIENT_ID": "client_id",
}
"""Environment variable → field of `models.Provisioning`. Only the publisher ever has their values."""
SECRET_VARIABLES: Final = (*SECRETS, *PROVISIONING_SECRETS)
SECRET_FILE_SUFFIX: Final = "_FILE"
"""A secret's variable with this behind it names a file that holds the secret, as container secrets do."""
