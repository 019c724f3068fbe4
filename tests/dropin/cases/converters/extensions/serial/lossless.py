"""What the other gateway loses: the same key twice in a millisecond, 0, False and "", a list of TelemetryEntry."""
from thingsboard_gateway.gateway.entities.attributes import Attributes
from thingsboard_gateway.gateway.entities.converted_data import ConvertedData
from thingsboard_gateway.gateway.entities.telemetry_entry import TelemetryEntry


class LosslessConverter:
    def __init__(self, config, *, logger):
        self.name = config["name"]

    def convert(self, config, data):
        converted = ConvertedData(self.name)
        converted.add_to_telemetry([TelemetryEntry({"n": 0}, 5), TelemetryEntry({"n": False}, 5), TelemetryEntry({"m": ""}, 5)])
        assert isinstance(converted.attributes, Attributes)
        converted.add_to_attributes([{"zero": 0}, {"empty": ""}])
        return converted
