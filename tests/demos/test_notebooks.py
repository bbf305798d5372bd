"""Each notebook of demos/ runs from top to bottom, and prints what it says that it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")

DEMOS = Path(__file__).parents[2] / "demos"
NOTEBOOKS = sorted(DEMOS.glob("*.ipynb"))


def shown(cell: Any) -> list[Any]:
    """What a cell shows, without stderr, where libraries complain of the machine."""
    return [x for x in cell.outputs if x.get("name") != "stderr"]


def printed(cell: Any) -> str:
    return "".join(x["text"] for x in shown(cell) if x["output_type"] == "stream")


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the machinery that runs notebooks
def test_it_runs_and_keeps_its_outputs(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    nbformat.validate(stored)
    fresh = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        fresh,
        timeout=120,
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
