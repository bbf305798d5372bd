"""Terms and numbers, written for people and for machines.

What is spelled is read again: in Python by Python, as text and LaTeX after putting Python's signs
in place of the printed ones, in JavaScript by Node.js or by a browser.
"""

from __future__ import annotations

import html
import itertools
import json
import math
import operator
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, strategies as st

from microgrant.ops import FLOATS, OPERATIONS, Operation, clip, elu, leaky_relu, of_many, power
from microgrant.ops.numbers import aligned
from microgrant.ops.words import (
    TARGETS,
    TERMS,
    Term,
    derivative,
    forward,
    lacking_in_javascript,
    number,
    spell,
)

inf, nan = math.inf, math.nan

# --- Numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-3.0, "−3"),
        (2.5, "2.5"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.3333"),
        (2 / 3, "0.6667"),
        (math.sqrt(0.5), "0.7071"),
        (-1234.567, "−1235"),
        (123.45, "123.5"),
        (100.0, "100"),
        (1000.04, "1000"),
        (0.001, "0.001"),
        (0.0012345, "0.001234"),
        (0.00099999, "1e−3"),
        (0.000999, "9.99e−4"),
        (-0.00012, "−1.2e−4"),
        (1e-7, "1e−7"),
        (9999.0, "9999"),
        (9999.4, "9999"),
        (9999.5, "10000"),
        (-12345.6, "−12346"),  # nobody writes 1.235e4 in a sum
        (99_994.4, "99994"),
        (99_995.0, "99995"),
        (99_999.0, "99999"),
        (99_999.4, "99999"),
        (99_999.5, "1e5"),
        (100_000.0, "1e5"),
        (123_456.0, "1.235e5"),
        (1e15, "1e15"),
        (-2.5e15, "−2.5e15"),
        (1e16, "1e16"),
        (1.7976931348623157e308, "1.798e308"),
        (5e-324, "4.941e−324"),
        (-2.2e-310, "−2.2e−310"),
        (inf, "inf"),
        (-inf, "−inf"),
        (nan, "nan"),
        (-nan, "nan"),
    ],
)
def test_a_number_for_people(value: float, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_right_to_four_digits(value: float) -> None:
    shown = number(value)
    read = Fraction(shown.replace("−", "-"))
    assert abs(read - Fraction(value)) <= Fraction(abs(value)) / 2000
    assert shown.startswith("−") == (value < 0)
    assert len(shown) <= len("−1.234e−308")
    assert "-" not in shown
    if value == 0 or 1e-3 <= abs(value) < 99_999:
        assert "e" not in shown
    if abs(value) >= 1e5 or 0 < abs(value) < 9.99e-4:
        assert "e" in shown


def test_lines_in_columns() -> None:
    lines = [["epoch", "loss"], ["1", "0.25"], ["10"], ["100", "0.125", "best", "so far"]]
    assert aligned(lines).split("\n") == [
        "epoch   loss",
        "    1   0.25",
        "   10",
        "  100  0.125  best  so far",
    ]
    assert aligned([]) == ""


# --- Derivatives in words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operands", "text", "latex", "javascript"),
    [
        ("add", "ab", ["1", "1"], ["1", "1"], ["1.0", "1.0"]),
        ("sub", "ab", ["1", "−1"], ["1", "-1"], ["1.0", "(-1.0)"]),
        ("mul", "ab", ["b", "a"], ["b", "a"], ["b", "a"]),
        (
            "div",
            "ab",
            ["1 / b", "−(out / b)"],
            [r"\frac{1}{b}", r"-\frac{out}{b}"],
            ["1.0 / b", "-(out / b)"],
        ),
        ("exp", "a", ["out"], ["out"], ["out"]),
        ("log", "a", ["1 / a"], [r"\frac{1}{a}"], ["1.0 / a"]),
        (
            "sqrt",
            "a",
            ["1 / (2 × out)"],
            [r"\frac{1}{2 \cdot out}"],
            ["1.0 / (2.0 * out)"],
        ),
        ("sin", "a", ["cos(a)"], [r"\cos\left(a\right)"], ["Math.cos(a)"]),
        ("tanh", "a", ["1 − out²"], ["1 - {out}^{2}"], ["1.0 - Math.pow(out, 2)"]),
        (
            "sigmoid",
            "a",
            ["out × (1 − out)"],
            [r"out \cdot \left(1 - out\right)"],
            ["out * (1.0 - out)"],
        ),
        (
            "relu",
            "a",
            ["1 if a > 0 else 0"],
            [r"\begin{cases} 1 & a > 0 \\ 0 & \text{otherwise} \end{cases}"],
            ["a > 0.0 ? 1.0 : 0.0"],
        ),
    ],
)
def test_a_derivative_in_words(
    name: str, operands: str, text: list[str], latex: list[str], javascript: list[str]
) -> None:
    assert derivative(name, "out", list(operands)) == text
    assert derivative(name, "out", list(operands), "latex") == latex
    assert derivative(name, "out", list(operands), "javascript") == javascript


@pytest.mark.parametrize(
    ("exponent", "text", "latex"),
    [
        (3.0, "3 × x²", r"3 \cdot {x}^{2}"),
        (2.0, "2 × x", r"2 \cdot x"),
        (1.0, "1", "1"),
        (0.0, "0", "0"),
        (-1.0, "−1 × x⁻²", r"-1 \cdot {x}^{-2}"),
        (0.5, "0.5 × x^−0.5", r"0.5 \cdot {x}^{-0.5}"),
    ],
)
def test_the_derivative_of_a_power(exponent: float, text: str, latex: str) -> None:
    assert derivative(power(exponent), "out", ["x"]) == [text]
    assert derivative(power(exponent), "out", ["x"], "latex") == [latex]


def test_a_forward_value_in_words() -> None:
    assert forward("mul", ["a", "b"]) == "a × b"
    assert forward(power(3.0), ["x"]) == "x³"
    assert forward(power(0.5), ["x"]) == "x^0.5"
    assert forward("div", ["a", "b"], "latex") == r"\frac{a}{b}"
    assert forward("tanh", ["n"], "javascript") == "Math.tanh(n)"
    assert forward(clip(0.0, 1.0), ["x"]) == "clip(x, 0, 1)"
    with pytest.raises(KeyError):
        forward("no such operation", ["a"])


# --- Parentheses --------------------------------------------------------------------------------
# Fractions compute without rounding, so what is spelled has to give the very same number.

NAMES: dict[str, Fraction] = {"a": Fraction(3, 2), "b": Fraction(-2), "c": Fraction(5, 7)}
CONSTANTS = (0.0, 1.0, 2.0, -3.0, 0.5, -0.25, 1e-5, -2.5e-7, 3e6)
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": abs,
    "maximum": max,
    "minimum": min,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}


def exact(x: Term | float) -> Any:
    """The value of a term; a ZeroDivisionError counts as one."""
    if not isinstance(x, Term):
        return Fraction(repr(x))
    if x.operation == "where":
        condition, yes, no = x.operands
        return exact(yes) if exact(condition) else exact(no)
    operands = [exact(operand) for operand in x.operands]
    if isinstance(x.operation, str):
        return ARITHMETIC[x.operation](*operands) if operands else NAMES[x.operation]
    if x.operation.name == "power":
        return operands[0] ** int(x.operation.constants[0])
    return ARITHMETIC[x.operation.name](*operands)


def outcome(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except ZeroDivisionError:
        return ZeroDivisionError


def read(text: str, names: Mapping[str, Any] = NAMES) -> Any:
    """The value of an expression in Python's arithmetic, its numbers taken as fractions."""
    text = re.sub(r"(?<![\w.])\d+(\.\d+)?(e[+-]?\d+)?", r"Fraction('\g<0>')", text)
    functions = {"Fraction": Fraction, "maximum": max, "minimum": min, "frac": curried_division}
    return eval(text, functions, dict(names))


def curried_division(above: Any) -> Callable[[Any], Any]:
    return lambda below: above / below


def from_text(text: str) -> str:
    """Python for what is printed."""
    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", r"**(\g<0>)", text)
    text = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−×", "-0123456789-*"))
    return text.replace("≥", ">=").replace("≤", "<=").replace(" = ", " == ").replace("^", "**")


def from_latex(text: str) -> str:
    """Python for what LaTeX would show: braces group only in fractions and in exponents."""
    for latex, python in [
        (r"\left|", "abs("),
        (r"\right|", ")"),
        (r"\left(", "("),
        (r"\right)", ")"),
        (r"\cdot", "*"),
        (r"\frac", "frac"),
        (r"\max", "maximum"),
        (r"\min", "minimum"),
        ("^", "**"),
    ]:
        text = text.replace(latex, python)
    written, closing = "", []
    for place, character in enumerate(text):
        if character == "{":
            grouping = text[:place].endswith(("frac", "**", "}"))
            written += "(" if grouping else ""
            closing.append(")" if grouping else "")
        else:
            written += closing.pop() if character == "}" else character
    return written


def terms(cases: bool = True, absolute: bool = True) -> st.SearchStrategy[Term]:
    """Random terms over a, b, c and numbers."""
    leaves = st.one_of(st.sampled_from("abc").map(Term), st.sampled_from(CONSTANTS))

    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Term]:
        two = st.tuples(inner, inner)
        binary = st.sampled_from(["add", "sub", "mul", "div", "maximum", "minimum"])
        unary = st.sampled_from([OPERATIONS["neg"], power(2.0), power(3.0), power(-1.0)])
        kinds = [
            st.builds(lambda name, x: Term(OPERATIONS[name], x), binary, two),
            st.builds(lambda operation, x: Term(operation, (x,)), unary, inner),
        ]
        if absolute:
            kinds.append(inner.map(lambda x: TERMS.abs(x)))
        if cases:
            sign = st.sampled_from([">", ">=", "<", "<=", "=="])
            condition = st.builds(Term, sign, two)
            kinds.append(st.builds(TERMS.where, condition, inner, inner))
        return st.one_of(kinds)

    return larger(st.recursive(leaves, larger, max_leaves=7))


@given(terms())
def test_parentheses_in_python(term: Term) -> None:
    spelled = spell(term, "python")
    assert outcome(lambda: read(spelled)) == outcome(lambda: exact(term)), spelled


@given(terms(absolute=False))
def test_parentheses_in_text(term: Term) -> None:
    spelled = spell(term)
    assert outcome(lambda: read(from_text(spelled))) == outcome(lambda: exact(term)), spelled


@given(terms(cases=False))
def test_parentheses_in_latex(term: Term) -> None:
    spelled = spell(term, "latex")
    assert outcome(lambda: read(from_latex(spelled))) == outcome(lambda: exact(term)), spelled


@given(terms())
def test_braces_balance_in_latex(term: Term) -> None:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", spell(term, "latex")):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0


POWERS = {
    "(a ** b) ** c": TERMS.pow(TERMS.pow(Term("a"), Term("b")), Term("c")),
    "a ** (b ** c)": TERMS.pow(Term("a"), TERMS.pow(Term("b"), Term("c"))),
    "(-a) ** b": TERMS.pow(-Term("a"), Term("b")),
    "-(a ** b)": -TERMS.pow(Term("a"), Term("b")),
    "a ** (-b)": TERMS.pow(Term("a"), -Term("b")),
    "(a * b) ** c": TERMS.pow(Term("a") * Term("b"), Term("c")),
    "a * b ** c": Term("a") * TERMS.pow(Term("b"), Term("c")),
    "a ** (b + c)": TERMS.pow(Term("a"), Term("b") + Term("c")),
    "(-2.0) ** c": TERMS.pow(-2.0, Term("c")),
    "(a ** 3.0) ** 2.0": TERMS.pow(TERMS.pow(Term("a"), 3.0), 2.0),
    "(a ** b) ** 2.0": TERMS.pow(TERMS.pow(Term("a"), Term("b")), 2.0),
    "(a ** 2.0) ** b": TERMS.pow(TERMS.pow(Term("a"), 2.0), Term("b")),
}


@pytest.mark.parametrize("meaning", POWERS)
def test_parentheses_around_powers(meaning: str) -> None:
    names = {"a": 3.0, "b": 2.0, "c": 4.0}
    meant = read(meaning, names)
    assert read(spell(POWERS[meaning], "python"), names) == meant
    assert read(from_text(spell(POWERS[meaning])), names) == meant
    assert read(from_latex(spell(POWERS[meaning], "latex")), names) == meant


def test_a_power_written_as_an_operator() -> None:
    a, b = Term("a"), Term("b")
    assert [spell(a**3), spell(a**b), spell(2**b)] == ["a³", "a^b", "2^b"]


def test_no_two_signs_stand_side_by_side_unless_they_can_be_told_apart() -> None:
    a, b = Term("a"), Term("b")
    assert spell(a - -b) == "a − (−b)"
    assert spell(Term(OPERATIONS["sub"], (2.0, -3.0))) == "2 − (−3)"
    assert spell(a - -b, "latex") == r"a - \left(-b\right)"
    assert spell(TERMS.neg(-a)) == "−(−a)"
    assert spell(Term(power(2.0), (-3.0,))) == "(−3)²"
    assert spell(a * -3.0) == "a × −3"


def test_no_more_parentheses_than_needed() -> None:
    a, b, c = map(Term, "abc")
    assert [spell(Term(power(2.0), (x,))) for x in (3.0, 0.0, a)] == ["3²", "0²", "a²"]
    assert [spell(TERMS.pow(x, b), "python") for x in (0.5, 0.0)] == ["0.5 ** b", "0.0 ** b"]
    assert spell(TERMS.pow(0.5, b)) == "0.5^b"
    assert spell(a - b - c, "python") == "a - b - c"
    assert spell(TERMS.pow(a, b + c), "latex") == "{a}^{b + c}"
    assert spell((a > b) & (b > c)) == "a > b and b > c"
    assert spell(((a > b) | (b > c)) & (a < c), "python") == "(a > b or b > c) and a < c"
    assert spell(TERMS.pow(TERMS.pow(a, 3), 2), "javascript") == "Math.pow(Math.pow(a, 3), 2)"
    assert derivative("abs", "out", ["a"]) == ["1 if a > 0 else −1 if a < 0 else 0"]


def test_a_sum_in_a_sum() -> None:
    """A program would round it differently without its parentheses; for people they say nothing."""
    inner = Term("a") + (Term("b") + Term("c"))
    assert [spell(inner, target) for target in ("text", "latex")] == ["a + b + c"] * 2
    assert [spell(inner, target) for target in ("python", "javascript")] == ["a + (b + c)"] * 2
    assert spell(Term("a") * -3.0, "latex") == r"a \cdot \left(-3\right)"


CONDITIONS = {
    "text": "a if a ≥ b and not (a ≤ b or b ≠ c) else b",
    "python": "a if a >= b and not (a <= b or b != c) else b",
    "latex": r"\begin{cases} a & a \ge b \land \lnot \left(a \le b \lor b \ne c\right) "
    r"\\ b & \text{otherwise} \end{cases}",
    "javascript": "a >= b && !(a <= b || b !== c) ? a : b",
}
NESTED = {
    "text": "(a if b > c else b) if a > b else b if a < c else c",
    "python": "(a if b > c else b) if a > b else b if a < c else c",
    "latex": r"\begin{cases} \begin{cases} a & b > c \\ b & \text{otherwise} \end{cases} & a > b "
    r"\\ \begin{cases} b & a < c \\ c & \text{otherwise} \end{cases} & \text{otherwise} "
    r"\end{cases}",
    "javascript": "a > b ? (b > c ? a : b) : a < c ? b : c",
}


@pytest.mark.parametrize("target", TARGETS)
def test_cases_in_words(target: str) -> None:
    a, b, c = map(Term, "abc")
    condition = (a >= b) & Term("not", ((a <= b) | (b != c),))
    assert spell(TERMS.where(condition, a, b), target) == CONDITIONS[target]
    nested = TERMS.where(a > b, TERMS.where(b > c, a, b), TERMS.where(a < c, b, c))
    assert spell(nested, target) == NESTED[target]


def test_a_power_of_an_exponential_in_latex() -> None:
    squared = TERMS.pow(TERMS.exp(Term("x")), 2.0)
    assert spell(squared, "latex") == r"{\left(e^{x}\right)}^{2}"
    assert spell(-TERMS.exp(Term("x")), "latex") == "-e^{x}"
    assert spell(TERMS.exp(Term("x")) * Term("y"), "latex") == r"e^{x} \cdot y"


def test_a_power_of_a_number_in_scientific_notation() -> None:
    """1e−5² could be read as 1 times 10 to the power of −25."""
    assert spell(Term(power(2.0), (1e-5,))) == "(1e−5)²"
    assert spell(Term(power(2.0), (1e-5,)), "latex") == r"{\left(1 \cdot 10^{-5}\right)}^{2}"
    assert spell(Term("a") * 1e-5) == "a × 1e−5"


def test_numbers_in_latex() -> None:
    """In LaTeX, e and inf are variables, and e-7 is a difference."""
    assert spell(-0.75, "latex") == "-0.75"
    assert spell(1.5e-7, "latex") == r"1.5 \cdot 10^{-7}"
    assert spell(-1e300, "latex") == r"-1 \cdot 10^{300}"
    assert spell(inf, "latex") == r"\infty"
    assert spell(-inf, "latex") == r"-\infty"
    assert spell(nan, "latex") == r"\text{nan}"


# --- JavaScript ---------------------------------------------------------------------------------

ENTRIES = [
    *OPERATIONS.values(),
    *(power(n) for n in (-2.0, -1.0, -0.5, 0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 2.5, inf, -inf, nan)),
    *(clip(low, high) for low, high in ((-1.0, 2.0), (0.0, 1.0), (-inf, 1.0), (-2.0, inf))),
    *(clip(low, high) for low, high in ((-0.0, 1.0), (-1.0, -0.0))),
    *(of_many(name, 3) for name in ("maximum", "minimum")),
    *(leaky_relu(0.01), elu(1.0), elu(1.5)),
]
EDGES = (0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 0.5, -2.0, 30.0, -40.0, 710.0, 1e-320)

RUN = """
const number = text => Number(text);
const text = x => Object.is(x, -0) ? "-0" : String(x);
const results = cases.map(({names, forward, rules, points}) => {
    const compute = new Function(...names, "return " + forward);
    const partials = rules.map(rule => new Function("out", ...names, "return " + rule));
    return points.map(point => {
        const x = point.map(number);
        const out = compute(...x);
        return [out, ...partials.map(partial => partial(out, ...x))].map(text);
    });
});
"""


def in_javascript(
    cases: list[dict[str, Any]], folder: Path, lacking: Callable[[str], NoReturn]
) -> list[list[list[float]]]:
    """What each case gives at each point, its value and its rules: one process for all cases."""
    # JSON in a page must not end the script, and has no way to write inf and nan.
    program = f"const cases = {json.dumps(cases)};".replace("<", r"\u003c") + RUN
    program = lacking_in_javascript("erf") + program
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if node := shutil.which("node"):
        program += "process.stdout.write(JSON.stringify(results));"
        command, given = [node, "-"], program
    elif chromium:
        program += 'document.querySelector("pre").textContent = JSON.stringify(results);'
        page = folder / "page.html"
        page.write_text(f"<!doctype html><pre></pre><script>{program}</script>", encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/user"]
        command, given = [chromium, *flags, "--dump-dom", page.as_uri()], ""
    else:
        lacking("there is neither Node.js nor Chromium to run JavaScript")
    finished = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=120, encoding="utf-8"
    )
    assert finished.returncode == 0, finished.stderr
    results = re.sub(r"^.*<pre>|</pre>.*$", "", finished.stdout, flags=re.DOTALL)
    return [
        [[float(x.replace("Infinity", "inf")) for x in row] for row in rows]
        for rows in json.loads(html.unescape(results))
    ]


def points_of(entry: Operation) -> list[tuple[float, ...]]:
    """Random points of its domain, and every combination of edges, its own bounds among them."""
    rng = random.Random(repr(entry))
    drawn = [tuple(rng.uniform(*interval) for interval in entry.domain) for _ in range(50)]
    edges = (*EDGES, *(entry.constants if entry.name == "clip" else ()))
    return [*drawn, *itertools.product(edges, repeat=entry.arity)]


def javascript_case(entry: Operation, textbook: bool) -> dict[str, Any]:
    names = ["a", "b", "c"][: entry.arity]
    return {
        "names": names,
        "forward": forward(entry, names, "javascript"),
        "rules": derivative(entry, "out", names, "javascript", textbook),
        "points": [
            [repr(x).replace("inf", "Infinity").replace("nan", "NaN") for x in point]
            for point in points_of(entry)
        ],
    }


def same(x: float, y: float) -> bool:
    if x == y == 0:
        return math.copysign(1, x) == math.copysign(1, y)
    return math.isclose(x, y, rel_tol=1e-12) or (x != x and y != y)


def test_the_table_in_javascript(tmp_path: Path, lacking: Callable[[str], NoReturn]) -> None:
    """Value and rules at every point are those of the table on floats, to 1e-12."""
    spelled = [(entry, textbook) for entry in ENTRIES for textbook in (False, True)]
    cases = [javascript_case(entry, textbook) for entry, textbook in spelled]
    results = in_javascript(cases, tmp_path, lacking)
    wrong = []
    for (entry, textbook), case, rows in zip(spelled, cases, results, strict=True):
        rule = entry.textbook if textbook and entry.textbook else entry.partials
        texts = [case["forward"], *case["rules"]]
        for point, computed in zip(points_of(entry), rows, strict=True):
            out = entry.forward(*point)
            true = [out, *rule(FLOATS, out, *point)]
            for text, x, y in zip(texts, computed, true, strict=True):
                if not same(x, y):
                    wrong.append(f"{entry} at {point}: {text} is {x}, and not {y}")
    assert not wrong, "\n".join(wrong[:20])


def test_every_target_has_its_words() -> None:
    """A name that is no operation of the table is spelled as a call, in every target."""
    own = Operation("gaussian", lambda x: math.exp(-x * x), lambda m, out, x: (-2.0 * x * out,))
    spelled = {target: forward(own, ["x"], target) for target in TARGETS}
    assert spelled == {
        "text": "gaussian(x)",
        "python": "gaussian(x)",
        "latex": r"\operatorname{gaussian}(x)",
        "javascript": "gaussian(x)",
    }
    assert derivative(own, "out", ["x"]) == ["−2 × x × out"]
