"""A program as a student with a strict type checker writes it.

tests/test_types.py has it checked by mypy and pyright, and runs it. `assert_type` says what they
are to know; what they are to refuse stands in mistakes.py, beside it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

import microgrant
from microgrant import (
    Condition,
    Predictor,
    Step,
    Value,
    apply,
    atan,
    compile,
    define,
    detect_anomaly,
    draw,
    explain,
    grad,
    gradcheck,
    hessian,
    hvp,
    jacobian,
    log_softmax,
    logsumexp,
    no_grad,
    softmax,
    topological_order,
    value_and_grad,
    where,
)
from microgrant.expression import evaluate
from microgrant.losses import (
    binary_cross_entropy,
    cross_entropy,
    half_squared_error,
    hinge,
    l1,
    l2,
    mean_squared_error,
)
from microgrant.nn import (
    ACTIVATIONS,
    MLP,
    RNN,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    MaxPool2d,
    MeanPool2d,
    Module,
    Neuron,
    RNNCell,
    Sequential,
    detach,
    noise_in,
)
from microgrant.ops import OPERATIONS
from microgrant.optim import SGD, Adam, AdamW, Optimizer, RMSprop, clip_gradients, cosine, warm_up
from microgrant.saving import load, save
from microgrant.training import (
    Confusion,
    History,
    accuracy,
    classify,
    confusion,
    fit,
    predict,
    search,
    split,
)

if TYPE_CHECKING:
    from typing_extensions import assert_type  # which need not be installed
else:

    def assert_type(x: object, kind: object) -> None:
        """For a type checker only."""


def numbers() -> None:
    values = [Value(1), Value(2.0, "b"), Value(np.float32(3)), Value(np.float64(4)), Value(True)]
    values.append(Value(np.int64(5), label="f"))
    values.append(Value(Fraction(1, 2)))
    a, b, *_ = values
    for number in (2, 0.5, np.float32(0.5), np.float64(0.5), np.int64(2), Fraction(1, 2)):
        assert_type(a + number - number, Value)
        assert_type(a * number / number**a, Value)
        assert_type(number * a + number / a - number, Value)
        assert_type(a**number, Value)
        assert_type(a < number, Condition)
        assert_type(a >= number, Condition)
    assert_type(np.float32(2) * a, Value)
    assert_type(np.int64(2) - a, Value)
    assert_type(2**a + True, Value)
    assert_type(-abs(+a), Value)
    assert_type(a * b + 1, Value)
    a += 1
    a *= np.float32(2)
    assert_type(a, Value)
    assert_type(max(values), Value)
    assert_type(min(a, b), Value)
    assert_type(sorted(values, reverse=True), list[Value])
    assert_type(max(values, key=lambda v: v.data), Value)
    assert_type(a.exp().log().tanh().sigmoid().relu().softplus().sqrt(), Value)
    assert_type(a.maximum(b, 0, np.float32(1)).minimum(2).clip(np.float64(-1), 1), Value)
    assert_type(a.clip(high=np.float32(1)), Value)
    assert_type(a.data, float)
    assert_type(a.operands, tuple[Value, ...])
    assert_type(a.partials, tuple[float, ...])
    assert_type(f"{a:.3f} {a}", str)
    print(math.exp(a.data), round(a.data, 2), float(a.data))


def choices() -> None:
    x, y = Value(0.5, "x"), Value(-2.0, "y")
    condition = (x > 0) & ~(y < 1) | (x >= y)
    assert_type(condition, Condition)
    assert_type(where(condition, x.log(), 0), Value)
    assert_type(where(x > 0, x, 0.1 * x), Value)
    assert_type(where(True, x, np.float32(1)), Value)
    assert_type(where(np.bool_(False), 1, y), Value)
    if x > y and not y > 0:
        assert_type(x if x > 0 else y, Value)
    print(sum(z > 0 for z in (x, y)), any(z > 0 for z in (x, y)), x == y, x in [x, y])


def gradients() -> None:
    values = [Value(1.0), Value(2.0)]
    loss = sum((v * v for v in values), Value(0))
    assert_type(loss, Value)
    loss.backward()
    mean = sum([v * v for v in values], start=Value(0)) / len(values)
    assert_type(mean, Value)
    mean.backward(np.float32(2))
    for p in values:
        p.data -= 0.1 * p.grad
        p.data -= np.float32(0.1) * p.grad
        p.grad = 0
        p.grad = None
        assert_type(p.grad, float)
        p.grad += 1
        p.grad = np.float32(0.5)
        p.data = 3
        p.data = np.float32(0.5)
    total = sum(values)  # of an empty list, it would be the int 0
    if isinstance(total, Value):
        total.backward()
    x, w = values
    y = x**3 * w
    assert_type(grad(y, x), float)
    assert_type(grad(y, [x, w]), list[float])
    assert_type(grad(y, (x, w)), list[float])
    slope = grad(y, x, create_graph=True)
    assert_type(slope, Value)
    assert_type(grad(slope, [x], create_graph=True), list[Value])
    value, gradient = value_and_grad(lambda x, y: x * y)(0.5, np.float32(-1))
    assert_type(value, float)
    print(gradient)
    assert_type(jacobian([y, slope], [x, w]), list[list[float]])
    assert_type(jacobian(lambda a, b: [a * b, a + b], [1.0, np.float32(2)]), list[list[float]])
    assert_type(hessian(y, values), list[list[float]])
    assert_type(hessian(lambda a, b: a * b, np.array([1.0, 2.0])), list[list[float]])
    assert_type(hvp(y, values, np.array([1.0, 0.0])), list[float])
    assert_type(detach(x), Value)
    assert_type(apply(OPERATIONS["mul"], x, 3), Value)
    assert_type(topological_order(y), list[Value])
    cube = define("cube", lambda x: x**3, lambda m, out, x: (3 * x * x,))
    assert_type(cube(x), Value)
    assert_type(gradcheck(cube, [0.5]), bool)
    assert_type(gradcheck(lambda a, b: (a * b).tanh(), (0.5, np.float32(1)), order=2), bool)
    with no_grad():
        assert_type(x * w, Value)
    with detect_anomaly():
        (x * w).backward()
    assert_type(evaluate("a * b", {"a": 2.0, "b": x}), Value)
    assert_type(evaluate("a * b", {"a": np.float32(2), "b": 3}), Value)


def networks() -> None:
    xs, ys = [[2.0, 3.0], [0.5, -1.0]], [1.0, -1.0]
    model = MLP(2, [4, 4, 1])
    score = model(xs[0])
    score.backward()
    loss = (1 - ys[0] * score).relu()
    loss.backward()
    scores = [model(x) for x in xs]
    losses = [(1 - y * s).relu() for y, s in zip(ys, scores, strict=True)]
    total = sum(losses, Value(0)) * (1.0 / len(losses))
    total.backward()
    model.zero_grad()
    score = score.tanh()  # another Value under the same name
    score.backward()
    first: Value = model(np.array([1.0, 2.0]))
    first.backward()
    print(mean_squared_error(scores, ys), [s.data for s in scores], loss_of(model, xs[0], 1))
    for p in model.parameters():
        p.data -= 0.01 * p.grad

    classifier = MLP(2, np.array([4, 3]), activation="tanh", init="xavier")
    logits = classifier((1, 2))
    print(cross_entropy(logits, 2), len(logits), logits[0].data, [z.exp() for z in logits])
    best, *others = logits
    print(best > 0, others, max(logits), probabilities(classifier, xs[0]))
    logits = [z * 2 for z in logits]
    print(softmax(logits)[0].data)
    outputs = Layer(2, 3)(Layer(4, 2)([1, 2, 3, np.float32(4)]))
    if isinstance(outputs, list):
        print(len(outputs))
    else:
        outputs.backward()

    assert_type(Neuron(2)(xs[0]), Value)
    assert_type(RNNCell(2, 3)(xs[0], h=[0, 0, 0]), list[Value])
    assert_type(RNN(2, 3)(xs), list[list[Value]])
    image = Conv2d(1, 2, 3, padding=1, activation="relu")(np.zeros((1, 4, 4)))
    assert_type(image, list[list[list[Value]]])
    assert_type(MaxPool2d(2)(image), list[list[list[Value]]])
    assert_type(Flatten()(MeanPool2d(2)(image)), list[Value])
    digits = Sequential(Conv2d(1, 2, 3), MaxPool2d(2), Flatten(), Dropout(0.1), Layer(2, 3))
    answer = digits(np.zeros((1, 4, 4)))
    print(noise_in(*answer), digits.eval().training, digits.train().training)
    print(cross_entropy(answer, [0, 1, 0]), list(ACTIVATIONS), ACTIVATIONS["tanh"].torch)
    assert_type(model.layers[0].neurons[0].w[1] * model.layers[-1].neurons[0].b, Value)
    assert_type(digits.modules, list[Module])
    for name, parameter in digits.named_parameters():
        assert_type(name, str)
        assert_type(parameter, Value)


def loss_of(model: MLP, x: Sequence[float], y: float) -> Value:
    return (model(x) - y) ** 2


def probabilities(model: MLP, x: Sequence[float]) -> list[Value]:
    logits: list[Value] = model(x)
    return softmax(logits)


class Line(Module):
    """A module of one's own, with a typed `forward`."""

    def __init__(self, start: float = 0.0) -> None:
        self.slope, self.start = Value(random.random()), Value(start)
        self.hidden = Layer(1, 2)

    def forward(self, x: Value | float, scale: float = 1.0) -> Value:
        return scale * self.slope * x + self.start


class Twice(Module):
    """A module in the manner of micrograd: it defines `__call__` and `parameters`."""

    def __init__(self) -> None:
        self.inner = MLP(1, [2, 2])
        self.w = [Value(1.0)]

    def __call__(self, x: Value) -> list[Value]:
        h = self.inner([x])
        h = [z.tanh() * self.w[0] for z in h]
        return [z + 1 for z in h]

    def parameters(self) -> list[Value]:
        return [*self.inner.parameters(), *self.w]


def modules() -> None:
    line = Line()
    assert_type(line(3), Value)
    assert_type(line(Value(3), scale=2), Value)
    assert_type(line.eval(), Line)
    assert_type(Twice()(Value(1)), list[Value])
    row: list[Module] = [line, Twice(), MLP(1, [1])]
    print([len(module.parameters()) for module in row], [module(Value(1)) for module in row])


def losses() -> None:
    outputs = [Value(0.5), Value(-0.5)]
    model = Neuron(2)
    for targets in ([1, 0], (1.0, 0.0), np.array([1, 0]), [Value(1), Value(0)]):
        assert_type(mean_squared_error(outputs, targets), Value)
        assert_type(half_squared_error(outputs, targets), Value)
        assert_type(binary_cross_entropy(outputs, targets), Value)
        assert_type(cross_entropy(outputs, targets), Value)
    assert_type(cross_entropy(outputs, np.int64(1)), Value)
    assert_type(binary_cross_entropy(outputs[0], np.float32(1)), Value)
    assert_type(hinge(outputs, np.array([1, -1])), Value)
    assert_type(hinge(model([1, 2]), 1) + 1e-4 * l2(model.parameters()) + l1(outputs), Value)
    assert_type(logsumexp(np.array(outputs)) + logsumexp([0, np.float32(1)]), Value)
    assert_type(log_softmax(outputs), list[Value])


def optimizers() -> None:
    model = MLP(2, [2, 1])
    schedule = warm_up(2, cosine(0.1, 0.0, steps=10))
    kinds: list[Optimizer] = [
        SGD(model.parameters(), 0.1, momentum=0.9),
        Adam(model.parameters(), learning_rate=np.float32(0.01), betas=(0.9, 0.99)),
        AdamW(model.parameters(), weight_decay=0.1),
        RMSprop((p for _, p in model.named_parameters()), learning_rate=1),
    ]
    for number, optimizer in enumerate(kinds):
        optimizer.zero_grad()
        model([1, 2]).backward()
        assert_type(clip_gradients(model.parameters(), max_norm=1), float)
        optimizer.learning_rate = schedule(number)
        optimizer.learning_rate = np.float32(0.1)
        optimizer.step()
        optimizer.load_state(optimizer.state())


def training() -> None:
    xs, ys = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 5, dtype=np.float64), [0, 1, 1, 0] * 5
    model = MLP(2, [2, 2], activation="tanh")
    (train_xs, train_ys), test = split(xs, ys, fractions=(0.8, 0.2), stratified=True)
    history = fit(
        model,
        cross_entropy,
        (train_xs, train_ys),
        epochs=2,
        batch_size=4,
        optimizer=lambda ps: Adam(ps, 0.01),
        penalty=lambda ps: 1e-4 * l2(ps),
        validation=test,
        patience=5,
        metric=accuracy,
        target="python",
        progress=False,
    )
    assert_type(history, History)
    assert_type(history.loss, list[float])
    line = Line()
    fit(line, mean_squared_error, ([0, 1], [1, 3]), epochs=1, optimizer=SGD(line.parameters()))
    fit(
        lambda x: line(x),
        lambda output, y: (output - y) ** 2,
        (np.arange(3), [1, 2, 3]),
        optimizer=SGD(line.parameters()),
        epochs=1,
        resume=None,
    )
    outputs = predict(model, test[0])
    assert_type(accuracy(outputs, test[1]), float)
    assert_type(confusion(outputs, test[1]), Confusion)
    assert_type(classify(outputs), list[int])
    print(search(lambda rate: rate, {"rate": [0.1, 0.01]}).best["rate"])


def compiled() -> None:
    w, b, x, y = Value(0.5, "w"), Value(0.0, "b"), Value(0.0, "x"), Value(0.0, "y")
    loss = (w * x + b - y) ** 2
    step = compile(loss, inputs=[x, y], parameters=[w, b], target="python")
    assert_type(step, Step)
    assert_type(step([[0, 1], [1, 3]]), float)
    assert_type(step(np.array([[0.0, 1.0]])), float)
    assert_type(step.value(((0, 1), (1, 3))), float)
    mean, gradient = step.value_and_grad(np.array([1.0, 2.0]), [[0, 1]])
    assert_type(mean, float)
    print(gradient, step.source, step.target)
    line = compile(w * x + b, inputs=[x], target="python")
    assert_type(line, Predictor)
    assert_type(compile([w * x, b * 1], np.array([x]), target="python"), Predictor)
    first, second = line([[1], [2]])
    print(first + second)
    model = MLP(2, [2, 1])
    inputs = [Value(0), Value(0)]
    score = compile(model(inputs), inputs=inputs, target="python")
    print(score(np.zeros((3, 2))), float(score([[1, 2]])[0]))
    trained = compile((model(inputs) - 1) ** 2, inputs, model.parameters(), target="python")
    assert_type(trained([[1, 2]]), float)


def pictures() -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, "b")
    a.label, b.label = "first", None
    assert len({a, b} | {a}) == len({a: 1, b: 2})
    angle = microgrant.atan2(a, 1.0) + atan(b)
    assert_type(angle, Value)
    loss = a * b + a
    loss.backward()
    picture = draw(loss, names={"a": a}, rankdir="TB", theme="dark")
    step = explain(loss, names=locals())
    assert_type(step.gradients, dict[str, float])
    assert_type(step.line(2), str)
    assert_type(step.latex(), str)
    for event in step:
        print(event)
    with TemporaryDirectory() as folder:
        picture.write(Path(folder) / "step.dot")
        step.save(Path(folder) / "step.html")
        model = MLP(2, [2, 1])
        save(model, Path(folder) / "model.json")
        again = load(Path(folder) / "model.json")
        print(again([1, 2]))
    matrix = np.array([[a, b], [b, a]])
    product: Any = matrix @ np.array([1.0, 2.0]) * a
    print(product, np.dot(matrix, matrix).sum().data)


if __name__ == "__main__":
    numbers()
    choices()
    gradients()
    networks()
    modules()
    losses()
    optimizers()
    training()
    compiled()
    pictures()
