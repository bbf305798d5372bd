"""What textbooks and lectures print: each digit of it is computed, here and by mpmath."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import mpmath
import pytest

from microgrant import Value, compile
from microgrant.expression import evaluate, names
from microgrant.textbooks import EXAMPLES, Example

REFERENCE: dict[str, Any] = {
    name: getattr(mpmath, name) for name in ("exp", "log", "ln", "sin", "cos", "tanh")
} | {"max": max, "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x))}


def exactly(example: Example, **changed: Any) -> Any:
    """The result by Python's own arithmetic, with fifty digits."""
    *statements, last = example.expression.split(";")
    name, equals, formula = last.partition("=")
    scope = REFERENCE | {x: mpmath.mpf(repr(n)) for x, n in example.values.items()} | changed
    for statement in statements:
        exec(statement.strip(), scope)
    return eval((formula if equals else name).strip(), scope)


def exact_gradients(example: Example) -> dict[str, Any]:
    numbers = list(map(mpmath.mpf, map(repr, example.values.values())))

    def result(*changed: Any) -> Any:
        return exactly(example, **dict(zip(example.values, changed, strict=True)))

    places = range(len(numbers))
    return {
        name: mpmath.diff(result, tuple(numbers), tuple(int(x == place) for x in places))
        for place, name in enumerate(example.values)
    }


def assert_printed(printed: str, computed: float, one_off: bool = False) -> None:
    """As many decimals as are printed, and all of them; the last may be one off where said so."""
    decimals = len(printed.partition(".")[2])
    if one_off:
        assert abs(computed - float(printed)) < 10**-decimals
    elif decimals:
        assert f"{computed:.{decimals}f}" == printed
    else:
        assert computed == pytest.approx(int(printed), abs=1e-12)


def leaves(example: Example) -> dict[str, Value]:
    return {name: Value(number, name) for name, number in example.values.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_the_digits_that_are_printed(name: str) -> None:
    example = EXAMPLES[name]
    values = leaves(example)
    root = evaluate(example.expression, values)
    root.backward()
    if example.result:
        assert_printed(example.result, root.data, example.rounded)
    for parameter, printed in example.gradients.items():
        assert_printed(printed, values[parameter].grad, example.rounded)
    for parameter in example.parameters:
        values[parameter].data -= example.learning_rate * values[parameter].grad
    for parameter, printed in example.updated.items():
        assert_printed(printed, values[parameter].data)
    if example.result_then:
        assert_printed(example.result_then, evaluate(example.expression, values).data)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_high_precision_computes(name: str) -> None:
    example = EXAMPLES[name]
    values = leaves(example)
    root = evaluate(example.expression, values)
    root.backward()
    with mpmath.workdps(50):
        assert abs(root.data - exactly(example)) < 1e-12
        for parameter, exact in exact_gradients(example).items():
            assert abs(values[parameter].grad - exact) < 1e-12 * max(1, abs(exact))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_all_that_it_needs(name: str) -> None:
    example = EXAMPLES[name]
    assert sorted(names(example.expression)) == sorted(example.values)
    assert {*example.gradients, *example.parameters, *example.updated} <= {*example.values}
    assert example.title
    assert example.source
    assert example.result or name == "xor"


def printed_and_computed(example: Example) -> dict[str, list[str]]:
    lines = (re.split(" {2,}", line.strip()) for line in example.compared().splitlines()[1:])
    return {what: rest for what, *rest in lines}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_table_has_all_that_is_printed_and_the_same_digits_beside_it(name: str) -> None:
    example = EXAMPLES[name]
    told = {"result": example.result, "after the update: result": example.result_then}
    told |= {f"∂{x}": digits for x, digits in example.gradients.items()}
    told |= {f"after the update: {x}": digits for x, digits in example.updated.items()}
    table = printed_and_computed(example)
    for what, digits in told.items():
        if digits:
            printed, computed, *remark = table[what]
            assert printed == digits.replace("-", "−")
            assert (computed == printed) == (not remark)
            assert not remark or example.rounded


def test_a_number_in_the_table_is_computed_and_not_repeated() -> None:
    wrong = replace(EXAMPLES["karpathy"], result="-9", result_then="-7.28")
    table = printed_and_computed(wrong)
    assert table["result"] == ["−9", "−8"]
    assert table["after the update: result"] == ["−7.28", "−7.29"]


def test_the_error_of_mazur_after_the_update_is_not_the_one_of_his_weights() -> None:
    example = EXAMPLES["mazur"]
    weights = {name: float(digits) for name, digits in example.updated.items()}
    assert (
        f"{evaluate(example.expression, {**example.values, **weights}).data:.9f}" == "0.291027774"
    )
    assert printed_and_computed(example)["after the update: result"] == ["0.291027774"]


def test_griewank_and_walther_round_each_line_to_four_decimals() -> None:
    def line(x: Any) -> Any:
        return mpmath.mpf(f"{float(x):.4f}")

    with mpmath.workdps(30):
        r, sine = line(mpmath.exp(0.5)), line(mpmath.sin(3))
        s = line(3 - r)
        assert float(line(line(sine + s) * s)) == 2.0167
        exact = EXAMPLES["griewank"]
        assert f"{float(exactly(exact)):.4f}" == "2.0166"
        assert f"{float(exact_gradients(exact)['x2']):.4f}" == "-13.7240"


# As the program of the source prints them (demos/04_xor.ipynb runs it).
XOR_ERRORS = {0: "0.499312", 1000: "0.499236", 5000: "0.354169", 9000: "0.305210"}


def test_the_errors_of_xor() -> None:
    example = EXAMPLES["xor"]
    values = leaves(example)
    parameters = [values[name] for name in example.parameters]
    loss = evaluate(example.expression, values)
    step = compile(loss, inputs=[], parameters=parameters)
    outputs = example.expression.partition("E = ")[0]
    error = f"{outputs}(o1 + abs(1 - o2) + abs(1 - o3) + o4)/4"
    for epoch in range(max(XOR_ERRORS) + 1):
        if epoch in XOR_ERRORS:
            assert_printed(XOR_ERRORS[epoch], evaluate(error, values).data)
        for parameter in parameters:
            parameter.grad = 0.0
        step()
        for parameter in parameters:
            parameter.data -= example.learning_rate * parameter.grad
