"""What can go wrong, typed by whose fault it is. Attributes carry the facts; str() is the sentence for a person."""

from __future__ import annotations


class GatewayError(Exception):
    """The root of every error that serialgw raises on purpose."""


class ConfigError(GatewayError):
    """A configuration that can't be used: exit code 78, no restart.

    `problems` holds one finished sentence per problem, in the order of the file; `warnings` what else was noticed.
    """

    def __init__(self, problems: list[str], warnings: list[str] | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.warnings = warnings or []


class WireError(GatewayError):
    """Bytes from a socket that are no message of ours."""


class LinkError(GatewayError):
    """A port, a socket or the platform that can't be reached now."""


class ConversionError(GatewayError):
    """A frame, an answer or params from which no value can be made; says why."""


def printable(text: str) -> str:
    """Text that can be written as UTF-8: users, devices and platforms may say lone surrogates."""
    return text.encode(errors="backslashreplace").decode()
