"""The participants of `native.py`: each takes a network and rows, and gets ready to take steps.

With this module you can

- prepare a participant:  ready = c_by_hand(work)
- take a step:            result = ready.step()
- read what it computed:  loss, gradient = ready.read(result)

A step computes the mean loss over all rows and its gradient, from parameters that are handed to it
each time. Every participant holds parameters and rows in the form that suits it best, and leaves
the gradient in a form of its own; only `read`, which is not timed, makes a list of floats of it.
What cannot take part raises `LeftOutError`, which says why.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial as bind
from pathlib import Path
from typing import Any

from networks import Network, Row

import microgrant

LONGEST_STEP = 10.0
"""Seconds: what would take longer over all rows is left out."""

PACKAGES = {
    "llvmlite": "llvmlite",
    "micrograd": "micrograd==0.1.0",
    "numpy": "numpy",
    "torch": "torch",
    "jax": "jax",
    "casadi": "casadi",
    "ddx": "ddx-ad",
}
"""What brings each module: pip install …"""


class LeftOutError(Exception):
    """A participant cannot do this work; the message says why, and what would help."""


@dataclass(frozen=True)
class Work:
    """What everybody is to do: the mean loss of a network over rows, and its gradient."""

    network: Network
    rows: list[Row]

    @cached_property
    def parameters(self) -> list[float]:
        return self.network.parameters()


@dataclass(frozen=True)
class Ready:
    """A participant that has built, traced or compiled all that it needs.

    step: what is timed.
    read: the loss and the gradient, in the order of the parameters, from what `step` returned; of a
        training, the parameters in place of the gradient. None for what computes something else.
    """

    step: Callable[[], Any]
    read: Callable[[Any], tuple[float, list[float]]] | None


Participant = Callable[[Work], Ready]


def load(module: str) -> Any:
    """A module that may not be installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = PACKAGES[module.partition(".")[0]]
        raise LeftOutError(f"pip install {package} brings it in ({error})") from None


def versions() -> list[str]:
    """The installed packages among those that the participants use."""
    found = []
    for requirement in PACKAGES.values():
        package = requirement.partition("=")[0]
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def refuse_what_takes_too_long(step: Callable[[list[Row]], Any], rows: list[Row]) -> None:
    few = rows[:10]
    expected = seconds(bind(step, few)) / len(few) * len(rows)
    if expected > LONGEST_STEP:
        raise LeftOutError(f"to judge by {len(few)} rows, its step would take {expected:,.0f} s")


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def as_floats(loss: Any, gradient: Any) -> tuple[float, list[float]]:
    return float(loss), [float(g) for g in gradient]


# --- microgrant and micrograd -------------------------------------------------------------------


def recorded(work: Work) -> tuple[Any, list[Any], list[Any]]:
    """The graph of one row: its loss, its inputs (with the answer last) and its parameters."""
    parameters = [microgrant.Value(p) for p in work.parameters]
    inputs = [microgrant.Value(x) for x in work.rows[0]]
    *x, y = inputs
    return work.network.loss(parameters, x, y), inputs, parameters


def compiled(work: Work, target: str) -> tuple[Any, list[Any]]:
    """The step that microgrant makes of that graph, and its parameters."""
    loss, inputs, parameters = recorded(work)
    try:
        return microgrant.compile(loss, inputs, parameters, target=target), parameters
    except ImportError as error:
        raise LeftOutError(str(error)) from None


def microgrant_on_arrays(target: str, work: Work) -> Ready:
    np = load("numpy")
    step, _ = compiled(work, target)
    parameters, rows = np.array(work.parameters), np.array(work.rows)
    return Ready(lambda: step.value_and_grad(parameters, rows), lambda result: as_floats(*result))


def microgrant_python(work: Work) -> Ready:
    step, _ = compiled(work, "python")
    refuse_what_takes_too_long(bind(step.value_and_grad, work.parameters), work.rows)
    return Ready(
        lambda: step.value_and_grad(work.parameters, work.rows), lambda result: as_floats(*result)
    )


def scalar_by_scalar(value: Callable[[float], Any], work: Work) -> Ready:
    """Record the graph of all rows with an engine's Values, and walk back through it."""
    parameters = [value(p) for p in work.parameters]

    def mean_loss(rows: Sequence[Row]) -> Any:
        losses = [work.network.loss(parameters, [*map(value, x)], y) for *x, y in rows]
        return sum(losses[1:], losses[0]) * (1 / len(rows))

    def step(rows: Sequence[Row]) -> Any:
        loss = mean_loss(rows)
        for parameter in parameters:
            parameter.grad = 0.0
        loss.backward()
        return loss

    try:
        refuse_what_takes_too_long(step, work.rows)
    except AttributeError as error:
        raise LeftOutError(f"{error}") from None
    return Ready(
        lambda: step(work.rows), lambda loss: as_floats(loss.data, [p.grad for p in parameters])
    )


def microgrant_eager(work: Work) -> Ready:
    return scalar_by_scalar(microgrant.Value, work)


def micrograd(work: Work) -> Ready:
    return scalar_by_scalar(load("micrograd.engine").Value, work)


# --- By hand --------------------------------------------------------------------------------------


@lru_cache
def c_function(network: Network) -> Any:
    """`value_and_grad` of mlp.c, compiled for a network into a folder that is gone right after."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise LeftOutError("the compiler gcc is not on the PATH")
    macros = {
        "SIZES": ",".join(map(str, network.sizes)),
        "HIDDEN": network.hidden.upper(),
        "OUTPUT": network.output.upper(),
        "LOSS": network.error.upper().replace(" ", "_"),
    }
    source = Path(__file__).with_name("mlp.c")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        library = Path(folder) / "mlp.so"
        command = [gcc, "-O3", "-march=native", "-shared", "-fPIC", "-o", str(library)]
        command += [f"-D{name}={text}" for name, text in macros.items()]
        done = subprocess.run(
            [*command, str(source), "-lm"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LeftOutError(f"gcc fails: {done.stderr.strip()}")
        function = ctypes.CDLL(str(library)).value_and_grad
    doubles = ctypes.POINTER(ctypes.c_double)
    function.argtypes = [doubles, doubles, ctypes.c_long, doubles]
    function.restype = ctypes.c_double
    return function


def c_by_hand(work: Work) -> Ready:
    function = c_function(work.network)
    size, count = work.network.size, len(work.rows)
    parameters = (ctypes.c_double * size)(*work.parameters)
    rows = (ctypes.c_double * (count * len(work.rows[0])))(*itertools.chain(*work.rows))
    gradient = (ctypes.c_double * size)()
    return Ready(
        lambda: function(parameters, rows, count, gradient), lambda loss: as_floats(loss, gradient)
    )


def numpy_by_hand(work: Work) -> Ready:
    np = load("numpy")
    rows = np.array(work.rows)
    inputs, answers = rows[:, :-1], rows[:, -1:]

    functions = {
        "relu": lambda z: np.maximum(z, 0.0),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "linear": lambda z: z,
    }
    slopes = {
        "relu": lambda out: out > 0,
        "tanh": lambda out: 1 - out * out,
        "sigmoid": lambda out: out * (1 - out),
        "linear": lambda out: 1.0,
    }
    kinds = [activation for _, _, activation in work.network.layers()]

    def matrices(flat: Any) -> list[Any]:
        """One for each layer, in which a neuron is a row, and its bias comes last: no copies."""
        found, at = [], 0
        for nin, nout, _ in work.network.layers():
            found.append(flat[at : at + (nin + 1) * nout].reshape(nout, nin + 1))
            at += (nin + 1) * nout
        return found

    def value_and_grad(flat: Any) -> tuple[float, Any]:
        weights, gradient = matrices(flat), np.empty_like(flat)
        values = [inputs]
        for w, kind in zip(weights, kinds, strict=True):
            values.append(functions[kind](values[-1] @ w[:, :-1].T + w[:, -1]))

        if work.network.error == "hinge":
            margin = 1 - answers * values[-1]
            losses, delta = np.maximum(margin, 0.0), -answers * (margin > 0)
        else:
            off = values[-1] - answers
            losses, delta = 0.5 * off * off, off
        delta = delta * slopes[kinds[-1]](values[-1]) / len(rows)

        for place, g in reversed([*enumerate(matrices(gradient))]):
            np.matmul(delta.T, values[place], out=g[:, :-1])
            delta.sum(axis=0, out=g[:, -1])
            if place:
                delta = delta @ weights[place][:, :-1] * slopes[kinds[place - 1]](values[place])
        return losses.mean(), gradient

    flat = np.array(work.parameters)
    return Ready(lambda: value_and_grad(flat), lambda result: as_floats(*result))


# --- Tensors --------------------------------------------------------------------------------------


def batched_loss(
    network: Network,
    layers: Sequence[Sequence[Any]],
    x: Any,
    y: Any,
    linear: Callable[[Any, Any, Any], Any],
    functions: dict[str, Callable[[Any], Any]],
) -> Any:
    """The mean loss over all rows at once, in the words that PyTorch and JAX share."""
    for (w, b), (_, _, activation) in zip(layers, network.layers(), strict=True):
        x = linear(x, w, b)
        if activation != "linear":
            x = functions[activation](x)
    score = x[:, 0]
    if network.error == "hinge":
        return functions["relu"](1 - y * score).mean()
    return (0.5 * (score - y) ** 2).mean()


@dataclass(frozen=True)
class Differentiable:
    """A mean loss, as a library of tensors wants it: a function of parameters and rows.

    parameters: one array, or a list of tensors.
    flat: makes a list of floats of parameters, or of their gradients, in the order of ours.
    """

    loss: Callable[[Any, Any], Any]
    parameters: Any
    rows: Any
    flat: Callable[[Any], list[float]]


def in_torch(work: Work) -> Differentiable:
    torch = load("torch")
    torch.set_num_threads(1)
    rows = torch.tensor(work.rows, dtype=torch.float64)
    columns = rows[:, :-1].contiguous(), rows[:, -1].contiguous()
    functions = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    leaves, take = [], iter(work.parameters)
    for nin, nout, _ in work.network.layers():
        drawn = [[*itertools.islice(take, nin + 1)] for _ in range(nout)]
        matrix = torch.tensor(drawn, dtype=torch.float64)
        leaves += [part.contiguous().requires_grad_() for part in (matrix[:, :-1], matrix[:, -1])]

    def loss(leaves: Any, columns: Any) -> Any:
        layers = [*zip(leaves[::2], leaves[1::2], strict=True)]
        linear = torch.nn.functional.linear
        return batched_loss(work.network, layers, *columns, linear, functions)

    def flat(tensors: Any) -> list[float]:
        pairs = zip(tensors[::2], tensors[1::2], strict=True)
        return torch.cat([torch.column_stack([w, b]).flatten() for w, b in pairs]).tolist()

    return Differentiable(loss, leaves, columns, flat)


def pytorch(work: Work) -> Ready:
    torch, it = load("torch"), in_torch(work)

    def step() -> Any:
        loss = it.loss(it.parameters, it.rows)
        return loss.detach(), torch.autograd.grad(loss, it.parameters)

    return Ready(step, lambda result: (float(result[0]), it.flat(result[1])))


JAX_SETTINGS = {"jax_enable_x64": True, "jax_cpu_enable_async_dispatch": False}
"""Where each step is waited for, handing it to another thread costs more than it brings."""


def set_up_jax() -> Any:
    jax = load("jax")
    for name, setting in JAX_SETTINGS.items():
        jax.config.update(name, setting)
    return jax


def in_jax(work: Work) -> Differentiable:
    jax = set_up_jax()
    functions = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh, "sigmoid": jax.nn.sigmoid}

    def loss(flat: Any, columns: Any) -> Any:
        layers, at = [], 0
        for nin, nout, _ in work.network.layers():
            matrix = flat[at : at + (nin + 1) * nout].reshape(nout, nin + 1)
            layers.append((matrix[:, :-1], matrix[:, -1]))
            at += (nin + 1) * nout
        linear = lambda x, w, b: x @ w.T + b  # noqa: E731
        return batched_loss(work.network, layers, *columns, linear, functions)

    rows = jax.numpy.array(work.rows)
    flat = jax.numpy.array(work.parameters)
    return Differentiable(loss, flat, (rows[:, :-1], rows[:, -1]), lambda flat: flat.tolist())


def jax_jit(work: Work) -> Ready:
    jax, it = set_up_jax(), in_jax(work)
    value_and_grad = jax.jit(jax.value_and_grad(it.loss))
    return Ready(
        lambda: jax.block_until_ready(value_and_grad(it.parameters, it.rows)),
        lambda result: (float(result[0]), it.flat(result[1])),
    )


# --- Whole steps, with Adam -----------------------------------------------------------------------

RATE, BETAS, EPS = 1e-4, (0.9, 0.999), 1e-8


def adam_in_jax(it: Differentiable, steps: int) -> Ready:
    """The update is part of what is compiled, and its memory may be used again."""
    jax, jnp = set_up_jax(), load("jax.numpy")
    (beta1, beta2), value_and_grad = BETAS, jax.value_and_grad(it.loss)

    def step(p: Any, mean: Any, square: Any, count: Any, rows: Any) -> Any:
        loss, gradient = value_and_grad(p, rows)
        count += 1
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient * gradient
        root = jnp.sqrt(square) / jnp.sqrt(1 - beta2**count) + EPS
        return loss, p - RATE / (1 - beta1**count) * mean / root, mean, square, count

    compiled = jax.jit(step, donate_argnums=(0, 1, 2, 3))
    zeros = jnp.zeros_like(it.parameters)
    state = [jnp.array(it.parameters), zeros, jnp.array(zeros), jnp.zeros(())]

    def train() -> float:
        nonlocal state
        for _ in range(steps):
            loss, *state = compiled(*state, it.rows)
        return float(jax.block_until_ready(loss))

    return Ready(train, lambda loss: (loss, it.flat(state[0])))


def adam_in_torch(it: Differentiable, steps: int) -> Ready:
    """Its fused optimiser, which updates all parameters in one call."""
    torch = load("torch")
    optimizer = torch.optim.Adam(it.parameters, lr=RATE, betas=BETAS, eps=EPS, fused=True)

    def train() -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = it.loss(it.parameters, it.rows)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    return Ready(train, lambda loss: (loss, it.flat([p.detach() for p in it.parameters])))


# --- Compilers of scalar graphs -------------------------------------------------------------------


CHUNK = 100
"""Rows that CasADi and ddx-ad get in one call: with many more, both become slow."""


def chunks(rows: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


@lru_cache
def casadi_row(network: Network) -> Any:
    """The loss and gradient of one row, as a function for CasADi's virtual machine."""
    casadi = load("casadi")
    functions = {
        "relu": lambda z: casadi.fmax(z, 0.0),
        "tanh": casadi.tanh,
        "sigmoid": lambda z: 1 / (1 + casadi.exp(-z)),
    }
    parameters = casadi.SX.sym("parameters", network.size)
    row = casadi.SX.sym("row", network.sizes[0] + 1)
    *x, y = casadi.vertsplit(row)
    loss = network.loss(casadi.vertsplit(parameters), x, y, lambda name, z: functions[name](z))
    outputs = [loss, casadi.gradient(loss, parameters)]
    return casadi.Function("row", [parameters, row], outputs, ["p", "r"], ["loss", "gradient"])


@lru_cache
def casadi_rows(network: Network, count: int) -> Any:
    """The same over so many rows, one after another, both results summed."""
    return casadi_row(network).map("rows", "serial", count, ["p"], ["loss", "gradient"])


def casadi_sx(work: Work) -> Ready:
    np = load("numpy")
    parameters, count = np.array(work.parameters), len(work.rows)
    loss, gradient = np.zeros(1), np.zeros(work.network.size)
    calls = []
    for chunk in chunks(work.rows):
        rows = np.array(chunk)
        buffer, run = casadi_rows(work.network, len(chunk)).buffer()
        buffer.set_arg(0, memoryview(parameters))
        buffer.set_arg(1, memoryview(rows))
        buffer.set_res(0, memoryview(loss))
        buffer.set_res(1, memoryview(gradient))
        calls.append((run, buffer, rows))  # `run` does not keep the others

    def step() -> Any:
        total, mean = 0.0, np.zeros(len(parameters))
        for run, *_ in calls:
            run()
            total += loss[0]
            mean += gradient
        return total / count, mean / count

    return Ready(step, lambda result: as_floats(*result))


@lru_cache
def ddx_row(network: Network) -> Any:
    """The loss of one row as an equation of ddx-ad, compiled by its LLVM backend."""
    ddx = load("ddx")
    if not ddx.has_jit:
        raise LeftOutError("this copy of ddx-ad was built without its compiler")
    functions = {
        "relu": lambda z: ddx.max(z, 0.0),
        "tanh": ddx.tanh,
        "sigmoid": lambda z: 1.0 / (1.0 + ddx.exp(-z)),
    }

    def model() -> Any:
        parameters = [ddx.var(f"p{i}") for i in range(network.size)]
        x = [ddx.param(f"x{i}") for i in range(network.sizes[0])]
        return network.loss(parameters, x, ddx.param("y"), lambda name, z: functions[name](z))

    return ddx.equation(model).compile(points=CHUNK, cache_dir="")


def ddx_ad(work: Work) -> Ready:
    np, equation = load("numpy"), ddx_row(work.network)
    parameters, size, count = np.array(work.parameters), work.network.size, len(work.rows)
    calls = []
    for chunk in chunks(work.rows):
        points = np.empty((size + len(chunk[0]), len(chunk)))
        points[size:] = np.array(chunk).T
        calls.append((equation.buffer(points), np.ones(len(chunk))))

    def step() -> Any:
        total, mean = 0.0, np.zeros(size)
        for call, ones in calls:
            call.x[:size] = parameters[:, None]  # it wants them again for each row
            call()  # and returns the gradient of each
            total += call.value.sum()
            mean += call.jacobian @ ones
        return total / count, mean / count

    return Ready(step, lambda result: as_floats(*result))


PARTICIPANTS: dict[str, Participant] = {
    "microgrant, native": bind(microgrant_on_arrays, "native"),
    "microgrant, NumPy": bind(microgrant_on_arrays, "numpy"),
    "microgrant, Python": microgrant_python,
    "microgrant, eager": microgrant_eager,
    "micrograd": micrograd,
    "C by hand": c_by_hand,
    "NumPy by hand": numpy_by_hand,
    "PyTorch": pytorch,
    "JAX jit": jax_jit,
    "CasADi SX": casadi_sx,
    "ddx-ad": ddx_ad,
}
