"""Sections, tasks and snapshots of another release: read with the same meaning, or refused; never misread."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from common.config.active import make_active, read_active, write_active
from common.config.framing import Framing
from common.config.models import (
    PLAIN,
    VERSION,
    AttributeUpdate,
    Connector,
    DataPoint,
    Device,
    Gateway,
    Line,
    Message,
    ReportStrategy,
    Rpc,
    device_of,
    section_of,
)
from common.config.point_models import Place
from common.config.task import device_task, read_task, write_task

CASES = Path(__file__).parents[1] / "cases" / "versions"
"""As release 0.2 wrote them, of one device that has no default in it."""
DEVICE = Device(
    name="press 1",
    type="press",
    line=Line(
        port="/dev/ttyS9",
        baudrate=4800,
        bytesize=7,
        stopbits=1.5,
        parity="E",
        xonxoff=True,
        rtscts=True,
        dsrdtr=True,
        write_timeout_s=3.5,
        inter_byte_timeout_s=0.25,
        exclusive=False,
    ),
    framing=Framing(delimiter=b"\r\x00\xff", max_frame_bytes=100, first_frame="keep", timeout_s=2.5),
    byteorder="little",
    converter="Mine",
    downlink_converter="SerialDownlinkConverter",
    telemetry=(DataPoint(key="n", type="int", from_byte=0, to_byte=-1),),
    attributes=(DataPoint(key="a", from_delimiter="#"),),
    attribute_updates=(AttributeUpdate(attribute="rate", string_to_device="R${rate}"),),
    rpcs=(Rpc(method="get", template="G", with_response=True, raw={"method": "get"}),),
    report_strategy=ReportStrategy(type="ON_CHANGE"),
    connector_name="serial",
    uplink_queue_size=5,
    log_level="DEBUG",
    raw={"name": "press 1", "port": "/dev/other", "line": 1},
)
GATEWAY = Gateway(
    file="/etc/serialgw/tb_gateway.json",
    connectors=(Connector(name="serial", devices=(DEVICE,), file="/etc/serialgw/serial.json"),),
)


def test_what_release_0_2_wrote_means_the_same() -> None:
    """A journal's section, a reader's task, and the snapshot from which processes start."""
    assert device_of((CASES / "section-0.2.json").read_bytes()) == DEVICE
    assert read_task((CASES / "task-0.2.json").read_bytes()).device == DEVICE
    assert read_active(CASES / "active-0.2.json") == make_active(GATEWAY)


def test_what_this_release_writes_comes_back(tmp_path: Path) -> None:
    """The same three, with the version in them."""
    assert device_of(section_of(DEVICE)) == DEVICE
    task = device_task(GATEWAY, DEVICE, tmp_path, "INFO")
    assert read_task(write_task(task)) == task
    write_active(tmp_path / "active.json", make_active(GATEWAY))
    assert read_active(tmp_path / "active.json") == make_active(GATEWAY)
    written = (write_task(task), (tmp_path / "active.json").read_bytes())
    assert {json.loads(content)["version"] for content in written} == {VERSION}
    assert json.loads(section_of(DEVICE))["version"] == PLAIN


def test_a_section_that_an_older_release_would_misread_has_a_version_that_it_refuses() -> None:
    """It would leave the messages out, make nothing of the frames, and they would be settled: the rest it reads."""
    device = replace(DEVICE, messages=(Message(name="m", telemetry=(DataPoint(key="k", place=Place(by="at")),)),))
    assert json.loads(section_of(device))["version"] == PLAIN + 1
    assert device_of(section_of(device)) == device


def test_what_the_release_before_wrote_means_the_same(tmp_path: Path) -> None:
    """Version 2 differs in nothing but in what it could not say."""
    task = device_task(GATEWAY, DEVICE, tmp_path, "INFO")
    assert read_task(_with_version(write_task(task), PLAIN)) == task
    path = tmp_path / "active.json"
    write_active(path, make_active(GATEWAY))
    path.write_bytes(_with_version(path.read_bytes(), PLAIN))
    assert read_active(path) == make_active(GATEWAY)


def test_a_task_of_a_device_that_is_configured_no_more_is_read() -> None:
    """It names none; its journal does."""
    fields = json.loads((CASES / "task-0.2.json").read_bytes()) | {"device": None}
    assert read_task(json.dumps(fields).encode()).device is None


@pytest.mark.parametrize("version", [VERSION + 1, 0, -1])
def test_another_version_is_refused_with_a_sentence(version: int, tmp_path: Path) -> None:
    """A field that we don't know may change what the others mean."""
    refusal = f"its version is {version}, and this release reads versions 1 to {VERSION}"
    with pytest.raises(msgspec.DecodeError, match=refusal):
        device_of(_with_version(section_of(DEVICE), version))
    with pytest.raises(msgspec.DecodeError, match=refusal):
        read_task(_with_version(write_task(device_task(GATEWAY, DEVICE, tmp_path, "INFO")), version))
    path = tmp_path / "active.json"
    write_active(path, make_active(GATEWAY))
    path.write_bytes(_with_version(path.read_bytes(), version))
    assert read_active(path) is None


@pytest.mark.parametrize("junk", [b"", b"[]", b"7", b'{"version":"2"}', b'{"version":2,"line":[]}', b'{"name":"\xce"}'])
def test_what_is_no_section_is_refused(junk: bytes) -> None:
    """With the one error that callers expect."""
    with pytest.raises(msgspec.DecodeError):
        device_of(junk)


def test_a_converter_of_release_0_2_reads_a_section_of_ours_as_it_is_meant() -> None:
    """After an update in place it may still run: all that it looks at has kept its name, its place and its form."""
    old, new = json.loads((CASES / "section-0.2.json").read_bytes()), json.loads(section_of(DEVICE))
    places = {*Line.__struct_fields__, *Framing.__struct_fields__, "connector_type"}
    _assert_within({name: value for name, value in old.items() if name not in places}, new)


def _assert_within(old: Any, new: Any) -> None:
    """All of `old` stands in `new`; what `new` has besides says nothing: it is empty."""
    if isinstance(old, dict):
        assert not any(new[name] for name in new.keys() - old.keys() - {"version", "line", "framing"})
        for name, value in old.items():
            _assert_within(value, new[name])
    elif isinstance(old, list):
        assert len(old) == len(new)
        for one, other in zip(old, new, strict=True):
            _assert_within(one, other)
    else:
        assert old == new


def _with_version(content: bytes, version: int) -> bytes:
    fields: dict[str, Any] = json.loads(content)
    return json.dumps(fields | {"version": version}).encode()
