"""What a program can be compiled for: one entry for each target.

With this module you can

- see what there is:             sorted(MACHINES)
- build what runs best here:     machine = machine_for(build, "auto")

A target is a subclass of `Machine`. To have one more, write it, and enter it in `MACHINES`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TypeAlias

from ..engine.modes import warn
from ..extras import what_brings
from ..ops.table import OPERATIONS, Operation
from .by_numpy import NumpyMachine
from .machine import JavaScriptMachine, Machine, NativeMachine, PythonMachine
from .program import Job
from .tables import numpy
from .xla import JaxMachine

__all__ = ["MACHINES", "TargetWarning", "checked_target", "machine_for"]

MACHINES: dict[str, type[Machine]] = {
    kind.target: kind
    for kind in (NativeMachine, NumpyMachine, PythonMachine, JavaScriptMachine, JaxMachine)
}
"""The targets by name. Besides there is "auto": native code where that can be had; or NumPy, where
it is installed and pays; or Python."""

Build: TypeAlias = Callable[[type[Machine]], Job]
"""Writes a program for a kind of machine."""


class TargetWarning(UserWarning):
    """The program runs as Python or by NumPy, though native code was to be had."""


def checked_target(target: str, *others: str) -> str:
    """The name of a target, "auto", or one of the others; else a ValueError that lists them.

    >>> checked_target("gpu")
    Traceback (most recent call last):
        ...
    ValueError: the target is "auto", "native", "numpy", "python", "javascript" or "jax", but got
        'gpu'
    """
    names = ["auto", *MACHINES, *others]
    if not isinstance(target, str) or target not in names:
        *first, last = (f'"{name}"' for name in names)
        raise ValueError(f"the target is {', '.join(first)} or {last}, but got {target!r}")
    return target


def machine_for(build: Build, target: str, quiet: bool = False) -> Machine:
    """The machine for a target; with "auto" the native one where there is one, and the fastest of
    the others where there is not.

    An ImportError says what to install when a target is asked for in vain, and a ValueError which
    operation it does not know. With "auto", a `TargetWarning` says why the program is not native,
    unless it is to be `quiet`.
    """
    if target != "auto":
        kind = MACHINES[checked_target(target)]
        kind.prepare()
        job = build(kind)
        if reason := unknown(kind, job):
            raise ValueError(f'{reason}: its target is "python", or "auto"')
        return kind(job)
    machine, hint = None, ""
    try:
        NativeMachine.prepare()
    except ImportError:
        reason = "llvmlite is not installed"
        hint = f": {what_brings('llvmlite', 'microgrant[native]')}"
        machine = by_numpy(build)
    else:
        job = build(NativeMachine)
        reason = unknown(NativeMachine, job)
        if not reason:
            return NativeMachine(job)
    if not quiet:
        runs = "by NumPy" if machine else "as Python"
        warn(f"{reason}, so this runs {runs}{hint}", TargetWarning)
    return machine or PythonMachine(build(PythonMachine))


def by_numpy(build: Build) -> Machine | None:
    """The machine of NumPy, where it is installed and faster than Python."""
    if numpy() is None:
        return None
    job = build(NumpyMachine)
    machine = None if unknown(NumpyMachine, job) else NumpyMachine(job)
    return machine if machine and machine.pays else None


def unknown(kind: type[Machine], job: Job) -> str:
    """Which operation a target does not know, in words; nothing if it knows them all."""
    for operation in dict.fromkeys(map(attrgetter("operation"), job.registers)):
        if isinstance(operation, Operation):
            if refusal := kind.refusal(operation):
                return f"your own operation {operation.name!r} {refusal}"
        elif operation in OPERATIONS and operation not in kind.primitives:
            return f"the operation {operation!r} has no {kind.word}"
    return ""
