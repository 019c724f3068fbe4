"""The constructor is a base's, which stands in a file beside it: `thingsboard_gateway.extensions`."""
from thingsboard_gateway.extensions.serial.device_and_logger import BaseConverter
from thingsboard_gateway.gateway.entities.converted_data import ConvertedData


class InheritedConverter(BaseConverter):
    def unit(self):
        return "bar"

    def convert(self, config, data):
        converted = ConvertedData(device_name="gauge", device_type="pressure")
        converted.add_to_telemetry({"ts": 1719400000000, "values": {"p": float(data)}})
        converted.add_to_telemetry({"ts": 1719400000000, "raw": data.decode()})
        converted.add_to_attributes({"unit": self.unit()})
        return converted
