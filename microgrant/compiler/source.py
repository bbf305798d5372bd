"""A program as readable text: the unrolled backpropagation that textbooks print by hand.

With this module you can

- write a program down:      source = PythonSource(job); print(source.text)
- run what was written:      source.function()(parameters, rows)
- write it for a page:       print(JavaScriptSource(job).text)

In Python the text needs nothing but `microgrant.ops`, in JavaScript nothing at all: so it can be
saved to a file of its own, read and changed. What is long because it repeats itself is written as
loops by `microgrant.compiler.listing`, in the words that stand here.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from ..ops.table import CALL, OPERATIONS, Operation
from ..ops.words import Operand, Term, forward, lacking_in_javascript, spell
from .program import SUMS, Job, Register, terms_of

__all__ = ["JavaScriptSource", "PythonSource", "Source"]

LONGEST = 6  # operations in a line
LETTERS = {"parameter": "p", "input": "x"}  # with a number, the names of what has none
NO_NAME = r"\W"  # what an element of a list has in its name
RESERVED = {"parameters", "rows", "results", "number_of_rows", "run"}
RESERVED |= {"where"}  # would be read as the operation by `words.spell`
RESERVED |= {"sum", "map", "zip", "range", "enumerate", "Array", "Math", "Number"}  # are called
# What loops are written with, and the functions that they call.
LOOPS_OF_PYTHON = {
    "lists": "for row in rows:",
    "blocks": "for start in range(0, len(rows), {}):",
    "block": "for row in rows[start : start + {}]:",
    "times": "for {} in range({}):",
    "pairs": "for {}, {} in enumerate({}):",
    "lines": "zip(*{})",
    "columns": "*zip(*{})",
    "made": "{} = [{} for {} in range({})]",
    "zeros": "{} = [0.0] * {}",
    "means": "means = [total / number_of_rows for total in sums]",
    "append": "{}.append({})",
    "joined": "{} = [{}]",
    "all": "*{}",
    "slice": "{}[{} : {}]",
    "every": "{}[{} : {} : {}]",
    "picked": "[{}[place] for place in {}]",
    "table": "{} = ({},)",
    "tuple": "({},)",
    "product": "sum(map(mul, {}, {}))",
    "function dot": """
def dot(total, xs, ys):
    for x, y in zip(xs, ys):
        total += x * y
    return total

""",
    "function add_up": """
def add_up(total, xs):
    for x in xs:
        total += x
    return total

""",
}
LOOPS_OF_JAVASCRIPT = {
    "lists": "for (const row of rows) {{",
    "blocks": "for (let start = 0; start < rows.length; start += {}) {{",
    "block": "for (const row of rows.slice(start, start + {})) {{",
    "times": "for (let {0} = 0; {0} < {1}; {0}++) {{",
    "pairs": "for (const [{}, {}] of {}.entries()) {{",
    "lines": "columns({})",
    "columns": "...columns({})",
    "made": "const {0} = [];\nfor (let {2} = 0; {2} < {3}; {2}++) {0}.push({1});",
    "zeros": "const {} = Array({}).fill(0);",
    "means": "const means = sums.map((total) => total / number_of_rows);",
    "append": "{}.push({});",
    "joined": "const {} = [{}];",
    "all": "...{}",
    "slice": "{}.slice({}, {})",
    "every": "every({}, {}, {}, {})",
    "picked": "{1}.map((place) => {0}[place])",
    "table": "const {} = [{}];",
    "tuple": "[{}]",
    "product": "dot(0, {}, {})",
    "function dot": """
function dot(total, xs, ys) {
    for (let i = 0; i < xs.length; i++) total += xs[i] * ys[i];
    return total;
}
""",
    "function add_up": """
function add_up(total, xs) {
    for (const x of xs) total += x;
    return total;
}
""",
    "function every": """
function every(list, start, stop, step) {
    const found = [];
    for (let i = start; i < stop; i += step) found.push(list[i]);
    return found;
}
""",
    "function columns": """
function columns(lines) {
    return lines[0].map((_, i) => lines.map((line) => line[i]));
}
""",
}
KEYWORDS = """
    arguments await case catch const debugger default delete do enum eval export extends false
    function implements instanceof interface let new null package private protected public static
    super switch this throw true typeof undefined var void Infinity NaN
"""  # of JavaScript, beside those of Python


class Source:
    """A program as text: names for registers, and the lines that compute them.

    text: it defines ``run(parameters, rows)``, which returns the outputs; with `per_row` those of
        each row, a list of lists.

    A subclass says what there is to know of its language:

    language: what `words.spell` calls it.
    primitives: the operations that it has words for.
    signs: those that its own signs compute as IEEE 754 has them. The others are calls.
    statements: how it writes each kind of line.
    reserved: what cannot be the name of a register.
    unused: what stands for a number that nobody needs, where a list is taken apart.
    """

    language: ClassVar[str]
    primitives: ClassVar[frozenset[str]]
    signs: ClassVar[frozenset[str]]
    statements: ClassVar[Mapping[str, str]]
    reserved: ClassVar[frozenset[str]]
    unused: ClassVar[str]

    def __init__(self, job: Job) -> None:
        self.job, self.outputs = job, job.outputs
        self.registers = job.registers
        self.names: dict[int, str] = {}
        self.terms: dict[int, tuple[Term, int]] = {}
        self.taken = {*RESERVED, *self.reserved, *OPERATIONS}
        self.numbered: Counter[str] = Counter()
        own = dict.fromkeys(
            x.operation for x in self.registers if isinstance(x.operation, Operation)
        )
        self.own = {operation: self.free(identifier(operation.name) or "f") for operation in own}
        self.sums: dict[int, str] = {}
        self.users = users = dict[int, list[Register]]()
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

    def name(self, register: Register) -> str:
        """The name of a register: its label, ``d_`` and the name of what it is a gradient of, or a
        number."""
        if register.index not in self.names:
            if register.gradient_of is not None:
                of = re.sub(NO_NAME, "_", self.name(register.gradient_of)).rstrip("_")
                name = self.free(f"d_{of}")
            elif label := identifier(register.name):
                name = self.free(label)
            else:
                name = self.new_name(LETTERS.get(str(register.operation), "v"))
            self.names[register.index] = name
        return self.names[register.index]

    def new_name(self, kind: str = "v") -> str:
        """A name with a number."""
        self.numbered[kind] += 1
        return self.free(f"{kind}{self.numbered[kind]}")

    def free(self, wanted: str) -> str:
        """This name, or one like it that nothing has yet."""
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted

    def term(self, register: Register) -> tuple[Operand, int]:
        """A register as an operand, and how many operations its text has."""
        if register.operation == "constant" and register.index not in self.names:
            return float(register.operands[0]), 0
        if register.index in self.terms:
            return self.terms.pop(register.index)
        return Term(self.name(register)), 0

    def lines(self, registers: Iterable[Register]) -> Iterator[str]:
        """The statements that compute registers of one stage."""
        for register in registers:
            if register.operation == "mean":
                yield self.says("add", self.total(register), self.spelled(register.operands[0]))
                continue
            if register.operation in SUMS:
                yield from self.sum(register)
                continue
            operands, sizes = zip(*map(self.term, register.operands), strict=True)
            size = 1 + sum(sizes)
            term = Term(self.spelled_as(register.operation), operands)
            if register.index in self.inlined and size < LONGEST:
                self.terms[register.index] = term, size
            else:
                yield self.says("let", self.name(register), spell(term, self.language))

    def sum(self, register: Register) -> Iterator[str]:
        """The statements of a long sum, from left to right."""
        start, firsts, others = terms_of(register)
        total, size = self.term(start)
        bare = start is self.job.program.constant(-0.0)  # to add which changes no number
        for place, first in enumerate(firsts):
            if size >= LONGEST:
                name = self.new_name()
                yield self.says("let", name, spell(total, self.language))
                total, size = Term(name), 0
            factors = (first, others[place]) if others else (first,)
            operands, sizes = zip(*map(self.term, factors), strict=True)
            term = Term(self.spelled_as("mul"), operands) if others else operands[0]
            size += sum(sizes) + len(operands)
            total = Term(self.spelled_as("add"), (total, term)) if place or not bare else term
        yield self.says("let", self.name(register), spell(total, self.language))

    def formula(self, registers: Sequence[Register]) -> tuple[list[str], str]:
        """The last of registers, written out; and the lines that have to be before that."""
        *others, result = registers
        self.inlined.update(x.index for x in others if len(self.users[x.index]) == 1)
        lines = list(self.lines(others))
        operands = tuple(self.term(x)[0] for x in result.operands)
        return lines, spell(Term(self.spelled_as(result.operation), operands), self.language)

    def says(self, statement: str, *parts: str) -> str:
        """A line of the language."""
        return self.statements[statement].format(*parts)

    def spelled_as(self, operation: Any) -> str | Operation:
        """What `words.spell` is to write an operation of a program as."""
        entry = OPERATIONS.get(operation) if isinstance(operation, str) else operation
        if entry is None or operation in self.signs:
            return entry or operation
        return as_call(entry, self.own.get(entry, entry.name))

    def spelled(self, register: Register) -> str:
        """A register as it stands in a line."""
        return spell(self.term(register)[0], self.language)

    def total(self, mean: Register) -> str:
        """The name of the sum that a mean is made of."""
        if mean.index not in self.sums:
            self.sums[mean.index] = self.free(f"sum_{self.name(mean)}")
        return self.sums[mean.index]

    def unpacked(self, kind: str, count: int) -> str:
        """The left side of an assignment that takes a list of inputs or parameters apart."""
        names = {x.operands[0]: self.names[x.index] for x in self.registers if x.operation == kind}
        return ", ".join(names.get(place, self.unused) for place in range(count))

    @cached_property
    def text(self) -> str:
        """The whole text."""
        job, per_row, says = self.job, self.job.per_row, self.says
        for register in self.registers:
            if register.operation in ("parameter", "input"):
                self.name(register)
        means = [x for x in self.registers if x.operation == "mean"]
        once, row, after = job.stages
        end = [says("end")] if self.statements["end"] else []
        body: list[str] = []
        if job.parameters:
            body.append(says("parameters", self.unpacked("parameter", job.parameters)))
        body += self.lines(once)
        body += [says("results")] if per_row else [says("sum", self.total(mean)) for mean in means]
        if row or per_row:
            body.append(says("rows", self.unpacked("input", job.inputs)))
            body += ["    " + line for line in self.loop(row)]
            body += end
        if per_row:
            body.append(says("return", "results"))
        else:
            if means:
                body.append(says("count"))
            body += [says("let", self.name(x), f"{self.total(x)} / number_of_rows") for x in means]
            body += self.lines(after)
            body.append(says("return", f"[{', '.join(map(self.spelled, self.outputs))}]"))
        return self.whole(body)

    def whole(self, body: Sequence[str], before: Sequence[str] = ()) -> str:
        """The text with this body of its function, and these lines before it."""
        called = {str(x.operation) for x in self.registers if x.operation in OPERATIONS}
        header = self.header(sorted(called - self.signs), "\n".join([*body, *before]))
        end = [self.says("end")] if self.statements["end"] else []
        indented = ("    " + line for line in body)
        return "\n".join([*header, *before, self.says("run"), *indented, *end, ""])

    def loop(self, registers: Sequence[Register]) -> Iterator[str]:
        """What is done with each row: the forward pass, and then the backward pass."""
        first = self.job.program.forward
        backward = [x for x in registers if x.index >= first]
        yield from [self.says("remark", "forward")] if backward else []
        yield from self.lines(x for x in registers if x.index < first)
        yield from [self.says("remark", "backward"), *self.lines(backward)] if backward else []
        if self.job.per_row:
            yield self.says("result", ", ".join(map(self.spelled, self.outputs)))

    def header(self, called: Sequence[str], body: str) -> Iterator[str]:
        """What stands before the function: the names that it takes for granted.

        called: the operations of the table among them.
        """
        raise NotImplementedError


class PythonSource(Source):
    """A program in Python."""

    language = "python"
    primitives = frozenset(OPERATIONS)
    signs = frozenset({"add", "sub", "mul", "neg"})  # those for division and powers raise errors
    reserved = frozenset({"inf", "nan", "m", "len", "_"})
    unused = "_"
    statements: ClassVar[Mapping[str, str]] = {
        "run": "def run(parameters, rows):",
        "parameters": "{} = parameters",
        "rows": "for {} in rows:",
        "count": "number_of_rows = len(rows)",
        "let": "{} = {}",
        "sum": "{} = 0.0",
        "add": "{} += {}",
        "results": "results = []",
        "result": "results.append([{}])",
        "return": "return {}",
        "remark": "# {}",
        "end": "",
        **LOOPS_OF_PYTHON,
    }

    def function(self) -> Callable[..., Any]:
        """What the text defines, where a user's own operations stand for their functions."""
        names: dict[str, Any] = {name: operation.forward for operation, name in self.own.items()}
        exec(compile(self.text, "<the source of a compiled step>", "exec"), names)
        return names["run"]  # type: ignore[no-any-return]

    def unpacked(self, kind: str, count: int) -> str:
        """A list of one name ends with a comma, and for a list of none stands a name."""
        return super().unpacked(kind, count) + ("," if count == 1 else "") or self.unused

    def header(self, called: Sequence[str], body: str) -> Iterator[str]:
        """Imports, and a line that names functions."""
        special = [name for name in ("inf", "nan") if re.search(rf"\b{name}\b", body)]
        imports = [f"from math import {', '.join(special)}"] if special else []
        if "map(mul, " in body:
            imports.append("from operator import mul")
        if imports:
            yield from [*imports, ""]
        if called:
            yield "from microgrant.ops import FLOATS as m"
            yield ""
            yield f"{', '.join(called)} = {', '.join(f'm.{name}' for name in called)}"
        if self.own:
            yield f"# {', '.join(self.own.values())}: of your own"
        if called or self.own:
            yield from ("", "")


class JavaScriptSource(Source):
    """A program in JavaScript, as a page can bring it along: it needs nothing, and changes nothing.

    parameters: an array of numbers, or a Float64Array, in the order in which they were compiled.
    rows: an array of such arrays, with a number for each of the inputs.

    What comes back is an array: of a Step the mean loss, and then the mean gradient of each of the
    parameters; of a Predictor one array of outputs for each row. So this is a training of one
    batch after the other::

        const [loss, ...gradients] = run(parameters, rows.slice(start, start + size));
        gradients.forEach((gradient, i) => { parameters[i] -= rate * gradient; });

    Beside another such text on one page, each needs a scope of its own:
    ``const step = (() => { …text…; return run; })();``
    """

    language = "javascript"
    primitives = frozenset(name for name, x in OPERATIONS.items() if "javascript" in x.spelling)
    signs = frozenset({"add", "sub", "mul", "neg", "div"})
    reserved = frozenset(KEYWORDS.split())
    unused = ""
    statements: ClassVar[Mapping[str, str]] = {
        "run": "function run(parameters, rows) {{",
        "parameters": "const [{}] = parameters;",
        "rows": "for (const [{}] of rows) {{",
        "count": "const number_of_rows = rows.length;",
        "let": "const {} = {};",
        "sum": "let {} = 0;",
        "add": "{} += {};",
        "results": "const results = [];",
        "result": "results.push([{}]);",
        "return": "return {};",
        "remark": "// {}",
        "end": "}}",
        **LOOPS_OF_JAVASCRIPT,
    }

    def header(self, called: Sequence[str], body: str) -> Iterator[str]:
        """Functions, as the table spells them; operands are used more than once there."""
        functions = {name: OPERATIONS[name] for name in called}
        functions |= {name: operation for operation, name in self.own.items()}
        lines, lacking = [], ""
        for name, operation in functions.items():
            operands = [f"x{place}" for place in range(operation.arity)]
            listed = ", ".join(operands)
            value = forward(operation, operands, "javascript")
            lacking = lacking or lacking_in_javascript(value)
            if value != f"{name}({listed})":  # as that of erf is, a function that was lacking
                lines.append(f"const {name} = ({listed}) => {value};")
        yield from filter(None, [lacking])
        yield from [*lines, ""] if lines else []


@lru_cache(maxsize=256)
def as_call(operation: Operation, name: str) -> Operation:
    """The operation, as one that is spelled as a call of this name."""
    return replace(operation, name=name, spelling={}, precedence=CALL)


def identifier(label: str) -> str:
    """The label as Python reads it, if it can be a name; nothing if it cannot."""
    name = unicodedata.normalize("NFKC", label)  # µ and μ are one name
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        return ""
    return name
