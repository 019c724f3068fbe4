class PressConverter:
    def __init__(self, config, logger):
        self.config = config

    def convert(self, config, data):
        return {}
