"""The page's own files, which come with the program: read once, and answered with a tag, so that a browser asks for
each only once after an update."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from starlette.responses import PlainTextResponse, Response

FOLDER: Final = Path(__file__).resolve().parents[2] / "page"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _File(NamedTuple):
    content: bytes
    kind: str
    tag: str


class Files:
    """All of them; nothing else is ever read."""

    def __init__(self) -> None:
        self._files = {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}

    def answer(self, name: str, tag: str) -> Response:
        """One file; nothing but that it is the same where the browser has it."""
        found = self._files.get(name)
        if found is None:
            return PlainTextResponse("nothing is here\n", 404)
        headers = {"etag": found.tag, "cache-control": "no-cache"}
        if tag == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, headers={**headers, "content-type": found.kind})


def _read(path: Path) -> _File:
    content = path.read_bytes()
    return _File(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:20]}"')
