"""Drawings: what they show, what they escape, how they are rendered, with and without `dot`."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import types
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import graphviz
import pytest

from microgrant import Value, define, draw, explain, topological_order
from microgrant.extras import in_browser
from microgrant.nn import MLP, RNN, Conv2d, Module, Neuron
from microgrant.views import COLLAPSE_ABOVE, THEMES
from microgrant.views.graph import Graph
from microgrant.views.rendering import Drawing, NoGraphvizError

SVG = "{http://www.w3.org/2000/svg}"
TITLE = "{http://www.w3.org/1999/xlink}title"
STYLES = ("node", "circuit")
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-"}

Lacking = Callable[[str], NoReturn]


# --- Reading a picture ----------------------------------------------------------------------------


def svg_of(picture: Drawing) -> ET.Element:
    return ET.fromstring(picture.pipe("svg"))


def groups(svg: ET.Element, kind: str) -> dict[str, ET.Element]:
    """The nodes, edges or clusters of a picture, by their ids."""
    found = [g for g in svg.iter(f"{SVG}g") if kind in g.get("class", "").split()]
    by_id = {g.get("id", ""): g for g in found}
    assert len(by_id) == len(found), "an id stands twice"
    return by_id


def texts(element: ET.Element) -> list[str]:
    return [(text.text or "").replace("\xa0", " ") for text in element.iter(f"{SVG}text")]


def tooltip(element: ET.Element) -> str:
    anchor = next(element.iter(f"{SVG}a"))
    return anchor.get(TITLE, "").replace("\xa0", " ")


def shown(svg: ET.Element, place: int) -> dict[str, str]:
    """The data and the gradient of a node, and what stands above them."""
    *title, data, number, grad, gradient = texts(groups(svg, "node")[f"n{place}"])
    assert (data, grad) == ("data", "grad")
    words = " ".join(" ".join(title).split())
    return {"title": words, "data": number, "grad": gradient}


def edge_texts(svg: ET.Element) -> dict[str, str]:
    return {name: "".join(texts(edge)).strip() for name, edge in groups(svg, "edge").items()}


def neuron() -> tuple[Value, dict[str, Value]]:
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    n = x1 * w1 + x2 * w2 + b
    o = n.tanh()
    return o, {"n": n, "o": o}


# --- Values and gradients -------------------------------------------------------------------------


def test_a_drawing_is_a_digraph() -> None:
    picture = draw(neuron()[0])
    assert isinstance(picture, graphviz.Digraph)
    assert picture.source.startswith("digraph")
    assert picture.format == "svg"
    assert draw(Value(1.0), format="png").format == "png"


def test_a_node_shows_its_name_its_operation_its_value_and_its_gradient() -> None:
    o, names = neuron()
    o.backward()
    svg = svg_of(draw(o, names))
    assert shown(svg, 0) == {"title": "x1", "data": "2", "grad": "−1.5"}
    assert shown(svg, 2) == {"title": "×", "data": "−6", "grad": "0.5"}
    assert shown(svg, 7) == {"title": "b", "data": "6.881", "grad": "0.5"}
    assert shown(svg, 8) == {"title": "n +", "data": "0.8814", "grad": "0.5"}
    assert shown(svg, 9) == {"title": "o tanh", "data": "0.7071", "grad": "1"}
    assert len(groups(svg, "node")) == 10


def test_before_backward_a_gradient_is_a_dash_and_edges_carry_nothing() -> None:
    svg = svg_of(draw(neuron()[0]))
    assert {shown(svg, place)["grad"] for place in range(10)} == {"–"}
    assert set(edge_texts(svg).values()) == {""}


def test_a_dead_relu_shows_zero_and_not_a_dash() -> None:
    x = Value(-2.0, label="x")
    loss = x.relu() * 3.0
    loss.backward()
    svg = svg_of(draw(loss))
    assert shown(svg, 0) == {"title": "x", "data": "−2", "grad": "0"}
    assert shown(svg, 1) == {"title": "ReLU", "data": "0", "grad": "3"}
    assert edge_texts(svg)["n1-0"] == "0 × 3"


def test_an_edge_below_a_dead_relu_carries_zero() -> None:
    x = Value(-2.0, label="x")
    loss = (x * 5.0).relu()
    loss.backward()
    svg = svg_of(draw(loss))
    assert edge_texts(svg) == {"n2-0": "5 × 0", "n2-1": "−2 × 0", "n3-0": "0 × 1"}


def test_what_backward_has_not_reached_shows_a_dash() -> None:
    x = Value(2.0, label="x")
    trunk = x * x
    loss = trunk * 3.0
    trunk.backward()
    svg = svg_of(draw(loss))
    assert [shown(svg, place)["grad"] for place in range(4)] == ["4", "1", "–", "–"]
    assert edge_texts(svg) == {"n1-0": "2 × 1", "n1-1": "2 × 1", "n3-0": "", "n3-1": ""}


def test_a_gradient_that_was_set_to_zero_is_zero() -> None:
    model = Neuron(1)
    out = model([Value(1.0)])
    model.w[0].grad = 0.0
    svg = svg_of(draw(out))
    gradients = {shown(svg, i)["title"]: shown(svg, i)["grad"] for i in range(4)}
    assert gradients["w[0]"] == "0"
    assert gradients["b"] == "–"


def test_numbers_are_for_people() -> None:
    root = Value(1e-7, "tiny") * Value(-123456.789, "large") + Value(math.nan, "none")
    svg = svg_of(draw(root + Value(-math.inf, "least")))
    data = {shown(svg, i)["title"]: shown(svg, i)["data"] for i in range(7)}
    assert [data["tiny"], data["large"], data["none"]] == ["1e−7", "−1.235e5", "nan"]
    assert data["least"] == "−inf"


# --- Edges ----------------------------------------------------------------------------------------


def test_a_value_used_twice_has_two_edges_with_their_flows() -> None:
    a = Value(3.0, label="a")
    b = a * a
    loss = b * 2.0
    loss.backward()
    svg = svg_of(draw(loss))
    assert edge_texts(svg) == {"n1-0": "3 × 2", "n1-1": "3 × 2", "n3-0": "2 × 1", "n3-1": "9 × 1"}


def test_an_edge_carries_local_derivative_times_upstream() -> None:
    o, names = neuron()
    o.backward()
    edges = edge_texts(svg_of(draw(o, names)))
    assert edges["n9-0"] == "0.5 × 1"
    assert edges["n2-0"] == "−3 × 0.5"
    assert edges["n2-1"] == "2 × 0.5"
    assert edges["n8-1"] == "1 × 0.5"


def position(svg: ET.Element, place: int) -> tuple[float, float]:
    """Where the value of a node stands."""
    text = next(groups(svg, "node")[f"n{place}"].iter(f"{SVG}text"))
    return float(text.get("x", "")), float(text.get("y", ""))


@pytest.mark.parametrize("style", STYLES)
def test_the_left_operand_stays_on_the_left(style: str) -> None:
    """In the direction of the forward pass: above, where that goes to the right."""
    names = [f"x{i}" for i in range(6)]
    for first, second in itertools.combinations(names, 2):
        values = [Value(float(i), label=name) for i, name in enumerate((first, second))]
        for left, right in (values, values[::-1]):
            down = svg_of(draw(left - right, style=style, rankdir="TB"))
            assert position(down, 0)[0] < position(down, 1)[0]
            across = svg_of(draw(left - right, style=style))
            assert position(across, 0)[1] < position(across, 1)[1]


def test_operands_keep_their_order_where_values_are_shared(each_layout: None) -> None:
    """In nearly every case: where edges of different lengths meet, Graphviz sees to crossings."""
    upside_down = total = 0
    for seed in range(60):
        rng = random.Random(seed)
        values = [Value(float(i)) for i in range(3)]
        for _ in range(5):
            left, right = rng.sample(values, 2)
            values.append(left - right)
        edges = groups(svg_of(draw(values[-1])), "edge")
        ends = {name: last_point(edge)[1] for name, edge in edges.items()}
        for name in ends:
            if name.endswith("-0"):
                total += 1
                upside_down += ends[name] > ends[f"{name[:-1]}1"]
    assert total > 150
    assert upside_down / total < 0.03


def last_point(edge: ET.Element) -> tuple[float, float]:
    return points(edge)[-1]


@pytest.mark.parametrize(
    ("rankdir", "axis", "sign"), [("LR", 0, 1), ("RL", 0, -1), ("TB", 1, 1), ("BT", 1, -1)]
)
def test_the_direction_of_the_forward_pass(rankdir: str, axis: int, sign: int) -> None:
    svg = svg_of(draw(Value(1.0).exp().log(), rankdir=rankdir))
    places = [position(svg, place)[axis] * sign for place in range(3)]
    assert places == sorted(places)
    assert places[2] - places[0] > 100


def test_ids_and_classes_reach_the_svg() -> None:
    x = Value(2.0, label="x")
    y = (x**3).relu()
    svg = svg_of(draw(y))
    classes = {name: node.get("class") for name, node in groups(svg, "node").items()}
    assert classes == {
        "n0": "node value leaf",
        "n1": "node value power",
        "n2": "node value relu",
    }
    assert {name: e.get("class") for name, e in groups(svg, "edge").items()} == {
        "n1-0": "edge operand",
        "n2-0": "edge operand",
    }
    order = topological_order(neuron()[0])
    assert set(groups(svg_of(draw(order[-1])), "node")) == {f"n{i}" for i in range(len(order))}


def test_tooltips_hold_all_digits_and_the_derivative_in_words(each_layout: None) -> None:
    x = Value(1 / 3, label="x")
    y = x.tanh()
    before = svg_of(draw(y))
    assert tooltip(groups(before, "node")["n0"]) == f"x: data = {1 / 3!r}, grad = not reached yet"
    local = 1 - y.data**2
    assert tooltip(groups(before, "edge")["n1-0"]) == f"∂v1/∂x = 1 − v1² = {local:.4f}"
    y.backward(2.0)
    after = svg_of(draw(y, {"y": y}))
    assert tooltip(groups(after, "node")["n1"]) == f"y: data = {y.data!r}, grad = 2.0"
    assert tooltip(groups(after, "edge")["n1-0"]) == (
        f"∂y/∂x = 1 − y² = {local:.4f}; × upstream 2 = contribution {2 * local:.3f}"
    )
    assert tooltip(groups(svg_of(draw(x + x)), "edge")["n1-0"]) == "∂v1/∂x = 1"


def test_an_operation_of_ones_own_draws_like_the_others() -> None:
    double = define("double", lambda x: 2.0 * x, lambda m, out, x: (2.0,), symbol="⊕ <&>")
    y = double(Value(1.5, label="x"))
    y.backward()
    for style in STYLES:
        svg = svg_of(draw(y, style=style))
        assert "⊕ <&>" in texts(svg)
        assert groups(svg, "node")["n1"].get("class") == "node value double"
    assert edge_texts(svg_of(draw(y)))["n1-0"] == "2 × 1"


# --- Names ----------------------------------------------------------------------------------------


def titles(svg: ET.Element) -> list[str]:
    nodes = groups(svg, "node")
    return [shown(svg, i)["title"] for i in range(len(nodes)) if f"n{i}" in nodes]


def test_names_of_the_callers_variables() -> None:
    a, b = Value(2.0), Value(3.0, label="mine")
    weights = [Value(1.0), Value(4.0)]
    loss = a * weights[0] + b * weights[1]
    svg = svg_of(draw(loss, names=locals()))
    assert titles(svg) == ["a", "weights[0]", "×", "mine", "weights[1]", "×", "loss +"]
    assert titles(svg_of(draw(loss))) == ["", "", "×", "mine", "", "×", "+"]


def test_a_variable_called_v1_keeps_its_name() -> None:
    v1 = Value(2.0)
    v2 = v1 * v1
    assert titles(svg_of(draw(v2.exp(), names={"v1": v1, "v2": v2}))) == ["v1", "v2 ×", "exp"]


def test_parameters_of_every_module_are_named() -> None:
    left, right = Neuron(1), Neuron(1)
    out = left([Value(1.0)]) + right([Value(2.0)])
    svg = svg_of(draw(out))
    assert titles(svg).count("w[0]") == 2
    assert titles(svg).count("b") == 2


# --- Modules --------------------------------------------------------------------------------------


def clusters(svg: ET.Element) -> dict[str, str]:
    return {name: "".join(texts(g)[:1]) for name, g in groups(svg, "module").items()}


class Twin(Module):
    """Two neurons, and one parameter of its own."""

    def __init__(self) -> None:
        self.kids = [Neuron(1), Neuron(1, activation="tanh")]
        self.shift = Value(0.5)

    def forward(self, x: Any) -> Value:
        return self.kids[0](x) + self.kids[1](x) + self.shift


def test_modules_are_nested_clusters_with_names_and_counts() -> None:
    model = Twin()
    loss = model([Value(1.0, label="x")]) ** 2
    picture = draw(loss)
    assert clusters(svg_of(picture)) == {
        "m0": "Twin, 5 parameters",
        "m1": "kids[0] · Neuron 1→1 relu, 2 parameters",
        "m2": "kids[1] · Neuron 1→1 tanh, 2 parameters",
    }
    depths = {}
    depth = 0
    for line in picture.source.splitlines():
        depth += line.count("{") - line.count("}")
        if match := re.match(r"\s*(?:subgraph cluster_)?([mn]\d+) [\[{]", line):
            depths[match[1]] = depth - line.count("{")
    assert (depths["m0"], depths["m1"], depths["m2"]) == (1, 2, 2)
    order = Graph(loss).order
    place = {id(value): f"n{i}" for i, value in enumerate(order)}
    assert depths[place[id(model.shift)]] == 2
    assert depths[place[id(model.kids[0].b)]] == 3
    assert depths[place[id(loss)]] == 1
    assert "inside of boxes" not in picture.source


def test_collapsed_modules_are_boxes_that_say_what_they_hide() -> None:
    model = Twin()
    x = Value(1.0, label="x")
    loss = model([x]) ** 2
    loss.backward()
    count = len(topological_order(loss))
    svg = svg_of(draw(loss, collapse=True))
    assert clusters(svg) == {"m0": "Twin, 5 parameters"}
    box = groups(svg, "collapsed")["m0"]
    assert texts(box) == ["Twin, 5 parameters", f"{count - 2} values inside"]
    assert f"{count - 2} of {count} values are inside of boxes" in texts(svg)
    given, last = f"n{Graph(loss).places[x]}", f"n{count - 1}"
    assert set(groups(svg, "node")) == {"m0", given, last}
    # Both neurons use x, and the values inside use one another: one arrow in, and one out.
    assert titles_of_edges(svg) == [f"{given}->m0", f"m0->{last}"]

    inner = svg_of(draw(loss, collapse=1))
    assert set(clusters(inner)) == {"m0", "m1", "m2"}
    assert set(groups(inner, "collapsed")) == {"m1", "m2"}
    assert not groups(svg_of(draw(loss, collapse=False)), "collapsed")
    assert not groups(svg_of(draw(loss, collapse=2)), "collapsed")


def titles_of_edges(svg: ET.Element) -> list[str]:
    """From where to where, without the side of a box."""
    edges = [edge.findtext(f"{SVG}title", "") for edge in groups(svg, "edge").values()]
    return [re.sub(r":\w", "", edge) for edge in edges]


def test_a_box_of_one_value_is_in_the_singular() -> None:
    class Double(Module):
        def forward(self, x: Value) -> Value:
            return x.exp()

    double = Double()
    svg = svg_of(draw(double(Value(1.0)) + 1.0, collapse=True))
    assert texts(groups(svg, "collapsed")["m0"]) == ["Double, 0 parameters", "1 value inside"]


def test_a_large_network_starts_collapsed() -> None:
    model = MLP(2, [16, 16, 1])
    loss = (1.0 - model([Value(0.5, label="x0"), Value(-1.0, label="x1")])).relu()
    loss.backward()
    svg = svg_of(draw(loss))
    total = len(topological_order(loss))
    visible = [name for name in groups(svg, "node") if name[0] == "n"]
    assert len(groups(svg, "node")) <= COLLAPSE_ABOVE
    assert set(clusters(svg).values()) == {
        "MLP 2→16→16→1, 337 parameters",
        "layers[0] · Layer 2→16, 48 parameters",
        "layers[1] · Layer 16→16, 272 parameters",
        "layers[2] · Layer 16→1, 17 parameters",
    }
    inside = [text for text in texts(svg) if "values inside" in text]
    hidden = sum(int(text.split()[0].replace(",", "")) for text in inside)
    assert hidden == total - len(visible)
    assert f"{hidden:,} of {total:,} values are inside of boxes" in texts(svg)
    everything = draw(loss, collapse=False).source
    assert len(re.findall(r"^\s*n\d+ \[", everything, re.MULTILINE)) == total


def test_a_small_network_starts_open() -> None:
    model = MLP(2, [2, 1])
    out = model([Value(0.5), Value(-1.0)])
    assert len(topological_order(out)) <= COLLAPSE_ABOVE
    svg = svg_of(draw(out))
    assert not groups(svg, "collapsed")
    assert "layers[0].neurons[1]" not in texts(svg)
    assert "neurons[1] · Neuron 2→1 relu, 3 parameters" in texts(svg)


def unrolled(steps: int, hidden: int = 2) -> tuple[RNN, Value]:
    random.seed(1)
    model = RNN(1, hidden)
    states = model([[Value(float(t), f"x{t}")] for t in range(steps)])
    loss = sum(states[-1]) ** 2
    loss.backward()
    return model, loss


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("hidden", [2, 4])
def test_a_recurrent_network_is_drawn_cell_by_cell_in_order_of_time(
    hidden: int, style: str
) -> None:
    model, loss = unrolled(3, hidden)
    svg = svg_of(draw(loss, style=style))
    titles = [next(g.iter(f"{SVG}text")) for _, g in groups(svg, "module").items()]
    cells = {t.get("x"): t for t in titles if (t.text or "").startswith("cell")}
    assert len(cells) == 3
    boxes = groups(svg, "collapsed")
    assert len(boxes) == (6 if hidden == 2 else 3)
    weights = {f"n{Graph(loss).places[p]}" for p in model.parameters()}
    assert not weights & set(groups(svg, "node"))
    each = 4 if hidden == 2 else 24
    assert all(f"{each} shared" in texts(box)[1].split(", ") for box in boxes.values())
    identifiers = sorted(boxes, key=lambda name: int(name[1:]))
    across = [extent(boxes[name])[0] for name in identifiers]
    assert across == sorted(across)  # the walk goes through time, and so do the numbers of boxes
    everything = groups(svg_of(draw(loss, style=style, collapse=False)), "node")
    assert weights <= set(everything)


def test_a_small_recurrent_network_starts_open() -> None:
    _, loss = unrolled(2, 1)
    assert not groups(svg_of(draw(loss)), "collapsed")


def test_a_weight_that_is_used_outside_of_its_boxes_is_shown() -> None:
    neuron = Neuron(1)
    loss = neuron([Value(1.0)]) + neuron([Value(2.0)]) + neuron.w[0] ** 2
    graph = Graph(loss)
    svg = svg_of(draw(loss, collapse=True))
    nodes = groups(svg, "node")
    assert f"n{graph.places[neuron.w[0]]}" in nodes
    assert f"n{graph.places[neuron.b]}" not in nodes
    assert [texts(box)[1] for box in groups(svg, "collapsed").values()] == [
        "3 values inside, 1 shared"
    ] * 2
    hidden = len(graph.order) - len([name for name in nodes if name[0] == "n"])
    assert f"{hidden} of {len(graph.order)} values are inside of boxes" in texts(svg)


def batch(rows: int) -> tuple[MLP, Value]:
    """The mean loss over a batch, of a network as for moons."""
    random.seed(1)
    model = MLP(2, [16, 16, 1])
    losses = [(1.0 - model([Value(float(i)), Value(1.0)])).relu() for i in range(rows)]
    return model, sum(losses[1:], losses[0]) / rows


@pytest.mark.parametrize("style", STYLES)
def test_a_batch_is_drawn_without_the_weights_that_its_rows_share(style: str) -> None:
    """337 weights with an edge to each of 20 rows were no picture, and took ten times as long."""
    _model, loss = batch(20)  # which has to live on
    svg = svg_of(draw(loss, style=style))
    boxes = groups(svg, "collapsed")
    assert {tuple(texts(box)) for box in boxes.values()} == {
        ("MLP 2→16→16→1, 337 parameters", "640 values inside, 337 shared")
    }
    assert len(boxes) == 20
    assert len(groups_of_class(svg, "operand")) < 150
    assert f"n{len(Graph(loss).order) - 2}" in groups(svg, "node")  # the sum of the rows
    assert any("one example would be a smaller picture" in text for text in texts(svg))
    rows = [
        next(boxes[name].iter(f"{SVG}text")) for name in sorted(boxes, key=lambda m: int(m[1:]))
    ]
    heights = [float(row.get("y", "")) for row in rows]
    assert heights == sorted(heights)  # from the first down


def test_a_module_that_is_gone_still_has_its_cluster() -> None:
    out = Neuron(1)([Value(1.0)])
    assert clusters(svg_of(draw(out))) == {"m0": "a module"}


# --- Styles and themes ----------------------------------------------------------------------------


def test_a_circuit_has_values_above_the_wire_and_gradients_below(each_layout: None) -> None:
    o, names = neuron()
    o.backward()
    svg = svg_of(draw(o, names, style="circuit"))
    nodes = groups(svg, "node")
    for place, title, data, gradient in [
        (0, ["x1"], "2", "−1.5"),
        (2, [], "−6", "0.5"),
        (8, ["n"], "0.8814", "0.5"),
        (9, ["o"], "0.7071", "1"),
    ]:
        node = nodes[f"n{place}"]
        lines = {text.text: float(text.get("y", "")) for text in node.iter(f"{SVG}text")}
        assert list(lines) == [*title, data, gradient]
        rule = max(
            float(y)
            for polygon in node.iter(f"{SVG}polygon")
            for y in re.findall(r",(-?[\d.]+)", polygon.get("points", ""))
        )
        assert lines[data] < rule < lines[gradient]
    operations = [node for node in nodes.values() if "operation" in node.get("class", "")]
    assert sorted(map(texts, operations)) == [["+"], ["+"], ["tanh"], ["×"], ["×"]]
    assert len(groups_of_class(svg, "operand")) == 9
    assert len(groups_of_class(svg, "wire")) == 5


@pytest.mark.parametrize(
    ("rankdir", "end"), [("LR", "right"), ("RL", "left"), ("TB", "bottom"), ("BT", "top")]
)
def test_the_arrows_of_a_circuit_start_at_the_end_of_a_wire(
    rankdir: str, end: str, each_layout: None
) -> None:
    """And the line from the operation goes to the other: so no number over another is a fraction,
    however short they are."""
    o, names = neuron()
    o.backward()
    svg = svg_of(draw(o, names, style="circuit", rankdir=rankdir))
    wires = {name: wire(node) for name, node in groups(svg, "value").items()}
    assert min(wire["length"] for wire in wires.values()) > 49
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}[end]
    edges = [edge for edge in groups(svg, "edge").values() if "operand" in edge.get("class", "")]
    lines = groups_of_class(svg, "wire")
    assert (len(edges), len(lines)) == (9, 5)
    for edge in edges:
        tail = edge.findtext(f"{SVG}title", "").partition(":")[0]
        assert math.dist(points(edge)[0], wires[tail][end]) < 3
    for line in lines:
        head = line.findtext(f"{SVG}title", "").partition("->")[2].partition(":")[0]
        if head not in ("n8", "n9"):  # whose names stand before their wires
            assert math.dist(points(line)[-1], wires[head][opposite]) < 3


def wire(node: ET.Element) -> dict[str, Any]:
    """The ends of the line between a value and its gradient, and its length."""
    corners = [
        [float(x) for x in pair.split(",")]
        for polygon in node.iter(f"{SVG}polygon")
        for pair in polygon.get("points", "").split()
    ]
    (left, right), (top, bottom) = ((min(x), max(x)) for x in zip(*corners, strict=True))
    across, down = (left + right) / 2, (top + bottom) / 2
    ends = {"left": (left, down), "right": (right, down)}
    ends |= {"top": (across, top), "bottom": (across, bottom)}
    return ends | {"length": max(right - left, bottom - top)}


def points(edge: ET.Element) -> list[tuple[float, float]]:
    path = next(edge.iter(f"{SVG}path")).get("d", "")
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


def groups_of_class(svg: ET.Element, name: str) -> list[ET.Element]:
    return [g for g in svg.iter(f"{SVG}g") if name in g.get("class", "").split()]


def test_a_circuit_before_backward_has_dashes() -> None:
    svg = svg_of(draw(neuron()[0], style="circuit"))
    assert texts(groups(svg, "node")["n0"]) == ["x1", "2", "–"]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("style", STYLES)
def test_a_theme_colours_everything(theme: str, style: str) -> None:
    o, names = neuron()
    o.backward()
    svg = svg_of(draw(o, names, theme=theme, style=style))
    colours = THEMES[theme]
    background = next(svg.iter(f"{SVG}polygon"))
    assert background.get("fill", "").lower() == colours["background"].lower()
    fills = {
        (text.text or ""): text.get("fill", "").lower()
        for text in groups(svg, "node")["n8"].iter(f"{SVG}text")
    }
    assert fills["0.8814"] == colours["value"].lower()
    assert fills["0.5"] == colours["gradient"].lower()
    flows = [text for edge in groups(svg, "edge").values() for text in edge.iter(f"{SVG}text")]
    assert {text.get("fill", "").lower() for text in flows} == (
        {colours["gradient"].lower()} if style == "node" else set()
    )
    used = {c.lower() for c in re.findall(r"#[0-9a-fA-F]{6}\b", ET.tostring(svg, "unicode"))}
    assert used <= {colour.lower() for colour in colours.values()}
    assert "black" not in {element.get("stroke") for element in svg.iter()}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
def test_words_can_be_told_from_what_is_behind_them(theme: str) -> None:
    """The contrast that the Web Content Accessibility Guidelines ask of text: 4.5 to 1."""
    colours = THEMES[theme]
    for text in ("text", "quiet", "value", "gradient"):
        for behind in ("background", "node", "leaf", "cluster"):
            light, dark = sorted(map(luminance, (colours[text], colours[behind])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, behind)


# --- What a drawing refuses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"style": "round"}, r"style is one of node, circuit, network, but got 'round'"),
        ({"theme": "blue"}, r"theme is one of light, dark, but got 'blue'"),
        ({"rankdir": "left"}, r"rankdir is one of LR, TB, RL, BT, but got 'left'"),
        ({"limit": 3}, r"would show 4 values, more than limit=3: draw one example .*collapse=True"),
    ],
)
def test_what_cannot_be_drawn(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw((Value(1.0) + Value(2.0)).exp(), **arguments)


@pytest.mark.parametrize("root", [3.0, [Value(1.0)], None, "x", MLP(1, [1])])
def test_only_a_value_is_drawn(root: Any) -> None:
    with pytest.raises(TypeError, match=f"draw needs a Value, but got {type(root).__name__}"):
        draw(root)


def test_the_limit_counts_what_is_shown() -> None:
    model = MLP(2, [16, 16, 1])
    out = model([Value(1.0), Value(2.0)])
    draw(out, limit=50)
    with pytest.raises(ValueError, match="more than limit=50"):
        draw(out, limit=50, collapse=False)
    long = Value(1.0)
    for _ in range(2_000):
        long = long + 1.0
    with pytest.raises(ValueError, match=r"4,001 values, more than limit=1,000"):
        draw(long, collapse=False)
    with pytest.raises(ValueError, match=r"2,002 values, more than limit=1,000"):
        draw(long)


# --- Long sums ------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_a_sum_of_many_terms_is_one_node(style: str, each_layout: None) -> None:
    """And not a staircase: its terms stand below one another, and each edge keeps its id."""
    terms = [Value(float(i), f"x{i}") for i in range(30)]
    total = sum(terms[1:], terms[0])
    (total * 2.0).backward()
    picture = draw(total, {"total": total}, style=style)
    svg = svg_of(picture)
    graph = Graph(total)
    assert set(groups(svg, "value")) == {f"n{graph.places[x]}" for x in (*terms, total)}
    assert f"28 of {len(graph.order)} are sums of the first terms" in texts(svg)
    places = [graph.places[x] for x in terms]
    heights = [position(svg, place)[1] for place in places]
    assert heights == sorted(heights)
    across = [extent(groups(svg, "node")[f"n{place}"]) for place in places]
    assert max(left for left, _ in across) < min(right for _, right in across)
    partial = [graph.places[x] for x in graph.order if x._op == "+"]
    edges = [edge for edge in groups(svg, "edge").values() if "operand" in edge.get("class", "")]
    ids = {edge.get("id") for edge in edges}
    assert ids == {f"n{partial[0]}-0"} | {f"n{place}-1" for place in partial}
    assert all("= 1; × upstream 2 = contribution 2" in tooltip(edge) for edge in edges)
    if style == "node":
        last = groups(svg, "node")[f"n{graph.places[total]}"]
        words = " ".join(" ".join(texts(last)).split())
        assert words == "total Σ, 30 terms data 435 grad 2"
    else:
        assert ["Σ"] in map(texts, groups(svg, "operation").values())
    everything = svg_of(draw(total, style=style, collapse=False))
    assert len(groups(everything, "value")) == len(graph.order)


def test_a_part_of_a_sum_that_has_a_name_or_another_use_is_shown() -> None:
    terms = [Value(float(i)) for i in range(30)]
    first = sum(terms[1:12], terms[0])
    second = sum(terms[12:22], first)
    total = sum(terms[22:], second)
    graph = Graph(total * second)
    svg = svg_of(draw(graph.root, {"first": first}))
    signs = {name: " ".join(texts(node)[:-4]).split() for name, node in groups(svg, "node").items()}
    assert signs[f"n{graph.places[first]}"] == ["first", "Σ,", "12", "terms"]
    assert signs[f"n{graph.places[second]}"] == ["Σ,", "11", "terms"]
    assert [words for words in signs.values() if words == ["+"]] == [["+"]] * 8  # too few to fold


# --- What would take long to lay out --------------------------------------------------------------


def repeated(count: int) -> Value:
    """x + x + … + x, differentiated: each use is further from x."""
    x = Value(1.0, label="x")
    root = x
    for _ in range(count - 1):
        root = root + x
    root.backward()
    return root


def recurrent(steps: int) -> Value:
    """A cell whose weights are used in every step, differentiated."""
    w, u, b, h = (Value(0.1 * i, label=name) for i, name in enumerate("wubh", 1))
    for i in range(steps):
        h = (w * h + u * float(i) + b).tanh()
    h.backward()
    return h


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("root", "limited", "straight"),
    [
        (repeated(10), False, False),
        (recurrent(5), False, False),
        (repeated(50), True, False),
        (repeated(80), True, True),
        (recurrent(40), True, True),
    ],
)
def test_long_edges_have_limits(root: Value, limited: bool, straight: bool, style: str) -> None:
    source = draw(root, style=style, collapse=False).source
    for attribute in ("nslimit=", "nslimit1=", "mclimit="):
        assert (attribute in source) == limited
    if style == "node":  # a circuit has more ranks
        assert ("splines=line" in source) == straight
        words = [line for line in source.split("\n") if "->" in line and "label=" in line]
        assert bool(words) != limited
    assert source.count("->") >= sum(len(value.operands) for value in topological_order(root))


def test_a_large_tree_keeps_its_words_and_curves() -> None:
    values = [Value(float(i)) for i in range(256)]
    while len(values) > 1:
        values = [left + right for left, right in zip(values[::2], values[1::2], strict=True)]
    values[0].backward()
    source = draw(values[0]).source
    assert "splines" not in source
    assert "nslimit" not in source
    assert source.count(" 1 × 1 ") == 510


def test_what_would_take_minutes_is_refused_unless_the_limit_is_raised() -> None:
    root = repeated(300)
    with pytest.raises(ValueError, match=r"44,849 ranks, more than limit=1,000 allows, 20,000"):
        draw(root, collapse=False)
    with pytest.raises(ValueError, match=r"20,000: draw one example rather than a batch, or fold"):
        draw(root, collapse=False)
    assert draw(root, limit=3_000, collapse=False).source.count("->") == 598


HANGS = """
import sys
from microgrant import draw, explain
from tests.views.test_draw import recurrent, repeated
root = {"recurrent": recurrent, "repeated": repeated}[sys.argv[1]](int(sys.argv[2]))
for style in ("node", "circuit"):
    draw(root, style=style, collapse=False).pipe("svg")
explain(root).save(sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "count"), [("recurrent", 40), ("repeated", 100), ("repeated", 80)]
)
def test_what_took_minutes_ends(shape: str, count: int, tmp_path: Path) -> None:
    """It takes a second; without limits, the first takes minutes."""
    target = tmp_path / "step.html"
    subprocess.run(
        [sys.executable, "-c", HANGS, shape, str(count), str(target)], timeout=60, check=True
    )
    assert target.exists()


# --- The same picture in every process ------------------------------------------------------------

PROGRAM = """
import random
from microgrant import Value, draw
from microgrant.nn import MLP, Neuron
random.seed(1)
a, b = Value(2.0), Value(-3.0, label="b")
loss = (a * b + a**2).tanh() + Neuron(2)([a, b])
loss.backward()
big = MLP(2, [16, 16, 1])([a, b])
for style in ("node", "circuit"):
    print(draw(loss, names=locals(), style=style).source)
    print(draw(big, names={"a": a, "model": {"net": [big]}}, style=style).source)
"""


@pytest.mark.parametrize("batches", [1, pytest.param(5, marks=pytest.mark.campaign)])
def test_a_drawing_is_the_same_byte_for_byte_whatever_the_hash_seed(batches: int) -> None:
    sources = Counter[bytes]()
    for batch in range(batches):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env=os.environ | {"PYTHONHASHSEED": str(4 * batch + i), "PYTHONUTF8": "1"},
                stdout=subprocess.PIPE,
            )
            for i in range(4)
        ]
        sources.update(process.communicate()[0] for process in processes)
        assert {process.returncode for process in processes} == {0}
    assert list(sources.values()) == [4 * batches]
    assert next(iter(sources)).count(b"digraph") == 4


# --- Rendering ------------------------------------------------------------------------------------


def stand_in(folder: Path, script: str) -> None:
    """A program called dot."""
    if in_browser():
        pytest.skip("a browser starts no program")
    folder.mkdir()
    program = folder / "dot"
    program.write_text(f"#!{shutil.which('sh')}\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def our_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose dot draws very little."""
    stand_in(tmp_path / "bin", "while read -r line; do :; done; printf 'drawn by dot'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


UNUSABLE = {
    # Never configured, which happens on Windows and in conda.
    "broken": "while read -r line; do :; done; echo 'Format: \"svg\" not recognized.' >&2; exit 1",
    "not executable": "",
}


@pytest.fixture(params=UNUSABLE)
def unusable_dot(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine whose dot renders nothing."""
    stand_in(tmp_path / "bin", UNUSABLE[request.param])
    if request.param == "not executable":
        (tmp_path / "bin" / "dot").chmod(0o644)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


LIKE_DOT = """
import sys, pygraphviz
options = {x[1]: x[2:] for x in sys.argv[1:] if x[0] == "-"}
files = [x for x in sys.argv[1:] if x[0] != "-"]
source = open(files[-1], encoding="utf-8").read() if files else sys.stdin.buffer.read().decode()
picture = pygraphviz.AGraph(string=source).draw(format=options["T"], prog=options["K"])
target = files[0] if len(files) == 2 else f"{files[0]}.{options['T']}" if files else None
(open(target, "wb") if target else sys.stdout.buffer).write(picture)
"""


@pytest.fixture
def a_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with the program dot: its own, or one that is made of pygraphviz."""
    if shutil.which("dot") is None:
        program = tmp_path / "like_dot.py"
        program.write_text(LIKE_DOT, encoding="utf-8")
        stand_in(tmp_path / "bin", f'exec "{sys.executable}" "{program}" "$@"')
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    # What comes out has come out of that program.
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


@pytest.fixture(params=["graphviz", "no_graphviz"])
def each_layout(request: pytest.FixtureRequest) -> None:
    """Whatever Graphviz there is, and then none."""
    if request.param != "graphviz":
        request.getfixturevalue(request.param)


@pytest.fixture(params=["a_dot", "no_dot", "no_graphviz"])
def every_layout(request: pytest.FixtureRequest) -> None:
    """The program dot, which may be an old one, what pygraphviz brings along, and our own."""
    request.getfixturevalue(request.param)


def is_a(format: str, data: bytes) -> bool:
    return data.startswith(MAGIC[format]) and (format != "svg" or len(ET.fromstring(data)) > 0)


@pytest.mark.parametrize("format", MAGIC)
def test_pictures_made_with_the_program_dot(format: str, a_dot: None, tmp_path: Path) -> None:
    picture = draw(neuron()[0], format=format)
    assert is_a(format, picture.pipe())
    assert is_a(format, picture.write(tmp_path / f"step.{format}").read_bytes())
    rendered = picture.render(tmp_path / "first.gv")
    assert rendered == str(tmp_path / f"first.gv.{format}")
    assert is_a(format, Path(rendered).read_bytes())
    other = tmp_path / f"second.{format}"
    assert picture.render(outfile=other) == str(other)
    assert is_a(format, other.read_bytes())


def test_the_program_dot_comes_first(our_dot: None, tmp_path: Path) -> None:
    picture = draw(neuron()[0])
    assert picture.pipe("svg") == b"drawn by dot"
    assert picture.pipe("svg", encoding="utf-8") == "drawn by dot"
    assert picture.write(tmp_path / "step.pdf").read_text() == "drawn by dot"
    assert picture._repr_mimebundle_()["image/svg+xml"] == "drawn by dot"


@pytest.mark.parametrize("format", MAGIC)
def test_pictures_made_without_dot(format: str, no_dot: None, tmp_path: Path) -> None:
    picture = draw(neuron()[0], format=format)
    assert is_a(format, picture.pipe())
    assert is_a(format, picture.pipe(format))
    target = tmp_path / f"step.{format.upper()}"
    assert picture.write(str(target)) == target
    assert is_a(format, target.read_bytes())
    rendered = picture.render(tmp_path / "first.gv")
    assert rendered == str(tmp_path / f"first.gv.{format}")
    assert is_a(format, Path(rendered).read_bytes())
    assert (tmp_path / "first.gv").read_text(encoding="utf-8") == picture.source


def test_render_takes_the_arguments_of_graphviz(no_dot: None, tmp_path: Path) -> None:
    picture = draw(neuron()[0])
    path = picture.render("a.gv", directory=tmp_path / "new", format="png", cleanup=True)
    assert Path(path) == tmp_path / "new" / "a.gv.png"
    assert [x.name for x in (tmp_path / "new").iterdir()] == ["a.gv.png"]
    out = tmp_path / "b.svg"
    assert picture.render(outfile=out) == str(out)
    assert is_a("svg", out.read_bytes())
    assert out.with_suffix(".gv").exists()
    assert is_a("svg", picture.pipe("svg", encoding="utf-8").encode())
    with pytest.raises(ValueError, match="unknown format"):
        picture.pipe("nothing")


@pytest.mark.parametrize("format", ["png", "pdf"])
@pytest.mark.skipif(in_browser(), reason="another hint is for browsers")
def test_without_any_graphviz_there_is_a_hint(
    format: str, no_graphviz: None, tmp_path: Path
) -> None:
    picture = draw(neuron()[0], format=format)
    for attempt in (
        picture.pipe,
        lambda: picture.render(tmp_path / "step.gv"),
        lambda: picture.write(tmp_path / f"step.{format}"),
    ):
        with pytest.raises(NoGraphvizError, match=r"PNG or a PDF.*`pip install pygraphviz` brings"):
            attempt()
    assert not (tmp_path / f"step.{format}").exists()
    written = picture.write(tmp_path / "step.dot")  # needs nothing
    assert written.read_text(encoding="utf-8") == picture.source


def test_without_any_graphviz_there_is_a_picture(no_graphviz: None, tmp_path: Path) -> None:
    picture = draw(neuron()[0])
    assert is_a("svg", picture.pipe())
    assert is_a("svg", Path(picture.render(tmp_path / "step.gv")).read_bytes())
    assert is_a("svg", picture.write(tmp_path / "step.svg").read_bytes())
    assert "image/svg+xml" in picture._repr_mimebundle_()


def test_an_unusable_dot_gives_way_to_pygraphviz(unusable_dot: None, tmp_path: Path) -> None:
    picture = draw(neuron()[0])
    assert is_a("svg", picture.write(tmp_path / "step.svg").read_bytes())
    assert is_a("svg", Path(picture.render(tmp_path / "step.gv")).read_bytes())
    assert "image/svg+xml" in picture._repr_mimebundle_()


def test_an_unusable_dot_alone_is_told_in_one_line(
    unusable_dot: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    picture = draw(neuron()[0])
    with pytest.raises(NoGraphvizError, match=r"pip install pygraphviz") as caught:
        picture.write(tmp_path / "step.png")
    assert "\n" not in str(caught.value)
    assert is_a("svg", picture.pipe("svg"))


@pytest.mark.parametrize("sign", ["x", "&", "a\\", "😀"])
@pytest.mark.parametrize("style", ["node", "circuit"])
def test_a_text_longer_than_graphviz_takes(sign: str, style: str, tmp_path: Path) -> None:
    """A label, and the name of an operation: shortened in the picture, whole on the page."""
    x = Value(2.0, sign * 10_000)
    y = define("f" * 10_000, lambda x: x, lambda m, out, x: (1.0,))(x * x)
    svg = draw(y, style=style).pipe("svg", encoding="utf-8")
    assert svg.count(": data = ") >= 3
    if sign == "x":
        page = explain(y).save(tmp_path / "step.html").read_text(encoding="utf-8")
        assert x.label in page


def old_pygraphviz() -> types.ModuleType:
    """A version before 2.0, which needs the program dot as well."""

    class AGraph:
        def __init__(self, **_: Any) -> None:
            pass

        def draw(self, **_: Any) -> bytes:
            raise ValueError("Program dot not found in path.")

    module = types.ModuleType("pygraphviz")
    module.AGraph = AGraph  # type: ignore[attr-defined]
    return module


@pytest.mark.skipif(in_browser(), reason="another hint is for browsers")
def test_a_pygraphviz_that_cannot_render(
    no_dot: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", old_pygraphviz())
    picture = draw(neuron()[0])
    with pytest.raises(NoGraphvizError, match=r"pip install .*says: Program dot not found"):
        picture.write(tmp_path / "step.png")
    assert is_a("svg", picture.pipe("svg"))


# --- Writing a file -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["step", "step.txt", "step.svg.gz", "svg", ".svg", "step.gv"])
def test_an_ending_that_is_no_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a drawing is a file \.svg, \.png, \.pdf, \.dot, but"):
        draw(Value(1.0)).write(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    target = tmp_path / "missing" / "step.dot"
    with pytest.raises(FileNotFoundError) as caught:
        draw(Value(1.0)).write(target)
    assert caught.value.filename == str(target)  # and not a name that the user never chose


def test_a_target_that_is_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "step.dot"
    target.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        draw(Value(1.0)).write(target)
    assert caught.value.filename == str(target)
    assert [x.name for x in tmp_path.iterdir()] == ["step.dot"]


def test_a_file_is_replaced_in_one_go(tmp_path: Path) -> None:
    target = tmp_path / "step.dot"
    target.write_text("old")
    target.chmod(0o640)
    with target.open() as reader:
        draw(Value(1.0)).write(target)
        assert reader.read() == "old"  # who reads the old file goes on reading it
    assert target.read_text().startswith("digraph")
    assert target.stat().st_mode & 0o777 == 0o640
    assert [x.name for x in tmp_path.iterdir()] == ["step.dot"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    draw(Value(1.0)).write(tmp_path / "step.dot")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.dot").write_text("old")
    (tmp_path / "step.dot").symlink_to(tmp_path / "real.dot")
    draw(Value(1.0)).write(tmp_path / "step.dot")
    assert (tmp_path / "step.dot").is_symlink()
    assert (tmp_path / "real.dot").read_text().startswith("digraph")


def test_a_file_is_left_as_it_was_when_rendering_fails(no_graphviz: None, tmp_path: Path) -> None:
    target = tmp_path / "step.png"
    target.write_text("old")
    with pytest.raises(NoGraphvizError):
        draw(Value(1.0)).write(target)
    assert target.read_text() == "old"
    assert {x.name for x in tmp_path.iterdir()} == {"step.png", "empty"}


def test_a_file_is_left_as_it_was_when_writing_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "step.dot"
    target.write_text("old")

    def full(*_: Any) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left") as caught:
        draw(Value(1.0)).write(target)
    assert caught.value.filename == str(target)
    assert target.read_text() == "old"
    assert [x.name for x in tmp_path.iterdir()] == ["step.dot"]


# --- In a notebook --------------------------------------------------------------------------------


def test_a_drawing_shows_itself(no_dot: None) -> None:
    picture = draw(neuron()[0])
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "image/svg+xml"]
    assert bundle["text/plain"] == picture.table  # for a notebook that is not trusted
    svg = ET.fromstring(bundle["image/svg+xml"])
    assert svg.tag == f"{SVG}svg"
    for theme in THEMES.values():  # each colour has its twin
        assert all(colour.lower() in bundle["image/svg+xml"].lower() for colour in theme.values())
    assert picture.copy()._repr_mimebundle_() == bundle
    assert "<style>" not in picture.pipe("svg", encoding="utf-8")
    fixed = draw(neuron()[0], theme="light")._repr_mimebundle_()["image/svg+xml"]
    assert "<style>" not in fixed
    assert fixed.count("max-width") == 1


def test_a_wide_drawing_is_as_wide_as_its_page_and_no_wider_than_itself(no_dot: None) -> None:
    def root(picture: Drawing) -> dict[str, str]:
        return ET.fromstring(picture._repr_mimebundle_()["image/svg+xml"]).attrib

    chain = Value(1.0, label="a")
    for _ in range(10):
        chain = chain.tanh()
    narrow, wide = root(draw(neuron()[0])), root(draw(chain))
    assert narrow["width"].endswith("pt")
    assert narrow["style"] == "max-width: 100%; height: auto"
    (natural,) = re.findall('<svg width="(.*?)"', draw(chain).pipe("svg", encoding="utf-8"))
    assert wide["width"] == "100%"
    assert wide["style"] == f"max-width: {natural}; height: auto"
    assert "height" not in wide  # it follows from the shape
    assert "viewBox" in wide


def test_a_notebook_keeps_the_beginning_of_a_long_table(no_dot: None) -> None:
    chain = Value(1.0, label="a")
    for _ in range(50):
        chain = chain + 1
    picture = draw(chain, collapse=False)
    *lines, last = picture._repr_mimebundle_()["text/plain"].splitlines()
    whole = picture.table.splitlines()
    assert lines == whole[: len(lines)]
    assert last == f"… and {len(whole) - len(lines)} lines more: print(explain(…)) has them"


def test_marimo_shows_values_and_drawings_alone_and_in_lists(no_dot: None) -> None:
    """In a list it joins the kind and the text of each, so both have to be texts."""
    a, (o, _) = Value(1.0, label="a"), neuron()
    assert a._mime_() == ("text/plain", repr(a))  # type: ignore[attr-defined]
    kind, shown = o._mime_()  # type: ignore[attr-defined]
    picture = draw(o)._repr_mimebundle_()["image/svg+xml"]
    assert (kind, shown) == ("text/html", f"<pre>{o!r}</pre>{picture}")
    assert draw(o)._mime_() == ("text/html", picture)


def test_a_small_value_shows_its_graph() -> None:
    o, _ = neuron()
    bundle = o._repr_mimebundle_()  # type: ignore[attr-defined]
    assert bundle["text/plain"] == repr(o)
    assert len(groups(ET.fromstring(bundle["image/svg+xml"]), "node")) == 10


def test_a_large_value_says_how_large_it_is_and_what_to_call() -> None:
    out = MLP(2, [16, 16, 1])([Value(1.0), Value(2.0)])
    bundle = out._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    first, second = bundle["text/plain"].splitlines()
    assert first == repr(out)
    assert second.startswith(f"a graph of {len(topological_order(out)):,} values: draw(v) draws it")
    chain = Value(1.0)
    for _ in range(100_000):
        chain = chain + chain
    assert "a graph of 100,001 values" in chain._repr_mimebundle_()["text/plain"]  # type: ignore[attr-defined]


# --- Hostile labels -------------------------------------------------------------------------------

BY_HAND = [
    '"', '""', "'", "`", "|", "a|b|c", "{", "}", "{{}}", "{a|b}", "<", ">", "<>", "a<b", "a>b",
    "&", "&&", ";", "<<", ">>", "<b>", "</b>", "<br/>", "<TABLE>", "</TABLE>", "<TR><TD>",
    "<IMG SRC='x'/>", "<script>alert(1)</script>", "</text><script>alert(1)</script>", "</svg>",
    "</title>", '"><script>alert(1)</script>', "javascript:alert(1)", '" onload="alert(1)',
    "' onclick='x", '" xlink:href="x', '"];', '"]; n9 [label="x', "]; }", "} digraph {",
    "label=x", "->", "n0 -> n1", "n0", "subgraph", "node", "digraph", "strict", "//", "/* x */",
    "#", "# x", "#include", "\\", "\\\\", "\\\\\\", "a\\", "\\N", "\\\\N", "\\G", "\\E", "\\T",
    "\\H", "\\L", "\\n", "\\l", "\\r", "\\N \\G \\E \\T \\H \\L \\n \\\\", '\\"', '\\\\"',
    "\\&lt;", "\\{", "\\u0041", "&lt;b&gt;", "&amp;", "&amp;amp;", "&quot;", "&nbsp;", "&#0;",
    "&#1;", "&#8;", "&#x41;", "&#xD800;", "&#xFFFE;", "&#1114112;", "&#99999999999;", "&#;",
    "&x;", "&alpha;", "&alpha", "&lt", "<!--", "-->", "--", "<![CDATA[", "]]>", "<?xml?>",
    "<!DOCTYPE x>", "<!ENTITY a 'b'>", "%", "%s", "%d%n", "%%", "{0}", "{label}", "$x$", "${x}",
    "$(x)", ":", "a:b", "n0:n", ",", "=", "a=b", "a = b", "@", "~", "^", "!", "\n", "a\nb",
    "\n\n", "a\n", "\na", "a\n\nb", "a\r\nb", "\r", "\t", "a\tb", " ", "  ", " a", "a ", "a  b",
    "   a   b   ", "\x00", "a\x00b", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b[31mred",
    "\x7f", "\x80", "\x85", "\x9f", "".join(map(chr, range(32))),
    "".join(map(chr, range(127, 160))), "\xa0", "\xad", "\u200b", "\u200d", "\u200e", "\u200f",
    "\u202a", "\u202e", "a\u202eb\u202c", "\u2066x\u2069", "\u2028", "\u2029", "\ufeff", "\ufffd",
    "\ufffe", "\uffff", "\ud800", "\udfff", "\ud83d", "a\udc00b", "\U0001f600",
    "\U0001f468\u200d\U0001f469", "\U0001fffe", "\U0010ffff", "e\u0301", "\u0301",
    "a" + "\u0301" * 40, "שלום", "مرحبا", "日本語", "Ω", "ﬁ", "x₁", "a²", "∂L", "__proto__",
    "constructor", "None", "nan", "−1", "1e5", "0", "a" * 79, "a" * 80, "a" * 81, "a" * 5000,
    "<" * 100, "&" * 100, "\\" * 100, '"' * 100, "\n" * 100, " " * 100,
]  # fmt: skip
ALPHABET = [c for label in BY_HAND for c in label]


def hostile_labels() -> list[str]:
    rng = random.Random(200)
    mixed = ["".join(rng.choices(ALPHABET, k=rng.randint(2, 40))) for _ in range(60)]
    return list(dict.fromkeys(BY_HAND + mixed))


LABELS = hostile_labels()
some_labels = pytest.mark.parametrize(
    "labels",
    [
        pytest.param(LABELS[::5], id="a fifth"),
        pytest.param(LABELS, id="all", marks=pytest.mark.campaign),
    ],
)


def as_shown(label: str) -> list[str]:
    """The lines of a label in a picture: shortened, and without what no text may hold."""
    if len(label) > 80:
        label = label[:79] + "…"
    lines = clean(label).split("\n")
    return [line for line in lines if line]


def clean(label: str) -> str:
    """Each character that is none replaced by U+FFFD; all white space between words is a space."""
    kept = [
        "\ufffd"
        if (ord(c) < 32 and c != "\n")
        or 127 <= ord(c) < 160
        or 0xD800 <= ord(c) < 0xE000
        or c in "\ufffe\uffff"
        else c
        for c in label
    ]
    return "".join(kept).replace("\xa0", " ")


def structure(svg: ET.Element) -> Counter[tuple[str, ...]]:
    """Which elements there are, with which attributes; lines of text aside."""
    return Counter(
        (element.tag, *sorted(element.keys()))
        for element in svg.iter()
        if element.tag != f"{SVG}text"
    )


def test_there_are_enough_hostile_labels() -> None:
    assert len(LABELS) >= 200
    assert len(LABELS) == len(set(LABELS))


def one_label(label: str) -> tuple[Value, None]:
    a = Value(2.0, label=label)
    loss = (a * a + 1.0).relu()
    loss.label = label
    loss.backward()
    return loss, None


def one_name(label: str) -> tuple[Value, dict[str, Any]]:
    a = Value(2.0)
    loss = (a * a + 1.0).relu()
    loss.backward()
    return loss, {label: a, f"{label} ": loss}


def one_module(label: str) -> tuple[Value, None]:
    """A module whose class, whose attributes and whose words for itself are hostile."""

    class Outer(Module):
        def forward(self, x: Value) -> Value:
            return getattr(self, f"{label}.inner")(x) * getattr(self, f"{label}.weight")

        def describe(self) -> str:
            return label

    try:
        inner = type(label, (Module,), {"forward": lambda self, x: x.exp()})
    except (ValueError, UnicodeEncodeError):  # not every text can be the name of a class
        inner = type("Inner", (Module,), {"forward": lambda self, x: x.exp()})
    outer = Outer()
    setattr(outer, f"{label}.inner", inner())
    setattr(outer, f"{label}.weight", Value(2.0))
    loss = outer(Value(1.0))
    KEPT[:] = [outer]
    return loss, None


KEPT: list[Module] = []  # a graph does not keep its modules alive

HARMLESS = "harmless"


@some_labels
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("make", [one_label, one_name, one_module])
def test_a_hostile_label_changes_no_element(
    make: Callable[..., Any], style: str, labels: list[str]
) -> None:
    root, names = make(HARMLESS)
    expected = structure(svg_of(draw(root, names, style=style, collapse=False)))
    for label in labels:
        if make is one_name and label.startswith("_"):
            continue  # a private variable names nothing
        root, names = make(label)
        picture = draw(root, names, style=style, collapse=False)
        found = structure(svg_of(picture))
        assert found == expected, f"{label!r}: {found - expected} and not {expected - found}"


@some_labels
def test_a_hostile_label_changes_no_element_of_a_box(labels: list[str]) -> None:
    expected = structure(svg_of(draw(one_module(HARMLESS)[0], collapse=True)))
    for label in labels:
        found = structure(svg_of(draw(one_module(label)[0], collapse=True)))
        assert found == expected, repr(label)


@some_labels
@pytest.mark.parametrize("style", STYLES)
def test_a_hostile_label_is_shown_as_it_is(
    style: str, labels: list[str], each_layout: None
) -> None:
    for label in labels:
        root, _ = one_label(label)
        svg = svg_of(draw(root, style=style))
        assert not any(element.tag == f"{SVG}script" for element in svg.iter())
        node = groups(svg, "node")["n0"]
        values = ["data", "2", "grad", "4"] if style == "node" else ["2", "4"]
        assert texts(node) == [*as_shown(label), *values], repr(label)
        full = clean(label).replace("\n", " ") + ": data = 2.0, grad = 4.0"
        if len(full) > 3_000:  # longer than Graphviz takes
            full = f"{full[:1_500]} … {full[-1_500:]}"
        assert tooltip(node) == full, repr(label)


def test_a_hostile_label_is_one_attribute_of_dot() -> None:
    """Read again, the source has the same nodes, edges and attributes, whatever the label is."""
    pygraphviz = pytest.importorskip("pygraphviz", reason="pygraphviz is not installed")

    def parsed(label: str) -> list[Any]:
        graph = pygraphviz.AGraph(string=draw(one_label(label)[0]).source)
        things = [*graph.nodes(), *graph.edges(keys=True)]
        attributes = [sorted(graph.get_node(n).attr.keys()) for n in graph.nodes()]
        return [things, attributes, sorted(graph.graph_attr.keys())]

    expected = parsed(HARMLESS)
    for label in LABELS:
        assert parsed(label) == expected, repr(label)


def test_a_label_that_is_a_charset_does_not_change_the_encoding(no_dot: None) -> None:
    """Where pygraphviz reads `charset="…"` in the source, it believes it."""
    for label in ('charset="utf-16"', "charset=utf-16", 'x" charset="utf-16'):
        svg = svg_of(draw(one_label(label)[0]))
        assert texts(groups(svg, "node")["n0"])[0] == label


# --- Every label fits its box ---------------------------------------------------------------------

# The widths of Helvetica in thousandths of the font's size; 556 for what is not listed.
WIDTHS = {**dict.fromkeys("ijl'|", 222), **dict.fromkeys(" .,:;!ftI/[]()", 278), "r": 333, "-": 333}
WIDTHS |= {**dict.fromkeys("cksvxyzJ", 500), **dict.fromkeys("ABEKPSVXY&", 667), "m": 833, "M": 833}
WIDTHS |= {**dict.fromkeys("CDHNRUw", 722), **dict.fromkeys("GOQ", 778), "W": 944, "_": 556}
WIDTHS |= {**dict.fromkeys("+<=>−×", 584), "→": 1000, "∂": 494}


def width(text: ET.Element) -> float:
    size = float(text.get("font-size", ""))
    bold = 1.06 if text.get("font-weight") == "bold" else 1.0
    return size * bold * sum(WIDTHS.get(c, 556) for c in text.text or "") / 1000


def start_of(text: ET.Element) -> float:
    before = {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor", ""), 0.0)
    return float(text.get("x", "")) - before * width(text)


def extent(group: ET.Element) -> tuple[float, float]:
    """How far the first shape of a group reaches to the left and to the right."""
    shape = next(e for e in group.iter() if e.tag in (f"{SVG}polygon", f"{SVG}path"))
    points = shape.get("points") or shape.get("d", "")
    across = [float(x) for x, _ in re.findall(r"(-?[\d.]+),(-?[\d.]+)", points)]
    return min(across), max(across)


def beyond_its_box(svg: ET.Element) -> Iterator[str]:
    for group in [*groups(svg, "value").values(), *groups(svg, "module").values()]:
        left, right = extent(group)
        for text in group.iter(f"{SVG}text"):
            start = start_of(text)
            if start < left or start + 0.95 * width(text) > right + 1:  # the widths are rough
                yield f"{text.text!r}: {start:.1f} … {start + width(text):.1f}, {left} … {right}"


def boxes() -> list[Drawing]:
    """Pictures with short and long labels, of every kind."""
    weight = Value(-123456.789, label="learning_rate of the WIDEST layer, MMMM")
    i = Value(1e-300, label="i")
    loss = (weight * i).tanh() + (weight - 3.25).exp().maximum(i**-2)
    loss.backward()
    model = MLP(2, [2, 1])
    out = model([Value(0.125), Value(-17.5)])
    out.backward()
    return [
        draw(loss, names={"loss": loss}),
        draw(loss, theme="dark", rankdir="TB"),
        draw(out),
        draw(out, collapse=1),
        draw(out, collapse=True),
    ]


def test_every_text_fits_its_box(each_layout: None) -> None:
    for picture in boxes():
        assert not list(beyond_its_box(svg_of(picture)))


def test_no_text_of_a_circuit_runs_into_another(each_layout: None) -> None:
    o, names = neuron()
    o.label = "a rather long NAME for an output, MMMM"
    o.backward()
    svg = svg_of(draw(o * -123456.789, names, style="circuit"))
    for node in groups(svg, "value").values():
        *name, data, gradient = node.iter(f"{SVG}text")
        left, right = extent(node)  # of the wire
        assert all(left <= start_of(x) for x in (data, gradient))
        assert all(start_of(x) + width(x) <= right + 1 for x in (data, gradient))
        assert all(start_of(x) + width(x) <= left + 1 for x in name)


FONTLESS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_draw import boxes
print(json.dumps([picture.pipe("svg", encoding="utf-8") for picture in boxes()]))
"""


def test_every_text_fits_its_box_on_a_machine_without_fonts(no_dot: None, tmp_path: Path) -> None:
    fonts = tmp_path / "fonts.conf"
    fonts.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">'
        f"<fontconfig><dir>{tmp_path / 'empty'}</dir><cachedir>{tmp_path}</cachedir></fontconfig>"
    )
    finished = subprocess.run(
        [sys.executable, "-c", FONTLESS, str(Path(__file__).parent)],
        env=os.environ | {"FONTCONFIG_FILE": str(fonts), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert finished.returncode == 0, finished.stderr
    pictures = json.loads(finished.stdout)
    assert len(pictures) == len(boxes())
    for picture in pictures:
        assert not list(beyond_its_box(ET.fromstring(picture)))


MEASURE = """
return [...document.querySelectorAll("g.node, g.cluster")].flatMap(group => {
    const box = group.querySelector("polygon, path, ellipse").getBBox();
    return [...group.querySelectorAll("text")]
        .filter(text => text.textContent.trim())
        .map(text => [text.textContent, text.getBBox()])
        .filter(([_, b]) => b.x < box.x - 1 || b.x + b.width > box.x + box.width + 1
                         || b.y < box.y - 2 || b.y + b.height > box.y + box.height + 2)
        .map(([text, b]) => `${text}: ${b.x} + ${b.width} in ${box.x} + ${box.width}`);
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, or None where there is no Chromium or no selenium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        webdriver = None
    if not (chromium and driver and webdriver):
        yield None
        return
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=driver)
    chrome = webdriver.Chrome(options=options, service=service)
    yield chrome
    chrome.quit()


def test_every_text_fits_its_box_in_a_browser(
    browser: Any, each_layout: None, tmp_path: Path, lacking: Lacking
) -> None:
    if browser is None:
        lacking("Chromium, chromedriver and selenium are needed for this")
    for picture in boxes():
        browser.get(picture.write(tmp_path / "step.svg").as_uri())
        assert browser.execute_script("return document.querySelectorAll('text').length") > 5
        assert browser.execute_script(MEASURE) == []


LOOKS = """
const svg = document.querySelector("svg");
const inside = [...svg.querySelectorAll("polygon, path, ellipse, text")].map(x => [
    x.tagName, getComputedStyle(x).fill, getComputedStyle(x).stroke, x.textContent]);
return [svg.getBoundingClientRect().width, svg.getBoundingClientRect().height, inside];
"""
NO_COLOUR = {"none", "rgba(0, 0, 0, 0)"}
CELLS = {  # what is around a picture, and whether that is dark
    "JupyterLab": ('<body data-jp-theme-light="true">', False),
    "JupyterLab, dark": ('<body data-jp-theme-light="false">', True),
    "VS Code": ('<body class="vscode-light">', False),
    "VS Code, dark": ('<body class="vscode-dark">', True),
    "Colab, dark": ('<html theme="dark"><body>', True),
}


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize("style", STYLES)
def test_in_a_notebook_a_drawing_fits_its_cell_and_follows_its_theme(
    style: str, browser: Any, tmp_path: Path, lacking: Lacking
) -> None:
    if browser is None:
        lacking("Chromium, chromedriver and selenium are needed for this")
    model = MLP(2, [4, 4, 1])
    out = model([Value(1.0, "x"), Value(2.0)])
    (out + out.tanh()).backward()
    light, dark = ({rgb(colour) for colour in THEMES[theme].values()} for theme in THEMES)

    def looks(svg: str, around: str) -> tuple[float, float, set[str]]:
        page = tmp_path / "page.html"
        page.write_text(
            f'<!doctype html><meta charset="utf-8">{around}<div style="width: 400px">{svg}</div>',
            encoding="utf-8",
        )
        browser.get(page.as_uri())
        width, height, inside = browser.execute_script(LOOKS)
        for tag, fill, _, text in inside:  # text can be told from what is behind it
            assert tag != "text" or fill not in (inside[0][1], "none"), text
        return width, height, {x for _, *colours, _ in inside for x in colours} - NO_COLOUR

    root = out + out.tanh()
    following = draw(root, style=style)._repr_mimebundle_()["image/svg+xml"]
    for around, is_dark in CELLS.values():
        width, height, used = looks(following, around)
        assert width == 400
        assert height < 300  # as much smaller as it is narrower
        assert used <= (dark if is_dark else light), around
    for theme, colours in zip(THEMES, (light, dark), strict=True):
        fixed = draw(root, style=style, theme=theme)._repr_mimebundle_()["image/svg+xml"]
        for around, _ in CELLS.values():
            assert looks(fixed, around)[2] <= colours
    alone = tmp_path / "alone.svg"
    alone.write_text(following, encoding="utf-8")
    for scheme, colours in (("light", light), ("dark", dark)):
        asked = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", asked)
        browser.get(alone.as_uri())
        inside = browser.execute_script(LOOKS)[2]
        assert {x for _, *found, _ in inside for x in found} - NO_COLOUR <= colours
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_no_script_of_a_label_runs_in_a_browser(
    browser: Any, tmp_path: Path, lacking: Lacking
) -> None:
    if browser is None:
        lacking("Chromium, chromedriver and selenium are needed for this")
    labels = [label for label in LABELS if "alert" in label or "<" in label]
    total = Value(0.0)
    for label in labels:
        total = total + Value(1.0, label=label.replace("alert(1)", "document.title='got you'"))
    browser.get(draw(total).write(tmp_path / "step.svg").as_uri())
    assert browser.execute_script("return document.querySelectorAll('script').length") == 0
    assert "got you" not in browser.title


def test_the_root_is_shown_even_if_its_module_is_a_box() -> None:
    svg = svg_of(draw(MLP(2, [16, 16, 1])([1.0, 2.0])))
    last = len(topological_order(MLP(2, [16, 16, 1])([1.0, 2.0]))) - 1
    assert f"n{last}" in groups(svg, "node")


def test_a_collapse_that_is_no_number() -> None:
    with pytest.raises(TypeError, match="collapse is True, False, None or a number of levels"):
        draw(Value(1.0), collapse="all")  # type: ignore[arg-type]


def test_threads_do_not_lose_stderr(no_dot: None) -> None:
    pictures = [draw(Value(float(i), label="x").exp()) for i in range(8)]
    before = os.fstat(2)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda picture: picture.pipe("svg"), pictures))
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)


def stacked(svg: ET.Element, axis: str) -> list[float]:
    """Where the titles of neurons stand, in the order of their ids."""
    modules = sorted(groups(svg, "module").items(), key=lambda item: int(item[0][1:]))
    titles = [next(g.iter(f"{SVG}text")) for _, g in modules]
    return [float(t.get(axis, "")) for t in titles if (t.text or "").startswith("neurons")]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ([2, 3, 1], {}),
        ([2, 3, 1], {"collapse": False}),
        ([2, 2, 4], {"collapse": False}),  # in the second layer as well
        ([1, 4, 2], {"collapse": False}),
        ([2, 4, 4, 1], {}),
        ([2, 3, 1], {"rankdir": "TB"}),
        ([2, 2, 4], {"collapse": False, "rankdir": "BT"}),
        ([1, 2, 2, 1], {"collapse": False, "rankdir": "RL"}),
        ([2, 4, 4, 1], {"rankdir": "TB"}),
        ([2, 4, 4, 1], {"rankdir": "RL"}),
        ([2, 5, 4, 3, 1], {}),
        ([2, 16, 1], {"rankdir": "BT"}),
    ],
)
def test_neurons_stand_in_their_order(
    sizes: list[int], options: dict[str, Any], style: str, every_layout: None
) -> None:
    """From the first down, or to the right, in each layer."""
    model = MLP(sizes[0], sizes[1:])
    out = model([Value(float(i)) for i in range(sizes[0])])
    loss = out**2 if isinstance(out, Value) else sum(out[1:], out[0]) ** 2
    loss.backward()
    svg = svg_of(draw(loss, style=style, **options))
    places = iter(stacked(svg, "x" if options.get("rankdir") in ("TB", "BT") else "y"))
    for size in sizes[1:]:
        layer = list(itertools.islice(places, size))
        assert len(layer) == size
        assert layer == sorted(layer)
    assert not list(places)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("rankdir", ["LR", "TB", "RL", "BT"])
def test_the_left_operand_stays_on_the_left_in_a_module(
    rankdir: str, style: str, every_layout: None
) -> None:
    model = Neuron(1)
    out = model([Value(2.0, "x")])
    out.backward()
    graph = Graph(out)
    product = next(value for value in graph.order if value._op == "*")
    svg = svg_of(draw(out, style=style, rankdir=rankdir))
    axis = 1 if rankdir in ("LR", "RL") else 0
    bias, weighted = (position(svg, graph.places[x])[axis] for x in (model.b, product))
    assert bias < weighted  # b + w·x


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [4, 6])
def test_a_convolution_opens_to_its_outputs_in_their_order(
    size: int, style: str, every_layout: None
) -> None:
    """One for each place of the window; 16 with 9 edges each are a tangle, and start folded."""
    model = Conv2d(1, 1, 3)
    rows = [[Value(float(x * y), f"x[{y}][{x}]") for x in range(size)] for y in range(size)]
    seen = [value for row in model([rows])[0] for value in row]
    squares = [value**2 for value in seen]
    loss = sum(squares[1:], squares[0])
    loss.backward()
    folded = groups(svg_of(draw(loss, style=style)), "collapsed")
    assert list(folded) == (["m0"] if size == 6 else ["m1", "m2", "m3", "m4"])
    svg = svg_of(draw(loss, style=style, collapse=1))
    boxes = groups(svg, "collapsed")
    assert len(boxes) == len(seen)
    assert len({extent(box)[0] for box in boxes.values()}) == 1
    titles = [next(boxes[f"m{i + 1}"].iter(f"{SVG}text")) for i in range(len(seen))]
    places = Graph(loss).places
    for heights in (
        [float(title.get("y", "")) for title in titles],
        [position(svg, places[value])[1] for value in squares],
    ):
        assert heights == sorted(heights)
