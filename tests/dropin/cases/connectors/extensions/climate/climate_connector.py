"""A connector in the style of 3.4: three arguments, loggers of the gateway's own, siblings by the package's name."""

import time
from threading import Thread

from thingsboard_gateway.connectors.climate.climate_sensor import ClimateSensor
from thingsboard_gateway.connectors.connector import Connector
from thingsboard_gateway.gateway.statistics_service import StatisticsService
from thingsboard_gateway.tb_utility.tb_loader import TBModuleLoader
from thingsboard_gateway.tb_utility.tb_logger import init_logger


class ClimateConnector(Connector, Thread):
    def __init__(self, gateway, config, connector_type):
        super().__init__()
        self.daemon = True
        self.__gateway = gateway
        self.__config = config
        self.__id = config.get("id")
        self._connector_type = connector_type
        self.name = config.get("name", "Climate")
        self.__log = init_logger(gateway, self.name, config.get("logLevel", "INFO"))
        self.__stopped = False
        self.__connected = False
        self.__sensor = ClimateSensor()
        converter = config.get("converter")
        self.__converter = TBModuleLoader.import_module(connector_type, converter) if converter else None

    def open(self):
        self.__stopped = False
        self.start()

    @StatisticsService.CollectAllReceivedBytesStatistics("allBytesFromDevices")
    def read(self, sensor, name):
        return sensor.read()

    def run(self):
        self.__connected = True
        while not self.__stopped:
            temperature, humidity = self.read(self.__sensor, self.name)
            if isinstance(self.__converter, type):
                data = self.__converter.convert(None, self.__config, (temperature, humidity))
            else:
                data = {
                    "deviceName": self.__config["deviceName"],
                    "deviceType": "climate",
                    "telemetry": [
                        {"ts": int(time.time() * 1000), "values": {"temperature": temperature, "humidity": humidity}}
                    ],
                    "attributes": [{"unit": "C"}],
                }
            StatisticsService.count_connector_message(self.name, stat_parameter_name="storageMsgPushed")
            self.__gateway.send_to_storage(self.get_name(), self.get_id(), data)
            time.sleep(0.1)

    def close(self):
        self.__stopped = True
        self.__connected = False
        self.__log.reset()
        self.__log.stop()

    def get_id(self):
        return self.__id

    def get_name(self):
        return self.name

    def get_type(self):
        return self._connector_type

    def get_config(self):
        return self.__config

    def is_connected(self):
        return self.__connected

    def is_stopped(self):
        return self.__stopped

    def on_attributes_update(self, content):
        self.__log.trace("attributes %s", content)

    def server_side_rpc_handler(self, content):
        # Of the connector itself when there is no device in it; of a device it only returns, which is no answer.
        if "device" in content:
            return {"ignored": content["data"]["method"]}
        if content["method"] == "nothing":
            return None
        return {"qos": 1, "method": content["method"], "params": content["params"]}
