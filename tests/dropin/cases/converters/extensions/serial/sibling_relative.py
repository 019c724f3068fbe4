"""A file beside it by a relative import, also as a name of the package."""
from . import frame_tools
from .frame_tools import checked


class RelativeConverter:
    def __init__(self, config, logger=None):
        assert checked is frame_tools.checked
        self._log = logger

    def convert(self, config, data):
        return {"telemetry": [{"sum": checked(data)}, {"sum": 7}]}
