"""README.md is right: its snippets print what they say, its commands run, its links lead.

The links of the other pages lead somewhere, too.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

from microgrant.export import to_torch

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


# --- Snippets -------------------------------------------------------------------------------------


def statements(source: str) -> Iterator[tuple[str, str | None]]:
    """Each statement of a snippet, with what its comment says that it prints."""
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        last = statement.end_lineno or statement.lineno
        promise = re.search(r"  # prints (.*)$", lines[last - 1])
        yield "\n".join(lines[statement.lineno - 1 : last]), promise and promise[1]


def run_snippet(source: str, names: dict[str, Any]) -> int:
    """Run it statement by statement; how many promises of what is printed it has kept."""
    kept = 0
    for statement, promise in statements(source):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(statement, "README.md", "exec"), names)
        if promise is not None:
            assert printed.getvalue().strip() == promise.strip(), statement
            kept += 1
    return kept


def run_doctest(source: str, names: dict[str, Any]) -> int:
    test = doctest.DocTestParser().get_doctest(source, names, "README.md", "README.md", 0)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    result = runner.run(test, out=report.write, clear_globs=False)
    assert result.failed == 0, report.getvalue()
    names.update(test.globs)
    return result.attempted


def test_the_snippets_print_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    snippets = blocks("python")
    checked = [
        (run_doctest if snippet.startswith(">>> ") else run_snippet)(snippet, names)
        for snippet in snippets
        if "import jax" not in snippet  # see tests/compiler/test_jax.py
    ]
    assert len(snippets) >= 2
    assert sum(checked) >= 5
    for promise in re.findall(r"# prints .*", README):
        assert any(promise in snippet for snippet in snippets), f"nothing checks {promise!r}"


def test_a_broken_promise_is_noticed() -> None:
    assert run_snippet("x = 2\nprint(x)  # prints 2\n", {}) == 1
    assert run_doctest(">>> 1 + 1\n2\n", {}) == 1
    with pytest.raises(AssertionError, match="print"):
        run_snippet("print(1)  # prints 2", {})
    with pytest.raises(AssertionError, match="Expected"):
        run_doctest(">>> 1 + 1\n3\n", {})


def test_the_numbers_of_micrograds_own_example() -> None:
    for number in ("24.7041", "138.8338", "645.5773"):
        assert f"# prints {number}" in README


# --- Coming from elsewhere ------------------------------------------------------------------------

ROWS = re.findall(r"^\| (\w+) \| `([^`|]+)` \| (?:`([^`|]+)`|the same) \|$", README, re.MULTILINE)
GIVEN = "rows, xs, logits = [[0.5, -1.0], [2.0, 0.25]], [0.5, 1.0], [0.5, 2.0, -1.0]"
FUNCTIONS = "f = lambda x: {0}.tanh(x) * x; g = lambda a, b: a**2 * b"
THERE = {
    "PyTorch": "import torch; from torch import nn",
    "JAX": f"import jax; import jax.numpy as jnp; {FUNCTIONS.format('jnp')}",
    "micrograd": "import micrograd",
}
HERE = "; ".join(
    f"from microgrant{room} import *" for room in ("", ".nn", ".optim", ".losses", ".training")
)


def numbers_in(x: Any) -> list[float]:
    """All numbers of a Value, an array, a model; of a model those that it has learned, sorted."""
    if hasattr(x, "parameters") and callable(x.parameters):
        return sorted(numbers_in(list(x.parameters())))
    if hasattr(x, "learning_rate"):
        return [x.learning_rate]
    if hasattr(x, "param_groups"):  # an optimiser of PyTorch's
        return [x.param_groups[0]["lr"]]
    x = x.tolist() if hasattr(x, "tolist") else getattr(x, "data", x)
    return [y for each in x for y in numbers_in(each)] if isinstance(x, (list, tuple)) else [x]


def assigned(code: str) -> set[str]:
    names = (x for x in ast.walk(ast.parse(code)) if isinstance(x, ast.Name))
    return {x.id for x in names if isinstance(x.ctx, ast.Store)}


@pytest.mark.parametrize(
    "library", ["micrograd", *(pytest.param(x, marks=pytest.mark.slow) for x in ("PyTorch", "JAX"))]
)
def test_what_one_writes_elsewhere_is_what_one_writes_here(library: str) -> None:
    """In a process of its own, since JAX leaves threads behind."""
    program = f"import test_readme; test_readme.compare({library!r})"
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    command = [sys.executable, "-W", "ignore", "-c", program]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, check=True, timeout=100)


def compare(library: str) -> None:
    """Row after row, what both assign is the same, and so are the models."""
    here: dict[str, Any] = {}
    exec(f"{GIVEN}; {HERE}; {FUNCTIONS.format('Value')}; x = Value(0.0)", here)
    theirs: dict[str, Any] | None = {}
    try:
        exec(f"{GIVEN}; {THERE[library]}", theirs)
    except ImportError:
        theirs = None  # then it is ours alone that runs
    rows = [(there, own or there) for name, there, own in ROWS if name == library]
    assert len(rows) >= 3
    for there, own in rows:
        random.seed(1)
        exec(own, here)
        if theirs is None:
            continue
        random.seed(1)
        exec(there, theirs)
        if "nn.Sequential" in there:  # whose weights are drawn otherwise
            theirs["model"].load_state_dict(to_torch(here["model"]).state_dict())
        for name in (assigned(own) & assigned(there)) | ({"model"} & {*here}):
            expected = pytest.approx(numbers_in(theirs[name]), rel=1e-5, abs=1e-6)
            assert numbers_in(here[name]) == expected, own


def test_the_table_for_those_who_come_from_elsewhere_is_read_whole() -> None:
    table = README.split("| what one writes there |")[1].split("\n\n")[0]
    assert len(ROWS) == table.count("\n") - 1 >= 10


# --- Commands -------------------------------------------------------------------------------------


def commands() -> list[list[str]]:
    """The arguments of each `python -m microgrant …` in the README, in shell blocks and in text."""
    lines = [part for block in blocks("sh") for part in re.split(r"&&|\n", block)]
    lines += re.findall(r"`([^`\n]*)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))
    found = [re.search(r"python3? -m microgrant\b(.*)", line) for line in lines]
    return [shlex.split(match[1]) for match in found if match]


def test_the_first_command_is_on_the_first_screen() -> None:
    screen = "\n".join(README.splitlines()[:40])
    assert 'python -m microgrant "tanh(w1*x1 + w2*x2 + b)" x1=2 x2=0 w1=-3 w2=1' in screen
    assert "-m pytest" in screen
    first = commands()[0]
    assert first == [
        "tanh(w1*x1 + w2*x2 + b)",
        *("x1=2", "x2=0", "w1=-3", "w2=1", "b=6.8813735870195432"),
    ]


# The live page runs until Ctrl-C: tests/views/test_live.py sees to it.
@pytest.mark.parametrize("arguments", [x for x in commands() if x != ["live"]], ids=" ".join)
def test_a_command_runs(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    finished = subprocess.run(
        [sys.executable, "-m", "microgrant", *(x for x in arguments if x != "--open")],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    for name in re.findall(r"^(?:drawing|page): (.*)$", finished.stdout, re.MULTILINE):
        assert (tmp_path / name).stat().st_size > 1000
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_a_command_for_a_fresh_machine_is_one_line(line: str) -> None:
    """Other files of the project that a command names exist; so do the extras that it installs."""
    for path in re.findall(r"[\w./-]+\.(?:py|ipynb|sh)\b|\.ci/\w+", line):
        assert (ROOT / path).exists(), path
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extras in re.findall(r"\.\[([\w,]+)\]", line):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


# --- Links ----------------------------------------------------------------------------------------

PAGES = ("README.md", "demos/README.md", ".github/CONTRIBUTING.md", ".github/CHANGELOG.md")
LINKS = sorted(
    {
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    }
)


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_there_is_a_picture() -> None:
    assert re.search(r"!\[[^\]]+\]\([^)]+\.(svg|png)\)", README)


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    if target.startswith(("https://", "mailto:")):
        assert re.fullmatch(r"[\x21-\x7e]+", target)
        return
    assert not target.startswith(("http://", "/")), "a link is relative, or https"
    path, _, anchor = target.partition("#")
    file = (ROOT / page).parent / path if path else ROOT / page
    assert file.exists()
    if anchor:
        assert anchor in anchors(file.read_text(encoding="utf-8"))


def test_on_pypi_no_link_leads_nowhere() -> None:
    """What a package says of itself stands on a page of PyPI's, apart from the files."""
    description = metadata("microgrant").get_payload()
    assert isinstance(description, str)
    targets = re.findall(r"\]\(([^)\s]+)\)", description)
    assert [x for x in targets if not x.startswith(("https://", "#"))] == []
    ours = [x for x in targets if "/microgrant/main/" in x or "/microgrant/blob/main/" in x]
    assert len(ours) > 20
    assert [x for x in ours if not (ROOT / x.split("/main/")[1]).exists()] == []


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"`((?:tests|demos|microgrant)/[\w./-]+)`", README)
    assert [path for path in named if not (ROOT / path).exists()] == []
