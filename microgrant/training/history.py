"""What happened in a training: a table, a plot, and all that is needed to go on.

With this module you can

- read it:                  print(history); history.loss[-1]; history.best_epoch
- see it:                   history.plot(); pandas.DataFrame(history.to_dict())
- go on from it:            fit(…, resume=history)
- keep it:                  json.dumps(history.state); checked_state(json.loads(text))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine.arguments import shown
from ..extras import imported
from ..ops.numbers import aligned, number
from ..views.style import THEMES

__all__ = ["COLUMNS", "History", "checked_state"]

ROWS = 10  # of the table, about
NO_STATE = "this is not the state of a history"

COLUMNS = ("loss", "validation_loss", "metric", "learning_rate")
"""What is noted of each epoch, in `state["history"]`."""


class History:
    """The course of a training, epoch by epoch; `fit` makes it.

    loss: what was minimised, penalty included: the mean over the epoch's batches, each as it was
        just before its update.
    validation_loss: the loss on the validation data after the epoch, without the penalty and with
        the model in `eval` mode; empty if there was no validation.
    metric: the numbers of the metric; empty if there was none.
    learning_rate: that of the epoch's last step.
    interrupted: whether Ctrl-C ended it.
    note: why it ended before its last epoch, in a sentence; or nothing.
    target: what ran, to the end: "native", "numpy", "python", "javascript", "jax" or "eager".
    state: all that `fit` needs to go on from here, as plain data, ready for JSON.
    """

    _programs: Any = ()  # what was compiled, for a training that goes on from here

    def __init__(
        self, state: Mapping[str, Any], note: str = "", interrupted: bool = False, target: str = "",
        programs: Any = (),
    ) -> None:  # fmt: skip
        columns = state["history"]
        self.loss: list[float] = columns["loss"]
        self.validation_loss: list[float] = columns["validation_loss"]
        self.metric: list[float] = columns["metric"]
        self.learning_rate: list[float] = columns["learning_rate"]
        self.state, self.note, self.interrupted, self.target = state, note, interrupted, target
        self._programs = programs

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_programs": ()}  # which belong to the process that made them

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest validation loss, from 1 on; None without validation."""
        losses = self.validation_loss
        return losses.index(min(losses)) + 1 if losses else None

    def __len__(self) -> int:
        """How many epochs are complete."""
        return len(self.loss)

    def to_dict(self) -> dict[str, list[Any]]:
        """Its columns, equally long: "epoch" from 1 on, and by their names those that there are.

        A table of it is ``pandas.DataFrame(history.to_dict())``.
        """
        columns = {name: [*getattr(self, name)] for name in COLUMNS}
        filled = {name: column for name, column in columns.items() if len(column) == len(self)}
        return {"epoch": [*range(1, len(self) + 1)], **filled}

    def __repr__(self) -> str:
        columns = {
            "loss": self.loss,
            "validation": self.validation_loss,
            self.state["fixed"]["metric"]: self.metric,
            "learning rate": self.learning_rate,
        }
        filled = {name: numbers for name, numbers in columns.items() if numbers}
        lines = [["epoch", *filled]] if filled else []
        for epoch in self._shown_epochs():
            numbers = [number(column[epoch - 1]) for column in filled.values()]
            lines.append([str(epoch), *numbers, *["best"] * (epoch == self.best_epoch)])
        return "\n".join(filter(None, [aligned(lines), self.note])) or "no epoch is complete"

    def _shown_epochs(self) -> list[int]:
        """The first, the last, the best, and round numbers between them."""
        total = len(self)
        sizes = (digit * 10**power for power in range(20) for digit in (1, 2, 5))
        every = next(size for size in sizes if total <= ROWS * size)
        shown = {1, total, self.best_epoch or 1, *range(every, total + 1, every)}
        return sorted(epoch for epoch in shown if 1 <= epoch <= total)

    def plot(self, axes: Any = None) -> Any:
        """The losses over the epochs, drawn by matplotlib (the extra `lessons`).

        axes: where to draw; by default a new figure. They are returned.
        """
        if axes is None:
            imported("matplotlib", "microgrant[lessons]")
            from matplotlib import pyplot

            axes = pyplot.subplots()[1]
        colours, epochs = THEMES["light"], range(1, len(self) + 1)
        axes.plot(epochs, self.loss, color=colours["value"], label="training")
        if self.best_epoch:
            axes.plot(
                epochs, self.validation_loss, "--", color=colours["gradient"], label="validation"
            )
            axes.axvline(self.best_epoch, linestyle=":", color="gray", label="best")
            axes.legend()
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        return axes


def checked_state(state: Any) -> dict[str, Any]:
    """What came out of a file, if it has the form of a `state`; else a ValueError.

    >>> checked_state({"epoch": 3})
    Traceback (most recent call last):
        ...
    ValueError: this is not the state of a history, without 'fixed': dict {'epoch': 3}
    """
    try:
        fixed, epoch, best = state["fixed"], state["epoch"], state["best"]
        validated, measured = epoch * bool(fixed["validation"]), epoch * bool(fixed["metric"])
        lengths = dict(zip(COLUMNS, (epoch, validated, measured, epoch), strict=True))
        fits = {
            "fixed": isinstance(fixed, dict),  # `fit` compares it with its own
            "epoch": _is_count(epoch),
            "batch": _is_count(state["batch"]),
            "total": type(state["total"]) is float,
            "parameters": _are_floats(state["parameters"], fixed["parameters"]),
            "optimizer": isinstance(state["optimizer"], dict),  # which looks at it by itself
            "best": best is None
            or (
                type(best["loss"]) is float
                and _is_count(epoch - best["epoch"])
                and _are_floats(best["parameters"], fixed["parameters"])
            ),
            "history": all(_are_floats(state["history"][name], n) for name, n in lengths.items()),
        }
    except KeyError as error:
        raise ValueError(f"{NO_STATE}, without {error}: {shown(state)}") from None
    except TypeError:
        raise ValueError(f"{NO_STATE}: {shown(state)}") from None
    for name, good in fits.items():
        if not good:
            raise ValueError(f"{NO_STATE}: {name} is {shown(state[name])}")
    return {name: state[name] for name in fits}


def _is_count(x: object) -> bool:
    return type(x) is int and x >= 0


def _are_floats(x: object, length: int) -> bool:
    return isinstance(x, list) and len(x) == length and {*map(type, x)} <= {float}
