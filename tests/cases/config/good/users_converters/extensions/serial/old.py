from thingsboard_gateway.connectors.converter import Converter


class OldConverter(Converter):
    def convert(self, config, data):
        return {}
