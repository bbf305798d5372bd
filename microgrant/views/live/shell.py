"""The page around the player: a field for the expression, and one for each of its values.

With this module you can

- have its files, by name:           files()["index.html"]
- link to an expression in it:       "index.html" + fragment("a*b", {"a": "2", "b": "-3"})

The files stand side by side wherever they are served from. ``transport.js`` alone knows what
answers the page: here, the server that served it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from importlib.resources import files as resources
from urllib.parse import urlencode

from ..player.document import palette

__all__ = ["EXAMPLES", "files", "fragment"]

EXAMPLES: dict[str, tuple[str, dict[str, str]]] = {
    "a neuron": (
        "tanh(w1*x1 + w2*x2 + b)",
        {"x1": "2", "x2": "0", "w1": "-3", "w2": "1", "b": "6.8813735870195432"},
    ),
    "a product": ("(a*b + c)**2", {"a": "2", "b": "-3", "c": "10"}),
    "a logistic unit": ("sigmoid(w*x + b)", {"w": "2", "x": "-1", "b": "0.5"}),
    "a squared error": ("(w*x + b - y)**2", {"w": "-3", "x": "2", "b": "0.5", "y": "1"}),
    "one value, used twice": ("x*x + sin(x)", {"x": "1/3"}),
}


def files() -> dict[str, str]:
    """The files of the page, by name: ``index.html`` and what it asks for."""
    options = "".join(
        f'<option value="{html.escape(fragment(expression, values))}">{html.escape(title)}</option>'
        for title, (expression, values) in EXAMPLES.items()
    )
    return {
        "index.html": _file("live.html").replace("{{examples}}", options),
        "live.css": palette() + _file("live.css"),
        "live.js": _file("live.js"),
        "transport.js": _file("transport.js"),
    }


def fragment(expression: str, values: Mapping[str, str]) -> str:
    """What stands behind the address of the page, for it to open with an expression.

    >>> fragment("a*b + e", {"a": "2", "b": "1/3", "e": "-1"})
    '#e=a*b+%2B+e&a=2&b=1/3&e=-1'
    """
    return "#" + urlencode([("e", expression), *values.items()], safe="()*/,;")


def _file(name: str) -> str:
    return resources(__package__).joinpath(name).read_text(encoding="utf-8")
