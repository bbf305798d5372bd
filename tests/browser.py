"""Chromium with a page open in it, for tests that do what a user does."""

from __future__ import annotations

import json
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
        self.driver.get("about:blank")
        self.driver.get(path.as_uri() + fragment)

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
