"""Secrets leave a configuration's text before anybody sees it, and come back to where they were."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.blanking import MARK, blanked, restored

KEY = b"k"
MAIN = """{
  "thingsboard": {"host": "h", "port": 1883,
    "security": {"accessToken": "s3cret-1", "username": "s3cret-2", "caCert": "ca.pem"},
    "provisioning": {"provisionDeviceKey": "s3cret-3", "deviceName": "n"}},
  "username": "shown", "token_type": "shown too", "pass\\u0077ord": "s3cret-4", "pin": {"apiKey": 12345},
  "tokens": ["s3cret-5", "s3cret-6"], "url": "mqtt://me:s3cret-7@host/", "empty": {"password": ""}, "useToken": true,
  "headers": {"X-Any": "Bearer s3cret-8s3cret"}, "pem": "-----BEGIN PRIVATE KEY-----\\ns3cret-9",
  "pass": "s3cret-0", "note": "what \\"password\\": says"
}
"""


def test_secrets_are_gone_and_nothing_else_is() -> None:
    """By the names of their keys, however these are written; an address with a password is one. What comes back
    unchanged is the same to the byte."""
    shown = blanked(MAIN, KEY)
    assert "s3cret" not in shown
    assert "12345" not in shown
    for word in ('"host": "h"', '"ca.pem"', '"shown"', '"shown too"', '"password": ""', "says", '"n"'):
        assert word in shown
    assert len(MARK.findall(shown)) == 11
    json.loads(shown)
    assert restored(shown, [MAIN], KEY) == (MAIN, [])


def test_a_secret_follows_the_line_that_it_stands_in() -> None:
    """Two devices that changed places, and one that went to another file, keep their own passwords."""
    one = '[{"name": "a", "password": "pa"}, {"name": "b", "password": "pb"}]'
    shown = json.loads(blanked(one, KEY))
    moved = json.dumps([shown[1], shown[0]])
    assert json.loads(restored(moved, [one], KEY).text) == [*reversed(json.loads(one))]
    assert json.loads(restored(json.dumps(shown[:1]), ["{}", one], KEY).text) == json.loads(one)[:1]


def test_a_mark_under_another_key_gives_nothing_away() -> None:
    """Else whoever may edit would read the token as a device's name."""
    shown = blanked('{"token": "s3cret"}', KEY)
    for text in (shown.replace("token", "title"), json.dumps({"token": f"x{json.loads(shown)['token']}"})):
        found = restored(text, ['{"token": "s3cret"}'], KEY)
        assert "s3cret" not in found.text
        assert "line 1: found a blanked secret" in found.problems[0]


def test_a_secret_that_has_changed_since_is_the_one_that_counts_now() -> None:
    """By its place, where that is sure; in a list without names it is not, and is asked for."""
    old = blanked(
        '{"security": {"accessToken": "old"}, "list": [{"token": "x"}], "all": [{"name": "n", "token": "y"}]}', KEY
    )
    now = '{"security": {"accessToken": "new"}, "list": [{"token": "z"}], "all": [{"name": "n", "token": "w"}]}'
    found = restored(old, [now], KEY, same=now)
    assert '"accessToken": "new"' in found.text
    assert '"token": "w"' in found.text
    assert '"z"' not in found.text
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "accessToken": "s3cret"\n  "port": 1\n}',
        '{"accessToken": "s3cret", "port" 1}',
        '{\n "accessToken":\n   "s3cret",,\n}',
        '{\n "accessToken": "abc\n  s3cret",\n}',
        "{accessToken: 's3cret'}",
        '{"host: "x", "accessToken": "s3cret"}',
        "password: s3cret\n",
        '{"url": "mqtt://u:s3cret@h",}',
        '{"key": "-----BEGIN RSA PRIVATE KEY-----\ns3cret/1\ns3cret2==\n-----END RSA PRIVATE KEY-----",\n"a": 1}',
        '{"tokens": [\n  "s3cret-1",\n  "s3cret-2"\n],,}',
        '{"credentials": {\n  "first": "s3cret-1",\n  "second": {"a": 1},\n  "third": "s3cret-2"\n},,}',
        '{"accessToken"\n:\n"s3cret",,}',
        '{"security": {"username": "u", "password":\n  "s3cret"},,',
        '{"password": "a\nb\n\ns3cret",}',
        '{"password": // it is new\n "s3cret",}',
        '{"api_key": "s3cret"\n"x" 1}',
        '{"pass": "s3cret",}',
        '{\n "url": "http://h/?token=s3cret",,\n}',
    ],
)
def test_a_text_that_is_no_json_loses_rather_too_much(text: str) -> None:
    """A person mends it on the page, and sees no secret meanwhile."""
    assert "s3cret" not in blanked(text, KEY)


def test_what_stands_behind_a_secret_is_shown_again() -> None:
    """From the next key on: who mends a file has to see it."""
    text = '{"security": {\n  "accessToken": "s3cret" // new\n  },\n  "host": "h"\n  "port": 1\n}'
    assert blanked(text, KEY).splitlines()[2:] == text.splitlines()[2:]


@pytest.mark.parametrize("value", ["http://h/x?a=1&access_token=s3cret", "Driver={P};Uid=me;Pwd=s3cret;", "PWD=s3cret"])
def test_a_secret_within_a_value_that_tells_so(value: str) -> None:
    """As addresses have it, and what databases are reached by."""
    assert "s3cret" not in blanked(json.dumps({"str": value}), KEY)


def test_a_long_text_costs_no_more_than_reading_it() -> None:
    """Whatever stands in it: the page's own process does this."""
    start_s = time.process_time()
    blanked(json.dumps({"a": f"://{':' * 50_000}"}), KEY)
    assert time.process_time() - start_s < 2


def test_a_mended_text_has_its_secret_back() -> None:
    """Where it stands on a line of its own, as it does in a file that is written for people."""
    broken = '{\n  "accessToken": "s3cret"\n  "port": 1\n}'
    mended = blanked(broken, KEY).replace('>"\n', '>",\n')
    assert json.loads(restored(mended, [broken], KEY).text) == {"accessToken": "s3cret", "port": 1}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "token", "a", "Password", "security", "username"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_whatever_is_blanked_comes_back(value: object, indent: int | str | None) -> None:
    """To the byte, and what is shown is JSON still."""
    text = json.dumps(value, indent=indent)
    shown = blanked(text, KEY)
    json.loads(shown)
    assert restored(shown, [text], KEY) == (text, [])
