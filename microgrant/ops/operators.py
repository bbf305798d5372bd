"""Python's operators, each as the operation of the table that it stands for: one list for all.

With this module you can

- make a class whose arithmetic is recorded:     subclass `Operators`, and define `_operate`

A `Value` computes and records what it is asked for, a `Term` writes it down, a `Register` appends
it to a program: so one rule of the table runs on all three.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

__all__ = ["Operators"]

Operand = TypeVar("Operand")
Result = TypeVar("Result")
Truth = TypeVar("Truth")


class Operators(Generic[Operand, Result, Truth]):
    """What has Python's operators. They take an Operand, and make a Result; comparisons, a Truth.

    >>> class Words(Operators[object, str, str]):
    ...     def _operate(self, operation, *operands):
    ...         return f"{operation}{operands}"
    ...
    ...     _compare = _operate
    ...
    ...     def __repr__(self):
    ...         return "x"
    >>> 2 * Words(), -Words(), Words() > 3
    ('mul(2, x)', 'neg(x,)', '>(x, 3)')
    """

    __slots__ = ()

    def _operate(self, operation: str, *operands: Any) -> Result:
        """What an operation of the table, given by its name, makes of operands."""
        raise NotImplementedError

    def _compare(self, relation: str, left: Any, right: Any) -> Truth:
        """What a relation, such as "<", makes of operands."""
        raise NotImplementedError

    def __add__(self, other: Operand) -> Result:
        return self._operate("add", self, other)

    def __radd__(self, other: Operand) -> Result:
        return self._operate("add", other, self)

    def __sub__(self, other: Operand) -> Result:
        return self._operate("sub", self, other)

    def __rsub__(self, other: Operand) -> Result:
        return self._operate("sub", other, self)

    def __mul__(self, other: Operand) -> Result:
        return self._operate("mul", self, other)

    def __rmul__(self, other: Operand) -> Result:
        return self._operate("mul", other, self)

    def __truediv__(self, other: Operand) -> Result:
        return self._operate("div", self, other)

    def __rtruediv__(self, other: Operand) -> Result:
        return self._operate("div", other, self)

    def __mod__(self, other: Operand) -> Result:
        return self._operate("mod", self, other)

    def __rmod__(self, other: Operand) -> Result:
        return self._operate("mod", other, self)

    def __pow__(self, other: Operand, modulus: Operand | None = None) -> Result:
        if modulus is not None:  # pow(x, 2, 3)
            power: Any = self**other
            return power % modulus  # type: ignore[no-any-return]
        return self._operate("pow", self, other)

    def __rpow__(self, other: Operand) -> Result:
        return self._operate("pow", other, self)

    def __neg__(self) -> Result:
        return self._operate("neg", self)

    def __abs__(self) -> Result:
        return self._operate("abs", self)

    def __lt__(self, other: Operand) -> Truth:
        return self._compare("<", self, other)

    def __le__(self, other: Operand) -> Truth:
        return self._compare("<=", self, other)

    def __gt__(self, other: Operand) -> Truth:
        return self._compare(">", self, other)

    def __ge__(self, other: Operand) -> Truth:
        return self._compare(">=", self, other)

    # A rule asks `x == 0` of its operands, so `==` is recorded like the other comparisons.
    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compare("==", self, other)

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compare("!=", self, other)

    __hash__ = object.__hash__
