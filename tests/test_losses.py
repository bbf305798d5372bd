"""Losses against PyTorch, and against mpmath where logits are large; what is refused."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

import microgrant
from microgrant import Value, draw, explain, gradcheck, hessian, no_grad
from microgrant.engine import topological_order
from microgrant.losses import (
    binary_cross_entropy,
    cross_entropy,
    half_squared_error,
    hinge,
    l1,
    l2,
    log_softmax,
    logsumexp,
    mean_squared_error,
    softmax,
)
from microgrant.nn import MLP
from microgrant.training import fit

UNIT = 2.0**-53  # the largest relative error of one rounding


def gradients(loss: Value, leaves: list[Value]) -> list[float]:
    loss.backward()
    return [leaf.grad for leaf in leaves]


def numbers(seed: int, count: int, size: float) -> list[float]:
    generator = random.Random(seed)
    return [generator.gauss(0, size) for _ in range(count)]


def probabilities(seed: int, classes: int) -> list[float]:
    weights = [abs(x) for x in numbers(seed, classes, 1.0)]
    return [x / sum(weights) for x in weights]


def one_hot(right: int, classes: int) -> list[float]:
    return [float(i == right) for i in range(classes)]


# --- The same as PyTorch ------------------------------------------------------------------------

SIZES = [1e-3, 1.0, 30.0, 1e3]
COUNTS = [1, 2, 7]


def assert_as_torch(
    ours: Callable[[list[Value]], Value], theirs: Callable[[Any], Any], points: list[float]
) -> None:
    """The value to 1e-12; the gradient too, by its largest element.

    PyTorch's σ(z) − 1 and softmax − 1 come out as roundings of 1, where ours keep their digits.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    leaves = [Value(x) for x in points]
    loss = ours(leaves)
    tensor = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    expected = theirs(tensor)
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
    found, right = gradients(loss, leaves), tensor.grad.tolist()
    assert found == pytest.approx(right, abs=max(1e-12 * max(map(abs, right)), 8 * UNIT))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", SIZES)
def test_torch_squares_the_same(size: float, count: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    points, targets = numbers(1, count, size), numbers(2, count, size)
    wanted = torch.tensor(targets, dtype=torch.float64)
    mse = torch.nn.functional.mse_loss
    assert_as_torch(lambda o: mean_squared_error(o, targets), lambda o: mse(o, wanted), points)
    assert_as_torch(
        lambda o: half_squared_error(o, targets),
        lambda o: mse(o, wanted, reduction="sum") / 2,
        points,
    )


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hard", [True, False], ids=["0 or 1", "between"])
@pytest.mark.parametrize("recorded", [True, False], ids=["Values", "numbers"])
def test_torch_tells_two_classes_apart_the_same(
    recorded: bool, hard: bool, size: float, count: int
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    points = numbers(3, count, size)
    targets = [float(x > 0) if hard else 1 / (1 + math.exp(-x)) for x in numbers(4, count, 2)]
    wanted = torch.tensor(targets, dtype=torch.float64)
    given: list[Any] = [Value(t) for t in targets] if recorded else targets
    assert_as_torch(
        lambda z: binary_cross_entropy(z, given),
        lambda z: torch.nn.functional.binary_cross_entropy_with_logits(z, wanted),
        points,
    )
    signs = [2 * round(t) - 1 for t in targets]
    given = [Value(t) for t in signs] if recorded else signs
    assert_as_torch(
        lambda s: hinge(s, given),
        lambda s: (1 - torch.tensor(signs) * s).relu().mean(),
        points,
    )


@pytest.mark.parametrize("classes", [2, 3, 10, 27])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e3])
def test_torch_tells_many_classes_apart_the_same(offset: float, size: float, classes: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    entropy = torch.nn.functional.cross_entropy
    points = [offset + x for x in numbers(5, classes, size)]
    right, soft = classes // 2, probabilities(6, classes)
    for given in (right, one_hot(right, classes), [Value(x) for x in one_hot(right, classes)]):
        assert_as_torch(
            lambda z, given=given: cross_entropy(z, given),  # type: ignore[misc]
            lambda z: entropy(z, torch.tensor(right)),
            points,
        )
    for given in (soft, [Value(x) for x in soft]):
        assert_as_torch(
            lambda z, given=given: cross_entropy(z, given),  # type: ignore[misc]
            lambda z: entropy(z, torch.tensor(soft, dtype=torch.float64)),
            points,
        )


def test_torch_has_the_same_penalties() -> None:
    points = [*numbers(7, 20, 3.0), 0.0]
    assert_as_torch(l2, lambda p: (p**2).sum(), points)
    assert_as_torch(l1, lambda p: p.abs().sum(), points)


# --- Right where PyTorch rounds -----------------------------------------------------------------

EXTREMES = [0.0, 1e-300, 1e-9, 1.0, 36.0, 40.0, 300.0, 700.0, 709.0]


@pytest.mark.parametrize("target", [0, 1, 0.25])
@pytest.mark.parametrize("logit", [sign * x for x in EXTREMES for sign in (1, -1)])
def test_two_classes_to_the_last_digits(logit: float, target: float) -> None:
    """Value and derivative, with a relative error of a few roundings however small they are."""
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed")
    with mp.workdps(700):
        z, t = mp.mpf(logit), mp.mpf(target)
        true = t * mp.log(1 + mp.exp(-z)) + (1 - t) * mp.log(1 + mp.exp(z))
        slope = (1 - t) / (1 + mp.exp(-z)) - t / (1 + mp.exp(z))
        scale = (1 - t) / (1 + mp.exp(-z)) + t / (1 + mp.exp(z))
        for given in (target, Value(target)):
            leaf = Value(logit)
            loss = binary_cross_entropy(leaf, given)
            loss.backward()
            assert abs(loss.data - true) <= 8 * UNIT * true
            assert abs(leaf.grad - slope) <= 8 * UNIT * scale


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("logit", [1e3, -1e3, 1e15, -1e15, 1e300])
def test_two_classes_beyond_what_exp_can(logit: float, target: int) -> None:
    for given in (target, Value(target)):
        leaf = Value(logit)
        loss = binary_cross_entropy(leaf, given)
        loss.backward()
        wrong = (logit > 0) != target
        assert (loss.data, leaf.grad) == (abs(logit) * wrong, math.copysign(wrong, logit))


LOGITS = [
    [0.0, 0.0],
    [5.0, 5.0, 5.0],  # ties
    [3.0, -1.0, 3.0, 3.0],
    [1000.0, -1000.0],
    [1000.0, 999.0, 1000.0, -1000.0],
    [-1000.0, -1001.0, -1000.5],
    [40.0, 0.0, -40.0],
    [1e15, 0.0, 1e15],
    *(numbers(8, n, size) for n in (10, 27) for size in (1.0, 50.0, 1000.0)),
]


@pytest.mark.parametrize("logits", LOGITS, ids=lambda x: f"{len(x)} logits from {x[0]:.3g}")
def test_the_derivative_is_softmax_minus_target(logits: list[float]) -> None:
    """To a few roundings of 1, or of the loss: also for ties, whose share of the maximum is 0."""
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed")
    classes = len(logits)
    soft = probabilities(9, classes)
    with mp.workdps(60):
        weights = [mp.exp(mp.mpf(z) - max(logits)) for z in logits]
        softmax = [w / mp.fsum(weights) for w in weights]
        log_total = mp.log(mp.fsum(weights)) + max(logits)
        for target in [*range(classes), soft, [Value(t) for t in soft]]:
            leaves = [Value(z) for z in logits]
            loss = cross_entropy(leaves, target)
            ts = one_hot(target, classes) if isinstance(target, int) else soft
            true = mp.fsum(t * (log_total - z) for t, z in zip(ts, logits, strict=True))
            assert abs(loss.data - true) <= 4 * classes * UNIT * max(1, true)
            for found, p, t in zip(gradients(loss, leaves), softmax, ts, strict=True):
                assert abs(found - (p - t)) <= 4 * classes * UNIT


def test_small_probabilities_keep_their_digits() -> None:
    leaves = [Value(0.0), Value(-50.0), Value(-300.0)]
    found = gradients(cross_entropy(leaves, 0), leaves)
    assert found[1:] == pytest.approx([math.exp(-50), math.exp(-300)], rel=1e-13, abs=0)


def test_two_classes_are_a_case_of_many() -> None:
    many = cross_entropy([Value(0.3), Value(-1.2)], [0.8, 0.2])
    assert many.data == pytest.approx(binary_cross_entropy(1.5, 0.8).data, rel=1e-15)


# --- Softmax, its logarithm, and the logarithm of the sum -----------------------------------------

INF, NAN = math.inf, math.nan
CORNERS = [
    [-INF, -INF],
    [-INF],
    [-INF, 0.0],
    [INF, 0.0],
    [INF, INF],
    [INF, -INF],
    [NAN, 0.0],
    [0.0, NAN],
    [NAN, -INF],
    [NAN, INF],
    [INF],
    [3.0],
    [1000.0, -1000.0],
    [-1000.0, -1000.5],
    [1e308, -1e308],
    [0.0, -INF, 0.0, -1000.0],
]
PARTS: list[Callable[[list[Any]], Any]] = [softmax, log_softmax, logsumexp]
every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)


def parts_of(part: Callable[[list[Any]], Any], values: list[Any]) -> list[Value]:
    found = part(values)
    return [found] if isinstance(found, Value) else found


def same(found: list[float], right: list[float]) -> bool:
    return found == pytest.approx(right, rel=1e-13, abs=1e-300, nan_ok=True)


@every_part
@pytest.mark.parametrize("numbers", CORNERS, ids=str)
def test_corners_are_those_of_torch_and_jax(
    part: Callable[[list[Any]], Any], numbers: list[float]
) -> None:
    """Values, and derivatives: as measured with PyTorch 2.13 and JAX 0.10.2, which agree."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensor = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
    theirs = getattr(torch, part.__name__)(tensor, 0).reshape(-1)
    ours = parts_of(part, list(map(Value, numbers)))
    assert same([x.data for x in ours], theirs.tolist())
    for i in range(len(ours)):
        leaves = [Value(x) for x in numbers]
        found = gradients(parts_of(part, leaves)[i], leaves)
        (right,) = torch.autograd.grad(theirs[i], tensor, retain_graph=True)
        assert same(found, right.tolist())


def test_corners_by_hand() -> None:
    assert logsumexp([-INF, -INF]).data == -INF
    assert logsumexp([INF, 1.0]).data == logsumexp([INF, INF]).data == INF
    assert [p.data for p in softmax([0.0, -INF, 0.0])] == [0.5, 0.0, 0.5]
    assert [x.data for x in log_softmax([0.0, -INF])] == [0.0, -INF]
    far = [Value(-1e308), Value(-1e308)]
    assert gradients(logsumexp(far), far) == [0.5, 0.5]  # where PyTorch says 1, 1
    for part in (softmax, log_softmax):
        for bad in ([-INF, -INF], [INF, 0.0], [NAN, 0.0]):
            assert all(math.isnan(x.data) for x in part(bad))


@pytest.mark.parametrize("logits", LOGITS, ids=lambda x: f"{len(x)} logits from {x[0]:.3g}")
def test_softmax_to_the_last_digits(logits: list[float]) -> None:
    """Values, and first and second derivatives, to a few roundings: small ones too."""
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed")
    n = len(logits)
    bound = 4 * n * UNIT
    with mp.workdps(1000):
        weights = [mp.exp(mp.mpf(z) - max(logits)) for z in logits]
        p = [w / mp.fsum(weights) for w in weights]
        total = mp.log(mp.fsum(weights)) + max(logits)
        leaves = [Value(z) for z in logits]
        shares, logs, log_total = softmax(leaves), log_softmax(leaves), logsumexp(leaves)
        assert abs(log_total.data - total) <= bound * max(1, abs(total))
        slopes = gradients(log_total, leaves)
        for i, z in enumerate(logits):
            size = (bound + abs(z - max(logits)) * UNIT) * p[i] + 2.0**-1074
            assert abs(shares[i].data - p[i]) <= size
            assert abs(slopes[i] - p[i]) <= size
            assert abs(logs[i].data - (z - total)) <= bound * max(1, abs(z - total))
        if n <= 4:
            for i, row in enumerate(hessian(log_total, leaves)):
                for j, found in enumerate(row):
                    assert abs(found - p[i] * ((i == j) - p[j])) <= bound * p[i] + 2.0**-1074


def test_nothing_flows_back_into_the_largest() -> None:
    """What would add up to 0, but for its rounding."""
    leaves = [Value(z) for z in numbers(12, 9, 1.0)]
    for loss in (cross_entropy(leaves, 3), logsumexp(leaves), softmax(leaves)[2]):
        loss.backward()
        made = {x.operation.name: x for x in topological_order(loss) if x.operation}
        assert made["maximum"].grad == 0.0


@every_part
def test_softmax_has_derivatives_of_derivatives(part: Callable[[list[Any]], Any]) -> None:
    points = numbers(13, 3, 2.0)
    for i in range(len(parts_of(part, points))):
        assert gradcheck(lambda *zs, i=i: parts_of(part, list(zs))[i], points, order=3)  # type: ignore[misc]


@every_part
@pytest.mark.parametrize("target", ["native", "numpy", "python"])
def test_a_compiled_softmax_finds_the_largest_of_each_row(
    part: Callable[[list[Any]], Any], target: Any, runs_here: Callable[[str], None]
) -> None:
    """And no warning says that Python has decided something for all rows."""
    runs_here(target)
    rows = [[0.5, -1.0, 2.0], [1000.0, 999.0, -1000.0], [-1000.0, -1001.0, -1000.0]]
    rows += [row for row in CORNERS if len(row) == 3] + [[-INF] * 3, [1.0, -INF, -2.0]]
    rows += [[INF, 1.0, 2.0], [NAN, 1.0, 2.0]]
    inputs, parameters = [Value(x) for x in rows[0]], [Value(0.0) for _ in range(3)]
    shifted = [x + p for x, p in zip(inputs, parameters, strict=True)]
    for i, output in enumerate(parts_of(part, shifted)):
        predict = microgrant.compile(output, inputs=[*inputs, *parameters], target=target)
        step = microgrant.compile(output, inputs=inputs, parameters=parameters, target=target)
        for row in rows:
            leaves = [Value(x) for x in row]
            fresh = parts_of(part, leaves)[i]
            right = gradients(fresh, leaves)
            for p in parameters:
                p.grad = 0.0
            assert same([step([row]), predict([[*row, 0.0, 0.0, 0.0]])[0]], [fresh.data] * 2)
            assert [p.grad for p in parameters] == pytest.approx(
                right, rel=1e-13, abs=1e-16, nan_ok=True
            )


@pytest.mark.parametrize("target", ["eager", "native", "python"])
def test_a_loss_of_ones_own_learns_by_them(target: Any) -> None:
    if target == "native":
        pytest.importorskip("llvmlite", reason="llvmlite is not installed")

    def by_logarithms(outputs: list[Value], target: list[Value]) -> Value:
        return -sum(t * x for t, x in zip(target, log_softmax(outputs), strict=True))  # type: ignore[return-value]

    def by_total(outputs: list[Value], target: list[Value]) -> Value:
        return logsumexp(outputs) - sum(t * z for t, z in zip(target, outputs, strict=True))  # type: ignore[return-value]

    xs = [[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)]
    ys = [one_hot(int(x + y > 0) + int(x > y), 3) for x, y in xs]
    found = []
    for loss in (cross_entropy, by_logarithms, by_total):
        random.seed(5)
        model = MLP(2, [4, 3], activation="tanh")
        history = fit(model, loss, (xs, ys), epochs=20, target=target)
        found.append(history.loss)
        logits = [Value(0.3), Value(-0.2)]
        shares = microgrant.compile(softmax(model(logits)), inputs=logits)(xs)
        assert [sum(row) for row in shares] == pytest.approx([1.0] * 9)
    assert found[0][-1] < found[0][0]
    assert found[1] == pytest.approx(found[0], rel=1e-9)
    assert found[2] == pytest.approx(found[0], rel=1e-9)


def test_softmax_is_drawn_and_explained() -> None:
    a, b = Value(1.0, "a"), Value(2.0, "b")
    text = str(explain(softmax([a, b])[0]))
    for line in ("maximum(a, b)", "detach(v1)", "a − v2", "exp(v3)"):
        assert line in text
    assert "detach" in draw(logsumexp([a, b])).source


# --- Recorded once, for data to come --------------------------------------------------------------

WITH_TARGETS: dict[str, tuple[Callable[[list[Value]], Value], list[list[float]]]] = {
    "mean_squared_error": (
        lambda v: mean_squared_error(v[:2], v[2:]),
        [[1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, -1.0, 0.0], [1e200, 0.0, 0.0, 0.0]],
    ),
    "half_squared_error": (
        lambda v: half_squared_error(v[:2], v[2:]),
        [[1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, -1.0, 0.0], [math.nan, 0.0, 0.0, 0.0]],
    ),
    "binary_cross_entropy": (
        lambda v: binary_cross_entropy(v[:2], v[2:]),
        [[1.0, 2.0, 0.0, 1.0], [-1000.0, 1000.0, 1.0, 0.5], [0.0, 0.0, 0.0, 1.0]],
    ),
    "hinge": (
        lambda v: hinge(v[:2], v[2:]),
        [[0.0, 0.0, 0.0, 0.0], [-3.0, 3.0, 1.0, 1.0], [1.0, 0.5, 1.0, -1.0]],
    ),
    "cross_entropy": (
        lambda v: cross_entropy(v[:3], v[3:]),
        [
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [1000.0, -1000.0, 5.0, 0.0, 1.0, 0.0],
            [1.0, 2.0, 3.0, 0.5, 0.25, 0.25],
            [3.0, 3.0, 1.0, 0.0, 0.0, 1.0],
        ],
    ),
}


@pytest.mark.parametrize("name", WITH_TARGETS)
def test_a_recorded_loss_holds_for_other_data(name: str) -> None:
    """No decision of Python's on the data: the graph of one row computes the loss of any other."""
    make, rows = WITH_TARGETS[name]
    leaves = [Value(x) for x in rows[0]]
    order = topological_order(make(leaves))
    for row in rows:
        data = dict(zip(leaves, row, strict=True))
        for node in order:
            if node.operation is not None:
                data[node] = node.operation.forward(*(data[each] for each in node._prev))
            else:
                data.setdefault(node, node.data)
        fresh = make([Value(x) for x in row]).data
        assert repr(data[order[-1]]) == repr(fresh)  # nan too


@pytest.mark.parametrize("name", WITH_TARGETS)
def test_derivatives_of_derivatives(name: str) -> None:
    make, _ = WITH_TARGETS[name]
    count = 6 if name == "cross_entropy" else 4
    points = [*numbers(10, count // 2, 2.0), *probabilities(11, count // 2)]
    assert gradcheck(lambda *values: make(list(values)), points, order=2)


def test_a_loss_is_no_larger_than_it_need_be() -> None:
    def operations(loss: Value) -> int:
        return sum(node.operation is not None for node in topological_order(loss))

    z, w = [Value(float(i)) for i in range(27)], Value(0.5)
    assert operations(cross_entropy(z, 3)) == 4 * 27 + 1
    assert operations(cross_entropy(z, one_hot(3, 27))) == 4 * 27 + 2
    assert operations(binary_cross_entropy(w, 0)) == 1
    assert operations(binary_cross_entropy(w, 1)) == 2
    assert operations(mean_squared_error(w, 1.0)) == 2
    assert operations(l2([w])) == operations(l1([w])) == 1


# --- What is given ------------------------------------------------------------------------------


def test_one_or_a_list_of_one() -> None:
    for loss in (mean_squared_error, half_squared_error, binary_cross_entropy, hinge):
        single = loss(Value(0.7), 1).data
        assert single > 0
        assert loss([Value(0.7)], [1]).data == loss([Value(0.7)], 1.0).data == single
        assert loss(0.7, Value(1.0)).data == single


def test_means_and_sums() -> None:
    for loss in (mean_squared_error, binary_cross_entropy, hinge):
        single = [loss(z, 1).data for z in (0.5, -1.0)]
        assert loss([0.5, -1.0], [1, 1]).data == pytest.approx(sum(single) / 2, rel=1e-15)
    assert half_squared_error([1.0, 2.0], [0.0, 0.0]).data == 2.5


def test_arrays() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed")
    outputs = np.array([Value(0.5), Value(-1.0), Value(2.0)])
    assert mean_squared_error(outputs, np.zeros(3)).data == 1.75
    assert binary_cross_entropy(outputs, np.array([0, 1, 1])).data > 0
    by_class = cross_entropy(outputs, np.int64(2)).data
    assert cross_entropy(outputs, np.array([0, 0, 1])).data == by_class
    assert cross_entropy(outputs, np.array(2)).data == by_class
    assert half_squared_error(np.float32(1.5), np.array(0.5)).data == 0.5
    with pytest.raises(TypeError, match="one Value for each number"):
        mean_squared_error(np.zeros((2, 2)), np.zeros((2, 2)))


def test_nothing_is_recorded_without_gradients() -> None:
    with no_grad():
        loss = cross_entropy([Value(1.0), Value(2.0)], 0) + binary_cross_entropy(Value(1.0), 1)
    assert loss._prev == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_go_through(bad: float) -> None:
    infinite = math.isinf(bad)
    assert str(mean_squared_error([bad, 0.0], [0, 0]).data) == ("inf" if infinite else "nan")
    assert str(l2([Value(bad)]).data) == str(l1([Value(bad)]).data) == str(abs(bad))
    assert str(binary_cross_entropy(bad, 0).data) == str(max(0.0, bad) if infinite else bad)
    assert str(hinge(bad, -1).data) == str(max(0.0, bad) if infinite else bad)
    leaves = [Value(1.0), Value(bad), Value(1.0)]
    loss = cross_entropy(leaves, 0)
    if bad == -math.inf:  # a class that is ruled out
        assert loss.data == pytest.approx(math.log(2))
        assert gradients(loss, leaves) == [-0.5, 0.0, 0.5]
    else:
        assert math.isnan(loss.data)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mean_squared_error([1.0, 2.0], [1.0]), ValueError, "each output .* got 2 and 1"),
        (lambda: half_squared_error(1.0, [1.0, 2.0]), ValueError, "each output .* got 1 and 2"),
        (lambda: hinge([], []), ValueError, "there are no outputs: the list is empty"),
        (lambda: mean_squared_error(1.0, []), ValueError, "there are no targets"),
        (lambda: mean_squared_error(None, 1.0), TypeError, "outputs are numbers, .* got NoneType"),
        (lambda: mean_squared_error(1.0, "x"), TypeError, "targets are numbers, .* got str 'x'"),
        (lambda: mean_squared_error([[1.0]], [1.0]), TypeError, "one Value for each number"),
        (lambda: binary_cross_entropy(0.5, -1), ValueError, r"targets from 0 to 1, but got -1\.0"),
        (lambda: binary_cross_entropy([0.5], [1.1]), ValueError, "targets from 0 to 1"),
        (lambda: binary_cross_entropy(0.5, math.nan), ValueError, "from 0 to 1, but got nan"),
        (lambda: hinge([0.5, 1.0], [1, 0]), ValueError, r"but targets\[1\] is 0\.0: .*2 \* target"),
        (lambda: hinge(0.5, 0.5), ValueError, "targets of -1 and 1"),
        (lambda: cross_entropy([1.0, 2.0], 2), ValueError, "numbered 0 to 1, but got class 2"),
        (lambda: cross_entropy([1.0, 2.0], -1), ValueError, "numbered 0 to 1, but got class -1"),
        (lambda: cross_entropy([1.0, 2.0], 1.0), TypeError, "a class, as a whole number"),
        (lambda: cross_entropy([1.0, 2.0], Value(1.0)), TypeError, "a class, as a whole number"),
        (lambda: cross_entropy([1.0, 2.0], None), TypeError, "targets are numbers, .* NoneType"),
        (lambda: cross_entropy([1.0, 2.0], [1.0]), ValueError, "2 classes .* but got 1"),
        (lambda: cross_entropy([1.0, 2.0], [0.5, 0.6]), ValueError, "they add up to 1\\.1$"),
        (lambda: cross_entropy([1.0, 2.0], [0.5, -0.5]), ValueError, r"but targets\[1\] is -0\.5"),
        (lambda: cross_entropy([1.0, 2.0], [math.nan, 1]), ValueError, r"but targets\[0\] is nan"),
        (lambda: cross_entropy([1.0] * 500, [0.0] * 499 + [2.0]), ValueError, r"\[499\] is 2\.0$"),
        (lambda: cross_entropy([1.0] * 500, [0.01] * 500), ValueError, "they add up to 5$"),
        (lambda: cross_entropy(Value(1.0), 0), ValueError, "two or more .*binary_cross_entropy"),
        (lambda: cross_entropy([], 0), ValueError, "there are no logits"),
        (lambda: softmax([]), ValueError, "there are no logits: the list is empty"),
        (lambda: logsumexp([]), ValueError, "there are no logits: the list is empty"),
        (lambda: log_softmax(None), TypeError, "logits are a list, .* but got NoneType"),
        (lambda: softmax(Value(1.0)), TypeError, "logits are a list, .* but got Value"),
        (lambda: log_softmax(1.0), TypeError, "logits are a list, .* but got float"),
        (lambda: logsumexp(Value(1.0)), TypeError, "logits are a list, .* but got Value"),
        (lambda: softmax([1.0, "2"]), TypeError, r"^logits\[1\]: expected one real number"),
        (lambda: cross_entropy([1, None], 0), TypeError, r"^logits\[1\]: .* NoneType"),
        (lambda: cross_entropy([1, 2], [1, None]), TypeError, r"^targets\[1\]: .* NoneType"),
        (lambda: mean_squared_error([1, 2], [1, "a"]), TypeError, r"^targets\[1\]: .* str 'a'"),
        (lambda: hinge([1, None], [1, 1]), TypeError, r"^outputs\[1\]: .* NoneType"),
        (lambda: l2([Value(1.0), "a"]), TypeError, r"^parameters\[1\]: .* str 'a'"),
        (lambda: l2([]), ValueError, "there are no parameters"),
        (lambda: l1(None), TypeError, "parameters are numbers, Values or a list"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_is_refused(make: Callable[[], Value], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
