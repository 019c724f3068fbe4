"""The routes. Whatever changes anything is a POST, for which the guard wants more than for looking."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
import zmq.asyncio
from msgspec import Meta
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from common.core.errors import GatewayError
from common.core.events import Note
from common.io.endpoints import Endpoints
from common.wire.peeks import FRAME_BYTES
from services.monitor.core.access import COOKIE_S, Access
from services.monitor.core.forms import forms_of, line_of
from services.monitor.core.gateway.hiding import hidden
from services.monitor.core.gateway.snapshot import DeviceRow
from services.monitor.core.health import NAMES, as_lines, checks_of
from services.monitor.shell.web.commands import MOST_CAPTURE_S, Commands
from services.monitor.shell.web.configuration import ConfigurationRoutes
from services.monitor.shell.web.events import answer_events, fault_in, note_change
from services.monitor.shell.web.exposition import TEXT, Exposition
from services.monitor.shell.web.files import Files
from services.monitor.shell.web.gateway import LONGEST_CALL_S, Gateway
from services.monitor.shell.web.guard import refused
from services.monitor.shell.web.live import Live
from services.monitor.shell.web.news import News
from services.monitor.shell.web.stream import MOST_STREAMS, Pages, Stream
from services.monitor.shell.web.view import STALE_S, View

_CODE_BYTES: Final = 20
MOST_LETTERS: Final = 256
"""Dead letters of one answer; `serialgw dead-letters` has all."""


class CallAsked(msgspec.Struct, frozen=True):
    """The body of `/api/rpc`."""

    device: str
    method: str
    params: msgspec.Raw = msgspec.Raw(b"null")
    timeout_s: Annotated[float, Meta(gt=0, le=LONGEST_CALL_S)] = 10.0


class UpdateAsked(msgspec.Struct, frozen=True):
    """The body of `/api/attributes`."""

    device: str
    values: dict[str, Any]


class ProbeAsked(msgspec.Struct, frozen=True):
    """The body of `/api/probe`."""

    port: str


class TryAsked(msgspec.Struct, frozen=True):
    """The body of `/api/try`."""

    section: dict[str, Any]
    frames: list[str]
    """In hexadecimal."""


class AddAsked(msgspec.Struct, frozen=True):
    """The body of `/api/add`."""

    section: dict[str, Any]


class RetryAsked(msgspec.Struct, frozen=True):
    """The body of `/api/retry`."""

    device: str


class CaptureAsked(msgspec.Struct, frozen=True):
    """The body of `/api/capture`."""

    device: str
    seconds: Annotated[int, Meta(ge=1, le=MOST_CAPTURE_S)] = 60


Asked = TypeVar("Asked", CallAsked, UpdateAsked, RetryAsked, ProbeAsked, TryAsked, AddAsked, CaptureAsked)


class Place(NamedTuple):
    """Where the gateway is, and how its page is set."""

    config: Path
    """The main file."""
    link: str
    """Where a browser on this machine finds the page; "" where only the Unix socket listens."""
    data_dir: Path
    endpoints: Endpoints
    shows_frames: bool
    """False: nothing of what devices say is shown."""
    note: Callable[[Note], None]
    """Logs what somebody has had changed from a page."""


class Routes:
    """What is answered, from one view."""

    def __init__(self, view: View, news: News, access: Access, place: Place, context: zmq.asyncio.Context) -> None:
        self._view = view
        self._news = news
        self._place = place
        self._context = context
        self._pages = Pages(view)
        self._gateway = Gateway(place.data_dir)
        self._commands = Commands(place.config, place.data_dir)
        self._configuration = ConfigurationRoutes(self._commands, view, access, config=place.config, note=place.note)
        self._files = Files()
        self._access = access
        self._exposition = Exposition(view)

    def app(self, *, is_private: bool) -> ASGIApp:
        """The application for one socket. `is_private`: only the gateway's own user can open that."""
        routes = [
            Route("/", self.index),
            Route("/page/{name}", self.page),
            Route("/healthz", self.health),
            Route("/readyz", self.ready),
            Route("/readyz/device/{name:path}", self.ready_device),
            Route("/metrics", self.metrics),
            Route("/api/status", self.status),
            Route("/api/device", self.device),
            Route("/api/live", self.live),
            Route("/api/letters", self.letters),
            Route("/api/events", self.events),
            Route("/api/marks", self.marks),
            Route("/api/capture", self.capture, methods=["POST"]),
            Route("/api/ports", self.ports),
            Route("/api/probe", self.probe, methods=["POST"]),
            Route("/api/try", self.try_frames, methods=["POST"]),
            Route("/api/add", self.add, methods=["POST"]),
            Route("/api/rpc", self.rpc, methods=["POST"]),
            Route("/api/attributes", self.attributes, methods=["POST"]),
            Route("/api/retry", self.retry, methods=["POST"]),
            *self._configuration.routes(),
            Route("/api/stream", self.stream),
            Route("/login", self.login),
        ]
        if is_private:
            routes.append(Route("/api/code", self.code, methods=["POST"]))
        return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_allowed, 500: _crashed})

    async def index(self, request: Request) -> Response:
        return self._files.answer("index.html", request.headers.get("if-none-match", ""))

    async def page(self, request: Request) -> Response:
        return self._files.answer(request.path_params["name"], request.headers.get("if-none-match", ""))

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
        return _json({**self._view.snapshot.show(), "configuration": self._view.configuration})

    async def device(self, request: Request) -> Response:
        """One device: how it is, the process that serves it, how its port is opened, what can be called."""
        row = self._row(request)
        if row is None:
            return self._no_device(request)
        found = [process.show() for process in self._view.snapshot.processes if process.device == row.name]
        configured = await self._gateway.device(row.name)
        forms = {"calls": [], "settings": []} if configured is None else forms_of(configured)
        line = None if configured is None else line_of(configured)
        process = found[0] if found else None
        return _json({**row.show(), "process": process, "line": line, **forms, "is_editable": self._may_edit(request)})

    def _may_edit(self, request: Request) -> bool:
        return self._access.is_editable and request.state.role == "edit"

    async def live(self, request: Request) -> Response | Live:
        """A few of a device's frames a second."""
        row = self._row(request)
        if row is None:
            return self._no_device(request)
        if not self._place.shows_frames:
            return refused(403, "web.frames is false: what devices say is not shown here")
        if self._pages.is_full:
            return refused(503, f"{MOST_STREAMS} pages listen already: close one")
        return Live(self._context, self._place.endpoints, row.name, self._pages, self._news)

    async def letters(self, request: Request) -> Response:
        """The newest dead letters of a device."""
        row = self._row(request)
        if row is None:
            return self._no_device(request)
        try:
            page = await self._gateway.letters(row.name, MOST_LETTERS)
        except GatewayError as error:
            return refused(503, str(error))
        is_shown = self._place.shows_frames
        rows = [
            {
                "id": key,
                "number": number or None,
                "ts": ts_ms,
                "reason": reason if is_shown else hidden(reason),
                "bytes": len(data),
            }
            | ({"hex": data[:FRAME_BYTES].hex()} if is_shown else {})
            for key, number, ts_ms, reason, data in reversed(page.letters)
        ]
        return _json({"count": page.total, "bytes": page.total_bytes, "letters": rows})

    async def events(self, request: Request) -> Response:
        """What has happened lately, newest first."""
        return answer_events(request, self._view)

    async def marks(self, request: Request) -> Response:
        """Which data point takes which bytes of a frame."""
        row = self._row(request)
        if row is None:
            return self._no_device(request)
        try:
            frame = bytes.fromhex(request.query_params.get("hex", ""))
        except ValueError:
            return refused(400, "hex: expected the bytes of a frame, in hexadecimal")
        if len(frame) > FRAME_BYTES:
            return refused(400, f"hex: found {len(frame)} bytes, expected at most {FRAME_BYTES}")
        try:
            return _json(await self._gateway.marks(row.name, frame, request.query_params.getlist("key")))
        except GatewayError as error:
            return refused(503, str(error))

    async def capture(self, request: Request) -> Response:
        """What passes on a device's line from now on, as `serialgw capture` writes it."""
        if not self._place.shows_frames:
            return refused(403, "web.frames is false: what devices say is not shown here")
        return await self._asked(request, CaptureAsked, lambda it: self._commands.capture(it.device, it.seconds))

    async def ports(self, request: Request) -> Response:
        """The serial ports of this host, and which device has each."""
        try:
            found = msgspec.json.decode(await self._commands.ports())
        except (GatewayError, msgspec.DecodeError) as error:
            return refused(503, str(error))
        holders = {os.path.realpath(row.port): row.name for row in self._view.snapshot.devices if row.port}
        for port in found:
            port["device"] = holders.get(os.path.realpath(port["path"]), "")
        return _json({"ports": found, "is_editable": self._may_edit(request)})

    async def probe(self, request: Request) -> Response:
        """Listens to a port that no device has; writes nothing to it."""
        return await self._asked(request, ProbeAsked, lambda it: self._commands.probe(it.port))

    async def try_frames(self, request: Request) -> Response:
        """What a device section makes of frames."""

        async def tried(asked: TryAsked) -> bytes:
            try:
                frames = [bytes.fromhex(frame) for frame in asked.frames]
            except ValueError:
                raise GatewayError("frames: expected hexadecimal bytes") from None
            return await self._commands.try_frames(asked.section, frames)

        return await self._asked(request, TryAsked, tried)

    async def add(self, request: Request) -> Response:
        """Puts a device into the configuration, and makes the gateway take it."""

        async def added(asked: AddAsked) -> bytes:
            said = await self._commands.add(asked.section)
            try:
                done = await self._commands.reload(by="page (add)")
                why = "" if done.code == 0 else done.error or f"reload has ended with {done.code}"
            except GatewayError as error:
                why = str(error)
            if why:
                return msgspec.json.encode({"said": said, "error": f"it is in the file, and not running yet: {why}"})
            return msgspec.json.encode({"said": said, "reload": msgspec.Raw(done.out.strip().encode() or b"null")})

        return await self._asked(request, AddAsked, added)

    async def rpc(self, request: Request) -> Response:
        """Calls a method of a device, as the platform would."""
        return await self._asked(
            request, CallAsked, lambda it: self._gateway.call(it.device, it.method, bytes(it.params), it.timeout_s)
        )

    async def attributes(self, request: Request) -> Response:
        """Sets attributes of a device, as the platform would."""
        return await self._asked(
            request, UpdateAsked, lambda it: self._gateway.update(it.device, msgspec.json.encode(it.values))
        )

    async def retry(self, request: Request) -> Response:
        """Sends the dead letters of a device through again."""

        async def retried(asked: RetryAsked) -> bytes:
            return msgspec.json.encode((await self._gateway.retry(asked.device))._asdict())

        return await self._asked(request, RetryAsked, retried)

    async def _asked(self, request: Request, kind: type[Asked], work: Callable[[Asked], Awaitable[bytes]]) -> Response:
        """Does what a body asks for; a sentence where it can't be done."""
        try:
            asked = msgspec.json.decode(await request.body(), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return refused(400, f"the body: {error}")
        try:
            answer = await work(asked)
        except GatewayError as error:
            self._note(request, asked, str(error))
            return refused(503, str(error))
        self._note(request, asked, fault_in(answer))
        return Response(answer, media_type="application/json")

    def _note(self, request: Request, asked: object, fault: str) -> None:
        note_change(request, self._view, asked, fault if self._place.shows_frames else hidden(fault))

    async def stream(self, request: Request) -> Response | Stream:
        if self._pages.is_full:
            return refused(503, f"{MOST_STREAMS} pages listen already: close one")
        return Stream(self._view, self._pages, self._news)

    async def code(self, request: Request) -> Response:
        """A code for a link that logs in once; over the Unix socket only."""
        role = request.query_params.get("role", "view")
        if role not in ("view", "edit"):
            return refused(400, f'role: found {role[:40]!r}, expected "view" or "edit"')
        code = secrets.token_urlsafe(_CODE_BYTES)
        if not self._access.add_code(code, "edit" if role == "edit" else "view", time.monotonic()):
            return refused(429, "too many links are open: use one, or wait a minute")
        return _json({"code": code, "at": self._place.link, "editable": self._access.is_editable})

    async def login(self, request: Request) -> Response:
        """A code becomes a cookie."""
        if request.method != "GET":
            return refused(405, "this is not asked for in that way")  # Who only looks would use the code up.
        address = request.client.host if request.client else ""
        role = self._access.use_code(request.query_params.get("code", ""), address, time.monotonic())
        if role == "none":
            return refused(401, "this link was used, or is older than a minute: `serialgw web` prints a new one")
        answer = RedirectResponse("./", 303)
        cookie = self._access.cookie_for(role, time.time())
        is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(
            self._access.cookie_name, cookie, max_age=int(COOKIE_S), httponly=True, samesite="strict", secure=is_secure
        )
        return answer

    def _row(self, request: Request) -> DeviceRow | None:
        name = request.path_params.get("name", request.query_params.get("name", ""))
        return next((row for row in self._view.snapshot.devices if row.name == name), None)

    def _no_device(self, request: Request) -> Response:
        known = ", ".join(row.name for row in self._view.snapshot.devices[:20])
        name = request.path_params.get("name", request.query_params.get("name", ""))
        return refused(404, f"no device is called {name[:80]!r}; there are: {known}")


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")


def _not_found(request: Request, error: Exception) -> Response:
    return refused(404, "nothing is here")


def _not_allowed(request: Request, error: Exception) -> Response:
    return refused(405, "this is not asked for in that way")


def _crashed(request: Request, error: Exception) -> Response:
    return refused(500, "the monitor has failed at this; its log says why")
