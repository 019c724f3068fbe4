"""Secrets that stand in files of their own: TB_GW_ACCESS_TOKEN_FILE and its like name them, as container secrets do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.config.findings import Findings, show
from common.config.names import SECRET_FILE_SUFFIX, SECRET_VARIABLES

MAX_SECRET_BYTES = 16_384
UNREAD = "unread"
"""Stands for the content where nobody needs it: enough for the configuration to be found complete."""


def with_secret_files(
    environ: Mapping[str, str], folder: Path, findings: Findings, *, read_them: bool
) -> Mapping[str, str]:
    """The environment with each secret that a `…_FILE` variable names under its own variable, which wins if it is set.

    Relative names are taken from `folder`. White space around the content is not part of it. Unless `read_them`, the
    files are only opened, and their content is UNREAD. A file that can't be read is a problem; no message shows what
    stands in one. Raises nothing.
    """
    found = {}
    for name in SECRET_VARIABLES:
        file = environ.get(name + SECRET_FILE_SUFFIX)
        if file and not environ.get(name):
            found[name] = _content(name + SECRET_FILE_SUFFIX, folder, file, findings, read_it=read_them) or UNREAD
    return {**environ, **found}


def _content(variable: str, folder: Path, file: str, findings: Findings, *, read_it: bool) -> str:
    """What stands in the file; "" where it was not read, or where a problem was noted."""
    try:
        with (folder / file).open("rb") as opened:
            content = opened.read(MAX_SECRET_BYTES + 1) if read_it else b""
        text = content.decode().strip()
    except OSError as error:
        reason = error.strerror or "it can't be read"
    except UnicodeDecodeError:
        reason = "what stands in it is not UTF-8"
    except ValueError:
        reason = "a name that no file can have"
    else:
        if not read_it or (text and len(content) <= MAX_SECRET_BYTES and text.isprintable()):
            return text
        reason = "more than one line, or too long" if text else "it is empty"
    findings.problem("environment", variable, f"{show(file)} ({reason})", "a readable file that holds the secret alone")
    return ""
