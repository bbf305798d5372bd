"""The player: one step of backpropagation as a page, to be walked through event by event.

With this module you can

- write the page:        Path("step.html").write_text(page(loss), encoding="utf-8")
- name what it shows:    page(loss, names=locals(), title="One step of my network")
- begin with a mistake:  page(loss, mistake="overwrite")
- have single pictures:  pictures_of(graph, step, [1, 2, 12])

The page is one file that asks nothing of any network. The graph is laid out when the page is
written, once for each view: the whole, and the inside of every module that is folded into a box.
The pictures, the table and the numbers are written here, and can be read without JavaScript; what
moves is in the files of `PLAYER`, joined to one script. It recomputes the step with functions
spelled by the table of operations.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from ...engine.value import Value
from ...ops.words import lacking_in_javascript
from ...optim import Optimizer
from ..columns import Columns, columns_of
from ..data import Data, trainable
from ..events import MISTAKES, Contribution, Forward, Given, Record, Update, record_of
from ..graph import Graph
from ..latex import latex_name
from ..network import network_of
from ..statements import statements, title_of
from ..style import THEMES, clean, speakable
from ..updates import rules_of
from .layout import Layout, lay_out
from .network import network_data, network_picture, size_of
from .optimizers import javascript as updating, spell_optimizers
from .spelling import Spelling, javascript, spell_operations
from .svg import LOOK, MARKERS, escaped, moment, picture, standalone, touched
from .views import MOST_OUTPUTS, Plan

__all__ = ["LARGEST", "PLAYER", "TooLargeError", "page", "page_of", "pictures_of"]

LARGEST = 20_000  # values; a page of more would open slowly, and nobody would walk through it

PLAYER = (
    # These know no page, and run without one.
    *("numbers.js", "recompute.js", "training.js", "sentences.js"),
    *(
        "steps.js",
        "learn.js",
        "plane.js",
        "picture.js",
        "network.js",
        "values.js",
        "panels.js",
        "quiz.js",
        "link.js",
    ),
    *("files.js", "paper.js", "keys.js", "main.js"),
)
"""The files of the script, in the order in which they are joined."""


class TooLargeError(ValueError):
    """A graph with more values than a page can walk through."""


def page(
    root: Value,
    names: Mapping[str, Any] | None = None,
    *,
    title: str = "",
    mistake: str | None = None,
) -> str:
    """A complete HTML document that walks through the step that computed `root`.

    names: variables and what they hold, such as ``locals()``, for Values without a label.
    title: what stands at the top; by default the name of `root`, and what is done with it.
    mistake: one of `MISTAKES` that the backward pass makes when the page opens; its reader can
        switch it off, and on again.

    A `TooLargeError` says what to do beyond 20,000 values; a ValueError names the mistakes.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> document = page(a * b, title="A product")
    >>> "<title>A product</title>" in document, "v1 = a × b = 2 × −3 = −6" in document
    (True, True)
    """
    if not isinstance(root, Value):
        raise TypeError(f"page needs a Value, but got {type(root).__name__}: pass one output")
    graph = Graph(root, names)
    _check_size(graph)  # before it is recorded
    return page_of(graph, record_of(graph, mistake), title)


def page_of(
    graph: Graph,
    step: Record,
    title: str = "",
    optimizer: Optimizer | None = None,
    parameters: Sequence[Value] | None = None,
    rows: Data | None = None,
) -> str:
    """`page`, for a graph whose record is there already."""
    _check_size(graph)
    if optimizer is not None and rules_of(optimizer) is None:
        step = record_of(graph, step.mistake)  # the page could not go on
    plan, spelling = Plan(graph, step), spell_operations(graph)
    layouts = lay_out(plan)
    title = clean(title) or f"{title_of(graph)}: one step of backpropagation"
    # Before the update: what is computed from a parameter was computed from its old value.
    end = moment(step, sum(not isinstance(x, Update) for x in step.events), over=True)
    pictures = [picture(plan, layout, end) for layout in layouts]
    network = network_of(graph)
    columns = columns_of(network) if network else None
    if columns:
        pictures.append(network_picture(plan, columns, end))
    styles = {
        "look": LOOK,
        "network_look": _file("network.css") * bool(columns),
        "style": palette() + _file("player.css"),
    }
    optimizers = spell_optimizers(optimizer, plan.short[-1])
    operations = javascript(spelling.functions)
    operations += lacking_in_javascript(operations)
    beginning = updating(optimizers) + _programs(rows)
    scripts = {"operations": operations, "player": _player(beginning)}
    parts = {
        "policy": _policy(styles, scripts),
        "title": html.escape(title),
        "markers": MARKERS,
        "area": f"-20 -20 {layouts[0].width + 40} {layouts[0].height + 40}",
        "view": pictures[0],
        # A view that is not open yet costs nothing in a template.
        "views": "".join(f"<template><svg>{each}</svg></template>\n" for each in pictures[1:]),
        "count": f"{len(step):,}",
        "mistake": f"With a mistake: {escaped(MISTAKES[step.mistake])}." if step.mistake else "",
        "rows": "".join(_rows(step)),
        "data": _json(
            {"title": title}
            | _data(plan, layouts, spelling, columns)
            | {"optimizers": [each.words for each in optimizers]}
            | {"learning": _learning(plan, optimizer, parameters)}
            | {"rows": None if rows is None else _rows_of(rows)}
        ),
        **styles,
        **scripts,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("player.html"))


def pictures_of(
    graph: Graph, step: Record, counts: Iterable[int], theme: str = "light"
) -> Iterator[str]:
    """The pictures of some steps as files of SVG, each as the page shows it when it opens there."""
    _check_size(graph)
    plan = Plan(graph, step)
    layouts = lay_out(plan)
    right = None
    if step.mistake:
        repaired = record_of(graph)
        _, right = repaired.state(len(repaired))
    for count in counts:
        now = moment(step, count, right)
        places = touched(now.event)
        whole = all(plan.views[0].shown[place] == place for place in places)
        which = 0 if whole else plan.home[places[-1]]
        title = f"step {count} of {len(step)}: {step.line(count)}"
        yield standalone(plan, layouts[which], now, title, theme)


def _check_size(graph: Graph) -> None:
    if len(graph.order) > LARGEST:
        raise TooLargeError(
            f"the graph has {len(graph.order):,} values, and a page walks through {LARGEST:,} at "
            "most: explain the loss of one example rather than of a batch"
        )


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _player(beginning: str) -> str:
    """The files of the script as one program, in a scope of its own."""
    files = "".join(bare(_file(name)) for name in PLAYER)
    return f'"use strict";\n(() => {{\n{beginning}{files}}})();\n'


def bare(script: str) -> str:
    """A script without what it says to those who change it: that stays where it is."""
    text = re.sub(r"^ *(/\*.*?\*/|// ---.*?)\n+", "", script, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^ +", "", text, flags=re.MULTILINE)


def _policy(styles: Mapping[str, str], scripts: Mapping[str, str]) -> str:
    """A content security policy: what the page brings along may run, and nothing is fetched."""
    return (
        f"default-src 'none'; style-src {' '.join(map(_hash, styles.values()))}; "
        f"script-src {' '.join(map(_hash, scripts.values()))}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def palette() -> str:
    """The colours of drawings, as variables of the style sheet."""

    def rules(theme: str) -> str:
        return "".join(f"--{name}: {colour}; " for name, colour in THEMES[theme].items())

    dark = f"{{ color-scheme: dark; {rules('dark')}}}"
    return (
        f"\n:root {{ color-scheme: light; {rules('light')}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {dark} }}\n"
        f":root[data-theme=dark] {dark}\n"
        f"@media print {{ :root:root:root {{ color-scheme: light; {rules('light')}}} }}\n"
    )


# --- The data of the page, and the table ----------------------------------------------------------


def _data(
    plan: Plan, layouts: Sequence[Layout], spelling: Spelling, columns: Columns | None
) -> dict[str, Any]:
    """What the script needs to know of the step."""
    nodes = plan.step.nodes
    views = [
        {
            "box": -1 if layout.view.box is None else layout.view.box.identifier,
            "level": layout.view.level,
            "parent": layout.view.parent,
            "width": layout.width,
            "height": layout.height,
        }
        for layout in layouts
    ]
    if columns:
        views.append({"box": -1, "level": -1, "parent": 0} | size_of(columns))
    return {
        "names": plan.names,
        "short": {
            place: short for place, short in enumerate(plan.short) if short != plan.names[place]
        },
        "latex": [latex_name(plan.graph.called[value]) for value in plan.graph.order],
        "values": [node.value for node in nodes],
        "operation": spelling.operation,
        "operands": [node.operands for node in nodes],
        "order": plan.graph.engine_order,
        "partials": _partials(plan.step),
        "constants": [place for place, node in enumerate(nodes) if node.constant],
        "operations": spelling.words,
        "mentions": spelling.mentions,
        "mostOutputs": MOST_OUTPUTS,
        "statements": statements(plan.graph, plan.short),
        "mistakes": MISTAKES,
        "mistake": plan.step.mistake,
        "boxes": [
            {
                "title": clean(box.title),
                "name": clean(box.name),
                "outputs": plan.outputs[box],
            }
            for box in plan.boxes
        ],
        "paths": [[box.identifier for box in path] for path in plan.paths],
        "home": plan.home,
        "views": views,
        "network": network_data(columns, len(layouts)) if columns else None,
    }


def _learning(
    plan: Plan, optimizer: Optimizer | None, parameters: Sequence[Value] | None
) -> dict[str, Any]:
    """What the page can train, and whether it does so from the beginning."""
    places = plan.graph.places
    if parameters is None:
        parameters = trainable(plan.graph, optimizer, None, None)
    trained = [places[x] for x in parameters]
    if optimizer is None or rules_of(optimizer) is None:
        return {"on": False, "parameters": trained}
    known = [i for i, x in enumerate(optimizer.parameters) if x in places]
    memory = {name: [x[i] for i in known] for name, x in optimizer._memory.items()}
    return {"on": True, "parameters": trained, "memory": memory}


def _programs(rows: Data | None) -> str:
    """What computes the loss, and the prediction, of rows: each text has a scope of its own."""
    texts = ["", ""] if rows is None else [rows.loss, rows.prediction]
    return "".join(
        f"const {name} = {f'(() => {{ {text} return run; }})()' if text else 'null'};\n"
        for name, text in zip(("LOSS", "PREDICTION"), texts, strict=True)
    )


def _rows_of(rows: Data) -> dict[str, Any]:
    found = asdict(rows)
    del found["loss"], found["prediction"]
    return found


def _partials(step: Record) -> list[list[float]]:
    """The local derivatives of each node, as they were met."""
    partials = [[0.0] * len(node.operands) for node in step.nodes]
    for event in step:
        if isinstance(event, Contribution):
            partials[event.node][event.place] = event.local
    return partials


def _json(data: Any) -> str:
    """JSON that can stand inside of a script element, whatever its strings hold."""
    text = json.dumps(speakable(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _rows(step: Record) -> Iterator[str]:
    """The table of the step: one row for each event."""
    for count, event in enumerate(step, 1):
        half, line = "backward", step.line(count)
        if isinstance(event, (Given, Forward)):
            half = "forward"
        elif isinstance(event, Update):
            half = "update"
        elif step.about_constant(event):  # it is there, since steps are counted, but it is quiet
            half = "backward constant"
        yield (
            f'<tr class="{half}"><td><a href="#step={count}">{count}</a></td>'
            f"<td>{escaped(line)}</td></tr>\n"
        )
