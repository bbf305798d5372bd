"""The page in Firefox and in WebKitGTK: a walk through all of it shows what Chromium shows.

Numbers with all their digits are compared rounded: each engine has a tanh of its own.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from browser import Browser, firefox, webkit

from microgrant import Value, explain
from microgrant.nn import MLP
from microgrant.optim import SGD

ENTER, ESCAPE, HOME, END = "\ue007", "\ue00c", "\ue011", "\ue010"
RIGHT, LEFT, UP, DOWN = "\ue014", "\ue012", "\ue013", "\ue015"
XOR = [[1, 0, 1], [1, 1, 0], [0, 1, 1], [0, 0, 0]]


def document() -> str:
    random.seed(3)
    model = MLP(2, [2, 1], activation="tanh")
    x1, x2, y = (Value(0.0, name) for name in ("x1", "x2", "y"))
    loss = (model([x1, x2]) - y) ** 2
    loss.label = "loss"
    rate = SGD(model.parameters(), 0.3)
    return explain(loss, {"model": model}, optimizer=rate, inputs=[x1, x2, y], rows=XOR)._page()


TOLD = (
    "half statement formula chain aside verdict trail iteration counter search-result values-table "
    "nudge-result learn-state learn-note curve-last mistakes-note mistakes-table"
)
SEEN = """
const shown = (element) => element.getClientRects().length > 0;
const texts = arguments[0].map((id) => document.getElementById(id)).filter(shown)
  .map((element) => [element.id, element.textContent.trim()]);
const fields = [...document.querySelectorAll("input:not([type=range]), select")].filter(shown)
  .map((field) => [field.id || field.dataset.leaf, field.value]);
const rounded = (text) => text
  .replaceAll(/\\d+\\.\\d{7,}(e[+-]\\d+)?/g, (x) => Number(x).toPrecision(6));
return Object.fromEntries([...texts, ...fields].map(([name, text]) => [name, rounded(text)]));
"""


def journey(browser: Browser) -> Iterator[tuple[str, Any]]:
    """What is seen at each stop of a walk through the whole page."""

    def stop(name: str) -> tuple[str, Any]:
        return name, browser.run(SEEN, TOLD.split())

    browser.open(document())
    yield stop("opened")
    browser.press("u", " ", RIGHT, RIGHT, LEFT)
    yield stop("on and back by keys")
    for name, key in {"the end": END, "the start": HOME, "the backward pass": "b"}.items():
        browser.press(key)
        yield stop(name)
    browser.press("/", "loss", ENTER)
    yield stop("searched")
    browser.press(ESCAPE, HOME, "g", RIGHT)
    yield stop("asked")
    browser.press("7", ENTER)
    yield stop("answered wrongly")
    browser.press("h", RIGHT, RIGHT)
    yield stop("hinted, shown and gone on")
    browser.press("g", "v")
    browser.run("document.querySelector('#values-table input').focus()")
    browser.press(UP, UP)
    yield stop("a value changed")
    browser.click("#values-table button")
    yield stop("nudged")
    browser.click("#values-reset")
    browser.run("document.activeElement.blur()")
    browser.press("m", END)
    browser.click("#mistakes button")
    yield stop("a mistake")
    browser.click("#mistakes button")
    browser.press("u", HOME)
    for button in ("learn-1", "learn-10", "learn-100", "learn-back"):
        browser.click(f"#{button}")
        yield stop(button)
    browser.press("n")
    yield stop("the network")
    browser.press(RIGHT, RIGHT, RIGHT)
    yield stop("the network, three steps on")
    browser.press("n", "l")
    shared = browser.run("return document.querySelector('#share-link').value.split('#')[1]")
    yield "a link", shared
    browser.open(document(), f"#{shared}")
    yield stop("the link opened")


@pytest.fixture(scope="module")
def expected(chromium: Browser) -> list[tuple[str, Any]]:
    chromium.size(1280, 900)
    found = list(journey(chromium))
    chromium.size(1920, 1080)
    return found


@pytest.fixture(scope="module")
def in_firefox(
    tmp_path_factory: pytest.TempPathFactory, lacking: Callable[[str], NoReturn]
) -> Iterator[Browser]:
    pytest.importorskip("websocket", reason="selenium is not installed")
    program = shutil.which("firefox") or shutil.which("firefox-esr")
    if program is None:
        lacking("there is no firefox")
    with firefox(program, tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture(scope="module")
def in_webkit(
    tmp_path_factory: pytest.TempPathFactory, lacking: Callable[[str], NoReturn]
) -> Iterator[Browser]:
    pytest.importorskip("selenium", reason="selenium is not installed")
    driver = shutil.which("WebKitWebDriver")
    programs = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
    if not (driver and programs and shutil.which("Xvfb")):
        lacking("there is no WebKitWebDriver with its MiniBrowser and an Xvfb")
    with webkit(driver, str(programs[-1]), tmp_path_factory.mktemp("webkit")) as browser:
        yield browser


in_each = pytest.mark.parametrize("another", ["in_firefox", "in_webkit"])


@in_each
def test_another_browser_shows_what_chromium_shows(
    request: pytest.FixtureRequest, another: str, expected: list[tuple[str, Any]]
) -> None:
    browser = request.getfixturevalue(another)
    for (name, found), (_, right) in zip(journey(browser), expected, strict=True):
        assert found == right, name
    assert browser.complaints() == []


@in_each
def test_a_short_formula_is_written_large(request: pytest.FixtureRequest, another: str) -> None:
    """Letters and lines that reach below their line are no third line."""
    browser = request.getfixturevalue(another)
    browser.open(document(), "#step=3")
    assert browser.text("#half") == "forward"
    assert browser.run("return document.querySelector('#board').style.cssText") == "--size: 1;"


def test_in_webkit_a_name_that_is_chosen_is_found_with_one_enter(in_webkit: Browser) -> None:
    in_webkit.open(document())
    in_webkit.press("/", "v1")
    in_webkit.wait(500)  # until the list of names is open
    in_webkit.press(DOWN, DOWN, ENTER)
    chosen = in_webkit.run("return document.querySelector('#search-text').value")
    assert chosen.startswith("v1")
    assert chosen != "v1"
    assert in_webkit.text("#search-result") == f"1 of 1: {chosen}"
