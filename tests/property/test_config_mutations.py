"""Whatever stands in a configuration: it is read or refused, with a file and a path in every message."""

from __future__ import annotations

import copy
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.models import device_of, section_of
from common.config.reading import read_gateway
from common.core.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example"
MAIN = json.loads((EXAMPLE / "tb_gateway.json").read_text())
SERIAL = json.loads((EXAMPLE / "custom_serial.json").read_text())
MAIN["thingsboard"]["security"]["accessToken"] = "s3cretToken"
SERIAL["devices"][0].update(
    timeout=1, deviceName="D", xonxoff=False, maxFrameBytes=100, reportStrategy={"type": "DISABLED"}
)
FILES = r"tb_gateway\.json|custom_serial\.json|environment|/|/dev/zero|\.\./\.\./etc/passwd"
PROBLEM = re.compile(rf"({FILES})/*: [^\n]+: found [^\n]+, expected [^\n]+")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "${", "(", "1", "socket://:0", "\0", "a:b", "..", "serial", "usernamePassword", "NaN", "/"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths_of(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all nodes, the top among them."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(deeper for key, child in children for deeper in paths_of(child, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn, original: Any) -> Any:
    """The original with up to three nodes replaced or deleted."""
    document = copy.deepcopy(original)
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(paths_of(document)))
        if not path:
            document = draw(VALUES)
            continue
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if draw(st.booleans()):
            del parent[path[-1]]
        else:
            parent[path[-1]] = draw(VALUES)
    return document


def read_or_refuse(main: bytes, serial: bytes) -> None:
    """Reads the two files; anything but a result or a ConfigError with well-formed problems fails."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tb_gateway.json").write_bytes(main)
        (Path(folder) / "custom_serial.json").write_bytes(serial)
        for name in ("tb_gateway.json", "custom_serial.json"):
            gateway, warnings, problems = None, [], []
            try:
                gateway, warnings = read_gateway(Path(folder) / name, {})
            except ConfigError as error:
                problems = error.problems
            assert bool(problems) == (gateway is None)
            assert all(PROBLEM.fullmatch(problem) for problem in problems), problems
            assert "s3cretToken" not in "".join(warnings) + repr(gateway)
            if gateway is None:
                continue
            assert all(device_of(section_of(device)) == device for device in gateway.devices)


@settings(max_examples=150)
@given(mutated(MAIN), mutated(SERIAL))
def test_any_mutation_is_read_or_refused(main: Any, serial: Any):
    """Any node replaced by any value, or deleted: a result or a ConfigError, and each problem names file and path."""
    read_or_refuse(json.dumps(main).encode(), json.dumps(serial).encode())


@settings(max_examples=60)
@given(st.integers(0, 700), st.binary(max_size=4), st.integers(0, 4))
def test_any_damage_to_the_bytes_is_read_or_refused(position: int, junk: bytes, cut: int):
    """Bytes replaced anywhere in the files: a result or a ConfigError, nothing else."""
    main, serial = json.dumps(MAIN).encode(), json.dumps(SERIAL).encode()
    read_or_refuse(
        main[:position] + junk + main[position + cut :],
        serial[:position] + junk + serial[position + cut :],
    )
