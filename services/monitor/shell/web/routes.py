"""The routes. All of them only look, but for logging in."""

from __future__ import annotations

import secrets
import time
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.monitor.core.access import COOKIE, COOKIE_S, Access
from services.monitor.core.gateway.snapshot import DeviceRow
from services.monitor.core.health import NAMES, as_lines, checks_of
from services.monitor.shell.web.exposition import TEXT, Exposition
from services.monitor.shell.web.guard import refused
from services.monitor.shell.web.news import News
from services.monitor.shell.web.stream import MOST_STREAMS, Stream
from services.monitor.shell.web.view import STALE_S, View

_CODE_BYTES: Final = 20


class Routes:
    """What is answered, from one view."""

    def __init__(self, view: View, news: News, access: Access, link: str) -> None:
        """`link`: where the page is on this machine; "" where nobody but the Unix socket listens."""
        self._view = view
        self._news = news
        self._link = link
        self._access = access
        self._exposition = Exposition(view)

    def app(self, *, is_private: bool) -> ASGIApp:
        """The application for one socket. `is_private`: only the gateway's own user can open that."""
        routes = [
            Route("/healthz", self.health),
            Route("/readyz", self.ready),
            Route("/readyz/device/{name:path}", self.ready_device),
            Route("/metrics", self.metrics),
            Route("/api/status", self.status),
            Route("/api/devices/{name:path}", self.device),
            Route("/api/stream", self.stream),
            Route("/login", self.login),
        ]
        if is_private:
            routes.append(Route("/api/code", self.code, methods=["POST"]))
        return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_allowed, 500: _crashed})

    async def health(self, request: Request) -> Response:
        """200 while the monitor goes round: it depends on no device and no platform, for who restarts what is not
        healthy must not restart a gateway whose cable was pulled."""
        if self._view.is_stale:
            return PlainTextResponse(f"the monitor has not gone round for {STALE_S:.0f} s\n", 503)
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """200 while every part does its work, but for those that are excluded."""
        excluded = request.query_params.getlist("exclude")
        if unknown := [name for name in excluded if name not in NAMES]:
            known = ", ".join(NAMES)
            return refused(400, f"exclude: found {unknown[0][:40]!r}, expected one of {known}")
        found = checks_of(self._view.snapshot, self._view.disk_free_bytes)
        checks = [check for check in found if check.name not in excluded]
        is_ready = all(check.is_well for check in checks) and not self._view.is_stale
        is_verbose = "verbose" in request.query_params
        if is_verbose and request.state.role == "none":
            return refused(401, "a token is needed to see more than one word")
        text = as_lines(checks) if is_verbose else "ready\n" if is_ready else "not ready\n"
        return PlainTextResponse(text, 200 if is_ready else 503)

    async def ready_device(self, request: Request) -> Response:
        """200 while what one device says reaches the platform."""
        row = self._row(request)
        if row is None:
            return self._no_device(request)
        if row.state.is_served:
            return PlainTextResponse(f"{row.state.word.replace('_', ' ')}\n")
        return PlainTextResponse(f"{row.state.word.replace('_', ' ')}: {row.state.reason}\n", 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self._exposition.text(), headers={"content-type": TEXT})

    async def status(self, request: Request) -> Response:
        """The document of `serialgw status --json`."""
        return _json(self._view.snapshot.show())

    async def device(self, request: Request) -> Response:
        """One device, with the process that serves it."""
        row = self._row(request)
        if row is None:
            return self._no_device(request)
        found = [process.show() for process in self._view.snapshot.processes if process.device == row.name]
        return _json({**row.show(), "process": found[0] if found else None})

    async def stream(self, request: Request) -> Response | Stream:
        if self._view.streams >= MOST_STREAMS:
            return refused(503, f"{MOST_STREAMS} pages listen already: close one")
        return Stream(self._view, self._news)

    async def code(self, request: Request) -> Response:
        """A code for a link that logs in once; over the Unix socket only."""
        role = request.query_params.get("role", "view")
        if role not in ("view", "edit"):
            return refused(400, f'role: found {role[:40]!r}, expected "view" or "edit"')
        code = secrets.token_urlsafe(_CODE_BYTES)
        if not self._access.add_code(code, "edit" if role == "edit" else "view", time.monotonic()):
            return refused(429, "too many links are open: use one, or wait a minute")
        return _json({"code": code, "at": self._link, "editable": self._access.is_editable})

    async def login(self, request: Request) -> Response:
        """A code becomes a cookie."""
        address = request.client.host if request.client else ""
        role = self._access.use_code(request.query_params.get("code", ""), address, time.monotonic())
        if role == "none":
            return refused(401, "this link was used, or is older than a minute: `serialgw web` prints a new one")
        answer = RedirectResponse("./", 303)
        cookie = self._access.cookie_for(role, time.time())
        is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(COOKIE, cookie, max_age=int(COOKIE_S), httponly=True, samesite="strict", secure=is_secure)
        return answer

    def _row(self, request: Request) -> DeviceRow | None:
        name = request.path_params["name"]
        return next((row for row in self._view.snapshot.devices if row.name == name), None)

    def _no_device(self, request: Request) -> Response:
        known = ", ".join(row.name for row in self._view.snapshot.devices[:20])
        return refused(404, f"no device is called {request.path_params['name'][:80]!r}; there are: {known}")


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


def _not_found(request: Request, error: Exception) -> Response:
    return refused(404, "nothing is here")


def _not_allowed(request: Request, error: Exception) -> Response:
    return refused(405, "this is not asked for in that way")


def _crashed(request: Request, error: Exception) -> Response:
    return refused(500, "the monitor has failed at this; its log says why")
