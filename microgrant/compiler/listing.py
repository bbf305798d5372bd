"""A program as loops over lists, for people to read: the forward and the backward pass of layers.

With this module you can

- write a program down:       print(listing(PythonSource, job))

What `microgrant.compiler.rolled` has found is written down: a group of formulas is a list that is
made by going through others, and so the neurons of a layer are a line. Where lists are gone
through in steps, the steps are written; where there is no rule, a table is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .program import ROW, Job, Register
from .rolled import Call, Grid, Instance, Sum, repetitive, rolled
from .source import Source
from .sums import SHORTEST

__all__ = ["Listing", "listing"]

PIECES = 4  # of lists, of which a list is made on the spot
BLOCK = 64  # rows that are gone through before what gradients are made of is summed up
NAMES = ("row", "start", "sums", "means", "place", "total", "mul", "i", "j", "k", "d", "x")
FUNCTIONS = ("dot", "add_up", "every", "columns")

Located = tuple[str, list[int]]


def listing(language: type[Source], job: Job) -> str:
    """A program as text: what repeats itself as loops, and what does not as a straight line."""
    stages, source = rolled(job), language(job)
    return Listing(source, stages).text() if repetitive(stages) else source.text


class Listing:
    """The lines of loops, in the language of a `Source`."""

    def __init__(self, source: Source, stages: Sequence[list[Call]]) -> None:
        self.source, self.stages, self.job = source, stages, source.job
        ours = {*NAMES, *FUNCTIONS}
        source.taken.update(ours)
        own = source.own.items()
        source.own = {x: source.free(name) if name in ours else name for x, name in own}
        self.places: dict[int, tuple[str, int]] = {}
        self.lists: dict[str, int] = {}  # in the order in which they are made
        self.lengths = {"parameters": self.job.parameters, "row": self.job.inputs}
        self.joined: dict[tuple[str, ...], str] = {}
        self.tables: dict[str, str] = {}
        self.before: list[str] = []  # what a line needs to be there
        self.once: list[str] = []  # what the lines for a row need, and is the same for all of them
        self.of_rows = {"row"}  # the lists that each row has anew
        self.in_rows = False  # whether the lines are for a row
        self.weights = 0
        # What others take from a list has to stand there.
        calls = (call for calls in stages for call in calls)
        source.inlined -= {x.register.index for call in calls for x in call.instances}
        for x in source.registers:
            if x.operation in ("parameter", "input"):
                kind = "row" if x.operation == "input" else "parameters"
                self.put(x, kind, int(x.operands[0]))

    def put(self, x: Register, name: str, place: int) -> None:
        """Note that a number stands in a list."""
        self.places[x.index] = name, place
        self.lists.setdefault(name, len(self.lists))
        self.source.names[x.index] = f"{name}[{place}]"

    # --- The text -------------------------------------------------------------------------------

    def text(self) -> str:
        """The whole text."""
        job, says = self.job, self.source.says
        once, row, after = self.stages
        body = list(self.stage(once))
        if job.per_row:
            lines = list(self.stage(row))
            lines.append(says("result", ", ".join(map(self.source.spelled, job.outputs))))
            body += [*self.once, says("results"), *self.inside(says("lists"), lines)]
            return self.whole([*body, says("return", "results")])
        grids = [call.kernel for call in row if isinstance(call.kernel, Grid)]
        body += self.over_rows(grids)
        body += self.stage(after)
        outputs = self.list_of(job.outputs)
        return self.whole([*body, *self.taken(), says("return", outputs)])

    def whole(self, body: Sequence[str]) -> str:
        """The text with this body, and the functions and tables that it needs."""
        pieces = [
            text.strip("\n")
            for name in FUNCTIONS
            if any(f"{name}(" in line for line in body)
            if (text := self.source.statements.get(f"function {name}"))
        ]
        tables = [self.source.says("table", name, text) for text, name in self.tables.items()]
        pieces += ["\n".join(tables)] * bool(tables)
        return self.source.whole(body, [line for piece in pieces for line in (piece, "", "")])

    def inside(self, head: str, lines: Iterable[str]) -> list[str]:
        """A block of lines."""
        end = [self.source.says("end")] if self.source.statements["end"] else []
        return [head, *("    " + line for line in lines), *end]

    def over_rows(self, grids: Sequence[Grid]) -> Iterator[str]:
        """What is done with each row, and the means of it."""
        says = self.source.says
        means = self.number_means(grids)
        if not means:
            return
        halves: tuple[list[Grid], list[Grid]] = [], []
        for grid in grids:
            halves[len(grid.rows) * len(grid.columns) >= SHORTEST].append(grid)
        small, large = halves
        lines = list(self.stage(self.stages[ROW]))
        lines += [line for grid in small for line in self.cells(grid)]
        if large:
            names = [(self.source.free(f"ds{n}"), self.source.free(f"xs{n}")) for n in count(large)]
            large = [self.sorted_grid(grid) for grid in large]
            for grid, (ds, xs) in zip(large, names, strict=True):
                lines += self.noted(ds, grid.rows)
                lines += self.noted(xs, grid.columns)
            block = [says("joined", name, "") for pair in names for name in pair]
            block += self.inside(says("block", str(BLOCK)), lines)
            for grid, pair in zip(large, names, strict=True):
                block += self.added(grid, *pair)
            lines = self.inside(says("blocks", str(BLOCK)), block)
        else:
            lines = self.inside(says("lists"), lines)
        yield from (*self.once, says("zeros", "sums", str(means)), *lines)
        yield from (says("count"), says("means"))

    def number_means(self, grids: Sequence[Grid]) -> int:
        """Give the means places in a list, in the order of the outputs, and say how many."""
        found = {x.index: x for x in self.job.outputs if x.operation == "mean"}
        found |= {x.index: x for grid in grids for line in grid.means for x in line}
        self.lengths["means"] = len(found)
        for place, x in enumerate(found.values()):
            self.put(x, "means", place)
        return len(found)

    def stage(self, calls: Sequence[Call]) -> Iterator[str]:
        """The lines of one stage: the forward pass, and then the backward pass."""
        forward, self.in_rows = self.job.program.forward, calls is self.stages[ROW]
        halves: tuple[list[Call], list[Call]] = [], []
        for call in calls:
            for side in (0, 1):
                here = [x for x in call.instances if (x.register.index >= forward) == side]
                if here:
                    halves[side].append(Call(call.kernel, here))
        rows = any(x.register.stage == ROW for half in halves for c in half for x in c.instances)
        for half, remark in zip(halves, ("forward", "backward"), strict=True):
            if half and rows and halves[1]:
                yield self.source.says("remark", remark)
            for call in half:
                yield from self.loop(call)

    def loop(self, call: Call) -> Iterator[str]:
        """A group of formulas: a list of their results, or a few lines."""
        lines: list[str] = []
        number = len(call.instances)
        if isinstance(call.kernel, Sum):
            call = Call(call.kernel, [self.sorted_sum(call.kernel, x) for x in call.instances])
        call.instances.sort(key=lambda x: [*map(self.rank, (*x.operands, *x.others))])
        if isinstance(call.kernel, Sum):
            text = self.sum(call.kernel, call.instances)
        elif number >= SHORTEST:
            lines, text = self.formula(call.instances)
        else:
            for x in call.instances:
                yield from self.source.lines(self.members(x))
            return
        yield from self.taken()
        if number == 1:
            yield self.source.says("let", self.source.name(call.instances[0].register), text)
            return
        name = self.list_name(call.instances[0].register)
        for place, x in enumerate(call.instances):
            self.put(x.register, name, place)
        self.lengths[name] = number
        if call.instances[0].register.stage == ROW:
            self.of_rows.add(name)
        if lines:
            yield self.source.says("joined", name, "")
            lines.append(self.source.says("append", name, text))
            yield from self.inside(self.source.says("times", "j", str(number)), lines)
        else:
            yield from self.made(name, text, "j", number)

    def made(self, name: str, text: str, variable: str, number: int) -> list[str]:
        """The lines that make a list, each of whose elements is written as this text."""
        return self.source.says("made", name, text, variable, str(number)).split("\n")

    def list_name(self, x: Register) -> str:
        """A name for the list of which this number is the first."""
        if x.gradient_of is not None and x.gradient_of.index in self.places:
            return self.source.free(f"d_{self.places[x.gradient_of.index][0]}")
        return self.source.new_name()

    def rank(self, x: Register) -> tuple[int, int]:
        """An order of numbers: as they stand in lists, after what comes before all lists."""
        name, place = self.places.get(x.index, ("", 0))
        return (self.lists[name], place) if name else (len(self.lists), x.index)

    def sorted_sum(self, form: Sum, x: Instance) -> Instance:
        """A sum with its terms in the order of their list: of gradients, where none is compared."""
        start, *terms = x.operands
        if not form.fused:
            return x
        pairs = sorted(zip(x.others, terms, strict=True), key=lambda pair: self.rank(pair[0]))
        others, terms = map(list, zip(*pairs, strict=True))
        return Instance(x.register, [start, *terms], others)

    def sorted_grid(self, grid: Grid) -> Grid:
        """A grid with its rows and columns in the order of their lists."""
        rows, columns = (
            sorted(range(len(lines)), key=lambda place: self.rank(lines[place][0]))
            for lines in (grid.rows, grid.columns)
        )
        return Grid(
            [grid.rows[r] for r in rows],
            [grid.columns[c] for c in columns],
            [[grid.means[r][c] for c in columns] for r in rows],
        )

    def taken(self) -> list[str]:
        """The lines that have to stand before the next one."""
        lines, self.before = self.before, []
        return lines

    # --- Formulas -------------------------------------------------------------------------------

    def sum(self, form: Sum, instances: Sequence[Instance]) -> str:
        """A sum, with j for the place of the instance."""
        start = self.element([x.operands[0] for x in instances], "j")
        lists = [self.row_of([x.operands[1:] for x in instances], "j")]
        if not instances[0].others:
            return f"add_up({start}, {lists[0]})"
        lists.append(self.row_of([x.others for x in instances], "j"))
        if not form.fused:
            return f"dot({start}, {', '.join(lists)})"
        product = self.source.says("product", *lists)
        return product if start in ("0.0", "-0.0") else f"{start} + {product}"

    def formula(self, instances: Sequence[Instance]) -> tuple[list[str], str]:
        """A formula, with j for the place of the instance, and the lines before it."""
        source, first = self.source, instances[0]
        names = dict(source.names)
        holes = enumerate(first.operands)  # each is spelled before any has its new name
        source.names |= {
            x.index: self.element([o.operands[place] for o in instances], "j") for place, x in holes
        }
        lines, text = source.formula(self.members(first))
        source.names = names
        return lines, text

    def members(self, x: Instance) -> list[Register]:
        """What is computed on the way to the result of a formula, and it; operands come first."""
        known = {o.index for o in x.operands}
        found: dict[int, Register] = {}
        waiting = [x.register]
        while waiting:
            register = waiting.pop()
            if register.index not in known and not register.leaf:
                found[register.index] = register
                waiting += register.operands
        return [found[index] for index in sorted(found)]

    # --- Grids ----------------------------------------------------------------------------------

    def cells(self, grid: Grid) -> Iterator[str]:
        """The lines of a small grid."""
        spelled = self.source.spelled
        for row, line in zip(grid.rows, grid.means, strict=True):
            for column, mean in zip(grid.columns, line, strict=True):
                for a, b in zip(column, row, strict=True):
                    plain = a.operation == "constant" and a.operands[0] == 1.0
                    product = spelled(b) if plain else f"{spelled(a)} * {spelled(b)}"
                    yield self.source.says("add", f"sums[{self.places[mean.index][1]}]", product)

    def noted(self, name: str, factors: Sequence[Sequence[Register]]) -> Iterator[str]:
        """Keep the factors of a row for the end of the block."""
        by_position = [*zip(*factors, strict=True)]
        text = self.row_of(by_position, "k")
        yield from self.taken()
        append = self.source.says("append", name, text)
        if len(by_position) == 1:
            yield append
        else:
            yield from self.inside(self.source.says("times", "k", str(len(by_position))), [append])

    def added(self, grid: Grid, ds: str, xs: str) -> list[str]:
        """Add the products of a block to the sums."""
        says = self.source.says
        places = [[self.places[mean.index][1] for mean in line] for line in grid.means]
        line = says("add", f"sums[{self.place_in(places)}]", says("product", "d", "x"))
        columns = self.source.free(f"columns{xs[2:]}")
        inner = self.inside(says("pairs", "i", "x", columns), [line])
        made = says("joined", columns, says("columns", xs))
        return [made, *self.inside(says("pairs", "j", "d", says("lines", ds)), inner)]

    def place_in(self, places: Sequence[Sequence[int]]) -> str:
        """The place of a sum, by j and i."""
        lines = [line_of(row) for row in places]
        starts = line_of([row[0] for row in places])
        steps = {line and line[1] for line in lines}
        if starts and None not in steps and len(steps) == 1:
            return affine((steps.pop() or 0, "i"), (starts[1], "j"), starts[0])
        return f"{self.table(places)}[j][i]"

    # --- Lists ----------------------------------------------------------------------------------

    def element(self, registers: Sequence[Register], variable: str) -> str:
        """The number that each instance takes from a list."""
        if len({x.index for x in registers}) == 1:
            return self.source.spelled(registers[0])
        name, places = self.located(registers)
        if line := line_of(places):
            return f"{name}[{affine((line[1], variable), line[0])}]"
        return f"{name}[{self.table(places)}[{variable}]]"

    def row_of(self, lists: Sequence[Sequence[Register]], variable: str) -> str:
        """The list that each instance goes through."""
        if len({tuple(o.index for o in x) for x in lists}) == 1:
            return self.list_of(lists[0])
        name, flat = self.located([x for each in lists for x in each])
        rows, begin = [], 0
        for each in lists:
            rows.append(flat[begin : begin + len(each)])
            begin += len(each)
        text = self.piece(name, rows, variable)
        if name in self.of_rows or lists[0][0].stage == ROW:
            return text
        self.weights += 1
        weights = self.source.free(f"w{self.weights}")
        where = self.once if self.in_rows else self.before
        where += self.made(weights, text, variable, len(lists))
        return f"{weights}[{variable}]"

    def piece(self, name: str, rows: Sequence[list[int]], variable: str) -> str:
        """The piece of a list that an instance goes through."""
        lines, starts = list(map(line_of, rows)), line_of([row[0] for row in rows])
        sizes = {(line and line[1], len(row)) for line, row in zip(lines, rows, strict=True)}
        [(step, size), *others] = sizes
        if starts and step and step > 0 and not others:
            return self.part(name, (starts[1], variable), starts[0], step, size)
        return self.source.says("picked", name, f"{self.table(rows)}[{variable}]")

    def list_of(self, registers: Sequence[Register]) -> str:
        """A list of these numbers."""
        runs: list[tuple[str, int, int]] = []  # a list, and from where to where; or a number
        for x in registers:
            name, place = self.places.get(x.index, ("", 0))
            if name and runs and runs[-1][0] == name and runs[-1][2] == place:
                runs[-1] = name, runs[-1][1], place + 1
            else:
                runs.append((name or self.source.spelled(x), place, place + 1 if name else -1))
        if len(runs) > PIECES:
            name, places = self.located(registers)
            line = line_of(places)
            if line and line[1] > 0:
                return self.part(name, (0, ""), line[0], line[1], len(places))
            return self.source.says("picked", name, self.table(places))
        texts = [name if end < 0 else self.run(name, start, end) for name, start, end in runs]
        if len(runs) == 1 and runs[0][2] > 0:
            return texts[0]
        ends = [end for *_, end in runs]
        all_ = [
            text if end < 0 else self.source.says("all", text)
            for text, end in zip(texts, ends, strict=True)
        ]
        return f"[{', '.join(all_)}]"

    def run(self, name: str, start: int, end: int) -> str:
        """Neighbours in a list; all of them, if they are."""
        whole = start == 0 and end == self.lengths[name]
        return name if whole else self.part(name, (0, ""), start, 1, end - start)

    def part(self, name: str, each: tuple[int, str], start: int, step: int, size: int) -> str:
        """A piece of a list."""
        bounds = affine(each, start), affine(each, start + step * size)
        if step == 1:
            return self.source.says("slice", name, *bounds)
        return self.source.says("every", name, *bounds, str(step))

    def located(self, registers: Sequence[Register]) -> Located:
        """The list in which numbers stand, and where; one is joined for them, if there is none."""
        names: dict[str, None] = {}
        for x in registers:
            place = self.places.get(x.index)
            names[place[0] if place else self.source.spelled(x)] = None
        if len(names) == 1 and (only := next(iter(names))) in self.lengths:
            return only, [self.places[x.index][1] for x in registers]
        begins, begin = {}, 0
        for name in names:
            begins[name] = begin
            begin += self.lengths.get(name, 1)
        places = []
        for x in registers:
            place = self.places.get(x.index, ("", 0))
            places.append(begins[place[0] or self.source.spelled(x)] + place[1])
        of_rows = any(x.stage == ROW for x in registers)
        return self.joined_list(tuple(names), of_rows), places

    def joined_list(self, pieces: tuple[str, ...], of_rows: bool) -> str:
        """The name of a list of all numbers of some lists, and of others."""
        if pieces not in self.joined:
            all_ = [self.source.says("all", x) if x in self.lengths else x for x in pieces]
            self.joined[pieces] = name = self.source.free(f"all{len(self.joined) + 1}")
            self.lengths[name] = sum(self.lengths.get(x, 1) for x in pieces)
            if of_rows:
                self.of_rows.add(name)
            lines = self.once if self.in_rows and not of_rows else self.before
            lines.append(self.source.says("joined", name, ", ".join(all_)))
        return self.joined[pieces]

    def table(self, places: Sequence[int] | Sequence[Sequence[int]]) -> str:
        """The name of a table of places."""

        def text(x: int | Sequence[int]) -> str:
            return (
                str(x) if isinstance(x, int) else self.source.says("tuple", ", ".join(map(str, x)))
            )

        key = ", ".join(map(text, places))
        if key not in self.tables:
            self.tables[key] = self.source.free(f"places{len(self.tables) + 1}")
        return self.tables[key]


def count(things: Sequence[object]) -> range:
    return range(1, 1 + len(things))


def line_of(places: Sequence[int]) -> tuple[int, int] | None:
    """The first of places at equal distances, and the distance; None if they are at others."""
    first = places[0]
    step = places[1] - first if len(places) > 1 else 1
    if step and list(places) == list(range(first, first + step * len(places), step)):
        return first, step
    return None


def affine(*parts: tuple[int, str] | int) -> str:
    """A sum of multiples of names, and of a number.

    >>> affine((1, "i"), (17, "j"), 0), affine((-1, "j"), 3), affine((0, "j"), 0)
    ('17 * j + i', '3 - j', '0')
    """
    terms = [(part, "") if isinstance(part, int) else part for part in parts]
    terms.sort(key=lambda term: (term[0] < 0, not term[1], -abs(term[0])))
    text = ""
    for factor, name in terms:
        one = (
            name
            if name and abs(factor) == 1
            else " * ".join(filter(None, (str(abs(factor)), name)))
        )
        text += f" {'-' if factor < 0 else '+'} {one}" * bool(factor)
    return text.removeprefix(" + ") or "0"
