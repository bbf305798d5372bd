"""Statements, comparisons and lists: what is written is what Python computes."""

from __future__ import annotations

import ast
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from microgrant import Value, apply, compile as compile_graph, topological_order, where
from microgrant.engine import functions
from microgrant.engine.value import as_value
from microgrant.expression import (
    MAX_NODES,
    ExpressionError,
    evaluate,
    in_one_line,
    names,
    number_of,
)
from microgrant.losses import log_softmax, logsumexp, softmax
from microgrant.ops import of_many
from microgrant.views import draw

# --- Python as the judge --------------------------------------------------------------------------

NUMBERS = {"x": 0.75, "y": -1.25, "z": 2.5, "w": 0.5}
ENVIRONMENT: dict[str, Any] = {
    "Value": Value,
    "where": where,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "tanh": functions.tanh,
    "exp": functions.exp,
    "sin": functions.sin,
    "relu": functions.relu,
    "leaky_relu": functions.leaky_relu,
    "hypot": functions.hypot,
    "max": lambda *xs: apply(of_many("maximum", len(xs)), *xs),
    "clip": lambda x, low, high: as_value(x).clip(low, high),
}


class Recorded(ast.NodeTransformer):
    """What Python would do without a trace is recorded: a number that is computed with others is a
    Value, and for `and`, `or` and `not`, which decide, stand the signs that do not."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(float(node.value))  # -0 is no integer

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        sign = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        return reduce(lambda a, b: ast.BinOp(a, sign, b), node.values)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            node.op = ast.Invert()
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        node.left = leaf(node.left)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        operands = [node.left, *node.comparators]
        pairs: list[ast.expr] = []
        for left, sign, right in zip(operands, node.ops, node.comparators, strict=False):
            left = leaf(left) if is_constant(right) else left
            pairs.append(ast.Compare(left, [sign], [right]))
        return reduce(lambda a, b: ast.BinOp(a, ast.BitAnd(), b), pairs)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        node.value = leaf(node.value)
        return node


def is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.UnaryOp) and is_constant(node.operand)
    )


def leaf(node: ast.expr) -> ast.expr:
    called = ast.Name("Value", ast.Load())
    return ast.Call(called, [node], []) if is_constant(node) else node


def by_python(text: str, values: dict[str, Value]) -> Value:
    program = Recorded().visit(ast.parse(text.strip()))
    last = program.body[-1]
    if isinstance(last, ast.Expr):
        program.body[-1] = ast.Assign([ast.Name("result", ast.Store())], leaf(last.value))
        name = "result"
    else:
        name = (last.targets[0] if isinstance(last, ast.Assign) else last.target).id
    scope = ENVIRONMENT | values
    exec(compile(ast.fix_missing_locations(program), text, "exec"), scope)
    result = scope[name]
    assert isinstance(result, Value)
    return result


def record(value: Value) -> list[tuple[str, str, str]]:
    """Everything about a graph that can differ, bit for bit, gradients included; but the labels."""
    value.backward()
    return [
        (repr(node.operation), repr(node.data), repr(float(node.grad)))
        for node in topological_order(value)
    ]


def assert_as_python(text: str) -> None:
    ours, theirs = ({name: Value(NUMBERS[name], name) for name in names(text)} for _ in range(2))
    assert record(evaluate(text, ours)) == record(by_python(text, theirs))
    for name, value in ours.items():
        assert repr(value.grad) == repr(theirs[name].grad)


@pytest.mark.parametrize(
    "text",
    [
        "h = tanh(w*x + z); (h - y)**2",
        "b = x + x; c = b + b",
        "b = x + x\nc = b + b\nc*b\n",
        "\n\nb = x + x;\n\nb*y;\n",
        "b = x + (\n  y)\n-b + 1",
        "b = x; b = b + 1; b = b*b; b",
        "x = x + 1; x*x",
        "b = x; b += 1; b -= y*z; b *= 2 + x; b /= 3; b **= 2; b %= 5; b",
        "x *= 2 + y; x",
        "c = 3; c*x",
        "c = 3; c**2 + x**c",
        "c = -3; d = c; d",
        "c = 3",
        "where(x > 0, x, y)",
        "where(x < 0, x, y) + where(y <= -1.25, x*y, 0)",
        "where(x >= y, 2, x)",
        "where(x == 0.75, x, y) * where(0.75 != x, x, y)",
        "where(0 < x < 1, x, y) * where(y < x < z > w, x**2, y)",
        "where(0 < x*2 + y <= 1, x, y)",
        "where(1 < 2, x, y)",
        "where(not x > 0, x, y) + where(not not x > 0, x, y)",
        "where(x > 0 and y > 0, x, y) + where(x > 0 or y > 0, x, y)",
        "where(x < 0 or x > 0 and y < 0, x, y)",
        "where((x < 0 or x > 0) and y > 0, x, y)",
        "where(not x < 0 and not (y > 0 or z > 3), x, y)",
        "where(x + 1 > y*2 and -x < +y, x, y)",
        "c = x > 0; d = not c; where(c or d, x, y)",
        "where(x, y, z) + where(x - x, y, z)",
        "where(x > 0, where(y > 0, 1, x), z)",
        "softmax([x, y, z])[1]",
        "-log_softmax([0, x, y + 1, 1])[3]",
        "logsumexp([x, y]) - 2**softmax([x, 1])[-1]**2",
        "p = softmax([x, y]); -p[0]**2 + p[1]",
        "q = [x, y*2, 3]; q[0]*q[1] + q[2]",
        "clip(x, 0, 1) + clip(y*2, -1, 1) + clip(3*x, -1e3, .5)",
        "leaky_relu(y, 0.5) + leaky_relu(y) + leaky_relu(-x, .1)",
        "max(x, y, 2)**2",
    ],
)
def test_a_program_is_what_python_computes(text: str) -> None:
    assert_as_python(text)


SIGNS = st.sampled_from(["+", "-", "*", "/", "**", "%"])
RELATIONS = st.sampled_from(["<", "<=", ">", ">="])
CONSTANTS = st.sampled_from(["0", "1", "2", "3", "0.5", "-1", "-2.5", "1e-3", "1e300"])


@st.composite
def programs(draw: Any) -> str:
    """Some statements and a last expression; every name that is given is used."""
    numbers, conditions, lists = list(NUMBERS), list[str](), dict[str, int]()
    waiting: list[str] = []
    lines = []

    def number(depth: int) -> str:
        kind = draw(st.integers(0, 11)) if depth else 0
        deeper = depth - 1
        if kind == 0:
            return draw(st.sampled_from(numbers) | CONSTANTS)
        if kind <= 4:
            return f"{number(deeper)} {draw(SIGNS)} {number(deeper)}"
        if kind == 5:
            return f"({number(deeper)})"
        if kind == 6:
            return f"{draw(st.sampled_from('+-'))}{number(deeper)}"
        if kind == 7:
            name = draw(st.sampled_from(["tanh", "exp", "sin", "relu"]))
            return f"{name}({number(deeper)})"
        if kind == 8:
            return f"where({condition(deeper)}, {number(deeper)}, {number(deeper)})"
        if kind == 9 and lists:
            name = draw(st.sampled_from(sorted(lists)))
            return f"{name}[{draw(st.integers(-lists[name], lists[name] - 1))}]"
        if kind == 10:
            return f"softmax([{number(deeper)}, {number(deeper)}])[{draw(st.integers(-2, 1))}]"
        return f"max({number(deeper)}, {number(deeper)}, {number(deeper)})"

    def condition(depth: int) -> str:
        kind = draw(st.integers(0, 6)) if depth else 0
        if kind == 1 and conditions:
            return draw(st.sampled_from(conditions))
        if kind == 2:
            return f"not {condition(depth - 1)}"
        if kind == 3:
            return f"{condition(depth - 1)} and {condition(depth - 1)}"
        if kind == 4:
            return f"{condition(depth - 1)} or {condition(depth - 1)}"
        if kind == 5:
            return f"({condition(depth - 1)})"
        if kind == 6:
            return f"{number(1)} {draw(RELATIONS)} {number(1)} {draw(RELATIONS)} {number(1)}"
        return f"{number(1)} {draw(RELATIONS)} {number(1)}"

    for i in range(draw(st.integers(0, 5))):
        kind, name = draw(st.integers(0, 4)), f"a{i}"
        if kind == 0:
            lines.append(f"{name} = {condition(2)}")
            conditions.append(name)
            waiting.append(f"where({name}, 1, 2)")
        elif kind == 1:
            lines.append(f"{name} = softmax([{number(1)}, {number(1)}, {number(1)}])")
            lists[name] = 3
            waiting.append(f"{name}[0]")
        elif kind == 2:
            name = draw(st.sampled_from(numbers))
            lines.append(f"{name} {draw(SIGNS)}= {number(2)}")
            waiting.append(name)
        else:
            lines.append(f"{name} = {number(3)}")
            numbers.append(name)
            waiting.append(name)
    lines.append(" + ".join([number(3), *waiting]))
    return draw(st.sampled_from(["; ", "\n", " ;\n"])).join(lines)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(programs())
def test_any_program_is_what_python_computes(text: str) -> None:
    assert_as_python(text)


@pytest.mark.campaign
@settings(max_examples=3000, deadline=None)
@given(programs())
def test_3000_programs_are_what_python_computes(text: str) -> None:
    assert_as_python(text)


def test_a_choice_is_recorded_with_all_that_decides_it() -> None:
    x, y = Value(0.5, "x"), Value(1.0, "y")
    chosen = evaluate("inside = 0 < x < 1; where(inside and not y > 2, x, y**2)", {"x": x, "y": y})
    step = compile_graph([chosen], inputs=[x, y])
    for row in ([0.5, 1.0], [0.5, 3.0], [1.5, 1.0], [-0.5, 1.5]):
        expected = row[0] if 0 < row[0] < 1 and not row[1] > 2 else row[1] ** 2
        assert step([row])[0][0] == expected


# --- Names ----------------------------------------------------------------------------------------


def labels(text: str, **values: float) -> list[str]:
    return [node.label for node in topological_order(evaluate(text, values)) if node.label]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h = a*b; (h - 1)**2", ["a", "b", "h"]),
        ("h = a*b; g = h; g + 1", ["a", "b", "h"]),  # another name for the same
        ("b = a; b*b", ["a"]),
        ("c = 3; c*a", ["c", "a"]),
        ("b = a + a; c = b + b", ["a", "b", "c"]),
        ("a = a + 1; a = a*2", ["a"]),  # which was given
        ("h = a + 1; h = h*2", ["a", "h", "h"]),
        ("p = softmax([a, b]); p[1]", ["b", "a", "p[1]"]),
        ("p = [a, 2]; p[0]*p[1]", ["a"]),
    ],
)
def test_a_name_labels_what_it_is_given_to(text: str, expected: list[str]) -> None:
    values = dict.fromkeys(names(text), 2.0)
    assert labels(text, **values) == expected


def test_a_value_that_was_given_keeps_its_label() -> None:
    x = Value(2.0)
    inner = x * x
    assert evaluate("h = a; p = [a, h]; p[0] + h", {"a": inner}).operands == (inner, inner)
    assert inner.label == x.label == ""


def test_the_name_of_what_was_given_stays_its_own() -> None:
    """And is not that of what is computed later, nor of a number."""
    root = evaluate("a = a + 1; b = a; a = 3; a*b", {"a": 2.0})
    assert root.data == 9.0
    assert [x.label for x in topological_order(root) if x.label] == ["a", "b"]


def test_a_name_given_again_can_be_told_apart_in_a_drawing() -> None:
    source = draw(evaluate("h = a + 1; h = h*2; h*h", {"a": 2.0})).source
    assert "h′2" in source


def test_the_names_that_need_a_value() -> None:
    assert names("h = tanh(w*x + b); (h - y)**2") == ["w", "x", "b", "y"]
    assert names("a = a + 1; a") == ["a"]
    assert names("a += b; a") == ["a", "b"]
    assert names("a = 2; a") == []


def refusal(text: str, **values: float) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, values)
    return caught.value


def test_a_name_that_the_expression_computes_takes_no_value() -> None:
    error = refusal("h = 2*x; h**2", x=1.0, h=3.0)
    assert error.message == "the expression does not use 'h', which it computes"


def test_a_name_that_is_computed_only_later_needs_a_value() -> None:
    error = refusal("g = h + x\nh = 2*g\nh", x=1.0)
    assert str(error) == (
        'line 1, column 5, after "g =": no value is given for h (it is computed only later)'
    )


@pytest.mark.parametrize("call", ["softmax([a, b, c])[0]", "-logsumexp([a, b, c])"])
def test_a_list_counts_for_the_bound_on_nodes(call: str) -> None:
    values = {"a": 1.0, "b": 2.0, "c": 3.0}
    many = " + ".join([call] * 90)
    assert len(topological_order(evaluate(many, values))) <= MAX_NODES
    assert "more than 2,000 nodes" in refusal(" + ".join([call] * 110), **values).message


# --- Numbers and lines ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1/3", 1 / 3),
        ("-2**0.5", -(2**0.5)),
        ("pi/4", 0.7853981633974483),
        ("e", 2.718281828459045),
        ("−3", -3.0),
        ("-inf", -float("inf")),
        ("1e400", float("inf")),
        ("1/0", float("inf")),
        ("sqrt(2)", 2**0.5),
    ],
)
def test_a_number_as_one_types_it(text: str, number: float) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "expected a number, such as -0.5 or 1/3, but got nothing"),
        (" ", "expected a number, such as -0.5 or 1/3, but got nothing"),
        ("1/", 'column 3, after "1/": expected a number'),
        ("2*x", 'column 3, after "2*": no value is given for x'),
        ("pi*x", 'column 4, after "pi*": no value is given for x'),
        ("0x10", 'column 2, after "0": expected an operator'),
    ],
)
def test_what_is_no_number_is_pointed_at(text: str, line: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        number_of(text)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a*b", "a*b"),
        ("  a *\n b\n", "a * b"),
        ("h = a\n\nh + (1 -\n 2)", "h = a; h + (1 - 2)"),
        ("h = a;\r\nh + 1;\r\n", "h = a; h + 1"),
    ],
)
def test_an_expression_in_one_line(text: str, line: str) -> None:
    assert in_one_line(text) == line
