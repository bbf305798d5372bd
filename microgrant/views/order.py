"""In which order a step is told: as one would compute it by hand.

With this module you can

- put a graph in that order:             order = order_of(topological_order(loss))
- see what its conditions mention too:   mentioned_by(order)

`topological_order` goes depth first, and so it begins with the last input of a recurrent network.
By hand, a part of the whole is finished before what it is a part of is begun. A part is

- what is used more than once;
- what is written as a function or in brackets, if that takes more than one step;
- a call of a module, which begins when all is there that it was given.

All else goes from left to right, as it is written. So one step of a recurrent network comes after
the other, one layer after the other, and in it one neuron after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..engine.conditions import Choice, Condition, Walked, sources, whole_order
from ..engine.value import Value
from ..nn import ModuleCall
from ..ops.table import PRODUCT

__all__ = ["mentioned_by", "order_of"]


def order_of(graph: Sequence[Value]) -> list[Value]:
    """A graph, of which the result is the last, in the order in which it is told; a `where` comes
    after what its condition compared.

    >>> from microgrant import topological_order
    >>> w, x, u, h = (Value(0.5, name) for name in ("w", "x", "u", "h"))
    >>> order = order_of(topological_order(w * x + (u * h).tanh()))
    >>> [value.label or value._op for value in order]
    ['u', 'h', '*', 'tanh', 'w', 'x', '*', '+']
    """
    inside = set(graph)
    return [x for x in whole_order(*_parts(graph[-1])) if isinstance(x, Value) and x in inside]


def mentioned_by(order: Sequence[Value]) -> list[Value]:
    """The Values outside of a graph that its conditions, and branches not taken, were computed
    from, in the order of those that mention them."""
    if not any(isinstance(value.operation, Choice) for value in order):
        return []
    inside = set(order)
    return [x for x in whole_order(*order) if isinstance(x, Value) and x not in inside]


def _parts(root: Value) -> list[Walked]:
    """The parts of the whole, in the order in which they are finished; `root` is the last."""
    everything = whole_order(root)
    inside = set(map(id, everything))
    calls = dict.fromkeys(call for x in everything for call in _returned_by(x))
    handed_on = [x for call in calls for x in call.inputs if id(x) in inside]
    outputs: dict[ModuleCall, list[Walked]] = {call: [] for call in calls}
    # As they were handed on: what pools the outputs of a convolution uses them in another order.
    for x in {id(x): x for x in (*handed_on, *everything)}.values():
        for call in _returned_by(x):
            outputs[call].append(x)
    alone = {id(x) for x in (*handed_on, *_written_alone(everything))}
    order: list[Walked] = []
    begun: set[int] = set()
    stack: list[Walked | None] = [root]
    while stack:
        part = stack.pop()
        if part is None:  # marks that the parts of the one below it are finished
            order.append(stack.pop())  # type: ignore[arg-type]
            continue
        if id(part) in begun:
            continue
        for call in reversed(_returned_by(part)):  # from the outside in
            if call in outputs:
                given = [x for x in call.inputs if id(x) in inside]
                stack += reversed([*given, *outputs.pop(call)])
                break
        else:
            begun.add(id(part))
            stack += (part, None, *reversed(_parts_of(part, alone)))
    return order


def _parts_of(whole: Walked, alone: set[int]) -> list[Walked]:
    """Those nearest to it, from left to right. What lies between is used once: so all such walks
    together are as long as the graph is large."""
    found: list[Walked] = []
    stack = [*reversed(sources(whole))]
    while stack:
        x = stack.pop()
        if id(x) in alone:
            found.append(x)
        else:
            stack += reversed(sources(x))
    return found


def _written_alone(everything: list[Walked]) -> Iterable[Walked]:
    """What is computed and used more than once, what a module returned, and what is written as a
    function or in brackets, if that takes more than one step."""
    uses = Counter(id(x) for user in everything for x in sources(user))
    for x in everything:
        if sources(x) and (uses[id(x)] > 1 or _returned_by(x)):
            yield x
    for user in everything:
        for place, x in enumerate(sources(user)):
            if any(map(sources, sources(x))) and _set_off(x, user, place):
                yield x


def _set_off(x: Walked, user: Walked, place: int) -> bool:
    """Whether a program has to write it as a function, or in brackets where it is used."""
    if isinstance(x, Condition) or isinstance(user, Condition):
        return False
    if x.operation is None or user.operation is None:
        return False
    tight, binding = x.operation.precedence, user.operation.precedence
    if tight > PRODUCT or len(x.operands) == 1:
        return True
    return tight < binding <= PRODUCT or (tight == binding and place > 0)


def _returned_by(x: Walked) -> tuple[ModuleCall, ...]:
    """The calls of modules that it was returned by, from the inside out."""
    return getattr(x, "_scope", ())
