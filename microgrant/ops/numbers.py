"""Numbers as drawings, tables and the page write them.

With this module you can

- write a number for people:  ``number(-0.70710678)`` is ``−0.7071``
- be honest about it:         ``equals(0.25)`` is ``=``, and ``equals(-0.70710678)`` is ``≈``
- line up a table of texts:   print(aligned([["epoch", "loss"], ["1", "0.25"]]))
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["aligned", "equals", "number", "superscript"]


def number(value: float) -> str:
    """A number for people: four significant digits, a true minus sign, nan and inf in words.

    Scientific below 1e-3 and from 1e5 on; whole numbers without a decimal point; 0 without a sign,
    since a dead ReLU's gradient of −0 raises questions that have nothing to do with the lesson.

    >>> [number(x) for x in (2.0, -0.70710678, 1234.567, 0.00012345, -1e300, math.nan, -math.inf)]
    ['2', '−0.7071', '1235', '1.234e−4', '−1e300', 'nan', '−inf']
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        text = str(value)
    elif 1e-3 <= abs(value) < 99_999.5:
        text = f"{value:.4g}" if abs(value) < 9_999.5 else f"{value:.0f}"
    else:
        digits, exponent = f"{value:.3e}".split("e")
        text = f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text.replace("-", "−")


def equals(*values: float) -> str:
    """The sign before numbers as `number` writes them: ``≈`` if it rounds one of them.

    What a computer adds in the sixteenth digit does not count: 0.1 + 0.2 is 0.3 here.

    >>> equals(0.5, 2.0), equals(0.5, 2 / 3), equals(0.1 + 0.2), equals(math.inf)
    ('=', '≈', '=', '=')
    """
    return "=" if all(map(_is_exact, values)) else "≈"


def _is_exact(value: float) -> bool:
    printed = float(number(value).replace("−", "-"))
    return not math.isfinite(value) or math.isclose(printed, value, rel_tol=1e-9)


def superscript(number: str) -> str:
    """A number as an exponent: ² or ⁻¹, and ^0.5 where there are no such characters."""
    if set(number) <= set("−0123456789"):
        return number.translate(str.maketrans("−0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "^" + number


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of texts in columns, flush right; what stands beyond the first line's end is appended.

    >>> print(aligned([["epoch", "loss"], ["1", "0.25"], ["100", "0.125", "best"]]))
    epoch   loss
        1   0.25
      100  0.125  best
    """
    columns = range(len(lines[0]) if lines else 0)
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in columns]
    return "\n".join(
        "  ".join(text.rjust(widths[i]) if i < len(widths) else text for i, text in enumerate(line))
        for line in lines
    )
