"""Compile the recorded step: the graph that was drawn becomes the program that trains.

With this module you can

- compile the loss of one example:           step = compile(loss, inputs=[*x, y], parameters=ps)
- run the step over many examples:           mean_loss = step(rows)
- train, update and all:                     losses = step.train(rows, optimizer, epochs=100)
- have it as a function of plain arrays:     loss, gradient = step.value_and_grad(numbers, rows)
- read what was compiled:                    print(step.source)
- have it in JavaScript, for a page:         compile(…, target="javascript").source
- have it for JAX, and so for a GPU:         compile(…, target="jax").function
- compile a predictor:                       predict = compile(score, inputs=x); predict(rows)
- have it run in other processes:            pool.submit(step.value_and_grad, numbers, rows)

With llvmlite (``pip install 'microgrant[native]'``) the program runs as native code, several rows
at once, and many rows on all cores; without it, by NumPy, where that pays, or as Python.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from math import isfinite
from typing import Any, ClassVar, TypeAlias, overload

from ..engine import modes
from ..engine.arguments import shown, unboxed, whole_number
from ..engine.conditions import whole_order
from ..engine.value import NO_GRADIENT, Value
from ..nn import Noise
from ..optim import Optimizer, Schedule, checked_optimizer, checked_schedule, constant
from .descent import Batches, Descent, Losses, Steps, checked_clip, descent_of
from .landing import known, landed, new_mark
from .listing import listing
from .machine import Machine
from .program import Job, Program, Register
from .sums import SumProgram
from .tables import Buffer, as_rows, empty, flat, table
from .targets import machine_for
from .xla import Function, JaxMachine, mean_function, outputs_function, pure

__all__ = ["DecisionWarning", "Predictor", "Step", "compile"]

Values: TypeAlias = Iterable[Value]
Outputs: TypeAlias = Callable[[Program], list[Register]]


DECIDING = (
    "relu, maximum, abs, clip, or microgrant.where(condition, a, b) with &, | and ~ in its "
    "condition instead of and, or, not: these decide for each row (NumPy decides for its arrays: "
    "give these their elements, and of one without dimensions its .item())"
)
"""What to write instead of an `if`."""


class DecisionWarning(UserWarning):
    """Python decided something by a number that differs from row to row."""


@overload
def compile(
    outputs: Value, inputs: Values = ..., parameters: None = ..., *, target: str = ...
) -> Predictor: ...
@overload
def compile(outputs: Value, inputs: Values, parameters: Values, *, target: str = ...) -> Step: ...
@overload
def compile(
    outputs: Value, inputs: Values = ..., *, parameters: Values, target: str = ...
) -> Step: ...
@overload
def compile(
    outputs: Values, inputs: Values = ..., parameters: Values | None = ..., *, target: str = ...
) -> Predictor: ...
def compile(
    outputs: Value | Values,
    inputs: Values = (),
    parameters: Values | None = None,
    *,
    target: str = "auto",
) -> Step | Predictor:
    """The program of a recorded graph: a `Step` that trains, or a `Predictor`.

    outputs: the loss of one example: then a `Step` comes out. Or what is to be predicted: a list of
        Values or, without parameters, one Value.
    inputs: the leaves that differ from row to row, in the order of the columns.
    parameters: the leaves that training changes. Their `.data` is read at each call.
    target: one of `microgrant.compiler.targets`: "native" for machine code by LLVM, "numpy" for
        NumPy, "python" for Python. "auto" is native where llvmlite is installed; where it is not,
        "numpy" if NumPy is there and the program repeats itself, as that of a network does, and
        else "python". With "javascript", `source` is for pages; to call it here takes Node, which
        starts anew for each call. With "jax", `function` is for JAX; to call it here takes JAX,
        which compiles anew for each new number of rows.

    All other leaves, too, are read at each call: a predictor that was compiled before a training
    predicts with what was learned. Only numbers, such as the 2 of ``2 * x``, stay what they were.

    Both can be pickled, and so sent to other processes and machines: they travel as their graph,
    and are compiled where they are first called; "auto" is decided there. In one pickle with its
    model, a step stays the step of that model.

    What Python decided while the graph was recorded stays decided for every row. `relu`,
    `maximum`, `abs`, `clip` and ``where(x > 0, …)`` are part of the graph and decide anew for each
    row; an ``if x > 0:`` is not, and gets a `DecisionWarning`. So does what NumPy chooses in an
    array of Values: np.where, np.sort, np.maximum of two arrays. A decision cannot be seen where
    the number was taken out first, as in ``if x.data > 0:``, nor in how often a loop ran.

    A ValueError or TypeError says which input is not in the graph, or which parameter is no leaf.
    Parameters that the outputs do not depend on get no gradient, as in `Value.backward`; if none of
    them is in the graph, that is an error.

    The numbers are those of the eager engine, to rounding. Only where inf or nan come up, and what
    is the same for all rows was computed once for all of them, one may stand for the other. With
    "numpy", as with "jax", a sum of products that is -0.0 comes out as 0.0.

    >>> from microgrant import Value, compile
    >>> w, b = Value(0.5, "w"), Value(0.0, "b")
    >>> x, y = Value(0.0, "x"), Value(0.0, "y")
    >>> loss = (w * x + b - y) ** 2
    >>> step = compile(loss, inputs=[x, y], parameters=[w, b])
    >>> for _ in range(200):
    ...     mean_loss = step([[0, 1], [1, 3], [2, 5]])  # points of the line y = 2x + 1
    ...     for p in (w, b):
    ...         p.data -= 0.2 * p.grad
    ...         p.grad = 0.0
    >>> print(f"{mean_loss:.6f} {w.data:.3f} {b.data:.3f}")
    0.000000 2.000 1.000
    >>> predict = compile(w * x + b, inputs=[x])
    >>> first, second = predict([[10], [20]])
    >>> print(f"{first:.2f} {second:.2f}")
    21.00 41.00
    """
    outputs = unboxed(outputs)
    if isinstance(outputs, Value) and parameters is not None:
        return Step(outputs, inputs, parameters, target)
    return Predictor(outputs, inputs, () if parameters is None else parameters, target)


class Compiled:
    """What `Step` and `Predictor` have in common: a graph, and the programs made of it.

    leaves: what is read at each call: the parameters, and then the other leaves.
    """

    _per_row: ClassVar[bool]

    def __init__(
        self, outputs: Value | Values, inputs: Values, parameters: Values = (), target: str = "auto"
    ) -> None:
        self._single, self._wanted = isinstance(outputs, Value), target
        wanted = "compile needs a Value or a list of Values"
        given = [outputs] if self._single else outputs
        self._roots = listed_values("outputs", given, wanted, "compile needs Values")
        if not self._roots:
            raise ValueError("compile needs at least one Value, but outputs is empty")
        self._inputs = checked_leaves("inputs", inputs)
        self._parameters = checked_leaves("parameters", parameters)
        self._columns = [x.label for x in self._inputs]
        # In a dictionary, as sets have an order that differs from run to run.
        leaves = dict.fromkeys(
            x for x in self._order if isinstance(x, Value) and x.operation is None
        )
        # What an operator made a leaf of, such as the 2 of 2 * x, is nobody's to change.
        listed = {*self._inputs, *self._parameters}
        others = [x for x in leaves if x not in listed and not x._constant]
        self.leaves = [*self._parameters, *others]
        self._check_leaves(leaves)
        self._mark = new_mark()
        self._run = known[self._mark, "run"] = self._machine(self._outputs)

    @cached_property
    def _order(self) -> list[Any]:
        with no_collector():
            return whole_order(*self._roots)

    def _outputs(self, program: Program) -> list[Register]:
        raise NotImplementedError

    @property
    def parameters(self) -> list[Value]:
        """The leaves that training changes; of a step out of a pickle, those that came with it."""
        return [*self._parameters]

    @property
    def target(self) -> str:
        """What runs: "native", "numpy", "python", "javascript" or "jax"."""
        return self._run.target

    @property
    def source(self) -> str:
        """The program in Python, or in JavaScript if that is the target: ``run(parameters, rows)``.

        Of a `Step` it has the forward pass, then the backward pass, and returns the mean loss and
        the mean gradients; of a `Predictor` it returns the outputs for each of the rows. Leaves
        that are neither inputs nor parameters stand in it as the numbers that they hold now. What
        repeats itself, as the neurons of a layer do, is written as loops over lists.
        `microgrant.compiler.source` says how a page trains with it.
        """
        language = type(self._run).source
        job = self._job(SumProgram(language.primitives), self._outputs, self._parameters)
        text = listing(language, job)
        job.program.close()
        return text

    def _check_leaves(self, leaves: dict[Value, None]) -> None:
        inputs, parameters = set(self._inputs), set(self._parameters)
        for place, x in enumerate(self._inputs):
            if x in parameters:
                raise ValueError(f"{which('inputs', place, x)} is among the parameters as well")
            if x not in leaves:
                # A choice between two Values is noted on what was compared, here or not.
                noted = (*self._inputs, *self._order)
                lines = {str(v._decided_at): None for v in noted if hasattr(v, "_decided_at")}
                decided = f". A decision was made on Values ({'; '.join(lines)}): if it chose "
                decided += f"another Value in its place, use {DECIDING}"
                raise ValueError(
                    f"the graph does not contain {which('inputs', place, x)}: is it the very Value "
                    "that the outputs were computed from, outside of no_grad()? If they do not "
                    f"depend on it, leave it out{decided * bool(lines)}"
                )
        if any(isinstance(x, Noise) and x not in inputs for x in leaves):
            raise ValueError(
                "the graph holds random numbers that Dropout drew, which would be the same for "
                "every row and every step: list microgrant.nn.noise_in(outputs) among the "
                "inputs, or call model.eval() before recording"
            )
        # Without other leaves, there is no other model that could have been meant.
        others = len(self.leaves) > len(self._parameters) and len(self._order) > 1
        if others and self._parameters and leaves.keys().isdisjoint(self._parameters):
            raise ValueError(
                "the graph contains none of the parameters: are they those of the model that the "
                "outputs were computed from?"
            )

    def _machine(
        self,
        outputs_of: Outputs,
        quiet: bool = False,
        decisions: bool = True,
        per_row: bool | None = None,
        more_inputs: Sequence[Value] = (),
    ) -> Machine:
        jobs = []

        def build(kind: type[Machine]) -> Job:
            program = kind.program(kind.primitives)
            jobs.append(self._job(program, outputs_of, self.leaves, per_row, more_inputs))
            return jobs[-1]

        with no_collector():
            machine = machine_for(build, self._wanted, quiet)
            if decisions and not quiet:
                self._warn_of_decisions(jobs[0].program)
            for job in jobs:
                job.program.close()
        return machine

    def _job(
        self,
        program: Program,
        outputs_of: Outputs,
        parameters: list[Value],
        per_row: bool | None = None,
        more_inputs: Sequence[Value] = (),
    ) -> Job:
        inputs = [*self._inputs, *more_inputs]
        program.record(self._order, inputs, parameters, self._roots)
        per_row = self._per_row if per_row is None else per_row
        outputs = outputs_of(program)
        program.finish()
        return Job(program, outputs, len(inputs), len(parameters), per_row)

    def _gradients(
        self, program: Program, roots: Mapping[Value, Register], leaves: Sequence[Value]
    ) -> list[Register]:
        """The gradients of leaves; 0 for one out of reach."""
        gradients = program.differentiate(roots, self._order, leaves)
        return [program.constant(0.0) if x is None else x for x in gradients]

    def _others(self) -> Buffer:
        """The numbers that leaves hold now, which are neither parameters nor inputs."""
        return self._present()[len(self._parameters) :]

    def _for_jax(self, machine: Machine) -> JaxMachine:
        if isinstance(machine, JaxMachine):
            return machine
        raise AttributeError(
            f"what was compiled for {self.target!r} has no function for JAX: compile it with "
            'target="jax"'
        )

    def _warn_of_decisions(self, program: Program) -> None:
        # What reached a parameter by way of a result, such as an earlier loss, says nothing here.
        lines = {
            str(x._decided_at): None
            for x in self._order
            if hasattr(x, "_decided_at") and program.register_of(x).operation != "constant"
            if program.register_of(x).operation != "parameter" or type(x._decided_at) is str
        }
        if lines:
            modes.warn(
                f"a decision was made on Values of this graph ({'; '.join(lines)}). If it shaped "
                f"the graph, it is now the same for every row: use {DECIDING}. If it did not, "
                "nothing is wrong (compare .data, and this will not be said)",
                DecisionWarning,
            )

    def _rows(self, rows: Any) -> tuple[Buffer, int]:
        if self._columns:
            if rows is None:
                raise TypeError(f"rows is missing: a table of {len(self._columns)} columns")
            return table(rows, self._columns)
        if rows is not None:
            raise TypeError("this was compiled without inputs, so it takes no rows")
        return empty(0), 1

    def _present(self) -> Buffer:
        """The numbers of the leaves as they are now."""
        return array("d", [x._data for x in self.leaves])

    def __repr__(self) -> str:
        made = f"{len(self._inputs)} inputs, {len(self._parameters)} parameters"
        target = self.target if "_run" in vars(self) else self._wanted  # to show is not to compile
        return f"<{type(self).__name__} of {made}, target {target!r}>"

    # --- In a pickle, and in a copy -------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """It travels as its graph: what was compiled belongs to the process that compiled it."""
        made_here = {name for name, x in vars(self).items() if isinstance(x, Machine)} | {"_order"}
        return {name: x for name, x in vars(self).items() if name not in made_here}

    # Not before it is called: who only hands it on, such as a scheduler, need not compile it. What
    # Python decided was warned of when the graph was recorded.
    @cached_property
    def _run(self) -> Machine:
        return landed((self._mark, "run"), lambda: self._machine(self._outputs, decisions=False))


class Step(Compiled):
    """Forward and backward over many rows; `compile` makes it."""

    _per_row = False

    def _outputs(self, program: Program) -> list[Register]:
        if not self._parameters:
            raise ValueError(
                "parameters is empty, so there is nothing to train; leave it out for a predictor"
            )
        [loss] = self._roots
        mean_loss = program.mean(program.register_of(loss))
        mean_loss.name = mean_loss.name or "loss"
        roots = {loss: program.constant(1.0)}
        gradients = program.differentiate(roots, self._order, self._parameters)
        reached = zip(self._parameters, gradients, strict=True)
        self._out_of_reach = {p for p, gradient in reached if gradient is None}
        zero = program.constant(0.0)
        return [mean_loss, *(zero if gradient is None else gradient for gradient in gradients)]

    def __call__(self, rows: Any = None) -> float:
        """The mean loss over the rows; their mean gradient is added to each parameter's `.grad`.

        rows: a table of numbers, one column for each input: a list of lists, an array, a tensor,
            a table of pandas or polars. Nothing, if there are no inputs.
        """
        loss, *gradients = self._means(self._run, self._present(), rows).tolist()
        out_of_reach = self._out_of_reach
        for p, gradient in zip(self._parameters, gradients, strict=True):
            if p._grad is not NO_GRADIENT:
                p._grad += gradient
            elif not out_of_reach or p not in out_of_reach:
                p._grad = gradient
        return loss  # type: ignore[no-any-return]

    def train(
        self,
        rows: Any,
        optimizer: Optimizer,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        schedule: Schedule | None = None,
        clip: float | None = None,
        seed: int | None = 0,
    ) -> Losses:
        """Whole steps: forward, backward and update, again and again; the mean loss of each epoch.

        What comes out is a list, whose `steps` are the losses of all steps.

        rows: a table of numbers, as for a call; None, if there are no inputs.
        optimizer: moves those of the parameters that it holds, and remembers what it has to.
        epochs: how often to go through all rows.
        batch_size: how many rows make one step; by default all of them. They are shuffled anew in
            each epoch, as by ``random.Random(f"{seed} order {epoch}").shuffle``, with epochs from 0
            on; the last batch may be smaller.
        schedule: the learning rate of each step, counted from 0 on. It is a function of that number
            alone: it may be asked for many steps before they are taken.
        clip: the largest norm of all gradients together; see `microgrant.optim.clip_gradients`.
        seed: of the order of the rows; with None they are taken as they stand, in each epoch.

        The numbers are those of this loop, but with a native target all of it is native, and
        `.data` is written at the end. They are the same to the last bit, but for rounding where a
        norm is clipped, or where a rule of your own calls more than roots. A call that is a single
        step is this loop: to hand all over and back takes as long as a dozen steps, so give many
        batches to one call. ::

            for batch in batches:
                optimizer.zero_grad()
                step(batch)
                optimizer.step()

        The optimiser's parameters are left without a gradient; others keep theirs.

        A FloatingPointError says so when the loss or a parameter becomes nan or infinite; then, and
        when Ctrl-C comes, the parameters are those of the last step after which all was well.
        `microgrant.training.fit` does all of this for a model, and more.

        >>> from microgrant import Value, compile
        >>> from microgrant.optim import Adam
        >>> w, b, x, y = Value(0.5), Value(0.0), Value(0.0), Value(0.0)
        >>> step = compile((w * x + b - y) ** 2, inputs=[x, y], parameters=[w, b])
        >>> rows = [[0, 1], [1, 3], [2, 5]]  # points of the line y = 2x + 1
        >>> losses = step.train(rows, Adam([w, b], learning_rate=0.1), epochs=300)
        >>> print(f"{losses[0]:.3f} {losses[-1]:.3f} {w:.3f} {b:.3f}")
        7.750 0.000 2.000 1.000
        """
        epochs, held = whole_number("epochs", epochs), {*checked_optimizer(optimizer).parameters}
        size = None if batch_size is None else whole_number("batch_size", batch_size)
        if held.isdisjoint(self._parameters):
            raise ValueError("the optimizer has parameters, but none that this was compiled for")
        rate = constant(optimizer.learning_rate) if schedule is None else checked_schedule(schedule)
        seed = None if seed is None else whole_number("seed", seed, least=None)
        batches = Batches(as_rows(*self._rows(rows)), size, seed)
        steps = range(epochs * batches.per_epoch)
        descent = self._descent(optimizer, checked_clip(clip), len(steps))
        learned = descent.learned()
        losses: list[float] = []  # of each step
        others = [(p, p._grad) for p in self._parameters if p not in held]

        def note(taken: Any, some: list[float], _: Steps) -> None:
            nonlocal learned
            learned = taken
            losses.extend(some)

        try:
            if what := batches.run(descent, learned, steps, rate, note):
                raise FloatingPointError(
                    f"{what} in step {len(losses)}, at a learning rate of "
                    f"{optimizer.learning_rate:g}: a lower one or clip=1.0 may help. The "
                    "parameters are those before this step"
                )
            descent.write(learned)
        except BaseException:
            descent.put(learned)
            raise
        finally:
            optimizer.zero_grad()
            for p, gradient in others:
                p._grad = gradient
        return batches.means(losses)

    def _descent(self, optimizer: Optimizer, clip: float | None, steps: int) -> Descent:
        """What takes so many steps: for a single one, to read and write all is not worth it."""

        def step(rows: Any, number: int) -> float:
            return self(rows if self._columns else None)

        def laid_out(steps: Steps) -> Buffer:
            return self._rows(steps.rows)[0] if self._columns else empty(0)

        if steps == 1:
            return Descent(step, optimizer, clip)
        return descent_of(self, laid_out, 0, step, optimizer, clip)

    def value_and_grad(self, parameters: Any, rows: Any = None) -> tuple[float, Buffer]:
        """The mean loss and its gradient for parameters given as numbers; no Value is touched.

        parameters: a flat list or array, in the order in which they were compiled. Other leaves are
            read from their Values.

        The gradient comes as an array of NumPy's, or of the standard library's where NumPy is not
        installed.
        """
        given = flat(parameters, len(self._parameters), "parameters")
        if others := self.leaves[len(given) :]:
            given = array("d", [*given, *(x._data for x in others)])
        out = self._means(self._run, given, rows)
        return float(out[0]), out[1:]

    def value(self, rows: Any = None) -> float:
        """The mean loss over the rows, without the backward pass.

        The first call compiles the forward pass by itself.
        """
        return float(self._means(self._forward, self._present(), rows)[0])

    def _means(self, machine: Machine, parameters: Buffer, rows: Any) -> Buffer:
        buffer, count = self._rows(rows)
        out = machine.run(parameters, buffer, count)
        if modes.open_blocks and modes.inside("detect_anomaly") and not all(map(isfinite, out)):
            raise modes.AnomalyError(
                "the mean loss or a mean gradient of this compiled step is nan or inf: record and "
                "run the rows one by one inside detect_anomaly(), and it names the line"
            )
        return out

    @property
    def function(self) -> Function:
        """The mean loss as a pure function for JAX, ``f(parameters, rows)``; of target "jax" only.

        parameters: a flat array, in the order in which they were compiled. Other leaves are in it
            as the numbers that they hold now.
        rows: an array with a row for each example. Nothing, if there are no inputs.

        `jax.jit`, `jax.vmap`, `jax.grad` by both of them, `jax.jvp` and a mesh of devices take it.
        It computes with the precision of its arrays: 32 bits, if JAX is not told otherwise. First
        derivatives are ours, at kinks and in the branches of `where` as well. JAX finds those of
        second order by itself, from our gradient: right where that is smooth, and nan where a
        branch not taken is infinite. XLA takes constants together, so that x + 1e16 - 1e16 is x,
        and x + 0.0 as well; on a processor, a number below 2.3e-308 is 0 to it. (It was tried on
        processors only.)

        Layers become products of matrices, which XLA compiles in seconds; formulas that differ
        take it some hundredths of a second each, and again for each new shape of rows. Whenever
        this is asked for, it is another function to JAX: keep it. ::

            import jax
            from microgrant import Value, compile

            w, x = Value(0.5), Value(0.0)
            f = compile((w * x).relu(), inputs=[x], parameters=[w], target="jax").function
            parameters, rows = jax.numpy.array([0.5]), jax.numpy.array([[3.0], [-1.0]])
            print(jax.jit(f)(parameters, rows))  # prints 0.75
            print(jax.grad(f)(parameters, rows))  # prints [1.5]
        """
        step, [loss] = self._for_jax(self._run), self._roots

        def gradients(program: Program) -> list[Register]:
            return self._gradients(program, {loss: program.constant(1.0)}, self._inputs)

        value = self._for_jax(self._forward)
        by_inputs = cache(lambda: self._for_jax(self._machine(gradients, True, per_row=True)))
        mean = mean_function(value, step, by_inputs, self._others())
        return pure(mean, len(self._parameters), self._columns)

    @cached_property
    def _forward(self) -> Machine:
        [loss] = self._roots

        def outputs_of(program: Program) -> list[Register]:
            return [program.mean(program.register_of(loss))]

        return landed((self._mark, "forward"), lambda: self._machine(outputs_of, quiet=True))


class Predictor(Compiled):
    """The outputs of a graph for many rows; `compile` makes it."""

    _per_row = True

    def _outputs(self, program: Program) -> list[Register]:
        return list(map(program.register_of, self._roots))

    def __call__(self, rows: Any = None) -> Buffer:
        """The outputs for each row: one number, or a row of them if a list of Values was compiled.

        rows: a table of numbers, one column for each input. Nothing, if there are no inputs: then
            what comes out belongs to a single row.

        An array of NumPy's; without NumPy, an array of the standard library's or a list of lists.
        """
        buffer, count = self._rows(rows)
        out = self._run.run(self._present(), buffer, count)
        return out if self._single else as_rows(out, count)

    @property
    def function(self) -> Function:
        """The outputs of each row as a pure function for JAX, ``f(parameters, rows)``.

        It is like that of a `Step`, but that JAX takes derivatives of it backwards only: by
        `jax.grad` and `jax.vjp`, and not by `jax.jvp`. What is to be a parameter has to be listed:
        ``compile([score], inputs, parameters, target="jax").function``.
        """
        value, parameters = self._for_jax(self._run), self._parameters
        by_parameters = cache(lambda: self._pulled_back(parameters, per_row=False))
        by_inputs = cache(lambda: self._pulled_back(self._inputs, per_row=True))
        outputs = outputs_function(value, by_parameters, by_inputs, self._others())
        if self._single:
            return pure(lambda *given: outputs(*given)[:, 0], len(parameters), self._columns)
        return pure(outputs, len(parameters), self._columns)

    def _pulled_back(self, leaves: Sequence[Value], per_row: bool) -> JaxMachine:
        """The gradients of the outputs, each times the number in its further column of the rows."""
        columns = [Value(0.0) for _ in self._roots]

        def gradients(program: Program) -> list[Register]:
            above: dict[Value, Register] = {}
            for root, column in zip(self._roots, columns, strict=True):
                register = program.register_of(column)
                above[root] = above[root] + register if root in above else register
            return self._gradients(program, above, leaves)

        return self._for_jax(self._machine(gradients, True, per_row=per_row, more_inputs=columns))


@contextmanager
def no_collector() -> Iterator[None]:
    """Without the garbage collector, which would go through a growing program again and again.

    Nothing is left for it: a program that is closed lets go of its registers.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


SUCH_AS = {"inputs": "[x, y]", "parameters": "model.parameters()"}


def checked_leaves(name: str, given: Any) -> list[Value]:
    """A list of different leaves, or an error that says which of them is not one."""
    values = listed_values(name, given, f"{name} is a list of Values, such as {SUCH_AS[name]}")
    seen = set()
    for place, x in enumerate(values):
        if x.operation is not None:
            raise ValueError(
                f"{which(name, place, x)} was computed by {x.operation.name}: give the leaves "
                "that it was computed from"
            )
        if x._constant:
            raise ValueError(
                f"{which(name, place, x)} is a constant of the graph: make it a Value of its own"
            )
        if id(x) in seen:
            raise ValueError(f"{which(name, place, x)} is listed twice")
        seen.add(id(x))
    return values


def listed_values(name: str, given: Any, wanted: str, wanted_of_each: str = "") -> list[Value]:
    """A list of Values, or an error that says what was wanted."""
    try:
        values = list(map(unboxed, given))
    except TypeError:
        raise TypeError(f"{wanted}, but got {shown(given)}") from None
    for place, x in enumerate(values):
        if not isinstance(x, Value):
            raise TypeError(f"{wanted_of_each or wanted}, but {name}[{place}] is {shown(x)}")
    return values


def which(name: str, place: int, value: Value) -> str:
    label = f" ({value.label})" if value.label else ""
    return f"{name}[{place}]{label}"
