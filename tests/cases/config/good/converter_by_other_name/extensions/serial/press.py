from json.decoder import JSONDecoder as ImportedConverter

try:
    import no_such_module_here
except ImportError:

    class NestedConverter:
        def convert(self, config, data):
            return {}


AssignedConverter = ImportedConverter
