"""A program as readable Python: the unrolled backpropagation that textbooks print by hand.

With this module you can

- write a program down:      source = PythonSource(job); print(source.text)
- run what was written:      source.function()(parameters, rows)

The text needs nothing but `microgrant.ops`, so it can be saved to a file of its own, read and
changed.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..ops.table import CALL, OPERATIONS, Operation
from ..ops.words import Operand, Term, spell
from .program import Job, Register, needed

__all__ = ["PRIMITIVES", "PythonSource"]

PRIMITIVES = frozenset(OPERATIONS)
# Python's own signs for these raise errors where IEEE 754 has an answer: here they are calls.
TOTAL = {
    name: Operation(name, OPERATIONS[name].forward, OPERATIONS[name].partials, domain=((0, 1),) * 2)
    for name in ("div", "mod", "pow")
}
SIGNS = ("add", "sub", "mul", "neg")  # spelled by Python's own signs
LONGEST = 6  # operations in a line
RESERVED = {"parameters", "rows", "results", "number_of_rows", "inf", "nan", "m", "run", "len"}
RESERVED |= {"_", "where"}  # `where` would be read as the operation by `words.spell`


class PythonSource:
    """A program in Python: names for registers, and the lines that compute them.

    text: it defines ``run(parameters, rows)``, which returns the outputs; with `per_row` those of
        each row, a list of lists.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.outputs = job, job.outputs
        self.registers = needed(self.outputs)
        self.names: dict[int, str] = {}
        self.terms: dict[int, tuple[Term, int]] = {}
        self.taken = {*RESERVED, *OPERATIONS}
        self.numbered: Counter[str] = Counter()
        own = dict.fromkeys(
            x.operation for x in self.registers if isinstance(x.operation, Operation)
        )
        self.own = {operation: self.free(identifier(operation.name) or "f") for operation in own}
        self.sums: dict[int, str] = {}
        users: dict[int, list[Register]] = {}
        for register in self.registers:
            for operand in () if register.leaf else register.operands:
                users.setdefault(operand.index, []).append(register)
        kept = {x.gradient_of.index for x in self.registers if x.gradient_of is not None}
        kept |= {x.index for x in self.outputs}
        # What is used once, where it is computed, and has no name, is written into that line.
        self.inlined = {
            x.index
            for x in self.registers
            if len(users.get(x.index, ())) == 1 and x.index not in kept
            if not x.name and x.gradient_of is None and not x.leaf and x.operation != "mean"
            if users[x.index][0].stage == x.stage or users[x.index][0].operation == "mean"
        }
        for register in self.registers:
            if register.operation in ("parameter", "input"):
                self.name(register)
        self.text = self.written()

    def function(self) -> Callable[..., Any]:
        """What the text defines, where a user's own operations stand for their functions."""
        names: dict[str, Any] = {name: operation.forward for operation, name in self.own.items()}
        exec(compile(self.text, "<the source of a compiled step>", "exec"), names)
        return names["run"]  # type: ignore[no-any-return]

    def name(self, register: Register) -> str:
        """The name of a register: its label, ``d_`` and the name of what it is a gradient of, or a
        number."""
        if register.index not in self.names:
            if register.gradient_of is not None:
                wanted = f"d_{self.name(register.gradient_of)}"
            elif label := identifier(register.name):
                wanted = label
            else:
                kind = {"parameter": "p", "input": "x"}.get(str(register.operation), "v")
                self.numbered[kind] += 1
                wanted = f"{kind}{self.numbered[kind]}"
            self.names[register.index] = self.free(wanted)
        return self.names[register.index]

    def free(self, wanted: str) -> str:
        """This name, or one like it that nothing has yet."""
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted

    def term(self, register: Register) -> tuple[Operand, int]:
        """A register as an operand, and how many operations its text has."""
        if register.operation == "constant":
            return float(register.operands[0]), 0
        if register.index in self.terms:
            return self.terms.pop(register.index)
        return Term(self.name(register)), 0

    def lines(self, registers: Iterable[Register]) -> Iterator[str]:
        """The statements that compute registers of one stage."""
        for register in registers:
            if register.operation == "mean":
                yield f"{self.total(register)} += {self.spelled(register.operands[0])}"
                continue
            operands, sizes = zip(*map(self.term, register.operands), strict=True)
            size = 1 + sum(sizes)
            term = Term(self.spelled_as(register.operation), operands)
            if register.index in self.inlined and size < LONGEST:
                self.terms[register.index] = term, size
            elif register.operation in ("and", "or", "not"):
                left, *right = (f"({spell(x, 'python')})" for x in operands)
                text = f"{left} {register.operation} {right[0]}" if right else f"not {left}"
                yield f"{self.name(register)} = {text}"
            else:
                yield f"{self.name(register)} = {spell(term, 'python')}"

    def spelled_as(self, operation: str | Operation) -> str | Operation:
        """What `words.spell` is to write an operation of a program as."""
        if isinstance(operation, str):
            return TOTAL.get(operation) or OPERATIONS.get(operation) or operation
        return replace(operation, name=self.own[operation], spelling={}, precedence=CALL)

    def spelled(self, register: Register) -> str:
        """A register as it stands in a line."""
        return spell(self.term(register)[0], "python")

    def total(self, mean: Register) -> str:
        """The name of the sum that a mean is made of."""
        if mean.index not in self.sums:
            self.sums[mean.index] = self.free(f"sum_{self.name(mean)}")
        return self.sums[mean.index]

    def unpacked(self, kind: str, count: int) -> str:
        """The left side of an assignment that takes a list of inputs or parameters apart."""
        names = {x.operands[0]: self.names[x.index] for x in self.registers if x.operation == kind}
        listed = [names.get(place, "_") for place in range(count)]
        return ", ".join(listed) + ("," if count == 1 else "")

    def written(self) -> str:
        """The whole text."""
        job, per_row = self.job, self.job.per_row
        computed = [x for x in self.registers if not x.leaf]
        means = [x for x in computed if x.operation == "mean"]
        once, row, after = job.stages()
        body: list[str] = []
        if job.parameters:
            body.append(f"{self.unpacked('parameter', job.parameters)} = parameters")
        body += self.lines(once)
        body += ["results = []"] if per_row else [f"{self.total(mean)} = 0.0" for mean in means]
        if row or per_row:
            body.append(f"for {self.unpacked('input', job.inputs) or '_'} in rows:")
            body += ["    " + line for line in self.loop(row)]
        if per_row:
            body.append("return results")
        else:
            if means:
                body.append("number_of_rows = len(rows)")
            body += [f"{self.name(x)} = {self.total(x)} / number_of_rows" for x in means]
            body += self.lines(after)
            body.append(f"return [{', '.join(map(self.spelled, self.outputs))}]")
        function = ["def run(parameters, rows):", *("    " + line for line in body), ""]
        return "\n".join([*self.header(computed, "\n".join(body)), *function])

    def loop(self, registers: Sequence[Register]) -> Iterator[str]:
        """What is done with each row: the forward pass, and then the backward pass."""
        forward = self.job.program.forward
        backward = [x for x in registers if x.index >= forward]
        yield from ["# forward"] if backward else []
        yield from self.lines(x for x in registers if x.index < forward)
        yield from ["# backward", *self.lines(backward)] if backward else []
        if self.job.per_row:
            yield f"results.append([{', '.join(map(self.spelled, self.outputs))}])"

    def header(self, computed: Sequence[Register], body: str) -> Iterator[str]:
        """What stands before the function: the names that it takes for granted."""
        special = [name for name in ("inf", "nan") if re.search(rf"\b{name}\b", body)]
        if special:
            yield f"from math import {', '.join(special)}"
            yield ""
        used = sorted({str(x.operation) for x in computed if x.operation in OPERATIONS})
        functions = [name for name in used if name not in SIGNS]
        if functions:
            yield "from microgrant.ops import FLOATS as m"
            yield ""
            yield f"{', '.join(functions)} = {', '.join(f'm.{name}' for name in functions)}"
        if self.own:
            yield f"# {', '.join(self.own.values())}: of your own"
        if functions or self.own:
            yield from ("", "")


def identifier(label: str) -> str:
    """The label as Python reads it, if it can be a name; nothing if it cannot."""
    name = unicodedata.normalize("NFKC", label)  # µ and μ are one name
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        return ""
    return name
