"""Loggers as files of the other gateway use them; what they say goes the way of all log lines of the process."""

from __future__ import annotations

import logging
from typing import Any, Final

__all__ = ["TRACE_LOGGING_LEVEL", "TbLogger", "init_logger"]

TRACE_LOGGING_LEVEL: Final = 5


class TbLogger(logging.Logger):
    """A logger with `trace`, `stop` and `reset`. The last two end what there is none of here, and do nothing more."""

    is_connector_logger = False
    is_converter_logger = False
    attr_name = ""
    errors = 0

    def trace(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Logs below DEBUG."""
        if self.isEnabledFor(TRACE_LOGGING_LEVEL):
            self._log(TRACE_LOGGING_LEVEL, msg, args, **kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """As ever; `attr_name`, by which errors are counted there, is taken and left alone."""
        kwargs.pop("attr_name", None)
        super().error(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """As `error`, with the traceback."""
        self.error(msg, *args, **{"exc_info": True, **kwargs})

    def stop(self) -> None:
        """Lets go of its own handlers; it goes on to log by those of the process."""
        self.handlers.clear()

    def reset(self) -> None:
        """Counts errors from 0 again, where they are counted."""


def use_tb_loggers() -> None:
    """Each logger that is made from now on is a `TbLogger`, as in the other gateway's process."""
    logging.addLevelName(TRACE_LOGGING_LEVEL, "TRACE")
    logging.setLoggerClass(TbLogger)


def log_of(name: str) -> logging.Logger:
    """The logger of this name, a `TbLogger` unless somebody has made it before as something else."""
    use_tb_loggers()
    return logging.getLogger(name)


def init_logger(gateway: Any = None, name: Any = None, level: Any = None, *_: Any, **_unused: Any) -> logging.Logger:
    """A logger of that name at that level: its word or its number; for what is neither, or None, the process's own.

    Keywords differ from version to version: all are taken. Whether and where lines are sent says the configuration.
    """
    logger = log_of(str(name))
    number = logging.getLevelName(level.upper()) if isinstance(level, str) else level
    if isinstance(level, str) and level.upper() == "NONE":
        number = logging.CRITICAL + 1
    is_level = isinstance(number, int) and not isinstance(number, bool)
    logger.setLevel(number if is_level else logging.NOTSET)
    return logger
