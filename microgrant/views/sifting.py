"""In which order things stand, from the top: so that few edges cross each other.

With this module you can

- better an order:                       sift(order)
- go through it, frames and all:         for item in flat(order): ...

Every item goes past its neighbours to where its edges cross the fewest others, as in Rudell's
sifting. It stays in its frame, and does not go past what it keeps its order with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Item", "flat", "sift"]

PASSES, MOST_LOOKS = 8, 50_000  # through the order, and at pairs in it


@dataclass(eq=False)
class Item:
    """What takes room in some ranks: a thing, a lane, the upper or the lower border of a frame."""

    first: int
    last: int
    size: float
    y: float = 0
    place: int = 0  # in the order
    weight: int = 1  # of a crossing with it
    rows: set[int] = field(default_factory=set)  # those that it keeps its order in
    # Where edges come from and go to, and how far beside its middle. And the same by the gap that
    # they are in: twice the rank before it, and 1 more where they come from.
    before: list[tuple[Item, float]] = field(default_factory=list)
    behind: list[tuple[Item, float]] = field(default_factory=list)
    ends: dict[int, list[Item]] = field(default_factory=dict)
    inside: list[Item] = field(default_factory=list)  # of the upper border of a frame
    lower: Item | None = None  # and its other border


def flat(items: Iterable[Item]) -> Iterator[Item]:
    """With what is inside of frames, from the top to the bottom."""
    for item in items:
        yield item
        if item.lower:
            yield from flat(item.inside)
            yield item.lower


def sift(order: list[Item]) -> None:
    """Let everything go up or down to where its edges cross the fewest others."""
    _Sieve(order).run()


class _Sieve:
    def __init__(self, order: list[Item]) -> None:
        self.order, self.looks = order, MOST_LOOKS
        self.everywhere = [order, *(item.inside for item in flat(order) if item.lower)]
        self._number()

    def run(self) -> None:
        for _ in range(PASSES):
            moved = [self._moved(inside, x) for inside in self.everywhere for x in [*inside]]
            if not any(moved):
                break

    def _number(self) -> None:
        for place, item in enumerate(flat(self.order)):
            item.place = place

    def _moved(self, inside: list[Item], item: Item) -> bool:
        here = goal = inside.index(item)
        fewest = 0
        for step in (-1, 1):
            change, place = 0, here + step
            while 0 <= place < len(inside) and self.looks > 0:
                other = inside[place]
                if not item.rows.isdisjoint(other.rows):
                    break
                if item.first <= other.last and item.last >= other.first:
                    self.looks -= 1
                    change -= step * _more_crossings(item, other)
                    if change < fewest:
                        fewest, goal = change, place
                place += step
        if goal != here:
            inside.insert(goal, inside.pop(here))
            self._number()
        return goal != here


def _more_crossings(a: Item, b: Item) -> int:
    """How many more edges cross each other if a is above b than if it is below."""
    more = 0
    for gap, ends in a.ends.items():
        others = b.ends.get(gap, [])
        if b.first <= gap // 2 < b.last:
            others = others + [b] * b.weight
        more += sum((x.place > y.place) - (x.place < y.place) for x in ends for y in others)
    for gap, ends in b.ends.items():
        if a.first <= gap // 2 < a.last:
            more += a.weight * sum((a.place > y.place) - (a.place < y.place) for y in ends)
    return more
