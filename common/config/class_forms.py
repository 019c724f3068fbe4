"""What a class does, as a digest: so an unchanged copy of a published class is told from one that somebody has changed.

Whoever has followed the other gateway's guide has copies of its classes beside the configuration. What an unchanged one
does our own code does; a changed one is its author's, and runs.
"""

from __future__ import annotations

import ast
import hashlib
import json
from typing import Any, Final

SHIPPED: Final = frozenset(
    {
        "cb758ae80e622206",
        "0fe0b391e3ce6ec0",
        "810fa2d9ef305240",
        "adc623747c6d17c0",
        "36cb5a58a7a21524",
        "71603050aa97d6b4",
        "e433f01fe2527cbe",
        "73a1b5ac373b6629",
        "0c37ca29ad51b52e",
        "cfbc38b5692e8b0b",
        "c7af422f1e6e149c",
        "25dabcf000a224b4",
        "77bf28423def6019",
        "fa0f816899a0c10f",
        "931c36cb72222ad7",
        "47453c1472475f70",
        "a2ae4def431a7a0b",
        "db7816627773868e",
        "75260bd7f5f74453",
        "e93078315b7748e5",
        "007af6de7acdf965",
        "ceb564090bcaeab4",
        "8c8018a7ef1008bb",
    }
)
"""`form_of` each version of the serial connector that ThingsBoard IoT Gateway has had among its extensions and in its
packages, from November 2019 to February 2026, and of the class of its devices, which is beside it since 2025."""
SHIPPED_CONVERTERS: Final = frozenset({"f7ac247a1c255ddb", "2ad73b5ecb793bb4"})
"""`form_of` its two converters that are called as ours are, since January 2025."""


def form_of(node: ast.ClassDef) -> str:
    """A digest of what a class does: the same with other comments, docstrings and line breaks, another where anything
    else is changed, and the same for each version of Python."""
    return hashlib.sha256(json.dumps(_form(node)).encode()).hexdigest()[:16]


def _form(node: Any) -> Any:
    if isinstance(node, ast.AST):
        fields = []
        for name, value in ast.iter_fields(node):
            said = value[1:] if name == "body" and _has_docstring(node) else value
            if said not in (None, []) and name not in ("kind", "type_comment", "ctx"):
                fields.append([name, _form(said)])
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [_form(part) for part in node]
    return repr(node)


def _has_docstring(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return ast.get_docstring(node, clean=False) is not None
