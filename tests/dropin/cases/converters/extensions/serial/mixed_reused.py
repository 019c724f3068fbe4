"""A radar's: bytes of former calls are kept, one dict is reused, the mixed form of a reading; the live object inside."""
from thingsboard_gateway.connectors.converter import Converter


class MixedConverter(Converter):
    def __init__(self, config):
        self.buffer = bytearray()
        self.reading = {}
        self.result = {"deviceName": "radar", "deviceType": "radar", "connector": self, "telemetry": [self.reading]}

    def convert(self, _, data):
        self.buffer += data
        if len(self.buffer) < 4:
            return None
        self.reading.clear()
        self.reading.update({"distance": self.buffer[1], "ts": 1719400000000, "values": {"level": self.buffer[2]}})
        del self.buffer[:4]
        return self.result
