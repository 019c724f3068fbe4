"""Whether processes that were told to start anew have come up, by what the monitor says."""

from __future__ import annotations

from typing import Any

from services.cli.supervise.coming_up import ComingUp

READER, HOST = "port_reader:A", "connector_host:Store"


def row(pid: int, state: str = "alive", **facts: Any) -> dict[str, Any]:
    return {"pid": pid, "state": state, "facts": facts}


def test_who_beats_under_a_new_pid_has_come_up() -> None:
    """Not who beats under the old one, nor who is lost; a machine with much to do may make one late."""
    coming = ComingUp([READER, HOST], {READER: row(1), HOST: row(2)}, with_link=False)
    assert not coming.look(None)
    assert not coming.look({READER: row(1), HOST: row(3)})
    assert coming.missing == READER
    assert not coming.look({READER: row(4, "lost"), HOST: row(3)})
    assert coming.look({READER: row(4, "late"), HOST: row(3)})
    held = coming.pids
    assert coming.look({READER: row(4), HOST: row(3)})
    assert not coming.has_ended(held)
    # A monitor that says nothing for a while says nothing against anybody.
    assert not coming.look(None)
    assert not coming.has_ended(held)
    coming.look({READER: row(5), HOST: row(3)})
    assert coming.has_ended(held)


def test_the_platform_has_to_be_reached_where_it_was_before() -> None:
    """A publisher that starts anew and does not reach it has not come up."""
    coming = ComingUp(["publisher:0"], {}, with_link=True)
    assert not coming.look({"publisher:0": row(1, link="down")})
    assert coming.missing == "the connection to the platform"
    assert coming.look({"publisher:0": row(1, link="up")})


def test_a_connector_that_says_why_it_can_not_go_on_is_believed() -> None:
    """Also if its process has ended meanwhile; what a port reader says of its port is no such word."""
    coming = ComingUp([READER, HOST], {}, with_link=False)
    coming.look({READER: row(1, fault="no such port"), HOST: row(2)})
    assert coming.fault == ""
    coming.look({READER: row(1), HOST: row(2, fault="Store: open(): KeyError")})
    coming.look({READER: row(1)})
    assert coming.fault == "connector Store: Store: open(): KeyError"
