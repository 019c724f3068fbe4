"""A connector in the style of 3.8: no Thread base, everything by keywords, itself in what it stores."""

import logging
import time
from threading import Event, Thread

from thingsboard_gateway.connectors.connector import Connector


class DemoConnector(Connector):
    def __init__(self, gateway, config, connector_type):
        super().__init__()
        self.__gateway = gateway
        self.__config = config
        self._connector_type = connector_type
        self.__stop = Event()
        self.__log = logging.getLogger(__name__)
        self.__values = {}
        self.__thread = None

    def open(self):
        for device in self.__config["devices"]:
            content = {"deviceName": device["name"], "deviceType": device["type"]}
            self.__gateway.add_device(device_name=device["name"], content=content, device_type=device["type"])
        self.__thread = Thread(target=self.__run, daemon=True)
        self.__thread.start()

    def __run(self):
        count = 0
        while not self.__stop.wait(self.__config.get("pollPeriod", 0.1)):
            count += 1
            for device in self.__config["devices"]:
                data = {
                    "deviceName": device["name"],
                    "deviceType": device["type"],
                    "connector": self,
                    "telemetry": [{"ts": int(time.time() * 1000), "values": {"temperature": 21.5, "count": count}}],
                    "attributes": [{"firmware": "1.0"}, {"serial": device["name"]}],
                }
                self.__gateway.send_to_storage(self.get_name(), self.get_id(), data)

    def server_side_rpc_handler(self, content):
        self.__log.info("RPC %s", content)
        data = content["data"]
        device = content["device"]
        if data["method"] == "getValue":
            reply = {"value": self.__values.get(device, 0), "timestamp": 1}
        elif data["method"] == "setValue":
            self.__values[device] = data["params"]
            reply = {"success": True, "value": data["params"]}
        else:
            reply = {"error": f"unknown method {data['method']}"}
        self.__gateway.send_rpc_reply(device=device, req_id=data["id"], content=reply)

    def on_attributes_update(self, content):
        data = {"deviceName": content["device"], "telemetry": [], "attributes": {"seen": content["data"]}}
        self.__gateway.send_to_storage(self.get_name(), self.get_id(), data)

    def close(self):
        self.__stop.set()

    def get_name(self):
        return self.name

    def is_connected(self):
        return True

    def is_stopped(self):
        return self.__stop.is_set()
