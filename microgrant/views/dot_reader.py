"""Reads DOT, as far as our drawings are written in it.

With this module you can

- read a drawing:                 graph = read(draw(loss).source)
- go through what is in it:       graph.nodes["n0"]["tooltip"], graph.edges, graph.members
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeAlias

__all__ = ["Attributes", "Dot", "Edge", "read"]

Attributes: TypeAlias = dict[str, str]

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|<(?:[^<>]|<[^<>]*>)*>|->|-?[\w.]+|[][{}=:;,]', re.DOTALL)


class Edge(NamedTuple):
    """From a node to another, and the ports at which it begins and ends."""

    tail: str
    head: str
    tail_port: str
    head_port: str
    look: Attributes


@dataclass
class Dot:
    """A graph: its own attributes, its nodes, edges, and clusters, and what is directly in each of
    these; labels are like HTML."""

    look: Attributes = field(default_factory=dict)
    nodes: dict[str, Attributes] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    clusters: dict[str, Attributes] = field(default_factory=dict)
    members: dict[str | None, dict[str, None]] = field(default_factory=lambda: {None: {}})


def read(source: str) -> Dot:
    """The graph that is written in DOT.

    A ValueError says so of much that our drawings do not have.

    >>> graph = read('digraph { a [label="1 < 2"]; subgraph cluster_b { c } a -> c }')
    >>> graph.nodes["a"]["label"], graph.members["cluster_b"], graph.edges[0][:2]
    ('1 &lt; 2', {'c': None}, ('a', 'c'))
    """
    reader = _Reader(source)
    while reader.take() != "{":
        pass
    reader.statements(None, {"node": {}, "edge": {}}, reader.graph.look)
    return reader.graph


class _Reader:
    def __init__(self, source: str) -> None:
        self.graph = Dot()
        self.tokens = TOKEN.findall(re.sub(r"^\s*//.*$", "", source, flags=re.MULTILINE))
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise ValueError("the source of the drawing ends in the middle")
        self.at += 1
        return token

    def taken(self, *wanted: str) -> bool:
        """Whether one of these comes next, which is then taken."""
        found = self.peek() in wanted
        self.at += found
        return found

    def statements(
        self, around: str | None, defaults: dict[str, Attributes], look: Attributes
    ) -> None:
        """What is in braces: of a graph, a cluster, or of what stands in one rank."""
        while not self.taken("}"):
            if self.taken(";", ","):
                continue
            if self.taken("{"):
                self.statements(around, {kind: {**x} for kind, x in defaults.items()}, {})
                continue
            name = _text(self.take())
            if name == "subgraph":
                self.subgraph(around, defaults)
            elif name in ("graph", "node", "edge"):
                (look if name == "graph" else defaults[name]).update(self.attributes())
            elif self.taken("="):
                look[name] = _value(name, self.take())
            else:
                self.node_or_edge(name, around, defaults)

    def subgraph(self, around: str | None, defaults: dict[str, Attributes]) -> None:
        name, look = "", {x: y for x, y in self.graph.look.items() if x.startswith("font")}
        if self.peek() != "{":
            name = _text(self.take())
        self.take()
        inside = around
        if name.startswith("cluster"):
            inside = name
            self.graph.clusters[name] = look
            self.graph.members[name] = {}
            self.graph.members[around][name] = None
        self.statements(inside, {kind: {**x} for kind, x in defaults.items()}, look)

    def node_or_edge(self, name: str, around: str | None, defaults: dict[str, Attributes]) -> None:
        ends = [(name, self.port())]
        while self.taken("->"):
            ends.append((_text(self.take()), self.port()))
        look = self.attributes()
        for name, _ in ends:
            if name not in self.graph.nodes:
                self.graph.nodes[name] = dict(defaults["node"])
                self.graph.members[around][name] = None
        if len(ends) == 1:
            self.graph.nodes[name].update(look)
        for (tail, tail_port), (head, head_port) in pairwise(ends):
            edge = defaults["edge"] | look
            ports = (edge.get("tailport", tail_port), edge.get("headport", head_port))
            self.graph.edges.append(Edge(tail, head, *ports, edge))

    def port(self) -> str:
        parts: list[str] = []
        while self.taken(":"):
            parts.append(_text(self.take()))
        return ":".join(parts)

    def attributes(self) -> Attributes:
        found: Attributes = {}
        while self.taken("["):
            while not self.taken("]"):
                if self.taken(";", ","):
                    continue
                name = _text(self.take())
                if not self.taken("="):
                    raise ValueError(f"the attribute {name!r} of the drawing has no value")
                found[name] = _value(name, self.take())
        return found


def _text(token: str) -> str:
    return token[1:-1].replace('\\"', '"') if token[0] == '"' else token


def _value(name: str, token: str) -> str:
    """That of an attribute; any label as one that is like HTML."""
    if name != "label":
        return _text(token)
    if token[0] == "<":
        return token[1:-1].replace("\\\\", "\\")
    text = html.escape(_text(token), quote=False)
    return re.sub(r"\\(.)", lambda found: "<BR/>" if found[1] in "nlr" else found[1], text)
