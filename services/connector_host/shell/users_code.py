"""The threads in which the user's code runs: the main one makes, opens and closes the connector, two call its handlers.

Constructors, and libraries that handle signals, expect the main thread. The connector's own threads are its own. What
any of them does ends here in an event for the core; nothing that is raised passes on.
"""

from __future__ import annotations

import atexit
import copy
import inspect
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

import simplejson

from common.compat.classes import find_in_folders
from common.compat.connector import Identity, introduce
from common.config.connector_files import folder_of
from common.config.host_task import HostTask
from common.conversion.values import encode_json, plain_value, shorten
from common.core.errors import ConversionError, printable
from common.io.clock import monotonic_s
from services.connector_host.core.calls import HANDLERS, thread_of
from services.connector_host.core.events import (
    CallBack,
    CallConnectorCode,
    ConnectorClosed,
    ConnectorFailed,
    ConnectorOpened,
    Returned,
)
from services.connector_host.shell.facade import GatewayFacade, Hosted

CLOSE_AGAIN_S: Final = 0.1
"""`close` is called again after this, while the connector does not say that it has stopped."""


class UsersCode:
    """One connector, from its class to its end."""

    def __init__(self, task: HostTask, hosted: Hosted, logger: logging.Logger) -> None:
        self._task = task
        self._hosted = hosted
        self._post = hosted.intake.post
        self._logger = logger
        self._close = threading.Event()
        """Set when the connector is to close."""
        self._is_main_free = False
        """True while the main thread only waits for that."""
        self._lock = threading.Lock()
        self._orders: dict[str, SimpleQueue[CallConnectorCode | CallBack]] = {
            "rpc": SimpleQueue(),
            "attributes": SimpleQueue(),
        }
        for name, orders in self._orders.items():
            threading.Thread(target=self._handle, args=(orders,), name=f"serialgw-{name}", daemon=True).start()
        threading.excepthook = self._thread_died

    def run(self) -> None:
        """What the main thread does until the process ends."""
        if self._begin():
            with self._lock:
                self._is_main_free = not self._close.is_set()
            if self._is_main_free:
                self._rest_until(self._close)
                self._close_connector()
        # The gateway's thread ends the process.
        self._rest_until(threading.Event())

    def _rest_until(self, event: threading.Event) -> None:
        """Waits for it, whatever handlers of signals raise here."""
        while not event.is_set():
            try:
                event.wait()
            except BaseException:
                self._logger.exception("signal.handler_raised")

    # For the gateway's thread. Nothing here waits.

    def close(self) -> None:
        """Has the connector close. Where the main thread is busy with opening it, another one does."""
        with self._lock:
            self._hosted.stop_event.set()
            self._close.set()
            if not self._is_main_free:
                threading.Thread(target=self._close_connector, name="serialgw-close", daemon=True).start()

    def call(self, order: CallConnectorCode) -> None:
        """Puts a call behind those that wait for the same thread."""
        self._orders[thread_of(order.kind)].put(order)

    def call_back(self, order: CallBack) -> None:
        """Puts the answer to a question of the connector's among its attribute updates."""
        self._orders["attributes"].put(order)

    @property
    def has_ended(self) -> bool:
        """True if the connector is a thread that was started and has returned."""
        connector = self._hosted.connector
        return isinstance(connector, threading.Thread) and connector.ident is not None and not connector.is_alive()

    def forked(self) -> None:
        """This is a child that the connector has forked: there is no gateway in it."""
        self._hosted.lock = threading.Lock()
        self._hosted.intake.abandon()

    # The connector's life

    def _begin(self) -> bool:
        """Makes and opens the connector; False if that fails."""
        step = f"class {self._task.connector.class_name}"
        try:
            found = self._find_class()
            if isinstance(found, str):
                self._post(ConnectorFailed(printable(found), is_final=True))
                return False
            step = f"{found.__name__}: its constructor"
            self._make(found)
            step = f"{found.__name__}: open()"
            self._hosted.connector.open()
            wants_shared = callable(getattr(self._hosted.connector, HANDLERS["keys"], None))
        except ImportError as error:
            # Whatever is missing is missing at the next start too.
            self._fail(step, error, is_final=True)
            return False
        except BaseException as error:  # noqa: BLE001 (users' code may raise anything, SystemExit too)
            self._fail(step, error, is_final=False)
            return False
        self._post(ConnectorOpened(wants_shared))
        return True

    def _find_class(self) -> type | str:
        """The connector's class; a sentence where it can't be had. Raises what its file raises."""
        connector = self._task.connector
        try:
            found = find_in_folders(connector.class_name, self._task.extension_dirs, folder_of(connector.type))
        except ConversionError as error:
            return str(error)
        if inspect.isclass(found):
            return found
        return f"class {connector.class_name} is not to be found in {connector.class_file} any more"

    def _make(self, found: type) -> None:
        """Calls the constructor, in the reference's way. The connector may ask who it is already there."""
        hosted, task = self._hosted, self._task
        kind, is_stopped = task.connector.type, hosted.stop_event.is_set
        introduce(Identity(hosted.id, hosted.name, kind, hosted.config, is_stopped))
        connector = found(GatewayFacade(hosted), copy.deepcopy(hosted.config), kind)
        hosted.connector = connector
        try:
            connector.name = hosted.name
        except AttributeError:
            pass  # A class may have a name of its own that can't be set.

    def _close_connector(self) -> None:
        """Calls `close` until the connector says that it has stopped; the core waits no longer than it wants to."""
        connector = self._hosted.connector
        while connector is not None:
            try:
                connector.close()
                is_stopped = getattr(connector, "is_stopped", None)
                if is_stopped is None or is_stopped():
                    break
            except BaseException:  # Users' code may raise anything; what was stored is sent all the same.
                self._logger.exception("connector.close_raised")
                break
            threading.Event().wait(CLOSE_AGAIN_S)
        # As at the end of any program: what the connector has registered, the end of its daemon children among it.
        atexit._run_exitfuncs()
        self._post(ConnectorClosed())

    def _fail(self, step: str, error: BaseException, *, is_final: bool) -> None:
        self._logger.error("%s has raised", step, exc_info=error)
        self._post(ConnectorFailed(printable(f"{step}: {describe(error, self._task.extension_dirs)}"), is_final))

    def _thread_died(self, died: threading.ExceptHookArgs) -> None:
        """A thread of the connector's has raised. Where it was the connector itself, that can't go on."""
        error, thread = died.exc_value, died.thread
        if error is None or isinstance(error, SystemExit):
            return
        name = thread.name if thread is not None else "?"
        self._logger.error("thread %s has raised", name, exc_info=error)
        connector = self._hosted.connector
        if connector is not None and (thread is connector or _runs_method_of(connector, error)):
            what = f"{type(connector).__name__}: thread {name}"
            self._post(ConnectorFailed(printable(f"{what}: {describe(error, self._task.extension_dirs)}"), False))

    # Its handlers

    def _handle(self, orders: SimpleQueue[CallConnectorCode | CallBack]) -> None:
        while True:
            order = orders.get()
            if isinstance(order, CallBack):
                self._call_back(order)
            elif monotonic_s() >= order.deadline_s:
                self._post(Returned(order.number, order.kind, is_skipped=True))
            else:
                self._post(self._call(order))

    def _call_back(self, order: CallBack) -> None:
        """Hands an answer of the platform's over as the reference's client does: with an error in its second place."""
        answered = self._hosted.take_asked(order.number)
        if answered is None:
            return
        content = simplejson.loads(order.content) if order.content else None
        error = TimeoutError(order.error) if order.error else None
        try:
            if isinstance(answered, tuple):
                answered[0](content, error, *answered[1:2])
            else:
                answered(content, error)
        except BaseException as raised:  # As below.
            self._logger.error("the callback of a question to the platform has raised", exc_info=raised)

    def _call(self, order: CallConnectorCode) -> Returned:
        """Calls a handler, and brings what it returns into a form that can be passed on."""
        number, kind = order.number, order.kind
        try:
            handler: Callable[[Any], Any] = getattr(self._hosted.connector, HANDLERS[kind])
            content = simplejson.loads(order.content)
            result = handler(content["device"] if kind == "keys" else content)
            if kind == "keys":
                # A tuple or a set will do.
                result = list(result or ())
            if kind == "connector" and isinstance(result, dict):
                result = {key: value for key, value in result.items() if key != "qos"}
            data = b"" if result is None else _json_of(result)
            is_error = isinstance(result, dict) and "error" in result
            return Returned(number, kind, data, shorten(repr(result)), is_error=is_error and bool(data))
        except BaseException as error:  # Users' code may raise anything; this thread has other calls to make.
            self._logger.error("%s has raised", HANDLERS[kind], exc_info=error)
            return Returned(number, kind, error=printable(describe(error, self._task.extension_dirs)))


def _runs_method_of(connector: object, error: BaseException) -> bool:
    """True if a thread that has died of this has run a method of the connector's. Its target is forgotten by then, so
    the outermost frame that is not the thread's own tells."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    first = next((frame for frame in frames if frame.f_code.co_filename != threading.__file__), None)
    return first is not None and first.f_locals.get("self") is connector


def _json_of(value: object) -> bytes:
    try:
        return encode_json(plain_value(value))
    except ValueError:
        return b""


def describe(error: BaseException, folders: tuple[str, ...]) -> str:
    """One line: where in the user's files it was raised, and what."""
    said = shorten(" ".join(traceback.format_exception_only(error)[-1].split()), 300)
    package = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package and package != "thingsboard_gateway" and package not in sys.modules:
        said = f"{package} is not installed for this Python; to install it: {sys.executable} -m pip install {package}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if any(frame.filename.startswith(folder) for folder in folders)]
    return f"{theirs[-1].filename}, line {theirs[-1].lineno}: {said}" if theirs else said
