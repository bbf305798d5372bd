"""A program by NumPy, for all rows at once: where there is no native code, as in a browser.

With this module you can

- run a program by NumPy:     machine = NumpyMachine(Job(program, outputs, …))
"""

from __future__ import annotations

from functools import lru_cache

from ..extras import imported
from .arrays import NAMES, Array, Arrays, Words, shared_words
from .machine import Machine
from .program import Job
from .sums import SumProgram
from .tables import Buffer, numpy

__all__ = ["WORDS", "NumpyMachine"]

WORDS = NAMES
"""What computes an operation in NumPy. Others of the table are made of these, as in native code."""

# Numbers that a step computes at once, on average: some tens of kilobytes, which fit into a cache,
# and take much longer than the call.
BLOCK = 2**13
# Instructions that a step stands for, on average: for one row, Python computes hundreds of them in
# the time of a step. From so many on NumPy is the faster one, if there are twenty rows or so.
PAYS = 64


@lru_cache(maxsize=1)
def words() -> Words:
    """The functions that compute operations."""
    return shared_words(numpy()) | {"products": products, "totals": totals}


def products(left: Array, right: Array) -> Array:
    """...bik, ...bjk -> ...bij: lines of all rows are those of one large matrix, where the other
    side is the same for all of them."""
    if left.ndim > right.ndim:
        return products(right, left).swapaxes(-1, -2)
    if left.ndim == right.ndim:
        return left @ right.swapaxes(-1, -2)
    rows, number, lines, length = right.shape
    right = right.swapaxes(0, 1).reshape(number, rows * lines, length)
    found = right @ left.swapaxes(-1, -2)
    return found.reshape(number, rows, lines, -1).transpose(1, 0, 3, 2)


def totals(left: Array, right: Array) -> Array:
    """nbik, nbjk -> bij: positions of all rows are those of one long line."""
    left, right = (
        side.transpose(1, 2, 0, 3).reshape(*side.shape[1:3], -1) for side in (left, right)
    )
    return left @ right.swapaxes(-1, -2)


class NumpyMachine(Machine):
    """Has NumPy compute a program, as many rows at a time as are good for its memory.

    pays: whether it is faster than Python: not for a few numbers, nor for a long chain of them.
    """

    target = "numpy"
    primitives = frozenset(WORDS)
    program = SumProgram
    word = "word in WORDS of microgrant/compiler/by_numpy.py"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.arrays = Arrays(job)
        self.pays = self.arrays.size >= PAYS
        self.block = max(1, int(BLOCK / max(1.0, self.arrays.width)))

    @classmethod
    def prepare(cls) -> None:
        """Import NumPy."""
        imported("numpy", "numpy")

    def run(self, parameters: Buffer, rows: Buffer, number_of_rows: int) -> Buffer:
        """The outputs, by NumPy."""
        np = numpy()
        table = np.asarray(rows).reshape(number_of_rows, -1)
        with np.errstate(all="ignore"):
            return self.arrays(np, words(), np.asarray(parameters), table, self.block).ravel()
