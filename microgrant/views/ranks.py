"""In which ranks things stand: each behind what it is computed from.

With this module you can

- find the frames around each thing:    paths = paths_of(members)
- find its ranks:                       first, last = ranks_of(members, paths, edges)

A frame takes as many ranks as its members: it begins behind all that is given to them, and what
they are used for stands behind its end.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from .graph import common

__all__ = ["paths_of", "ranks_of"]

K = TypeVar("K", bound=Hashable)


def paths_of(members: Mapping[K | None, Sequence[K]]) -> dict[K, tuple[K, ...]]:
    """The frames around each thing and each frame, from the outside in.

    >>> paths_of({None: ["a", "f"], "f": ["b"]})
    {'a': (), 'f': (), 'b': ('f',)}
    """
    paths: dict[K, tuple[K, ...]] = dict.fromkeys(members.get(None, ()), ())
    waiting = deque(paths)
    while waiting:
        around = waiting.popleft()
        inside = members.get(around, ())
        paths |= dict.fromkeys(inside, (*paths[around], around))
        waiting.extend(inside)
    return paths


def ranks_of(
    members: Mapping[K | None, Sequence[K]],
    paths: Mapping[K, tuple[K, ...]],
    edges: Sequence[tuple[K, K]],
) -> tuple[dict[K, int], dict[K, int]]:
    """The first and the last rank of each thing and each frame.

    >>> members = {None: ["a", "f"], "f": ["b", "c"]}
    >>> ranks_of(members, paths_of(members), [("a", "b"), ("b", "c")])
    ({'a': 0, 'f': 1, 'b': 1, 'c': 2}, {'a': 0, 'f': 2, 'b': 1, 'c': 2})
    """
    between: dict[K | None, dict[tuple[K, K], None]] = {x: {} for x in members}
    for tail, head in edges:
        a, b = (*paths[tail], tail), (*paths[head], head)
        same = len(common(a, b))
        between[a[same - 1] if same else None][a[same], b[same]] = None
    length, start = dict.fromkeys(paths, 1), dict[K, int]()
    for around in (*reversed([x for x in paths if x in members]), None):
        inside = members.get(around, ())
        start |= _starts(inside, list(between.get(around, ())), length)
        if around is not None:
            length[around] = max(start[x] + length[x] for x in inside)
    first: dict[K, int] = {}
    for x, path in paths.items():
        first[x] = start[x] + (first[path[-1]] if path else 0)
    return first, {x: first[x] + length[x] - 1 for x in paths}


def _starts(
    things: Sequence[K], pairs: Sequence[tuple[K, K]], length: Mapping[K, int]
) -> dict[K, int]:
    """The rank in which each begins: behind its operands, and near what uses it."""
    order = _sorted(things, pairs)
    place = {x: i for i, x in enumerate(order)}
    into: dict[K, list[K]] = {x: [] for x in things}
    out: dict[K, list[K]] = {x: [] for x in things}
    for a, b in pairs:
        if place[a] < place[b]:
            into[b].append(a)
            out[a].append(b)
    start: dict[K, int] = {}
    for x in order:
        start[x] = max((start[a] + length[a] for a in into[x]), default=0)
    for x in reversed(order):
        if out[x] and len(into[x]) <= len(out[x]):
            start[x] = max(start[x], min(start[b] for b in out[x]) - length[x])
    return start


def _sorted(things: Sequence[K], pairs: Sequence[tuple[K, K]]) -> list[K]:
    """Each behind what leads to it; of a circle, what comes first is the first."""
    waiting = Counter(b for _, b in pairs)
    out: dict[K, list[K]] = {}
    for a, b in pairs:
        out.setdefault(a, []).append(b)
    ready, rest = deque(x for x in things if not waiting[x]), iter(things)
    order: dict[K, None] = {}
    while len(order) < len(things):
        x = ready.popleft() if ready else next(rest)
        if x not in order:
            order[x] = None
            for b in out.get(x, ()):
                waiting[b] -= 1
                ready.extend([b] * (not waiting[b]))
    return list(order)
