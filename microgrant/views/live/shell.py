"""The page around the player: a field for the expression, and one for each of its values.

With this module you can

- have its files, by name:           files()["index.html"]
- link to an expression in it:       "index.html" + fragment("a*b", {"a": "2", "b": "-3"})

The files stand side by side wherever they are served from. ``transport.js`` alone knows what
answers the page: here, the server that served it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from importlib.resources import files as resources
from itertools import groupby
from urllib.parse import urlencode

from ...textbooks import EXAMPLES
from ..player.document import palette

__all__ = ["files", "fragment"]


def files() -> dict[str, str]:
    """The files of the page, by name: ``index.html`` and what it asks for."""
    return {
        "index.html": _file("live.html").replace("{{examples}}", "".join(_examples())),
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


def _examples() -> Iterator[str]:
    """The options of the menu, each with the link that it opens, by who prints them."""
    for source, found in groupby(EXAMPLES.values(), lambda example: example.source):
        yield f'<optgroup label="{html.escape(source)}">'
        for example in found:
            link = html.escape(fragment(example.expression, example.typed))
            yield f'<option value="{link}">{html.escape(example.title)}</option>'
        yield "</optgroup>"


def _file(name: str) -> str:
    return resources(__package__).joinpath(name).read_text(encoding="utf-8")
