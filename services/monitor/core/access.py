"""Who may see and change what over HTTP. Pure: time and chance are arguments.

Three things are looked at, in this order:

1. Whom the request is for. A page of somebody else can make a browser ask us under a name of its own that resolves to
   our address (DNS rebinding); its requests name that host, and are turned away.
2. Whose page has made the browser ask. What changes anything must come from a page of ours, or from no browser at all.
3. Who asks. On a loopback address everybody may look; over another address nobody may without a token. Whoever may
   open the Unix socket is the gateway's own user, which the file's mode says, and may do everything.

A token never stands in an address. `serialgw web` prints a link with a code that holds for a minute and once; it turns
into a cookie that is signed with the token, so cookies end with the token that they were made with.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple

Role = Literal["none", "view", "edit"]
COOKIE: Final = "serialgw-"
"""Begins the name of our cookie. The rest is the gateway's own: browsers send cookies to every port of a host, so two
gateways on one would take each other's logins away."""
COOKIE_S: Final = 7 * 86_400.0
"""How long one stays logged in: a week, after which a technician comes by the link again."""
CODE_S: Final = 60.0
"""How long a link's code holds: long enough to click, too short to be found in a history."""
MOST_CODES: Final = 16
"""Codes that are open at a time; more links are not made in a minute."""
WRONG_S: Final = 60.0
MOST_WRONG: Final = 5
"""Wrong tokens, codes and cookies of one address in WRONG_S; further wrong ones are told to wait. A right one is never
refused for them: nobody guesses 256 bits, and any program on this machine could shut its operator out else."""
MOST_ADDRESSES: Final = 256
"""Addresses whose wrong tries are remembered."""
SAFE: Final = frozenset({"GET", "HEAD"})
OPEN: Final = frozenset({"/healthz", "/readyz"})
"""Paths that say one word and nothing about anybody: whoever supervises the gateway has no token."""
LOGIN: Final = "/login"
"""Where a code becomes a cookie. Whoever comes there has none yet, or one that is worth nothing any more."""
ABROAD: Final = frozenset({"cross-site", "same-site"})
"""`Sec-Fetch-Site` of what another page has made a browser ask; another port of this host is another page, too."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Asked(NamedTuple):
    """What of a request decides on it. Header values are "" where there are none."""

    method: str
    path: str
    host: str = ""
    origin: str = ""
    fetch_site: str = ""
    """`Sec-Fetch-Site`."""
    fetch_dest: str = ""
    """`Sec-Fetch-Dest`: `document` where a person follows a link."""
    content_type: str = ""
    authorization: str = ""
    cookie: str = ""
    """The value of our cookie."""
    address: str = ""
    """The peer's; "" for the Unix socket."""


class Verdict(NamedTuple):
    """What is done with a request."""

    status: int
    """200: it may go on."""
    sentence: str
    """For whoever is turned away."""
    role: Role = "none"


class Rules(NamedTuple):
    """What is configured."""

    view_token: str
    edit_token: str
    address: str = "127.0.0.1"
    """Where we listen."""
    hosts: frozenset[str] = frozenset()
    """Further names by which we are reached, in lower case."""
    is_editable: bool = False
    """True if something may be changed over HTTP at all."""


class Access:
    """Decides on requests; remembers codes, and wrong tries."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._codes: dict[str, tuple[Role, float]] = {}
        """Hash of a code → what it is good for, and until when."""
        self._wrong: dict[str, list[float]] = {}
        """Address → when it was wrong."""

    @property
    def cookie_name(self) -> str:
        """What this gateway's cookie is called."""
        return COOKIE + _hashed(f"{self._rules.view_token} {self._rules.edit_token}")[:12]

    @property
    def is_editable(self) -> bool:
        return self._rules.is_editable

    def decide(self, asked: Asked, now_s: float, wall_s: float) -> Verdict:
        """Whether a request may go on, and as whom."""
        verdict = self._decide(asked, now_s, wall_s)
        if verdict.status != 200 and asked.path in OPEN and asked.method in SAFE:
            return Verdict(200, "", "none")
        return verdict

    def _decide(self, asked: Asked, now_s: float, wall_s: float) -> Verdict:
        if asked.address and not self._is_ours(asked.host):
            return Verdict(421, f"this gateway is not called {_shown(asked.host)}; web.hosts may name it")
        if asked.method not in SAFE and (refusal := self._of_page(asked)):
            return refusal
        if asked.fetch_site in ABROAD and asked.fetch_dest != "document":
            # It could not read the answer; but it could take places, start commands, and be wrong in our name.
            return Verdict(403, "another site's page has asked for this")
        if not asked.address:
            return self._for(asked, "edit")
        if asked.path == LOGIN and asked.method == "GET":
            return Verdict(200, "")
        role = self._role_of(asked, wall_s)
        if role is None:
            if self._is_turned_away(asked.address, now_s):
                return Verdict(429, "too many wrong tokens or codes from there; wait a minute")
            self._note_wrong(asked.address, now_s)
            return Verdict(401, "this token, or this login, is not known here: `serialgw web` prints a new link")
        if role == "none" and is_loopback(self._rules.address):
            role = "view"
        return self._for(asked, role)

    def _for(self, asked: Asked, role: Role) -> Verdict:
        if role == "none":
            return Verdict(401, "a token is needed: `serialgw web` prints a link that logs you in")
        if asked.method in SAFE:
            return Verdict(200, "", role)
        if role != "edit":
            return Verdict(403, "this login may look, and change nothing: `serialgw web` prints one that may")
        if not self._rules.is_editable and asked.address:
            return Verdict(403, "nothing is changed from here: `serialgw run --edit` or web.edit allows it", role)
        return Verdict(200, "", role)

    def _is_ours(self, host: str) -> bool:
        name = host_name(host)
        return name in LOOPBACK or name == self._rules.address.lower() or name in self._rules.hosts

    def _of_page(self, asked: Asked) -> Verdict | None:
        """What is wrong with where a request to change something comes from."""
        if asked.fetch_site not in ("", "same-origin", "none"):
            return Verdict(403, "another site's page has asked for this")
        if not asked.fetch_site and asked.origin and host_of_origin(asked.origin) != asked.host.lower():
            return Verdict(403, f"a page of {_shown(asked.origin)} has asked for this")
        if asked.content_type.partition(";")[0].strip().lower() != "application/json":
            return Verdict(415, f"found {_shown(asked.content_type)}, expected application/json")
        return None

    def _role_of(self, asked: Asked, wall_s: float) -> Role | None:
        """Who asks; None for somebody who says something wrong."""
        if asked.authorization:
            scheme, _, token = asked.authorization.partition(" ")
            return self._role_of_token(token.strip()) if scheme.lower() == "bearer" else None
        return self._role_of_cookie(asked.cookie, wall_s) if asked.cookie else "none"

    def _role_of_token(self, token: str) -> Role | None:
        given = token.encode(errors="replace")
        if self._rules.edit_token and hmac.compare_digest(given, self._rules.edit_token.encode()):
            return "edit"
        if self._rules.view_token and hmac.compare_digest(given, self._rules.view_token.encode()):
            return "view"
        return None

    def _role_of_cookie(self, cookie: str, wall_s: float) -> Role | None:
        said, _, signature = cookie.rpartition(".")
        role, _, until = said.partition(".")
        if role not in ("view", "edit") or not until.isascii() or not until.isdigit() or len(until) > 12:
            return None
        key = self._rules.edit_token if role == "edit" else self._rules.view_token
        if not key or not hmac.compare_digest(signature.encode(errors="replace"), _sign(key, said).encode()):
            return None
        if wall_s > int(until):
            return "none"  # It was ours once: whoever has it logs in again.
        return "edit" if role == "edit" else "view"

    def cookie_for(self, role: Literal["view", "edit"], wall_s: float) -> str:
        """A cookie's value that says who one is, for COOKIE_S."""
        said = f"{role}.{int(wall_s + COOKIE_S)}"
        return f"{said}.{_sign(self._rules.edit_token if role == 'edit' else self._rules.view_token, said)}"

    def add_code(self, code: str, role: Role, now_s: float) -> bool:
        """Takes a code that somebody may log in with once. False: too many are open."""
        self._codes = {key: entry for key, entry in self._codes.items() if entry[1] > now_s}
        if len(self._codes) >= MOST_CODES:
            return False
        self._codes[_hashed(code)] = role, now_s + CODE_S
        return True

    def use_code(self, code: str, address: str, now_s: float) -> Role:
        """What a code is good for; "none" for one that is unknown, used, or too old."""
        role, until_s = self._codes.pop(_hashed(code), ("none", 0.0))
        if role == "none" or now_s >= until_s:
            self._note_wrong(address, now_s)
            return "none"
        return role

    def _is_turned_away(self, address: str, now_s: float) -> bool:
        tries = self._wrong.get(address, [])
        return len([at_s for at_s in tries if at_s > now_s - WRONG_S]) >= MOST_WRONG

    def _note_wrong(self, address: str, now_s: float) -> None:
        if address not in self._wrong and len(self._wrong) >= MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        self._wrong[address] = [*self._wrong.get(address, [])[1 - MOST_WRONG :], now_s]


def is_loopback(address: str) -> bool:
    """True for an address that only this machine reaches."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a `Host` header, without its port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def host_of_origin(origin: str) -> str:
    """Host and port of an origin, as a `Host` header has them; "" for one that has none, such as `null`."""
    return origin.partition("://")[2].lower()


def names_of(hosts: Iterable[str]) -> frozenset[str]:
    """Configured names as they are compared."""
    return frozenset(host_name(host) for host in hosts)


def cookies_in(header: str) -> Mapping[str, str]:
    """Name → value of a `Cookie` header."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, sign, value in pairs if sign}


def _sign(key: str, said: str) -> str:
    return hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()


def _hashed(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()


def _shown(text: str) -> str:
    return repr(text[:80])
