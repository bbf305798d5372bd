"""The live page: type an expression, and walk through its step.

With this package you can

- answer what the page asks:     answer({"expression": "a*b", "values": {"a": "2", "b": "-3"}})
- have the files of the page:    files()
- link to an expression in it:   fragment("a*b", {"a": "2", "b": "-3"})

`microgrant.views.live.server` serves it on this machine: ``python -m microgrant live``.
"""

from .answers import answer
from .shell import files, fragment

__all__ = ["answer", "files", "fragment"]
