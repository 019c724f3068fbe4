"""No constructor argument; bytes as a value; a time of its own in the flat form."""
from thingsboard_gateway.connectors.converter import Converter


class NoArgumentConverter(Converter):
    def __init__(self):
        self.count = 0

    def convert(self, config, data):
        self.count += 1
        if data == b"\n":
            return None
        return {"deviceName": config["name"], "telemetry": [{"ts": 1719400000000, "code": data.strip()}], "attributes": {}}
