"""The page with as many devices as one gateway has."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.waiting import wait_until
from tests.web.browser import Browser
from tests.web.many import ManyDevices

ROWS: Final = 1_024
MOST_MS: Final = 8_000.0
"""For one drawing, sorting or filtering: 50 to 3,100 ms were found on two cores that did much else at the time."""
MOST_DRAWN: Final = 200
"""Rows that are brought up to date each second: those that are seen, and some on either side."""
LOOK_S: Final = 5


@contextmanager
def _busy(gateway: ManyDevices) -> Iterator[None]:
    """Each second something has happened at each device."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(1.0):
            gateway.beat()

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join(30)


def _took_ms(browser: Browser, script: str) -> float:
    """How long a script takes with the drawing that follows."""
    return float(
        browser.run(
            f"(() => {{ const begun = performance.now(); {script}; document.body.offsetHeight;"
            " return performance.now() - begun; })()"
        )
    )


class Drawn(NamedTuple):
    """What the page has done in some seconds."""

    share: float
    """Of its one thread."""
    rows: int
    """Rows in which anything was changed."""


def _drawn(browser: Browser) -> Drawn:
    """LOOK_S seconds of the page."""
    browser.run(
        "window.drawn = new Set(); new MutationObserver((all) => all.forEach((one) =>"
        " drawn.add((one.target.closest ? one.target : one.target.parentElement)?.closest('tr'))))"
        ".observe(document.querySelector('tbody'),"
        " { subtree: true, childList: true, characterData: true, attributes: true })"
    )
    begun_s, worked_s = time.monotonic(), _worked_s(browser)
    wait_until(lambda: time.monotonic() > begun_s + LOOK_S, "it has been looked at", 60, 0.5)
    share = (_worked_s(browser) - worked_s) / (time.monotonic() - begun_s)
    return Drawn(share, int(browser.run("drawn.size")))


def _worked_s(browser: Browser) -> float:
    """For how long the page's thread has worked."""
    found = {one["name"]: one["value"] for one in browser.tell("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])


def _wait_fresh(browser: Browser, gateway: ManyDevices, which: str) -> None:
    """Until the first or last row shows what the gateway says just now: it counts its own beats as dead letters."""
    now = gateway.beats
    shown = f"document.querySelector('tbody').{which}.querySelector('[data-label=\"Dead letters\"]').textContent"
    wait_until(lambda: int(str(browser.run(shown)).replace(",", "") or 0) >= now, f"the {which} is fresh", 30, 0.2)


@pytest.mark.timeout(240)
def test_a_thousand_devices_in_a_browser(tmp_path: Path) -> None:
    """All are shown, sorted, searched, and brought up to date each second, and the page has time left."""
    with ManyDevices(tmp_path, ROWS) as gateway:
        gateway.wait()
        with _busy(gateway), Browser() as browser:
            browser.tell("Performance.enable")
            browser.open(f"http://{gateway.link}/")
            shown = "document.querySelectorAll('tbody tr').length"
            wait_until(lambda: browser.run(shown) >= ROWS, "each has its row", 60)
            press = "document.querySelectorAll('.sort')[{}].click()"
            took = {"sort by device": _took_ms(browser, press.format(0)), "by rate": _took_ms(browser, press.format(3))}
            assert browser.run(shown) >= ROWS
            field = json.dumps("input[type=search]")
            search = (
                f"const it = document.querySelector({field}); it.value = '{{}}'; it.dispatchEvent(new Event('input'))"
            )
            took["search"] = _took_ms(browser, search.format("device10"))
            assert browser.run(shown) == sum("device10" in name for name in gateway.devices)
            took["show all"] = _took_ms(browser, search.format(""))
            drawn = _drawn(browser)
            load = f"{drawn.share:.0%} of a thread, {drawn.rows} rows drawn"
            _wait_fresh(browser, gateway, "firstElementChild")
            browser.run("window.scrollTo(0, document.body.scrollHeight)")
            _wait_fresh(browser, gateway, "lastElementChild")
            sys.stdout.write(f"{ {name: round(ms) for name, ms in took.items()} } ms, {load}\n")
            assert max(took.values()) < MOST_MS
            assert drawn.rows < MOST_DRAWN
            assert browser.console == []
