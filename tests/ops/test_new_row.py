"""An operation that was just added: what works at once, and what says which word it lacks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

import microgrant

ROW = """
    Operation(
        name="angle",
        forward=math.atan,
        partials=lambda m, out, x: (m.div(1.0, 1.0 + x * x),),
        {more}
    ),
"""
WORDS = 'spelling=_spelled(latex="…", javascript="Math.atan({0})"), native=lambda m, x: m.atan(x),'
BEGINNING = """
import math, warnings
from microgrant import TargetWarning, Value, apply, compile, explain
from microgrant.export import to_onnx
from microgrant.nn import Module
from microgrant.ops import OPERATIONS, words

def angle(x):
    return apply(OPERATIONS["angle"], x)

class Angle(Module):
    def forward(self, x):
        return angle(x[0])

x, w = Value(0.5, "x"), Value(2.0, "w")
y = angle(w * x)
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Run a program with the row in the table, and return the lines that it prints."""
    package = tmp_path / "microgrant"
    shutil.copytree(Path(microgrant.__file__).parent, package)
    table = package / "ops" / "table.py"

    def run(more: str, program: str) -> list[str]:
        before, end, after = table.read_text(encoding="utf-8").partition(")\n\nOPERATIONS:")
        row = ROW.replace("{more}", more)
        table.write_text(f"{before}{row}{end}{after}", encoding="utf-8")
        finished = subprocess.run(
            [sys.executable, "-c", BEGINNING + program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return finished.stdout.splitlines()

    return run


def needs(lacking: Callable[[str], NoReturn], *packages: str) -> None:
    for name in packages:
        if importlib.util.find_spec(name) is None:
            lacking(f"{name} is not installed")


def test_a_bare_row_runs_and_is_told_in_words(run: Callable[[str, str], list[str]]) -> None:
    program = """
y.backward()
print(y.data == math.atan(1.0), w.grad == 0.25)
step = compile(y, [x], [w], target="python")
print(step.value_and_grad([2.0], [[0.5]])[0] == y.data)
print(words.forward("angle", ["x"]), words.forward("angle", ["x"], "latex"))
print(*words.derivative("angle", "out", ["x"]))
"""
    assert run("", program) == [
        "True True",
        "True",
        r"angle(x) \operatorname{angle}(x)",
        "1 / (1 + x²)",
    ]


TRIED = """
def tried(function):
    try:
        function()
        print("done")
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_a_target_without_a_word_says_which_one(
    run: Callable[[str, str], list[str]], lacking: Callable[[str], NoReturn]
) -> None:
    needs(lacking, "llvmlite", "numpy", "onnx", "jax")
    program = """
tried(lambda: compile(y, [x], [w], target="native"))
tried(lambda: compile(y, [x], [w], target="javascript"))
tried(lambda: compile(y, [x], [w], target="numpy"))
tried(lambda: compile(y, [x], [w], target="jax"))
with warnings.catch_warnings(record=True) as said:
    step = compile(y, [x], [w])
print(step.target, *(f"{x.category.__name__}: {x.message}" for x in said))
tried(lambda: to_onnx(Angle(), "angle.onnx", (1,)))
tried(lambda: explain(y).save("step.html"))
"""
    assert run("", TRIED + program) == [
        "ValueError: the operation 'angle' has no native= in its row of the table: its target is "
        '"python", or "auto"',
        "ValueError: the operation 'angle' has no javascript= in the spelling in its row of the "
        'table: its target is "python", or "auto"',
        "ValueError: the operation 'angle' has no word in WORDS of microgrant/compiler/by_numpy.py"
        ': its target is "python", or "auto"',
        "ValueError: the operation 'angle' has no word in WORDS of microgrant/compiler/xla.py: its "
        'target is "python", or "auto"',
        "python TargetWarning: the operation 'angle' has no native= in its row of the table, so "
        "this runs as Python",
        "TypeError: ONNX has no word for the operation 'angle': add it to WORDS in "
        "microgrant/export/onnx_program.py, or to SPELLED there what it is made of",
        "ValueError: JavaScript has no word for the operation 'angle': add javascript= to the "
        "spelling in its row of the table",
    ]


def test_a_row_with_its_words_reaches_every_target(
    run: Callable[[str, str], list[str]], lacking: Callable[[str], NoReturn]
) -> None:
    needs(lacking, "llvmlite", "numpy", "jax")
    program = """
for target in ("native", "numpy", "jax"):
    step = compile(y, [x], [w], target=target)
    loss, [gradient] = step.value_and_grad([2.0], [[0.5]])
    print(abs(loss - y.data) < 1e-15, gradient)
print(words.forward("angle", ["x"], "javascript"))
tried(lambda: explain(y).save("step.html"))
"""
    assert run(WORDS, TRIED + program) == [*["True 0.25"] * 3, "Math.atan(x)", "done"]
