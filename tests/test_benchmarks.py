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


def run(program: str, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / program), *options]
    package = Path(microgrant.__file__).parent
    environment = os.environ | {"PYTHONPATH": str(package.parent)}  # the package that we test
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.campaign
def test_eager_compares_the_engines() -> None:
    result = run("eager.py", "--quick")
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


@pytest.mark.parametrize("program", ["eager.py", "native.py"])
def test_benchmarks_want_at_least_one_sample(program: str) -> None:
    result = run(program, "--repeat", "0")
    assert result.returncode == 2
    assert "--repeat takes a whole number from 1 on, but got 0" in result.stderr


def test_eager_notices_a_wrong_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    program, slots_value = map(importlib.import_module, ("eager", "slots_value"))
    tasks = program.tasks(program.engines()[0], quick=True)
    monkeypatch.setattr(slots_value.Value, "relu", lambda self: self)
    with pytest.raises(SystemExit, match="the engines disagree"):
        program.report(tasks[0], repeat=1)


AS_MICROGPT = """
docs = ["yuheng"] * 32_033

class Value:
    "Cannot be called with a number: ours stands in its place."

print(f"step    1 / 1000 | loss {Value(3.3) + 0.066:.4f}", end="")
print(f"step    2 / 1000 | loss {Value(3.3):.4f}", end="")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "answer"), [("0.066", "yes"), ("0.067", "no")])
def test_whether_the_original_microgpt_prints_its_losses(
    loss: str, answer: str, tmp_path: Path
) -> None:
    program = tmp_path / "original.py"
    program.write_text(AS_MICROGPT.replace("0.066", loss))
    result = run("microgpt_original.py", str(program), "--steps", "1")
    assert result.stderr == ""
    *_, row, last = result.stdout.splitlines()
    assert row.split() == ["1", "3.3660", f"3.3{loss[-2:]}0", "3.3660"]
    assert last == answer
    assert result.returncode == ["yes", "no"].index(answer)


@pytest.mark.parametrize(
    ("source", "steps", "message"),
    [
        (None, "1", "No such file or directory"),
        ("x = 1", "1", "the program has no class Value"),
        (AS_MICROGPT, "3", "it printed 2 losses, not 3"),
        (AS_MICROGPT, "0", "--steps: expected a whole number from 1 to 1000, but got 0"),
    ],
)
def test_what_is_no_original_microgpt(
    source: str | None, steps: str, message: str, tmp_path: Path
) -> None:
    program = tmp_path / "original.py"
    if source is not None:
        program.write_text(source)
    result = run("microgpt_original.py", str(program), "--steps", steps)
    assert result.returncode == 2
    assert message in result.stderr


PEERS = {
    "microgrant, native": "llvmlite",
    "microgrant, NumPy": "numpy",
    "micrograd": "micrograd",
    "NumPy by hand": "numpy",
    "PyTorch": "torch",
    "JAX jit": "jax",
    "CasADi SX": "casadi",
    "ddx-ad": "ddx",
}


@pytest.mark.campaign
def test_native_compares_all_that_are_installed() -> None:
    result = run("native.py", "--quick")
    assert result.returncode == 0, result.stderr
    _, *sections = result.stdout.split("\n\n")
    tables = [(section.partition(":")[0], section) for section in sections]
    titles = ["Moons", "Moons with tanh", *["Wide"] * 2, "Wider", "XOR"]
    titles += ["Whole steps. Moons", "Whole steps. Wide", "fit"]
    titles += [*["microgpt", "Whole steps. microgpt"] * 2, "Convolution", "RNN", "Irregular"]
    assert [title for title, _ in tables] == [*titles, "Compiling", "Nodes", "Rows"]
    [fitted] = [section for title, section in tables if title == "fit"]
    assert re.findall(r"^fit, (SGD|Adam|XOR, all its epochs) ", fitted, re.MULTILINE) == [
        "SGD",
        "Adam",
        "XOR, all its epochs",
    ]

    for title, section in tables[:-3]:
        if title == "fit":
            continue
        assert "agree to within" in section
        measured = []
        for name, text in re.findall(r"^(\S.*?) {2,}([\d,. ]+)$", section, re.MULTILINE):
            prepare, *times, samples = (float(x.replace(",", "")) for x in text.split())
            assert prepare >= 0
            assert len(times) == 4
            assert min(times) > 0
            assert samples == 2
            measured.append(name)
        if title == "Moons":
            assert {"microgrant, eager", "microgrant, Python"} <= {*measured}
            for name, module in PEERS.items():
                if importlib.util.find_spec(module):
                    assert name in measured
                else:
                    assert re.search(f"^{name} is left out: .*pip install", section, re.MULTILINE)
    if importlib.util.find_spec("llvmlite"):
        compiling, *growth = [section for _, section in tables[-3:]]
        assert len(re.findall(r"^\S.* [\d,]+ +\d+\.\d{3} +[\d,]+$", compiling, re.MULTILINE)) == 5
        assert all("to the power of" in section for section in growth)


def test_native_notices_a_wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    program, networks, peers = map(importlib.import_module, ("native", "networks", "peers"))
    task = program.on_network("XOR", networks.Network((2, 2, 1)), networks.XOR_ROWS)
    honest = peers.microgrant_eager(peers.Work(networks.Network((2, 2, 1)), networks.XOR_ROWS))

    def off(result: object) -> tuple[float, list[float]]:
        loss, gradient = honest.read(result)
        return loss, [*gradient[:-1], gradient[-1] * (1 + 1e-6)]

    task.prepare = {"one": lambda: honest, "two": lambda: peers.Ready(honest.step, off)}
    with pytest.raises(SystemExit, match="two and one disagree"):
        program.report(task, repeat=1)
