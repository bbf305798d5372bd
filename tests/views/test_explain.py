"""`explain`: the record of a step, as data, in LaTeX, as a page, and in a terminal."""

from __future__ import annotations

import copy
import gc
import html
import json
import math
import os
import pickle
import random
import re
import select
import sys
import time
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from xml.etree import ElementTree

import pytest

from microgrant import Value, define, draw, explain, grad
from microgrant.nn import MLP
from microgrant.ops import OPERATIONS
from microgrant.ops.numbers import number
from microgrant.views import MISTAKES, THEMES, Contribution, Forward, Given, Seed
from microgrant.views.terminal import KEYS, screen


def step_of_a_product() -> tuple[Value, Value, Value]:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    d = a * b
    d.label = "d"
    return a, b, d


# --- Events ---------------------------------------------------------------------------------------


def test_events_in_order() -> None:
    a, _, d = step_of_a_product()
    events = list(explain(d + a))
    kinds = [type(event) for event in events]
    assert kinds == [Given] + [Forward] * 2 + [Seed] + [Contribution] * 4
    assert events[:3] == [Given((0, 1)), Forward(2, "2 × −3"), Forward(3, "−6 + 2")]


def test_a_square_has_two_contributions() -> None:
    a = Value(3.0, label="a")
    contributions = [event for event in explain(a * a) if isinstance(event, Contribution)]
    assert [(event.before, event.after) for event in contributions] == [(0.0, 3.0), (3.0, 6.0)]


def test_lines_to_follow_with_a_pencil() -> None:
    _, _, d = step_of_a_product()
    step = explain(d)
    assert step.line(1) == "given: a = 2, b = −3"
    assert step.line(2) == "d = a × b = 2 × −3 = −6"
    assert step.line(4) == "a.grad: 0 + upstream 1 × ∂d/∂a (= b) −3 = 0 + −3 → −3"


def test_gradients_are_those_of_the_engine_and_no_grad_is_touched() -> None:
    a, b, d = step_of_a_product()
    loss = (d + a).tanh() * d
    assert explain(loss).gradients == dict(zip("ab", grad(loss, [a, b]), strict=True))
    assert (a.grad, b.grad) == (0.0, 0.0)


def test_states_can_be_had_in_any_order() -> None:
    _, _, d = step_of_a_product()
    step = explain(d)
    assert step.state(1) == ([2.0, -3.0, None], [None, None, None])
    assert step.state(5) == ([2.0, -3.0, -6.0], [-3.0, 2.0, 1.0])
    assert step.state(3) == ([2.0, -3.0, -6.0], [None, None, 1.0])


@pytest.mark.parametrize(
    ("mistake", "wrong"), [("overwrite", 1.0), ("no_topological_order", 8.0), ("no_zero_grad", 8.0)]
)
def test_mistakes(mistake: str, wrong: float) -> None:
    a = Value(1.0, label="a")
    b = a + a
    c = b + b
    assert explain(c).gradients["a"] == 4.0
    assert explain(c, mistake=mistake).gradients["a"] == wrong
    assert mistake in MISTAKES


def test_an_unknown_mistake() -> None:
    with pytest.raises(ValueError, match=r"mistake is one of overwrite, .* but got 'typo'"):
        explain(Value(1.0), mistake="typo")


def test_not_a_value() -> None:
    with pytest.raises(TypeError, match="explain needs a Value, but got float"):
        explain(3.0)  # type: ignore[arg-type]


# --- Other tools ----------------------------------------------------------------------------------


def test_json_holds_the_whole_record() -> None:
    _, _, d = step_of_a_product()
    step = explain(d)
    data = json.loads(step.to_json())
    assert data == json.loads(json.dumps(step.to_dict()))
    assert [event["kind"] for event in data["events"]] == [
        *["given", "forward"],
        "seed",
        *["contribution"] * 2,
    ]
    assert data["gradients"] == {"a": -3.0, "b": 2.0}
    assert data["nodes"][2]["formula"] == "a × b"


def test_json_with_numbers_that_json_does_not_have() -> None:
    x = Value(0.0, label="x")
    text = explain(x.log()).to_json()
    assert "Infinity" not in text
    assert json.loads(text)["nodes"][-1]["value"] == "-inf"


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda x: x.name)
def test_latex_of_every_operation_is_balanced(operation: object) -> None:
    from microgrant import apply

    entry = OPERATIONS[operation.name]  # type: ignore[attr-defined]
    operands = [Value(sum(x) / 2, label=f"x{i}") for i, x in enumerate(entry.domain)]
    text = explain(apply(entry, *operands)).latex()
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert "x_{0}" in text
    assert "−" not in text


def test_latex_adds_up() -> None:
    a = Value(3.0, label="a")
    y = a * a
    text = explain(y, {"y": y}).latex()
    first, second = [line for line in text.splitlines() if r"{\partial a} &" in line]
    assert first.strip().endswith(r"= 1 \cdot 3 = 3 \\")
    assert r"&\mathrel{+}=" in second
    assert second.strip().endswith(r"= 1 \cdot 3 = 3 \quad\to\quad 6")


def test_latex_escapes_names() -> None:
    text = explain(Value(1.0, label=r"50%_&\{$").exp()).latex()
    assert r"\text{50\%\_\&\textbackslash{}\{\$}" in text


def test_a_rule_on_floats_only_still_explains() -> None:
    cube = define("cube", lambda x: x**3, lambda m, out, x: (math.pow(x, 2) * 3,))
    y = cube(Value(2.0, label="x"))
    assert "∂cube/∂x" in str(explain(y))
    assert r"\frac{\partial v_{1}}{\partial x} &=" in explain(y).latex()


# --- The page -------------------------------------------------------------------------------------


def test_save_writes_one_page(tmp_path: Path) -> None:
    _, _, d = step_of_a_product()
    path = explain(d).save(tmp_path / "step.html")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [path]


def test_save_wants_a_page(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a file \.html, but got 'step\.svg'"):
        explain(Value(1.0)).save(tmp_path / "step.svg")


SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: Path, name: str) -> list[str]:
    """What the texts of a class say, in the order of the values."""
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    groups = [x for x in root.iter(f"{SVG}g") if "data-node" in x.attrib]
    groups.sort(key=lambda x: int(x.attrib["data-node"]))
    return [
        text.text or ""
        for group in groups
        for text in group.iter(f"{SVG}text")
        if name in text.attrib["class"].split()
    ]


@pytest.mark.parametrize("theme", THEMES)
def test_pictures_show_each_step(tmp_path: Path, theme: str) -> None:
    a, _, d = step_of_a_product()
    step = explain(d + a)
    paths = step.pictures(tmp_path / "a" / "folder", theme=theme)
    assert [path.name for path in paths] == [f"step-{i:03}.svg" for i in range(1, len(step) + 1)]
    assert sorted((tmp_path / "a" / "folder").iterdir()) == paths
    for count, path in enumerate(paths, 1):
        values, gradients = step.state(count)
        assert texts(path, "data") == ["" if x is None else number(x) for x in values]
        assert texts(path, "grad") == ["–" if x is None else number(x) for x in gradients]
        content = path.read_text(encoding="utf-8")
        assert f"<title>step {count} of {len(step)}: {step.line(count)}</title>" in content
        assert THEMES[theme]["value"] in content
        # Nothing is elsewhere: no variables, no fonts, no network.
        assert "var(" not in content
        assert set(re.findall(r"url\((.)", content)) == {"#"}
        assert re.findall('https?://[^"]*', content) == ["http://www.w3.org/2000/svg"]


def test_the_same_step_gives_the_same_pictures(tmp_path: Path) -> None:
    first, second = (
        [x.read_bytes() for x in explain(step_of_a_product()[2]).pictures(tmp_path / name)]
        for name in "ab"
    )
    assert first == second


def test_names_and_lines_of_pictures_are_escaped(tmp_path: Path) -> None:
    root = Value(1.0, label='</text><script>"&]]>') * Value(2.0, label="\x00\ud800")
    for path in explain(root).pictures(tmp_path):
        tree = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        assert not list(tree.iter(f"{SVG}script"))


@pytest.mark.parametrize(
    ("steps", "numbers"),
    [(2, [2]), (range(2, 4), [2, 3]), ([4, 1], [4, 1]), ((x for x in (3, 3)), [3, 3]), ([], [])],
)
def test_pictures_of_some_steps(tmp_path: Path, steps: Any, numbers: list[int]) -> None:
    paths = explain(step_of_a_product()[2]).pictures(tmp_path, steps=steps)
    assert [path.name for path in paths] == [f"step-{i:03}.svg" for i in numbers]
    assert set(tmp_path.iterdir()) == set(paths)


@pytest.mark.parametrize(
    ("folder", "arguments", "error", "words"),
    [
        ("new", {"steps": [1, 99]}, IndexError, "numbered 1 to .*, but got 99"),
        ("new", {"steps": 0}, IndexError, "numbered 1 to .*, but got 0"),
        ("new", {"steps": [1.5]}, ValueError, "a step is a whole number, but got 1.5"),
        ("new", {"steps": "12"}, TypeError, "such as range.5, 9., but got str '12'"),
        ("new", {"steps": 2.5}, TypeError, "such as range.5, 9., but got float 2.5"),
        ("new", {"steps": True}, ValueError, "a step is a whole number, but got True"),
        ("new", {"theme": "pink"}, ValueError, "theme is one of light, dark, but got 'pink'"),
        ("step.svg", {}, ValueError, "written into a folder, but got 'step.svg'"),
        ("file", {}, ValueError, "written into a folder, but got 'file'"),
    ],
)
def test_what_pictures_refuses_it_leaves_alone(
    tmp_path: Path, folder: str, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(error, match=words):
        explain(step_of_a_product()[2]).pictures(tmp_path / folder, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_no_pictures_of_data_that_was_changed(tmp_path: Path) -> None:
    a, _, d = step_of_a_product()
    step = explain(d)
    a.data = 5.0
    with pytest.raises(ValueError, match="changed after its forward pass"):
        step.pictures(tmp_path)
    assert not list(tmp_path.iterdir())


def test_in_a_notebook_it_is_a_frame_of_its_own() -> None:
    _, _, d = step_of_a_product()
    shown = explain(d)._repr_html_()
    (content,) = re.findall(
        r'<iframe srcdoc="([^"]*)" sandbox="allow-scripts allow-downloads"', shown
    )
    assert html.unescape(content).startswith("<!DOCTYPE html>")


def test_a_notebook_that_drops_the_frame_keeps_the_table() -> None:
    _, _, d = step_of_a_product()
    bundle = explain(d)._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == str(explain(d))
    # What is not trusted keeps neither frames nor styles: in JupyterLab, and on a page of GitHub's.
    dropped = re.sub("<(iframe|style).*?</\\1>", "", bundle["text/html"], flags=re.S)
    assert f"<pre>{html.escape(str(explain(d)))}</pre></details>" in dropped
    assert len(dropped) < 2_000


def test_without_graphviz_it_is_a_page_and_pictures_all_the_same(
    no_graphviz: None, tmp_path: Path
) -> None:
    _, _, d = step_of_a_product()
    assert "<iframe srcdoc" in explain(d)._repr_html_()
    assert "d = a × b = 2 × −3 = −6" in explain(d).save(tmp_path / "step.html").read_text("utf-8")
    assert len(explain(d).pictures(tmp_path)) == len(explain(d))


def test_repr_is_short() -> None:
    _, _, d = step_of_a_product()
    assert repr(explain(d)) == "<explanation of a step: 3 values, 2 contributions>"


# --- The terminal ---------------------------------------------------------------------------------


def test_without_a_terminal_play_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, d = step_of_a_product()
    explain(d).play()
    assert capsys.readouterr().out == f"{explain(d)}\n"


def test_a_screen_shows_the_event_and_the_state() -> None:
    _, _, d = step_of_a_product()
    text = "\n".join(screen(explain(d), 4, 80, 24))
    assert "step 4 of 5 · backward" in text
    assert "a.grad: 0 + upstream 1" in text
    (active,) = [line for line in text.splitlines() if "▶" in line]
    assert re.search(r"▶ a +2 +−3", active)
    assert re.search(r"\n  b +−3 +–", text)  # not reached yet


@pytest.mark.parametrize(("columns", "rows"), [(20, 8), (40, 10), (200, 60)])
def test_a_screen_fits_the_terminal(columns: int, rows: int) -> None:
    y = x = Value(1.0, label="x" * 30)
    for _ in range(100):
        y = y * x + 1.0
    step = explain(y)
    for at in (1, 150, len(step)):
        lines = [re.sub(r"\x1b\[\d*m", "", line) for line in screen(step, at, columns, rows)]
        assert len(lines) <= rows
        assert max(map(len, lines)) <= columns
        assert any("▶" in line for line in lines)


def test_no_key_has_two_meanings() -> None:
    pressed = [key for keys in KEYS.values() for key in keys]
    assert len(pressed) == len(set(pressed))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_play_in_a_terminal(tmp_path: Path) -> None:
    import pty

    program = [sys.executable, "-m", "microgrant", "a*b", "a=2", "b=-3", "--play"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execvp(program[0], program)
    shown = ""

    def until(expected: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + 30
        while expected not in shown:
            assert time.monotonic() < deadline, f"{expected!r} did not appear in {shown!r}"
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096).decode()

    for keys, expected in [
        (b"", "step 1 of 5 · given"),
        (b"\x1b[C", "step 2 of 5 · forward"),
        (b"\x1b[D", "step 1 of 5 · given"),
        (b"b", "step 3 of 5 · backward"),
        (b" ", "a.grad: 0 + upstream 1"),
        (b"\x1b[F", "step 5 of 5 · backward"),
        (b"\x1b[H", "step 1 of 5 · given"),
    ]:
        shown = ""
        os.write(terminal, keys)
        until(expected)
    shown = ""
    os.write(terminal, b"q")
    until("page: step.html")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    os.close(terminal)


# --- One graph for all views ----------------------------------------------------------------------


def calls_in(action: Callable[[], object]) -> Counter[str]:
    """How often each function is called, by its name."""
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            counted[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return counted


ONCE = ("topological_order", "given_names", "add_names", "calls", "record_of")


@pytest.mark.parametrize("mistake", [None, "no_zero_grad"])
def test_a_graph_is_ordered_named_and_recorded_once(mistake: str | None, tmp_path: Path) -> None:
    random.seed(1)
    model = MLP(2, [2, 1])
    loss = (model([1.0, 2.0]) - 1.0) ** 2

    def walk_through() -> None:
        step = explain(loss, {"model": model, "loss": loss}, mistake=mistake)
        step.save(tmp_path / "step.html")
        step.latex()
        step.to_json()

    counted = calls_in(walk_through)
    assert {name: counted[name] for name in ONCE} == dict.fromkeys(ONCE, 1)
    counted = calls_in(lambda: draw(loss))
    assert {name: counted[name] for name in ONCE} == dict.fromkeys(ONCE, 1)


def test_an_explanation_travels() -> None:
    random.seed(1)
    model = MLP(2, [2, 1])
    step = explain(model([1.0, 2.0]), {"model": model})
    for twin in (pickle.loads(pickle.dumps(step)), copy.deepcopy(step)):
        assert str(twin) == str(step)
        assert twin.latex() == step.latex()


# --- What a review found --------------------------------------------------------------------------


def test_every_view_makes_the_mistake(tmp_path: Path) -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    y = a * b + a
    for mistake in MISTAKES:
        wrong = explain(y, mistake=mistake)
        assert wrong._repr_html_() != explain(y)._repr_html_()
        last = r"\frac{\partial v_{2}}{\partial b}"
        assert last in wrong.latex()
    doubled = explain(a * b, mistake="no_zero_grad")
    assert doubled.gradients == {"a": -6.0, "b": 4.0}
    assert doubled.latex().count(r"\mathrel{+}=") == 2
    assert r"\quad\to\quad -6" in doubled.latex()


def test_a_step_of_a_model_speaks_of_its_parameters() -> None:
    random.seed(1)
    model = MLP(2, [2, 1])
    step = explain(model([1.0, 2.0]))
    assert "layers[0].neurons[0].w[0]" in step.gradients
    assert "layers[1].neurons[0].b.grad:" in str(step)
    assert "layers[0].neurons[0].w[0]" in step._repr_html_()


def test_a_graph_that_was_changed_cannot_be_explained() -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    y = a * b
    step = explain(y)
    a.data = 100.0
    with pytest.raises(ValueError, match=r"so that 100 × −3 = −6: explain a step before"):
        explain(y)
    with pytest.raises(ValueError, match="changed after its forward pass"):
        step.save("never-written.html")
    assert r"2 \cdot \left(-3\right) = -6" in step.latex()


def test_an_explanation_keeps_only_its_own_graph_alive() -> None:
    class Witness:
        pass

    witness = Witness()
    gone = weakref.ref(witness)
    a = Value(2.0)
    step = explain(a * a, {"a": a, "witness": witness, "data": [witness] * 10})
    del witness
    gc.collect()
    assert gone() is None
    assert step.gradients == {"a": 4.0}


def test_a_long_line_is_wrapped_and_not_cut() -> None:
    x = Value(1.0, label="a_rather_long_name_of_an_input")
    step = explain((x * x).tanh(), {})
    text = re.sub(r"\x1b\[\d*m", "", "\n".join(screen(step, 5, 40, 24)))
    assert "→" in text


def test_explanations_can_be_keys() -> None:
    step = explain(Value(1.0))
    assert {step: 1}[step] == 1
    assert step != explain(Value(1.0))
