"""`Converter` as files of the other gateway know it: an interface, without a constructor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from common.compat.loggers import log_of

__all__ = ["ABC", "Converter", "abstractmethod", "log"]

log = log_of("converter")
"""Files of 2.x log by this one."""


class Converter(ABC):
    """The base of users' converters; how `convert` is called depends on what the constructor takes."""

    @abstractmethod
    def convert(self, config: Any, data: Any) -> Any:
        """As `common.converters.Converter.convert`."""
