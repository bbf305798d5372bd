"""Explain one step of backpropagation: as a table, on a slide, as a page, in a terminal.

With this module you can

- read the step:                       print(explain(loss))
- go through it, event by event:       for event in explain(loss): ...
- put it on a slide:                   explain(loss).latex()
- project it:                          explain(loss).save("step.html")
- put its pictures on slides:          explain(loss).pictures("folder")
- walk through it in a terminal:       explain(loss).play()
- see what a classic mistake does:     explain(loss, mistake="overwrite")
- go on to the update of parameters:   explain(loss, optimizer=SGD(parameters, 0.1))

In a notebook, an explanation shows itself as the page.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, SupportsIndex

from ..compiler.step import checked_leaves
from ..engine.arguments import listed, one_of, unboxed, whole_number
from ..engine.value import Value
from ..files import write_file
from ..optim import Optimizer
from .data import Data, data_of, trainable
from .events import Contribution, Event, Node, Record, record_of  # noqa: F401, for types
from .graph import Graph
from .latex import align
from .style import THEMES, beginning, speakable
from .updates import copied

__all__ = ["Explanation", "explain"]

PAGES = (".html", ".htm")


def explain(
    root: Value,
    names: Mapping[str, object] | None = None,
    *,
    mistake: str | None = None,
    optimizer: Optimizer | None = None,
    parameters: Iterable[Value] | None = None,
    inputs: Iterable[Value] | None = None,
    rows: object = None,
    output: Value | None = None,
) -> Explanation:
    """The record of the step that computed `root`, with the backward pass from it.

    names: variables and what they hold, such as ``locals()``, for Values without a label.
    mistake: what the backward pass does wrong, to show what becomes of the gradients: "overwrite"
        (= in place of +=), "no_topological_order" (naive recursion) or "no_zero_grad" (gradients
        of an earlier step left in place).
    optimizer: what comes after the backward pass, the update of its parameters.
    parameters: what the page offers to train, if there is no optimizer; by default the parameters
        of modules, or else all leaves that have a name.
    inputs, rows: a table of examples, and the leaves that its columns are the values of. The page
        holds it, shows a row at a time, and trains over all.
    output: what is predicted, a Value; by default what the model returned.

    A TypeError or ValueError says what is wrong with a parameter, a column or a row, and that none
    of the parameters is in the graph.

    No `.grad` is read or written: the backward pass is replayed from zero, over the local
    derivatives which the graph recorded; and no parameter is changed. A ValueError says so if the
    data of the graph was changed since, as by a step of training: then its numbers do not follow
    from one another any more.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> step = explain(a * b + a)
    >>> print(step.line(2))
    v1 = a × b = 2 × −3 = −6
    >>> step.gradients
    {'a': -2.0, 'b': 2.0}
    >>> explain(a * b + a, mistake="overwrite").gradients["a"]
    -3.0
    >>> from microgrant.optim import SGD
    >>> step = explain(a * b, optimizer=SGD([a], 0.1))
    >>> print(step.line(len(step)))
    a ← a − η × ∂v1/∂a = 2 − 0.1 × −3 = 2.3
    >>> x, y = Value(0.0, label="x"), Value(0.0, label="y")
    >>> points = [[0.0, 1.0], [1.0, 3.0]]
    >>> step = explain((a * x + b - y) ** 2, parameters=[a, b], inputs=[x, y], rows=points)
    >>> step.data.rows
    [[0.0, 1.0], [1.0, 3.0]]
    """
    root = unboxed(root)
    if not isinstance(root, Value):
        raise TypeError(f"explain needs a Value, but got {type(root).__name__}: explain one output")
    # Not all of `names`: an explanation in a notebook would keep the one before it alive.
    graph = Graph(root, names, flat=True)
    graph.check_unchanged()
    if not isinstance(optimizer, Optimizer | None):
        raise TypeError(
            "optimizer is an optimizer, such as SGD(parameters, 0.1), but got "
            f"{type(optimizer).__name__}"
        )
    step = record_of(graph, mistake, optimizer)
    columns = None if inputs is None else checked_leaves("inputs", inputs)
    trained = trainable(graph, optimizer, parameters, columns)
    if (columns is None) != (rows is None) or (rows is None and output is not None):
        raise ValueError("inputs and rows belong together, and output is for them")
    data = None
    if columns is not None:
        data = data_of(graph, trained, columns, rows, output)
    if optimizer is not None:  # as it is now, with the parameters themselves
        optimizer = copied(optimizer, optimizer.parameters)
    return Explanation(
        step.nodes,
        step.events,
        step.mistake,
        graph=graph,
        optimizer=optimizer,
        parameters=tuple(trained),
        data=data,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Record):
    """A `Record` and the views of it. Iterating over it gives the events, in order."""

    graph: Graph = field(kw_only=True)
    optimizer: Optimizer | None = field(kw_only=True, default=None)
    parameters: tuple[Value, ...] = field(kw_only=True, default=())
    data: Data | None = field(kw_only=True, default=None)

    @property
    def root(self) -> Value:
        """The value that is differentiated."""
        return self.graph.root

    def __repr__(self) -> str:
        edges = sum(isinstance(event, Contribution) for event in self.events)
        return f"<explanation of a step: {len(self.nodes):,} values, {edges:,} contributions>"

    def to_dict(self) -> dict[str, Any]:
        """The whole record in dictionaries, lists, numbers and texts, for other tools.

        The keys are the attributes of `microgrant.views.Node`, `Given`, `Forward`, `Seed`,
        `Contribution` and `Update`; an event's "kind" is the name of its class in small letters.

        >>> explain(Value(2.0, label="x").exp()).to_dict()["events"][-1]["contribution"]
        7.38905609893065
        """
        return {
            "mistake": self.mistake,
            "nodes": [asdict(node) for node in self.nodes],
            "events": [
                {"kind": type(event).__name__.lower()} | asdict(event) for event in self.events
            ],
            "gradients": self.gradients,
        }

    def to_json(self) -> str:
        """`to_dict` as JSON. It has no nan and inf: they are written "nan", "inf" and "-inf"."""
        return json.dumps(speakable(self.to_dict()), ensure_ascii=False, allow_nan=False)

    def latex(self) -> str:
        r"""The step as an ``align*`` environment of LaTeX's amsmath, for slides.

        >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
        >>> L = a * b
        >>> print(explain(L, locals()).latex())
        \begin{align*}
          a &= 2 \qquad b = -3 \\
          L &= a \cdot b = 2 \cdot \left(-3\right) = -6 \\
          \frac{\partial L}{\partial L} &= 1 \\
          \frac{\partial L}{\partial a} &= \frac{\partial L}{\partial L} \cdot b = 1 \cdot ...
          \frac{\partial L}{\partial b} &= \frac{\partial L}{\partial L} \cdot a = 1 \cdot ...
        \end{align*}
        """
        return align(self.graph, self, self.optimizer)

    def save(self, path: str | os.PathLike[str], *, title: str = "") -> Path:
        """Write the page to walk through: one file, which needs no network and no server.

        title: what stands above it; by default it says what is differentiated.

        A ValueError says so if the name does not end in .html, or if the graph is too large.
        """
        target = Path(path)
        if target.suffix.lower() not in PAGES:
            raise ValueError(f"the page is a file .html, but got {target.name!r}")
        write_file(target, self._page(title).encode())
        return target

    def pictures(
        self,
        folder: str | os.PathLike[str],
        *,
        steps: int | Iterable[int] | None = None,
        theme: str = "light",
    ) -> list[Path]:
        """Write a picture of each step into a folder, as the page shows it: step-001.svg, and so
        on. What comes back are their paths.

        steps: which, numbered as in the page: a number, or several such as ``range(5, 9)``; all,
            if None.
        theme: "light" or "dark".

        A ValueError names the themes and says what is wrong with a step, an IndexError how they are
        numbered.
        """
        from .player.document import pictures_of

        target, asked = Path(folder), range(1, len(self) + 1) if steps is None else steps
        if isinstance(asked, SupportsIndex) and not isinstance(asked, Iterable):
            asked = [asked]
        advice = "steps is a number of the page or several, such as range(5, 9), but got"
        counts = [whole_number("a step", each, None) for each in listed(asked, advice)]
        for count in counts:
            self._check_step(count, 1)
        one_of("theme", theme, THEMES)
        if target.is_file() or target.suffix.lower() == ".svg":
            raise ValueError(f"pictures are written into a folder, but got {target.name!r}")
        self.graph.check_unchanged()
        digits = max(3, len(str(len(self))))
        paths = [target / f"step-{count:0{digits}}.svg" for count in counts]
        pictures = pictures_of(self.graph, self, counts, theme)
        target.mkdir(parents=True, exist_ok=True)
        for path, picture in zip(paths, pictures, strict=True):
            write_file(path, picture.encode())
        return paths

    def play(self) -> None:
        """Walk through the step in the terminal: → and ← go on and back, q ends it.

        Where there is no terminal, the table is printed.
        """
        from .terminal import play

        play(self)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """What a notebook shows: the page, or where there is only text, the table."""
        return {"text/plain": beginning(str(self)), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        """The page, in a frame of its own, and a table for where no frames are shown: a notebook
        that is not trusted drops the frame and the style."""
        table = f"<pre>{html.escape(beginning(str(self)))}</pre>"
        try:
            content = self._page()
        except ValueError as problem:
            return f"{table}<p>({html.escape(str(problem))})</p>"
        return (
            "<style>.microgrant:has(iframe) details { display: none }</style>"
            f'<div class="microgrant"><iframe srcdoc="{html.escape(content)}" '
            'sandbox="allow-scripts allow-downloads" allow="fullscreen" '
            'title="one step of backpropagation" '
            'style="width: 100%; height: 560px; border: 1px solid #8886"></iframe>'
            "<details><summary>The step as a table: the page to walk through it is shown in a "
            f"notebook that is trusted</summary>{table}</details></div>"
        )

    def _page(self, title: str = "") -> str:
        from .player.document import page_of

        self.graph.check_unchanged()
        return page_of(self.graph, self, title, self.optimizer, self.parameters, self.data)
