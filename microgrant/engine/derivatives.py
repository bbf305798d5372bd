"""Derivatives as results, of any order, and operations of your own.

With this module you can

- differentiate without touching `.grad`:    grad(loss, [w, b])
- differentiate derivatives again:           grad(loss, [w, b], create_graph=True)
- take one branch of two:                    where(x > 0, x.log(), 0.0)
- let no gradient through:                  detach(x)
- apply any operation of the table:         apply(OPERATIONS["tanh"], x)
- add an operation of your own:              define("gaussian", forward, partials)
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial as bind
from types import SimpleNamespace
from typing import Any, Literal, NoReturn, overload

from ..ops.table import DETACH, FAMILIES, FLOATS, OPERATIONS, Operation, Rule
from . import modes
from .arguments import as_number, shown, unboxed, whole_number
from .by_hand import ByHand
from .conditions import Choice, Condition, Sameness, note_decision
from .habits import GRAD, refuse
from .value import Number, Value, as_value, topological_order

__all__ = ["VALUES", "apply", "define", "detach", "grad", "where"]


def apply(operation: Operation, *operands: Number) -> Value:
    """The Value of any operation of the table, or of your own, recorded like the others.

    >>> from microgrant.ops import OPERATIONS
    >>> apply(OPERATIONS["mul"], Value(2.0), 3.0)
    Value(data=6.0, grad=0.0)
    """
    if not isinstance(operation, Operation):
        raise TypeError(
            f"apply needs an operation, such as OPERATIONS['tanh'], but got {shown(operation)}"
        )
    if len(operands) != operation.arity:
        many = "s" * (operation.arity != 1)
        raise TypeError(
            f"{operation.name} takes {operation.arity} operand{many}, but got {len(operands)}"
        )
    return Value._apply(operation, *operands)


def _where_in_a_rule(condition: object, yes: Number, no: Number, *, alike: bool = False) -> Number:
    """`where` on what a rule computes with: a number that is chosen for good stays a number."""
    if not isinstance(condition, (Condition, Sameness)):
        return yes if condition else no
    chosen = where(condition, yes, no)
    if isinstance(chosen.operation, Choice):
        object.__setattr__(chosen.operation, "alike", alike)
    return chosen


VALUES = SimpleNamespace(
    where=_where_in_a_rule,
    alike=bind(_where_in_a_rule, alike=True),
    **{name: bind(Value._apply, operation) for name, operation in OPERATIONS.items()}
    | {"pow": lambda base, exponent: as_value(base) ** exponent},
)
"""The algebra of Values: what a rule finds in ``m`` for derivatives of derivatives."""


@overload
def grad(y: Value, xs: Value, create_graph: Literal[False] = False) -> float: ...
@overload
def grad(y: Value, xs: Iterable[Value], create_graph: Literal[False] = False) -> list[float]: ...
@overload
def grad(y: Value, xs: Value, create_graph: Literal[True]) -> Value: ...
@overload
def grad(y: Value, xs: Iterable[Value], create_graph: Literal[True]) -> list[Value]: ...
@overload
def grad(y: Value, xs: Value | Iterable[Value], create_graph: bool) -> Any: ...
def grad(
    y: Value,
    xs: Value | Iterable[Value] | None = None,
    create_graph: bool = False,
    **habits: NoReturn,
) -> Any:
    """dy/dx for one x or for a list of them; no `.grad` is touched.

    With `create_graph` the derivatives are Values with graphs of their own, and can be
    differentiated again, to any order. Where y does not depend on x, the derivative is 0.

    >>> x = Value(2.0)
    >>> y = x**3
    >>> grad(y, x)
    12.0
    >>> first = grad(y, x, create_graph=True)
    >>> second = grad(first, x, create_graph=True)
    >>> second.data, grad(second, x)
    (12.0, 6.0)
    """
    if callable(y):
        raise TypeError(
            "grad needs a Value that was computed already, and the Values to differentiate it by, "
            f"but got {shown(y)}: of a function f, grad(f(x), x) is the derivative by a Value x, "
            "and value_and_grad(f)(3.0) has the value of f and its derivative"
        )
    refuse("grad", habits, GRAD)
    y, xs = unboxed(y), unboxed(xs)
    try:
        wanted = [xs] if isinstance(xs, Value) else list(map(unboxed, xs))
    except TypeError:
        raise TypeError(f"grad needs a Value or a list of them, but xs is {shown(xs)}") from None
    for name, value in [("y", y), *(("xs", x) for x in wanted)]:
        if not isinstance(value, Value):
            raise TypeError(f"grad needs Values, but {name} is or holds {shown(value)}")
    order = topological_order(y)
    for operation in {node.operation: None for node in order}:
        if isinstance(operation, ByHand) and (create_graph or operation.function):
            raise ValueError(operation.advice)
    if create_graph:
        gradients = _gradients(order, Value(1.0), _differentiable_partials)
        found = [gradients.get(x, 0.0) for x in wanted]
        results = [x if isinstance(x, Value) else Value(x) for x in found]
    else:
        if modes.open_blocks and modes.inside("detect_anomaly"):
            modes.check_gradients(order, 1.0)
        gradients = _gradients(order, 1.0)
        results = [gradients.get(x, 0.0) for x in wanted]
    return results[0] if isinstance(xs, Value) else results


def _recorded_partials(node: Value, operation: Operation) -> Sequence[float]:
    return node.partials


def _differentiable_partials(node: Value, operation: Operation) -> Sequence[Number]:
    """The local derivatives again, this time as Values: the same rule, in another algebra."""
    changed = False
    if isinstance(operation, Choice):
        changed = not operation.condition.unchanged()
        if _matters(operation):  # the other branch is left out of the derivative for good
            note_decision(operation.condition)
    rule = operation.further or operation.partials
    try:
        partials = rule(VALUES, node, *node.operands)
    except TypeError as error:
        raise TypeError(
            f"the partials of {operation.name} work on floats only ({error}): for derivatives of "
            "derivatives, write them with the functions of m, as m.exp(x) instead of math.exp(x)"
        ) from error
    operands = [operand._data for operand in node.operands]
    data = operation.forward(*operands)
    numbers: Sequence[float] = [x._data if isinstance(x, Value) else x for x in partials]
    if operation.further:
        numbers = operation.partials(FLOATS, data, *operands)
    now_and_then = zip((data, *numbers), (node._data, *node.partials), strict=True)
    # nan is not equal to itself
    if changed or any(now != then and then == then for now, then in now_and_then):
        raise ValueError(
            f"the .data of {node!r} or of an operand was changed after the forward pass: "
            "record the graph again before asking for derivatives with create_graph=True"
        )
    return partials


def _matters(choice: Choice) -> bool:
    """Whether a derivative depends on it: one between constants has the derivative 0 anyway."""
    stack = [choice]
    while stack:
        choice = stack.pop()
        for branch in () if choice.alike else choice.branches:
            if isinstance(branch.operation, Choice):
                stack.append(branch.operation)
            elif not branch._constant:
                return True
    return False


def _gradients(
    order: list[Value],
    seed: Any,
    partials_of: Callable[[Value, Operation], Sequence[Any]] = _recorded_partials,
) -> dict[Value, Any]:
    """The derivatives of the last of `order`: the chain rule again, kept outside of the graph."""
    gradients: dict[Value, Any] = {order[-1]: seed}
    ends = None, DETACH  # not by 0 times the upstream, which may be inf
    for node in reversed(order):
        operation = node.operation
        if operation in ends or node not in gradients:
            continue
        upstream = gradients[node]
        for operand, partial in zip(node.operands, partials_of(node, operation), strict=True):
            unchanged = partial.__class__ is float and partial == 1.0  # needs no node in the graph
            contribution = upstream if unchanged else partial * upstream
            known = gradients.get(operand)
            gradients[operand] = contribution if known is None else known + contribution
    return gradients


def where(condition: Condition | Number, if_true: Number, if_false: Number) -> Value:
    """One of two values; the gradient goes to the one that is taken, and never to the other.

    So ``where(x > 0, x.log(), 0.0)`` has the derivative 0, and not nan, at x = 0.

    condition: a comparison of Values; or several, combined with ``&``, ``|`` and ``~``. (A Value
        stands for "is not 0".) The choice is recorded: what is compiled from the graph chooses anew
        for other numbers. (Derivatives with `create_graph` follow the branch taken, for good.)
        Or plain True or False, or a number, of which 0 is false: then the result is one of the
        two. A TypeError for all else, such as a list, a text or an array.

    >>> x = Value(0.0)
    >>> y = where(x > 0, x.log(), 0.0)
    >>> grad(y, [x])
    [0.0]
    """
    condition = unboxed(condition)
    if isinstance(condition, Sameness):
        raise TypeError(f"where chooses by a comparison of data, but {Sameness.ADVICE}")
    if isinstance(condition, Value):
        condition = condition != 0
    if not isinstance(condition, Condition):
        chosen, other = (if_true, if_false) if _plain_truth(condition) else (if_false, if_true)
        if modes.open_blocks and other is not chosen:
            modes.excuse([other])
        return as_value(chosen)
    choice = Choice(condition, as_value(if_true), as_value(if_false))
    taken: Value = choice.taken
    out = Value(taken.data)
    if modes.open_blocks:
        # A nan or inf that is passed on did not come up here, and one that is not is no matter.
        modes.watch(out, choice, (taken,), where=True)
        modes.excuse(branch for branch in choice.branches if branch is not taken)
        if modes.inside("no_grad"):
            return out
    out._record(choice, (taken,), (1.0,))
    return out


def _plain_truth(condition: object) -> bool:
    """A bool, or a number for which 0 is false, of whatever library."""
    try:
        return bool(as_number(condition))
    except TypeError:
        raise TypeError(
            "where chooses by a comparison of Values, such as x > 0, by a bool or by a Value, but "
            f"got {shown(condition)}"
        ) from None


def detach(value: Number) -> Value:
    """The same number, but no gradient flows back through it.

    For a loss that depends on a number without pulling at what that was computed from. It is
    recorded, so that a compiled step computes the number anew; of ``Value(x.data)`` it would not.

    >>> x = Value(3.0)
    >>> y = x * detach(x)
    >>> y.backward()
    >>> y.data, x.grad
    (9.0, 3.0)
    """
    return apply(DETACH, value)


def define(
    name: str,
    forward: Callable[..., float],
    partials: Rule,
    *,
    arity: int | None = None,
    domain: Sequence[tuple[float, float]] | None = None,
    symbol: str = "",
    spelling: Mapping[str, str] | None = None,
) -> Callable[..., Value]:
    """An operation of your own: a function of Values that is recorded, drawn and differentiated.

    forward: its value, from `arity` floats to a float.
    partials: its rule: ``partials(m, out, *operands)`` returns a tuple with one partial derivative
        for each operand. Written with plain operators and the functions of ``m`` (m.exp, m.where,
        m.div, and the others of the table), it also serves derivatives of derivatives and the
        words under a drawing; written with `math` it serves floats only.
    arity: how many operands it takes: one, unless `domain` says otherwise.
    domain: for each operand an interval in which it is smooth; by default -3 to 3.
    symbol: its sign in a drawing, if that is not its name.
    spelling: its value in "text", "python", "latex" and "javascript", such as "exp(-{0}²)"; with
        JavaScript, the page of a step can recompute it, and it can be compiled for a page.

    `gradcheck` checks it. A graph with it can be pickled if `forward` and `partials` are written
    with ``def`` at the top of a module. The chain rule itself is as in Griewank and Walther,
    "Evaluating Derivatives", 2nd edition, SIAM 2008, section 3.2.

    >>> import math
    >>> gaussian = define("gaussian", lambda x: math.exp(-x * x), lambda m, out, x: (-2 * x * out,))
    >>> x = Value(0.5)
    >>> y = gaussian(x)
    >>> y.backward()
    >>> print(f"{y:.4f} {x.grad:.4f}")
    0.7788 -0.7788
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"the name of an operation is a Python identifier, but got {name!r}")
    if name in OPERATIONS or name in FAMILIES:
        raise ValueError(f"the table has an operation {name!r} already: choose another name")

    for what, function_of_theirs in (("forward", forward), ("partials", partials)):
        if not callable(function_of_theirs):
            raise TypeError(f"{what} is a function, but got {shown(function_of_theirs)}")
    if not isinstance(spelling or {}, Mapping):
        raise TypeError(f"spelling is a dictionary of texts, but got {shown(spelling)}")
    for word in (symbol, *(spelling or {}).values()):
        if not isinstance(word, str):
            raise TypeError(f"symbol and spelling are texts, but got {shown(word)}")

    operation = _own(
        name, forward, partials, _intervals(arity, domain), symbol, dict(spelling or {})
    )

    def function(*operands: Number) -> Value:
        if len(operands) > 1 == operation.arity:
            raise TypeError(
                f"{name} takes 1 operand, but got {len(operands)}: say define(…, "
                f"arity={len(operands)}) if it is to take as many"
            )
        return apply(operation, *operands)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The operation {name}, recorded in the graph."
    return function


@dataclass(frozen=True, eq=False, repr=False)
class Own(Operation):
    """An operation of one's own. It is saved as what it was made of, which is `given`."""

    given: tuple[Any, ...] = ()

    def __reduce__(self) -> tuple[Callable[..., Operation], tuple[Any, ...]]:
        try:
            pickle.dumps(self.given)
        except Exception:  # of whatever class it may be
            # Where cloudpickle is, as with Dask and joblib, it may be what asks. It takes any.
            if not any(name.endswith("cloudpickle") for name in sys.modules):
                raise pickle.PicklingError(
                    f"the operation {self.name!r} is one of your own, and pickle finds functions "
                    "by their names alone: write its forward and its partials with def at the top "
                    "of a module"
                ) from None
        return _own, self.given


def _own(
    name: str, forward: Callable[..., float], partials: Rule,
    domain: tuple[tuple[float, float], ...], symbol: str, spelling: Mapping[str, str],
) -> Own:  # fmt: skip
    """The operation of `define`, whose functions answer with what they are to."""

    def checked_forward(*operands: float) -> float:
        return as_number(forward(*operands))

    def checked_partials(m: Any, out: Any, *operands: Any) -> tuple[Any, ...]:
        rule = partials(m, out, *operands)
        if not isinstance(rule, tuple) or len(rule) != len(operands):
            raise ValueError(
                f"the partials of {name} are to be a tuple of {len(operands)}, "
                f"one for each operand, but they are {rule!r}"
            )
        return tuple(map(as_number, rule)) if m is FLOATS else rule

    return Own(
        name=name,
        symbol=symbol,
        forward=checked_forward,
        partials=checked_partials,
        domain=domain,
        spelling=spelling,
        given=(name, forward, partials, domain, symbol, spelling),
    )


def _intervals(
    arity: int | None, domain: Sequence[tuple[float, float]] | None
) -> tuple[tuple[float, float], ...]:
    """The domain of an operation of one's own, which also says how many operands it takes."""
    intervals = None
    if domain is not None:
        try:
            intervals = tuple((as_number(low), as_number(high)) for low, high in domain)
        except (TypeError, ValueError):
            raise TypeError(
                "the domain is a list with an interval for each operand, such as [(-3, 3)], but "
                f"got {shown(domain)}"
            ) from None
    if arity is None:
        arity = 1 if intervals is None else len(intervals)
    arity = whole_number("arity, the number of operands,", arity)
    intervals = ((-3.0, 3.0),) * arity if intervals is None else intervals
    if len(intervals) != arity:
        raise ValueError(
            f"the domain has an interval for each operand, but arity is {arity} and "
            f"the domain has {len(intervals)}"
        )
    return intervals
