"""The site: built by one command, served on loopback, and used in a browser that reaches no other
machine."""

from __future__ import annotations

import hashlib
import html
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from browser import Browser

from microgrant.textbooks import EXAMPLES
from tests.views.conftest import chromium  # noqa: F401

DEMOS = Path(__file__).parents[2] / "demos"
ENTER, ESCAPE, RIGHT, SHIFT = "\ue007", "\ue00c", "\ue014", "\ue008"
LESSON = "lessons/notebooks/index.html?path=01_single_step.ipynb"
PATIENCE = 300  # seconds until Python is there, on a machine that has much else to do


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    """demos/site.py; Python has a module `site` of its own."""
    spec = importlib.util.spec_from_file_location("site_builder", DEMOS / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, lacking: Callable[[str], NoReturn]) -> Path:
    for name in ("jupyterlite_core", "jupyterlite_pyodide_kernel", "jupyter_server"):
        if importlib.util.find_spec(name) is None:
            lacking(f"{name} is not installed (the extra `site` has it)")
    if shutil.which("npm") is None:
        lacking("npm is not installed")
    out = tmp_path_factory.mktemp("site") / "out"
    subprocess.run([sys.executable, str(DEMOS / "site.py"), str(out)], check=True, timeout=1200)
    return out


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def until(asked: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What is found, once something is."""
    end = time.monotonic() + seconds
    while not (found := asked()):
        assert time.monotonic() < end, "this takes too long"
        time.sleep(0.05)
    return found


# --- Without building it --------------------------------------------------------------------------


def test_a_lesson_of_the_site_wants_nothing_installed_and_has_not_been_run(
    builder: ModuleType,
) -> None:
    notebooks = builder.notebooks()
    assert len(notebooks) == 9
    for path in notebooks:
        lesson = builder.for_browsers(path)
        text = "".join("".join(cell["source"]) for cell in lesson["cells"])
        assert "pip install" not in text
        assert "What it needs is here" in text
        assert not any(cell.get("outputs") for cell in lesson["cells"])
        assert lesson["metadata"]["kernelspec"]["name"] == "python"


def test_a_folder_of_something_else_is_not_replaced(builder: ModuleType, tmp_path: Path) -> None:
    precious = tmp_path / "thesis.tex"
    precious.write_text("all of it")
    with pytest.raises(SystemExit, match="is a folder of something else"):
        builder.build(tmp_path, tmp_path / "cache")
    assert precious.read_text() == "all of it"


def test_the_gallery_shows_each_example_with_what_is_printed(
    builder: ModuleType, tmp_path: Path
) -> None:
    builder.gallery(tmp_path / "gallery")
    page = (tmp_path / "gallery" / "index.html").read_text(encoding="utf-8")
    for name, example in EXAMPLES.items():
        assert f'<article id="{name}">' in page
        assert html.escape(example.compared()) in page
        assert "<svg" in (tmp_path / "gallery" / f"{name}.svg").read_text(encoding="utf-8")
        step = (tmp_path / "gallery" / f"{name}.html").read_text(encoding="utf-8")
        assert 'id="counter"' in step
    assert "{{" not in page


# --- The whole ------------------------------------------------------------------------------------


@pytest.mark.campaign
def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    for name in ("index.html", "gallery/index.html", "live/index.html"):
        page = site / name
        links = re.findall(r'(?:href|src|action)="([^"]+)"', page.read_text(encoding="utf-8"))
        assert links
        for link in links:
            if not link.startswith("data:"):
                assert (page.parent / re.split("[?#]", link)[0]).is_file(), link


@pytest.mark.campaign
def test_a_browser_finds_the_wheels_that_it_is_told_of(site: Path) -> None:
    lock = json.loads((site / "pyodide" / "pyodide-lock.json").read_text(encoding="utf-8"))
    here = set()
    for name, entry in lock["packages"].items():
        if not entry["file_name"].startswith("https://"):
            wheel = (site / "pyodide" / entry["file_name"]).read_bytes()
            assert hashlib.sha256(wheel).hexdigest() == entry["sha256"]
            here.add(name)
    assert {"microgrant", "graphviz", "segno", "ipython", "micropip", "comm"} <= here
    assert "numpy" in lock["packages"]


@pytest.fixture
def online(chromium: Browser, address: str) -> Iterator[Browser]:  # noqa: F811
    """A browser that asks the site, and nobody else, for anything."""
    chromium.known += [address, f"blob:{address}", "chrome-extension:"]
    yield chromium
    chromium.driver.get("about:blank")
    asked = [x for x in chromium.complaints() if x.startswith("request to")]
    del chromium.known[-3:]
    assert asked == []


def counter(browser: Browser) -> str:
    """Where the player in the frame is: "1 / 13"."""
    return str(
        browser.run(
            'return document.querySelector("iframe")?.contentDocument'
            '?.querySelector("#counter")?.textContent ?? ""'
        )
    )


@pytest.mark.campaign
def test_an_expression_is_typed_into_the_site(
    online: Browser, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    online.driver.get(address + "live/index.html")
    until(lambda: counter(online) == "1 / 10")
    first = time.monotonic() - began
    typed = "h = tanh(w*x); (h - y)**2"
    online.run("const it = document.getElementById('expression'); it.focus(); it.select()")
    online.press(typed, ENTER)
    until(lambda: online.driver.title.startswith("h = tanh") and counter(online)[:4] == "1 / ")
    answered = time.monotonic() - began
    online.press(RIGHT)
    until(lambda: counter(online)[:4] == "2 / ")
    again = time.monotonic()
    online.run("const it = document.getElementById('expression'); it.focus(); it.select()")
    online.press("2*(a", ENTER)
    until(lambda: "this '(' is never closed" in online.text("#error"))
    with capsys.disabled():
        print(
            f"\nthe first step after {first:.1f} s, Python's first after {answered:.1f} s, "
            f"and then within {time.monotonic() - again:.1f} s"
        )


@pytest.mark.campaign
def test_a_picture_of_the_site_is_laid_out_by_graphviz(online: Browser, address: str) -> None:
    """The worker's Graphviz in WebAssembly answers, and not the layout that needs none."""
    online.driver.get(address + "live/index.html")
    until(lambda: counter(online) == "1 / 10")
    known = (
        "const worker = new Worker('worker.js', {type: 'module'}), done = arguments[0];"
        "worker.onmessage = ({data}) => data.answer ? done(data.answer) : worker.postMessage("
        "{number: 1, request: JSON.stringify({expression: 'tanh(w*x + b)', values: {}})});"
    )
    online.driver.set_script_timeout(PATIENCE)
    live = json.loads(online.driver.execute_async_script(known))["page"]
    site = online.run("return fetch('first.json').then((first) => first.json())")["page"]
    places = r'<g [^>]*class="node[^>]*>.*?</g>'
    assert re.findall(places, live) == re.findall(places, site)


@pytest.mark.campaign
def test_a_lesson_of_the_site_runs(
    online: Browser, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    online.driver.get(address + LESSON)
    until(lambda: online.run("return document.querySelectorAll('.jp-Cell').length > 10"))
    online.find(".jp-Cell").click()
    online.press(ESCAPE)
    cells = len(json.loads((DEMOS / "01_single_step.ipynb").read_text())["cells"])
    from selenium.webdriver import ActionChains

    for _ in range(cells):
        ActionChains(online.driver).key_down(SHIFT).send_keys(ENTER).key_up(SHIFT).perform()
    said = (
        "return [...document.querySelectorAll('.jp-OutputArea')].map(x => x.innerText).join('\\n')"
    )
    shown = until(lambda: (x := online.run(said)) and "nudging w1 says" in x and x)
    with capsys.disabled():
        print(f"\nlesson 01, to the nudge: {time.monotonic() - began:.1f} s")
    assert "gradient of w1:    1.000000" in shown
    assert "nudging w1 says:   0.999999" in shown
    assert online.run("return document.querySelectorAll('.jp-OutputArea svg').length") >= 3
