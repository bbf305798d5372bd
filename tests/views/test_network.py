"""The view of a network: what is found in a graph, where it stands, as a drawing, in the page."""

from __future__ import annotations

import math
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
from browser import Browser

from microgrant import Value, draw, explain
from microgrant.nn import (
    MLP,
    RNN,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from microgrant.ops.numbers import number
from microgrant.optim import SGD
from microgrant.views import THEMES
from microgrant.views.columns import Columns, columns_of, thickness
from microgrant.views.graph import Graph
from microgrant.views.network import Network, network_of
from microgrant.views.player import page

SVG = "{http://www.w3.org/2000/svg}"
KEPT: list[Module] = []  # a network asks modules for their names, so they have to live on
ESCAPE, ENTER = "\ue00c", "\ue007"


def kept(module: Any) -> Any:
    KEPT.append(module)
    return module


def layers(*widths: int) -> tuple[MLP, Value]:
    """A network with its loss on one example."""
    random.seed(7)
    model: MLP = kept(MLP(2, widths, activation="tanh"))
    for i, parameter in enumerate(model.parameters()):
        parameter.data = parameter.data or (-1) ** i * 0.1 * (1 + i % 5)  # the biases too
    out = model([Value(1.0, "x1"), Value(-2.0, "x2")])
    loss: Value = (1 - out) ** 2
    loss.label = "loss"
    return model, loss


def recurrent(steps: int = 3) -> tuple[RNN, Value]:
    random.seed(3)
    model, head = kept(RNN(1, 2)), kept(Layer(2, 1, nonlin=False))
    inputs = [[Value(0.5 * t - 1, f"x{t}")] for t in range(1, steps + 1)]
    return model, (head(model(inputs)[-1]) - 1) ** 2


def image(size: int = 6, named: bool = True) -> list[list[list[Any]]]:
    """A cross."""
    rows: list[list[Any]] = [
        [float(i in (j, size - 1 - j)) for j in range(size)] for i in range(size)
    ]
    if named:
        rows = [[Value(x, f"p{i}{j}") for j, x in enumerate(row)] for i, row in enumerate(rows)]
    return [rows]


def looking(padding: int = 0, stride: int = 1, size: int = 6) -> tuple[Sequential, Value]:
    """A convolution of an image, a pool and a neuron."""
    random.seed(5)
    model = kept(Sequential(Conv2d(1, 2, 3, stride, padding, "tanh"), MaxPool2d(2), Flatten()))
    features = model(image(size))
    head: Linear = kept(Linear(len(features), 1))
    return model, head(features) ** 2


def network(root: Value) -> Network:
    found = network_of(Graph(root))
    assert found
    return found


def plan(root: Value) -> Columns:
    return columns_of(network(root))


def names(found: Network, places: list[int]) -> list[str]:
    return [found.graph.called[found.graph.order[place]] for place in places]


# --- What is found in a graph ---------------------------------------------------------------------


def test_neurons_stand_in_layers_with_the_numbers_that_they_have() -> None:
    model, loss = layers(4, 4, 1)
    found = network(loss)
    order = found.graph.order
    assert [len(group.members) for group in found.groups] == [2, 4, 4, 1]
    assert [group.rank for group in found.groups] == [0, 1, 2, 3]
    assert names(found, found.groups[0].members) == ["x1", "x2"]
    assert [group.title for group in found.groups] == [
        "input",
        "layers[0] · Layer 2→4",
        "layers[1] · Layer 4→4",
        "layers[2] · Layer 4→1",
    ]
    seen = [1.0, -2.0]
    for layer, group in zip(model.layers, found.groups[1:], strict=True):
        before = [
            neuron.b.data + sum(w.data * x for w, x in zip(neuron.w, seen, strict=True))
            for neuron in layer.neurons
        ]
        last = layer is model.layers[-1]
        seen = before if last else [math.tanh(x) for x in before]
        neurons = [found.neurons[place] for place in group.members]
        assert [order[neuron.place].data for neuron in neurons] == pytest.approx(seen)
        for neuron, of, sum_ in zip(neurons, layer.neurons, before, strict=True):
            assert neuron.bias is not None
            assert order[neuron.bias] is of.b
            assert neuron.sign == ("" if last else "tanh")
            if not last:
                assert neuron.before is not None
                assert order[neuron.before].data == pytest.approx(sum_)


def test_a_line_is_the_weight_between_two_neurons() -> None:
    model, loss = layers(4, 4, 1)
    found = network(loss)
    lines = {(line.tail, line.head): line.weight for line in found.lines}
    assert len(lines) == len(found.lines) == 2 * 4 + 4 * 4 + 4
    columns = [group.members for group in found.groups]
    for layer, tails, heads in zip(model.layers, columns[:-1], columns[1:], strict=True):
        for neuron, head in zip(layer.neurons, heads, strict=True):
            for w, tail in zip(neuron.w, tails, strict=True):
                assert found.graph.order[lines[tail, head] or 0] is w


def test_all_that_a_neuron_computes_is_seen_in_it_and_the_loss_in_none() -> None:
    model, loss = layers(2, 1)
    found = network(loss)
    graph = found.graph
    for layer, group in zip(model.layers, found.groups[1:], strict=True):
        for neuron, place in zip(layer.neurons, group.members, strict=True):
            for parameter in neuron.parameters():
                assert found.stands[graph.places[parameter]] == place
    outside = set(range(len(graph.order))) - found.stands.keys()
    assert [graph.formula(graph.order[place]) for place in outside if graph.operands[place]] == [
        "1 − v14",
        "v15²",
    ]


def test_a_recurrent_network_goes_from_left_to_right() -> None:
    model, loss = recurrent()
    found = network(loss)
    assert [len(step) for step in found.steps] == [1, 1, 1]
    assert [step[0].rank for step in found.steps] == [1, 2, 3]
    given = [group for group in found.groups if group.aside]
    assert [names(found, group.members) for group in given] == [["x1"], ["x2"], ["x3"]]
    # Between a step and the next, the weights are the same.
    weights = [neuron.w[1:] for neuron in model.cell.neurons]
    for before, step in zip(found.steps, found.steps[1:], strict=False):
        for neuron, head in zip(weights, step[0].members, strict=True):
            for w, tail in zip(neuron, before[0].members, strict=True):
                [line] = [x for x in found.lines if (x.tail, x.head) == (tail, head)]
                assert found.graph.order[line.weight or 0] is w
    captions = [caption for caption in plan(loss).captions if caption.kind == "step"]
    assert [caption.text for caption in captions] == ["t = 1", "t = 2", "t = 3"]
    assert captions == sorted(captions)


@pytest.mark.parametrize(
    ("padding", "stride", "size"), [(0, 1, 6), (1, 1, 6), (1, 2, 7), (0, 2, 9)]
)
def test_images_are_grids_and_filters_small_ones(padding: int, stride: int, size: int) -> None:
    model, loss = looking(padding, stride, size)
    found = network(loss)
    graph = found.graph
    given, convolved, pooled, head = found.groups
    for place, (channel, row, column) in given.pixels.items():
        assert (channel, names(found, [place])) == (0, [f"p{row}{column}"])
    module: Any = model.modules[0]
    out = module(image(size))
    for place, (channel, row, column) in convolved.pixels.items():
        assert graph.order[place].data == pytest.approx(out[channel][row][column].data)
    for place, (channel, row, column) in pooled.pixels.items():
        window = [out[channel][2 * row + i][2 * column + j].data for i in (0, 1) for j in (0, 1)]
        assert graph.order[place].data == pytest.approx(max(window))
    assert len(convolved.members) >= len(pooled.members) * 4
    assert not head.pixels
    [filters] = found.filters
    assert filters.group is convolved
    for neuron, grid, bias in zip(module.neurons, filters.grids, filters.biases, strict=True):
        cells = {cell: graph.order[place] for place, cell in grid.items()}
        assert [cells[0, i // 3, i % 3] for i in range(9)] == neuron.w
        assert bias is not None
        assert graph.order[bias] is neuron.b


def test_pixels_given_as_plain_numbers_are_found_too() -> None:
    module: Conv2d = kept(Conv2d(1, 1, 3))
    wide = [[[float(3 * i + j) for j in range(7)] for i in range(4)]]  # and it need not be square
    [out] = module(wide)
    found = network(out[0][0] + sum(x for row in out for x in row[1:]) + out[1][0])
    given, convolved = found.groups
    assert len(given.members) == 4 * 7
    for place, (_, row, column) in given.pixels.items():
        assert found.graph.order[place].data == wide[0][row][column]
    assert max(convolved.pixels.values()) == (0, 1, 4)


def test_modules_in_a_row_are_columns() -> None:
    random.seed(2)
    dropout = Dropout(0.5).eval()
    model = kept(Sequential(Linear(3, 4), ReLU(), dropout, Linear(4, 2), Linear(2, 1)))
    found = network(model([Value(0.5), Value(-1.0), Value(2.0)]) ** 2)
    assert [len(group.members) for group in found.groups] == [3, 4, 4, 2, 1]
    linear, active = found.groups[1:3]
    lines = [(line.tail, line.head, line.weight) for line in found.lines]
    for tail, head in zip(linear.members, active.members, strict=True):
        assert (tail, head, None) in lines


class Line(Module):
    """A module of one's own."""

    def __init__(self) -> None:
        self.slope, self.start = Value(2.0), Value(1.0)

    def forward(self, x: Value) -> Value:
        return self.slope * x + self.start


class Gates(Module):
    """A recurrent cell of one's own, with layers in it."""

    def __init__(self) -> None:
        self.keep, self.new = (Layer(2, 1, activation=each) for each in ("sigmoid", "tanh"))

    def forward(self, x: Value, h: Value) -> Value:
        keep = self.keep([x, h])
        state: Value = keep * h + (1 - keep) * self.new([x, h])
        return state


def test_a_module_of_ones_own_is_a_neuron_for_each_value_that_it_returns() -> None:
    line = kept(Line())
    x = Value(3.0, "x")
    found = network(line(x) ** 2)
    given, [computed] = (group.members for group in found.groups)
    [only] = found.lines
    order = found.graph.order
    assert names(found, given) == ["x"]
    assert order[only.weight or 0] is line.slope
    assert order[found.neurons[computed].bias or 0] is line.start


def test_a_recurrent_cell_of_ones_own_is_labelled_too() -> None:
    cell = kept(Gates())
    h = Value(0.5, "h")
    for t in range(1, 4):
        h = cell(Value(0.1 * t, f"x{t}"), h)
    columns = plan(h)
    captions = [caption.text for caption in columns.captions if caption.kind == "step"]
    assert captions == ["t = 1", "t = 2", "t = 3"]
    assert len(columns.areas) == 4 + 3 * 3


def test_what_is_computed_between_modules_is_a_neuron_as_well() -> None:
    first, second = kept(Linear(1, 2)), kept(Linear(2, 1))
    found = network(second([x.tanh() for x in first([Value(1.0)])]))
    assert [len(group.members) for group in found.groups] == [1, 2, 2, 1]


def test_of_a_batch_it_is_the_network_with_the_first_example() -> None:
    model = kept(MLP(2, [2, 1]))
    xs = [[Value(float(i)), Value(1.0 - i)] for i in range(4)]
    for x in xs:
        x[0].label = "x"
    columns = plan(sum((model(x) ** 2 for x in xs), Value(0.0)))
    assert columns.network.examples == 4
    assert [len(group.members) for group in columns.network.groups] == [2, 2, 1]
    assert columns.network.graph.order[columns.network.groups[0].members[0]] is xs[0][0]
    assert "the first of 4 examples" in [caption.text for caption in columns.captions]


def test_networks_of_which_one_needs_the_other_are_both_there() -> None:
    twin, judge = kept(Linear(1, 2)), kept(Linear(4, 1))
    both = [*twin([Value(1.0)]), *twin([Value(2.0)])]
    found = network(judge(both))
    assert (found.examples, len(found.neurons)) == (1, 2 + 4 + 1)


def test_a_graph_without_modules_has_no_network() -> None:
    assert network_of(Graph(Value(1.0) * 2 + 1)) is None
    assert network_of(Graph(Value(1.0))) is None


def test_a_network_whose_modules_are_gone_is_still_one() -> None:
    out = MLP(2, [3, 1])([Value(1.0), Value(2.0)])
    found = network(out)
    assert [len(group.members) for group in found.groups] == [2, 3, 1]
    assert all(line.weight is not None for line in found.lines)


# --- Where it stands ------------------------------------------------------------------------------

MODELS: dict[str, Callable[[], tuple[Any, Value]]] = {
    "layers": lambda: layers(4, 4, 1),
    "large": lambda: layers(16, 16, 1),
    "longer": lambda: layers(60, 1),
    "recurrent": recurrent,
    "image": looking,
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_nothing_lies_upon_another_and_all_is_in_the_picture(
    make: Callable[[], tuple[Any, Value]],
) -> None:
    columns = plan(make()[1])
    areas = [*columns.areas.values(), *(area for area, _ in columns.more)]
    for i, a in enumerate(areas):
        assert a.x >= 0
        assert a.x + a.width <= columns.width + 1e-9
        assert a.y >= 0
        assert a.y + a.height <= columns.height + 1e-9
        for b in areas[:i]:
            apart = a.x >= b.x + b.width or b.x >= a.x + a.width
            assert apart or a.y >= b.y + b.height or b.y >= a.y + a.height
    for line in columns.lines:
        tail, head = columns.areas[line.tail], columns.areas[line.head]
        assert tail.middle < head.middle


def test_of_a_long_layer_the_middle_is_left_out_and_counted() -> None:
    _, loss = layers(60, 1)
    columns = plan(loss)
    [(_, hidden)] = columns.more
    members = columns.network.groups[1].members
    assert [place for place in members if place in columns.areas] == [*members[:12], *members[-11:]]
    assert hidden == members[12:-11]
    assert len(columns.lines) == 23 * 3
    assert not plan(layers(24, 1)[1]).more
    assert "… 37 more" in draw(loss, style="network").source


def test_a_thicker_line_is_a_larger_weight() -> None:
    sizes = [0.0, 0.01, -0.5, 1.0, -3.0, 1e6, math.inf]
    widths = [thickness(size, 9) for size in sizes]
    assert widths == sorted(widths)
    assert len(set(widths)) == len(widths)
    assert min(widths) >= 1
    assert max(widths) <= 9


# --- As a drawing ---------------------------------------------------------------------------------


def drawn(root: Value, **options: Any) -> ET.Element:
    return ET.fromstring(draw(root, style="network", **options).pipe("svg"))


def groups(svg: ET.Element, kind: str) -> dict[str, ET.Element]:
    return {g.get("id", ""): g for g in svg.iter(f"{SVG}g") if kind in g.get("class", "").split()}


def texts(element: ET.Element) -> list[str]:
    return [text.text or "" for text in element.iter(f"{SVG}text")]


def test_a_drawing_shows_value_gradient_and_bias_of_each_neuron() -> None:
    _, loss = layers(4, 4, 1)
    before = groups(drawn(loss), "neuron")
    loss.backward()
    after = groups(drawn(loss), "neuron")
    found = network(loss)
    assert len(after) == 11
    for place, neuron in found.neurons.items():
        value = found.graph.order[place]
        told = [number(value.data), number(value.grad)]
        if neuron.bias is not None:
            told.append(f"b {number(found.graph.order[neuron.bias].data)}")
        assert texts(after[f"n{place}"])[-len(told) :] == told
        assert "–" in texts(before[f"n{place}"])
    assert texts(after[f"n{found.groups[0].members[0]}"])[0] == "x1"


@pytest.mark.parametrize("theme", [None, *THEMES])
def test_a_weight_that_is_negative_is_dashed_and_has_another_colour(theme: str | None) -> None:
    _, loss = layers(4, 4, 1)
    colours = THEMES[theme or "light"]
    columns = plan(loss)
    edges = groups(drawn(loss, theme=theme), "edge")
    signs = set()
    for line in columns.lines:
        weight = columns.network.graph.order[line.weight or 0].data
        path = next(edges[f"n{line.tail}-n{line.head}"].iter(f"{SVG}path"))
        signs.add(weight < 0)
        assert (path.get("stroke-dasharray") is not None) == (weight < 0)
        colour = colours["text" if weight < 0 else "value"]
        assert path.get("stroke", "").lower() == colour.lower()
        width = float(path.get("stroke-width", "1"))
        assert width == pytest.approx(thickness(weight, columns.thickest), abs=0.01)
    assert signs == {True, False}


def test_a_drawing_that_follows_a_dark_page_has_no_dark_line_there() -> None:
    _, loss = layers(2, 1)
    bundle = draw(loss, style="network")._repr_mimebundle_()
    style = bundle["image/svg+xml"].partition("<style>")[2].partition("</style>")[0]
    used = set(re.findall(r'stroke="(#\w+)"', bundle["image/svg+xml"]))
    assert used >= {THEMES["light"][name].lower() for name in ("value", "text", "line")}
    for colour in used:
        assert f'[stroke="{colour}"]' in style


@pytest.mark.parametrize("ending", ["svg", "png", "pdf", "dot"])
def test_it_is_written_in_every_format(tmp_path: Any, ending: str) -> None:
    path = draw(looking()[1], style="network").write(tmp_path / f"network.{ending}")
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}
    assert path.read_bytes().startswith(begins[ending])


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_graphviz_has_nothing_to_complain_of(
    make: Callable[[], tuple[Any, Value]], capfd: pytest.CaptureFixture[str]
) -> None:
    draw(make()[1], style="network").pipe("svg")
    assert capfd.readouterr().err == ""


def test_what_is_no_network_cannot_be_drawn_as_one() -> None:
    with pytest.raises(ValueError, match=r"draws what modules of microgrant\.nn have computed"):
        draw(Value(1.0) * 2, style="network")
    with pytest.raises(ValueError, match=r"would show 11 values, more than limit=10"):
        draw(layers(4, 4, 1)[1], style="network", limit=10)


# --- In the page ----------------------------------------------------------------------------------

UNITS = """
return Object.fromEntries([...document.querySelectorAll('.view.open .unit[data-node]')]
  .map((unit) => [unit.dataset.node, ['data', 'grad', 'bias']
  .map((name) => unit.querySelector('.' + name)?.textContent ?? '')]));
"""
LINES = """
return Object.fromEntries([...document.querySelectorAll('.view.open .weight[data-weight]')]
  .map((line) => [line.dataset.weight, [Number(line.getAttribute('stroke-width')),
  line.classList.contains('negative'), getComputedStyle(line).strokeDasharray !== 'none']]));
"""


def seen(browser: Browser) -> str:
    return browser.text("#trail").strip()


def test_a_page_without_modules_has_no_button_for_a_network(browser: Browser) -> None:
    browser.open(page(Value(2.0, "a") * 3))
    assert not browser.find("#network").is_displayed()
    browser.press("n")
    assert browser.run("return document.querySelectorAll('.network').length") == 0


def test_n_goes_to_the_network_and_back(browser: Browser) -> None:
    _, loss = layers(4, 4, 1)
    browser.open(page(loss))
    assert browser.find("#network").is_displayed()
    browser.press("n")
    assert seen(browser) == "network"
    assert browser.find("#network").get_attribute("aria-pressed") == "true"
    browser.press("n")
    assert seen(browser) == "whole graph"
    browser.click("#network")
    assert seen(browser) == "network"
    browser.wait(400)
    assert browser.run("return location.hash").endswith("&network")


def test_the_network_is_at_the_step_of_the_page(browser: Browser) -> None:
    _, loss = layers(3, 1)
    step, found = explain(loss), network(loss)
    browser.open(page(loss), "#step=1&network")
    for count in (1, 2, 9, 24, 40, len(step)):
        browser.run("microgrant.go(arguments[0])", count)
        values, gradients = step.state(count)
        assert seen(browser) == "network"
        for place, (data, grad, bias) in browser.run(UNITS).items():
            value, gradient = values[int(place)], gradients[int(place)]
            assert data == ("" if value is None else number(value))
            assert grad == ("–" if gradient is None else number(gradient))
            neuron = found.neurons[int(place)]
            assert bool(bias) == (neuron.bias is not None)


def test_weights_are_drawn_by_their_numbers_and_follow_them(browser: Browser) -> None:
    model, loss = layers(3, 1)
    found = network(loss)
    browser.open(page(loss), "#network&step=1")
    weights = {found.graph.places[x] for layer in model.layers for n in layer.neurons for x in n.w}
    lines = browser.run(LINES)
    assert set(map(int, lines)) == weights
    for place, (width, negative, dashed) in lines.items():
        weight = found.graph.order[int(place)].data
        assert width == pytest.approx(thickness(weight, 9), abs=0.06)
        assert negative == dashed == (weight < 0)
    name = "layers[0].neurons[0].w[0]"
    place = found.graph.places[model.layers[0].neurons[0].w[0]]
    for weight in (-4.0, 2.0):
        browser.open(page(loss), f"#step=1&{name}={weight}&network")
        width, negative, _ = browser.run(LINES)[str(place)]
        assert (width, negative) == (pytest.approx(thickness(weight, 9), abs=0.06), weight < 0)


def test_what_happens_is_marked_in_the_network(browser: Browser) -> None:
    _, loss = layers(2, 1)
    step, found = explain(loss), network(loss)
    browser.open(page(loss), "#network&step=1")
    marked = set()
    for count in range(2, len(step) + 1):
        browser.run("microgrant.go(arguments[0])", count)
        event: Any = step[count - 1]
        target = getattr(event, "operand", event.node)
        ringed = browser.run(
            "const ring = document.querySelector('.view.open .ring.active.shown');"
            "const active = document.querySelector('.view.open .unit.active');"
            "return [Boolean(ring), active ? Number(active.dataset.node) : null]"
        )
        assert ringed == [target in found.stands, found.stands.get(target)]
        for line in browser.run(
            "return [...document.querySelectorAll('.view.open .line.active')]"
            ".map((x) => [x.dataset.from, x.dataset.to, x.dataset.weight])"
        ):
            head = found.stands[event.node]
            assert line[1] == f"n{head}"
            marked.add((line[2], hasattr(event, "operand")))
    assert marked == {(str(line.weight), half) for line in found.lines for half in (True, False)}


def test_a_neuron_that_is_clicked_opens_and_escape_leads_back(browser: Browser) -> None:
    _, loss = layers(4, 4, 1)
    found = network(loss)
    place = found.groups[2].members[1]
    browser.open(page(loss), "#network&step=30")
    browser.click(f".view.open [data-node='{place}']")
    inside = browser.run(
        "return [...document.querySelectorAll('.view.open .value[data-node]')]"
        ".map((x) => Number(x.dataset.node))"
    )
    assert {place, *found.neurons[place].inside} <= set(inside)
    assert "layers[1]" in seen(browser)
    assert browser.step == 30
    browser.press(ESCAPE)
    assert seen(browser) == "network"
    browser.run("document.querySelector(arguments[0]).focus()", f".open [data-node='{place}']")
    browser.press(ENTER)
    assert "layers[1]" in seen(browser)
    browser.press("n")
    assert seen(browser) == "network"


def test_a_filter_shows_what_it_looks_at(browser: Browser) -> None:
    _, loss = looking()
    found = network(loss)
    convolved = found.groups[1]
    place = next(x for x, pixel in convolved.pixels.items() if pixel == (1, 2, 1))
    step = explain(loss)
    count = next(i for i, event in enumerate(step, 1) if getattr(event, "node", None) == place)
    browser.open(page(loss), f"#network&step={count}")
    shown = browser.run(
        "return [...document.querySelectorAll('.view.open .seen')].map((x) => +x.dataset.node)"
    )
    pixels = {found.groups[0].pixels[x] for x in shown if x in found.groups[0].pixels}
    assert pixels == {(0, row, column) for row in (2, 3, 4) for column in (1, 2, 3)}
    filters = found.filters[0]
    assert set(shown) >= {*filters.grids[1], filters.biases[1]}
    assert set(shown).isdisjoint(filters.grids[0])


def test_in_predicting_a_result_is_kept_back_in_the_network_too(browser: Browser) -> None:
    _, loss = layers(2, 1)
    found = network(loss)
    place = found.groups[1].members[0]
    step = next(
        i for i, event in enumerate(explain(loss), 1) if getattr(event, "node", None) == place
    )
    browser.open(page(loss), f"#network&step={step - 1}&predict")
    browser.run("microgrant.go(arguments[0], { reveal: false })", step)
    assert browser.run(UNITS)[str(place)][0] == "?"
    shade = f".view.open [data-node='{place}'] .shade"
    assert float(browser.find(shade).get_attribute("opacity")) == 0


def test_it_moves_along_while_it_learns(browser: Browser) -> None:
    model, loss = layers(3, 1)
    place = network(loss).groups[-1].members[0]
    step = explain(loss, optimizer=SGD(model.parameters(), 0.05))
    from microgrant.views.player.document import page_of

    browser.open(page_of(step.graph, step, "", step.optimizer), "#network&step=1")
    before = browser.run(LINES)
    browser.run("document.querySelector('#learn-run').click()")
    browser.wait(300)
    shown = browser.run(UNITS)[str(place)]
    browser.run("document.querySelector('#learn-run').click()")
    after = browser.run(LINES)
    assert all(shown), "while it learns, neurons have their values and gradients"
    assert before.keys() == after.keys()
    assert before != after


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (390, 844)])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_whole_network_is_seen_at_first(
    browser: Browser, make: Callable[[], tuple[Any, Value]], size: tuple[int, int]
) -> None:
    browser.size(*size)
    browser.open(page(make()[1]), "#network&step=1")
    outside = browser.run(
        "const stage = document.querySelector('#picture').getBoundingClientRect();"
        "return [...document.querySelectorAll('.view.open .unit > .body')].filter((body) => {"
        "const { left, right, top, bottom } = body.getBoundingClientRect();"
        "return left < stage.left || right > stage.right || top < stage.top ||"
        "bottom > stage.bottom }).length"
    )
    assert outside == 0


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_every_number_fits_into_its_neuron(
    browser: Browser, make: Callable[[], tuple[Any, Value]]
) -> None:
    browser.open(page(make()[1]), "#network&step=100000")
    wide = browser.run(
        "return [...document.querySelectorAll('.view.open .unit text')].filter((text) => {"
        "const [a, b] = [text, text.parentNode.querySelector('.body')]"
        ".map((x) => x.getBoundingClientRect());"
        "return a.width && (a.left < b.left - 1 || a.right > b.right + 1) })"
        ".map((text) => text.textContent)"
    )
    assert wide == []


def test_the_bias_and_the_gradient_have_room_beside_each_other(browser: Browser) -> None:
    random.seed(1)
    model: MLP = kept(MLP(2, [16, 1], activation="tanh"))
    for neuron in model.layers[0].neurons:
        neuron.b.data = -random.uniform(0.01, 0.09)
    browser.open(page(model([Value(1.0), Value(-2.0)]) * 0.01), "#network&step=100000")
    rooms = browser.run(
        "return [...document.querySelectorAll('.view.open .unit')].map((unit) => {"
        "const [a, b] = ['bias', 'grad'].map((x) => unit.querySelector('.' + x));"
        "return a ? b.getBoundingClientRect().left - a.getBoundingClientRect().right : 1 })"
    )
    assert len(rooms) == 2 + 16 + 1
    assert min(rooms) > 0


def test_a_saved_picture_is_the_network_with_its_style(browser: Browser) -> None:
    browser.open(page(layers(2, 1)[1]), "#network&step=9")
    svg = ET.fromstring(browser.run("return microgrant.svgText()"))
    assert len([g for g in svg.iter(f"{SVG}g") if "unit" in g.get("class", "").split()]) == 5
    style = "".join(x.text or "" for x in svg.iter(f"{SVG}style"))
    assert ".network .weight" in style
    assert "var(" not in style
