"""The recipe for Dask: with data spread over workers, it learns, and by the same gradient."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_gradient_over_workers_is_that_of_one_machine(
    lacking: Callable[[str], NoReturn],
) -> None:
    if not importlib.util.find_spec("distributed"):
        lacking("Dask's distributed is not installed")
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "demos" / "workers.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
        timeout=100,
    )
    line = r"step (\d+): loss ([\d.]+), apart from one machine (\S+)"
    found = [tuple(map(float, numbers)) for numbers in re.findall(line, finished.stdout)]
    assert [number for number, *_ in found] == [0, 10, 20, 30]
    assert found[0][1] > 3 * found[-1][1] > 0
    assert all(apart < 1e-12 for *_, apart in found)
