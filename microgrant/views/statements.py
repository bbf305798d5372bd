"""A computation as it stands on a blackboard: a few statements, each part of which is known.

With this module you can

- write a graph down:                 for place, parts in statements(graph, names): ...
- read it, without the marks:         plain(parts)
- say what a graph computes:          title_of(graph)

What has a name, what is used more than once, and what a module returned, is a statement of its own,
``p = …``; all else stands where it is used: ``−(y × log(p) + (1 − y) × log(1 − p))``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from ..engine.conditions import Choice
from ..engine.value import Value
from ..ops.words import Term, spelled
from .formulas import names_of, term_of, worded
from .graph import Graph
from .style import clean

__all__ = ["CLOSE", "Parts", "plain", "statements", "title_of"]

Parts: TypeAlias = list[str | int]
"""A text in pieces. The place of a Value stands where what computes it begins, and CLOSE where it
ends."""

CLOSE = -1
MOST_IN_A_LINE = 110  # characters; a part that is longer is a statement of its own
MOST_IN_A_TITLE = 60
HOLE = 0xF0000  # from here on, characters that stand for operands


@dataclass(frozen=True)
class _Part:
    """What stands for a Value in the formulas of others, and how tightly it binds."""

    parts: Parts
    binding: int

    @property
    def text(self) -> str:
        return plain(self.parts)


def statements(graph: Graph, names: Sequence[str]) -> list[tuple[int, Parts]]:
    """The statements of a graph in its order, the last of which computes its root: for each the
    place of what it computes, and how.

    names: what each Value is called.

    >>> a, b = Value(2.0, "a"), Value(3.0, "b")
    >>> c = a * b
    >>> graph = Graph((c + 1) * c, {"c": c})
    >>> names = [graph.called[value] for value in graph.order]
    >>> for place, parts in statements(graph, names):
    ...     print(names[place], "=", plain(parts))
    c = a × b
    v2 = (c + 1) × c
    """
    uses = Counter(chain.from_iterable(graph.operands))
    found: list[tuple[int, Parts]] = []
    written: list[_Part] = []
    for place, value in enumerate(graph.order):
        part = name = _Part([place, names[place], CLOSE], worded(names[place]).binding)
        if value.operation is not None:
            part = _formula(graph, place, [written[x] for x in graph.operands[place]])
            named = value in graph.given or hasattr(value, "_scope")
            alone = named or uses[place] > 1 or value is graph.root
            if alone or len(part.text) > MOST_IN_A_LINE:
                found.append((place, part.parts))
                part = name
        written.append(part)
    return found


def plain(parts: Parts) -> str:
    """The text alone."""
    return "".join(part for part in parts if isinstance(part, str))


def title_of(graph: Graph) -> str:
    """The name of what a graph computes; if it has none, how, as far as that fits into a title.

    >>> a, b = Value(2.0, "a"), Value(3.0, "b")
    >>> title_of(Graph((a + b) ** 2))
    '(a + b)²'
    """
    name = clean(graph.called[graph.root])
    if graph.root in graph.given or graph.root.operation is None:
        return name
    names = [clean(graph.called[value]) for value in graph.order]
    *before, (_, last) = statements(graph, names)
    told = [*(f"{names[place]} = {plain(parts)}" for place, parts in before), plain(last)]
    if all(graph.order[place] in graph.given for place, _ in before):
        told = told[-1:]  # who reads it knows the names
    text = "; ".join(told)
    text = text if len(text) <= MOST_IN_A_TITLE else told[-1]
    return text if len(text) <= MOST_IN_A_TITLE else f"{text[: MOST_IN_A_TITLE - 1]}…"


def _formula(graph: Graph, place: int, operands: Sequence[_Part]) -> _Part:
    """How a Value is computed, of what stands for its operands."""
    value, known, holes = graph.order[place], names_of(graph.called), dict[Value, Term]()
    for count, (operand, part) in enumerate(zip(value.operands, operands, strict=True)):
        sign = "−" * part.text.startswith("−")  # it may ask for parentheses
        holes.setdefault(operand, Term(sign + chr(HOLE + count), (), part.binding))
    if isinstance(value.operation, Choice):  # what it compares, or does not take, is no operand
        term = term_of(value, known, taken=holes[value.operands[0]])
    else:
        term = term_of(value, lambda x: holes.get(x) or known(x))
    text, binding = spelled(term)
    told: Parts = []
    for piece in re.split(f"([{chr(HOLE)}-{chr(HOLE + 0xFFFD)}])", clean(text)):
        if not piece or ord(piece[0]) < HOLE:
            told.append(piece)
            continue
        part = operands[ord(piece) - HOLE]
        if part.text.startswith("−"):  # the sign that stands before the hole is its own
            told[-1] = str(told[-1]).removesuffix("−")
        told += part.parts
    return _Part([place, *(piece for piece in told if piece != ""), CLOSE], binding)
