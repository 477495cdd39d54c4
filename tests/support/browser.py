"""A real browser without a window, to look at pages that the suite makes."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60.0  # a busy machine may need some; a browser that hangs is no reason to wait longer
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def browser_path() -> str:
    """Returns the program of a browser; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no browser is installed; on Debian: apt-get install chromium")
    return found


class Browser:
    """One tab of a browser, driven by its debugging protocol through a pair of pipes.

    Attributes:
        events: What the tab reported so far, oldest first: (method, parameters).
    """

    def __init__(self, requests: int, answers: int) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._requests = requests
        self._answers = answers
        self._unread = b""
        self._last = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Returns what a method of the protocol answers."""
        self._last += 1
        request: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._requests, json.dumps(request).encode() + b"\0")
        while (message := self._read()).get("id") != self._last:
            self.events.append((message["method"], message["params"]))
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def open(self, page: Path) -> None:
        """Opens a file, and forgets what was reported before."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())

    def value(self, expression: str) -> Any:
        """Returns the value of an expression of JavaScript, awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Waits until an expression is true; one that fails, as on a page half read, is not."""
        deadline = time.monotonic() + _SECONDS
        tried = f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()"
        while not self.value(tried):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {condition}")
            select.select([], [], [], 0.05)

    def downloaded(self, folder: Path, expression: str) -> Path:
        """Returns the one file that an expression makes the browser save into a folder."""
        self.events.clear()
        self.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self.value(expression)
        deadline = time.monotonic() + _SECONDS
        while ("Page.downloadProgress", "completed") not in [
            (method, parameters.get("state")) for method, parameters in self.events
        ]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing was downloaded: {expression}")
            self.wait_for("true")
            select.select([], [], [], 0.05)
        (file,) = folder.iterdir()
        return file

    def press(self, key: str, code: int) -> None:
        """Presses a key, such as Tab (9), by its name and code."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def look(self, *, dark: bool = False, width: int = 1200, height: int = 900) -> None:
        """Sets the reader's colour scheme and the size of the window, in pixels."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def screenshot(self, path: Path) -> bytes:
        """Writes a picture of what the window shows, and returns it as PNG."""
        answer = self.call("Page.captureScreenshot")
        picture = base64.b64decode(answer["data"])
        path.write_bytes(picture)
        return picture

    def requests(self) -> list[str]:
        """Returns the addresses that the page asked for, but those within itself."""
        sent = [p["request"]["url"] for m, p in self.events if m == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("data:", "blob:"))]

    def complaints(self) -> list[str]:
        """Returns errors and warnings of the page."""
        return [
            json.dumps(parameters)
            for method, parameters in self.events
            if method in ("Runtime.exceptionThrown", "Log.entryAdded")
            or (method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"))
        ]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            self._unread += self._received()
        message, _, self._unread = self._unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _received(self) -> bytes:
        if not select.select([self._answers], [], [], _SECONDS)[0]:
            raise TimeoutError(f"the browser said nothing for {_SECONDS:.0f} s")
        received = os.read(self._answers, 1 << 20)
        if not received:
            raise RuntimeError("the browser ended")
        return received


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Yields a fresh browser; skips the test where there is none."""
    path = browser_path()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, ExitStack() as stack:
        reads, requests, answers, writes = _pipes()
        # It talks by its file descriptors 3 and 4, which a shell can set.
        command = f'exec "$@" 3<&{reads} 4>&{writes}'
        process = subprocess.Popen(
            ["bash", "-c", command, "bash", path, *_OPTIONS, f"--user-data-dir={home}/profile"],
            pass_fds=(reads, writes),
            env={**os.environ, "HOME": home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        stack.callback(os.close, requests)
        stack.callback(os.close, answers)
        try:
            yield Browser(requests, answers)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _pipes() -> list[int]:
    """Returns both ends of two pipes, numbered so that they are in nobody's way."""
    ends = (*os.pipe(), *os.pipe())
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved
