"""A connector that asks the platform for attributes, in all forms, and says as attributes what it has heard."""

from thingsboard_gateway.connectors.connector import Connector


class AskingConnector(Connector):
    def __init__(self, gateway, config, connector_type):
        self._gateway = gateway
        self._config = config

    def open(self):
        for device in self._config["devices"]:
            self._gateway.add_device(device, {"deviceName": device, "deviceType": "valve"})

    def get_device_shared_attributes_keys(self, device_name):
        return self._config["wants"].get(device_name, ())

    def on_attributes_update(self, content):
        self._say(content["device"], "heard", content["data"])

    def server_side_rpc_handler(self, content):
        device, method = content["device"], content["data"]["method"]
        client = self._gateway.tb_client.client

        def plain(answer, error):
            self._say(device, "plain", {"answer": answer, "error": error})

        def with_more(answer, error, more):
            self._say(device, "more", {"answer": answer, "error": error, "more": more})

        asked = {
            "shared": lambda: client.gw_request_shared_attributes(device, ["limit", "mode"], plain),
            "client": lambda: client.gw_request_client_attributes(device, ["firmware"], (with_more, "extra")),
            "raising": lambda: client.gw_request_client_attributes(device, ["firmware"], lambda *_: 1 / 0),
            "nothing": lambda: client.gw_request_shared_attributes(device, [], plain),
            "uncalled": lambda: client.gw_request_shared_attributes(device, ["limit"], None),
        }[method]()
        result = {"asked": bool(asked), "rc": asked.get() if asked else -1}
        self._gateway.send_rpc_reply(device, content["data"]["id"], result)

    def _say(self, device, key, value):
        data = {"deviceName": device, "deviceType": "valve", "attributes": [{key: value}]}
        self._gateway.send_to_storage(self.get_name(), self.get_id(), data)

    def close(self):
        pass

    def get_name(self):
        return self.name

    def is_connected(self):
        return True
