"""The command line: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from microgrant import Value
from microgrant.__main__ import main
from microgrant.expression import MAX_DEPTH, MAX_LENGTH, MAX_NODES
from microgrant.ops.numbers import number
from microgrant.optim import SGD, Adam
from microgrant.textbooks import EXAMPLES
from microgrant.views import THEMES, record

# As it stands in the README.
COMMAND = ["tanh(w1*x1 + w2*x2 + b)", "x1=2", "x2=0", "w1=-3", "w2=1", "b=6.8813735870195432"]

TABLE = """\
given
  w1 = −3
  x1 = 2
  w2 = 1
  x2 = 0
  b  ≈ 6.881

forward pass
  v1  = w1 × x1  = −3 × 2       = −6
  v2  = w2 × x2  = 1 × 0        = 0
  v3  = v1 + v2  = −6 + 0       = −6
  v4  = v3 + b   ≈ −6 + 6.881   ≈ 0.8814
  out = tanh(v4) ≈ tanh(0.8814) ≈ 0.7071

backward pass
  out.grad: 1   (the seed)
  v4.grad:  0 + upstream 1   × ∂out/∂v4 (= 1 − out²) 0.5 = 0 + 0.5  → 0.5
  v3.grad:  0 + upstream 0.5 × ∂v4/∂v3               1   = 0 + 0.5  → 0.5
  b.grad:   0 + upstream 0.5 × ∂v4/∂b                1   = 0 + 0.5  → 0.5
  v1.grad:  0 + upstream 0.5 × ∂v3/∂v1               1   = 0 + 0.5  → 0.5
  v2.grad:  0 + upstream 0.5 × ∂v3/∂v2               1   = 0 + 0.5  → 0.5
  w2.grad:  0 + upstream 0.5 × ∂v2/∂w2 (= x2)        0   = 0 + 0    → 0
  x2.grad:  0 + upstream 0.5 × ∂v2/∂x2 (= w2)        1   = 0 + 0.5  → 0.5
  w1.grad:  0 + upstream 0.5 × ∂v1/∂w1 (= x1)        2   = 0 + 1    → 1
  x1.grad:  0 + upstream 0.5 × ∂v1/∂x1 (= w1)        −3  = 0 + −1.5 → −1.5

gradients
  ∂out/∂w1 = 1
  ∂out/∂x1 = −1.5
  ∂out/∂w2 = 0
  ∂out/∂x2 = 0.5
  ∂out/∂b  = 0.5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, on a machine without the program dot."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    return work


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "microgrant", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, encoding="utf-8")


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- The command ----------------------------------------------------------------------------------


def test_the_command_of_the_readme(folder: Path) -> None:
    finished = run(*COMMAND)
    assert finished.returncode == 0
    assert finished.stderr == ""
    assert finished.stdout.startswith(TABLE)
    assert "drawing: step.svg" in finished.stdout.splitlines()
    texts = [text.text for text in ET.parse(folder / "step.svg").iter() if text.tag[-4:] == "text"]
    assert {"x1", "x2", "w1", "w2", "b", "v1", "out", "tanh", "−1.5", "0.7071"} <= set(texts)
    assert " 1 × 0.5 " in texts
    assert "nothing to see" not in texts


def test_without_arguments_there_is_a_neuron(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith(TABLE)
    assert "step.svg" in written(folder)


def test_an_empty_expression_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([""]) == 2  # such as "$FORMULA" with a variable that is not set
    assert "the expression is empty" in capsys.readouterr().err
    assert not written(folder)


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("a.svg", b"<?xml"),
        ("a.SVG", b"<?xml"),
        ("b.png", b"\x89PNG"),
        ("c.pdf", b"%PDF"),
        ("d.dot", b"digraph"),
        ("two words.svg", b"<?xml"),
    ],
)
def test_the_ending_names_the_format(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, beginning: bytes
) -> None:
    assert main(["a*b", "a=2", "b=-3", "-o", name]) == 0
    assert f"drawing: {name}" in capsys.readouterr().out.splitlines()
    assert (folder / name).read_bytes().startswith(beginning)
    assert written(folder) == {name}


def test_files_in_other_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "new").mkdir()
    target = folder / "new" / "step.dot"
    assert main(["a*b", "a=2", "b=-3", f"--output={target}"]) == 0
    assert f"drawing: {target}" in capsys.readouterr().out.splitlines()
    assert target.exists()
    assert main(["-o", "first.dot", "-o", "new/second.dot", "x", "x=1"]) == 0
    assert written(folder) == {"new", "first.dot"}
    assert written(folder / "new") == {"step.dot", "second.dot"}


@pytest.mark.parametrize("given", [["-o", "-x.dot"], ["--output", "-x.dot"], ["-o=-x.dot"]])
def test_a_name_that_looks_like_an_option(folder: Path, given: list[str]) -> None:
    assert main(["a*b", "a=2", "b=-3", *given]) == 0
    assert written(folder) == {"-x.dot"}


def test_style_and_theme_of_the_drawing(folder: Path) -> None:
    assert main(["a*b", "a=2", "b=-3", "-o", "node.dot"]) == 0
    assert main(["a*b", "a=2", "b=-3", "-o", "circuit.dot", "--style", "circuit"]) == 0
    assert main(["a*b", "a=2", "b=-3", "-o", "dark.dot", "--theme=dark"]) == 0
    assert "class=wire" in (folder / "circuit.dot").read_text(encoding="utf-8")
    assert "class=wire" not in (folder / "node.dot").read_text(encoding="utf-8")
    assert THEMES["dark"]["background"] in (folder / "dark.dot").read_text(encoding="utf-8")


def test_the_picture_and_the_table_speak_of_the_same_names(folder: Path) -> None:
    assert main(["(x + 1)*(x + 1)", "x=2", "-o", "step.dot"]) == 0
    source = (folder / "step.dot").read_text(encoding="utf-8")
    assert ">v1<" in source
    assert ">v2<" in source
    assert ">out<" in source
    assert ">1</B>" not in source  # a constant's number stands below, as its value


# --- Expressions and values -----------------------------------------------------------------------


def table_of(text: str, capsys: pytest.CaptureFixture[str], *values: str) -> str:
    assert main([text, *values, "-o", "step.dot"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("-x + 1", "−1"),
        ("-x", "−2"),
        ("--x", "2"),
        ("-(x + 1)*2", "−6"),
        ("-2*x", "−4"),
        ("-.5*x", "−1"),
        ("- x", "−2"),
        ("-exp(x - 2)", "−1"),
    ],
)
def test_an_expression_that_begins_with_a_minus(
    folder: Path, capsys: pytest.CaptureFixture[str], expression: str, result: str
) -> None:
    table = table_of(expression, capsys, "x=2")
    assert re.search(rf"^  out .*= {result}$", table, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-a*b + c", "--style", "circuit", "a=2", "b=-3", "c=10"],
        ["-a*b + c", "a=2", "--style=circuit", "b=-3", "--theme", "light", "c=10"],
    ],
)
def test_options_stand_where_one_likes(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main([*arguments, "-o", "step.dot"]) == 0
    assert "  out = v2 + c = 6 + 10  = 16\n" in capsys.readouterr().out
    assert "class=wire" in (folder / "step.dot").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["live", "--open", "a*b", "a=2"],
        ["live", "a*b", "--open", "a=2"],
        ["live", "--example", "cs231n-sum", "x=4", "--open", "y=2"],
    ],
)
def test_options_stand_where_one_likes_before_a_live_page_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    served: list[str] = []
    monkeypatch.setattr("microgrant.views.live.server.serve", served.append)
    assert main(arguments) == 0
    [fragment] = served
    assert fragment.startswith("#e=")
    assert "a=2" in fragment or "x=4&y=2" in fragment


@pytest.mark.parametrize("name", ["height", "out", "o", "h", "theme"])
def test_minus_and_a_name_like_that_of_an_option(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    table = table_of(f"-{name} + 1", capsys, f"{name}=3")
    assert re.search(r"^  \w+ += v1 \+ 1 += −3 \+ 1 += −2$", table, re.MULTILINE)
    assert re.search(rf"∂\w+/∂{name} += −1$", table, re.MULTILINE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x=2", "2"),
        ("x=-2.50", "−2.5"),
        (" x = 3 ", "3"),
        ("x=1e-7", "1e−7"),
        ("x=inf", "inf"),
        ("x=-inf", "−inf"),
        ("x=nan", "nan"),
        ("x=1e400", "inf"),
        ("x=1/4", "0.25"),
        ("x=-2**2", "−4"),
        ("x=2*cos(pi)", "−2"),
    ],
)
def test_the_value_of_a_name(
    folder: Path, capsys: pytest.CaptureFixture[str], value: str, shown: str
) -> None:
    assert table_of("x*1.0", capsys, value).startswith(f"given\n  x = {shown}\n")


def test_names_of_any_language(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "∂out/∂größe = 2" in table_of("größe*2", capsys, "größe=1.5")


def test_a_single_number_and_a_single_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "out.grad: 1" in table_of("3", capsys)
    assert "∂x/∂x = 1" in table_of("x", capsys, "x=2")


def test_a_name_that_is_ours_already(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = table_of("out*v1", capsys, "out=2", "v1=3")
    assert "result = out × v1 = 2 × 3 = 6" in table
    assert "∂result/∂out = 3" in table


def test_the_table_is_that_of_the_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    out = (a * b + a**2).relu()
    out.label = "out"
    table = table_of("relu(a*b + a**2)", capsys, "a=2", "b=-3")
    assert table.startswith(f"{record(out)}\n")


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a*", "a=1"], 'column 3, after "a*": expected a number'),
        (["(a", "a=1"], "column"),
        (["a)", "a=1"], "column 2"),
        (["a b", "a=1", "b=1"], "column 3"),
        (["a^2", "a=1"], "column 2"),
        (["a @ b", "a=1", "b=1"], "column 3"),
        (["f(a)", "a=1"], "column 1: 'f' is not a function"),
        (["tahn(a)", "a=1"], "did you mean tanh?"),
        (["maximum(a)", "a=1"], "column"),
        (["__import__('os')", "a=1"], "column"),
        (["a.real", "a=1"], "column 2"),
        (["a if a else a", "a=1"], "column 3"),
        (["a\n+*b", "a=1", "b=1"], "column"),
        (["1e", "a=1"], "column"),
        (["()"], "column 2"),
        (["-"], "column 2"),
        (["a" * (MAX_LENGTH + 1), "a=1"], f"{MAX_LENGTH:,}"),
        (["(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), "a=1"], f"{MAX_DEPTH:,}"),
        (["+".join(["a"] * (MAX_NODES + 2)), "a=1"], f"{MAX_NODES:,} nodes"),
        (["a*b", "a=1"], 'column 3, after "a*": no value is given for b'),
        (["a*b"], "no value is given for a and b"),
        (["a*b", "a=1", "b=2", "c=3"], "does not use 'c'"),
        (["a", "a=1", "a=2"], "a is given twice: 1.0 and 2.0"),
        (["a", "a=abc"], "expected a number after the '=' of 'a=abc'"),
        (["a", "a="], "expected a number after the '=' of 'a=', such as a=0.5\n"),
        (["a", "a=0x10"], "expected a number after the '=' of 'a=0x10'"),
        (["a", "a=1+"], "after the '=' of 'a=1+': column 3, after \"1+\": expected a number"),
        (
            ["a", "a=2*b"],
            "after the '=' of 'a=2*b': column 3, after \"2*\": no value is given for b",
        ),
        (["a", "=3"], "expected a name before the '=' of '=3'"),
        (["a", "1a=3"], "expected a name before the '=' of '1a=3'"),
        (["a", "two words=3"], "expected a name before the '=' of 'two words=3'"),
        (["a", "-a=3"], "expected a name before the '=' of '-a=3'"),
        (["a", "a"], "expected NAME=NUMBER, but got 'a'"),
        (["a", "2"], "expected NAME=NUMBER, but got '2'"),
        (["a=1", "b=2"], "the expression does not use 'b'"),
        (["h = 2*a; h**2", "a=1", "h=3"], "does not use 'h', which it computes"),
        (["a", "a=1", "-o", "step.txt"], "not 'step.txt'"),
        (["a", "a=1", "-o", "step"], "not 'step'"),
        (["a", "a=1", "-o", "step.svg.gz"], ".svg"),
        (["a", "a=1", "-o", "good.svg", "-o", "bad.jpeg"], "not 'bad.jpeg'"),
        (["a", "a=1", "-o", "-x"], "not '-x'"),
        (["a", "a=1", "-o="], "not ''"),
        (["a", "a=1", "--output="], "not ''"),
    ],
    ids=lambda x: " ".join(x)[:30] if isinstance(x, list) else "",
)
def test_bad_input_gets_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("microgrant: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert len(captured.err) < 400
    assert not written(folder)


def test_bad_input_in_a_process_of_its_own(folder: Path) -> None:
    finished = run("tanh(w*x + )", "w=1", "x=2")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith('microgrant: column 12, after "tanh(w*x +": expected')
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["a", "a=1", "--style", "round"], ["a", "a=1", "--theme", "-x"], ["-o"]]
)
def test_an_option_that_there_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "python -m microgrant: error: " in message
    assert "\0" not in message
    assert not written(folder)


def test_help(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "usage: python -m microgrant" in shown
    assert 'example: python -m microgrant "tanh(w1*x1 + w2*x2 + b)" x1=2 x2=0' in shown
    assert "step.svg" in shown
    assert "the word live" in shown


# --- What cannot be written -----------------------------------------------------------------------


def test_a_folder_that_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "-o", "missing/step.svg"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(TABLE)  # the numbers are there all the same
    assert "drawing:" not in captured.out
    assert captured.err.count("\n") == 1
    assert "missing/step.svg" in captured.err
    assert "No such file or directory" in captured.err
    assert not written(folder)


def test_a_target_that_is_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "step.svg").mkdir()
    assert main(["x", "x=1", "-o", "step.svg"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert written(folder) == {"step.svg"}


def test_one_of_two_files_cannot_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["x", "x=1", "-o", "missing/a.dot", "-o", "b.dot"]) == 1
    captured = capsys.readouterr()
    assert "drawing: b.dot" in captured.out
    assert "missing/a.dot" in captured.err
    assert written(folder) == {"b.dot"}


def test_without_any_graphviz_there_are_a_page_and_a_drawing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert main(COMMAND) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(TABLE)
    assert captured.err == ""
    assert written(folder) == {"step.html", "step.svg"}
    assert "</svg>" in (folder / "step.svg").read_text(encoding="utf-8")


def test_without_any_graphviz_a_png_says_what_it_needs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert main([*COMMAND, "-o", "step.png"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(TABLE)
    assert captured.err.count("\n") == 1
    assert "pip install pygraphviz" in captured.err
    assert not written(folder)


# --- Terminals and pipes --------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [2, 400])
@pytest.mark.parametrize("lines", [0, 1])
def test_a_reader_who_leaves_early(folder: Path, terms: int, lines: int) -> None:
    """As in `python -m microgrant … | head -1`."""
    process = subprocess.Popen(
        command("+".join(["x*y"] * terms), "x=1", "y=2", "-o", "step.dot"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert [process.stdout.readline() for _ in range(lines)] == [b"given\n"] * lines
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
    assert written(folder) == {"step.dot"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_our_signs(folder: Path, encoding: str) -> None:
    finished = subprocess.run(
        command(*COMMAND, "-o", "step.dot"),
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert finished.returncode == 0
    assert finished.stderr == b""
    assert finished.stdout.decode(encoding).startswith("given\n  w1 = ")
    assert b"0.8814" in finished.stdout


def test_an_error_message_on_a_terminal_without_our_signs(folder: Path) -> None:
    finished = subprocess.run(
        command("größe × 2", "größe=1"),
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith(b"microgrant: column 7")
    assert finished.stderr.count(b"\n") == 1


# --- What students type ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["a", "a=2,5"], "(write 2.5)"),
        (["a", "+", "b"], 'an expression goes into quotes: "a * b"'),
        (["w", "w₁=1"], "write w1"),
        (["e**x", "x=1"], "write exp(x)"),
        (["2*pi*r", "r=1"], "give pi=3.14159"),
    ],
)
def test_a_hint(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    assert main(arguments) == 2
    assert hint in capsys.readouterr().err


def test_a_minus_as_we_print_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "a=−3", "-o", "step.dot"]) == 0
    assert "a = −3" in capsys.readouterr().out


def test_a_mistyped_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["a*b", "a=1", "--opne", "b=1"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --opne\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"microgrant \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_no_browser(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("webbrowser.open", asked.append)  # which returns None: no
    assert main(["a", "a=1", "-o", "step.html", "--open"]) == 0
    assert asked == [(folder / "step.html").resolve().as_uri()]
    assert "no browser could be started: open step.html in yours" in capsys.readouterr().err


def test_a_mistake_is_in_the_page_too(folder: Path) -> None:
    main(["a*a", "a=3", "-o", "right.html"])
    main(["a*a", "a=3", "-o", "wrong.html", "--mistake", "overwrite"])
    assert (folder / "right.html").read_text("utf-8") != (folder / "wrong.html").read_text("utf-8")


# --- Learning -------------------------------------------------------------------------------------

LINE = ["(w*x + b - y)**2", "w=-3", "x=2", "b=0.5", "y=1"]


def test_it_goes_on_to_the_update(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*LINE, "--learning-rate", "0.01", "--parameters", "w, b"]) == 0
    told = capsys.readouterr().out
    assert "update\n  w ← w − η × ∂out/∂w = −3 − 0.01 × −26  = −2.74\n" in told
    assert "\n  b ← b − η × ∂out/∂b = 0.5 − 0.01 × −13 = 0.63\n" in told
    assert "x ← " not in told
    page = (folder / "step.html").read_text(encoding="utf-8")
    assert "w ← w − η × ∂out/∂w" in page
    assert '"on":true' in page


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_it_learns_step_after_step(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    options = ["--optimizer", name, "--learning-rate", "0.02", "--steps", "100"]
    assert main([*LINE, *options, "--parameters", "w,b", "-o", "step.html"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.split("step  ")[-1].splitlines()]
    assert rows[0] == ["result", "w", "b"]
    assert rows[1] == ["0", "42.25", "−3", "0.5"]
    assert [row[0] for row in rows[2:5]] == ["5", "10", "15"]
    last = rows[21]
    assert last[0] == "100"
    w, b = Value(-3.0), Value(0.5)
    optimizer = {"sgd": SGD, "adam": Adam}.get(name, lambda p, r: SGD(p, r, momentum=0.9))(
        [w, b], 0.02
    )
    for _ in range(100):
        optimizer.zero_grad()
        ((w * 2.0 + b - 1.0) ** 2).backward()
        optimizer.step()
    assert last[2:] == [number(w.data), number(b.data)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learning-rate", "fast"], "--learning-rate wants a number, not 'fast'"),
        (["--steps", "1.5"], "--steps wants a whole number up to 1000000, not '1.5'"),
        (["--parameters", "w,q"], "--parameters: there is no 'q'; the names are w, x, b, y"),
        (["--learning-rate", "-1"], "learning_rate"),
        (["--steps", "3", "--mistake", "overwrite"], "--steps follows the right gradients"),
    ],
)
def test_what_is_wrong_with_learning_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main([*LINE, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_number_in_the_expression_is_not_learned(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["w = -3; w**2", "--steps", "3"]) == 2
    assert "give a parameter its number apart, as in w=-3" in capsys.readouterr().err


# --- Statements, and the examples of textbooks ----------------------------------------------------


def test_statements_name_what_comes_in_between(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["h = tanh(w*x + b)\n(h - y)**2", "w=1", "x=1/2", "b=0", "y=1"]
    assert main([*given, "-o", "step.html", "-o", "step.dot"]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^  h   = tanh\(v2\) = tanh\(0.5\) +≈ 0.4621$", table, re.MULTILINE)
    assert re.search(r"^  out = v3² +≈ \(−0.5379\)² ≈ 0.2893$", table, re.MULTILINE)
    assert ">h<" in (folder / "step.dot").read_text("utf-8")
    assert "<title>h = tanh(w*x + b); (h - y)**2</title>" in (folder / "step.html").read_text(
        "utf-8"
    )


def test_a_result_that_is_given_a_name_has_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "∂c/∂a = 4" in table_of("b = a + a; c = b + b", capsys, "a=3")


def test_the_examples_are_listed_with_their_sources(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--example"]) == 0
    listed = capsys.readouterr().out
    examples, programs = listed.split("\nwhole programs, which run in a checkout\n")
    for name, example in EXAMPLES.items():
        assert f"{name:20}{example.title}\n{'':20}{example.source}\n" in examples
    assert programs.startswith("microgpt ")
    assert "run python demos/microgpt.py\n" in programs
    assert max(map(len, listed.splitlines())) <= 110
    assert not written(folder)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_shown_with_what_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["--example", name, "-o", "step.dot"]) == 0
    shown = capsys.readouterr().out
    example = EXAMPLES[name]
    if example.result:
        printed = example.result.replace("-", "−")
        assert f"\nprinted in {example.source}\n" in shown
        assert re.search(rf"^ +result +{printed}  +\S", shown, re.MULTILINE)
    assert ("update" in shown) == (name in ("mazur", "xor", "karpathy"))
    assert written(folder) == {"step.dot"}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        (
            "karpathy",
            """\
printed in A. Karpathy, micrograd lecture
update: p ← p + 0.01 × ∂p, for p = a, b, c, f
                      what    printed   computed
                    result         −8         −8
                        ∂a          6          6
                        ∂b         −4         −4
                        ∂c         −2         −2
                        ∂f          4          4
  after the update: result  −7.286496  −7.286496
""",
        ),
        (
            "xor",
            """\
from "Backpropagation Algorithm in Machine Learning"
update: p ← p − 0.1 × ∂p, for p = u11, u12, u21, u22, w1, w2
                      what  printed     computed
                    result           0.552103338
  after the update: result           0.551245349
""",
        ),
        (
            "griewank",
            """\
printed in Griewank and Walther, "Evaluating Derivatives", table 1.2 and what follows it
    what   printed  computed
  result    2.0167    2.0166  the source rounded on its way
     ∂x1    3.0118    3.0118
     ∂x2  −13.7239  −13.7240  the source rounded on its way
""",
        ),
    ],
)
def test_what_is_printed_stands_beside_what_is_computed(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, table: str
) -> None:
    assert main(["--example", name, "-o", "step.dot"]) == 0
    assert f"\n\n{table}\n" in capsys.readouterr().out


def test_an_example_goes_on_to_the_update_that_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--example", "mazur"]) == 0
    shown = capsys.readouterr().out
    assert "w5 ← w5 − η × ∂E/∂w5 ≈ 0.4 − 0.5 × 0.08217   ≈ 0.3589" in shown
    assert "after the update: w5   0.35891648   0.35891648\n" in shown
    assert "b1 ←" not in shown
    assert (
        "M. Mazur"
        in re.findall("<title>(.*)</title>", (folder / "step.html").read_text("utf-8"))[0]
    )
    assert main(["--example", "mazur", "--learning-rate", "0.1", "--parameters", "b1"]) == 0
    assert "b1 ← b1 − η × ∂E/∂b1 ≈ 0.35 − 0.1 × 0.01873" in capsys.readouterr().out


def test_an_example_with_numbers_of_ones_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--example", "ng", "c=1/2", "-o", "step.dot"]) == 0
    shown = capsys.readouterr().out
    assert "∂J/∂b = 1.5" in shown
    assert "printed in" not in shown  # it is not that any more
    assert main(["--example", "ng", "--mistake", "overwrite", "-o", "step.dot"]) == 0
    assert "printed in" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--example", "mazurr"],
            "no example 'mazurr' (did you mean mazur?): --example alone",
        ),
        (
            ["--example", "microgpt"],
            "microgpt is a whole program: in a checkout, run python",
        ),
        (["--example", "ng", "q=2"], "the expression does not use 'q'"),
        (["--example", "ng", "a*b"], "expected NAME=NUMBER, but got 'a*b'"),
        (["--example", "ng", "a=1", "a=2"], "a is given twice: 1.0 and 2.0"),
    ],
)
def test_what_is_wrong_with_an_example_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not written(folder)
