"""What is not always there: packages that are extras, and in a browser much else.

With this module you can

- import what is an extra:           torch = imported("torch", "torch")
- say what brings it here:           what_brings("llvmlite", "microgrant[native]")
- ask whether this is a browser:     in_browser()
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["imported", "in_browser", "what_brings"]

NATIVE = {"jax", "llvmlite", "onnx", "pygraphviz", "torch"}  # what Pyodide does not have


def imported(name: str, install: str) -> Any:
    """A package that is not needed until now; an ImportError says what brings it.

    >>> imported("nothing_at_all", "microgrant[lessons]")
    Traceback (most recent call last):
        ...
    ImportError: nothing_at_all is not installed: `pip install 'microgrant[lessons]'` brings it
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:  # it is there, and lacks something itself
            raise
        raise ImportError(f"{name} is not installed: {what_brings(name, install)}") from None


def what_brings(name: str, install: str) -> str:
    """What to do to have a package, in words; install: what pip calls it, or the extra with it."""
    if not in_browser():
        return f"`pip install '{install}'` brings it"
    if name in NATIVE:
        return "there is none for Python in a browser"
    return f"`%pip install {name}` brings it in a notebook, and micropip elsewhere in a browser"


def in_browser() -> bool:
    """Whether Python runs as WebAssembly, by Pyodide: without processes, threads and a terminal."""
    return str(sys.platform) == "emscripten"  # not the word itself, for mypy to look at both ways
