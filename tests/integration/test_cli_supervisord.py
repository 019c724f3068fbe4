"""supervisord with our configuration and our log, and small stand-ins for the processes."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.core.errors import LinkError
from common.io.locks import FileLock
from services.cli.supervise.conf import Plan, supervisord_conf
from services.cli.supervise.launch import encode_word
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "TB_GW_ACCESS_TOKEN": "hidden"}


def write_conf(folder: Path, scripts: dict[str, str]) -> Path:
    """The configuration of a gateway in which each named program is a shell script instead."""
    (folder / "run" / "starts").mkdir(parents=True)
    plan = Plan(
        folder / "c.json", folder, folder / "run", ("press 1",), 1, sys.executable, os.getuid(), ("TB_GW_ACCESS_TOKEN",)
    )
    text = supervisord_conf(plan)
    for name in re.findall(r"\[program:(.*)\]", text):
        script = folder / f"{encode_word(name)}.sh"
        script.write_text(scripts.get(name, "exec sleep 600"))
        head = f"[program:{name}]\ncommand="
        text = re.sub(re.escape(head) + ".*", f"{head}/bin/sh {script}", text)
    (folder / "supervisord.conf").write_text(text)
    return folder / "supervisord.conf"


@contextmanager
def supervisord(conf: Path, output: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
    process = subprocess.Popen(command, stdout=output, stderr=output, env=ENVIRON, cwd=conf.parent)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


class Reader:
    """Collects what comes out of a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.text = ""
        os.set_blocking(fd, False)

    def holds(self, part: str, count: int = 1) -> bool:
        try:
            self.text += os.read(self._fd, 65536).decode(errors="replace")
        except (BlockingIOError, OSError):
            pass
        return self.text.count(part) >= count


def make_output(kind: str) -> tuple[int, int]:
    """(what supervisord writes to, what we read from)."""
    if kind == "pipe":
        reader, writer = os.pipe()
        return writer, reader
    if kind == "terminal":
        reader, writer = pty.openpty()
        tty.setraw(writer)
        return writer, reader
    ours, theirs = socket.socketpair()
    return theirs.detach(), ours.detach()


@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_output_of_all_processes_comes_out_in_whole_lines(kind: str, tmp_path: Path) -> None:
    """Whatever standard error is; a socket is what systemd gives."""
    scripts = {"monitor": "echo one; printf half; sleep 0.2; echo ' line' >&2; exec sleep 600"}
    writer, reader = make_output(kind)
    with supervisord(write_conf(tmp_path, scripts), writer) as process:
        os.close(writer)
        log = Reader(reader)
        wait_until(lambda: log.holds("half line\n"), "the monitor's words")
        assert re.search(r"^one\r?$", log.text, re.MULTILINE)
        assert 'process.started name="port_reader-press 1"' in log.text
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: log.holds("process.stopped", 5), "five processes were stopped")
        assert process.wait(20) == 0
    os.close(reader)
    order = re.findall(r'process.stopped name="?([a-z_]+)', log.text)
    assert order == ["port_reader", "converter", "publisher", "broker", "monitor"]


def test_a_configuration_error_is_not_restarted_and_a_crash_is(tmp_path: Path) -> None:
    """Exit 78 is one clear line for the operator; exit 1, exit 0 and a signal are restarts."""
    scripts = {
        "monitor": "echo 'c.json: devices: bad'; exit 78",
        "broker": "sleep 0.1; exit 1",
        "publisher": "sleep 0.1; exit 0",
        "converter-0": "sleep 0.1; kill -9 $$",
    }
    reader, writer = os.pipe()
    with supervisord(write_conf(tmp_path, scripts), writer):
        os.close(writer)
        log = Reader(reader)
        for part in ("name=broker reason=", "name=publisher reason=", "name=converter-0 reason="):
            wait_until(lambda part=part: log.holds(part, 3), f"three restarts: {part}")
    os.close(reader)
    assert log.text.count("process.misconfigured name=monitor status=78") == 1
    assert log.text.count("process.started name=monitor") == 1
    assert 'name=converter-0 reason="killed by a signal"' in log.text


def test_a_hang_up_takes_the_files_and_restarts_nothing(tmp_path: Path) -> None:
    """SIGHUP starts who looks at the files, and once more where it comes while that one is at it; supervisord itself
    would stop and start everything. A stop after it is as ever."""
    reader, writer = os.pipe()
    go_on = tmp_path / "go-on"
    scripts = {"reloader": f"echo looks; while [ ! -e {go_on} ]; do sleep 0.05; done"}
    with supervisord(write_conf(tmp_path, scripts), writer) as process:
        os.close(writer)
        log = Reader(reader)
        wait_until(lambda: log.holds("process.started", 5), "five processes")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: log.holds("looks"), "the files are looked at")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: log.holds("configuration.reloading", 1), "a word about it")
        go_on.touch()
        wait_until(lambda: log.holds("looks", 2), "the files are looked at again")
        wait_until(lambda: log.holds("process.finished name=reloader", 2), "it has ended twice")
        assert log.text.count("looks") == 2
        assert "process.stopped" not in log.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    os.close(reader)


def test_supervisord_reads_its_configuration_anew(tmp_path: Path) -> None:
    """`supervisorctl reload` stops and starts everything; a stop after it is as quick, and exits with 0."""
    reader, writer = os.pipe()
    conf = write_conf(tmp_path, {})
    with supervisord(conf, writer) as process:
        os.close(writer)
        log = Reader(reader)
        wait_until(lambda: log.holds("process.started", 5), "five processes")
        control = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(conf), "reload"]
        subprocess.run(control, check=True, timeout=30, capture_output=True)
        wait_until(lambda: log.holds("process.started", 10), "the same five again")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    os.close(reader)


def test_the_token_reaches_the_publisher_only(tmp_path: Path) -> None:
    """It comes by inheritance; the others see that there is one."""
    names = ("monitor", "broker", "publisher", "converter-0", "port_reader-press~201")
    scripts = {name: f'echo "{name} has $TB_GW_ACCESS_TOKEN."; exec sleep 600' for name in names}
    reader, writer = os.pipe()
    with supervisord(write_conf(tmp_path, scripts), writer):
        os.close(writer)
        log = Reader(reader)
        wait_until(lambda: log.holds(" has ", len(names)), "five words")
    os.close(reader)
    found = dict(re.findall(r"^(\S+) has (\w+)\.$", log.text, re.MULTILINE))
    assert found == {name: "hidden" if name == "publisher" else "withheld" for name in names}


def test_a_lock_outlives_the_program_that_took_it(tmp_path: Path) -> None:
    """What `run` becomes holds it on, under descriptor 3; its children don't."""
    code = (
        "import os, sys; from pathlib import Path; from common.io.locks import FileLock\n"
        f"FileLock(Path({str(tmp_path / 'lock')!r})).keep_across_exec(3)\n"
        "os.execv('/bin/sh', ['sh', '-c', 'echo ready; read line'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRON, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(LinkError, match=f"pid {process.pid}"):
        FileLock(tmp_path / "lock")
    process.communicate(b"\n", timeout=10)
    FileLock(tmp_path / "lock").release()


def test_launch_becomes_the_module_with_its_exact_arguments(tmp_path: Path) -> None:
    """A name with every odd character arrives as it was; the stamp is written."""
    (tmp_path / "shown.py").write_text("import sys; print(ascii(sys.argv[1:]))")
    words = [encode_word(word) for word in (str(tmp_path / "stamp"), "shown", "--device=x ; y % 'ü\" ~")]
    done = subprocess.run(
        shlex.split(f"{sys.executable} -m services.cli.supervise.launch {' '.join(words)}"),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**ENVIRON, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
    )
    assert done.stdout.strip() == ascii(["--device=x ; y % 'ü\" ~"])
    assert len((tmp_path / "stamp").read_text().split()) == 2


def test_ctrl_c_right_after_the_start_stops_the_gateway_in_order(tmp_path: Path) -> None:
    """It waits until supervisord can be told, which then says that it stops; no traceback, exit 0, and no delay."""
    (tmp_path / "c.json").write_text('{"name": "x", "devices": [{"name": "a", "port": "/dev/ttyNOSUCH"}]}')
    command = [sys.executable, "-m", "services.cli", "run", "--config", "c.json", "--data-dir", "data"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRON, cwd=tmp_path)
    assert process.stderr is not None
    assert b"stop with Ctrl-C" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=9)
    assert process.returncode == 0
    assert b"gateway.stopping" in errors
    assert b"Traceback" not in errors


def test_a_signal_between_fork_and_exec_is_not_lost(tmp_path: Path) -> None:
    """The child dies of it: its parent's handler would note it, and the exec would forget the note."""
    code = (
        "import os, signal\n"
        "from services.cli.supervise.signals import guard_forks\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "guard_forks()\n"
        "child = os.fork()\n"
        "if not child: os.execv('/bin/true', ['true'])\n"
        "print(os.waitpid(child, 0)[1] == signal.SIGTERM)\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30, env=ENVIRON, cwd=tmp_path
    )
    assert done.stdout.split() == ["True", "handled"]
