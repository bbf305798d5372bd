"""A graph as the network that it comes from: neurons, weights, images, steps of a recurrence.

With this module you can

- find the network in a graph:          network = network_of(Graph(loss))
- go through its neurons by columns:    for group in network.groups: group.rank, group.members
- and through its weights:              for line in network.lines: line.tail, line.head, line.weight
- see in which neuron a value is:       network.stands[place]

What the calls of modules returned stands for all that was computed inside of them. So the modules
of `microgrant.nn` are neurons in layers, and a module of one's own is a neuron for each Value that
it returns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..nn import Conv2d, MaxPool2d, MeanPool2d, ModuleCall, Neuron as NeuronModule, Noise
from .graph import Graph
from .style import sign

__all__ = ["Filters", "Group", "Line", "Network", "Neuron", "Pixel", "network_of"]

Pixel: TypeAlias = tuple[int, int, int]  # channel, row and column


@dataclass
class Neuron:
    """What one circle, or one pixel, stands for; each number is the place of a Value.

    inside: what it is computed from, up to other neurons: its weights, its products, its sums.
    before: what the activation was given; None if there is none.
    bias: what is added and multiplied with nothing, if that is one parameter.
    sign: that of the activation.
    """

    place: int
    inside: list[int] = field(default_factory=list)
    before: int | None = None
    bias: int | None = None
    sign: str = ""


@dataclass(frozen=True)
class Line:
    """One neuron is computed from another; weight: what that is multiplied with, if one number."""

    tail: int
    head: int
    weight: int | None


@dataclass(eq=False)
class Group:
    """Neurons that stand together: a layer, or what is given to it.

    rank: its column, from left to right.
    title: the name of the module, and what it is.
    pixels: where each of them is in the image, if they are one.
    aside: what is given at each step of a recurrence stands below, between the columns.
    """

    rank: int
    title: str
    call: ModuleCall | None
    members: list[int]
    pixels: dict[int, Pixel] = field(default_factory=dict)
    aside: bool = False


@dataclass
class Filters:
    """The weights of a convolution: for each channel that comes out, a grid for each that goes in.

    group: the image that comes out.
    grids: the places of weights, by channel, row and column.
    biases: one for each.
    """

    group: Group
    grids: list[dict[int, Pixel]]
    biases: list[int | None]


@dataclass
class Network:
    """What is drawn: see `network_of`.

    neurons: by the places of what they say; those that are given are among them.
    stands: the neuron that shows the value at a place, for all that are in one.
    steps: the groups in each step of a recurrence, from t = 1 on.
    examples: how many times the graph has it; this is the first.
    """

    graph: Graph
    neurons: dict[int, Neuron]
    lines: list[Line]
    groups: list[Group]
    filters: list[Filters]
    stands: dict[int, int]
    steps: list[list[Group]]
    examples: int


def network_of(graph: Graph) -> Network | None:
    """The network that a graph was computed by; None if no module has returned anything in it.

    Of a batch it is the network with the first example.

    >>> from microgrant import Value
    >>> from microgrant.nn import MLP
    >>> model = MLP(2, [3, 1])
    >>> network = network_of(Graph(model([Value(1.0, "x1"), Value(2.0, "x2")])))
    >>> [len(group.members) for group in network.groups], len(network.lines)
    ([2, 3, 1], 9)
    """
    found = _Search(graph)
    return found.network() if found.units else None


class _Search:
    """The way from a graph to its network."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.calls = graph, graph.calls
        around = {call for path in self.calls for call in path[:-1]}
        # What has no other call inside of it; of a value, the one that it is in.
        self.unit = [path[-1] if path and path[-1] not in around else None for path in self.calls]
        self.units = set(filter(None, self.unit))
        self.given = {call: set(call.inputs) for path in self.calls for call in path}
        self.neurons = {place: Neuron(place) for place in sorted(self._shown())}
        self.lines = [line for place in self.neurons for line in self._lines(place)]
        self.tails: dict[int, list[int]] = {place: [] for place in self.neurons}
        self.heads: dict[int, list[int]] = {place: [] for place in self.neurons}
        for line in self.lines:
            self.tails[line.head].append(line.tail)
            self.heads[line.tail].append(line.head)
        # In one column of a call, those inside of it.
        self.beside: defaultdict[tuple[int, ModuleCall], set[ModuleCall]] = defaultdict(set)
        self.pixels: dict[int, Pixel] = {}
        self.padding: set[int] = set()

    # --- Neurons and weights ----------------------------------------------------------------------

    def _shown(self) -> set[int]:
        """The places of what is a neuron: what a call returns, and what it is given."""
        found = set()
        for place, value in enumerate(self.graph.order):
            unit = self.unit[place]
            returned = hasattr(value, "_scope")
            if value.operation and unit is None and returned:
                found.add(place)
            for operand in self.graph.operands[place]:
                leaf = self.graph.order[operand].operation is None
                if leaf and self._is_input(operand, place):
                    found.add(operand)
                elif not leaf and self.unit[operand] is not unit:
                    # Of what stands in no call, as a loss does, only what goes on into one.
                    found.update({operand} if unit or self.unit[operand] else ())
        root = len(self.graph.order) - 1
        return found | ({root} if self.unit[root] else set())

    def _is_input(self, place: int, use: int) -> bool:
        """Whether a leaf was given to the call that uses it, and is not the call's own."""
        value, learned = self.graph.order[place], self.graph.own_names
        if any(value in self.given[call] for call in self.calls[use]):
            return True
        plain = not (value._constant or value in learned or isinstance(value, Noise))
        return plain and self.unit[use] is not None and bool(learned)

    def _lines(self, head: int) -> Iterable[Line]:
        """Fill in what a neuron is computed from; the lines that come into it."""
        graph, neuron = self.graph, self.neurons[head]
        uses: dict[int, list[int | None]] = {}
        added: dict[int, None] = {}
        multiplied: set[int] = set()
        waiting, seen = [head], {head}
        while waiting:
            place = waiting.pop()
            operands, symbol = graph.operands[place], graph.order[place]._op
            free = [x for x in operands if self._is_free(x)]
            for operand in operands:
                if operand in self.neurons:
                    weight = free[0] if symbol == "*" and len(free) == 1 else None
                    uses.setdefault(operand, []).append(weight)
                elif operand not in seen:
                    seen.add(operand)
                    neuron.inside.append(operand)
                    waiting.append(operand)
            if symbol == "+":
                added.update(dict.fromkeys(free))
            else:
                multiplied.update(free)
        biases = [place for place in added if place not in multiplied]
        neuron.bias = biases[0] if len(biases) == 1 else None
        operands = graph.operands[head]
        if len(operands) == 1 and operands[0] not in self.neurons:
            neuron.before, neuron.sign = operands[0], sign(graph.order[head]._op)
        for tail in sorted(uses):
            yield Line(tail, head, uses[tail][0] if len(uses[tail]) == 1 else None)

    def _is_free(self, place: int) -> bool:
        """Whether it is a number of the module's own, which training changes."""
        value = self.graph.order[place]
        leaf = value.operation is None and place not in self.neurons
        return leaf and not (value._constant or isinstance(value, Noise))

    # --- Columns ----------------------------------------------------------------------------------

    def network(self) -> Network:
        examples = self._keep_first()
        ranks = self._ranks()
        steps = self._steps(ranks)
        groups = self._groups(ranks, steps)
        filters = [x for group in groups if (x := self._as_image(group))]
        for place in self.padding:
            del self.neurons[place]
        for group in groups:
            group.members = [place for place in group.members if place in self.neurons]
            if group.members and all(place in self.pixels for place in group.members):
                group.members.sort(key=self.pixels.__getitem__)
                group.pixels = {place: self.pixels[place] for place in group.members}
        groups = [group for group in groups if group.members]
        lines = [x for x in self.lines if x.tail in self.neurons and x.head in self.neurons]
        in_steps = [
            [group for group in groups if not group.aside and call in self.calls[group.members[0]]]
            for call in steps
        ]
        return Network(
            self.graph, self.neurons, lines, groups, filters, self._stands(), in_steps, examples
        )

    def _keep_first(self) -> int:
        """Of several examples the first, and how many there are: calls of the same modules of which
        none needs the other."""
        joined = _Joined()
        for place in self.neurons:
            if self.graph.order[place].operation:
                joined.join(place, *self.calls[place][:1])
                for tail in self.tails[place]:
                    if self.graph.order[tail].operation:
                        joined.join(place, tail)
        parts: dict[object, set[int]] = {}
        for place in self.neurons:
            if self.graph.order[place].operation:
                parts.setdefault(joined.first(place), set()).add(place)
        alike: dict[frozenset[int], list[set[int]]] = {}
        for part in parts.values():
            paths = [self.calls[place] for place in part]
            modules = frozenset(id(path[0].module()) for path in paths if path)
            alike.setdefault(modules, []).append(part)
        kept = set().union(*(min(each, key=min) for each in alike.values()))
        for place in list(self.neurons):
            if place not in kept and kept.isdisjoint(self.heads[place]):
                del self.neurons[place]
        return max(map(len, alike.values()))

    def _ranks(self) -> dict[int, int]:
        """The column of each neuron: after all that it is computed from; what is given stands
        before the first that it is given to."""
        ranks: dict[int, int] = {}
        for place in self.neurons:
            ranks[place] = max(
                (ranks[tail] + 1 for tail in self._near(self.tails, place)), default=0
            )
        for place in self.neurons:
            heads = self._near(self.heads, place)
            if heads and not self._near(self.tails, place):
                ranks[place] = min(ranks[head] for head in heads) - 1
        least = min(ranks.values())
        return {place: rank - least for place, rank in ranks.items()}

    def _near(self, ends: Mapping[int, Sequence[int]], place: int) -> list[int]:
        return [other for other in ends[place] if other in self.neurons]

    def _steps(self, ranks: Mapping[int, int]) -> list[ModuleCall]:
        """The calls of a recurrence: of the outermost module with parameters that is called again
        with what comes out of it."""
        times: dict[int, dict[ModuleCall, int]] = {}
        for place, rank in ranks.items():
            for call in self.calls[place]:
                found = times.setdefault(id(call.module()), {})
                found[call] = max(found.get(call, 0), rank)
        for path in (self.calls[place] for place in ranks):
            for call in path:
                module, columns = call.module(), list(times[id(call.module())].values())
                again = len(columns) > 1 and len(set(columns)) == len(columns)
                if again and module is not None and module.parameters():
                    return sorted(times[id(module)], key=times[id(module)].__getitem__)
        return []

    def _groups(self, ranks: Mapping[int, int], steps: Sequence[ModuleCall]) -> list[Group]:
        for place, rank in ranks.items():
            if (unit := self.unit[place]) and len(self.calls[place]) > 1:
                self.beside[rank, self.calls[place][-2]].add(unit)
        groups: dict[tuple[Any, ...], Group] = {}
        for place, rank in ranks.items():
            call, title, aside = self._around(place, ranks), "input", False
            key: tuple[Any, ...] = (rank, call)
            if call is None or self.graph.order[place].operation is None:
                heads = self._near(self.heads, place)
                constant = self.graph.order[place]._constant
                first = self._around(heads[0], ranks) if heads else None
                key, call = (rank, first, constant, "given"), None
                into = self.calls[heads[0]] if heads else ()
                aside = not constant and any(step in into for step in steps)
                if aside or constant or self.graph.order[place].operation:
                    title = ""
            else:
                title = self._title(place, call)
            group = groups.setdefault(key, Group(rank, title, call, [], aside=aside))
            group.members.append(place)
        return sorted(groups.values(), key=lambda group: (group.rank, group.aside))

    def _around(self, place: int, ranks: Mapping[int, int]) -> ModuleCall | None:
        """The call of the layer that a neuron is in; or its own, if it is in none."""
        path, unit = self.calls[place], self.unit[place]
        if unit is None or len(path) == 1:
            return path[-1] if path else None
        module = unit.module()
        alone = len(self.beside[ranks[place], path[-2]]) == 1
        neuron = module is None or isinstance(module, NeuronModule)
        return path[-2] if neuron or not alone else unit

    def _title(self, place: int, call: ModuleCall) -> str:
        box = self.graph.paths[place][self.calls[place].index(call)]
        module = call.module()
        words = module.describe().split() if module else []
        return " · ".join(filter(None, (box.name, " ".join(words[:2]))))  # and no more of them

    def _stands(self) -> dict[int, int]:
        """Where each value is to be seen; of a weight that several share, in none of them."""
        stands: dict[int, int] = {}
        shared = set()
        for place, neuron in self.neurons.items():
            for inside in neuron.inside:
                if stands.setdefault(inside, place) != place:
                    shared.add(inside)
        for place in shared:
            if self.graph.order[place].operation is None:
                del stands[place]
        return stands | {place: place for place in self.neurons}

    # --- Images -----------------------------------------------------------------------------------

    def _as_image(self, group: Group) -> Filters | None:
        """Find where in an image the neurons of a group are, and the filters of a convolution."""
        module = group.call.module() if group.call else None
        if isinstance(module, Conv2d):
            return self._convolved(group, module) if self._place(group.members, module) else None
        for place in group.members:
            tails = [self.pixels.get(tail) for tail in self._near(self.tails, place)]
            seen = [pixel for pixel in tails if pixel]
            if not seen or len(seen) < len(tails):
                continue
            channel, row, column = map(min, zip(*seen, strict=True))
            if isinstance(module, (MaxPool2d, MeanPool2d)):
                self.pixels[place] = channel, row // module.size, column // module.size
            elif len(seen) == 1:
                self.pixels[place] = seen[0]
        return None

    def _place(self, members: Sequence[int], module: Conv2d) -> bool:
        """Put windows together by the pixels that they share; False if they share none."""
        size, places = module.kernel_size, self.graph.places
        numbers = {id(neuron): count for count, neuron in enumerate(module.neurons)}
        units = {place: unit for place in members if (unit := self.unit[place])}
        seen = {place: [places[x] for x in unit.inputs] for place, unit in units.items()}
        # A border of zeros is one Value: it is seen twice in one window, and a pixel is not.
        self.padding.update(x for window in seen.values() for x in window if window.count(x) > 1)
        windows = {
            place: [(x, _cell(i, size)) for i, x in enumerate(window) if x not in self.padding]
            for place, window in seen.items()
        }
        origins: dict[int, tuple[int, int]] = {}
        if self.pixels.keys().isdisjoint(x for window in windows.values() for x, _ in window):
            self.pixels.update(next(iter(windows.values())))
        while len(origins) < len(windows):
            before = len(origins)
            for place, window in windows.items():
                known = next((cell for cell in window if cell[0] in self.pixels), None)
                if place in origins or known is None:
                    continue
                _, row, column = known[1]
                _, top, left = self.pixels[known[0]]
                top, left = origins[place] = top - row, left - column
                for x, (channel, row, column) in window:
                    self.pixels.setdefault(x, (channel, top + row, left + column))
            if len(origins) == before:
                return False
        given = {x for window in windows.values() for x, _ in window}
        above, aside = (min(self.pixels[x][axis] for x in given) for axis in (1, 2))
        for x in given:
            channel, row, column = self.pixels[x]
            self.pixels[x] = channel, row - above, column - aside
        first = [min(origin[axis] for origin in origins.values()) for axis in (0, 1)]
        for place, (top, left) in origins.items():
            channel, step = numbers.get(id(units[place].module()), 0), module.stride
            self.pixels[place] = channel, (top - first[0]) // step, (left - first[1]) // step
        return True

    def _convolved(self, group: Group, module: Conv2d) -> Filters:
        places, size = self.graph.places, module.kernel_size
        grids = [
            {places[w]: _cell(i, size) for i, w in enumerate(neuron.w) if w in places}
            for neuron in module.neurons
        ]
        return Filters(group, grids, [places.get(neuron.b) for neuron in module.neurons])


class _Joined:
    """Which things belong together, as they are joined one by one."""

    def __init__(self) -> None:
        self.before: dict[object, object] = {}

    def first(self, x: object) -> object:
        """What stands for all that x belongs to."""
        while x in self.before:
            x, before = self.before[x], x
            self.before[before] = self.before.get(x, x)
        return x

    def join(self, x: object, *others: object) -> None:
        """From now on these belong together."""
        for other in others:
            a, b = self.first(x), self.first(other)
            if a is not b and a != b:
                self.before[b] = a


def _cell(count: int, size: int) -> Pixel:
    """Which channel, row and column of a window its inputs are, in their order."""
    channel, rest = divmod(count, size * size)
    return (channel, *divmod(rest, size))
