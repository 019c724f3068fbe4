"""A connector that does, on demand, what none should do."""

import ctypes
import os
import time
from threading import Thread

from thingsboard_gateway.connectors.connector import Connector


class RoughConnector(Connector):
    def __init__(self, gateway, config, connector_type):
        self._gateway = gateway
        self._config = config
        self._stopped = False
        once = config.get("once")
        first = once is not None and not os.path.exists(once)
        if first:
            open(once, "w").close()
        if config.get("constructor") == "raises" or (first and config.get("constructor") == "raises once"):
            raise OSError("no such bus")

    def open(self):
        self._gateway.add_device(self._config["device"], {"connector": self}, "rough")
        self._gateway.send_to_storage(self.name, {"deviceName": self._config["device"], "telemetry": [{"opened": time.time()}]})
        if self._config.get("thread") == "raises":
            Thread(target=self._raises, daemon=True).start()
        if self._config.get("thread") == "floods":
            for _ in range(4):
                Thread(target=self._floods, daemon=True).start()

    def _raises(self):
        time.sleep(0.2)
        raise RuntimeError("the bus is gone")

    def _floods(self):
        number = 0
        while not self._stopped:
            number += 1
            data = [{"deviceName": self._config["device"], "telemetry": [{"flood": number}]}] * 50
            self._gateway.send_to_storage(self.name, data)
            print("flood", number)

    def close(self):
        if self._config.get("close") == "never":
            while True:
                time.sleep(60)

    def get_name(self):
        return self.name

    def is_connected(self):
        return True

    def is_stopped(self):
        return self._config.get("close") != "says no"

    def on_attributes_update(self, content):
        if "hang" in content["data"]:
            time.sleep(3600)

    def server_side_rpc_handler(self, content):
        method = content["data"]["method"]
        if method == "hang":
            time.sleep(3600)
        elif method == "exit":
            os._exit(3)
        elif method == "crash":
            ctypes.string_at(0)
        elif method == "hold":
            # In C code that does not let the interpreter go.
            ctypes.PyDLL(None).sleep(content["data"]["params"])
        elif method == "spin":
            # In C code that does not let the interpreter go either, and takes a core by itself.
            sum(range(int(content["data"]["params"] * 1e8)))
        elif method == "flood":
            self._stopped = False
            Thread(target=self._floods, daemon=True).start()
        elif method == "end flood":
            self._stopped = True
        self._gateway.send_rpc_reply(content["device"], content["data"]["id"], {"done": method})
