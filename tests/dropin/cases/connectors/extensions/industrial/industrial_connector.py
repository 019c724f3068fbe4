"""A connector in the style of 3.8: a converter by the loader, `ConvertedData`, counted by its own counters."""

import time
from threading import Event, Thread

from thingsboard_gateway.connectors.connector import Connector
from thingsboard_gateway.gateway.statistics.decorators import CollectStatistics
from thingsboard_gateway.gateway.statistics.statistics_service import StatisticsService
from thingsboard_gateway.tb_utility.tb_loader import TBModuleLoader
from thingsboard_gateway.tb_utility.tb_logger import init_logger


class IndustrialConnector(Thread, Connector):
    def __init__(self, gateway, config, connector_type):
        super().__init__(daemon=True)
        self._gateway = gateway
        self._config = config
        self._connector_type = connector_type
        self._stop_event = Event()
        self._log = init_logger(
            gateway, config["name"], "INFO", enable_remote_logging=False, is_connector_logger=True, attr_name=config["name"]
        )
        found = TBModuleLoader.import_module(connector_type, "IndustrialUplinkConverter")
        if isinstance(found, list):
            raise RuntimeError(f"no converter: {found}")
        self._uplink = found(config, self._log)
        self._downlink = TBModuleLoader.import_module(connector_type, "IndustrialDownlinkConverter")(config, self._log)

    def open(self):
        self.start()

    def run(self):
        pins = 0
        while not self._stop_event.wait(0.1):
            pins += 1
            self._store(self._uplink.convert(None, {"ts": int(time.time() * 1000), "pins": pins}))

    @CollectStatistics(start_stat_type="allReceivedBytesFromTB", end_stat_type="allBytesSentToDevices")
    def _write(self, content, data):
        return data

    def _store(self, converted):
        if converted.telemetry_datapoints_count > 0 or converted.attributes_datapoints_count > 0:
            StatisticsService.count_connector_message(self.name, "convertersTsProduced", count=1)
            self._gateway.send_to_storage(self.get_name(), self.get_id(), converted)

    def close(self):
        self._stop_event.set()

    def get_name(self):
        return self.name

    def get_config(self):
        return self._config

    def is_connected(self):
        return self.is_alive()

    def is_stopped(self):
        return self._stop_event.is_set()

    def on_attributes_update(self, content):
        self._log.debug("%s", content)

    def server_side_rpc_handler(self, content):
        data = self._downlink.convert(content, content["data"])
        if data is None:
            self._gateway.send_rpc_reply(
                content["device"], content["data"]["id"], {"error": "no such output"}, success_sent=False
            )
            return
        self._write(content, data)
        self._gateway.send_rpc_reply(
            device=content["device"],
            req_id=content["data"]["id"],
            content={"result": data},
            wait_for_publish=True,
            quality_of_service=1,
        )
