"""The graph that all views share: its order, its names, its boxes, and how many fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from microgrant import Value, draw, explain, where
from microgrant.nn import MLP, Module, Neuron
from microgrant.views import COLLAPSE_ABOVE, record
from microgrant.views.graph import Box, Graph, Link, open_levels, spans
from microgrant.views.player import page


def test_places_and_operands_are_those_of_the_order() -> None:
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    c = a * b
    graph = Graph(c + a)
    assert [graph.places[value] for value in graph.order] == [0, 1, 2, 3]
    assert graph.operands == [(), (), (0, 1), (2, 0)]
    assert (graph.root, graph.order[2]) == (graph.order[-1], c)


def test_what_the_user_named_is_told_from_what_is_made_up() -> None:
    a, b, unused = Value(2.0, "a"), Value(-3.0), Value(1.0)
    root = a * b + 1.0
    graph = Graph(root, {"b": [b], "unused": unused})
    assert [graph.called[value] for value in graph.order] == ["a", "b[0]", "v1", "1", "v2"]
    assert graph.given == {a, b}
    assert unused not in graph.called


def test_what_a_where_mentions_has_a_name_and_no_place() -> None:
    x, low, high = Value(2.0, "x"), Value(0.0), Value(9.0)
    root = where(x > low, x, high)
    graph = Graph(root, {"low": low, "high": high})
    assert graph.formula(root) == "where(x > low, x, high)"
    assert graph.order == [x, root]
    assert (graph.called[low], graph.called[high]) == ("low", "high")


def test_a_graph_that_is_kept_holds_its_own_values_and_nothing_else() -> None:
    x, unused = Value(2.0), Value(3.0)
    graph = Graph(x.exp(), {"data": [x, unused], "text": "text"}, flat=True)
    assert graph.names == {"data[0]": x}


def test_names_of_parameters_are_shorter_inside_of_boxes() -> None:
    model = MLP(1, [1, 1])
    graph = Graph(model([Value(1.0, "x")]))
    place = graph.places[model.layers[1].neurons[0].w[0]]
    assert [graph.short(place, around) for around in range(5)] == [
        *["layers[1].neurons[0].w[0]"] * 2,
        "neurons[0].w[0]",
        *["w[0]"] * 2,
    ]
    without = Graph(graph.root, parameters=False)
    assert without.called[graph.order[place]] == "x4"  # after two of the layer before, and b


def test_boxes_are_those_of_calls_and_count_what_is_inside() -> None:
    class Twice(Module):
        def __init__(self) -> None:
            self.neuron = Neuron(1)

        def forward(self, x: Value) -> Value:
            return self.neuron([self.neuron([x])])

    model = Twice()
    x = Value(1.0, "x")
    graph = Graph(model(x) * 2.0)
    boxes = list(dict.fromkeys(box for path in graph.paths for box in path))
    assert [box.identifier for box in boxes] == [0, 1, 2]
    assert [box.name for box in boxes] == ["", "neuron", "neuron"]
    assert boxes[0].title == "Twice, 2 parameters"
    assert boxes[1].title == "neuron · Neuron 1→1 relu, 2 parameters"
    assert boxes[0].values == sum(boxes[0] in path for path in graph.paths)
    assert graph.paths[graph.places[x]] == graph.paths[-1] == ()


def test_a_module_that_has_no_hash_and_no_length() -> None:
    @dataclass
    class Scaled(Module):
        factor: Any

        def __len__(self) -> int:
            return 0

        def forward(self, x: Value) -> Value:
            return x * self.factor

    model = Scaled(Value(3.0))
    out = model(Value(2.0, "x"))
    assert explain(out).gradients == {"factor": 2.0, "x": 3.0}
    assert "Scaled, 1 parameter" in draw(out).source


def test_as_many_levels_are_open_as_can_be_read() -> None:
    outer, inner = Box(0, "outer", "", 40), Box(1, "inner", "", 35)
    paths = [(outer, inner)] * 35 + [(outer,)] * 5
    chain = [(), *((place,) for place in range(39))]
    assert open_levels(paths, chain) == 2
    longer = [*paths, *[()] * (COLLAPSE_ABOVE - 6)]
    chain = [(), *((place,) for place in range(len(longer) - 1))]
    assert open_levels(longer, chain) == 1  # one box, five values in it, and all of those outside
    assert open_levels(longer, chain, range(40)) == 2
    assert open_levels([*longer, ()], [*chain, (0,)]) == 0
    assert open_levels([*longer, ()], [*chain, (0,)], least=1) == 1
    everywhere = [range(40)] * 40  # few things, and too many edges
    assert open_levels(paths, everywhere) == 1


VIEWS: list[Callable[..., object]] = [record, draw, explain, page]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
@pytest.mark.parametrize("names", [[1.0], ("x",), 3])
def test_every_view_asks_for_a_dictionary_of_names(view: Callable[..., object], names: Any) -> None:
    with pytest.raises(TypeError, match="names is a dictionary of variables, such as"):
        view(Value(1.0), names)


def test_of_two_namesakes_in_conditions_the_first_asked_keeps_its_name() -> None:
    w1, w2, a, b = Value(1.0, "w"), Value(2.0, "w"), Value(5.0, "a"), Value(6.0, "b")
    graph = Graph(where(w2 > 0, where(w1 > 0, a, b), b))
    assert [graph.formula(value) for value in graph.order if value.operands] == [
        "where(w > 0, a, b)",
        "where(w′2 > 0, v1, b)",
    ]


def test_an_edge_spans_the_ranks_between_its_ends() -> None:
    chain: list[Link] = [(place, place + 1, 0) for place in range(9)]
    assert spans(chain) == [1] * 9
    shared: list[Link] = [
        link for place in range(1, 9) for link in ((place - 1, place, 0), (0, place, 1))
    ]
    assert spans(shared)[1::2] == [1, 2, 3, 4, 5, 6, 7, 8]
    leaves: list[Link] = [
        link for place in range(2, 20, 2) for link in ((place - 2, place, 0), (place - 1, place, 1))
    ]
    assert spans(leaves) == [1] * 18  # a leaf stands before its only use
    box, other = (Box(count, "", "", 1) for count in range(2))
    assert spans([(box, other, None), (other, box, None)]) == [1, 1]
    assert spans([]) == []
