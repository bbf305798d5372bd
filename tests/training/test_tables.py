"""Tables of pandas and of polars, and their columns, wherever lists of numbers go."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from microgrant import Value, compile, hvp, value_and_grad
from microgrant.compiler.tables import table as as_table
from microgrant.engine.arguments import as_list
from microgrant.losses import binary_cross_entropy, cross_entropy, mean_squared_error
from microgrant.nn import MLP, Flatten, Layer, Neuron
from microgrant.optim import SGD
from microgrant.training import accuracy, classify, confusion, fit, predict, split

pandas = pytest.importorskip("pandas", reason="pandas is not installed")
polars = pytest.importorskip("polars", reason="polars is not installed")

COLUMNS: dict[str, list[Any]] = {
    "age": [0.125, 0.5, -0.25, 0.75, 1.5, 0.0],
    "member": [True, False, True, False, False, True],
    "visits": [1, 2, 0, 3, 2, 1],
}
ROWS = [list(row) for row in zip(*COLUMNS.values(), strict=True)]
TARGETS = [1.0, -0.5, 0.25, 0.0, 2.0, 1.0]
CLASSES = [0, 2, 1, 1, 2, 0]
BITS = [1, 0, 1, 1, 0, 0]


def frame(columns: dict[str, list[Any]] = COLUMNS) -> Any:
    return pandas.DataFrame(columns)


def numbered(columns: dict[str, list[Any]]) -> Any:
    """A table whose columns are called 0, 1, …, which are numbers; and all the same later."""
    table = pandas.DataFrame(dict(enumerate(columns.values())))
    table.index = range(5, 5 + len(table))
    return table


def twice_named(columns: dict[str, list[Any]]) -> Any:
    return frame(columns).set_axis(["a"] * len(columns), axis=1)


OF_PANDAS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "mixed": frame,
    "nullable": lambda columns: frame(columns).convert_dtypes(),
    "objects": lambda columns: pandas.DataFrame(columns, dtype=object),
    "categories": lambda columns: frame(columns).astype("category"),
    "single precision": lambda columns: frame(columns).astype("float32"),
    "numbered": numbered,
    "twice named": twice_named,
}
TABLES = {**OF_PANDAS, "polars": polars.DataFrame}
every_table = pytest.mark.parametrize("kind", TABLES)

SERIES: dict[str, Callable[[list[Any]], Any]] = {
    "pandas": lambda numbers: pandas.Series(numbers, index=range(7, 7 + len(numbers))),
    "nullable": lambda numbers: pandas.Series(numbers).convert_dtypes(),
    "objects": lambda numbers: pandas.Series(numbers, dtype=object),
    "categories": lambda numbers: pandas.Series(numbers, dtype="category"),
    "polars": polars.Series,
}
every_series = pytest.mark.parametrize("series", SERIES)


def network(*nouts: int) -> MLP:
    random.seed(3)
    return MLP(3, nouts, activation="tanh")


def trained(xs: Any, ys: Any, loss: Any = mean_squared_error, nout: int = 1, **named: Any) -> Any:
    """All that a training comes to."""
    model = network(2, nout)
    named |= {"epochs": 2, "optimizer": lambda ps: SGD(ps, 0.1), "target": "eager"}
    history = fit(model, loss, (xs, ys), **named)
    return history.state["history"], [p.data for p in model.parameters()]


@every_table
def test_a_table_is_its_rows(kind: str) -> None:
    table, model = TABLES[kind](COLUMNS), network(2, 1)
    assert as_list(table) == [tuple(row) for row in ROWS]
    assert trained(table, TARGETS) == trained(ROWS, TARGETS)
    held = (table[:3], TARGETS[:3])
    assert trained(ROWS, TARGETS, validation=held) == trained(
        ROWS, TARGETS, validation=(ROWS[:3], TARGETS[:3])
    )
    assert predict(model, table).tolist() == predict(model, ROWS).tolist()
    assert [x.data for x in Flatten()(table)] == [float(x) for row in ROWS for x in row]


@every_table
def test_a_compiled_step_takes_a_table(kind: str) -> None:
    table, w = TABLES[kind](COLUMNS), Value(0.5)
    inputs = [Value(0.0, name) for name in COLUMNS]
    a, b, c = inputs
    loss = (w * a + b - c) ** 2
    step, predictor = compile(loss, inputs, [w]), compile(loss, inputs)
    assert step(table) == step(ROWS)
    assert step.value(table) == step.value(ROWS)
    assert step.value_and_grad([0.25], table)[1].tolist() == [*step.value_and_grad([0.25], ROWS)[1]]
    assert predictor(table).tolist() == predictor(ROWS).tolist()
    with pytest.raises(ValueError, match=r"(a row holds|table of) 1 number .*3"):
        compile(a * 2.0, [a])(table)


@every_table
def test_parts_of_a_table_are_tables(kind: str) -> None:
    table = TABLES[kind](COLUMNS)
    parts = split(table, CLASSES, (0.5, 0.5), stratified=True)
    expected = split(ROWS, CLASSES, (0.5, 0.5), stratified=True)
    for (xs, ys), (rows, classes) in zip(parts, expected, strict=True):
        assert type(xs) is type(table)
        assert as_list(xs) == [tuple(row) for row in rows]
        assert ys == classes
        assert trained(xs, TARGETS[:3]) == trained(rows, TARGETS[:3])


def test_what_is_no_number_yet_can_be_split() -> None:
    names = {"name": ["x", "y", None, "z"], "age": [1, 2, 3, 4]}
    for table in (frame(names), polars.DataFrame(names)):
        for xs, ys in split(table, table["name"], (0.5, 0.5)):
            assert list(xs["name"]) == list(ys)
            assert len(ys) == 2


# --- Columns ------------------------------------------------------------------------------------


@every_series
def test_a_column_is_a_list(series: str) -> None:
    make = SERIES[series]
    assert trained(ROWS, make(TARGETS)) == trained(ROWS, TARGETS)
    neuron, layer = Neuron(1), Layer(6, 2)
    assert predict(neuron, make(TARGETS)).tolist() == predict(neuron, TARGETS).tolist()
    weights = [Value(x) for x in (0.5, 0.25)]
    step = compile(weights[0] * weights[1], [], weights)
    assert step.value_and_grad(make([3.0, 2.0]))[1].tolist() == [2.0, 3.0]
    outputs = [Value(x) for x in TARGETS]
    assert mean_squared_error(outputs, make(TARGETS)).data == 0.0
    assert mean_squared_error(make(TARGETS), TARGETS).data == 0.0
    assert [x.data for x in layer(make(TARGETS))] == [x.data for x in layer(TARGETS)]
    assert value_and_grad(lambda xs: xs[0] * xs[1])(make([3.0, 4.0])) == (12.0, [4.0, 3.0])
    assert hvp(lambda a, b: a * b, make([3.0, 4.0]), make([1.0, 0.5])) == [0.5, 1.0]


@every_series
def test_classes_stay_whole(series: str) -> None:
    ys = SERIES[series](CLASSES)
    assert trained(ROWS, ys, cross_entropy, 3) == trained(ROWS, CLASSES, cross_entropy, 3)
    assert trained(ROWS, ys, cross_entropy, 3, metric=accuracy) == trained(
        ROWS, CLASSES, cross_entropy, 3, metric=accuracy
    )
    assert classify(ys) == CLASSES
    assert accuracy(ys, CLASSES) == accuracy(CLASSES, ys) == 1.0
    assert confusion(ys, CLASSES).counts == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    for part, expected in zip(
        split(ROWS, ys, (0.5, 0.5), stratified=True),
        split(ROWS, CLASSES, (0.5, 0.5), stratified=True),
        strict=True,
    ):
        assert type(part[1]) is type(ys)
        assert part[0] == expected[0]
        assert as_list(part[1]) == expected[1]
        assert trained(part[0], part[1], cross_entropy, 3) == trained(*expected, cross_entropy, 3)


@every_series
def test_truths_are_classes(series: str) -> None:
    ys = SERIES[series]([bool(bit) for bit in BITS])
    expected = trained(ROWS, BITS, binary_cross_entropy)
    assert trained(ROWS, ys, binary_cross_entropy) == expected
    assert trained(ROWS, ys, cross_entropy, 2) == trained(ROWS, BITS, cross_entropy, 2)
    assert accuracy([1.0, -1.0, 1.0, 1.0, -1.0, -1.0], ys) == 1.0


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, lambda y: as_list(frame(y))])
def test_a_table_of_one_column_may_hold_the_classes(make: Callable[..., Any]) -> None:
    """A row of it is a list of one number, and no list of scores for each class."""
    ys = make({"class": CLASSES})
    assert trained(ROWS, ys, cross_entropy, 3) == trained(ROWS, CLASSES, cross_entropy, 3)
    assert accuracy(CLASSES, ys) == 1.0
    assert confusion(CLASSES, ys).counts == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert trained(ROWS, make({"y": TARGETS})) == trained(ROWS, TARGETS)


def test_a_table_may_hold_probabilities() -> None:
    rows = [[float(y == i) for i in range(3)] for y in CLASSES]
    table = pandas.get_dummies(pandas.Series(CLASSES))
    assert trained(ROWS, table, cross_entropy, 3) == trained(ROWS, rows, cross_entropy, 3)
    assert accuracy(CLASSES, table) == 1.0


OF_OBJECTS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": lambda columns: pandas.DataFrame(columns, dtype=object),
    "polars": polars.DataFrame,
}


@pytest.mark.parametrize("kind", OF_OBJECTS)
def test_decimals_as_databases_have_them_are_numbers(kind: str) -> None:
    columns = {name: [Decimal(str(float(x))) for x in xs] for name, xs in COLUMNS.items()}
    signs = [1 if bit else -1 for bit in BITS]
    columns |= {"target": list(map(Decimal, map(str, TARGETS))), "sign": list(map(Decimal, signs))}
    table = OF_OBJECTS[kind](columns)
    xs, a, b, c = table[list(COLUMNS)], Value(0.0), Value(0.0), Value(0.0)
    assert type(table["age"][0]) is Decimal
    assert trained(xs, table["target"]) == trained(ROWS, TARGETS)
    assert predict(network(1), xs).tolist() == predict(network(1), ROWS).tolist()
    predictor = compile(a * b + c, [a, b, c])
    assert predictor(xs).tolist() == predictor(ROWS).tolist()
    assert mean_squared_error(table["age"], table["target"]).data == pytest.approx(
        sum((x - y) ** 2 for x, y in zip(COLUMNS["age"], TARGETS, strict=True)) / 6
    )
    assert accuracy(table["sign"], table["sign"]) == 1.0


# --- What is no number --------------------------------------------------------------------------

ODD: dict[str, tuple[Any, str]] = {
    "text": ("x", "got str 'x'"),
    "time": (date(2020, 1, 1), r"got (date|Timestamp)"),
    "missing": (None, r"got (NAType|NoneType|NaTType) .*entry (is )?missing"),
    "complex": (1j, "got complex"),
}


@pytest.mark.parametrize("kind", ["nullable", "objects", "polars"])
@pytest.mark.parametrize("odd", ODD)
def test_a_column_that_is_no_number_is_named(kind: str, odd: str) -> None:
    entry, message = ODD[odd]
    entries = [entry] * 6 if odd != "missing" else [1, 2, None, 4, 5, 6]
    row = entries.index(entry)
    table = TABLES[kind](COLUMNS | {"the odd one": entries})
    named = rf"column 'the odd one', row {row}: expected one real number, but {message}"
    inputs = [Value(0.0) for _ in range(4)]
    predictor = compile(inputs[0] * inputs[1] + inputs[2] * inputs[3], inputs, target="python")
    model, other, loss = network(1), Layer(4, 1), mean_squared_error
    for call, prefix in (
        (lambda: fit(other, loss, (table, TARGETS)), "xs: "),
        (lambda: fit(model, loss, (ROWS, table)), "ys: "),
        (lambda: fit(model, loss, (ROWS, BITS), validation=(table, BITS)), "validation xs: "),
        (lambda: predict(other, table), "xs: "),
        (lambda: classify(table), "outputs: "),
        (lambda: accuracy(CLASSES, table), "targets: "),
        (lambda: predictor(table), ""),
        (lambda: Flatten()(table), ""),
    ):
        with pytest.raises(TypeError, match=f"^{prefix}{named}"):
            call()


@pytest.mark.parametrize("series", ["nullable", "objects", "polars"])
def test_the_missing_entry_of_a_column_is_named(series: str) -> None:
    ys = SERIES[series]([1, 2, None, 4, 5, 6])
    for call, message in (
        (lambda: fit(network(1), mean_squared_error, (ROWS, ys)), r"^ys\[2\]: .* missing"),
        (lambda: predict(Neuron(1), ys), r"^xs\[2\]: .* missing"),
        (lambda: accuracy(CLASSES, ys), r"targets\[2\] is (NAType|NoneType)"),
        (lambda: split(ROWS, ys, stratified=True), r"ys\[2\] is (NAType|NoneType)"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize("kind", OF_OBJECTS)
def test_a_column_that_has_a_name_is_named_as_in_a_table(kind: str) -> None:
    column = OF_OBJECTS[kind]({"kind": [*"abcdef"], "size": [1, 2, None, 4, 5, 6]})
    model, loss = network(1), mean_squared_error
    for call, prefix in (
        (lambda y: fit(model, loss, (ROWS, y)), "ys: "),
        (lambda y: fit(model, loss, (ROWS, BITS), validation=(ROWS, y)), "validation ys: "),
        (lambda y: predict(Neuron(1), y), "xs: "),
        (lambda y: accuracy(CLASSES, y), "targets: "),
    ):
        with pytest.raises(TypeError, match=rf"^{prefix}column 'kind', row 0: .* got str 'a'"):
            call(column["kind"])
    with pytest.raises(TypeError, match=r"^ys: column 'size', row 2: .* missing"):
        fit(model, loss, (ROWS, column["size"]))


def test_a_column_with_a_name_may_hold_lists() -> None:
    for column in (pandas.Series(ROWS, name="rows"), polars.Series("rows", ROWS)):
        assert trained(column, TARGETS) == trained(ROWS, TARGETS)


def test_a_number_that_is_not_a_number_is_one() -> None:
    """As in a list: nan goes through a step, and `fit` says in which example it stands."""
    rows = [[1.0, 2.0], [math.nan, 3.0]]
    for table in (pandas.DataFrame(rows), polars.DataFrame(rows, orient="row")):
        buffer, count = as_table(table, ["a", "b"])
        assert count == 2
        assert [str(x) for x in buffer] == ["1.0", "2.0", "nan", "3.0"]


def test_the_labels_of_a_table_are_no_examples() -> None:
    w = Value(2.0)
    for table in (numbered({"a": [1, 0, 1], "b": [2.5, 3.5, 4.5]}), polars.DataFrame([[1, 0, 1]])):
        with pytest.raises(TypeError, match=r"^xs\[0\]: expected one real number|one real number"):
            predict(lambda x: w * x, table)
        with pytest.raises(ValueError, match="takes 2 inputs, but got 3, lists themselves"):
            MLP(2, [1])(table)


def test_a_table_of_values_is_read_as_well() -> None:
    values = [Value(1.0), Value(2.0)]
    assert Flatten()(frame({"a": values})) == values
    with pytest.raises(TypeError, match=r"^xs\[0\]: .* got Value"):
        predict(Neuron(1), frame({"a": values}))


def test_a_table_without_rows_has_no_examples() -> None:
    for table in (frame({"a": []}), pandas.DataFrame(), polars.DataFrame({"a": []})):
        with pytest.raises(ValueError, match="there are no examples: xs is empty"):
            predict(Neuron(1), table)


def test_a_table_that_is_not_computed_yet_is_no_list() -> None:
    with pytest.raises(TypeError, match="xs is a list with one entry for each example, not Lazy"):
        predict(Neuron(1), polars.DataFrame({"a": [1.0]}).lazy())


def test_what_a_table_decides_is_the_users_line() -> None:
    values = [Value(0.5), Value(2.0)]
    pandas.Series(values).clip(0, 1)
    assert all(x._decided_at.startswith(f"{__file__}, line ") for x in values)
