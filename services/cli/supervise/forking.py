"""Port readers that are forked, not started anew: supervisord's process has loaded what they need, once for all.

There are as many of them as ports. A new program takes 0.3 s of processor time and 11 MiB to come to where it serves;
a fork shares what was loaded, and writes over what it changes. It is a process as any other: supervisord's own child,
with a command line, an environment and files of its own, that is killed and started again alone.

supervisord forks, gives the child its files, and lets it become a program (`options.execve`). That last step is ours.
Only services that run no users' code are forked: what supervisord has in memory is no business of theirs.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from common.core import version
from common.core.events import Note
from services.cli.supervise.launch import LAUNCHER, begin_start, decode_word
from services.cli.supervise.shown import ROOM_OPTION, Places, find_places, show_command, show_environ

FORKED: Final = "services.port_reader"
"""The package of the service that is forked; its `__main__` has `load` and `main`."""
Become = Callable[[str, Sequence[str], Mapping[str, str]], None]


class _Loaded(NamedTuple):
    """What a child finds when it is forked."""

    main: Callable[[], int]
    places: Places
    stamp: tuple[int, ...]
    """What the files were when it was loaded."""


class Forks:
    """Takes the place of `options.execve` in supervisord."""

    def __init__(self, become: Become, tell: Callable[[Note], None]) -> None:
        """`become`: makes this process a new program; `tell` logs what keeps us from forking."""
        self._become = become
        self._tell = tell
        self._loaded: _Loaded | None = None
        self._is_loaded = False

    def prepare(self, command: str) -> None:
        """A process with this command is about to be started: what it needs is loaded, the first time."""
        if FORKED not in command.split():
            return
        if not self._is_loaded:
            self._is_loaded = True
            try:
                self._loaded = _load()
            except (ImportError, OSError, ValueError) as error:
                self._tell(Note("warning", "forks.unavailable", {"reason": str(error), "then": "readers start anew"}))
        # What is there now stays as it is, and so shared: no collection of a child's touches it.
        gc.freeze()

    def execve(self, filename: str, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        """In the child: becomes the service that the launcher's command names. Returns never, but raises OSError where
        a new program can't be had."""
        python = list(argv[: argv.index(LAUNCHER)]) if LAUNCHER in argv else []
        words = list(map(decode_word, argv[len(python) + 1 :]))
        loaded = self._loaded
        # An update in place has changed the files: what is loaded here does not fit what a reader may still load.
        if loaded is not None and python and words[1] == FORKED and _stamp() == loaded.stamp:
            _serve(loaded, python, words, environ)
        self._become(filename, argv, environ)


def _load() -> _Loaded:
    """Loads what the service needs."""
    places = find_places()
    if not places.are_sound:
        raise ValueError("the kernel does not say where a command line stands")
    stamp = _stamp()
    # Whoever looks need not see the room that we were given for it.
    show_command(places, [word for word in sys.orig_argv if word not in ROOM_OPTION])
    service = import_module(f"{FORKED}.__main__")
    service.load()
    return _Loaded(service.main, places, stamp)


def _stamp() -> tuple[int, ...]:
    """Another one after an update of our files."""
    try:
        found = os.stat(version.__file__)
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _serve(loaded: _Loaded, python: list[str], words: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Is the service from now on; ends the process. supervisord's own objects stay as they are to the end: one that was
    given up would close a descriptor that is somebody else's by now."""
    code: object = 1
    try:
        show_environ(loaded.places, environ)
        os.environ.clear()
        os.environ.update(environ)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        logging.getLogger("serialgw").handlers.clear()
        stamp_path, module, *arguments = words
        if begin_start(stamp_path, module):
            place = str(Path(sys.modules[f"{module}.__main__"].__file__ or module))
            # As the program that it would be: who becomes that after all, with a task, takes its words from here.
            sys.argv, sys.orig_argv = [place, *arguments], [*python, module, *arguments]
            show_command(loaded.places, sys.orig_argv)
            code = loaded.main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (as Python does at the end of a program)
        traceback.print_exc()
    finally:
        os._exit(_ended(code))


def _ended(code: object) -> int:
    """The exit code, as Python makes it of what a program ended with; what was printed is out."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    return 0 if code is None else code & 0xFF if isinstance(code, int) else 1
