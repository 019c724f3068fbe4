"""A file beside it by `thingsboard_gateway.connectors`; one object for both names."""
from thingsboard_gateway.connectors.serial.device_and_logger import BaseConverter
from thingsboard_gateway.extensions.serial import device_and_logger


class ByConnectorsConverter(BaseConverter):
    def __init__(self, config, logger):
        self.name = config["name"]

    def unit(self):
        return "V"

    def convert(self, config, data):
        assert isinstance(self, device_and_logger.BaseConverter)
        return {"deviceName": self.name, "deviceType": "meter", "telemetry": [{self.unit(): 1.5}], "attributes": []}
