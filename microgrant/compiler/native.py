"""Programs for native code, in which an instruction may stand for many.

With this module you can

- write the program of a graph for native code:   program = NativeProgram(PRIMITIVES)

A network is mostly sums of products. Each of them is one instruction, found among the recorded
Values before there is any derivative: for the derivative of a sum by its terms is again written as
sums. Each Value collects what is handed to it, and of many products that makes one more sum. So the
program of a layer has as many instructions as neurons, and not as weights.

Operations that are made of many are macros: see `microgrant.compiler.macros`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

from ..engine.conditions import Condition, sources
from ..engine.value import Value
from ..ops.table import OPERATIONS, Operation
from .macros import recipe
from .program import ADD, MUL, ROW, Instruction, Macro, Part, Program, Register

__all__ = ["LONGEST", "SHORTEST", "NativeProgram"]

SHORTEST = 4  # terms of a sum: what is shorter is part of a formula
LONGEST = 256  # terms of a sum: so not all of a long chain is kept for it

Terms: TypeAlias = "list[tuple[Value, Value | None]]"
"""Of a sum of Values: products, or single Values."""


class NativeProgram(Program):
    """A program with macros and sums."""

    def record(
        self,
        order: Sequence[Value | Condition],
        inputs: Sequence[Value],
        parameters: Sequence[Value],
        roots: Sequence[Value] = (),
    ) -> None:
        """As `Program.record`; what is part of a sum alone has no register of its own."""
        self._terms, inside = long_sums(order, roots)
        super().record([x for x in order if id(x) not in inside], inputs, parameters)

    def _record(self, x: Value | Condition) -> Register:
        terms = self._terms.get(id(x))
        if terms is None:
            return super()._record(x)
        by_id = self._by_id
        register = self._added(
            [(None if b is None else by_id[id(b)], by_id[id(a)]) for a, b in terms]
        )
        if not register.name:
            register.name = x._label
        return register

    def _contributions(self, value: Value, upstream: Register) -> list[tuple[Value, Part]]:
        terms = self._terms.get(id(value))
        if terms is None:
            return super()._contributions(value, upstream)
        by_id, found = self._by_id, list[tuple[Value, Part]]()
        for a, b in terms:
            if b is None:
                found.append((a, (None, upstream)))
            else:
                found.append((a, (by_id[id(b)], upstream)))
                found.append((b, (by_id[id(a)], upstream)))
        return found

    def _added(self, parts: Sequence[Part]) -> Register:
        """A sum, in its order: a loop for each run of terms of a kind that is long enough."""
        if len(parts) < SHORTEST:
            return super()._added(parts)
        parts = [self._plain(part) for part in parts]
        rows = any(x.stage == ROW or (a is not None and a.stage == ROW) for a, x in parts)
        kinds = [kind(part, rows) for part in parts]
        total, start = None, 0
        while start < len(parts):
            end = start + 1
            while end < len(parts) and kinds[end] == kinds[start] and end - start < LONGEST:
                end += 1
            if end - start >= SHORTEST and kinds[start] != "p":
                total = self._sum(kinds[start], total, parts[start:end])
            else:
                for part in parts[start:end]:
                    term = self._product(part)
                    total = term if total is None else self.emit("add", total, term)
            start = end
        return total

    def _plain(self, part: Part) -> tuple[Register | None, Register]:
        """A part, as a single number where that is as good: products of what is known, or is the
        same for all rows."""
        factor, x = part
        if factor is None:
            return None, x
        factor = self._register(factor)
        if (
            factor.operation == "constant"
            or x.operation == "constant"
            or not (x.stage == ROW or factor.stage == ROW)
        ):
            return None, self.emit("mul", factor, x)
        return factor, x

    def _sum(self, kind: str, total: Register | None, parts) -> Register:
        """A loop over parts of a kind, on top of what comes before them; -0 changes no number."""
        factors, terms = zip(*parts, strict=True)
        if kind == "pr":
            ordered = [(b, a) if a.stage == ROW else (a, b) for a, b in parts]
            factors, terms = zip(*ordered, strict=True)
        operands = (
            self.constant(-0.0) if total is None else total,
            *(factors if len(kind) == 2 else ()),
            *terms,
        )
        computed, key = self._computed[f"sum_{kind}"], tuple([x.index for x in operands])
        if key not in computed:
            computed[key] = self._instruction(f"sum_{kind}", *operands)
        return computed[key]

    def expanded(self, operation: Instruction, *operands: Register) -> Register:
        """A macro, or an operation by its macros, if it has some; else as its native rule says."""
        if isinstance(operation, Macro):
            return self._instruction(operation, *operands)
        found = self._followed(operation, operands, derivatives=False)
        return found[0] if found else super().expanded(operation, *operands)

    def partials(self, operation: Operation, out: Register, *operands: Register) -> tuple[Any, ...]:
        """The partial derivatives, from the numbers that the result was made of."""
        name = operation.name
        known = name if OPERATIONS.get(name) is operation else operation
        found = self._followed(known, operands, derivatives=True)
        return tuple(found[1:]) if found else super().partials(operation, out, *operands)

    def _followed(
        self, operation: str | Operation, operands: Sequence[Register], derivatives: bool
    ) -> list[Any]:
        """What a recipe gives for operands; nothing if there is none for them."""
        made = recipe(operation, self.primitives)
        if made is None:
            return []
        for x in operands:  # what is known, or the same for all rows, is computed apart
            if x.operation == "constant" or x.stage != operands[0].stage:
                return []
        places = [*operands]
        for macro, taken in made.steps:
            places.append(self.emit(macro, *[places[i] for i in taken]))
            if len(places) > made.results[0] and not derivatives:
                return places[-1:]
        return [places[x] if isinstance(x, int) else x for x in made.results]


def kind(part: Part, rows: bool) -> str:
    """What kind of term a sum has: see `SUMS`."""
    factor, x = part
    if factor is None:
        return "r" if x.stage == ROW or not rows else "p"
    return "rr" if not rows or factor.stage == x.stage == ROW else "pr"


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
