"""A downlink converter of the guide."""
from struct import pack

from thingsboard_gateway.connectors.converter import Converter


class GuideDownlinkConverter(Converter):
    def __init__(self, config, logger):
        self._log = logger
        self.__config = config

    def convert(self, config, data):
        if config.get("type") == "float":
            return pack(">f", data)
        return str(data).encode()
