"""In the style of the guide to a custom serial connector, 3.8: (config, logger), ConvertedData, DatapointKey."""
from thingsboard_gateway.connectors.converter import Converter
from thingsboard_gateway.gateway.constants import REPORT_STRATEGY_PARAMETER, TELEMETRY_PARAMETER, TIMESERIES_PARAMETER
from thingsboard_gateway.gateway.entities.converted_data import ConvertedData
from thingsboard_gateway.gateway.entities.datapoint_key import DatapointKey
from thingsboard_gateway.gateway.entities.report_strategy_config import ReportStrategyConfig
from thingsboard_gateway.gateway.entities.telemetry_entry import TelemetryEntry
from thingsboard_gateway.tb_utility.tb_utility import TBUtility


class GuideUplinkConverter(Converter):
    def __init__(self, config, logger):
        self._log = logger
        self.__config = config
        self.__strategy = None
        try:
            self.__strategy = ReportStrategyConfig(config.get(REPORT_STRATEGY_PARAMETER))
        except ValueError as e:
            self._log.trace("no report strategy: %s", e)

    def convert(self, config, data: bytes):
        self._log.debug("Data to convert: %s", data)
        if config is not None:
            return {"result": float(data)}
        converted = ConvertedData(self.__config["name"], self.__config.get("type", "default"))
        fields = data.decode().strip().split(",")
        for point, field in zip(self.__config.get(TIMESERIES_PARAMETER, self.__config.get(TELEMETRY_PARAMETER, [])), fields):
            key = TBUtility.convert_key_to_datapoint_key(point["key"], self.__strategy, point, self._log)
            converted.add_to_telemetry(TelemetryEntry({key: float(field)}))
        converted.add_to_attributes(DatapointKey("raw"), data.hex())
        return converted
