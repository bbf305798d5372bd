"""The benchmarks run to their end, and notice an engine that computes other numbers."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import microgrant

BENCHMARKS = Path(__file__).parent / "benchmarks"


def eager(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / "eager.py"), *options]
    package = Path(microgrant.__file__).parent
    environment = os.environ | {"PYTHONPATH": str(package.parent)}  # the package that we test
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_eager_compares_the_engines() -> None:
    result = eager("--quick")
    assert result.returncode == 0, result.stderr
    heading, *sections = result.stdout.split("\n\n")

    tables: dict[str, list[str]] = {}
    for section in sections:
        title = section.partition(":")[0]
        tables[title] = []
        for name, text in re.findall(r"^(\S.*?) {2,}([\d,. ]+)$", section, re.MULTILINE):
            figures = [float(number.replace(",", "")) for number in text.split()]
            assert len(figures) == 9
            assert min(figures) > 0
            tables[title].append(name)

    ours, slots = ["microgrant"], ["slots and tuples"]
    micrograd = []
    if importlib.util.find_spec("micrograd"):
        micrograd = ["micrograd 0.1.0"]
        assert "micrograd 0.1.0 is left out: its Value has no exp" in result.stdout
    else:
        assert "pip install micrograd==0.1.0" in heading
    assert tables == {
        "Moons": [*ours, "microgrant, nn.MLP", *slots, *micrograd],
        "Tiny GPT": ours + slots,
        "Short chain": ours + slots + micrograd,
        "Deep chain": ours,
    }
    assert "slots and tuples is left out: it was tried, and raised a RecursionError" in sections[-1]


def test_eager_wants_at_least_one_sample() -> None:
    result = eager("--repeat", "0")
    assert result.returncode == 2
    assert "--repeat takes a whole number from 1 on, but got 0" in result.stderr


def test_eager_notices_a_wrong_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    program, slots_value = map(importlib.import_module, ("eager", "slots_value"))
    tasks = program.tasks(program.engines()[0], quick=True)
    monkeypatch.setattr(slots_value.Value, "relu", lambda self: self)
    with pytest.raises(SystemExit, match="the engines disagree"):
        program.report(tasks[0], repeat=1)
