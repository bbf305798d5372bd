"""The data of a step: the rows over which its page trains, and what it predicts of each.

With this module you can

- ask what can be trained:  parameters = trainable(graph, optimizer, None, inputs)
- give a step its rows:     data = data_of(graph, parameters, inputs, rows, None)

The page runs what the compiler writes of the same program, in JavaScript.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..compiler import compile
from ..compiler.step import checked_leaves
from ..compiler.tables import as_lists, table
from ..engine.arguments import unboxed
from ..engine.value import Value, topological_order
from ..optim import Optimizer
from .graph import Graph

__all__ = ["MOST_ROWS", "Data", "data_of", "trainable"]

MOST_ROWS = 10_000


@dataclass(frozen=True)
class Data:
    """Rows, and the programs for them.

    inputs: the places of the leaves that a row gives a value to, column by column.
    rows: the numbers.
    output: the place of what is predicted; None if nothing is.
    features: the columns that the prediction depends on.
    loss: ``run(parameters, rows)`` in JavaScript: the mean loss, and its gradients.
    prediction: ``run(parameters, rows)`` in JavaScript: the outputs, row by row; empty without one.
    """

    inputs: tuple[int, ...]
    rows: list[list[float]]
    output: int | None
    features: tuple[int, ...]
    loss: str
    prediction: str


def trainable(
    graph: Graph,
    optimizer: Optimizer | None,
    parameters: Iterable[Value] | None,
    inputs: Iterable[Value] | None,
) -> list[Value]:
    """What a page offers to train: what is asked for; or else the parameters of modules, or all
    leaves that have a name and are no inputs."""
    asked = None if optimizer is None else optimizer.parameters
    if asked is None and parameters is not None:
        asked = checked_leaves("parameters", parameters)
    if asked is not None:
        found = [x for x in asked if x in graph.places]
        if not found:
            raise ValueError("none of the parameters is in the graph: nothing could be learned")
        return found
    given = set(inputs or ())
    leaves = [x for x in graph.order if x.operation is None and x not in given]
    of_modules = [x for x in leaves if x in graph.own_names]
    return of_modules or [x for x in leaves if not (x._constant and x not in graph.given)]


def data_of(
    graph: Graph, parameters: Sequence[Value], inputs: Iterable[Value], rows: Any, output: Any
) -> Data:
    """The rows of a step. Errors say what about them is wrong, as those of `compile` do.

    output: what is predicted; None for what the outermost module returned.
    """
    columns = list(inputs)
    step = compile(graph.root, inputs=columns, parameters=parameters, target="javascript")
    numbers = as_lists(*table(rows, [x.label for x in columns]))
    for place, row in enumerate(numbers):
        for x, column in zip(row, columns, strict=True):
            if not math.isfinite(x):
                raise ValueError(
                    f"rows[{place}] has {x} for {column.label or 'an input'}: fill it in"
                )
    if len(numbers) > MOST_ROWS:
        raise ValueError(f"a page holds {MOST_ROWS:,} rows at most, but got {len(numbers):,}")
    predicted = _returned(graph) if output is None else unboxed(output)
    if predicted is None:
        return Data(_places(graph, columns), numbers, None, (), step.source, "")
    if not isinstance(predicted, Value) or predicted not in graph.places:
        raise ValueError("output is what is predicted, one Value that the loss was computed from")
    depends = {*topological_order(predicted)}
    features = tuple(i for i, x in enumerate(columns) if x in depends)
    predict = compile(
        [predicted],
        inputs=[columns[i] for i in features],
        parameters=[x for x in parameters if x in depends],
        target="javascript",
    )
    places = _places(graph, columns)
    found = graph.places[predicted]
    return Data(places, numbers, found, features, step.source, predict.source)


def _places(graph: Graph, values: Iterable[Value]) -> tuple[int, ...]:
    return tuple(graph.places[value] for value in values)


def _returned(graph: Graph) -> Value | None:
    """What the outermost module returned, if that is one Value."""
    outer = [calls[:1] for calls in graph.calls]
    found = [
        value
        for value, calls in zip(graph.order, outer, strict=True)
        if calls and calls[0] in getattr(value, "_scope", ())
    ]
    return found[0] if len(found) == 1 else None
