"""Explain one step of backpropagation: as a table, on a slide, as a page, in a terminal.

With this module you can

- read the step:                       print(explain(loss))
- go through it, event by event:       for event in explain(loss): ...
- put it on a slide:                   explain(loss).latex()
- project it:                          explain(loss).save("step.html")
- walk through it in a terminal:       explain(loss).play()
- see what a classic mistake does:     explain(loss, mistake="overwrite")

In a notebook, an explanation shows itself as the page.
"""

from __future__ import annotations

import html
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..engine.conditions import Choice
from ..engine.value import Value
from ..files import write_file
from ..ops.table import OPERATIONS, Operation
from ..ops.words import Operand, Term, derivative_terms, spell
from .drawing import module_paths, parameter_names
from .events import (
    Contribution,
    Forward,
    Record,
    Seed,
    check_unchanged,
    clean,
    held_by,
    name_values,
    names_of,
    order_of,
    record,
    rule_of,
    term_of,
)
from .terminal import play

__all__ = ["Explanation", "explain"]

MUL = OPERATIONS["mul"]
PAGES = (".html", ".htm")

KINDS = {Forward: "forward", Seed: "seed", Contribution: "contribution"}


def explain(
    root: Value, names: Mapping[str, Any] | None = None, *, mistake: str | None = None
) -> Explanation:
    """The record of the step that computed `root`, with the backward pass from it.

    names: variables and what they hold, such as ``locals()``, for Values without a label.
    mistake: what the backward pass does wrong, to show what becomes of the gradients: "overwrite"
        (= in place of +=), "no_topological_order" (naive recursion) or "no_zero_grad" (gradients
        of an earlier step left in place).

    No `.grad` is read or written: the backward pass is replayed from zero, over the local
    derivatives which the graph recorded. A ValueError says so if the data of the graph was changed
    since, as by a step of training: then its numbers do not follow from one another any more.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> step = explain(a * b + a)
    >>> print(step.line(2))
    v1 = a × b = 2 × −3 = −6
    >>> step.gradients
    {'a': -2.0, 'b': 2.0}
    >>> explain(a * b + a, mistake="overwrite").gradients["a"]
    -3.0
    """
    if not isinstance(root, Value):
        raise TypeError(f"explain needs a Value, but got {type(root).__name__}")
    order = order_of(root)
    check_unchanged(order)
    # Not all of `names`: an explanation in a notebook would keep the one before it alive.
    held, _ = parameter_names(module_paths(order), held_by(names, order))
    step = record(root, held, mistake)
    return Explanation(step.nodes, step.events, step.mistake, root, held)


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Record):
    """A `Record` and the views of it. Iterating over it gives the events, in order."""

    root: Value = field(default_factory=lambda: Value(0.0))
    names: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        edges = sum(isinstance(event, Contribution) for event in self.events)
        return f"<explanation of a step: {len(self.nodes):,} values, {edges:,} contributions>"

    def to_dict(self) -> dict[str, Any]:
        """The whole record in dictionaries, lists, numbers and texts, for other tools.

        The keys are the attributes of `microgrant.views.Node`, `Forward`, `Seed` and
        `Contribution`; an event's "kind" is "forward", "seed" or "contribution".

        >>> explain(Value(2.0, label="x").exp()).to_dict()["events"][-1]["contribution"]
        7.38905609893065
        """
        return {
            "mistake": self.mistake,
            "nodes": [asdict(node) for node in self.nodes],
            "events": [{"kind": KINDS[type(event)]} | asdict(event) for event in self.events],
            "gradients": self.gradients,
        }

    def to_json(self) -> str:
        """`to_dict` as JSON. It has no nan and inf: they are written "nan", "inf" and "-inf"."""
        return json.dumps(_speakable(self.to_dict()), ensure_ascii=False, allow_nan=False)

    def latex(self) -> str:
        r"""The step as an ``align*`` environment of LaTeX's amsmath, for slides.

        >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
        >>> L = a * b
        >>> print(explain(L, locals()).latex())
        \begin{align*}
          L &= a \cdot b = 2 \cdot \left(-3\right) = -6 \\
          \frac{\partial L}{\partial L} &= 1 \\
          \frac{\partial L}{\partial a} &= \frac{\partial L}{\partial L} \cdot b = 1 \cdot ...
          \frac{\partial L}{\partial b} &= \frac{\partial L}{\partial L} \cdot a = 1 \cdot ...
        \end{align*}
        """
        return _latex(self)

    def save(self, path: str | os.PathLike[str], *, title: str = "") -> Path:
        """Write the page to walk through: one file, which needs no network and no server.

        title: what stands above it; by default it says what is differentiated.

        A ValueError says so if the name does not end in .html, or if the graph is too large; a
        `NoGraphvizError` says how to get a Graphviz, which lays the page out.
        """
        target = Path(path)
        if target.suffix.lower() not in PAGES:
            raise ValueError(f"the page is a file .html, but got {target.name!r}")
        write_file(target, self._page(title).encode())
        return target

    def play(self) -> None:
        """Walk through the step in the terminal: → and ← go on and back, q ends it.

        Where there is no terminal, the table is printed.
        """
        play(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the page, in a frame of its own."""
        from .rendering import NoGraphvizError

        try:
            content = self._page()
        except (NoGraphvizError, ValueError) as problem:
            return f"<pre>{html.escape(f'{self}')}</pre><p>({html.escape(str(problem))})</p>"
        return (
            f'<iframe srcdoc="{html.escape(content)}" sandbox="allow-scripts" allow="fullscreen" '
            'title="one step of backpropagation" '
            'style="width: 100%; height: 560px; border: 1px solid #8886"></iframe>'
        )

    def _page(self, title: str = "") -> str:
        from .player.document import page

        check_unchanged(order_of(self.root))
        return page(self.root, self.names, title=title, mistake=self.mistake)


def _speakable(x: Any) -> Any:
    """The same, with texts for what JSON cannot write."""
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    if isinstance(x, dict):
        return {key: _speakable(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [_speakable(value) for value in x]
    return x


# --- LaTeX ----------------------------------------------------------------------------------------


def _latex(step: Explanation) -> str:
    order, nodes = order_of(step.root), step.nodes
    called = name_values(order, step.names)
    word = names_of({value: _latex_name(name) for value, name in called.items()})
    amount = {value: node.value for value, node in zip(order, nodes, strict=True)}.get
    names = [_latex_name(node.name) for node in nodes]
    gradients = [rf"\frac{{\partial {names[-1]}}}{{\partial {name}}}" for name in names]
    lines = []
    reached: set[int] = set()
    for event in step.events:
        node, operation = nodes[event.node], order[event.node].operation
        operands = [names[place] for place in node.operands]
        if isinstance(event, Seed):
            lines.append(f"{gradients[event.node]} &= 1")
        elif operation is None:
            continue
        elif isinstance(event, Forward):
            formula, arithmetic = (term_of(order[event.node], x) for x in (word, amount))
            lines.append(f"{names[event.node]} &= {_equal(formula, arithmetic, node.value)}")
        elif not nodes[event.operand].constant:
            local = (
                [rule_of(operation, word)]
                if isinstance(operation, Choice)
                else _local(operation, names[event.node], operands)
            )
            product = Term(MUL, (Term(gradients[event.node]), local[event.place]))
            numbers = Term(MUL, (event.upstream, event.local))
            begun = event.operand in reached or event.before != 0
            adds = begun and step.mistake != "overwrite"
            sign = r"\mathrel{+}=" if adds else "="
            total = rf" \quad\to\quad {spell(event.after, 'latex')}" if adds else ""
            equation = _equal(product, numbers, event.contribution)
            lines.append(f"{gradients[event.operand]} &{sign} {equation}{total}")
            reached.add(event.operand)
    body = " \\\\\n  ".join(lines)
    return f"\\begin{{align*}}\n  {body}\n\\end{{align*}}"


def _local(operation: Operation, out: str, names: Sequence[str]) -> list[Operand]:
    try:
        return derivative_terms(operation, out, names)
    except (TypeError, AttributeError):  # a rule of the user's that works on floats only
        return [Term(rf"\frac{{\partial {out}}}{{\partial {name}}}") for name in names]


def _equal(*terms: Operand) -> str:
    return " = ".join(spell(term, "latex") for term in terms)


def _latex_name(name: str) -> str:
    """A name in mathematics: w1 becomes w with an index, a longer one is set upright."""
    if re.fullmatch(r"[A-Za-z]|−?[0-9.]+", name):
        return name.replace("−", "-")
    if match := re.fullmatch(r"([A-Za-z])_?([0-9]+)", name):
        return f"{match[1]}_{{{match[2]}}}"
    return r"\text{" + "".join(LATEX_TEXT.get(c, c) for c in clean(name)) + "}"


LATEX_TEXT = {character: "\\" + character for character in "_%&#${}"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
"""How LaTeX writes the characters that it would otherwise obey."""
