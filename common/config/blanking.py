"""Takes the secrets out of a configuration file's text before anybody sees it, and puts them back where they came from
when the text returns. Pure.

In a secret's place stands `<secret 1f2e3d4c5b6a>`, which no check takes for a platform's token. The digits are a keyed
hash of what stood there: the same secret has the same digits in every file and at every time, so a device may be moved,
and a list sorted, and nobody can find the secret from them. Every other byte of the text stays as it is.

A text that is no JSON can't be read for sure. There each line that names a secret loses all that stands behind the
name: a person may have to type a secret anew, and never sees one by mistake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from common.core.hashes import short_hash

DIGITS: Final = 12
MARK: Final = re.compile(r"<secret ([0-9a-f]{12})>")
_ENDINGS: Final = (
    *("token", "password", "passwd", "passphrase", "pwd", "secret", "psk", "apikey", "secretkey", "accesskey"),
    *("authkey", "sharedkey", "encryptionkey", "provisiondevicekey", "credential"),
    *("passcode", "authorization", "cookie", "community"),
)
"""How the name of a key ends that has a secret, in lower case and without `_` and `-`."""
_IDENTITIES: Final = ("username", "clientid")
"""In `security` and `provisioning` these prove who one is, too."""
_PROVING: Final = ("security", "provisioning")
_TELLING: Final = re.compile(
    r"://[^/@\s\":]*+:[^/@\s\"]++@|PRIVATE KEY-----|\b(?:Bearer|Basic) [\w.~+/=-]{8,}"
    r"|(?i:token|password|passwd|pwd|secret|api_?key|access_?key)=[^\s\"&;]"
)
"""What a value has that is a secret under whatever key: `scheme://user:password@host`, a private key, what a web server
is told, a word that names a secret in an address or in how a database is reached (`?token=…`, `Pwd=…;`)."""
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[-+\w.]+|[\[\]{},:]', re.DOTALL)
_PLAIN_LINE: Final = re.compile(r'^\s*"(?P<name>[^"\\]*)"\s*:\s*(?P<value>"(?:[^"\\]|\\.)*"|[-+\d.eE]+)\s*,?\s*$')
_NAMES: Final = re.compile(
    "|".join((r"\bpass\b", *("[_-]*".join(word) for word in (*_ENDINGS, *_IDENTITIES)))), re.IGNORECASE
)
_NEXT_KEY: Final = re.compile(r'\s*"[^"\\]*"\s*:')
"""How a line begins on which a secret of the lines before it has ended."""
_NO_WORD: Final = re.compile(r"[\s\[\]{},]*")
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')

_GONE: Final = "found a blanked secret that is not in the files any more, expected the secret itself"
_SHOWN: Final = "found a blanked secret under a key whose value everybody is shown, expected another value"

Path = tuple[str | int, ...]


class Secret(NamedTuple):
    """A secret in a text."""

    start: int
    end: int
    """Behind the last character, the quotes included."""
    path: Path
    """Of keys; of the items of a list those that have a `name` are called so. () where the text is no JSON."""
    is_value: bool = True
    """False for what can only be a part of a value, as it stands in a text that is no JSON."""


class Restored(NamedTuple):
    """A text with its secrets, and what could not be put back."""

    text: str
    problems: list[str]
    """`PLACE: found …, expected …`, without the file."""


def blanked(text: str, key: bytes) -> str:
    """The text without its secrets; with `key` alone the hashes are made."""
    parts, at = [], 0
    for secret in secrets_of_text(text):
        mark = f"<secret {_hashed(text[secret.start : secret.end], key)}>"
        parts += [text[at : secret.start], f'"{mark}"' if secret.is_value else mark]
        at = secret.end
    return "".join([*parts, text[at:]])


def restored(text: str, known: Iterable[str], key: bytes, same: str = "") -> Restored:
    """The text with the secrets that `known` texts hold in the places of their marks; as it is where it is no JSON.

    A mark counts only where a secret may stand: under another key everybody would see what it stands for. `same` is
    what the file says now: a mark of a secret that is no more means the one that stands in its place there now.
    """
    if not is_json(text):
        return Restored(text, [])
    spans = [other[one.start : one.end] for other in known for one in secrets_of_text(other) if one.is_value]
    by_hash = {_hashed(raw, key): raw for raw in spans}
    by_path = {one.path: same[one.start : one.end] for one in secrets_of_text(same) if _is_sure(one.path)}
    places = {secret.start: secret.path for secret in secrets_of_text(text)}
    parts, problems, at = [], [], 0
    for mark in MARK.finditer(text):
        start, end = mark.start() - 1, mark.end() + 1
        raw = by_hash.get(mark[1], by_path.get(places.get(start, ())))
        is_whole = text[start] == text[end - 1] == '"'
        if is_whole and raw is not None and (start in places or _TELLING.search(raw)):
            parts += [text[at:start], raw]
            at = end
        else:
            line = text.count("\n", 0, start) + 1
            problems.append(f"line {line}: {_GONE if is_whole and start in places else _SHOWN}")
    return Restored("".join([*parts, text[at:]]), problems)


def is_json(text: str) -> bool:
    """True for a text that can be read."""
    try:
        json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False
    return True


def _hashed(raw: str, key: bytes) -> str:
    return short_hash(key + b"\0" + raw.encode(errors="surrogatepass"), DIGITS)


def _is_sure(path: Path) -> bool:
    """True where a path names the same thing also when a list has changed."""
    return bool(path) and not any(isinstance(step, int) for step in path)


def is_secret(name: str, above: Iterable[str | int] = ()) -> bool:
    """True for the name of a key whose value nobody is to see."""
    plain = name.lower().replace("_", "").replace("-", "")
    if plain == "pass" or plain.removesuffix("s").endswith(_ENDINGS) or plain.endswith(_ENDINGS):
        return True
    return plain in _IDENTITIES and any(step in _PROVING for step in above)


def secrets_of_text(text: str) -> list[Secret]:
    """Where secrets stand, from the first to the last."""
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return list(_in_lines(text))
    return _Scan(text, _names_in(value)).found if isinstance(value, dict | list) else []


def _names_in(value: object, path: Path = ()) -> dict[Path, str]:
    """Path by indexes of each item of a list that has a name → that name."""
    found: dict[Path, str] = {}
    if isinstance(value, Mapping):
        for key, item in value.items():
            found |= _names_in(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            name = item.get("name") if isinstance(item, Mapping) else None
            if isinstance(name, str):
                found[(*path, index)] = name
            found |= _names_in(item, (*path, index))
    return found


class _Scan:
    """One walk through the text of a JSON value, with the path of where it is."""

    def __init__(self, text: str, names: Mapping[Path, str]) -> None:
        self.found: list[Secret] = []
        self._names = names
        path: list[str | int] = []
        kinds: list[str] = []
        is_key = False
        for token in _TOKEN.finditer(text):
            word = token.group()
            if word in "[{":
                kinds.append(word)
                path.append(0 if word == "[" else "")
                is_key = word == "{"
            elif word in "]}":
                kinds.pop()
                path.pop()
                is_key = False
            elif word == ",":
                is_key = kinds[-1] == "{"
                if not is_key:
                    path[-1] = int(path[-1]) + 1
            elif word == ":":
                is_key = False
            elif is_key:
                path[-1] = str(json.loads(word, strict=False))
            elif self._is_secret(word, path):
                self.found.append(Secret(token.start(), token.end(), self._named(path)))

    def _is_secret(self, word: str, path: list[str | int]) -> bool:
        if word in ("null", "true", "false", '""'):
            return False
        if word[0] == '"' and _TELLING.search(word):
            return True
        return any(isinstance(step, str) and is_secret(step, path[:at]) for at, step in enumerate(path))

    def _named(self, path: list[str | int]) -> Path:
        return tuple(
            f"name={name}" if (name := self._names.get(tuple(path[: at + 1]))) is not None else step
            for at, step in enumerate(path)
        )


def _in_lines(text: str) -> Iterable[Secret]:
    """Of a text that is no JSON: the value of a line that has one key and its value, else all behind a secret's name,
    and the lines from there to the next one that begins with a key, outside of the brackets that were opened."""
    at, goes_on, depth = 0, False, 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        start = end = at + len(bare)
        if goes_on and depth <= 0 and _NEXT_KEY.match(bare):
            goes_on = False
        plain = _PLAIN_LINE.match(bare)
        name, address = _NAMES.search(bare), _TELLING.search(bare)
        if goes_on:
            if _NO_WORD.fullmatch(bare) is None:
                start = at + len(bare) - len(bare.lstrip())
            depth += _opened_in(bare)
        elif plain is not None:
            if plain["value"] != '""' and (address or _NAMES.search(plain["name"])):
                yield Secret(at + plain.start("value"), at + plain.end("value"), ())
        elif name is not None or address is not None:
            begin = min(*([name.end()] if name else []), *([address.start()] if address else []), len(bare))
            rest = bare[begin:]
            goes_on, depth = True, _opened_in(rest)
            if re.search(r"\w", rest) is not None:
                start = at + begin + len(rest) - len(rest.lstrip("\"': \t"))
        if start < end:
            yield Secret(start, end, (), is_value=False)
        at += len(line)


def _opened_in(line: str) -> int:
    """How many brackets a line opens and does not close, texts aside."""
    bare = _TEXT.sub("", line)
    return sum(bare.count(one) for one in "[{") - sum(bare.count(one) for one in "]}")
