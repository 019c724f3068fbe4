"""Who may see and change what over HTTP."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.monitor.core.access import (
    CODE_S,
    COOKIE_S,
    LOGIN,
    MOST_ADDRESSES,
    MOST_CODES,
    MOST_WRONG,
    OPEN,
    WRONG_S,
    Access,
    Asked,
    Role,
    Rules,
    is_loopback,
)

VIEW, EDIT = "v" * 43, "e" * 43
LOCAL = Rules(VIEW, EDIT)
EDITABLE = Rules(VIEW, EDIT, is_editable=True)
ABROAD = Rules(VIEW, EDIT, address="0.0.0.0", hosts=frozenset({"gw.example.org"}), is_editable=True)
NOW_S, WALL_S = 100.0, 1_800_000_000.0
TOKENS = {"no": "", "wrong": "Bearer nonsense", "view": f"Bearer {VIEW}", "edit": f"Bearer {EDIT}"}
PAGES = {"ours": ("127.0.0.1:8484", ""), "foreign host": ("evil.example", ""), "foreign page": ("127.0.0.1:8484", "x")}


def asked(method: str = "GET", path: str = "/api/status", **fields: str) -> Asked:
    """A request of a browser on this machine, or of a program there."""
    return Asked(method, path, **{"host": "127.0.0.1:8484", "address": "127.0.0.1", **fields})


def decide(rules: Rules, request: Asked) -> tuple[int, Role]:
    verdict = Access(rules).decide(request, NOW_S, WALL_S)
    assert bool(verdict.sentence) == (verdict.status != 200)
    return verdict.status, verdict.role


@pytest.mark.parametrize(("token", "page", "method"), [*itertools.product(TOKENS, PAGES, ["GET", "POST"])])
@pytest.mark.parametrize("rules", [LOCAL, EDITABLE, ABROAD], ids=["local", "editable", "abroad"])
def test_each_token_from_each_page(rules: Rules, token: str, page: str, method: str) -> None:
    """The whole table: what is for another host or from another's page never passes; looking needs a token where others
    can come; changing needs the edit token and a gateway that allows it."""
    host, foreign = PAGES[page]
    request = asked(
        method,
        host=host,
        authorization=TOKENS[token],
        content_type="application/json",
        origin="http://evil.example" if foreign else "",
        fetch_site="cross-site" if foreign else "",
    )
    status, _ = decide(rules, request)
    if page == "foreign host":
        assert status == 421
    elif page == "foreign page":
        assert status == 403
    elif token == "wrong":
        assert status == 401
    elif method == "GET":
        assert status == (401 if token == "no" and rules is ABROAD else 200)
    elif token == "edit":
        assert status == (403 if rules is LOCAL else 200)
    else:
        assert status == (401 if token == "no" and rules is ABROAD else 403)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8484", 200),
        ("127.0.0.1", 200),
        ("[::1]:8484", 200),
        ("GW.Example.org:80", 200),
        ("gw.example.org.evil.example", 421),
        ("evil.example", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_only_names_that_are_ours_are_answered(host: str, status: int) -> None:
    """A page of somebody else's reaches us by a name of theirs."""
    assert decide(ABROAD, asked(host=host, authorization=f"Bearer {VIEW}"))[0] == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"fetch_site": "same-origin"}, 200),
        ({"fetch_site": "none"}, 200),
        ({"fetch_site": "same-site"}, 403),
        ({"fetch_site": "cross-site"}, 403),
        ({"origin": "http://127.0.0.1:8484"}, 200),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": ""}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_changes_come_from_our_own_page_or_from_no_page(fields: dict[str, str], status: int) -> None:
    """Forms and scripts of other pages can send requests with a logged-in person's cookie."""
    request = {"content_type": "application/json", "authorization": f"Bearer {EDIT}", **fields}
    assert decide(EDITABLE, asked("POST", **request))[0] == status


@pytest.mark.parametrize("rules", [LOCAL, ABROAD], ids=["local", "abroad"])
@pytest.mark.parametrize("cookie", ["", "edit.1900000000.abc", "nonsense"])
def test_one_logs_in_without_a_login(rules: Rules, cookie: str) -> None:
    """Over any address, and with a login that is worth nothing any more, such as one of another gateway on this host:
    else nobody could get a new one. Nothing else is to be had so."""
    assert decide(rules, asked(path=LOGIN, cookie=cookie)) == (200, "none")
    assert decide(rules, asked(path=LOGIN, cookie=cookie, host="evil.example"))[0] == 421
    assert decide(rules, asked("POST", path=LOGIN, cookie=cookie, content_type="application/json"))[0] in (401, 403)
    assert decide(ABROAD, asked(path="/login/", cookie=cookie))[0] == 401


@pytest.mark.parametrize(("site", "dest", "status"), [
    ("cross-site", "document", 200), ("cross-site", "image", 403), ("cross-site", "iframe", 403),
    ("same-site", "empty", 403), ("same-site", "", 403), ("same-origin", "empty", 200), ("none", "document", 200),
])  # fmt: skip
def test_other_pages_can_only_link_here(site: str, dest: str, status: int) -> None:
    """What they fetch they can't read; but it would take the places of pages, start commands, and be wrong in the name
    of whoever looks at them."""
    assert decide(LOCAL, asked(fetch_site=site, fetch_dest=dest))[0] == status


@pytest.mark.parametrize("path", sorted(OPEN))
def test_who_supervises_the_gateway_needs_no_token(path: str) -> None:
    """But is nobody, so a route says no more than a word; and changes nothing there."""
    assert decide(ABROAD, asked(path=path, host="10.1.2.3:8484")) == (200, "none")
    assert decide(ABROAD, asked(path=path, authorization=f"Bearer {VIEW}")) == (200, "view")
    assert decide(ABROAD, asked("POST", path=path, host="10.1.2.3:8484"))[0] == 421


def test_the_unix_socket_is_the_gateways_own_users() -> None:
    """Whoever can open it may do everything, whatever a browser would have to say."""
    request = asked("POST", host="x", address="", content_type="application/json")
    assert decide(LOCAL, request) == (200, "edit")


@pytest.mark.parametrize("role", ["view", "edit"])
def test_a_code_becomes_a_cookie_once(role: Role) -> None:
    """And the cookie is as good as the token, for a week."""
    access = Access(EDITABLE)
    assert access.add_code("code", role, NOW_S)
    assert access.use_code("code", "127.0.0.1", NOW_S) == role
    assert access.use_code("code", "127.0.0.1", NOW_S) == "none"
    cookie = access.cookie_for(role, WALL_S)
    assert access.decide(asked(cookie=cookie), NOW_S, WALL_S + COOKIE_S).role == role
    late = access.decide(asked(cookie=cookie), NOW_S, WALL_S + COOKIE_S + 2)
    assert late.role == "view", "as nobody, who may look here"
    other = Access(Rules("w" * 43, "f" * 43))
    assert other.decide(asked(cookie=cookie), NOW_S, WALL_S).status == 401, "the tokens were made anew"


def test_a_code_holds_for_a_minute() -> None:
    """A link that is found later is worth nothing; and only so many are open at a time."""
    access = Access(EDITABLE)
    for number in range(MOST_CODES):
        assert access.add_code(f"code{number}", "view", NOW_S)
    assert not access.add_code("more", "view", NOW_S)
    assert access.use_code("code0", "127.0.0.1", NOW_S + CODE_S) == "none"
    assert access.add_code("more", "view", NOW_S + CODE_S)


def test_who_is_wrong_again_and_again_is_turned_away_for_a_minute() -> None:
    """Who has the right token is not, from wherever: else anybody on this machine could shut its operator out."""
    access = Access(EDITABLE)
    wrong, right = asked(authorization="Bearer x"), asked(authorization=f"Bearer {VIEW}")
    for _ in range(MOST_WRONG):
        assert access.decide(wrong, NOW_S, WALL_S).status == 401
    assert access.decide(wrong, NOW_S, WALL_S).status == 429
    assert access.decide(right, NOW_S, WALL_S).status == 200
    assert access.add_code("code", "edit", NOW_S)
    assert access.use_code("code", wrong.address, NOW_S) == "edit"
    assert access.decide(wrong._replace(address="127.0.0.2"), NOW_S, WALL_S).status == 401
    assert access.decide(wrong, NOW_S + WRONG_S, WALL_S).status == 401


def test_two_gateways_on_one_host_have_cookies_of_their_own() -> None:
    """Browsers send cookies to every port of a host."""
    assert Access(LOCAL).cookie_name != Access(Rules("w" * 43, "f" * 43)).cookie_name
    assert VIEW not in Access(LOCAL).cookie_name


def test_wrong_tries_of_many_addresses_take_no_more_room() -> None:
    """The oldest are forgotten."""
    access = Access(EDITABLE)
    for number in range(2 * MOST_ADDRESSES):
        access.decide(asked(authorization="Bearer x", address=f"a{number}"), NOW_S, WALL_S)
    assert len(access._wrong) == MOST_ADDRESSES


@given(st.text(), st.text(), st.text())
def test_nothing_that_is_made_up_gets_in(authorization: str, cookie: str, host: str) -> None:
    """Whatever stands in the headers, somebody without a token is never let in from abroad, and nothing fails."""
    request = asked(authorization=authorization, cookie=cookie, host=host, address="10.0.0.9")
    assert decide(ABROAD, request)[0] in (401, 421)


@pytest.mark.parametrize(
    ("address", "is_own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.9.9.9", True), ("0.0.0.0", False), ("gw", False)],
)
def test_a_loopback_address_is_known(address: str, is_own: bool) -> None:
    """Anywhere else a token is needed."""
    assert is_loopback(address) is is_own


def test_there_are_three_roles() -> None:
    """A new one needs a place in the table above."""
    assert get_args(Role) == ("none", "view", "edit")
