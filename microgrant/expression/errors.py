"""What is wrong with an expression, in one line that points at the place.

With this module you can

- catch it:                        except ExpressionError as error: print(error)
- point at the place yourself:     error.message, error.position
- show a part of what was typed:   short(name), listed(names)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

__all__ = ["ExpressionError", "listed", "short"]


class ExpressionError(ValueError):
    """An expression that cannot be computed; ``str(error)`` is one line for a terminal.

    message: what is wrong, without the place.
    text: the whole expression.
    position: where, counted from 0 (the line that people read counts columns from 1, and of several
        lines says which); None where the text is in order and the values given for it are not.

    >>> from microgrant.expression import evaluate
    >>> evaluate("2 * (x +", {"x": 1.0})
    Traceback (most recent call last):
        ...
    microgrant.expression.errors.ExpressionError: column 9, after "2 * (x +": expected a number, ...
    """

    def __init__(self, message: str, text: str, position: int | None = None) -> None:
        super().__init__(message, text, position)
        self.message, self.text, self.position = message, text, position

    def __str__(self) -> str:
        if self.position is None:
            return self.message
        before = self.text[: self.position]
        line, start = before.count("\n") + 1, before.rfind("\n") + 1
        place = f"column {self.position - start + 1}"
        if "\n" in self.text.strip():
            place = f"line {line}, {place}"
        # Only the end is shown, so only the end is escaped.
        shown = _escaped(before[start:].rstrip()[-25:])
        if len(shown) > 24:
            shown = "…" + shown[-23:]
        after = f', after "{shown}"' if shown else ""
        return f"{place}{after}: {self.message}"


def short(text: str) -> str:
    """The beginning of a text, on one line.

    >>> short("a" * 100), short("a\\n")
    ('aaaaaaaaaaaaaaaaaaa…', 'a\\\\n')
    """
    shown = _escaped(text[:21])
    return shown if len(shown) <= 20 else shown[:19] + "…"


def listed(words: Sequence[str], room: int = 100) -> str:
    """Words as a sentence lists them; those that do not fit into the line are counted.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], room=3)
    ('a, b and c', 'a and 2 more')
    """
    lengths = accumulate(len(word) + 2 for word in words)
    fitting = sum(length <= room for length in lengths)
    shown = list(words[:fitting])
    if fitting < len(words):
        shown.append(f"{len(words) - fitting} more")
    *others, last = shown
    return f"{', '.join(others)} and {last}" if others else last


def _escaped(text: str) -> str:
    """Text on one line: what would move the cursor, or hide, is written as Python escapes it."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
