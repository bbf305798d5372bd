"""Views of a step: as a drawing, as a table, on a slide, in a terminal, as a page to walk through.

With this package you can

- draw the graph of a step:     draw(loss).write("step.svg")
- read the step:                print(explain(loss))
- project it:                   explain(loss).save("step.html")
- have its events as data:      record(loss)
"""

from .drawing import draw
from .events import (
    MISTAKES,
    Contribution,
    Equation,
    Event,
    Forward,
    Given,
    Node,
    Record,
    Seed,
    Update,
    record,
)
from .explanation import Explanation, explain
from .graph import COLLAPSE_ABOVE
from .style import THEMES

__all__ = ["COLLAPSE_ABOVE", "MISTAKES", "THEMES", "Contribution", "Equation", "Event"]
__all__ += ["Explanation", "Forward", "Given", "Node", "Record", "Seed", "Update", "draw"]
__all__ += ["explain", "record"]
