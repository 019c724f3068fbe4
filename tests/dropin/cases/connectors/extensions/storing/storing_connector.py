"""A connector that stores numbers as fast as it is told, and writes down each that it was told is stored."""

import os
import time
from threading import Thread

from thingsboard_gateway.connectors.connector import Connector
from thingsboard_gateway.gateway.constant_enums import Status


class StoringConnector(Thread, Connector):
    def __init__(self, gateway, config, connector_type):
        super().__init__()
        self.daemon = True
        self._connector_type = connector_type
        self.__gateway = gateway
        self.__config = config
        self.__stopped = False

    def open(self):
        self.start()

    def run(self):
        period = 1.0 / self.__config["rate"]
        per_call = self.__config.get("perCall", 1)
        path = self.__config["ledger"]
        ledger = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        said = os.pread(ledger, os.fstat(ledger).st_size, 0).split()
        # Each life begins with a million of its own, so that a number that was never said to be stored is no gap.
        number = int(said[-1]) // 1_000_000 * 1_000_000 + 1_000_000 if said else 0
        due = time.monotonic()
        while not self.__stopped:
            values = [{"n": number + i} for i in range(1, per_call + 1)]
            data = {"deviceName": self.__config["device"], "telemetry": values}
            if self.__gateway.send_to_storage(self.name, data) is Status.SUCCESS:
                os.write(ledger, b"".join(b"%d\n" % value["n"] for value in values))
            number += per_call
            due += period * per_call
            time.sleep(max(0.0, due - time.monotonic()))

    def close(self):
        self.__stopped = True

    def get_name(self):
        return self.name

    def is_connected(self):
        return True

    def on_attributes_update(self, content):
        pass

    def server_side_rpc_handler(self, content):
        pass
