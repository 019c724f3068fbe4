from thingsboard_gateway.connectors.converter import Converter


class Base(Converter):
    pass


class PressConverter(Base):
    def translate(self, config, data):
        return {}
