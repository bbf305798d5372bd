"""The trials of a search: one after the other, or at the same time, by an executor.

With this module you can

- make one:                        outcome(train, False, {"learning_rate": 0.1}) -> score, note
- make all, in some other place:   run_by(executor, trial, settings, outcomes)

What is lost on the way to other processes, or there, is noted as failed, like a trial that raises.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from ..engine.arguments import as_number
from .history import History

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Outcome", "ends_all", "outcome", "run_by"]

INTERRUPTED = "interrupted"

Settings: TypeAlias = dict[str, Any]

Outcome: TypeAlias = tuple[float, str] | Exception
"""Score and note of a trial; or the error, if what `train` returned is no score."""


def outcome(train: Callable[..., Any], maximize: bool, chosen: Settings) -> Outcome:
    """What came of a trial. It is found where the training runs, so that no model travels back."""
    try:
        result = train(**chosen)
    except Exception as error:
        return math.nan, _words(error)
    try:
        score = _score(result, maximize)
    except Exception as error:
        return error  # what is raised is taken for an error on the way
    interrupted = isinstance(result, History) and result.interrupted
    return score, INTERRUPTED * interrupted


def _score(result: object, maximize: bool) -> float:
    if not isinstance(result, History):
        return as_number(result)
    if maximize and result.state["fixed"]["metric"] is None:
        raise ValueError("maximize needs a metric: give fit a metric=accuracy, or return a score")
    numbers = result.metric if maximize else result.validation_loss or result.loss[-1:]
    if not numbers:
        return math.nan
    return max(numbers) if maximize else min(numbers)


def ends_all(found: Outcome) -> bool:
    """Whether no other trial is to follow: Ctrl-C was meant for all of the search."""
    return isinstance(found, Exception) or found[1] == INTERRUPTED


# --- By an executor -----------------------------------------------------------------------------


def run_by(
    executor: Any,
    trial: Callable[[Settings], Outcome],
    settings: list[Settings],
    outcomes: dict[int, Outcome],
) -> None:
    """Make trials by an executor, and note by their places what came of them.

    When one ends all, or at Ctrl-C, those that have not begun are cancelled, and those that are
    done are noted.
    """
    from concurrent.futures import as_completed  # here, as not everybody has use for it

    search = os.urandom(16)
    places: dict[Future[Outcome], int] = {}
    lost = 0
    try:
        for place, chosen in enumerate(settings):
            places[_submitted(executor, search, trial, chosen)] = place
        for future in as_completed(places):
            outcomes[places[future]] = found = _arrived(future)
            lost += future.cancelled() or future.exception() is not None
            if lost == len(settings):
                raise RuntimeError(f"{LOST}{outcomes[0][1]}")  # type: ignore[index]
            if ends_all(found):
                break
    finally:
        ended.add(search)
        for future, place in places.items():
            if not future.cancel() and future.done() and future.exception() is None:
                outcomes[place] = future.result()


LOST = (
    "no trial came back from the executor. For other processes, define train and what it needs "
    "with def at the top of a module, and put what a program does by itself under "
    'if __name__ == "__main__". The first: '
)


def _submitted(executor: Any, *task: Any) -> Any:
    """The future of a trial; if the executor does not take it, one that has failed."""
    from concurrent.futures import Future

    try:
        return executor.submit(_in_turn, *task)
    except Exception as error:
        future: Future[Outcome] = Future()
        future.set_exception(error)
        return future


def _arrived(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except Exception as error:  # it did not get there, or not back
        return math.nan, _words(error)


turns: dict[int, threading.RLock] = {}  # by process: a fork leaves behind the thread that holds one


ended: set[bytes] = set()
"""The searches that are over, as far as this process knows."""


def _in_turn(search: bytes, trial: Callable[[Settings], Outcome], chosen: Settings) -> Outcome:
    """A trial, while no other thread of this process is at one: they all draw from `random`.

    A process may have been sent more than it has begun. What Ctrl-C meant for a training here, it
    meant for that as well.
    """
    with turns.setdefault(os.getpid(), threading.RLock()):
        if search in ended:
            raise RuntimeError("the search is over")
        try:
            found = trial(chosen)
        except KeyboardInterrupt:
            ended.add(search)
            raise
        if ends_all(found):
            ended.add(search)
        return found


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
