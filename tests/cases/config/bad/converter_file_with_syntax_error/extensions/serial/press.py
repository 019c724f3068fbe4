class PressConverter:
    def convert(self, config, data)
        return {}
