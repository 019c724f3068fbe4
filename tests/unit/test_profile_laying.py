"""A device section over a profile: what is merged, what is dropped, and where a message says that something stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.config.models import Device, section_of
from common.config.reading import Loaded, read_gateway
from common.core.errors import ConfigError

PROFILE: dict[str, Any] = {
    "title": "A thing",
    "parameters": {"unit": {"default": "g", "meaning": "the unit"}, "first": {"default": 3}},
    "device": {
        "type": "thing",
        "baudrate": 4800,
        "framing": {"end": "\r\n"},
        "messages": [
            {
                "name": "a",
                "ask": "A${first}",
                "every": 5,
                "fields": ",",
                "telemetry": [
                    {"key": "x", "field": 0, "type": "float", "unit": "${unit}"},
                    {"key": "y", "field": "${first}", "type": "int"},
                ],
            },
            {"name": "b", "ask": "B", "every": 60, "when": "^b", "telemetry": [{"key": "z", "value": 1}]},
        ],
        "serverSideRpc": [{"method": "go", "template": "${params}", "withResponse": False}],
    },
}


def write(folder: Path, section: dict[str, Any], **profiles: dict[str, Any]) -> Path:
    (folder / "profiles").mkdir(exist_ok=True)
    for name, profile in {"thing": PROFILE, **profiles}.items():
        (folder / "profiles" / f"{name}.json").write_text(json.dumps(profile))
    path = folder / "serial.json"
    entry = {"name": "d", "port": "/dev/ttyUSB0", "profile": "thing", **section}
    path.write_text(json.dumps({"name": "S", "devices": [entry]}))
    return path


def read(folder: Path, section: dict[str, Any], **profiles: dict[str, Any]) -> Loaded:
    return read_gateway(write(folder, section, **profiles), {})


def device(folder: Path, section: dict[str, Any], **profiles: dict[str, Any]) -> Device:
    return read(folder, section, **profiles).gateway.devices[0]


def problems(folder: Path, section: dict[str, Any], **profiles: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, section, **profiles)
    return caught.value.problems


def test_a_name_and_a_port_are_enough(tmp_path: Path) -> None:
    """All else is the profile's, with its parameters filled in: whole texts as what they are, others in their text."""
    found = device(tmp_path, {})
    assert (found.type, found.line.baudrate) == ("thing", 4800)
    first, second = found.messages
    assert [point.key for point in first.telemetry] == ["x", "y"]
    assert first.telemetry[1].place is not None
    assert first.telemetry[1].place.fields == (3,)
    assert first.telemetry[0].meaning.unit == "g"
    assert second.name == "b"
    assert found.asking is not None
    assert [(ask.steps[0].data, ask.every_s) for ask in found.asking.asks] == [(b"A3", 5), (b"B", 60)]


def test_parameters_fill_in(tmp_path: Path) -> None:
    """And placeholders of calls, which no parameter is named after, stay."""
    found = device(tmp_path, {"parameters": {"unit": "kg", "first": 7}})
    assert found.messages[0].telemetry[0].meaning.unit == "kg"
    assert found.asking is not None
    assert found.asking.asks[0].steps[0].data == b"A7"
    assert found.rpcs[0].template == "${params}"


def test_lists_are_merged_by_name(tmp_path: Path) -> None:
    """A point is changed, one dropped, one added; a message dropped; all else is as it was."""
    section = {
        "baudrate": 9600,
        "messages": [
            {
                "name": "a",
                "telemetry": [
                    {"key": "x", "scale": 0.1},
                    {"key": "y", "enabled": False},
                    {"key": "new", "field": 1, "type": "int"},
                ],
            },
            {"name": "b", "enabled": False},
        ],
        "serverSideRpc": [{"method": "stop", "template": "S", "withResponse": False}],
    }
    found = device(tmp_path, section)
    assert found.line.baudrate == 9600
    (message,) = found.messages
    assert [(point.key, point.meaning.scale, point.meaning.unit) for point in message.telemetry] == [
        ("x", 0.1, "g"),
        ("new", 1, ""),
    ]
    assert [rpc.method for rpc in found.rpcs] == ["go", "stop"]


def test_every_of_the_device_is_that_of_all_messages(tmp_path: Path) -> None:
    """But for one that the section itself says it of."""
    found = device(tmp_path, {"every": 2, "messages": [{"name": "b", "every": 30}]})
    assert found.asking is not None
    assert [(ask.name, ask.every_s) for ask in found.asking.asks] == [("a", 2), ("b", 30)]


def test_null_takes_away(tmp_path: Path) -> None:
    """As it does where there is no profile."""
    profile = {**PROFILE, "device": {**PROFILE["device"], "init": [{"send": "X"}]}}
    assert device(tmp_path, {"profile": "other"}, other=profile).asking.init  # type: ignore[union-attr]
    assert not device(tmp_path, {"profile": "other", "init": None}, other=profile).asking.init  # type: ignore[union-attr]


def test_several_profiles_lie_over_each_other(tmp_path: Path) -> None:
    """The later one wins."""
    fast = {"device": {"baudrate": 115200, "messages": [{"name": "b", "enabled": False}]}}
    found = device(tmp_path, {"profile": ["thing", "fast"]}, fast=fast)
    assert (found.line.baudrate, len(found.messages)) == (115200, 1)


def test_the_users_own_come_before_ours(tmp_path: Path) -> None:
    """A file of the same name beside the configuration."""
    own = {"device": {"type": "mine", "framing": "lines", "telemetry": [{"key": "k", "type": "string"}]}}
    assert device(tmp_path, {"profile": "sds011"}, sds011=own).type == "mine"
    assert device(tmp_path, {"profile": "pmsx003"}).type == "PMSx003"


def test_the_section_that_is_journaled_is_the_resolved_one(tmp_path: Path) -> None:
    """It is the same as if somebody had written it out, and says nothing of a profile."""
    plain = {
        "name": "d",
        "type": "SDS011",
        "port": "/dev/ttyUSB0",
        "baudrate": 9600,
        "byteorder": "little",
        "framing": {"start": "hex:AA C0", "length": 10, "end": "hex:AB"},
        "checksum": {"type": "sum8", "from": 2, "to": 8, "at": 8},
        "telemetry": [
            {"key": key, "at": at, "type": "uint16", "scale": 0.1, "unit": "µg/m³"}
            for key, at in (("pm25", 2), ("pm10", 4))
        ],
    }
    written = tmp_path / "written.json"
    written.write_text(json.dumps({"name": "S", "devices": [plain]}))
    (by_hand,) = read_gateway(written, {}).gateway.devices
    by_profile = device(tmp_path, {"profile": "sds011"})
    assert by_profile == by_hand
    assert section_of(by_profile) == section_of(by_hand)
    assert b"profile" not in section_of(by_profile)


def test_a_problem_of_a_profile_names_its_file(tmp_path: Path) -> None:
    """And the place in it, also deep inside; one of the section names the section."""
    broken = json.loads(json.dumps(PROFILE))
    broken["device"]["messages"][0]["telemetry"][0]["type"] = "flaot"
    broken["device"]["baudrate"] = "fast"
    found = problems(tmp_path, {"profile": "broken"}, broken=broken)
    assert any(text.startswith("profiles/broken.json: device.baudrate: found") for text in found)
    assert any(text.startswith("profiles/broken.json: device.messages[0].telemetry[0].type: found") for text in found)
    found = problems(tmp_path, {"messages": [{"name": "a", "telemetry": [{"key": "x", "scale": "big"}]}]})
    assert found == [
        'serial.json: devices[0].messages[0].telemetry[0].scale: found "big", expected a number',
    ]


def test_a_wrong_parameter_names_the_parameter(tmp_path: Path) -> None:
    """Not the place in the profile that it is put into, which its user has never seen."""
    found = problems(tmp_path, {"parameters": {"first": "many"}})
    assert len(found) == 1
    assert found[0].startswith('serial.json: devices[0].parameters.first: found "many", expected the number of a field')


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ({"profile": "thign"}, 'devices[0].profile: found "thign", expected a profile that there is, such as "thing"'),
        ({"profile": ["thing", "../thing"]}, 'devices[0].profile[1]: found "../thing", expected'),
        ({"profile": 7}, "devices[0].profile: found 7, expected the name of a profile, or a list of names"),
        ({"profile": "needs"}, "devices[0].parameters.address: found nothing, expected the unit on the bus"),
        ({"parameters": {"unit": [1]}}, "devices[0].parameters.unit: found a list, expected"),
        (
            {"profile": "named"},
            'profiles/named.json: device.port: found "port" in a profile, expected it in the device',
        ),
        ({"profile": "empty"}, "profiles/empty.json: device: found nothing, expected an object"),
        ({"profile": "torn"}, "profiles/torn.json: top level: found an empty list, expected an object"),
        ({"messages": [{"name": "b", "enabled": "no"}]}, 'devices[0].messages[0].enabled: found "no", expected true'),
    ],
)
def test_what_can_not_be_used_is_said(section: dict[str, Any], found: str, tmp_path: Path) -> None:
    """One sentence each, with the place, what stands there and what would be right."""
    profiles: dict[str, Any] = {
        "needs": {"parameters": {"address": {"meaning": "the unit on the bus"}}, "device": {"framing": "lines"}},
        "named": {"device": {"port": "/dev/ttyUSB0", "framing": "lines"}},
        "empty": {"title": "nothing"},
        "torn": [],
    }
    (problem, *others) = problems(tmp_path, section, **profiles)
    assert not others
    assert problem.removeprefix("serial.json: ").startswith(found)


def test_slips_are_warned_of(tmp_path: Path) -> None:
    """A parameter that nobody knows, a point to drop that is not there, a key of a profile that means nothing."""
    section = {"parameters": {"unti": "kg"}, "messages": [{"name": "a", "telemetry": [{"key": "w", "enabled": False}]}]}
    warnings = read(tmp_path, section, thing={**PROFILE, "titel": "T"}).warnings
    assert any('parameters.unti: no profile of this device knows it, did you mean "unit"?' in text for text in warnings)
    assert any('no key "w" is there to be dropped; there is: "x", "y"' in text for text in warnings)
    assert any(text.startswith("profiles/thing.json: titel: unknown key") for text in warnings)


def test_parameters_without_a_profile_are_warned_of(tmp_path: Path) -> None:
    """They would silently do nothing."""
    path = tmp_path / "serial.json"
    path.write_text(
        json.dumps({"name": "S", "devices": [{"name": "d", "port": "/dev/ttyUSB0", "parameters": {"a": 1}}]})
    )
    assert any('parameters: has no effect without "profile"' in text for text in read_gateway(path, {}).warnings)
