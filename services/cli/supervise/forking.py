"""Port readers that are forked, not started anew: supervisord's process has loaded what they need, once for all.

There are as many of them as ports. A new program takes 0.3 s of processor time and 11 MiB to come to where it serves;
a fork shares what was loaded, and writes over what it changes. It is a process as any other: supervisord's own child,
with a command line, an environment and files of its own, that is killed and started again alone.

supervisord forks, gives the child its files, and lets it become a program (`options.execve`). That last step is ours.
Only services that run no users' code are forked: what supervisord has in memory is no business of theirs.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final, NamedTuple, NoReturn

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
    files: Mapping[str, tuple[int, ...]]
    """What each of our files was when it was loaded."""

    @property
    def is_current(self) -> bool:
        """False after an update in place: what is loaded does not fit what a reader may still load."""
        return all(_stamp(path) == stamp for path, stamp in self.files.items())


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
        if FORKED not in command.split() or self._is_loaded:
            return
        self._is_loaded = True
        try:
            self._loaded = _load()
        except (ImportError, OSError, ValueError) as error:
            self._tell(Note("warning", "forks.unavailable", {"reason": str(error), "then": "readers start anew"}))

    def execve(self, filename: str, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        """In the child: becomes the service that the launcher's command names. Returns never, but raises OSError where
        a new program can't be had."""
        python = list(argv[: argv.index(LAUNCHER)]) if LAUNCHER in argv else []
        words = list(map(decode_word, argv[len(python) + 1 :]))
        loaded = self._loaded
        if loaded is not None and python and words[1] == FORKED and loaded.is_current:
            _serve(loaded, python, words, environ)
        self._become(filename, argv, environ)


@functools.cache
def _load() -> _Loaded:
    """Loads what the service needs; once for all restarts of a gateway, which find the same modules again."""
    places = find_places()
    if not places.are_sound:
        raise ValueError("the kernel does not say where a command line stands")
    # Whoever looks need not see the room that we were given for it.
    show_command(places, [word for word in sys.orig_argv if word not in ROOM_OPTION])
    service = import_module(f"{FORKED}.__main__")
    service.load()
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] in ("common", "services")]
    files = {module.__file__: _stamp(module.__file__) for module in ours if module.__file__}
    return _Loaded(service.main, places, files)


def _stamp(path: str) -> tuple[int, ...]:
    """Another one for a file that has changed."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _serve(loaded: _Loaded, python: list[str], words: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Is the service from now on; ends the process. supervisord's own objects stay as they are to the end: one that was
    given up would close a descriptor that is somebody else's by now."""
    # What is there now stays as it is, and so shared: no collection of ours touches it.
    gc.freeze()
    code: object = 1
    try:
        # Before the old one is written over: the C library looks for what it takes out there.
        os.environ.clear()
        show_environ(loaded.places, environ)
        os.environ.update(environ)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        logging.getLogger("serialgw").handlers.clear()
        stamp_path, module, *arguments = words
        # As the program that it would be: who becomes that after all, with a task, takes its words from here.
        sys.argv, sys.orig_argv = [module, *arguments], [*python, module, *arguments]
        show_command(loaded.places, sys.orig_argv)
        if begin_start(stamp_path, module):
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
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass
    return 0 if code is None else code & 0xFF if isinstance(code, int) else 1
