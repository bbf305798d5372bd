"""The program of an expression: steps in postfix form, ``a b +``, for a machine with a stack.

With this module you can

- write one:      program = Program(text); program.name("a", 0); program.constant(2.0, 4); …
- run it:         for step in program.steps: …

Beside the steps it keeps what will lie on the stack: so what does not fit together is found as the
program is written, and has a place.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial as bind, reduce
from typing import Any, NamedTuple, TypeAlias

from ..engine.conditions import RELATIONS
from ..engine.derivatives import apply, where
from ..engine.value import Value
from ..ops.table import MANY, OPERATIONS, Operation, of_many, power
from .errors import ExpressionError
from .functions import FAMILIES, FUNCTIONS, OF_A_LIST, usage

__all__ = ["LOGIC", "MAX_NODES", "NEG", "Program", "Step", "Store"]

MAX_NODES = 2_000  # nodes of the graph
NODES_OF_A_SOFTMAX = 6  # at most, for each number in its list

NEG, POW = OPERATIONS["neg"], OPERATIONS["pow"]
LOGIC: dict[str, Callable[..., Any]] = {
    "or": operator.or_,
    "and": operator.and_,
    "not": operator.invert,
}
"""What joins conditions, by its word: as signs do, which decide nothing."""

WHOLE = re.compile(r"[0-9]+(?![.eE0-9])")  # a number as one counts

NO_NUMBER = {
    "condition": "true or false is no number: where(x > 0, 1, 0) makes one of it",
    "list": "a list is no number: [0] behind it takes its first; to group, write '(' and ')'",
}


class Step(NamedTuple):
    """Takes operands off the stack, and puts there what `run` makes of them."""

    takes: int
    run: Callable[..., Any]


class Store(NamedTuple):
    """Takes what lies on the stack, and keeps it under a name."""

    name: str


AnyStep: TypeAlias = float | str | Step | Store
"""A step: put a constant on the stack, put there what has a name, compute, or give a name."""


class _Operand(NamedTuple):
    """What will lie on the stack.

    kind: "constant", a number as it is written; "number", one that is computed or has a name;
        "condition" or "list".
    size: of a list, how many numbers it holds.
    """

    kind: str
    position: int
    size: int = 0


@dataclass(slots=True)
class _Assigned:
    """A name that a statement has given, and what it stands for."""

    operand: _Operand
    position: int
    used: bool = False


class Program:
    """What the statements of a text come to; each method appends to it.

    steps: what to do; in the end, the result lies on the stack.
    places: the names that need a value, and where each first appears.
    scope: the names that statements give.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps: list[AnyStep] = []
        self.places: dict[str, int] = {}
        self.scope: dict[str, _Assigned] = {}
        self._assigned: list[_Assigned] = []  # also what lost its name to another
        self._stack: list[_Operand] = []
        self._nodes = 0

    def error(self, message: str, position: int) -> ExpressionError:
        """An error that points at a place of the text."""
        return ExpressionError(message, self.text, position)

    @property
    def ends_in_a_list(self) -> bool:
        """Whether what was computed last is a list."""
        return self._stack[-1].kind == "list"

    def constant(self, number: float, position: int) -> None:
        """A number as it is written."""
        self._add(number, "constant", position)

    def name(self, name: str, position: int) -> None:
        """What has a name."""
        if name in self.scope:
            self.scope[name].used = True
            self.steps.append(name)
            self._stack.append(self.scope[name].operand._replace(position=position))
            return
        self._nodes -= name in self.places  # each variable is one leaf, however often it is used
        self.places.setdefault(name, position)
        self._add(name, "number", position)

    def assign(self, name: str, position: int) -> None:
        """Give a name to what was computed last."""
        operand = self._stack.pop()
        if operand.kind == "constant":
            operand = operand._replace(kind="number")
        self.scope[name] = _Assigned(operand, position)
        self._assigned.append(self.scope[name])
        self.steps.append(Store(name))

    def end(self) -> None:
        """Check that the result is a number, and that nothing was computed for nothing."""
        self._numbers(1)
        for assigned in self._assigned:
            if not assigned.used:
                raise self.error(
                    "this is computed and never used: use it, or leave it out", assigned.position
                )

    def operate(self, operation: Operation, position: int) -> None:
        """An operation on numbers. A sign in front of a constant belongs to it, and a constant as
        exponent to its power."""
        self._numbers(operation.arity)
        constant = self.steps[-1]
        if self._stack[-1].kind == "constant" and isinstance(constant, float):
            if operation is NEG:
                self.steps[-1] = -constant
                return
            if operation is POW:
                self._drop_constants(1)
                operation = power(constant)
        self._add(Step(operation.arity, bind(apply, operation)), "number", position)

    def compare(self, relations: Sequence[str], places: Sequence[int]) -> None:
        """Numbers, each of which is in its relation with the next."""
        operands = self._numbers(len(relations) + 1)
        for relation, place, *pair in zip(relations, places, operands, operands[1:], strict=False):
            if relation in ("==", "!=") and all(x.kind != "constant" for x in pair):
                joined = "a >= b and a <= b" if relation == "==" else "a > b or a < b"
                raise self.error(
                    f"'{relation}' asks whether two Values are one and the same: to compare "
                    f"their numbers, write {joined}",
                    place,
                )
        step = Step(len(operands), bind(_compared, tuple(relations)))
        self._add(step, "condition", places[0])

    def join(self, word: str, position: int) -> None:
        """Conditions, by a word of `LOGIC`."""
        takes = 1 if word == "not" else 2
        for operand in self._stack[-takes:]:
            if operand.kind != "condition":
                raise self.error(
                    f"'{word}' is for comparisons, as in not x > 0, or x > 0 and x < 1",
                    operand.position,
                )
        self._add(Step(takes, LOGIC[word]), "condition", position)

    def list_of(self, count: int, position: int) -> None:
        """A list of the last numbers."""
        self._numbers(count)
        self._add(Step(count, _list), "list", position, size=count)

    def take_one(self, position: int) -> None:
        """The one of a list whose place was computed last."""
        (_, _, size), (kind, written, _) = self._stack[-2:]
        (place,) = self._drop_constants(1)
        whole = kind == "constant" and WHOLE.match(self.text, written)
        if not whole or not -size <= place < size:
            places = [f"[{i}]" for i in range(min(size, 2))]
            known = " or ".join(places) if size < 3 else f"a number from [0] to [{size - 1}]"
            raise self.error(
                f"the list holds {size}: to take one, write {known} behind it", position
            )
        self._add(Step(1, operator.itemgetter(int(place))), "number", position)

    # --- Calls ----------------------------------------------------------------------------------

    def call(self, name: str, given: int, position: int) -> None:
        """A function, of as many arguments as were given."""
        if name in OF_A_LIST:
            self._call_of_a_list(name, given, position)
        elif name in FAMILIES and (name not in FUNCTIONS or given > 1):
            self._call_with_constants(name, given, position)
        elif name == "where":
            self._check_count(name, given, 3, position)
            self._numbers(2)
            if self._stack[-3].kind == "list":
                raise self.error(f"where chooses by a comparison: {usage(name)}", position)
            self._add(Step(3, where), "number", position)
        else:
            operation = FUNCTIONS[name]
            if operation.name in MANY and given > operation.arity:
                operation = of_many(operation.name, given)
            self._check_count(name, given, operation.arity, position)
            self.operate(operation, position)

    def _check_count(self, name: str, given: int, wanted: int, position: int) -> None:
        if given != wanted:
            more = name in FUNCTIONS and FUNCTIONS[name].name in MANY
            words = f"{wanted} argument{'s' * (wanted != 1)}{' or more' * more}"
            raise self.error(f"{name} takes {words}, but got {given}", position)

    def _call_of_a_list(self, name: str, given: int, position: int) -> None:
        size = self._stack[-1].size if given == 1 else 0
        if not size:
            raise self.error(f"{name} takes a list: write {usage(name)}", position)
        self._nodes += NODES_OF_A_SOFTMAX * size
        kind = "number" if name == "logsumexp" else "list"
        self._add(Step(1, OF_A_LIST[name]), kind, position, size=size)

    def _call_with_constants(self, name: str, given: int, position: int) -> None:
        family, count = FAMILIES[name]
        self._check_count(name, given, 1 + count, position)
        self._numbers(1 + count)
        if any(operand.kind != "constant" for operand in self._stack[-count:]):
            raise self.error(
                f"{name} takes numbers that are written out, as in "
                f"{name}(x, {', '.join(('0.1', '1')[:count])})",
                position,
            )
        try:
            operation = family(*self._drop_constants(count))
        except ValueError as error:
            raise self.error(str(error), position) from None
        self.operate(operation, position)

    # --- The stack ------------------------------------------------------------------------------

    def _add(self, step: AnyStep, kind: str, position: int, size: int = 0) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self.error(
                f"the graph would have more than {MAX_NODES:,} nodes: build one so large in Python",
                position,
            )
        if isinstance(step, Step):
            del self._stack[-step.takes :]
        self.steps.append(step)
        self._stack.append(_Operand(kind, position, size))

    def _numbers(self, count: int) -> list[_Operand]:
        """The last operands, if they are numbers."""
        operands = self._stack[-count:]
        for operand in operands:
            if operand.kind in NO_NUMBER:
                raise self.error(NO_NUMBER[operand.kind], operand.position)
        return operands

    def _drop_constants(self, count: int) -> list[Any]:
        """Take the last operands, which are constants, out of the program again."""
        dropped = self.steps[-count:]
        del self.steps[-count:], self._stack[-count:]
        self._nodes -= count
        return dropped


def _list(*operands: Value) -> list[Value]:
    return list(operands)


def _compared(relations: Sequence[str], *operands: Value) -> Any:
    """The condition that each operand is in its relation with the next."""
    found = []
    for relation, left, right in zip(relations, operands, operands[1:], strict=False):
        # As in Python, a Value is compared with the number, and not with a node that holds it.
        number = right._data if right._constant else right
        of = left._data if left._constant and not right._constant else left
        found.append(RELATIONS[relation](of, number))
    return reduce(operator.and_, found)
