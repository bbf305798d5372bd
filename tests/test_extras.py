"""What is missing is said with what brings it, and in a browser with what can be done there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from microgrant import TargetWarning, Value, compile, draw
from microgrant.compiler import machine
from microgrant.extras import imported, what_brings
from microgrant.views import rendering


@pytest.fixture
def browser_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python as it runs in a browser, as far as messages ask."""
    monkeypatch.setattr("sys.platform", "emscripten")


@pytest.mark.usefixtures("browser_python")
@pytest.mark.parametrize("name", ["jax", "llvmlite", "onnx", "pygraphviz", "torch"])
def test_a_browser_is_not_told_to_install_what_it_cannot_have(name: str) -> None:
    assert what_brings(name, name) == "there is none for Python in a browser"


@pytest.mark.usefixtures("browser_python")
def test_a_browser_is_told_how_a_package_comes_there() -> None:
    with pytest.raises(ImportError, match="nothing is not installed: `%pip install nothing`"):
        imported("nothing", "microgrant[lessons]")


@pytest.mark.usefixtures("browser_python")
def test_a_step_compiled_in_a_browser_says_why_it_runs_as_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise ImportError

    monkeypatch.setattr(machine, "host", missing)
    w = Value(2.0)
    why = "llvmlite is not installed, so this runs as Python: there is none for Python in a browser"
    with pytest.warns(TargetWarning, match=f"^{re.escape(why)}$"):
        step = compile(w * w, parameters=[w])
    assert step.target == "python"


@pytest.mark.usefixtures("browser_python")
def test_a_picture_that_no_browser_draws_is_to_be_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none(*_: object, **__: object) -> None:
        raise rendering.NoGraphvizError

    monkeypatch.setattr(rendering.graphviz.Digraph, "pipe", none)
    with pytest.raises(rendering.NoGraphvizError, match=r"none in a browser: write an \.svg$"):
        draw(Value(1.0)).write(tmp_path / "step.png")
