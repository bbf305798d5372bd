"""The parser of arithmetic: it accepts Python's arithmetic, and points at what it refuses."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

import microgrant.expression
from microgrant import Value, apply, topological_order
from microgrant.expression import (
    FUNCTIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_NODES,
    ExpressionError,
    evaluate,
    names,
)
from microgrant.expression.functions import MEANT, NAMES, WRITTEN_OUT
from microgrant.ops import OPERATIONS, of_many

NUMBERS = {"x": 0.75, "y": -1.25, "z": 2.5, "w1": 0.5, "größe": 3.0, "_a": 1.5, "Δ": 0.25}


def caller(name: str) -> Callable[..., Value]:
    def call(*operands: Any) -> Value:
        operation = FUNCTIONS[name]
        many = operation.name in ("maximum", "minimum")
        return apply(of_many(operation.name, len(operands)) if many else operation, *operands)

    return call


CALLS = {name: caller(name) for name in FUNCTIONS}


def record(value: Value) -> list[tuple[str, str, str, str]]:
    """Everything about a graph that can differ, bit for bit, gradients included."""
    value.backward()
    return [
        (repr(node.operation), node.label, repr(node.data), repr(float(node.grad)))
        for node in topological_order(value)
    ]


def operations(value: Value) -> list[str]:
    return [node.operation.name for node in topological_order(value) if node.operation]


def refusal(text: str, values: dict[str, Any] | None = None) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, {} if values is None else values)
    return caught.value


# --- What is accepted -----------------------------------------------------------------------------

AS_PYTHON = [
    "x",
    "(x)",
    "((x))",
    "x + y",
    "x - y - z",
    "x - (y - z)",
    "x / y / z",
    "x / (y / z)",
    "x * y / z * w1",
    "x + y * z",
    "(x + y) * z",
    "x * y + z * w1",
    "x - y + z",
    "-x",
    "--x",
    "+x",
    "-+-x",
    "-x + y",
    "-x * y",
    "x * -y",
    "x * -y * z",
    "x - -y",
    "x--y",
    "x - -3",
    "-3 * x",
    "-x**2",
    "(-x)**2",
    "-x**2 * y",
    "x**2",
    "x**2.0",
    "x**-2",
    "x**-1 + y",
    "x**- 3",
    "x**(2)",
    "x**(-2)",
    "x**+2",
    "x**--2",
    "x**0",
    "x**.5",
    "2**x",
    "2**-x",
    "2**-x**2",
    "-2**x",
    "2**-x * y",
    "z**x**2",
    "z**x**y",
    "(z**x)**y",
    "z**-x**y",
    "x**2**y",
    "2*x + .5*y - 2.*z + 1e-3*w1 + 1E+2*x + 1.5e2*y",
    "007.0*x",
    "0*x",
    "-0.0*x",
    "9007199254740993*x",
    "1e-999*x",
    "x + x*x + x",
    "tanh(x)",
    "tanh (x)",
    "-tanh(x)**2",
    "tanh(w1*x + y)",
    "exp(-(x*x)) / (1 + exp(-y))",
    "maximum(x, y)",
    "max(x, y, 2, max(x, y))",
    "minimum(x, y, x)",
    "max(x, min(y, -z)) + min(x * y, z)",
    "max(-1, x)",
    "min((x), ((y)))",
    "relu(x) + relu(y) + ReLU(x)",
    "ln(z)",
    "log(x) / log(z)",
    "log(y)",
    "sqrt(0*x)",
    "exp(1000*x)",
    "abs(y)",
    "größe * Δ + _a",
    "\tx\t+ ( y\n * \u00a0 z\r\n)",
    "  x",
    "x  ",
    "(x*(y+(z*(w1-(x/(y))))))",
]


@pytest.mark.parametrize("text", AS_PYTHON)
def test_reads_as_python_does(text: str) -> None:
    ours = {name: Value(number, name) for name in names(text) for number in [NUMBERS[name]]}
    theirs = {name: Value(number, name) for name, number in NUMBERS.items()}
    # Python's own parser, over the same operations, is the judge of values, gradients and order.
    python = eval(" ".join(text.split()), {"__builtins__": {}}, CALLS | theirs)
    assert record(evaluate(text, ours)) == record(python)
    for name, leaf in ours.items():
        assert repr(leaf.grad) == repr(theirs[name].grad)


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("2", "Value(2)"),
        ("-3", "Value(-3)"),
        ("--3", "Value(3)"),
        ("-(3)", "Value(-3)"),
        ("-2**2", "-(Value(2) ** 2)"),
        ("(-2)**2", "Value(-2) ** 2"),
        ("2**-1", "Value(2) ** -1"),
        ("2**3**2", "Value(2) ** (Value(3) ** 2)"),
        ("2**-3**2", "Value(2) ** -(Value(3) ** 2)"),
        ("1 - 2 - 3", "Value(1) - Value(2) - 3"),
        ("2 * 3 + 4", "Value(2) * Value(3) + 4"),
        ("2 / 0", "Value(2) / Value(0)"),
        ("x ** (1 + 1)", "x ** (Value(1) + 1)"),
        ("tanh(-1)", "tanh(Value(-1))"),
    ],
)
def test_constants_are_leaves_and_are_not_computed_in_advance(text: str, python: str) -> None:
    values = {name: NUMBERS[name] for name in names(text)}
    scope = {"Value": Value, "tanh": CALLS["tanh"], "x": Value(NUMBERS["x"], "x")}
    assert record(evaluate(text, values)) == record(eval(python, {"__builtins__": {}}, scope))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2**3**2", 512.0), ("-2**2", -4.0), ("10-4-3", 3.0), ("2**-1", 0.5), ("7/2/2", 1.75)],
)
def test_values_known_by_heart(text: str, expected: float) -> None:
    assert evaluate(text, {}).data == expected


@pytest.mark.parametrize("name", [n for n, o in OPERATIONS.items() if n in FUNCTIONS])
def test_a_function_of_the_table_is_called_by_name(name: str) -> None:
    operation = OPERATIONS[name]
    variables = ["a", "b", "c"][: operation.arity]
    points = [(low + 2 * high) / 3 for low, high in operation.domain]
    result = evaluate(f"{name}({', '.join(variables)})", dict(zip(variables, points, strict=True)))
    assert result.operation is operation
    assert [operand.label for operand in result._prev] == variables
    assert result.data == operation.forward(*points)


def test_every_operation_can_be_written() -> None:
    signs = ["a + b", "a - b", "a * b", "a / b", "-a", "a % b", "a ** b"]
    written = {evaluate(text, dict.fromkeys(names(text), 2.0)).operation.name for text in signs}
    functions = {operation.name for operation in FUNCTIONS.values()}
    assert written | functions == {*OPERATIONS, "leaky_relu", "elu"}
    assert not written & set(FUNCTIONS)


def test_a_number_as_exponent_belongs_to_the_operation() -> None:
    assert operations(evaluate("x**2", {"x": 3.0})) == ["power"]
    assert operations(evaluate("2**x", {"x": 3.0})) == ["pow"]
    assert operations(evaluate("x**y", {"x": 3.0, "y": 2.0})) == ["pow"]
    assert operations(evaluate("x**(2 + 0*x)", {"x": 3.0})) == ["mul", "add", "pow"]


def test_a_variable_is_one_labelled_leaf() -> None:
    result = evaluate("x*x + x*2", {"x": 3.0})
    leaves = [node for node in topological_order(result) if not node._prev]
    assert [(leaf.label, leaf.data) for leaf in leaves] == [("x", 3.0), ("", 2.0)]
    result.backward()
    assert leaves[0].grad == 8.0


def test_a_value_is_used_as_it_is() -> None:
    x = Value(3.0, label="mine")
    inner = x * x
    result = evaluate("a + b", {"a": inner, "b": x})
    assert result._prev[0] is inner
    assert result._prev[1] is x
    assert x.label == "mine"
    assert evaluate("a", {"a": x}) is x


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(TypeError, match="expected one real number"):
        evaluate("x", {"x": "3"})  # type: ignore[dict-item]


def test_names_in_order_of_first_appearance() -> None:
    assert names("b*a + exp(c)*b - a") == ["b", "a", "c"]
    assert names("2 + 3") == []
    assert names("x_1 + X + x") == ["x_1", "X", "x"]
    with pytest.raises(ExpressionError):
        names("b +")


# --- Trees, printed and read back -----------------------------------------------------------------

BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}
PYTHON: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}
constants = st.floats(0, 1e6, allow_subnormal=False) | st.integers(0, 9).map(float)
leaves = constants | st.sampled_from(sorted(NUMBERS))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("-"), inner),
        st.tuples(st.sampled_from(sorted(BINDING)), inner, inner),
        st.tuples(st.sampled_from([n for n, o in FUNCTIONS.items() if o.arity == 1]), inner),
        st.tuples(st.sampled_from([n for n, o in FUNCTIONS.items() if o.arity == 2]), inner, inner),
    ),
    max_leaves=25,
)


def built(tree: Any, variables: dict[str, Value]) -> Value | float:
    """The tree made by Python's operators; a float as long as it is no more than a constant."""
    if isinstance(tree, float):
        return tree
    if isinstance(tree, str):
        return variables[tree]
    sign, *operands = tree
    made = [built(operand, variables) for operand in operands]
    if sign == "-" and len(made) == 1:
        return -made[0]
    if sign in CALLS:
        return CALLS[sign](*made)
    left, right = made
    return PYTHON[sign](left if isinstance(left, Value) else Value(left), right)


def printed(tree: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, int]:
    """The tree as text with any spaces and needless parentheses, and how tightly it binds."""

    def space() -> str:
        return draw(st.sampled_from(["", "", " ", "  ", "\t", "\f "]))

    def within(operand: Any, least: int) -> str:
        text, binding = printed(operand, draw)
        while binding < least or draw(st.integers(0, 7)) == 0:
            text, binding = f"({space()}{text}{space()})", 5
        return text

    if isinstance(tree, float):
        return draw(st.sampled_from([repr(tree), f"{tree:.17e}"])), 5
    if isinstance(tree, str):
        return tree, 5
    sign, *operands = tree
    if sign == "-" and len(operands) == 1:
        plus = draw(st.sampled_from(["", "", "", "+"]))
        return f"-{space()}{plus}{space()}{within(operands[0], 3)}", 3
    if sign in CALLS:
        inside = f"{space()},{space()}".join(within(operand, 0) for operand in operands)
        return f"{sign}{space()}({space()}{inside}{space()})", 5
    binding = BINDING[sign]
    # A power binds its right operand less tightly than a sign in front of it: 2**-x.
    least = (5, 3) if sign == "**" else (binding, binding + 1)
    left, right = (within(*pair) for pair in zip(operands, least, strict=True))
    return f"{left}{space()}{sign}{space()}{right}", binding


def assert_reads_back(data: st.DataObject, tree: Any) -> None:
    text, _ = printed(tree, data.draw)
    needed = names(text)
    variables = {name: Value(number, name) for name, number in NUMBERS.items()}
    expected = built(tree, variables)
    if not isinstance(expected, Value):
        expected = Value(expected)
    assert record(evaluate(text, {name: NUMBERS[name] for name in needed})) == record(expected)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data(), trees)
def test_a_printed_tree_reads_back(data: st.DataObject, tree: Any) -> None:
    assert_reads_back(data, tree)


@pytest.mark.campaign
@settings(max_examples=300, deadline=None)
@given(st.data(), trees)
def test_300_printed_trees_read_back(data: st.DataObject, tree: Any) -> None:
    assert_reads_back(data, tree)


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "position", "fragment"),
    [
        ("", 0, "the expression is empty"),
        (" \n ", 0, "the expression is empty"),
        ("2 * (x +", 8, "expected a number, a name or '(', but the expression ends"),
        ("x +", 3, "but the expression ends"),
        ("-", 1, "but the expression ends"),
        ("tanh(", 5, "but the expression ends"),
        ("* x", 0, "expected a number, a name or '(', but got '*'"),
        ("x + * y", 4, "but got '*'"),
        ("x + )", 4, "but got ')'"),
        ("()", 1, "but got ')'"),
        ("x // y", 3, "but got '/'"),
        ("x *** y", 4, "but got '*'"),
        ("x * * y", 4, "but got '*'"),
        ("max(, x)", 4, "but got ','"),
        ("max(x, )", 7, "but got ')'"),
        ("max(x, y,)", 9, "but got ')'"),
        ("(x", 0, "this '(' is never closed"),
        ("x * (y + (z)", 4, "this '(' is never closed"),
        ("(x) * (y", 6, "this '(' is never closed"),
        ("1 + tanh (x", 9, "this '(' is never closed"),
        ("x)", 1, "no '(' is open"),
        ("(x))", 3, "no '(' is open"),
        ("2x", 1, "to multiply, write '*'"),
        ("2(x)", 1, "to multiply, write '*'"),
        ("x y", 2, "expected an operator before 'y'"),
        ("(x)(y)", 3, "to multiply, write '*'"),
        ("(x) 2", 4, "expected an operator before '2'"),
        ("x 2", 2, "expected an operator before '2'"),
        ("2 tanh(x)", 2, "expected an operator before 'tanh'"),
        ("1 2", 2, "expected an operator before '2'"),
        ("1e", 1, "expected an operator before 'e'"),
        ("0x10", 1, "expected an operator before 'x10'"),
        ("1_000", 1, "without '_'"),
        ("2 _a", 2, "expected an operator before '_a'"),
        ("1.2.3", 3, "only one decimal point"),
        ("1 .5", 2, "expected an operator before '.5'"),
        ("x . y", 2, "'.' has no place"),
        ("x.y", 1, "'.' has no place"),
        ("1e999", 0, "1e999 is too large for a float"),
        ("x + " + "9" * 400, 4, "9999999999999999999… is too large for a float"),
        ("-1e309", 1, "too large for a float"),
        ("x^2", 1, "write '**' instead of '^'"),
        ("x²", 1, "write '**' instead of '²'"),
        ("x × y", 2, "write '*' instead of '×'"),
        ("x·y", 1, "write '*' instead of '·'"),
        ("x ÷ y", 2, "write '/' instead of '÷'"),
        ("x − y", 2, "write '-' instead of '−'"),
        ("(x}", 2, "write ')' instead of '}'"),
        ("|x|", 0, "write 'abs()' instead of '|'"),
        ("x $ 1", 2, "'$' has no place among numbers, names, functions, + - * / % ** and ( )"),
        ("'x'", 0, "''' has no place"),
        ("x\x1b[31m", 1, "'\\x1b' has no place"),
        ("x + \u202ey", 4, "'\\u202e' has no place"),
        ("\ud800", 0, "'\\ud800' has no place"),
        ("٣ + x", 0, "'٣' has no place"),
        ("x, y", 1, "',' stands only between the arguments of a function"),
        ("(x, y)", 2, "',' stands only between"),
        ("max((x, y))", 6, "',' stands only between"),
        ("tanh + 1", 0, "tanh is a function: write tanh(a)"),
        ("2 * max", 4, "max is a function: write max(a, b)"),
        ("tanh()", 0, "tanh takes 1 argument, but got 0"),
        ("1 + tanh( )", 4, "tanh takes 1 argument, but got 0"),
        ("tanh(x, y)", 0, "tanh takes 1 argument, but got 2"),
        ("1 + max(x)", 4, "max takes 2 arguments or more, but got 1"),
        ("max(minimum(x))", 4, "minimum takes 2 arguments or more, but got 1"),
        ("foo(x)", 0, "'foo' is not a function (to multiply, write *); there are exp, "),
        ("x (y)", 0, "'x' is not a function (to multiply"),
        ("1 + tahn(x)", 4, "'tahn' is not a function: did you mean tanh?"),
        ("TANH(x)", 0, "did you mean tanh?"),
        ("pow(x, 2)", 0, "pow is written with its sign: a ** b"),
        ("neg(x)", 0, "neg is written with its sign: -a"),
        ("__import__('os')", 0, "'__import__' is not a function"),
        ("x.__class__", 1, "'.' has no place"),
        ("lambda: x", 6, "':' has no place"),
        # Lists
        ("[x]", 0, "a list is no number: [0] behind it takes its first; to group, write '('"),
        ("2*[x + 1]", 2, "to group, write '(' and ')'"),
        ("[]", 1, "expected a number, a name or '(', but got ']'"),
        ("softmax([x, y)[0]", 13, "expected ']' before this ')'"),
        ("(x]", 2, "expected ')' before this ']'"),
        ("x]", 1, "no '[' is open for this ']'"),
        ("softmax([x, y", 8, "this '[' is never closed"),
        ("softmax(x, y)", 0, "softmax takes a list: write softmax([a, b])"),
        ("softmax()[0]", 0, "softmax takes a list: write softmax([a, b])"),
        ("softmax([x, y])", 0, "a list is no number"),
        ("softmax([x, y])[2]", 15, "the list holds 2: to take one, write [0] or [1] behind it"),
        ("softmax([x, y])[0.5]", 15, "the list holds 2"),
        ("softmax([x, y])[x]", 15, "the list holds 2: to take one, write [0] or [1] behind it"),
        ("[x, y][0.0]", 6, "the list holds 2"),
        ("[x, y][-1.]", 6, "the list holds 2"),
        ("[x, y][1e0]", 6, "the list holds 2"),
        ("[x][1]", 3, "the list holds 1: to take one, write [0] behind it"),
        ("[x, y, x][3]", 9, "the list holds 3: to take one, write a number from [0] to [2] behind"),
        ("softmax([x, [y]])[0]", 12, "a list is no number"),
        ("x[0]", 1, "'[' takes one out of a list, and this is none"),
        # Comparisons
        ("x > 0", 2, "true or false is no number: where(x > 0, 1, 0) makes one of it"),
        ("(x > 0) * 3", 3, "true or false is no number"),
        ("tanh(x < y)", 7, "true or false is no number"),
        ("[x < y]", 3, "true or false is no number"),
        ("where(x == y, 1, 0)", 8, "write a >= b and a <= b"),
        ("where(0 < x != y, 1, 0)", 12, "write a > b or a < b"),
        ("where(x and y > 0, 1, 0)", 6, "'and' is for comparisons"),
        ("where(not x, 1, 0)", 10, "'not' is for comparisons"),
        ("where(x > 0, y)", 0, "where takes 3 arguments, but got 2"),
        ("where([x], y, z)", 0, "where chooses by a comparison: where(x > 0, a, b)"),
        ("where(x > 0, x > 1, 0)", 15, "true or false is no number"),
        ("where(x = 0, 1, 0)", 8, "to compare, write x == 2 with a number"),
        ("where(x = y, 1, 0)", 8, "or a >= b and a <= b with two names"),
        ("where((x) = y, 1, 0)", 10, "or a >= b and a <= b with two names"),
        ("where(x > 0, a = 1, 0)", 15, "have no names here, only places: write where(x > 0, a, b)"),
        ("clip(x, min=0)", 11, "arguments have no names here, only places: write clip(x, 0, 1)"),
        ("max(x, 2 = y)", 9, "arguments have no names here, only places: write max(a, b)"),
        ("where(x => 0, 1, 0)", 8, "write '>=' instead of '=>'"),
        ("where(x =< 0, 1, 0)", 8, "write '<=' instead of '=<'"),
        ("where(x ≤ 0, 1, 0)", 8, "write '<=' instead of '≤'"),
        ("where(x <> 0, 1, 0)", 8, "write '!=' instead of '<>'"),
        ("where((x > 0) & (y > 0), 1, 0)", 14, "write 'and' instead of '&'"),
        ("where(x > 0 && y > 0, 1, 0)", 12, "write 'and' instead of '&&'"),
        ("where(x > 0 || y > 0, 1, 0)", 12, "write 'or' instead of '||'"),
        ("where(!(x > 0), 1, 0)", 6, "write 'not' instead of '!'"),
        ("x if y else z", 2, "write where(x > 0, a, b) for a if x > 0 else b"),
        ("x > 0 ? 1 : 2", 6, "write 'where(x > 0, a, b)' instead of '?'"),
        ("a = 1, b = 2; a + b", 5, "between statements stands ';'"),
        ("if x > 0: y", 0, "an expression has no 'if'"),
        ("and x", 0, "but got 'and'"),
        ("x not y", 2, "expected an operator before 'not'"),
        # Constants of an operation
        ("clip(x, y, 1)", 0, "clip takes numbers that are written out, as in clip(x, 0.1, 1)"),
        ("leaky_relu(x, y)", 0, "as in leaky_relu(x, 0.1)"),
        ("clip(x, 1)", 0, "clip takes 3 arguments, but got 2"),
        ("elu(x, 1, 2)", 0, "elu takes 2 arguments, but got 3"),
        ("1 + clip(x, 2, 1)", 4, "clip needs low <= high, but got low=2.0 and high=1.0"),
        # Statements
        ("x; y", 0, "only the last statement computes the result: give this one a name"),
        ("h = x; h\n + y", 7, "or put it in parentheses if it goes on in the next line"),
        ("h = ", 4, "but the expression ends"),
        ("h = ; h", 4, "expected a number, a name or '(', but got ';'"),
        ("h =\nh**2", 3, "expected a number, a name or '(', but the line ends"),
        ("h = x +; h", 7, "but got ';'"),
        ("h = (x; h", 4, "this '(' is never closed"),
        ("; x", 0, "but got ';'"),
        ("h = x;; h", 6, "but got ';'"),
        ("= x", 0, "but got '='"),
        ("h = x h**2", 6, "expected an operator before 'h'"),
        ("h = 2*x g = h; g", 8, "a statement begins here: put a ';' before it"),
        ("2 = x", 2, "'=' stands after one name, at the beginning of a statement"),
        ("x + y = 3", 6, "'=' stands after one name, at the beginning of a statement"),
        ("x + y += 3", 7, "'=' stands after one name"),
        ("tanh(x) = y", 8, "'=' stands after one name"),
        ("a = b = 3; a + b", 6, "'=' stands after one name"),
        ("(h = x)", 3, "'=' stands after one name"),
        ("h := x; h", 2, "write '=' instead of ':='"),
        ("exp = x; exp", 0, "exp is a function: choose another name"),
        ("h = x; y + 1", 0, "this is computed and never used: use it, or leave it out"),
        ("h = x; h = y; h", 0, "this is computed and never used"),
        ("h = x > 0", 0, "true or false is no number"),
        ("p = softmax([x, y])", 0, "a list is no number"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, position: int, fragment: str) -> None:
    error = refusal(text)
    assert fragment in error.message
    assert (error.position, error.text) == (position, text)
    with pytest.raises(ExpressionError, match=re.escape(fragment)):
        names(text)


ELSEWHERE: dict[str, Callable[..., float]] = {
    "arcsin": math.asin,
    "arctan": math.atan,
    "arctan2": lambda x, y: math.atan2(y, x),
    "arcsinh": math.asinh,
    "arctanh": math.atanh,
    "cot": lambda x: 1 / math.tan(x),
    "lg": math.log10,
    "ld": math.log2,
    "cbrt": lambda x: x ** (1 / 3),
    "coth": lambda x: 1 / math.tanh(x),
    "sinc": lambda x: math.sin(x) / x,
    "trunc": math.trunc,
    "fmod": math.fmod,
    "exp10": lambda x: 10**x,
    "square": lambda x: x * x,
    "sgn": lambda x: math.copysign(1, x),
    "ceil": math.ceil,
    "logistic": lambda x: 1 / (1 + math.exp(-x)),
    "swish": lambda x: x / (1 + math.exp(-x)),
    "relu6": lambda x: min(max(x, 0), 6),
    "cross_entropy": lambda a, b: math.log(math.exp(a) + math.exp(b)) - a,
    "ifelse": lambda a, b, x: a if x > 0 else b,
    "clamp": lambda x: min(max(x, 0), 1),
    "mean": lambda *xs: sum(xs) / len(xs),
    "norm": math.hypot,
    "erfcx": lambda x: math.exp(x * x) * math.erfc(x),
    "amax": max,
    "powm1": lambda a, b: a**b - 1,
}


def written(name: str) -> str:
    """What is to be written for a function of another language."""
    return MEANT.get(name) or WRITTEN_OUT[name]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_function_of_another_language_is_written_as_it_says(name: str) -> None:
    text = written(name)
    assert text in refusal(f"{name}(x)").message
    given = dict(zip(sorted(names(text)), (0.3, 0.7, 0.9), strict=False))
    assert evaluate(text, given).data == pytest.approx(ELSEWHERE[name](*given.values()))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("tahn", "tanh"), ("MIN", "min"), ("soft_plus", "softplus"), ("sigmod", "sigmoid")),
        *(("sotfmax", "softmax"), ("log_sofmax", "log_softmax"), ("were", "where")),
    ],
)
def test_a_slip_of_the_finger(name: str, meant: str) -> None:
    assert refusal(f"{name}(x)").message == f"'{name}' is not a function: did you mean {meant}?"


def test_selu_is_written_with_elu() -> None:
    text = written("selu")
    for x in (-2.0, -0.5, 0.0, 1.5):
        expected = 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x))
        assert evaluate(text, {"x": x}).data == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("base", [3, 5, 16, 100])
def test_a_logarithm_to_any_base_is_a_quotient(base: int) -> None:
    message = refusal(f"log{base}(x)").message
    assert message.endswith(f": write log(x) / log({base})")
    assert evaluate(message.partition("write ")[2], {"x": base**2}).data == pytest.approx(2)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("arctam", "arctan"), ("squre", "square"), ("averge", "average")),
        ("crossentropi", "cross_entropy"),
    ],
)
def test_a_slip_in_the_name_of_another_language(name: str, meant: str) -> None:
    expected = refusal(f"{meant}(x)").message.replace(f"'{meant}'", f"'{name}'")
    assert refusal(f"{name}(x)").message == expected
    assert "write" in expected


NEAR_TO_NOTHING = "foo x so perceptron softsomething real sort erfi expi long"


@pytest.mark.parametrize("name", NEAR_TO_NOTHING.split())
def test_what_is_near_to_nothing_gets_the_list(name: str) -> None:
    assert "(to multiply, write *); there are exp, " in refusal(f"{name}(x)").message


def test_functions_are_listed_for_one_that_is_not() -> None:
    listed = refusal("foo(x)").message.partition("there are ")[2]
    *first, more = re.split(r", | and ", listed)
    called = [name for name in NAMES if name not in FUNCTIONS or FUNCTIONS[name].name == name]
    assert first == called[: len(first)]
    assert more == f"{len(called) - len(first)} more"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("$", "column 1: '$' has"),
        ("  $", "column 3: '$' has"),
        ("2 * (x +", 'column 9, after "2 * (x +": expected a number, a name or'),
        ("2 * (x +   ", 'column 12, after "2 * (x +": expected'),
        ("9" * 400, "column 1: 9999999999999999999… is too large"),
        ("x +\n\t$", "line 2, column 2: "),
        ("x +\ny $", 'line 2, column 3, after "y": '),
        ("h = x + $\nh", 'line 1, column 9, after "h = x +": '),
        ("\nx + $\n", 'column 5, after "x +": '),
        ("123456789012345678901234$", 'column 25, after "123456789012345678901234": '),
        ("1234567890123456789012345$", 'column 26, after "…34567890123456789012345": '),
        ("1 +" + "\x0b" * 11 + "x $", 'column 17, after "…0b' + "\\x0b" * 5 + 'x": '),
    ],
)
def test_the_line_shows_the_place(text: str, line: str) -> None:
    assert str(refusal(text)).startswith(line)


def test_missing_values_are_all_named() -> None:
    error = refusal("tanh(w1*x1 + w2*x2 + b)", {"x1": 2.0, "w2": 1.0})
    assert str(error) == 'column 6, after "tanh(": no value is given for w1, x2 and b'
    assert error.position == 5
    assert refusal("x").message == "no value is given for x"
    assert refusal("y + x*x", {"y": 1.0}).position == 4  # where it first appears


def test_many_missing_values_are_counted() -> None:
    error = refusal(" + ".join(f"weight{i}" for i in range(500)))
    assert "weight0, weight1, weight2," in error.message
    shown = re.findall(r"weight\d+", error.message)
    assert error.message.endswith(f" and {500 - len(shown)} more")
    assert len(str(error)) <= 200


def test_values_that_are_not_used_are_named() -> None:
    error = refusal("rate * time", {"rate": 1.0, "time": 2.0, "tme": 3.0, "q\n": 4.0})
    line = "the expression does not use 'tme' (did you mean time?) and 'q\\n'"
    assert (str(error), error.position) == (line, None)


def test_a_misspelt_value_is_matched_with_the_missing_one() -> None:
    error = refusal("width1 * width2", {"width1": 1.0, "Width2": 2.0})
    assert error.message == (
        "no value is given for width2, "
        "and the expression does not use 'Width2' (did you mean width2?)"
    )
    assert error.position == 9
    # width1 would be closer, but it has its value.
    error = refusal("width1 * width2", {"width1": 1.0, "width12": 2.0, "width1_": 3.0})
    assert error.message.count("(did you mean width2?)") == 2


def test_long_names_are_shortened() -> None:
    error = refusal("a" * 9000, {"a" * 9001: 1.0})
    shown = "a" * 19 + "…"
    assert error.message == (
        f"no value is given for {shown}, "
        f"and the expression does not use '{shown}' (did you mean {shown}?)"
    )


def test_the_name_of_a_function_is_no_variable() -> None:
    assert "does not use 'tanh'" in refusal("x", {"x": 1.0, "tanh": 1.0}).message


def test_an_error_survives_pickling() -> None:
    error = refusal("2 * (x +")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.position, copy.text) == (str(error), error.position, error.text)


# --- Bounds ---------------------------------------------------------------------------------------


def test_the_bound_on_length() -> None:
    assert evaluate("x".ljust(MAX_LENGTH), {"x": 1.0}).data == 1.0
    error = refusal("x".ljust(MAX_LENGTH + 1), {"x": 1.0})
    assert "at most 10,000 characters, but this one 10,001" in error.message
    assert error.position == MAX_LENGTH


@pytest.mark.parametrize("opening", ["(", "tanh(", "-("])
def test_the_bound_on_depth(opening: str) -> None:
    def nested(depth: int) -> str:
        return opening * depth + "x" + ")" * depth

    assert math.isfinite(evaluate(nested(MAX_DEPTH), {"x": 1.0}).data)
    error = refusal(nested(MAX_DEPTH + 1), {"x": 1.0})
    assert "more than 200 deep" in error.message
    assert error.position == len(opening) * MAX_DEPTH + opening.startswith("-")


def test_parentheses_side_by_side_are_not_deep() -> None:
    assert evaluate("+".join(["(x)"] * 500 + ["tanh(0)"]), {"x": 1.0}).data == 500.0


@pytest.mark.parametrize("character", ["(", "-(", "tanh(", "max(0,", "2**(", "x*("])
def test_a_text_of_nothing_but_openings_is_refused(character: str) -> None:
    text = (character * MAX_LENGTH)[:MAX_LENGTH]
    assert "more than 200 deep" in refusal(text).message


def node_count(text: str) -> int:
    return len(topological_order(evaluate(text, {"x": 1.0})))


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("x" + "+x" * 1999, None),  # one leaf and 1,999 sums
        ("x" + "+x" * 2000, 2 * 2000 - 1),
        ("x" + "+1" * 999, None),
        ("x" + "+1" * 1000, 2 * 1000 - 1),
        ("x" + "+x" * 1998 + "**2", None),  # the exponent is no node
        ("x" + "+x" * 1999 + "**2", 2 * 1999 - 1),
        ("-" * 1999 + "x", None),
        ("-" * 2000 + "x", 0),
        ("-" * 3000 + "1+x", None),  # signs of a number are no nodes
        ("x**" * 1999 + "x", None),
        ("x**" * 2000 + "x", 1),
    ],
)
def test_the_bound_on_nodes(text: str, position: int | None) -> None:
    if position is None:
        assert node_count(text) <= MAX_NODES
    else:
        error = refusal(text, {"x": 1.0})
        assert "more than 2,000 nodes" in error.message
        assert error.position == position


def test_the_bound_on_nodes_counts_the_nodes() -> None:
    assert node_count("x" + "+x" * 1999) == node_count("-" * 1999 + "x") == MAX_NODES
    assert node_count("x**" * 1999 + "x") == MAX_NODES
    assert node_count("-" * 3000 + "1+x") == 3


# --- Anything at all ------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *"xyz019.eE_+-*/(),=^ \n\t'\"[]{}|$²×é\x00\x1b\u202e\u2028<>;%!",
        *("**", "1e9", "1e999", "<=", "==", "!=", " and ", " or ", "not ", " if "),
        *("h = ", "; ", "h += ", "[0]"),
        *NAMES,
    ]
)


def outcome(text: str, values: dict[str, float]) -> ExpressionError | None:
    try:
        evaluate(text, values)
    except ExpressionError as error:
        return error
    return None


def check(text: str) -> None:
    for values in ({}, {text: 1.0}):
        error = outcome(text, values)
        if error is None:
            continue
        line = str(error)
        assert line.isprintable()
        assert error.text == text
        if error.position is None:
            names(text)  # the text is in order
            assert line.startswith("the expression does not use ")
        else:
            assert 0 <= error.position <= len(text)
            assert re.match(r"(line \d+, )?column \d+", line)
        # Names that are missing may share the line with names that are not used.
        assert len(line) <= (320 if "does not use" in line else 200)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_pieces_of_the_language_never_raise_anything_else(text: str) -> None:
    check(text)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.text(st.characters(exclude_categories=[])))
@example("a" * 10_000)
@example("\U000e0001" * 40)
@example("x + " + "\U000e0001" * 40)
@example("é" * 5000 + "(")
@example("x" * 50 + "(" + "y" * 50)
def test_any_text_never_raises_anything_else(text: str) -> None:
    check(text)


def test_the_module_runs_no_text_as_python() -> None:
    for path in Path(microgrant.expression.__file__).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(eval|exec|__import__)\s*\(|(import|from)\s+ast\b", source)
