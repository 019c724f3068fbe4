"""A connector in the style of 2.x: a thread first, two arguments everywhere, and a loop that nothing ends."""

import time
from threading import Thread

from thingsboard_gateway.connectors.connector import Connector, log


class GpioConnector(Thread, Connector):
    def __init__(self, gateway, config, connector_type):
        super().__init__()
        self.daemon = True
        self.setName(config.get("name", "GPIO"))
        self.statistics = {"MessagesReceived": 0, "MessagesSent": 0}
        self.stopped = False
        self.__gateway = gateway
        self.__config = config
        self.__pins = {}
        if config["deviceName"] not in self.__gateway.get_devices():
            self.__gateway.add_device(config["deviceName"], {"connector": self})

    def open(self):
        self.stopped = False
        self.start()

    def run(self):
        count = 0
        while True:
            count += 1
            for pin in self.__config["pins"]:
                value = (count // 10) % 2
                if self.__pins.get(pin["key"]) != value:
                    self.__pins[pin["key"]] = value
                    result = {
                        "deviceName": self.__config["deviceName"],
                        "deviceType": "gpio",
                        "telemetry": [{pin["key"]: value}],
                        "attributes": [],
                    }
                    log.debug(result)
                    self.__gateway.send_to_storage(self.get_name(), result)
                    self.statistics["MessagesSent"] += 1
            time.sleep(0.01)

    def close(self):
        self.stopped = True

    def get_name(self):
        return self.name

    def is_connected(self):
        pass

    def on_attributes_update(self, content):
        log.info(content)

    def server_side_rpc_handler(self, content):
        method = content["data"]["method"]
        if method == "set":
            self.__gateway.send_rpc_reply(content["device"], content["data"]["id"], {"success": True})
        else:
            reply = {method: f"Error, no method {method}"}
            self.__gateway.send_rpc_reply(content["device"], content["data"]["id"], reply)
