"""The supervisord configuration, as supervisord itself reads it, and the launcher's patience."""

from __future__ import annotations

import select
import shlex
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.options import ServerOptions

from common.io.variables import WITHHELD
from services.cli.supervise.conf import Plan, comment_faults, programs_of, supervisord_conf
from services.cli.supervise.launch import (
    FREE_RESTARTS,
    SHORT_LIFE_S,
    Stamp,
    decode_word,
    encode_word,
    next_stamp,
    patience_of,
    read_stamp,
)
from services.cli.supervise.wakeup import ROUNDS, SignalWakeup

ODD_NAMES = (
    "press 1",
    "50%",
    "a;b",
    "x ; y # z",
    "größe",
    'it\'s "quoted"',
    "a/b:c,d",
    "-x",
    "%(here)s",
    "~7E",
    "x" * 300,
)


def plan(folder: Path, **changes: object) -> Plan:
    (folder / "run").mkdir(exist_ok=True)
    whole = Plan(
        config=folder / "tb gateway;1.json",
        data_dir=folder,
        run_dir=folder / "run",
        devices=ODD_NAMES,
        converters=2,
        python="/usr/bin/python3",
        user_id=1000,
    )
    return whole._replace(**changes)


def as_supervisord_reads(plan: Plan, folder: Path) -> ServerOptions:
    path = folder / "supervisord.conf"
    path.write_text(supervisord_conf(plan), "utf-8")
    options = ServerOptions()
    options.realize(["-c", str(path)], doc="")
    return options


def test_supervisord_reads_back_every_process_with_its_exact_arguments(tmp_path: Path) -> None:
    """Names with blanks, %, ;, # and quotes come through supervisord's parser and the launcher unchanged."""
    folder = tmp_path / "da ta%x"
    folder.mkdir()
    whole = plan(folder)
    options = as_supervisord_reads(whole, tmp_path)
    found = {}
    for group in options.process_group_configs:
        for process in group.process_configs:
            words = [decode_word(word) for word in shlex.split(process.command)]
            assert words[:4] == ["/usr/bin/python3", "-P", "-m", "services.cli.supervise.launch"]
            found[process.name] = words[5:]
    assert found == {program.name: [program.module, *program.arguments] for program in programs_of(whole)}
    devices = [words[-1].removeprefix("--device=") for words in found.values() if words[0] == "services.port_reader"]
    assert sorted(devices) == sorted(ODD_NAMES)


def test_processes_stop_in_the_order_of_the_data(tmp_path: Path) -> None:
    """Who changes what runs first, then readers, converters, publisher, broker; the monitor last."""
    options = as_supervisord_reads(plan(tmp_path), tmp_path)
    order = [group.name for group in sorted(options.process_group_configs, key=lambda group: -group.priority)]
    assert order == ["reloader", "configurator", "port_readers", "converters", "publisher", "broker", "monitor"]


def test_processes_restart_without_end_but_not_after_a_configuration_error(tmp_path: Path) -> None:
    """Only exit 78 is expected, and 0 of one that is started when it is wanted; SIGTERM and ten seconds to stop."""
    options = as_supervisord_reads(plan(tmp_path), tmp_path)
    for group in options.process_group_configs:
        for process in group.process_configs:
            expected = [78] if process.autostart else [0, 78]
            assert (process.exitcodes, process.autorestart.__name__) == (expected, "RestartWhenExitUnexpected")
            assert (process.startsecs, process.stopsignal, process.stopwaitsecs) == (0, 15, 10)


def test_only_the_publisher_sees_secrets(tmp_path: Path) -> None:
    """Every other process has a word in the place of the token; the file has no token at all."""
    options = as_supervisord_reads(plan(tmp_path, secrets=("TB_GW_ACCESS_TOKEN",)), tmp_path)
    for group in options.process_group_configs:
        for process in group.process_configs:
            expected = {} if process.name == "publisher" else {"TB_GW_ACCESS_TOKEN": WITHHELD}
            assert process.environment == expected


def test_as_root_supervisord_is_told_that_this_is_meant(tmp_path: Path) -> None:
    """Without `user` it would warn at each start."""
    assert "\nuser=0\n" in supervisord_conf(plan(tmp_path, user_id=0))


def test_paths_that_begin_a_comment_are_found() -> None:
    """` ;` and ` #` can't be written into supervisord's file."""
    assert comment_faults([Path("/a b"), Path("/a ;b"), Path("/a #b"), Path("/a;b")]) == [Path("/a ;b"), Path("/a #b")]


@given(st.text())
def test_words_come_back(word: str) -> None:
    """decode_word undoes encode_word, and nothing that supervisord or a shell reads is left in between."""
    encoded = encode_word(word)
    assert decode_word(encoded) == word
    assert not set(encoded) & set(" \t\n;#%'\"\\$")


def test_a_crash_loop_waits_longer_and_a_life_forgives() -> None:
    """Two short lives are free, then the wait doubles up to 5 s; a longer life starts from the beginning."""
    stamp, now_s, waits = Stamp(), 100.0, []
    for _ in range(8):
        stamp, wait_s = next_stamp(stamp, now_s)
        waits.append(wait_s)
        now_s = stamp.started_s + 0.1
    assert waits == [0, *[0] * FREE_RESTARTS, 0.5, 1, 2, 4, 5]
    assert next_stamp(Stamp(100.0, 20), 100.1, patience_of("services.converter"))[1] == 1
    assert next_stamp(Stamp(100.0, 20), 100.1, patience_of("services.broker"))[1] == 5
    assert next_stamp(stamp, stamp.started_s + SHORT_LIFE_S) == (Stamp(stamp.started_s + SHORT_LIFE_S, 0), 0)


def test_a_stamp_from_before_a_reboot_counts_as_none() -> None:
    """The clock since boot began anew."""
    assert next_stamp(Stamp(9000.0, 7), 50.0) == (Stamp(50.0, 0), 0)


@pytest.mark.parametrize("text", ["", "x y", "1", "1 2 3", "ü 1"])
def test_a_damaged_stamp_counts_as_none(tmp_path: Path, text: str) -> None:
    """A stamp only saves CPU; it must never keep a process from starting."""
    (tmp_path / "stamp").write_text(text, "utf-8")
    assert read_stamp(tmp_path / "stamp") == Stamp()


def test_a_left_journal_gets_a_reader_that_may_end(tmp_path: Path) -> None:
    """Its file comes through as it is called; after exit 0 it is not started again, all others are."""
    folder = tmp_path / "da ta%x"
    folder.mkdir()
    left = tuple(folder / f"{name}.journal" for name in ("a%2Fb;c", "größe, d:e"))
    whole = plan(folder, left_journals=left)
    options = as_supervisord_reads(whole, tmp_path)
    found = {process.name: process for group in options.process_group_configs for process in group.process_configs}
    drains = [process for name, process in found.items() if name.startswith("drain-")]
    del found["configurator"], found["reloader"]
    assert {tuple(process.exitcodes) for process in drains} == {(0, 78)}
    words = [decode_word(word) for process in drains for word in shlex.split(process.command)]
    assert {f"--journal={path}" for path in left} <= set(words)
    assert {tuple(process.exitcodes) for process in found.values() if process not in drains} == {(78,)}


def test_supervisords_first_wait_is_none() -> None:
    """A byte is there from the beginning; it is gone after the rounds that a signal gets."""
    members: dict[int, SignalWakeup] = {}
    try:
        SignalWakeup().join(members)
        [(descriptor, wakeup)] = members.items()
        for _ in range(ROUNDS):
            assert select.select([descriptor], [], [], 0)[0]
            wakeup.handle_read_event()
        assert not select.select([descriptor], [], [], 0)[0]
    finally:
        signal.set_wakeup_fd(-1)
