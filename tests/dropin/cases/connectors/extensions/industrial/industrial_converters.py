from thingsboard_gateway.connectors.converter import Converter
from thingsboard_gateway.gateway.entities.converted_data import ConvertedData


class IndustrialUplinkConverter(Converter):
    def __init__(self, config, logger):
        self._config = config
        self._log = logger

    def convert(self, config, data):
        converted = ConvertedData(device_name=self._config["deviceName"], device_type="plc")
        converted.add_to_telemetry({"ts": data["ts"], "pins": data["pins"]})
        converted.add_to_attributes("vendor", "ACME")
        return converted


class IndustrialDownlinkConverter(Converter):
    def __init__(self, config, logger):
        self._log = logger

    def convert(self, config, data):
        return {"output": 1, "level": data["params"]} if data["method"] == "write" else None
