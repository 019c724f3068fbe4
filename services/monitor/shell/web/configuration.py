"""The routes of the configuration: its files, whether they can be used, what has become of them, and the way back.

Whoever may look sees them, without secrets. What changes anything is a POST, which only an edit login may send, and is
done by `serialgw config` and `serialgw reload` in processes of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from common.config.history import blanking_key, outline_of, read_entry, read_history, shown
from common.config.place import Place, place_of
from common.core.errors import GatewayError, LinkError
from common.core.events import Note
from common.io.exits import EXIT_CONFIG
from services.monitor.core.access import Access
from services.monitor.shell.web.aside import aside
from services.monitor.shell.web.commands import Commands, Done
from services.monitor.shell.web.events import fault_in, note_change
from services.monitor.shell.web.guard import refused
from services.monitor.shell.web.view import View

EXIT_CHANGED: Final = 3
"""Of `serialgw config save`: the files are others than those that the change was made from."""
HTTP_OK: Final = 200
PROBLEMS: Final = "it has problems, and nothing was written"
MOST_DIGITS: Final = 10
MOST_AT_ONCE: Final = 2
"""Who may look may ask: so many of them read files at a time, the others wait."""


class FilesAsked(msgspec.Struct, frozen=True):
    """The body of `/api/config` and `/api/config/check`."""

    files: dict[str, str]
    """Name → its whole text; a secret that stays is sent as it was shown."""


class ReloadAsked(msgspec.Struct, frozen=True):
    """The body of `/api/reload`."""

    dry_run: bool = False
    restart: bool = False


class BackAsked(msgspec.Struct, frozen=True):
    """The body of `/api/config/back`."""

    number: int
    dry_run: bool = False
    restart: bool = False


Found = TypeVar("Found")
Asked = TypeVar("Asked", FilesAsked, ReloadAsked, BackAsked)


class ConfigurationRoutes:
    """Of one gateway."""

    def __init__(
        self, commands: Commands, view: View, access: Access, *, config: Path, note: Callable[[Note], None]
    ) -> None:
        self._commands = commands
        self._view = view
        self._access = access
        self._config = config.absolute()
        self._data_dir = view.data_dir
        self._note = note
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    def routes(self) -> list[Route]:
        return [
            Route("/api/config", self.files),
            Route("/api/config", self.save, methods=["POST"]),
            Route("/api/config/check", self.check, methods=["POST"]),
            Route("/api/config/history", self.history),
            Route("/api/config/back", self.back, methods=["POST"]),
            Route("/api/reload", self.reload, methods=["POST"]),
        ]

    async def files(self, request: Request) -> Response:
        """All files as they are now, without secrets; the tag by which a change says what it was made from."""
        try:
            place, files = await self._aside(lambda: ((found := self._place()), found.shown))
        except (OSError, LinkError) as error:
            return refused(503, str(error))
        told = {
            "files": files,
            "is_editable": self._access.is_editable and request.state.role == "edit",
            "configuration": self._view.configuration,
        }
        return _json(told, headers={"etag": f'"{place.tag}"'})

    def _place(self) -> Place:
        return place_of(self._config, self._data_dir, blanking_key(self._data_dir))

    async def _aside(self, work: Callable[[], Found]) -> Found:
        async with self._room:
            return await aside(work)

    async def check(self, request: Request) -> Response:
        """What is wrong with files as somebody would have them, and what they would change."""

        async def checked(asked: FilesAsked) -> Response:
            done = await self._commands.config("check", given=msgspec.json.encode({"files": asked.files}))
            return _raw(done.out, 200) if done.out else _failed(done)

        return await self._asked(request, FilesAsked, checked)

    async def save(self, request: Request) -> Response:
        """Writes files that can be used. `If-Match` names what they were changed from."""
        tag = request.headers.get("if-match", "").strip().strip('"')
        if not tag:
            return refused(428, "If-Match: found none, expected the ETag of GET /api/config")

        async def saved(asked: FilesAsked) -> Response:
            given = msgspec.json.encode({"files": asked.files, "tag": tag})
            done = await self._commands.config("save", given=given, may_stay=True)
            self._view.pending.hurry()
            if done.code == EXIT_CHANGED:
                return refused(412, done.error)
            if not done.out:
                return _failed(done)
            if done.code == 0:
                self._tell("configuration.saved", files=", ".join(asked.files))
            return _raw(done.out, 200 if done.code == 0 else 422)

        return await self._asked(request, FilesAsked, saved)

    async def history(self, request: Request) -> Response:
        """What was applied lately, the newest first; one of it with its files, where its number is asked for."""
        number = request.query_params.get("number")
        if number is None:
            entries = await self._aside(lambda: read_history(self._data_dir))
            return _json({"history": [outline_of(entry) for entry in entries]})
        if not number.isascii() or not number.isdigit() or len(number) > MOST_DIGITS:
            return refused(400, f"number: found {number[:40]!r}, expected a whole number")
        entry = await self._aside(lambda: read_entry(self._data_dir, int(number)))
        return refused(404, f"{number} is not in the history any more") if entry is None else _json(shown(entry))

    async def back(self, request: Request) -> Response:
        """Writes the files of an entry, and has the gateway take them; or says what that would change."""

        async def gone_back(asked: BackAsked) -> Response:
            options = [word for word, is_on in (("--dry-run", asked.dry_run), ("--restart", asked.restart)) if is_on]
            words = (str(max(1, asked.number)), *options)
            done = await self._commands.config("back", *words, may_stay=not asked.dry_run)
            self._view.pending.hurry()
            if not asked.dry_run:
                self._tell("configuration.back", number=str(asked.number), reason=done.error)
            if done.out:
                return _raw(done.out, 422 if done.code == EXIT_CONFIG else 200)
            return _failed(done)

        return await self._asked(request, BackAsked, gone_back)

    async def reload(self, request: Request) -> Response:
        """Has the gateway take what stands in the files now; or says what that would change."""

        async def reloaded(asked: ReloadAsked) -> Response:
            options = [word for word, is_on in (("--dry-run", asked.dry_run), ("--restart", asked.restart)) if is_on]
            done = await self._commands.reload(*options)
            self._view.pending.hurry()
            if not asked.dry_run:
                self._tell("configuration.reload_asked", reason=done.error)
            return _raw(done.out, 200) if done.code == 0 else _failed(done)

        return await self._asked(request, ReloadAsked, reloaded)

    async def _asked(
        self, request: Request, kind: type[Asked], work: Callable[[Asked], Awaitable[Response]]
    ) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return refused(400, f"the body: {error}")
        try:
            response = await work(asked)
        except GatewayError as error:
            response = refused(503, str(error))
        why = "" if response.status_code == HTTP_OK else fault_in(bytes(response.body)) or PROBLEMS
        note_change(request, self._view, asked, why)
        return response

    def _tell(self, event: str, **facts: str) -> None:
        """Whoever changes something from the page is to be found in the log, with what became of it."""
        self._note(Note("info", event, {"asked_by": "page", **{key: it for key, it in facts.items() if it}}))


def _failed(done: Done) -> Response:
    """A sentence: 422 for problems of the configuration, else 409, for then the gateway is as it was."""
    why = done.error or f"it has ended with {done.code}"
    return refused(422 if done.code == EXIT_CONFIG else 409, why)


def _json(told: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(told), media_type="application/json", headers=headers)


def _raw(text: str, status: int) -> Response:
    return Response(text.encode(), status, media_type="application/json")
