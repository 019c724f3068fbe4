"""A real browser, driven over its own debugging protocol: Debian's Chromium, without a window.

Only what the tests of the page need: open a page, run a script in it, wait for something, read the console, take a
picture.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from tests.support.waiting import wait_until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """One browser with one page. Use as a context manager."""

    def __init__(self, width: int = 1280, height: int = 800, *, dark: bool = False) -> None:
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        assert program, "chromium is missing: apt-get install chromium"
        self._folder = tempfile.TemporaryDirectory(prefix="serialgw-browser-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={self._folder.name}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._numbers = itertools.count(1)
        self.console: list[str] = []
        """What the page has said: errors, warnings, and whatever it wrote."""
        port_file = Path(self._folder.name) / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text().count("\n"), "the browser listens", 60)
        port, path = port_file.read_text().splitlines()[:2]
        self._line: ClientConnection = connect(f"ws://127.0.0.1:{port}{path}", max_size=2**26, open_timeout=30)
        self._session = ""
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tell("Emulation.setEmulatedMedia", features=scheme)

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result. What comes in between is heard."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._line.send(json.dumps(message))
        while True:
            found = json.loads(self._line.recv(30))
            if found.get("id") == number:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result
            self._hear(found)

    def _hear(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled":
                self.console.append(" ".join(str(one.get("value", one.get("description"))) for one in params["args"]))
            case "Runtime.exceptionThrown":
                self.console.append(str(params["exceptionDetails"].get("exception", {}).get("description", params)))
            case "Log.entryAdded":
                self.console.append(f"{params['entry']['level']}: {params['entry']['text']}")

    def open(self, address: str) -> None:
        """Goes to a page."""
        self.tell("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    @property
    def text(self) -> str:
        """What a person sees."""
        return str(self.run("document.body?.innerText ?? ''"))

    def wait_for(self, words: str, deadline_s: float = 20.0) -> None:
        """Until a person sees these words."""
        try:
            wait_until(lambda: words in self.text, f"the page shows {words!r}", deadline_s, 0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.text}\n{self.console}") from None

    def click(self, words: str) -> None:
        """Clicks the first button or link with these words."""
        script = f"""(() => {{
            const all = [...document.querySelectorAll("button, a")];
            const found = all.find((one) => one.textContent.trim() === {json.dumps(words)});
            if (!found) return false;
            found.click();
            return true;
        }})()"""
        assert self.run(script), f"nothing is called {words!r}: {self.text}"

    def type_into(self, label: str, text: str) -> None:
        """Types into the field that is called so."""
        script = f"""(() => {{
            const found = document.querySelector(`[aria-label="${{{json.dumps(label)}}}"]`);
            if (!found) return false;
            found.value = {json.dumps(text)};
            found.dispatchEvent(new Event("input", {{ bubbles: true }}));
            return true;
        }})()"""
        assert self.run(script), f"no field is called {label!r}"

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A picture of what a person sees, or of the whole page."""
        found = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        self._line.close()
        self._process.terminate()
        self._process.wait(20)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
