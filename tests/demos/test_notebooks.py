"""Each notebook of demos/ runs from top to bottom, and prints what it says that it prints."""

from __future__ import annotations

import ast
import html
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from microgrant.views import Contribution, Seed

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")

DEMOS = Path(__file__).parents[2] / "demos"
NOTEBOOKS = sorted(DEMOS.glob("*.ipynb"))
LONG = {"04_xor", "05_moons", "06_sequences", "07_microgpt", "08_digits"}  # these train
IN_TURN = [
    pytest.param(path, marks=pytest.mark.campaign if path.stem in LONG else ())
    for path in NOTEBOOKS
]


def shown(cell: Any) -> list[Any]:
    """What a cell shows, without stderr, where libraries complain of the machine."""
    return [x for x in cell.outputs if x.get("name") != "stderr"]


def printed(cell: Any) -> str:
    return "".join(x["text"] for x in shown(cell) if x["output_type"] == "stream")


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
    assert {path.stem for path in NOTEBOOKS} > LONG


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_imports_from_us_is_there(path: Path) -> None:
    """At once, of those as well that run in the campaign only."""
    code = "\n".join(
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    )
    imports = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("microgrant")
        for alias in node.names
    ]
    for module, name in imports:
        assert hasattr(import_module(str(module)), name), f"from {module} import {name}"


@pytest.mark.parametrize("path", IN_TURN, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the machinery that runs notebooks
def test_it_runs_and_keeps_its_outputs(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    nbformat.validate(stored)
    fresh = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        fresh,
        timeout=300,  # for a cell; one compiles a GPT twice
        kernel_name="python3",
        resources={"metadata": {"path": str(DEMOS)}},
        coalesce_streams=True,  # a cell's text may come in pieces
    )
    client.execute()
    code = [
        (old, new)
        for old, new in zip(stored.cells, fresh.cells, strict=True)
        if old.cell_type == "code"
    ]
    assert any(shown(old) for old, _ in code), "the notebook is stored without its outputs"
    for old, new in code:
        assert printed(old) == printed(new), f"the stored output differs:\n{old.source}"
        assert len(shown(old)) == len(shown(new)), f"the stored output differs:\n{old.source}"


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What there is when the cells of 02 have run."""
    pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in nbformat.read(DEMOS / "02_chain_rule.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    return names


def told(document: str) -> tuple[str, list[str]]:
    """The title of a page, and the names in it."""
    title, data = (
        re.search(pattern, document)
        for pattern in ("<title>(.*?)</title>", '<script[^>]*id="step-data">(.*?)</script>')
    )
    assert title
    assert data
    return title[1], json.loads(data[1])["names"]


def test_the_guide_saves_the_page_that_the_notebook_shows(lesson: dict[str, Any]) -> None:
    cells = nbformat.read(DEMOS / "02_chain_rule.ipynb", as_version=4).cells
    texts = (DEMOS / "README.md").read_text("utf-8"), "".join(cell.source for cell in cells)
    (command,) = {*re.findall(r"`([^`]*\.save\(.*?\))`", texts[0])}
    assert f"`{command}`" in texts[1]
    exec(command, lesson)
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    (shown,) = [
        output.data["text/html"] for output in outputs if "text/html" in output.get("data", ())
    ]
    saved = Path("chain_rule.html").read_text("utf-8")
    assert told(saved) == told(html.unescape(shown))


def test_the_stops_of_the_guide_are_where_it_says(lesson: dict[str, Any]) -> None:
    step = lesson["step"]
    events = list(enumerate(step, 1))
    seed = next(count for count, event in events if isinstance(event, Seed))
    found = [(count, event) for count, event in events if isinstance(event, Contribution)]
    sigmoid = next(count for count, event in found if step.nodes[event.node].symbol == "sigmoid")
    second = next(count for count, event in found if event.before)
    guide = (DEMOS / "README.md").read_text("utf-8").split("## The lecture")[0]
    assert re.findall("`(#step=.*?)`", guide) == [
        f"#step={seed}",
        f"#step={sigmoid}&predict",
        f"#step={second}&predict",
        f"#step={len(step)}&mistake=overwrite",
    ]
