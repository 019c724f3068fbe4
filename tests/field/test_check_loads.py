"""`serialgw check` says which converters of users do not load, whatever these do meanwhile."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from common.config.reading import read_gateway
from services.cli.__main__ import main
from services.cli.trial import loads
from services.cli.trial.loads import load_all
from tests.support.waiting import wait_until

GOOD = """
from common.converters import Converter
class Good(Converter):
    def convert(self, config, data):
        return None
"""


def write(folder: Path, *devices: Mapping[str, object], **files: str) -> Path:
    """A configuration of these devices, and files of converters beside it."""
    (folder / "extensions" / "serial").mkdir(parents=True, exist_ok=True)
    for name, source in files.items():
        (folder / "extensions" / "serial" / f"{name}.py").write_text(source)
    numbered = [{"port": f"/dev/ttyS{number}", **device} for number, device in enumerate(devices)]
    path = folder / "custom_serial.json"
    path.write_text(json.dumps({"name": "serial", "devices": numbered}))
    return path


def of(*methods: str, top: str = "") -> str:
    """A class `Mine` of these methods, which converts if they do not say how."""
    methods = methods or ("def __init__(self, config, logger):\n    pass",)
    body = "\n".join(f"    {line}" for method in methods for line in method.split("\n"))
    return f"{top}\nclass Mine:\n{body}\n    def convert(self, config, data):\n        return None\n"


MISSING = "pandas_of_nobody is not installed for this Python; to install it"
INIT = "def __init__(self, config, logger):\n    "


def checked(
    path: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, list[str], list[dict[str, object]]]:
    """(exit code, problems, devices) of `check`."""
    code = main(["check", str(path), "--json", *options])
    out = capsys.readouterr()
    assert out.err == ""
    said = json.loads(out.out)
    assert said["ok"] == (code == 0)
    return code, said["problems"], said["devices"]


FAULTS: list[tuple[str, str]] = [
    (
        of(top="import pandas_of_nobody"),
        f", line 1: {MISSING}: {sys.executable} -m pip install pandas_of_nobody",
    ),
    (of(top="from pandas_of_nobody.core import x"), "line 1: pandas_of_nobody is not installed for this Python"),
    (of(INIT + "import pandas_of_nobody"), "Mine: {file}, line 4: pandas_of_nobody is not installed"),
    (of(top="import beside, pandas_of_nobody"), f"line 1: {MISSING}"),
    (of(top="import json.nothing"), "line 1: ModuleNotFoundError: No module named 'json.nothing'"),
    (of(top="1 / 0"), "line 1: ZeroDivisionError: division by zero"),
    (of(INIT + "raise KeyError('offset')"), "Mine: {file}, line 4: KeyError: 'offset'"),
    (of(INIT + "raise SystemExit(3)"), "Mine: {file}, line 4: SystemExit: 3"),
    (of(INIT + "import sys; sys.exit('no')"), "Mine: {file}, line 4: SystemExit: no"),
    (of(top="import sys; sys.exit()"), "line 1: SystemExit"),
    (
        of(
            INIT + "import contextlib, os\n    for n in range(3, 1024):\n        with contextlib.suppress(OSError):\n"
            "            os.write(n, b'junk\\n')"
        ),
        "Mine has written",
    ),
    (of(INIT + "import os; os.closerange(0, 1024)"), "Mine ended its process with exit code 1"),
    (of(INIT + "import os; os._exit(0)"), "Mine ended its process with exit code 0"),
    (of(INIT + "import os; print('bye', flush=True); os._exit(9)"), "exit code 9, having printed: bye"),
    (of(INIT + "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), "Mine ended its process by SIGSEGV"),
    (of("def __init__(self, a, b, c, d):\n    pass"), "its constructor takes (a, b, c, d), expected __init__("),
    (of("def __init__(self, a, b, c):\n    pass"), "its constructor takes (a, b, c), expected __init__("),
    (
        "from common.converters import Converter\nclass Mine(Converter):\n def convert(self, data): pass",
        "convert takes (data), expected convert(self,",
    ),
    ("from common.converters import Converter as Mine", "TypeError: Can't instantiate abstract class"),
]
"""(a file with the class `Mine`, what is said of it); all are checked at once, as each start of Python takes time."""


def test_what_fails_is_said_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the words in which the gateway would say it; none hides another, and what the gateway understands is shown all
    the same."""
    devices = [{"name": f"d{number}", "converter": f"Mine{number}"} for number in range(len(FAULTS))]
    files = {f"f{number}": source.replace("Mine", f"Mine{number}") for number, (source, _) in enumerate(FAULTS)}
    path = write(tmp_path, *devices, beside="x = 1", **files)
    code, problems, shown = checked(path, capsys)
    assert code == 78
    assert len(problems) == len(FAULTS)
    assert [device["name"] for device in shown] == [device["name"] for device in devices]
    for number, ((_, why), problem) in enumerate(zip(FAULTS, problems, strict=True)):
        file = tmp_path / "extensions" / "serial" / f"f{number}.py"
        assert problem.startswith(f"{path}: device d{number}: converter: ")
        assert why.replace("{file}", str(file)).replace("Mine", f"Mine{number}") in problem


@pytest.mark.parametrize("source", ["class Mine(:", "x = 1"])
def test_what_shows_without_running_is_said_as_before(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A syntax error, and a class that is not there: nothing is run for these."""
    path = write(tmp_path, {"name": "hub", "converter": "Mine"}, mine=source)
    code, problems, _ = checked(path, capsys)
    assert code == 78
    assert '"Mine"' in problems[0]


def test_each_class_is_loaded_once_for_each_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its own section; downlink converters too. One that fails hides no other."""
    picky = of(INIT + "self.offset = config['offset']\n    print('loaded', config['name'])")
    path = write(
        tmp_path,
        {"name": "a", "converter": "Mine", "offset": 1},
        {"name": "b", "converter": "Mine"},
        {"name": "c", "downlink_converter": "Mine"},
        {"name": "d", "converter": "Good", "downlink_converter": "Good"},
        mine=picky,
        good=GOOD,
    )
    _, problems, _ = checked(path, capsys)
    assert [problem.split(": ")[1:3] for problem in problems] == [
        ["device b", "converter"],
        ["device c", "downlink_converter"],
    ]
    assert all("KeyError: 'offset'" in problem for problem in problems)


def test_what_users_code_prints_is_not_in_the_result(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """However much it is, to both streams; `--json` stays JSON."""
    noisy = of(INIT + "import sys\n    for one in (sys.stdout, sys.stderr):\n        one.write('x' * 1_000_000)")
    path = write(tmp_path, {"name": "hub", "converter": "Mine"}, mine=noisy)
    assert main(["check", str(path), "--json"]) == 0
    out = capfd.readouterr()
    assert json.loads(out.out)["problems"] == []
    assert out.err == ""


def test_one_that_hangs_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    """And the others are loaded all the same."""
    note = tmp_path / "pid"
    hanging = of(
        INIT + "import subprocess\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(note)!r}, 'w').write(str(child.pid))\n"
        "    child.wait()"
    )
    path = write(
        tmp_path, {"name": "a", "converter": "Mine"}, {"name": "b", "converter": "Bad"}, mine=hanging, bad="Bad = 5"
    )
    began_s = time.monotonic()
    problems, untried = load_all(read_gateway(path, {}).gateway, os.environ, load_s=3.0)
    assert time.monotonic() - began_s < 30
    assert problems[0] == f"{path}: device a: converter: Mine did not load in 3 s, and was ended"
    assert "device b: converter: converter Bad: found 5, expected a class" in problems[1]
    assert untried == []
    child = Path(f"/proc/{note.read_text()}")
    wait_until(lambda: not child.exists() or "State:\tZ" in (child / "status").read_text(), "the child ended")


def test_time_for_all_is_bounded(tmp_path: Path) -> None:
    """What was not tried is said."""
    path = write(tmp_path, {"name": "a", "converter": "Good"}, {"name": "b", "converter": "Good"}, good=GOOD)
    problems, untried = load_all(read_gateway(path, {}).gateway, os.environ, all_s=0.0)
    assert problems == []
    assert untried[1] == f"{path}: device b: converter: Good was not loaded: the others took 0 s"


def test_no_import_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For machines that lack what converters need, and for files that nobody has read yet."""
    mark = tmp_path / "ran"
    path = write(tmp_path, {"name": "hub", "converter": "Mine"}, mine=of(top=f"open({str(mark)!r}, 'w'); 1 / 0"))
    assert checked(path, capsys, "--no-import")[0] == 0
    assert not mark.exists()
    assert checked(path, capsys)[0] == 78
    assert mark.exists()


def test_secrets_are_not_in_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the gateway."""
    monkeypatch.setenv("TB_GW_ACCESS_TOKEN", "secret")
    source = of(top="import os\nassert not [name for name in os.environ if name.startswith('TB_GW')]")
    assert checked(write(tmp_path, {"name": "hub", "converter": "Mine"}, mine=source), capsys)[1] == []


def test_modules_of_pythonpath_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the gateway; one that bears a name of ours comes behind ours."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "their_module.py").write_text("x = 1")
    (folder / "common.py").write_text("1 / 0")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = write(tmp_path, {"name": "hub", "converter": "Mine"}, mine=of(top="import their_module"))
    assert checked(path, capsys)[1] == []


def test_files_of_another_user_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever checks somebody else's configuration, as root perhaps, runs nothing of theirs."""
    path = write(tmp_path, {"name": "hub", "converter": "Good"}, good=GOOD)
    gateway = read_gateway(path, {}).gateway
    theirs = os.geteuid() + 1
    found = os.stat(tmp_path)
    monkeypatch.setattr(loads.os, "stat", lambda _: os.stat_result((*found[:4], theirs, *found[5:])))
    problems, (warning,) = load_all(gateway, os.environ)
    assert problems == []
    assert f"belongs to user id {theirs}" in warning
