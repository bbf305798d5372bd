"""Does the original microgpt print its published losses, when only its class `Value` is ours?

With this program you can

- ask, for the first 50 steps: python tests/benchmarks/microgpt_original.py FILE
- ask for all of them:         python tests/benchmarks/microgpt_original.py FILE --steps 1000

FILE is Andrej Karpathy's microgpt.py, which is not part of this repository:
https://gist.github.com/karpathy/8627fe009c40f57531cb18360106ce95. It reads its names from input.txt
in the folder where you are, and downloads them where there are none.

The losses of demos/microgpt.py, on the same documents, stand beside. The answer is "yes" (and the
exit status 0) where all three columns are the same to the digits that are printed.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from string import ascii_lowercase
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "demos"))

import microgpt

FIRST = "3.3660 3.4243 3.1778 3.0664 3.2209 2.9452 3.2894 3.3245 2.8990 3.2229 2.7964 2.9345 3.0544"
PUBLISHED = dict(enumerate(FIRST.split(), start=1)) | {50: "2.4050", 999: "2.4730", 1000: "2.6497"}
"""Losses by step: the first as its author's post shows them, the others as those do who ran it.

(The post, https://karpathy.github.io/2026/02/12/microgpt/, ends at 2.3721. That is not of this
version: whoever runs it, with its own Value or in another language, comes to 2.6497.)
"""

STEPS = 1000  # of the original; the learning rate falls to 0 over so many


class EnoughError(Exception):
    """As many losses are printed as were asked for."""


def with_our_value(source: str) -> str:
    """The program, with an import where its class `Value` stood."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ClassDef) and statement.name == "Value":
            lines = source.splitlines()
            lines[statement.lineno - 1 : statement.end_lineno] = ["from microgrant import Value"]
            return "\n".join(lines)
    raise ValueError("the program has no class Value")


def losses_of(source: str, steps: int) -> tuple[list[str], list[str]]:
    """The losses that the program prints, as it prints them; and the documents that it read."""
    losses: list[str] = []

    def heard(*texts: object, **options: Any) -> None:
        losses.extend(re.findall(r"^step .*loss (\S+)", " ".join(map(str, texts))))
        if len(losses) >= steps:
            raise EnoughError

    names: dict[str, Any] = {"__name__": "__main__", "print": heard}
    with suppress(EnoughError):
        exec(compile(with_our_value(source), "the original", "exec"), names)
    return losses, names.get("docs", [])


def our_losses(documents: list[str], read: int, make_step: Callable[[Any], Any]) -> list[str]:
    """The losses of demos/microgpt.py, of the first documents of `read` that were shuffled."""
    draw = random.Random(42)
    draw.shuffle([*range(read)])  # the weights are drawn from what comes after
    model = microgpt.GPT(ascii_lowercase + microgpt.END, draw=draw)
    rows = [model.row(document) for document in documents]
    losses = microgpt.train(model, make_step(model), rows, STEPS)
    return [f"{loss:.4f}" for _, loss in zip(documents, losses, strict=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the original microgpt with our Value.")
    parser.add_argument("file", type=Path, help="the original microgpt.py")
    parser.add_argument("--steps", type=int, default=50, metavar="N", help="losses to compare (50)")
    options = parser.parse_args()
    if not 1 <= options.steps <= STEPS:
        parser.error(f"--steps: expected a whole number from 1 to {STEPS}, but got {options.steps}")
    try:
        losses, documents = losses_of(options.file.read_text(encoding="utf-8"), options.steps)
    except (OSError, ValueError, SyntaxError) as error:
        parser.error(f"{options.file}: {error}")
    if len(losses) < options.steps:
        parser.error(f"{options.file}: it printed {len(losses)} losses, not {options.steps}")

    few = options.steps <= 50  # they take less time than to compile
    make_step = microgpt.eager_step if few else microgpt.compiled_step
    ours = our_losses(documents[: options.steps], len(documents), make_step)

    same = True
    print("step   published   original, our Value   demos/microgpt.py")
    for i, row in enumerate(zip(losses, ours, strict=True), start=1):
        published = PUBLISHED.get(i, "")
        same &= len({*row, published or row[0]}) == 1
        print(f"{i:4}{published:>12}{row[0]:>22}{row[1]:>20}")
    print("yes" if same else "no")
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
