"""What the values of a graph are called.

With this module you can

- collect the names that the user has given:      given_names(order, locals())
- add those that are missing, as x1, v1 and 2:    add_names(order, called)
- go through the Values that variables hold:      held(locals())
- tell things of one name apart:                  different("w", times)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count

from ..engine.value import Value
from ..nn import Module
from ..ops.numbers import number

__all__ = ["LARGEST_SEARCHED", "MOST_SEARCHED", "add_names", "different", "given_names", "held"]

MOST_SEARCHED = 100_000  # things looked at for names, in all
LARGEST_SEARCHED = 10_000  # a longer list is data, not a place where names come from


def given_names(order: Sequence[Value], names: Mapping[str, object]) -> dict[Value, str]:
    """The names that the user has given: labels, and variables in `names` that hold a Value (or a
    list, a dictionary or a module in which it is, at any depth). A name given twice gets a number.

    >>> from microgrant import topological_order
    >>> x = Value(3.0)
    >>> list(given_names(topological_order(x * 2), {"inputs": [x]}).values())
    ['inputs[0]']
    """
    wanted = set(order)
    called: dict[Value, str] = {}
    times: dict[str, int] = {}
    labelled = ((value.label, value) for value in order if value.label)
    for name, value in chain(labelled, held(names)):
        if value in wanted and value not in called:
            called[value] = different(name, times)
    return called


def add_names(order: Sequence[Value], called: dict[Value, str]) -> None:
    """Add a name for each Value of a graph that has none yet, different from all others.

    Its number if it is a constant of the program; or else x1, x2, … for what goes in and v1, v2, …
    for what is computed.

    >>> from microgrant import topological_order
    >>> x = Value(3.0)
    >>> y = x * 2 + 1
    >>> called = given_names(topological_order(y), {"y": y})
    >>> add_names(topological_order(y), called)
    >>> list(called.values())
    ['y', 'x1', '2', 'v1', '1']
    """
    taken = set(called.values())
    inputs, results = _free("x", taken), _free("v", taken)
    for value in order:
        if value in called:
            continue
        if value._constant:
            called[value] = number(value._data)  # constants need not differ
        else:
            called[value] = next(inputs if value.operation is None else results)


def _free(letter: str, taken: Container[str]) -> Iterator[str]:
    return (f"{letter}{i}" for i in count(1) if f"{letter}{i}" not in taken)


def different(name: str, times: dict[str, int]) -> str:
    """The name, or ``name′2`` and so on for a further thing with that name.

    times: how often each name has come up; it is kept up to date.

    >>> times = {}
    >>> different("w", times), different("w", times)
    ('w', 'w′2')
    """
    while True:
        times[name] = times.get(name, 0) + 1
        if times[name] == 1:
            return name
        numbered = f"{name}′{times[name]}"
        if numbered not in times:
            times[numbered] = 1
            return numbered


def held(names: Mapping[str, object]) -> Iterator[tuple[str, Value]]:
    """The Values in variables, then those in the lists, dictionaries and modules there.

    >>> x = Value(2.0)
    >>> list(held({"inputs": [x, 1.0]}))
    [('inputs[0]', Value(data=2.0, grad=0.0))]
    """
    seen: set[int] = set()
    waiting = deque((str(name), x) for name, x in names.items() if not str(name).startswith("_"))
    for _ in range(MOST_SEARCHED):
        if not waiting:
            return
        name, x = waiting.popleft()
        if isinstance(x, Value):
            yield name, x
        elif id(x) not in seen:
            seen.add(id(x))
            waiting.extend((f"{name}{rest}", inner) for rest, inner in _inside(x))


def _inside(x: object) -> Iterable[tuple[str, object]]:
    if isinstance(x, (list, tuple)) and len(x) <= LARGEST_SEARCHED:
        return [(f"[{i}]", element) for i, element in enumerate(x)]
    if isinstance(x, dict) and len(x) <= LARGEST_SEARCHED:
        return [(f"[{key!r}]", element) for key, element in x.items()]
    if isinstance(x, Module):
        return [(f".{name}", value) for name, value in x.named_parameters()]
    return ()
