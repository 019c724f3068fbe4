"""A text protocol over a serial line, in which a connector uses every member that the gateway offers, in all forms."""

import json
import os
from threading import Thread

import serial
from thingsboard_gateway.connectors.connector import Connector
from thingsboard_gateway.gateway.constant_enums import Status


class TextConnector(Connector, Thread):
    def __init__(self, gateway, config, connector_type):
        Thread.__init__(self, daemon=True)
        self._gateway = gateway
        self._config = config
        self._connector_type = connector_type
        self._results = {}
        self._stopped = False
        self._port = None

    def open(self):
        self._port = serial.Serial(self._config["port"], timeout=0.1)
        self._use_members()
        self.start()

    def _use_members(self):
        gateway, results = self._gateway, self._results
        results["add 2.0"] = gateway.add_device("Old", {"connector": self}, False)
        results["add 2.4"] = gateway.add_device("Older", {"connector": self}, True, "older")
        results["add 3"] = gateway.add_device("New", {"deviceName": "New", "deviceType": "new"}, "new")
        results["add 3 keywords"] = gateway.add_device(device_name="Newer", content={"deviceType": "newer"})
        results["add async"] = gateway.add_device_async({"deviceName": "Async", "deviceType": "async"}).name
        results["del async"] = gateway.del_device_async({"deviceName": "Async"}).name
        results["del nobody async"] = gateway.del_device_async({"deviceName": "Nobody"}).name
        results["devices"] = {name: one["deviceType"] for name, one in gateway.get_devices().items()}
        results["devices are mine"] = all(one["connector"] is self for one in gateway.get_devices().values())
        results["devices by id"] = sorted(gateway.get_devices(connector_id=self.get_id()))
        gateway.del_device("Old")
        gateway.del_device({"deviceName": "Older"})
        gateway.update_device("New", "connector", self)
        results["store 2"] = gateway.send_to_storage(self.name, self._data("New", {"form": 2})) is Status.SUCCESS
        results["store 3"] = gateway.send_to_storage(self.name, self.get_id(), self._data("New", {"form": 3})).name
        results["store keywords"] = gateway.send_to_storage(
            connector_name=self.name, connector_id=self.get_id(), data=self._data("New", {"form": 4})
        ).name
        results["store nothing"] = gateway.send_to_storage(self.name, self.get_id(), {"deviceName": "New"}).name
        results["store unnamed"] = gateway.send_to_storage(self.name, {"telemetry": [{"a": 1}]}).name
        results["store own"] = gateway.send_to_storage(self.name, self._data(gateway.name, {"a": 1})).name
        reused = self._data("New", {"ts": 1700000000000, "values": {"form": 5}})
        gateway.send_to_storage(self.name, reused)
        results["reused"] = reused["telemetry"]
        results["path"] = gateway.get_config_path()
        results["strategies"] = gateway.get_report_strategy_service()
        results["version"] = bool(gateway.version)
        results["stopped"] = gateway.stopped or gateway.stop_event.is_set()
        results["by name"] = list(gateway.available_connectors_by_name)
        results["by id"] = list(gateway.available_connectors_by_id) == [self.get_id()]
        results["available"] = list(gateway.get_available_connectors())
        results["connector devices"] = sorted(gateway.get_connector_devices(self))
        results["status"] = gateway.get_connector_status(self.name)
        results["config"] = gateway.get_connector_config(self.name)["port"] == self._config["port"]
        results["gateway status"] = sorted(gateway.get_status())
        results["latency"] = gateway.is_latency_metrics_enabled()
        results["payload"] = gateway.get_max_payload_size_bytes() > 0
        results["connected"] = isinstance(gateway.tb_client.is_connected(), bool)
        results["type"] = self.get_type()
        results["secrets"] = [name for name in os.environ if name.startswith("TB_GW_")]
        client = gateway.tb_client.client
        results["ask shared"] = client.gw_request_shared_attributes("New", ["a"], print).get()
        results["ask client"] = client.gw_request_client_attributes("New", ["a", "b"], (print, "more")).rc()
        results["ask for nothing"] = client.gw_request_client_attributes("New", [], print)
        for name, call in {
            "unknown": lambda: gateway.subscribe_to_required_topics(),
            "request": lambda: gateway.tb_client.client.gw_send_attributes("New", {"a": 1}),
        }.items():
            try:
                call()
            except AttributeError as error:
                results[name] = str(error)
        with open(self._config["results"], "w") as file:
            json.dump(results, file)

    @staticmethod
    def _data(device, values):
        return {"deviceName": device, "deviceType": "new", "telemetry": [values]}

    def run(self):
        while not self._stopped:
            line = self._port.readline().decode().strip()
            if line:
                key, _, value = line.partition("=")
                self._gateway.send_to_storage(self.name, self.get_id(), self._data("New", {key: float(value)}))

    def close(self):
        self._stopped = True

    def get_name(self):
        return self.name

    def is_connected(self):
        return self._port is not None and self._port.is_open

    def is_stopped(self):
        return self._stopped and not self.is_alive()

    def on_attributes_update(self, content):
        for key, value in content["data"].items():
            self._port.write(f"{key}={value}\n".encode())

    def server_side_rpc_handler(self, content):
        device, number, method = content["device"], content["data"]["id"], content["data"]["method"]
        reply = self._gateway.send_rpc_reply
        forms = {
            "positional": lambda: reply(device, number, {"value": 1}),
            "keywords": lambda: reply(device=device, req_id=number, content={"value": 2}),
            "text": lambda: reply(device, str(number), '{"value": 3}'),
            "plain": lambda: reply(device, number, "done"),
            "number": lambda: reply(device, number, 4),
            "sent": lambda: reply(device, number, success_sent=True),
            "not sent": lambda: reply(device, number, success_sent=False),
            "sent with": lambda: reply(device, number, {"value": 5}, success_sent=True),
            "sent error": lambda: reply(device, number, {"error": "no"}, success_sent=False),
            "result": lambda: reply(device, number, {"result": {"value": 6}}, success_sent=True),
            "waiting": lambda: reply(device, number, {"value": 7}, wait_for_publish=True, quality_of_service=1),
            "twice": lambda: (reply(device, number, {"value": 8}), reply(device, number, {"value": 9})),
        }
        if method == "returned error":
            return {"error": "returned"}
        if method == "raised":
            raise ValueError("raised")
        if method == "line":
            self._port.write(f"{content['data']['params']}\n".encode())
            reply(device, number, {"success": True})
        elif method in forms:
            forms[method]()
        return {"ignored": True}
