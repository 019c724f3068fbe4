"""Everything that TBUtility, the loader and init_logger are called for."""
import logging

from thingsboard_gateway.gateway.constants import *
from thingsboard_gateway.gateway.entities.converted_data import ConvertedData
from thingsboard_gateway.gateway.statistics.decorators import CollectStatistics
from thingsboard_gateway.gateway.statistics.statistics_service import StatisticsService
from thingsboard_gateway.tb_utility.tb_loader import TBModuleLoader
from thingsboard_gateway.tb_utility.tb_logger import init_logger
from thingsboard_gateway.tb_utility.tb_utility import TBUtility

try:
    import msgpack
except ImportError:
    TBUtility.install_package("msgpack")
    import msgpack


class UtilitiesConverter:
    def __init__(self, config, logger):
        self.config = config
        self.log = init_logger(None, "utilities", "DEBUG", enable_remote_logging=False, is_converter_logger=True, connector_name="x")
        self.other = TBModuleLoader.import_module("Serial", "NoArgumentConverter")
        self.none = TBModuleLoader.import_module("serial", "NobodysConverter")

    @CollectStatistics(start_stat_type="receivedBytesFromDevices", end_stat_type="convertedBytesFromDevice")
    def convert(self, config, data):
        body = TBUtility.decode(data)
        converted = ConvertedData(TBUtility.get_value("${id}", body), self.config.get(DEVICE_TYPE_PARAMETER, "default"))
        converted.add_to_telemetry("level", TBUtility.get_value("${tank.level}", body, "int"))
        converted.add_to_telemetry({"other": self.other.__name__, "none": self.none == [], "installed": TBUtility.install_package("msgpack")})
        StatisticsService.count_connector_message("x", "convertersMsgProcessed")
        self.log.trace("%s", converted)
        self.log.stop()
        self.log.reset()
        self.log.info("utilities says %s", converted.device_name)
        logging.getLogger("anybody").trace("%s", converted.telemetry_datapoints_count)
        logging.getLogger("anybody").info("anybody says %s", converted.device_name)
        return converted if TBUtility.validate_converted_data(converted) else None
