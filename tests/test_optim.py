"""Optimisers against PyTorch's, schedules and clipping too; what is saved, and what is refused."""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, strategies as st

from microgrant import Value
from microgrant.engine import NO_GRADIENT
from microgrant.losses import mean_squared_error
from microgrant.nn import MLP
from microgrant.optim import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
    Schedule,
    clip_gradient_values,
    clip_gradients,
    constant,
    cosine,
    linear,
    step_decay,
    warm_up,
)
from microgrant.training import History, fit

SGD_OPTIONS = [
    {"momentum": momentum, "nesterov": nesterov, "weight_decay": decay}
    for momentum, nesterov, decay in itertools.product((0.0, 0.9), (False, True), (0.0, 0.01))
    if momentum or not nesterov
]
ADAM_OPTIONS = [
    {"betas": betas, "eps": eps, "weight_decay": decay}
    for betas, eps, decay in itertools.product(
        ((0.9, 0.999), (0.0, 0.9), (0.8, 0.0)), (1e-8, 1e-3), (0.0, 0.01)
    )
]
RMSPROP_OPTIONS = [
    {"alpha": alpha, "eps": eps, "momentum": momentum, "centered": centered, "weight_decay": decay}
    for alpha, eps, momentum, centered, decay in itertools.product(
        (0.99, 0.5), (1e-8, 1e-3), (0.0, 0.9), (False, True), (0.0, 0.01)
    )
]
OPTIMIZERS: list[tuple[Any, Any]] = [(SGD, options) for options in SGD_OPTIONS]
OPTIMIZERS += [(kind, options) for kind in (Adam, AdamW) for options in ADAM_OPTIONS]
OPTIMIZERS += [(AdamW, {}), *((RMSprop, options) for options in RMSPROP_OPTIONS)]
KINDS = [SGD, Adam, AdamW, RMSprop]
every_optimizer = pytest.mark.parametrize(
    ("kind", "options"), OPTIMIZERS, ids=lambda x: x.__name__ if isinstance(x, type) else str(x)
)

NUMBERS = random.Random(1)
STARTS = [NUMBERS.gauss(0, 3) for _ in range(20)]
# Gradients of every size, and some that backward has not reached.
GRADIENTS = [
    [
        None if NUMBERS.random() < 0.1 else NUMBERS.gauss(0, 1) * 10 ** NUMBERS.uniform(-6, 3)
        for _ in STARTS
    ]
    for _ in range(100)
]
SCHEDULE = warm_up(10, cosine(0.1, 0.001, steps=60))


def run(optimizer: Optimizer, steps: range) -> list[float]:
    """Where the parameters are after these steps."""
    for step in steps:
        optimizer.zero_grad()
        for parameter, gradient in zip(optimizer.parameters, GRADIENTS[step], strict=True):
            if gradient is not None:
                parameter.grad = gradient
        optimizer.learning_rate = SCHEDULE(step)
        optimizer.step()
    return [parameter.data for parameter in optimizer.parameters]


def parameter(number: float, gradient: Any) -> Value:
    made = Value(number)
    made.grad = gradient
    return made


@pytest.mark.slow
@every_optimizer
def test_100_steps_are_those_of_torch(kind: Any, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in STARTS]
    optimizer = getattr(torch.optim, kind.__name__)(theirs, lr=1.0, **options)
    for step, gradients in enumerate(GRADIENTS):
        for tensor, gradient in zip(theirs, gradients, strict=True):
            tensor.grad = None if gradient is None else torch.tensor(gradient, dtype=torch.float64)
        optimizer.param_groups[0]["lr"] = SCHEDULE(step)
        optimizer.step()
    ours = run(kind([Value(x) for x in STARTS], **options), range(100))
    assert ours == pytest.approx([tensor.item() for tensor in theirs], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "options"),
    [(SGD, {"momentum": 0.9}), (Adam, {}), (AdamW, {}), (RMSprop, {"momentum": 0.9})],
)
def test_torch_learns_the_same(kind: Any, options: dict[str, Any]) -> None:
    """Gradients that depend on where the parameters are: a network learns one example."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    random.seed(3)
    model = MLP(2, [4, 1], activation="tanh")
    theirs = [
        torch.tensor(p.data, dtype=torch.float64, requires_grad=True) for p in model.parameters()
    ]
    twin = getattr(torch.optim, kind.__name__)
    optimizer, other = kind(model.parameters(), 0.01, **options), twin(theirs, lr=0.01, **options)
    for _ in range(100):
        optimizer.zero_grad()
        ((model([0.5, -1.0]) - 0.7) ** 2).backward()
        optimizer.step()
        other.zero_grad()
        rows = [theirs[i : i + 3] for i in range(0, 12, 3)]
        hidden = [(w[0] * 0.5 - w[1] + w[2]).tanh() for w in rows]
        output = sum((w * h for w, h in zip(theirs[12:], hidden, strict=False)), theirs[16])
        ((output - 0.7) ** 2).backward()
        other.step()
    found = [p.data for p in model.parameters()]
    assert found == pytest.approx([tensor.item() for tensor in theirs], rel=1e-12, abs=1e-12)


def test_sgd_by_hand() -> None:
    x = Value(1.0)
    optimizer = SGD([x], learning_rate=0.5, momentum=0.5, nesterov=True, weight_decay=0.25)
    x.grad = 1.75
    optimizer.step()  # gradient 1.75 + 0.25·1 = 2, velocity 2, step 0.5·(2 + 0.5·2)
    assert x.data == -0.5
    optimizer.step()  # gradient 1.75 − 0.125 = 1.625, velocity 2.625, step 0.5·(1.625 + 1.3125)
    assert x.data == -0.5 - 0.5 * (1.625 + 1.3125)


@pytest.mark.parametrize("gradient", [1e-3, -5.0, 1e150])
def test_the_first_step_of_adam_is_the_learning_rate(gradient: float) -> None:
    x = parameter(0.0, gradient)
    Adam([x], learning_rate=0.1).step()
    assert x.data == pytest.approx(-math.copysign(0.1, gradient), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_is_as_in_torch(kind: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.optim, kind.__name__)([torch.zeros(1)]).defaults
    settings = kind([Value(1.0)]).state()["settings"]
    if kind is SGD:  # whose learning rate PyTorch has made optional only lately
        del settings["learning_rate"]
    for name, setting in settings.items():
        assert setting == theirs["lr" if name == "learning_rate" else name], name


def test_weight_decay_that_is_decoupled_knows_no_gradient() -> None:
    x, y = parameter(1.0, 0.0), parameter(1.0, 1e6)
    optimizer = AdamW([x, y], learning_rate=0.5, weight_decay=0.25)
    optimizer.step()
    assert x.data == 0.875  # 1 − 0.5·0.25, and Adam's step is 0
    assert y.data == pytest.approx(0.875 - 0.5)
    coupled = parameter(1.0, 0.0)
    Adam([coupled], learning_rate=0.5, weight_decay=0.25).step()
    assert coupled.data == pytest.approx(0.5)


def test_rmsprop_by_hand() -> None:
    x = parameter(1.0, 2.0)
    optimizer = RMSprop([x], learning_rate=0.5, alpha=0.75, eps=1.0, momentum=0.5)
    optimizer.step()  # square 0.25·4 = 1, velocity 2/(1 + 1) = 1
    assert x.data == 0.5
    x.grad = 0.0
    optimizer.step()  # square 0.75, velocity 0.5·1
    assert x.data == 0.25
    assert optimizer.state()["memory"] == {"square": [0.75], "mean": [0.0], "velocity": [0.5]}


def test_a_variance_below_zero_is_rounding() -> None:
    """A gradient that never changes has no variance; where that is below 0, PyTorch says nan."""
    x = Value(0.0)
    optimizer = RMSprop([x], learning_rate=1e-3, alpha=0.5, eps=1e-3, centered=True)
    for _ in range(300):
        x.grad = 0.7
        optimizer.step()
    mean, square = optimizer.state()["memory"]["mean"][0], optimizer.state()["memory"]["square"][0]
    assert square - mean * mean < 0
    assert math.isfinite(x.data)


@every_optimizer
@pytest.mark.parametrize("nothing", [NO_GRADIENT, None], ids=["NO_GRADIENT", "None"])
def test_what_has_no_gradient_is_left(kind: Any, options: dict[str, Any], nothing: Any) -> None:
    x, y = parameter(1.0, 2.0), parameter(1.0, 2.0)
    optimizer = kind([x, y], **options)
    optimizer.step()
    before, memory = y.data, optimizer.state()["memory"]
    x.grad, y.grad = 2.0, nothing
    optimizer.step()
    assert x.data != before
    assert y.data == before
    after = optimizer.state()["memory"]
    assert [numbers[1] for numbers in after.values()] == [numbers[1] for numbers in memory.values()]


def test_a_gradient_of_zero_is_a_gradient() -> None:
    x = parameter(1.0, 0.0)
    SGD([x], learning_rate=0.5, weight_decay=0.5).step()
    assert x.data == 0.75


@every_optimizer
def test_nan_goes_through(kind: Any, options: dict[str, Any]) -> None:
    x, y = parameter(1.0, math.nan), parameter(1.0, 1.0)
    kind([x, y], **options).step()
    assert math.isnan(x.data)
    assert math.isfinite(y.data)


@every_optimizer
@pytest.mark.parametrize("number", [2, Fraction(2), True], ids=repr)
def test_gradients_of_other_types(kind: Any, options: dict[str, Any], number: Any) -> None:
    x, y = parameter(1.0, number), parameter(1.0, float(number))
    optimizer = kind([x, y], **options)
    optimizer.step()
    assert type(x.data) is float
    assert x.data == y.data
    json.dumps(optimizer.state())


def test_a_gradient_that_is_no_number() -> None:
    with pytest.raises(TypeError, match=r"expected one real number, but got Value.*use .*\.data"):
        SGD([parameter(1.0, Value(2.0))]).step()


@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW, RMSprop], ids=lambda x: x.__name__)
@pytest.mark.parametrize(
    ("name", "advice"),
    [("lr", "is called learning_rate here"), ("beta1", r"betas=\(0\.9"), ("bogus", "'bogus'$")],
)
def test_settings_of_other_libraries_get_advice(optimizer: Any, name: str, advice: str) -> None:
    with pytest.raises(TypeError, match=rf"^{optimizer.__name__}\(\) got an unexpected.*{advice}"):
        optimizer([Value(1.0)], **{name: 0.1})


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: SGD([Value(1.0)], learning_rate=constant(0.1)), "set it before each step"),
        (lambda: warm_up(3, 0.1), "such as constant"),  # type: ignore[arg-type]
        (lambda: constant("0.1"), "one real number, but got str"),  # type: ignore[arg-type]
        (lambda: linear(1.0, None, 3), "one real number"),  # type: ignore[arg-type]
        (lambda: step_decay(1.0, [], 3), "one real number"),  # type: ignore[arg-type]
    ],
)
def test_a_schedule_in_place_of_a_number_and_the_like(make: Callable[[], Any], advice: str) -> None:
    with pytest.raises(TypeError, match=advice):
        make()


def test_optimisers_take_arrays() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is not installed")
    x = Value(1.0)
    x.grad = 1.0
    Adam(np.array([x]), betas=np.array([0.5, 0.5]), learning_rate=0.25).step()
    assert x.data == pytest.approx(0.75)


def test_a_learning_rate_by_another_name_is_refused() -> None:
    """It would have been set without a word, and the optimiser would not have looked at it."""
    optimizer: Any = SGD([Value(1.0)], learning_rate=0.5)
    with pytest.raises(AttributeError, match="is called learning_rate here"):
        optimizer.lr = 0.1
    with pytest.raises(AttributeError, match="called state here"):
        optimizer.state_dict()
    assert not hasattr(optimizer, "lr")
    assert optimizer.learning_rate == 0.5


def test_zero_grad_to_zero() -> None:
    x = Value(1.0)
    optimizer = SGD([x], momentum=0.5)
    x.grad = 2.0
    optimizer.zero_grad(set_to_none=False)
    assert x.grad == 0.0
    assert x.grad is not NO_GRADIENT
    optimizer.zero_grad(set_to_none=True)
    assert x.grad is NO_GRADIENT


def test_zero_grad() -> None:
    x = Value(3.0)
    (x * x).backward()
    SGD([x]).zero_grad()
    assert x.grad is NO_GRADIENT


def test_an_optimizer_of_ones_own() -> None:
    class SignSGD(Optimizer):
        def step(self) -> None:
            """Against the sign of the gradient."""
            for p in self.parameters:
                p.data -= math.copysign(self.learning_rate, p.grad)

    x = parameter(1.0, -5.0)
    optimizer = SignSGD([x], learning_rate=0.5)
    optimizer.step()
    assert x.data == 1.5
    optimizer.load_state(optimizer.state())
    assert optimizer.learning_rate == 0.5
    with pytest.raises(NotImplementedError, match="Optimizer does not define rule"):
        Optimizer([x], 0.1).step()


# --- Saving -----------------------------------------------------------------------------------


@every_optimizer
def test_going_on_from_a_saved_state(kind: Any, options: dict[str, Any]) -> None:
    uninterrupted = run(kind([Value(x) for x in STARTS], **options), range(100))
    first = kind([Value(x) for x in STARTS], **options)
    halfway = run(first, range(50))
    state = first.state()
    saved = json.dumps(state)
    run(first, range(50, 60))
    assert json.dumps(state) == saved  # it does not change with what goes on
    state = json.loads(saved)
    second = kind([Value(x) for x in halfway])
    second.load_state(state)
    assert json.dumps(second.state()) == saved
    assert run(second, range(50, 100)) == uninterrupted
    assert json.dumps(state) == saved


@pytest.mark.parametrize("kind", [AdamW, RMSprop])
@pytest.mark.parametrize("target", ["eager", "native"])
def test_fit_goes_on_from_a_saved_state(kind: Any, target: str) -> None:
    if target == "native":
        pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    xs, ys = [[x] for x in (-1.0, 0.0, 0.5, 2.0)], [1.0, 0.0, 0.25, 4.0]

    def trained(model: MLP, epochs: int, resume: Any = None) -> History:
        return fit(
            model, mean_squared_error, (xs, ys), epochs=epochs, batch_size=3, target=target,
            optimizer=lambda ps: kind(ps, 0.02, weight_decay=0.1), resume=resume,
        )  # fmt: skip

    random.seed(2)
    one = MLP(1, [4, 1], activation="tanh")
    other = copy.deepcopy(one)
    whole = trained(one, 20)
    state = json.loads(json.dumps(trained(other, 8).state))
    assert trained(other, 20, state).loss == whole.loss
    assert [p.data for p in other.parameters()] == [p.data for p in one.parameters()]
    assert whole.loss[-1] < whole.loss[0]


def test_nan_and_infinity_are_saved() -> None:
    x, y = parameter(1.0, math.nan), parameter(1.0, -math.inf)
    optimizer = SGD([x, y], momentum=0.9)
    optimizer.step()
    saved = json.loads(json.dumps(optimizer.state()))
    optimizer.load_state(saved)
    assert str(optimizer.state()["memory"]) == "{'velocity': [nan, -inf]}"


def broken_states() -> list[tuple[str, Any]]:
    def changed(**parts: Any) -> dict[str, Any]:
        return Adam([Value(1.0), Value(2.0)]).state() | parts

    good = changed()
    settings, memory = good["settings"], good["memory"]
    return [
        *(("not what the state", x) for x in (None, 3, "Adam", [], {}, ["optimizer"])),
        ("not what the state", SGD([Value(1.0), Value(2.0)]).state()),
        ("not what the state", changed(settings=list(settings))),
        ("not what the state", changed(memory=list(memory))),
        ("not what the state", changed(settings={**settings, "momentum": 0.9})),
        ("not what the state", changed(memory={"mean": [0.0, 0.0]})),
        ("setting .* real number", changed(settings={**settings, "eps": "1e-8"})),
        ("setting .* too large", changed(settings={**settings, "eps": 10**400})),
        ("learning_rate is .* -1", changed(settings={**settings, "learning_rate": -1.0})),
        ("betas are two numbers", changed(settings={**settings, "betas": [0.9]})),
        ("mean is to be a list of 2 floats", changed(memory={**memory, "mean": [0.0]})),
        ("mean is to be a list of 2 floats", changed(memory={**memory, "mean": 0.0})),
        ("mean is to be .* '0'", changed(memory={**memory, "mean": [0.0, "0"]})),
        (r"square is to be .* from 0\.0 on", changed(memory={**memory, "square": [0.0, -1.0]})),
        (r"steps is to be .* from 0\.0 on", changed(memory={**memory, "steps": [-1.0, 0.0]})),
        ("steps is to be .* floats", changed(memory={**memory, "steps": [10**400, 0.0]})),
    ]


@pytest.mark.parametrize(("message", "state"), broken_states())
def test_a_state_that_does_not_fit(message: str, state: Any) -> None:
    optimizer = Adam([parameter(1.0, 1.0), parameter(2.0, 2.0)])
    optimizer.step()
    before = optimizer.state()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state(state)
    assert optimizer.state() == before


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@pytest.mark.slow
@given(st.sampled_from(["optimizer", "settings", "memory"]), st.data())
def test_a_state_with_anything_in_it(part: str, data: st.DataObject) -> None:
    """Whatever stands in a state: it is taken, and then the next step works, or a ValueError."""
    optimizer = Adam([parameter(1.0, 1.0)])
    state = optimizer.state()
    if part != "optimizer" and data.draw(st.booleans()):
        state[part][data.draw(st.sampled_from(sorted(state[part])))] = data.draw(json_values)
    else:
        state[part] = data.draw(json_values)
    try:
        optimizer.load_state(state)
    except ValueError:
        assert optimizer.state() == Adam([Value(1.0)]).state()
    optimizer.step()
    assert type(optimizer.parameters[0].data) is float


# --- What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_are_none(kind: Any) -> None:
    x = Value(1.0)
    with pytest.raises(TypeError, match=r"such as model\.parameters\(\), but got MLP"):
        kind(MLP(1, [1]))
    with pytest.raises(TypeError, match=r"a list of Values, .* but got Value"):
        kind(x)
    with pytest.raises(ValueError, match="the list is empty"):
        kind([])
    with pytest.raises(TypeError, match=r"parameters\[1\] is float 2\.0"):
        kind([x, 2.0])
    with pytest.raises(ValueError, match=r"parameters\[1\], .* result of an operation \(\*\)"):
        kind([x, x * x])
    with pytest.raises(ValueError, match=r"parameters\[2\], .* twice"):
        kind([x, Value(1.0), x])
    assert len(kind(p for p in [x, Value(1.0)]).parameters) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD(p, -0.1), r"learning_rate is a finite number from 0 on, but got -0\.1"),
        (lambda p: SGD(p, math.nan), "learning_rate is a finite number from 0 on, but got nan"),
        (lambda p: Adam(p, math.inf), "learning_rate is a finite number from 0 on, but got inf"),
        (lambda p: Adam(p, weight_decay=-1), "weight_decay is a finite number"),
        (lambda p: SGD(p, momentum=1), r"momentum is a finite number from 0 on below 1, .* 1\.0"),
        (lambda p: SGD(p, nesterov=True), "nesterov needs momentum"),
        (lambda p: Adam(p, betas=0.9), "betas are two numbers"),
        (lambda p: Adam(p, betas=(0.9, 0.99, 0.999)), "betas are two numbers"),
        (lambda p: Adam(p, betas=(0.9, 1.0)), r"betas\[1\] is .* below 1, but got 1\.0"),
        (lambda p: Adam(p, betas=(-0.1, 0.9)), r"betas\[0\] is"),
        (lambda p: Adam(p, eps=0), "eps is what keeps Adam from dividing by 0"),
        (lambda p: AdamW(p, eps=0), "eps is what keeps AdamW from dividing by 0"),
        (lambda p: RMSprop(p, eps=0), "eps is what keeps RMSprop from dividing by 0"),
        (lambda p: RMSprop(p, alpha=1), r"alpha is a finite number from 0 on below 1, .* 1\.0"),
        (lambda p: RMSprop(p, momentum=-1), r"momentum is .* but got -1\.0"),
        (lambda p: RMSprop(p, weight_decay=-1), "weight_decay is a finite number"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_settings_that_are_none(make: Callable[[list[Value]], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make([Value(1.0)])


def test_a_learning_rate_set_later_is_looked_at_as_well() -> None:
    optimizer = SGD([Value(1.0)], learning_rate=0.1)
    with pytest.raises(ValueError, match="learning_rate is"):
        optimizer.learning_rate = -0.1
    with pytest.raises(TypeError, match="learning_rate is to be one real number, but got str"):
        optimizer.learning_rate = "0.1"  # type: ignore[assignment]
    assert optimizer.learning_rate == 0.1


# --- Clipping ---------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1.0, 1e3, math.inf])
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e6])
def test_torch_clips_the_norm_the_same(max_norm: float, size: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours, theirs = [], []
    for gradient in GRADIENTS[0]:
        ours.append(parameter(1.0, None if gradient is None else size * gradient))
        theirs.append(torch.zeros((), dtype=torch.float64, requires_grad=True))
        if gradient is not None:
            theirs[-1].grad = torch.tensor(size * gradient, dtype=torch.float64)
    norm = clip_gradients(ours, max_norm)
    assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, max_norm).item(), rel=1e-12)
    for mine, tensor in zip(ours, theirs, strict=True):
        if tensor.grad is None:
            assert mine.grad is NO_GRADIENT
        else:
            assert mine.grad == pytest.approx(tensor.grad.item(), rel=1e-12)


def test_squares_that_overflow_do_not_matter() -> None:
    parameters = [parameter(0.0, 3e200), parameter(0.0, 4e200)]
    assert clip_gradients(parameters, 1.0) == pytest.approx(5e200)
    assert [p.grad for p in parameters] == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1.7e308])
def test_a_norm_that_is_not_finite(bad: float) -> None:
    parameters = [parameter(0.0, 1.7e308), parameter(0.0, bad)]
    with pytest.raises(ValueError, match=r"the norm of the gradients is (nan|inf), .*anomaly"):
        clip_gradients(parameters, 1.0)
    assert parameters[0].grad == 1.7e308
    assert str(parameters[1].grad) == str(bad)


def test_small_gradients_are_not_touched() -> None:
    parameters = [parameter(0.0, 0.1), parameter(0.0, NO_GRADIENT), parameter(0.0, None)]
    assert clip_gradients(parameters, 1.0) == 0.1
    clip_gradient_values(parameters, 1.0)
    assert parameters[0].grad == 0.1
    assert parameters[1].grad is parameters[2].grad is NO_GRADIENT
    assert clip_gradients(parameters[1:], 1.0) == 0.0


@pytest.mark.parametrize(
    ("gradient", "clipped"),
    [(3.0, 2.0), (-3.0, -2.0), (1.5, 1.5), (math.inf, 2.0), (-math.inf, -2.0), (math.nan, None)],
)
def test_clipping_values(gradient: float, clipped: float | None) -> None:
    x = parameter(0.0, gradient)
    clip_gradient_values([x], 2.0)
    assert math.isnan(x.grad) if clipped is None else x.grad == clipped


@pytest.mark.parametrize("clip", [clip_gradients, clip_gradient_values])
def test_what_clipping_refuses(clip: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"max_\w+ is a number from 0 on, but got -1\.0"):
        clip([Value(1.0)], -1.0)
    with pytest.raises(ValueError, match=r"max_\w+ is a number from 0 on, but got nan"):
        clip([Value(1.0)], math.nan)
    with pytest.raises(ValueError, match="the list is empty"):
        clip([], 1.0)


# --- Schedules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "name", "settings"),
    [
        (linear(0.5, 0.1, 20), "LinearLR", {"start_factor": 1.0, "end_factor": 0.2}),
        (cosine(0.5, 0.1, 20), "CosineAnnealingLR", {"eta_min": 0.1}),
        (step_decay(0.5, 0.3, 7), "StepLR", {"step_size": 7, "gamma": 0.3}),
        (constant(0.5), "ConstantLR", {"factor": 1.0}),
    ],
    ids=["linear", "cosine", "step_decay", "constant"],
)
def test_torch_has_the_same_schedules(
    schedule: Schedule, name: str, settings: dict[str, Any]
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    settings = {"T_max": 20} | settings if name == "CosineAnnealingLR" else settings
    settings = {"total_iters": 20} | settings if name == "LinearLR" else settings
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    for step in range(21):  # torch's cosine rises again after its end
        assert schedule(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("shape", [linear, cosine])
@pytest.mark.parametrize(("start", "end"), [(0.1, 0.0), (0.3, 0.1), (0.0, 1e-3)])
def test_both_ends_are_exact(shape: Any, start: float, end: float) -> None:
    schedule = shape(start, end, steps=30)
    assert schedule(0) == start
    assert schedule(30) == schedule(31) == schedule(10**9) == end
    between = [schedule(step) for step in range(31)]
    assert between == sorted(between, reverse=start > end)


def test_schedules_compose() -> None:
    schedule = warm_up(2, warm_up(1, constant(0.6)))
    assert [schedule(step) for step in range(6)] == pytest.approx([0.1, 0.2, 0.3, 0.6, 0.6, 0.6])


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, None])
def test_schedules_of_no_length(steps: Any) -> None:
    makers: list[Callable[[], Schedule]] = [
        lambda: linear(1.0, 0.0, steps),
        lambda: cosine(1.0, 0.0, steps),
        lambda: step_decay(1.0, 0.5, steps),
        lambda: warm_up(steps, constant(1.0)),
    ]
    for make in makers:
        with pytest.raises(ValueError, match="is a whole number from 1 on, but got"):
            make()
