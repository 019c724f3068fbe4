"""(device, logger), and a result with times and values for two devices."""
from abc import ABC, abstractmethod

from thingsboard_gateway.connectors.converter import Converter


class BaseConverter(Converter, ABC):
    @abstractmethod
    def unit(self):
        pass


class DeviceConverter(BaseConverter):
    def __init__(self, device, logger):
        self.device, self.log = device, logger

    def unit(self):
        return "C"

    def convert(self, config, data):
        self.log.error("a word", attr_name="device")
        low, high = data.decode().split()
        return [
            {"deviceName": "attic", "deviceType": "room", "telemetry": [{"ts": 1719400000000, "values": {"t": float(low)}}]},
            {"deviceName": "cellar", "telemetry": {"ts": 1719400000001, "values": {"t": float(high)}}, "attributes": {"unit": self.unit()}},
        ]
