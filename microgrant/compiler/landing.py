"""What was compiled here already, for a step that comes out of a pickle: its mark tells.

With this module you can

- have the program of a step that landed here:     machine = landed(mark, compile_it)

Whoever sends a step with each of a hundred tasks, as joblib and process pools do, sends a hundred
copies of it. They bear one mark, and the first of them compiles for all.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from weakref import WeakValueDictionary

from .machine import Machine

__all__ = ["Mark", "known", "landed", "new_mark"]

Mark = tuple[bytes, str]
"""Which step it is, of all steps anywhere; and which of its programs."""

known: WeakValueDictionary[Mark, Machine] = WeakValueDictionary()
"""What this process has compiled and still holds."""

# A copy is gone when its task is done. For the next one, a few programs are kept.
latest: deque[Machine] = deque(maxlen=8)
locks: dict[int, threading.Lock] = {}  # by process: a fork leaves behind the thread that holds one


def new_mark() -> bytes:
    """A mark that nothing else bears; no generator of random numbers is touched."""
    return os.urandom(16)


def landed(mark: Mark, compiled: Callable[[], Machine]) -> Machine:
    """The program with this mark; it is compiled if there is none here.

    Of several threads one compiles, and the others wait for it.
    """
    with locks.setdefault(os.getpid(), threading.Lock()):
        machine = known.get(mark)
        if machine is None:
            machine = known[mark] = compiled()
            latest.append(machine)
        return machine
