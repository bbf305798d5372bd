"""Random programs that decide: those of `graphs`, with powers, clips and recorded choices in them.

With this module you can

- draw a program:                    program = random_choices(seed=7)
- run it on numbers or on Values:    *_, result = carry_out(program, leaves)
- have rows for it:                  table = rows_for(program, inputs=[0, 2], count=5)
- have what each row is worth:       eagerly(program, row) -> the value, gradients, scales
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from graphs import LARGEST, MICROGRANT, SAFE, absolute_adjoints, arity_of

from microgrant import Value, where
from microgrant.engine import RELATIONS
from microgrant.ops import FLOATS, clip, power

EXPONENTS = (0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, -0.5, 2.5, -0.3)
CONNECTIVES: dict[str, Callable[[Any, Any], Any]] = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "equal": operator.eq,
    "different": operator.ne,
}
FAR = 1e-6  # so far from a tie that rounding decides nothing


@dataclass(frozen=True)
class Line:
    """An operation on earlier slots; `extra` is an exponent, two bounds, or a condition."""

    name: str
    operands: tuple[int, ...]
    extra: Any = None


@dataclass(frozen=True)
class ChoiceProgram:
    """Straight-line arithmetic. The slots are the leaves, the constants, then one per line."""

    seed: int
    leaves: tuple[float, ...]
    constants: tuple[float, ...]
    lines: tuple[Line, ...]


def random_choices(seed: int) -> ChoiceProgram:
    """A program of 5 to 30 lines; its last line depends on every leaf and on every line."""
    rng = random.Random(seed)
    length = rng.randint(5, 30)
    leaves = tuple(rng.uniform(-3, 3) for _ in range(rng.randint(2, 6)))
    constants = (rng.choice((2.0, 0.5, -1.0)), rng.uniform(-3, 3))
    slots = [*leaves, *constants]
    constant = {len(leaves), len(leaves) + 1}
    unused = list(range(len(leaves)))
    lines: list[Line] = []
    while len(lines) < length or len(unused) > 1:
        if len(lines) + len(unused) > length:  # time to bring the loose ends together
            name = rng.choice(("add", "sub", "mul", "maximum", "minimum", "where"))
            operands = tuple(rng.sample(unused, 2))
        else:
            name = rng.choice((*SAFE, *8 * ("where",), *4 * ("power", "clip")))
            operands = tuple(
                rng.choice(unused) if rng.random() < 0.4 else rng.randrange(len(slots))
                for _ in range(taken_by(name))
            )
        if constant.issuperset(operands):
            continue
        line = Line(name, operands, drawn_extra(rng, name, slots, constant))
        if is_safe(line, slots):
            unused = [i for i in unused if i not in operands] + [len(slots)]
            slots.append(compute(line, slots))
            lines.append(line)
    return ChoiceProgram(seed, leaves, constants, tuple(lines))


def taken_by(name: str) -> int:
    """How many operands a line has, its condition aside."""
    return {"where": 2, "power": 1, "clip": 1}.get(name) or arity_of(name)


def drawn_extra(rng: random.Random, name: str, slots: Sequence[Any], constant: set[int]) -> Any:
    if name == "power":
        return rng.choice(EXPONENTS)
    if name == "clip":
        low = rng.uniform(-2, 1)
        return low, low + rng.uniform(0, 2)
    return random_condition(rng, slots, constant) if name == "where" else None


def random_condition(
    rng: random.Random, slots: Sequence[Any], constant: set[int], depth: int = 0
) -> tuple[Any, ...]:
    """A comparison of two slots, or of a slot with a number; or some of them, combined."""
    if depth < 2 and rng.random() < 0.3:
        name = rng.choice(("not", *CONNECTIVES))
        parts = 1 if name == "not" else 2
        return name, *(random_condition(rng, slots, constant, depth + 1) for _ in range(parts))
    left = rng.choice([i for i in range(len(slots)) if i not in constant])
    right = rng.randrange(len(slots)) if rng.random() < 0.5 else rng.uniform(-2, 2)
    return rng.choice(tuple(RELATIONS)), left, right


def holds(condition: tuple[Any, ...], slots: Sequence[Any]) -> Any:
    """A condition on the slots: a `Condition` if they hold Values, or else a bool."""
    name, *operands = condition
    if name in RELATIONS:
        left, right = slots[operands[0]], operands[1]
        right = slots[right] if isinstance(right, int) else right
        if isinstance(right, Value) and name in ("==", "!="):  # whether they are the same node
            equal = (left <= right) & (left >= right)
            return equal if name == "==" else ~equal
        return RELATIONS[name](left, right)
    parts = [holds(part, slots) for part in operands]
    if name == "not":
        return not parts[0] if isinstance(parts[0], bool) else ~parts[0]
    return CONNECTIVES[name](*parts)


def compute(line: Line, slots: Sequence[Any]) -> Any:
    """A line on numbers, if the slots hold numbers, or on Values."""
    operands = [slots[i] for i in line.operands]
    on_values = isinstance(slots[0], Value)
    if line.name == "where":
        return (where if on_values else FLOATS.where)(holds(line.extra, slots), *operands)
    if line.name == "power":
        return operands[0] ** line.extra if on_values else power(line.extra).forward(*operands)
    if line.name == "clip":
        return operands[0].clip(*line.extra) if on_values else clip(*line.extra).forward(*operands)
    return MICROGRANT[line.name](*operands) if on_values else getattr(FLOATS, line.name)(*operands)


def carry_out(program: ChoiceProgram, leaves: Sequence[Any]) -> list[Any]:
    """All slots, computed from `leaves`."""
    slots = [*leaves, *program.constants]
    for line in program.lines:
        slots.append(compute(line, slots))
    return slots


def is_safe(line: Line, slots: Sequence[float]) -> bool:
    """Whether the line is well conditioned: away from poles, kinks, ties and large numbers."""
    operands = [slots[i] for i in line.operands]
    if line.name == "where":
        safe = is_firm(line.extra, slots)
    elif line.name == "power":
        safe = operands[0] > 0.2
    elif line.name == "clip":
        safe = all(abs(operands[0] - bound) > FAR for bound in line.extra)
    else:
        safe = SAFE[line.name](*operands)
    return safe and abs(compute(line, slots)) < LARGEST


def is_firm(condition: tuple[Any, ...], slots: Sequence[float]) -> bool:
    name, *operands = condition
    if name not in RELATIONS:
        return all(is_firm(part, slots) for part in operands)
    left, right = operands
    number = slots[right] if isinstance(right, int) else right
    return left == right or abs(slots[left] - number) > FAR


def rows_for(program: ChoiceProgram, inputs: Sequence[int], count: int) -> list[list[float]]:
    """So many rows, each a list of all leaves: the inputs are drawn anew, but kept safe."""
    rng = random.Random(program.seed)
    rows = [list(program.leaves)]
    reach = 3.0
    while len(rows) < count:
        row = list(program.leaves)
        for i in inputs:
            row[i] += rng.uniform(-reach, reach)
        if all_safe(program, row):
            rows.append(row)
        else:
            reach *= 0.9
    return rows


def all_safe(program: ChoiceProgram, leaves: Sequence[float]) -> bool:
    slots = [*leaves, *program.constants]
    for line in program.lines:
        if not is_safe(line, slots):
            return False
        slots.append(compute(line, slots))
    return True


def eagerly(program: ChoiceProgram, row: Sequence[float]) -> SimpleNamespace:
    """The value of a row, its `grads` and their `scales`, from a graph recorded for this row."""
    leaves = [Value(x) for x in row]
    root = carry_out(program, leaves)[-1]
    root.backward()
    adjoints = absolute_adjoints(root)
    return SimpleNamespace(
        data=root.data,
        grads=[leaf.grad for leaf in leaves],
        scales=[adjoints.get(leaf, 0.0) for leaf in leaves],
    )


def decisions(program: ChoiceProgram, row: Sequence[float]) -> Iterator[tuple[int, bool]]:
    """Each line that chooses, and which way it goes."""
    slots = carry_out(program, row)
    for place, line in enumerate(program.lines):
        if line.name == "where":
            yield place, bool(holds(line.extra, slots))
