"""A program for JAX: a pure function, which XLA runs on a processor, a GPU, a TPU or a cluster.

With this module you can

- run a program by JAX:                  machine = JaxMachine(Job(program, outputs, …))
- have a mean loss for `jax.grad`:       f = mean_function(value, step, by_rows, others)
- have outputs for `jax.vjp`:            f = outputs_function(value, by_parameters, by_rows, others)

`Step.function` and `Predictor.function` give these to users. Derivatives are those of the program,
and so of the table of operations, at kinks and where a branch is not taken as well: JAX is told
them, and does not look for its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial as bind
from typing import Any, TypeAlias

from ..extras import imported
from .arrays import NAMES, Array, Arrays, Words, shared_words
from .machine import Machine
from .program import Job
from .sums import SumProgram
from .tables import Buffer, listing, numpy

__all__ = ["WORDS", "Function", "JaxMachine", "mean_function", "outputs_function", "pure"]

Function: TypeAlias = Callable[..., Array]
"""A function of arrays: mostly of the parameters and the rows."""

# What computes an operation in JAX. Others of the table are made of these, as in native code: JAX
# has a maximum as well, but of -0.0 and 0.0 it may take the other.
FURTHER = {
    "erf": "jax.scipy.special.erf",
    "erfc": "jax.scipy.special.erfc",
    "normal_cdf": "jax.scipy.special.ndtr",
    "sigmoid": "jax.nn.sigmoid",
}
WORDS = {operation: f"jax.numpy.{name}" for operation, name in NAMES.items()} | FURTHER
# XLA makes a / (b · c) of a / b / c, exp(a + b) of exp(a) · exp(b), and b · log |a| of log(aᵇ):
# other numbers, where ours are 0, inf or nan. It does not look past a barrier.
BARRED = ("div", "exp", "exp2", "pow")


@lru_cache(maxsize=1)
def words() -> Words:
    """The functions that compute operations."""
    jax = the_jax()
    np, barrier = jax.numpy, jax.lax.optimization_barrier
    found: dict[str, Function] = shared_words(np) | {
        "products": bind(np.einsum, "...bik,...bjk->...bij", precision="highest"),
        "totals": bind(np.einsum, "nbik,nbjk->bij", precision="highest"),
    }
    for operation, path in FURTHER.items():
        module, _, name = path.rpartition(".")
        found[operation] = getattr(importlib.import_module(module), name)
    for operation in BARRED:
        found[operation] = bind(_behind, barrier, found[operation])
    return found


def _behind(barrier: Function, function: Function, *operands: Array) -> Array:
    return barrier(function(*operands))


def the_jax() -> Any:
    """JAX, if it is installed; else an ImportError that says what brings it."""
    return imported("jax", "microgrant[jax]")


def doubles() -> Any:
    """A block in which JAX has numbers of 64 bits; outside of it, everything is as it was."""
    jax = the_jax()
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()


class JaxMachine(Machine):
    """Has XLA run a program, with numbers of 64 bits, whatever JAX is set to.

    It is compiled at the first call, and again for each new number of rows.
    """

    target = "jax"
    primitives = frozenset(WORDS)
    program = SumProgram
    word = "word in WORDS of microgrant/compiler/xla.py"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.arrays: Function = bind(Arrays(job), the_jax().numpy, words())
        self.compiled = the_jax().jit(self.arrays)

    @classmethod
    def prepare(cls) -> None:
        """Import JAX."""
        the_jax()

    def run(self, parameters: Buffer, rows: Buffer, number_of_rows: int) -> Buffer:
        """The outputs, by XLA."""
        np = numpy()
        with doubles():
            table = np.asarray(rows).reshape(number_of_rows, -1)
            return np.array(self.compiled(np.asarray(parameters), table)).ravel()

    def beside(self, others: Sequence[float]) -> Function:
        """The program as a function of rows and of the parameters alone, without other leaves."""
        np, program = the_jax().numpy, self.arrays

        def function(parameters: Array, rows: Array) -> Array:
            kept = np.asarray(others, parameters.dtype)
            return program(np.concatenate([parameters, kept]), rows)

        return function


Later: TypeAlias = Callable[[], JaxMachine]
"""Makes a program when it is needed for the first time."""


def mean_function(value: JaxMachine, step: JaxMachine, by_rows: Later, others: Buffer) -> Function:
    """The mean loss over rows.

    value, step: the program of the mean loss, and of it and then its gradient by the parameters.
    by_rows: the program of the gradients of each row's loss by the inputs.
    others: the numbers of other leaves.
    """
    jax = the_jax()
    zero = jax.custom_derivatives.SymbolicZero

    def mean(parameters: Array, rows: Array) -> Array:
        return value.beside(others)(parameters, rows)[0]

    def derivative(given: tuple[Array, Array], changes: tuple[Array, Array]) -> tuple[Array, Array]:
        (_, rows), (of_parameters, of_rows) = given, changes
        found = step.beside(others)(*given)
        change = jax.numpy.zeros_like(found[0])
        if type(of_parameters) is not zero:  # 0 times a gradient may be nan
            change += (found[1:] * of_parameters).sum()
        if type(of_rows) is not zero:
            change += (by_rows().beside(others)(*given) * of_rows).sum() / len(rows)
        return found[0], change

    function = jax.custom_jvp(mean)
    function.defjvp(derivative, symbolic_zeros=True)
    return function  # type: ignore[no-any-return]


def outputs_function(
    value: JaxMachine, by_parameters: Later, by_rows: Later, others: Buffer
) -> Function:
    """The outputs of each row.

    by_parameters, by_rows: programs of the gradients of all outputs, each times the number that
        stands for it in further columns of the rows; by the parameters the mean over the rows.
    """
    jax = the_jax()

    def forward(parameters: Array, rows: Array) -> tuple[Array, tuple[Array, Array]]:
        return value.beside(others)(parameters, rows), (parameters, rows)

    def backward(given: tuple[Array, Array], above: Array) -> tuple[Array, Array]:
        parameters, rows = given
        table = jax.numpy.concatenate([rows, above], axis=1)
        return (
            by_parameters().beside(others)(parameters, table) * len(rows),
            by_rows().beside(others)(parameters, table),
        )

    function = jax.custom_vjp(value.beside(others))
    function.defvjp(forward, backward)
    return function  # type: ignore[no-any-return]


def pure(function: Function, count: int, columns: Sequence[str]) -> Function:
    """A function as users call it: with any arrays of real numbers, whose precision it takes.

    A ValueError says what shape the parameters, `count` of them, or the rows are to have; and a
    TypeError that complex numbers are none.
    """
    jax = the_jax()
    np = jax.numpy

    def checked(parameters: Array, rows: Array = None) -> Array:
        parameters = np.asarray(parameters)
        rows = np.zeros((1, 0), parameters.dtype) if rows is None else np.asarray(rows)
        if parameters.shape != (count,):
            raise ValueError(
                f"parameters is a flat array of {count} numbers, but its shape is "
                f"{parameters.shape}"
            )
        if rows.ndim != 2 or rows.shape[1] != len(columns) or not len(rows):
            raise ValueError(
                f"rows is a table of {listing(columns)} in each row, but its shape is {rows.shape}"
            )
        kind = np.result_type(float, parameters, rows)
        if np.issubdtype(kind, np.complexfloating):
            raise TypeError(f"expected real numbers, but got an array of {kind}")
        return function(parameters.astype(kind), rows.astype(kind))

    return jax.jit(checked)  # type: ignore[no-any-return]
