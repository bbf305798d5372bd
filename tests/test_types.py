"""What a type checker says of programs that use microgrant: of natural ones, and of mistakes."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TypeAlias

import pytest

ROOT = Path(__file__).parents[1]
NATURAL, MISTAKES = (
    ["tests/typed/natural.py", "tests/typed/with_numpy.py"],
    "tests/typed/mistakes.py",
)
Places: TypeAlias = dict[tuple[str, int], str]


@pytest.mark.parametrize("program", NATURAL)
def test_natural_programs_run(program: str) -> None:
    pytest.importorskip("numpy", reason="NumPy is not installed")
    runpy.run_path(str(ROOT / program), run_name="__main__")


def by_mypy(folder: Path) -> Places:
    """What mypy complains of, by file and line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder)]
    lines = output([*command, "--no-error-summary", *NATURAL, MISTAKES]).splitlines()
    found = [re.fullmatch(r"(.+?):(\d+): error: (.*)", line) for line in lines]
    return {(Path(x[1]).as_posix(), int(x[2])): x[3] for x in found if x}


def by_pyright(folder: Path) -> Places:
    """What pyright complains of, as it comes: its mode is "standard"."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    report = json.loads(output([*command, *NATURAL, MISTAKES]))
    assert report["summary"]["filesAnalyzed"] == len(NATURAL) + 1
    return {
        (Path(x["file"]).relative_to(ROOT).as_posix(), x["range"]["start"]["line"] + 1): x[
            "message"
        ]
        for x in report["generalDiagnostics"]
        if x["severity"] == "error"
    }


def output(command: list[str]) -> str:
    """What a program prints that is run in the folder of the project."""
    quiet = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    finished = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert finished.returncode == 1, finished.stdout + finished.stderr  # there are mistakes
    return finished.stdout


@pytest.mark.slow
@pytest.mark.parametrize("checker", [by_mypy, by_pyright])
def test_what_is_natural_is_right_and_mistakes_are_found(
    checker: Callable[[Path], Places], tmp_path: Path, lacking: Callable[[str], NoReturn]
) -> None:
    name = checker.__name__.removeprefix("by_")
    if find_spec(name) is None or find_spec("numpy") is None:
        lacking(f"{name} or NumPy is not installed")
    lines = (ROOT / MISTAKES).read_text(encoding="utf-8").splitlines()
    refused = {(MISTAKES, number) for number, line in enumerate(lines, 1) if "# refused" in line}
    found = checker(tmp_path)
    assert {place: x for place, x in found.items() if place not in refused} == {}
    assert refused - found.keys() == set()
