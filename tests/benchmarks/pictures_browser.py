"""A headless Chromium, driven through its DevTools protocol: open a page, wait, take a picture.

The pages are applications that draw themselves over seconds, so a picture is taken when a
condition on the page holds, never after a fixed time.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PATIENCE = 90.0
COLOURS = 192


class Browser:
    """One Chromium with one page and a profile of its own: a context manager."""

    def __init__(self) -> None:
        """Start it; raises `SystemExit` where there is no Chromium."""
        program = next(filter(None, map(shutil.which, NAMES)), None)
        if program is None:
            raise SystemExit("there is no Chromium: install it (apt-get install chromium)")
        self._profile = tempfile.TemporaryDirectory(
            prefix="fedcore-pictures-", ignore_cleanup_errors=True
        )
        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._numbers = itertools.count(1)
        self._line = self._connected()

    def __enter__(self) -> Self:
        """The browser itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and forget its profile."""
        self._line.close()
        self._process.terminate()
        self._process.wait(20)
        self._profile.cleanup()

    def size(self, width: int, height: int) -> None:
        """Set the size of the window, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._say("Emulation.setDeviceMetricsOverride", **metrics)

    def before(self, script: str) -> None:
        """Run a script on every page from now on, before the page's own."""
        self._say("Page.enable")
        self._say("Page.addScriptToEvaluateOnNewDocument", source=script)

    def take_any_certificate(self) -> None:
        """Open pages whose certificate nobody public has signed."""
        self._say("Security.setIgnoreCertificateErrors", ignore=True)

    def introduce(self, name: str, secret: str) -> None:
        """Send a name and a password with every request from now on."""
        word = base64.b64encode(f"{name}:{secret}".encode()).decode()
        self._say("Network.enable")
        self._say("Network.setExtraHTTPHeaders", headers={"Authorization": f"Basic {word}"})

    def zoom(self, x: int, y: int, turns: int) -> None:
        """Turn the mouse wheel at a place, so that a graph there grows around it."""
        for _ in range(turns):
            wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -120}
            self._say("Input.dispatchMouseEvent", **wheel, modifiers=0)

    def open(self, url: str, ready: str, why: str) -> None:
        """Go to `url` and wait until the JavaScript expression `ready` is true."""
        self._say("Page.navigate", url=url)
        self.until(ready, why)

    def until(self, ready: str, why: str) -> None:
        """Wait until the expression is true; raises `TimeoutError` naming `why`."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({ready})"):
            if time.monotonic() > end:
                raise TimeoutError(f"waited {PATIENCE:.0f} s for {why}")
            time.sleep(0.2)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression on the page; `None` where it fails."""
        said = self._say("Runtime.evaluate", expression=script, returnByValue=True)
        return said.get("result", {}).get("value")

    def click(self, text: str) -> None:
        """Click the smallest element that shows exactly this text."""
        found = (
            f"[...document.querySelectorAll('*')].filter(e => e.innerText?.trim() === {text!r}"
            " && e.getBoundingClientRect().width).pop()"
        )
        self.until(found, f"{text!r} on the page")
        self.run(f"{found}.click()")

    def settle(self) -> None:
        """Wait until three pictures in a row are the same: nothing moves any more."""
        seen: list[bytes] = []
        end = time.monotonic() + PATIENCE
        while len(seen) < 3 or len(set(seen[-3:])) > 1:
            if time.monotonic() > end:
                return  # a page with a clock never stands still
            time.sleep(0.7)
            seen.append(self._picture())

    def save(self, path: Path) -> None:
        """Write the page as it stands as a small PNG."""
        picture = Image.open(io.BytesIO(self._picture())).convert("RGB")
        small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)

    def _picture(self) -> bytes:
        return base64.b64decode(self._say("Page.captureScreenshot", format="png")["data"])

    def _say(self, method: str, **arguments: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._line.send(json.dumps({"id": number, "method": method, "params": arguments}))
        while True:
            said = json.loads(self._line.recv(PATIENCE))
            if said.get("id") == number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error'].get('message')}")
                return dict(said["result"])

    def _connected(self) -> ClientConnection:
        """A line to the only page."""
        noted = Path(self._profile.name) / "DevToolsActivePort"
        end = time.monotonic() + PATIENCE
        while not (noted.exists() and len(noted.read_text().split()) == 2):
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError("Chromium does not start")
            time.sleep(0.1)
        port, path = noted.read_text().split()
        options: Any = {"max_size": None, "proxy": None}
        with connect(f"ws://127.0.0.1:{port}{path}", **options) as whole:
            whole.send(json.dumps({"id": 0, "method": "Target.getTargets"}))
            targets = json.loads(whole.recv())["result"]["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        return connect(f"ws://127.0.0.1:{port}/devtools/page/{page}", **options)
