"""The demo's parts: its devices, its figures, its environment."""

from __future__ import annotations

import json
import os
import tty
from collections.abc import Iterator

import pytest

from common.config.reading import read_gateway
from common.io.private import write_private
from services.cli.demo.devices import VirtualDevice, configurations
from services.cli.demo.figures import Figures, readings_of
from services.cli.demo.heard import setpoints
from services.cli.demo.processes import own_environment
from services.cli.demo.subscriber import TELEMETRY, Arrival


@pytest.fixture
def device() -> Iterator[VirtualDevice]:
    found = VirtualDevice("press1")
    yield found
    found.close()


def test_a_device_says_frames_and_answers(device: VirtualDevice) -> None:
    """Complete lines only; what it does not understand it does not answer."""
    line = os.open(device.port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    try:
        frame = device.send_frame()
        assert frame == b"humidity=48.0 serial=2430947595 count=1\n"
        assert os.read(line, 100) == frame
        os.write(line, b"GET set")
        assert device.serve() == []
        os.write(line, b"point\nSET setpoint=25\nHELLO\n")
        assert device.serve() == [
            (b"GET setpoint\n", b"setpoint=20\n"),
            (b"SET setpoint=25\n", b"setpoint=25\n"),
            (b"HELLO\n", b""),
        ]
        said = b""
        while said.count(b"\n") < 2:
            said += os.read(line, 100)
        assert said == b"setpoint=20\nsetpoint=25\n"
    finally:
        os.close(line)


def test_the_demos_configuration_has_no_warning(
    device: VirtualDevice, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is an example too."""
    folder = tmp_path_factory.mktemp("demo")
    for name, content in zip(("tb_gateway.json", "custom_serial.json"), configurations([device], 1883), strict=True):
        write_private(folder / name, json.dumps(content))
    gateway, warnings = read_gateway(folder / "tb_gateway.json", {})
    assert warnings == []
    assert [one.name for one in gateway.devices] == ["press1"]


def test_figures_count_missing_repeats_and_disorder() -> None:
    """A reading counts once; its latency is from the write of its frame."""
    figures = Figures()
    for count in (1, 2, 3, 4):
        figures.wrote("a", count, 10.0)
    assert figures.came("a", 1, 10.5) == 0.5
    assert figures.came("a", 1, 11.0) is None
    assert figures.came("b", 1, 11.0) is None
    assert figures.came("a", 3, 11.0) == 1.0
    assert figures.came("a", 2, 12.0) == 2.0
    assert (figures.written, figures.arrived, figures.missing) == (4, 3, 1)
    assert (figures.repeats, figures.out_of_order) == (2, 1)
    assert (figures.latency_ms(50), figures.latency_ms(100)) == (1000, 2000)
    assert Figures().latency_ms(95) == 0


def test_readings_are_found_in_both_forms_of_telemetry() -> None:
    """With and without a timestamp; anything else has none."""
    value = {"a": [{"ts": 1, "values": {"x": 1}}, {"setpoint": 2}], "b": "junk", "c": [3]}
    assert list(readings_of(value)) == [("a", {"x": 1}), ("a", {"setpoint": 2})]
    assert list(readings_of([1])) == []
    assert setpoints(Arrival(0.0, TELEMETRY, value)) == [("a", 2)]
    assert setpoints(Arrival(0.0, "v1/gateway/attributes", value)) == []


def test_the_demo_never_speaks_to_the_users_platform() -> None:
    """What leads a gateway to a platform or a data directory is taken out of its environment."""
    environ = {"TB_GW_HOST": "x", "TB_GW_ACCESS_TOKEN": "y", "SERIALGW_DATA_DIR": "/z", "PATH": "/bin"}
    assert own_environment(environ) == {"PATH": "/bin"}
