"""The checks of the lab: they say "right", "not yet", or where an answer is wrong.

With this program you can, in 09_exercises.ipynb or anywhere else,

- check an answer:             from exercises import check; check(1, wiggle_partials)
- see how far you have come:   from exercises import report; report()
- use the verdict in a test:   verdict(1, wiggle_partials).state == "right"

What is right is not written here. The engine computes it, or `gradcheck` does, which nudges each
argument and looks at what the function does; an error of either one names the culprit.
"""

from __future__ import annotations

import math
import random
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import microgrant
from microgrant import GradientError, Value, define, grad, gradcheck
from microgrant.engine.arguments import as_number
from microgrant.losses import cross_entropy
from microgrant.ops import FLOATS
from microgrant.optim import SGD

Hint: TypeAlias = tuple[Sequence[float], str]
"""What an answer is when a classic mistake is made, and what to say then."""

DEEP = 5_000  # additions in a row: more than Python's recursion bears
OURS = (Path(__file__).parent / "exercises.py", Path(microgrant.__file__).parent)


class NotYet(Exception):
    """There is no answer so far."""


class Wrong(Exception):
    """The answer is wrong; the text says where."""


class Verdict(NamedTuple):
    """What a check says.

    state: "right", "not yet" or "not right".
    message: where it is wrong; or a remark on what is right; often nothing.
    """

    number: int
    state: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.number}. {self.state}" + (f": {self.message}" if self.message else "")


class Exercise(NamedTuple):
    """title: of the exercise; check: raises `NotYet` or `Wrong`, or may return a remark."""

    title: str
    check: Callable[[Any], str | None]


EXERCISES: list[Exercise] = []
VERDICTS: dict[int, Verdict] = {}


def exercise(title: str) -> Callable[[Callable[[Any], str | None]], Callable[[Any], str | None]]:
    """Add a check to the list."""

    def add(check: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        EXERCISES.append(Exercise(title, check))
        return check

    return add


def check(number: int, answer: Any) -> None:
    """Print what there is to say about the answer to an exercise.

    >>> def wiggle_partials(m, out, x):
    ...     return (3 * x**2 + 2,)
    >>> check(1, wiggle_partials)
    1. not right: d wiggle / d argument 0 at (0.5): your rule says 2.75, nudging the argument ...
    """
    VERDICTS[number] = verdict(number, answer)
    print(VERDICTS[number])


def report() -> None:
    """Print the list of exercises, with the latest verdict on each."""
    for number, each in enumerate(EXERCISES, start=1):
        state = VERDICTS[number].state if number in VERDICTS else "not yet"
        print(f"{number:2}. {each.title:38} {state}")
    right = sum(x.state == "right" for x in VERDICTS.values())
    print(f"{right} of {len(EXERCISES)} are right")


def verdict(number: int, answer: Any) -> Verdict:
    """The verdict on the answer to an exercise. A ValueError says so if there is no such exercise.

    >>> def wiggle_partials(m, out, x):
    ...     return (3 * x**2 - 2,)
    >>> verdict(1, wiggle_partials).state
    'right'
    """
    if number not in range(1, len(EXERCISES) + 1):
        raise ValueError(f"the exercises are numbered 1 to {len(EXERCISES)}, but got {number!r}")
    try:
        praise = EXERCISES[number - 1].check(answer)
    except NotYet as remark:
        return Verdict(number, "not yet", str(remark))
    except (Wrong, GradientError) as problem:
        return Verdict(number, "not right", str(problem))
    except Exception as problem:  # whatever a student's function can raise
        return Verdict(number, "not right", what_happened(problem))
    return Verdict(number, "right", praise or "")


def what_happened(problem: Exception) -> str:
    """An error in one line, with the line of the student's code that it came up in."""
    text = f"{type(problem).__name__}: {problem}"
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        path = Path(frame.filename)
        if not any(path == own or own in path.parents for own in OURS):
            return f"line {frame.lineno}, {frame.line}: {text}" if frame.line else text
    return text


# --- Partial derivatives ------------------------------------------------------------------------


@exercise("A partial derivative")
def wiggle(partials: Any) -> None:
    """The rule of y = x³ − 2x."""
    gradchecked("wiggle", lambda x: x**3 - 2 * x, partials, [(0.5,), (-1.5,), (2.0,)])


@exercise("Two operands")
def distance(partials: Any) -> None:
    """The rule of y = √(a² + b²)."""
    gradchecked("distance", math.hypot, partials, [(3.0, 4.0), (1.0, -2.0), (-0.5, 0.25)])


def gradchecked(
    name: str, forward: Callable[..., float], partials: Any, points: Sequence[Sequence[float]]
) -> None:
    """Make an operation of the rule, and let `gradcheck` look at it."""

    def rule(m: Any, out: Any, *operands: Any) -> Any:
        return called(partials, m, out, *operands)

    arity = len(points[0])
    operation = define(name, forward, rule, arity=arity)
    for point in points:
        try:
            gradcheck(operation, point)
        except ValueError as problem:
            if "to be a tuple" not in str(problem):
                raise
            comma = " (of one, with a comma: `return (…,)`)" if arity == 1 else ""
            raise Wrong(f"{problem}{comma}") from None


# --- The chain rule, by hand --------------------------------------------------------------------


@exercise("The chain rule, by hand")
def chain_rule(gradients: Any) -> None:
    """dy/dw, dy/dx and dy/db of y = tanh(w·x + b)²."""
    for w, x, b in [(0.5, 2.0, -0.25), (-1.5, 0.5, 1.0), (0.75, -1.25, 0.0)]:
        yours = called(gradients, w, x, b)
        leaves = [Value(w), Value(x), Value(b)]
        right = grad((leaves[0] * leaves[1] + leaves[2]).tanh() ** 2, leaves)
        out = math.tanh(w * x + b)
        no_square = [d / (2 * out) for d in right]
        no_tanh = [2 * out * d for d in (x, w, 1.0)]
        swapped = [right[1], right[0], right[2]]
        compare(
            ["dy/dw", "dy/dx", "dy/db"], yours, right, f"w={w:g}, x={x:g}, b={b:g}",
            (no_square, "Has the square been differentiated? Its derivative is 2·tanh(w·x + b)."),
            (no_tanh, "Has the tanh been differentiated? Its derivative is 1 − tanh²."),
            (swapped, "The derivatives of a product swap: that by w has the factor x."),
        )  # fmt: skip


@exercise("A neuron, forward")
def forward(neuron: Any) -> None:
    """The sigmoid of b + w[0]·x[0] + w[1]·x[1] + …"""
    for xs, ws, b in NEURONS:
        total = math.fsum([b, *(x * w for x, w in zip(xs, ws, strict=True))])
        compare(
            ["the output"], [called(neuron, xs, ws, b)], [Value(total).sigmoid().data],
            f"xs={xs}, ws={ws}, b={b:g}",
            ([total], "This is the weighted sum. What is left is the sigmoid."),
            ([Value(total - b).sigmoid().data], "The bias is missing."),
        )  # fmt: skip


@exercise("A neuron, backward")
def backward(neuron_backward: Any) -> None:
    """The gradients of inputs, weights and bias, from the gradient of the output."""
    for (xs, ws, b), upstream in zip(NEURONS, (1.0, -2.0, 0.5), strict=True):
        x, w, bias = [Value(x) for x in xs], [Value(w) for w in ws], Value(b)
        out = bias
        for one, other in zip(x, w, strict=True):
            out = out + one * other
        out = out.sigmoid()
        right = grad(upstream * out, [*x, *w, bias])
        dxs, dws, db = parts(called(neuron_backward, xs, ws, out.data, upstream), "dxs, dws, db")
        n = len(xs)
        if [len(listed(dxs, "dxs")), len(listed(dws, "dws"))] != [n, n]:
            raise Wrong(f"dxs and dws have {n} numbers each, one for each input and each weight")
        slope = out.data * (1 - out.data)
        names = [f"dxs[{i}]" for i in range(n)] + [f"dws[{i}]" for i in range(n)] + ["db"]
        compare(
            names, [*dxs, *dws, db], right, f"xs={xs}, ws={ws}, b={b:g}, upstream={upstream:g}",
            ([d / upstream for d in right], "The gradient that arrives, upstream, is missing."),
            ([d / slope for d in right], "The sigmoid's derivative, out·(1 − out), is missing."),
            ([*right[n : 2 * n], *right[:n], right[-1]], "dxs and dws are swapped."),
        )  # fmt: skip


NEURONS = [
    ([2.0, -1.0], [0.5, 1.5], 0.25),
    ([0.5, 1.0, -2.0], [1.0, -0.5, 0.75], -0.5),
    ([-1.5], [0.8], 0.1),
]


# --- The missing topological order --------------------------------------------------------------


@exercise("The missing topological order")
def topological_order(order_of: Any) -> str:
    """The nodes below a root: each once, and operands before results."""
    for root in graphs():
        check_order(root, [*listed(called(order_of, root), "an order")])
    chain = Value(1.0, label="start")
    for _ in range(DEEP):
        chain = chain + 1.0
    try:
        check_order(chain, order_of(chain))
    except RecursionError:
        return (
            f"but a chain of {DEEP:,} additions is too deep for Python's recursion. Can you do "
            "it with a list of your own, of what is still to be visited?"
        )
    return ""


def graphs() -> Iterator[Value]:
    """Small graphs in which something is used twice."""
    a, b = Value(1.0, label="a"), Value(1.0, label="b")
    yield named(a * b, "c")  # two different nodes hold the same number
    a = Value(1.0, label="a")
    b = named(a + a, "b")
    yield named(b + b, "c")
    b = named(Value(2.0, label="a").tanh(), "b")
    yield named(b * named(b.exp(), "c"), "d")  # b is near, and once more behind c
    chance = random.Random(1)
    nodes = [Value(chance.random(), label=f"n{i}") for i in range(3)]
    for i in range(3, 30):
        nodes.append(named(chance.choice(nodes) * nodes[-1], f"n{i}"))
    yield nodes[-1]


def named(value: Value, label: str) -> Value:
    value.label = label
    return value


def check_order(root: Value, order: Sequence[Any]) -> None:
    """A `Wrong` says which node is at the wrong place, and what that does to a gradient."""
    stranger = next((x for x in order if not isinstance(x, Value)), None)
    if stranger is not None:
        raise Wrong(f"the order is a list of nodes, but {stranger!r} is in it")
    right = microgrant.topological_order(root)
    times = Counter(order)
    for node in right:
        if not times[node]:
            advice = ""
            if any(x is not node and x.data == node.data for x in right):
                advice = (
                    ". Did you compare their .data? Two nodes can hold the same number; `node in "
                    "order` asks for the node itself"
                )
            raise Wrong(f"in the graph of {called_by(root)}, {called_by(node)} is missing{advice}")
        if times[node] > 1:
            raise Wrong(
                f"in the graph of {called_by(root)}, {called_by(node)} stands {times[node]} times "
                f"in the order, and hands its gradient on each time.{consequence(root, order)}"
            )
    place = {node: i for i, node in enumerate(order)}
    for node in right:
        for operand in node._prev:
            if place[operand] > place[node]:
                raise Wrong(
                    f"in the graph of {called_by(root)}, {called_by(node)} stands before its "
                    f"operand {called_by(operand)}.{consequence(root, order)}"
                )
    if len(order) > len(right):
        raise Wrong(f"there are {len(order) - len(right)} nodes in it of another graph")


def called_by(node: Value) -> str:
    return node.label or repr(node)


def consequence(root: Value, order: Sequence[Value]) -> str:
    """What the chain rule makes of a wrong order, where that can be seen in a gradient."""
    gradients = defaultdict(float, {root: 1.0})
    for node in reversed(order):
        for operand, local in zip(node._prev, node.partials, strict=True):
            gradients[operand] += local * gradients[node]
    leaves = [x for x in microgrant.topological_order(root) if not x._prev]
    for leaf, right in zip(leaves, grad(root, leaves), strict=True):
        if not close(gradients[leaf], right):
            return f" The gradient of {leaf.label} becomes {gradients[leaf]:g}; right is {right:g}"
    return ""


# --- Losses and optimisers ----------------------------------------------------------------------


@exercise("Softmax and cross-entropy, backward")
def softmax(gradients: Any) -> None:
    """By each logit, for the loss −log softmax(logits)[target]."""
    for logits, target in [([1.0, 2.0, 0.5], 1), ([0.0, -1.0], 0), ([3.0, 3.0, -2.0, 1.0], 3)]:
        compare_softmax(gradients, logits, target)
    for logits, target in [([1000.0, 999.0, 0.0], 1), ([-1000.0, -1001.0], 0)]:
        try:
            compare_softmax(gradients, logits, target)
        except (Wrong, ArithmeticError) as problem:
            text = str(problem) if isinstance(problem, Wrong) else what_happened(problem)
            raise Wrong(
                f"right for small logits, but not for {logits}. {text} (Softmax stays the same "
                "when a number is taken off all logits: take the largest off before exp)"
            ) from None


def compare_softmax(gradients: Any, logits: list[float], target: int) -> None:
    yours = called(gradients, list(logits), target)
    leaves = [Value(z) for z in logits]
    right = grad(cross_entropy(leaves, target), leaves)
    probabilities = [d + (i == target) for i, d in enumerate(right)]
    compare(
        [f"the gradient of logits[{i}]" for i in range(len(logits))], yours, right,
        f"logits={logits}, target={target}",
        (probabilities, "This is softmax itself: for the right class, 1 is to be taken off."),
        ([-d for d in right], "All signs are the other way round: softmax − target."),
    )  # fmt: skip


@exercise("A step with momentum")
def momentum(step: Any) -> None:
    """velocity ← momentum·velocity + gradient; parameter ← parameter − learning_rate·velocity."""
    rate, keep = 0.1, 0.9
    leaves = [Value(1.0), Value(-2.0)]
    optimizer = SGD(leaves, learning_rate=rate, momentum=keep)
    velocities = [0.0, 0.0]
    for number, gradients in enumerate([[2.0, -4.0], [1.0, 0.5], [0.0, 3.0], [-1.0, 0.0]], start=1):
        before = [p.data for p in leaves]
        answer = called(step, list(before), list(gradients), list(velocities), rate, keep)
        new_parameters, new_velocities = parts(answer, "parameters, velocities")
        for p, gradient in zip(leaves, gradients, strict=True):
            p.grad = gradient
        optimizer.step()
        right, remembered = [p.data for p in leaves], optimizer.state()["memory"]["velocity"]
        at = f"step {number}, velocities before: {[round(v, 6) for v in velocities]}"
        pairs = list(zip(before, gradients, velocities, strict=True))
        averaged = [p - rate * (keep * v + (1 - keep) * g) for p, g, v in pairs]
        scaled = [rate * v for v in remembered]
        compare(
            [f"parameters[{i}]" for i in range(2)], new_parameters, right, at,
            ([p - rate * g for p, g, _ in pairs], "This is a step without momentum."),
            ([p + rate * v for p, v in zip(before, remembered, strict=True)], "That goes uphill."),
            (averaged, "The gradient counts in full here, and not by 1 − momentum."),
        )  # fmt: skip
        compare(
            [f"velocities[{i}]" for i in range(2)], new_velocities, remembered, at,
            (velocities, "The velocities have to be returned as they are after the step."),
            (scaled, "The learning rate belongs outside of the velocity."),
        )  # fmt: skip
        velocities = remembered


# --- Debugging ----------------------------------------------------------------------------------

FIVE: dict[str, Callable[..., float]] = {
    "gaussian": lambda x: math.exp(-x * x),
    "softsign": lambda x: x / (1 + abs(x)),
    "logistic": lambda x: 1 / (1 + math.exp(-x)),
    "average": lambda a, b: (a + b) / 2,
    "ratio": lambda a, b: a / b,
}
"""Five operations. The notebook has a rule for each of them, and one of the rules is wrong."""


@exercise("One of five rules is wrong")
def debugging(operations: Any) -> None:
    """For each operation its value, as it was, and its rule: a tuple of two functions."""
    if not isinstance(operations, dict) or operations.keys() != FIVE.keys():
        raise Wrong(f"the answer is the dictionary of all five: {', '.join(FIVE)}")
    for name, value in FIVE.items():
        changed, rule = parts(operations[name], "value, rule")
        two = name in ("ratio", "average")
        points = [(0.5, 2.0), (-1.5, 0.75)] if two else [(0.5,), (-1.5,)]
        for point in points:
            if not close(number_of(called(changed, *point), f"the value of {name}"), value(*point)):
                raise Wrong(f"the value of {name} was changed: it is a rule that is wrong")
        if name == "ratio" and tuple(called(rule, FLOATS, 0.25, 0.5, 2.0)) == (0.5, -0.25):
            raise NotYet("one rule is still wrong; gradcheck finds it, at other inputs")
        gradchecked(name, value, rule, points)


# --- Through time -------------------------------------------------------------------------------


@exercise("Through time")
def through_time(gradient: Any) -> None:
    """The derivative of the last h by w, where h ← w·h + x for each x, from h = 0."""
    for w, xs in [(0.5, [1.0, 2.0]), (0.9, [1.0, -1.0, 0.5, 2.0]), (-1.2, [0.5] * 8)]:
        yours = called(gradient, w, list(xs))
        weight, hs = Value(w), [Value(0.0)]
        for x in xs:
            hs.append(weight * hs[-1] + x)
        compare(
            ["dh/dw"], [yours], [grad(hs[-1], weight)], f"w={w:g}, xs={xs}",
            ([hs[-2].data], "This is what the last step contributes. The others use w as well."),
            ([math.fsum(h.data for h in hs[:-1])],
             "What an early step contributes has to pass through all later ones: × w for each."),
        )  # fmt: skip


# --- What was given, compared -------------------------------------------------------------------


def called(function: Any, *arguments: Any) -> Any:
    """What an answer returns; `NotYet` where nothing is filled in."""
    if function is None or function is ...:
        raise NotYet
    if not callable(function):
        raise Wrong(f"the answer is a function, but got {function!r}")
    try:
        result = function(*arguments)
    except NotImplementedError:
        raise NotYet from None
    if result is None:
        raise NotYet("nothing is returned; is a `return` missing?")
    inner = result if isinstance(result, (tuple, list)) else [result]
    empty = [x is ... or x is None for x in inner]
    if all(empty):
        raise NotYet
    if any(empty):
        raise NotYet("some of it is there")
    return result


def compare(
    names: Sequence[str], yours: Any, right: Sequence[float], at: str, *hints: Hint
) -> None:
    """A `Wrong` names the first number that is not right, with a hint if the mistake is known."""
    given = listed(yours, ", ".join(names))
    if len(given) != len(names):
        raise Wrong(f"{len(names)} numbers are to be returned: {', '.join(names)}")
    numbers = [number_of(x, name) for x, name in zip(given, names, strict=True)]
    for name, one, other in zip(names, numbers, right, strict=True):
        if not close(one, other):
            hint = next((text for wrong, text in hints if all(map(close, numbers, wrong))), "")
            raise Wrong(
                f"{name} at {at}: you say {one:.6g}, the engine says {other:.6g}. {hint}".rstrip()
            )


def close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def number_of(x: Any, name: str) -> float:
    if isinstance(x, Value):
        raise Wrong(f"{name} is to be a plain number, but it is a Value: compute it by hand")
    try:
        return as_number(x)
    except TypeError:
        raise Wrong(f"{name} is to be a number, but it is {x!r}") from None


def listed(x: Any, name: str) -> Sequence[Any]:
    if isinstance(x, (str, dict)) or not isinstance(x, Iterable):
        raise Wrong(f"{name}: a list is to be returned, but it is {x!r}")
    return list(x)


def parts(x: Any, names: str) -> Sequence[Any]:
    count = names.count(",") + 1
    if not isinstance(x, (tuple, list)) or len(x) != count:
        raise Wrong(f"{count} things are to be returned: {names}")
    return x
