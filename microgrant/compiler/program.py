"""A recorded graph as a straight-line program: the forward pass, then the backward pass.

With this module you can

- write the graph of one example down as instructions:   program = Program(); program.record(…)
- append its backward pass:                              program.differentiate(…)

It is the table of operations that writes both halves. A `Register` is a number that the program
will have computed; arithmetic on registers appends instructions, and so a rule of
`microgrant.ops`, run on registers instead of numbers, appends the instructions of a derivative.
What is known when the program is written is computed at once, and what was computed before is used
again.

The program runs over many rows (examples) in one go. What depends on no input is the same for all
of them, and is computed once; hence the three stages of a register:

- ONCE: made of parameters and constants, before the first row;
- ROW: made of inputs, for each row;
- AFTER: made of means over all rows.

The mean of a thing that is the same for all rows is the thing itself. So the gradient of the mean
loss is collected like any other gradient, and `mean` is the only way out of a row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial as bind
from itertools import compress
from types import SimpleNamespace
from typing import Any, TypeAlias

from ..engine.by_hand import ByHand
from ..engine.conditions import RELATIONS, Choice, Condition, branches
from ..engine.freeing import free_in_turn
from ..engine.value import Value
from ..ops.operators import Operators
from ..ops.table import DETACH, FLOATS, OPERATIONS, Operation, power

__all__ = ["AFTER", "BOOLEAN", "FUSED", "ONCE", "ROW", "Instruction", "Job", "Macro", "Program"]
__all__ += ["SUMS", "Handed", "Part", "Register", "length", "needed", "spelled", "terms_of"]

ONCE, ROW, AFTER = range(3)

Given: TypeAlias = "Register | float"

Part: TypeAlias = "tuple[Register | float | None, Register]"
"""Of a sum: a product, or a number with None."""

Handed: TypeAlias = defaultdict[int, list[Part]]
"""The parts of gradients, by the id of a Value."""

# What a program computes beside the operations of the table, all of it on numbers.
FOLDED: dict[str, Callable[..., Any]] = {
    **RELATIONS,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": lambda a: not a,
    "where": FLOATS.where,
    "copysign": math.copysign,
    **{operation.name: operation.forward for operation in OPERATIONS.values()},
}
# What native rules ask beside that of the layout of a float, and of the processor.
LAYOUT = ("round", "power_of_two", "exponent", "mantissa", "fmod")
SIMPLER = frozenset({"where", "neg", "abs"})  # even of what is not known, they may need nothing
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}  # of operands with other signs
COMMUTATIVE = frozenset({"add", "mul"})  # a + b is b + a, to the last bit
ADD, MUL = OPERATIONS["add"], OPERATIONS["mul"]
# Two indices make one number, which differs in its last bits for most pairs: a dictionary looks at
# these first. With a power of two in its place, all multiples of one gradient would be in its way.
SPREAD = 2**32 + 0x9E3779B1  # more than there are registers
LEAVES = frozenset({"constant", "parameter", "input"})
BOOLEAN = frozenset({*RELATIONS, "and", "or", "not"})
FUSED = frozenset({"add", "sub", "mul"})  # what may be fused in the backward pass


@dataclass(frozen=True, eq=False)
class Macro:
    """An instruction that stands for several, the last of which computes its result.

    steps: each an operation, whether it may be fused, and operands: an integer from 0 on is an
        earlier step, -1 and below what the macro takes, and text is a constant.
    """

    steps: tuple[tuple[Any, ...], ...]


Instruction: TypeAlias = "str | Operation | Macro"
# Sums of any number of terms, in their order: an instruction takes what it begins with, and then
# its terms; or the first factor of each, and the second ones. "r" is a number of each row, "p" one
# that is the same for all, where there are others.
SUMS = {"sum_r": "r", "sum_rr": "rr", "sum_pr": "pr"}


def spelled(operation: Instruction) -> list[Any]:
    """The operations that an instruction stands for: itself, if it is none of a macro's."""
    return [step[0] for step in operation.steps] if isinstance(operation, Macro) else [operation]


@dataclass(slots=True, eq=False, repr=False)  # `==` of registers is an instruction: see below
class Register(Operators["Register | float", "Register", "Register"]):
    """A number of the program: a leaf, or what an instruction computes from other registers.

    operation: the name of what computes it; "constant", "parameter" or "input" for a leaf; an
        `Operation` for one that a user defined, or a `Macro`.
    operands: the registers that it takes; of a leaf, its number or its place in the list.
    stage: ONCE, ROW or AFTER.
    index: its place in the program; operands come before results.
    name: the label of the Value that it stands for, if it has one.
    gradient_of: the register whose gradient it is.
    """

    program: Program
    operation: Instruction
    operands: tuple[Any, ...]
    stage: int
    index: int
    name: str = ""
    gradient_of: Register | None = None

    @property
    def leaf(self) -> bool:
        """Whether it is given, and not computed."""
        return self.operation in LEAVES

    def _operate(self, operation: str, *operands: Given) -> Register:
        if operation == "pow":
            return self.program.power(*operands)
        return self.program.emit(operation, *operands)

    def _compare(self, relation: str, left: Given, right: Given) -> Register:
        return self.program.emit(relation, left, right)

    def __or__(self, other: Register) -> Register:
        return self.program.emit("or", self, other)

    def __and__(self, other: Register) -> Register:
        return self.program.emit("and", self, other)

    def __invert__(self) -> Register:
        return self.program.emit("not", self)

    def __bool__(self) -> bool:
        raise TypeError("a rule decides with m.where(condition, yes, no), and not with `if`")


free_in_turn(Register, "operands", "gradient_of")


@dataclass(frozen=True)
class Job:
    """What is to be run: a program, and which of its registers are wanted.

    inputs, parameters: how many there are of each.
    per_row: whether the outputs of each row are wanted; or else those of all rows, such as means.
    """

    program: Program
    outputs: Sequence[Register]
    inputs: int
    parameters: int
    per_row: bool

    @cached_property
    def registers(self) -> list[Register]:
        """What the outputs are computed from, and they themselves, in the order of the program."""
        return needed(self.outputs)

    @cached_property
    def stages(self) -> tuple[list[Register], list[Register], list[Register]]:
        """What is computed once, for each row, and after the rows: for each row also the sums of
        means."""
        stages: tuple[list[Register], list[Register], list[Register]] = ([], [], [])
        for x in self.registers:
            if x.operation not in LEAVES:
                stages[ROW if x.operation == "mean" else x.stage].append(x)
        return stages

    @cached_property
    def instructions(self) -> int:
        """How many instructions it has."""
        return sum(length(x) for stage in self.stages for x in stage)


def length(register: Register) -> int:
    """How many instructions of a processor compute a register."""
    operation = register.operation
    if isinstance(operation, Macro):
        return len(operation.steps)
    return len(register.operands) - 1 if operation in SUMS else 1


def terms_of(x: Register) -> tuple[Register, list[Register], list[Register]]:
    """What a sum begins with, and its terms; or the first and the second factors of its terms."""
    start, *terms = x.operands
    middle = len(terms) // len(SUMS[str(x.operation)])
    return start, terms[:middle], terms[middle:]


class Program:
    """Instructions in the order in which they run.

    primitives: the operations that the target computes by itself; the others are spelled with
        those, as the table says.
    """

    def __init__(self, primitives: Container[str]) -> None:
        self.registers: list[Register] = []
        self.forward: float = math.inf  # where the backward pass begins
        self.primitives = primitives
        self._by_id: dict[int, Register] = {}  # by the id of a Value or a condition
        self._constants: dict[float | str, Register] = {}
        # By operation, and then by the indices of the operands, side by side in one integer: half
        # the memory of a tuple.
        self._computed: defaultdict[Instruction, dict[int, Register]] = defaultdict(dict)
        functions = {name: bind(self.emit, name) for name in (*FOLDED, *LAYOUT)}
        functions["alike"] = functions["where"]
        # What a rule finds in `m`. In the rules of derivatives, a power whose exponent is known is
        # one of the family of powers; how those are computed is said by their native rules.
        self._native = SimpleNamespace(**functions)
        self.algebra = SimpleNamespace(**functions | {"pow": self.power})

    def close(self) -> None:
        """Let go of the registers, which refer back to the program: so nothing is left behind."""
        vars(self).clear()

    def finish(self) -> None:
        """Forget what would be found again: nothing but constants will be asked for any more."""
        self._computed.clear()

    # --- Writing instructions -------------------------------------------------------------------

    def constant(self, number: float) -> Register:
        """A register that holds a number from the start."""
        plain = number == number and (number or math.copysign(1.0, number) > 0)
        key = number if plain else repr(number)  # which tells -0.0 from 0.0, and finds nan again
        register = self._constants.get(key)
        if register is None:
            register = self._constants[key] = self._append("constant", (float(number),), ONCE)
        return register

    def leaf(self, kind: str, place: int, name: str = "") -> Register:
        """The register of an input or of a parameter, by its place in their list."""
        register = self._append(kind, (place,), ROW if kind == "input" else ONCE)
        register.name = name
        return register

    def emit(self, operation: Instruction, *given: Any) -> Register:
        """The register of an operation on others; found again, if it was computed before."""
        if len(given) == 2:  # spelled out, as most have two: in half the time
            a, b = given
            if a.__class__ is not Register or b.__class__ is not Register:
                given = a, b = self._register(a), self._register(b)
            left, right = a.index, b.index
            if right < left and operation in COMMUTATIVE:
                left, right = right, left
            # A stage is as good as a bit: none mixes rows with what is made of means over them.
            key, stage = left * SPREAD + right, a.stage | b.stage
            known = a.operation == "constant" or b.operation == "constant"
        else:
            key, stage, known = 0, ONCE, operation in SIMPLER
            for x in given:
                if x.__class__ is not Register:
                    return self.emit(operation, *map(self._register, given))
                key, stage = key * SPREAD + x.index, stage | x.stage
                known = known or x.operation == "constant"
        computed = self._computed[operation]
        register = computed.get(key)
        if register is None:
            if known:
                register = self._simplified(operation, given)
            if register is None:
                if operation in self.primitives:
                    register = self._append(operation, given, stage)
                else:
                    register = self.expanded(operation, *given)
            computed[key] = register
        return register

    def _register(self, given: Given) -> Register:
        return given if given.__class__ is Register else self.constant(float(given))  # type: ignore

    def power(self, base: Given, exponent: Given) -> Register:
        """A power; with an exponent that is known, the one of the family of powers."""
        number = _known(exponent)
        if number is None:
            return self.emit("pow", base, exponent)
        return self.apply(power(number), base)

    def apply(self, operation: Operation, *operands: Any) -> Register:
        """Any operation: an entry of the table, of a family, or a user's own."""
        if OPERATIONS.get(operation.name) is operation:
            return self.emit(operation.name, *operands)
        known = [_known(x) for x in operands]
        if None not in known:
            return self.constant(operation.forward(*known))
        return self.emit(operation, *operands)

    def expanded(self, operation: Instruction, *operands: Register) -> Register:
        """An operation as its native rule makes it of others; else an instruction of that name."""
        entry = OPERATIONS.get(operation) if isinstance(operation, str) else operation
        native = entry.native if isinstance(entry, Operation) else ""
        if not callable(native):
            return self._instruction(operation, *operands)
        result: Register = native(self._native, *operands)
        return result

    def mean(self, register: Register) -> Register:
        """The mean over all rows."""
        if register.stage != ROW:
            return register
        computed, key = self._computed["mean"], register.index
        if key not in computed:
            computed[key] = self._append("mean", (register,), AFTER)
        return computed[key]

    def _simplified(self, operation: Any, operands: tuple[Register, ...]) -> Register | None:
        """What needs no instruction: only what is exact for every number, inf and nan included."""
        a = operands[0]
        if operation == "where":
            yes, no = operands[1:]
            if a.operation == "constant":
                return yes if a.operands[0] else no
            # Not where a row chooses: who takes what is asked of its condition again.
            return yes if yes is no and a.stage != ROW else None
        if operation in ("neg", "abs") and a.operation != "constant":
            return self._without_sign(operation, a)
        known = [x.operands[0] if x.operation == "constant" else None for x in operands]
        if None not in known and operation in FOLDED:
            return self.constant(float(FOLDED[operation](*known)))
        if operation in ("and", "or"):
            for x, truth in ((a, known[1]), (operands[1], known[0])):
                if truth is not None:
                    return x if bool(truth) == (operation == "and") else self.constant(truth)
        elif operation == "mul":
            for x, factor in ((a, known[1]), (operands[1], known[0])):
                if factor == 1.0:
                    return x
                if factor == -1.0:
                    return self.emit("neg", x)
        elif operation == "div" and known[1] is not None:
            if known[1] == 1.0:
                return a
            if abs(math.frexp(known[1])[0]) == 0.5 and 1e-300 < abs(known[1]) < 1e300:
                return self.emit("mul", a, 1.0 / known[1])  # a power of two: as exact
        elif operation == "sub" and known[1] == 0.0 and math.copysign(1.0, known[1]) > 0:
            return a
        elif operation in MIRRORED and known[1] == 0.0 and a.operation == "mul":
            # 2x has the sign of x: so the slope of tanh needs one of them, and not both.
            for x, factor in (a.operands, a.operands[::-1]):
                if (number := _known(factor)) is not None and 1.0 <= abs(number) < math.inf:
                    return self.emit(operation if number > 0 else MIRRORED[operation], x, 0.0)
        return None

    def _without_sign(self, operation: str, x: Register) -> Register | None:
        """The negative, or the absolute value, of what is one already but for its sign."""
        if x.operation == "neg":
            return x.operands[0] if operation == "neg" else self.emit("abs", x.operands[0])
        if operation == "abs" and x.operation == "mul":  # so that sigmoid(-2x) and of 2x share
            for other, factor in (x.operands, x.operands[::-1]):
                if factor.operation == "constant" and factor.operands[0] < 0:
                    return self.emit("abs", self.emit("mul", other, -factor.operands[0]))
        return None

    def _instruction(self, operation: Instruction, *operands: Register) -> Register:
        """The register of a new instruction."""
        return self._append(operation, operands, max([x.stage for x in operands]))

    def _append(self, operation: Instruction, operands: tuple[Any, ...], stage: int) -> Register:
        registers = self.registers
        register = Register(self, operation, operands, stage, len(registers))
        registers.append(register)
        return register

    # --- From a graph ---------------------------------------------------------------------------

    def record(
        self,
        order: Sequence[Value | Condition],
        inputs: Sequence[Value],
        parameters: Sequence[Value],
        roots: Sequence[Value] = (),
    ) -> None:
        """Append the forward pass: `order` is what `whole_order` gives for these roots.

        Leaves that are neither inputs nor parameters become constants.
        """
        for kind, leaves in (("input", inputs), ("parameter", parameters)):
            for place, leaf in enumerate(leaves):
                self._by_id[id(leaf)] = self.leaf(kind, place, leaf.label)
        by_id = self._by_id
        for x in self._apart(order, roots):
            if id(x) not in by_id:
                by_id[id(x)] = self._record(x)

    def register_of(self, x: Value | Condition) -> Register:
        """The register that stands for a Value, or a condition, of the recorded graph."""
        return self._by_id[id(x)]

    def _apart(
        self, order: Sequence[Value | Condition], roots: Sequence[Value]
    ) -> Sequence[Value | Condition]:
        """What has a register of its own: all of it."""
        return order

    def _record(self, x: Value | Condition) -> Register:
        """The register of a Value or a condition whose operands have theirs."""
        if isinstance(x, Condition):
            return self.emit(x.relation, *(self._compared(x.relation, y) for y in x.operands))
        if x.operation is None:
            return self.constant(x._data)
        register = self._result(x, x.operation)
        if not register.name:
            register.name = x._label
        return register

    def _result(self, x: Value, operation: Operation) -> Register:
        """The register of what an operation computed."""
        if isinstance(operation, ByHand):
            raise ValueError(operation.advice)
        if isinstance(operation, Choice):
            operands = (operation.condition, *operation.branches)
            return self.emit("where", *map(self.register_of, operands))
        by_id = self._by_id
        return self.apply(operation, *[by_id[id(o)] for o in x.operands])

    def _compared(self, relation: str, x: Any) -> Register | float:
        """An operand of a condition: a Value, a condition, or a number of any kind."""
        if id(x) in self._by_id:
            return self._by_id[id(x)]
        return _as_compared(relation, x)

    def differentiate(
        self,
        roots: Mapping[Value, Register],
        order: Sequence[Value | Condition],
        leaves: Sequence[Value],
    ) -> list[Register | None]:
        """Append the backward pass: the gradient of each leaf, of a parameter the mean; None for
        one out of reach.

        roots: what is differentiated, and the gradient that comes to each from above.

        It is the chain rule as in `Value.backward`: in reverse topological order, each result hands
        on to its operands its own gradient times the partial derivatives.
        """
        self.forward = len(self.registers)
        values = [x for x in order if isinstance(x, Value)]
        reach = {id(x) for x in leaves}  # what depends on a leaf; the rest needs no gradient
        for value in values:
            if not reach.isdisjoint(map(id, branches(value))):
                reach.add(id(value))
        taken = self._taken(roots, values)
        gradients: dict[int, Register] = {}
        handed: Handed = defaultdict(list)
        for root, above in roots.items():
            handed[id(root)].append((None, above))
        by_id = self._by_id
        for value in reversed(values):
            key = id(value)
            parts = handed.pop(key, None)
            if parts is None or key not in reach:
                continue
            register = by_id[key]
            upstream = self._total(parts, register)
            if value.operation is None:
                gradients[key] = upstream
                continue
            if key not in taken:
                self._hand_on(value, upstream, handed)
                continue
            when, here = self._for_all_rows(taken[key], register), Handed(list)
            self._hand_on(value, upstream, here)
            for operand, contributions in here.items():
                products = map(self._product, contributions)
                handed[operand] += [(None, self.emit("where", when, x, 0.0)) for x in products]
        return [gradients.get(id(x)) for x in leaves]

    def _for_all_rows(self, taken: Register, register: Register) -> Register:
        """Whether a Value has a part in the step: of one made once, whether any row takes it."""
        if register.stage == ROW or taken.stage != ROW:
            return taken
        return self.mean(self.emit("where", taken, 1.0, 0.0)) > 0.0

    def _total(self, parts: Sequence[Part], register: Register) -> Register:
        """The gradient of a register, from its parts: of one made once, the mean over the rows.

        What is the same for all rows is added up apart.
        """
        once: list[Part] = []
        row: list[Part] = []
        for factor, x in parts:
            of_row = x.stage == ROW or (isinstance(factor, Register) and factor.stage == ROW)
            (row if of_row else once).append((factor, x))
        both = [self._added(apart) for apart in (once, row) if apart]
        if row and register.stage == ONCE:
            both[-1] = self.mean(both[-1])
        total = both[0] if len(both) == 1 else self.emit("add", *both)
        if total.gradient_of is None and total.index >= self.forward and not total.leaf:
            total.gradient_of = register
        return total

    def _added(self, parts: Sequence[Part]) -> Register:
        """The sum of parts of a gradient."""
        total, *others = [self._product(part) for part in parts]
        for x in others:
            total = self.emit("add", total, x)
        return total

    def _product(self, part: Part) -> Register:
        """A part of a gradient, or another product: a factor may be missing."""
        factor, x = part
        return x if factor is None else self.emit("mul", factor, x)

    def _hand_on(self, value: Value, upstream: Register, handed: Handed) -> None:
        """Hand on the gradient of a Value to its operands, times the partial derivatives."""
        operation: Any = value.operation
        operands, by_id = value.operands, self._by_id
        # Nearly all are sums and products: what their rules say in the end.
        if operation is ADD:
            for x in operands:
                handed[id(x)].append((None, upstream))
        elif operation is MUL:
            left, right = operands
            handed[id(left)].append((by_id[id(right)], upstream))
            handed[id(right)].append((by_id[id(left)], upstream))
        elif operation is DETACH:  # not 0 times the upstream, which may be inf
            handed[id(operands[0])].append((None, self.constant(0.0)))
        elif isinstance(operation, Choice):
            chosen = self.register_of(operation.condition)
            yes, no = (upstream, 0.0), (0.0, upstream)
            for branch, both in zip(operation.branches, (yes, no), strict=True):
                handed[id(branch)].append((None, self.emit("where", chosen, *both)))
        else:
            partials = self.partials(operation, *[by_id[id(x)] for x in (value, *operands)])
            for x, partial in zip(operands, partials, strict=True):
                handed[id(x)].append((partial, upstream))

    def partials(self, operation: Operation, out: Register, *operands: Register) -> tuple[Any, ...]:
        """The partial derivatives of a result by its operands: registers, or numbers."""
        try:
            return operation.partials(self.algebra, out, *operands)
        except (TypeError, AttributeError):  # a rule of a user's, which works on floats only
            return tuple(self.emit(x, out, *operands) for x in _opaque(operation))

    def _taken(self, roots: Iterable[Value], values: Sequence[Value]) -> dict[int, Register]:
        """For each Value that only some rows would have recorded: whether this row does.

        A branch that `where` does not take is computed all the same, but has no part in the step:
        its gradient, which may be nan, must not reach what it was computed from.
        """
        if not any(isinstance(value.operation, Choice) for value in values):
            return {}
        always = self.constant(1.0)
        taken = {id(root): always for root in roots}
        for value in reversed(values):
            here = taken.get(id(value))
            if here is None:
                continue
            whens = [always] * len(value.operands)
            if isinstance(value.operation, Choice):
                chosen = self.register_of(value.operation.condition)
                whens = [chosen, ~chosen]
            for operand, when in zip(branches(value), whens, strict=True):
                both, before = here & when, taken.get(id(operand))
                taken[id(operand)] = both if before is None else before | both
        return {key: when for key, when in taken.items() if when is not always}


@lru_cache(maxsize=256)
def _opaque(operation: Operation) -> tuple[Operation, ...]:
    """The partial derivatives as operations of their own, on the result and the operands."""
    return tuple(
        Operation(
            f"{operation.name}_partial_{place}",
            lambda *numbers, place=place: float(operation.partials(FLOATS, *numbers)[place]),
            operation.partials,
            (*operation.domain, (-3.0, 3.0)),
        )
        for place in range(operation.arity)
    )


def _known(x: Any) -> float | None:
    """The number, if it is known when the program is written."""
    if x.__class__ is Register:
        return float(x.operands[0]) if x.operation == "constant" else None
    return float(x)


def _as_compared(relation: str, x: Any) -> float:
    """The float that can stand on the right of a comparison for a number of any kind.

    2⁵³ + 1 is none: a float is below it if it is below 2⁵³ + 2, which is the next that there is.
    """
    try:
        nearest = float(x)
    except OverflowError:  # an integer too large for a float is larger than all of them
        nearest = math.inf if x > 0 else -math.inf
    if nearest == x or nearest != nearest:
        return nearest
    if relation in ("==", "!="):
        return math.nan  # it is equal to none
    up = relation in ("<", ">=")
    if up == (nearest > x):
        return nearest
    return math.nextafter(nearest, math.inf if up else -math.inf)


def needed(outputs: Sequence[Register]) -> list[Register]:
    """The registers that the outputs are computed from, in the order of the program."""
    program = next((x.program.registers for x in outputs), [])
    found = bytearray(len(program))
    for register in outputs:
        found[register.index] = True
    for register in reversed(program):
        if found[register.index] and register.operation not in LEAVES:
            for operand in register.operands:
                found[operand.index] = True
    return list(compress(program, found))
