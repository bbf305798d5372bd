"""Programs in which a long sum is one instruction.

With this module you can

- write the program of a graph:       program = SumProgram(primitives); program.record(…)

A network is mostly sums of products. They are found among the recorded Values, before there is any
derivative: what a sum hands on to its terms is the same for all of them, and what comes to a Value
from many products is one more sum. So what a layer computes, and what it hands back, are as many
instructions as it has neurons; only the gradients of its weights are as many as these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from itertools import chain
from typing import TypeAlias

from ..engine.conditions import Condition, sources
from ..engine.value import Value
from ..ops.table import Operation
from .program import ADD, MUL, ROW, Handed, Part, Program, Register

__all__ = ["LONGEST", "SHORTEST", "SumProgram"]

SHORTEST = 4  # terms of a sum: what is shorter is part of a formula
LONGEST = 256  # terms of a sum: so not all of a long chain is kept for it

Terms: TypeAlias = "list[tuple[Value, Value | None]]"
"""Of a sum of Values: products, or single Values."""

Term: TypeAlias = "tuple[Register, ...]"
"""Of a sum of registers: a product of two, or one."""


class SumProgram(Program):
    """A program with the instructions of `SUMS`."""

    def __init__(self, primitives: Container[str]) -> None:
        super().__init__(primitives)
        self._terms: dict[int, Terms] = {}  # by the id of a Value
        self._long: dict[tuple[str | int, ...], Register] = {}  # as `_computed`

    def _apart(
        self, order: Sequence[Value | Condition], roots: Sequence[Value]
    ) -> Sequence[Value | Condition]:
        """All but what is part of one sum alone."""
        self._terms, inside = long_sums(order, roots)
        return [x for x in order if id(x) not in inside]

    def finish(self) -> None:
        """As `Program.finish`."""
        super().finish()
        self._long.clear()

    def _result(self, x: Value, operation: Operation) -> Register:
        if id(x) not in self._terms:
            return super()._result(x, operation)
        by_id = self._by_id
        return self._added(
            [
                (None, by_id[id(a)]) if b is None else (by_id[id(a)], by_id[id(b)])
                for a, b in self._terms[id(x)]
            ]
        )

    def _hand_on(self, value: Value, upstream: Register, handed: Handed) -> None:
        terms, by_id = self._terms.get(id(value)), self._by_id
        if terms is None:
            super()._hand_on(value, upstream, handed)
            return
        for a, b in terms:
            if b is None:
                handed[id(a)].append((None, upstream))
            else:
                handed[id(a)].append((by_id[id(b)], upstream))
                handed[id(b)].append((by_id[id(a)], upstream))

    def _added(self, parts: Sequence[Part]) -> Register:
        """A sum, in its order: an instruction for each run of terms of a kind."""
        if len(parts) < SHORTEST:
            return super()._added(parts)
        rows = any(x.stage == ROW for part in parts for x in part if isinstance(x, Register))
        kinds, terms = zip(*[self._term(part, rows) for part in parts], strict=True)
        nothing = self.constant(-0.0)  # to add it changes no number
        total, start = nothing, 0
        while start < len(terms):
            end = start + 1
            while end < len(terms) and kinds[end] == kinds[start] and end - start < LONGEST:
                end += 1
            if end - start >= SHORTEST and kinds[start] != "p":
                total = self._sum(kinds[start], total, terms[start:end])
            else:
                for *factor, x in terms[start:end]:
                    term = self.emit("mul", *factor, x) if factor else x
                    total = term if total is nothing else self.emit("add", total, term)
            start = end
        return total

    def _term(self, part: Part, rows: bool) -> tuple[str, Term]:
        """The kind of a part, as `SUMS` has it, and its factors: one, if the product is known, or
        is the same for all rows."""
        factor, x = part
        if factor is not None:
            a = self._register(factor)
            if not is_unit(a) and not is_unit(x):
                if not rows or a.stage == x.stage == ROW:
                    return "rr", (a, x)
                if a.stage == ROW or x.stage == ROW:
                    return "pr", (x, a) if a.stage == ROW else (a, x)
            x = self.emit("mul", a, x)
        return "r" if x.stage == ROW or not rows else "p", (x,)

    def _sum(self, kind: str, start: Register, terms: Sequence[Term]) -> Register:
        """An instruction that adds terms of a kind to what comes before them."""
        operands = start, *chain.from_iterable(zip(*terms, strict=True))
        key = kind, *[x.index for x in operands]
        if key not in self._long:
            self._long[key] = self._instruction(f"sum_{kind}", *operands)
        return self._long[key]


def is_unit(x: Register) -> bool:
    """Whether it is 1 or -1, to multiply by which is no product."""
    return x.operation == "constant" and abs(x.operands[0]) == 1.0


def long_sums(
    order: Sequence[Value | Condition], roots: Sequence[Value]
) -> tuple[dict[int, Terms], set[int]]:
    """The terms of each long sum, by the id of its result; and what is part of one sum alone.

    What has a name, or made a decision, is no mere part: it is asked for.
    """
    uses = Counter(map(id, chain(roots, chain.from_iterable(map(sources, order)))))

    def only(x: Value) -> bool:
        return uses[id(x)] == 1 and not x._label and not hasattr(x, "_decided_at")

    sums: dict[int, Terms] = {}
    inside = set[int]()
    for x in reversed(order):
        if isinstance(x, Condition) or x.operation is not ADD or id(x) in inside:
            continue
        found, here = [], x
        while True:
            left, right = here.operands
            if left.operation is ADD and only(left):
                here, term = left, right
            elif right.operation is ADD and only(right):
                here, term = right, left
            else:
                break
            found.append((here, term))
        if len(found) + 2 < SHORTEST:
            continue
        inside.update(id(add) for add, _ in found)
        terms: Terms = []
        for term in (left, right, *(term for _, term in reversed(found))):
            if term.operation is MUL and only(term):
                inside.add(id(term))
                a, b = term.operands
                terms.append((a, b))
            else:
                terms.append((term, None))
        sums[id(x)] = terms
    return sums, inside
