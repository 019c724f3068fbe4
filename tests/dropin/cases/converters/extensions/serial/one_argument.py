"""2.x: one argument, the module's log, the section with each frame, a plain dict, statistics from the old path."""
from thingsboard_gateway.connectors.converter import Converter, log
from thingsboard_gateway.gateway.statistics_service import StatisticsService


class OneArgumentConverter(Converter):
    def __init__(self, config):
        self.__config = config
        self.result = {"deviceName": config.get("name"), "deviceType": config.get("deviceType", "default"), "attributes": [], "telemetry": []}

    @StatisticsService.CollectStatistics(start_stat_type="receivedBytesFromDevices", end_stat_type="convertedBytesFromDevice")
    def convert(self, config, data: bytes):
        keys = [point["key"] for point in config.get("telemetry")]
        self.result["telemetry"] = [{key: int(field)} for key, field in zip(keys, data.split(b";"))]
        self.result["attributes"] = [{"unit": "kg"}]
        log.debug("converted %s", self.result)
        return self.result
