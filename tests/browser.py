"""Browsers with a page open in them, for tests that do what a user does."""

from __future__ import annotations

import json
import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOTION = {"name": "prefers-reduced-motion", "value": "reduce"}
LIGHT = {"name": "prefers-color-scheme", "value": "light"}


class Browser:
    """Chromium with a page open in it, and a few verbs."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver, self.folder = driver, folder
        self.known = ["file:", "about:", "data:"]  # what may be asked for
        self.size(1920, 1080)
        self.command("Emulation.setEmulatedMedia", features=[MOTION, LIGHT])

    def command(self, name: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, arguments)

    def size(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def open(self, document: str, fragment: str = "") -> None:
        path = self.folder / "step.html"
        path.write_text(document, encoding="utf-8")
        self.go("about:blank")
        self.go(path.as_uri() + fragment)

    def go(self, address: str) -> None:
        self.driver.get(address)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def click(self, selector: str) -> None:
        """A click as a script makes it, which works on SVG and on what is scrolled away, too."""
        self.run(
            "document.querySelector(arguments[0])"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true}))",
            selector,
        )

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def set(self, selector: str, value: str) -> None:
        """Type into an input, or move a slider."""
        self.run(
            "const it = document.querySelector(arguments[0]); it.value = arguments[1];"
            "it.dispatchEvent(new Event('input', {bubbles: true}))",
            selector,
            value,
        )

    def wait(self, milliseconds: int) -> None:
        """Longer than the page takes to do what it puts off."""
        self.driver.execute_async_script("setTimeout(arguments[1], arguments[0])", milliseconds)

    @property
    def step(self) -> int:
        return int(self.text("#counter").split(" / ")[0])

    @property
    def formula(self) -> str:
        return self.text("#formula")

    def complaints(self) -> list[str]:
        """What the console says, and requests to anything but what is known."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(tuple(self.known)):
                    said.append(f"request to {url}")
        return said


class WebKit(Browser):
    """WebKitGTK, the engine of GNOME's browser and a cousin of Safari's."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver, self.folder = driver, folder
        self.size(1280, 900)

    def size(self, width: int, height: int) -> None:
        self.driver.set_window_size(width, height)

    def complaints(self) -> list[str]:
        return []  # it has no way to ask


class Firefox(Browser):
    """Firefox, spoken to in WebDriver BiDi, for which it needs no other program."""

    def __init__(self, socket: Any, folder: Path) -> None:
        self.socket, self.folder = socket, folder
        self.count, self.said = 0, list[str]()
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded"])
        (window,) = self.command("browsingContext.getTree")["contexts"]
        self.context = window["context"]
        self.size(1280, 900)

    def command(self, name: str, **arguments: Any) -> Any:
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": name, "params": arguments}))
        while (answer := json.loads(self.socket.recv())).get("id") != self.count:
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] != "info":
                self.said.append(str(answer["params"]["text"]))
        if answer["type"] == "error":
            raise RuntimeError(f"{name}: {answer['message']}")
        return answer["result"]

    def size(self, width: int, height: int) -> None:
        viewport = {"width": width, "height": height}
        self.command("browsingContext.setViewport", context=self.context, viewport=viewport)

    def go(self, address: str) -> None:
        self.command("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def run(self, script: str, *arguments: Any) -> Any:
        given = json.dumps(arguments)
        found = self.command(
            "script.evaluate",
            expression=f"JSON.stringify((function () {{{script}\n}})(...{given}) ?? null)",
            target={"context": self.context},
            awaitPromise=False,
        )
        if found["type"] == "exception":
            raise RuntimeError(found["exceptionDetails"]["text"])
        return json.loads(found["result"]["value"])

    def press(self, *keys: str) -> None:
        halves = [
            {"type": half, "value": key} for key in "".join(keys) for half in ("keyDown", "keyUp")
        ]
        source = {"type": "key", "id": "keyboard", "actions": halves}
        self.command("input.performActions", context=self.context, actions=[source])

    def wait(self, milliseconds: int) -> None:
        time.sleep(milliseconds / 1000)

    def complaints(self) -> list[str]:
        said, self.said = self.said, []
        return said


@contextmanager
def firefox(program: str, folder: Path) -> Iterator[Firefox]:
    """Firefox, in a profile of its own, until the block ends."""
    import websocket  # Selenium uses it, too

    profile = folder / "profile"
    profile.mkdir()
    (profile / "user.js").write_text('user_pref("ui.prefersReducedMotion", 1);\n')
    command = [program, "--headless", "--profile", str(profile), "--remote-debugging-port", "0"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            told, deadline = profile / "WebDriverBiDiServer.json", time.monotonic() + 60
            while not (told.exists() and told.read_text("utf-8")):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise OSError("it says no address")
                time.sleep(0.1)
            port = json.loads(told.read_text("utf-8"))["ws_port"]
            address = f"ws://127.0.0.1:{port}/session"
            socket = websocket.create_connection(address, suppress_origin=True)
            yield Firefox(socket, folder)
            socket.close()
        finally:
            process.terminate()


@contextmanager
def webkit(driver: str, program: str, folder: Path) -> Iterator[WebKit]:
    """WebKitGTK's MiniBrowser, on a screen that nobody sees, until the block ends."""
    from selenium import webdriver

    receive, send = os.pipe()
    screen = ["Xvfb", "-displayfd", str(send), "-screen", "0", "1920x1200x24"]
    with subprocess.Popen(screen, pass_fds=[send], stderr=subprocess.DEVNULL) as process:
        os.close(send)
        try:
            with open(receive) as told:
                display = f":{told.readline().strip()}"
            options = webdriver.WebKitGTKOptions()
            options.binary_location = program
            options.add_argument("--automation")
            service = webdriver.WebKitGTKService(driver, env={**os.environ, "DISPLAY": display})
            with warnings.catch_warnings():  # Selenium calls itself in an old way
                warnings.simplefilter("ignore", DeprecationWarning)
                selenium = webdriver.WebKitGTK(options, service)
            try:
                yield WebKit(selenium, folder)
            finally:
                selenium.quit()
        finally:
            process.terminate()
