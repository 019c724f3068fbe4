"""A file beside it by its bare name, and in a circle."""
from frame_tools import checked, is_same


class BareConverter:
    def __init__(self, config, logger):
        self._config = config

    def convert(self, config, data):
        return {"deviceName": self._config["name"], "telemetry": [{"sum": checked(data), "same": is_same(self)}]}
