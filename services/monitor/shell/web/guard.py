"""What every request passes before it reaches a route, and what every answer carries.

The core's `Access` decides; here stands what that needs of HTTP, and the bounds of what a request may cost.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.monitor.core.access import SAFE, Access, Asked, cookies_in

MOST_BODY_BYTES: Final = 64 * 1024
"""Of a request: calls and configurations are smaller."""
MOST_CONFIG_BYTES: Final = 2 * 1024 * 1024
"""Of a request with files of the configuration: 64 devices are some 100 KiB. Only who may edit can send one."""
CONFIG_PATHS: Final = frozenset({"/api/config", "/api/config/check"})
MOST_WRITES: Final = 5
"""Requests a second that may change something: a person's, with room for a script."""
SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""A device's bytes are shown to a person here: whatever stands in them, nothing of it is ever run or fetched."""


class Guard:
    """Wraps all routes of one listening socket."""

    def __init__(self, routes: ASGIApp, access: Access, *, is_private: bool) -> None:
        """`is_private`: the socket is the Unix socket, which only the gateway's own user can open."""
        self._routes = routes
        self._access = access
        self._is_private = is_private
        self._writes: deque[float] = deque(maxlen=MOST_WRITES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or hands on with the role in `scope["state"]["role"]`."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        refusal = self._refusal(request)

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                more = [(n.encode(), v.encode()) for n, v in SECURITY_HEADERS.items() if n.encode() not in names]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        if refusal is not None:
            await refusal(scope, receive, secured)
            return
        try:
            await self._routes(scope, _bounded(receive, most_bytes(request)), secured)
        except _TooLarge:
            await refused(413, f"expected at most {most_bytes(request)} bytes")(scope, receive, secured)

    def _refusal(self, request: Request) -> Response | None:
        headers, now_s = request.headers, time.monotonic()
        client = request.client
        asked = Asked(
            method=request.method,
            path=request.url.path,
            host=headers.get("host", ""),
            origin=headers.get("origin", ""),
            fetch_site=headers.get("sec-fetch-site", ""),
            fetch_dest=headers.get("sec-fetch-dest", ""),
            content_type=headers.get("content-type", ""),
            authorization=headers.get("authorization", ""),
            cookie=cookies_in(headers.get("cookie", "")).get(self._access.cookie_name, ""),
            address="" if self._is_private else (client.host if client else "unknown"),
        )
        verdict = self._access.decide(asked, now_s, time.time())
        if verdict.status != 200:
            return refused(verdict.status, verdict.sentence)
        if request.method not in SAFE:
            if len(self._writes) == MOST_WRITES and now_s < self._writes[0] + 1.0:
                return refused(429, f"more than {MOST_WRITES} requests a second that change something")
            self._writes.append(now_s)
        length = headers.get("content-length", "0")
        most = most_bytes(request)
        if not length.isdigit() or len(length) > 9 or int(length) > most:
            return refused(413, f"found a body of {length[:20]} bytes, expected at most {most}")
        request.state.role = verdict.role
        return None


class _TooLarge(Exception):  # noqa: N818 (it is an answer)
    """A body without a length that has grown too large."""


def most_bytes(request: Request) -> int:
    """Of the body of such a request."""
    is_config = request.method == "POST" and request.url.path in CONFIG_PATHS
    return MOST_CONFIG_BYTES if is_config else MOST_BODY_BYTES


def _bounded(receive: Receive, most: int) -> Receive:
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise _TooLarge
        return message

    return bounded


def refused(status: int, sentence: str) -> Response:
    """An answer that says why not."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": sentence}, status, headers)
