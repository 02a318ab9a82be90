"""Debian's Chromium, or any other, driven over the DevTools protocol: no library, no port, no download.

SORTOGRAPH_CHROMIUM names another browser than that on PATH. POSIX alone: the protocol runs over two pipes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FOUND = os.environ.get("SORTOGRAPH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
MISSING = (
    "pages are driven over pipes, which Windows passes on in another way" if os.name == "nt"
    else "no Chromium on PATH; SORTOGRAPH_CHROMIUM names one" if FOUND is None
    else ""
)  # fmt: skip

_QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
          "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
          "--remote-debugging-pipe")  # fmt: skip
_SECONDS = 20
# The browser reads commands from 3 and writes answers to 4.
_LAUNCH = (
    "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 90); os.dup2(w, 91);"
    "os.dup2(90, 3); os.dup2(91, 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "Delete": 46, "Backspace": 8, "Home": 36, "End": 35,
         "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, " ": 32}  # fmt: skip
_TEXTS = {"Enter": "\r", " ": " "}


class Browser:
    """A browser of its own, with a profile in `folder`."""

    def __init__(self, folder: Path) -> None:
        assert FOUND is not None
        self.events: list[dict[str, Any]] = []
        self._id, self._rest = 0, b""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        words = [FOUND, *_QUIET, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _LAUNCH, str(theirs_in), str(theirs_out), *words],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """The answer to a command; what else arrives meanwhile is put among the events."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        data = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        ends = time.monotonic() + _SECONDS
        while True:
            found = self._next(ends, method)
            if found.get("id") == self._id:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                answer: dict[str, Any] = found["result"]
                return answer
            self.events.append(found)

    def _next(self, ends: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, ends - time.monotonic()))
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError(f"{method}: the browser says nothing")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def tab(self, width: int = 1280, height: int = 900) -> Tab:
        """A new window, with cookies and storage of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        made = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        session = self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)["sessionId"]
        tab = Tab(self, session, made["targetId"], context)
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            tab.call(f"{domain}.enable")
        tab.size(width, height)
        return tab

    def close(self) -> None:
        with contextlib.suppress(RuntimeError, OSError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)


@dataclass
class Tab:
    """One window of a browser."""

    browser: Browser
    session: str
    target: str
    context: str

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def events(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of all such events so far."""
        self.call("Runtime.evaluate", expression="0")  # so that what is on its way arrives
        mine = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in mine if event["method"] in methods]

    @property
    def requests(self) -> list[str]:
        """All addresses that the page has asked for, but for what is in the page itself."""
        urls = [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    @property
    def complaints(self) -> list[str]:
        """What went wrong by the browser's own account: exceptions, errors, what the CSP refuses."""
        thrown = [
            event["exceptionDetails"].get("exception", {}).get("description", "exception")
            for event in self.events("Runtime.exceptionThrown")
        ]
        logged = [event["entry"] for event in self.events("Log.entryAdded")]
        said = [event for event in self.events("Runtime.consoleAPICalled") if event["type"] == "error"]
        return [
            *thrown,
            *(entry["text"] for entry in logged if entry["level"] == "error"),
            *(str(event["args"]) for event in said),
        ]

    def open(self, url: str) -> None:
        """Returns once all that the page names is loaded."""
        self.call("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def prefer(self, **features: str) -> None:
        """As `prefer(color_scheme="dark", reduced_motion="reduce")`."""
        wanted = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=wanted)

    def speak(self, languages: str) -> None:
        """The browser's languages, as "ko-KR,ko"; before a page is opened."""
        agent = self.browser.call("Browser.getVersion")["userAgent"]
        self.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=languages)

    def run(self, script: str) -> Any:
        """The value of an expression, waited for where it is a promise. Raises RuntimeError."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 10) -> Any:
        """The value of an expression, as soon as it is true. Raises AssertionError."""
        ends = time.monotonic() + seconds
        while (value := self.run(script)) in (None, False, 0, ""):  # an element comes as {}
            assert time.monotonic() < ends, f"still not: {script}"
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        """What a person reads there."""
        return self.texts(selector)[0]

    def texts(self, selector: str) -> list[str]:
        """Of all such elements; those that are not drawn yet have only their plain text."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        return list(self.run(f"{found}.map((each) => (each.innerText || each.textContent).trim())"))

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of it, once it is there to be seen."""
        where = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"{where}?.getClientRects().length")
        self.run(f"{where}.scrollIntoView({{block: 'nearest'}})")
        x, y = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({where}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, *keys: str, shift: bool = False) -> None:
        """Keys as `KeyboardEvent.key` names them, one after another."""
        for key in keys:
            text = _TEXTS.get(key, key if len(key) == 1 else "")
            code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
            known = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **known)
            self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def drop(self, files: Sequence[Path], x: int = 200, y: int = 300) -> None:
        """Files from outside of the browser, let go over the page."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def pick(self, selector: str, files: Sequence[Path]) -> None:
        """Files as chosen for an <input type=file>."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def keep_downloads(self, folder: Path) -> None:
        self.browser.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(folder),
            browserContextId=self.context,
        )

    def answer(self, pattern: str) -> None:
        """Requests to such addresses wait until `fulfil` answers them; "" ends that."""
        if pattern:
            self.call("Fetch.enable", patterns=[{"urlPattern": pattern}])
        else:
            self.call("Fetch.disable")

    def asked(self, count: int) -> list[dict[str, Any]]:
        """The first so many requests that wait, or have waited. Raises AssertionError."""
        ends = time.monotonic() + _SECONDS
        while len(found := self.events("Fetch.requestPaused")) < count:
            assert time.monotonic() < ends, f"{len(found)} requests"
            time.sleep(0.02)
        return found

    def fulfil(self, request: str, status: int, body: str, **headers: str) -> None:
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
        self.call(
            "Fetch.fulfillRequest",
            requestId=request,
            responseCode=status,
            responseHeaders=listed,
            body=base64.b64encode(body.encode()).decode("ascii"),
        )

    def shot(self, file: Path, *, whole: bool = False) -> None:
        """A picture of the window, or of the whole page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)
