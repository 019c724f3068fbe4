"""A problem is shown at its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.config.problem_places import placed
from common.config.reading import read_gateway
from common.core.errors import ConfigError

TEXT = """{
  "devices": [
    {"name": "a"},
    {
      "name": "b",
      "odd key": 1,
      "port": 5
    }
  ]
}
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("devices[1].port", 7),
        ('devices[1]."odd key"', 6),
        ("devices[1].baudrate", 4),
        ("devices[7].port", 2),
        ("top level", 1),
        ("line 3, column 9", 3),
        ("byte 2", 2),
        ("nowhere.at.all", 1),
    ],
)
def test_the_line_of_a_place(place: str, line: int) -> None:
    """Of a key that is missing it is the object that lacks it."""
    found = placed(f"s.json: {place}: found X, expected Y", {"s.json": TEXT})
    assert (found.file, found.line) == ("s.json", line)


def test_a_problem_of_no_file_has_no_line() -> None:
    """And a file that is no JSON has only the lines that its problem says."""
    assert placed("class Own: no such module", {"s.json": TEXT}).line == 0
    assert placed("s.json: devices[0].port: found 1, expected 2", {"s.json": "{"}).line == 0


def test_what_the_reader_says_is_found(tmp_path: Path) -> None:
    """Each problem of real files has its line."""
    serial = {"name": "S", "devices": [{"name": "a", "port": "/dev/x", "baudrate": "fast", "parity": "?"}]}
    main = {
        "thingsboard": {"host": 5},
        "connectors": [{"name": "S", "type": "serial", "configuration": "serial.json"}],
    }
    files = {"tb_gateway.json": json.dumps(main, indent=2), "serial.json": json.dumps(serial, indent=2)}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_gateway(tmp_path / "tb_gateway.json", {})
    found = [placed(problem, files) for problem in refused.value.problems]
    lines = {files[one.file].splitlines()[one.line - 1].strip().rstrip(",") for one in found}
    assert lines >= {'"host": 5', '"baudrate": "fast"', '"parity": "?"'}
