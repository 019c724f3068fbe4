"""The processes of the gateway, and its command line.

Others have packages called `common` too, perhaps in the folder in which somebody starts a process. Whoever has found
this package shall have the one that belongs to it.
"""

import os as _os
import sys as _sys


def _pin_common() -> None:
    """Makes the `common` beside us the one that everyone imports."""
    if "common" in _sys.modules:
        return
    from importlib.machinery import PathFinder
    from types import ModuleType

    spec = PathFinder.find_spec("common", [_os.path.dirname(_os.path.dirname(_os.path.abspath(__file__)))])
    if spec is None or spec.loader is None:
        return
    module = ModuleType("common")
    module.__spec__, module.__file__, module.__path__ = spec, spec.origin, spec.submodule_search_locations or []
    module.__package__, module.__loader__ = "common", spec.loader
    _sys.modules["common"] = module


_pin_common()
