"""How views look: their colours, and how they write signs and the words of users.

With this module you can

- change a colour, such as that of a gradient:   `THEMES`
- print the sign of an operation:                sign("*") is "×"
- keep what would break a line out of a text:    clean("a\\nb")
- escape it for Graphviz:                        in_label(text), in_attribute(text)
- let a picture follow the page around it:       fitted(svg, themed=True)
- keep a table short in a notebook:              beginning(table)
- write numbers as JSON can hold them:           speakable({"value": math.inf})
"""

from __future__ import annotations

import html
import math
import re

from ..ops.numbers import number

__all__ = [
    "THEMES",
    "beginning",
    "clean",
    "fitted",
    "in_attribute",
    "in_label",
    "sign",
    "speakable",
]

THEMES: dict[str, dict[str, str]] = {
    "light": {
        "background": "#FFFFFF",
        "node": "#FFFFFF",
        "leaf": "#F2F5F8",
        "cluster": "#F8F8F5",
        "line": "#5B6570",
        "text": "#1A1A1A",
        "quiet": "#5B6570",
        "value": "#005A9C",
        "gradient": "#A63D00",
    },
    "dark": {
        "background": "#14181C",
        "node": "#1D2329",
        "leaf": "#262E36",
        "cluster": "#1A1F24",
        "line": "#9AA5B1",
        "text": "#F2F2F2",
        "quiet": "#AAB4BE",
        "value": "#56B4E9",
        "gradient": "#E69F00",
    },
}
"""Colours that a colour-blind viewer tells apart. Each has its place too, above or below."""

# Graphviz reads no string beyond 16,384 bytes, and what is escaped may take five for a character.
LONGEST = 3_000
MOST_LINES = 60  # of a table in a notebook

# A picture in the dark: in JupyterLab, in VS Code, in Colab; and by itself, as a file or an image.
_DARK_PAGE = ':is([data-jp-theme-light="false"], .vscode-dark, html[theme="dark"]) svg.microgrant'
_BY_ITSELF = "svg.microgrant:root"

# JupyterLab shows a picture as an image, whose size is that of its attributes: a wide one is to be
# as wide as the page.
WIDE = 600
_SIZE = re.compile(r'width="([\d.]+)pt"\s+height="[\d.]+pt"')

# What would break a line of the table, or turn it around.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What no label of Graphviz's can hold.
_NOT_TEXT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def sign(symbol: str) -> str:
    """An operation's sign in print.

    >>> sign("*"), sign("tanh")
    ('×', 'tanh')
    """
    if symbol.startswith("**") and symbol != "**":  # as exact as micrograd's, which is too long
        return f"^{number(float(symbol[2:]))}"
    return {"*": "×", "-": "−", "neg": "−", "**": "^"}.get(symbol, symbol)


def clean(text: str) -> str:
    """Text in which nothing breaks a line, turns it around, or cannot be written.

    >>> clean("a\\nb")
    'a�b'
    """
    return _CONTROL.sub("\ufffd", text)


def in_attribute(text: str) -> str:
    """Text for an attribute such as a tooltip: no control characters, no escapes of Graphviz's.

    Of a text that is too long for Graphviz, its beginning and its end.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
    # Graphviz resolves the escapes of a tooltip twice.
    text = _NOT_TEXT.sub("\ufffd", text).replace("&", "&amp;").replace("\\", "\\" * 4)
    return text.replace("\n", " ")


def in_label(text: str) -> str:
    """Text for an HTML-like label."""
    text = text if len(text) <= 80 else text[:79] + "…"
    text = html.escape(_NOT_TEXT.sub("\ufffd", text), quote=False).replace('"', "&quot;")
    return text.replace("\\", "\\\\").replace("\n", "<BR/>") or " "


def beginning(table: str) -> str:
    """As much of the table of a step as a notebook keeps, for where it shows no picture."""
    lines = table.splitlines()
    rest = [f"… and {len(lines) - MOST_LINES:,} lines more: print(explain(…)) has them"]
    return "\n".join(lines[:MOST_LINES] + rest * (len(lines) > MOST_LINES))


def fitted(svg: str, themed: bool) -> str:
    """A picture that is no wider than the page around it; with `themed`, one in light colours that
    turns dark where that page is dark."""
    style, widest = "", "100%"
    if themed:
        alone = f"@media (prefers-color-scheme: dark) {{ {_in_the_dark(_BY_ITSELF)} }}"
        style = f"<style>{_in_the_dark(_DARK_PAGE)} {alone}</style>"
    if (size := _SIZE.search(svg)) and float(size[1]) > WIDE:
        svg, widest = _SIZE.sub('width="100%"', svg, count=1), f"{size[1]}pt"
    look = f'class="microgrant" style="max-width: {widest}; height: auto"'
    return re.sub("<svg([^>]*)>", rf"<svg {look}\1>{style}", svg, count=1)


def _in_the_dark(picture: str) -> str:
    """Rules that give each light colour its dark twin; of those that have the same light one, text
    is told from lines, and what is behind everything from what is in front of it."""
    rules: dict[str, str] = {}
    for name, light in THEMES["light"].items():
        dark, light = THEMES["dark"][name], light.lower()
        if name == "background":
            rules[".graph > g > a > polygon"] = f"fill: {dark}"
        elif name == "line":
            rules[f':not(text)[fill="{light}"]'] = f"fill: {dark}"
            rules[f'[stroke="{light}"]'] = f"stroke: {dark}"
        elif name in ("node", "leaf", "cluster"):
            rules.setdefault(f':not(text)[fill="{light}"]', f"fill: {dark}")
        else:
            rules[f'text[fill="{light}"]'] = f"fill: {dark}"
            rules.setdefault(f'[stroke="{light}"]', f"stroke: {dark}")
    return " ".join(f"{picture} {selector} {{ {rule} }}" for selector, rule in rules.items())


def speakable(x: object) -> object:
    """The same, with texts for the numbers that JSON cannot write.

    >>> speakable({"value": float("-inf")})
    {'value': '-inf'}
    """
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    if isinstance(x, dict):
        return {key: speakable(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [speakable(value) for value in x]
    return x
