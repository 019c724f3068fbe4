"""Users' converters in `serialgw try`: loaded into this process, as a host of the gateway loads them into its own."""

from __future__ import annotations

import logging
import sys

from common.config.models import Device, Gateway
from services.converter.shell.extensions import UserConverter, load_converter


def users_converter(gateway: Gateway, device: Device, name: str) -> UserConverter:
    """The user's class `name` as a converter of `device`. Raises ConversionError: not found, or it doesn't load.

    What it logs goes to standard error, so that the results on standard output can be piped on.
    """
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    return load_converter(name, device, gateway.extension_dirs, logging.getLogger("serialgw.converter"))
